//! How many new accounts strangers may make, and how many letters they may have sent. Pure: the time is a parameter.
//!
//! | per     | at once | then            | so that                                              |
//! |---------|---------|-----------------|------------------------------------------------------|
//! | network | 30      | one per minute  | a LAN party behind one address gets in, a script not |
//! | box     | 2000    | one per second  | many networks together cannot fill the store either  |
//!
//! | letters per | at once | then                 | so that                                  |
//! |-------------|---------|----------------------|------------------------------------------|
//! | address     | 3       | one per 20 minutes   | nobody's mailbox is filled               |
//! | network     | 10      | one per 6 minutes    | a stranger cannot write to many          |
//! | box         | 200     | one per 10 s         | nor can many networks together           |
//!
//! Each is a leaky bucket, kept as the one moment at which it will be empty again. In memory, as the
//! throttle is, and bounded as it is: when the table is full, newcomers share one bucket.

use std::{
    collections::HashMap,
    hash::Hash,
    net::IpAddr,
    time::{Duration, Instant},
};

/// How many networks or addresses are told apart.
const CAPACITY: usize = 1 << 16;
/// How often a full table looks for what it can forget.
const SWEEP: Duration = Duration::from_secs(10);

const NETWORK: Rule = Rule {
    burst: 30,
    every: Duration::from_secs(60),
};
const BOX: Rule = Rule {
    burst: 2000,
    every: Duration::from_secs(1),
};

const LETTERS_TO: Rule = Rule {
    burst: 3,
    every: Duration::from_secs(20 * 60),
};
const LETTERS_FROM: Rule = Rule {
    burst: 10,
    every: Duration::from_secs(6 * 60),
};
const LETTERS: Rule = Rule {
    burst: 200,
    every: Duration::from_secs(10),
};

#[derive(Debug, Clone, Copy)]
struct Rule {
    burst: u32,
    every: Duration,
}

/// When it will be empty.
#[derive(Debug, Clone, Copy)]
struct Bucket(Instant);

impl Bucket {
    /// How long until one more fits.
    fn wait(self, rule: Rule, now: Instant) -> Option<Duration> {
        let full = now + rule.every * (rule.burst - 1);
        self.0
            .checked_duration_since(full)
            .filter(|wait| !wait.is_zero())
    }

    fn add(&mut self, rule: Rule, now: Instant) {
        self.0 = self.0.max(now) + rule.every;
    }
}

/// What has been made lately, by the network that wanted it or by whatever `K` is.
#[derive(Debug)]
pub(super) struct Quota<K = IpAddr> {
    each: Rule,
    whole: Rule,
    buckets: HashMap<K, Bucket>,
    /// Of all that are not told apart.
    shared: Bucket,
    all: Bucket,
    capacity: usize,
    swept: Instant,
}

impl Quota {
    /// Of new accounts.
    pub(super) fn new(now: Instant) -> Self {
        Self::of(NETWORK, BOX, now)
    }

    /// Of letters, by the network that wants one sent.
    pub(super) fn letters_from(now: Instant) -> Self {
        Self::of(LETTERS_FROM, LETTERS, now)
    }
}

impl Quota<String> {
    /// Of letters, by the address that they go to.
    pub(super) fn letters_to(now: Instant) -> Self {
        Self::of(LETTERS_TO, LETTERS, now)
    }
}

impl<K: Eq + Hash> Quota<K> {
    fn of(each: Rule, whole: Rule, now: Instant) -> Self {
        Self {
            each,
            whole,
            buckets: HashMap::new(),
            shared: Bucket(now),
            all: Bucket(now),
            capacity: CAPACITY,
            swept: now,
        }
    }

    /// Counts one more, or says how long to wait. `from`, where it is an address, is a
    /// [network](super::throttle::network).
    pub(super) fn take(&mut self, now: Instant, from: Option<K>) -> Result<(), Duration> {
        if self.buckets.len() >= self.capacity && now >= self.swept + SWEEP {
            self.swept = now;
            self.buckets.retain(|_, bucket| bucket.0 > now);
        }
        let known = from
            .filter(|from| self.buckets.contains_key(from) || self.buckets.len() < self.capacity);
        let bucket = match known {
            // Who may have been part of the crowd until now brings its bucket along.
            Some(ref from) => self.buckets.get(from).copied().unwrap_or(self.shared),
            None => self.shared,
        };
        let wait = bucket
            .wait(self.each, now)
            .max(self.all.wait(self.whole, now));
        if let Some(wait) = wait {
            return Err(wait);
        }
        self.all.add(self.whole, now);
        let bucket = match known {
            Some(from) => self.buckets.entry(from).or_insert(bucket),
            None => &mut self.shared,
        };
        bucket.add(self.each, now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn net(n: u32) -> Option<IpAddr> {
        Some(IpAddr::from(n.to_be_bytes()))
    }

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_lan_party_gets_in_at_once_and_a_script_once_a_minute() {
        let mut now = Instant::now();
        let mut quota = Quota::new(now);
        for n in 0..30 {
            assert_eq!(quota.take(now, net(1)), Ok(()), "{n}");
        }
        assert_eq!(quota.take(now, net(1)), Err(seconds(60)));
        assert_eq!(quota.take(now, net(2)), Ok(()));
        now += seconds(59);
        assert_eq!(quota.take(now, net(1)), Err(seconds(1)));
        now += seconds(1);
        assert_eq!(quota.take(now, net(1)), Ok(()));
        assert_eq!(quota.take(now, net(1)), Err(seconds(60)));
        now += seconds(30 * 60);
        assert_eq!(
            (0..99).filter(|_| quota.take(now, net(1)).is_ok()).count(),
            30
        );
    }

    #[test]
    fn many_buckets_together_are_bounded_too() {
        let now = Instant::now();
        let mut quota = Quota::new(now);
        let made = (0..9000).filter(|n| quota.take(now, net(*n)).is_ok());
        assert_eq!(made.count(), 2000);
        assert_eq!(quota.take(now + seconds(1), net(9001)), Ok(()));
        assert_eq!(quota.take(now + seconds(1), net(9002)), Err(seconds(1)));
    }

    #[test]
    fn a_mailbox_gets_three_letters_and_then_one_every_twenty_minutes() {
        let now = Instant::now();
        let mut quota = Quota::letters_to(now);
        let mut taken = |at, to: &str| quota.take(now + seconds(at), Some(to.into())).is_ok();
        assert!((0..3).all(|_| taken(0, "ada@example.org")) && !taken(0, "ada@example.org"));
        assert!(taken(0, "bob@example.org"));
        assert!(taken(1200, "ada@example.org") && !taken(1200, "ada@example.org"));
    }

    proptest! {
        /// Whatever others do, in a table that is far too small: nobody gets more than their due, and
        /// memory stays bounded.
        #[test]
        fn no_crowd_brings_anybody_more(steps in prop::collection::vec((0u32..12, 0u64..90), 1..400)) {
            let start = Instant::now();
            let (mut now, mut quota) = (start, Quota { capacity: 4, ..Quota::new(start) });
            let mut made: HashMap<u32, u64> = HashMap::new();
            for (from, wait) in steps {
                now += seconds(wait);
                if quota.take(now, net(from)).is_ok() {
                    *made.entry(from).or_default() += 1;
                }
                prop_assert!(quota.buckets.len() <= 4);
            }
            let most = 30 + (now - start).as_secs() / 60 + 1;
            prop_assert!(made.values().all(|made| *made <= most), "{made:?}");
        }
    }
}
