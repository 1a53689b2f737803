//! Mail: a durable queue, and the one task that takes it to an SMTP server.
//!
//! Owns the letters that wait, the texts they are made of, and the talk with the server. Refuses to know why a letter
//! is written: other rooms put one into the same transaction as the change that wants it, so that there is neither a
//! change without its letter nor a letter without its change. Answers the mails of MyOTTD's mauthd (seed 000).
//!
//! ```text
//!  put (in a transaction) ─► waiting ──due──► sending ──250────────► gone
//!                             ▲  ▲ │            │ │└──5xx──────────► given up ─► gone, 7 days later
//!                  again, later  │ └─too late───│─│────────────────►    ▲  │
//!                             └──│──4xx, cut────┘ └─no answer to the     │  └── retry (an administrator)
//!                                └──────────────────text: again, too late┘
//! ```
//!
//! - **Not twice.** A letter is durably `sending` before its text is offered, and gone right after the server's 250. What
//!   ends before the text is known to be unsent. Only when the answer to the text itself is missing (the line broke, or
//!   the box died between the server's 250 and the commit that follows it at once) nobody can know: then it is sent again
//!   with the same Message-ID, by which servers and readers tell repeats, because a letter must not be lost. The server
//!   has the ten minutes of RFC 5321, 4.5.3.2.6, for that answer.
//! - **Not lost.** A refusal for good (5xx) is kept for administrators; everything else is tried again until the link in
//!   the letter has ended, later each time, with jitter. A server that cannot be reached rests the whole queue.
//! - **Without a server** letters wait, and administrators are shown the links to pass on.
//! - **Secrets.** A waiting letter holds its link in clear, in the store and in backups; it is gone once sent. Neither
//!   links nor letters are logged, and a server's words that repeat a link are kept without it.

mod post;
mod records;
mod service;
mod smtp;
mod state;
mod templates;
mod wire;

use crate::{
    audit::AuditError,
    store::{Catalog, StoreError},
};

pub use post::{Post, Settings, Wish};
pub use records::{Letter, LetterKind};
pub use smtp::{Patience, Server, Tls};
pub use state::{Outcome, backoff};
pub use templates::check;
pub use wire::{LetterState, LetterView, Queue};

/// The catalog, with the records of this room.
#[must_use]
pub fn tables(catalog: Catalog) -> Catalog {
    catalog.with::<Letter>()
}

/// Whether mail can be sent there.
pub(crate) fn is_address(text: &str) -> bool {
    text.len() <= 254 && text.parse::<lettre::Address>().is_ok()
}

/// What mail refuses. Each variant is a fact with its subject.
#[derive(Debug, thiserror::Error)]
pub enum MailError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The audit record could not be written.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// Nothing can be sent there.
    #[error("`{0}` is no mail address")]
    BadAddress(String),
    /// Too many letters wait.
    #[error("{0} letters wait already: no more are taken until some have left")]
    Full(usize),
    /// No such letter.
    #[error("no letter {0} waits")]
    NoSuchLetter(u64),
    /// The server has it just now.
    #[error("letter {0} is being sent at this moment")]
    Sending(u64),
    /// What it says is no longer true.
    #[error("letter {0} is too old: its link has ended")]
    TooOld(u64),
}
