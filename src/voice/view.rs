//! What people see of voice.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{ChannelId, Uid};
use crate::{accounts::AccountId, clock::UnixMillis};

/// A channel as people see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ChannelView {
    /// Its id.
    pub id: ChannelId,
    /// What people call it.
    pub title: String,
    /// Its UDP port.
    pub port: u16,
    /// The KV user that created it; none for the box.
    pub owner: Option<Uid>,
    /// That user's account, by name.
    pub owner_name: Option<String>,
    /// When it was created.
    #[schema(value_type = String)]
    pub created: UnixMillis,
    /// Who is in it, in order of their uids.
    pub members: Vec<MemberView>,
    /// What went through it since the daemon started.
    pub traffic: Traffic,
    /// Its sockets.
    pub sockets: Sockets,
}

/// Somebody in a channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct MemberView {
    /// Their KV user.
    pub uid: Uid,
    /// Their account's id; none for a guest.
    pub account: Option<AccountId>,
    /// Their account's name; none for a guest.
    pub name: Option<String>,
    /// Where their packets come from; for who may manage the channel, and once it is known.
    #[schema(value_type = Option<String>)]
    pub address: Option<SocketAddr>,
    /// Whether an address has been learned: only then they hear anything.
    pub present: bool,
    /// Whether they talk at this moment.
    pub talking: bool,
    /// Milliseconds since their last packet.
    pub silent_ms: u64,
    /// Voice packets taken from them in this join.
    pub packets: u64,
    /// Packets of theirs that exceeded `voice.rate`.
    pub limited: u64,
}

/// Packets of 512 bytes that came and went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Traffic {
    /// Voice packets taken from members.
    pub packets: u64,
    /// Of these to each receiver.
    pub deliveries: u64,
    /// Messages that carried several packets for one receiver at once.
    pub coalesced: u64,
    /// Keepalives and other system packets taken.
    pub words: u64,
    /// What was dropped, by reason.
    pub drops: Drops,
}

/// Packets that were not relayed, or not to everybody, by reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Drops {
    /// Not 512 bytes, or an operation that does not exist.
    pub malformed: u64,
    /// From or about a uid that is not in the channel.
    pub strangers: u64,
    /// As a member, from an address that is not theirs.
    pub misplaced: u64,
    /// A wrong checksum.
    pub unsound: u64,
    /// JOIN, LEAVE or stop without a valid proof.
    pub unproven: u64,
    /// More than a source may send.
    pub limited: u64,
    /// Deliveries that the kernel would not take.
    pub unsent: u64,
    /// Lost in the kernel before they could be read: its queue was full, or the shield against strangers was up.
    pub overrun: u64,
}

impl Drops {
    /// Each reason by its name, as people and metrics are told it.
    pub(crate) fn reasons(self) -> [(&'static str, u64); 8] {
        let Self {
            malformed,
            strangers,
            misplaced,
            unsound,
            unproven,
            limited,
            unsent,
            overrun,
        } = self;
        [
            ("malformed", malformed),
            ("strangers", strangers),
            ("misplaced", misplaced),
            ("unsound", unsound),
            ("unproven", unproven),
            ("limited", limited),
            ("unsent", unsent),
            ("overrun", overrun),
        ]
    }
}

/// A channel's sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Sockets {
    /// How many share the port; more when there is much to do.
    pub shards: usize,
    /// Bytes that the kernel may queue for each, inwards.
    pub receive_buffer: usize,
    /// Bytes that the kernel may queue for each, outwards.
    pub send_buffer: usize,
    /// Whether a flood of strangers is being kept out in the kernel.
    pub shield: bool,
    /// Sends with segmentation offload that the kernel refused, after which it was done without.
    pub gso_refused: u64,
}

/// A channel to be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct NewChannel {
    /// What people call it: at most 64 characters. Left out: `channel N`.
    pub title: Option<String>,
}

/// The right to one seat.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TicketView {
    /// The channel.
    pub channel: ChannelId,
    /// Its UDP port.
    pub port: u16,
    /// The account's KV user.
    pub uid: Uid,
    /// For the tag of its SYS_JOIN packets: 32 bytes as hex. A secret.
    pub key: String,
    /// Until when the key is good.
    #[schema(value_type = String)]
    pub expires: UnixMillis,
    /// The box's Ed25519 key, 32 bytes as hex: what LEAVE and stop packets of the box are signed with.
    pub signer: String,
}

/// The whole of voice, in figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StatsView {
    /// Channels.
    pub channels: usize,
    /// Seats in all of them.
    pub members: usize,
    /// Who talks at this moment.
    pub talking: usize,
    /// Guests that registered themselves, in channels or not.
    pub guests: usize,
    /// Control connections open.
    pub connections: usize,
    /// Control connections that gave way to newer ones.
    pub crowded_out: u64,
    /// Commands answered.
    pub commands: u64,
    /// What went through all channels since the daemon started, those that are deleted included.
    pub traffic: Traffic,
    /// The box's Ed25519 key, as hex.
    pub signer: String,
}

/// What happens in the channels.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct News {
    /// Counts up by one.
    pub seq: u64,
    /// The channel.
    pub channel: ChannelId,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// One thing that happened in a channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event", rename_all = "lowercase")]
pub enum Event {
    /// It was created.
    Created {
        /// What people call it.
        title: String,
        /// Its UDP port.
        port: u16,
    },
    /// It was deleted.
    Deleted,
    /// Somebody has a seat.
    Joined {
        /// Who.
        uid: Uid,
        /// Their account's name; none for a guest.
        name: Option<String>,
    },
    /// Their address was learned: from now on they hear.
    Present {
        /// Who.
        uid: Uid,
    },
    /// They have no seat any more.
    Left {
        /// Who.
        uid: Uid,
        /// Why.
        why: Why,
    },
    /// They began to talk.
    Talking {
        /// Who.
        uid: Uid,
    },
    /// They stopped talking.
    Quiet {
        /// Who.
        uid: Uid,
    },
}

/// Why somebody has no seat any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Why {
    /// They left.
    Left,
    /// They were removed by somebody else.
    Kicked,
    /// They were silent for 60 s.
    Silent,
    /// The channel was deleted.
    Ended,
    /// They gave way to somebody else in a full channel.
    Crowded,
}
