//! `longhouse play`: any of the shipped table games in a terminal, through a real GGZ session.
//!
//! A client like any other: what it needs is in `docs/ggz.md` and `docs/table-games.md`. It keeps
//! nothing but by which authority it knows a box; whoever comes back under the same name gets their seat back.
//!
//! ```text
//!  keyboard ─► command ─┐                                  ┌── lobby: one session, over which one is seated and chats
//!                       ├─► table (the loop) ◄── session ──┤
//!  screen ◄─────────────┘      │ lost: sit down again      └── channel: lines of JSON with the game itself
//!                              └────────────────────► for a minute
//! ```
//!
//! `screen` and `command` are pure. `door` and `trust` lead to the right lobby, unheard; `session` seats somebody, `table`
//! plays until they leave.

mod channel;
mod command;
mod door;
mod error;
mod list;
mod lobby;
mod screen;
mod session;
mod sink;
mod table;
mod trust;

use std::{env, io::IsTerminal as _, path::Path};

use clap::{Args, ValueEnum};

pub(crate) use self::error::PlayError;
use self::{
    door::Door,
    lobby::{Lobby, Login},
    session::{Plan, Want},
    sink::Sink,
    table::Seated,
};
use super::{
    fault::Fault,
    keyboard,
    print::{Out, note},
    prompt,
};
use crate::{
    accounts::Secret,
    lobby::wire::terms::{RoomId, TableId},
};

/// Bytes of a name in the lobby.
const NAME: usize = 16;
/// So many names are tried for a guest.
const NAMES: usize = 20;

/// What to play, with whom, and where.
#[derive(Debug, Args)]
pub(crate) struct Play {
    /// The game, like chess or tictactoe. Without it, the games and their tables are listed.
    #[arg(value_name = "GAME")]
    game: Option<String>,
    /// Be called so: a guest's name, or with --password-stdin an account's. Otherwise a guest of your user's name.
    #[arg(long = "as", value_name = "NAME")]
    name: Option<String>,
    /// Log in to the account NAME; its password is the first line of standard input, unseen at a terminal.
    #[arg(long, requires = "name")]
    password_stdin: bool,
    /// Another lobby than that of this state folder.
    #[arg(long, value_name = "HOST:PORT")]
    server: Option<String>,
    /// Speak no TLS with it: whoever listens on the way reads all, the password too.
    #[arg(long, requires = "server")]
    plain: bool,
    /// Who sits on the other side of a new table.
    #[arg(long, value_name = "WHO", default_value = "medium", conflicts_with_all = ["table", "watch"])]
    against: Against,
    /// Go into this room, instead of the first in which the game is played.
    #[arg(long, value_name = "N")]
    room: Option<u32>,
    /// Sit down at this table, or come back to it.
    #[arg(long, value_name = "N", conflicts_with = "watch")]
    table: Option<u32>,
    /// Watch this table.
    #[arg(long, value_name = "N")]
    watch: Option<u32>,
}

/// Who sits on the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Against {
    /// The computer, for beginners.
    Easy,
    /// The computer.
    Medium,
    /// The computer, at its best.
    Hard,
    /// Whoever comes and sits down.
    Person,
}

/// Plays, or lists what can be played.
pub(crate) async fn run(out: Out, state: &Path, play: Play) -> Result<(), Fault> {
    let mut door = match &play.server {
        Some(address) => Door::at(address, play.plain),
        None => Door::of_box(state)?,
    };
    let mut lobby = door.enter(play.password_stdin).await?;
    let login = match (&play.name, play.password_stdin) {
        (Some(name), true) => {
            let password = prompt::password().await?;
            Login::Account(name.clone(), Secret::new(password))
        }
        (Some(name), false) => Login::Guest(name.clone()),
        (None, _) => {
            let name = anybody(&mut lobby).await?;
            Login::Guest(name)
        }
    };
    if play.name.is_some() {
        lobby.login(&login).await?;
    }
    let Some(game) = &play.game else {
        return list::show(out, &mut lobby).await;
    };
    let want = match (play.table, play.watch) {
        (Some(table), _) => Want::Join(TableId(table)),
        (None, Some(table)) => Want::Watch(TableId(table)),
        (None, None) => Want::Launch(play.against),
    };
    let plan = Plan {
        door,
        login,
        game: game.clone(),
        room: play.room.map(RoomId),
        want,
    };
    let (sitting, plan) = session::sit(lobby, plan).await?;
    let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let prompt = match terminal && !out.json {
        true => keyboard::prompt(&plan.game),
        false => None,
    };
    let (typed, sink, habits, waits) = match prompt {
        Some((typed, above, habits)) => (typed, Sink::Prompt(above), Some(habits), false),
        None => (keyboard::pipe(), Sink::Plain(out), None, true),
    };
    let interactive = habits.is_some();
    let ended = Seated::new(typed, sink, waits).play(sitting, plan).await;
    drop(habits);
    if interactive {
        note(""); // leaves the prompt's line
    }
    if let Some(last) = ended? {
        note(&last);
    }
    Ok(())
}

/// A guest called like the user, or nearly so when somebody else is.
async fn anybody(lobby: &mut Lobby) -> Result<String, PlayError> {
    let user = env::var("USER").or_else(|_| env::var("LOGNAME"));
    let user = name_of(&user.unwrap_or_default());
    let mut last = None;
    for number in 1..=NAMES {
        let name = match number {
            1 => user.clone(),
            number => format!("{user}{number}"),
        };
        match lobby.login(&Login::Guest(name.clone())).await {
            Ok(()) => return Ok(name),
            Err(error) if error.is_about_the_name() => last = Some(error),
            Err(error) => return Err(error),
        }
    }
    Err(last.expect("at least one name was tried"))
}

/// What of a user's name the lobby takes, with room for a number.
fn name_of(user: &str) -> String {
    let fits = |c: &char| c.is_ascii_graphic() && !"%&\\<>".contains(*c);
    let name: String = user.chars().filter(fits).take(NAME - 2).collect();
    if name.is_empty() {
        "guest".into()
    } else {
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_name_becomes_one_that_the_lobby_takes() {
        for (user, name) in [
            ("ada", "ada"),
            ("", "guest"),
            ("Jörg & co", "Jrgco"),
            ("a-name-longer-than-any", "a-name-longer-"),
            ("<none>", "none"),
        ] {
            assert_eq!(name_of(user), name);
            assert!(format!("{name}{NAMES}").len() <= NAME);
        }
    }
}
