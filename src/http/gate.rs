//! How many connections there may be, and from where.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use super::{Limits, Peer};
use crate::net::network;

/// Counts the open connections of one listener.
#[derive(Debug)]
pub(super) struct Gate {
    limits: Limits,
    // Held for a few instructions, never across an await.
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    all: usize,
    by: HashMap<IpAddr, usize>,
}

/// Why a connection is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Full {
    /// The listener has no place left.
    #[error("the box has too many connections")]
    House,
    /// That address has its share.
    #[error("your address has too many connections")]
    Address,
}

/// One connection's place; given back when dropped.
#[derive(Debug)]
pub(super) struct Slot {
    gate: Arc<Gate>,
    from: Option<IpAddr>,
}

impl Gate {
    pub(super) fn new(limits: Limits) -> Arc<Self> {
        let held = Mutex::default();
        Arc::new(Self { limits, held })
    }

    /// A place for `peer`, if there is one. Local processes count only towards the total.
    pub(super) fn admit(self: &Arc<Self>, peer: Peer) -> Result<Slot, Full> {
        let from = match peer {
            Peer::Tcp(address) => Some(network(address.ip())),
            Peer::Local { .. } => None,
        };
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.all >= self.limits.total {
            return Err(Full::House);
        }
        if let Some(from) = from {
            let share = match from.is_loopback() {
                true => self.limits.loopback,
                false => self.limits.per_address,
            };
            if held.by.get(&from).is_some_and(|&count| count >= share) {
                return Err(Full::Address);
            }
            *held.by.entry(from).or_default() += 1;
        }
        held.all += 1;
        drop(held);
        let gate = self.clone();
        Ok(Slot { gate, from })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let held = &mut *self
            .gate
            .held
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        held.all -= 1;
        if let Some(from) = self.from
            && let Some(count) = held.by.get_mut(&from)
        {
            *count -= 1;
            if *count == 0 {
                held.by.remove(&from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn peer(address: &str) -> Peer {
        Peer::Tcp(format!("{address}:1").parse().unwrap())
    }

    fn gate(per_address: usize, total: usize) -> Arc<Gate> {
        Gate::new(Limits {
            per_address,
            total,
            ..Limits::default()
        })
    }

    #[test]
    fn neighbours_in_one_slash_64_share_and_mapped_addresses_are_their_ipv4() {
        let gate = gate(1, 9);
        let _one = gate.admit(peer("[2001:db8::1]")).unwrap();
        assert_eq!(
            gate.admit(peer("[2001:db8::2]")).unwrap_err(),
            Full::Address
        );
        let _two = gate.admit(peer("[2001:db8:0:1::1]")).unwrap();
        let _three = gate.admit(peer("10.0.0.1")).unwrap();
        let mapped = gate.admit(peer("[::ffff:10.0.0.1]")).unwrap_err();
        assert_eq!(mapped, Full::Address);
        let _loopback = [gate.admit(peer("127.0.0.1")), gate.admit(peer("127.0.0.1"))]
            .map(|slot| slot.expect("loopback has more"));
    }

    proptest! {
        #[test]
        fn never_more_than_allowed_and_nothing_is_lost(steps in proptest::collection::vec((any::<bool>(), 0u8..4), 1..80)) {
            let gate = gate(2, 5);
            let mut open: Vec<(u8, Slot)> = Vec::new();
            for (arrives, who) in steps {
                let theirs = open.iter().filter(|(other, _)| *other == who).count();
                if arrives {
                    match gate.admit(peer(&format!("10.0.0.{who}"))) {
                        Ok(slot) => { prop_assert!(theirs < 2 && open.len() < 5); open.push((who, slot)); }
                        Err(Full::House) => prop_assert_eq!(open.len(), 5),
                        Err(Full::Address) => prop_assert_eq!(theirs, 2),
                    }
                } else if let Some(at) = open.iter().position(|(other, _)| *other == who) {
                    open.swap_remove(at);
                }
            }
            drop(open);
            let held = gate.held.lock().unwrap();
            prop_assert_eq!((held.all, held.by.len()), (0, 0));
        }
    }
}
