//! How often somebody may try. Pure: the time is a parameter.
//!
//! ```text
//!   free tries ──fail──► barred for `first` ──fail──► twice as long ──► ... ──► `longest`
//!        ▲                     │ time passes: one more try, one at a time
//!        └── quiet for FORGET ─┘
//! ```
//!
//! Every attempt is held against all that it could be guessed by:
//!
//! | key              | free | longest | so that                                                   |
//! |------------------|------|---------|-----------------------------------------------------------|
//! | network and name | 5    | 15 min  | one stranger soon waits, and the owner elsewhere does not |
//! | network          | 30   | 15 min  | one stranger cannot try many names                        |
//! | name             | 50   | 15 min  | many strangers together cannot try one name               |
//! | secrets, network | 60   | 1 min   | stale cookies and guesses are told to calm down           |
//!
//! A network is one IPv4 address or an IPv6 /64. The name's own limit does not hold where its owner
//! has come in from before, running sessions do not care, and the control socket knows no limit: so
//! a stranger can slow an owner down at a new place, but never lock them out for ever. Loopback is a
//! network like any other. Secrets are counted apart, because a forgotten tab with an ended session
//! must not keep its owner from logging in; and a right one always passes, since 256 bits are not
//! guessed.
//!
//! Attempts count while they run, so that many at once are no more than one after the other. Memory
//! is bounded: when a table is full, newcomers share one entry, and inherit from it when there is
//! room again. Nothing is dropped before it is forgotten anyway, so that no flood unlocks anybody.

use std::{
    collections::HashMap,
    net::IpAddr,
    time::{Duration, Instant},
};

/// After this much quiet, failures are forgotten.
const FORGET: Duration = Duration::from_secs(600);
/// How many keys of one kind are told apart. Checking passwords is too slow to reach it.
const CAPACITY: usize = 1 << 16;
/// How often a full table looks for what it can forget.
const SWEEP: Duration = Duration::from_secs(10);

/// What failures are counted by.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Key {
    /// A name, tried from one network.
    Pair(IpAddr, String),
    /// Passwords and set-up tokens from one network.
    Network(IpAddr),
    /// A name, from wherever.
    Name(String),
    /// Session and bearer secrets from one network.
    Secrets(IpAddr),
}

/// What counts as one place: an IPv4 address, or the /64 of an IPv6 address.
pub(super) fn network(from: IpAddr) -> IpAddr {
    match from.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6((v6.to_bits() & !u128::from(u64::MAX)).into()),
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[derive(Debug, Clone, Copy)]
struct Rule {
    free: u32,
    first: Duration,
    longest: Duration,
}

const fn rule(free: u32, longest: u64) -> Rule {
    Rule {
        free,
        first: Duration::from_secs(2),
        longest: Duration::from_secs(longest),
    }
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    failures: u32,
    /// Attempts that have begun and not ended.
    pending: u32,
    /// The end of the last wait, or the last failure.
    until: Instant,
}

impl Entry {
    fn new(now: Instant) -> Self {
        Self {
            failures: 0,
            pending: 0,
            until: now,
        }
    }

    /// What a newcomer starts with who may have been part of the crowd until now.
    fn heir(&self) -> Self {
        Self {
            pending: 0,
            ..*self
        }
    }

    fn is_forgotten(&self, now: Instant) -> bool {
        self.pending == 0 && now >= self.until + FORGET
    }

    /// How long to wait before another attempt may begin.
    fn wait(&self, rule: Rule, now: Instant) -> Option<Duration> {
        if self.is_forgotten(now) {
            None
        } else if now < self.until {
            Some(self.until - now)
        } else {
            let last_try = self.failures.saturating_add(self.pending) >= rule.free;
            (last_try && self.pending > 0).then_some(rule.first)
        }
    }

    /// Counts a failure; true when it is the one that ends the free tries.
    fn fail(&mut self, rule: Rule, now: Instant) -> bool {
        self.failures = self.failures.saturating_add(1);
        let beyond = self.failures.checked_sub(rule.free);
        let wait = beyond.map_or(Duration::ZERO, |times| {
            rule.first
                .saturating_mul(2u32.saturating_pow(times))
                .min(rule.longest)
        });
        self.until = self.until.max(now + wait);
        beyond == Some(0)
    }
}

#[derive(Debug)]
struct Table {
    rule: Rule,
    entries: HashMap<Key, Entry>,
    /// Stands in for every newcomer while the table is full; nothing but new before that.
    shared: Entry,
    swept: Instant,
}

impl Table {
    fn new(rule: Rule, now: Instant) -> Self {
        Self {
            rule,
            entries: HashMap::new(),
            shared: Entry::new(now),
            swept: now,
        }
    }

    /// What counts for `key`.
    fn entry(&self, key: &Key) -> &Entry {
        self.entries.get(key).unwrap_or(&self.shared)
    }

    /// Makes room for `key` where there can be some; says whether it has an entry of its own.
    fn admit(&mut self, key: &Key, capacity: usize, now: Instant) -> bool {
        if let Some(entry) = self.entries.get_mut(key) {
            if entry.is_forgotten(now) {
                *entry = Entry::new(now);
            }
            return true;
        }
        if self.entries.len() >= capacity && now >= self.swept + SWEEP {
            self.swept = now;
            self.entries.retain(|_, entry| !entry.is_forgotten(now));
        }
        if self.shared.is_forgotten(now) {
            self.shared = Entry::new(now);
        }
        self.entries.len() < capacity
    }
}

/// An attempt that has begun. Hand it back to [`Throttle::end`].
#[derive(Debug)]
#[must_use]
pub(super) struct Attempt(Vec<(Key, bool)>);

/// All counters.
#[derive(Debug)]
pub(super) struct Throttle {
    pairs: Table,
    networks: Table,
    names: Table,
    secrets: Table,
    capacity: usize,
}

impl Throttle {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            pairs: Table::new(rule(5, 900), now),
            networks: Table::new(rule(30, 900), now),
            names: Table::new(rule(50, 900), now),
            secrets: Table::new(rule(60, 60), now),
            capacity: CAPACITY,
        }
    }

    fn table(&self, key: &Key) -> &Table {
        match key {
            Key::Pair(..) => &self.pairs,
            Key::Network(_) => &self.networks,
            Key::Name(_) => &self.names,
            Key::Secrets(_) => &self.secrets,
        }
    }

    fn table_mut(&mut self, key: &Key) -> &mut Table {
        match key {
            Key::Pair(..) => &mut self.pairs,
            Key::Network(_) => &mut self.networks,
            Key::Name(_) => &mut self.names,
            Key::Secrets(_) => &mut self.secrets,
        }
    }

    /// How long any of `keys` is barred for. Changes nothing.
    pub(super) fn barred(&self, now: Instant, keys: &[Key]) -> Option<Duration> {
        keys.iter()
            .filter_map(|key| {
                let entry = self.table(key).entry(key);
                entry.until.checked_duration_since(now)
            })
            .filter(|wait| !wait.is_zero())
            .max()
    }

    /// Begins an attempt that counts by `keys`, or says how long to wait.
    pub(super) fn begin(&mut self, now: Instant, keys: Vec<Key>) -> Result<Attempt, Duration> {
        let capacity = self.capacity;
        let mut wait = None;
        let mut attempt = Vec::with_capacity(keys.len());
        for key in keys {
            let table = self.table_mut(&key);
            let own = table.admit(&key, capacity, now);
            wait = wait.max(table.entry(&key).wait(table.rule, now));
            attempt.push((key, own));
        }
        if let Some(wait) = wait {
            return Err(wait);
        }
        for (key, own) in &attempt {
            let table = self.table_mut(key);
            let entry = if *own {
                let new = table.shared.heir();
                table.entries.entry(key.clone()).or_insert(new)
            } else {
                &mut table.shared
            };
            entry.pending += 1;
        }
        Ok(Attempt(attempt))
    }

    /// Ends an attempt. True when this failure ended the free tries of a name, here or everywhere:
    /// a lockout has begun.
    ///
    /// A success forgives the pair, which has shown that it belongs together. It does not forgive
    /// the network or the name: else a stranger's own account, or the owner's next login, would give
    /// a stranger new free tries.
    pub(super) fn end(&mut self, now: Instant, attempt: Attempt, passed: bool) -> bool {
        let mut locked = false;
        for (key, own) in attempt.0 {
            let table = self.table_mut(&key);
            let rule = table.rule;
            let entry = match table.entries.get_mut(&key) {
                Some(entry) if own => entry,
                _ => &mut table.shared,
            };
            entry.pending = entry.pending.saturating_sub(1);
            if !passed {
                let begins = entry.fail(rule, now);
                locked |= begins && matches!(key, Key::Pair(..) | Key::Name(_));
            } else if own {
                if matches!(key, Key::Pair(..)) {
                    entry.failures = 0;
                }
                if entry.failures == 0 && entry.pending == 0 {
                    table.entries.remove(&key);
                }
            }
        }
        locked
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn net(n: u8) -> IpAddr {
        [192, 0, 2, n].into()
    }

    fn keys(from: u8, name: &str, known: bool) -> Vec<Key> {
        let mut keys = vec![Key::Pair(net(from), name.into()), Key::Network(net(from))];
        if !known {
            keys.push(Key::Name(name.into()));
        }
        keys
    }

    fn try_once(
        throttle: &mut Throttle,
        now: Instant,
        keys: Vec<Key>,
        passed: bool,
    ) -> Result<bool, Duration> {
        let attempt = throttle.begin(now, keys)?;
        Ok(throttle.end(now, attempt, passed))
    }

    #[test]
    fn free_tries_then_growing_waits_then_forgotten() {
        let mut now = Instant::now();
        let mut throttle = Throttle::new(now);
        let fail =
            |throttle: &mut Throttle, now| try_once(throttle, now, keys(1, "ada", false), false);
        for n in 1..=5 {
            assert_eq!(fail(&mut throttle, now), Ok(n == 5), "try {n}");
        }
        for seconds in [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900] {
            let wait = Duration::from_secs(seconds);
            assert_eq!(throttle.barred(now, &keys(1, "ada", false)), Some(wait));
            assert_eq!(fail(&mut throttle, now), Err(wait));
            now += wait;
            assert_eq!(fail(&mut throttle, now), Ok(false));
        }
        now += Duration::from_secs(900) + FORGET;
        assert_eq!(fail(&mut throttle, now), Ok(false));
        assert_eq!(throttle.barred(now, &keys(1, "ada", false)), None);
    }

    #[test]
    fn many_at_once_are_no_more_than_one_after_the_other() {
        let now = Instant::now();
        let mut throttle = Throttle::new(now);
        let begun: Vec<_> = (0..100)
            .filter_map(|_| throttle.begin(now, keys(1, "ada", false)).ok())
            .collect();
        assert_eq!(begun.len(), 5);
        for attempt in begun {
            throttle.end(now, attempt, false);
        }
        assert!(throttle.begin(now, keys(1, "ada", false)).is_err());
    }

    #[test]
    fn strangers_everywhere_slow_the_owner_only_where_they_have_never_been() {
        let now = Instant::now();
        let mut throttle = Throttle::new(now);
        for from in 0..100 {
            try_once(&mut throttle, now, keys(from, "ada", false), false).ok();
        }
        assert!(try_once(&mut throttle, now, keys(200, "ada", false), true).is_err());
        assert_eq!(
            try_once(&mut throttle, now, keys(200, "ada", true), true),
            Ok(false)
        );
        assert_eq!(
            try_once(&mut throttle, now, keys(200, "bob", false), true),
            Ok(false)
        );
    }

    #[test]
    fn success_forgives_the_pair_and_nobody_else() {
        let now = Instant::now();
        let mut throttle = Throttle::new(now);
        for n in 0..40 {
            // The stranger's own account does not launder the guesses at another.
            let guess = try_once(&mut throttle, now, keys(1, &format!("u{n}"), false), false);
            let own = try_once(&mut throttle, now, keys(1, "eve", false), true);
            assert_eq!(guess.is_ok(), n < 30, "{n}");
            assert_eq!(own.is_ok(), n < 29, "{n}");
        }
    }

    #[test]
    fn ipv6_counts_by_its_64_and_mapped_ipv4_as_itself() {
        let place = |text: &str| network(text.parse().unwrap());
        assert_eq!(place("2001:db8:1:2:3:4:5:6"), place("2001:db8:1:2::1"));
        assert_ne!(place("2001:db8:1:2::1"), place("2001:db8:1:3::1"));
        assert_eq!(place("::ffff:192.0.2.1"), net(1));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever others do, in a table that is far too small: who is barred stays barred for the
        /// time that they were told, and memory stays bounded.
        #[test]
        fn no_flood_unlocks_anybody(steps in prop::collection::vec((0u8..30, 0u8..12, any::<bool>(), 0u64..4000), 1..300)) {
            let mut now = Instant::now();
            let mut throttle = Throttle { capacity: 6, ..Throttle::new(now) };
            let mut told: HashMap<(u8, u8), Instant> = HashMap::new();
            for (from, name, passed, ms) in steps {
                now += Duration::from_millis(ms);
                let keys = keys(from % 10, &format!("n{}", name % 4), false);
                let who = (from % 10, name % 4);
                match throttle.begin(now, keys) {
                    Ok(attempt) => {
                        prop_assert!(told.get(&who).is_none_or(|until| now >= *until));
                        throttle.end(now, attempt, passed);
                        let keys = self::keys(from % 10, &format!("n{}", name % 4), false);
                        if let Some(wait) = throttle.barred(now, &keys) {
                            told.insert(who, now + wait);
                        }
                    }
                    Err(wait) => {
                        let until = told.entry(who).or_insert(now + wait);
                        *until = (*until).max(now + wait);
                    }
                }
                for table in [&throttle.pairs, &throttle.networks, &throttle.names] {
                    prop_assert!(table.entries.len() <= 6);
                    prop_assert!(table.shared.pending == 0 && table.entries.values().all(|e| e.pending == 0));
                }
            }
        }

        /// Within any stretch of time, one pair gets no more than its free tries and one per wait.
        #[test]
        fn guesses_are_bounded(gaps in prop::collection::vec(0u64..20_000, 1..400)) {
            let start = Instant::now();
            let (mut now, mut throttle, mut guesses) = (start, Throttle::new(start), 0u32);
            for ms in gaps {
                now += Duration::from_millis(ms);
                guesses += u32::from(try_once(&mut throttle, now, keys(1, "ada", true), false).is_ok());
                let passed = (now - start).as_secs_f64();
                let waits = (passed / 2.0 + 1.0).log2().max(0.0) + passed / 900.0;
                prop_assert!(f64::from(guesses) <= 5.0 + waits + 1.0, "{} after {} s", guesses, passed);
            }
        }
    }
}
