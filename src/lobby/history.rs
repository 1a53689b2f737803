//! What was said lately for all to hear, so that who has just come can read on.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use super::{
    definition::Entry,
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
pub(super) struct History(Mutex<VecDeque<(Entry, Spoken)>>); // locked for a look or a line, never across an await

impl History {
    fn lines(&self) -> MutexGuard<'_, VecDeque<(Entry, Spoken)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of what a room, or everybody, is told, if somebody said it. `entry` is who may come in there.
    pub(super) fn hear(&self, room: Option<RoomId>, entry: Entry, push: &Push, at: UnixMillis) {
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
        let from = from.clone();
        let spoken = Spoken {
            at,
            room,
            from,
            text,
        };
        lines.push_back((entry, spoken));
    }

    /// The last `most`, oldest first; of one room: with what everybody heard. Only what was said where those come in
    /// whom this is for.
    pub(super) fn last(
        &self,
        room: Option<RoomId>,
        most: usize,
        comes_in: impl Fn(Entry) -> bool,
    ) -> Vec<Spoken> {
        let lines = self.lines();
        let heard = |(entry, line): &&(Entry, Spoken)| {
            let wanted = room.is_none() || line.room.is_none() || line.room == room;
            wanted && comes_in(*entry)
        };
        let newest = lines.iter().rev().filter(heard).take(most);
        let mut last: Vec<_> = newest.map(|(_, line)| line.clone()).collect();
        last.reverse();
        last
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(history: &History, room: Option<u32>, text: &str) {
        said_in(history, room, Entry::Open, text);
    }

    fn said_in(history: &History, room: Option<u32>, entry: Entry, text: &str) {
        let push = Push::Chat {
            kind: None,
            from: "ada".into(),
            text: Some(text.into()),
        };
        history.hear(room.map(RoomId), entry, &push, UnixMillis(1));
    }

    fn last(history: &History, room: Option<RoomId>, most: usize) -> Vec<String> {
        texts(history.last(room, most, |_| true))
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
        history.hear(Some(RoomId(1)), Entry::Open, &Push::Ping, UnixMillis(1));
        assert_eq!(last(&history, None, 9), ["one", "two", "all"]);
        assert_eq!(last(&history, Some(RoomId(1)), 9), ["one", "all"]);
        assert_eq!(last(&history, None, 2), ["two", "all"]);
    }

    #[test]
    fn who_may_not_come_in_does_not_read_what_was_said() {
        let history = History::default();
        said(&history, Some(1), "one");
        said_in(&history, Some(2), Entry::Admin, "two");
        let open = |entry| entry == Entry::Open;
        assert_eq!(texts(history.last(None, 9, open)), ["one"]);
        assert_eq!(texts(history.last(None, 1, open)), ["one"]);
        assert!(history.last(Some(RoomId(2)), 9, open).is_empty());
    }

    #[test]
    fn the_oldest_lines_give_way_and_long_ones_are_cut() {
        let history = History::default();
        for n in 0..LINES + 3 {
            said(&history, None, &n.to_string());
        }
        let kept = last(&history, None, usize::MAX);
        assert_eq!((kept.len(), kept[0].as_str()), (LINES, "3"));
        said(&history, None, &"\u{e4}".repeat(TEXT));
        assert_eq!(last(&history, None, 1)[0].len(), TEXT);
    }
}
