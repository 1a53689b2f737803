//! The definitions that this box knows: the shipped ones, and those of the data folder, which add to them or replace them.

use std::{collections::BTreeMap, fs, io::Read, path::Path, sync::Arc};

use include_dir::{Dir, include_dir};

use super::definition::{Definition, Install};
use super::reading::Fault;
use super::{Game, HostingError};

static SHIPPED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/data/games");

/// No definition is longer; one byte more tells that it is.
const MAX_READ: u64 = 256 * 1024 + 1;

/// Definitions by name.
pub(super) type Library = BTreeMap<String, Arc<Definition>>;

/// All definitions that are whole, and what is wrong with the others. `data` is the folder that holds `games/`.
pub(super) fn load(data: Option<&Path>) -> (Library, Vec<Fault>) {
    let (mut library, mut faults) = (Library::new(), Vec::new());
    let mut add = |file: &str, name: &str, text: std::io::Result<String>| match text {
        Err(error) => faults.push(fault(file, &error)),
        Ok(text) => match Definition::parse(file, name, &text) {
            Ok(definition) => {
                let definition = match data {
                    Some(data) => definition.rooted(data),
                    None => definition,
                };
                library.insert(name.into(), Arc::new(definition));
            }
            Err(found) => faults.extend(found),
        },
    };
    for file in SHIPPED.files() {
        let (path, text) = (file.path(), file.contents_utf8().unwrap_or_default());
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        add(
            &format!("data/games/{}", path.display()),
            &name,
            Ok(text.into()),
        );
    }
    if let Some(games) = data.map(|data| data.join("games"))
        && games.exists()
    {
        match local(&games) {
            Err(error) => add(&games.display().to_string(), "", Err(error)),
            Ok(files) => {
                for path in files {
                    let name = path.file_stem().unwrap_or_default().to_string_lossy();
                    add(&path.display().to_string(), &name, read(&path));
                }
            }
        }
    }
    faults.sort();
    (library, faults)
}

fn fault(file: &str, error: &std::io::Error) -> Fault {
    Fault {
        file: file.into(),
        key: String::new(),
        what: error.to_string(),
    }
}

fn local(games: &Path) -> std::io::Result<Vec<std::path::PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(games)? {
        let path = entry?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "toml")
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?
        .take(MAX_READ)
        .read_to_string(&mut text)?;
    Ok(text)
}

impl Definition {
    /// The game as the API lists it.
    pub(super) fn game(&self) -> Game {
        Game {
            name: self.name.clone(),
            title: self.title.clone(),
            description: self.description.clone(),
            install: match &self.install {
                Install::Debian { .. } => "debian".into(),
                Install::Dir { .. } => "dir".into(),
                Install::Archive { .. } => "archive".into(),
                Install::Steamcmd { app } => format!("steamcmd:{app}"),
            },
            versions: self.versions.clone(),
            settings: serde_json::to_value(&self.settings)
                .expect("settings are text, numbers and lists"),
            unavailable: self.unavailable(),
            missing: self
                .versions
                .iter()
                .filter_map(|version| Some((version.clone(), self.missing(version)?)))
                .collect(),
        }
    }

    /// Why none of its versions can be hosted here just now, and what to do for the default one.
    fn unavailable(&self) -> Option<String> {
        let mut missing = self.versions.iter().map(|version| self.missing(version));
        let first = missing.next()??;
        missing.all(|why| why.is_some()).then_some(first)
    }

    /// Why `version` cannot be hosted here just now, and what to do.
    pub(super) fn missing(&self, version: &str) -> Option<String> {
        crate::worker::install::missing(self, version)
    }

    /// Refuses a version that cannot be hosted here just now.
    pub(super) fn available(&self, version: &str) -> Result<(), HostingError> {
        match self.missing(version) {
            None => Ok(()),
            Some(why) => Err(HostingError::Unavailable {
                game: self.name.clone(),
                why,
            }),
        }
    }

    /// `wanted`, or the default version.
    pub(super) fn version(&self, wanted: Option<String>) -> Result<String, HostingError> {
        match wanted {
            None => Ok(self.versions[0].clone()),
            Some(version) if self.versions.contains(&version) => Ok(version),
            Some(version) => Err(HostingError::NoSuchVersion {
                game: self.name.clone(),
                version,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_definition_is_whole() {
        let (library, faults) = load(None);
        assert_eq!(faults, []);
        let names: Vec<_> = library.keys().map(String::as_str).collect();
        assert_eq!(
            names,
            ["freeciv", "minetest", "openttd", "redeclipse", "teeworlds"]
        );
    }

    #[test]
    fn a_broken_definition_is_a_fault_and_the_others_stay() {
        let data = tempfile::tempdir().unwrap();
        let games = data.path().join("games");
        fs::create_dir(&games).unwrap();
        fs::write(games.join("openttd.toml"), "title = 1").unwrap();
        fs::write(games.join("Bad Name.toml"), "\u{0}").unwrap();
        fs::write(games.join("bytes.toml"), [0xff, 0xfe]).unwrap();
        fs::write(games.join("notes.txt"), "not mine").unwrap();
        let (library, faults) = load(Some(data.path()));
        assert_eq!(library.len(), 5);
        for file in ["openttd.toml", "Bad Name.toml", "bytes.toml"] {
            assert!(
                faults.iter().any(|fault| fault.file.ends_with(file)),
                "{file}"
            );
        }
    }
}
