//! Why nothing is played, or not any more.

use std::{io, path::PathBuf, time::Duration};

use super::{super::text, trust::Fingerprint};
use crate::lobby::wire::{
    push_read::PushError,
    terms::{Action, Code, LeaveReason},
    xml::XmlError,
};

/// Why nothing is played, or not any more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlayError {
    /// The state folder does not say where a lobby is.
    #[error("no box has run in {}", .0.display())]
    NoBox(PathBuf),
    /// Nobody listens there.
    #[error("no lobby answers at {}: {source}", text::plain(address))]
    NoLobby { address: String, source: io::Error },
    /// It lets nobody in.
    #[error("the lobby at {} is full", text::plain(.0))]
    Full(String),
    /// It offers no TLS, and there is a password to be said.
    #[error("the lobby at {} offers no TLS: the password would go over the network in clear", text::plain(.0))]
    Clear(String),
    /// It offers no TLS any more.
    #[error("the lobby at {} offers no TLS, and did so before", text::plain(.0))]
    Uncovered(String),
    /// No TLS came about.
    #[error("no TLS with the lobby: {0}")]
    Tls(io::Error),
    /// Something was said in clear that would count within TLS.
    #[error("the lobby went on in clear after its greeting, where TLS was to begin")]
    Early,
    /// It shows another authority than before.
    #[error(
        "the lobby at {} is not who it was: it shows {shown}, and is known as {known}",
        text::plain(address)
    )]
    Changed {
        address: String,
        known: Fingerprint,
        shown: Fingerprint,
        file: Option<PathBuf>,
    },
    /// What was remembered cannot be read.
    #[error("{}: {source}", file.display())]
    Forgotten { file: PathBuf, source: io::Error },
    /// The connection broke.
    #[error("the connection to the lobby broke: {0}")]
    Broke(#[from] io::Error),
    /// The lobby has said the last word.
    #[error("the lobby has ended the session")]
    Dismissed,
    /// The lobby does not answer.
    #[error("the lobby did not answer within {} s", .0.as_secs())]
    Silent(Duration),
    /// What it says is no XML.
    #[error("the lobby said {0}")]
    Xml(#[from] XmlError),
    /// What it says makes no sense.
    #[error("the lobby said {}", text::plain(&.0.to_string()))]
    Push(#[from] PushError),
    /// What the game says makes no sense.
    #[error("the game said what makes no sense here: {0}")]
    Garbage(String),
    /// They are not let in.
    #[error("the lobby does not let `{}` in: {code}", text::plain(name))]
    Login { name: String, code: Code },
    /// A request was answered with no.
    #[error("{}: {code}", doing(*action))]
    Refused { action: Action, code: Code },
    /// There is no such game.
    #[error("no game `{}` can be played here", text::plain(.0))]
    NoGame(String),
    /// It is played in no room, or not in that one.
    #[error("{} is not played in {}", text::plain(game), match room {
        Some(room) => format!("room {room}"),
        None => "any room".into(),
    })]
    NoRoom { game: String, room: Option<u32> },
    /// No bot of the game plays like that.
    #[error("{} has no {strength} computer player", text::plain(game))]
    NoBot { game: String, strength: String },
    /// There is no such table, or not any more.
    #[error("no table {0} is in that room")]
    NoTable(u32),
    /// Coming back took too long.
    #[error("could not come back within {} s: {last}", .after.as_secs())]
    Away {
        after: Duration,
        last: Box<PlayError>,
    },
    /// Somebody has removed them.
    #[error("you were removed from the table{}", by.as_ref().map_or(String::new(), |by| format!(" by {}", text::plain(by))))]
    Booted { by: Option<String> },
    /// The table is gone.
    #[error("the table has ended{}", match .0 { LeaveReason::GameError => ": the game failed", _ => "" })]
    TableEnded(LeaveReason),
    /// The input ended in mid-game.
    #[error("the input ended, and it is your turn")]
    Unfinished(String),
}

impl PlayError {
    /// 3: there is no lobby; 1: it said no.
    pub(crate) fn exit(&self) -> u8 {
        match self {
            Self::NoBox(_) | Self::NoLobby { .. } => 3,
            _ => 1,
        }
    }

    pub(crate) fn hint(&self) -> Option<String> {
        use Code::*;
        let hint = match self {
            Self::NoBox(state) => {
                let state = state.display();
                return Some(format!(
                    "start it with `longhouse --state {state} serve`, or name another lobby with --server HOST:PORT"
                ));
            }
            Self::Changed { address, file, .. } => {
                let address = text::plain(address);
                let line = match file {
                    Some(file) => format!(", delete the line `{address}` of {}", file.display()),
                    None => ", start again".into(),
                };
                return Some(format!(
                    "if the box was set up anew{line}; else somebody else answers in its place. Your name and password were not said"
                ));
            }
            Self::Clear(_) => "--plain sends it all the same; on the box itself leave --server out",
            Self::Uncovered(_) => {
                "somebody on the way may want to listen. Your name was not said; --plain says it all the same, if whoever runs the box has switched TLS off"
            }
            Self::Tls(_) => "are the clocks of both machines right? --plain does without TLS",
            Self::Early => {
                "somebody on the way may have put words into its mouth. Your name and password were not said; try again, or over another network"
            }
            Self::Forgotten { .. } => {
                "whom it was before cannot be said until this file can be read"
            }
            Self::NoLobby { .. } => "is the box running? --server HOST:PORT names another",
            Self::Login { code, .. } => match code {
                AlreadyLoggedIn => {
                    "somebody of that name is here; choose another with --as NAME. A connection of yours that broke ends by itself in a while"
                }
                WrongLoginType => {
                    "it is an account's name, or guests are not let in: --as NAME --password-stdin logs an account in"
                }
                UsrLookup => "the password is wrong, or the account is not confirmed or disabled",
                NoPermission => "they are banned here, or may not come in; ask who runs the box",
                UserNotFound => "leave --password-stdin out to be a guest",
                BadUsername | TooLong => "a name has 1 to 16 letters, digits and signs, no blanks",
                _ => return None,
            },
            Self::NoGame(_) | Self::NoTable(_) => "`longhouse play` lists the games and tables",
            Self::NoRoom { .. } => "leave --room out, or see `longhouse play`",
            Self::NoBot { .. } => "play with --against person",
            Self::Refused { code, .. } => match code {
                TableFull => "--watch N watches it",
                RoomFull => "try again when somebody has left",
                _ => return None,
            },
            Self::Unfinished(way) => return Some(format!("the match waits for you: {way}")),
            _ => return None,
        };
        Some(hint.into())
    }

    /// Whether another name may do.
    pub(super) fn is_about_the_name(&self) -> bool {
        use Code::{AlreadyLoggedIn, BadUsername, UsernameTaken, WrongLoginType};
        let about = [AlreadyLoggedIn, BadUsername, UsernameTaken, WrongLoginType];
        matches!(self, Self::Login { code, .. } if about.contains(code))
    }

    /// Whether a box that has just been started may still take up the match.
    pub(super) fn settles(&self) -> bool {
        let full = Code::TableFull;
        matches!(self, Self::NoTable(_))
            || matches!(self, Self::Refused { code, .. } if *code == full)
    }

    /// Whether the same may well succeed in a moment, for somebody whose connection broke.
    pub(super) fn passes(&self) -> bool {
        let here = Code::AlreadyLoggedIn; // the lobby has not noticed yet
        match self {
            Self::NoLobby { .. } | Self::Broke(_) | Self::Silent(_) | Self::Full(_) => true,
            Self::Login { code, .. } => *code == here,
            _ => false,
        }
    }
}

/// What was refused, in words.
fn doing(action: Action) -> &'static str {
    match action {
        Action::Enter => "the room cannot be entered",
        Action::Launch => "no new table",
        Action::Join => "no seat at that table",
        Action::Channel => "the lobby does not take the game's connection",
        Action::List => "the lobby does not tell what it has",
        Action::Chat => "not said",
        _ => "the lobby says no",
    }
}
