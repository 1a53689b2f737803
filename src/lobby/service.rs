//! The one task that owns the hall: questions in, effects out.
//!
//! It waits for nothing but its own questions. What takes time (the store, processes, passwords) is done elsewhere and
//! comes back as a question.

use std::{
    collections::HashMap,
    io::Write as _,
    os::fd::OwnedFd,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use tokio::{
    sync::{broadcast, mpsc, oneshot},
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{
    ask::{Ask, Channel, Ending, Entry, Stream},
    definition::TableGame,
    dmod::stage::{End, Event, Link, Stage},
    hall::{ChannelKey, Effect, Hall, Newcomer, SessionId, TableKey, World},
    handle::House,
    ledger::{Ledger, Person, SavedSeat, Savegame, Sitting},
    outbox::{Message, Outbox},
    ranks::{counts, rankings},
    rights::verdict,
    view::News,
    wire::{
        push::Push,
        terms::{Action, Code, RoomId, Seat, TableId},
    },
};
use crate::{
    accounts::{AccountId, Accounts},
    clock::UnixMillis,
};

/// How often time is looked at.
const TICK: Duration = Duration::from_secs(1);
/// How many messages may come of counting people, each tick: chat waits for them.
const AT_ONCE: usize = 20_000;
/// How many a ranking names.
const RANKED: usize = 10;

/// What the service stands on.
pub(super) struct Ground {
    pub(super) hall: Hall,
    pub(super) ledger: Ledger,
    pub(super) stage: Stage,
    pub(super) entries: mpsc::Sender<Entry>,
    pub(super) news: broadcast::Sender<News>,
    pub(super) house: Arc<House>,
    /// How often rooms are told how many people are in each.
    pub(super) room_update: Duration,
    /// Asked what people may as they come in.
    pub(super) accounts: Accounts,
}

pub(super) struct Service {
    ground: Ground,
    outboxes: HashMap<SessionId, Arc<Outbox>>,
    channels: HashMap<ChannelKey, OwnedFd>,
    next_channel: u64,
    tables: HashMap<TableKey, Stand>,
    events: mpsc::Sender<(TableKey, Event)>,
    /// The box stops: tables end for no reason of theirs.
    stopping: bool,
}

/// A table's process, and which sitting that is.
struct Stand {
    link: Link,
    sitting: Sitting,
}

impl Service {
    pub(super) fn new(ground: Ground) -> (Self, mpsc::Receiver<(TableKey, Event)>) {
        let (events, heard) = mpsc::channel(256);
        let service = Self {
            ground,
            outboxes: HashMap::new(),
            channels: HashMap::new(),
            next_channel: 1,
            tables: HashMap::new(),
            events,
            stopping: false,
        };
        (service, heard)
    }

    /// Until `stop`. Then every game ends.
    pub(super) async fn run(
        mut self,
        mut asks: mpsc::Receiver<Ask>,
        mut events: mpsc::Receiver<(TableKey, Event)>,
        stop: CancellationToken,
    ) {
        let mut tick = interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut counted, mut counting) = (Instant::now(), false);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(ask) = asks.recv() => self.answer(ask),
                Some((key, event)) = events.recv() => self.heard(key, event),
                now = tick.tick() => {
                    self.ground.hall.expire(now.into_std());
                    if now.saturating_duration_since(counted) >= self.ground.room_update {
                        counted = now;
                        counting = true;
                    }
                    if counting {
                        counting = self.ground.hall.count(AT_ONCE);
                    }
                }
            }
            self.carry_out();
        }
        self.stopping = true;
        for outbox in self.outboxes.values() {
            outbox.tell(&Push::End);
            outbox.finish();
        }
        for stand in self.tables.values() {
            stand.link.end();
        }
        // Their processes are gone before we are, and what they still report is written down.
        while !self.tables.is_empty() {
            match events.recv().await {
                Some((key, event)) => self.heard(key, event),
                None => break,
            }
            self.carry_out();
        }
    }

    /// Does something to the hall, which may ask how people do.
    fn within<T>(&mut self, work: impl FnOnce(&mut Hall, World<'_>) -> T) -> T {
        let Ground { hall, ledger, .. } = &mut self.ground;
        let standings = |game: &TableGame, account| {
            let counts = counts(game);
            ledger
                .standing(&game.name, &Person::Account(account))
                .stats(counts)
        };
        let world = World {
            now: Instant::now().into_std(),
            standings: &standings,
        };
        work(hall, world)
    }

    fn answer(&mut self, ask: Ask) {
        let hall = &mut self.ground.hall;
        match ask {
            Ask::IsTaken(name, account, reply) => {
                let taken = hall.is_here(&name) && self.vanished(&name, account).is_none();
                say(reply, taken);
            }
            Ask::Come(id, newcomer, outbox, reply) => {
                let come = self.come(id, *newcomer, outbox);
                say(reply, come);
            }
            Ask::Gone(id) => {
                self.within(|hall, world| hall.gone(id, world));
                self.outboxes.remove(&id);
            }
            Ask::Said(id, request) => self.within(|hall, world| hall.apply(id, request, world)),
            Ask::Lag(id, class) => hall.lag(id, class),
            Ask::Channel(channel) => self.channel(channel),
            Ask::Kick(name, by, why, reply) => {
                let kicked = match hall.named(&name) {
                    Some(id) => self.within(|hall, world| hall.kick(id, &by, &why, world)),
                    None => false,
                };
                say(reply, kicked);
            }
            Ask::PutOut(id, by, why, reply) => {
                say(
                    reply,
                    self.within(|hall, world| hall.kick(id, &by, &why, world)),
                );
            }
            Ask::Gag(who, reply) => say(reply, hall.gag(&who)),
            Ask::Ungag(name, account, reply) => say(reply, hall.ungag(&name, account)),
            Ask::Permit(account, permissions) => {
                if let Some(id) = hall.member(account) {
                    hall.permit(id, permissions);
                }
            }
            Ask::PermitSession(id, permissions) => hall.permit(id, permissions),
            Ask::People(reply) => say(reply, hall.everybody()),
            Ask::Find(name, reply) => {
                let found = hall.named(&name).and_then(|id| hall.who(id));
                say(reply, found.cloned());
            }
            Ask::Define(definitions, reply) => {
                hall.define(&definitions);
                say(reply, ());
            }
            Ask::Rated(game, people) => {
                for (account, stats) in people {
                    hall.rated(&game.name, account, stats);
                }
            }
            Ask::Rooms(reply) => say(reply, hall.survey()),
            Ask::Room(id, reply) => say(reply, hall.survey_of(id)),
            Ask::EntryOf(id, reply) => say(reply, hall.entry_of(id)),
            Ask::Games(reply) => say(reply, hall.game_views("", true)),
            Ask::Call(room, from, account, text, reply) => {
                say(reply, hall.call(room, &from, account, &text));
            }
            Ask::Launch(room, description, seats, reply) => {
                let seats: Vec<_> = seats.into_iter().map(Some).collect();
                let launched = hall.launch_for(room, description, &seats);
                let launched = launched.and_then(|key| hall.number_of(key).ok_or(Code::LaunchFail));
                say(reply, launched);
            }
            Ask::Resume(savegame, reply) => say(reply, self.resume(*savegame)),
            Ask::End(room, table, reply) => {
                let key = hall.table_at(room, table);
                if let Some(key) = key {
                    hall.end_table(key);
                }
                say(reply, key.is_some());
            }
        }
    }

    /// Lets somebody in who may be here now: they may have been banned since they proved who they are. What changes from
    /// now on is seen by who looks at everybody.
    fn come(
        &mut self,
        id: SessionId,
        mut newcomer: Newcomer,
        outbox: Arc<Outbox>,
    ) -> Result<(), Code> {
        let Ground {
            ledger, accounts, ..
        } = &self.ground;
        let who = &newcomer.who;
        newcomer.permissions = verdict(accounts, ledger, who).map_err(|out| out.code())?;
        if let Some(old) = self.vanished(&who.name, who.account) {
            tracing::info!(
                name = who.name,
                "an older session that was silent gives way"
            );
            self.within(|hall, world| hall.gone(old, world));
            if let Some(outbox) = self.outboxes.remove(&old) {
                outbox.tell(&Push::End);
                outbox.finish();
            }
        }
        self.ground.hall.come(id, newcomer)?;
        self.outboxes.insert(id, outbox);
        // They are told so before they can say anything more.
        self.carry_out();
        Ok(())
    }

    /// The session of this name, when it is this account's and they are perhaps not there any more.
    fn vanished(&self, name: &str, account: Option<AccountId>) -> Option<SessionId> {
        let hall = &self.ground.hall;
        let id = hall.named(name)?;
        let theirs = account.is_some() && hall.who(id)?.account == account;
        let silent = self.outboxes.get(&id)?.is_silent(Instant::now().into_std());
        (theirs && silent).then_some(id)
    }

    /// A resumed table is the sitting that it was.
    fn resume(&mut self, savegame: Savegame) -> Result<(RoomId, TableId), Code> {
        let Savegame {
            sitting,
            file,
            owner,
            seats,
            ..
        } = savegame;
        let accounts = &self.ground.accounts;
        let owner = owner.and_then(|name| {
            let account = accounts.id_of(&name.to_ascii_lowercase())?;
            Some((name, account))
        });
        let seats = seats.into_iter();
        let seats = seats.map(|SavedSeat { kind, name }| Seat { kind, name });
        let hall = &mut self.ground.hall;
        let room = hall.room_named(&sitting.room).ok_or(Code::BadOptions)?;
        if self.tables.values().any(|stand| stand.sitting == sitting) {
            return Err(Code::AtTable);
        }
        let now = Instant::now().into_std();
        let key = hall.resume(room, file, owner, seats.collect(), now)?;
        let number = hall.number_of(key).ok_or(Code::LaunchFail)?;
        self.carry_out();
        if let Some(stand) = self.tables.get_mut(&key) {
            stand.sitting = sitting;
        }
        Ok((room, number))
    }

    fn channel(&mut self, channel: Channel) {
        let Channel {
            name,
            from,
            token,
            stream,
        } = channel;
        let key = ChannelKey(self.next_channel);
        self.next_channel += 1;
        let taken = self.ground.hall.channel(&name, from, token.as_deref(), key);
        let fd = match stream {
            Stream::Pair(fd) => fd,
            Stream::Tcp(mut stream) => {
                let mut bytes = Vec::new();
                if !taken {
                    let (action, code) = (Action::Channel, Code::NoPermission);
                    let body = super::wire::push::Body::None {};
                    Push::Result { action, code, body }.encode(&mut bytes);
                }
                Push::End.encode(&mut bytes);
                // A fresh connection's buffer has room. Without these bytes its client would wait for ever.
                if stream.write_all(&bytes).is_err() || !taken {
                    if taken {
                        self.ground.hall.lost(key);
                    }
                    return;
                }
                stream.into()
            }
        };
        if taken {
            self.channels.insert(key, fd);
        }
    }

    fn heard(&mut self, key: TableKey, event: Event) {
        match event {
            Event::Said(said) => self.ground.hall.said(key, said),
            Event::Ended(end) => {
                match &end {
                    End::Done | End::Killed => tracing::debug!(table = key.0, "a table has ended"),
                    end => tracing::warn!(table = key.0, why = %end, "a table's game has failed"),
                }
                let failed = match &end {
                    End::Done | End::Killed => None,
                    // Which file or user it is for want of is the host's to know.
                    End::CannotStart(_) => Some("the game cannot be started".into()),
                    end => Some(end.to_string()),
                };
                self.ground.hall.ended(key, failed.as_deref());
                let counts = &self.ground.house.counts;
                if failed.is_some() {
                    counts.failed.fetch_add(1, Relaxed);
                }
                if let Some(stand) = self.tables.remove(&key) {
                    let ending = match end {
                        End::Done => Ending::Done,
                        _ if self.stopping => Ending::Interrupted,
                        _ => Ending::Left,
                    };
                    self.enter(Entry::Over(stand.sitting, ending));
                }
                counts.tables.store(self.tables.len(), Relaxed);
            }
        }
    }

    fn carry_out(&mut self) {
        for effect in self.ground.hall.effects() {
            match effect {
                Effect::Tell(id, push) => {
                    if let Some(outbox) = self.outboxes.get(&id) {
                        outbox.tell(&push);
                    }
                }
                Effect::Room(room, but, push) => {
                    let mut message = Message::new(&push);
                    for id in self
                        .ground
                        .hall
                        .people_in(room)
                        .filter(|id| Some(*id) != but)
                    {
                        if let Some(outbox) = self.outboxes.get(&id) {
                            outbox.put(&mut message);
                        }
                    }
                    self.spread(Some(room), push);
                }
                Effect::Everybody(push) => {
                    let mut message = Message::new(&push);
                    for outbox in self.outboxes.values() {
                        outbox.put(&mut message);
                    }
                    self.spread(None, push);
                }
                Effect::Rankings(id, game) => {
                    if let Some(outbox) = self.outboxes.get(&id).cloned() {
                        let ledger = self.ground.ledger.clone();
                        let accounts = self.ground.accounts.clone();
                        // Thousands may be ranked, and nobody here is to wait for that.
                        tokio::task::spawn_blocking(move || {
                            let rankings = rankings(&accounts, &ledger, &game, RANKED);
                            outbox.tell(&Push::Rankings { rankings });
                        });
                    }
                }
                Effect::Disconnect(id) => {
                    if let Some(outbox) = self.outboxes.remove(&id) {
                        outbox.finish();
                    }
                }
                Effect::Launch {
                    key,
                    table: (room, TableId(table)),
                    game,
                    args,
                    first,
                } => {
                    let sitting = Sitting {
                        room,
                        table,
                        since: UnixMillis::now(),
                    };
                    let events = self.events.clone();
                    let link = self.ground.stage.launch(key, &game, &args, first, events);
                    self.tables.insert(key, Stand { link, sitting });
                    let counts = &self.ground.house.counts;
                    counts.tables.store(self.tables.len(), Relaxed);
                }
                Effect::Order(key, order, channel) => {
                    let fd = channel.and_then(|channel| self.channels.remove(&channel));
                    match self.tables.get(&key) {
                        // Without a connection there is nothing to hand over, and the game could not go on.
                        Some(stand) if order.carries() && fd.is_none() => stand.link.end(),
                        Some(stand) => stand.link.tell(order, fd),
                        None => {}
                    }
                }
                Effect::End(key) => {
                    if let Some(stand) = self.tables.get(&key) {
                        stand.link.end();
                    }
                }
                Effect::Close(channel) => drop(self.channels.remove(&channel)),
                Effect::Report(report) => {
                    if let Some(stand) = self.tables.get(&report.key) {
                        let entry = Entry::Report(report, stand.sitting.clone());
                        self.enter(entry);
                    }
                }
                Effect::Saved(saved) => {
                    if let Some(stand) = self.tables.get(&saved.key) {
                        let entry = Entry::Saved(saved, stand.sitting.clone());
                        self.enter(entry);
                    }
                }
                Effect::Odd(key, what) => {
                    tracing::warn!(table = key.0, what, "a game does what makes no sense");
                }
            }
        }
    }

    fn enter(&self, entry: Entry) {
        if self.ground.entries.try_send(entry).is_err() {
            tracing::error!("the ledger is too far behind: a match is not written down");
        }
    }

    fn spread(&self, room: Option<RoomId>, push: Push) {
        let Ground {
            house, hall, news, ..
        } = &self.ground;
        let entry = room.map_or_else(Default::default, |room| hall.entry_ever(room));
        house.history.hear(room, entry, &push, UnixMillis::now());
        if news.receiver_count() > 0 {
            news.send(News { room, entry, push }).ok(); // they have just left
        }
    }
}

/// Answers, if whoever asked still waits.
fn say<T>(reply: oneshot::Sender<T>, answer: T) {
    reply.send(answer).ok();
}
