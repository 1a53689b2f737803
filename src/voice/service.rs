//! The one task that owns the channels as they are: sockets, seats, who talks. All waiting is in `run`.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, SocketAddr},
    ops::RangeInclusive,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{broadcast, mpsc, oneshot},
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{
    ChannelId, ChannelView, Event, News, Traffic, Uid, VoiceError, Why,
    book::{Book, readable},
    moments::Moments,
    packet::{Operation, Packet},
    records::{CHANNELS, Channel, SEATS, SeatRecord},
    relay::{Claim, Relay, Seat, Shared},
    room::{Place, Room},
    seal::Signer,
    watch::{Input, Writing},
};
use crate::clock::UnixMillis;

/// How often seats are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How often who talks is looked at, while somebody wants to know.
const GLANCE: Duration = Duration::from_millis(200);
/// Reports of tasks that may wait; more wait with them.
const REPORTS: usize = 64;

/// What doors ask.
pub(super) enum Ask {
    /// A socket for a channel to be, on any free port; the channel's record is still to be written.
    Open(ChannelId, oneshot::Sender<Result<u16, VoiceError>>),
    /// The records of these channels may have changed: put them into effect.
    Changed(Vec<Change>, oneshot::Sender<()>),
    Views(Option<ChannelId>, oneshot::Sender<Vec<Seen>>),
    /// All channels, by id alone.
    Ids(oneshot::Sender<Vec<ChannelId>>),
    /// The port of a channel, if it is open.
    Port(ChannelId, oneshot::Sender<Option<u16>>),
    /// Where somebody has a seat.
    Sits(Uid, oneshot::Sender<Vec<ChannelId>>),
    /// All that went through, also through channels that are gone.
    Traffic(oneshot::Sender<Traffic>),
    /// A word to a channel had a proof that is not good.
    Unproven(ChannelId),
    /// A word of the box from a channel's port.
    Send(ChannelId, Box<Packet>, SocketAddr),
}

/// A channel of which something was written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change {
    pub(super) channel: ChannelId,
    /// Whose seat was taken away, and why, if one was.
    pub(super) left: Option<(Uid, Why)>,
}

/// A channel, and what decides who may see all of it.
pub(super) struct Seen {
    pub(super) channel: Channel,
    pub(super) view: ChannelView,
}

pub(super) struct Service {
    pub(super) ground: Ground,
    /// The next port to try.
    pub(super) port: u16,
    pub(super) rooms: BTreeMap<ChannelId, Room>,
    /// Sockets of channels to be.
    pub(super) drafts: BTreeMap<ChannelId, Relay>,
    pub(super) next_news: u64,
    /// Through channels that are gone.
    pub(super) past: Traffic,
    /// Whether addresses are being written, and whether seats are being cleared: one transaction of each at a time.
    pub(super) writing: Writing,
    pub(super) inputs: mpsc::Sender<Input>,
    pub(super) reports: mpsc::Receiver<Input>,
}

/// What a service stands on.
pub(super) struct Ground {
    pub(super) book: Book,
    pub(super) signer: Arc<Signer>,
    pub(super) moments: Arc<Moments>,
    pub(super) shared: Shared,
    pub(super) address: IpAddr,
    pub(super) ports: RangeInclusive<u16>,
    pub(super) news: broadcast::Sender<News>,
}

impl Service {
    /// Opens every channel that the store knows, with those who sat there.
    pub(super) fn open(ground: Ground) -> Result<Self, VoiceError> {
        let (inputs, reports) = mpsc::channel(REPORTS);
        let mut service = Self {
            port: *ground.ports.start(),
            ground,
            rooms: BTreeMap::new(),
            drafts: BTreeMap::new(),
            next_news: 1,
            past: Traffic::default(),
            writing: Writing::default(),
            inputs,
            reports,
        };
        let store = service.ground.book.store.clone();
        for channel in store.scan(CHANNELS, b"") {
            match channel {
                Ok((_, channel)) => service.enter(channel),
                Err(error) => {
                    tracing::error!(%error, "a voice channel cannot be read; the others can");
                }
            }
        }
        for seat in store.scan(SEATS, b"") {
            match seat {
                Ok((_, record)) => service.place(&record),
                Err(error) => tracing::error!(%error, "a seat in a voice channel cannot be read"),
            }
        }
        for room in service.rooms.values() {
            room.publish();
        }
        Ok(service)
    }

    pub(super) async fn run(
        mut self,
        mut asks: mpsc::Receiver<Ask>,
        mut bound: mpsc::Receiver<ChannelId>,
        stop: CancellationToken,
    ) {
        let [mut look, mut glance] = [LOOK, GLANCE].map(interval);
        for clock in [&mut look, &mut glance] {
            clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        loop {
            let watched = self.ground.news.receiver_count() > 0 && self.is_anybody_here();
            tokio::select! {
                () = stop.cancelled() => return,
                ask = asks.recv() => match ask {
                    Some(ask) => self.answer(ask),
                    None => return,
                },
                Some(id) = bound.recv() => self.note(Some(id)),
                Some(input) = self.reports.recv() => self.apply(input),
                _ = look.tick() => self.look(Instant::now()),
                _ = glance.tick(), if watched => self.glance(),
            }
        }
    }

    fn is_anybody_here(&self) -> bool {
        self.rooms.values().any(|room| !room.seats.is_empty())
    }

    pub(super) fn now(&self) -> Duration {
        self.ground.shared.epoch.elapsed()
    }

    pub(super) fn tell(&mut self, channel: ChannelId, event: Event) {
        let seq = self.next_news;
        self.next_news += 1;
        let news = News {
            seq,
            channel,
            event,
        };
        self.ground.news.send(news).ok(); // nobody listens
    }

    // What was asked.

    fn answer(&mut self, ask: Ask) {
        // Who asked may have gone meanwhile; then nobody needs the answer.
        match ask {
            Ask::Open(id, reply) => {
                let opened = self.draft(id);
                if let Err(Ok(_)) = reply.send(opened) {
                    self.drafts.remove(&id);
                }
            }
            Ask::Changed(changes, reply) => {
                let reconciled = changes.into_iter();
                let closed: Vec<_> = reconciled
                    .filter_map(|change| self.reconcile(change))
                    .collect();
                if closed.is_empty() {
                    reply.send(()).ok();
                    return;
                }
                // Whoever deleted a channel may count on its port.
                tokio::spawn(async move {
                    for relay in closed {
                        relay.close().await;
                    }
                    reply.send(()).ok();
                });
            }
            Ask::Views(which, reply) => {
                let rooms = self.rooms.iter();
                let wanted = rooms.filter(|(id, _)| which.is_none_or(|which| which == **id));
                let now = self.now();
                let seen = wanted.map(|(_, room)| Seen {
                    channel: room.channel.clone(),
                    view: room.view(now, &self.ground.book.accounts),
                });
                let seen = seen.collect();
                reply.send(seen).ok();
            }
            Ask::Ids(reply) => {
                reply.send(self.rooms.keys().copied().collect()).ok();
            }
            Ask::Port(id, reply) => {
                let relay = self.rooms.get(&id).and_then(|room| room.relay.as_ref());
                reply.send(relay.map(Relay::port)).ok();
            }
            Ask::Sits(uid, reply) => {
                let rooms = self.rooms.iter();
                let here = rooms.filter(|(_, room)| room.seats.contains_key(&uid));
                reply.send(here.map(|(id, _)| *id).collect()).ok();
            }
            Ask::Traffic(reply) => {
                let here = self.rooms.values().map(|room| room.traffic());
                reply.send(here.fold(self.past, Traffic::plus)).ok();
            }
            Ask::Unproven(id) => {
                if let Some(room) = self.rooms.get_mut(&id) {
                    room.unproven += 1;
                }
            }
            Ask::Send(id, packet, to) => {
                if let Some(relay) = self.rooms.get(&id).and_then(|room| room.relay.as_ref()) {
                    relay.send(&packet, to);
                }
            }
        }
    }

    fn draft(&mut self, id: ChannelId) -> Result<u16, VoiceError> {
        let (first, last) = (*self.ground.ports.start(), *self.ground.ports.end());
        let taken: BTreeSet<u16> = self.rooms.values().map(|room| room.channel.port).collect();
        let round = (self.port..=last).chain(first..self.port);
        for port in round.filter(|port| !taken.contains(port)) {
            let address = SocketAddr::new(self.ground.address, port);
            let relay = match Relay::open(id, address, &self.ground.shared) {
                Ok(relay) => relay,
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => continue,
                Err(error) => return Err(VoiceError::Socket(error)),
            };
            self.port = match port {
                port if port == last => first,
                port => port + 1,
            };
            self.drafts.insert(id, relay);
            return Ok(port);
        }
        Err(VoiceError::NoFreePort { first, last })
    }

    /// Puts into effect what the store says of a channel; the sockets of one that is gone are left to be closed.
    pub(super) fn reconcile(&mut self, Change { channel: id, left }: Change) -> Option<Relay> {
        let store = self.ground.book.store.clone();
        match store.get(CHANNELS, id.key()) {
            Ok(Some(_)) if self.rooms.contains_key(&id) => {}
            Ok(Some(channel)) => {
                let (title, port) = (channel.title.clone(), channel.port);
                self.enter(channel);
                self.tell(id, Event::Created { title, port });
            }
            Ok(None) => {
                self.drafts.remove(&id);
                return self.close(id);
            }
            Err(error) => {
                tracing::error!(%error, "a voice channel cannot be read");
                return None;
            }
        }
        let seats = readable(store.scan(SEATS, &id.key()));
        let seats: BTreeMap<_, _> = seats.map(|(_, seat)| (seat.uid, seat)).collect();
        let room = self.rooms.get(&id)?;
        let gone = room.seats.keys().filter(|uid| !seats.contains_key(uid));
        for uid in gone.copied().collect::<Vec<_>>() {
            let why = left.filter(|(who, _)| *who == uid);
            self.rise(id, uid, why.map_or(Why::Left, |(_, why)| why));
        }
        for seat in seats.values() {
            self.sit(seat);
        }
        None
    }

    fn enter(&mut self, channel: Channel) {
        let relay = self
            .drafts
            .remove(&channel.id)
            .map_or_else(|| self.reopen(&channel), Ok);
        if let Err(error) = &relay {
            let (channel, port) = (channel.id.0, channel.port);
            tracing::warn!(channel, port, %error, "a voice channel's port cannot be opened; trying again");
        }
        let room = Room {
            owner: self.ground.book.owner(&channel),
            relay: relay.ok(),
            seats: BTreeMap::new(),
            ended: BTreeMap::new(),
            unproven: 0,
            channel,
        };
        self.rooms.insert(room.channel.id, room);
    }

    pub(super) fn reopen(&self, channel: &Channel) -> io::Result<Relay> {
        let address = SocketAddr::new(self.ground.address, channel.port);
        Relay::open(channel.id, address, &self.ground.shared)
    }

    /// A channel is gone: its members are told in the box's own name.
    fn close(&mut self, id: ChannelId) -> Option<Relay> {
        let room = self.rooms.remove(&id)?;
        self.past = self.past.plus(room.traffic());
        if let Some(relay) = &room.relay
            && !room.seats.is_empty()
        {
            let word = self.signed(Operation::Stop, Uid(0), id);
            let members = room.seats.values();
            for address in members.filter_map(|place| place.seat.address()) {
                relay.send(&word, address);
            }
        }
        self.ground.moments.forget(id);
        for uid in room.seats.keys() {
            let (uid, why) = (*uid, Why::Ended);
            self.tell(id, Event::Left { uid, why });
        }
        self.tell(id, Event::Deleted);
        room.relay
    }

    fn signed(&self, operation: Operation, uid: Uid, channel: ChannelId) -> Packet {
        let moment = self.ground.moments.next(channel, UnixMillis::now());
        self.ground.signer.sign(operation, uid, 0, moment, channel)
    }

    fn sit(&mut self, record: &SeatRecord) {
        let (id, uid) = (record.channel, record.uid);
        let is_known = |room: &Room| {
            let same = |place: &Place| place.seat.session() == record.session;
            room.seats.get(&uid).is_some_and(same) || room.ended.contains_key(&record.session)
        };
        if self.rooms.get(&id).is_none_or(is_known) {
            return;
        }
        self.place(record);
        let Some(room) = self.rooms.get(&id) else {
            return;
        };
        if !room.seats.contains_key(&uid) {
            return;
        }
        room.publish();
        let account = room.seats.get(&uid).and_then(|place| place.account);
        let name = account.and_then(|account| self.ground.book.accounts.name_of(account));
        self.tell(id, Event::Joined { uid, name });
        if record.address.is_some() {
            self.tell(id, Event::Present { uid });
        }
    }

    /// Seats somebody, if there is such a user.
    fn place(&mut self, record: &SeatRecord) {
        let now = self.now();
        let user = self.ground.book.user(record.uid);
        let Some(room) = self.rooms.get_mut(&record.channel) else {
            return;
        };
        let Some(user) = user else {
            room.ended.insert(record.session, record.uid);
            return;
        };
        let claim = record.from.map_or(Claim::Taken, Claim::From);
        let seat = Seat::new(record.uid, record.session, claim, record.place(), now);
        let known = record.address.is_some();
        let place = Place {
            seat: Arc::new(seat),
            account: user.account,
            told: known,
            noted: known,
            talking: false,
        };
        room.seats.insert(record.uid, place);
    }

    /// Takes a seat away; who may not have it any more is told so by the box.
    pub(super) fn rise(&mut self, id: ChannelId, uid: Uid, why: Why) {
        let Some(room) = self.rooms.get_mut(&id) else {
            return;
        };
        let Some(place) = room.seats.remove(&uid) else {
            return;
        };
        room.publish();
        if matches!(why, Why::Kicked | Why::Crowded)
            && let Some(address) = place.seat.address()
        {
            let word = self.signed(Operation::Leave, uid, id);
            self.answer(Ask::Send(id, Box::new(word), address));
        }
        self.tell(id, Event::Left { uid, why });
    }
}
