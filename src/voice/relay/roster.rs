//! Who is in a channel, as the relay sees it: immutable but for what packets themselves change.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use super::{
    bucket::{Bucket, Pace},
    name::{Family, Place},
};
use crate::voice::Uid;

/// How long nothing is taken from who floods.
const MUZZLE: Duration = Duration::from_secs(10);
/// How long packets are sent one by one to where the kernel cannot cut messages.
const SINGLY: Duration = Duration::from_secs(60);

/// Who may take a seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claim {
    /// The first who speaks as its uid from this address, on any port.
    From(IpAddr),
    /// Nobody: it was taken when the seat was made, with a proof.
    Taken,
}

/// One member's place in a channel, for one join.
#[derive(Debug)]
pub(crate) struct Seat {
    uid: Uid,
    session: u64,
    claim: Claim,
    place: OnceLock<Place>,
    /// Milliseconds since the epoch, until which packets are sent to it one by one.
    singly: AtomicU64,
    pulse: Pulse,
}

/// What the member's own packets change, on a cache line of its own: all shards read the rest for each batch.
#[derive(Debug)]
#[repr(align(64))]
struct Pulse {
    /// Milliseconds since the epoch, of any packet.
    heard: AtomicU64,
    /// Milliseconds since the epoch, of the last voice packet; 0: none.
    spoke: AtomicU64,
    packets: AtomicU64,
    limited: AtomicU64,
    bucket: Bucket,
    /// What it may send in vain.
    patience: Bucket,
    /// Milliseconds since the epoch, until which nothing of it is taken.
    muzzled: AtomicU64,
}

/// Whether somebody speaks from where they may.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// It is theirs.
    Seated,
    /// It has become theirs with this packet.
    Bound,
    /// They may not.
    Misplaced,
}

/// All seats of a channel, in order of their uids.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    seats: Box<[Arc<Seat>]>,
    /// Theirs, side by side, to be searched without touching the seats.
    uids: Box<[Uid]>,
}

impl Seat {
    /// A seat that was last heard `now` (time since the epoch). With `address` it is taken from the start.
    pub(crate) fn new(
        uid: Uid,
        session: u64,
        claim: Claim,
        address: Option<SocketAddr>,
        now: Duration,
    ) -> Self {
        let place = address.and_then(Place::new);
        Self {
            uid,
            session,
            claim,
            place: place.map_or_else(OnceLock::new, OnceLock::from),
            singly: AtomicU64::new(0),
            pulse: Pulse {
                heard: AtomicU64::new(now.as_millis() as u64),
                spoke: AtomicU64::new(0),
                packets: AtomicU64::new(0),
                limited: AtomicU64::new(0),
                bucket: Bucket::default(),
                patience: Bucket::default(),
                muzzled: AtomicU64::new(0),
            },
        }
    }

    pub(crate) fn uid(&self) -> Uid {
        self.uid
    }

    /// The join that it belongs to.
    pub(crate) fn session(&self) -> u64 {
        self.session
    }

    /// Where its member is, once it is known; IPv4 is IPv4, however it came.
    pub(crate) fn address(&self) -> Option<SocketAddr> {
        self.place.get().map(|place| place.address)
    }

    /// When it was last heard, since the epoch.
    pub(crate) fn heard(&self) -> Duration {
        Duration::from_millis(self.pulse.heard.load(Relaxed))
    }

    /// When it last spoke, since the epoch.
    pub(crate) fn spoke(&self) -> Option<Duration> {
        let spoke = self.pulse.spoke.load(Relaxed);
        (spoke > 0).then(|| Duration::from_millis(spoke))
    }

    /// Voice packets taken from it.
    pub(crate) fn packets(&self) -> u64 {
        self.pulse.packets.load(Relaxed)
    }

    /// Packets of it that were too many.
    pub(crate) fn limited(&self) -> u64 {
        self.pulse.limited.load(Relaxed)
    }

    /// From where it may be taken, while it is not.
    pub(super) fn vacancy(&self) -> Option<IpAddr> {
        match self.claim {
            Claim::From(ip) if self.place.get().is_none() => Some(ip.to_canonical()),
            _ => None,
        }
    }

    /// Where to send, as a socket of this family wants it.
    pub(super) fn name(&self, family: Family) -> Option<&[u8]> {
        self.place.get()?.name(family)
    }

    /// Whether the kernel may be asked to cut messages into packets on the way to it.
    pub(super) fn coalesces(&self, now: Duration) -> bool {
        now.as_millis() as u64 >= self.singly.load(Relaxed)
    }

    /// It refused. It is asked again later: the way there may be another.
    pub(super) fn separate(&self, now: Duration) {
        let until = (now + SINGLY).as_millis() as u64;
        self.singly.store(until, Relaxed);
    }

    /// Whether `from` may speak as this seat's uid; the first who may takes the seat.
    pub(super) fn admit(&self, from: SocketAddr) -> Standing {
        if let Some(place) = self.place.get() {
            return match place.address == from {
                true => Standing::Seated,
                false => Standing::Misplaced,
            };
        }
        match Place::new(from) {
            Some(place) if self.vacancy() == Some(place.address.ip()) => {
                match self.place.set(place) {
                    Ok(()) => Standing::Bound,
                    // Another shard was quicker, perhaps for the same address.
                    Err(_) => self.admit(from),
                }
            }
            _ => Standing::Misplaced,
        }
    }

    /// Whether it may send one more packet.
    pub(super) fn pay(&self, pace: Pace, now: Duration) -> bool {
        let paid = !self.is_muzzled(now) && self.pulse.bucket.take(pace, now);
        match paid {
            true => self.pulse.heard.store(now.as_millis() as u64, Relaxed),
            false => _ = self.pulse.limited.fetch_add(1, Relaxed),
        }
        paid
    }

    /// Its member sent one more packet in vain. Whether that was one too many, so that it is muzzled from now on.
    pub(super) fn blame(&self, patience: Pace, now: Duration) -> bool {
        let muzzled = !self.is_muzzled(now) && !self.pulse.patience.take(patience, now);
        if muzzled {
            let until = (now + MUZZLE).as_millis() as u64;
            self.pulse.muzzled.store(until, Relaxed);
        }
        muzzled
    }

    /// Whether nothing of it is taken, as it sent far too much.
    pub(super) fn is_muzzled(&self, now: Duration) -> bool {
        (now.as_millis() as u64) < self.pulse.muzzled.load(Relaxed)
    }

    /// It speaks.
    pub(super) fn speak(&self, now: Duration) {
        let now = (now.as_millis() as u64).max(1);
        self.pulse.spoke.store(now, Relaxed);
        self.pulse.packets.fetch_add(1, Relaxed);
    }
}

impl Roster {
    /// Of these seats; a uid has one.
    pub(crate) fn new(seats: impl IntoIterator<Item = Arc<Seat>>) -> Self {
        let mut seats: Vec<_> = seats.into_iter().collect();
        seats.sort_by_key(|seat| seat.uid);
        Self {
            uids: seats.iter().map(|seat| seat.uid).collect(),
            seats: seats.into(),
        }
    }

    /// All of them.
    pub(crate) fn seats(&self) -> &[Arc<Seat>] {
        &self.seats
    }

    /// The seat of who is there. It looks at all of them, and so is not for every packet.
    pub(super) fn at(&self, from: SocketAddr) -> Option<&Seat> {
        let mut seats = self.seats.iter().map(Arc::as_ref);
        seats.find(|seat| seat.place.get().is_some_and(|place| place.address == from))
    }

    /// Which of the seats is this uid's.
    pub(super) fn find(&self, uid: Uid) -> Option<usize> {
        self.uids.binary_search(&uid).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_floods_is_muzzled_for_ten_seconds() {
        let seat = Seat::new(Uid(1), 0, Claim::Taken, None, Duration::ZERO);
        let (pace, patience) = (Pace::new(500, 125), Pace::new(2000, 500));
        let at = |millis| Duration::from_secs(5) + Duration::from_millis(millis);
        // Three times what it may send, for a minute: limited, no more.
        for milli in 0..60_000 {
            let sent = 1 + milli % 2;
            let vain = (0..sent).filter(|_| !seat.pay(pace, at(milli))).count();
            assert!((0..vain).all(|_| !seat.blame(patience, at(milli))));
        }
        let milli = 70_000;
        assert_eq!(
            (0..700).position(|_| seat.blame(patience, at(milli))),
            Some(500)
        );
        assert!(!seat.pay(pace, at(milli)) && !seat.pay(pace, at(milli + 9_999)));
        assert!(!seat.is_muzzled(at(milli + 10_000)) && seat.pay(pace, at(milli + 10_000)));
        assert!(!seat.blame(patience, at(milli + 10_000)));
    }

    #[test]
    fn who_had_packets_one_by_one_is_offered_messages_again_after_a_minute() {
        let seat = Seat::new(Uid(1), 0, Claim::Taken, None, Duration::ZERO);
        let at = Duration::from_secs;
        assert!(seat.coalesces(at(5)));
        seat.separate(at(5));
        assert!(!seat.coalesces(at(5)) && !seat.coalesces(at(64)));
        assert!(seat.coalesces(at(65)));
    }
}
