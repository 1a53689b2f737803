//! What `games/NAME.toml` says of a game, checked as a whole: all that is wrong is told at once.
//!
//! Keys: `title`, `description`, `versions`, `[install]`, `[run]`, `[[files]]`, `[[ports]]`, `[ready]`, `[stop]`,
//! `[restart]`, `[save]`, `[limits]`, `[settings.NAME]`. A key that nothing reads is a fault.

use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

use serde::{
    Deserialize, Deserializer,
    de::{
        DeserializeOwned, Error as _, IntoDeserializer as _, SeqAccess, Visitor,
        value::SeqAccessDeserializer,
    },
};

use super::settings::Setting;
use super::template::{Escape, Template};
use super::{Limits, Restart};

/// A definition, a file or a list that is larger is refused before it is looked at.
const MAX_BYTES: usize = 256 << 10;
pub(super) const MAX_ITEMS: usize = 64;

/// One game that can be hosted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Definition {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) description: String,
    pub(crate) versions: Vec<String>,
    pub(crate) install: Install,
    pub(crate) run: Run,
    pub(crate) files: Vec<File>,
    pub(crate) ports: Vec<PortRule>,
    pub(crate) ready: Ready,
    pub(crate) stop: Stop,
    pub(crate) restart: Restarts,
    pub(crate) save: Option<Save>,
    pub(crate) limits: Limits,
    pub(crate) settings: BTreeMap<String, Setting>,
}

/// How the game comes onto this box.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(tag = "method", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Install {
    /// Debian packages that the administrator installed; the paths in `requires` must exist.
    Debian {
        packages: Vec<String>,
        requires: Vec<String>,
    },
    /// A folder on this box, copied into the server's. `{version}` may stand in its path.
    Dir { path: Template },
    /// A tar, tar.gz or tar.zst on this box, unpacked into the server's folder. `{version}` may stand in its path.
    Archive { path: Template },
    /// A Steam application, installed by steamcmd into the server's folder.
    Steamcmd { app: u32 },
}

/// How it is run.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Run {
    pub(crate) argv: Vec<Arg>,
    /// `argv[0]` is a shell script without placeholders; the other arguments reach it as `$1` and so on.
    #[serde(default)]
    pub(crate) shell: bool,
    /// Below the server's folder.
    #[serde(default)]
    pub(crate) cwd: String,
    #[serde(default)]
    pub(crate) env: BTreeMap<String, Template>,
}

/// One argument, or some that go together.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Arg {
    One(Template),
    /// Left out when a setting in it is empty, or is a path where nothing is.
    Group(Vec<Template>),
}

/// By hand, because an untagged enum would not tell what is wrong with a template.
impl<'de> Deserialize<'de> for Arg {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Arg;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an argument, or a list of arguments that go together")
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Arg, E> {
                Template::deserialize(text.into_deserializer()).map(Arg::One)
            }
            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Arg, A::Error> {
                Vec::deserialize(SeqAccessDeserializer::new(list)).map(Arg::Group)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// A file in the server's folder that is written, or in which keys are set, before each start.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    pub(crate) path: String,
    /// The whole file.
    pub(crate) write: Option<Template>,
    /// How values are written in `write`.
    #[serde(default)]
    pub(crate) escape: Escape,
    /// By section (`""`: before the first), keys to set in an ini-style file; all else in it stays.
    #[serde(default)]
    pub(crate) set: BTreeMap<String, BTreeMap<String, Template>>,
}

/// One port that the game wants.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PortRule {
    pub(crate) name: String,
    #[serde(default)]
    pub(crate) tcp: bool,
    #[serde(default)]
    pub(crate) udp: bool,
    /// The game takes it itself, this far above the first port of the list.
    pub(crate) offset: Option<u16>,
}

/// How it says that players may come: one of `line` and `tcp`, or neither: as soon as it runs.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ready {
    /// A line of its output contains this.
    pub(crate) line: Option<String>,
    /// It accepts on the port of this name.
    pub(crate) tcp: Option<String>,
    #[serde(default = "Ready::timeout", deserialize_with = "duration")]
    pub(crate) timeout: Duration,
}

impl Ready {
    fn timeout() -> Duration {
        Duration::from_secs(120)
    }
}

/// How it is stopped: one of `console`, `signal` and `tcp`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Stop {
    /// Lines on its standard input.
    pub(crate) console: Option<Vec<Template>>,
    /// `SIGTERM`, `SIGINT` and so on.
    pub(crate) signal: Option<String>,
    /// A console that it offers on a TCP port.
    pub(crate) tcp: Option<TcpStop>,
    /// How long that may take before SIGTERM.
    #[serde(default = "Stop::timeout", deserialize_with = "duration")]
    pub(crate) timeout: Duration,
    /// How long SIGTERM may take before all is killed.
    #[serde(default = "Stop::term", deserialize_with = "duration")]
    pub(crate) term: Duration,
}

impl Stop {
    fn timeout() -> Duration {
        Duration::from_secs(20)
    }
    fn term() -> Duration {
        Duration::from_secs(10)
    }
}

/// A stop by TCP console.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TcpStop {
    /// The port's name.
    pub(crate) port: String,
    /// What to wait for (may be empty), and the line to send then.
    pub(crate) script: Vec<(String, Template)>,
}

/// How a running game is made to save, so that its files can be copied.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Save {
    /// Lines on its console.
    pub(crate) before: Vec<String>,
    /// A line of its output contains this once all is written; without it, that is so at once.
    pub(crate) line: Option<String>,
    /// A line of its output contains this when it could not save.
    pub(crate) failed: Option<String>,
    /// Lines on its console once it has saved, or has not.
    #[serde(default)]
    pub(crate) after: Vec<String>,
    #[serde(default = "Save::timeout", deserialize_with = "duration")]
    pub(crate) timeout: Duration,
}

impl Save {
    fn timeout() -> Duration {
        Duration::from_secs(60)
    }
}

/// When a game that ended by itself is started again, unless the server says otherwise.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Restarts {
    pub(crate) policy: Restart,
    /// So many ends within `window`, and it is left.
    pub(crate) limit: u32,
    #[serde(deserialize_with = "duration")]
    pub(crate) window: Duration,
}

impl Default for Restarts {
    fn default() -> Self {
        Self {
            policy: Restart::Always,
            limit: 5,
            window: Duration::from_secs(120),
        }
    }
}

/// Something wrong in a definition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fault {
    /// The file.
    pub file: String,
    /// The key in it; empty when the fault is the file's.
    pub key: String,
    /// What is wrong, and what would be right.
    pub what: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if !self.key.is_empty() {
            write!(f, ": {}", self.key)?;
        }
        write!(f, ": {}", self.what)
    }
}

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(deserializer)?;
    jiff::SignedDuration::from_str(&text)
        .ok()
        .and_then(|span| Duration::try_from(span).ok())
        .filter(|span| (Duration::from_millis(1)..=Duration::from_secs(86_400)).contains(span))
        .ok_or_else(|| {
            D::Error::custom(format!(
                "`{text}` is no time from 1ms to 24h, like \"30s\" or \"2m\""
            ))
        })
}

/// A definition's or a port's or a setting's name.
pub(super) fn is_name(text: &str) -> bool {
    (1..=32).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c))
}

pub(super) const NAME: &str = "must be 1 to 32 of a-z, 0-9, - and _, starting with a letter";

/// Sections as they are read, and the faults found so far.
pub(super) struct Checker<'a> {
    file: &'a str,
    table: toml::Table,
    faults: Vec<Fault>,
}

impl Checker<'_> {
    pub(super) fn fault(&mut self, key: impl Into<String>, what: impl Into<String>) {
        self.faults.push(Fault {
            file: self.file.into(),
            key: key.into(),
            what: what.into(),
        });
    }

    fn read<T: DeserializeOwned>(&mut self, key: &str, value: toml::Value) -> Option<T> {
        value
            .try_into()
            .map_err(|error: toml::de::Error| self.fault(key, error.message()))
            .ok()
    }

    fn required<T: DeserializeOwned>(&mut self, key: &str) -> Option<T> {
        match self.table.remove(key) {
            Some(value) => self.read(key, value),
            None => {
                self.fault(key, "is missing");
                None
            }
        }
    }

    fn optional<T: DeserializeOwned + Default>(&mut self, key: &str) -> T {
        let value = self.table.remove(key);
        value
            .and_then(|value| self.read(key, value))
            .unwrap_or_default()
    }

    /// A list whose elements are read one by one, so that each tells its own fault.
    fn list<T: DeserializeOwned>(&mut self, key: &str) -> Vec<T> {
        match self.table.remove(key) {
            None => Vec::new(),
            Some(toml::Value::Array(items)) if items.len() <= MAX_ITEMS => items
                .into_iter()
                .enumerate()
                .filter_map(|(n, item)| self.read(&format!("{key}[{n}]"), item))
                .collect(),
            Some(_) => {
                self.fault(key, format!("must be a list of at most {MAX_ITEMS}"));
                Vec::new()
            }
        }
    }

    fn settings(&mut self) -> BTreeMap<String, Setting> {
        let table: toml::Table = self.optional("settings");
        if table.len() > MAX_ITEMS {
            self.fault("settings", format!("must be at most {MAX_ITEMS}"));
            return BTreeMap::new();
        }
        let mut settings = BTreeMap::new();
        for (name, value) in table {
            let key = format!("settings.{name}");
            let Some(setting) = self.read::<Setting>(&key, value) else {
                continue;
            };
            if !is_name(&name) {
                self.fault(&key, NAME);
            }
            if let Some(what) = setting.fault() {
                self.fault(&key, what);
            }
            settings.insert(name, setting);
        }
        settings
    }
}

impl Definition {
    /// Reads the definition of the game `name`; `file` names it in faults.
    pub(crate) fn parse(file: &str, name: &str, text: &str) -> Result<Self, Vec<Fault>> {
        let mut checker = Checker {
            file,
            table: toml::Table::new(),
            faults: Vec::new(),
        };
        if !is_name(name) {
            checker.fault("", format!("the file's name {NAME}"));
        }
        if text.len() > MAX_BYTES {
            checker.fault("", format!("must be at most {MAX_BYTES} bytes"));
            return Err(checker.faults);
        }
        match text.parse() {
            Ok(table) => checker.table = table,
            Err(error) => {
                let error: toml::de::Error = error;
                let line = error.span().map_or(1, |span| {
                    1 + text.as_bytes()[..span.start.min(text.len())]
                        .iter()
                        .filter(|&&b| b == b'\n')
                        .count()
                });
                checker.fault(format!("line {line}"), error.message().replace('\n', " "));
                return Err(checker.faults);
            }
        }
        let title = checker.required::<String>("title");
        let description = checker.required::<String>("description");
        let versions = match checker.table.contains_key("versions") {
            true => checker.required::<Vec<String>>("versions"),
            false => Some(vec!["current".into()]),
        };
        let install = checker.required("install");
        let run = checker.required("run");
        let ready = checker.required("ready");
        let stop = checker.required("stop");
        let files = checker.list("files");
        let ports = checker.list("ports");
        let restart = checker.optional("restart");
        let save = match checker.table.contains_key("save") {
            true => checker.required("save"),
            false => None,
        };
        let limits = checker.optional("limits");
        let settings = checker.settings();
        for key in std::mem::take(&mut checker.table).keys() {
            checker.fault(key, "is no key of a game definition");
        }
        let parts = (title, description, versions, install, run, ready, stop);
        let (
            Some(title),
            Some(description),
            Some(versions),
            Some(install),
            Some(run),
            Some(ready),
            Some(stop),
        ) = parts
        else {
            return Err(checker.faults);
        };
        let definition = Self {
            name: name.into(),
            title,
            description,
            versions,
            install,
            run,
            files,
            ports,
            ready,
            stop,
            restart,
            save,
            limits,
            settings,
        };
        definition.check(&mut checker);
        if checker.faults.is_empty() {
            Ok(definition)
        } else {
            checker.faults.sort();
            Err(checker.faults)
        }
    }
}

impl Arg {
    pub(crate) fn templates(&self) -> &[Template] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Group(group) => group,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SMALL: &str = r#"
        title = "Small"
        description = "A small game."
        versions = ["1"]
        [install]
        method = "dir"
        path = "/srv/small-{version}"
        [run]
        argv = ["{dir}/small", "--port", "{port.game}", ["--name", "{setting.motd}"]]
        [[ports]]
        name = "game"
        udp = true
        [ready]
        line = "open"
        timeout = "5s"
        [stop]
        signal = "SIGTERM"
        [settings.motd]
        type = "text"
        description = "Shown to all"
        default = ""
        max = 20
    "#;

    fn faults(text: &str) -> Vec<String> {
        Definition::parse("small.toml", "small", text)
            .err()
            .unwrap_or_default()
            .iter()
            .map(ToString::to_string)
            .collect()
    }

    #[test]
    fn a_small_definition_is_read() {
        let small = Definition::parse("small.toml", "small", SMALL).unwrap();
        assert_eq!(small.ready.timeout, Duration::from_secs(5));
        assert_eq!(small.restart, Restarts::default());
    }

    #[test]
    fn every_fault_is_told_at_once_with_its_key() {
        let text = SMALL
            .replace("\"1\"", "\"../1\"")
            .replace("{port.game}", "{port.query}")
            .replace("SIGTERM", "SIGNONE")
            .replace("udp = true", "udp = true\noffset = 3")
            .replace("[ready]", "[ready]\nwhen = 1")
            .replace("title =", "colour = 1\ntitle =");
        let found = faults(&text).join("\n");
        for key in ["colour: ", "ready: unknown field `when`"] {
            assert!(found.contains(key), "{key} in {found}");
        }
        let found = faults(&text.replace("when = 1", "")).join("\n");
        for key in [
            "versions: ",
            "run.argv[2]: {port.query} is not declared",
            "stop.signal: ",
            "ports[0].offset: ",
        ] {
            assert!(found.contains(key), "{key} in {found}");
        }
    }

    #[test]
    fn a_broken_placeholder_in_an_argument_is_told_as_what_it_is() {
        let found = faults(&SMALL.replace("{port.game}", "${3:-x}")).join("\n");
        assert!(found.contains("3:-x"), "{found}");
        let found = faults(&SMALL.replace("\"--port\"", "7")).join("\n");
        assert!(found.contains("list of arguments"), "{found}");
    }

    #[test]
    fn what_a_definition_may_not_do() {
        for (from, to, key) in [
            ("{dir}/small", "small", "run.argv[0]"),
            ("{dir}/small", "{title}/small", "run.argv[0]"),
            ("argv =", "shell = true\nargv =", "run.argv[0]"),
            ("argv =", "cwd = \"../x\"\nargv =", "run.cwd"),
            ("argv =", "env = { HOME = \"/\" }\nargv =", "run.env.HOME"),
            ("/srv/small-{version}", "/srv/{title}", "install.path"),
            ("/srv/small-{version}", "srv", "install.path"),
            (
                "[ready]",
                "[[files]]\npath = \"../x\"\nwrite = \"\"\n[ready]",
                "files[0].path",
            ),
            ("[ready]", "[[files]]\npath = \"x\"\n[ready]", "files[0]"),
            ("[ready]", "[limits]\nmemory = 1\n[ready]", "limits.memory"),
            ("\"5s\"", "\"forever\"", "ready"),
            (
                "signal = \"SIGTERM\"",
                "console = [\"a\\nb\"]",
                "stop.console",
            ),
            ("max = 20", "max = 20000", "settings.motd"),
        ] {
            let found = faults(&SMALL.replace(from, to)).join("\n");
            assert!(
                found.contains(&format!("small.toml: {key}")),
                "{key} in {found}"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn a_hostile_definition_never_panics(at in 0usize..700, junk in "[\\[\\]{}\"=.a\n\u{0}é]{0,6}|\\PC{0,8}", cut in 0usize..40) {
            let mut text: Vec<char> = SMALL.chars().collect();
            let at = at.min(text.len());
            let end = (at + cut).min(text.len());
            text.splice(at..end, junk.chars());
            faults(&text.into_iter().collect::<String>());
        }
    }

    #[test]
    fn nesting_and_size_are_bounded() {
        assert!(!faults(&format!("title = {}", "[".repeat(100_000))).is_empty());
        assert!(!faults(&"#".repeat(MAX_BYTES + 1)).is_empty());
    }
}
