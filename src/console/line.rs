//! An entry as JSON: text for people, and the exact bytes where they are no text.

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use super::{Entry, Kind};
use crate::clock::UnixMillis;

/// One console line as the API gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Line {
    /// Counts from 1 without a gap, for the server's whole life.
    pub seq: u64,
    /// When it was read from the game, RFC 3339.
    #[schema(value_type = String)]
    pub time: UnixMillis,
    /// Where it came from.
    pub kind: Kind,
    /// The line, with U+FFFD in place of what is not UTF-8. Control characters are left in it.
    pub text: String,
    /// The line goes on in the next of this kind.
    pub more: bool,
    /// The exact bytes in base64, only where `text` is not exact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<String>,
}

impl From<&Entry> for Line {
    fn from(entry: &Entry) -> Self {
        let (text, bytes) = match str::from_utf8(&entry.text) {
            Ok(text) => (text.to_owned(), None),
            Err(_) => (entry.lossy().into_owned(), Some(BASE64.encode(&entry.text))),
        };
        Self {
            seq: entry.seq,
            time: entry.time,
            kind: entry.kind,
            text,
            more: entry.more,
            bytes,
        }
    }
}

impl Entry {
    /// The text for people, with U+FFFD in place of what is not UTF-8.
    pub fn lossy(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(text: &[u8]) -> Entry {
        Entry {
            seq: 3,
            time: UnixMillis(0),
            kind: Kind::Stderr,
            text: text.to_vec(),
            more: false,
        }
    }

    #[test]
    fn plain_text_is_plain_json() {
        let json = serde_json::to_string(&Line::from(&entry(b"hi"))).unwrap();
        assert_eq!(
            json,
            r#"{"seq":3,"time":"1970-01-01T00:00:00.000Z","kind":"stderr","text":"hi","more":false}"#
        );
    }

    #[test]
    fn other_bytes_are_shown_as_text_and_given_exactly() {
        let line = Line::from(&entry(b"caf\xe9"));
        assert_eq!(line.text, "caf\u{fffd}");
        assert_eq!(
            BASE64
                .decode(line.bytes.as_ref().unwrap().as_bytes())
                .unwrap(),
            b"caf\xe9"
        );
        let json = serde_json::to_string(&line).unwrap();
        assert_eq!(serde_json::from_str::<Line>(&json).unwrap(), line);
    }
}
