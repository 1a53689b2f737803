//! What the API says of letters. Types only.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::LetterKind;
use crate::clock::UnixMillis;

/// Where a letter is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LetterState {
    /// For its turn, or for its next attempt.
    Waiting,
    /// For a server to be configured.
    WaitingForSmtp,
    /// The server is being offered it.
    Sending,
    /// Nobody tries any more.
    GivenUp,
}

/// One letter that has not left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct LetterView {
    /// Its id.
    pub id: u64,
    /// What it is for.
    pub kind: LetterKind,
    /// Whom it goes to.
    pub to: String,
    /// The account that it is about.
    pub account: Option<u64>,
    /// Its subject.
    pub subject: String,
    /// Where it is.
    pub state: LetterState,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was written.
    #[schema(value_type = String)]
    pub created: UnixMillis,
    /// Not tried again before.
    #[schema(value_type = String)]
    pub next: UnixMillis,
    /// When what it says is no longer true; it is given up then.
    #[schema(value_type = String)]
    pub until: UnixMillis,
    /// How the last attempt ended.
    pub error: Option<String>,
    /// The link in it, to be passed on by hand: told only while no server is configured, and to administrators.
    pub link: Option<String>,
}

/// All letters that have not left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Queue {
    /// The server that takes them, `host:port`; absent: none is configured.
    pub server: Option<String>,
    /// Why nothing leaves just now.
    pub trouble: Option<String>,
    /// Oldest first.
    pub letters: Vec<LetterView>,
}
