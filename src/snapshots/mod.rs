//! Snapshots of servers: what their folders were, so that they can be had back.
//!
//! Owns `STATE/snapshots` and the tables `snapshot`, `snapshot_repository`, `snapshot_rules` and `snapshot_undo`. Refuses
//! to know *when*: schedules and people say that. Answers MyOTTD's archives of a server's files (seed 000).
//!
//! ```text
//!  doors ──► Snapshots (handle: rights, audit) ──► service ── one job per server, few in all
//!                                                    │ saving: the game saves first, by its console
//!                                                    ▼
//!                                       job: `longhouse snapshot-job`, as the server's user
//!                                                    │ descriptors, JSON lines (wire)
//!                                                    ▼
//!             child: source ──► rustic_core (deduplicated, compressed, encrypted) ──► backend ──► repository
//!
//!  STATE/snapshots        0700   only root passes
//!    └ ID                 0700
//!       ├ repository/     0700   the server's user; restic's format
//!       └ aside/          0700   the server's user; what restores moved out of the way
//! ```
//!
//! - **A job is a process of its own.** The game owns its folder and may swap anything in it for a link at any moment.
//!   A walker with root's rights could be led to what is not the game's; one with the game's own rights cannot.
//! - **A snapshot counts when store and repository both say so.** The repository is written first, the record last; a
//!   deletion takes the record first. What is only on one side after a crash is settled at the next start.
//! - **The key is in the store**, not beside the repository: it opens nothing without the store, and a backup of the
//!   store is what it takes to read a copy of the repository.
//! - **All of a server is restored beside it** and then exchanged with what was there, in one step of the kernel's.
//!   The old folder is kept for the undo, until the next restore or as long as the recycle bin keeps things.
//!
//! | file | what |
//! |---|---|
//! | `wire` | what daemon and job say to each other |
//! | `child` | the job |
//! | `job` | starts one and listens |
//! | `retention` | which snapshots go |
//! | `saving` | the game saves first |
//! | `service` | turns and jobs; takes |
//! | `keeping` | the rules, deleting, verifying |
//! | `restoring` | restores and their undo |
//! | `upkeep` | what is settled at start, and what goes with its server |
//! | `places` | the folders |
//! | `handle` | rights and audit |

pub mod child;
mod error;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod handle;
mod job;
mod keeping;
mod places;
mod records;
mod restoring;
mod retention;
mod saving;
mod service;
mod upkeep;
mod view;
mod wire;

use std::{path::PathBuf, time::Duration};

pub use error::SnapshotsError;
pub use handle::{Reading, Snapshots, open};
pub use job::JobError;
pub use records::{KeptRules, Repository, Snapshot, Undo, tables};
pub use retention::Rules;
pub use view::{
    Check, EntryView, Folder, Overview, Patch, Restore, RestoredView, Running, Take, Undoable, View,
};
pub use wire::{Kind, Path};

/// What snapshots are told at start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The state folder; the caller holds its lock.
    pub state: PathBuf,
    /// The `longhouse` binary, which is the job too.
    pub program: PathBuf,
    /// Bytes that a job may read in a second; 0 is as many as there are.
    pub rate: u64,
    /// How long a restore can be undone.
    pub recycle: Duration,
}
