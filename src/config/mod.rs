//! `longhouse.toml`, the environment and `--set`, checked: every fault is told at once.
//!
//! Order: default, file, environment, flag; the later one wins. Each key `a.b` is also the variable
//! `LONGHOUSE_A_B`. Without `--config`, `longhouse.toml` in the state folder is read when it is there.

mod files;
mod keys;
mod lobby;
mod mail;
mod rpc;
mod values;
mod web;
mod words;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    num::{NonZeroU16, NonZeroU32, NonZeroUsize},
    path::{Path, PathBuf},
    time::Duration,
};

use self::{
    keys::{
        ADMIN_LISTEN, CONSOLE, DATA, HTTP_LISTEN, KEYS, LEGACY_ADMIN, MEMORY, PORTS, RECYCLE,
        REGISTRATION, SCHEDULES_ZONE, SNAPSHOT_RATE, STATE, UIDS, VOICE_LISTEN, VOICE_PORTS,
        VOICE_RATE, VOICE_SHARDS,
    },
    values::Values,
    words::{address, budget, bytes, duration, legacy, pace, rate, shards, zone},
};
use crate::{accounts::Policy, voice::Legacy};

pub use files::Files;
pub use keys::commented_default;
pub use lobby::{Lobby, Password};
pub use mail::Mail;
pub use rpc::Rpc;
pub use web::Web;
pub use words::{Span, Uid};

/// All that can be configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Everything that this box remembers.
    pub state: PathBuf,
    /// Where `games/` is; the shipped definitions are always there too.
    pub data: Option<PathBuf>,
    /// Where players and administrators reach the HTTP API.
    pub http_listen: SocketAddr,
    /// How people know the box, and where it may send them.
    pub web: Web,
    /// Where `/live`, `/ready` and `/metrics` are.
    pub admin_listen: SocketAddr,
    /// Who may make an account for themselves.
    pub registration: Policy,
    /// How mail leaves the box.
    pub mail: Mail,
    /// What hosted servers may have.
    pub hosting: Hosting,
    /// The files of servers.
    pub files: Files,
    /// Bytes that a snapshot job reads in a second; 0 is as many as it can.
    pub snapshot_rate: u64,
    /// Where and how people talk.
    pub voice: Voice,
    /// Where and how people meet and play.
    pub lobby: Lobby,
    /// Where MyOTTD's daemons answer.
    pub rpc: Rpc,
    /// The time zone of schedules that name none; empty: the machine's.
    pub schedules_zone: String,
    /// What is odd but no fault, to be logged at start.
    pub notes: Vec<String>,
}

/// What hosted servers may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hosting {
    /// The pool of ports.
    pub ports: Span<NonZeroU16>,
    /// The pool of user ids, used when the daemon is root.
    pub uids: Span<Uid>,
    /// Bytes of memory for all mounted servers together; none: no budget.
    pub memory: Option<u64>,
    /// How long a deleted server's folder stays in the recycle bin.
    pub recycle: Duration,
    /// Bytes of console history to keep per server.
    pub console: u64,
}

/// Where and how people talk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Voice {
    /// The KV control port; the channels' sockets have its address, too.
    pub listen: SocketAddr,
    /// The pool of UDP ports, one per channel.
    pub ports: Span<NonZeroU16>,
    /// Whether uid 0 is an administrator, and for whom.
    pub legacy_admin: Legacy,
    /// Packets per second that one member may send.
    pub rate: NonZeroU32,
    /// Sockets that one channel may have; none: as many as there are cores.
    pub shards: Option<NonZeroUsize>,
}

/// The state folder that is used when nobody names one.
pub fn default_state() -> PathBuf {
    if nix::unistd::Uid::effective().is_root() {
        "/var/lib/longhouse".into()
    } else {
        "longhouse-data".into()
    }
}

impl Config {
    /// Reads file, environment and `--set`; `state` is the flag `--state`. Fails with every fault, each saying where and what.
    pub fn load(
        file: Option<&Path>,
        sets: &[String],
        state: Option<&Path>,
    ) -> Result<Self, Vec<String>> {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .filter(|(name, _)| name.starts_with("LONGHOUSE_"))
            .collect();
        Self::from_sources(file, environment, sets, state)
    }

    fn from_sources(
        file: Option<&Path>,
        environment: BTreeMap<String, String>,
        sets: &[String],
        state: Option<&Path>,
    ) -> Result<Self, Vec<String>> {
        let mut values = Values::default();
        for key in KEYS {
            values.set(key.name, key.default, "default");
        }
        let mut later = Values::default();
        later.read_environment(&environment);
        for set in sets {
            later.read_set(set);
        }
        if let Some(state) = state {
            later.set(STATE, &state.to_string_lossy(), "--state");
        }
        let named = file
            .map(Path::to_path_buf)
            .or_else(|| environment.get("LONGHOUSE_CONFIG").map(PathBuf::from));
        match named {
            Some(file) => values.read_file(&file),
            None => {
                let file = later.state().join("longhouse.toml");
                if file.exists() {
                    values.read_file(&file);
                }
            }
        }
        values.overlay(later);

        let uids = values.parse(UIDS, str::parse);
        let config = Self {
            state: values.state(),
            data: Some(PathBuf::from(values.text(DATA)))
                .filter(|path| !path.as_os_str().is_empty()),
            http_listen: values.parse(HTTP_LISTEN, address),
            web: Web::read(&mut values),
            admin_listen: values.parse(ADMIN_LISTEN, address),
            registration: values.parse(REGISTRATION, str::parse),
            mail: Mail::read(&mut values),
            hosting: Hosting {
                ports: values.parse(PORTS, str::parse),
                uids,
                memory: values.parse(MEMORY, budget),
                recycle: values.parse(RECYCLE, duration),
                console: values.parse(CONSOLE, bytes),
            },
            files: Files::read(&mut values),
            snapshot_rate: values.parse(SNAPSHOT_RATE, pace),
            voice: Voice {
                listen: values.parse(VOICE_LISTEN, address),
                ports: values.parse(VOICE_PORTS, str::parse),
                legacy_admin: values.parse(LEGACY_ADMIN, legacy),
                rate: values.parse(VOICE_RATE, rate),
                shards: values.parse(VOICE_SHARDS, shards),
            },
            lobby: Lobby::read(&mut values, uids),
            rpc: Rpc::read(&mut values),
            schedules_zone: values.parse(SCHEDULES_ZONE, zone),
            notes: Vec::new(),
        };
        if let Some(data) = &config.data
            && !data.is_dir()
        {
            values.fault(DATA, format!("{} is not a folder", data.display()));
        }
        let voice = match config.voice.legacy_admin {
            Legacy::Off => None,
            Legacy::Loopback => Some("every program on this box can"),
            Legacy::Anywhere => Some("everybody who reaches the port can"),
        };
        if let Some(who) = voice {
            values.notes.push(format!(
                "{LEGACY_ADMIN} is on: {who} do everything with voice, without any proof; hint: turn it off when no old client needs it"
            ));
        }
        if values.faults.is_empty() {
            let notes = std::mem::take(&mut values.notes);
            let config = Self { notes, ..config };
            Ok(config)
        } else {
            Err(values.faults)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    pub(super) fn load(
        file: &str,
        environment: &[(&str, &str)],
        sets: &[&str],
    ) -> Result<Config, Vec<String>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("longhouse.toml");
        fs::write(&path, file).unwrap();
        let environment = environment
            .iter()
            .map(|(name, value)| ((*name).into(), (*value).into()))
            .collect();
        let sets: Vec<_> = sets.iter().map(|set| (*set).to_owned()).collect();
        Config::from_sources(None, environment, &sets, Some(folder.path()))
    }

    #[test]
    fn with_no_configuration_the_defaults_work() {
        let config = load("", &[], &[]).unwrap();
        assert_eq!(config.http_listen.port(), 8080);
        assert_eq!(config.hosting.ports.first.get(), 7000);
        assert_eq!(config.hosting.recycle, Duration::from_secs(7 * 24 * 3600));
        assert_eq!(config.hosting.console, 16 << 20);
        assert_eq!(config.registration, Policy::Open);
    }

    #[test]
    fn file_environment_and_flag_win_in_that_order() {
        let file = "[http]\nlisten = \"127.0.0.1:1\"\n[admin]\nlisten = \"127.0.0.1:1\"\n[hosting]\nrecycle = \"1d\"\n";
        let environment = [
            ("LONGHOUSE_HTTP_LISTEN", "127.0.0.1:2"),
            ("LONGHOUSE_ADMIN_LISTEN", "127.0.0.1:2"),
        ];
        let config = load(file, &environment, &["http.listen=127.0.0.1:3"]).unwrap();
        assert_eq!(config.http_listen.port(), 3);
        assert_eq!(config.admin_listen.port(), 2);
        assert_eq!(config.hosting.recycle, Duration::from_secs(24 * 3600));
    }

    #[test]
    fn every_fault_is_told_at_once_with_its_origin() {
        let file =
            "stat = \"x\"\n[http]\nlisten = \"here\"\n[hosting]\nuids = \"0-5\"\nconsole = 5\n";
        let faults = load(
            file,
            &[("LONGHOUSE_HOSTING_PORTS", "9-1")],
            &["nothing", "a.b=1", "accounts.registration=maybe"],
        )
        .unwrap_err();
        for part in [
            "no key `stat`",
            "http.listen: `here` is not an address",
            "hosting.uids: `0-5`",
            "hosting.console: `5` is less",
            "LONGHOUSE_HOSTING_PORTS: hosting.ports: `9-1` ends before it begins",
            "--set nothing: this is not KEY=VALUE",
            "no key `a.b`",
            "accounts.registration: `maybe` is none of open",
        ] {
            assert!(
                faults.iter().any(|fault| fault.contains(part)),
                "{part} is missing from {faults:#?}"
            );
        }
    }

    #[test]
    fn a_variable_that_is_none_of_ours_is_noted_and_does_no_harm() {
        let config = load("", &[("LONGHOUSE_SERVICE_HOST", "10.0.0.1")], &[]).unwrap();
        assert!(config.notes[0].contains("LONGHOUSE_SERVICE_HOST"));
    }

    #[test]
    fn a_file_that_was_named_must_exist_and_be_toml() {
        let faults = Config::from_sources(
            Some(Path::new("/nonexistent/longhouse.toml")),
            BTreeMap::new(),
            &[],
            None,
        )
        .unwrap_err();
        assert!(faults[0].contains("/nonexistent/longhouse.toml"));
        assert!(load("= 3", &[], &[]).unwrap_err()[0].contains("longhouse.toml"));
    }

    #[test]
    fn the_shipped_file_shows_every_key() {
        assert_eq!(
            include_str!("../../data/longhouse.toml"),
            commented_default(),
            "write commented_default() to data/longhouse.toml"
        );
        let enabled = commented_default().replace("\n# ", "\n#").lines().fold(
            String::new(),
            |mut text, line| {
                let bare = line.trim_start_matches('#');
                if KEYS
                    .iter()
                    .any(|key| bare.starts_with(&format!("{} =", key.name)))
                {
                    text += bare;
                    text.push('\n');
                }
                text
            },
        );
        assert_eq!(enabled.lines().count(), KEYS.len());
        load(&enabled, &[], &[]).unwrap();
    }
}
