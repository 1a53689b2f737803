//! What snapshots refuse, as facts.

use std::{io, path::PathBuf};

use super::job::JobError;
use crate::{audit::AuditError, hosting::HostingError, store::StoreError};

/// What snapshots refuse. Each variant is a fact with its subject.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotsError {
    /// The server is not there, not theirs, or hosting failed.
    #[error(transparent)]
    Hosting(#[from] HostingError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The audit record could not be written.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// No such snapshot of that server.
    #[error("server {server} has no snapshot {id}")]
    NoSuchSnapshot {
        /// The server.
        server: u64,
        /// What was asked for.
        id: u64,
    },
    /// The snapshot holds no such file or folder.
    #[error("{0}")]
    NoSuchPath(String),
    /// A field of the wish is not acceptable.
    #[error("{field}: {why}")]
    Bad {
        /// Which.
        field: &'static str,
        /// What is wrong, and what would be right.
        why: String,
    },
    /// Something else is being done with this server's snapshots.
    #[error("server {0} has another snapshot job under way: try again when that is done")]
    Busy(u64),
    /// All of a server is restored only while it is stopped.
    #[error("server {0} is running: stop it first, or ask for `stop`")]
    Running(u64),
    /// It was told to stop, and did not in time.
    #[error("server {0} was told to stop and has not: nothing was restored")]
    WouldNotStop(u64),
    /// The server never ran: there is nothing to keep.
    #[error("server {0} has no files yet: start it once")]
    Empty(u64),
    /// It was asked for a consistent snapshot or none.
    #[error("no consistent snapshot could be taken: {0}")]
    Inconsistent(String),
    /// Nothing was restored that could be undone, or not lately.
    #[error("server {0} has no restore that could be undone")]
    NothingToUndo(u64),
    /// The disk is full.
    #[error("the disk is full: {0}")]
    DiskFull(String),
    /// What is kept of the server is not as it should be.
    #[error("{0}; hint: `longhouse snapshot verify` names what is damaged")]
    Damaged(String),
    /// The job failed.
    #[error("the job failed: {0}")]
    Job(#[from] JobError),
    /// A folder of ours.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The box is shutting down.
    #[error("the box is shutting down")]
    Closed,
}
