//! The bytes of ggzdmod, interface 6:0:0. Source: seed 002, `docs/ggz.md`.

use crate::lobby::wire::terms::Seat;

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
        use crate::lobby::wire::terms::SeatKind;
        match self {
            Self::Seat { seat, .. } => seat.kind == SeatKind::Player,
            Self::Spectator { name, .. } => name.is_some(),
            _ => false,
        }
    }
}

/// Game to lobby.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromGame {
    /// 0: a line for the log.
    Log(String),
    /// 1: how the game is.
    State(GameState),
    /// 2: so many seats are wanted.
    NumSeats(u32),
    /// 3: whoever has this name has to leave.
    Boot(String),
    /// 4: an open seat becomes a bot's.
    Bot(u32),
    /// 5: a bot's or reserved seat becomes open.
    Open(u32),
    /// 6: how the match ended, or stands.
    Report(Vec<Score>),
    /// 7: the game has been saved in this file, relative to its data folder.
    Savegame(String),
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

/// How somebody did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Score {
    /// Who; unnamed bots have none.
    pub name: Option<String>,
    /// What their seat is: player, bot or abandoned.
    pub seat: crate::lobby::wire::terms::SeatKind,
    /// Their team; none: they are one of their own.
    pub team: Option<u32>,
    /// How.
    pub result: Outcome,
    /// Points.
    pub score: i32,
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
