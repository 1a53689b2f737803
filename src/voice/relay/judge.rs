//! What is done with one datagram. Without I/O: bytes, where they came from and the time in, a verdict out.

use std::{net::SocketAddr, time::Duration};

use super::{
    bucket::{Pace, Sources},
    count::Count,
    roster::{Roster, Standing},
};
use crate::voice::packet::{Datagram, Operation, System, decode};

/// Where a proof is announced,
pub(super) const MARKER: std::ops::Range<usize> = 24..32;
/// by the holder of a ticket,
pub(super) const TICKET: &[u8; 8] = b"LH-TAG1\0";
/// or by the box.
pub(super) const SIGNED: &[u8; 8] = b"LH-SIG1\0";

/// What is done with one datagram. Seats are numbers in the roster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It goes to everybody else.
    Voice { seat: usize, bound: bool },
    /// It was for the channel itself.
    Word {
        seat: usize,
        bound: bool,
        /// To be sent back.
        reply: Option<System>,
    },
    /// Somebody else decides.
    Petition(System),
    /// Nothing.
    Drop(Count),
}

/// By what rules.
#[derive(Debug, Clone, Copy)]
pub(super) struct Judge<'a> {
    pub(super) roster: &'a Roster,
    pub(super) sources: &'a Sources,
    /// What a member may send.
    pub(super) pace: Pace,
    /// Since the epoch.
    pub(super) now: Duration,
}

impl Judge<'_> {
    /// Decides, and marks the seat that it came from.
    pub(super) fn decide(&self, from: SocketAddr, bytes: &[u8]) -> Verdict {
        match decode(bytes) {
            Err(_) => Verdict::Drop(Count::Malformed),
            Ok(Datagram::Voice(uid)) => match self.roster.find(uid) {
                Some(seat) => self.voice(seat, from),
                None => Verdict::Drop(Count::Strangers),
            },
            Ok(Datagram::System(system)) if !system.is_sound() => Verdict::Drop(Count::Unsound),
            Ok(Datagram::System(system)) => match system.operation {
                Operation::Keepalive | Operation::Ack => match self.subject(system) {
                    Some(seat) => self.word(seat, system, from),
                    None => Verdict::Drop(Count::Strangers),
                },
                Operation::Join | Operation::Leave | Operation::Stop => {
                    self.plea(system, from, bytes)
                }
            },
        }
    }

    fn voice(&self, seat: usize, from: SocketAddr) -> Verdict {
        match self.admit(seat, from) {
            Ok(bound) => {
                self.roster.seats()[seat].speak(self.now);
                Verdict::Voice { seat, bound }
            }
            Err(drop) => Verdict::Drop(drop),
        }
    }

    fn word(&self, seat: usize, system: System, from: SocketAddr) -> Verdict {
        match self.admit(seat, from) {
            // Never an answer to an answer.
            Ok(bound) => Verdict::Word {
                seat,
                bound,
                reply: (system.ackid != 0 && system.operation != Operation::Ack)
                    .then(|| System::new(Operation::Ack, system.uid, system.ackid)),
            },
            Err(drop) => Verdict::Drop(drop),
        }
    }

    /// JOIN, LEAVE, stop: only with a proof, but for a JOIN from where its member is or may be.
    fn plea(&self, system: System, from: SocketAddr, bytes: &[u8]) -> Verdict {
        let joins = system.operation == Operation::Join;
        let marker = &bytes[MARKER];
        if marker == SIGNED || marker == TICKET && joins {
            return match self.sources.admit(from.ip(), self.now) {
                true => Verdict::Petition(system),
                false => Verdict::Drop(Count::Limited),
            };
        }
        match self.subject(system) {
            Some(seat) if joins => match self.word(seat, system, from) {
                Verdict::Drop(Count::Misplaced) => Verdict::Drop(Count::Unproven),
                verdict => verdict,
            },
            _ => Verdict::Drop(Count::Unproven),
        }
    }

    /// The seat that a word is about; the original's own programs disagree about the order of a uid's bytes.
    fn subject(&self, system: System) -> Option<usize> {
        let mut uids = system.uids().into_iter();
        uids.find_map(|uid| self.roster.find(uid))
    }

    /// Whether the seat is taken with this packet.
    fn admit(&self, seat: usize, from: SocketAddr) -> Result<bool, Count> {
        let seat = &self.roster.seats()[seat];
        let standing = seat.admit(from);
        match standing {
            Standing::Misplaced => Err(Count::Misplaced),
            Standing::Seated | Standing::Bound if !seat.pay(self.pace, self.now) => {
                Err(Count::Limited)
            }
            Standing::Seated => Ok(false),
            Standing::Bound => Ok(true),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashMap, net::IpAddr, sync::Arc};

    use super::*;
    use crate::voice::{
        Uid,
        packet::{PACKET, Packet},
        relay::roster::{Claim, Seat},
    };
    use proptest::prelude::*;

    fn voice(uid: u64) -> Packet {
        let mut packet = [0; PACKET];
        packet[..8].copy_from_slice(&uid.to_le_bytes());
        packet
    }

    fn ip(last: u8) -> IpAddr {
        [10, 0, 0, last].into()
    }

    /// Seats 1 to 6: half of them are free for who comes from 10.0.0.uid, half are at 10.0.0.uid:1.
    fn roster() -> Roster {
        Roster::new((1..=6u8).map(|uid| {
            let (claim, address) = match uid % 2 {
                0 => (Claim::From(ip(uid)), None),
                _ => (Claim::Taken, Some((ip(uid), 1).into())),
            };
            let uid = Uid(u64::from(uid));
            Arc::new(Seat::new(uid, 0, claim, address, Duration::ZERO))
        }))
    }

    proptest! {
        #[test]
        fn a_uid_speaks_only_from_its_one_address(
            said in prop::collection::vec((0u64..8, 1u8..8, 0u16..4, 0u8..3), 0..300),
        ) {
            let (roster, sources) = (roster(), Sources::new());
            let judge = Judge {
                roster: &roster,
                sources: &sources,
                pace: Pace::new(1, 1000),
                now: Duration::from_secs(1),
            };
            let mut homes: HashMap<u64, SocketAddr> =
                [1, 3, 5].map(|uid| (uid, (ip(uid as u8), 1).into())).into();
            for (uid, host, port, kind) in said {
                let from = SocketAddr::from((ip(host), port));
                let bytes = match kind {
                    0 => voice(uid),
                    1 => System::new(Operation::Keepalive, Uid(uid), 0).encode(),
                    _ => System::new(Operation::Keepalive, Uid(uid.swap_bytes()), 0).encode(),
                };
                let known = homes.get(&uid).copied();
                let binds = known.is_none() && [2, 4, 6].contains(&uid) && ip(host) == ip(uid as u8) && port != 0;
                if binds {
                    homes.insert(uid, from);
                }
                match judge.decide(from, &bytes) {
                    Verdict::Voice { seat, bound } | Verdict::Word { seat, bound, reply: None } => {
                        prop_assert_eq!(roster.seats()[seat].uid(), Uid(uid));
                        prop_assert_eq!(bound, binds);
                        prop_assert!(binds || known == Some(from));
                    }
                    Verdict::Drop(Count::Strangers) => prop_assert!(!(1..=6).contains(&uid)),
                    Verdict::Drop(Count::Misplaced) => {
                        prop_assert!((1..=6).contains(&uid) && !binds && known != Some(from));
                    }
                    verdict => prop_assert!(false, "{:?}", verdict),
                }
            }
        }

        #[test]
        fn any_bytes_have_a_verdict(mut bytes in prop::collection::vec(any::<u8>(), PACKET), len in 0..=PACKET, system: bool) {
            if system {
                bytes[..5].copy_from_slice(&[0xff, 0xff, 0xff, 0xff, 0x80]);
            }
            let (roster, sources) = (roster(), Sources::new());
            let judge = Judge {
                roster: &roster,
                sources: &sources,
                pace: Pace::new(1, 1),
                now: Duration::ZERO,
            };
            let _ = judge.decide((ip(1), 1).into(), &bytes[..len]);
        }
    }

    #[test]
    fn what_is_limited_does_not_keep_a_member_present() {
        let (roster, sources) = (roster(), Sources::new());
        let decide = |millis| {
            let judge = Judge {
                roster: &roster,
                sources: &sources,
                pace: Pace::new(1, 2),
                now: Duration::from_millis(millis),
            };
            judge.decide((ip(1), 1).into(), &voice(1))
        };
        let spoken = Verdict::Voice {
            seat: 0,
            bound: false,
        };
        let limited = Verdict::Drop(Count::Limited);
        assert_eq!([100, 200, 300].map(decide), [spoken, spoken, limited]);
        let seat = &roster.seats()[0];
        assert_eq!(seat.heard(), Duration::from_millis(200));
        assert_eq!(seat.spoke(), Some(Duration::from_millis(200)));
        assert_eq!((seat.packets(), seat.limited()), (2, 1));
    }
}
