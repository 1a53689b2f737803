//! Reads a definition's text: each section by itself, so that all that is wrong is told at once.

use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, Error as _},
};

use super::definition::{Definition, MAX_ITEMS, Version};
use super::settings::Setting;

/// A definition that is larger is refused before it is looked at.
const MAX_BYTES: usize = 256 << 10;

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

pub(super) fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
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

    /// `[version."V"]`, each by itself.
    fn versions(&mut self) -> BTreeMap<String, Version> {
        let table: toml::Table = self.optional("version");
        if table.len() > MAX_ITEMS {
            self.fault("version", format!("must be at most {MAX_ITEMS}"));
            return BTreeMap::new();
        }
        let read = |(name, value): (String, toml::Value)| {
            let version = self.read(&format!("version.{name}"), value)?;
            Some((name, version))
        };
        table.into_iter().filter_map(read).collect()
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
        let players = checker.optional("players");
        let idle = checker.optional("idle");
        let version = checker.versions();
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
            version,
            run,
            files,
            ports,
            ready,
            stop,
            restart,
            save,
            limits,
            players,
            idle,
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

#[cfg(test)]
mod tests {
    use super::super::definition::Restarts;
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
    fn myottds_names_of_versions_are_allowed() {
        let names = "\"060\", \"060-beta1\", \"r12696\", \"14.1\"";
        assert_eq!(faults(&SMALL.replace("\"1\"", names)), [""; 0]);
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
            ("/srv/small-{version}", "../srv", "install.path"),
            (
                "[ready]",
                "[players]\njoin = '(?P<player>.+)'\n[ready]",
                "players: needs both",
            ),
            ("[ready]", "[players]\njoin = '('\n[ready]", "players"),
            (
                "[ready]",
                "[players]\nsetting = \"motd\"\n[ready]",
                "players.setting",
            ),
            (
                "[ready]",
                "[players]\nport = \"game\"\n[ready]",
                "players.port",
            ),
            (
                "[ready]",
                "[version.\"2\"]\ninstall = { method = \"dir\", path = \"/x\" }\n[ready]",
                "version.2",
            ),
            ("argv =", "program = \"{shared}/x\"\nargv =", "run.program"),
            ("{dir}/small", "{program}", "run.argv[0]"),
            ("[ready]", "[idle]\nstop = \"soon\"\n[ready]", "idle"),
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
