//! Tar archives, read: headers as they come, and what extends them with bounds of our own. The library would read a long
//! name of any length into memory.

use std::io::{self, Read};

use tar::{Archive, EntryType, PaxExtensions};

use super::{
    super::FilesError,
    ArchiveError,
    entry::{Entry, TARGET, What, damaged, shown},
};

const KIND: &str = "tar";
/// Bytes of what extends one header.
const EXTENSION: u64 = 64 << 10;

/// What the headers before an entry's own say of it.
#[derive(Debug, Default)]
struct Extension {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    modified: Option<u64>,
    size: Option<u64>,
    sparse: bool,
}

/// Calls `each` with every entry, and reads to the end of `source`, so that what guards its bytes is checked.
pub(super) fn read(
    source: impl Read,
    each: &mut dyn FnMut(Entry<'_>) -> Result<(), FilesError>,
) -> Result<(), FilesError> {
    let fail = |error| FilesError::from(damaged(KIND, error));
    let mut archive = Archive::new(Tail::new(source));
    let mut extension = Extension::default();
    for entry in archive.entries().map_err(fail)?.raw(true) {
        let mut entry = entry.map_err(fail)?;
        match entry.header().entry_type() {
            EntryType::GNULongName => extension.name = Some(text(&mut entry)?),
            EntryType::GNULongLink => extension.link = Some(text(&mut entry)?),
            EntryType::XHeader => extension.read(&mut entry)?,
            EntryType::XGlobalHeader => {} // comments, mostly
            kind => {
                let extension = std::mem::take(&mut extension);
                one(kind, &mut entry, extension, each)?;
            }
        }
    }
    let mut source = archive.into_inner();
    io::copy(&mut source, &mut io::sink()).map_err(fail)?;
    match source.is_whole() {
        true => Ok(()),
        false => Err(ArchiveError::Damaged {
            kind: KIND,
            why: "its end is missing".into(),
        }
        .into()),
    }
}

fn one(
    kind: EntryType,
    entry: &mut tar::Entry<'_, impl Read>,
    extension: Extension,
    each: &mut dyn FnMut(Entry<'_>) -> Result<(), FilesError>,
) -> Result<(), FilesError> {
    let header = entry.header();
    let name = extension
        .name
        .unwrap_or_else(|| header.path_bytes().into_owned());
    let link = extension
        .link
        .or_else(|| header.link_name_bytes().map(Into::into));
    let special = |kind| ArchiveError::Special {
        name: shown(&name),
        kind,
    };
    let size = entry.size();
    // Extended sizes are for files of more than 8 GiB; the library reads by the header alone.
    if extension.sparse || extension.size.is_some_and(|extended| extended != size) {
        return Err(special("sparse file, or larger than 8 GiB").into());
    }
    let what = match kind {
        // Old archives mark folders by a slash alone.
        EntryType::Regular | EntryType::Continuous if name.ends_with(b"/") => What::Folder,
        EntryType::Regular | EntryType::Continuous => What::File,
        EntryType::Directory => What::Folder,
        EntryType::Symlink => What::Link(link.unwrap_or_default()),
        EntryType::Link => What::Same(link.unwrap_or_default()),
        EntryType::Char | EntryType::Block => return Err(special("device").into()),
        EntryType::Fifo => return Err(special("pipe").into()),
        EntryType::GNUSparse => return Err(special("sparse file").into()),
        _ => return Err(special("thing of an unknown kind").into()),
    };
    let (mode, modified) = (header.mode().ok(), header.mtime().ok());
    each(Entry {
        name,
        what,
        mode,
        modified: extension.modified.or(modified),
        size,
        body: entry,
    })
}

/// The whole of a header's extension.
fn bytes(entry: &mut impl Read) -> Result<Vec<u8>, FilesError> {
    let mut bytes = Vec::new();
    let read = entry.take(EXTENSION + 1).read_to_end(&mut bytes);
    read.map_err(|error| damaged(KIND, error))?;
    match bytes.len() as u64 > EXTENSION {
        true => Err(ArchiveError::TooMuch {
            what: "bytes in a header",
            most: EXTENSION,
        }
        .into()),
        false => Ok(bytes),
    }
}

/// A long name, which ends with a NUL.
fn text(entry: &mut impl Read) -> Result<Vec<u8>, FilesError> {
    let mut text = bytes(entry)?;
    if text.last() == Some(&0) {
        text.pop();
    }
    match text.len() > TARGET + 1 {
        true => Err(ArchiveError::TooMuch {
            what: "bytes in a name",
            most: TARGET as u64,
        }
        .into()),
        false => Ok(text),
    }
}

impl Extension {
    fn read(&mut self, entry: &mut impl Read) -> Result<(), FilesError> {
        let bytes = bytes(entry)?;
        for field in PaxExtensions::new(&bytes) {
            let field = field.map_err(|error| damaged(KIND, error))?;
            let value = field.value_bytes();
            let number = || std::str::from_utf8(value).ok();
            match field.key_bytes() {
                b"path" => self.name = Some(value.to_vec()),
                b"linkpath" => self.link = Some(value.to_vec()),
                b"size" => self.size = number().and_then(|text| text.parse().ok()),
                // Seconds, with fractions of them that nobody needs.
                b"mtime" => {
                    let whole = number().and_then(|text| text.split('.').next());
                    self.modified = whole.and_then(|text| text.parse().ok());
                }
                key if key.starts_with(b"GNU.sparse.") => self.sparse = true,
                _ => {}
            }
        }
        Ok(())
    }
}

/// Passes bytes on, and knows whether those that end an archive were the last: a block of zeros.
struct Tail<R> {
    inner: R,
    zeros: u64,
    any: bool,
}

impl<R: Read> Tail<R> {
    fn new(inner: R) -> Self {
        Self {
            inner,
            zeros: 0,
            any: false,
        }
    }

    fn is_whole(&self) -> bool {
        self.any && self.zeros >= 512
    }
}

impl<R: Read> Read for Tail<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        let bytes = &buffer[..read];
        let zeros = bytes.iter().rev().take_while(|&&byte| byte == 0).count();
        self.zeros = match zeros == read {
            true => self.zeros.saturating_add(zeros as u64),
            false => zeros as u64,
        };
        self.any |= read > 0;
        Ok(read)
    }
}
