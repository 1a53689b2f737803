//! Zip archives, read: by the list at their end, entry after entry, without holding that list in memory.

use std::io::{Read, Seek};

use zip::{
    CompressionMethod, ZipReadOptions, read::Config, result::ZipError, unstable::read::ZipIterable,
};

use super::{
    super::FilesError,
    ArchiveError,
    entry::{ENTRIES, Entry, TARGET, What, damaged, shown},
};

const KIND: &str = "zip";
/// The fixed part of the header before each entry's bytes.
const HEADER: u64 = 30;
/// Of a mode: what kind of thing it is.
const FORMAT: u32 = 0o170_000;

fn fail(error: ZipError) -> FilesError {
    match error {
        ZipError::Io(error) => damaged(KIND, error).into(),
        error => ArchiveError::Damaged {
            kind: KIND,
            why: error.to_string(),
        }
        .into(),
    }
}

/// Calls `each` with every entry.
pub(super) fn read(
    source: impl Read + Seek,
    each: &mut dyn FnMut(Entry<'_>) -> Result<(), FilesError>,
) -> Result<(), FilesError> {
    let mut archive = ZipIterable::try_new(source, Config::default()).map_err(fail)?;
    if archive.len() as u64 > ENTRIES {
        return Err(ArchiveError::TooMuch {
            what: "entries",
            most: ENTRIES,
        }
        .into());
    }
    apart(&mut archive)?;
    let files = archive.files().map_err(fail)?;
    while let Some(entry) = files.next() {
        let entry = entry.map_err(fail)?;
        let name = entry.name_raw().to_vec();
        let unreadable = |why: String| ArchiveError::Unreadable {
            name: shown(&name),
            why,
        };
        if entry.encrypted() {
            return Err(unreadable("it is encrypted".into()).into());
        }
        let method = entry.compression();
        if ![CompressionMethod::Stored, CompressionMethod::Deflated].contains(&method) {
            return Err(unreadable(format!("it is compressed by {method}, not deflate")).into());
        }
        let mode = entry.unix_mode();
        let kind = match mode.map_or(0, |mode| mode & FORMAT) {
            0o010_000 => Some("pipe"),
            0o020_000 | 0o060_000 => Some("device"),
            0o140_000 => Some("socket"),
            _ => None,
        };
        if let Some(kind) = kind {
            let name = shown(&name);
            return Err(ArchiveError::Special { name, kind }.into());
        }
        let modified = entry.last_modified().and_then(|moment| {
            let (month, day) = (moment.month().cast_signed(), moment.day().cast_signed());
            let (hour, minute) = (moment.hour().cast_signed(), moment.minute().cast_signed());
            let year = i16::try_from(moment.year()).ok()?;
            let second = moment.second().cast_signed().min(59);
            let civil =
                jiff::civil::DateTime::new(year, month, day, hour, minute, second, 0).ok()?;
            let zoned = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
            u64::try_from(zoned.timestamp().as_second()).ok()
        });
        let (size, folder, link) = (entry.size(), entry.is_dir(), entry.is_symlink());
        let opened = entry.with_reader(files.reader_mut(), ZipReadOptions::new());
        let mut body = opened.map_err(fail)?;
        let what = match (folder, link) {
            (true, _) => What::Folder,
            (false, true) => {
                let mut target = Vec::new();
                let read = (&mut body).take(TARGET as u64 + 1).read_to_end(&mut target);
                read.map_err(|error| damaged(KIND, error))?;
                What::Link(target)
            }
            (false, false) => What::File,
        };
        each(Entry {
            name,
            what,
            mode,
            modified,
            size,
            body: &mut body,
        })?;
    }
    Ok(())
}

/// Entries that share bytes make much of little.
fn apart<R: Read + Seek>(archive: &mut ZipIterable<R>) -> Result<(), FilesError> {
    let mut spans = Vec::new();
    for entry in archive.files().map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let start = entry.header_start();
        let length = HEADER + entry.name_raw().len() as u64;
        let end = start
            .saturating_add(length)
            .saturating_add(entry.compressed_size());
        spans.push((start, end));
    }
    spans.sort_unstable();
    match spans.windows(2).any(|pair| pair[0].1 > pair[1].0) {
        true => Err(ArchiveError::Overlap.into()),
        false => Ok(()),
    }
}
