//! What can be typed, and nothing of what it does.

mod class;
mod files;
mod lobby;
mod mail;
mod people;
mod schedules;
mod snapshots;
#[cfg(test)]
mod tests;
mod values;
mod voice;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueHint};

use self::values::{known, memory, number, setting, wait};
use crate::hosting::{Idle, Limits, Restart, Wait};

pub(crate) use self::{
    class::Class,
    files::{At, Files, FromTo, Packing, Unpacking},
    lobby::{Lobby, Offender, What},
    mail::Mail,
    people::{Audit, Grant, Token, User},
    schedules::{Planned, Schedule},
    snapshots::{Kept, Snapshot},
    values::Bound,
    voice::Voice,
};

/// A game night in one box: hosts game servers and never loses them.
#[derive(Debug, Parser)]
#[command(
    name = "longhouse",
    version,
    disable_help_subcommand = true,
    after_help = "Exit codes: 0 done, 1 no, 2 wrong usage, 3 cannot start (no daemon answers, or a faulty configuration)."
)]
pub(crate) struct Arguments {
    /// The folder with everything that this box remembers.
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(crate) state: Option<PathBuf>,
    /// The configuration; without it, longhouse.toml in the state folder.
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(crate) config: Option<PathBuf>,
    /// Print what the daemon answers as JSON, for scripts.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) verb: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run the box until it is told to stop.
    Serve {
        /// Set one configuration key; wins over file and environment.
        #[arg(long = "set", value_name = "KEY=VALUE")]
        sets: Vec<String>,
    },
    /// Say how the running box is.
    Status,
    /// Create, run and watch game servers.
    #[command(subcommand)]
    Server(Server),
    /// Resource classes: what servers may use at most.
    #[command(subcommand)]
    Class(Class),
    /// What servers do by the clock.
    #[command(subcommand)]
    Schedule(Schedule),
    /// Keep, look into and restore what servers' folders were.
    #[command(subcommand)]
    Snapshot(Snapshot),
    /// List, fetch, send and change the files of servers.
    #[command(subcommand)]
    Files(Files),
    /// Say which games can be hosted.
    ///
    /// `longhouse game NAME`, with tictactoe, connectfour, reversi, dots or chess, is the program of that table game. The
    /// lobby starts it for each table; `--strength easy|medium|hard` is how well its computer player plays.
    #[command(subcommand)]
    Game(Game),
    /// Play a table game in this terminal, or list what can be played.
    ///
    /// Without a terminal each line of standard input is a move or a command (/help lists them), and a move waits for its turn. It ends when the input has ended and the match is over.
    Play(super::play::Play),
    /// Voice channels, and who is in them.
    #[command(subcommand)]
    Voice(Voice),
    /// The lobby: rooms, tables, who plays what, and keeping order.
    #[command(subcommand)]
    Lobby(Lobby),
    /// Letters that have not left the box.
    #[command(subcommand)]
    Mail(Mail),
    /// The people of this box.
    #[command(subcommand)]
    User(User),
    /// Bearer tokens for scripts.
    #[command(subcommand)]
    Token(Token),
    /// What people may do with servers of others.
    #[command(subcommand)]
    Grant(Grant),
    /// The record of who did what.
    #[command(subcommand)]
    Audit(Audit),
    /// Save everything that the store holds, while the box runs.
    Backup {
        /// Where to; `-` is standard output. An older file is replaced only by a whole new one.
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
    /// Load a backup into a state folder that has no store yet, while no box runs there.
    Restore {
        /// What `backup` wrote.
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
    /// Find every fault in configuration, store and game definitions.
    Check,
    /// Say what this machine can isolate and limit, and what it cannot.
    Doctor,
    /// Print completions for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Print the manual, or write one page per verb into a folder.
    Man {
        /// The folder.
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        folder: Option<PathBuf>,
    },
}

/// How a server is named on the command line.
#[derive(Debug, Args)]
pub(crate) struct Named {
    /// The server's id, its name like ada_3, or its title when no other server has it.
    #[arg(value_name = "SERVER")]
    pub(crate) server: String,
}

#[derive(Debug, Args)]
pub(crate) struct Waiting {
    /// Do not wait for the outcome.
    #[arg(long, overrides_with = "_wait")]
    pub(crate) no_wait: bool,
    /// Wait for the outcome (this is the default).
    #[arg(long = "wait", overrides_with = "no_wait")]
    pub(crate) _wait: bool,
}

/// A server whose process is to do something.
#[derive(Debug, Args)]
pub(crate) struct Powered {
    #[command(flatten)]
    pub(crate) named: Named,
    #[command(flatten)]
    pub(crate) waiting: Waiting,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Server {
    /// List the servers.
    List,
    /// Show all of one server.
    Show(Named),
    /// Create a server, stopped.
    Create {
        /// The game, as `longhouse game list` names it.
        game: String,
        #[command(flatten)]
        change: Change,
        /// 0 development, 1 test, 2 production, 3 to 9 free; chooses the part of the port pool.
        #[arg(long, value_parser = clap::value_parser!(u8).range(0..=9))]
        class: Option<u8>,
        /// Start it, too.
        #[arg(long)]
        start: bool,
        #[command(flatten)]
        waiting: Waiting,
    },
    /// Start a server.
    Start(Powered),
    /// Stop a server in its game's own way; what does not end is ended.
    Stop(Powered),
    /// Stop a server, then start it with its settings as they are now.
    Restart(Powered),
    /// End a server at once, without saving.
    Kill(Powered),
    /// Stop a server and move its folder to the recycle bin.
    Delete {
        #[command(flatten)]
        named: Named,
        /// The server's name (like ada_3) once more, instead of typing it when asked.
        #[arg(long, value_name = "NAME")]
        confirm: Option<String>,
    },
    /// Prepare a server without starting it.
    Mount(Named),
    /// Give back what is reserved for a stopped server.
    Unmount(Named),
    /// Give a server another version of its game, and stop it for that when it runs.
    Switch {
        #[command(flatten)]
        named: Named,
        /// The version, as `longhouse game list` names it.
        version: String,
    },
    /// Change a server; it takes effect at its next start.
    Set {
        #[command(flatten)]
        named: Named,
        #[command(flatten)]
        change: Change,
        /// Take a setting back to its default.
        #[arg(long, value_name = "KEY")]
        unset: Vec<String>,
        /// Let anybody download this file, or the files in this folder; name all that are to be public.
        #[arg(long, value_name = "PATH")]
        public: Vec<String>,
        /// Let nobody download without a right.
        #[arg(long, conflicts_with = "public")]
        no_public: bool,
    },
    /// Type into a server's console and watch it.
    ///
    /// On a terminal: a prompt with history, detached by Ctrl-D or Ctrl-C, which stops nothing. Otherwise: each line of standard input is typed, output is printed, and it ends once input has ended and the console is quiet.
    Console {
        #[command(flatten)]
        named: Named,
        /// Begin with this entry instead of the newest ones.
        #[arg(long, value_name = "SEQ")]
        since: Option<u64>,
        /// Without a terminal: go on after the end of input.
        #[arg(long)]
        follow: bool,
    },
    /// Print a server's console.
    Log {
        #[command(flatten)]
        named: Named,
        /// How many of the newest entries.
        #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=10_000))]
        count: u64,
        /// Go on as it grows.
        #[arg(short, long)]
        follow: bool,
        /// Begin each line with its time.
        #[arg(short, long)]
        time: bool,
    },
}

/// What can be said of a new server and changed of an old one.
#[derive(Debug, Default, Args)]
pub(crate) struct Change {
    /// What people call it.
    #[arg(long)]
    pub(crate) title: Option<String>,
    /// The game's version.
    #[arg(long = "game-version", value_name = "VERSION")]
    pub(crate) version: Option<String>,
    /// Set one of the game's settings.
    #[arg(long = "set", value_name = "KEY=VALUE", value_parser = setting)]
    pub(crate) sets: Vec<(String, String)>,
    /// Memory it may use, like 512M or 2G; `none` for no limit.
    #[arg(long, value_name = "BYTES", value_parser = memory)]
    pub(crate) memory: Option<Bound<u64>>,
    /// Processor it may use, in percent of one: 150 is one and a half; `none` for no limit.
    #[arg(long, value_name = "PERCENT", value_parser = number::<u32>)]
    pub(crate) cpu: Option<Bound<u32>>,
    /// Processes and threads it may have; `none` for no limit.
    #[arg(long, value_name = "COUNT", value_parser = number::<u32>)]
    pub(crate) pids: Option<Bound<u32>>,
    /// What its files may take, like 512M or 20G; `none` for no limit.
    #[arg(long, value_name = "BYTES", value_parser = memory)]
    pub(crate) disk: Option<Bound<u64>>,
    /// Players at once; `none` for no limit.
    #[arg(long, value_name = "COUNT", value_parser = number::<u32>)]
    pub(crate) players: Option<Bound<u32>>,
    /// Stop it when nobody has played for so long, like 24h; `never`, or `class` for what its class says.
    #[arg(long, value_name = "TIME", value_parser = wait)]
    pub(crate) idle_stop: Option<Bound<Wait>>,
    /// Give back what is reserved for it so long after it stopped, like 1h; `never`, or `class`.
    #[arg(long, value_name = "TIME", value_parser = wait)]
    pub(crate) idle_release: Option<Bound<Wait>>,
    /// When it is started again after it ended by itself.
    #[arg(long, value_name = "WHEN", value_parser = known::<Restart>(["never", "on-failure", "always"]))]
    pub(crate) restart: Option<Restart>,
}

impl Change {
    /// `before` with the limits that were named; none when none was.
    pub(crate) fn limits(&self, before: Limits) -> Option<Limits> {
        let named = self.memory.is_some()
            || self.cpu.is_some()
            || self.pids.is_some()
            || self.disk.is_some()
            || self.players.is_some();
        named.then(|| Limits {
            memory: self.memory.map_or(before.memory, |bound| bound.0),
            cpu_percent: self.cpu.map_or(before.cpu_percent, |bound| bound.0),
            pids: self.pids.map_or(before.pids, |bound| bound.0),
            disk: self.disk.map_or(before.disk, |bound| bound.0),
            players: self.players.map_or(before.players, |bound| bound.0),
        })
    }

    /// `before` with the idle rules that were named; none when none was.
    pub(crate) fn idle(&self, before: Idle) -> Option<Idle> {
        let named = self.idle_stop.is_some() || self.idle_release.is_some();
        named.then(|| Idle {
            stop: self.idle_stop.map_or(before.stop, |bound| bound.0),
            release: self.idle_release.map_or(before.release, |bound| bound.0),
        })
    }
}

#[derive(Debug, Subcommand)]
pub(crate) enum Game {
    /// List the games.
    List,
}
