//! Where definitions are from: shipped ones, the data folder's, and those that the API stored, each replacing the
//! earlier of its name.

use std::{
    collections::BTreeMap,
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
};

use include_dir::{Dir, include_dir};

use super::{
    Definitions, RoomDefinition, TableGame, checks::MAX_BYTES, fault::Fault, files, native,
    original, settle::Found,
};

static TABLES: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/data/tables");
static ROOMS: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/data/rooms");

/// Files that are looked at in a folder.
const MAX_FILES: usize = 1000;

/// What a definition is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A game that tables are launched of.
    Game,
    /// A room.
    Room,
}

impl Kind {
    /// The folder, below the data folder, that definitions of this kind lie in.
    pub fn folder(self) -> &'static str {
        match self {
            Self::Game => "tables",
            Self::Room => "rooms",
        }
    }

    fn originals(self) -> &'static str {
        match self {
            Self::Game => "dsc",
            Self::Room => "room",
        }
    }
}

/// What the API stored: of what, its name, and the definition as TOML; none: closed.
pub type Stored = [(Kind, String, Option<String>)];

/// All that is defined, and what is wrong with the rest. `data` is the folder that holds `tables/` and `rooms/`.
/// Blocks while it reads.
pub fn load(data: Option<&Path>, stored: &Stored) -> Definitions {
    reload(&Definitions::default(), data, stored)
}

/// [`load`] while `former` is in effect: what is broken just now stays as it was, and is told.
pub fn reload(former: &Definitions, data: Option<&Path>, stored: &Stored) -> Definitions {
    find(data, stored).settle(former)
}

/// What is wrong with a definition that somebody wants to store while `now` is in effect: all of it, a sentence each.
pub fn check(kind: Kind, name: &str, text: &str, now: &Definitions) -> Result<(), Vec<String>> {
    let mut found = Found::default();
    found.add(kind, name, false, name, None, text);
    let mut faults: Vec<_> = found.faults.iter().map(ToString::to_string).collect();
    if faults.is_empty() && kind == Kind::Room && name == RoomDefinition::FIRST {
        // What else is wrong with the others is nothing to whom this one belongs.
        let games = now.games.iter();
        found.games = games
            .map(|game| (game.name.clone(), TableGame::clone(game)))
            .collect();
        faults = found.settle(now).faults;
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(faults)
    }
}

fn find(data: Option<&Path>, stored: &Stored) -> Found {
    let mut found = Found::default();
    for (kind, shipped) in [(Kind::Game, &TABLES), (Kind::Room, &ROOMS)] {
        for file in shipped.files() {
            let (path, text) = (file.path(), file.contents_utf8().unwrap_or_default());
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            let file = format!("data/{}/{}", kind.folder(), path.display());
            found.add(kind, &name, false, &file, None, text);
        }
        if let Some(data) = data {
            let folder = data.join(kind.folder());
            found.add_folder(kind, &std::path::absolute(&folder).unwrap_or(folder));
        }
    }
    for (kind, name, text) in stored {
        let file = format!("stored {}/{name}", kind.folder());
        match (text, kind) {
            (Some(text), _) => found.add(*kind, name, false, &file, None, text),
            (None, Kind::Room) if name == RoomDefinition::FIRST => {
                found.faults.push(fault(&file, "cannot be closed"));
            }
            (None, _) => found.remove(*kind, name),
        }
    }
    found
}

impl Found {
    fn add(
        &mut self,
        kind: Kind,
        name: &str,
        is_original: bool,
        file: &str,
        folder: Option<PathBuf>,
        text: &str,
    ) {
        let added = match kind {
            Kind::Game => {
                let parse = if is_original {
                    original::game
                } else {
                    native::game
                };
                parse(file, name, folder, text).map(|game| {
                    self.games.insert(name.into(), game);
                })
            }
            Kind::Room => {
                let parse = if is_original {
                    original::room
                } else {
                    native::room
                };
                parse(file, name, text).map(|room| {
                    self.rooms.insert(name.into(), room);
                })
            }
        };
        match added {
            Ok(()) => self.broken.remove(&(kind, name.into())),
            Err(faults) => self.fail(kind, name, faults),
        };
    }

    fn fail(&mut self, kind: Kind, name: &str, faults: Vec<Fault>) -> bool {
        self.faults.extend(faults);
        self.broken.insert((kind, name.into()))
    }

    fn remove(&mut self, kind: Kind, name: &str) {
        self.broken.remove(&(kind, name.into()));
        match kind {
            Kind::Game => drop(self.games.remove(name)),
            Kind::Room => drop(self.rooms.remove(name)),
        }
    }

    fn add_folder(&mut self, kind: Kind, folder: &Path) {
        let files = match listed(kind, folder) {
            Ok(files) => files,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => {
                self.faults.push(fault(&shown(folder), &error.to_string()));
                self.unreadable.insert(kind);
                return;
            }
        };
        for (stem, forms) in files {
            let (name, file) = (stem.to_string_lossy(), shown(&forms.read));
            if let Some(other) = &forms.passed_over {
                let what = format!("is not read, because {} counts", forms.read_name());
                self.faults.push(fault(&shown(other), &what));
            }
            match files::read(&forms.read, MAX_BYTES) {
                Ok(text) => {
                    let is_original = forms.read.extension() != Some(OsStr::new("toml"));
                    let folder = Some(folder.to_owned());
                    self.add(kind, &name, is_original, &file, folder, &text);
                }
                // Removed just now, or a link to nothing.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => {
                    self.fail(kind, &name, vec![fault(&file, &error.to_string())]);
                }
            }
        }
    }
}

/// The files of one definition: the one that counts, and one in the other format.
#[derive(Debug)]
struct Forms {
    read: PathBuf,
    passed_over: Option<PathBuf>,
}

impl Forms {
    fn read_name(&self) -> String {
        let name = self.read.file_name().unwrap_or_default();
        name.to_string_lossy().into_owned()
    }
}

/// The definitions of a folder, by name; ours before the original's.
fn listed(kind: Kind, folder: &Path) -> io::Result<BTreeMap<std::ffi::OsString, Forms>> {
    let mut files = BTreeMap::<_, Forms>::new();
    for (n, entry) in fs::read_dir(folder)?.enumerate() {
        if n >= MAX_FILES {
            let what = format!("holds more than {MAX_FILES} files");
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, what));
        }
        let path = entry?.path();
        let (Some(stem), Some(extension)) = (path.file_stem(), path.extension()) else {
            continue;
        };
        let is_ours = extension == "toml";
        // Editors' own files begin with a dot.
        let is_hidden = stem.as_encoded_bytes().starts_with(b".");
        if is_hidden || !(is_ours || extension == kind.originals()) {
            continue;
        }
        let stem = stem.to_owned();
        match files.get_mut(&stem) {
            Some(forms) if is_ours => {
                forms.passed_over = Some(std::mem::replace(&mut forms.read, path));
            }
            Some(forms) => forms.passed_over = Some(path),
            None => {
                let (read, passed_over) = (path, None);
                files.insert(stem, Forms { read, passed_over });
            }
        }
    }
    Ok(files)
}

fn shown(path: &Path) -> String {
    path.display().to_string().escape_debug().to_string()
}

fn fault(file: &str, what: &str) -> Fault {
    Fault {
        file: file.into(),
        key: String::new(),
        what: what.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Entry;
    use super::*;

    const STORED: &str = "title = \"Stored\"\ndescription = \"By the API.\"\n";

    fn data(files: &[(&str, &str)]) -> tempfile::TempDir {
        let data = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = data.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        data
    }

    fn room<'a>(of: &'a Definitions, name: &str) -> Option<&'a RoomDefinition> {
        let mut rooms = of.rooms.iter();
        rooms.find(|room| room.name == name).map(|room| &**room)
    }

    fn said(of: &Definitions, words: &str) -> bool {
        of.faults.iter().any(|fault| fault.contains(words))
    }

    #[test]
    fn every_shipped_definition_is_whole() {
        let shipped = load(None, &[]);
        assert_eq!(shipped.faults, Vec::<String>::new());
        let games: Vec<_> = shipped.games.iter().map(|game| &*game.name).collect();
        assert_eq!(
            games,
            ["chess", "connectfour", "dots", "reversi", "tictactoe"]
        );
        let rooms: Vec<_> = shipped.rooms.iter().map(|room| &*room.name).collect();
        assert_eq!(rooms[0], "entry");
        assert_eq!(rooms[1..], games);
        for room in &shipped.rooms {
            assert_ne!(room.title.of("de"), "", "{}", room.name);
            assert!(
                room.description
                    .translations
                    .iter()
                    .any(|(of, _)| of == "de")
            );
        }
    }

    #[test]
    fn shipped_bots_have_names_that_accounts_can_have_and_all_strengths() {
        for game in load(None, &[]).games {
            let classes: Vec<_> = game.named_bots.iter().map(|(_, class)| &**class).collect();
            assert_eq!(classes, ["easy", "medium", "hard"], "{}", game.name);
            for (name, _) in &game.named_bots {
                let fine = |b: u8| b.is_ascii_lowercase() || b == b'-';
                assert!(name.len() <= 16 && name.bytes().all(fine), "{name}");
            }
            assert_eq!(game.argv, ["longhouse", "game", &game.name]);
            let seats = if game.name == "dots" { 4 } else { 2 };
            assert_eq!(
                (game.players.most(), game.bots.most()),
                (Some(seats), Some(seats))
            );
        }
    }

    #[test]
    fn the_examples_of_the_manual_are_whole() {
        let manual = include_str!("../../../docs/table-definitions.md");
        let blocks = manual.split("```").skip(1).step_by(2);
        let blocks: Vec<_> = blocks.filter_map(|block| block.split_once('\n')).collect();
        let names = [
            "tables/small.toml",
            "rooms/attic.toml",
            "tables/large.dsc",
            "rooms/large.room",
        ];
        assert_eq!(blocks.len(), names.len());
        let files: Vec<_> = names
            .into_iter()
            .zip(&blocks)
            .map(|(name, (_, text))| (name, *text))
            .collect();
        let data = data(&files);
        let all = load(Some(data.path()), &[]);
        assert_eq!(all.faults, Vec::<String>::new());
        let attic = room(&all, "attic").unwrap();
        assert_eq!(
            (attic.game.as_deref(), attic.entry),
            (Some("small"), Entry::Registered)
        );
        let large = room(&all, "large").unwrap();
        assert_eq!(
            (large.game.as_deref(), large.args.len()),
            (Some("large"), 2)
        );
        let small = all.games.iter().find(|game| game.name == "small").unwrap();
        assert_eq!(small.folder, Some(data.path().join("tables")));
    }

    #[test]
    fn the_later_of_a_name_counts() {
        let data = data(&[
            ("rooms/chess.toml", "title = \"Mine\"\ndescription = \"\"\n"),
            (
                "rooms/attic.room",
                "[RoomInfo]\nName = Attic\nGameType = Chess\n",
            ),
            ("rooms/notes.txt", "not mine"),
            ("rooms/.attic.toml", "an editor's"),
        ]);
        let stored = [
            (Kind::Room, "dots".into(), None),
            (Kind::Room, "attic2".into(), Some(STORED.into())),
            (Kind::Room, "entry".into(), None),
        ];
        let all = load(Some(data.path()), &stored);
        assert_eq!(room(&all, "chess").unwrap().title.text, "Mine");
        assert_eq!(room(&all, "attic").unwrap().game.as_deref(), Some("chess"));
        assert_eq!(room(&all, "attic2").unwrap().title.text, "Stored");
        assert_eq!(room(&all, "dots"), None);
        assert_eq!(all.rooms[0].name, "entry");
        assert!(said(&all, "cannot be closed") && all.faults.len() == 1);
    }

    #[test]
    fn our_format_counts_before_the_originals_of_the_same_name() {
        let data = data(&[
            ("rooms/attic.room", "[RoomInfo]\nName = Theirs\n"),
            ("rooms/attic.toml", "title = \"Ours\"\ndescription = \"\"\n"),
        ]);
        let all = load(Some(data.path()), &[]);
        assert_eq!(room(&all, "attic").unwrap().title.text, "Ours");
        assert!(said(
            &all,
            "attic.room: is not read, because attic.toml counts"
        ));
    }

    #[test]
    fn a_broken_file_is_a_fault_and_what_it_was_before_stays() {
        let data = data(&[("rooms/attic.toml", STORED)]);
        let before = load(Some(data.path()), &[]);
        let attic = data.path().join("rooms/attic.toml");
        for broken in [&b"title = "[..], b"", b"\xff\xfe"] {
            fs::write(&attic, broken).unwrap();
            let after = reload(&before, Some(data.path()), &[]);
            assert_eq!(after.rooms, before.rooms);
            assert!(said(&after, "attic.toml"));
            assert_eq!(room(&load(Some(data.path()), &[]), "attic"), None);
        }
        fs::remove_file(&attic).unwrap();
        let after = reload(&before, Some(data.path()), &[]);
        assert_eq!(room(&after, "attic"), None);
    }

    #[test]
    fn a_folder_that_cannot_be_listed_closes_nothing() {
        let data = data(&[("rooms/attic.toml", STORED)]);
        let before = load(Some(data.path()), &[]);
        fs::remove_dir_all(data.path().join("rooms")).unwrap();
        fs::write(data.path().join("rooms"), "no folder").unwrap();
        let after = reload(&before, Some(data.path()), &[]);
        assert_eq!(after.rooms, before.rooms);
        assert_eq!(after.faults.len(), 1);
    }

    #[test]
    fn what_is_to_be_stored_can_be_checked_before() {
        let now = Definitions::default();
        assert_eq!(check(Kind::Room, "attic", STORED, &now), Ok(()));
        let faults = check(Kind::Room, "../attic", "title = 1", &now).unwrap_err();
        assert_eq!(faults.len(), 3, "{faults:?}");
        assert!(check(Kind::Game, "attic", STORED, &now).is_err());
    }
}
