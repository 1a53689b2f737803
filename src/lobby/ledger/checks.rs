//! What can be kept: bounds of texts and numbers, before anything is written.

use std::path::{Component, Path};

use super::LedgerError;

/// Bytes of a name, at most.
pub(super) const NAME: usize = 64;
/// Bytes of a file's name, at most.
const FILE: usize = 255;

/// A text of so many bytes, on one line.
pub(super) fn text(
    what: &'static str,
    text: &str,
    least: usize,
    most: usize,
) -> Result<(), LedgerError> {
    match (least..=most).contains(&text.len()) && !text.contains(char::is_control) {
        true => Ok(()),
        false => Err(LedgerError::BadText { what, least, most }),
    }
}

/// No more than so many.
pub(super) fn bounded(what: &'static str, count: usize, most: usize) -> Result<(), LedgerError> {
    match count <= most {
        true => Ok(()),
        false => Err(LedgerError::TooMany { what, most }),
    }
}

/// A file within the game's own folder: relative, and nowhere upwards.
pub(super) fn file(name: &str) -> Result<(), LedgerError> {
    let mut parts = Path::new(name).components();
    let within = !name.is_empty()
        && name.len() <= FILE
        && !name.contains(char::is_control)
        && parts.all(|part| matches!(part, Component::Normal(_)));
    match within {
        true => Ok(()),
        false => Err(LedgerError::BadFile(
            name.escape_debug().take(NAME).collect(),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_saved_games_file_lies_within_the_games_folder() {
        for good in ["game-1", "saves/7.sav", "a..b", "~x", "Übung.sav"] {
            assert!(file(good).is_ok(), "{good}");
        }
        let long = "x".repeat(FILE + 1);
        for bad in [
            "",
            "/etc/passwd",
            "..",
            "../x",
            "a/../../x",
            "a/..",
            "./x",
            ".",
            "a\0b",
            "a\nb",
            &long,
        ] {
            assert!(file(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn texts_and_numbers_are_bounded_on_both_sides() {
        assert!(text("name", "", 0, 3).is_ok() && text("name", "abc", 1, 3).is_ok());
        assert!(text("name", "", 1, 3).is_err() && text("name", "abcd", 1, 3).is_err());
        assert!(text("name", "a\0b", 1, 3).is_err());
        assert!(bounded("things", 3, 3).is_ok() && bounded("things", 4, 3).is_err());
    }
}
