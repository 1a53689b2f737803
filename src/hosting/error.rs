//! What hosting refuses, as facts.

use std::path::PathBuf;

use crate::audit::AuditError;
use crate::keeper::KeeperError;
use crate::store::StoreError;

/// What hosting refuses. Each variant is a fact with its subject.
#[derive(Debug, thiserror::Error)]
pub enum HostingError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The audit record could not be written.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The keeper could not be reached or started.
    #[error(transparent)]
    Keeper(#[from] KeeperError),
    /// A file of the server could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// No such server, or not for this person to see.
    #[error("no server {0}")]
    NoSuchServer(u64),
    /// No such game.
    #[error("no game `{0}`")]
    NoSuchGame(String),
    /// The game has no such version.
    #[error("`{game}` has no version `{version}`")]
    NoSuchVersion {
        /// The game.
        game: String,
        /// What was wanted.
        version: String,
    },
    /// The game cannot be hosted here just now.
    #[error("`{game}` cannot be hosted here: {why}")]
    Unavailable {
        /// The game.
        game: String,
        /// Why, and what to do.
        why: String,
    },
    /// A field of the wish is not acceptable.
    #[error("{field}: {why}")]
    Bad {
        /// `title`, `settings.map_size`, `limits.memory`, `class`, `line`.
        field: String,
        /// What is wrong, and what would be right.
        why: String,
    },
    /// Only administrators put servers into that class.
    #[error("class {class} ({name}) is for administrators only: choose another")]
    ClassClosed {
        /// The class.
        class: u8,
        /// Its name.
        name: String,
    },
    /// The box has not enough left to prepare the server.
    #[error(
        "server {id} needs {wanted} bytes of memory, and {free} of {budget} are left: stop and unmount other servers, or raise hosting.memory"
    )]
    OverBudget {
        /// The server.
        id: u64,
        /// What it needs.
        wanted: u64,
        /// What is left.
        free: u64,
        /// All that there is: `hosting.memory`.
        budget: u64,
    },
    /// It could not be prepared.
    #[error("server {id} could not be prepared: {why}")]
    Unprepared {
        /// The server.
        id: u64,
        /// Why.
        why: String,
    },
    /// A step of a creation failed, and what was done before was undone.
    #[error("the server was not created, and nothing of it is left: {step}: {why}")]
    NotCreated {
        /// `folder`.
        step: &'static str,
        /// What went wrong there.
        why: String,
    },
    /// That asks for a stopped server.
    #[error("server {0} is not stopped: stop it first")]
    NotStopped(u64),
    /// It is not marked to be destroyed, not any more, or its file does not say so.
    #[error(
        "server {0} is not marked to be destroyed: mark it, keep the file that then lies among its own, and destroy it within the hour"
    )]
    NotMarked(u64),
    /// The pool has no free port left.
    #[error("no free port left in {pool}{}", if .skipped.is_empty() { String::new() } else { format!("; held by other programs: {:?}", .skipped) })]
    NoFreePort {
        /// The range that was searched.
        pool: String,
        /// Ports there that something else holds.
        skipped: Vec<u16>,
    },
    /// Something else holds a port of this server.
    #[error(
        "port {port} of server {id} is held by another program: stop that one, or delete the server and create it anew"
    )]
    PortTaken {
        /// The server.
        id: u64,
        /// The port.
        port: u16,
    },
    /// Only a running server can do that.
    #[error("server {0} is not running")]
    NotRunning(u64),
    /// It is doing something else that must end first.
    #[error("server {id} is {state}: try again when that is done")]
    Busy {
        /// The server.
        id: u64,
        /// What it does.
        state: String,
    },
    /// Deleting asks for the server's name.
    #[error("deleting server {id} asks for its name `{name}` as confirmation")]
    Unconfirmed {
        /// The server.
        id: u64,
        /// Its name.
        name: String,
    },
    /// Seen, but not theirs to do that with.
    #[error("you may not do that to server {id}: it needs {verb}")]
    Forbidden {
        /// The server.
        id: u64,
        /// The verb's name.
        verb: &'static str,
    },
    /// Not theirs to create.
    #[error("you may not create servers: it needs the role host")]
    MayNotCreate,
    /// Not theirs to give servers to others.
    #[error("you may not create servers for account {0}: it needs box.manage")]
    MayNotCreateFor(u64),
    /// Not theirs to say what a class is.
    #[error("you may not change classes: it needs box.manage")]
    MayNotSetClasses,
    /// Hosting is shutting down.
    #[error("the box is shutting down")]
    Closed,
}
