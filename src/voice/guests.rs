//! Who came as a guest, by network and idleness, so that there is never more of them than the box can remember.

use std::{
    collections::{BTreeSet, HashMap},
    net::IpAddr,
    time::Duration,
};

use super::Uid;
use crate::{clock::UnixMillis, net::network};

/// Guests that one address may have registered. Who comes later takes the place of whoever has been idle the longest.
const EACH: usize = 256;
/// Guests of all addresses.
const ALL: usize = 1 << 16;
/// Idleness after which a guest is forgotten.
const IDLE: Duration = Duration::from_secs(30 * 24 * 3600);

/// All guests that registered themselves.
#[derive(Debug, Default)]
pub(super) struct Guests {
    known: HashMap<Uid, (IpAddr, UnixMillis)>,
    by: HashMap<IpAddr, BTreeSet<(UnixMillis, Uid)>>,
    all: BTreeSet<(UnixMillis, Uid)>,
}

impl Guests {
    /// A guest from that address was active then.
    pub(super) fn seen(&mut self, uid: Uid, from: IpAddr, when: UnixMillis) {
        self.gone(uid);
        let from = network(from);
        self.known.insert(uid, (from, when));
        self.by.entry(from).or_default().insert((when, uid));
        self.all.insert((when, uid));
    }

    /// It is a guest no more.
    pub(super) fn gone(&mut self, uid: Uid) {
        let Some((from, when)) = self.known.remove(&uid) else {
            return;
        };
        self.all.remove(&(when, uid));
        if let Some(theirs) = self.by.get_mut(&from) {
            theirs.remove(&(when, uid));
            if theirs.is_empty() {
                self.by.remove(&from);
            }
        }
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.known.len()
    }

    /// The network that it came from, if it is one.
    pub(super) fn home(&self, uid: Uid) -> Option<IpAddr> {
        self.known.get(&uid).map(|(from, _)| *from)
    }

    /// Before one more from that address: who has to give way.
    pub(super) fn crowded_out(&self, from: IpAddr) -> Option<Uid> {
        let theirs = self
            .by
            .get(&network(from))
            .filter(|theirs| theirs.len() >= EACH);
        let crowd = theirs.or((self.all.len() >= ALL).then_some(&self.all));
        crowd?.first().map(|(_, uid)| *uid)
    }

    /// Who has been idle for too long.
    pub(super) fn idle(&self, now: UnixMillis) -> Vec<Uid> {
        let idle = |(when, _): &&(UnixMillis, Uid)| now.since(*when) >= IDLE;
        self.all
            .iter()
            .take_while(idle)
            .map(|(_, uid)| *uid)
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn address(n: u8) -> IpAddr {
        [192, 0, 2, n].into()
    }

    #[test]
    fn the_longest_idle_of_the_same_address_gives_way() {
        let mut guests = Guests::default();
        for n in 0..EACH as u64 {
            guests.seen(Uid(n + 1), address(1), UnixMillis(n));
            guests.seen(Uid(n + 10_001), address(2 + (n % 200) as u8), UnixMillis(0));
        }
        assert_eq!(guests.crowded_out(address(1)), Some(Uid(1)));
        assert_eq!(guests.crowded_out(address(2)), None);
        guests.seen(Uid(1), address(1), UnixMillis(1_000));
        assert_eq!(guests.crowded_out(address(1)), Some(Uid(2)));
        guests.gone(Uid(2));
        assert_eq!(guests.crowded_out(address(1)), None);
    }

    #[test]
    fn a_month_of_idleness_ends_it() {
        let mut guests = Guests::default();
        let month = u64::try_from(IDLE.as_millis()).unwrap();
        guests.seen(Uid(1), address(1), UnixMillis(5));
        guests.seen(Uid(2), address(1), UnixMillis(6));
        assert_eq!(guests.idle(UnixMillis(month + 5)), [Uid(1)]);
    }

    proptest! {
        #[test]
        fn its_three_views_agree(steps in prop::collection::vec((any::<bool>(), 0u64..20, 0u8..3, 0u64..50), 0..200)) {
            let mut guests = Guests::default();
            for (seen, uid, from, when) in steps {
                match seen {
                    true => guests.seen(Uid(uid), address(from), UnixMillis(when)),
                    false => guests.gone(Uid(uid)),
                }
                prop_assert_eq!(guests.all.len(), guests.known.len());
                prop_assert_eq!(guests.by.values().map(BTreeSet::len).sum::<usize>(), guests.known.len());
                for (uid, (from, when)) in &guests.known {
                    prop_assert!(guests.all.contains(&(*when, *uid)) && guests.by[from].contains(&(*when, *uid)));
                }
            }
        }
    }
}
