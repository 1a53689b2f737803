//! How fast somebody may talk.

use std::time::Duration;

use tokio::time::Instant;

/// How much may come, and how fast.
pub(super) struct Bucket {
    left: f64,
    at: Option<Instant>,
    most: f64,
    rate: f64,
}

impl Bucket {
    /// Full.
    pub(super) fn new(most: f64, rate: f64) -> Self {
        Self {
            left: most,
            at: None,
            most,
            rate,
        }
    }

    /// One more. False: that is too many.
    pub(super) fn take(&mut self, now: Instant) -> bool {
        let since = self.at.map_or(Duration::ZERO, |at| now - at);
        self.at = Some(now);
        self.left = self.most.min(self.left + since.as_secs_f64() * self.rate);
        let some = self.left >= 1.0;
        if some {
            self.left -= 1.0;
        }
        some
    }
}
