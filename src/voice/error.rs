//! What voice refuses.

use std::io;

use super::{ChannelId, Uid};
use crate::{audit::AuditError, store::StoreError};

/// What voice refuses. Each variant is a fact with its subject.
#[derive(Debug, thiserror::Error)]
pub enum VoiceError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The audit record could not be written.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// No such channel.
    #[error("no voice channel {}", .0.0)]
    NoSuchChannel(ChannelId),
    /// No such KV user.
    #[error("no voice user {}", .0.0)]
    NoSuchUser(Uid),
    /// Somebody who is not in the channel.
    #[error("voice user {} is not in voice channel {}", .uid.0, .channel.0)]
    NoSuchMember {
        /// Who.
        uid: Uid,
        /// Where.
        channel: ChannelId,
    },
    /// They may not do that.
    #[error("you may not do that: it needs {0}")]
    Forbidden(&'static str),
    /// A title that cannot be one.
    #[error("a title has 1 to 64 characters, and no control characters")]
    BadTitle,
    /// Every port of `voice.ports` is taken.
    #[error("no UDP port of {first}-{last} is free: delete a channel or widen voice.ports")]
    NoFreePort {
        /// The first of the range.
        first: u16,
        /// The last of the range.
        last: u16,
    },
    /// Another program has the channel's port at present.
    #[error("UDP port {port} of voice channel {} is taken by another program at present", .channel.0)]
    Shut {
        /// The channel.
        channel: ChannelId,
        /// Its port.
        port: u16,
    },
    /// A socket cannot be had.
    #[error("a UDP socket for a voice channel cannot be opened: {0}")]
    Socket(io::Error),
    /// The channel has as many seats as it may have.
    #[error("voice channel {} is full: it has {most} seats", .channel.0)]
    Full {
        /// The channel.
        channel: ChannelId,
        /// Seats that a channel may have.
        most: usize,
    },
    /// There are as many guests as there may be, and all of them are recent.
    #[error("there are too many voice guests at present: try again later")]
    TooManyGuests,
    /// Who asks has no account, and so no KV user.
    #[error("only an account can have a ticket: come with its token or password")]
    NoAccount,
    /// The box is shutting down.
    #[error("the box is shutting down")]
    Closed,
}
