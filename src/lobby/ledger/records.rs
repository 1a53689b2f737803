//! What the store keeps of the lobby. Enumerations are stored by position: new ones go last.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::elo;
use crate::{
    accounts::{AccountId, Role},
    clock::UnixMillis,
    lobby::{
        dmod::wire::Outcome,
        wire::{push::Stats, terms::SeatKind},
    },
    store::{Catalog, Record, Table},
};

/// By game, 0x00, [`Person::key`].
pub(super) const RATINGS: Table<Rating> = Table::new();
/// By id.
pub(super) const MATCHES: Table<Match> = Table::new();
/// By [`of_game`] or [`of_person`], and the match's id.
pub(super) const MATCHES_OF: Table<MatchOf> = Table::new();
/// By [`Sitting::key`] and the file's name.
pub(super) const SAVEGAMES: Table<Savegame> = Table::new();
/// By name in lower case.
pub(super) const BANS: Table<Ban> = Table::new();
/// By account.
pub(super) const PERMISSIONS: Table<PermissionRecord> = Table::new();
/// By [`DefinitionKind::key`].
pub(super) const DEFINITIONS: Table<Definition> = Table::new();

/// The catalog, with the lobby's records.
pub(super) fn tables(catalog: Catalog) -> Catalog {
    catalog
        .with::<Rating>()
        .with::<Match>()
        .with::<MatchOf>()
        .with::<Savegame>()
        .with::<Ban>()
        .with::<PermissionRecord>()
        .with::<Definition>()
}

/// Somebody who has statistics. Guests have none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Person {
    /// An account.
    Account(AccountId),
    /// A computer player of this name, in any case.
    Bot(String),
}

impl Person {
    /// One person's key is no other's beginning.
    pub(super) fn key(&self) -> Vec<u8> {
        match self {
            Self::Account(id) => [&b"a"[..], &id.0.to_be_bytes()].concat(),
            Self::Bot(name) => format!("b{}\0", name.to_ascii_lowercase()).into_bytes(),
        }
    }
}

/// How somebody does in a game.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Standing {
    /// Matches won.
    pub(crate) wins: u32,
    /// Matches lost.
    pub(crate) losses: u32,
    /// Matches that nobody won.
    pub(crate) ties: u32,
    /// Matches given up.
    pub(crate) forfeits: u32,
    /// ELO.
    pub(crate) rating: f64,
    /// The best score.
    pub(crate) highscore: i64,
}

impl Default for Standing {
    fn default() -> Self {
        Self {
            wins: 0,
            losses: 0,
            ties: 0,
            forfeits: 0,
            rating: elo::START,
            highscore: 0,
        }
    }
}

/// What a game counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counts {
    /// Wins, losses, ties, forfeits.
    pub(crate) records: bool,
    /// ELO.
    pub(crate) ratings: bool,
    /// The best score.
    pub(crate) highscores: bool,
}

impl Standing {
    /// As people see it: what the game counts.
    pub(crate) fn stats(&self, counts: Counts) -> Stats {
        let records = [self.wins, self.losses, self.ties, self.forfeits];
        Stats {
            records: counts.records.then_some(records),
            rating: counts.ratings.then_some(self.rating),
            highscore: counts.highscores.then_some(self.highscore),
        }
    }

    /// What its holder is ranked by; none: the game counts nothing.
    pub(super) fn rank(&self, counts: Counts) -> Option<f64> {
        if counts.highscores {
            Some(self.highscore as f64)
        } else if counts.ratings {
            Some(self.rating)
        } else {
            let lead = f64::from(self.wins) - f64::from(self.losses);
            counts.records.then_some(lead)
        }
    }
}

/// A person's standing in a game.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Rating {
    pub(super) game: String,
    pub(super) person: Person,
    pub(super) standing: Standing,
}

impl Record for Rating {
    const TABLE: &'static str = "lobby_rating";
    const FORMAT: u8 = 1;
}

/// The key of a game's ratings. A game's name has no 0x00.
pub(super) fn board(game: &str) -> Vec<u8> {
    [game.as_bytes(), b"\0"].concat()
}

/// The key of one rating.
pub(super) fn rating(game: &str, person: &Person) -> Vec<u8> {
    [board(game), person.key()].concat()
}

/// A match's number, counted from 1.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
)]
#[serde(transparent)]
pub(crate) struct MatchId(pub(crate) u64);

/// A match as it was reported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Match {
    /// Its number.
    pub(crate) id: MatchId,
    /// The name of its definition.
    pub(crate) game: String,
    /// When it was reported.
    pub(crate) when: UnixMillis,
    /// The name of the room's definition.
    pub(crate) room: String,
    /// Who played, in the order of the report.
    pub(crate) players: Vec<Played>,
    /// The file that the game kept of it, if it did.
    pub(crate) savegame: Option<String>,
}

impl Match {
    /// Who won, where it was one alone.
    pub(crate) fn winner(&self) -> Option<&Played> {
        let mut winners = self.players.iter();
        let mut next = || winners.find(|player| player.outcome == Outcome::Win);
        let first = next();
        match next() {
            None => first,
            Some(_) => None,
        }
    }
}

impl Record for Match {
    const TABLE: &'static str = "lobby_match";
    const FORMAT: u8 = 1;
}

/// How somebody did in a match.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Played {
    /// What they were called then.
    pub(crate) name: String,
    /// Who they are; none: a guest.
    pub(crate) person: Option<Person>,
    /// What their seat was.
    pub(crate) kind: SeatKind,
    /// With whom they played; none: alone.
    pub(crate) team: Option<u32>,
    /// How it ended for them.
    pub(crate) outcome: Outcome,
    /// Points.
    pub(crate) score: i32,
    /// What it made of their rating; none: it has none.
    pub(crate) rating: Option<Rerated>,
}

/// A rating that changed.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Rerated {
    /// As the match began.
    pub(crate) before: f64,
    /// After it.
    pub(crate) after: f64,
}

/// That a match is one of a game, or of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct MatchOf(pub(super) MatchId);

impl Record for MatchOf {
    const TABLE: &'static str = "lobby_match_of";
    const FORMAT: u8 = 1;
}

pub(super) fn of_game(game: &str) -> Vec<u8> {
    [b"g", &board(game)[..]].concat()
}

pub(super) fn of_person(person: &Person) -> Vec<u8> {
    [b"p", &person.key()[..]].concat()
}

/// A table, among all that there ever were.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct Sitting {
    /// The name of its room's definition.
    pub(crate) room: String,
    /// Its number in the room, as it was first launched,
    pub(crate) table: u32,
    /// and when that was. A resumed table keeps both.
    pub(crate) since: UnixMillis,
}

impl Sitting {
    pub(super) fn key(&self) -> Vec<u8> {
        let mut key = board(&self.room);
        key.extend(self.table.to_be_bytes());
        key.extend(self.since.0.to_be_bytes());
        key
    }
}

/// A game that can be gone on with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Savegame {
    /// Whose it is.
    pub(crate) sitting: Sitting,
    /// The name of the game's definition.
    pub(crate) game: String,
    /// The table's owner.
    pub(crate) owner: Option<String>,
    /// Where the game kept it, within its own folder.
    pub(crate) file: String,
    /// Who sat where.
    pub(crate) seats: Vec<SavedSeat>,
    /// When it was saved.
    pub(crate) when: UnixMillis,
    /// Its table ended while the box ran on: it does not go on by itself.
    pub(crate) left: bool,
}

impl Savegame {
    pub(super) fn key(&self) -> Vec<u8> {
        saved(&self.sitting, &self.file)
    }
}

impl Record for Savegame {
    const TABLE: &'static str = "lobby_savegame";
    const FORMAT: u8 = 1;
}

pub(super) fn saved(sitting: &Sitting, file: &str) -> Vec<u8> {
    [&sitting.key()[..], file.as_bytes()].concat()
}

/// One seat of a saved game.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SavedSeat {
    /// What it was.
    pub(crate) kind: SeatKind,
    /// Whose.
    pub(crate) name: Option<String>,
}

/// That somebody may not come in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ban {
    /// What they were called.
    pub(crate) name: String,
    /// Whose account it is; none: a guest was barred.
    pub(crate) account: Option<AccountId>,
    /// Where the guest came from. An account is barred wherever it comes from, and nobody else there is.
    pub(crate) network: Option<IpAddr>,
    /// Why, in words.
    pub(crate) reason: String,
    /// Who did it.
    pub(crate) by: String,
    /// When.
    pub(crate) when: UnixMillis,
    /// Until when; none: for good.
    pub(crate) until: Option<UnixMillis>,
}

impl Record for Ban {
    const TABLE: &'static str = "lobby_ban";
    const FORMAT: u8 = 1;
}

/// What an account may, where somebody changed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct PermissionRecord {
    pub(super) account: AccountId,
    /// In the wire's bits.
    pub(super) mask: u32,
    /// What the account was then.
    pub(super) role: Role,
}

impl Record for PermissionRecord {
    const TABLE: &'static str = "lobby_permission";
    const FORMAT: u8 = 1;
}

/// What is defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) enum DefinitionKind {
    /// A table game.
    Game,
    /// A room.
    Room,
}

impl DefinitionKind {
    pub(super) fn key(self, name: &str) -> Vec<u8> {
        let kind = match self {
            Self::Game => b"g",
            Self::Room => b"r",
        };
        [kind, name.as_bytes()].concat()
    }
}

/// A game or a room that was defined, or removed, over the API.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Definition {
    /// Which of the two.
    pub(crate) kind: DefinitionKind,
    /// As its file would be called.
    pub(crate) name: String,
    /// In TOML; none: it is removed, even if there is a file of that name.
    pub(crate) text: Option<String>,
}

impl Record for Definition {
    const TABLE: &'static str = "lobby_definition";
    const FORMAT: u8 = 1;
}
