//! Archives as they should be, and hostile ones of every kind, made by hand.

mod hostile;
mod races;
mod room;
mod round;
mod streams;

use std::{
    fs::{self, File},
    io::{Cursor, Read, Write},
    os::unix::ffi::OsStrExt as _,
};

use proptest::prelude::*;
use tar::{EntryType, Header};
use zip::{ZipWriter, write::SimpleFileOptions};

use super::{
    super::{FilePath, FilesError, copy::Copied, root::Replace, tests::House},
    extract::unpack,
    pack::{gather, pack},
    read::Source,
    *,
};

const PACKED: [Format; 4] = [Format::Zip, Format::Tar, Format::TarGz, Format::TarZst];

/// A server's files.
struct Site(House);

fn path(text: &str) -> FilePath {
    FilePath::parse(text.as_bytes()).unwrap()
}

impl Site {
    fn new() -> Self {
        Self(House::new())
    }

    /// Which may have so many bytes on the disk.
    fn within(limit: u64) -> Self {
        Self(House::of(None, Some(limit)))
    }

    fn at(&self, name: &str) -> std::path::PathBuf {
        self.0.files().join(name)
    }

    fn put(&self, name: &str, content: &[u8]) {
        let file = self.at(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }

    fn pack(
        &self,
        base: &str,
        chosen: &[&str],
        format: Format,
    ) -> Result<(Vec<u8>, Copied), FilesError> {
        let chosen: Vec<_> = chosen.iter().map(|chosen| path(chosen)).collect();
        let root = &self.0.site.root;
        let packing = gather(&root.enter()?, &path(base), &chosen, format)?;
        let mut bytes = Vec::new();
        let copied = pack(root, &packing, format, &mut bytes)?;
        Ok((bytes, copied))
    }

    fn unpack(
        &self,
        bytes: &[u8],
        format: Format,
        to: &str,
        replace: Replace,
    ) -> Result<Copied, FilesError> {
        let mut stream = bytes;
        let source = match format {
            Format::Zip => Source::File(file(bytes)),
            _ => Source::Stream(&mut stream),
        };
        unpack(&self.0.site, source, format, &path(to), replace)
    }

    /// Refused, and nothing of it is left.
    fn refuses(&self, bytes: &[u8], format: Format, why: &str) {
        let before = self.names();
        for to in ["new", "there", ""] {
            let error = self.unpack(bytes, format, to, Replace::Yes);
            let error = error.map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(why), "{why}: {error}");
            assert_eq!(self.names(), before, "{why}: something is left");
        }
    }

    /// Everything there is, sorted; and nothing is there that is not whole.
    fn names(&self) -> Vec<String> {
        assert_eq!(self.0.passing(), [""; 0]);
        let mut all = Vec::new();
        let mut folders = vec![self.0.files()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                let name = entry.path();
                let name = name.strip_prefix(self.0.files()).unwrap();
                all.push(String::from_utf8_lossy(name.as_os_str().as_bytes()).into_owned());
                if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                }
            }
        }
        all.sort();
        all
    }
}

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

/// A name as it stands, a type, where it leads, and content.
type Put<'a> = (&'a [u8], EntryType, &'a [u8], &'a [u8]);

/// A tar archive of these.
fn tar(entries: &[Put<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, kind, target, content) in entries {
        bytes.extend(header(name, *kind, target, content.len() as u64, 0o644));
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.extend([0; 1024]);
    bytes
}

fn header(name: &[u8], kind: EntryType, target: &[u8], size: u64, mode: u32) -> Vec<u8> {
    let mut header = Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.as_old_mut().linkname[..target.len()].copy_from_slice(target);
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(mode);
    header.set_mtime(1_700_000_000);
    header.set_cksum();
    header.as_bytes().to_vec()
}

fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        writer
            .start_file(*name, SimpleFileOptions::default())
            .unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// `bytes` with every `from` made `to`, which is as long.
fn patched(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes.to_vec();
    let mut at = 0;
    while let Some(found) = bytes[at..]
        .windows(from.len())
        .position(|part| part == from)
    {
        bytes[at + found..at + found + to.len()].copy_from_slice(to);
        at += found + to.len();
    }
    bytes
}

fn bz2(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    let mut encoder = bzip2::read::BzEncoder::new(bytes, bzip2::Compression::fast());
    encoder.read_to_end(&mut packed).unwrap();
    packed
}
