//! What can be played, and where: table games and rooms, from files, from the store, and shipped.

use std::{path::PathBuf, sync::Arc};

use super::wire::terms::Numbers;

/// A game type that tables can be launched of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableGame {
    /// The name of its file, which the game is told at launch: `tictactoe`.
    pub name: String,
    /// What people call it; rooms name it so. At most 64 bytes.
    pub title: Localized,
    /// Of the definition.
    pub version: String,
    /// In a sentence.
    pub description: Localized,
    /// Who made it.
    pub author: String,
    /// Where more of it is.
    pub homepage: String,
    /// The program and its arguments. The program `longhouse` is this one; a relative one lies in `folder`.
    pub argv: Vec<String>,
    /// Where the definition's file lies; none: shipped, or told by the API.
    pub folder: Option<PathBuf>,
    /// What the client's and the server's half of the game agree on.
    pub engine: String,
    /// Of the engine's protocol.
    pub engine_version: String,
    /// Players may leave while it is played.
    pub allow_leave: bool,
    /// The game ends when the last player has left.
    pub kill_when_empty: bool,
    /// Seats that a table may have.
    pub players: Numbers,
    /// Bots among them.
    pub bots: Numbers,
    /// People may watch.
    pub spectators: bool,
    /// Clients connect to each other.
    pub peers: bool,
    /// A saved game is taken up again at the next start.
    pub restore: bool,
    /// Wins, losses, ties and forfeits are counted.
    pub records: bool,
    /// Ratings are computed.
    pub ratings: bool,
    /// The best scores are kept.
    pub highscores: bool,
    /// Bots that have names: name and class.
    pub named_bots: Vec<(String, String)>,
}

/// A room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RoomDefinition {
    /// The name of its file: `entry`. The room of that name comes first.
    pub name: String,
    /// What people call it.
    pub title: Localized,
    /// In a sentence.
    pub description: Localized,
    /// The [`TableGame::name`] of what is played there; none: nothing.
    pub game: Option<String>,
    /// People at once.
    pub max_players: u32,
    /// Tables at once.
    pub max_tables: u32,
    /// Who may come in.
    pub entry: Entry,
    /// More arguments for the game's program.
    pub args: Vec<String>,
}

/// Who may come into a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Entry {
    /// Everybody.
    #[default]
    Open,
    /// Who has an account (`rooms_login`).
    Registered,
    /// Administrators (`rooms_admin`).
    Admin,
}

/// A text and its translations.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Localized {
    /// Without a language.
    pub text: String,
    /// By language, like `de` or `de_AT`.
    pub translations: Vec<(String, String)>,
}

/// All that is defined, whole, and what is wrong with the rest.
#[derive(Debug, Clone, Default)]
pub struct Definitions {
    /// By name, in order.
    pub games: Vec<Arc<TableGame>>,
    /// `entry` first, then by name; each one's game is among `games`.
    pub rooms: Vec<Arc<RoomDefinition>>,
    /// A sentence each.
    pub faults: Vec<String>,
}
