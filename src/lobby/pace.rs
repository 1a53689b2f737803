//! How fast a session is listened to.

use std::time::Duration;

use tokio::time::Instant;

/// Requests that may come at once.
const BURST: u32 = 60;
/// And one more so often.
const EACH: Duration = Duration::from_millis(50);

/// A bucket of requests. Nobody is dropped for being fast; they are only heard later.
#[derive(Debug)]
pub(super) struct Pace {
    /// When the bucket would be full again.
    full: Instant,
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self { full: now }
    }

    /// One more request; until when it has to wait, if it has to.
    pub(super) fn step(&mut self, now: Instant) -> Option<Instant> {
        self.full = self.full.max(now) + EACH;
        let free = self.full - EACH * BURST;
        (free > now).then_some(free)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_and_then_twenty_a_second() {
        let start = Instant::now();
        let mut pace = Pace::new(start);
        for _ in 0..BURST {
            assert_eq!(pace.step(start), None);
        }
        assert_eq!(pace.step(start), Some(start + EACH));
        let later = start + EACH * (BURST + 1);
        assert_eq!(pace.step(later), None);
    }
}
