//! The bytes of ggzdmod, interface 6:0:0. Pure: bytes in, values out. Source: seed 002; for authors: `docs/ggzdmod.md`.
//!
//! ```text
//!  lobby to game                                      game to lobby
//!  0 launch     game | savegame | seats: int |        0 log        text
//!               spectators: int | per seat: kind |    1 state      one byte
//!               name, of bots and reserved seats      2 num seats  int
//!  1 seat       number | kind | name      [+ fd]      3 boot       name
//!  2 spectator  number | name             [+ fd]      4 bot        seat: int
//!  3 reseat     from | was spectator |                5 open       seat: int
//!               to | is spectator                     6 report     count | each: name | kind | team |
//!  4 state      -                                                  result | score
//!                                                     7 savegame   file name
//! ```
//!
//! Each begins with its number, an int. `[+ fd]`: one more byte follows, sent by a `sendmsg` of its own, and a
//! descriptor with it ([`ToGame::carries`]). It is not part of the message here.

use super::framer::{Input, Stop, cut, private::Read, put_int, put_number, put_text};
use crate::lobby::wire::terms::{Seat, SeatKind};

pub use super::framer::{DecodeError, Decoder, Framer};

/// Bytes of a line for the log, with its NUL.
pub const LOG: usize = 4096;
/// Bytes of a person's, bot's or game's name, with its NUL.
pub const NAME: usize = 256;
/// Bytes of a saved game's file name, with its NUL.
pub const FILE: usize = 256;
/// Seats of a table.
pub const SEATS: u32 = 32;
/// People in one report.
pub const REPORTED: u32 = 64;

/// Lobby to game.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToGame {
    /// 0: the first message. Seats are open, bot or reserved.
    Launch {
        /// The name of the definition's file.
        game: String,
        /// What to go on with; empty: a new game.
        savegame: String,
        /// By number.
        seats: Vec<Seat>,
        /// Room for spectators at the start; the list grows on demand.
        spectators: u32,
    },
    /// 1: what a seat is now. One that becomes a player's carries their connection.
    Seat {
        /// Which, from 0.
        number: u32,
        /// What and whose.
        seat: Seat,
    },
    /// 2: who watches as this number now, with their connection; none: nobody any more.
    Spectator {
        /// Which, from 0.
        number: u32,
        /// Who.
        name: Option<String>,
    },
    /// 3: somebody changed places and keeps their connection.
    Reseat {
        /// Where they were.
        from: u32,
        /// As a spectator.
        was_spectator: bool,
        /// Where they are.
        to: u32,
        /// As a spectator.
        is_spectator: bool,
    },
    /// 4: the answer to every [`FromGame::State`].
    State,
}

impl ToGame {
    /// Whether a descriptor follows the message.
    pub fn carries(&self) -> bool {
        match self {
            Self::Seat { seat, .. } => seat.kind == SeatKind::Player,
            Self::Spectator { name, .. } => name.is_some(),
            _ => false,
        }
    }

    /// As it is sent; a descriptor that follows rides on its own byte.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Launch {
                game,
                savegame,
                seats,
                spectators,
            } => {
                put_int(out, 0);
                put_text(out, game);
                put_text(out, savegame);
                put_number(out, u32::try_from(seats.len()).unwrap_or(u32::MAX));
                put_number(out, *spectators);
                for seat in seats {
                    put_int(out, seat.kind as i32);
                    if matches!(seat.kind, SeatKind::Bot | SeatKind::Reserved) {
                        put_text(out, seat.name.as_deref().unwrap_or_default());
                    }
                }
            }
            Self::Seat { number, seat } => {
                put_int(out, 1);
                put_number(out, *number);
                put_int(out, seat.kind as i32);
                put_text(out, seat.name.as_deref().unwrap_or_default());
            }
            Self::Spectator { number, name } => {
                put_int(out, 2);
                put_number(out, *number);
                put_text(out, name.as_deref().unwrap_or_default());
            }
            Self::Reseat {
                from,
                was_spectator,
                to,
                is_spectator,
            } => {
                put_int(out, 3);
                put_number(out, *from);
                put_int(out, i32::from(*was_spectator));
                put_number(out, *to);
                put_int(out, i32::from(*is_spectator));
            }
            Self::State => put_int(out, 4),
        }
    }
}

impl Read for ToGame {
    fn read(input: &mut Input<'_>) -> Result<Self, Stop> {
        const ANY: u32 = i32::MAX as u32;
        Ok(match input.int()? {
            0 => {
                let game = input.text("the name of a game", NAME)?;
                let savegame = input.text("the name of a saved game", FILE)?;
                let count = input.number("the number of seats", SEATS)?;
                let spectators = input.number("the number of spectators", ANY)?;
                let seat = |_| {
                    let kind = input.one_of("a seat at launch", |number| {
                        use SeatKind::*;
                        seat_kind(number).filter(|kind| matches!(kind, Open | Bot | Reserved))
                    })?;
                    let name = match kind {
                        SeatKind::Open => None,
                        _ => input.name("the name at a seat", NAME)?,
                    };
                    Ok(Seat { kind, name })
                };
                Self::Launch {
                    game,
                    savegame,
                    seats: (0..count).map(seat).collect::<Result<_, Stop>>()?,
                    spectators,
                }
            }
            1 => Self::Seat {
                number: input.number("a seat", SEATS - 1)?,
                seat: Seat {
                    kind: input.one_of("the kind of a seat", seat_kind)?,
                    name: input.name("the name at a seat", NAME)?,
                },
            },
            2 => Self::Spectator {
                number: input.number("a spectator", ANY)?,
                name: input.name("the name of a spectator", NAME)?,
            },
            3 => Self::Reseat {
                from: input.number("a seat", ANY)?,
                was_spectator: input.int()? != 0,
                to: input.number("a seat", ANY)?,
                is_spectator: input.int()? != 0,
            },
            4 => Self::State,
            other => return Err(DecodeError::Opcode(other).into()),
        })
    }
}

fn seat_kind(number: i32) -> Option<SeatKind> {
    use SeatKind::*;
    let all = [None, Open, Bot, Player, Reserved, Abandoned];
    all.into_iter().find(|&kind| kind as i32 == number)
}

/// Game to lobby.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromGame {
    /// 0: a line for the log.
    Log(String),
    /// 1: how the game is.
    State(GameState),
    /// 2: so many seats are wanted. This and the numbers of seats are whatever the game says.
    NumSeats(i32),
    /// 3: whoever has this name has to leave.
    Boot(String),
    /// 4: an open seat becomes a bot's.
    Bot(i32),
    /// 5: a bot's or reserved seat becomes open.
    Open(i32),
    /// 6: how the match ended, or stands.
    Report(Vec<Score>),
    /// 7: the game has been saved in this file, relative to its data folder.
    Savegame(String),
}

impl FromGame {
    /// As it is sent. A line for the log is cut to what the lobby takes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Log(text) => {
                put_int(out, 0);
                put_text(out, cut(text, LOG - 1));
            }
            Self::State(state) => {
                put_int(out, 1);
                out.push(*state as u8);
            }
            Self::NumSeats(count) => {
                put_int(out, 2);
                put_int(out, *count);
            }
            Self::Boot(name) => {
                put_int(out, 3);
                put_text(out, name);
            }
            Self::Bot(seat) => {
                put_int(out, 4);
                put_int(out, *seat);
            }
            Self::Open(seat) => {
                put_int(out, 5);
                put_int(out, *seat);
            }
            Self::Report(scores) => {
                put_int(out, 6);
                put_number(out, u32::try_from(scores.len()).unwrap_or(u32::MAX));
                for score in scores {
                    put_text(out, score.name.as_deref().unwrap_or_default());
                    put_int(out, score.seat as i32);
                    match score.team {
                        Some(team) => put_number(out, team),
                        None => put_int(out, -1),
                    }
                    put_int(out, score.result as i32);
                    put_int(out, score.score);
                }
            }
            Self::Savegame(file) => {
                put_int(out, 7);
                put_text(out, file);
            }
        }
    }
}

impl Read for FromGame {
    fn read(input: &mut Input<'_>) -> Result<Self, Stop> {
        Ok(match input.int()? {
            0 => Self::Log(input.prose("a line for the log", LOG)?),
            1 => {
                let number = input.char()?;
                Self::State(GameState::of(number).ok_or(DecodeError::Number {
                    what: "the state of a game",
                    number: number.into(),
                })?)
            }
            2 => Self::NumSeats(input.int()?),
            3 => Self::Boot(input.text("the name of who has to leave", NAME)?),
            4 => Self::Bot(input.int()?),
            5 => Self::Open(input.int()?),
            6 => {
                let count = input.number("the number of people in a report", REPORTED)?;
                let scores = (0..count).map(|_| Score::read(input));
                Self::Report(scores.collect::<Result<_, _>>()?)
            }
            7 => Self::Savegame(input.text("the name of a saved game", FILE)?),
            other => return Err(DecodeError::Opcode(other).into()),
        })
    }
}

/// How a game is. The numbers are the wire's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GameState {
    /// It has not begun.
    Created = 0,
    /// For players.
    Waiting = 1,
    /// It is being played.
    Playing = 2,
    /// It is over.
    Done = 3,
}

impl GameState {
    fn of(number: u8) -> Option<Self> {
        let all = [Self::Created, Self::Waiting, Self::Playing, Self::Done];
        all.into_iter().find(|&state| state as u8 == number)
    }
}

/// How somebody did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Score {
    /// Who; unnamed bots have none.
    pub name: Option<String>,
    /// What their seat is: player, bot or abandoned.
    pub seat: SeatKind,
    /// Their team; none: they are one of their own.
    pub team: Option<u32>,
    /// How.
    pub result: Outcome,
    /// Points.
    pub score: i32,
}

impl Score {
    fn read(input: &mut Input<'_>) -> Result<Self, Stop> {
        Ok(Self {
            name: input.name("a name in a report", NAME)?,
            seat: input.one_of("a seat in a report", |number| {
                use SeatKind::*;
                seat_kind(number).filter(|kind| matches!(kind, Player | Bot | Abandoned))
            })?,
            team: input.one_of("a team", |number| match number {
                -1 => Some(None),
                team => Some(Some(u32::try_from(team).ok()?)),
            })?,
            result: input.one_of("a result", Outcome::of)?,
            score: input.int()?,
        })
    }
}

/// How a match ended for somebody. The numbers are the wire's.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Won.
    Win = 0,
    /// Lost.
    Loss = 1,
    /// Neither.
    Tie = 2,
    /// Gave up.
    Forfeit = 3,
    /// Does not count.
    None = 4,
}

impl Outcome {
    fn of(number: i32) -> Option<Self> {
        let all = [Self::Win, Self::Loss, Self::Tie, Self::Forfeit, Self::None];
        all.into_iter().find(|&outcome| outcome as i32 == number)
    }
}
