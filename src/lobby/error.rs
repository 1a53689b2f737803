//! What the lobby refuses.

use std::time::Duration;

use super::{
    ledger::LedgerError,
    wire::terms::{Code, RoomId, TableId},
};
use crate::{accounts::AccountsError, audit::AuditError, store::StoreError};

/// What the lobby refuses. Each variant is a fact with its subject.
#[derive(Debug, thiserror::Error)]
pub enum LobbyError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The ledger refused or failed.
    #[error(transparent)]
    Ledger(LedgerError),
    /// The audit record could not be written.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// Accounts refused.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    /// They may not do that.
    #[error("you may not do that: it needs {0}")]
    Forbidden(&'static str),
    /// Who asks has no account.
    #[error("only an account can do that: come with its token or password")]
    NoAccount,
    /// Nobody of this name is here.
    #[error("nobody called `{0}` is in the lobby")]
    NobodyHere(String),
    /// An administrator is out of a host's reach.
    #[error("`{0}` is an administrator: only administrators may do that to them")]
    Above(String),
    /// One cannot do that to oneself.
    #[error("one cannot do that to oneself")]
    Oneself,
    /// No such room.
    #[error("no room {}", .0.0)]
    NoSuchRoom(RoomId),
    /// They may not come into that room.
    #[error("you may not come into room {}", .0.0)]
    MayNotEnter(RoomId),
    /// The API has said nothing of it.
    #[error("nothing was said here about a {kind} `{name}`, so there is nothing to forget")]
    NoSuchOverride {
        /// `room` or `table game`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// No such definition, wherever it may come from.
    #[error("there is no {kind} `{name}`")]
    NoSuchDefinition {
        /// `room` or `table game`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// No such table.
    #[error("no table {} in room {}", .1.0, .0.0)]
    NoSuchTable(RoomId, TableId),
    /// No such match.
    #[error("no match {0}")]
    NoSuchMatch(u64),
    /// No such game.
    #[error("no table game `{0}`")]
    NoSuchGame(String),
    /// No such saved game.
    #[error("no saved game `{0}` waits to go on")]
    NoSuchSavegame(String),
    /// Not banned.
    #[error("nobody called `{0}` is banned")]
    NotBanned(String),
    /// A definition that cannot be one.
    #[error("{0}")]
    BadDefinition(String),
    /// Something said that cannot be said.
    #[error("a message has 1 to {0} bytes")]
    BadText(usize),
    /// A reason that cannot be given.
    #[error("a reason has at most {0} bytes, on one line: give a shorter one")]
    BadReason(usize),
    /// Somebody says too much.
    #[error("you say too much at once: again in a moment")]
    TooFast {
        /// When they will be heard again.
        retry_after: Duration,
    },
    /// Somebody who is banned speaks or launches.
    #[error("you are banned from the lobby")]
    Banned,
    /// Somebody who is gagged speaks.
    #[error("you are gagged")]
    Gagged,
    /// What the protocol calls so.
    #[error("the lobby says: {0}")]
    Refused(Code),
    /// The port cannot be asked for its address.
    #[error("the lobby's port cannot be used: {0}")]
    Socket(std::io::Error),
    /// Games cannot be run.
    #[error("table games cannot be run: {0}")]
    Stage(std::io::Error),
    /// The box is shutting down.
    #[error("the box is shutting down")]
    Closed,
}

impl From<LedgerError> for LobbyError {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Store(error) => Self::Store(error),
            error => Self::Ledger(error),
        }
    }
}
