//! What schedules refuse, as facts.

use crate::{audit::AuditError, hosting::HostingError, store::StoreError};

/// What schedules refuse. Each variant is a fact with its subject.
#[derive(Debug, thiserror::Error)]
pub enum SchedulesError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The audit record could not be written.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The server is not there, or not theirs to do that with.
    #[error(transparent)]
    Hosting(#[from] HostingError),
    /// No such schedule of that server.
    #[error("server {server} has no schedule {id}")]
    NoSuchSchedule {
        /// The server.
        server: u64,
        /// What was asked for.
        id: u64,
    },
    /// A field of the wish is not acceptable.
    #[error("{field}: {why}")]
    Bad {
        /// `name`, `cron`, `zone`, `steps`, `steps[2]`.
        field: String,
        /// What is wrong, and what would be right.
        why: String,
    },
    /// The server has as many as it may.
    #[error("server {server} has {most} schedules, which is the most: delete one first")]
    TooMany {
        /// The server.
        server: u64,
        /// The most.
        most: usize,
    },
    /// It is under way already.
    #[error("schedule {0} is running: try again when it is done")]
    Running(u64),
    /// Schedules are shutting down.
    #[error("the box is shutting down")]
    Closed,
}
