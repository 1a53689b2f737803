//! The state of one table: who sits where, what is being played, and who may do what. Pure: inputs in, effects out.
//!
//! ```text
//!             all seats taken, all ready            mate, resigned, agreed, claimed
//!  Waiting ─────────────────────────────► Playing ─────────────────────────────────► Over
//!                                            ▲      report, saved game removed         │ `again` by all:
//!                                            └─────────────────────────────────────────┘ the next seat begins
//! ```
//!
//! - To the lobby `Over` is waiting, too: there players come and go without leaving anything behind.
//! - Who leaves while it is played leaves their seat abandoned, and the match waits for them. The lobby may open the seat
//!   or give it to a bot; whoever has it then goes on in their place.
//! - Who stays may claim the match when somebody has been away for [`PATIENCE`]: the absent forfeit it. Resigning is an
//!   ordinary loss.
//! - A table of bots alone plays one match, and is done.

mod seats;
mod words;

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{
    rules::{Ending, Rules},
    save::Saved,
    search::Strength,
    wire::{Complaint, Finish, Say, Status, Told},
};
use crate::lobby::{
    dmod::wire::{GameState, Outcome, Score},
    wire::terms::{Seat, SeatKind},
};

/// How long somebody may be away before their match can be claimed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// People who may watch: as many as the lobby lets in. With the seats their threads stay far below what a game may have.
pub(crate) const SPECTATORS: usize = 32;

/// A player's connection; never used again.
pub(crate) type Link = u64;

/// Where somebody is at a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// At this seat.
    Seat(usize),
    /// Watching, as this number.
    Spectator(u32),
}

/// What happens to a table.
#[derive(Debug, Clone)]
pub(crate) enum Input<M> {
    /// The lobby says what a seat is now. A player comes with a connection.
    Seat {
        number: usize,
        seat: Seat,
        link: Option<Link>,
    },
    /// The lobby says who watches as this number now.
    Spectator {
        number: u32,
        who: Option<(String, Link)>,
    },
    /// The lobby says that somebody has changed places, with their connection.
    Reseat { from: Place, to: Place },
    /// A line came over a connection.
    Said {
        link: Link,
        say: Result<Say, Complaint>,
    },
    /// A connection has ended.
    Hung(Link),
    /// The computer has found its move.
    Thought { serial: u64, mv: M },
}

/// What a table wants done, in this order.
#[derive(Debug, Clone)]
pub(crate) enum Effect<R> {
    /// Tell the lobby how it is.
    State(GameState),
    /// Tell the lobby how the match ended.
    Report(Vec<Score>),
    /// Ask the lobby to remove somebody.
    Boot(String),
    /// Tell the lobby's log.
    Log(String),
    /// Tell a client.
    Tell(Link, Told),
    /// End a connection, after what it has been told.
    Close(Link),
    /// Find a move.
    Think {
        serial: u64,
        position: R,
        strength: Strength,
    },
    /// Write the match down.
    Save(Saved),
    /// What was written down is of no use any more.
    Forget,
    /// Nothing comes after this.
    End,
}

/// Why a table cannot be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// The rules want another number of players.
    #[error("{game} is for {from} to {to} players, not {seats}")]
    Seats {
        game: &'static str,
        from: usize,
        to: usize,
        seats: usize,
    },
    /// The saved match has other seats.
    #[error("the saved game has {saved} seats, and the table {seats}")]
    OtherSeats { saved: usize, seats: usize },
    /// The saved match breaks the rules.
    #[error("move {number} of the saved game: {reason}")]
    Moves { number: usize, reason: String },
    /// Nobody had begun.
    #[error("the saved game was begun by seat {0}, which it does not have")]
    First(usize),
    /// There is nothing left to play.
    #[error("the saved game is over")]
    Over,
}

#[derive(Debug, Clone)]
struct Chair {
    kind: SeatKind,
    name: Option<String>,
    link: Option<Link>,
    /// Wants the next match.
    ready: bool,
    /// Since when there is a player, but no connection.
    away: Option<Instant>,
    /// Who has this seat in a match that was saved, until it goes on.
    bound: Option<String>,
}

impl Chair {
    fn taken(&self) -> bool {
        match self.kind {
            SeatKind::Bot => true,
            SeatKind::Player => self.link.is_some() && self.ready,
            _ => false,
        }
    }
}

/// One table.
#[derive(Debug, Clone)]
pub(crate) struct Table<R: Rules> {
    strength: Strength,
    chairs: Vec<Chair>,
    spectators: BTreeMap<u32, (String, Link)>,
    status: Status,
    /// To be gone on with at the next beginning.
    resumed: bool,
    game: R,
    round: u32,
    /// The seat that is the first player.
    first: usize,
    moves: Vec<String>,
    /// Who offers a draw, and after how many moves somebody last did.
    offer: Option<usize>,
    offered: Option<(usize, usize)>,
    result: Option<(Vec<Finish>, String)>,
    /// Counts up whenever a thought about the position has become worthless.
    serial: u64,
    thinking: Option<u64>,
    ended: bool,
    changed: bool,
    effects: Vec<Effect<R>>,
}

impl<R: Rules> Table<R> {
    /// A table with these seats, and a match to go on with.
    pub(crate) fn new(
        seats: Vec<Seat>,
        strength: Strength,
        saved: Option<&Saved>,
    ) -> Result<Self, Refused> {
        let count = seats.len();
        if !R::PLAYERS.contains(&count) {
            return Err(Refused::Seats {
                game: R::NAME,
                from: *R::PLAYERS.start(),
                to: *R::PLAYERS.end(),
                seats: count,
            });
        }
        let chairs = seats.into_iter().map(|seat| Chair {
            kind: seat.kind,
            name: seat.name,
            link: None,
            ready: false,
            away: None,
            bound: None,
        });
        let mut table = Self {
            strength,
            chairs: chairs.collect(),
            spectators: BTreeMap::new(),
            status: Status::Waiting,
            resumed: false,
            game: R::new(count),
            round: 0,
            first: 0,
            moves: Vec::new(),
            offer: None,
            offered: None,
            result: None,
            serial: 0,
            thinking: None,
            ended: false,
            changed: false,
            effects: Vec::new(),
        };
        if let Some(saved) = saved {
            table.resume(saved)?;
        }
        Ok(table)
    }

    fn resume(&mut self, saved: &Saved) -> Result<(), Refused> {
        let seats = self.chairs.len();
        if saved.seats.len() != seats {
            return Err(Refused::OtherSeats {
                saved: saved.seats.len(),
                seats,
            });
        }
        if saved.first >= seats {
            return Err(Refused::First(saved.first));
        }
        for (at, text) in saved.moves.iter().enumerate() {
            let mv = self.game.parse(text).map_err(|reason| Refused::Moves {
                number: at + 1,
                reason: reason.to_string(),
            })?;
            self.moves.push(self.game.write(mv));
            self.game.play(mv);
        }
        if self.game.ending().is_some() {
            return Err(Refused::Over);
        }
        for (chair, seat) in self.chairs.iter_mut().zip(&saved.seats) {
            if seat.kind != SeatKind::Bot {
                chair.bound.clone_from(&seat.name);
            }
        }
        (self.round, self.first, self.resumed) = (saved.round, saved.first, true);
        Ok(())
    }

    /// What is to be done once it stands. To be called once, before anything else.
    pub(crate) fn open(&mut self) -> Vec<Effect<R>> {
        self.effects.push(Effect::State(GameState::Waiting));
        self.settle();
        std::mem::take(&mut self.effects)
    }

    /// What follows from something that happened.
    pub(crate) fn apply(&mut self, now: Instant, input: Input<R::Move>) -> Vec<Effect<R>> {
        if self.ended {
            return Vec::new();
        }
        match input {
            Input::Seat { number, seat, link } => self.seat(now, number, seat, link),
            Input::Spectator { number, who } => self.spectator(number, who),
            Input::Reseat { from, to } => self.reseat(now, from, to),
            Input::Hung(link) => self.hung(now, link),
            Input::Thought { serial, mv } => {
                if self.status == Status::Playing
                    && self.thinking == Some(serial)
                    && serial == self.serial
                {
                    self.play(mv);
                }
            }
            Input::Said { link, say } => {
                if let Some(place) = self.place(link)
                    && let Err(complaint) = say.and_then(|say| self.said(now, place, say))
                {
                    self.effects
                        .push(Effect::Tell(link, Told::Complaint(complaint)));
                }
            }
        }
        self.settle();
        std::mem::take(&mut self.effects)
    }

    /// Begins what can begin, sets the computer to work, and tells everybody what has changed.
    fn settle(&mut self) {
        if self.status != Status::Playing && !self.ended && self.chairs.iter().all(Chair::taken) {
            self.begin();
        }
        self.think();
        if std::mem::take(&mut self.changed) {
            let told: Vec<_> = self
                .links()
                .map(|(link, you)| Effect::Tell(link, Told::State(Box::new(self.state(you)))))
                .collect();
            // A connection is told before it is closed, and an end comes last.
            let last = matches!(self.effects.last(), Some(Effect::End)).then(|| self.effects.pop());
            self.effects.extend(told);
            self.effects.extend(last.flatten());
        }
    }

    fn begin(&mut self) {
        if !std::mem::take(&mut self.resumed) {
            if self.round > 0 {
                self.first = (self.first + 1) % self.chairs.len();
            }
            self.round += 1;
            self.game = R::new(self.chairs.len());
            self.moves.clear();
        }
        for chair in &mut self.chairs {
            chair.ready = false;
            chair.bound = None;
        }
        (self.offer, self.offered, self.result) = (None, None, None);
        self.status = Status::Playing;
        self.serial += 1;
        self.changed = true;
        self.effects.push(Effect::State(GameState::Playing));
        self.save();
    }

    fn think(&mut self) {
        let seat = self.at(self.game.turn());
        if self.status == Status::Playing
            && self.chairs[seat].kind == SeatKind::Bot
            && self.thinking != Some(self.serial)
        {
            self.thinking = Some(self.serial);
            self.effects.push(Effect::Think {
                serial: self.serial,
                position: self.game.clone(),
                strength: self.strength(seat),
            });
        }
    }

    fn play(&mut self, mv: R::Move) {
        let mover = self.at(self.game.turn());
        self.moves.push(self.game.write(mv));
        self.game.play(mv);
        self.serial += 1;
        self.changed = true;
        // Whoever moves does not want the other's draw.
        self.offer = self.offer.filter(|offerer| *offerer == mover);
        match self.game.ending() {
            Some(ending) => self.finish(|table, seat| table.outcome(ending, seat), ending.reason),
            None => self.save(),
        }
    }

    fn outcome(&self, ending: Ending, seat: usize) -> Outcome {
        match ending.of(self.side(seat)) {
            1 => Outcome::Win,
            0 => Outcome::Tie,
            _ => Outcome::Loss,
        }
    }

    /// Ends the match, once.
    fn finish(&mut self, outcome: impl Fn(&Self, usize) -> Outcome, reason: impl Into<String>) {
        let seats = 0..self.chairs.len();
        let result: Vec<_> = seats
            .map(|seat| Finish {
                seat,
                outcome: outcome(self, seat),
            })
            .collect();
        let reported = result.iter().filter_map(|finish| {
            let chair = &self.chairs[finish.seat];
            let counts = matches!(
                chair.kind,
                SeatKind::Player | SeatKind::Bot | SeatKind::Abandoned
            );
            counts.then(|| Score {
                name: chair.name.clone(),
                seat: chair.kind,
                team: None,
                result: finish.outcome,
                score: self.game.points(self.side(finish.seat)).unwrap_or(0),
            })
        });
        let report = reported.collect();
        self.effects.push(Effect::Report(report));
        self.effects.push(Effect::Forget);
        self.result = Some((result, reason.into()));
        self.status = Status::Over;
        self.offer = None;
        self.serial += 1;
        self.changed = true;
        if self.chairs.iter().all(|chair| chair.kind == SeatKind::Bot) {
            self.end();
            return;
        }
        for chair in &mut self.chairs {
            if chair.kind == SeatKind::Abandoned {
                // Nothing is kept for them any more; the lobby says the same when it hears that nothing is played.
                *chair = Chair {
                    kind: SeatKind::Open,
                    name: None,
                    ..chair.clone()
                };
                chair.away = None;
            }
        }
        self.effects.push(Effect::State(GameState::Waiting));
    }

    fn end(&mut self) {
        self.ended = true;
        self.effects.push(Effect::State(GameState::Done));
        self.effects.push(Effect::End);
    }

    fn save(&mut self) {
        // Bots among themselves have nobody who would come back.
        if self.chairs.iter().any(|chair| chair.kind != SeatKind::Bot) {
            let seats = self.chairs.iter().map(|chair| Seat {
                kind: chair.kind,
                name: chair.name.clone(),
            });
            let saved = Saved::new(
                R::NAME,
                self.round,
                self.first,
                seats.collect(),
                self.moves.clone(),
            );
            self.effects.push(Effect::Save(saved));
        }
    }
}
