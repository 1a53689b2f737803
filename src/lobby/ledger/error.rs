//! What the ledger refuses.

use crate::store::StoreError;

/// What the ledger refuses. Each variant is a fact with its subject.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A text that cannot be kept.
    #[error("the {what} must have {least} to {most} bytes, without control characters")]
    BadText {
        /// What it is, as people call it.
        what: &'static str,
        /// Bytes.
        least: usize,
        /// Bytes.
        most: usize,
    },
    /// A saved game's file that is not within the game's folder.
    #[error("`{0}` is no file name for a saved game: it must lie within the game's folder")]
    BadFile(String),
    /// More than are kept.
    #[error("more than {most} {what}")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many are.
        most: usize,
    },
}
