//! What a table and a player's client say to each other: JSON, an object per line. Source: `docs/table-games.md`.
//!
//! ```text
//!  table ─► client   {"game":"chess","protocol":1,"you":0,...}     the whole state, after every change
//!                    {"error":"...","hint":"..."}                  what was said cannot be done
//!  client ─► table   {"move":"e2e4"}  {"resign":true}  {"draw":"offer"}  {"claim":true}  {"again":true}  {"done":true}
//! ```

use serde::{Deserialize, Serialize};

use crate::lobby::{dmod::wire::Outcome, wire::terms::SeatKind};

/// The version of all this.
pub(crate) const PROTOCOL: u32 = 1;
/// Bytes of a line that a client may send, without its end.
pub(crate) const LINE: usize = 4096;

/// One line from a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Told {
    /// How everything is now.
    State(Box<State>),
    /// What the client said cannot be done.
    Complaint(Complaint),
}

/// How everything is at a table. The same for all five games, and all that a client needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// Which game.
    pub(crate) game: String,
    /// [`PROTOCOL`].
    pub(crate) protocol: u32,
    /// The seat of who reads this; none: they watch.
    pub(crate) you: Option<usize>,
    /// By number.
    pub(crate) seats: Vec<Sitting>,
    /// Names of those who watch.
    pub(crate) spectators: Vec<String>,
    /// Whether anything is played.
    pub(crate) status: Status,
    /// The how manieth match at this table, from 1; 0 before the first.
    pub(crate) round: u32,
    /// The seat that moves next.
    pub(crate) turn: Option<usize>,
    /// The board, to be shown as it is in letters of one width.
    pub(crate) board: Vec<String>,
    /// The position in one line; how it is written is the game's own.
    pub(crate) position: String,
    /// The last move.
    pub(crate) last: Option<String>,
    /// What can be played next.
    pub(crate) moves: Vec<String>,
    /// The seat that offers a draw.
    pub(crate) draw: Option<usize>,
    /// How the last match ended, by seat.
    pub(crate) result: Option<Vec<Finish>>,
    /// Why it ended.
    pub(crate) reason: Option<String>,
}

/// One seat, and who has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Sitting {
    /// What it is.
    pub(crate) kind: SeatKind,
    /// Whose.
    pub(crate) name: Option<String>,
    /// What it plays in this match: a colour or a mark.
    pub(crate) side: String,
    /// What it has so far, in games that count.
    pub(crate) points: Option<i32>,
    /// How well the computer plays that has it.
    pub(crate) strength: Option<String>,
    /// Whether there is somebody to play with: a connected player, or the computer.
    pub(crate) present: bool,
    /// Its player wants the next match.
    pub(crate) again: bool,
}

/// Whether anything is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    /// Seats are still to be taken.
    Waiting,
    /// A match is on.
    Playing,
    /// A match has ended; another begins when all want it.
    Over,
}

/// How a match ended for one seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Finish {
    /// Which.
    pub(crate) seat: usize,
    /// How.
    pub(crate) outcome: Outcome,
}

/// What is wrong with what a client said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Complaint {
    /// The fact.
    pub(crate) error: String,
    /// What would be right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hint: Option<String>,
}

impl Complaint {
    /// Without a hint.
    pub(crate) fn new(error: impl Into<String>) -> Self {
        Self {
            error: error.into(),
            hint: None,
        }
    }

    /// With one.
    pub(crate) fn hinted(error: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            error: error.into(),
            hint: Some(hint.into()),
        }
    }
}

/// One line from a client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Say {
    /// This move, in the game's notation.
    Move(String),
    /// I give up.
    Resign(Yes),
    /// About a draw.
    Draw(Draw),
    /// Who has been away too long has lost.
    Claim(Yes),
    /// I want another match.
    Again(Yes),
    /// This table is finished.
    Done(Yes),
}

/// What can be said about a draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Draw {
    /// Shall we?
    Offer,
    /// Yes.
    Accept,
    /// No.
    Decline,
}

/// `true`, and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "bool", into = "bool")]
pub(crate) struct Yes;

/// It was `false`.
#[derive(Debug, thiserror::Error)]
#[error("the value can only be true")]
pub(crate) struct No;

impl TryFrom<bool> for Yes {
    type Error = No;

    fn try_from(value: bool) -> Result<Self, No> {
        if value { Ok(Self) } else { Err(No) }
    }
}

impl From<Yes> for bool {
    fn from(_: Yes) -> Self {
        true
    }
}

impl Say {
    /// What a line means. It has no end of line any more.
    pub(crate) fn decode(line: &[u8]) -> Result<Self, Complaint> {
        serde_json::from_slice(line).map_err(|error| {
            let fact: String = error.to_string().chars().take(200).collect();
            Complaint::hinted(
                format!("not understood: {fact}"),
                r#"say one of {"move":"..."}, {"resign":true}, {"draw":"offer"}, {"claim":true}, {"again":true}, {"done":true}"#,
            )
        })
    }
}

/// A line, with its end.
pub(crate) fn encode(value: &impl Serialize) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).expect("these types have only text for keys");
    line.push(b'\n');
    line
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_clients_say_is_read_and_written() {
        for (line, say) in [
            (r#"{"move":"e2e4"}"#, Say::Move("e2e4".into())),
            (r#"{"resign":true}"#, Say::Resign(Yes)),
            (r#"{"draw":"accept"}"#, Say::Draw(Draw::Accept)),
            (r#"{"claim":true}"#, Say::Claim(Yes)),
            (r#"{"again":true}"#, Say::Again(Yes)),
            (r#"{"done":true}"#, Say::Done(Yes)),
        ] {
            assert_eq!(Say::decode(line.as_bytes()), Ok(say.clone()));
            assert_eq!(encode(&say), format!("{line}\n").into_bytes());
        }
    }

    #[test]
    fn what_is_wrong_is_said_in_words() {
        for (line, words) in [
            (r#"{"fly":true}"#, "unknown variant `fly`"),
            (
                r#"{"move":5}"#,
                "invalid type: integer `5`, expected a string",
            ),
            (r#"{"resign":false}"#, "can only be true"),
            (r#"{"draw":"maybe"}"#, "unknown variant `maybe`"),
            (r#"{"move":"a1","again":true}"#, "expected"),
            ("{}", "expected"),
            ("", "EOF"),
            ("[1,2]", "expected"),
        ] {
            let error = Say::decode(line.as_bytes()).unwrap_err();
            assert!(error.error.contains(words), "{line}: {}", error.error);
            assert!(error.hint.is_some());
        }
    }

    #[test]
    fn the_example_of_the_manual_is_a_state_and_an_error_is_none() {
        let manual = include_str!("../../docs/table-games.md");
        let example = manual.split("```json").nth(1).unwrap();
        let example = example.split("```").next().unwrap();
        let Ok(Told::State(state)) = serde_json::from_str(example) else {
            panic!("{example}");
        };
        assert_eq!((state.game.as_str(), state.turn), ("chess", Some(1)));
        let line = encode(&Told::State(state.clone()));
        assert_eq!(
            serde_json::from_slice::<Told>(&line).unwrap(),
            Told::State(state)
        );
        let told: Told = serde_json::from_str(r#"{"error":"no"}"#).unwrap();
        assert_eq!(told, Told::Complaint(Complaint::new("no")));
    }

    #[test]
    fn deep_nesting_costs_nothing() {
        let deep = [b"{\"move\":".as_slice(), &b"[".repeat(4000)].concat();
        assert!(Say::decode(&deep).is_err());
    }

    proptest! {
        #[test]
        fn no_line_makes_it_panic(line: Vec<u8>) {
            Say::decode(&line).ok();
        }

        #[test]
        fn every_move_comes_back(text: String) {
            let say = Say::Move(text);
            let line = encode(&say);
            prop_assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
            prop_assert_eq!(Say::decode(&line[..line.len() - 1]), Ok(say));
        }
    }
}
