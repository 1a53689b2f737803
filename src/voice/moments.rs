//! When the box last said something about each channel, so that nobody says it again in its name.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use super::ChannelId;
use crate::clock::UnixMillis;

/// How far from now a signed word's moment may be.
const DRIFT: Duration = Duration::from_secs(30);

/// The last moment of each channel, of words that were signed or taken.
#[derive(Debug)]
pub(super) struct Moments {
    /// What was signed before the start could be a repetition.
    start: UnixMillis,
    // Locked for a few instructions, never across an await.
    last: Mutex<HashMap<ChannelId, UnixMillis>>,
}

impl Moments {
    pub(super) fn new(start: UnixMillis) -> Self {
        let last = Mutex::default();
        Self { start, last }
    }

    /// A moment for a new word: `now`, or just after the last. Nothing older is taken from then on.
    pub(super) fn next(&self, channel: ChannelId, now: UnixMillis) -> UnixMillis {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let last = last.entry(channel).or_insert(self.start);
        *last = now.max(UnixMillis(last.0 + 1));
        *last
    }

    /// Whether a word of that moment is new and not far from now; from then on it is not new any more.
    pub(super) fn take(&self, channel: ChannelId, moment: UnixMillis, now: UnixMillis) -> bool {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let last = last.entry(channel).or_insert(self.start);
        let near = moment.since(now) <= DRIFT && now.since(moment) <= DRIFT;
        let fresh = near && moment > *last;
        if fresh {
            *last = moment;
        }
        fresh
    }

    /// The channel is gone, and its id with it.
    pub(super) fn forget(&self, channel: ChannelId) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.remove(&channel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: ChannelId = ChannelId(7);

    #[test]
    fn a_word_counts_once_and_not_long_before_or_after_it_was_said() {
        let moments = Moments::new(UnixMillis(100_000));
        let now = UnixMillis(200_000);
        assert!(moments.take(ROOM, UnixMillis(199_000), now));
        for stale in [199_000, 198_000, 169_999, 230_001, u64::MAX, 0] {
            assert!(!moments.take(ROOM, UnixMillis(stale), now), "{stale}");
        }
        assert!(moments.take(ROOM, UnixMillis(230_000), now));
        assert!(moments.take(ChannelId(8), UnixMillis(199_000), now));
    }

    #[test]
    fn what_was_said_before_the_start_may_be_a_repetition() {
        let moments = Moments::new(UnixMillis(100_000));
        assert!(!moments.take(ROOM, UnixMillis(100_000), UnixMillis(100_001)));
    }

    #[test]
    fn what_the_box_says_itself_cannot_be_said_again_to_it() {
        let moments = Moments::new(UnixMillis(0));
        let first = moments.next(ROOM, UnixMillis(50));
        let second = moments.next(ROOM, UnixMillis(40));
        assert_eq!((first, second), (UnixMillis(50), UnixMillis(51)));
        assert!(!moments.take(ROOM, second, UnixMillis(52)));
    }
}
