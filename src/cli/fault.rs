//! Why a verb ends without success: in words, with a hint where there is one, and as an exit code.

use std::{io, path::PathBuf, time::Duration};

use serde::Deserialize;

use super::{play::PlayError, text};
use crate::store::{BackupError, LockError};

/// What the API says when it refuses (RFC 9457).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Problem {
    /// The HTTP status.
    #[serde(default)]
    pub(crate) status: u16,
    /// Stable, for programs.
    #[serde(default)]
    pub(crate) code: String,
    /// In words.
    #[serde(default)]
    pub(crate) detail: String,
    /// The kind of problem in words, when there is no detail.
    #[serde(default)]
    title: String,
    /// What to do.
    pub(crate) hint: Option<String>,
}

impl Problem {
    /// As messages are written here: lower case, without a full stop, on one line.
    fn sentence(&self) -> String {
        let said = [&self.detail, &self.title]
            .into_iter()
            .find(|text| !text.is_empty());
        match said {
            Some(said) => sentence(said),
            None => format!("the daemon says no (HTTP {})", self.status),
        }
    }
}

/// Why a verb ended without success.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    /// Nobody listens there.
    #[error("no daemon answers at {}", .0.display())]
    NoDaemon(PathBuf),
    /// The control socket is another user's.
    #[error("{} may be used only by root and the user whom the daemon runs as", .0.display())]
    Denied(PathBuf),
    /// It cannot be connected to for another reason.
    #[error("{}: {source}", .socket.display())]
    Unreachable { socket: PathBuf, source: io::Error },
    /// The daemon went away while it answered.
    #[error("the daemon closed the connection in the middle of its answer")]
    Cut,
    /// The daemon did not answer.
    #[error("the daemon did not answer within {} s", .0.as_secs())]
    Silent(Duration),
    /// The daemon answered something else than this release expects.
    #[error("the daemon's answer makes no sense to this release: {0}")]
    Garbage(String),
    /// The API said no.
    #[error("{}", .0.sentence())]
    Refused(Problem),
    /// No server has that id, name or title.
    #[error("no server `{}`", text::plain(.0))]
    NoServer(String),
    /// A verification found something.
    #[error("something is damaged")]
    Damaged,
    /// Nothing was deleted lately.
    #[error("the bin is empty")]
    EmptyBin,
    /// No voice channel has that id or title.
    #[error("no voice channel `{}`", text::plain(.0))]
    NoChannel(String),
    /// Nobody in the voice channel has that name.
    #[error("nobody in voice channel {channel} is called `{}`", text::plain(.name))]
    NoMember { channel: u64, name: String },
    /// No room of the lobby has that number, name or title.
    #[error("no room `{}`", text::plain(.0))]
    NoRoom(String),
    /// Nothing was saved at that table.
    #[error("nothing was saved at table {table} of room {}", text::plain(.room))]
    NoSaved { room: String, table: u32 },
    /// More than one thing of that kind has that title.
    #[error("several {kind} are called `{}`: {}", text::plain(.title), .names.join(", "))]
    Ambiguous {
        kind: &'static str,
        title: String,
        names: Vec<String>,
    },
    /// No account has that name.
    #[error("no account `{}`", text::plain(.0))]
    NoAccount(String),
    /// The name that was typed to confirm is not the server's.
    #[error("nothing was deleted: that is not the server's name")]
    Unconfirmed,
    /// It must be asked for, and there is no terminal to ask on.
    #[error("{0} must be given: there is no terminal to ask on")]
    NoTerminal(&'static str),
    /// The two passwords that were typed differ.
    #[error("the two passwords differ")]
    Mismatch,
    /// There was no password on standard input.
    #[error("standard input holds no password")]
    NoPassword,
    /// The server ended up otherwise than wished.
    #[error("{name} is {state}{}", .reason.as_ref().map_or(String::new(), |reason| format!(": {}", text::plain(reason))))]
    Settled {
        name: String,
        state: String,
        reason: Option<String>,
    },
    /// A schedule did not get to its end.
    #[error("`{}` {}", text::plain(.name), text::plain(.how))]
    Unfinished { name: String, how: String },
    /// The server did not settle in time.
    #[error("{name} is still {state} after {} s; it goes on without this command", .after.as_secs())]
    Unsettled {
        name: String,
        state: String,
        after: Duration,
    },
    /// Lines were typed, and the console did not show them.
    #[error("the console did not confirm: {}", .0.iter().map(|line| text::plain(line)).collect::<Vec<_>>().join(" | "))]
    Unheard(Vec<String>),
    /// The audit chain is broken.
    #[error("the audit record is not whole: {}", sentence(.0))]
    Tampered(String),
    /// `check` found something; it has been printed.
    #[error("{} found", match .0 { 1 => "1 fault".into(), n => format!("{n} faults") })]
    Faulty(usize),
    /// A backup on a terminal helps nobody.
    #[error("a backup is not fit for a terminal")]
    Terminal,
    /// A file could not be read or written.
    #[error("{}: {source}", .path.display())]
    File { path: PathBuf, source: io::Error },
    /// The terminal or standard input failed.
    #[error("terminal: {0}")]
    Input(io::Error),
    /// The state folder is in use.
    #[error(transparent)]
    Lock(#[from] LockError),
    /// A backup could not be loaded.
    #[error("{}: {source}", .path.display())]
    Restore { path: PathBuf, source: BackupError },
    /// The configuration has these faults.
    #[error("{}", .0.join("\nerror: "))]
    Config(Vec<String>),
    /// The daemon could not start, or ended with an error.
    #[error("{0:#}")]
    Serve(anyhow::Error),
    /// Nothing is played, or not any more.
    #[error(transparent)]
    Play(#[from] PlayError),
    /// Standard output was closed by its reader: fine.
    #[error("standard output was closed")]
    Closed,
    /// Somebody pressed Ctrl-C, or a signal asked to end.
    #[error("interrupted")]
    Interrupted,
}

impl Fault {
    /// 1 no, 2 wrong usage, 3 cannot start, and as shells have it 130 for interrupted.
    pub(crate) fn exit(&self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::Play(error) => error.exit(),
            Self::NoTerminal(_) | Self::Terminal => 2,
            Self::NoDaemon(_)
            | Self::Denied(_)
            | Self::Unreachable { .. }
            | Self::Config(_)
            | Self::Lock(_)
            | Self::Serve(_) => 3,
            Self::Interrupted => 130,
            _ => 1,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Play(error) => return error.hint(),
            Self::Refused(problem) => return problem.hint.as_deref().map(sentence),
            Self::NoDaemon(socket) => {
                let state = socket.parent().unwrap_or(socket).display();
                return Some(format!(
                    "start it with `longhouse --state {state} serve`, or name the state folder of a running one with --state"
                ));
            }
            Self::Denied(_) => "use sudo, or become the user whom the daemon runs as",
            Self::Garbage(_) => "the daemon may be of another release: restart it, games go on",
            Self::NoServer(_) => "`longhouse server list` shows ids, names and titles",
            Self::Damaged => {
                "take a new snapshot; what is damaged cannot be mended, and can be deleted"
            }
            Self::NoChannel(_) => "`longhouse voice list` shows ids and titles",
            Self::NoRoom(_) => "`longhouse lobby rooms` shows numbers, names and titles",
            Self::NoSaved { .. } => "`longhouse lobby saved` shows what can go on",
            Self::NoMember { channel, .. } => {
                return Some(format!(
                    "`longhouse voice stats {channel}` shows who is in it; guests have a uid alone"
                ));
            }
            Self::Ambiguous { .. } => "name it by one of these",
            Self::NoAccount(_) => "`longhouse user list` shows who there is",
            Self::NoTerminal("the password") => "add --password-stdin",
            Self::NoTerminal("the server's name") => "add --confirm NAME",
            Self::Settled { name, .. } | Self::Unsettled { name, .. } => {
                return Some(format!("`longhouse server log {name}` shows why"));
            }
            Self::Terminal => "redirect it, or name a file",
            _ => return None,
        };
        Some(hint.into())
    }

    /// Whether the same request may well succeed in a moment.
    pub(crate) fn passes(&self) -> bool {
        match self {
            Self::NoDaemon(_) | Self::Unreachable { .. } | Self::Cut | Self::Silent(_) => true,
            // It starts or ends just now.
            Self::Refused(problem) => problem.status == 503,
            _ => false,
        }
    }

    /// Tells it on standard error.
    pub(crate) fn tell(&self) {
        if !matches!(self, Self::Closed) {
            super::print::note(&format!("error: {self}"));
            if let Some(hint) = self.hint() {
                super::print::note(&format!("hint: {hint}"));
            }
        }
    }
}

/// Lower case, without a full stop, on one line, fit for a terminal.
fn sentence(said: &str) -> String {
    let said = text::plain(said.trim().trim_end_matches('.'));
    let mut letters = said.chars();
    let first = letters.next();
    let word = said.split(|c: char| !c.is_alphanumeric()).next();
    // `OpenTTD` and `HTTP` keep their capitals.
    let common = word.is_some_and(|word| !word.chars().skip(1).any(char::is_uppercase));
    match first {
        Some(first) if common && word.is_some_and(|word| word.len() > 1) => {
            first.to_lowercase().chain(letters).collect()
        }
        _ => said,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(json: &str) -> Fault {
        Fault::Refused(serde_json::from_str(json).unwrap())
    }

    #[test]
    fn a_problem_is_told_in_lower_case_without_a_full_stop() {
        let fault =
            problem(r#"{"status":409,"code":"not-running","detail":"Server 3 is not running."}"#);
        assert_eq!(fault.to_string(), "server 3 is not running");
        assert_eq!((fault.exit(), fault.hint()), (1, None));
    }

    #[test]
    fn names_keep_their_capitals() {
        assert_eq!(
            sentence("OpenTTD is not installed."),
            "OpenTTD is not installed"
        );
        assert_eq!(sentence("HTTP went wrong"), "HTTP went wrong");
        assert_eq!(sentence(""), "");
    }

    #[test]
    fn a_problem_brings_its_hint_and_cannot_write_to_the_terminal() {
        let fault = problem("{\"detail\":\"no\\u001b[2J\",\"hint\":\"Install it.\"}");
        assert_eq!(fault.to_string(), "no\\x1b[2J");
        assert_eq!(fault.hint().as_deref(), Some("install it"));
    }

    #[test]
    fn a_problem_without_words_still_says_something() {
        assert_eq!(
            problem(r#"{"status":500}"#).to_string(),
            "the daemon says no (HTTP 500)"
        );
        assert_eq!(problem(r#"{"title":"Gone"}"#).to_string(), "gone");
    }

    #[test]
    fn no_daemon_is_told_apart_from_a_no() {
        let fault = Fault::NoDaemon("/tmp/x/control.sock".into());
        assert_eq!(fault.exit(), 3);
        assert!(
            fault
                .hint()
                .unwrap()
                .contains("longhouse --state /tmp/x serve")
        );
        assert!(fault.passes() && !Fault::Interrupted.passes());
    }
}
