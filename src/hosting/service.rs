//! The one task that owns all servers. All waiting is in `run`, all change in the synchronous methods below it.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::{Semaphore, broadcast, mpsc, oneshot, watch};

use super::handle::{Owners, Settings};
use super::library::Library;
use super::lifecycle::{Effect, End, Event as Happened, Life, Want};
use super::records::{SERVERS, Server};
use super::scribe::{Change, Job, Reply, Then};
use super::state::{BOX, Entry};
use super::{Create, Event, Exit, Home, HostingError, News, Patch, State, View};
use crate::accounts::{AccountId, Accounts, ServerId};
use crate::clock::UnixMillis;
use crate::console::Reader;
use crate::keeper::{Client, Phase, Status};
use crate::store::{Store, StoreError};
use crate::worker::{Found, Worker, WorkerError};

/// How many servers are looked after at the same time when the daemon starts.
pub(super) const LOOKS: usize = 64;
/// How often the recycle bin is looked through.
const PURGE: Duration = Duration::from_secs(3600);
/// A keeper that lived shorter than this is not replaced at once.
const YOUNG: Duration = Duration::from_secs(1);

/// What doors ask.
pub(super) enum Command {
    List(oneshot::Sender<Vec<View>>),
    Get(ServerId, Reply),
    Create {
        owner: AccountId,
        owner_name: String,
        wish: Box<Create>,
        reply: Reply,
    },
    Update(ServerId, Box<Patch>, Reply),
    /// Start, stop, restart, kill.
    Power(ServerId, Happened, Reply),
    Delete {
        id: ServerId,
        confirm: String,
        reply: oneshot::Sender<Result<(), HostingError>>,
    },
    Home(ServerId, oneshot::Sender<Result<Home, HostingError>>),
    Client(ServerId, oneshot::Sender<Result<Client, HostingError>>),
    Console(
        ServerId,
        oneshot::Sender<Result<(Reader, watch::Receiver<u64>), HostingError>>,
    ),
}

/// What the tasks that this one started report.
pub(super) enum Input {
    Durable {
        /// None: a server that was to be created.
        id: Option<ServerId>,
        result: Result<Option<Server>, StoreError>,
        then: Then,
    },
    Found(ServerId, Result<Found, WorkerError>, u64),
    Installing(ServerId),
    Launched(ServerId, Result<Found, WorkerError>),
    Status(ServerId, u64, Status),
    Lost(ServerId, u64, Option<Status>),
    Swept(ServerId, Result<(), WorkerError>),
    Rewritten(ServerId, Result<(), WorkerError>),
    Moved(ServerId, Result<(), WorkerError>),
    Tick(ServerId, u64),
    Purged(Vec<ServerId>),
}

pub(super) struct Service {
    pub(super) settings: Settings,
    pub(super) store: Store,
    pub(super) accounts: Accounts,
    pub(super) worker: Worker,
    pub(super) library: Arc<Library>,
    pub(super) owners: Owners,
    pub(super) servers: BTreeMap<ServerId, Entry>,
    /// Deleted ones whose folders are in the recycle bin.
    pub(super) bin: BTreeMap<ServerId, Server>,
    /// Those on their way to the disk for the first time, which hold their ports and users already.
    pub(super) drafts: BTreeMap<u64, Server>,
    pub(super) next_draft: u64,
    pub(super) news: broadcast::Sender<News>,
    pub(super) next_news: u64,
    pub(super) scribe: mpsc::Sender<Job>,
    pub(super) inputs: mpsc::Sender<Input>,
    pub(super) looks: Arc<Semaphore>,
}

impl Service {
    /// Reads the store.
    pub(super) fn load(&mut self) {
        for record in self.store.scan(SERVERS, b"") {
            let server = match record {
                Ok((_, server)) => server,
                Err(error) => {
                    tracing::error!(%error, "a server cannot be read; the others can");
                    continue;
                }
            };
            self.owners.insert(server.id, server.owner);
            if server.deleted.is_some() && !self.worker.has(server.id) {
                self.bin.insert(server.id, server);
            } else {
                self.servers
                    .insert(server.id, Entry::new(server, Life::Looking));
            }
        }
    }

    pub(super) async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        mut inputs: mpsc::Receiver<Input>,
    ) {
        for id in self.servers.keys().copied().collect::<Vec<_>>() {
            self.act(id, Effect::Look);
        }
        let mut purge = tokio::time::interval(PURGE);
        loop {
            tokio::select! {
                biased;
                Some(input) = inputs.recv() => self.apply(input),
                // The scribe has room for whatever a command may want written.
                command = commands.recv(), if self.scribe.capacity() > 0 => match command {
                    Some(command) => self.command(command),
                    None => return, // the last handle is gone; keepers go on
                },
                _ = purge.tick() => self.purge(UnixMillis::now()),
            }
        }
    }

    /// Later changes build upon this one, though it is not durable yet.
    pub(super) fn put(&mut self, server: Server, then: Then) {
        if let Some(entry) = self.servers.get_mut(&server.id) {
            entry.server = server.clone();
        }
        self.write(Change::Put(server), then);
    }

    pub(super) fn write(&mut self, change: Change, then: Then) {
        // Commands are only taken while there is room.
        if self.scribe.try_send(Job { change, then }).is_err() {
            tracing::warn!("the scribe is gone or full"); // and whoever waits learns that hosting is closed
        }
    }

    // What was reported.

    fn apply(&mut self, input: Input) {
        match input {
            Input::Durable { id, result, then } => self.durable(id, result, then),
            Input::Found(id, found, head) => self.found(id, found, head),
            Input::Installing(id) => {
                if let Some(entry) = self.servers.get_mut(&id) {
                    entry.installing = true;
                    self.tell(id);
                }
            }
            Input::Launched(id, launched) => match launched {
                Ok(Found::Alive(client)) => {
                    self.keep(id, client);
                    self.step(id, Happened::Launched);
                    self.rewrite(id);
                }
                // Its game was given up before we came to know its keeper.
                Ok(Found::Ended(status)) => {
                    self.step(id, Happened::Launched);
                    if let Some(entry) = self.servers.get_mut(&id) {
                        entry.installing = false;
                        entry.kept = Instant::now();
                        let epoch = entry.epoch;
                        self.lost(id, epoch, status);
                    }
                }
                Err(error) => {
                    let event = self.unlaunched(id, &error);
                    self.step(id, event);
                }
            },
            Input::Status(id, epoch, status) => {
                if let Some(entry) = self
                    .servers
                    .get_mut(&id)
                    .filter(|entry| entry.epoch == epoch)
                {
                    entry.status = Some(status);
                    self.tell(id);
                }
            }
            Input::Lost(id, epoch, status) => self.lost(id, epoch, status),
            Input::Swept(id, swept) => {
                let event = match swept {
                    Ok(()) => Happened::Swept,
                    Err(error) => {
                        tracing::error!(server = id.0, %error, "what it left cannot be ended; trying again");
                        Happened::Unswept
                    }
                };
                self.step(id, event);
            }
            Input::Rewritten(id, written) => {
                if let Err(error) = written {
                    tracing::warn!(server = id.0, %error, "its keeper will not hear of the change before the next start");
                }
                if let Some(entry) = self.servers.get_mut(&id) {
                    entry.writing = false;
                    self.rewrite(id);
                }
            }
            Input::Moved(id, Ok(())) => {
                self.step(id, Happened::Moved);
                self.gone(id);
            }
            Input::Moved(id, Err(error)) => {
                tracing::error!(server = id.0, %error, "it cannot be moved to the recycle bin; trying again");
                self.step(id, Happened::Unmoved);
            }
            Input::Tick(id, turn) => {
                // What it was for may be over.
                if self
                    .servers
                    .get(&id)
                    .is_some_and(|entry| entry.turn == turn)
                {
                    self.step(id, Happened::Tick);
                }
            }
            Input::Purged(ids) => {
                for id in ids {
                    if self.scribe.capacity() > 0 {
                        self.write(Change::Forget(id), Then::Forgotten);
                    }
                }
            }
        }
    }

    fn durable(
        &mut self,
        id: Option<ServerId>,
        result: Result<Option<Server>, StoreError>,
        then: Then,
    ) {
        if let Then::Created(number, _) = &then {
            self.drafts.remove(number);
        }
        let server = match result {
            Ok(server) => server,
            Err(error) => return self.undurable(id, error, then),
        };
        match (then, server) {
            (Then::Created(_, reply), Some(server)) => {
                let id = server.id;
                self.owners.insert(id, server.owner);
                tracing::info!(
                    server = id.0,
                    name = server.name,
                    game = server.game,
                    "created"
                );
                let entry = Entry::new(server, Life::Down);
                let view = self.view(&entry);
                self.servers.insert(
                    id,
                    Entry {
                        told: Some(view.clone()),
                        ..entry
                    },
                );
                self.publish(Event::Created {
                    server: Box::new(view.clone()),
                });
                reply.send(Ok(view)).ok();
            }
            (Then::Step(event, reply), Some(server)) => {
                self.step(server.id, self.meant(server.id, event));
                reply
                    .send(self.entry(server.id).map(|entry| self.view(entry)))
                    .ok();
            }
            (Then::Updated(reply), Some(server)) => {
                if let Some(entry) = self.servers.get_mut(&server.id) {
                    entry.stale = true;
                }
                self.rewrite(server.id);
                self.tell(server.id);
                reply
                    .send(self.entry(server.id).map(|entry| self.view(entry)))
                    .ok();
            }
            (Then::Deleted(reply), Some(server)) => match self.servers.get_mut(&server.id) {
                Some(entry) => {
                    entry.waiting.push(reply);
                    self.step(server.id, Happened::Delete);
                }
                None => drop(reply.send(Ok(()))), // somebody else's delete was done first
            },
            (Then::Forgotten, _) => {
                if let Some(id) = id {
                    self.bin.remove(&id);
                    self.owners.remove(id);
                }
            }
            (Then::Created(..) | Then::Step(..) | Then::Updated(_) | Then::Deleted(_), None) => {
                unreachable!("only `Forget` leaves no record")
            }
        }
    }

    /// A start of what waits for its next start is one now.
    fn meant(&self, id: ServerId, event: Happened) -> Happened {
        let waits = self
            .servers
            .get(&id)
            .is_some_and(|entry| entry.state() == State::Backoff);
        match event {
            Happened::Start if waits => Happened::Restart,
            event => event,
        }
    }

    /// What was asked is not so: back to what the store says.
    fn undurable(&mut self, id: Option<ServerId>, error: StoreError, then: Then) {
        if let Some(id) = id
            && let Ok(Some(stored)) = self.store.get(SERVERS, super::records::key(id))
            && let Some(entry) = self.servers.get_mut(&id)
        {
            entry.server = stored;
        }
        match then {
            Then::Created(_, reply) | Then::Step(_, reply) | Then::Updated(reply) => {
                reply.send(Err(error.into())).ok();
            }
            Then::Deleted(reply) => {
                reply.send(Err(error.into())).ok();
            }
            Then::Forgotten => tracing::warn!(%error, "a purged server cannot be forgotten yet"),
        }
    }

    /// After a start of the daemon.
    fn found(&mut self, id: ServerId, found: Result<Found, WorkerError>, head: u64) {
        let Some(entry) = self
            .servers
            .get_mut(&id)
            .filter(|entry| entry.course.life == Life::Looking)
        else {
            return;
        };
        entry
            .head
            .send_if_modified(|known| std::mem::replace(known, head.max(*known)) < head);
        let event = match found {
            Ok(Found::Alive(client)) => {
                tracing::info!(server = id.0, "its keeper is there");
                self.keep(id, client);
                Happened::FoundAlive
            }
            Ok(Found::Ended(status)) => {
                let event = match status.as_ref().map(|status| status.phase) {
                    None | Some(Phase::Down) => Happened::FoundDown,
                    Some(Phase::Failed) => Happened::FoundFailed,
                    Some(_) => Happened::FoundDead,
                };
                // Up was wanted, and it is not: say what happened meanwhile.
                if entry.course.want == Want::Up {
                    let exit = status.as_ref().and_then(|status| status.exit.as_ref());
                    let reason = exit.map_or("its keeper is gone", |exit| &exit.reason);
                    tracing::warn!(server = id.0, reason, "ended while the daemon was away");
                }
                entry.status = status;
                event
            }
            Err(error) => {
                tracing::error!(server = id.0, %error, "its keeper does not answer; trying again");
                Happened::Unreachable
            }
        };
        self.step(id, event);
    }

    /// Follows a keeper from now on.
    fn keep(&mut self, id: ServerId, client: Client) {
        let Some(entry) = self.servers.get_mut(&id) else {
            return;
        };
        entry.epoch += 1;
        entry.kept = Instant::now();
        entry.installing = false;
        entry.trouble = None;
        entry.status = Some(client.status().borrow().clone());
        let follower = follow(
            id,
            entry.epoch,
            client.clone(),
            entry.head.clone(),
            self.worker.clone(),
            self.inputs.clone(),
        );
        entry.client = Some(client);
        tokio::spawn(follower);
    }

    /// What a launch that failed means.
    fn unlaunched(&mut self, id: ServerId, error: &WorkerError) -> Happened {
        let event = match error {
            WorkerError::Silent(_) => Happened::Unreachable,
            // Whoever holds a port may let go of it, as whoever filled the disk may: the server is still wanted.
            WorkerError::Io { .. } | WorkerError::Keeper(_) | WorkerError::PortTaken(_) => {
                Happened::Hindered
            }
            WorkerError::Refused(_)
            | WorkerError::Install { .. }
            | WorkerError::Missing(_)
            | WorkerError::Canceled => Happened::Unlaunched,
        };
        let Some(entry) = self.servers.get_mut(&id) else {
            return event;
        };
        entry.installing = false;
        if event == Happened::Hindered {
            entry.misses = entry.misses.saturating_add(1);
        }
        if !matches!(error, WorkerError::Canceled) && !entry.cancel.is_cancelled() {
            tracing::error!(server = id.0, %error, "cannot be started");
            entry.trouble = Some(Exit {
                at: UnixMillis::now(),
                code: None,
                signal: None,
                reason: format!("could not be started: {error}"),
            });
        }
        event
    }

    fn lost(&mut self, id: ServerId, epoch: u64, status: Option<Status>) {
        let Some(entry) = self
            .servers
            .get_mut(&id)
            .filter(|entry| entry.epoch == epoch)
        else {
            return;
        };
        entry.client = None;
        let young = entry.kept.elapsed() < YOUNG;
        let end = match status.as_ref().map(|status| status.phase) {
            Some(Phase::Down) => End::Stopped,
            Some(Phase::Failed) => End::GaveUp,
            _ => End::Died { young },
        };
        entry.misses = match end {
            End::Died { young: true } => entry.misses.saturating_add(1),
            _ => 0,
        };
        let reason = status
            .as_ref()
            .and_then(|status| Some(status.exit.as_ref()?.reason.as_str()));
        match end {
            End::Stopped => tracing::info!(server = id.0, reason, "stopped"),
            End::GaveUp => tracing::warn!(server = id.0, reason, "ended, and is left so"),
            End::Died { .. } => tracing::warn!(server = id.0, "its keeper died"),
        }
        entry.status = status.or(entry.status.take());
        self.step(id, Happened::Lost(end));
    }

    fn gone(&mut self, id: ServerId) {
        let Some(entry) = self.servers.remove(&id) else {
            return;
        };
        tracing::info!(server = id.0, name = entry.server.name, "deleted");
        self.bin.insert(id, entry.server);
        self.publish(Event::Deleted { id });
        for reply in entry.waiting {
            reply.send(Ok(())).ok();
        }
    }

    // What is done.

    fn step(&mut self, id: ServerId, event: Happened) {
        let Some(entry) = self.servers.get_mut(&id) else {
            return;
        };
        let (course, effect) = entry.course.step(event);
        tracing::debug!(server = id.0, ?event, from = ?entry.course.life, to = ?course.life, ?effect);
        entry.turn += u64::from(entry.course.life != course.life);
        entry.course = course;
        if let Some(effect) = effect {
            self.act(id, effect);
        }
        self.tell(id);
    }

    // What is told.

    pub(super) fn view(&self, entry: &Entry) -> View {
        let definition = self.library.get(&entry.server.game);
        let mut view = entry.view(definition.map(Arc::as_ref), UnixMillis::now());
        view.owner = match entry.server.owner {
            BOX => "box".into(),
            owner => self
                .accounts
                .name_of(owner)
                .unwrap_or_else(|| format!("account {}", owner.0)),
        };
        view.folder = self.worker.files(view.id);
        view.notices.extend(self.worker.notices(&view.limits));
        view
    }

    /// Tells of a server, when anything about it has changed but the time that it is up.
    fn tell(&mut self, id: ServerId) {
        let Some(entry) = self
            .servers
            .get(&id)
            .filter(|entry| entry.course.life != Life::Gone)
        else {
            return;
        };
        let view = self.view(entry);
        let timeless = |view: &View| View {
            uptime_s: None,
            ..view.clone()
        };
        if entry.told.as_ref().map(timeless) == Some(timeless(&view)) {
            return;
        }
        if let Some(entry) = self.servers.get_mut(&id) {
            entry.told = Some(view.clone());
        }
        self.publish(Event::Changed {
            server: Box::new(view),
        });
    }

    fn publish(&mut self, event: Event) {
        let seq = self.next_news;
        self.next_news += 1;
        self.news.send(News { seq, event }).ok(); // nobody listening is no fault
    }
}

/// Passes on what one keeper says until it is lost.
async fn follow(
    id: ServerId,
    epoch: u64,
    client: Client,
    head: watch::Sender<u64>,
    worker: Worker,
    inputs: mpsc::Sender<Input>,
) {
    let (mut status, mut heads) = (client.status(), client.head());
    drop(client); // the connection ends when the keeper does
    status.mark_changed();
    heads.mark_changed();
    let grow =
        |to: u64| head.send_if_modified(|known| std::mem::replace(known, to.max(*known)) < to);
    loop {
        tokio::select! {
            changed = status.changed() => {
                if changed.is_err() {
                    break;
                }
                let now = status.borrow_and_update().clone();
                if inputs.send(Input::Status(id, epoch, now)).await.is_err() {
                    return;
                }
            }
            changed = heads.changed() => {
                if changed.is_err() {
                    break;
                }
                let now = *heads.borrow_and_update();
                grow(now);
            }
        }
    }
    grow(worker.head(id).await);
    // A full disk keeps what an earlier keeper wrote there.
    let told = status.borrow().clone();
    let written = worker.last_status(id).await;
    let last =
        written.filter(|written| written.keeper == told.keeper && written.revision > told.revision);
    let last = Some(last.unwrap_or(told));
    inputs.send(Input::Lost(id, epoch, last)).await.ok();
}
