//! What is stored of the audit log.

use serde::{Deserialize, Serialize};

use super::chain::Hash;
use crate::store::{Record, Table};

/// All records, by seq (big-endian).
pub(super) const ENTRIES: Table<Entry> = Table::new();
/// The end of the chain, under [`HEAD`].
pub(super) const HEADS: Table<Head> = Table::new();
/// The only key of [`HEADS`].
pub(super) const HEAD: &[u8] = b"head";

/// One record: the text that was hashed, and its hash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// A [`Line`](super::Line) as JSON, with an empty hash.
    pub(super) body: String,
    pub(super) hash: Hash,
}

impl Record for Entry {
    const TABLE: &'static str = "audit";
    const FORMAT: u8 = 1;
}

/// The last record, so that a removed tail shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Head {
    pub(super) seq: u64,
    pub(super) hash: Hash,
}

impl Record for Head {
    const TABLE: &'static str = "audit_head";
    const FORMAT: u8 = 1;
}
