//! What can be typed, and nothing of what it does.

use std::{path::PathBuf, str::FromStr, time::Duration};

use clap::{
    ArgGroup, Args, Parser, Subcommand, ValueHint,
    builder::{PossibleValuesParser, TypedValueParser},
};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::permissions::Allowed;
use crate::accounts::{Role, Verb};
use crate::hosting::{Limits, Restart};

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
    /// Say which games can be hosted.
    #[command(subcommand)]
    Game(Game),
    /// Voice channels, and who is in them.
    #[command(subcommand)]
    Voice(Voice),
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
    /// Change a server; it takes effect at its next start.
    Set {
        #[command(flatten)]
        named: Named,
        #[command(flatten)]
        change: Change,
        /// Take a setting back to its default.
        #[arg(long, value_name = "KEY")]
        unset: Vec<String>,
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
    /// When it is started again after it ended by itself.
    #[arg(long, value_name = "WHEN", value_parser = known::<Restart>(["never", "on-failure", "always"]))]
    pub(crate) restart: Option<Restart>,
}

impl Change {
    /// `before` with the limits that were named; none when none was.
    pub(crate) fn limits(&self, before: Limits) -> Option<Limits> {
        let named = self.memory.is_some() || self.cpu.is_some() || self.pids.is_some();
        named.then(|| Limits {
            memory: self.memory.map_or(before.memory, |bound| bound.0),
            cpu_percent: self.cpu.map_or(before.cpu_percent, |bound| bound.0),
            pids: self.pids.map_or(before.pids, |bound| bound.0),
        })
    }
}

/// A limit that was named: a number, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bound<T>(pub(crate) Option<T>);

#[derive(Debug, Subcommand)]
pub(crate) enum Game {
    /// List the games.
    List,
}

/// How a voice channel is named on the command line.
#[derive(Debug, Args)]
pub(crate) struct Channel {
    /// The channel's id, or its title when no other channel has it.
    #[arg(value_name = "CHANNEL")]
    pub(crate) channel: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Voice {
    /// List the channels.
    List,
    /// Create a channel on a UDP port of its own; prints its id.
    Create {
        /// What people call it; `channel N` when absent.
        #[arg(long)]
        title: Option<String>,
    },
    /// End a channel at once; everybody in it is told.
    Delete(Channel),
    /// Remove somebody from a channel. They may come back.
    Kick {
        #[command(flatten)]
        channel: Channel,
        /// Their uid, as `voice stats CHANNEL` shows it, or the name of their account.
        #[arg(value_name = "UID")]
        who: String,
    },
    /// All of voice in figures, or all of one channel and who is in it.
    Stats {
        /// The channel's id, or its title when no other channel has it.
        channel: Option<String>,
    },
    /// Say what happens in the channels, or in one, until it ends.
    Watch {
        /// The channel's id, or its title when no other channel has it.
        channel: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// Add somebody. Asks for their password on a terminal.
    Add {
        /// 1 to 32 of a-z, 0-9 and single inner hyphens, starting with a letter.
        name: String,
        /// What they are on this box.
        #[arg(long, default_value = "player")]
        role: Role,
        /// Their mail address.
        #[arg(long)]
        mail: Option<String>,
        /// Read the password from standard input.
        #[arg(long, conflicts_with = "no_password")]
        password_stdin: bool,
        /// Let nobody in until `user passwd` sets a password.
        #[arg(long)]
        no_password: bool,
    },
    /// List everybody.
    List,
    /// Show all of one account.
    Show {
        /// Who.
        name: String,
    },
    /// Change several things of an account at once.
    #[command(group = ArgGroup::new("change").required(true).multiple(true))]
    Edit {
        /// Who.
        name: String,
        /// Their mail address; empty takes it away.
        #[arg(long, group = "change")]
        mail: Option<String>,
        /// What they are on this box.
        #[arg(long, group = "change")]
        role: Option<Role>,
        /// Whether they are let in no more.
        #[arg(long, value_name = "BOOL", group = "change")]
        disabled: Option<bool>,
        /// Whether they, who registered by themselves, are let in.
        #[arg(long, value_name = "BOOL", group = "change")]
        confirmed: Option<bool>,
    },
    /// Let somebody in who registered by themselves (`accounts.registration` is `confirm`).
    Confirm {
        /// Who.
        name: String,
    },
    /// Show or set what somebody may do in the lobby.
    Permissions {
        /// Who.
        name: String,
        /// `default` (as their role says), a mask like 7 or 0x1f, or words with commas between them: admin, host, registered, guest, chatbot, join_table and so on.
        #[arg(value_name = "PERMISSIONS")]
        permissions: Option<Allowed>,
    },
    /// Change what somebody is on this box.
    Role {
        /// Who.
        name: String,
        /// What.
        role: Role,
    },
    /// Set somebody's password. Asks for it on a terminal.
    Passwd {
        /// Who.
        name: String,
        /// Read the password from standard input.
        #[arg(long)]
        password_stdin: bool,
    },
    /// Let somebody in no more; ends their sessions at once.
    Disable {
        /// Who.
        name: String,
    },
    /// Let somebody in again.
    Enable {
        /// Who.
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Make a token for somebody. Its secret is printed this once.
    Create {
        /// Whose it is.
        user: String,
        /// What it is for.
        label: String,
        /// A verb that it can do, like console.read; several may be named. Without any: all that its owner may.
        #[arg(long = "scope", value_name = "VERB", value_parser = verbs())]
        scopes: Vec<Verb>,
        /// When it ends, like 12h or 30d; never when absent.
        #[arg(long, value_name = "AFTER", value_parser = humantime::parse_duration)]
        expires: Option<Duration>,
    },
    /// List the tokens, without their secrets.
    List,
    /// Revoke a token.
    Revoke {
        /// Its id.
        id: u64,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Grant {
    /// List the grants.
    List,
    /// Say what somebody may do with a server; no verbs: nothing more than everybody.
    Set {
        /// Who.
        user: String,
        #[command(flatten)]
        named: Named,
        /// What.
        #[arg(value_name = "VERB", value_parser = verbs())]
        verbs: Vec<Verb>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// List records, oldest first.
    List {
        /// Begin with this record instead of the newest ones.
        #[arg(long, value_name = "SEQ")]
        since: Option<u64>,
        /// How many.
        #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=10_000))]
        count: u64,
    },
    /// Check that no record was removed or changed.
    Verify,
}

/// Every verb that grants and scopes know, as the API writes it.
const VERBS: [&str; 16] = [
    "server.view",
    "server.create",
    "server.power",
    "server.configure",
    "server.delete",
    "console.read",
    "console.write",
    "accounts.manage",
    "audit.read",
    "box.manage",
    "voice.join",
    "voice.create",
    "voice.manage",
    "lobby.join",
    "lobby.moderate",
    "lobby.manage",
];

fn verbs() -> impl TypedValueParser<Value = Verb> {
    known(VERBS)
}

/// A parser of words that the API's own type reads, so that there is one spelling.
fn known<T: DeserializeOwned + Clone + Send + Sync + 'static>(
    words: impl IntoIterator<Item = &'static str>,
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(words).try_map(|word| serde_json::from_value(Value::String(word)))
}

fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().into(), value.into())),
        _ => Err("this is not KEY=VALUE".into()),
    }
}

fn number<T: FromStr>(text: &str) -> Result<Bound<T>, String> {
    match text {
        "none" => Ok(Bound(None)),
        _ => text
            .parse()
            .map(|number| Bound(Some(number)))
            .map_err(|_| "this is neither a number nor `none`".into()),
    }
}

fn memory(text: &str) -> Result<Bound<u64>, String> {
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'K' | b'k') => (&text[..text.len() - 1], 10),
        Some(b'M' | b'm') => (&text[..text.len() - 1], 20),
        Some(b'G' | b'g') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    match number::<u64>(digits) {
        Ok(Bound(Some(number))) => number
            .checked_mul(1 << shift)
            .map(|bytes| Bound(Some(bytes)))
            .ok_or_else(|| "this is more than any machine has".into()),
        Ok(none) if shift == 0 => Ok(none),
        _ => Err("this is neither a size like 512M or 2G nor `none`".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory as _;

    fn parse(line: &str) -> Result<Arguments, clap::Error> {
        Arguments::try_parse_from(line.split_whitespace())
    }

    #[test]
    fn clap_finds_no_fault_in_the_verbs() {
        Arguments::command().debug_assert();
    }

    #[test]
    fn every_verb_is_read() {
        for line in [
            "serve --set http.listen=127.0.0.1:0 --state /tmp/x --config y",
            "status --json",
            "server list",
            "server show 3",
            "server create openttd --title Trains --set map_size=8 --memory 512M --cpu 150 --pids 64 --restart on-failure --class 0 --game-version 13.0 --start",
            "server start ada_3 --no-wait",
            "server stop 3 --wait",
            "server restart 3",
            "server kill 3",
            "server delete 3 --confirm ada_3",
            "server set 3 --set a=b --unset c --memory none",
            "server console 3 --since 12",
            "server log 3 -n 5 --follow --time",
            "game list",
            "voice list",
            "voice create",
            "voice create --title Lobby --json",
            "voice delete 3",
            "voice kick Lobby 7",
            "voice kick 3 ada",
            "voice stats",
            "voice stats Lobby",
            "voice watch",
            "voice watch 3 --json",
            "token create ada bot --scope voice.join",
            "user add ada --role admin --password-stdin",
            "user list",
            "user role ada host",
            "user passwd ada",
            "user disable ada",
            "user enable ada",
            "user show ada",
            "user edit ada --mail ada@example.org --role host",
            "user edit ada --disabled false --confirmed true",
            "user confirm ada",
            "user permissions ada",
            "user permissions ada 0x1f",
            "user permissions ada host,chat_bot",
            "user permissions ada default",
            "token create ada bot --scope console.read --scope server.view --expires 30d",
            "token list",
            "token revoke 4",
            "grant list",
            "grant set ada 3 console.read server.power",
            "grant set ada 3",
            "audit list --since 4 -n 9",
            "audit verify",
            "backup -",
            "restore x",
            "check",
            "doctor",
            "completions bash",
            "man",
            "man /tmp/x",
            "--state /tmp/x --json server list",
        ] {
            if let Err(error) = parse(&format!("longhouse {line}")) {
                panic!("{line}: {error}");
            }
        }
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for line in [
            "",
            "serve extra",
            "server create openttd --restart sometimes",
            "server create openttd --class 10",
            "server create openttd --set =b",
            "server create openttd --memory 5X",
            "server create openttd --memory M",
            "server create openttd --memory 99999999999G",
            "user add ada --password secret",
            "user add ada --role king",
            "user edit ada",
            "user edit ada --role king",
            "user confirm",
            "user permissions ada king",
            "user permissions ada 512",
            "user add ada --password-stdin --no-password",
            "token create ada bot --scope everything",
            "token create ada bot --expires soon",
            "grant set ada",
            "audit list -n many",
            "server log 3 -n 0",
            "voice",
            "voice delete",
            "voice kick 3",
            "voice create Lobby",
            "voice stats 3 4",
        ] {
            assert!(parse(&format!("longhouse {line}")).is_err(), "{line}");
        }
    }

    #[test]
    fn every_verb_of_the_api_can_be_named() {
        for word in VERBS {
            let verb: Verb = serde_json::from_value(word.into()).unwrap();
            assert_eq!(serde_json::to_value(verb).unwrap(), word);
        }
    }

    #[test]
    fn every_command_in_the_documentation_can_be_typed() {
        let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/docs");
        let mut read = 0;
        for page in std::fs::read_dir(docs).unwrap() {
            let text = std::fs::read_to_string(page.unwrap().path()).unwrap();
            for line in text.lines() {
                let line = line.strip_prefix("sudo ").unwrap_or(line);
                let line = line.split(" #").next().unwrap_or(line);
                let line = line.split(['|', '<', '>', '&', ';']).next().unwrap_or(line);
                if line.starts_with("longhouse ") {
                    let quoted = line.split('"').enumerate();
                    let words = quoted.flat_map(|(n, part)| match n % 2 {
                        0 => part.split_whitespace().map(str::to_owned).collect(),
                        _ => vec![part.to_owned()],
                    });
                    if let Err(error) = Arguments::try_parse_from(words) {
                        assert!(!error.use_stderr(), "{line}: {error}");
                    }
                    read += 1;
                }
            }
        }
        assert!(read > 30, "only {read} commands were found");
    }

    #[test]
    fn every_configuration_key_is_documented() {
        let page = include_str!("../../docs/configuration.md");
        let shipped = crate::config::commented_default();
        let keys = shipped
            .lines()
            .filter_map(|line| line.strip_prefix("# ")?.split_once(" = "));
        let keys: Vec<_> = keys.filter(|(key, _)| !key.contains(' ')).collect();
        assert!(keys.len() >= 8, "{keys:?}");
        for (key, _) in keys {
            assert!(page.contains(&format!("| `{key}` |")), "{key}");
        }
    }

    #[test]
    fn limits_that_were_not_named_stay() {
        let before = Limits {
            memory: Some(1),
            cpu_percent: Some(2),
            pids: None,
        };
        let mut change = Change::default();
        assert_eq!(change.limits(before), None);
        change.memory = Some(memory("1G").unwrap());
        change.cpu = Some(number("none").unwrap());
        assert_eq!(
            change.limits(before),
            Some(Limits {
                memory: Some(1 << 30),
                cpu_percent: None,
                pids: None
            })
        );
    }
}
