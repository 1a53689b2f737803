//! Token buckets in one atomic each: how much a source may send.

use std::{
    array,
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Proofs per second, and at once, that one source may offer: each costs the box a MAC or a signature.
const PROOFS: u32 = 20;
/// Sources that are told apart. Two that fall together share a bucket, and nobody can choose with whom.
const SOURCES: usize = 4096;

/// How fast a bucket fills, and how far.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    /// Nanoseconds per packet.
    interval: u64,
    /// How far ahead of time a packet may come, in nanoseconds.
    slack: u64,
}

/// A bucket, full at first. It holds the time, since the epoch, at which it would be full again.
#[derive(Debug, Default)]
pub(super) struct Bucket(AtomicU64);

impl Pace {
    /// So many per second, and so many at once.
    pub(super) fn new(rate: u32, burst: u32) -> Self {
        let interval = 1_000_000_000 / u64::from(rate.max(1));
        Self {
            interval,
            slack: interval * u64::from(burst.max(1) - 1),
        }
    }
}

impl Bucket {
    /// Takes one; false when there is none.
    pub(super) fn take(&self, pace: Pace, now: Duration) -> bool {
        let now = now.as_nanos() as u64;
        let full = |at: u64| {
            let at = at.max(now);
            (at - now <= pace.slack).then_some(at + pace.interval)
        };
        self.0.fetch_update(Relaxed, Relaxed, full).is_ok()
    }
}

/// A bucket for each source of what needs a proof, shared by all channels.
pub(crate) struct Sources {
    seed: RandomState,
    pace: Pace,
    buckets: [Bucket; SOURCES],
}

impl Sources {
    /// All of them full.
    pub(crate) fn new() -> Self {
        Self {
            seed: RandomState::new(),
            pace: Pace::new(PROOFS, PROOFS),
            buckets: array::from_fn(|_| Bucket::default()),
        }
    }

    /// Whether this source may offer one more. Who has one IPv6 address has its network of 64 bits.
    pub(super) fn admit(&self, ip: IpAddr, now: Duration) -> bool {
        let source = match ip {
            IpAddr::V4(ip) => u64::from(ip.to_bits()),
            IpAddr::V6(ip) => (ip.to_bits() >> 64) as u64,
        };
        let bucket = self.seed.hash_one(source) as usize % SOURCES;
        self.buckets[bucket].take(self.pace, now)
    }
}

impl std::fmt::Debug for Sources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sources").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn never_more_than_the_burst_and_the_rate(
            rate in 1u32..500,
            burst in 1u32..100,
            steps in prop::collection::vec(0u64..50, 1..400),
        ) {
            let (bucket, pace) = (Bucket::default(), Pace::new(rate, burst));
            let (mut now, mut taken) = (Duration::from_secs(9), 0u64);
            let begun = now;
            for step in steps {
                now += Duration::from_millis(step);
                taken += u64::from(bucket.take(pace, now));
                let since = (now - begun).as_millis() as u64;
                prop_assert!(taken <= u64::from(burst) + since * u64::from(rate) / 1000 + 1);
            }
            prop_assert!(taken >= 1);
        }
    }

    #[test]
    fn a_full_bucket_gives_its_burst_and_then_one_per_interval() {
        let (bucket, pace) = (Bucket::default(), Pace::new(10, 3));
        let now = Duration::from_secs(1);
        let take = |at| bucket.take(pace, now + Duration::from_millis(at));
        assert_eq!([0; 4].map(take), [true, true, true, false]);
        assert_eq!([99, 100, 100, 200].map(take), [false, true, false, true]);
    }

    #[test]
    fn one_source_does_not_use_up_what_another_has() {
        let sources = Sources::new();
        let [a, b]: [IpAddr; 2] = [[10, 0, 0, 1].into(), [10, 0, 0, 2].into()];
        let now = Duration::from_secs(1);
        let took = (0..100).filter(|_| sources.admit(a, now)).count();
        assert_eq!(took, PROOFS as usize);
        // But for one seed in 4,096.
        if sources.seed.hash_one(u64::from(0x0a00_0001u32)) as usize % SOURCES
            != sources.seed.hash_one(u64::from(0x0a00_0002u32)) as usize % SOURCES
        {
            assert!(sources.admit(b, now));
        }
    }
}
