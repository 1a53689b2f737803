//! Which of what was found is in effect.
//!
//! - A definition that is broken just now (an editor is half-way through it) leaves what was in effect in effect.
//! - A room whose game is not there is not open.
//! - There is always room 0, [`RoomDefinition::FIRST`]. It keeps its game as long as the box runs.
//! - Where there is more than may be, who was there before stays; then the order of names decides.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Definitions, RoomDefinition, TableGame, fault::Fault, library::Kind};

/// Game types.
pub(super) const MAX_GAMES: usize = 50;
/// Rooms.
pub(super) const MAX_ROOMS: usize = 200;

/// How a room says what is played in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Wanted {
    /// By the [`TableGame::name`], as our format does.
    Named(String),
    /// By the [`TableGame::title`], as the original does.
    Titled(String),
}

/// A room as it was written: whether its game is there is not known yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RoomDraft {
    /// Names it in faults.
    pub(super) file: String,
    pub(super) room: RoomDefinition,
    pub(super) game: Option<Wanted>,
}

impl From<&RoomDefinition> for RoomDraft {
    fn from(room: &RoomDefinition) -> Self {
        Self {
            file: format!("rooms/{}", room.name),
            room: room.clone(),
            game: room.game.clone().map(Wanted::Named),
        }
    }
}

/// All that was found, by name.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) games: BTreeMap<String, TableGame>,
    pub(super) rooms: BTreeMap<String, RoomDraft>,
    pub(super) faults: Vec<Fault>,
    /// Those that are there, but broken.
    pub(super) broken: BTreeSet<(Kind, String)>,
    /// Those that are there, and are not in effect.
    pub(super) idle: BTreeSet<(Kind, String)>,
    /// A folder could not be read: nobody knows what is missing.
    pub(super) unreadable: BTreeSet<Kind>,
}

impl Found {
    /// What is in effect from now on; `former` is what was until now.
    pub(super) fn settle(mut self, former: &Definitions) -> Definitions {
        self.keep(former);
        let were: BTreeSet<&str> = former.games.iter().map(|game| game.name.as_str()).collect();
        let left_out = surplus(self.games.keys(), MAX_GAMES, &were);
        for name in left_out {
            self.games.remove(&name);
            self.fault(
                &name,
                format!("is left out: there are {MAX_GAMES} games already"),
            );
            self.idle.insert((Kind::Game, name));
        }
        let mut rooms = BTreeMap::new();
        for (name, draft) in std::mem::take(&mut self.rooms) {
            let file = draft.file.clone();
            match self.open(draft) {
                Ok(mut room) => {
                    let other_game = |first: &&Arc<RoomDefinition>| {
                        first.name == RoomDefinition::FIRST && first.game != room.game
                    };
                    if name == RoomDefinition::FIRST
                        && let Some(first) = former.rooms.first().filter(other_game)
                    {
                        room.game.clone_from(&first.game);
                        self.faults.push(Fault {
                            file,
                            key: "game".into(),
                            what: "counts from the next start on: the first room stays, with its game, \
                                   as long as the box runs"
                                .into(),
                        });
                    }
                    rooms.insert(name, Arc::new(room));
                }
                Err(fault) => {
                    self.faults.push(fault);
                    self.idle.insert((Kind::Room, name));
                }
            }
        }
        let mut were: BTreeSet<&str> = former.rooms.iter().map(|room| room.name.as_str()).collect();
        were.insert(RoomDefinition::FIRST);
        for name in surplus(rooms.keys(), MAX_ROOMS, &were) {
            rooms.remove(&name);
            self.fault(
                &name,
                format!("is left out: there are {MAX_ROOMS} rooms already"),
            );
            self.idle.insert((Kind::Room, name));
        }
        let first = rooms.remove(RoomDefinition::FIRST);
        self.faults.sort();
        self.faults.dedup();
        Definitions {
            games: self.games.into_values().map(Arc::new).collect(),
            rooms: first.into_iter().chain(rooms.into_values()).collect(),
            idle: self.idle,
            faults: self.faults.iter().map(ToString::to_string).collect(),
        }
    }

    fn keep(&mut self, former: &Definitions) {
        for game in &former.games {
            let is_here = self.games.contains_key(&game.name);
            if self.is_in_doubt(Kind::Game, &game.name, is_here) {
                self.games.insert(game.name.clone(), TableGame::clone(game));
            }
        }
        for room in &former.rooms {
            let is_here = self.rooms.contains_key(&room.name);
            if self.is_in_doubt(Kind::Room, &room.name, is_here) {
                self.rooms.insert(room.name.clone(), (&**room).into());
            }
        }
        let broken = self.broken.iter().filter(|(kind, name)| match kind {
            Kind::Game => !self.games.contains_key(name),
            Kind::Room => !self.rooms.contains_key(name),
        });
        self.idle.extend(broken.cloned());
    }

    /// Nobody can say just now what it is meant to be.
    fn is_in_doubt(&self, kind: Kind, name: &str, is_here: bool) -> bool {
        self.broken.contains(&(kind, name.into())) || self.unreadable.contains(&kind) && !is_here
    }

    fn open(&self, draft: RoomDraft) -> Result<RoomDefinition, Fault> {
        let found = match &draft.game {
            None => None,
            Some(Wanted::Named(name)) => Some((name, self.games.get(name))),
            Some(Wanted::Titled(title)) => {
                let titled = || self.games.values().filter(|game| game.title.text == *title);
                // One of a folder is meant before a shipped one of the same title.
                let own = titled().find(|game| game.folder.is_some());
                Some((title, own.or_else(|| titled().next())))
            }
        };
        let missing = match found {
            Some((wanted, None)) => Some(wanted.escape_debug()),
            _ => None,
        };
        if let Some(wanted) = missing {
            return Err(Fault {
                what: format!("is not open: there is no game `{wanted}`"),
                file: draft.file,
                key: "game".into(),
            });
        }
        let game = found
            .and_then(|(_, game)| game)
            .map(|game| game.name.clone());
        Ok(RoomDefinition { game, ..draft.room })
    }

    fn fault(&mut self, name: &str, what: String) {
        self.faults.push(Fault {
            file: name.into(),
            key: String::new(),
            what,
        });
    }
}

/// The names that are too many.
fn surplus<'a>(
    names: impl Iterator<Item = &'a String>,
    most: usize,
    were: &BTreeSet<&str>,
) -> Vec<String> {
    let (stay, come): (Vec<_>, Vec<_>) = names.partition(|name| were.contains(name.as_str()));
    stay.into_iter().chain(come).skip(most).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::super::{native, original};
    use super::*;

    fn game(name: &str) -> TableGame {
        native::game(name, name, None, native::tests::GAME).unwrap()
    }

    fn room(name: &str, game: Option<&str>) -> RoomDraft {
        let mut draft = native::room(name, name, native::tests::ROOM).unwrap();
        draft.game = game.map(|game| Wanted::Named(game.into()));
        draft
    }

    fn found(games: &[&str], rooms: &[(&str, Option<&str>)]) -> Found {
        Found {
            games: games
                .iter()
                .map(|name| ((*name).into(), game(name)))
                .collect(),
            rooms: rooms
                .iter()
                .map(|(name, game)| ((*name).into(), room(name, *game)))
                .collect(),
            ..Found::default()
        }
    }

    fn rooms(of: &Definitions) -> Vec<&str> {
        of.rooms.iter().map(|room| room.name.as_str()).collect()
    }

    #[test]
    fn the_entry_comes_first_and_the_others_by_name() {
        let all = found(&["b"], &[("zoo", None), ("b", Some("b")), ("entry", None)]);
        let settled = all.settle(&Definitions::default());
        assert_eq!(rooms(&settled), ["entry", "b", "zoo"]);
        assert_eq!(settled.rooms[1].game.as_deref(), Some("b"));
        assert!(settled.faults.is_empty());
    }

    #[test]
    fn a_room_whose_game_is_missing_is_not_open_and_that_is_told() {
        let settled = found(&[], &[("entry", None), ("b", Some("b"))]);
        let settled = settled.settle(&Definitions::default());
        assert_eq!(rooms(&settled), ["entry"]);
        assert_eq!(
            settled.faults,
            ["b: game: is not open: there is no game `b`"]
        );
        assert_eq!(settled.idle, [(Kind::Room, "b".into())].into());
    }

    #[test]
    fn the_entry_keeps_its_game_and_that_is_told_as_long_as_its_file_names_another() {
        let games = ["b", "c"];
        let start = |game| found(&games, &[("entry", game)]).settle(&Definitions::default());
        assert!(start(Some("b")).faults.is_empty());
        for (was, now) in [(None, Some("b")), (Some("b"), Some("c")), (Some("b"), None)] {
            let mut settled = start(was);
            for _ in 0..2 {
                settled = found(&games, &[("entry", now)]).settle(&settled);
                assert_eq!(settled.rooms[0].game.as_deref(), was);
                assert!(
                    matches!(&settled.faults[..], [fault] if fault.starts_with("entry: game: counts from the next")),
                    "{:?}",
                    settled.faults
                );
            }
            let back = found(&games, &[("entry", was)]).settle(&settled);
            assert!(back.faults.is_empty());
        }
    }

    #[test]
    fn what_is_broken_just_now_stays_as_it_was() {
        let former = found(
            &["b", "c"],
            &[("entry", None), ("b", Some("b")), ("c", None)],
        );
        let former = former.settle(&Definitions::default());
        let mut now = found(&[], &[("entry", None), ("b", Some("b"))]);
        now.broken = [(Kind::Game, "b".into()), (Kind::Room, "c".into())].into();
        let now = now.settle(&former);
        assert_eq!(rooms(&now), ["entry", "b", "c"]);
        assert_eq!(now.games, former.games[..1]);
        assert!(now.idle.is_empty());
        // What was broken from the beginning has nothing to stay.
        let mut now = found(&[], &[("entry", None)]);
        now.broken = [(Kind::Room, "d".into())].into();
        let now = now.settle(&former);
        assert_eq!(rooms(&now), ["entry"]);
        assert_eq!(now.idle, [(Kind::Room, "d".into())].into());
    }

    #[test]
    fn a_folder_that_cannot_be_read_closes_nothing() {
        let former = found(&["b"], &[("entry", None), ("b", Some("b"))]);
        let former = former.settle(&Definitions::default());
        let mut now = found(&[], &[("entry", None)]);
        now.unreadable = [Kind::Game, Kind::Room].into();
        let now = now.settle(&former);
        assert_eq!((rooms(&now), now.games.len()), (vec!["entry", "b"], 1));
    }

    #[test]
    fn a_title_means_the_folders_own_game_first() {
        let mut all = found(&["a"], &[("entry", None)]);
        let own = original::game("b.dsc", "b", Some("/srv".into()), original::tests::DSC).unwrap();
        all.games.insert("b".into(), own);
        all.games.get_mut("a").unwrap().title.text = "Large".into();
        let draft = original::room("b.room", "b", original::tests::DOT_ROOM).unwrap();
        all.rooms.insert("b".into(), draft);
        let settled = all.settle(&Definitions::default());
        assert_eq!(settled.rooms[1].game.as_deref(), Some("b"));
    }

    #[test]
    fn who_was_there_before_stays_when_there_are_too_many() {
        let names: Vec<_> = (0..MAX_ROOMS).map(|n| format!("r{n:03}")).collect();
        let mut all: Vec<_> = names.iter().map(|name| (name.as_str(), None)).collect();
        let full = found(&[], &all).settle(&Definitions::default());
        assert_eq!(full.rooms.len(), MAX_ROOMS);
        all.extend([("a", None), ("entry", None)]);
        let more = found(&[], &all).settle(&full);
        assert_eq!(more.rooms.len(), MAX_ROOMS);
        assert_eq!(rooms(&more)[..2], ["entry", "r000"]);
        assert_eq!(more.faults.len(), 2, "{:?}", more.faults);
        let names: Vec<_> = (0..=MAX_GAMES).map(|n| format!("g{n:03}")).collect();
        let names: Vec<_> = names.iter().map(String::as_str).collect();
        let many = found(&names, &[]).settle(&Definitions::default());
        assert_eq!((many.games.len(), many.faults.len()), (MAX_GAMES, 1));
    }
}
