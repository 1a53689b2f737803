//! Who gives way when a door is crowded: the oldest, so that nobody can keep others out by waiting.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    convert::Infallible,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::oneshot;

use super::{descriptors, network};

/// How many connections there may be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places {
    /// From one IPv4 address or IPv6 /64.
    pub(crate) per_address: usize,
    /// From loopback addresses, each.
    pub(crate) loopback: usize,
    /// In all.
    pub(crate) total: usize,
}

impl Default for Places {
    fn default() -> Self {
        Self {
            per_address: 64,
            loopback: 512,
            total: descriptors() / 8,
        }
    }
}

/// The connections of one listener.
#[derive(Debug)]
pub(crate) struct Crowd {
    places: Places,
    // Held for a few instructions, never across an await.
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    /// Connections so far; each has its number, so that the oldest is the first.
    next: u64,
    all: usize,
    by: HashMap<IpAddr, Share>,
    /// Those that can give way, and what tells them by being dropped.
    patient: BTreeMap<u64, (IpAddr, oneshot::Sender<Infallible>)>,
}

/// What one address has.
#[derive(Debug, Default)]
struct Share {
    all: usize,
    patient: BTreeSet<u64>,
}

/// One connection's place. At first, and whenever nothing depends on it, it gives way to newer ones. Given back when
/// dropped.
#[derive(Debug)]
pub(crate) struct Place {
    crowd: Arc<Crowd>,
    number: u64,
    from: IpAddr,
    /// Ends when it has to give way; none: it does not.
    patience: Option<oneshot::Receiver<Infallible>>,
}

/// What became of somebody who came.
#[derive(Debug)]
pub(crate) enum Entry {
    /// There was room.
    Free(Place),
    /// There is room because somebody else gives way.
    Instead(Place),
    /// Nobody can give way.
    Full,
}

impl Crowd {
    pub(crate) fn new(places: Places) -> Arc<Self> {
        let held = Mutex::default();
        Arc::new(Self { places, held })
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for whoever comes from `address`.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr) -> Entry {
        let from = network(address);
        let most = match from.is_loopback() {
            true => self.places.loopback,
            false => self.places.per_address,
        };
        let mut held = self.held();
        let oldest = match held.by.get(&from) {
            Some(share) if share.all >= most => Some(share.patient.first().copied()),
            _ if held.all >= self.places.total => Some(held.patient.keys().next().copied()),
            _ => None,
        };
        match oldest {
            Some(Some(oldest)) => {
                let (theirs, _told) = held.pick(oldest).expect("who can give way is there");
                held.release(theirs);
            }
            Some(None) => return Entry::Full,
            None => {}
        }
        let number = held.next;
        held.next += 1;
        held.all += 1;
        held.by.entry(from).or_default().all += 1;
        let patience = Some(held.wait(number, from));
        drop(held);
        let place = Place {
            crowd: self.clone(),
            number,
            from,
            patience,
        };
        match oldest {
            Some(_) => Entry::Instead(place),
            None => Entry::Free(place),
        }
    }
}

impl Held {
    fn wait(&mut self, number: u64, from: IpAddr) -> oneshot::Receiver<Infallible> {
        let (tell, patience) = oneshot::channel();
        self.patient.insert(number, (from, tell));
        self.by.entry(from).or_default().patient.insert(number);
        patience
    }

    /// Takes it from among those who can give way.
    fn pick(&mut self, number: u64) -> Option<(IpAddr, oneshot::Sender<Infallible>)> {
        let (from, tell) = self.patient.remove(&number)?;
        self.by.entry(from).or_default().patient.remove(&number);
        Some((from, tell))
    }

    fn release(&mut self, from: IpAddr) {
        self.all -= 1;
        if let Some(share) = self.by.get_mut(&from) {
            share.all -= 1;
            if share.all == 0 {
                self.by.remove(&from);
            }
        }
    }
}

impl Place {
    /// From now on it does not give way; `false`: it has already.
    pub(crate) fn hold(&mut self) -> bool {
        let mut held = self.crowd.held();
        let kept = held.pick(self.number).is_some();
        drop(held);
        if kept {
            self.patience = None;
        }
        kept
    }

    /// From now on it gives way again.
    pub(crate) fn relent(&mut self) {
        if self.patience.is_none() {
            let patience = self.crowd.held().wait(self.number, self.from);
            self.patience = Some(patience);
        }
    }

    /// Until it has to give way to somebody newer. Not to be asked again afterwards.
    pub(crate) async fn crowded_out(&mut self) {
        match &mut self.patience {
            Some(patience) => {
                let Err(_) = patience.await;
            }
            None => std::future::pending().await,
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut held = self.crowd.held();
        if self.patience.is_none() || held.pick(self.number).is_some() {
            held.release(self.from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use proptest::prelude::*;

    fn crowd(per_address: usize, total: usize) -> Arc<Crowd> {
        Crowd::new(Places {
            per_address,
            loopback: per_address + 1,
            total,
        })
    }

    fn enter(crowd: &Arc<Crowd>, address: &str) -> Entry {
        crowd.enter(address.parse().unwrap())
    }

    fn free(crowd: &Arc<Crowd>, address: &str) -> Place {
        match enter(crowd, address) {
            Entry::Free(place) => place,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn one_slash_64_is_one_address_and_loopback_has_more() {
        let crowd = crowd(1, 9);
        let _others = [
            "2001:db8::1",
            "2001:db8:0:1::1",
            "10.0.0.1",
            "127.0.0.1",
            "127.0.0.1",
        ]
        .map(|address| free(&crowd, address));
        for address in ["2001:db8::2", "::ffff:10.0.0.1", "127.0.0.1"] {
            assert!(matches!(enter(&crowd, address), Entry::Instead(_)));
        }
    }

    #[test]
    fn who_is_being_answered_does_not_give_way() {
        let crowd = crowd(1, 9);
        let mut one = free(&crowd, "10.0.0.1");
        assert!(one.hold());
        assert!(matches!(enter(&crowd, "10.0.0.1"), Entry::Full));
        one.relent();
        let Entry::Instead(mut other) = enter(&crowd, "10.0.0.1") else {
            panic!("nobody gave way");
        };
        assert!(!one.hold());
        assert_eq!(one.crowded_out().now_or_never(), Some(()));
        assert_eq!(other.crowded_out().now_or_never(), None);
    }

    struct Known {
        place: Place,
        who: u8,
        held: bool,
    }

    proptest! {
        #[test]
        fn the_oldest_gives_way_and_nothing_is_lost(steps in prop::collection::vec((0u8..6, 0u8..4, 0usize..5), 1..120)) {
            let crowd = crowd(2, 5);
            // Oldest first.
            let mut open: Vec<Known> = Vec::new();
            for (step, who, at) in steps {
                match step {
                    0..3 => {
                        let theirs = open.iter().filter(|known| known.who == who).count();
                        let oldest = open
                            .iter()
                            .position(|known| !known.held && (theirs < 2 || known.who == who));
                        let room = theirs < 2 && open.len() < 5;
                        match enter(&crowd, &format!("10.0.0.{who}")) {
                            Entry::Free(place) => {
                                prop_assert!(room);
                                open.push(Known { place, who, held: false });
                            }
                            Entry::Instead(place) => {
                                prop_assert!(!room);
                                let mut gone = open.remove(oldest.unwrap());
                                prop_assert_eq!(gone.place.crowded_out().now_or_never(), Some(()));
                                open.push(Known { place, who, held: false });
                            }
                            Entry::Full => prop_assert!(!room && oldest.is_none()),
                        }
                    }
                    _ if at >= open.len() => {}
                    3 => { open.remove(at); }
                    4 if !open[at].held => {
                        prop_assert!(open[at].place.hold());
                        open[at].held = true;
                    }
                    _ => {
                        open[at].place.relent();
                        open[at].held = false;
                    }
                }
                for known in &mut open {
                    prop_assert_eq!(known.place.crowded_out().now_or_never(), None);
                }
            }
            drop(open);
            let held = crowd.held();
            prop_assert_eq!((held.all, held.by.len(), held.patient.len()), (0, 0, 0));
        }
    }
}
