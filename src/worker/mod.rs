//! Carries hosting's wishes out on this box: folders, installs, configuration, keepers, leftovers.
//!
//! Owns everything below `STATE/servers` and `STATE/recycled`. Refuses decisions: it is told what to do, does that one
//! thing, and says how it went. Answers seed 003 (manman's worker). A worker on another box would offer the same
//! methods over the network; hosting knows nothing of this one but them.
//!
//! ```text
//!  launch = keeper alive? connect : sweep ─► folders ─► install (once per version) ─► files ─► spec.json ─► keeper
//!
//!  STATE            0711   a server's user passes through, and reads nothing
//!   ├ versions/GAME 0755   versions that all servers share, read-only to them
//!   └ servers/ID    0711   server.json 0600 (the record, in JSON), installed 0600, mounted 0600
//!      ├ files/     0700   the game's, owned by the server's user; HOME
//!      ├ run/       0700   the keeper's
//!      └ console/   0700   the keeper's
//! ```
//!
//! Limits that this box cannot enforce are said in the server's notices and on its console; the server runs all the same.

mod archive;
mod ends;
mod folder;
mod ini;
pub(crate) mod install;
mod journal;
mod mount;
mod plan;
pub(crate) mod remove;

use std::{
    fs, io,
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use crate::accounts::ServerId;
use crate::console::Reader;
use crate::hosting::definition::Definition;
use crate::hosting::records::Server;
use crate::hosting::{Limits, ports::is_free};
use crate::keeper::{self, Client, KeeperError, Status};
use crate::sandbox::cgroup::{self, Hierarchy};
use journal::Journal;
pub(crate) use mount::{Mounted, Usage};
use plan::Place;

/// How long a launch waits for a keeper that neither answers nor goes, and for a port to become free.
const PATIENCE: Duration = Duration::from_secs(5);
const MOMENT: Duration = Duration::from_millis(20);
/// How many keepers come up at the same time: each has a while to do so, and a box that starts has a thousand.
const TOGETHER: usize = 16;

/// A server as it should be, and its game.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) server: Server,
    pub(crate) definition: Arc<Definition>,
}

/// What goes wrong on this box.
#[derive(Debug, thiserror::Error)]
pub(crate) enum WorkerError {
    #[error("{path}: {source}")]
    Io { path: PathBuf, source: io::Error },
    #[error("installing from {from}: {source}")]
    Install { from: PathBuf, source: io::Error },
    #[error("{0}")]
    Missing(String),
    #[error("port {0} is held by another program")]
    PortTaken(u16),
    #[error("told to stop before it ran")]
    Canceled,
    /// No keeper runs there now.
    #[error(transparent)]
    Keeper(#[from] KeeperError),
    /// None runs there, and it said why.
    #[error(transparent)]
    Refused(KeeperError),
    /// One runs there, and does not answer.
    #[error("its keeper does not answer: {0}")]
    Silent(KeeperError),
}

/// What was found of a server after a start of the daemon.
pub(crate) enum Found {
    /// Its keeper, which went on all the while.
    Alive(Client),
    /// No keeper, and the status that the last one wrote.
    Ended(Option<Status>),
}

/// This box. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Worker(Arc<Inner>);

struct Inner {
    state: PathBuf,
    /// Our own binary, which is the keeper too.
    program: PathBuf,
    history: u64,
    root: bool,
    hierarchy: Option<Hierarchy>,
    controllers: Vec<&'static str>,
    turns: Semaphore,
    /// Held while a spec is written: a launch and a change may come together.
    spec: Mutex<()>,
    /// Held while a version is unpacked for all.
    sharing: tokio::sync::Mutex<()>,
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> WorkerError + '_ {
    |source| WorkerError::Io {
        path: path.into(),
        source,
    }
}

/// Runs what blocks aside.
async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| error.try_into_panic())
    {
        Ok(done) => done,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        // The runtime is shutting down, and this task with it.
        Err(Err(_)) => std::future::pending().await,
    }
}

impl Worker {
    /// Makes the folders below `state` that are absent.
    pub(crate) fn open(state: &Path, program: PathBuf, history: u64) -> Result<Self, WorkerError> {
        let state = std::path::absolute(state).map_err(at(state))?;
        for (folder, mode) in [("", 0o711), ("servers", 0o711), ("recycled", 0o700)] {
            let path = state.join(folder);
            make(&path, mode).map_err(at(&path))?;
        }
        let hierarchy = Hierarchy::find()
            .inspect_err(|why| tracing::info!(%why, "no cgroups"))
            .ok();
        Ok(Self(Arc::new(Inner {
            controllers: hierarchy
                .as_ref()
                .map(Hierarchy::controllers)
                .unwrap_or_default(),
            hierarchy,
            root: nix::unistd::geteuid().is_root(),
            turns: Semaphore::new(TOGETHER),
            spec: Mutex::new(()),
            sharing: tokio::sync::Mutex::new(()),
            state,
            program,
            history,
        })))
    }

    fn home(&self, id: ServerId) -> PathBuf {
        self.0.state.join("servers").join(id.0.to_string())
    }

    fn recycled(&self) -> PathBuf {
        self.0.state.join("recycled")
    }

    fn run(&self, id: ServerId) -> PathBuf {
        self.home(id).join("run")
    }

    /// Versions that all servers share.
    fn versions(&self) -> PathBuf {
        self.0.state.join("versions")
    }

    /// The game's own folder.
    pub(crate) fn files(&self, id: ServerId) -> PathBuf {
        self.home(id).join("files")
    }

    /// Its console to read.
    pub(crate) fn console(&self, id: ServerId) -> Reader {
        Reader::new(self.home(id).join("console"))
    }

    /// Whether a server's folder is (still) among the servers.
    pub(crate) fn has(&self, id: ServerId) -> bool {
        self.home(id).exists()
    }

    /// What an owner should know of isolation and limits that this box cannot give.
    pub(crate) fn notices(&self, limits: &Limits) -> Vec<String> {
        let mut notices = Vec::new();
        if !self.0.root {
            notices.push("this game runs as the user of the daemon, since that is not root".into());
        }
        let mut limit = |asked: bool, controller: &str, name: &str| {
            if asked && !self.0.controllers.contains(&controller) {
                notices.push(format!(
                    "the {name} limit is not enforced: no {controller} controller of cgroup v2 for us here"
                ));
            }
        };
        limit(limits.memory.is_some(), "memory", "memory");
        limit(limits.cpu_percent.is_some(), "cpu", "processor");
        // As root it is enforced by the server's own user.
        limit(limits.pids.is_some() && !self.0.root, "pids", "process");
        notices
    }

    /// Writes the record beside the server, readable, so that a lost store can be rebuilt by hand. Blocking.
    pub(crate) fn manifest(&self, server: &Server) -> io::Result<()> {
        let home = self.home(server.id);
        make(&home, 0o711)?;
        let text = serde_json::to_vec_pretty(server).expect("records are text, numbers and lists");
        replace(&home.join("server.json"), &text)
    }

    /// Whether a keeper is there. Costs one connection at most.
    pub(crate) async fn look(&self, id: ServerId) -> Result<Found, WorkerError> {
        let run = self.run(id);
        let folder = run.clone();
        let (status, alive) = aside(move || {
            if folder.exists() {
                keeper::last_status(&folder)
            } else {
                Ok((None, false))
            }
        })
        .await?;
        match alive {
            true => match Client::connect(&run).await {
                Ok(client) => Ok(Found::Alive(client)),
                Err(error) => Err(WorkerError::Silent(error)),
            },
            false => Ok(Found::Ended(status)),
        }
    }

    /// The status that the last keeper left.
    pub(crate) async fn last_status(&self, id: ServerId) -> Option<Status> {
        let run = self.run(id);
        aside(move || {
            keeper::last_status(&run)
                .ok()
                .and_then(|(status, _)| status)
        })
        .await
    }

    /// The console's newest sequence number, from its files.
    pub(crate) async fn head(&self, id: ServerId) -> u64 {
        let mut console = self.console(id);
        aside(move || console.head().unwrap_or(0)).await
    }

    /// Starts a keeper, or finds the one that is there. `installing` is called when an install begins; `head` hears
    /// of what is said on the console meanwhile.
    pub(crate) async fn launch(
        &self,
        order: &Order,
        head: watch::Sender<u64>,
        cancel: &CancellationToken,
        installing: impl AsyncFnOnce(),
    ) -> Result<Found, WorkerError> {
        let id = order.server.id;
        let patience = Instant::now() + PATIENCE;
        let before = loop {
            match self.look(id).await {
                Ok(Found::Ended(status)) => break status,
                Err(WorkerError::Silent(_)) if Instant::now() < patience => {
                    // One that has just stopped holds its lock a moment longer than its socket.
                    tokio::time::sleep(MOMENT).await;
                }
                found => return found,
            }
        };
        self.sweep(&order.server).await?;
        let mut journal = self.journal(id, head).await?;
        let ready = async {
            self.ports(order, cancel).await?;
            self.prepare(order, &mut journal, cancel, installing).await
        };
        let ready = ready.await;
        if let Err(error) = &ready {
            journal.say(&format!("not started: {error}")).await;
        }
        journal.close().await;
        ready?;
        let turn = self.0.turns.acquire().await;
        let error = match keeper::launch(&self.0.program, &self.run(id)).await {
            Ok(client) => return Ok(Found::Alive(client)),
            Err(error) => error,
        };
        drop(turn);
        let revision = |status: &Status| status.revision;
        match self.look(id).await? {
            Found::Ended(status)
                if status.as_ref().map(revision) == before.as_ref().map(revision) =>
            {
                // It wrote nothing: it never was.
                Err(match error {
                    KeeperError::Refused(_) => WorkerError::Refused(error),
                    error => WorkerError::Keeper(error),
                })
            }
            found => Ok(found),
        }
    }

    /// The console, to be written while no keeper does, and the folders around it.
    async fn journal(
        &self,
        id: ServerId,
        head: watch::Sender<u64>,
    ) -> Result<Journal, WorkerError> {
        let home = self.home(id);
        for (folder, mode) in [("", 0o711), ("run", 0o700), ("console", 0o700)] {
            let path = home.join(folder);
            make(&path, mode).map_err(at(&path))?;
        }
        Ok(Journal::open(home.join("console"), self.0.history, head).await)
    }

    /// Waits a while for its ports: whoever held one a moment ago may be gone by now: a boot, a test, a browser.
    async fn ports(&self, order: &Order, cancel: &CancellationToken) -> Result<(), WorkerError> {
        let mut patience = PATIENCE;
        while let Some(held) = order.server.ports.iter().find(|port| !is_free(port)) {
            if patience.is_zero() || cancel.is_cancelled() {
                return Err(WorkerError::PortTaken(held.number));
            }
            tokio::time::sleep(MOMENT).await;
            patience = patience.saturating_sub(MOMENT);
        }
        Ok(())
    }

    async fn prepare(
        &self,
        order: &Order,
        journal: &mut Journal,
        cancel: &CancellationToken,
        installing: impl AsyncFnOnce(),
    ) -> Result<(), WorkerError> {
        if let Some(why) = install::missing(&order.definition, &order.server.version) {
            return Err(WorkerError::Missing(why));
        }
        {
            let _turn = self.0.sharing.lock().await;
            install::share(order, &self.versions(), journal, cancel).await?;
        }
        let id = order.server.id;
        let (mark, files) = (self.home(id).join("installed"), self.files(id));
        let user = self.user(&order.server);
        let wanted = install::identity(order);
        if let Some(wanted) = wanted
            && fs::read_to_string(&mark).ok().as_ref() != Some(&wanted)
        {
            installing().await;
            // The spec comes first: by it, whatever an installer leaves behind is found and ended.
            let (worker, early, folder) = (self.clone(), order.clone(), files.clone());
            let marked = aside(move || -> Result<String, WorkerError> {
                folder::Folder::open(&folder, user).map_err(at(&folder))?;
                worker.write(&early, false)?;
                let run = worker.run(id);
                let run = run.canonicalize().map_err(at(&run))?;
                Ok(keeper::mark(&run, id.0))
            })
            .await?;
            // From here on, whatever was there is not whole.
            match fs::remove_file(&mark) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(at(&mark)(error));
                }
                _ => {}
            }
            install::install(order, &files, user, &marked, journal, cancel).await?;
            replace(&mark, wanted.as_bytes()).map_err(at(&mark))?;
            journal.say("installed").await;
        }
        for notice in self.notices(&order.server.limits) {
            journal.say(&notice).await;
        }
        let (worker, order) = (self.clone(), order.clone());
        let unmet = aside(move || {
            let unmet = worker.write(&order, true)?;
            worker.note_mounted(&order.server)?;
            Ok::<_, WorkerError>(unmet)
        })
        .await?;
        for limit in unmet {
            journal
                .say(&format!(
                    "the {} limit is not enforced: {}",
                    limit.controller, limit.why
                ))
                .await;
        }
        if cancel.is_cancelled() {
            return Err(WorkerError::Canceled);
        }
        Ok(())
    }

    /// The user that a server's files and processes belong to; none when we are not root.
    pub(crate) fn user(&self, server: &Server) -> Option<u32> {
        self.0.root.then_some(server.uid)
    }

    /// Renders the files (when `files`) and writes the spec. Blocking.
    fn write(&self, order: &Order, files: bool) -> Result<Vec<cgroup::Unmet>, WorkerError> {
        let _writing = self.0.spec.lock().unwrap_or_else(PoisonError::into_inner);
        let id = order.server.id;
        let home = self.home(id);
        let limits = cgroup::Limits {
            memory: order.server.limits.memory,
            cpu_percent: order.server.limits.cpu_percent,
            pids: order.server.limits.pids,
        };
        let placed = match &self.0.hierarchy {
            Some(hierarchy) => Some(
                hierarchy
                    .place(&self.0.state, id.0, &limits)
                    .map_err(at(&home))?,
            ),
            None => None,
        };
        let (cgroup, unmet) = placed.map_or((None, Vec::new()), |placed| {
            (Some(placed.path), placed.unmet)
        });
        let place = Place {
            files: self.files(id),
            shared: install::shared(order, &self.versions()).unwrap_or_default(),
            console: home.join("console"),
            history: self.0.history,
            user: self.user(&order.server),
            cgroup,
        };
        if files {
            order.render(&place).map_err(at(&place.files))?;
        }
        let path = self.run(id).join("spec.json");
        let spec = serde_json::to_vec_pretty(&order.spec(&place))
            .expect("a spec is text, numbers and lists");
        replace(&path, &spec).map_err(at(&path))?;
        Ok(unmet)
    }

    /// Writes the spec anew for a running server, so that its keeper's next start of the game takes it. Its files stay:
    /// the game may be writing them.
    pub(crate) async fn rewrite(&self, mut order: Order) -> Result<(), WorkerError> {
        let worker = self.clone();
        let rewritten = move || {
            // Another version does not come without an install, which only a mount brings.
            if let Some(version) = worker.mounted_version(order.server.id) {
                order.server.version = version;
            }
            worker.write(&order, false)
        };
        aside(rewritten).await.map(drop)
    }
}

fn make(path: &Path, mode: u32) -> io::Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)?;
    fs::set_permissions(path, PermissionsExt::from_mode(mode))
}

/// Writes a file of ours as a whole, or not at all.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let fresh = path.with_extension("new");
    let mut file = fs::File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)?;
    let written = file.write_all(content).and_then(|()| file.sync_data());
    let replaced = written.and_then(|()| fs::rename(&fresh, path));
    if replaced.is_err() {
        fs::remove_file(&fresh).ok(); // a full disk has no room for halves
    }
    replaced
}

#[cfg(test)]
mod tests;
