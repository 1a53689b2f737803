//! What was said lately for all to hear, so that who has just come can read on.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{
    view::Spoken,
    wire::{push::Push, terms::RoomId},
};
use crate::clock::UnixMillis;

/// Lines that are kept, of all rooms together. They are forgotten when the box stops.
pub(crate) const LINES: usize = 200;
/// Bytes of a line that are kept.
const TEXT: usize = 1024;

/// The last of what was said. Private words and those at a table never come here.
#[derive(Debug, Default)]
pub(super) struct History(Mutex<VecDeque<Spoken>>); // locked for a look or a line, never across an await

impl History {
    fn lines(&self) -> MutexGuard<'_, VecDeque<Spoken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of what a room, or everybody, is told, if somebody said it.
    pub(super) fn hear(&self, room: Option<RoomId>, push: &Push, at: UnixMillis) {
        let Push::Chat { from, text, .. } = push else {
            return;
        };
        let mut text = text.clone().unwrap_or_default();
        let mut ends = (0..=TEXT.min(text.len())).rev();
        let end = ends.find(|at| text.is_char_boundary(*at));
        text.truncate(end.unwrap_or(0));
        let mut lines = self.lines();
        if lines.len() == LINES {
            lines.pop_front();
        }
        lines.push_back(Spoken {
            at,
            room,
            from: from.clone(),
            text,
        });
    }

    /// The last `most`, oldest first; of one room: with what everybody heard.
    pub(super) fn last(&self, room: Option<RoomId>, most: usize) -> Vec<Spoken> {
        let lines = self.lines();
        let heard = |line: &&Spoken| room.is_none() || line.room.is_none() || line.room == room;
        let mut last: Vec<_> = lines
            .iter()
            .rev()
            .filter(heard)
            .take(most)
            .cloned()
            .collect();
        last.reverse();
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(history: &History, room: Option<u32>, text: &str) {
        let push = Push::Chat {
            kind: None,
            from: "ada".into(),
            text: Some(text.into()),
        };
        history.hear(room.map(RoomId), &push, UnixMillis(1));
    }

    fn texts(lines: Vec<Spoken>) -> Vec<String> {
        lines.into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn a_room_hears_itself_and_what_everybody_hears() {
        let history = History::default();
        said(&history, Some(1), "one");
        said(&history, Some(2), "two");
        said(&history, None, "all");
        history.hear(Some(RoomId(1)), &Push::Ping, UnixMillis(1));
        assert_eq!(texts(history.last(None, 9)), ["one", "two", "all"]);
        assert_eq!(texts(history.last(Some(RoomId(1)), 9)), ["one", "all"]);
        assert_eq!(texts(history.last(None, 2)), ["two", "all"]);
    }

    #[test]
    fn the_oldest_lines_give_way_and_long_ones_are_cut() {
        let history = History::default();
        for n in 0..LINES + 3 {
            said(&history, None, &n.to_string());
        }
        let kept = texts(history.last(None, usize::MAX));
        assert_eq!((kept.len(), kept[0].as_str()), (LINES, "3"));
        said(&history, None, &"\u{e4}".repeat(TEXT));
        assert_eq!(history.last(None, 1)[0].text.len(), TEXT);
    }
}
