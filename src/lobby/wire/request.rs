//! What a client says.

use serde::Deserialize;
use utoipa::ToSchema;

use super::terms::{Action, ChatKind, Code, GameId, Permission, RoomId, Seat, TableId};
use crate::accounts::Secret;

/// One thing that a client wants. Over the WebSocket it is JSON, tagged by `do`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// The client's language, like `de_DE`.
    Language {
        /// As its environment says it.
        language: String,
    },
    /// Who they are.
    Login(Login),
    /// This connection is to carry game data for a session.
    #[serde(skip)]
    Channel {
        /// The name of the person whose session it is.
        name: String,
        /// What the session was given to prove it with, for a connection from another address.
        token: Option<String>,
    },
    /// Encryption starts with the next byte.
    #[serde(skip)]
    TlsStart,
    /// The document ends.
    End,
    /// A list.
    List {
        /// Of what.
        what: ListOf,
        /// With descriptions.
        #[serde(default)]
        full: bool,
        /// For players and tables: of another room than one's own. Not in the original's protocol.
        #[serde(default)]
        room: Option<RoomId>,
    },
    /// Go into a room.
    Enter {
        /// Which.
        room: RoomId,
    },
    /// Say something.
    Chat {
        /// How; none: a kind that does not exist, which goes to the room.
        kind: Option<ChatKind>,
        /// To whom, for private words and beeps.
        #[serde(default)]
        to: Option<String>,
        /// What.
        #[serde(default)]
        text: String,
    },
    /// A new table, and a seat at it.
    Launch {
        /// Of which game.
        game: GameId,
        /// What the launcher calls it.
        #[serde(default)]
        description: String,
        /// Its seats: open, bot or reserved. None: a seat that was not said.
        seats: Vec<Option<Seat>>,
    },
    /// Sit down at a table, or watch it.
    Join {
        /// Which.
        table: TableId,
        /// Watch.
        #[serde(default)]
        spectator: bool,
        /// This seat, if it is free.
        #[serde(default)]
        seat: Option<u32>,
    },
    /// Leave the table.
    Leave {
        /// Even if that ends the game for all.
        #[serde(default)]
        force: bool,
        /// As a spectator.
        #[serde(default)]
        spectator: bool,
    },
    /// Change seats at one's table.
    Reseat {
        /// How.
        action: Reseat,
        /// Which seat.
        #[serde(default)]
        seat: Option<u32>,
    },
    /// Change a table.
    Update {
        /// In which room; none: one's own.
        #[serde(default)]
        room: Option<RoomId>,
        /// Which.
        table: TableId,
        /// How.
        change: Change,
    },
    /// About the people at one's table.
    Info {
        /// Of this seat; none: of all.
        #[serde(default)]
        seat: Option<u32>,
    },
    /// Who leads in the game of one's table.
    Rankings,
    /// The message of the day, again.
    Motd,
    /// Are you there?
    Ping {
        /// To be told back.
        #[serde(default)]
        id: Option<String>,
    },
    /// Yes.
    Pong,
    /// Keep order.
    Admin {
        /// How.
        action: AdminAction,
        /// Whom.
        player: String,
        /// Why, in words.
        #[serde(default)]
        reason: Option<String>,
    },
    /// Give or take a permission.
    AdminPerm {
        /// Whose.
        player: String,
        /// Which.
        permission: Permission,
        /// Give.
        value: bool,
    },
    /// A token for a channel from another address, or for any channel. Not in the original's protocol.
    Token,
    /// An element that means nothing here.
    #[serde(skip)]
    Unknown,
}

impl Request {
    /// What a RESULT calls it, if one has to be sent; none for what is never answered by one.
    pub fn action(&self) -> Option<Action> {
        match self {
            Self::Login(_) => Some(Action::Login),
            Self::Channel { .. } | Self::Token => Some(Action::Channel),
            Self::List { .. } => Some(Action::List),
            Self::Enter { .. } => Some(Action::Enter),
            Self::Chat { .. } => Some(Action::Chat),
            Self::Launch { .. } => Some(Action::Launch),
            Self::Join { .. } => Some(Action::Join),
            Self::Leave { .. } => Some(Action::Leave),
            Self::Reseat { .. } => Some(Action::Reseat),
            Self::Update { .. } => Some(Action::Update),
            Self::Info { .. } => Some(Action::Info),
            Self::Rankings => Some(Action::Rankings),
            Self::Motd => Some(Action::Motd),
            Self::Admin { .. } | Self::AdminPerm { .. } => Some(Action::Admin),
            Self::Language { .. }
            | Self::TlsStart
            | Self::End
            | Self::Ping { .. }
            | Self::Pong
            | Self::Unknown => None,
        }
    }
}

/// What cannot be a request: to be answered with a RESULT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    /// What was attempted.
    pub action: Action,
    /// Why it cannot be.
    pub code: Code,
}

/// Who somebody says that they are.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// In which way.
    #[serde(default)]
    pub kind: LoginKind,
    /// Their name.
    pub name: String,
    /// Their password.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub password: Option<Secret>,
    /// Their mail address, for a first login.
    #[serde(default)]
    pub email: Option<String>,
}

/// How somebody comes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LoginKind {
    /// With a name alone.
    #[default]
    Guest,
    /// With the password of an account.
    Normal,
    /// With a new account.
    First,
}

/// What can be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names say it")]
pub enum ListOf {
    Game,
    Room,
    Player,
    Table,
}

/// How to change seats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Reseat {
    /// From watching to playing.
    Sit,
    /// From playing to watching.
    Stand,
    /// To another seat.
    Move,
}

/// How to change a table.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// What it is called.
    Desc(String),
    /// What a seat is: open, bot or reserved.
    Seat(u32, Seat),
    /// Remove whoever has this name.
    Boot(String),
}

/// How order is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum AdminAction {
    /// Nobody hears them in rooms any more.
    Gag,
    /// They are heard again.
    Ungag,
    /// Their connection ends.
    Kick,
    /// And they cannot come back.
    Ban,
}
