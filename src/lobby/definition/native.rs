//! Our own format: `tables/NAME.toml` and `rooms/NAME.toml`. A key that nothing reads is a fault.

use std::path::PathBuf;

use serde::{Deserialize, de::DeserializeOwned};

use super::{
    Entry, Localized, RoomDefinition, TableGame,
    checks::{Keys, MAX_BYTES, check_name},
    fault::{Fault, Faults},
    settle::{RoomDraft, Wanted},
};
use crate::lobby::wire::{numbers::NumbersError, terms::Numbers};

/// How this format calls things.
const KEYS: Keys = Keys {
    title: "title",
    description: "description",
    version: "version",
    author: "author",
    homepage: "homepage",
    argv: "argv",
    engine: "protocol.engine",
    engine_version: "protocol.version",
    players: "table.players",
    bots: "table.bots",
    named_bots: "named_bots",
    max_players: "max_players",
    max_tables: "max_tables",
    args: "args",
};

/// Numbers of players or bots: one number, or a text like `2 4..6`.
#[derive(Deserialize)]
#[serde(untagged, expecting = "must be a number, or a text like \"2..4\"")]
enum Seats {
    One(u32),
    Text(String),
}

impl Seats {
    fn read(&self) -> Result<Numbers, NumbersError> {
        match self {
            Self::One(one) => one.to_string().parse(),
            Self::Text(text) => text.parse(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NamedBot {
    name: String,
    class: String,
}

impl Default for Seats {
    fn default() -> Self {
        Self::Text(String::new())
    }
}

/// A table of the file, emptied as it is read.
struct Sheet<'f, 'a> {
    prefix: &'static str,
    table: toml::Table,
    faults: &'f mut Faults<'a>,
}

impl<'a> Sheet<'_, 'a> {
    fn optional<T: DeserializeOwned>(&mut self, key: &str) -> Option<T> {
        let value = self.table.remove(key)?;
        self.read(key, value)
    }

    fn read<T: DeserializeOwned>(&mut self, key: &str, value: toml::Value) -> Option<T> {
        let read = value.try_into();
        let fault = |error: toml::de::Error| self.fault(key, error.message().replace('\n', " "));
        read.map_err(fault).ok()
    }

    fn required<T: DeserializeOwned>(&mut self, key: &str) -> Option<T> {
        if !self.table.contains_key(key) {
            self.fault(key, "is missing");
        }
        self.optional(key)
    }

    fn or<T: DeserializeOwned>(&mut self, key: &str, otherwise: T) -> T {
        self.optional(key).unwrap_or(otherwise)
    }

    fn fault(&mut self, key: &str, what: impl Into<String>) {
        self.faults.add(format!("{}{key}", self.prefix), what);
    }

    fn seats(&mut self, key: &str, seats: &Seats) -> Numbers {
        let fault = |error: NumbersError| self.fault(key, error.to_string());
        seats.read().map_err(fault).unwrap_or_default()
    }

    /// A table within.
    fn section(&mut self, key: &str, prefix: &'static str) -> Sheet<'_, 'a> {
        let table = self.optional(key).unwrap_or_default();
        let faults = &mut *self.faults;
        Sheet {
            prefix,
            table,
            faults,
        }
    }

    /// What is left is no key of it.
    fn end(mut self) {
        for key in std::mem::take(&mut self.table).keys() {
            self.fault(key, "is no key of it");
        }
    }

    /// Title and description, with their translations.
    fn names(&mut self) -> (Localized, Localized) {
        let text = |text: Option<String>| Localized {
            text: text.unwrap_or_default(),
            translations: Vec::new(),
        };
        let title = text(self.required("title"));
        let description = text(self.required("description"));
        let (mut title, mut description) = (title, description);
        let languages: toml::Table = self.or("translations", toml::Table::new());
        for (language, words) in languages {
            let Some(table) = self.read(&format!("translations.{language}"), words) else {
                continue;
            };
            let mut sheet = Sheet {
                prefix: "translations.",
                table,
                faults: &mut *self.faults,
            };
            for (key, text) in [("title", &mut title), ("description", &mut description)] {
                if let Some(words) = sheet.optional(key) {
                    text.translations.push((language.clone(), words));
                }
            }
            sheet.end();
        }
        (title, description)
    }
}

/// The file as a table, or what is wrong with it as a whole.
fn sheet<'f, 'a>(name: &str, text: &str, faults: &'f mut Faults<'a>) -> Option<Sheet<'f, 'a>> {
    check_name(name, faults);
    if text.len() > MAX_BYTES {
        faults.add("", format!("must be at most {MAX_BYTES} bytes"));
        return None;
    }
    match text.parse() {
        Ok(table) => Some(Sheet {
            prefix: "",
            table,
            faults,
        }),
        Err(error) => {
            let error: toml::de::Error = error;
            let before = error.span().map_or(0, |span| span.start.min(text.len()));
            let ends = text.as_bytes()[..before].iter().filter(|&&b| b == b'\n');
            let line = format!("line {}", 1 + ends.count());
            faults.add(line, error.message().replace('\n', " "));
            None
        }
    }
}

/// Reads the table game `name`; `file` names it in faults, and `folder` is where it lies.
pub(super) fn game(
    file: &str,
    name: &str,
    folder: Option<PathBuf>,
    text: &str,
) -> Result<TableGame, Vec<Fault>> {
    let mut faults = Faults::new(file);
    let Some(mut all) = sheet(name, text, &mut faults) else {
        return faults.clear(None);
    };
    let (title, description) = all.names();
    let (version, author, homepage) = (
        all.or("version", String::new()),
        all.or("author", String::new()),
        all.or("homepage", String::new()),
    );
    let argv: Option<Vec<String>> = all.required("argv");
    let bots: Vec<NamedBot> = all.or("named_bots", Vec::new());

    let mut protocol = all.section("protocol", "protocol.");
    let (engine, engine_version): (Option<String>, Option<String>) =
        (protocol.required("engine"), protocol.required("version"));
    protocol.end();

    let mut table = all.section("table", "table.");
    let seats: Option<Seats> = table.required("players");
    let players = seats.map(|seats| table.seats("players", &seats));
    let seats = table.or("bots", Seats::default());
    let bot_numbers = table.seats("bots", &seats);
    let (allow_leave, kill_when_empty) = (
        table.or("allow_leave", false),
        table.or("kill_when_empty", true),
    );
    let (spectators, peers, restore) = (
        table.or("spectators", false),
        table.or("peers", false),
        table.or("restore", false),
    );
    table.end();

    let mut statistics = all.section("statistics", "statistics.");
    let (records, ratings, highscores) = (
        statistics.or("records", false),
        statistics.or("ratings", false),
        statistics.or("highscores", false),
    );
    statistics.end();
    all.end();

    let (Some(argv), Some(engine), Some(engine_version), Some(players)) =
        (argv, engine, engine_version, players)
    else {
        return faults.clear(None);
    };
    let game = TableGame {
        name: name.into(),
        title,
        version,
        description,
        author,
        homepage,
        argv,
        folder,
        engine,
        engine_version,
        allow_leave,
        kill_when_empty,
        players,
        bots: bot_numbers,
        spectators,
        peers,
        restore,
        records,
        ratings,
        highscores,
        named_bots: bots.into_iter().map(|bot| (bot.name, bot.class)).collect(),
    };
    game.check(&KEYS, &mut faults);
    faults.clear(Some(game))
}

/// Reads the room `name`; `file` names it in faults.
pub(super) fn room(file: &str, name: &str, text: &str) -> Result<RoomDraft, Vec<Fault>> {
    let mut faults = Faults::new(file);
    let Some(mut all) = sheet(name, text, &mut faults) else {
        return faults.clear(None);
    };
    let (title, description) = all.names();
    let game: Option<String> = all.optional("game");
    let room = RoomDefinition {
        name: name.into(),
        title,
        description,
        game: None,
        max_players: all.or("max_players", RoomDefinition::MAX_PLAYERS),
        max_tables: all.or("max_tables", RoomDefinition::MAX_TABLES),
        entry: all.or("entry", Entry::Open),
        args: all.or("args", Vec::new()),
    };
    all.end();
    room.check(&KEYS, &mut faults);
    faults.clear(Some(RoomDraft {
        file: file.into(),
        room,
        game: game.map(Wanted::Named),
    }))
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(in crate::lobby::definition) const GAME: &str = r#"
        title = "Small"
        description = "A small game."
        argv = ["longhouse", "game", "small"]
        named_bots = [{ name = "small-easy", class = "easy" }]
        [protocol]
        engine = "Small"
        version = "1"
        [table]
        players = "2..4"
        bots = 1
        [translations.de]
        title = "Klein"
    "#;

    pub(in crate::lobby::definition) const ROOM: &str = r#"
        title = "Small room"
        description = "Small games."
        game = "small"
    "#;

    fn faults(text: &str) -> String {
        let found = game("small.toml", "small", None, text).err();
        let found: Vec<_> = found.iter().flatten().map(ToString::to_string).collect();
        found.join("\n")
    }

    #[test]
    fn a_small_game_is_read_with_the_originals_defaults() {
        let small = game("small.toml", "small", None, GAME).unwrap();
        assert_eq!(small.title.of("de_AT.UTF-8"), "Klein");
        assert_eq!(small.description.of("de"), "A small game.");
        assert!(small.kill_when_empty && !small.allow_leave && !small.ratings);
        assert!(small.players.has(3) && !small.players.has(5) && small.bots.has(1));
        assert_eq!(small.named_bots, [("small-easy".into(), "easy".into())]);
    }

    #[test]
    fn a_small_room_is_read_with_the_originals_defaults() {
        let draft = room("small.toml", "small", ROOM).unwrap();
        assert_eq!((draft.room.max_players, draft.room.max_tables), (100, 50));
        assert_eq!(draft.room.entry, Entry::Open);
        assert_eq!(draft.game, Some(Wanted::Named("small".into())));
    }

    #[test]
    fn every_fault_is_told_at_once_with_its_key() {
        let text = GAME
            .replace("title = \"Small\"", "colour = 1")
            .replace("\"2..4\"", "\"two\"")
            .replace("bots = 1", "bots = true\nlegs = 4")
            .replace("[\"longhouse\", \"game\", \"small\"]", "7")
            .replace("\"Klein\"", "3");
        let found = faults(&text);
        for fault in [
            "small.toml: title: is missing",
            "small.toml: colour: is no key",
            "small.toml: table.players: ",
            "small.toml: table.bots: must be a number",
            "small.toml: table.legs: is no key",
            "small.toml: argv: ",
            "small.toml: translations.title: ",
        ] {
            assert!(found.contains(fault), "{fault} in {found}");
        }
    }

    #[test]
    fn what_a_game_may_not_be() {
        let long = format!("title = \"{}\"", "a".repeat(65));
        for (from, to, key) in [
            ("title = \"Small\"", long.as_str(), "title"),
            ("\"Small\"", "\" \"", "title"),
            ("\"Klein\"", "\"a\\u001bb\"", "title[de]"),
            ("\"2..4\"", "33", "table.players"),
            ("\"2..4\"", "0", "table.players"),
            ("\"2..4\"", "\"4..2\"", "table.players"),
            ("bots = 1", "bots = 5", "table.bots"),
            ("\"longhouse\", ", "", "argv"),
            ("\"longhouse\", \"game\", \"small\"", "", "argv"),
            ("\"small\"]", "\"a\\u0000\"]", "argv"),
            ("small-easy", "small easy", "named_bots"),
            ("small-easy", "seventeen-letters", "named_bots"),
            ("engine = \"Small\"", "engine = \"\"", "protocol.engine"),
        ] {
            let text = GAME.replacen(from, to, 1);
            assert_ne!(text, GAME, "{from}");
            let found = faults(&text);
            assert!(
                found.contains(&format!("small.toml: {key}: ")),
                "{key} in {found}"
            );
        }
        assert!(faults(&"#".repeat(MAX_BYTES + 1)).contains("bytes"));
        assert!(faults(&format!("title = {}", "[".repeat(60_000))).contains("line 1"));
        assert!(game("x", "../x", None, GAME).is_err());
        assert!(game("x", "", None, GAME).is_err());
    }

    #[test]
    fn a_room_may_have_no_tables() {
        let draft = room("small.toml", "small", &format!("{ROOM}\nmax_tables = 0"));
        assert_eq!(draft.unwrap().room.max_tables, 0);
    }

    #[test]
    fn what_a_room_may_not_be() {
        for (line, key) in [
            ("max_players = 0", "max_players"),
            ("max_players = -1", "max_players"),
            ("max_tables = 1001", "max_tables"),
            ("entry = \"nobody\"", "entry"),
            ("args = [\"\"]", "args"),
            ("players = 3", "players"),
        ] {
            let found = room("small.toml", "small", &format!("{ROOM}\n{line}"));
            let found = found.unwrap_err();
            assert_eq!(found.len(), 1, "{line}");
            assert_eq!(found[0].key, key);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]
        #[test]
        fn a_hostile_definition_never_panics(at in 0usize..500, junk in "[\\[\\]{}\"=.a\n\u{0}é]{0,6}|\\PC{0,8}", cut in 0usize..40) {
            let mut text: Vec<char> = GAME.chars().collect();
            let at = at.min(text.len());
            let end = (at + cut).min(text.len());
            text.splice(at..end, junk.chars());
            let text: String = text.into_iter().collect();
            game("small.toml", "small", None, &text).ok();
            room("small.toml", "small", &text).ok();
        }
    }
}
