//! What every door holds: rights are checked here, and each change is recorded before it is made.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::RangeInclusive,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
    time::Duration,
};

use tokio::sync::{Semaphore, broadcast, mpsc, oneshot, watch};

use super::classes::Class;
use super::library::{self, Library};
use super::lifecycle::Event as Happened;
use super::records::Server;
use super::service::{Command, Service};
use super::state::{BOX, PUBLIC, Rank};
use super::{Create, Fault, Game, HostingError, News, Patch, View};
use super::{scribe, sockets, steward};
use crate::accounts::{AccountId, Accounts, Principal, ServerId, Subject, Verb};
use crate::audit::{self, Audit};
use crate::keeper::Request;
use crate::store::{Catalog, Store};
use crate::worker::{Worker, WorkerError};

/// What hosting is told at start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The state folder; the caller holds its lock.
    pub state: PathBuf,
    /// The folder whose `games/` adds to the shipped definitions.
    pub data: Option<PathBuf>,
    /// The pool of ports.
    pub ports: RangeInclusive<u16>,
    /// The pool of user ids, used when the daemon is root.
    pub uids: RangeInclusive<u32>,
    /// Bytes of memory that all mounted servers may have together; none: no budget.
    pub memory: Option<u64>,
    /// How long a deleted server's folder stays in the recycle bin.
    pub recycle: Duration,
    /// Bytes of console history to keep per server.
    pub history: u64,
    /// The `longhouse` binary, which is the keeper too.
    pub program: PathBuf,
}

/// Longest line that can be typed into a console, in bytes.
const MAX_LINE: usize = 1024;
/// News that a slow listener may be behind.
const NEWS: usize = 1024;

/// Who owns which server, for rights that must be known at once. Locked for single look-ups only.
#[derive(Clone, Default)]
pub(super) struct Owners(Arc<RwLock<BTreeMap<ServerId, AccountId>>>);

impl Owners {
    pub(super) fn insert(&self, id: ServerId, owner: AccountId) {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id, owner);
    }

    pub(super) fn remove(&self, id: ServerId) {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&id);
    }

    pub(super) fn of(&self, id: ServerId) -> Option<AccountId> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&id)
            .copied()
    }
}

/// Cheap to clone; all that a door holds.
#[derive(Clone)]
pub struct Hosting {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) news: broadcast::Sender<News>,
    pub(super) library: Arc<Library>,
    pub(super) owners: Owners,
    pub(super) accounts: Accounts,
    pub(super) worker: Worker,
    audit: Audit,
}

/// Every fault of every definition, shipped or in `data`.
pub fn check(data: Option<&Path>) -> Vec<Fault> {
    library::load(data).1
}

/// Adds hosting's records to the store's catalog.
#[must_use]
pub fn catalog(catalog: Catalog) -> Catalog {
    catalog.with::<Server>().with::<Class>()
}

/// The handle to share and the task to run. Definitions that are not whole are logged and left out.
pub fn open(
    settings: Settings,
    store: Store,
    accounts: Accounts,
    audit: Audit,
) -> Result<(Hosting, impl Future<Output = ()> + use<>), HostingError> {
    let (library, faults) = library::load(settings.data.as_deref());
    for fault in faults {
        tracing::error!(%fault, "this game cannot be hosted");
    }
    let worker = Worker::open(&settings.state, settings.program.clone(), settings.history)?;
    let (commands, asked) = mpsc::channel(256);
    let (inputs, reported) = mpsc::channel(1024);
    let (jobs, to_write) = mpsc::channel(512);
    let (chores, due) = mpsc::channel(256);
    let (counting, counts) = watch::channel(None);
    let (news, _) = broadcast::channel(NEWS);
    let library = Arc::new(library);
    let hosting = Hosting {
        commands,
        news: news.clone(),
        library: library.clone(),
        owners: Owners::default(),
        accounts: accounts.clone(),
        worker: worker.clone(),
        audit: audit.clone(),
    };
    let (weak, pool) = (hosting.commands.downgrade(), settings.ports.clone());
    let mut service = Service {
        settings,
        store: store.clone(),
        accounts,
        worker: worker.clone(),
        library,
        owners: hosting.owners.clone(),
        classes: BTreeMap::new(),
        servers: BTreeMap::new(),
        bin: BTreeMap::new(),
        drafts: BTreeMap::new(),
        next_draft: 0,
        unseen: BTreeSet::new(),
        held: BTreeMap::new(),
        news,
        next_news: 1,
        scribe: jobs,
        inputs: inputs.clone(),
        looks: Arc::new(Semaphore::new(super::service::LOOKS)),
        counts,
        chores,
        measure: Some(std::time::Instant::now()),
    };
    service.load();
    let run = async move {
        let serving = async {
            tokio::join!(
                service.run(asked, reported),
                scribe::run(store, worker, to_write, inputs),
                steward::run(due, weak, audit),
            );
        };
        // Counting has no end of its own.
        tokio::select! {
            () = serving => {}
            () = sockets::run(pool, counting) => {}
        }
    };
    Ok((hosting, run))
}

impl From<WorkerError> for HostingError {
    fn from(error: WorkerError) -> Self {
        match error {
            WorkerError::Io { path, source } => Self::Io { path, source },
            WorkerError::Keeper(error)
            | WorkerError::Refused(error)
            | WorkerError::Silent(error) => Self::Keeper(error),
            // Only a launch meets the others, and nobody waits for that.
            error => Self::Io {
                path: PathBuf::new(),
                source: std::io::Error::other(error.to_string()),
            },
        }
    }
}

impl Hosting {
    /// The games that can be hosted.
    pub fn games(&self) -> Vec<Game> {
        self.library
            .values()
            .map(|definition| definition.game())
            .collect()
    }

    /// Whether `by` may do `verb` to the server; what they may not see is not there for them.
    pub(super) fn allow(
        &self,
        by: &Principal,
        verb: Verb,
        id: ServerId,
    ) -> Result<(), HostingError> {
        let owner = self.owners.of(id).ok_or(HostingError::NoSuchServer(id.0))?;
        let subject = Subject::Server { id, owner };
        if !self.accounts.allows(by, Verb::ServerView, subject) {
            return Err(HostingError::NoSuchServer(id.0));
        }
        if !self.accounts.allows(by, verb, subject) {
            let verb = verb.name();
            return Err(HostingError::Forbidden { id: id.0, verb });
        }
        Ok(())
    }

    pub(super) async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<T>) -> Command,
    ) -> Result<T, HostingError> {
        let (reply, answer) = oneshot::channel();
        self.commands
            .send(command(reply))
            .await
            .map_err(|_| HostingError::Closed)?;
        answer.await.map_err(|_| HostingError::Closed)
    }

    /// Records the action, does it, records how it went: to the end, even when whoever asked does not wait for it.
    pub(super) async fn act<T: Send + 'static>(
        &self,
        by: &Principal,
        action: &'static str,
        subject: String,
        detail: serde_json::Value,
        work: impl Future<Output = Result<T, HostingError>> + Send + 'static,
    ) -> Result<T, HostingError> {
        let (audit, actor) = (self.audit.clone(), by.actor.clone());
        let acting = async move { audit.run(&actor, action, subject, detail, work).await };
        to_the_end(acting).await
    }

    /// The servers that `by` may see, by id.
    pub async fn list(&self, by: &Principal) -> Result<Vec<View>, HostingError> {
        let mut views = self.ask(Command::List).await?;
        views.retain(|view| self.sees(by, view.id, view.owner_id));
        Ok(views.into_iter().map(|view| self.shown(by, view)).collect())
    }

    /// One server.
    pub async fn get(&self, by: &Principal, id: ServerId) -> Result<View, HostingError> {
        self.allow(by, Verb::ServerView, id)?;
        let view = self.ask(|reply| Command::Get(id, reply)).await??;
        Ok(self.shown(by, view))
    }

    /// Whether ceilings hold for them.
    fn rank(&self, by: &Principal) -> Rank {
        match self.accounts.allows(by, Verb::BoxManage, Subject::Box) {
            true => Rank::Administrator,
            false => Rank::Host,
        }
    }

    /// Creates a server, stopped. One transaction: when a step fails, those before it are undone.
    pub async fn create(&self, by: &Principal, wish: Create) -> Result<View, HostingError> {
        let owner = by.actor.account.map_or(BOX, AccountId);
        self.create_for(by, owner, wish).await
    }

    /// The same for somebody else, which only administrators may.
    pub(super) async fn create_for(
        &self,
        by: &Principal,
        owner: AccountId,
        wish: Create,
    ) -> Result<View, HostingError> {
        if !self.accounts.allows(by, Verb::ServerCreate, Subject::Box) {
            return Err(HostingError::MayNotCreate);
        }
        if by.actor.account.map_or(BOX, AccountId) != owner && self.rank(by) == Rank::Host {
            return Err(HostingError::MayNotCreateFor(owner.0));
        }
        let owner_name = match owner {
            BOX => "box".into(),
            owner => self.accounts.name_of(owner).ok_or(HostingError::Bad {
                field: "owner".into(),
                why: format!("there is no account {}", owner.0),
            })?,
        };
        let detail = serde_json::json!({ "game": wish.game.chars().take(40).collect::<String>() });
        let (hosting, rank) = (self.clone(), self.rank(by));
        let work = async move {
            let wish = Box::new(wish);
            let command = |reply| Command::Create {
                owner,
                owner_name,
                wish,
                rank,
                reply,
            };
            hosting.ask(command).await?
        };
        self.act(by, "server.create", "server".into(), detail, work)
            .await
    }

    /// Changes one.
    pub async fn update(
        &self,
        by: &Principal,
        id: ServerId,
        patch: Patch,
    ) -> Result<View, HostingError> {
        self.allow(by, Verb::ServerConfigure, id)?;
        // Values may be passwords; which settings they are is enough.
        let detail = serde_json::json!({
            "title": patch.title.is_some(),
            "version": patch.version.is_some(),
            "limits": patch.limits,
            "restart": patch.restart,
            "idle": patch.idle,
            "public": patch.public.as_ref().map(|paths| paths.iter().take(PUBLIC).collect::<Vec<_>>()),
            "settings": patch.settings.iter().flatten().map(|(name, _)| name).take(64).collect::<Vec<_>>(),
        });
        let (hosting, rank) = (self.clone(), self.rank(by));
        let work = async move {
            hosting
                .ask(|reply| Command::Update(id, Box::new(patch), rank, reply))
                .await?
        };
        self.act(by, "server.update", subject(id), detail, work)
            .await
    }

    pub(super) async fn power(
        &self,
        by: &Principal,
        id: ServerId,
        action: &'static str,
        event: Happened,
    ) -> Result<View, HostingError> {
        self.allow(by, Verb::ServerPower, id)?;
        let hosting = self.clone();
        let work = async move {
            hosting
                .ask(|reply| Command::Power(id, event, reply))
                .await?
        };
        let view = self.act(by, action, subject(id), serde_json::json!({}), work);
        Ok(self.shown(by, view.await?))
    }

    /// Wants it up. Returns as soon as that is durable; news tell the rest.
    pub async fn start(&self, by: &Principal, id: ServerId) -> Result<View, HostingError> {
        self.power(by, id, "server.start", Happened::Start).await
    }

    /// Wants it down, in the definition's way.
    pub async fn stop(&self, by: &Principal, id: ServerId) -> Result<View, HostingError> {
        self.power(by, id, "server.stop", Happened::Stop).await
    }

    /// Stops, then starts.
    pub async fn restart(&self, by: &Principal, id: ServerId) -> Result<View, HostingError> {
        self.power(by, id, "server.restart", Happened::Restart)
            .await
    }

    /// Wants it down, at once.
    pub async fn kill(&self, by: &Principal, id: ServerId) -> Result<View, HostingError> {
        self.power(by, id, "server.kill", Happened::Kill).await
    }

    /// Stops it, marks it, and moves its folder to the recycle bin; `confirm` must be its name. Returns once it is there.
    pub async fn delete(
        &self,
        by: &Principal,
        id: ServerId,
        confirm: &str,
    ) -> Result<(), HostingError> {
        self.allow(by, Verb::ServerDelete, id)?;
        let confirm = confirm.to_owned();
        let hosting = self.clone();
        let work = async move {
            hosting
                .ask(|reply| Command::Delete { id, confirm, reply })
                .await?
        };
        self.act(
            by,
            "server.delete",
            subject(id),
            serde_json::json!({}),
            work,
        )
        .await
    }

    /// Types `line` into its console.
    pub async fn command(
        &self,
        by: &Principal,
        id: ServerId,
        line: &str,
    ) -> Result<(), HostingError> {
        self.allow(by, Verb::ConsoleWrite, id)?;
        if line.len() > MAX_LINE || line.contains(['\n', '\r', '\0']) {
            return Err(HostingError::Bad {
                field: "line".into(),
                why: format!("must be one line of at most {MAX_LINE} bytes, without NUL"),
            });
        }
        // What follows the first word may be a password.
        let word: String = line
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .chars()
            .take(40)
            .collect();
        let line = line.as_bytes().to_vec();
        let hosting = self.clone();
        let work = async move {
            let client = hosting.ask(|reply| Command::Client(id, reply)).await??;
            Ok(client.ask(Request::Input(line)).await?)
        };
        let detail = serde_json::json!({ "command": word });
        self.act(by, "server.command", subject(id), detail, work)
            .await
    }
}

/// Runs `work` also when whoever asked for it does not wait any more.
pub(super) async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, HostingError>> + Send + 'static,
) -> Result<T, HostingError> {
    match tokio::spawn(audit::carried(work)).await {
        Ok(done) => done,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(HostingError::Closed),
        },
    }
}

pub(super) fn subject(id: ServerId) -> String {
    format!("server {}", id.0)
}
