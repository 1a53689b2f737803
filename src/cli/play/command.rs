//! What somebody types at a table.

use crate::games::wire::{Draw, LINE, Say, Yes};

/// What a typed line means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Command {
    /// For the game.
    Game(Say),
    /// For the others at the table.
    Say(String),
    /// A draw: offered, or accepted when one is offered.
    Draw,
    /// Who is here?
    Who,
    /// What can be played?
    Moves,
    /// How is it?
    Board,
    /// What can be typed?
    Help,
    /// Leave.
    Quit,
    /// Go away, as if the line broke. Not typed: it is the end of what is.
    Away,
    /// Nothing was typed.
    Nothing,
    /// It means nothing.
    Unknown(String),
}

/// What can be typed.
pub(super) const HELP: &str = "\
MOVE       play it; the board's letters and numbers name the squares
/moves     what can be played
/resign    give up
/draw      offer a draw, or accept the one that is offered; /draw decline
/claim     win because the other has been away for two minutes
/again     play another match, when this one is over
/say TEXT  say something to the table
/who       who sits here and who watches
/board     show the board once more
/quit      leave; a match with people waits for you, one with computers ends
Ctrl-C     go away; the match waits for you
";

impl Command {
    pub(super) fn read(line: &str) -> Self {
        let line = line.trim();
        let Some(command) = line.strip_prefix('/') else {
            return match line {
                "" => Self::Nothing,
                // No game has such a move.
                "?" => Self::Help,
                line if line.eq_ignore_ascii_case("help") => Self::Help,
                line if ["quit", "exit"].contains(&&*line.to_ascii_lowercase()) => Self::Quit,
                // What is longer than the game takes is no move.
                line if line.len() > LINE / 8 => Self::Unknown(line.chars().take(24).collect()),
                line => Self::Game(Say::Move(line.into())),
            };
        };
        let (word, rest) = command
            .split_once(char::is_whitespace)
            .unwrap_or((command, ""));
        let rest = rest.trim();
        match (word.to_ascii_lowercase().as_str(), rest) {
            ("say", "") => Self::Nothing,
            ("say", text) => Self::Say(text.into()),
            ("resign", "") => Self::Game(Say::Resign(Yes)),
            ("draw", "") => Self::Draw,
            ("draw", "offer") => Self::Game(Say::Draw(Draw::Offer)),
            ("draw", "accept") => Self::Game(Say::Draw(Draw::Accept)),
            ("draw", "decline") => Self::Game(Say::Draw(Draw::Decline)),
            ("claim", "") => Self::Game(Say::Claim(Yes)),
            ("again", "") => Self::Game(Say::Again(Yes)),
            ("who", "") => Self::Who,
            ("moves", "") => Self::Moves,
            ("board", "") => Self::Board,
            ("help", _) => Self::Help,
            ("quit", "") => Self::Quit,
            _ => Self::Unknown(line.chars().take(24).collect()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_a_move_unless_it_begins_with_a_slash() {
        for (line, command) in [
            (" e2e4 ", Command::Game(Say::Move("e2e4".into()))),
            ("", Command::Nothing),
            ("/resign", Command::Game(Say::Resign(Yes))),
            ("/DRAW", Command::Draw),
            ("/draw decline", Command::Game(Say::Draw(Draw::Decline))),
            ("/again", Command::Game(Say::Again(Yes))),
            ("/say  hello there ", Command::Say("hello there".into())),
            ("/say", Command::Nothing),
            ("/who", Command::Who),
            ("/quit", Command::Quit),
            ("Quit", Command::Quit),
            ("help", Command::Help),
            ("/quit now", Command::Unknown("/quit now".into())),
            ("/fly", Command::Unknown("/fly".into())),
            ("/", Command::Unknown("/".into())),
        ] {
            assert_eq!(Command::read(line), command, "{line}");
        }
        assert!(matches!(
            Command::read(&"x".repeat(9999)),
            Command::Unknown(_)
        ));
    }

    #[test]
    fn the_help_names_what_is_understood() {
        for line in HELP.lines().filter(|line| line.starts_with('/')) {
            let word = line.split_whitespace().next().unwrap();
            assert!(
                !matches!(Command::read(word), Command::Unknown(_)),
                "{word}"
            );
        }
    }
}
