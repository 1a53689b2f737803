//! The original's formats: `tables/NAME.dsc` and `rooms/NAME.room`. What the original does not read, this does not.

use std::{path::PathBuf, str::FromStr};

use super::{
    Entry, Localized, RoomDefinition, TableGame,
    checks::{Keys, MAX_BYTES, MAX_NAME, check_name},
    fault::{Fault, Faults},
    ini::{Ini, words},
    settle::{RoomDraft, Wanted},
};
use crate::lobby::wire::{numbers::NumbersError, terms::Numbers};

/// How `.dsc` files call things.
const GAME: Keys = Keys {
    title: "GameInfo.Name",
    description: "GameInfo.Description",
    version: "GameInfo.Version",
    author: "GameInfo.Author",
    homepage: "GameInfo.Homepage",
    argv: "LaunchInfo.ExecutablePath",
    engine: "Protocol.Engine",
    engine_version: "Protocol.Version",
    players: "TableOptions.PlayersAllowed",
    bots: "TableOptions.BotsAllowed",
    named_bots: "NamedBots",
    ..ROOM
};

/// How `.room` files call things; what only games have is called nothing.
const ROOM: Keys = Keys {
    title: "RoomInfo.Name",
    description: "RoomInfo.Description",
    version: "",
    author: "",
    homepage: "",
    argv: "",
    engine: "",
    engine_version: "",
    players: "",
    bots: "",
    named_bots: "",
    max_players: "RoomInfo.MaxPlayers",
    max_tables: "RoomInfo.MaxTables",
    args: "RoomInfo.ExecutableArgs",
};

/// A file, and what is wrong with it so far.
struct Sheet<'a> {
    ini: Ini,
    faults: Faults<'a>,
}

impl<'a> Sheet<'a> {
    fn open(file: &'a str, name: &str, text: &str) -> Self {
        let mut faults = Faults::new(file);
        check_name(name, &mut faults);
        let mut ini = Ini::default();
        if text.len() > MAX_BYTES {
            faults.add("", format!("must be at most {MAX_BYTES} bytes"));
        } else {
            let (read, bad) = Ini::parse(text);
            ini = read;
            for (line, what) in bad {
                faults.add(format!("line {line}"), what);
            }
        }
        Self { ini, faults }
    }

    fn fault(&mut self, section: &str, key: &str, what: impl Into<String>) {
        self.faults.add(format!("{section}.{key}"), what);
    }

    fn text(&self, section: &str, key: &str) -> String {
        self.ini.get(section, key).unwrap_or_default().into()
    }

    fn localized(&self, section: &str, key: &str) -> Localized {
        let translations = self.ini.translations(section, key);
        Localized {
            text: self.text(section, key),
            translations: translations
                .map(|(language, text)| (language.into(), text.into()))
                .collect(),
        }
    }

    /// A switch is a number there, and 0 is off.
    fn switch(&mut self, section: &str, key: &str, otherwise: bool) -> bool {
        self.number(section, key, u32::from(otherwise)) != 0
    }

    fn number(&mut self, section: &str, key: &str, otherwise: u32) -> u32 {
        let Some(text) = self.ini.get(section, key) else {
            return otherwise;
        };
        match u32::from_str(text) {
            Ok(number) => number,
            Err(_) => {
                let what = format!("`{}` is no number", text.escape_debug());
                self.fault(section, key, what);
                otherwise
            }
        }
    }

    fn numbers(&mut self, section: &str, key: &str) -> Numbers {
        let text = self.ini.get(section, key).unwrap_or_default();
        text.parse().unwrap_or_else(|error: NumbersError| {
            self.fault(section, key, error.to_string());
            Numbers::default()
        })
    }
}

/// Reads the table game `name`; `file` names it in faults, and `folder` is where it lies.
pub(super) fn game(
    file: &str,
    name: &str,
    folder: Option<PathBuf>,
    text: &str,
) -> Result<TableGame, Vec<Fault>> {
    let mut sheet = Sheet::open(file, name, text);
    let bots = sheet.ini.section("NamedBots");
    let named_bots = bots
        .map(|(name, class)| {
            // The original cuts them too.
            let end = (0..=name.len().min(MAX_NAME)).rfind(|&end| name.is_char_boundary(end));
            (name[..end.unwrap_or(0)].to_owned(), class.to_owned())
        })
        .collect();
    let (options, statistics) = ("TableOptions", "Statistics");
    let game = TableGame {
        name: name.into(),
        title: sheet.localized("GameInfo", "Name"),
        version: sheet.text("GameInfo", "Version"),
        description: sheet.localized("GameInfo", "Description"),
        author: sheet.text("GameInfo", "Author"),
        homepage: sheet.text("GameInfo", "Homepage"),
        argv: words(&sheet.text("LaunchInfo", "ExecutablePath")),
        folder,
        engine: sheet.text("Protocol", "Engine"),
        engine_version: sheet.text("Protocol", "Version"),
        allow_leave: sheet.switch(options, "AllowLeave", false),
        kill_when_empty: sheet.switch(options, "KillWhenEmpty", true),
        players: sheet.numbers(options, "PlayersAllowed"),
        bots: sheet.numbers(options, "BotsAllowed"),
        spectators: sheet.switch(options, "AllowSpectators", false),
        peers: sheet.switch(options, "AllowPeers", false),
        restore: sheet.switch(options, "AllowRestore", false),
        records: sheet.switch(statistics, "Records", false),
        ratings: sheet.switch(statistics, "Ratings", false),
        highscores: sheet.switch(statistics, "Highscores", false),
        named_bots,
    };
    let mut faults = sheet.faults;
    game.check(&GAME, &mut faults);
    faults.clear(Some(game))
}

/// Reads the room `name`; `file` names it in faults.
pub(super) fn room(file: &str, name: &str, text: &str) -> Result<RoomDraft, Vec<Fault>> {
    let mut sheet = Sheet::open(file, name, text);
    let info = "RoomInfo";
    let entry = match sheet.ini.get(info, "EntryRestriction").unwrap_or("None") {
        word if word.eq_ignore_ascii_case("None") => Entry::Open,
        word if word.eq_ignore_ascii_case("Registered") => Entry::Registered,
        word if word.eq_ignore_ascii_case("Admin") => Entry::Admin,
        _ => {
            sheet.fault(
                info,
                "EntryRestriction",
                "must be None, Registered or Admin",
            );
            Entry::Open
        }
    };
    let game = sheet.ini.get(info, "GameType");
    let game = game
        .filter(|title| !title.eq_ignore_ascii_case("none"))
        .map(|title| Wanted::Titled(title.into()));
    let room = RoomDefinition {
        name: name.into(),
        title: sheet.localized(info, "Name"),
        description: sheet.localized(info, "Description"),
        game: None,
        max_players: sheet.number(info, "MaxPlayers", RoomDefinition::MAX_PLAYERS),
        max_tables: sheet.number(info, "MaxTables", RoomDefinition::MAX_TABLES),
        entry,
        args: words(&sheet.text(info, "ExecutableArgs")),
    };
    let mut faults = sheet.faults;
    room.check(&ROOM, &mut faults);
    let file = file.into();
    faults.clear(Some(RoomDraft { file, room, game }))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::lobby::definition) const DSC: &str = r"
        # A game of somebody's.
        [GameInfo]
        Name = Large
        Name[de] = Gross
        Description = A large game.
        Version = 2.1
        [LaunchInfo]
        ExecutablePath = bin/large\ game --quick
        [Protocol]
        Engine Large
        Version 4
        [TableOptions]
        AllowLeave = 1
        PlayersAllowed = 2 4..6
        BotsAllowed = 1..3
        AllowSpectators = 1
        [Statistics]
        Ratings = 1
        [NamedBots]
        A_bot_whose_name_is_long = hard
    ";

    pub(in crate::lobby::definition) const DOT_ROOM: &str = r"
        [RoomInfo]
        Name = Large room
        Description = Large games.
        GameType = Large
        MaxPlayers = 20
        EntryRestriction = Registered
        ExecutableArgs = --board my\ board
    ";

    #[test]
    fn a_game_of_the_original_is_read() {
        let folder = Some("/srv/tables".into());
        let large = game("large.dsc", "large", folder, DSC).unwrap();
        assert_eq!(large.title.of("de"), "Gross");
        assert_eq!(large.argv, ["bin/large game", "--quick"]);
        assert_eq!((&*large.engine, &*large.engine_version), ("Large", "4"));
        assert!(large.players.has(2) && !large.players.has(3) && large.players.has(6));
        assert!(large.allow_leave && large.kill_when_empty && large.spectators && large.ratings);
        assert!(!large.records && !large.restore);
        assert_eq!(large.named_bots[0].0, "A_bot_whose_name");
    }

    #[test]
    fn a_room_of_the_original_names_its_game_by_the_title() {
        let draft = room("large.room", "large", DOT_ROOM).unwrap();
        assert_eq!(draft.game, Some(Wanted::Titled("Large".into())));
        assert_eq!(draft.room.args, ["--board", "my board"]);
        assert_eq!((draft.room.max_players, draft.room.max_tables), (20, 50));
        assert_eq!(draft.room.entry, Entry::Registered);
        let none = "[RoomInfo]\nName=x\nGameType=none\nMaxTables=0\n";
        let none = room("x.room", "x", none).unwrap();
        assert_eq!((none.game, none.room.max_tables), (None, 0));
    }

    #[test]
    fn every_fault_is_told_at_once_with_its_key() {
        let text = DSC
            .replace("Engine Large", "engine Large\n= 3")
            .replace("AllowLeave = 1", "AllowLeave = yes")
            .replace("2 4..6", "40")
            .replace("A large game.", "a\u{1b}b");
        let found = game("large.dsc", "large", None, &text).unwrap_err();
        let keys: Vec<_> = found.iter().map(|fault| fault.key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "GameInfo.Description",
                "LaunchInfo.ExecutablePath",
                "Protocol.Engine",
                "TableOptions.AllowLeave",
                "TableOptions.PlayersAllowed",
                "line 12",
            ]
        );
        let found = room(
            "x.room",
            "x",
            "[RoomInfo]\nMaxTables=-1\nEntryRestriction=You",
        )
        .unwrap_err();
        let keys: Vec<_> = found.iter().map(|fault| fault.key.as_str()).collect();
        assert_eq!(
            keys,
            [
                "RoomInfo.EntryRestriction",
                "RoomInfo.MaxTables",
                "RoomInfo.Name"
            ]
        );
    }

    #[test]
    fn an_empty_file_is_at_fault() {
        assert!(game("x.dsc", "x", None, "").is_err());
        assert!(room("x.room", "x", "").is_err());
    }
}
