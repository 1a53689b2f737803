//! A match in a file, so that it can go on after the table is gone.
//!
//! The file lies in the working directory, which the lobby chose, and is named by chance. It is replaced as a whole
//! with every move, and removed when the match is over. What is read is judged as if a stranger had written it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use serde::{Deserialize, Serialize};

use crate::lobby::wire::terms::Seat;

/// More than any match needs: the longest game of chess is shorter.
const LARGEST: u64 = 256 << 10;
const FORMAT: u32 = 1;

/// A match.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Saved {
    /// Of this record.
    pub(crate) format: u32,
    /// Which game.
    pub(crate) game: String,
    /// The how manieth at its table.
    pub(crate) round: u32,
    /// The seat that began.
    pub(crate) first: usize,
    /// Who had which seat.
    pub(crate) seats: Vec<Seat>,
    /// In order.
    pub(crate) moves: Vec<String>,
}

impl Saved {
    /// In the format of now.
    pub(crate) fn new(
        game: &str,
        round: u32,
        first: usize,
        seats: Vec<Seat>,
        moves: Vec<String>,
    ) -> Self {
        Self {
            format: FORMAT,
            game: game.into(),
            round,
            first,
            seats,
            moves,
        }
    }
}

/// Why a saved game cannot be taken up again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SaveError {
    /// It could lead out of the folder, or to a file that this program did not write.
    #[error("{0:?} is not the name of a saved game")]
    Name(String),
    /// The file cannot be read or written.
    #[error("saved game {name}: {source}")]
    File {
        /// Which.
        name: String,
        /// The system's reason.
        source: io::Error,
    },
    /// No match is as long as that, or it is no file at all.
    #[error("saved game {0} is not a file of at most 256 KiB")]
    Size(String),
    /// It is not what this program writes.
    #[error("saved game {name} is damaged: {source}")]
    Damaged {
        /// Which.
        name: String,
        /// Where.
        source: serde_json::Error,
    },
    /// It has been written by a later version.
    #[error("saved game {name} has format {format}, and this program knows {FORMAT}")]
    Format {
        /// Which.
        name: String,
        /// Its format.
        format: u32,
    },
    /// It is another game's.
    #[error("saved game {name} is a game of {game:?}")]
    Game {
        /// Which.
        name: String,
        /// Whose.
        game: String,
    },
}

/// The name of a saved game: letters, digits, `-`, and `.json` at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Name(String);

impl Name {
    /// One that nobody has.
    pub(crate) fn fresh(game: &str, chance: u64) -> Self {
        Self(format!("{game}-{chance:016x}.json"))
    }

    /// The one that the lobby means.
    pub(crate) fn parse(text: &str) -> Result<Self, SaveError> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        match text.strip_suffix(".json") {
            Some(stem) if (1..=64).contains(&stem.len()) && stem.bytes().all(plain) => {
                Ok(Self(text.into()))
            }
            _ => Err(SaveError::Name(text.chars().take(80).collect())),
        }
    }

    /// As the lobby is told.
    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    fn failed(&self, source: io::Error) -> SaveError {
        SaveError::File {
            name: self.0.clone(),
            source,
        }
    }
}

/// The match in the file of this name.
pub(crate) fn load(folder: &Path, name: &Name, game: &str) -> Result<Saved, SaveError> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK) // a pipe of that name would wait for ever
        .open(folder.join(&name.0))
        .map_err(|error| name.failed(error))?;
    let about = file.metadata().map_err(|error| name.failed(error))?;
    if !about.is_file() || about.len() > LARGEST {
        return Err(SaveError::Size(name.0.clone()));
    }
    let mut text = Vec::new();
    file.take(LARGEST)
        .read_to_end(&mut text)
        .map_err(|error| name.failed(error))?;
    let saved: Saved = serde_json::from_slice(&text).map_err(|source| SaveError::Damaged {
        name: name.0.clone(),
        source,
    })?;
    if saved.format != FORMAT {
        return Err(SaveError::Format {
            name: name.0.clone(),
            format: saved.format,
        });
    }
    if saved.game != game {
        return Err(SaveError::Game {
            name: name.0.clone(),
            game: saved.game,
        });
    }
    Ok(saved)
}

/// Replaces the file as a whole: whoever reads it finds this match or the one before.
pub(crate) fn store(folder: &Path, name: &Name, saved: &Saved) -> Result<(), SaveError> {
    let beside = folder.join(format!(".{}.new", name.0));
    let write = || -> io::Result<()> {
        let mut file = File::create(&beside)?;
        file.write_all(&serde_json::to_vec(saved)?)?;
        file.sync_data()?;
        fs::rename(&beside, folder.join(&name.0))
    };
    write().map_err(|error| name.failed(error))
}

/// Removes it, if it is there.
pub(crate) fn remove(folder: &Path, name: &Name) -> Result<(), SaveError> {
    match fs::remove_file(folder.join(&name.0)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(name.failed(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn saved() -> Saved {
        Saved::new("chess", 1, 0, Vec::new(), vec!["e2e4".into()])
    }

    #[test]
    fn a_match_comes_back_as_it_was_and_goes_when_it_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let name = Name::fresh("chess", 7);
        assert_eq!(Name::parse(name.text()).unwrap(), name);
        store(folder.path(), &name, &saved()).unwrap();
        store(folder.path(), &name, &saved()).unwrap();
        assert_eq!(load(folder.path(), &name, "chess").unwrap(), saved());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        remove(folder.path(), &name).unwrap();
        remove(folder.path(), &name).unwrap();
        assert!(matches!(
            load(folder.path(), &name, "chess"),
            Err(SaveError::File { .. })
        ));
    }

    #[test]
    fn a_name_cannot_lead_anywhere_else() {
        for hostile in [
            "",
            ".json",
            "../up.json",
            "/etc/passwd",
            "a/b.json",
            "..",
            "x.json/",
            "x.JSON",
            "a\0.json",
            "ä.json",
            "chess.txt",
            ".hidden.json",
        ] {
            assert!(
                matches!(Name::parse(hostile), Err(SaveError::Name(_))),
                "{hostile}"
            );
        }
        assert!(Name::parse(&format!("{}.json", "a".repeat(65))).is_err());
    }

    #[test]
    fn what_is_no_saved_game_is_refused_with_its_reason() {
        let folder = tempfile::tempdir().unwrap();
        let name = Name::parse("a.json").unwrap();
        let path = folder.path().join("a.json");
        let reason = || load(folder.path(), &name, "chess").unwrap_err().to_string();
        fs::write(&path, "{").unwrap();
        assert!(reason().contains("damaged"));
        fs::write(&path, vec![b' '; (LARGEST + 1) as usize]).unwrap();
        assert!(reason().contains("256 KiB"));
        store(
            folder.path(),
            &name,
            &Saved {
                format: 2,
                ..saved()
            },
        )
        .unwrap();
        assert!(reason().contains("format 2"));
        store(
            folder.path(),
            &name,
            &Saved {
                game: "go".into(),
                ..saved()
            },
        )
        .unwrap();
        assert!(reason().contains("\"go\""));
        fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        assert!(reason().contains("saved game a.json"));
        fs::remove_file(&path).unwrap();
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert!(reason().contains("256 KiB"));
    }
}
