//! What is known of one file without opening it.

use nix::{
    libc,
    sys::stat::{FileStat, SFlag},
};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock::UnixMillis;

/// What something in a folder is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = FileKind)]
pub enum Kind {
    /// A plain file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A named pipe, listed and never opened.
    Pipe,
    /// A socket, listed and never opened.
    Socket,
    /// A device, listed and never opened.
    Device,
}

impl Kind {
    fn of(mode: libc::mode_t) -> Self {
        match SFlag::from_bits_truncate(mode) & SFlag::S_IFMT {
            SFlag::S_IFREG => Self::File,
            SFlag::S_IFDIR => Self::Folder,
            SFlag::S_IFLNK => Self::Link,
            SFlag::S_IFIFO => Self::Pipe,
            SFlag::S_IFSOCK => Self::Socket,
            _ => Self::Device,
        }
    }

    /// For messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Folder => "folder",
            Self::Link => "link",
            Self::Pipe => "pipe",
            Self::Socket => "socket",
            Self::Device => "device",
        }
    }
}

/// What the kernel says about one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct About {
    pub(crate) kind: Kind,
    /// Bytes of content.
    pub(crate) size: u64,
    /// Bytes that it takes on the disk.
    pub(crate) room: u64,
    /// Who may do what: nine bits.
    pub(crate) mode: u32,
    pub(crate) modified: UnixMillis,
    /// Device and number: which file it is, whatever its names.
    pub(crate) identity: (u64, u64),
    /// How many names it has.
    pub(crate) names: u64,
    nanos: i128,
}

#[expect(
    clippy::useless_conversion,
    reason = "these are of other types on other machines"
)]
impl From<FileStat> for About {
    fn from(stat: FileStat) -> Self {
        let whole = |number: i64| u64::try_from(number).unwrap_or(0);
        let nanos = i128::from(stat.st_mtime) * 1_000_000_000 + i128::from(stat.st_mtime_nsec);
        Self {
            kind: Kind::of(stat.st_mode),
            size: whole(stat.st_size),
            room: whole(stat.st_blocks) * 512,
            mode: stat.st_mode & 0o777,
            modified: UnixMillis(u64::try_from(nanos / 1_000_000).unwrap_or(0)),
            identity: (stat.st_dev.into(), stat.st_ino.into()),
            names: stat.st_nlink.into(),
            nanos,
        }
    }
}

impl About {
    /// Changes whenever the file is replaced or written: an entity tag, in its quotes.
    pub(crate) fn tag(&self) -> String {
        format!("\"{:x}-{:x}-{:x}\"", self.identity.1, self.size, self.nanos)
    }
}
