//! What the server says.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::terms::{
    Action, ChatKind, Code, GameId, LeaveReason, Numbers, Permissions, PlayerKind, RoomId, Seat,
    TableId, TableStatus,
};
use crate::accounts::Secret;

/// One thing that the server says. Over the WebSocket it is JSON, tagged by `push`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "push", rename_all = "snake_case")]
pub enum Push {
    /// The first words of a connection: XML declaration, SESSION, SERVER.
    Hello(Hello),
    /// How a request ended.
    Result {
        /// Which.
        action: Action,
        /// How.
        code: Code,
        /// What was asked for.
        #[serde(flatten)]
        body: Body,
    },
    /// The message of the day.
    Motd {
        /// Its lines.
        text: String,
        /// Where a page of it is.
        url: Option<String>,
    },
    /// Something said.
    Chat {
        /// How; none: a kind that does not exist.
        kind: Option<ChatKind>,
        /// By whom.
        from: String,
        /// What; a beep has none.
        text: Option<String>,
    },
    /// Are you there?
    Ping,
    /// Yes.
    Pong {
        /// As it was asked.
        id: Option<String>,
    },
    /// You sit at this table now.
    Join {
        /// Which.
        table: TableId,
        /// Watching.
        spectator: bool,
    },
    /// You sit at no table any more.
    Leave {
        /// Why.
        reason: LeaveReason,
        /// Who removed you.
        player: Option<String>,
    },
    /// Something changed.
    Update(Update),
    /// The people at a table.
    Info {
        /// One each.
        seats: Vec<SeatInfo>,
    },
    /// Who leads, best first.
    Rankings {
        /// One each.
        rankings: Vec<Ranking>,
    },
    /// What a connection from another address proves a channel with. Not in the original's protocol; for clients that ask.
    Token {
        /// The secret.
        token: String,
    },
    /// The document ends.
    End,
}

/// The first words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Hello {
    /// What this box calls itself.
    pub name: String,
    /// Of the program.
    pub version: String,
    /// Whether TLS_START is understood.
    pub tls: bool,
    /// Bytes that one may say at once.
    pub chat_length: u32,
    /// Nobody else is let in.
    pub full: bool,
}

/// What a RESULT carries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Body {
    /// Nothing.
    #[serde(rename = "none")]
    None {},
    /// The password of a new account.
    Password(#[serde(serialize_with = "Secret::serialize_clear")] Secret),
    /// Games.
    Games(Vec<GameView>),
    /// Rooms.
    Rooms(Vec<RoomView>),
    /// Players of a room.
    Players(RoomId, Vec<PlayerView>),
    /// Tables of a room.
    Tables(RoomId, Vec<TableView>),
}

/// A game type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[expect(
    missing_docs,
    reason = "the attributes of GAME, as docs/ggz.md tells them"
)]
pub struct GameView {
    pub id: GameId,
    pub name: String,
    pub version: String,
    pub engine: String,
    pub engine_version: String,
    pub players: Numbers,
    pub bots: Numbers,
    pub spectators: bool,
    pub peers: bool,
    /// Name and class.
    pub named_bots: Vec<(String, String)>,
    /// Only in a full list.
    pub about: Option<About>,
}

/// Who made a game type, and what it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct About {
    pub author: String,
    pub url: String,
    pub description: String,
}

/// A room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RoomView {
    /// Its number.
    pub id: RoomId,
    /// In the reader's language.
    pub name: String,
    /// In no language.
    pub ref_name: String,
    /// What is played there; none: nothing.
    pub game: Option<GameId>,
    /// People in it.
    pub players: u32,
    /// Only in a full list.
    pub description: Option<String>,
}

/// A person in a room.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PlayerView {
    /// Their name.
    pub name: String,
    /// What they are.
    pub kind: PlayerKind,
    /// Where they sit.
    pub table: Option<TableId>,
    /// What they may.
    pub permissions: Permissions,
    /// 1 (quick) to 5 (slow).
    pub lag: u8,
    /// How they do in the room's game; what is not counted is left out.
    pub stats: Stats,
}

/// How somebody does in a game. What the game does not count, and all of a guest's, is left out.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize, ToSchema)]
pub struct Stats {
    /// Wins, losses, ties, forfeits.
    pub records: Option<[u32; 4]>,
    /// ELO.
    pub rating: Option<f64>,
    /// The best score.
    pub highscore: Option<i64>,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct TableView {
    pub id: TableId,
    pub game: GameId,
    pub status: TableStatus,
    pub description: String,
    pub seats: Vec<Seat>,
    /// Names by number; numbers that nobody has are none.
    pub spectators: Vec<Option<String>>,
}

/// What changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "update", rename_all = "snake_case")]
#[expect(missing_docs, reason = "fields: the room, and what changed in it")]
pub enum Update {
    /// Somebody came into the room.
    PlayerAdd {
        room: RoomId,
        player: PlayerView,
        from_room: Option<RoomId>,
    },
    /// Somebody left the room.
    PlayerDelete {
        room: RoomId,
        name: String,
        to_room: Option<RoomId>,
    },
    /// Somebody's lag.
    PlayerLag { room: RoomId, name: String, lag: u8 },
    /// Somebody's statistics.
    PlayerStats {
        room: RoomId,
        name: String,
        stats: Stats,
    },
    /// Somebody's permissions.
    PlayerPerms {
        room: RoomId,
        name: String,
        kind: PlayerKind,
        permissions: Permissions,
    },
    /// A new table.
    TableAdd { room: RoomId, table: TableView },
    /// A table is gone; it had so many seats.
    TableDelete {
        room: RoomId,
        table: TableId,
        seats: u32,
    },
    /// How a table is.
    TableStatus {
        room: RoomId,
        table: TableId,
        status: TableStatus,
        seats: u32,
    },
    /// Somebody sat down, or watches. `seats` counts places of that kind: seats, or numbers of spectators.
    TableJoin {
        room: RoomId,
        table: TableId,
        place: Place,
        name: String,
        seats: u32,
    },
    /// Somebody left. `seats` as when they joined.
    TableLeave {
        room: RoomId,
        table: TableId,
        place: Place,
        name: String,
        seats: u32,
    },
    /// What a seat is.
    TableSeat {
        room: RoomId,
        table: TableId,
        number: u32,
        seat: Seat,
        seats: u32,
    },
    /// What a table is called. `seats` is not in the XML.
    TableDesc {
        room: RoomId,
        table: TableId,
        description: String,
        seats: u32,
    },
    /// A table has other seats.
    TableResize { room: RoomId, table: TableView },
    /// How many people are in a room.
    RoomPlayers { room: RoomId, players: u32 },
    /// A new room.
    RoomAdd { room: RoomView },
    /// Nobody is let into the room any more.
    RoomClose { room: RoomId },
    /// The room is gone.
    RoomDelete { room: RoomId },
}

/// Where at a table somebody is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// At this seat.
    Seat(u32),
    /// Watching, as this number.
    Spectator(u32),
}

/// One person at a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct SeatInfo {
    pub seat: u32,
    pub real_name: String,
    pub photo: String,
    pub host: String,
}

/// One place in a game's ranking.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Ranking {
    /// From 1.
    pub position: u32,
    pub player: String,
    /// A highscore, a rating, or wins less losses: what the game counts.
    pub score: f64,
}
