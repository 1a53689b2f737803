//! Voice: the KV relay of seed 004. Channels, who is in them, and what they say to each other.
//!
//! Owns the tables `channel`, `voice_user`, `voice_seat`, `voice_ticket` and `voice_key`, the TCP control port and the
//! UDP ports of the channels. Refuses to look at what is said: 504 bytes per packet are the members' own. Wire formats
//! are in `docs/kv.md`.
//!
//! ```text
//!  TCP control ─► wire ─┐                                        ┌─► store: users, channels, seats, tickets
//!  web API, CLI ────────┴─► Voice (handle: rights, audit) ─► book ┘        │ read again after each change
//!                                                                          ▼
//!                  petitions (joins with proof, signed words) ◄──┐   service (one task): who sits where
//!                                                                │         │ roster, swapped
//!  UDP: a packet ─► shard: recvmmsg ─► judge ─► route ─► one message per receiver, GSO ◄─┘
//! ```
//!
//! - The store is the truth and memory its image: a change is a transaction, and when it is durable the service reads
//!   what was touched and puts it into effect. So a restart is the same as one large change.
//! - The relay never asks anybody. It reads an immutable roster; all that changes in a seat by a packet (its address,
//!   once; when it was heard) are atomics.
//! - A uid is a number that anybody can say, so a guest acts from the one address that it came from, and an account's
//!   uid from the address that asked for its ticket.

mod book;
mod clerk;
mod error;
#[cfg(feature = "fuzzing")]
pub(crate) mod fuzzing;
mod guests;
mod handle;
mod kv;
mod moments;
mod packet;
mod records;
mod relay;
mod rights;
mod room;
mod seal;
mod service;
mod tcp;
mod view;
mod watch;
mod wire;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

pub use error::VoiceError;
pub use handle::{Legacy, Settings, Voice, open};
pub use relay::Yardstick;
pub use view::{
    ChannelView, Drops, Event, MemberView, NewChannel, News, Sockets, StatsView, TicketView,
    Traffic, Why,
};

use crate::store::Catalog;

/// A channel's id; never reused.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(transparent)]
pub struct ChannelId(pub u64);

/// A KV user's id; never reused. Neither half of it is ever all ones, so that no packet of theirs looks like the box's.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(transparent)]
pub struct Uid(pub u64);

impl Uid {
    /// The original's administrator, who exists only while `voice.legacy_admin` says so.
    pub const ADMIN: Self = Self(0);

    /// Whether it may be issued: neither half is all ones.
    #[must_use]
    pub fn is_sound(self) -> bool {
        let ones = u64::from(u32::MAX);
        self.0 & ones != ones && self.0 >> 32 != ones
    }
}

/// The catalog, with the records of this room.
#[must_use]
pub fn tables(catalog: Catalog) -> Catalog {
    records::tables(catalog)
}

#[cfg(test)]
mod tests;
