//! What the ledger remembers, as the API shows it: matches, saved games, bans.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    dmod::wire::Outcome,
    ledger::{Ban, Match, MatchId, Person, Played, SavedSeat, Savegame, Sitting},
    wire::terms::{Seat, SeatKind},
};
use crate::{accounts::AccountId, clock::UnixMillis};

/// A match as it was reported.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[schema(as = LobbyMatch)]
pub struct MatchView {
    /// Its number, counted from 1.
    pub id: u64,
    /// The name of its game.
    pub game: String,
    /// The name of the room.
    pub room: String,
    /// When it was reported.
    #[schema(value_type = String, format = DateTime)]
    pub at: UnixMillis,
    /// Who won, where it was one alone.
    pub winner: Option<String>,
    /// Who played.
    pub players: Vec<MatchPlayer>,
    /// The file that the game kept of it.
    pub savegame: Option<String>,
}

/// How somebody did in a match.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MatchPlayer {
    /// What they were called then.
    pub name: String,
    /// Their account; none: a guest or a computer player.
    pub account: Option<AccountId>,
    /// What their seat was.
    pub kind: SeatKind,
    /// With whom they played; none: alone.
    pub team: Option<u32>,
    /// How it ended for them.
    pub outcome: MatchOutcome,
    /// Points.
    pub score: i32,
    /// Their rating before and after it; none: they have none.
    pub rating: Option<(f64, f64)>,
}

/// How a match ended for somebody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum MatchOutcome {
    /// Won.
    Win,
    /// Lost.
    Loss,
    /// Neither.
    Tie,
    /// Gave up.
    Forfeit,
    /// Does not count.
    None,
}

impl From<Match> for MatchView {
    fn from(one: Match) -> Self {
        let winner = one.winner().map(|player| player.name.clone());
        Self {
            id: one.id.0,
            game: one.game,
            room: one.room,
            at: one.when,
            winner,
            players: one.players.into_iter().map(Into::into).collect(),
            savegame: one.savegame,
        }
    }
}

impl From<Played> for MatchPlayer {
    fn from(played: Played) -> Self {
        Self {
            name: played.name,
            account: match played.person {
                Some(Person::Account(id)) => Some(id),
                Some(Person::Bot(_)) | None => None,
            },
            kind: played.kind,
            team: played.team,
            outcome: match played.outcome {
                Outcome::Win => MatchOutcome::Win,
                Outcome::Loss => MatchOutcome::Loss,
                Outcome::Tie => MatchOutcome::Tie,
                Outcome::Forfeit => MatchOutcome::Forfeit,
                Outcome::None => MatchOutcome::None,
            },
            score: played.score,
            rating: played.rating.map(|rating| (rating.before, rating.after)),
        }
    }
}

/// Which saved game is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SavedKey {
    /// The name of the room where it was played.
    pub room: String,
    /// The table's number there, as it was first launched,
    pub table: u32,
    /// and when that was.
    #[schema(value_type = String, format = DateTime)]
    pub since: UnixMillis,
    /// The file that the game kept.
    pub file: String,
}

impl SavedKey {
    pub(crate) fn sitting(&self) -> Sitting {
        Sitting {
            room: self.room.clone(),
            table: self.table,
            since: self.since,
        }
    }
}

/// A game that can be gone on with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SavedGame {
    /// The name of the room where it was played.
    pub room: String,
    /// The table's number there, as it was first launched,
    pub table: u32,
    /// and when that was.
    #[schema(value_type = String, format = DateTime)]
    pub since: UnixMillis,
    /// The file that the game kept.
    pub file: String,
    /// The name of the game.
    pub game: String,
    /// Whose table it was.
    pub owner: Option<String>,
    /// Who sat where.
    pub seats: Vec<Seat>,
    /// When it was saved.
    #[schema(value_type = String, format = DateTime)]
    pub at: UnixMillis,
    /// A table plays it now: it cannot be resumed before that has ended.
    pub playing: bool,
}

impl SavedGame {
    pub(crate) fn new(saved: Savegame, playing: bool) -> Self {
        let seat = |SavedSeat { kind, name }| Seat { kind, name };
        Self {
            room: saved.sitting.room,
            table: saved.sitting.table,
            since: saved.sitting.since,
            file: saved.file,
            game: saved.game,
            owner: saved.owner,
            seats: saved.seats.into_iter().map(seat).collect(),
            at: saved.when,
            playing,
        }
    }
}

/// Somebody who may not come in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = LobbyBan)]
pub struct BanView {
    /// What they were called.
    pub name: String,
    /// Their account; none: a guest.
    pub account: Option<AccountId>,
    /// Where the guest came from; everybody from there is kept out as a guest.
    #[schema(value_type = Option<String>)]
    pub network: Option<std::net::IpAddr>,
    /// Why.
    pub reason: String,
    /// Who did it.
    pub by: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    pub at: UnixMillis,
    /// Until when; none: for good.
    #[schema(value_type = Option<String>, format = DateTime)]
    pub until: Option<UnixMillis>,
}

impl From<Ban> for BanView {
    fn from(ban: Ban) -> Self {
        Self {
            name: ban.name,
            account: ban.account,
            network: ban.network,
            reason: ban.reason,
            by: ban.by,
            at: ban.when,
            until: ban.until,
        }
    }
}

/// Which matches are wanted.
#[derive(Debug, Clone, Default)]
pub(crate) struct MatchesOf<'a> {
    /// Of this game.
    pub(crate) game: Option<&'a str>,
    /// Of this account, or computer player.
    pub(crate) account: Option<&'a str>,
    /// Older than this one.
    pub(crate) before: Option<MatchId>,
}
