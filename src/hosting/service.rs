//! The one task that owns all servers. All waiting is in `run`, all change in the synchronous methods below it.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::sync::{Semaphore, broadcast, mpsc, oneshot, watch};

use super::classes::{CLASSES, Class, shipped};
use super::handle::{Owners, Settings};
use super::idle::Due;
use super::library::Library;
use super::lifecycle::{Effect, Event as Happened, Life};
use super::players::Seen;
use super::records::{Mark, SERVERS, Server};
use super::scribe::{Change, Job, Reply, Then};
use super::sockets::Counts;
use super::state::{BOX, Entry, Rank};
use super::steward;
use super::{Create, Event, Home, HostingError, News, Patch, View};
use crate::accounts::{AccountId, Accounts, ServerId};
use crate::clock::UnixMillis;
use crate::console::Reader;
use crate::keeper::{Client, Status};
use crate::store::{Store, StoreError};
use crate::worker::{Found, Mounted, Usage, Worker, WorkerError};

/// How many servers are looked after at the same time when the daemon starts.
pub(super) const LOOKS: usize = 64;
/// How often the recycle bin is looked through.
const PURGE: Duration = Duration::from_secs(3600);
/// How often idle rules are looked at.
const BEAT: Duration = Duration::from_secs(1);

/// What doors ask.
pub(super) enum Command {
    List(oneshot::Sender<Vec<View>>),
    Get(ServerId, Reply),
    Create {
        owner: AccountId,
        owner_name: String,
        wish: Box<Create>,
        rank: Rank,
        reply: Reply,
    },
    Update(ServerId, Box<Patch>, Rank, Reply),
    /// Start, stop, restart, kill.
    Power(ServerId, Happened, Reply),
    Delete {
        id: ServerId,
        confirm: String,
        reply: oneshot::Sender<Result<(), HostingError>>,
    },
    /// Prepare it, and start nothing; answered when that is done.
    Mount(ServerId, Reply),
    /// How it is, if mounting it would do nothing.
    Mounts(ServerId, oneshot::Sender<Option<View>>),
    /// Give back what was prepared, for this reason; answered when that is done.
    Unmount(ServerId, String, Reply),
    /// What a rule wants, if it still does.
    Rule(ServerId, Due, Reply),
    /// Give it a new mark; the file is the asker's to write.
    Mark(
        ServerId,
        oneshot::Sender<Result<(Server, Mark), HostingError>>,
    ),
    /// Its record, if it is stopped or that does not matter.
    Record(
        ServerId,
        bool,
        oneshot::Sender<Result<Server, HostingError>>,
    ),
    Classes(oneshot::Sender<Vec<Class>>),
    SetClass(Class, oneshot::Sender<Result<Class, HostingError>>),
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
        result: Box<Result<Option<Server>, StoreError>>,
        then: Then,
    },
    /// Its folder is laid out, or could not be.
    LaidOut(u64, Box<Server>, Result<(), WorkerError>, Reply),
    /// With the console's head, and what is mounted.
    Found(ServerId, Result<Found, WorkerError>, u64, Option<Mounted>),
    /// With what is mounted now.
    Mounted(ServerId, Result<(), WorkerError>, Option<Mounted>),
    Unmounted(ServerId, Result<(), WorkerError>),
    /// Who plays, and what its console shall say of that.
    Players(ServerId, u64, Seen, Option<&'static str>),
    Measured(Vec<(ServerId, Usage)>),
    Installing(ServerId),
    /// With what is mounted now.
    Launched(ServerId, Result<Found, WorkerError>, Option<Mounted>),
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
    pub(super) classes: BTreeMap<u8, Class>,
    pub(super) servers: BTreeMap<ServerId, Entry>,
    /// Deleted ones whose folders are in the recycle bin.
    pub(super) bin: BTreeMap<ServerId, Server>,
    /// Those on their way to the disk for the first time, which hold their ports and users already.
    pub(super) drafts: BTreeMap<u64, Server>,
    pub(super) next_draft: u64,
    /// Those that have not been looked for yet since the daemon started.
    pub(super) unseen: BTreeSet<ServerId>,
    /// Those that were up and are not, with how they were found: each waits for its turn to be started again.
    pub(super) held: BTreeMap<ServerId, Happened>,
    pub(super) news: broadcast::Sender<News>,
    pub(super) next_news: u64,
    pub(super) scribe: mpsc::Sender<Job>,
    pub(super) inputs: mpsc::Sender<Input>,
    pub(super) looks: Arc<Semaphore>,
    /// Established connections, by port.
    pub(super) counts: watch::Receiver<Counts>,
    /// What rules want.
    pub(super) chores: mpsc::Sender<steward::Chore>,
    /// When files are measured next; none while they are.
    pub(super) measure: Option<Instant>,
}

impl Service {
    /// Reads the store.
    pub(super) fn load(&mut self) {
        self.classes = shipped();
        for record in self.store.scan(CLASSES, b"") {
            match record {
                Ok((_, class)) => drop(self.classes.insert(class.number, class)),
                Err(error) => {
                    tracing::error!(%error, "a class cannot be read; it is as it ships");
                }
            }
        }
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
        self.unseen = self.servers.keys().copied().collect();
        for id in self.unseen.clone() {
            self.act(id, Effect::Look);
        }
        let mut purge = tokio::time::interval(PURGE);
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
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
                _ = beat.tick() => self.beat(UnixMillis::now()),
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

    // What is done.

    pub(super) fn step(&mut self, id: ServerId, event: Happened) {
        let Some(entry) = self.servers.get_mut(&id) else {
            return;
        };
        let (course, effect) = entry.course.step(event);
        tracing::debug!(server = id.0, ?event, from = ?entry.course.life, to = ?course.life, ?effect);
        if entry.course.life != course.life {
            entry.turn += 1;
            entry.due = None;
        }
        entry.course = course;
        if let Some(effect) = effect {
            self.act(id, effect);
        }
        self.tell(id);
    }

    // What is told.

    pub(super) fn view(&self, entry: &Entry) -> View {
        let definition = self.library.get(&entry.server.game);
        let definition = definition.map(Arc::as_ref);
        let class = self.class(entry.server.class);
        let mut view = entry.view(definition, class, UnixMillis::now());
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
    pub(super) fn tell(&mut self, id: ServerId) {
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

    pub(super) fn publish(&mut self, event: Event) {
        let seq = self.next_news;
        self.next_news += 1;
        self.news.send(News { seq, event }).ok(); // nobody listening is no fault
    }
}
