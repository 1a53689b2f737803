//! `longhouse.toml`, the environment and `--set`, checked: every fault is told at once.
//!
//! Order: default, file, environment, flag; the later one wins. Each key `a.b` is also the variable
//! `LONGHOUSE_A_B`. Without `--config`, `longhouse.toml` in the state folder is read when it is there.

use std::{
    collections::BTreeMap,
    fmt, fs,
    net::SocketAddr,
    num::{NonZeroU16, NonZeroU32, NonZeroUsize},
    path::{Path, PathBuf},
    str::FromStr,
    time::Duration,
};

use crate::voice::Legacy;

/// All that can be configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Everything that this box remembers.
    pub state: PathBuf,
    /// Where `games/` is; the shipped definitions are always there too.
    pub data: Option<PathBuf>,
    /// Where players and administrators reach the HTTP API.
    pub http_listen: SocketAddr,
    /// Where `/live`, `/ready` and `/metrics` are.
    pub admin_listen: SocketAddr,
    /// What hosted servers may have.
    pub hosting: Hosting,
    /// Where and how people talk.
    pub voice: Voice,
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

/// An unprivileged user id: 1 to 2^31 - 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Uid(u32);

impl Uid {
    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl FromStr for Uid {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(id @ 1..=0x7fff_ffff) => Ok(Self(id)),
            _ => Err(format!("`{text}` is not a user id from 1 to 2147483647")),
        }
    }
}

/// A range with both ends, written `FIRST-LAST`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span<T> {
    /// The first that belongs to it.
    pub first: T,
    /// The last that belongs to it.
    pub last: T,
}

impl<T: FromStr + PartialOrd> FromStr for Span<T> {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a range like 7000-7999");
        let (first, last) = text.split_once('-').ok_or_else(wrong)?;
        let first = first.trim().parse().map_err(|_| wrong())?;
        let last = last.trim().parse().map_err(|_| wrong())?;
        if first > last {
            return Err(format!("`{text}` ends before it begins"));
        }
        Ok(Self { first, last })
    }
}

/// One key: its name, what it is when nobody says otherwise, and what it means.
struct Key {
    name: &'static str,
    default: &'static str,
    meaning: &'static str,
}

const STATE: &str = "state";
const DATA: &str = "data";
const HTTP_LISTEN: &str = "http.listen";
const ADMIN_LISTEN: &str = "admin.listen";
const PORTS: &str = "hosting.ports";
const UIDS: &str = "hosting.uids";
const RECYCLE: &str = "hosting.recycle";
const CONSOLE: &str = "hosting.console";
const VOICE_LISTEN: &str = "voice.listen";
const VOICE_PORTS: &str = "voice.ports";
const LEGACY_ADMIN: &str = "voice.legacy_admin";
const VOICE_RATE: &str = "voice.rate";
const VOICE_SHARDS: &str = "voice.shards";

#[rustfmt::skip]
const KEYS: [Key; 13] = [
    Key { name: STATE, default: "", meaning: "Everything that this box remembers. Empty: /var/lib/longhouse as root, else ./longhouse-data" },
    Key { name: DATA, default: "", meaning: "A folder whose games/NAME.toml add to the shipped definitions or replace them. Empty: none" },
    Key { name: HTTP_LISTEN, default: "0.0.0.0:8080", meaning: "Address and port of the HTTP API; port 0 takes any free one" },
    Key { name: ADMIN_LISTEN, default: "127.0.0.1:9090", meaning: "Address and port of /live, /ready and /metrics" },
    Key { name: PORTS, default: "7000-7999", meaning: "Ports for game servers; in a pool of 1000, class 0 has the first hundred, class 1 the next" },
    Key { name: UIDS, default: "30000-59999", meaning: "User ids for game servers, one each, when the daemon is root; nobody else may use them" },
    Key { name: RECYCLE, default: "7d", meaning: "How long a deleted server's folder stays in the recycle bin" },
    Key { name: CONSOLE, default: "16M", meaning: "Console history to keep on disk per server" },
    Key { name: VOICE_LISTEN, default: "0.0.0.0:8085", meaning: "Address and port of the KV voice protocol's control; voice channels use the same address" },
    Key { name: VOICE_PORTS, default: "40000-40999", meaning: "UDP ports for voice channels, one each" },
    Key { name: LEGACY_ADMIN, default: "false", meaning: "Whether KV's uid 0 is an administrator without any proof: false, true (for programs on this box), or anywhere" },
    Key { name: VOICE_RATE, default: "500", meaning: "Voice packets per second that one member may send; more are dropped" },
    Key { name: VOICE_SHARDS, default: "auto", meaning: "Sockets that one busy voice channel may spread over: a number, or auto for one per core" },
];

/// Variables of ours that are no configuration keys.
const OTHER_VARIABLES: [&str; 3] = ["LONGHOUSE_LOG", "LONGHOUSE_CONFIG", "LONGHOUSE_SERVER"];

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
        for key in &KEYS {
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

        let config = Self {
            state: values.state(),
            data: Some(PathBuf::from(values.text(DATA)))
                .filter(|path| !path.as_os_str().is_empty()),
            http_listen: values.parse(HTTP_LISTEN, address),
            admin_listen: values.parse(ADMIN_LISTEN, address),
            hosting: Hosting {
                ports: values.parse(PORTS, str::parse),
                uids: values.parse(UIDS, str::parse),
                recycle: values.parse(RECYCLE, duration),
                console: values.parse(CONSOLE, bytes),
            },
            voice: Voice {
                listen: values.parse(VOICE_LISTEN, address),
                ports: values.parse(VOICE_PORTS, str::parse),
                legacy_admin: values.parse(LEGACY_ADMIN, legacy),
                rate: values.parse(VOICE_RATE, rate),
                shards: values.parse(VOICE_SHARDS, shards),
            },
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

fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is not an address and port like 0.0.0.0:8080 or [::]:8080"))
}

fn legacy(text: &str) -> Result<Legacy, String> {
    match text {
        "false" => Ok(Legacy::Off),
        "true" => Ok(Legacy::Loopback),
        "anywhere" => Ok(Legacy::Anywhere),
        _ => Err(format!("`{text}` is none of false, true, anywhere")),
    }
}

fn rate(text: &str) -> Result<NonZeroU32, String> {
    let wrong = |_| format!("`{text}` is not a number of packets per second from 1 on");
    text.parse().map_err(wrong)
}

fn shards(text: &str) -> Result<Option<NonZeroUsize>, String> {
    match (text, text.parse::<NonZeroUsize>()) {
        ("auto", _) => Ok(None),
        (_, Ok(number)) if number.get() <= 64 => Ok(Some(number)),
        _ => Err(format!(
            "`{text}` is neither auto nor a number from 1 to 64"
        )),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|fault| format!("`{text}` is not a duration like 7d or 12h: {fault}"))
}

/// The least history with which a console is still of use.
const LEAST_CONSOLE: u64 = 512 << 10;

fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a size like 512K, 16M or 1G");
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'K' | b'k') => (&text[..text.len() - 1], 10),
        Some(b'M' | b'm') => (&text[..text.len() - 1], 20),
        Some(b'G' | b'g') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let number: u64 = digits.trim().parse().map_err(|_| wrong())?;
    let size = number.checked_mul(1 << shift).ok_or_else(wrong)?;
    if size < LEAST_CONSOLE {
        return Err(format!("`{text}` is less than the least, 512K"));
    }
    Ok(size)
}

/// What was said for each key, and by whom.
#[derive(Default)]
struct Values {
    said: BTreeMap<&'static str, (String, String)>,
    faults: Vec<String>,
    notes: Vec<String>,
}

impl Values {
    fn set(&mut self, key: &'static str, value: &str, origin: impl fmt::Display) {
        self.said.insert(key, (value.into(), origin.to_string()));
    }

    fn overlay(&mut self, later: Self) {
        self.said.extend(later.said);
        self.faults.extend(later.faults);
        self.notes.extend(later.notes);
    }

    fn text(&self, key: &'static str) -> &str {
        self.said.get(key).map_or("", |(value, _)| value)
    }

    fn state(&self) -> PathBuf {
        match self.text(STATE) {
            "" => default_state(),
            path => path.into(),
        }
    }

    /// The value, or (with a fault noted) the default's: nobody sees it, because faults end the loading.
    fn parse<T>(&mut self, key: &'static str, read: impl Fn(&str) -> Result<T, String>) -> T {
        read(self.text(key)).unwrap_or_else(|why| {
            self.fault(key, why);
            let default = KEYS.iter().find(|other| other.name == key);
            read(default.expect("every key parsed is in KEYS").default)
                .unwrap_or_else(|why| panic!("the default of {key} does not parse: {why}"))
        })
    }

    fn fault(&mut self, key: &'static str, why: String) {
        let origin = self.said.get(key).map_or("default", |(_, origin)| origin);
        self.faults.push(format!("{origin}: {key}: {why}"));
    }

    fn read_environment(&mut self, environment: &BTreeMap<String, String>) {
        for (name, value) in environment {
            match KEYS.iter().find(|key| variable(key.name) == *name) {
                Some(key) => self.set(key.name, value, name),
                None if OTHER_VARIABLES.contains(&name.as_str()) => {}
                // Not a fault: container hosts set variables that are named after services.
                None => self.notes.push(format!(
                    "environment: {name} is not a key of ours and is ignored"
                )),
            }
        }
    }

    fn read_set(&mut self, set: &str) {
        let Some((name, value)) = set.split_once('=') else {
            self.faults
                .push(format!("--set {set}: this is not KEY=VALUE"));
            return;
        };
        match find(name.trim()) {
            Ok(key) => self.set(key, value.trim(), "--set"),
            Err(why) => self.faults.push(format!("--set {set}: {why}")),
        }
    }

    fn read_file(&mut self, file: &Path) {
        let origin = file.display();
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) => {
                self.faults.push(format!("{origin}: {error}"));
                return;
            }
        };
        match text.parse::<toml::Table>() {
            Ok(table) => self.read_table(&origin, "", table),
            Err(error) => self
                .faults
                .push(format!("{origin}: {error}").trim_end().into()),
        }
    }

    fn read_table(&mut self, origin: &impl fmt::Display, prefix: &str, table: toml::Table) {
        for (name, value) in table {
            let name = format!("{prefix}{name}");
            let text = match value {
                toml::Value::Table(table) => {
                    self.read_table(origin, &format!("{name}."), table);
                    continue;
                }
                toml::Value::String(text) => text,
                other => other.to_string(),
            };
            match find(&name) {
                Ok(key) => self.set(key, &text, origin),
                Err(why) => self.faults.push(format!("{origin}: {why}")),
            }
        }
    }
}

fn find(name: &str) -> Result<&'static str, String> {
    match KEYS.iter().find(|key| key.name == name) {
        Some(key) => Ok(key.name),
        None => {
            let known: Vec<_> = KEYS.iter().map(|key| key.name).collect();
            Err(format!(
                "there is no key `{name}`; there are {}",
                known.join(", ")
            ))
        }
    }
}

fn variable(key: &str) -> String {
    format!("LONGHOUSE_{}", key.to_uppercase().replace('.', "_"))
}

/// `data/longhouse.toml`: every key with its default, commented out.
pub fn commented_default() -> String {
    let mut text = String::from(
        "# Longhouse configuration. Each key is shown with its default; remove the `#` to change one.\n\
         # Every key is also an environment variable (http.listen: LONGHOUSE_HTTP_LISTEN) and a flag\n\
         # (--set http.listen=0.0.0.0:80); the flag wins over the variable, the variable over this file.\n",
    );
    for key in &KEYS {
        let Key {
            name,
            default,
            meaning,
        } = key;
        text += &format!("\n# {meaning}.\n# {name} = \"{default}\"\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(
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
            &["nothing", "a.b=1"],
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
            include_str!("../data/longhouse.toml"),
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
