//! How fast somebody is listened to.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::accounts::AccountId;

/// Requests that may come at once.
const BURST: u32 = 60;
/// And one more so often.
const EACH: Duration = Duration::from_millis(50);
/// From so many on, those are forgotten who have been slow since.
const REMEMBERED: usize = 1024;

/// A bucket of requests. Nobody is dropped for being fast; they are only heard later.
#[derive(Debug, Clone, Copy)]
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

/// Of those who speak without a session, each by their account; all who have none, like the box itself, are one.
#[derive(Debug, Default)]
pub(super) struct Paces(Mutex<HashMap<Option<AccountId>, Pace>>); // locked for one step, never across an await

impl Paces {
    /// One more request, which counts only if it can be heard at once; else how long that will take.
    pub(super) fn step(&self, who: Option<AccountId>, now: Instant) -> Result<(), Duration> {
        let mut paces = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if paces.len() >= REMEMBERED {
            paces.retain(|_, pace| pace.full > now);
        }
        let pace = paces.entry(who).or_insert_with(|| Pace::new(now));
        let before = *pace;
        match pace.step(now) {
            None => Ok(()),
            Some(until) => {
                *pace = before;
                Err(until - now)
            }
        }
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

    #[tokio::test(start_paused = true)]
    async fn each_has_their_own_pace_and_what_is_refused_does_not_count() {
        let (start, paces) = (Instant::now(), Paces::default());
        let (ada, bob) = (Some(AccountId(1)), Some(AccountId(2)));
        for _ in 0..BURST {
            assert_eq!(paces.step(ada, start), Ok(()));
        }
        for _ in 0..BURST {
            assert_eq!(paces.step(ada, start), Err(EACH));
        }
        assert_eq!(paces.step(bob, start), Ok(()));
        assert_eq!(paces.step(ada, start + EACH), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_been_slow_is_forgotten() {
        let (start, paces) = (Instant::now(), Paces::default());
        for n in 0..REMEMBERED as u64 {
            paces.step(Some(AccountId(n)), start).unwrap();
        }
        paces.step(None, start + EACH).unwrap();
        assert_eq!(paces.0.lock().unwrap().len(), 1);
    }
}
