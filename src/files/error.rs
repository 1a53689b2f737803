//! What a server's files refuse, as facts.

use std::io;

use nix::errno::Errno;

use super::{
    archive::ArchiveError,
    path::{FilePath, PathError},
};
use crate::{audit::AuditError, hosting::HostingError, store::StoreError};

/// What a server's files refuse. Each variant is a fact with its subject.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The audit record could not be written.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// No such server, or not theirs to do that with.
    #[error(transparent)]
    Hosting(#[from] HostingError),
    /// It is no path.
    #[error(transparent)]
    Path(#[from] PathError),
    /// The archive is refused.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// Nothing is there.
    #[error("there is no {0}")]
    NoSuchFile(FilePath),
    /// Something on the way is no folder, or the thing itself should be one.
    #[error("{0} is not a folder")]
    NotFolder(FilePath),
    /// A file is needed, and this is a folder.
    #[error("{0} is a folder")]
    IsFolder(FilePath),
    /// Something is there already.
    #[error("there is a {0} already")]
    Exists(FilePath),
    /// A folder that is to go must be empty.
    #[error("the folder {0} is not empty")]
    NotEmpty(FilePath),
    /// A device, a pipe or a socket: it is listed and never opened.
    #[error("{path} is a {kind}, which is not opened")]
    Special {
        /// Where.
        path: FilePath,
        /// `device`, `pipe`, `socket`.
        kind: &'static str,
    },
    /// A link or a mount on the way leads elsewhere.
    #[error("{0} leads out of the server's folder")]
    LeadsOut(FilePath),
    /// Links lead to links without end.
    #[error("{0} is a link that leads nowhere, or round in a circle")]
    Link(FilePath),
    /// The server's user may not do that.
    #[error("{0} is not the server's: its user may not do that there")]
    NotPermitted(FilePath),
    /// A folder cannot be put into itself.
    #[error("{from} cannot go into itself, at {to}")]
    IntoItself {
        /// What.
        from: FilePath,
        /// Where to.
        to: FilePath,
    },
    /// What is there is not what the caller last saw.
    #[error("{0} has changed meanwhile: read it again first")]
    Changed(FilePath),
    /// The bytes are not those that were announced.
    #[error("the content's SHA-256 is {found}, and {expected} was announced: nothing was kept")]
    Checksum {
        /// What was announced, in hex.
        expected: String,
        /// What came.
        found: String,
    },
    /// Fewer or more bytes than announced.
    #[error("{found} bytes came, and {expected} were announced")]
    Length {
        /// What was announced.
        expected: u64,
        /// What came.
        found: u64,
    },
    /// The disk has no room left.
    #[error("the box's disk is full: nothing was kept of {0}")]
    DiskFull(FilePath),
    /// The server has no room left.
    #[error(
        "the server may have {limit} bytes on the disk, and has {used}: {wanted} more do not fit; delete something first"
    )]
    OverLimit {
        /// What it may have.
        limit: u64,
        /// What it has.
        used: u64,
        /// What was wanted beyond that.
        wanted: u64,
    },
    /// More bytes than are added at once.
    #[error("at most {0} bytes can be added at once: an upload takes more")]
    TooLarge(usize),
    /// More uploads than are kept at once.
    #[error("the server has {0} unfinished uploads: finish one, or give one up")]
    TooManyUploads(usize),
    /// A value that cannot be what it was asked to be.
    #[error("{what} {why}")]
    Bad {
        /// The parameter.
        what: &'static str,
        /// What is wrong, and what would be right.
        why: String,
    },
    /// No such upload, or it has expired.
    #[error("no upload {0}: it is finished, given up, or has expired")]
    NoSuchUpload(u64),
    /// A piece of an upload that does not follow the last one.
    #[error("upload {id} goes on at byte {at}, not at {got}")]
    Offset {
        /// The upload.
        id: u64,
        /// Where it goes on.
        at: u64,
        /// What was offered.
        got: u64,
    },
    /// Another request writes to it at this moment.
    #[error("another request is busy with {0}: try again when that is done")]
    Busy(String),
    /// Nothing of that number is in the bin.
    #[error("nothing in the bin has the number {0}")]
    NoSuchDeletion(u64),
    /// The sender stopped in the middle.
    #[error("the content broke off after {0} bytes: nothing was kept")]
    BrokenOff(u64),
    /// The disk failed, or something that nobody foresaw.
    #[error("{path}: {source}")]
    Io {
        /// Where.
        path: FilePath,
        /// What the kernel said.
        source: io::Error,
    },
}

impl FilesError {
    /// The same of `path`, which is to be whole or not at all, where the disk was full with a part of it.
    pub(super) fn about(self, path: &FilePath) -> Self {
        match self {
            Self::DiskFull(_) => Self::DiskFull(path.clone()),
            error => error,
        }
    }
}

/// What the kernel said about `path`, as a fact.
pub(crate) fn at(path: &FilePath, error: Errno) -> FilesError {
    let path = path.clone();
    match error {
        Errno::ENOENT => FilesError::NoSuchFile(path),
        Errno::ENOTDIR => FilesError::NotFolder(path),
        Errno::EISDIR => FilesError::IsFolder(path),
        Errno::EEXIST => FilesError::Exists(path),
        Errno::ENOTEMPTY => FilesError::NotEmpty(path),
        Errno::EXDEV => FilesError::LeadsOut(path),
        Errno::ELOOP => FilesError::Link(path),
        Errno::EACCES | Errno::EPERM | Errno::EROFS => FilesError::NotPermitted(path),
        Errno::ENOSPC | Errno::EDQUOT | Errno::EFBIG => FilesError::DiskFull(path),
        Errno::ENAMETOOLONG => FilesError::Path(PathError::Name(path.name().len())),
        Errno::EAGAIN | Errno::EBUSY | Errno::ETXTBSY => FilesError::Busy(path.to_string()),
        Errno::ENXIO | Errno::ENODEV => FilesError::Special {
            path,
            kind: "device",
        },
        error => FilesError::Io {
            path,
            source: error.into(),
        },
    }
}

/// The same for what the standard library hands on.
pub(crate) fn io_at(path: &FilePath, error: io::Error) -> FilesError {
    match error.raw_os_error() {
        Some(number) => at(path, Errno::from_raw(number)),
        None => FilesError::Io {
            path: path.clone(),
            source: error,
        },
    }
}
