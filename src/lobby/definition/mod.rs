//! What can be played, and where: table games and rooms, from files, from the store, and shipped.
//!
//! Owns their formats (ours and the original's), their limits, and which of two of a name counts.
//! Refuses to decide what becomes of an occupied room; it only says what is defined.
//!
//! ```text
//!  shipped ─┐                            ┌─► games, rooms: whole, in order, each room's game among the games
//!  folder ──┼─► Found ──► settle ────────┤
//!  stored ──┘  by name,     ▲ what was   └─► faults: a sentence each
//!              the later    │ in effect: stays where its file is broken just now
//!              one counts
//! ```

mod checks;
mod fault;
mod files;
mod ini;
mod library;
mod native;
mod original;
mod settle;
mod watch;

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::wire::terms::{Numbers, Permission, Permissions};

pub(super) use files::read as read_file;
pub use library::{Kind, Stored, check, load, reload};
pub use watch::{WatchError, Watching, watch};

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

impl RoomDefinition {
    /// The room that is always there, and comes first.
    pub const FIRST: &str = "entry";
    /// People, where its definition does not say.
    const MAX_PLAYERS: u32 = 100;
    /// Tables, where its definition does not say.
    const MAX_TABLES: u32 = 50;
}

/// Who may come into a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = LobbyEntry)]
pub enum Entry {
    /// Everybody.
    #[default]
    Open,
    /// Who has an account (`rooms_login`).
    Registered,
    /// Administrators (`rooms_admin`).
    Admin,
}

impl Entry {
    /// Whether somebody with these permissions comes in.
    pub fn lets_in(self, permissions: Permissions) -> bool {
        match self {
            Self::Open => true,
            Self::Registered => permissions.has(Permission::RoomsLogin),
            Self::Admin => permissions.has(Permission::RoomsAdmin),
        }
    }
}

/// A text and its translations.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Localized {
    /// Without a language.
    pub text: String,
    /// By language, like `de` or `de_AT`.
    pub translations: Vec<(String, String)>,
}

impl Localized {
    /// In a language, as `LANG` or LANGUAGE says it (`de_AT.UTF-8`): exactly, without what follows the dot, by its two
    /// letters; else the text.
    pub fn of(&self, language: &str) -> &str {
        let place = language.split(['.', '@']).next().unwrap_or_default();
        let short = place.split(['_', '-']).next().unwrap_or_default();
        let short = if short.len() == 2 { short } else { place };
        [language, place, short]
            .into_iter()
            .find_map(|tag| self.translations.iter().find(|(of, _)| of == tag))
            .map_or(&self.text, |(_, text)| text)
    }
}

/// All that is defined, whole, and what is wrong with the rest.
#[derive(Debug, Clone, Default)]
pub struct Definitions {
    /// By name, in order.
    pub games: Vec<Arc<TableGame>>,
    /// `entry` first, then by name; each one's game is among `games`.
    pub rooms: Vec<Arc<RoomDefinition>>,
    /// What is there and not in effect: it is broken, its game is missing, or there are too many.
    pub idle: BTreeSet<(Kind, String)>,
    /// A sentence each.
    pub faults: Vec<String>,
}

/// What the fuzz targets feed to this room: a definition in any format.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzzing(text: &str) {
    let (file, name) = ("fuzzed", "fuzzed");
    native::game(file, name, None, text).ok();
    native::room(file, name, text).ok();
    original::game(file, name, None, text).ok();
    original::room(file, name, text).ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_found_by_its_language_exactly_then_by_two_letters() {
        let text = Localized {
            text: "Room".into(),
            translations: [("de", "Raum"), ("de_AT", "Zimmer"), ("nds", "Stuuv")]
                .map(|(language, text)| (language.into(), text.into()))
                .into(),
        };
        for (language, expected) in [
            ("de", "Raum"),
            ("de_DE", "Raum"),
            ("de-CH", "Raum"),
            ("de_AT", "Zimmer"),
            ("de_AT.UTF-8", "Zimmer"),
            ("de.UTF-8@euro", "Raum"),
            ("nds", "Stuuv"),
            ("den", "Room"),
            ("fr_FR", "Room"),
            ("C", "Room"),
            ("", "Room"),
        ] {
            assert_eq!(text.of(language), expected, "{language}");
        }
    }
}
