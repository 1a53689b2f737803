//! What `benches/voice.rs` measures: the pure part of the relay with a full channel.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use super::{
    bucket::{Pace, Sources},
    judge::{Judge, Verdict},
    roster::{Claim, Roster, Seat},
    route::{BATCH, Route, first, runs},
};
use crate::voice::{
    Uid,
    packet::{Operation, PACKET, Packet, System, decode},
};

/// A channel and a batch of packets for it, for benches only.
pub struct Yardstick {
    roster: Roster,
    sources: Sources,
    batch: Vec<(SocketAddr, Packet)>,
    route: Route,
    batches: u32,
}

impl Yardstick {
    /// A channel of so many, of whom at most 16 talk in turn; every 16th packet of the batch is a keepalive.
    #[must_use]
    pub fn new(members: u16) -> Self {
        let home = |uid: u16| SocketAddr::new(IpAddr::from([10, 0, 0, 1]), 1024 + uid);
        let seat = |uid: u16| {
            let number = Uid(uid.into());
            let home = Some(home(uid));
            Arc::new(Seat::new(number, 0, Claim::Taken, home, Duration::ZERO))
        };
        let packet = |slot: u16| {
            let uid = slot % members.min(16);
            let mut packet = [0; PACKET];
            packet[..8].copy_from_slice(&u64::from(uid).to_le_bytes());
            if slot % 16 == 15 {
                packet = System::new(Operation::Keepalive, Uid(uid.into()), 0).encode();
            }
            (home(uid), packet)
        };
        Self {
            roster: Roster::new((0..members).map(seat)),
            sources: Sources::new(),
            batch: (0..BATCH as u16).map(packet).collect(),
            route: Route::new(),
            batches: 0,
        }
    }

    /// Decodes the batch; how many of its packets are voice.
    #[must_use]
    pub fn decode(&self) -> usize {
        use crate::voice::packet::Datagram::Voice;
        let batch = self.batch.iter();
        batch
            .filter(|(_, packet)| matches!(decode(packet), Ok(Voice(_))))
            .count()
    }

    /// Judges and routes the batch; how many packets and how many parts of messages it comes to.
    #[must_use]
    pub fn route(&mut self) -> (u32, usize) {
        let judge = Judge {
            roster: &self.roster,
            sources: &self.sources,
            pace: Pace::new(u32::MAX, u32::MAX),
            now: Duration::from_secs(1),
        };
        self.route.clear();
        for (slot, (from, packet)) in self.batch.iter().enumerate() {
            if let Verdict::Voice { seat, .. } = judge.decide(*from, packet) {
                self.route.add(slot, seat);
            }
        }
        self.batches = self.batches.wrapping_add(1);
        let seats = self.roster.seats().len();
        let fan = self.route.fan(seats, first(self.batches, seats));
        fan.fold((0, 0), |(packets, parts), (_, mask)| {
            (packets + mask.count_ones(), parts + runs(mask).count())
        })
    }
}
