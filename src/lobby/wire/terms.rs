//! The words of the protocol, as every message uses them.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A room's number on the wire: counted from 0 as rooms are added, never used again while the box runs.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(transparent)]
pub struct RoomId(pub u32);

/// A game type's number on the wire: counted from 0 as game types are added.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(transparent)]
pub struct GameId(pub u32);

/// A table's number within its room: counted from 1.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(transparent)]
pub struct TableId(pub u32);

/// What a seat is. The numbers are ggzdmod's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SeatKind {
    /// No seat at all.
    None = 0,
    /// Anybody may take it.
    Open = 1,
    /// A computer player has it.
    Bot = 2,
    /// A person sits there.
    Player = 3,
    /// Kept for one person.
    Reserved = 4,
    /// Its player has left in mid-game and may come back.
    Abandoned = 5,
}

/// One seat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Seat {
    /// What it is.
    pub kind: SeatKind,
    /// Who has it: a player, a named bot, or whom it is kept for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// How a table is. The numbers are the wire's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TableStatus {
    /// It is gone.
    Gone = -1,
    /// Its game has not spoken yet.
    Created = 0,
    /// Waiting for players.
    Waiting = 1,
    /// Being played.
    Playing = 2,
    /// Played to its end.
    Done = 3,
}

/// How something said is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ChatKind {
    /// To the room.
    Normal,
    /// To everybody in every room.
    Announce,
    /// A sound for one person, without text.
    Beep,
    /// To one person.
    Private,
    /// To one's own table.
    Table,
}

/// Why somebody left a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum LeaveReason {
    /// They wanted to.
    Normal,
    /// They were removed.
    Boot,
    /// The game ended.
    GameOver,
    /// The game failed.
    GameError,
}

/// What a person is, as others see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum PlayerKind {
    /// Has an account.
    Normal,
    /// Has none.
    Guest,
    /// May everything here.
    Admin,
    /// Keeps order.
    Host,
    /// A program that chats.
    Bot,
    /// Cannot be said.
    Unknown,
}

/// What a [`Permissions`] is made of. The numbers are the bits of the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// Sit down at tables.
    JoinTable = 0,
    /// Launch tables.
    LaunchTable = 1,
    /// Enter rooms for registered people.
    RoomsLogin = 2,
    /// Enter rooms for administrators.
    RoomsAdmin = 3,
    /// Speak to all rooms.
    ChatAnnounce = 4,
    /// Be a program that chats.
    ChatBot = 5,
    /// Have no statistics.
    NoStats = 6,
    /// Change and end other people's tables.
    EditTables = 7,
    /// Speak privately with people who play.
    EditPrivmsg = 8,
}

impl Permission {
    /// Every one, by bit.
    pub const ALL: [Self; 9] = [
        Self::JoinTable,
        Self::LaunchTable,
        Self::RoomsLogin,
        Self::RoomsAdmin,
        Self::ChatAnnounce,
        Self::ChatBot,
        Self::NoStats,
        Self::EditTables,
        Self::EditPrivmsg,
    ];

    /// As ADMINPERM calls it.
    pub fn name(self) -> &'static str {
        match self {
            Self::JoinTable => "join_table",
            Self::LaunchTable => "launch_table",
            Self::RoomsLogin => "rooms_login",
            Self::RoomsAdmin => "rooms_admin",
            Self::ChatAnnounce => "chat_announce",
            Self::ChatBot => "chat_bot",
            Self::NoStats => "no_stats",
            Self::EditTables => "edit_tables",
            Self::EditPrivmsg => "edit_privmsg",
        }
    }

    /// The one of this name, in any case.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|one| one.name().eq_ignore_ascii_case(name))
    }
}

/// A set of [`Permission`]s: bit n is permission n. Unknown bits cannot be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ToSchema)]
#[serde(transparent)]
pub struct Permissions(u32);

impl Permissions {
    /// Of somebody without an account.
    pub const GUEST: Self = Self(0x43);
    /// Of a newly registered person.
    pub const REGISTERED: Self = Self(0x07);
    /// Of a program that chats.
    pub const CHATBOT: Self = Self(0x27);
    /// Of a host.
    pub const HOST: Self = Self(0x97 | 0x100);
    /// Of an administrator.
    pub const ADMIN: Self = Self(0x19f);

    /// From the wire's mask; bits that mean nothing are dropped.
    pub fn from_bits(bits: u32) -> Self {
        Self(bits & 0x1ff)
    }

    /// The wire's mask.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// Whether it is in the set.
    pub fn has(self, one: Permission) -> bool {
        self.0 & (1 << one as u32) != 0
    }

    /// The set with one more, or one less.
    #[must_use]
    pub fn with(self, one: Permission, value: bool) -> Self {
        let bit = 1 << one as u32;
        Self(if value { self.0 | bit } else { self.0 & !bit })
    }

    /// The set without those of another.
    #[must_use]
    pub fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// What its holder is: bot, admin or host by their bits, else normal. Guests are told apart by having no account.
    pub fn kind(self) -> PlayerKind {
        use Permission::*;
        if self.has(ChatBot) {
            PlayerKind::Bot
        } else if [RoomsAdmin, ChatAnnounce, EditTables, EditPrivmsg]
            .into_iter()
            .all(|one| self.has(one))
        {
            PlayerKind::Admin
        } else if self.has(EditTables) || self.has(EditPrivmsg) {
            PlayerKind::Host
        } else {
            PlayerKind::Normal
        }
    }
}

impl fmt::Display for Permissions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:08X}", self.0)
    }
}

/// What a RESULT says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(
    missing_docs,
    reason = "each one's text on the wire says what it means"
)]
pub enum Code {
    Ok,
    UsrLookup,
    BadOptions,
    RoomFull,
    TableFull,
    TableEmpty,
    LaunchFail,
    JoinFail,
    NoTable,
    LeaveFail,
    LeaveForbidden,
    AlreadyLoggedIn,
    NotLoggedIn,
    NotInRoom,
    AtTable,
    InTransit,
    NoPermission,
    BadXml,
    SeatAssignFail,
    NoChannel,
    TooLong,
    Unknown,
    BadUsername,
    WrongLoginType,
    UserNotFound,
    UsernameTaken,
    BadPassword,
}

/// What a RESULT is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "each one is the request of that name")]
pub enum Action {
    Login,
    List,
    Enter,
    Chat,
    Launch,
    Join,
    Leave,
    Reseat,
    Update,
    Motd,
    Admin,
    Info,
    Rankings,
    Channel,
    /// The document itself.
    Protocol,
}

/// Which numbers of players or bots a game takes: single numbers from 1 to 32, and at most one range.
///
/// Written as the original does, `2 3 4..8`. It may hold 0 when the list says so (`0` in a list of bots means none).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
pub struct Numbers {
    /// Bit n is number n, for 0 to 32.
    pub singles: u64,
    /// Both ends belong to it.
    pub range: Option<(u32, u32)>,
}

impl Numbers {
    /// Whether it is one of them.
    pub fn has(&self, number: u32) -> bool {
        (number <= 32 && self.singles & (1 << number) != 0)
            || self
                .range
                .is_some_and(|(first, last)| (first..=last).contains(&number))
    }

    /// The largest of them; none when it is empty.
    pub fn most(&self) -> Option<u32> {
        let single = self.singles.checked_ilog2();
        single.max(self.range.map(|(_, last)| last))
    }
}
