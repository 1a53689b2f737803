//! What the store keeps of a server: what should be, never what is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::settings::Value;
use super::{Desired, Limits, Port, Restart};
use crate::accounts::{AccountId, ServerId};
use crate::clock::UnixMillis;
use crate::store::{Record, Table};

/// The servers, by id.
pub(crate) const SERVERS: Table<Server> = Table::new();

/// A server as it should be. It stays until its folder is purged from the recycle bin, and holds its user id so long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Server {
    pub(crate) id: ServerId,
    /// 0: the box itself.
    pub(crate) owner: AccountId,
    /// `{owner}_{id}`.
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) game: String,
    pub(crate) version: String,
    pub(crate) class: u8,
    pub(crate) ports: Vec<Port>,
    /// Ports that something else held when these were chosen.
    pub(crate) skipped: Vec<u16>,
    /// The user that it runs as, when the daemon is root.
    pub(crate) uid: u32,
    /// For the game's own consoles and passwords.
    pub(crate) secret: String,
    pub(crate) desired: Desired,
    pub(crate) restart: Restart,
    pub(crate) limits: Limits,
    /// Only those that differ from the definition's defaults.
    pub(crate) settings: BTreeMap<String, Value>,
    /// When it was deleted; also the name of its folder in the recycle bin.
    pub(crate) deleted: Option<UnixMillis>,
    pub(crate) created: UnixMillis,
}

impl Record for Server {
    const TABLE: &'static str = "server";
    const FORMAT: u8 = 1;
}

/// The key of a server.
pub(crate) fn key(id: ServerId) -> [u8; 8] {
    id.0.to_be_bytes()
}
