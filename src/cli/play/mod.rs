//! `longhouse play`: any of the shipped table games in a terminal, through a real GGZ session.
//!
//! A client like any other: what it needs is in `docs/ggz.md` and `docs/table-games.md`. It keeps nothing; whoever comes
//! back under the same name gets their seat back.
//!
//! ```text
//!  keyboard ─► command ─┐                                  ┌── lobby: one session, over which one is seated and chats
//!                       ├─► table (the loop) ◄── session ──┤
//!  screen ◄─────────────┘      │ lost: sit down again      └── channel: lines of JSON with the game itself
//!                              └────────────────────► for a minute
//! ```
//!
//! `screen` and `command` are pure. `session` seats somebody, `table` plays until they leave.

mod channel;
mod command;
mod error;
mod list;
mod lobby;
mod screen;
mod session;
mod sink;
mod table;

use std::{
    collections::BTreeMap,
    env, fs,
    io::IsTerminal as _,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    path::Path,
};

use clap::{Args, ValueEnum};

pub(crate) use self::error::PlayError;
use self::{
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

/// Where lobbies listen when nothing else is said.
const PORT: u16 = 5688;
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
    /// Read the account's password from the first line of standard input.
    #[arg(long, requires = "name")]
    password_stdin: bool,
    /// Another lobby than that of this state folder.
    #[arg(long, value_name = "HOST:PORT")]
    server: Option<String>,
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
    let address = match &play.server {
        Some(address) => with_port(address),
        None => of_box(state)?,
    };
    let mut lobby = Lobby::connect(&address).await?;
    if play.password_stdin && !is_near(&address) {
        note("the password goes to the lobby as it is: only in networks that you trust");
    }
    let login = match (&play.name, play.password_stdin) {
        (Some(name), true) => {
            let password = prompt::new_password(true).await?;
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
        address,
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
    ended
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

fn with_port(address: &str) -> String {
    let bare = address.parse::<Ipv6Addr>().is_ok();
    let ends_in_port = address
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    match (bare, ends_in_port) {
        (true, _) => format!("[{address}]:{PORT}"),
        (false, true) => address.into(),
        (false, false) => format!("{address}:{PORT}"),
    }
}

fn is_near(address: &str) -> bool {
    let address: Result<SocketAddr, _> = address.parse();
    address.is_ok_and(|address| address.ip().is_loopback())
}

/// Where the box of this state folder listens.
fn of_box(state: &Path) -> Result<String, PlayError> {
    let unknown = || PlayError::NoBox(state.into());
    let endpoints = fs::read(state.join("endpoints.json")).map_err(|_| unknown())?;
    let endpoints: BTreeMap<String, String> =
        serde_json::from_slice(&endpoints).map_err(|_| unknown())?;
    let listens = endpoints.get("lobby.listen").ok_or_else(unknown)?;
    let mut address: SocketAddr = listens.parse().map_err(|_| unknown())?;
    match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    Ok(address.to_string())
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

    #[test]
    fn a_server_without_a_port_has_the_lobbys() {
        for (given, address) in [
            ("box.example.org", "box.example.org:5688"),
            ("192.0.2.7:99", "192.0.2.7:99"),
            ("::1", "[::1]:5688"),
            ("[::1]:99", "[::1]:99"),
            ("[::1]", "[::1]:5688"),
        ] {
            assert_eq!(with_port(given), address);
        }
        assert!(is_near("127.0.0.1:1") && !is_near("box.example.org:1"));
    }

    #[test]
    fn a_box_that_listens_everywhere_is_reached_at_home() {
        let folder = tempfile::tempdir().unwrap();
        assert!(matches!(of_box(folder.path()), Err(PlayError::NoBox(_))));
        for (listens, address) in [
            ("0.0.0.0:7", "127.0.0.1:7"),
            ("[::]:7", "[::1]:7"),
            ("192.0.2.7:7", "192.0.2.7:7"),
        ] {
            let endpoints = format!("{{\"lobby.listen\":\"{listens}\"}}");
            fs::write(folder.path().join("endpoints.json"), endpoints).unwrap();
            assert_eq!(of_box(folder.path()).unwrap(), address);
        }
    }
}
