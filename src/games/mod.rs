//! Table games that ship with the box: each a program of its own that speaks ggzdmod, started as `longhouse game NAME`.
//!
//! Owns the rules of tic-tac-toe, connect four, reversi, dots and chess, a computer player for each, and one table.
//! Refuses to know anything of rooms, people and ratings: those are the lobby's. What a client speaks is in
//! `docs/table-games.md`. Answers seed 002.
//!
//! ```text
//!  lobby ══ ggzdmod, fd 3 ══► serve ──► table: who sits where, what may be done ──► rules
//!  players ══ JSON lines ═══►   │ ▲        pure                                      ▲
//!                               ▼ │                                                  │
//!                            thinker ──► search ─────────────────────────────────────┘
//! ```
//!
//! | file | what |
//! |---|---|
//! | `rules` | what every game is; `tictactoe`, `connectfour`, `reversi`, `dots`, `chess`: the five |
//! | `search` | the computer player, for all of them; `dice` is its chance |
//! | `table` | one table as a pure state |
//! | `wire` | the lines between a table and a client, for both ends |
//! | `save` | a match in a file |
//! | `serve`, `peers` | the rim: threads, sockets, files |

mod chess;
mod connectfour;
mod dice;
mod dots;
mod peers;
mod reversi;
mod rules;
mod save;
mod search;
mod serve;
mod table;
#[cfg(test)]
mod tests;
mod tictactoe;
pub(crate) mod wire;

use std::{
    env,
    ffi::{OsStr, OsString},
    os::fd::{OwnedFd, RawFd},
    path::Path,
    process::ExitCode,
};

use self::{
    rules::Rules as _,
    search::{NoStrength, Strength},
    serve::ServeError,
};
use crate::sandbox::{passing, process};

/// The games, as `longhouse game NAME` calls them.
pub(crate) const NAMES: [&str; 5] = [
    tictactoe::TicTacToe::NAME,
    connectfour::ConnectFour::NAME,
    reversi::Reversi::NAME,
    dots::Dots::NAME,
    chess::Chess::NAME,
];

/// Why a game is not served.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error(
        "`longhouse game {0}` serves one table and is started by the lobby, not by hand (GGZMODE is not \"true\")"
    )]
    ByHand(&'static str),
    #[error("GGZSOCKET is {0:?}, and not the number of a descriptor")]
    Socket(OsString),
    #[error("descriptor {number} from the lobby: {source}")]
    Descriptor {
        number: RawFd,
        source: std::io::Error,
    },
    #[error("{0:?} means nothing here; there is only --strength easy, medium or hard")]
    Argument(OsString),
    #[error(transparent)]
    Strength(#[from] NoStrength),
    #[error(transparent)]
    Serve(#[from] ServeError),
}

impl StartError {
    /// 2: it was called wrongly; 1: it did not go well.
    fn exit(&self) -> u8 {
        match self {
            Self::Serve(_) => 1,
            _ => 2,
        }
    }

    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::ByHand(_) => Some(
                "`longhouse serve` runs the lobby; `longhouse play` joins a table there, and so does any GGZ client",
            ),
            _ => None,
        }
    }
}

/// Serves a table of this game over the descriptor that the lobby left; none when there is no such game.
pub(crate) fn main(name: &OsStr, arguments: &[OsString]) -> Option<ExitCode> {
    let name = NAMES.into_iter().find(|known| name == *known)?;
    // A bug ends this table at once, and nothing else; the lobby sees it.
    std::panic::set_hook(Box::new(|panic| {
        eprintln!("bug in longhouse {}: {panic}", env!("CARGO_PKG_VERSION"));
        std::process::abort();
    }));
    Some(match start(name, arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            if let Some(hint) = error.hint() {
                eprintln!("hint: {hint}");
            }
            ExitCode::from(error.exit())
        }
    })
}

fn start(name: &'static str, arguments: &[OsString]) -> Result<(), StartError> {
    if env::var_os("GGZMODE").is_none_or(|mode| mode != "true") {
        return Err(StartError::ByHand(name));
    }
    let strength = strength(arguments)?;
    process::stay_small();
    let link = link()?;
    let folder = Path::new(".");
    let serve = match name {
        tictactoe::TicTacToe::NAME => serve::run::<tictactoe::TicTacToe>,
        connectfour::ConnectFour::NAME => serve::run::<connectfour::ConnectFour>,
        reversi::Reversi::NAME => serve::run::<reversi::Reversi>,
        dots::Dots::NAME => serve::run::<dots::Dots>,
        _ => serve::run::<chess::Chess>,
    };
    Ok(serve(link, strength, folder)?)
}

/// How well unnamed bots play.
fn strength(arguments: &[OsString]) -> Result<Strength, StartError> {
    let text = |word: &OsString| {
        word.to_str()
            .map(str::to_owned)
            .ok_or_else(|| StartError::Argument(word.clone()))
    };
    match arguments {
        [] => Ok(Strength::default()),
        [flag, word] if flag == "--strength" => Ok(text(word)?.parse()?),
        [one] => match text(one)?.strip_prefix("--strength=") {
            Some(word) => Ok(word.parse()?),
            None => Err(StartError::Argument(one.clone())),
        },
        [.., last] => Err(StartError::Argument(last.clone())),
    }
}

/// The lobby's link.
fn link() -> Result<OwnedFd, StartError> {
    let number = match env::var_os("GGZSOCKET") {
        None => 3,
        Some(text) => match text.to_str().and_then(|text| text.parse().ok()) {
            Some(number) if number > 2 => number,
            _ => return Err(StartError::Socket(text)),
        },
    };
    passing::inherited(number).map_err(|source| StartError::Descriptor { number, source })
}
