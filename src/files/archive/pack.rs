//! Packs: what was chosen is looked through first, and then written, file after file, with bounded memory.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    io::{self, Read as _, Write},
    os::unix::ffi::OsStrExt as _,
    path::Path,
};

use flate2::{Compression, write::GzEncoder};
use tar::{Builder, EntryType, Header};
use zip::{
    CompressionMethod, ZipWriter,
    result::ZipError,
    write::{SimpleFileOptions, StreamWriter},
};

use super::{
    super::{
        FilePath, FilesError, Kind,
        about::About,
        copy::Copied,
        error::io_at,
        root::{Inside, Root},
        walk::Go,
    },
    ArchiveError, Format,
    entry::ENTRIES,
};

/// Bytes of all names together, which are held while an archive is made.
const NAMES: usize = 64 << 20;
/// What zstd takes for a middle course.
const LEVEL: i32 = 3;
/// From here on a zip entry needs the larger headers.
const LARGE: u64 = 0xffff_0000;

/// What is to be packed: each with its name in the archive.
pub(crate) struct Packing {
    items: Vec<(FilePath, Vec<u8>, About)>,
    skipped: u64,
    /// Bytes of content.
    most: u64,
}

impl Packing {
    /// Refuses more bytes of content than `most`, now and while it is packed: files grow. A hole is as long as it reads.
    pub(crate) fn within(mut self, most: u64) -> Result<Self, FilesError> {
        self.most = most;
        let files = self.items.iter().filter(|item| item.2.kind == Kind::File);
        let bytes = files.fold(0_u64, |bytes, item| bytes.saturating_add(item.2.size));
        self.fits(bytes)?;
        Ok(self)
    }

    /// So many bytes, the next file's among them.
    fn fits(&self, bytes: u64) -> Result<(), FilesError> {
        let most = self.most;
        match bytes > most {
            true => Err(ArchiveError::Vast { bytes, most }.into()),
            false => Ok(()),
        }
    }
}

/// Whether one of `all` is a folder above `path`.
fn is_below(path: &FilePath, all: &BTreeSet<&FilePath>) -> bool {
    let mut above = path.split().map(|(parent, _)| parent);
    while let Some(folder) = above {
        if all.contains(&folder) {
            return true;
        }
        above = folder.split().map(|(parent, _)| parent);
    }
    false
}

/// Looks through `chosen`, which lie in `base`, and whose names in the archive are those below it. What is chosen twice,
/// or with a folder above it, comes once.
pub(crate) fn gather(
    inside: &Inside<'_>,
    base: &FilePath,
    chosen: &[FilePath],
    format: Format,
) -> Result<Packing, FilesError> {
    let mut packing = Packing {
        items: Vec::new(),
        skipped: 0,
        most: u64::MAX,
    };
    let mut names = 0;
    let mut add = |path: &FilePath, about: &About, skipped: &mut u64| {
        let name = path
            .as_bytes()
            .get(base.as_bytes().len()..)
            .unwrap_or_default();
        let name = name.strip_prefix(b"/").unwrap_or(name).to_vec();
        if !matches!(about.kind, Kind::File | Kind::Folder | Kind::Link) {
            *skipped += 1;
            return Ok(());
        }
        if format == Format::Zip && std::str::from_utf8(&name).is_err() {
            return Err(ArchiveError::NotText(path.clone()).into());
        }
        names += name.len() + path.as_bytes().len();
        if packing.items.len() as u64 >= ENTRIES || names > NAMES {
            let (what, most) = ("entries", ENTRIES);
            return Err(ArchiveError::TooMuch { what, most }.into());
        }
        if !name.is_empty() {
            packing.items.push((path.clone(), name, *about));
        }
        Ok::<_, FilesError>(())
    };
    let mut skipped = 0;
    let all: BTreeSet<_> = chosen.iter().collect();
    for path in &all {
        if !path.is_within(base) {
            return Err(FilesError::Bad {
                what: "paths",
                why: format!("must be in {base}, and {path} is not"),
            });
        }
        let about = inside.look(path)?;
        if is_below(path, &all) {
            continue;
        }
        add(path, &about, &mut skipped)?;
        if about.kind == Kind::Folder {
            skipped += inside.walk(path, |path, about| {
                let mut passed = 0;
                add(path, about, &mut passed)?;
                skipped += passed;
                Ok(Go::On)
            })?;
        }
    }
    packing.skipped = skipped;
    Ok(packing)
}

/// Writes the archive to `out`. The server's user is taken on for each file anew, so that whoever writes elsewhere
/// meanwhile does so as themselves.
pub(crate) fn pack<W: Write>(
    root: &Root,
    packing: &Packing,
    format: Format,
    out: W,
) -> Result<Copied, FilesError> {
    match format {
        Format::Zip => zip(root, packing, out),
        Format::Tar => tar(root, packing, Sink::Plain(out)),
        Format::TarGz => {
            let encoder = GzEncoder::new(out, Compression::default());
            tar(root, packing, Sink::Gz(encoder))
        }
        Format::TarZst => {
            let encoder = zstd::Encoder::new(out, LEVEL).map_err(written)?;
            tar(root, packing, Sink::Zst(encoder))
        }
        Format::TarBz2 => Err(FilesError::Bad {
            what: "format",
            why: "is zip, tar, tar.gz or tar.zst: tar.bz2 is read only".into(),
        }),
    }
}

/// What was meant to be written, or why it could not be: an error of ours that came back through an encoder is ours again.
pub(crate) fn written(error: io::Error) -> FilesError {
    match error.downcast::<FilesError>() {
        Ok(ours) => ours,
        Err(error) => io_at(&FilePath::default(), error),
    }
}

/// A file as it was when it was looked at: what grew since is cut, what shrank or went is an error.
struct Exactly<'a> {
    file: io::Take<std::fs::File>,
    path: &'a FilePath,
}

impl io::Read for Exactly<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(buffer)?;
        if read == 0 && !buffer.is_empty() && self.file.limit() > 0 {
            return Err(io::Error::other(FilesError::Changed(self.path.clone())));
        }
        Ok(read)
    }
}

/// What an item holds now; none when it is gone or shut, which a game may do at any time.
fn open<'a>(root: &Root, path: &'a FilePath) -> Result<Option<(Exactly<'a>, About)>, FilesError> {
    match root.enter()?.file(path) {
        Ok((file, about)) => {
            let file = file.take(about.size);
            Ok(Some((Exactly { file, path }, about)))
        }
        Err(
            FilesError::NoSuchFile(_)
            | FilesError::NotPermitted(_)
            | FilesError::NotFolder(_)
            | FilesError::IsFolder(_)
            | FilesError::Special { .. }
            | FilesError::LeadsOut(_)
            | FilesError::Link(_),
        ) => Ok(None),
        Err(error) => Err(error),
    }
}

fn leads(root: &Root, path: &FilePath) -> Result<Option<Vec<u8>>, FilesError> {
    Ok(root.enter()?.read_link(path).ok())
}

fn tar<W: Write>(root: &Root, packing: &Packing, out: Sink<W>) -> Result<Copied, FilesError> {
    let mut copied = Copied {
        skipped: packing.skipped,
        ..Copied::default()
    };
    let mut builder = Builder::new(out);
    for (path, name, about) in &packing.items {
        let name = Path::new(OsStr::from_bytes(name));
        let mut header = Header::new_gnu();
        header.set_mode(about.mode);
        header.set_mtime(about.modified.0 / 1000);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(0);
        match about.kind {
            Kind::Folder => {
                header.set_entry_type(EntryType::Directory);
                builder
                    .append_data(&mut header, name, io::empty())
                    .map_err(written)?;
                copied.folders += 1;
            }
            Kind::Link => match leads(root, path)? {
                Some(target) => {
                    header.set_entry_type(EntryType::Symlink);
                    let target = Path::new(OsStr::from_bytes(&target));
                    builder
                        .append_link(&mut header, name, target)
                        .map_err(written)?;
                    copied.links += 1;
                }
                None => copied.skipped += 1,
            },
            _ => match open(root, path)? {
                Some((content, about)) => {
                    packing.fits(copied.bytes.saturating_add(about.size))?;
                    header.set_entry_type(EntryType::Regular);
                    header.set_size(about.size);
                    builder
                        .append_data(&mut header, name, content)
                        .map_err(written)?;
                    copied.files += 1;
                    copied.bytes += about.size;
                }
                None => copied.skipped += 1,
            },
        }
    }
    let sink = builder.into_inner().map_err(written)?;
    sink.finish().map_err(written)?;
    Ok(copied)
}

fn zip<W: Write>(root: &Root, packing: &Packing, out: W) -> Result<Copied, FilesError> {
    let fail = |error| match error {
        ZipError::Io(error) => written(error),
        error => written(io::Error::other(error)),
    };
    let mut copied = Copied {
        skipped: packing.skipped,
        ..Copied::default()
    };
    let mut writer: ZipWriter<StreamWriter<W>> = ZipWriter::new_stream(out);
    for (path, name, about) in &packing.items {
        let name = String::from_utf8_lossy(name);
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .unix_permissions(about.mode)
            .last_modified_time(moment(about).unwrap_or_default());
        match about.kind {
            Kind::Folder => {
                writer.add_directory(name, options).map_err(fail)?;
                copied.folders += 1;
            }
            Kind::Link => {
                match leads(root, path)?.and_then(|target| String::from_utf8(target).ok()) {
                    Some(target) => {
                        writer.add_symlink(name, target, options).map_err(fail)?;
                        copied.links += 1;
                    }
                    None => copied.skipped += 1,
                }
            }
            _ => match open(root, path)? {
                Some((mut content, about)) => {
                    packing.fits(copied.bytes.saturating_add(about.size))?;
                    let options = options.large_file(about.size >= LARGE);
                    writer.start_file(name, options).map_err(fail)?;
                    io::copy(&mut content, &mut writer).map_err(written)?;
                    copied.files += 1;
                    copied.bytes += about.size;
                }
                None => copied.skipped += 1,
            },
        }
    }
    let mut out = writer.finish().map_err(fail)?.into_inner();
    out.flush().map_err(written)?;
    Ok(copied)
}

/// When it last changed, as zip has it: in UTC, by two seconds, from 1980 to 2107.
fn moment(about: &About) -> Option<zip::DateTime> {
    let moment = i64::try_from(about.modified.0).ok()?;
    let moment = jiff::Timestamp::from_millisecond(moment).ok()?;
    let moment = moment.to_zoned(jiff::tz::TimeZone::UTC);
    let part = |number: i8| u8::try_from(number).ok();
    zip::DateTime::from_date_and_time(
        u16::try_from(moment.year()).ok()?,
        part(moment.month())?,
        part(moment.day())?,
        part(moment.hour())?,
        part(moment.minute())?,
        part(moment.second())?,
    )
    .ok()
}

/// Where a tar archive's bytes go.
enum Sink<W: Write> {
    Plain(W),
    Gz(GzEncoder<W>),
    Zst(zstd::Encoder<'static, W>),
}

impl<W: Write> Sink<W> {
    fn finish(self) -> io::Result<()> {
        let mut out = match self {
            Self::Plain(out) => out,
            Self::Gz(encoder) => encoder.finish()?,
            Self::Zst(encoder) => encoder.finish()?,
        };
        out.flush()
    }
}

impl<W: Write> Write for Sink<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(out) => out.write(bytes),
            Self::Gz(encoder) => encoder.write(bytes),
            Self::Zst(encoder) => encoder.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(out) => out.flush(),
            Self::Gz(encoder) => encoder.flush(),
            Self::Zst(encoder) => encoder.flush(),
        }
    }
}
