//! The path of a server's file: relative, in bytes, and never out of the folder.

use std::{
    ffi::OsStr,
    fmt::{self, Write as _},
    os::unix::ffi::OsStrExt as _,
    path::Path,
};

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

/// Bytes of a whole path that the kernel takes.
const MOST: usize = 4095;
/// Bytes of one name that every file system takes.
const NAME: usize = 255;

/// What stays as it is in [`FilePath::raw`].
const KEPT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~')
    .remove(b'/');

/// A path within a server's folder: names with `/` between them, none of them empty, `.` or `..`. The folder itself is
/// the empty path. Names are bytes, which need not be UTF-8.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FilePath(Vec<u8>);

/// Why something is no path of a server's file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// It begins with a slash.
    #[error("a path begins at the server's folder, without a slash")]
    Absolute,
    /// It climbs.
    #[error("a path may not have `..` in it")]
    Climbs,
    /// NUL ends a path for the kernel.
    #[error("a path may not have a NUL byte in it")]
    Nul,
    /// A name is too long.
    #[error("a name in the path has {0} bytes: 255 are possible")]
    Name(usize),
    /// It is too long.
    #[error("the path has {0} bytes: 4095 are possible")]
    Long(usize),
    /// The folder itself was named where something in it is needed.
    #[error("this needs something in the server's folder, not the folder itself")]
    Whole,
}

impl FilePath {
    /// Reads what somebody asked for. Empty names and `.` say nothing and are left out.
    pub fn parse(bytes: &[u8]) -> Result<Self, PathError> {
        match bytes.first() {
            Some(b'/') => Err(PathError::Absolute),
            _ => Self::rooted(bytes),
        }
    }

    /// The same where a leading slash means the server's folder, as MyOTTD's calls have it.
    pub fn rooted(bytes: &[u8]) -> Result<Self, PathError> {
        if bytes.len() > MOST + 1 {
            return Err(PathError::Long(bytes.len()));
        }
        if bytes.contains(&0) {
            return Err(PathError::Nul);
        }
        let mut path = Self::default();
        for name in bytes.split(|&byte| byte == b'/') {
            match name {
                b"" | b"." => {}
                b".." => return Err(PathError::Climbs),
                name if name.len() > NAME => return Err(PathError::Name(name.len())),
                name => path.push(name),
            }
        }
        match path.0.len() {
            long if long > MOST => Err(PathError::Long(long)),
            _ => Ok(path),
        }
    }

    /// Reads what [`Self::raw`] wrote.
    pub fn from_raw(text: &str) -> Result<Self, PathError> {
        let bytes: Vec<u8> = percent_decode_str(text).collect();
        Self::parse(&bytes)
    }

    fn push(&mut self, name: &[u8]) {
        if !self.0.is_empty() {
            self.0.push(b'/');
        }
        self.0.extend_from_slice(name);
    }

    /// The path of `name`, one that a folder has, in this folder.
    pub fn join(&self, name: &[u8]) -> Result<Self, PathError> {
        debug_assert!(!name.is_empty() && !name.contains(&b'/'));
        let mut path = self.clone();
        path.push(name);
        match path.0.len() {
            long if long > MOST => Err(PathError::Long(long)),
            _ => Ok(path),
        }
    }

    /// Whether it is the server's folder itself.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The folder and the name in it; none for the server's folder itself.
    pub fn split(&self) -> Option<(Self, &[u8])> {
        if self.is_root() {
            return None;
        }
        let slash = memchr::memrchr(b'/', &self.0);
        let (folder, name) = match slash {
            Some(at) => (&self.0[..at], &self.0[at + 1..]),
            None => (&[][..], &self.0[..]),
        };
        Some((Self(folder.to_vec()), name))
    }

    /// Its last name; empty for the server's folder itself.
    pub fn name(&self) -> &[u8] {
        self.0.rsplit(|&byte| byte == b'/').next().unwrap_or(&[])
    }

    /// Whether it is `folder` or something in it, by its words.
    pub fn is_within(&self, folder: &Self) -> bool {
        folder.is_root()
            || self.0 == folder.0
            || self
                .0
                .strip_prefix(&folder.0[..])
                .is_some_and(|rest| rest.first() == Some(&b'/'))
    }

    /// As the kernel reads it, from the server's folder.
    pub(crate) fn as_path(&self) -> &Path {
        match self.is_root() {
            true => Path::new("."),
            false => Path::new(OsStr::from_bytes(&self.0)),
        }
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Percent-encoded, so that it is text whatever its bytes are.
    pub fn raw(&self) -> String {
        raw(&self.0)
    }

    /// As text, with what is not UTF-8 replaced.
    pub fn lossy(&self) -> String {
        String::from_utf8_lossy(&self.0).into_owned()
    }
}

/// Bytes percent-encoded.
pub(crate) fn raw(bytes: &[u8]) -> String {
    percent_encode(bytes, KEPT).to_string()
}

/// For messages and logs: what could break a line or steer a terminal is escaped.
impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_str("the server's folder");
        }
        f.write_char('`')?;
        for letter in self.lossy().chars() {
            match letter.is_control() {
                true => write!(f, "{}", letter.escape_default())?,
                false => f.write_char(letter)?,
            }
        }
        f.write_char('`')
    }
}

impl fmt::Debug for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_leaves_the_folder_or_cannot_be_a_name_is_refused_in_words() {
        let long = [b'a'; 256];
        let deep = b"abc/".repeat(1100);
        for (bytes, error) in [
            (&b"../x"[..], PathError::Climbs),
            (b"a/../../x", PathError::Climbs),
            (b"a/..", PathError::Climbs),
            (b"/etc/passwd", PathError::Absolute),
            (b"a\0b", PathError::Nul),
            (&long, PathError::Name(256)),
            (&deep, PathError::Long(4400)),
        ] {
            assert_eq!(FilePath::parse(bytes).unwrap_err(), error);
        }
    }

    #[test]
    fn names_may_be_anything_else() {
        for bytes in [
            &b"a\nb"[..],
            b"...",
            b"..a",
            b"\xff\xfe",
            b" ",
            b"-rf",
            &[b'x'; 255],
        ] {
            let path = FilePath::parse(bytes).unwrap();
            assert_eq!(path.as_bytes(), bytes);
            assert!(!path.to_string().contains('\n'));
        }
    }

    #[test]
    fn what_says_nothing_is_left_out() {
        for text in ["a/b", "a//b/", "./a/./b", "a/b/."] {
            assert_eq!(FilePath::parse(text.as_bytes()).unwrap().as_bytes(), b"a/b");
        }
        assert!(FilePath::parse(b"").unwrap().is_root());
        assert!(FilePath::parse(b".").unwrap().is_root());
        assert_eq!(FilePath::rooted(b"/a//b").unwrap().as_bytes(), b"a/b");
        assert!(FilePath::rooted(b"/").unwrap().is_root());
    }

    #[test]
    fn what_is_within_a_folder_goes_by_whole_names() {
        let path = |text: &str| FilePath::parse(text.as_bytes()).unwrap();
        assert!(path("a/b").is_within(&path("a")));
        assert!(path("a").is_within(&path("a")));
        assert!(path("a").is_within(&path("")));
        assert!(!path("ab").is_within(&path("a")));
        assert!(!path("a").is_within(&path("a/b")));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_path_without_a_way_out_or_are_refused(bytes in prop::collection::vec(prop_oneof![Just(b'.'), Just(b'/'), any::<u8>()], 0..60)) {
            if let Ok(path) = FilePath::parse(&bytes) {
                let names: Vec<_> = path.as_bytes().split(|&byte| byte == b'/').collect();
                for name in names {
                    prop_assert!(path.is_root() || !name.is_empty() && name != b"." && name != b".." && !name.contains(&0));
                }
                prop_assert_eq!(&FilePath::parse(path.as_bytes()).unwrap(), &path);
                prop_assert_eq!(&FilePath::from_raw(&path.raw()).unwrap(), &path);
                if let Some((folder, name)) = path.split() {
                    prop_assert_eq!(name, path.name());
                    prop_assert_eq!(&folder.join(name).unwrap(), &path);
                    prop_assert!(path.is_within(&folder));
                }
            }
        }
    }
}
