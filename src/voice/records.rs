//! What the store keeps of voice.

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::{ChannelId, Uid, seal};
use crate::{
    accounts::AccountId,
    clock::UnixMillis,
    store::{Catalog, Record, Table},
};

pub(super) const CHANNELS: Table<Channel> = Table::new();
pub(super) const USERS: Table<User> = Table::new();
/// An account's uid, by account.
pub(super) const OWN: Table<Own> = Table::new();
/// By [`pair`].
pub(super) const SEATS: Table<SeatRecord> = Table::new();
/// By [`pair`].
pub(super) const TICKETS: Table<Ticket> = Table::new();
pub(super) const KEYS: Table<Key> = Table::new();
/// The only key of [`KEYS`].
pub(super) const BOX: &[u8] = b"box";

pub(super) fn tables(catalog: Catalog) -> Catalog {
    catalog
        .with::<Channel>()
        .with::<User>()
        .with::<Own>()
        .with::<SeatRecord>()
        .with::<Ticket>()
        .with::<Key>()
}

/// A channel, by id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Channel {
    pub(super) id: ChannelId,
    pub(super) title: String,
    pub(super) port: u16,
    /// Who created it; none: the box.
    pub(super) owner: Option<Uid>,
    pub(super) created: UnixMillis,
}

impl Record for Channel {
    const TABLE: &'static str = "channel";
    const FORMAT: u8 = 1;
}

/// A KV user, by uid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct User {
    pub(super) uid: Uid,
    /// Whose it is, if it is an account's.
    pub(super) account: Option<AccountId>,
    /// It registered itself, and gives way when there are too many of its kind.
    pub(super) guest: bool,
    /// In the original's bits. An account has none here: its power is the web API's.
    pub(super) permissions: u32,
    /// The address that it acts from; none: the first that it joins a channel from.
    pub(super) home: Option<IpAddr>,
    /// Until when that counts; none: always.
    pub(super) until: Option<UnixMillis>,
    pub(super) created: UnixMillis,
    /// When it last took a seat.
    pub(super) seen: UnixMillis,
}

impl Record for User {
    const TABLE: &'static str = "voice_user";
    const FORMAT: u8 = 1;
}

/// The uid of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Own(pub(super) Uid);

impl Record for Own {
    const TABLE: &'static str = "voice_account";
    const FORMAT: u8 = 1;
}

/// Somebody's place in a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SeatRecord {
    pub(super) channel: ChannelId,
    pub(super) uid: Uid,
    /// The join that made it.
    pub(super) session: u64,
    /// Who may take it by speaking; none: it was taken with a proof.
    pub(super) from: Option<IpAddr>,
    /// Where its member is, once that is known,
    pub(super) address: Option<SocketAddr>,
    /// and by which card, of an IPv6 address that counts only there.
    pub(super) scope: u32,
}

impl SeatRecord {
    /// Where its member is, whole.
    pub(super) fn place(&self) -> Option<SocketAddr> {
        let mut place = self.address?;
        if let SocketAddr::V6(v6) = &mut place {
            v6.set_scope_id(self.scope);
        }
        Some(place)
    }

    /// The same seat, with its member there.
    pub(super) fn at(self, place: SocketAddr) -> Self {
        let scope = match place {
            SocketAddr::V4(_) => 0,
            SocketAddr::V6(v6) => v6.scope_id(),
        };
        let address = Some(place);
        Self {
            address,
            scope,
            ..self
        }
    }
}

impl Record for SeatRecord {
    const TABLE: &'static str = "voice_seat";
    const FORMAT: u8 = 1;
}

/// The right to take a seat with a proof.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Ticket {
    pub(super) channel: ChannelId,
    pub(super) uid: Uid,
    pub(super) key: seal::Key,
    /// Where it was asked for: who comes from there has shown that packets reach them.
    pub(super) from: Option<IpAddr>,
    pub(super) expires: UnixMillis,
    /// Of the last join that was taken: the next has a higher one.
    pub(super) sequence: u64,
}

impl Record for Ticket {
    const TABLE: &'static str = "voice_ticket";
    const FORMAT: u8 = 1;
}

/// What the box signs its own words with.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Key(pub(super) seal::Key);

impl Record for Key {
    const TABLE: &'static str = "voice_key";
    const FORMAT: u8 = 1;
}

/// The key of what is about one user in one channel.
pub(super) fn pair(channel: ChannelId, uid: Uid) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&channel.0.to_be_bytes());
    key[8..].copy_from_slice(&uid.0.to_be_bytes());
    key
}

impl ChannelId {
    pub(super) fn key(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

impl Uid {
    pub(super) fn key(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}
