//! Where table games run: each table is one process of its own, and one link to it.
//!
//! ```text
//!  launch ─► a place ─► process ─► LAUNCH ─► the game speaks ─► ... ─► DONE, or anything else
//!              │           │                      │                        │
//!              ▼           ▼                      ▼                        ▼
//!         CannotStart  CannotStart       NotReady, Nonsense,       nothing of it is left:
//!                                        Flooded, Deaf, Killed     the place is free, Ended is sent
//! ```
//!
//! A game that breaks a rule ends its own table and nothing else. Whatever happens, there is one [`Event::Ended`] per
//! launch, and it is the last event.

use std::{
    collections::BTreeSet,
    fmt, io,
    ops::RangeInclusive,
    os::{fd::OwnedFd, unix::net::UnixStream as Pair},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use tokio::sync::{mpsc, watch};

use super::{
    link::{self, Line},
    process::{Process, Recipe, Spawner, command, folder_name},
    wire::{DecodeError, FromGame, ToGame},
};
use crate::{
    lobby::definition::TableGame,
    sandbox::{cgroup::Hierarchy, process::Ended, spawn::SpawnError},
};

/// Messages that may wait for a game to read them.
const ORDERS: usize = 256;

/// How tables are run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The state folder; games' data is in `tables/` below it.
    pub state: PathBuf,
    /// Used when this program is root: a user per table, a group per game type. Nobody else may have them.
    pub uids: RangeInclusive<u32>,
    /// Tables at once.
    pub most: usize,
    /// How long games are waited for.
    pub patience: Patience,
}

/// How long games are waited for.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// From its start until it says its first state.
    pub ready: Duration,
    /// Until it reads anything of what it was sent.
    pub reading: Duration,
    /// To end by itself, when it is done, has hung up, or was asked to.
    pub ending: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            ready: Duration::from_secs(10),
            reading: Duration::from_secs(10),
            ending: Duration::from_secs(3),
        }
    }
}

/// What a table tells.
#[derive(Debug)]
pub enum Event {
    /// The game has said this. Every state has been answered already.
    Said(FromGame),
    /// The game is over, and no process of it is left. The last event.
    Ended(End),
}

/// What became of a game.
#[derive(Debug, thiserror::Error)]
pub enum End {
    /// It said that it was done.
    #[error("the game is over")]
    Done,
    /// It was ended by the lobby.
    #[error("the table was closed")]
    Killed,
    /// There never was a process.
    #[error("the game cannot be started: {0}")]
    CannotStart(#[from] Start),
    /// It did not speak in time.
    #[error("the game did not become ready")]
    NotReady,
    /// Its process ended before it was done.
    #[error("the game ended unexpectedly with {0}")]
    Crashed(Ended),
    /// It closed its link before it was done, and went on.
    #[error("the game hung up")]
    HungUp,
    /// It sent what no game sends.
    #[error("the game sent nonsense: {0}")]
    Nonsense(#[from] DecodeError),
    /// It sent more than a game has to say.
    #[error("the game sent too many messages")]
    Flooded,
    /// It did not read what it was sent.
    #[error("the game does not listen")]
    Deaf,
}

/// Why there is no process.
#[derive(Debug, thiserror::Error)]
pub enum Start {
    /// As many tables as there may be.
    #[error("{0} tables are running already")]
    Full(usize),
    /// All users of the pool are in use.
    #[error("no user is left to run it")]
    NoUser,
    /// A relative program of a definition that lies in no folder.
    #[error("`{0}` is relative to no folder")]
    Nowhere(String),
    /// Its data folder cannot be had.
    #[error("the folder {path}: {source}")]
    Folder {
        /// Which.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The program does not start.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// The kernel gives no socket, no process descriptor, or no thread.
    #[error("{0}")]
    System(io::Error),
    /// The box is being stopped.
    #[error("the box is being stopped")]
    Over,
}

/// Runs tables. When the last copy and the last table are gone, so is the thread that starts them.
#[derive(Clone)]
pub struct Stage(Arc<Inner>);

struct Inner {
    settings: Settings,
    root: bool,
    cgroups: Option<Hierarchy>,
    /// What no other stage marks its games with.
    mark: String,
    spawner: Spawner,
    /// Held for a moment by whoever takes or leaves a place; drops cannot wait for an owner's answer.
    places: Mutex<Places>,
}

#[derive(Default)]
struct Places {
    taken: BTreeSet<usize>,
    /// Tables so far.
    launched: u64,
}

impl fmt::Debug for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Stage").field(&self.0.settings).finish()
    }
}

impl Stage {
    /// An empty stage.
    ///
    /// # Errors
    /// The kernel gives no thread.
    pub fn new(settings: Settings) -> io::Result<Self> {
        Ok(Self(Arc::new(Inner {
            settings,
            root: nix::unistd::geteuid().is_root(),
            cgroups: Hierarchy::find().ok(),
            mark: crate::lobby::secret(),
            spawner: Spawner::new()?,
            places: Mutex::default(),
        })))
    }

    /// Tables that run, and those whose remains are being cleared away.
    pub fn tables(&self) -> usize {
        self.0.places().taken.len()
    }

    /// Starts a table of `game`, with `args` behind its own arguments, and tells it `first`. Never waits and never
    /// fails at once: whatever happens comes as an event with this `key`, the last of them [`Event::Ended`].
    /// To be called within a tokio runtime.
    pub fn launch<K: Clone + Send + Sync + 'static>(
        &self,
        key: K,
        game: &Arc<TableGame>,
        args: &[String],
        first: ToGame,
        events: mpsc::Sender<(K, Event)>,
    ) -> Link {
        let (orders, queue) = mpsc::channel(ORDERS);
        let (wish, wished) = watch::channel(Wish::Play);
        let link = Link {
            orders: orders.clone(),
            wish,
        };
        link.tell(first, None);
        let (stage, game, args) = (self.clone(), game.clone(), args.to_vec());
        tokio::spawn(async move {
            let line = Line {
                game: game.name.clone(),
                answers: orders,
                queue,
                wished,
                patience: stage.0.settings.patience,
            };
            let end = match stage.start(&game, &args).await {
                Err(why) => End::CannotStart(why),
                // The place is left only when nothing of the game is.
                Ok((_place, process, ours)) => link::run(line, process, ours, &key, &events).await,
            };
            tracing::debug!(game = game.name, "{end}");
            events.send((key, Event::Ended(end))).await.ok();
        });
        link
    }

    async fn start(
        &self,
        game: &TableGame,
        args: &[String],
    ) -> Result<(Place, Process, Pair), Start> {
        let place = Place::take(&self.0)?;
        let argv = command(game, args)?;
        let (ours, theirs) = Pair::pair().map_err(Start::System)?;
        ours.set_nonblocking(true).map_err(Start::System)?;
        let settings = &self.0.settings;
        let recipe = Recipe {
            argv,
            tables: settings.state.join("tables"),
            folder: folder_name(&game.title.text),
            user: place.user.map(|uid| (uid, settings.uids.clone())),
            place: place.number,
            mark: format!("{}-{}", self.0.mark, place.serial),
            cgroups: self.0.cgroups.clone(),
            channel: theirs.into(),
        };
        Ok((place, self.0.spawner.spawn(recipe).await?, ours))
    }
}

impl Inner {
    fn places(&self) -> std::sync::MutexGuard<'_, Places> {
        // Nothing in here can panic midway.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of the tables that there may be, and its user.
struct Place {
    stage: Arc<Inner>,
    number: usize,
    serial: u64,
    user: Option<u32>,
}

impl Place {
    fn take(stage: &Arc<Inner>) -> Result<Self, Start> {
        let mut places = stage.places();
        let mut all = 0..stage.settings.most;
        let free = all.find(|number| !places.taken.contains(number));
        let number = free.ok_or(Start::Full(stage.settings.most))?;
        let user = match stage.root {
            false => None,
            true => Some(
                stage
                    .settings
                    .uids
                    .clone()
                    .nth(number)
                    .ok_or(Start::NoUser)?,
            ),
        };
        places.taken.insert(number);
        places.launched += 1;
        Ok(Self {
            stage: stage.clone(),
            number,
            serial: places.launched,
            user,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.stage.places().taken.remove(&self.number);
    }
}

/// What is wanted of a game.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// Go on.
    Play,
    /// End.
    End,
    /// End: it reads nothing.
    GiveUp,
}

/// To a running game. Dropped, it ends the game.
#[derive(Debug)]
pub struct Link {
    orders: mpsc::Sender<(ToGame, Option<OwnedFd>)>,
    wish: watch::Sender<Wish>,
}

impl Link {
    /// Sends the game a message, with the connection that belongs to it; the game gets that in blocking mode, and here
    /// it is closed. Never waits: a game for which too much waits is ended as [`End::Deaf`]. To an ended one it is lost.
    pub fn tell(&self, message: ToGame, passed: Option<OwnedFd>) {
        if message.carries() != passed.is_some() {
            tracing::error!(
                ?message,
                "not sent: its descriptor is missing, or is none of its own"
            );
            return;
        }
        if let Some(passed) = &passed {
            let flags = fcntl(passed, FcntlArg::F_GETFL).unwrap_or(0);
            let flags = OFlag::from_bits_retain(flags) - OFlag::O_NONBLOCK;
            fcntl(passed, FcntlArg::F_SETFL(flags)).ok();
        }
        if let Err(mpsc::error::TrySendError::Full(_)) = self.orders.try_send((message, passed)) {
            self.want(Wish::GiveUp);
        }
    }

    /// Asks the game to end, and kills it when it does not.
    pub fn end(&self) {
        self.want(Wish::End);
    }

    fn want(&self, wish: Wish) {
        self.wish.send_if_modified(|old| {
            let first = *old == Wish::Play;
            if first {
                *old = wish;
            }
            first
        });
    }
}
