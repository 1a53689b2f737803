//! What must hold of every definition, in whichever format it was written. Finds all that does not; changes nothing.

use std::path::Path;

use super::{Localized, RoomDefinition, TableGame, fault::Faults};
use crate::lobby::wire::numbers::MOST;

/// A file that is larger is refused before it is looked at.
pub(super) const MAX_BYTES: usize = 64 << 10;
/// Seats at a table.
const MAX_SEATS: u32 = MOST;
/// A player's name on the wire.
pub(super) const MAX_NAME: usize = 16;
/// A game's or a room's title.
const MAX_TITLE: usize = 64;
/// Words of a program, named bots, translations: of each at most so many.
const MAX_ITEMS: usize = 64;
const MAX_PEOPLE: u32 = 10_000;
const MAX_TABLES: u32 = 1000;

/// How the same thing is called in each format, so that a fault names what its author wrote.
#[derive(Debug)]
pub(super) struct Keys {
    pub(super) title: &'static str,
    pub(super) description: &'static str,
    pub(super) version: &'static str,
    pub(super) author: &'static str,
    pub(super) homepage: &'static str,
    pub(super) argv: &'static str,
    pub(super) engine: &'static str,
    pub(super) engine_version: &'static str,
    pub(super) players: &'static str,
    pub(super) bots: &'static str,
    pub(super) named_bots: &'static str,
    pub(super) max_players: &'static str,
    pub(super) max_tables: &'static str,
    pub(super) args: &'static str,
}

/// Whether a definition may be called so. Names are looked up exactly, as file names are.
pub(super) fn check_name(name: &str, to: &mut Faults<'_>) {
    let good = (1..=32).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_.+".contains(&b));
    if !good {
        to.add(
            "",
            "the file's name must be 1 to 32 letters, digits and - _ . +, starting with a letter or digit",
        );
    }
}

impl TableGame {
    pub(super) fn check(&self, keys: &Keys, to: &mut Faults<'_>) {
        check_localized(keys.title, &self.title, 1, MAX_TITLE, to);
        check_localized(keys.description, &self.description, 0, 1024, to);
        for (key, text, least, most) in [
            (keys.version, &self.version, 0, 32),
            (keys.author, &self.author, 0, 128),
            (keys.homepage, &self.homepage, 0, 256),
            (keys.engine, &self.engine, 1, 64),
            (keys.engine_version, &self.engine_version, 1, 64),
        ] {
            check_text(key, text, least, most, to);
        }
        check_words(keys.argv, &self.argv, to);
        match self.argv.first() {
            None => to.add(keys.argv, "must name a program"),
            Some(program) if program != "longhouse" && self.folder.is_none() => {
                if !Path::new(program).is_absolute() {
                    to.add(
                        keys.argv,
                        "must begin with `longhouse` or an absolute path: it lies in no folder",
                    );
                }
            }
            Some(_) => {}
        }
        self.check_seats(keys, to);
        if self.named_bots.len() > MAX_ITEMS {
            to.add(keys.named_bots, format!("must be at most {MAX_ITEMS}"));
        }
        for (n, (name, class)) in self.named_bots.iter().enumerate() {
            let fine = |b: u8| (33..=126).contains(&b) && !b"%&\\".contains(&b);
            if !(1..=MAX_NAME).contains(&name.len()) || !name.bytes().all(fine) || name == "<none>"
            {
                to.add(
                    keys.named_bots,
                    format!(
                        "`{name}` must be 1 to 16 ASCII characters without spaces, %, & and \\"
                    ),
                );
            }
            let twice = |(other, _): &(String, String)| other.eq_ignore_ascii_case(name);
            if self.named_bots[..n].iter().any(twice) {
                to.add(keys.named_bots, format!("`{name}` is there twice"));
            }
            check_text(keys.named_bots, class, 1, 32, to);
        }
    }

    fn check_seats(&self, keys: &Keys, to: &mut Faults<'_>) {
        let seats = self.players.most().unwrap_or(0);
        let is_right = (1..=MAX_SEATS).contains(&seats) && !self.players.has(0);
        if !is_right && !to.has(keys.players) {
            let what = "must be numbers from 1 to 32, like `2` or `2..4`";
            to.add(keys.players, what);
        }
        let bots = self.bots.most().unwrap_or(0);
        if is_right && bots > seats {
            to.add(keys.bots, "must not be more than there are seats");
        }
    }
}

impl RoomDefinition {
    pub(super) fn check(&self, keys: &Keys, to: &mut Faults<'_>) {
        check_localized(keys.title, &self.title, 1, MAX_TITLE, to);
        check_localized(keys.description, &self.description, 0, 1024, to);
        check_words(keys.args, &self.args, to);
        if !(1..=MAX_PEOPLE).contains(&self.max_players) {
            to.add(keys.max_players, format!("must be from 1 to {MAX_PEOPLE}"));
        }
        if self.max_tables > MAX_TABLES {
            to.add(keys.max_tables, format!("must be from 0 to {MAX_TABLES}"));
        }
    }
}

fn check_words(key: &str, words: &[String], to: &mut Faults<'_>) {
    if words.len() > MAX_ITEMS {
        to.add(key, format!("must be at most {MAX_ITEMS} words"));
    }
    if words.first().is_some_and(String::is_empty) {
        to.add(key, "must not begin with an empty word");
    }
    for word in words.iter().take(MAX_ITEMS) {
        if word.len() > 1024 || word.contains('\0') {
            to.add(key, "must have words of at most 1024 bytes, without NUL");
        }
    }
}

fn check_localized(key: &str, text: &Localized, least: usize, most: usize, to: &mut Faults<'_>) {
    if !to.has(key) {
        check_text(key, &text.text, least, most, to);
    }
    if text.translations.len() > MAX_ITEMS {
        to.add(key, format!("must have at most {MAX_ITEMS} translations"));
    }
    for (language, translation) in text.translations.iter().take(MAX_ITEMS) {
        let fine = |b: u8| b.is_ascii_alphanumeric() || b"_-@.".contains(&b);
        if !(2..=16).contains(&language.len()) || !language.bytes().all(fine) {
            to.add(
                key,
                format!("`{language}` is no language, like `de` or `de_AT`"),
            );
        }
        check_text(&format!("{key}[{language}]"), translation, least, most, to);
    }
}

fn check_text(key: &str, text: &str, least: usize, most: usize, to: &mut Faults<'_>) {
    if text.trim().len() < least {
        to.add(key, "must not be empty");
    }
    if text.len() > most {
        to.add(key, format!("must have at most {most} bytes"));
    }
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
    };
    if let Some(c) = text.chars().find(|&c| hidden(c)) {
        to.add(
            key,
            format!("must be one printable line, without U+{:04X}", u32::from(c)),
        );
    }
}
