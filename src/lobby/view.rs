//! The lobby as the API shows it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    definition::Entry,
    wire::{
        push::{PlayerView, Push, TableView},
        terms::{RoomId, Seat, TableId},
    },
};
use crate::clock::UnixMillis;

/// A room with all that is in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = LobbyRoom)]
pub struct RoomView {
    /// Its number on the wire.
    pub id: RoomId,
    /// The name of its definition.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// In a sentence.
    pub description: String,
    /// The name of what is played there.
    pub game: Option<String>,
    /// Whether people may come in.
    pub open: bool,
    /// Which people.
    pub entry: Entry,
    /// How many are in it.
    pub people: u32,
    /// People at once.
    pub max_players: u32,
    /// Tables at once.
    pub max_tables: u32,
    /// Who is in it; empty for who may not come in.
    pub players: Vec<PlayerView>,
    /// Its tables; empty for who may not come in.
    pub tables: Vec<TableView>,
}

/// Something that a room, or everybody, was told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = LobbyNews)]
pub struct News {
    /// Which room; none: everybody.
    pub room: Option<RoomId>,
    /// Who may come in there, and so may hear it.
    #[serde(skip)]
    pub entry: Entry,
    /// What they were told. Apart, since updates name a room themselves.
    #[serde(rename = "heard")]
    pub push: Push,
}

/// A table that is wanted.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewTable {
    /// Where.
    pub room: RoomId,
    /// What it is called.
    #[serde(default)]
    pub description: String,
    /// Its seats: open, bot, or reserved with a name.
    pub seats: Vec<Seat>,
}

/// A table that stands.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
pub struct Launched {
    /// Where.
    pub room: RoomId,
    /// Its number there.
    pub table: TableId,
}

/// Somebody who is in a room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = LobbyPlayer)]
pub struct RoomPlayer {
    /// Where.
    pub room: RoomId,
    /// Who.
    #[serde(flatten)]
    #[schema(inline)]
    pub player: PlayerView,
}

/// A table, and where it stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = LobbyTable)]
pub struct RoomTable {
    /// Where.
    pub room: RoomId,
    /// Which.
    #[serde(flatten)]
    #[schema(inline)]
    pub table: TableView,
}

/// Something that was said for all of a room, or for everybody.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = LobbyChat)]
pub struct Spoken {
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: UnixMillis,
    /// In which room; none: in all of them.
    pub room: Option<RoomId>,
    /// By whom.
    pub from: String,
    /// What.
    pub text: String,
}

/// What is in effect, and what is wrong with the rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = LobbyDefinitions)]
pub struct DefinitionsView {
    /// Names of table games.
    pub tables: Vec<String>,
    /// Names of rooms, in the order in which people see them.
    pub rooms: Vec<String>,
    /// What the API said, which stands before files and what ships.
    pub overrides: Vec<Override>,
    /// What is wrong, a sentence each.
    pub faults: Vec<String>,
}

/// A definition that came, or was removed, over the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = LobbyOverride)]
pub struct Override {
    /// Of what.
    pub kind: Defined,
    /// Its name.
    pub name: String,
    /// The text; none: it is removed, wherever else it may come from.
    pub toml: Option<String>,
}

/// What can be defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = LobbyDefined)]
pub enum Defined {
    /// A room.
    Rooms,
    /// A table game.
    Tables,
}
