//! How many sessions there may be: in all, and from one network, so that one machine alone cannot fill the house.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::net::network;

/// The sessions that there are.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    most_each: usize,
    // Held for a few instructions, never across an await.
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    all: usize,
    /// By network; loopback is not among them.
    each: HashMap<IpAddr, usize>,
}

/// Why there is no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NoPlace {
    /// None for anybody.
    #[error("the lobby is full: lobby.sessions is {most}")]
    Full {
        /// Sessions in all.
        most: usize,
    },
    /// None for those from there.
    #[error("there are {most} sessions from {network} already: see lobby.sessions_per_network")]
    Share {
        /// An IPv4 address, or the first of an IPv6 /64.
        network: IpAddr,
        /// Sessions from there.
        most: usize,
    },
}

/// One session's place. Given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    /// Where it counts; none: loopback.
    network: Option<IpAddr>,
}

impl Places {
    pub(super) fn new(most: usize, most_each: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            most_each,
            held: Mutex::default(),
        })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn count(&self) -> usize {
        self.held().all
    }

    pub(super) fn is_full(&self) -> bool {
        self.count() >= self.most
    }

    /// A place for one more from there.
    pub(super) fn take(self: &Arc<Self>, from: IpAddr) -> Result<Place, NoPlace> {
        let network = counted(from);
        let mut held = self.held();
        if held.all >= self.most {
            return Err(NoPlace::Full { most: self.most });
        }
        let theirs = network.map_or(0, |network| held.each.get(&network).copied().unwrap_or(0));
        if let Some(network) = network.filter(|_| theirs >= self.most_each) {
            let most = self.most_each;
            return Err(NoPlace::Share { network, most });
        }
        Ok(self.place(&mut held, network))
    }

    /// One more in any case.
    pub(super) fn add(self: &Arc<Self>, from: IpAddr) -> Place {
        self.place(&mut self.held(), counted(from))
    }

    fn place(self: &Arc<Self>, held: &mut Held, network: Option<IpAddr>) -> Place {
        held.all += 1;
        if let Some(network) = network {
            *held.each.entry(network).or_default() += 1;
        }
        let places = self.clone();
        Place { places, network }
    }
}

/// What runs on this machine has other ways to harm it, and a proxy on it speaks for many.
fn counted(from: IpAddr) -> Option<IpAddr> {
    Some(network(from)).filter(|network| !network.is_loopback())
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.places.held();
        held.all -= 1;
        if let Some(network) = self.network
            && let Some(theirs) = held.each.get_mut(&network)
        {
            *theirs -= 1;
            if *theirs == 0 {
                held.each.remove(&network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(places: &Arc<Places>, from: &str) -> Result<Place, NoPlace> {
        places.take(from.parse().unwrap())
    }

    #[test]
    fn one_network_has_its_share_and_this_machine_all_that_there_is() {
        let places = Places::new(6, 2);
        let one = take(&places, "192.0.2.1").unwrap();
        let _two = take(&places, "::ffff:192.0.2.1").unwrap();
        let _three = take(&places, "2001:db8::1").unwrap();
        let _four = take(&places, "2001:db8::2").unwrap();
        for (from, network) in [
            ("192.0.2.1", "192.0.2.1"),
            ("2001:db8::ffff:0:0:3", "2001:db8::"),
        ] {
            let network = network.parse().unwrap();
            let refused = take(&places, from).unwrap_err();
            assert_eq!(refused, NoPlace::Share { network, most: 2 });
        }
        let _five = take(&places, "127.0.0.1").unwrap();
        let six = take(&places, "::1").unwrap();
        for from in ["127.0.0.1", "192.0.2.2"] {
            assert_eq!(take(&places, from).unwrap_err(), NoPlace::Full { most: 6 });
        }
        let beyond = places.add("192.0.2.1".parse().unwrap());
        assert_eq!((places.count(), places.is_full()), (7, true));
        drop(beyond);
        drop((one, six));
        let _again = take(&places, "192.0.2.1").unwrap();
        assert_eq!((places.count(), places.is_full()), (5, false));
    }

    #[test]
    fn nothing_is_kept_of_those_who_have_gone() {
        let places = Places::new(9, 2);
        for n in 0..20 {
            drop(places.take(IpAddr::from([192, 0, 2, n])).unwrap());
        }
        assert!(places.held().each.is_empty() && places.count() == 0);
    }
}
