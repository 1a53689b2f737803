//! Verbs: what `longhouse` does when it is typed.
//!
//! Every verb but `serve`, `play`, `restore`, `completions` and `man` is a request to the running daemon's API
//! over its control socket, so that a terminal and a browser cannot disagree; `check` works without a
//! daemon, too, and `play` is a player's program, which any lobby serves. This room decides nothing about
//! servers or people: it asks, waits, and shows.
//!
//! ```text
//!  args ──► main ──► server │ files │ snapshots │ voice │ lobby │ people │ storage ──► control ──► STATE/control.sock
//!                       │                                     │
//!                 attach, screen, keyboard                 fault ──► exit code, hint
//!                       └──► print, text ──► standard output
//! ```
//!
//! Data goes to standard output, all else to standard error. Nothing that a title or a game says can
//! command the terminal (`text.rs`). Passwords are never arguments.

mod args;
mod attach;
mod class;
mod control;
mod fault;
mod files;
mod folder;
mod home;
mod keyboard;
mod lobby;
mod mail;
mod pages;
mod people;
mod permissions;
mod play;
mod power;
mod print;
mod prompt;
mod schedules;
mod screen;
mod server;
mod sheet;
mod snapshots;
mod storage;
mod text;
mod transfer;
mod voice;

use std::{ffi::OsString, path::Path, process::ExitCode};

use clap::Parser as _;
use tokio::signal::unix::{SignalKind, signal};

use self::{
    args::{Arguments, Command, Game},
    control::Control,
    fault::Fault,
    print::Out,
};
use crate::config::Config;

/// What the verbs share.
#[derive(Debug)]
struct Session {
    control: Control,
    out: Out,
}

/// Runs the verb that the arguments name; the first of them is the program.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<_> = arguments.into_iter().collect();
    // A keeper is started by the daemon, once per game: nothing else is set up for it.
    if let [_, verb, run] = &arguments[..]
        && verb == "keeper"
    {
        return keeper(Path::new(run));
    }
    // Nor for a job on snapshots, which has the rights of a server's user and nothing else.
    if let [_, verb] = &arguments[..]
        && verb == "snapshot-job"
    {
        return crate::snapshots::child::main();
    }
    // Nor for a table game, which the lobby starts for each table.
    if let [_, verb, name, rest @ ..] = &arguments[..]
        && verb == "game"
        && let Some(ended) = crate::games::main(name, rest)
    {
        return ended;
    }
    let arguments = match Arguments::try_parse_from(arguments) {
        Ok(arguments) => arguments,
        Err(error) => {
            error.print().ok(); // whoever closed standard error reads nothing
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    match run(arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            fault.tell();
            ExitCode::from(fault.exit())
        }
    }
}

fn keeper(run: &Path) -> ExitCode {
    match crate::keeper::main(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print::note(&format!("error: keeper in {}: {error}", run.display()));
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: Arguments) -> Result<(), Fault> {
    let Arguments {
        state,
        config,
        json,
        verb,
    } = arguments;
    let out = Out::new(json);
    let load = |sets: &[String]| Config::load(config.as_deref(), sets, state.as_deref());
    match verb {
        Command::Serve { sets } => {
            let config = load(&sets).map_err(Fault::Config)?;
            crate::daemon::run(config).map_err(Fault::Serve)
        }
        Command::Completions { shell } => pages::completions(out, shell),
        Command::Man { folder } => pages::manual(out, folder.as_deref()),
        verb => {
            let loaded = load(&[]);
            // `check` tells a faulty configuration together with all else.
            if let Command::Check = verb {
                return block_on(storage::check(out, loaded));
            }
            let config = loaded.map_err(Fault::Config)?;
            if let Command::Restore { file } = verb {
                return block_on(storage::restore(out, config, file));
            }
            if let Command::Play(play) = verb {
                return block_on(play::run(out, &config.state, play));
            }
            let session = Session {
                control: Control::new(&config.state),
                out,
            };
            block_on(ask(&session, verb))
        }
    }
}

async fn ask(session: &Session, verb: Command) -> Result<(), Fault> {
    match verb {
        Command::Status => storage::status(session).await,
        Command::Server(verb) => server::run(session, verb).await,
        Command::Class(verb) => class::run(session, verb).await,
        Command::Schedule(verb) => schedules::run(session, verb).await,
        Command::Snapshot(verb) => snapshots::run(session, verb).await,
        Command::Files(verb) => files::run(session, verb).await,
        Command::Game(Game::List) => server::games(session).await,
        Command::Voice(verb) => voice::run(session, verb).await,
        Command::Lobby(verb) => lobby::run(session, verb).await,
        Command::Mail(verb) => mail::run(session, verb).await,
        Command::User(verb) => people::user(session, verb).await,
        Command::Token(verb) => people::token(session, verb).await,
        Command::Grant(verb) => people::grant(session, verb).await,
        Command::Audit(verb) => people::audit(session, verb).await,
        Command::Backup { file } => storage::backup(session, &file).await,
        Command::Doctor => storage::doctor(session).await,
        Command::Serve { .. }
        | Command::Restore { .. }
        | Command::Play(_)
        | Command::Check
        | Command::Completions { .. }
        | Command::Man { .. } => unreachable!("`run` has done these"),
    }
}

/// Runs a verb to its end, or until a signal; either way what it holds is dropped, and so put right.
fn block_on(verb: impl Future<Output = Result<(), Fault>>) -> Result<(), Fault> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Fault::Input)?;
    let ended = runtime.block_on(async {
        let listen = |kind| signal(kind).map_err(Fault::Input);
        let mut interrupt = listen(SignalKind::interrupt())?;
        let mut terminate = listen(SignalKind::terminate())?;
        let mut hangup = listen(SignalKind::hangup())?;
        tokio::select! {
            ended = verb => ended,
            _ = interrupt.recv() => Err(Fault::Interrupted),
            _ = terminate.recv() => Err(Fault::Interrupted),
            _ = hangup.recv() => Err(Fault::Interrupted),
        }
    });
    // A thread may still wait for the keyboard.
    runtime.shutdown_background();
    ended
}
