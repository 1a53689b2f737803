//! How slow a connection is, by pings.
//!
//! ```text
//!  login ──5 s──► PING ──► PONG ──frequency──► PING ...
//!                   └─ no answer: the class rises as each threshold passes; nobody is dropped for it
//! ```

use std::time::{Duration, Instant};

/// How long after the login the first ping goes out.
const FIRST: Duration = Duration::from_secs(5);

/// When pings go out, and what their answers mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rhythm {
    /// From an answer to the next ping.
    pub(super) frequency: Duration,
    /// What class 1 to 4 does not exceed, in order.
    pub(super) thresholds: [Duration; 4],
}

impl Rhythm {
    /// 1 (quick) to 5 (slow).
    fn class(&self, took: Duration) -> u8 {
        let exceeded = self.thresholds.iter().filter(|most| took > **most).count();
        exceeded as u8 + 1
    }
}

/// One connection's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Lag {
    class: u8,
    state: State,
}

#[derive(Debug, Clone, Copy)]
enum State {
    /// The next ping is due then.
    Resting(Instant),
    /// A ping went out then.
    Waiting(Instant),
}

/// What is to be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beat {
    /// Send a ping.
    Ping,
    /// Tell the room this class.
    Class(u8),
}

impl Lag {
    /// From the login on.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            class: 1,
            state: State::Resting(now + FIRST),
        }
    }

    /// When [`tick`](Self::tick) has something to say; none: not before an answer comes.
    pub(super) fn due(&self, rhythm: &Rhythm) -> Option<Instant> {
        match self.state {
            State::Resting(due) => Some(due),
            State::Waiting(since) => {
                // The first moment at which a threshold of a worse class is exceeded.
                let next = rhythm.thresholds.get(usize::from(self.class) - 1)?;
                Some(since + *next + Duration::from_millis(1))
            }
        }
    }

    /// Time has passed.
    pub(super) fn tick(&mut self, now: Instant, rhythm: &Rhythm) -> Option<Beat> {
        match self.state {
            State::Resting(due) if due <= now => {
                self.state = State::Waiting(now);
                Some(Beat::Ping)
            }
            State::Resting(_) => None,
            State::Waiting(since) => {
                let class = rhythm.class(now.saturating_duration_since(since));
                (class > self.class).then(|| self.becomes(class))
            }
        }
    }

    /// An answer has come. One that nobody asked for means nothing.
    pub(super) fn pong(&mut self, now: Instant, rhythm: &Rhythm) -> Option<Beat> {
        let State::Waiting(since) = self.state else {
            return None;
        };
        self.state = State::Resting(now + rhythm.frequency);
        let class = rhythm.class(now.saturating_duration_since(since));
        (class != self.class).then(|| self.becomes(class))
    }

    fn becomes(&mut self, class: u8) -> Beat {
        self.class = class;
        Beat::Class(class)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RHYTHM: Rhythm = Rhythm {
        frequency: Duration::from_secs(10),
        thresholds: [
            Duration::from_millis(500),
            Duration::from_millis(1000),
            Duration::from_millis(2000),
            Duration::from_millis(5000),
        ],
    };

    #[test]
    fn the_first_ping_goes_out_five_seconds_after_the_login_and_the_next_after_the_answer() {
        let start = Instant::now();
        let mut lag = Lag::new(start);
        assert_eq!(lag.tick(start + Duration::from_secs(4), &RHYTHM), None);
        let at = lag.due(&RHYTHM).unwrap();
        assert_eq!(at, start + FIRST);
        assert_eq!(lag.tick(at, &RHYTHM), Some(Beat::Ping));
        assert_eq!(lag.pong(at + Duration::from_millis(20), &RHYTHM), None);
        assert_eq!(lag.pong(at + Duration::from_millis(21), &RHYTHM), None);
        let next = at + Duration::from_millis(20) + RHYTHM.frequency;
        assert_eq!(lag.due(&RHYTHM), Some(next));
        assert_eq!(lag.tick(next, &RHYTHM), Some(Beat::Ping));
    }

    #[test]
    fn the_class_rises_while_an_answer_is_waited_for_and_falls_when_it_is_quick() {
        let start = Instant::now();
        let mut lag = Lag::new(start);
        let sent = start + FIRST;
        lag.tick(sent, &RHYTHM);
        for class in 2..=5 {
            let at = lag.due(&RHYTHM).unwrap();
            assert_eq!(lag.tick(at, &RHYTHM), Some(Beat::Class(class)));
        }
        assert_eq!(lag.due(&RHYTHM), None);
        let late = sent + Duration::from_secs(60);
        assert_eq!(lag.pong(late, &RHYTHM), None);
        let next = late + RHYTHM.frequency;
        lag.tick(next, &RHYTHM);
        let quick = next + Duration::from_millis(1);
        assert_eq!(lag.pong(quick, &RHYTHM), Some(Beat::Class(1)));
    }
}
