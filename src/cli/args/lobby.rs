//! What can be typed about the lobby.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Subcommand, ValueEnum, ValueHint};

#[derive(Debug, Subcommand)]
pub(crate) enum Lobby {
    /// List the rooms.
    Rooms,
    /// List who is in the rooms.
    Players,
    /// List the tables.
    Tables {
        /// Only of this room: its number, name or title.
        #[arg(long)]
        room: Option<String>,
    },
    /// List what can be played at tables.
    Games,
    /// Print what was said lately for all to hear.
    Chat {
        /// Only in this room, and what everybody heard.
        #[arg(long)]
        room: Option<String>,
        /// How many of the newest lines.
        #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=200))]
        count: u64,
    },
    /// Say something to everybody.
    Say {
        /// To this room alone.
        #[arg(long)]
        room: Option<String>,
        /// What.
        text: String,
    },
    /// End somebody's connection. They may come back.
    Kick(Offender),
    /// Let nobody in rooms hear somebody any more.
    Gag(Offender),
    /// Let somebody be heard again.
    Ungag(Offender),
    /// Send somebody away for good; a guest and their network for a day.
    Ban {
        #[command(flatten)]
        offender: Offender,
        /// For so long, like 2h or 30d.
        #[arg(long = "for", value_name = "DURATION", value_parser = humantime::parse_duration)]
        term: Option<Duration>,
        /// A guest for good, too.
        #[arg(long, conflicts_with = "term")]
        always: bool,
    },
    /// List who may not come in.
    Bans,
    /// Let somebody come in again.
    Unban {
        /// Who.
        name: String,
    },
    /// Show who leads in a game.
    Rankings {
        /// The name of its definition, like chess.
        game: String,
        /// How many.
        #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1000))]
        count: u64,
    },
    /// List what was played, newest first.
    Matches {
        /// Only of this game.
        #[arg(long)]
        game: Option<String>,
        /// Only those that this account, or computer player, was in.
        #[arg(long, value_name = "NAME")]
        account: Option<String>,
        /// How many.
        #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1000))]
        count: u64,
    },
    /// List the games that were saved and can go on.
    Saved,
    /// Let a saved game go on at a table of its own. The newest of that table, unless a file is named.
    Resume {
        /// The room, as `lobby saved` names it.
        room: String,
        /// The table's number there.
        table: u32,
        /// The file.
        #[arg(long)]
        file: Option<String>,
    },
    /// Launch a table; prints its number.
    Launch {
        /// Where: the room's number, name or title.
        room: String,
        /// Seats of computer players.
        #[arg(long, value_name = "COUNT", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=32))]
        bots: u32,
        /// Seats that anybody may take. Without any seats named: one, and one bot.
        #[arg(long, value_name = "COUNT", default_value_t = 0, value_parser = clap::value_parser!(u32).range(..=32))]
        open: u32,
        /// What it is called.
        #[arg(long, value_name = "TEXT", default_value = "")]
        description: String,
    },
    /// End a table at once.
    End {
        /// The room's number, name or title.
        room: String,
        /// The table's number there.
        table: u32,
    },
    /// List what is defined, and what is wrong with the rest.
    Definitions,
    /// Add or change a room or table game. It stands before a file of that name.
    Define {
        /// What.
        what: What,
        /// As its file would be called, without `.toml`.
        name: String,
        /// Its definition; `-` is standard input.
        #[arg(value_hint = ValueHint::FilePath)]
        file: PathBuf,
    },
    /// Remove a room or table game, wherever its definition comes from.
    Remove {
        /// What.
        what: What,
        /// Its name.
        name: String,
    },
    /// Forget what `define` and `remove` said: files and what ships count again.
    Forget {
        /// What.
        what: What,
        /// Its name.
        name: String,
    },
    /// Say what happens in the lobby.
    Watch {
        /// Only in this room, and what everybody hears.
        #[arg(long)]
        room: Option<String>,
    },
}

/// Somebody with whom order is kept.
#[derive(Debug, Args)]
pub(crate) struct Offender {
    /// Who.
    pub(crate) name: String,
    /// Why; they are told.
    #[arg(long, value_name = "TEXT")]
    pub(crate) reason: Option<String>,
}

/// What can be defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum What {
    /// A room.
    Room,
    /// A table game.
    Game,
}
