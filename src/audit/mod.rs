//! The write-ahead record of who did what: durable before the action, hash-chained.
//!
//! Owns the audit log and nothing else; what an action means is its caller's business. Answers
//! MyOTTD's `api_audit` and `api_log` (seed 000): an action whose record cannot be written is not
//! run.
//!
//! ```text
//! run:  intent durable ──► work ──┬─ ended ─────► outcome "ok", or its error in words
//!            │                    ├─ cancelled ─► outcome "cancelled"
//!            └─ failed: refused,  └─ box died ──► no outcome: `verify` lists it as interrupted
//!               work never polled
//!
//! chain:  hash(n) = SHA-256( hash(n-1) ‖ body(n) )      hash(0) = 32 zero bytes
//!         head    = { seq, hash } of the last record, written in its transaction
//! ```
//!
//! The body is stored as the text that was hashed, so no later release can hash an old record
//! differently. Numbers and hashes are given inside the store's transaction: the order of `seq` is
//! the order of the chain, and any number of actions share the store's group commits.
//!
//! The chain shows what was altered, removed, inserted or reordered. It cannot show that somebody
//! who may write the whole store has computed all of it anew, head included; who fears that notes a
//! hash of `list` elsewhere now and then.

mod chain;
mod noted;
mod records;
mod service;

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock::UnixMillis;
use crate::store::{Catalog, StoreError};

pub(crate) use noted::{carried, noting};
pub use records::{Entry, Head};
pub use service::Audit;

/// The catalog, with the records of this room.
#[must_use]
pub fn tables(catalog: Catalog) -> Catalog {
    catalog.with::<Entry>().with::<Head>()
}

/// The way by which somebody came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Door {
    /// The control socket.
    Control,
    /// The HTTP API and the panel.
    Web,
    /// The box itself, by a rule or at start.
    Box,
    /// The control port of the KV voice protocol.
    Voice,
    /// The GGZ lobby.
    Lobby,
    /// MyOTTD's XML-RPC.
    Rpc,
}

/// Who acts, from where, through which door.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Actor {
    /// The account's id; none for root on the control socket, strangers, and the box itself.
    pub account: Option<u64>,
    /// As people know them: an account's name, `root`, `box`, or the name a stranger claimed.
    pub name: String,
    /// Their address; none on the control socket.
    #[schema(value_type = Option<String>)]
    pub from: Option<IpAddr>,
    /// The door.
    pub door: Door,
}

/// Why an action could not be recorded, and so was not run.
#[derive(Debug, thiserror::Error)]
#[error("the audit record could not be written, so nothing was done: {0}")]
pub struct AuditError(#[from] pub StoreError);

/// One record as the API reads it: an intent, or how one ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = AuditLine)]
pub struct Line {
    /// Counts from 1 without a gap.
    pub seq: u64,
    /// When.
    #[schema(value_type = String)]
    pub at: UnixMillis,
    /// Who, from where, through which door.
    #[serde(flatten)]
    pub actor: Actor,
    /// Like `server.start`.
    pub action: String,
    /// Like `server 3`.
    pub subject: String,
    /// More, without secrets.
    #[schema(value_type = Object)]
    pub detail: serde_json::Value,
    /// For an outcome: the seq of its intent.
    pub of: Option<u64>,
    /// For an outcome: `ok`, or the error in words.
    pub outcome: Option<String>,
    /// This record's hash, hex; it covers the one before.
    pub hash: String,
}

/// What a walk of the chain found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Verdict {
    /// Records read.
    pub records: u64,
    /// The first fault, in words with its seq; none when the chain is whole.
    pub fault: Option<String>,
    /// Intents without an outcome: the box died while they ran.
    pub interrupted: Vec<u64>,
}
