//! How many new accounts strangers may make. Pure: the time is a parameter.
//!
//! | per     | at once | then            | so that                                              |
//! |---------|---------|-----------------|------------------------------------------------------|
//! | network | 30      | one per minute  | a LAN party behind one address gets in, a script not |
//! | box     | 2000    | one per second  | many networks together cannot fill the store either  |
//!
//! Each is a leaky bucket, kept as the one moment at which it will be empty again. In memory, as the
//! throttle is, and bounded as it is: when the table is full, newcomers share one bucket.

use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

/// How many networks are told apart.
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

/// What has been made lately.
#[derive(Debug)]
pub(super) struct Quota {
    networks: HashMap<IpAddr, Bucket>,
    /// Of every network that is not told apart.
    shared: Bucket,
    all: Bucket,
    capacity: usize,
    swept: Instant,
}

impl Quota {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            networks: HashMap::new(),
            shared: Bucket(now),
            all: Bucket(now),
            capacity: CAPACITY,
            swept: now,
        }
    }

    /// Counts one more account from there, or says how long to wait. `from` is a
    /// [network](super::throttle::network).
    pub(super) fn take(&mut self, now: Instant, from: Option<IpAddr>) -> Result<(), Duration> {
        if self.networks.len() >= self.capacity && now >= self.swept + SWEEP {
            self.swept = now;
            self.networks.retain(|_, bucket| bucket.0 > now);
        }
        let known = from
            .filter(|from| self.networks.contains_key(from) || self.networks.len() < self.capacity);
        let bucket = match known {
            // Who may have been part of the crowd until now brings its bucket along.
            Some(from) => self.networks.get(&from).copied().unwrap_or(self.shared),
            None => self.shared,
        };
        let wait = bucket.wait(NETWORK, now).max(self.all.wait(BOX, now));
        if let Some(wait) = wait {
            return Err(wait);
        }
        self.all.add(BOX, now);
        let bucket = match known {
            Some(from) => self.networks.entry(from).or_insert(bucket),
            None => &mut self.shared,
        };
        bucket.add(NETWORK, now);
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
    fn many_networks_together_are_bounded_too() {
        let now = Instant::now();
        let mut quota = Quota::new(now);
        let made = (0..9000).filter(|n| quota.take(now, net(*n)).is_ok());
        assert_eq!(made.count(), 2000);
        assert_eq!(quota.take(now + seconds(1), net(9001)), Ok(()));
        assert_eq!(quota.take(now + seconds(1), net(9002)), Err(seconds(1)));
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
                prop_assert!(quota.networks.len() <= 4);
            }
            let most = 30 + (now - start).as_secs() / 60 + 1;
            prop_assert!(made.values().all(|made| *made <= most), "{made:?}");
        }
    }
}
