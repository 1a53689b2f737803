//! What was said for each key, by whom, and what is wrong with it.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
};

use super::{
    default_state,
    keys::{KEYS, STATE, find, variable},
};

/// Variables of ours that are no configuration keys.
const OTHER_VARIABLES: [&str; 3] = ["LONGHOUSE_LOG", "LONGHOUSE_CONFIG", "LONGHOUSE_SERVER"];

/// What was said for each key, and by whom.
#[derive(Default)]
pub(super) struct Values {
    said: BTreeMap<&'static str, (String, String)>,
    pub(super) faults: Vec<String>,
    pub(super) notes: Vec<String>,
}

impl Values {
    pub(super) fn set(&mut self, key: &'static str, value: &str, origin: impl fmt::Display) {
        self.said.insert(key, (value.into(), origin.to_string()));
    }

    pub(super) fn overlay(&mut self, later: Self) {
        self.said.extend(later.said);
        self.faults.extend(later.faults);
        self.notes.extend(later.notes);
    }

    pub(super) fn text(&self, key: &'static str) -> &str {
        self.said.get(key).map_or("", |(value, _)| value)
    }

    pub(super) fn state(&self) -> PathBuf {
        match self.text(STATE) {
            "" => default_state(),
            path => path.into(),
        }
    }

    /// The value, or (with a fault noted) the default's: nobody sees it, because faults end the loading.
    pub(super) fn parse<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> T {
        read(self.text(key)).unwrap_or_else(|why| {
            self.fault(key, why);
            let default = KEYS.iter().find(|other| other.name == key);
            read(default.expect("every key parsed is in KEYS").default)
                .unwrap_or_else(|why| panic!("the default of {key} does not parse: {why}"))
        })
    }

    pub(super) fn fault(&mut self, key: &'static str, why: String) {
        let origin = self.said.get(key).map_or("default", |(_, origin)| origin);
        self.faults.push(format!("{origin}: {key}: {why}"));
    }

    pub(super) fn read_environment(&mut self, environment: &BTreeMap<String, String>) {
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

    pub(super) fn read_set(&mut self, set: &str) {
        let Some((name, value)) = set.split_once('=') else {
            self.faults
                .push(format!("--set {set}: this is not KEY=VALUE"));
            return;
        };
        match find(name.trim()) {
            Ok(key) => self.set(key, value.trim(), "--set"),
            // Without the value: the key may be a mistyped password's.
            Err(why) => self.faults.push(format!("--set {name}: {why}")),
        }
    }

    pub(super) fn read_file(&mut self, file: &Path) {
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
            Err(error) => {
                // It shows the line at fault, which may hold a password.
                let shown = match error.to_string() {
                    shown if shown.contains("password") => error.message().to_owned(),
                    shown => shown,
                };
                self.faults
                    .push(format!("{origin}: {shown}").trim_end().into());
            }
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
