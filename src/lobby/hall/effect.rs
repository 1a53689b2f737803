//! What has to be done about what happened in the hall.

use std::sync::Arc;

use super::{ChannelKey, SessionId, TableKey, Who};
use crate::lobby::{
    definition::TableGame,
    dmod::wire::{Score, ToGame},
    wire::{
        push::Push,
        terms::{RoomId, Seat, TableId},
    },
};

/// What has to be done, in this order.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::lobby) enum Effect {
    /// Tell one.
    Tell(SessionId, Push),
    /// Tell a room, but one.
    Room(RoomId, Option<SessionId>, Push),
    /// Tell everybody.
    Everybody(Push),
    /// Say to somebody who leads in a game.
    Rankings(SessionId, Arc<TableGame>),
    /// End a connection, once all that was said to it is out.
    Disconnect(SessionId),
    /// Start a game.
    Launch {
        key: TableKey,
        /// The name of its room's definition, and its number there.
        table: (String, TableId),
        game: Arc<TableGame>,
        args: Vec<String>,
        first: ToGame,
    },
    /// Tell a game; a seat that becomes a player's comes with their channel.
    Order(TableKey, ToGame, Option<ChannelKey>),
    /// End a game.
    End(TableKey),
    /// Close a game data connection that nobody needs any more.
    Close(ChannelKey),
    /// A match was played.
    Report(Report),
    /// A game was saved.
    Saved(Saved),
    /// Something for the log: a game did what makes no sense.
    Odd(TableKey, String),
}

/// How a match ended.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::lobby) struct Report {
    pub(in crate::lobby) key: TableKey,
    pub(in crate::lobby) room: String,
    pub(in crate::lobby) game: Arc<TableGame>,
    /// Each one's score, and who they are; bots have nobody.
    pub(in crate::lobby) scores: Vec<(Score, Option<Who>)>,
    /// What it was saved in.
    pub(in crate::lobby) savegame: Option<String>,
}

/// What a game wrote down to be gone on with.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::lobby) struct Saved {
    pub(in crate::lobby) key: TableKey,
    pub(in crate::lobby) room: String,
    pub(in crate::lobby) game: Arc<TableGame>,
    pub(in crate::lobby) owner: String,
    pub(in crate::lobby) file: String,
    pub(in crate::lobby) seats: Vec<Seat>,
}
