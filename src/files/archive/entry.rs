//! What every kind of archive is read as: one entry after the other, each with a name, a kind and its bytes. And what a
//! name in an archive may be. Pure.

use std::io::{self, Read};

use super::{
    super::path::{FilePath, PathError},
    ArchiveError,
};

/// Entries of one archive, folders that are only implied among them.
pub(super) const ENTRIES: u64 = 100_000;
/// Folders in folders.
pub(super) const DEPTH: usize = 64;
/// Bytes that an archive may become however small it is.
const FREE: u64 = 256 << 20;
/// How many times its own size an archive may become beyond that.
const RATIO: u64 = 200;
/// Bytes of a link's target.
pub(super) const TARGET: usize = 4095;

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    Folder,
    File,
    /// A symbolic link, and where it leads.
    Link(Vec<u8>),
    /// Another name of a file that came before.
    Same(Vec<u8>),
}

/// One entry. What it says of itself is not checked yet.
pub(super) struct Entry<'a> {
    pub(super) name: Vec<u8>,
    pub(super) what: What,
    pub(super) mode: Option<u32>,
    /// Seconds since 1970.
    pub(super) modified: Option<u64>,
    /// Bytes of content, as it declares.
    pub(super) size: u64,
    pub(super) body: &'a mut dyn Read,
}

/// A name for people, whatever its bytes.
pub(super) fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(name).chars().take(200).collect()
}

/// Where an entry of that name goes, below the folder that is unpacked into; that folder itself is the empty path.
pub(super) fn place(name: &[u8], zip: bool) -> Result<FilePath, ArchiveError> {
    if zip && name.contains(&b'\\') {
        return Err(ArchiveError::Backslash(shown(name)));
    }
    let wrong = |why: PathError| ArchiveError::Name {
        name: shown(name),
        why,
    };
    let path = FilePath::parse(name).map_err(wrong)?;
    let depth = path.as_bytes().split(|&byte| byte == b'/').count();
    match depth > DEPTH {
        true => Err(ArchiveError::Deep {
            name: path,
            most: DEPTH,
        }),
        false => Ok(path),
    }
}

/// Whether so much may have come of so many bytes.
pub(super) fn proportion(packed: u64, unpacked: u64) -> Result<(), ArchiveError> {
    match unpacked > FREE.saturating_add(packed.saturating_mul(RATIO)) {
        true => Err(ArchiveError::Bomb { packed, unpacked }),
        false => Ok(()),
    }
}

/// Carries an error of ours through a decoder of others.
pub(super) fn carried(error: ArchiveError) -> io::Error {
    io::Error::other(error)
}

/// The error of ours that a decoder handed on, or that its bytes make no sense.
pub(super) fn damaged(kind: &'static str, error: io::Error) -> ArchiveError {
    let why = error.to_string();
    match error.into_inner().map(|inner| inner.downcast()) {
        Some(Ok(ours)) => *ours,
        _ => ArchiveError::Damaged { kind, why },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_name_that_leads_out_is_refused() {
        for (name, zip) in [
            (&b"../x"[..], false),
            (b"a/../../x", false),
            (b"/etc/passwd", false),
            (b"a\0b", false),
            (b"..\\x", true),
            (b"C:\\x", true),
            (&[b'x'; 256], false),
            (&b"d/".repeat(65), false),
        ] {
            assert!(place(name, zip).is_err(), "{}", shown(name));
        }
        for (name, path) in [
            (&b"./a//b/"[..], &b"a/b"[..]),
            (b".", b""),
            (b"a\nb\xff", b"a\nb\xff"),
            (b"a\\b", b"a\\b"),
            (b"...", b"..."),
        ] {
            assert_eq!(place(name, false).unwrap().as_bytes(), path);
        }
    }

    #[test]
    fn only_what_is_out_of_proportion_is_a_bomb() {
        proportion(0, FREE).unwrap();
        proportion(10, FREE + 2000).unwrap();
        proportion(u64::MAX, u64::MAX).unwrap();
        assert!(proportion(10, FREE + 2001).is_err());
    }

    proptest! {
        #[test]
        fn no_name_climbs(name in prop::collection::vec(prop::sample::select(&b"./\\a\xff\0"[..]), 0..40), zip: bool) {
            if let Ok(path) = place(&name, zip) {
                let mut names = path.as_bytes().split(|&byte| byte == b'/');
                prop_assert!(names.all(|name| name != b".." && name != b"."));
                prop_assert!(!path.as_bytes().starts_with(b"/"));
            }
        }
    }
}
