//! One table: its seats, and who may have which.

use std::{collections::BTreeMap, sync::Arc, time::Instant};

use super::{SessionId, Who};
use crate::lobby::{
    definition::TableGame,
    wire::{
        push::{Place, TableView},
        terms::{Code, GameId, RoomId, Seat, SeatKind, TableId, TableStatus},
    },
};

/// So many are remembered to have played at a table.
const MET: usize = 128;
/// People who may watch a table. Its game has a connection for each, and must have room for its players'.
pub(super) const SPECTATORS: usize = 32;

/// What a seat is, and whose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Chair {
    Open,
    Bot(Option<String>),
    Reserved(String),
    Player(SessionId, Who),
    Abandoned(Who),
}

impl Chair {
    /// As the wire shows it.
    pub(super) fn seat(&self) -> Seat {
        let (kind, name) = match self {
            Self::Open => (SeatKind::Open, None),
            Self::Bot(name) => (SeatKind::Bot, name.clone()),
            Self::Reserved(name) => (SeatKind::Reserved, Some(name.clone())),
            Self::Player(_, who) => (SeatKind::Player, Some(who.name.clone())),
            Self::Abandoned(who) => (SeatKind::Abandoned, Some(who.name.clone())),
        };
        Seat { kind, name }
    }

    /// Whether this person has abandoned it.
    fn was(&self, who: &Who) -> bool {
        matches!(self, Self::Abandoned(other) if other.is(who))
    }
}

#[derive(Debug)]
pub(super) struct Table {
    pub(super) id: TableId,
    pub(super) room: RoomId,
    pub(super) game: Arc<TableGame>,
    pub(super) game_id: GameId,
    /// None: the box, for a saved game.
    pub(super) owner: Option<Who>,
    pub(super) description: String,
    pub(super) chairs: Vec<Chair>,
    pub(super) spectators: Vec<Option<(SessionId, String)>>,
    pub(super) status: TableStatus,
    /// Who waits for its game to speak.
    pub(super) launcher: Option<SessionId>,
    /// Everybody who has played here, by lower-case name: reports are believed about them alone.
    pub(super) met: BTreeMap<String, Who>,
    /// Since when nobody plays here, who may come back to do so.
    pub(super) deserted: Option<Instant>,
    /// Whether the match's result is in. A game that only pauses, until somebody is back, has not reported.
    pub(super) reported: bool,
    /// Where the game that is played was saved last.
    pub(super) savegame: Option<String>,
}

impl Table {
    pub(super) fn view(&self) -> TableView {
        TableView {
            id: self.id,
            game: self.game_id,
            status: self.status,
            description: self.description.clone(),
            seats: self.chairs.iter().map(Chair::seat).collect(),
            spectators: self
                .spectators
                .iter()
                .map(|one| one.as_ref().map(|(_, name)| name.clone()))
                .collect(),
        }
    }

    /// As a number of the wire.
    pub(super) fn seats(&self) -> u32 {
        self.chairs.len() as u32
    }

    /// How many places of that kind it has.
    pub(super) fn places(&self, place: Place) -> u32 {
        match place {
            Place::Seat(_) => self.seats(),
            Place::Spectator(_) => self.spectators.len() as u32,
        }
    }

    /// Whether the room has been told of it.
    pub(super) fn is_announced(&self) -> bool {
        self.status != TableStatus::Created
    }

    pub(super) fn is_playing(&self) -> bool {
        self.status == TableStatus::Playing
    }

    pub(super) fn chair(&self, number: u32) -> Option<&Chair> {
        self.chairs.get(number as usize)
    }

    /// Everybody who is here, and where.
    pub(super) fn everybody(&self) -> Vec<(SessionId, Place)> {
        let seated = (0..)
            .zip(&self.chairs)
            .filter_map(|(number, chair)| match chair {
                Chair::Player(id, _) => Some((*id, Place::Seat(number))),
                _ => None,
            });
        let watching = (0..)
            .zip(&self.spectators)
            .filter_map(|(number, one)| Some((one.as_ref()?.0, Place::Spectator(number))));
        seated.chain(watching).collect()
    }

    pub(super) fn players(&self) -> usize {
        let is_player = |chair: &&Chair| matches!(chair, Chair::Player(..));
        self.chairs.iter().filter(is_player).count()
    }

    /// Whether a seat is kept for somebody who may come back.
    pub(super) fn keeps_a_seat(&self) -> bool {
        let kept = |chair: &Chair| matches!(chair, Chair::Abandoned(_));
        self.chairs.iter().any(kept)
    }

    /// Somebody plays here. Those who have left are forgotten when too many have come and gone between two matches.
    pub(super) fn meet(&mut self, who: &Who) {
        if self.met.len() >= MET && !self.is_playing() {
            let chairs = &self.chairs;
            let is_theirs =
                |who: &Who, chair: &Chair| matches!(chair, Chair::Player(_, other) if other == who);
            self.met
                .retain(|_, who| chairs.iter().any(|chair| is_theirs(who, chair)));
        }
        self.met.insert(who.name.to_ascii_lowercase(), who.clone());
    }

    /// Whether a seat is kept for somebody, whether they have been here or not.
    pub(super) fn awaits_somebody(&self) -> bool {
        let kept = |chair: &Chair| matches!(chair, Chair::Abandoned(_) | Chair::Reserved(_));
        self.chairs.iter().any(kept)
    }

    /// The seat for somebody who joins: the one they abandoned, else as for anybody who is here.
    pub(super) fn choose(&self, who: &Who, asked: Option<u32>) -> Result<u32, Code> {
        match self.first(|chair| chair.was(who)) {
            Some(number) => Ok(number),
            None => self.choose_free(who, asked),
        }
    }

    /// The seat for somebody: the one they ask for, else one kept for them, else the first open one.
    pub(super) fn choose_free(&self, who: &Who, asked: Option<u32>) -> Result<u32, Code> {
        let kept = |chair: &Chair| matches!(chair, Chair::Reserved(name) if who.is_called(name));
        if let Some(number) = asked {
            let chair = self.chair(number).ok_or(Code::BadOptions)?;
            return match *chair == Chair::Open || kept(chair) || chair.was(who) {
                true => Ok(number),
                false => Err(Code::SeatAssignFail),
            };
        }
        let free = self.first(kept);
        free.or_else(|| self.first(|chair| *chair == Chair::Open))
            .ok_or(Code::TableFull)
    }

    fn first(&self, fits: impl Fn(&Chair) -> bool) -> Option<u32> {
        let found = self.chairs.iter().position(fits)?;
        Some(found as u32)
    }

    /// Whether one more may watch.
    pub(super) fn can_be_watched(&self) -> bool {
        self.spectators.iter().flatten().count() < SPECTATORS
    }

    /// The first number that no spectator has.
    pub(super) fn place_to_watch(&mut self) -> u32 {
        let free = self.spectators.iter().position(Option::is_none);
        let number = free.unwrap_or_else(|| {
            self.spectators.push(None);
            self.spectators.len() - 1
        });
        number as u32
    }

    /// What the seat of somebody who leaves becomes.
    pub(super) fn left_behind(&self, who: &Who, keeps: bool) -> Chair {
        match keeps && self.is_playing() {
            true => Chair::Abandoned(who.clone()),
            false => Chair::Open,
        }
    }
}
