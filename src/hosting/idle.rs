//! What is due for a server that nobody uses. Pure: rules, since when, now.

use std::time::Duration;

use super::classes::{Idle, Wait};
use crate::clock::UnixMillis;

/// MyOTTD's: a game that nobody has joined for a day stops,
const STOP: Wait = Wait(Some(Duration::from_secs(24 * 3600)));
/// and an hour later the server gives back what is reserved for it.
const RELEASE: Wait = Wait(Some(Duration::from_secs(3600)));

/// What holds for one server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rules {
    pub(super) stop: Wait,
    pub(super) release: Wait,
}

impl Rules {
    /// The first of `said` that says something, for each.
    pub(super) fn first(said: [Idle; 3]) -> Self {
        let stop = said.iter().find_map(|idle| idle.stop);
        let release = said.iter().find_map(|idle| idle.release);
        Self {
            stop: stop.unwrap_or(STOP),
            release: release.unwrap_or(RELEASE),
        }
    }
}

/// How a server is being used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// Its game runs, and nobody has played since then.
    Empty(UnixMillis),
    /// Nothing runs since then, and something is still reserved.
    Down(UnixMillis),
    /// Somebody plays, or nobody can tell, or nothing is reserved.
    Busy,
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Due {
    /// Stop the game.
    Stop,
    /// Give back what is reserved.
    Release,
}

/// What is due now. A clock that was set back makes nothing due.
pub(super) fn due(rules: Rules, used: Use, now: UnixMillis) -> Option<Due> {
    let passed =
        |since: UnixMillis, wait: Wait| wait.0.is_some_and(|wait| now.since(since) >= wait);
    match used {
        Use::Empty(since) if passed(since, rules.stop) => Some(Due::Stop),
        Use::Down(since) if passed(since, rules.release) => Some(Due::Release),
        Use::Empty(_) | Use::Down(_) | Use::Busy => None,
    }
}

impl Rules {
    /// Why `due` is so, for the console and the audit.
    pub(super) fn because(self, due: Due) -> String {
        match due {
            Due::Stop => format!("nobody has played for {}", self.stop),
            Due::Release => format!("it has been stopped for {}", self.release),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rules(stop: Option<u64>, release: Option<u64>) -> Rules {
        let wait = |seconds: Option<u64>| Wait(seconds.map(Duration::from_secs));
        Rules {
            stop: wait(stop),
            release: wait(release),
        }
    }

    #[test]
    fn without_a_word_it_is_a_day_and_an_hour() {
        let rules = Rules::first([Idle::default(); 3]);
        let hours = |hours: u64| UnixMillis(hours * 3_600_000);
        let empty = Use::Empty(hours(0));
        assert_eq!(due(rules, empty, hours(23)), None);
        assert_eq!(due(rules, empty, hours(24)), Some(Due::Stop));
        assert_eq!(due(rules, Use::Down(hours(24)), hours(24)), None);
        assert_eq!(
            due(rules, Use::Down(hours(24)), hours(25)),
            Some(Due::Release)
        );
        assert_eq!(rules.because(Due::Stop), "nobody has played for 24h");
    }

    #[test]
    fn the_server_is_heard_before_its_class_and_the_class_before_the_game() {
        let stop = |text: &str| Idle {
            stop: Some(text.parse().unwrap()),
            release: None,
        };
        let shown = |said| Rules::first(said).stop.to_string();
        assert_eq!(shown([stop("1s"), stop("2s"), stop("3s")]), "1s");
        assert_eq!(shown([Idle::default(), stop("never"), stop("3s")]), "never");
        assert_eq!(shown([Idle::default(), Idle::default(), stop("3s")]), "3s");
    }

    proptest! {
        #[test]
        fn never_before_its_time_always_after_and_never_while_somebody_plays(
            stop in prop::option::of(1u64..1000), release in prop::option::of(1u64..1000),
            since in 0u64..1_000_000, now in 0u64..3_000_000,
        ) {
            let rules = rules(stop, release);
            let (since, now) = (UnixMillis(since), UnixMillis(now));
            prop_assert_eq!(due(rules, Use::Busy, now), None);
            let late = |wait: Option<u64>| wait.is_some_and(|wait| now.0 >= since.0 + wait * 1000);
            prop_assert_eq!(due(rules, Use::Empty(since), now), late(stop).then_some(Due::Stop));
            prop_assert_eq!(due(rules, Use::Down(since), now), late(release).then_some(Due::Release));
        }
    }
}
