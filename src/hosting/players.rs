//! Who plays: a crowd made of a console's lines, and of connections where those are to be seen. Pure.
//!
//! ```text
//!  console ──join──► crowd ──► online, names, empty since when
//!          ──leave─►   ▲
//!  sockets ──counted───┘  corrects: who vanished without a line does not stay for ever
//! ```
//!
//! All times are the console's, so that a daemon that comes back finds the same as the one before. What it found out by
//! connections it writes on the console, for the same reason.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, de::Error as _};

use crate::clock::UnixMillis;
use crate::console::{Entry, Kind};

/// What the box says on a console when connections show that somebody came, or that nobody is left.
pub(super) const SOMEBODY: &str = "players: somebody is connected";
pub(super) const NOBODY: &str = "players: nobody is connected any more";

/// Longest line that is looked at, in bytes.
const MAX_LINE: usize = 4096;
/// Most players that are remembered: what a line says can be made up.
const MAX_PLAYERS: usize = 1024;
/// Longest name that is shown, in characters.
const MAX_NAME: usize = 64;
/// A compiled pattern's size in bytes, and the longest text of one.
const MAX_COMPILED: usize = 1 << 20;
const MAX_PATTERN: usize = 1024;

/// A line that tells of one player: the capture `player` is a name, the capture `id` is what tells them apart where names
/// change or repeat.
#[derive(Debug, Clone)]
pub(crate) struct Pattern(regex::Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::new(&text).map_err(D::Error::custom)
    }
}

impl Pattern {
    pub(super) fn new(text: &str) -> Result<Self, String> {
        if text.len() > MAX_PATTERN {
            return Err(format!("must be at most {MAX_PATTERN} bytes"));
        }
        let built = regex::RegexBuilder::new(text)
            .size_limit(MAX_COMPILED)
            .dfa_size_limit(MAX_COMPILED)
            .build();
        let regex = built.map_err(|error| {
            let shown = error.to_string();
            format!(
                "is no pattern: {}",
                shown.lines().last().unwrap_or_default()
            )
        })?;
        let mut names: Vec<_> = regex.capture_names().flatten().collect();
        names.sort_unstable();
        match names[..] {
            ["player"] | ["id"] | ["id", "player"] => Ok(Self(regex)),
            _ => Err("must capture `player`, `id` or both, as in (?P<player>.+)".into()),
        }
    }

    /// Whether it captures `name`.
    pub(super) fn captures(&self, name: &str) -> bool {
        self.0.capture_names().flatten().any(|known| known == name)
    }

    /// The key and the name that `line` tells of.
    fn find(&self, line: &str) -> Option<(String, String)> {
        let found = self.0.captures(line)?;
        let text = |name| found.name(name).map(|part| shown(part.as_str()));
        let (id, player) = (text("id"), text("player"));
        let key = id.or_else(|| player.clone())?;
        let name = player.unwrap_or_else(|| key.clone());
        (!key.is_empty()).then_some((key, name))
    }
}

/// A name as it may be shown: on one line, of bounded length, without marks that hide or turn text.
fn shown(name: &str) -> String {
    let hidden = |c: &char| super::settings::printable(c.encode_utf8(&mut [0; 4]), 1).is_err();
    let plain = name.chars().filter(|c| !hidden(c)).take(MAX_NAME);
    plain.collect::<String>().trim().to_owned()
}

/// What a definition says of its players.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Players {
    /// The setting that is the number of players.
    pub(crate) setting: Option<String>,
    /// A line of its output when one comes,
    pub(crate) join: Option<Pattern>,
    /// and when one goes.
    pub(crate) leave: Option<Pattern>,
    /// The TCP port whose connections are players; the first port when absent and TCP.
    pub(crate) port: Option<String>,
}

/// What is known at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Seen {
    /// Whether anything can be known of this game's players.
    pub(super) known: bool,
    pub(super) online: u32,
    pub(super) names: Vec<String>,
    /// Since when nobody plays; none while somebody does, or no game runs.
    pub(super) empty_since: Option<UnixMillis>,
}

struct Player {
    name: String,
    at: UnixMillis,
}

/// The players of one running game.
pub(super) struct Crowd {
    patterns: Option<(Pattern, Pattern)>,
    /// Whether connections can be counted.
    connected: bool,
    started: Option<UnixMillis>,
    who: BTreeMap<String, Player>,
    /// As last counted, since the game was started.
    connections: Option<u32>,
    /// Nobody came or went since connections were last counted.
    steady: bool,
    empty_since: Option<UnixMillis>,
    /// The unfinished line of each stream.
    unfinished: [Vec<u8>; 2],
}

impl Crowd {
    /// `connected`: the game has a TCP port whose connections are players.
    pub(super) fn new(players: &Players, connected: bool) -> Self {
        Self {
            patterns: players.join.clone().zip(players.leave.clone()),
            connected,
            started: None,
            who: BTreeMap::new(),
            connections: None,
            steady: false,
            empty_since: None,
            unfinished: [Vec::new(), Vec::new()],
        }
    }

    /// A game was started then, or (none) no game runs.
    pub(super) fn begin(&mut self, started: Option<UnixMillis>) {
        if self.started == started {
            return;
        }
        self.started = started;
        self.connections = None;
        self.steady = false;
        // The news that it was started may come after its first lines.
        self.who
            .retain(|_, player| started.is_some_and(|started| player.at >= started));
        self.empty_since = started.filter(|_| self.who.is_empty());
    }

    /// One entry of the console.
    pub(super) fn read(&mut self, entry: &Entry) {
        if self.started.is_some_and(|started| entry.time < started) {
            return;
        }
        let stream = match entry.kind {
            Kind::Stdout => 0,
            Kind::Stderr => 1,
            Kind::Stdin => return,
            Kind::Log => {
                match str::from_utf8(&entry.text) {
                    Ok(NOBODY) => {
                        self.who.clear();
                        self.emptied(entry.time);
                    }
                    Ok(SOMEBODY) if self.patterns.is_none() => self.empty_since = None,
                    _ => {}
                }
                return;
            }
        };
        let unfinished = &mut self.unfinished[stream];
        let room = MAX_LINE.saturating_sub(unfinished.len());
        unfinished.extend_from_slice(&entry.text[..entry.text.len().min(room)]);
        if !entry.more {
            let line = std::mem::take(unfinished);
            self.line(&String::from_utf8_lossy(&line), entry.time);
        }
    }

    fn line(&mut self, line: &str, at: UnixMillis) {
        let Some((join, leave)) = &self.patterns else {
            return;
        };
        if let Some((key, name)) = join.find(line) {
            if self.who.len() < MAX_PLAYERS || self.who.contains_key(&key) {
                self.who.insert(key, Player { name, at });
                self.steady = false;
                self.empty_since = None;
            }
        } else if let Some((key, _)) = leave.find(line)
            && self.who.remove(&key).is_some()
        {
            self.steady = false;
            if self.who.is_empty() {
                self.emptied(at);
            }
        }
    }

    fn emptied(&mut self, at: UnixMillis) {
        if self.empty_since.is_none() {
            self.empty_since = Some(at);
        }
    }

    /// So many connections were counted; what the console shall say of it, so that it is known after a restart too.
    pub(super) fn counted(&mut self, connections: u32, now: UnixMillis) -> Option<&'static str> {
        if !self.connected || self.started.is_none() {
            return None;
        }
        let before = self.connections.replace(connections);
        let steady = std::mem::replace(&mut self.steady, true);
        let occupied = self.empty_since.is_none();
        match (&self.patterns, connections) {
            (None, 1..) if !occupied => {
                self.empty_since = None;
                Some(SOMEBODY)
            }
            (None, 0) if occupied => {
                self.emptied(now);
                Some(NOBODY)
            }
            // Twice in a row, since a line may be on its way while its connection is gone already.
            (Some(_), 0) if occupied && steady && before == Some(0) => {
                self.who.clear();
                self.emptied(now);
                Some(NOBODY)
            }
            _ => None,
        }
    }

    pub(super) fn seen(&self) -> Seen {
        let listed = u32::try_from(self.who.len()).unwrap_or(u32::MAX);
        let counted = self.connections.filter(|_| self.connected);
        let online = match (&self.patterns, counted) {
            (Some(_), Some(counted)) if self.steady => listed.min(counted),
            (Some(_), _) => listed,
            (None, counted) => counted.unwrap_or(0),
        };
        Seen {
            known: self.patterns.is_some() || self.connected,
            online,
            names: self
                .who
                .values()
                .map(|player| player.name.clone())
                .collect(),
            empty_since: self.empty_since,
        }
    }
}

#[cfg(test)]
mod tests;
