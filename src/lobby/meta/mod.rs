//! The meta server of GGZ: a directory of servers and rooms that others ask, and that others publish in. Source: seed
//! 002, facts 3.9.
//!
//! Owns the directory, its wire, its TCP port 15689, and the task that publishes our own entries elsewhere. Refuses to
//! know who may publish here: it asks.
//!
//! ```text
//!  query  ──► wire ──► Directory ──► results, best first        our rooms ──► set_own
//!  update ──► wire ──► may they? ──► Directory, for 15 minutes
//!  our entries ──► publish ──► another meta server, every 5 minutes
//! ```

mod directory;
mod element;
mod publish;
mod tcp;
pub(crate) mod wire;

pub use directory::{Directory, Refused};
pub use publish::{Pace, Published, Target, publish};
pub use tcp::{Limits, Verdict, serve};

use super::definition::Definitions;

/// The meta server's own port.
pub const PORT: u16 = 15_689;

/// Something that can be found: a server, or a room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it is for: `ggz`, or a game's title.
    pub class: String,
    /// What it is: `connection`, or `gameroom`.
    pub kind: String,
    /// Where it is.
    pub uri: String,
    /// What is known of it, by name.
    pub options: Vec<(String, String)>,
}

impl Entry {
    /// What this box can be found by: itself, and each room with a game. `host` is how others reach it.
    pub fn of_box(host: &str, port: u16, definitions: &Definitions) -> Vec<Self> {
        let options = || {
            [
                ("version", env!("CARGO_PKG_VERSION")),
                ("protocol", "10"),
                ("preference", "100"),
                ("speed", "0"),
            ]
            .map(|(name, value)| (name.into(), value.into()))
            .into()
        };
        let host = if host.contains(':') && !host.starts_with('[') {
            format!("[{host}]")
        } else {
            host.into()
        };
        let server = format!("ggz://{host}:{port}/");
        let mut entries = vec![Self {
            class: "ggz".into(),
            kind: "connection".into(),
            uri: server.clone(),
            options: options(),
        }];
        for room in &definitions.rooms {
            let mut games = definitions.games.iter();
            let game = games.find(|game| Some(&game.name) == room.game.as_ref());
            if let Some(game) = game {
                entries.push(Self {
                    class: game.title.text.clone(),
                    kind: "gameroom".into(),
                    uri: format!("{server}#{}", fragment(&room.title.text)),
                    options: options(),
                });
            }
        }
        entries
    }

    /// The value of an option.
    fn option(&self, name: &str) -> Option<&str> {
        let mut options = self.options.iter();
        let option = options.find(|(of, _)| of.eq_ignore_ascii_case(name));
        option.map(|(_, value)| value.as_str())
    }
}

/// What the fuzz targets feed to this room: a request that is read is read again the same.
#[cfg(feature = "fuzzing")]
pub(crate) fn fuzzing(bytes: &[u8]) {
    wire::Answer::status(bytes, true).ok();
    if let Ok(Some(request)) = wire::Request::decode(bytes, true) {
        let again = wire::Request::decode(&request.encode(), false);
        let is_plain = matches!(request, wire::Request::Plain { .. });
        assert!(is_plain || again.is_ok());
    }
}

/// A text as what follows the `#` of a URI.
fn fragment(text: &str) -> String {
    let mut done = String::new();
    for c in text.chars() {
        if c.is_whitespace() || c.is_control() || "\"#%<>[\\]^`{|}".contains(c) {
            let mut bytes = [0; 4];
            for byte in c.encode_utf8(&mut bytes).bytes() {
                done.push_str(&format!("%{byte:02X}"));
            }
        } else {
            done.push(c);
        }
    }
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_is_found_by_itself_and_by_each_room_with_a_game() {
        let definitions = crate::lobby::definition::load(None, &[]);
        let entries = Entry::of_box("fe80::1", 5688, &definitions);
        assert_eq!(entries[0].uri, "ggz://[fe80::1]:5688/");
        assert_eq!(
            (&*entries[0].class, &*entries[0].kind),
            ("ggz", "connection")
        );
        assert_eq!(entries[0].option("protocol"), Some("10"));
        assert_eq!(entries.len(), 6);
        let four = entries.iter().find(|entry| entry.class == "Connect Four");
        assert_eq!(four.unwrap().uri, "ggz://[fe80::1]:5688/#Connect%20Four");
        assert_eq!(four.unwrap().kind, "gameroom");
    }
}
