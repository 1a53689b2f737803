//! Archives of a server's files: packed and unpacked in place, and whole folders as a stream either way.
//!
//! Refuses whatever could leave the folder, grow without bound, or is no plain file, folder or link. All kinds are read as
//! one stream of entries (`entry.rs`), and one extraction writes them, beneath the server's root and as its user.
//!
//! ```text
//!  zip (seeks) ──────────────────────► zipped.rs ──┐                      aside: a new folder where no game reaches it
//!  tar ── gauge ◄── gz, zst, bz2 ◄── meter ► tarball.rs ─┴─► Entry ─► extract.rs ──► whole: moved into place
//!                                                                         └─ refused, full, cut short: removed
//!
//!  folder, chosen paths ─► walk ─► pack.rs ─► tar, zip ─► gz, zst ─► a file, or bytes on their way out
//! ```
//!
//! | bound | why |
//! |---|---|
//! | 100,000 entries, 64 folders deep | what a server's disk and a walk through it can bear |
//! | 256 MiB and 200 times the archive's own size | a bomb is out of proportion |
//! | the server's limit on the disk | as for every other write; the bin gives way |
//! | 6 folders on their way in and 12 out, 2 of one server's each, 120 s of waiting | who is slow holds a thread |
//! | 3 archives at once in place, 1 of one server | each takes a thread and a processor |
//! | what is packed in place could be unpacked there again | a file with a hole of a terabyte is read for hours |
//! | 128 MiB of window for zstd, 64 KiB of tar header | memory |

mod entry;
mod error;
mod extract;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod handle;
mod pace;
mod pack;
mod read;
mod tarball;
#[cfg(test)]
mod tests;
mod zipped;

use std::str::FromStr;

pub use error::ArchiveError;
pub(crate) use handle::PackWish;

/// A kind of archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Zip,
    Tar,
    TarGz,
    TarZst,
    /// Read only.
    TarBz2,
}

impl Format {
    /// As requests and messages call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Zip => "zip",
            Self::Tar => "tar",
            Self::TarGz => "tar.gz",
            Self::TarZst => "tar.zst",
            Self::TarBz2 => "tar.bz2",
        }
    }

    /// What HTTP calls it.
    pub(crate) fn media(self) -> &'static str {
        match self {
            Self::Zip => "application/zip",
            Self::Tar => "application/x-tar",
            Self::TarGz => "application/gzip",
            Self::TarZst => "application/zstd",
            Self::TarBz2 => "application/x-bzip2",
        }
    }

    /// By the end of a file's name.
    pub(crate) fn of_name(name: &[u8]) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        let ends = |ends: &[&str]| ends.iter().any(|end| name.ends_with(end.as_bytes()));
        match () {
            () if ends(&[".zip"]) => Some(Self::Zip),
            () if ends(&[".tar"]) => Some(Self::Tar),
            () if ends(&[".tar.gz", ".tgz"]) => Some(Self::TarGz),
            () if ends(&[".tar.zst", ".tzst"]) => Some(Self::TarZst),
            () if ends(&[".tar.bz2", ".tbz2", ".tbz"]) => Some(Self::TarBz2),
            () => None,
        }
    }

    /// By the first bytes of its content, of which there should be [`Self::HEAD`].
    pub(crate) fn of_content(head: &[u8]) -> Option<Self> {
        match head {
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => Some(Self::Zip),
            [0x1f, 0x8b, ..] => Some(Self::TarGz),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Some(Self::TarZst),
            [b'B', b'Z', b'h', ..] => Some(Self::TarBz2),
            head if head.get(257..262) == Some(b"ustar") => Some(Self::Tar),
            _ => None,
        }
    }

    /// Bytes by which every kind is known.
    pub(crate) const HEAD: usize = 512;
}

impl FromStr for Format {
    type Err = ArchiveError;
    fn from_str(text: &str) -> Result<Self, ArchiveError> {
        let all = [
            Self::Zip,
            Self::Tar,
            Self::TarGz,
            Self::TarZst,
            Self::TarBz2,
        ];
        let mut all = all.into_iter();
        all.find(|format| format.name() == text)
            .ok_or(ArchiveError::Unknown)
    }
}
