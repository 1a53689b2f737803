//! One socket and the task that reads it: a batch in, verdicts, one message per receiver out.
//!
//! A batch that is not full means that the queue was empty, so it ends readiness without asking the kernel again. That
//! is sound although readiness is edge-triggered: what arrives after the kernel found the queue empty is a new edge,
//! and tokio only forgets the edge that it knew of before the batch.

use std::{
    cell::RefCell,
    io,
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{io::Interest, net::UdpSocket, sync::watch, task, time::sleep};

use super::{
    ChannelId, Petition, Shared,
    bucket::Pace,
    count::{Count, Counters, Counts},
    judge::{Judge, Verdict},
    name::{Family, Place},
    roster::{Roster, Seat},
    route::{self, BATCH, Route},
    shield::{FLOOD, Shield, WINDOW},
    socket::{self, Batch, Message, Queues},
};
use crate::voice::packet::{HEAD, Packet, System};

/// How long the task works before others have their turn: short against a packet of speech, long against what a turn of
/// its own costs.
const TURN: Duration = Duration::from_millis(4);
/// How long to wait after a failure that is not the queue being empty.
const PAUSE: Duration = Duration::from_millis(10);

thread_local! {
    /// Borrowed only within a turn, which does not wait, so that all channels of a thread do with one.
    static ROOM: RefCell<Room> = RefCell::new(Room {
        batch: Batch::new(),
        route: Route::new(),
    });
}

struct Room {
    batch: Box<Batch>,
    route: Route,
}

/// One of the sockets of a channel.
#[derive(Debug)]
pub(super) struct Shard {
    channel: ChannelId,
    socket: UdpSocket,
    family: Family,
    shared: Shared,
    /// What a member may send,
    pace: Pace,
    /// and while there is a flood, in vain.
    patience: Pace,
    roster: watch::Receiver<Arc<Roster>>,
    counters: Counters,
    shield: Shield,
}

/// What the task of a shard keeps between batches.
struct Desk {
    news: watch::Receiver<Arc<Roster>>,
    roster: Arc<Roster>,
    /// How many batches there were, more or less.
    batches: u32,
    /// When the present window began, and how many packets came in vain in it.
    window: (Instant, u64),
}

/// How a turn ended.
enum Turn {
    Drained,
    Unfinished,
    Failed,
}

impl Shard {
    /// A shard of this socket. Outside of a runtime it panics.
    pub(super) fn new(
        channel: ChannelId,
        fd: OwnedFd,
        address: SocketAddr,
        shared: &Shared,
        roster: watch::Receiver<Arc<Roster>>,
        now: Instant,
    ) -> io::Result<Self> {
        Ok(Self {
            channel,
            socket: UdpSocket::from_std(fd.into())?,
            family: Family::of(address),
            shared: shared.clone(),
            pace: Pace::new(shared.rate, (shared.rate / 4).max(32)),
            patience: Pace::new(FLOOD as u32, FLOOD as u32 / 4),
            shield: Shield::new(channel, shared.epoch, roster.clone(), now),
            roster,
            counters: Counters::default(),
        })
    }

    /// Relays until it is dropped.
    pub(super) async fn run(self: Arc<Self>) {
        let mut news = self.roster.clone();
        let roster = Arc::clone(&news.borrow_and_update());
        let mut desk = Desk {
            news,
            roster,
            batches: 0,
            window: (Instant::now(), 0),
        };
        while self.socket.readable().await.is_ok() {
            match self.turn(&mut desk) {
                Turn::Drained => {}
                Turn::Unfinished => task::yield_now().await,
                Turn::Failed => sleep(PAUSE).await,
            }
        }
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    pub(super) fn local(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    pub(super) fn counts(&self) -> Counts {
        self.counters.read()
    }

    /// One packet of the box's own. Best effort.
    pub(super) fn send(&self, packet: &Packet, to: SocketAddr) {
        let place = Place::new(to);
        if let Some(name) = place.as_ref().and_then(|place| place.name(self.family)) {
            socket::send(self.fd(), packet, name).ok();
        }
    }

    /// Batches, until there is no more or it took long enough.
    fn turn(&self, desk: &mut Desk) -> Turn {
        let begun = Instant::now();
        let mut now = begun;
        loop {
            let mut counts = Counts::default();
            let read = self.socket.try_io(Interest::READABLE, || {
                ROOM.with_borrow_mut(|room| {
                    let received = room.batch.receive(self.fd())?;
                    self.relay(room, received, now, desk, &mut counts);
                    match received {
                        BATCH => Ok(()),
                        _ => Err(io::ErrorKind::WouldBlock.into()),
                    }
                })
            });
            let ended = Instant::now();
            counts[Count::Busy] = (ended - now).as_nanos() as u64;
            self.counters.add(&counts);
            now = ended;
            match read {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Turn::Drained,
                Err(_) => return Turn::Failed,
                Ok(()) if now - begun >= TURN => return Turn::Unfinished,
                Ok(()) => {}
            }
        }
    }

    fn relay(
        &self,
        room: &mut Room,
        received: usize,
        now: Instant,
        desk: &mut Desk,
        counts: &mut Counts,
    ) {
        if desk.news.has_changed().unwrap_or(false) {
            desk.roster = Arc::clone(&desk.news.borrow_and_update());
        }
        let judge = Judge {
            roster: &desk.roster,
            sources: &self.shared.sources,
            pace: self.pace,
            now: now.saturating_duration_since(self.shared.epoch),
        };
        let (flood, mut muzzled) = (self.shield.is_up(), false);
        room.route.clear();
        for slot in 0..received {
            let (from, bytes) = room.batch.packet(slot);
            match from.map(|from| (from, judge.decide(from, bytes))) {
                Some((_, Verdict::Voice { seat, bound })) => {
                    counts[Count::Packets] += 1;
                    self.announce(bound);
                    room.route.add(slot, seat);
                }
                Some((_, Verdict::Word { seat, bound, reply })) => {
                    counts[Count::Words] += 1;
                    self.announce(bound);
                    if let Some(reply) = reply {
                        self.reply(&desk.roster.seats()[seat], reply);
                    }
                }
                Some((from, Verdict::Petition(system))) => {
                    if !self.petition(from, system, bytes) {
                        counts[Count::Limited] += 1;
                    }
                }
                Some((from, Verdict::Drop(reason))) => {
                    counts[reason] += 1;
                    muzzled |= flood && self.blame(&desk.roster, from, judge.now);
                }
                None => counts[Count::Malformed] += 1,
            }
        }
        self.fan(room, desk, judge.now, counts);
        if muzzled {
            self.shield.renew(self.fd(), now);
        }
        self.watch(&mut desk.window, now, counts.vain());
    }

    /// Everything to everybody but who said it.
    fn fan(&self, room: &mut Room, desk: &mut Desk, now: Duration, counts: &mut Counts) {
        desk.batches = desk.batches.wrapping_add(1);
        let seats = desk.roster.seats();
        let all = room.batch.gather(room.route.all());
        let first = route::first(desk.batches, seats.len());
        for (seat, mask) in room.route.fan(seats.len(), first) {
            let seat = &seats[seat];
            match mask == all.mask() {
                true => self.deliver(&all, seat, now, counts),
                false => self.deliver(&room.batch.gather(mask), seat, now, counts),
            }
        }
    }

    fn deliver(&self, message: &Message<'_>, seat: &Seat, now: Duration, counts: &mut Counts) {
        let Some(name) = seat.name(self.family) else {
            return;
        };
        let packets = u64::from(message.mask().count_ones());
        let coalesce = packets > 1 && seat.coalesces(now);
        if coalesce {
            match message.send(self.fd(), name) {
                Ok(()) => {
                    counts[Count::Deliveries] += packets;
                    counts[Count::Coalesced] += 1;
                    return;
                }
                Err(error) if is_refusal(&error) => {}
                Err(_) => {
                    counts[Count::Unsent] += packets;
                    return;
                }
            }
        }
        let sent = |packet: &&Packet| socket::send(self.fd(), packet, name).is_ok();
        let sent = message.packets().filter(sent).count() as u64;
        counts[Count::Deliveries] += sent;
        counts[Count::Unsent] += packets - sent;
        // Where single packets cannot be sent either, it was not the offload's fault.
        if coalesce && sent > 0 {
            counts[Count::GsoRefused] += 1;
            seat.separate(now);
        }
    }

    fn reply(&self, seat: &Seat, reply: System) {
        if let Some(name) = seat.name(self.family) {
            socket::send(self.fd(), &reply.encode(), name).ok();
        }
    }

    fn announce(&self, bound: bool) {
        if bound {
            self.shared.bound.try_send(self.channel).ok();
        }
    }

    fn petition(&self, from: SocketAddr, system: System, bytes: &[u8]) -> bool {
        let Some(head) = bytes.first_chunk::<HEAD>() else {
            return false;
        };
        let petition = Petition {
            channel: self.channel,
            from,
            system,
            head: *head,
        };
        self.shared.petitions.try_send(petition).is_ok()
    }

    /// Whether a member has to be muzzled who sent something in vain, as the shield lets in what they send.
    fn blame(&self, roster: &Roster, from: SocketAddr, now: Duration) -> bool {
        let seat = roster.at(from);
        seat.is_some_and(|seat| seat.blame(self.patience, now))
    }

    /// Raises the shield when there is a flood.
    fn watch(&self, (begun, vain): &mut (Instant, u64), now: Instant, more: u64) {
        if more == 0 {
            return;
        }
        if now.saturating_duration_since(*begun) > WINDOW {
            (*begun, *vain) = (now, 0);
        }
        *vain += more;
        if *vain > FLOOD * WINDOW.as_millis() as u64 / 1000 {
            (*begun, *vain) = (now, 0);
            self.shield.raise(self.fd(), now);
        }
    }

    /// Who is there has changed.
    pub(super) fn refresh(&self) {
        self.shield.renew(self.fd(), Instant::now());
    }

    /// To be called about once a second.
    pub(super) fn ease(&self, now: Instant) {
        self.shield.ease(self.fd(), now);
    }

    /// Whether strangers, and members who flood, are kept out in the kernel.
    pub(super) fn is_shielded(&self) -> bool {
        self.shield.is_up()
    }

    /// How the queues are, and all that the kernel dropped.
    pub(super) fn look(&self) -> (Queues, u64) {
        self.shield.look(self.fd())
    }
}

/// Whether the kernel cannot cut messages into packets here, rather than not now.
fn is_refusal(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EIO | libc::EINVAL | libc::EMSGSIZE)
    )
}
