//! The hot path: one channel's sockets, and the tasks that read and fan out.
//!
//! ```text
//!  recvmmsg ─► judge: a verdict per packet ─► route: a mask per receiver ─► sendmsg, one per receiver
//!     ▲            │ reads the roster, marks the seat          (GSO where it is more than one packet)
//!     │            └─► petitions, bound: try_send, or not at all
//!   shield: a sieve in the kernel, while there is a flood
//! ```
//!
//! - Nothing per packet is locked, allocated, logged or waited for. What does not fit is dropped and counted.
//! - Packets that the kernel merges (receive GRO) are not asked for: those that were sent singly never were merged on
//!   loopback (80 of 80 arrived apart), and a batch would need room for 64 KiB in place of each 512 bytes.
//! - A channel has one socket. When that has much to do it gets more, up to `voice.shards`, on the same port; the kernel
//!   spreads talkers over them by uid. A packet may overtake another of its talker while the number changes.
//! - The first socket is bound as the only one, so that a port that anybody has is an error; only then it shares.

mod bucket;
mod count;
mod judge;
mod name;
mod roster;
mod route;
mod shard;
mod shield;
mod sieve;
mod socket;
#[cfg(test)]
mod tests;
mod yardstick;

use std::{
    io,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::{mpsc, watch};
use tokio_util::task::AbortOnDropHandle;

pub(super) use bucket::Sources;
pub(super) use roster::{Claim, Roster, Seat};
pub use yardstick::Yardstick;

use super::{
    ChannelId,
    packet::{HEAD, Packet, System},
};
use count::{Count, Counts};
use shard::Shard;

/// How much of its time each shard is busy, in percent, when there should be one more,
const HOT: u64 = 60;
/// how much of one shard's time all of them are when one would do,
const COOL: u64 = 20;
/// and for how long.
const REST: Duration = Duration::from_secs(30);

/// What all channels share.
#[derive(Debug, Clone)]
pub(super) struct Shared {
    /// Time is counted from here.
    pub(super) epoch: Instant,
    /// What the relay cannot decide. Bounded; what does not fit is dropped and counted.
    pub(super) petitions: mpsc::Sender<Petition>,
    /// Channels in which a seat has got its address. Bounded; a hint, what does not fit is found at the next look.
    pub(super) bound: mpsc::Sender<ChannelId>,
    /// Packets per second that a member may send.
    pub(super) rate: u32,
    /// Sockets that one channel may have, at most.
    pub(super) shards: usize,
    /// How many proofs each source may offer.
    pub(super) sources: Arc<Sources>,
}

/// A word that needs a proof: a system packet with a marker, cut to what means something.
#[derive(Debug, Clone)]
pub(super) struct Petition {
    pub(super) channel: ChannelId,
    /// IPv4 is IPv4, however it came.
    pub(super) from: SocketAddr,
    pub(super) system: System,
    pub(super) head: [u8; HEAD],
}

/// One channel's sockets and tasks. They end when it is dropped.
#[derive(Debug)]
pub(super) struct Relay {
    channel: ChannelId,
    address: SocketAddr,
    shared: Shared,
    roster: watch::Sender<Arc<Roster>>,
    /// The first stays as long as the relay; the last is leaving when there are more than `steered`.
    shards: Vec<Running>,
    /// To how many shards the kernel gives packets.
    steered: usize,
    /// How many there may be.
    most: usize,
    /// What shards that are closed had counted, and what the kernel had dropped.
    closed: (Counts, u64),
    load: Load,
}

#[derive(Debug)]
struct Running {
    shard: Arc<Shard>,
    task: AbortOnDropHandle<()>,
}

/// How busy a channel was when it was last looked at.
#[derive(Debug)]
struct Load {
    seen: Instant,
    /// Nanoseconds that were spent on batches until then.
    busy: u64,
    /// Since when one shard would do.
    cool: Option<Instant>,
}

impl Relay {
    /// Binds and begins to read, with an empty roster. Fails when somebody has the port, also another daemon of ours.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub(super) fn open(
        channel: ChannelId,
        address: SocketAddr,
        shared: &Shared,
    ) -> io::Result<Self> {
        let mut relay = Self {
            channel,
            address,
            shared: shared.clone(),
            roster: watch::Sender::default(),
            shards: Vec::with_capacity(1),
            steered: 1,
            most: shared.shards.max(1),
            closed: (Counts::default(), 0),
            load: Load {
                seen: Instant::now(),
                busy: 0,
                cool: None,
            },
        };
        relay.add(false)?;
        relay.address = relay.first().local()?;
        Ok(relay)
    }

    /// The UDP port.
    pub(super) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Who is there, from the next packet on.
    pub(super) fn publish(&self, roster: Arc<Roster>) {
        self.roster.send_replace(roster);
        for running in &self.shards {
            running.shard.refresh();
        }
    }

    /// A word of the box's own, from the channel's port. Best effort: voice ports never wait.
    pub(super) fn send(&self, packet: &Packet, to: SocketAddr) {
        self.first().send(packet, to);
    }

    /// What was counted since it was opened.
    pub(super) fn tally(&self) -> Tally {
        let (mut counts, mut overrun) = self.closed;
        let (mut shield, mut buffers) = (false, (0, 0));
        for Running { shard, .. } in &self.shards {
            let (queues, dropped) = shard.look();
            buffers = (queues.receive, queues.send);
            counts.add(&shard.counts());
            overrun += dropped;
            shield |= shard.is_shielded();
        }
        Tally {
            packets: counts[Count::Packets],
            deliveries: counts[Count::Deliveries],
            coalesced: counts[Count::Coalesced],
            words: counts[Count::Words],
            malformed: counts[Count::Malformed],
            strangers: counts[Count::Strangers],
            misplaced: counts[Count::Misplaced],
            unsound: counts[Count::Unsound],
            unproven: counts[Count::Unproven],
            limited: counts[Count::Limited],
            unsent: counts[Count::Unsent],
            overrun,
            gso_refused: counts[Count::GsoRefused],
            shards: self.shards.len(),
            buffers,
            shield,
        }
    }

    /// Whether it is as it was opened, so that nobody has to tend it while it has no members.
    pub(super) fn rests(&self) -> bool {
        self.shards.len() == 1 && !self.first().is_shielded()
    }

    /// To be called about once a second while there is a member, or it does not [rest](Self::rests): opens another shard when those
    /// that there are have much to do, closes it when they have not; raises and lowers the shield.
    pub(super) fn tend(&mut self, now: Instant) {
        for running in &self.shards {
            running.shard.ease(now);
        }
        if self.steered < self.shards.len() {
            self.drop_last();
        }
        let busy = self.busy();
        let spent = (busy - self.load.busy) * 100;
        let since = now.saturating_duration_since(self.load.seen).as_nanos() as u64;
        (self.load.seen, self.load.busy) = (now, busy);
        if since == 0 {
            return;
        }
        let cool = spent < COOL * since;
        self.load.cool = cool.then(|| self.load.cool.unwrap_or(now));
        if spent > HOT * since * self.shards.len() as u64 {
            self.open_another();
        } else if let Some(cool) = self.load.cool
            && self.shards.len() > 1
            && now.saturating_duration_since(cool) >= REST
        {
            self.empty_last();
        }
    }

    /// Ends, and is done when the port is free again.
    pub(super) async fn close(self) {
        for Running { shard, task } in self.shards {
            task.abort();
            // Cancelled, as was wished.
            task.await.ok();
            drop(shard);
        }
    }

    fn first(&self) -> &Shard {
        &self.shards[0].shard
    }

    fn busy(&self) -> u64 {
        let shards = self.shards.iter().map(|running| running.shard.counts());
        self.closed.0[Count::Busy] + shards.map(|counts| counts[Count::Busy]).sum::<u64>()
    }

    fn open_another(&mut self) {
        if self.shards.len() >= self.most {
            return;
        }
        let opened = socket::share(self.first().fd(), true).and_then(|()| self.add(true));
        match opened {
            Ok(()) => {
                self.steered = self.shards.len();
                // Without, the kernel spreads by address, not as evenly.
                self.steer(self.steered).ok();
                tracing::debug!(
                    channel = self.channel.0,
                    shards = self.steered,
                    "one more socket"
                );
            }
            Err(error) => {
                self.most = self.shards.len();
                self.reclaim();
                tracing::warn!(channel = self.channel.0, %error, "a busy channel cannot have another socket");
            }
        }
    }

    /// Lets the kernel give the last shard nothing more, so that it is empty when it is dropped at the next look.
    fn empty_last(&mut self) {
        if self.steer(self.shards.len() - 1).is_ok() {
            self.steered = self.shards.len() - 1;
        }
    }

    fn drop_last(&mut self) {
        if let Some(Running { shard, task }) = self.shards.pop() {
            drop(task);
            self.closed.0.add(&shard.counts());
            self.closed.1 += shard.look().1;
        }
        self.reclaim();
    }

    /// Makes the port ours alone again, when one socket is left.
    fn reclaim(&self) {
        if self.shards.len() == 1 {
            // If it fails, there is only less to be told when somebody wants the port too.
            socket::share(self.first().fd(), false).ok();
        }
    }

    fn steer(&self, shards: usize) -> io::Result<()> {
        socket::steer(self.first().fd(), &sieve::steering(shards))
    }

    fn add(&mut self, shared: bool) -> io::Result<()> {
        let fd = socket::open(self.address, shared)?;
        let roster = self.roster.subscribe();
        let shard = Shard::new(
            self.channel,
            fd,
            self.address,
            &self.shared,
            roster,
            Instant::now(),
        )?;
        let shard = Arc::new(shard);
        let task = tokio::spawn(Arc::clone(&shard).run());
        self.shards.push(Running {
            shard,
            task: AbortOnDropHandle::new(task),
        });
        Ok(())
    }
}

/// What one channel counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Tally {
    /// Voice packets taken from members.
    pub(super) packets: u64,
    /// Of these to each receiver.
    pub(super) deliveries: u64,
    /// Messages that carried several packets at once.
    pub(super) coalesced: u64,
    /// Keepalives and other words taken from members.
    pub(super) words: u64,
    /// Not 512 bytes, or an operation that does not exist.
    pub(super) malformed: u64,
    /// From or about a uid that is not there.
    pub(super) strangers: u64,
    /// As a member's uid, from an address that is not theirs.
    pub(super) misplaced: u64,
    /// A wrong checksum.
    pub(super) unsound: u64,
    /// JOIN, LEAVE, stop without a proof.
    pub(super) unproven: u64,
    /// More than a source may send.
    pub(super) limited: u64,
    /// That the kernel would not take for a receiver.
    pub(super) unsent: u64,
    /// That the kernel dropped before we could read it: its queue was full, or the shield was up.
    pub(super) overrun: u64,
    /// Sends with segmentation offload that the kernel refused.
    pub(super) gso_refused: u64,
    /// Sockets at present.
    pub(super) shards: usize,
    /// Bytes of the kernel's queues for one socket, in and out.
    pub(super) buffers: (usize, usize),
    /// Whether strangers, and members who flood, are kept out in the kernel at present.
    pub(super) shield: bool,
}

/// How long after their last packet somebody still counts as talking.
pub(super) const TALKING: Duration = Duration::from_millis(400);
