//! What is stored of letters. Enumerations are stored by position: new ones go last.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    clock::UnixMillis,
    store::{Record, Table},
};

pub(super) const LETTERS: Table<Letter> = Table::new();

/// What a letter is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LetterKind {
    /// Whether an address is somebody's.
    Verify,
    /// A new password.
    Reset,
    /// To the old address: that there is a new one.
    Notice,
    /// Whether mail leaves the box.
    Test,
}

/// Where a letter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum State {
    /// In the box.
    Waiting,
    /// Perhaps in the server's hands: its text is being offered, or was when the box died.
    Sending,
    /// In the box, and nobody tries any more.
    GivenUp,
}

/// One letter, by id.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Letter {
    pub(super) id: u64,
    pub(super) kind: LetterKind,
    pub(super) to: String,
    /// The account that it is about.
    pub(super) account: Option<u64>,
    pub(super) subject: String,
    pub(super) body: String,
    /// The link in it, which is as good as a password.
    pub(super) link: Option<String>,
    /// The same at every attempt, so that repeats can be told.
    pub(super) message_id: String,
    pub(super) created: UnixMillis,
    /// When what it says is no longer true.
    pub(super) until: UnixMillis,
    pub(super) state: State,
    pub(super) attempts: u32,
    /// Not before.
    pub(super) next: UnixMillis,
    /// How the last attempt ended.
    pub(super) error: Option<String>,
}

impl fmt::Debug for Letter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Letter")
            .field("id", &self.id)
            .field("kind", &self.kind)
            .field("state", &self.state)
            .field("attempts", &self.attempts)
            .finish_non_exhaustive()
    }
}

impl Record for Letter {
    const TABLE: &'static str = "mail";
    const FORMAT: u8 = 1;
}

impl Letter {
    pub(super) fn key(&self) -> [u8; 8] {
        self.id.to_be_bytes()
    }
}
