//! What the store keeps of an upload; its bytes, and so how far it is, are a file beside the server's folder.

use serde::{Deserialize, Serialize};

use crate::{
    accounts::ServerId,
    clock::UnixMillis,
    store::{Record, Table},
};

/// The unfinished uploads, by id.
pub(crate) const UPLOADS: Table<Upload> = Table::new();

/// An upload in pieces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Upload {
    pub(crate) id: u64,
    pub(crate) server: ServerId,
    /// What it will be, percent-encoded.
    pub(crate) path: String,
    /// Bytes in all.
    pub(crate) size: u64,
    pub(crate) sha256: Option<[u8; 32]>,
    pub(crate) mode: Option<u32>,
    /// Whether it may take the place of a file.
    pub(crate) replace: bool,
    pub(crate) created: UnixMillis,
}

impl Record for Upload {
    const TABLE: &'static str = "upload";
    const FORMAT: u8 = 1;
}

/// The key of an upload.
pub(crate) fn key(id: u64) -> [u8; 8] {
    id.to_be_bytes()
}
