//! What the owning task knows of one server, and how people read it. Synchronous; no effects.

use std::time::Instant;

use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::classes::Class;
use super::definition::Definition;
use super::lifecycle::{Course, Life, Want};
use super::players::Seen;
use super::records::Server;
use super::scribe::Reply;
use super::{Create, Desired, Exit, HostingError, Limits, Online, Patch, State, View};
use crate::accounts::AccountId;
use crate::clock::UnixMillis;
use crate::keeper::{Client, Phase, Status};

/// The owner of what root makes on the control socket.
pub(super) const BOX: AccountId = AccountId(0);

/// Paths that a server's owner can make public.
pub(super) const PUBLIC: usize = 32;

/// One server.
pub(super) struct Entry {
    /// As it was last asked to be; on its way to the disk, perhaps.
    pub(super) server: Server,
    pub(super) course: Course,
    pub(super) client: Option<Client>,
    /// Counts the turns of its life: a tick of an earlier one is none.
    pub(super) turn: u64,
    /// How many keepers in a row did not last.
    pub(super) misses: u32,
    /// Since when there is a keeper.
    pub(super) kept: Instant,
    /// Counts keepers: news of an earlier one are no news.
    pub(super) epoch: u64,
    /// What the keeper last said, the present one or the one before.
    pub(super) status: Option<Status>,
    /// Why it could not be launched.
    pub(super) trouble: Option<Exit>,
    pub(super) installing: bool,
    /// The spec is being written for its keeper.
    pub(super) writing: bool,
    /// What was changed since the spec was last written, or while it was.
    pub(super) stale: bool,
    /// Makes the launch that is under way leave off.
    pub(super) cancel: CancellationToken,
    /// The console's newest sequence number, for the daemon's whole life.
    pub(super) head: watch::Sender<u64>,
    /// Those who wait until it is deleted.
    pub(super) waiting: Vec<oneshot::Sender<Result<(), HostingError>>>,
    /// Those who wait until it is mounted or unmounted.
    pub(super) mounting: Vec<Reply>,
    /// Since when it is prepared, or being so; its share of the box is reserved.
    pub(super) mounted: Option<UnixMillis>,
    /// The version that was prepared last, which is the one that runs.
    pub(super) prepared: Option<String>,
    /// Why it is being unmounted, for its console.
    pub(super) because: String,
    /// Who plays, as its watcher last said.
    pub(super) crowd: Option<Seen>,
    /// When something was last found to be due.
    pub(super) due: Option<Instant>,
    /// Bytes that its files took when they were last measured.
    pub(super) used: Option<u64>,
    /// As it was last told.
    pub(super) told: Option<View>,
}

impl Entry {
    pub(super) fn new(server: Server, life: Life) -> Self {
        let want = match (server.deleted, server.desired) {
            (Some(_), _) => Want::Gone,
            (None, Desired::Up) => Want::Up,
            (None, Desired::Down) => Want::Down,
        };
        Self {
            server,
            course: Course { want, life },
            client: None,
            turn: 0,
            misses: 0,
            kept: Instant::now(),
            epoch: 0,
            status: None,
            trouble: None,
            installing: false,
            writing: false,
            stale: false,
            cancel: CancellationToken::new(),
            head: watch::Sender::new(0),
            waiting: Vec::new(),
            mounting: Vec::new(),
            mounted: None,
            prepared: None,
            because: String::new(),
            crowd: None,
            due: None,
            used: None,
            told: None,
        }
    }

    /// What its keeper says, while it has one.
    fn phase(&self) -> Option<Phase> {
        let kept = matches!(self.course.life, Life::Kept | Life::Ending);
        self.status
            .as_ref()
            .filter(|_| kept)
            .map(|status| status.phase)
    }

    pub(super) fn state(&self) -> State {
        match (self.course.life, self.course.want) {
            (Life::Looking, Want::Up) => State::Starting,
            (Life::Looking, Want::Down) | (Life::Down, _) => State::Stopped,
            (Life::Failed, _) => State::Failed,
            (Life::Launching | Life::Mounting, _) if self.installing => State::Installing,
            (Life::Mounting | Life::Unmounting, Want::Down) => State::Stopped,
            (Life::Mounting | Life::Unmounting, Want::Up) => State::Starting,
            (Life::Launching, _) => State::Starting,
            (Life::Kept, _) => match self.phase() {
                None | Some(Phase::Starting) => State::Starting,
                Some(Phase::Up) => State::Running,
                Some(Phase::Backoff) => State::Backoff,
                Some(Phase::Failed) => State::Failed,
                Some(Phase::Stopping | Phase::Down) => State::Stopping,
            },
            (Life::Waiting, _) => State::Backoff,
            (Life::Looking, Want::Gone)
            | (
                Life::Canceling
                | Life::Ending
                | Life::Sweeping
                | Life::Mounting
                | Life::Unmounting
                | Life::Moving
                | Life::Gone,
                _,
            ) => State::Stopping,
        }
    }

    /// What it may use.
    pub(super) fn limits(&self, class: &Class) -> Limits {
        effective(&self.server, class)
    }

    /// As people read it, but for what only the worker and the accounts know.
    pub(super) fn view(
        &self,
        definition: Option<&Definition>,
        class: &Class,
        now: UnixMillis,
    ) -> View {
        let server = &self.server;
        let limits = self.limits(class);
        let running = matches!(self.course.life, Life::Kept | Life::Ending);
        let status = self.status.as_ref();
        let game = status.filter(|status| running && status.pid.is_some());
        let mut settings = server.settings.clone();
        let max = definition.and_then(|definition| {
            settings = definition.capped(std::mem::take(&mut settings), &limits);
            definition.seats(&settings, &limits)
        });
        let crowd = self.crowd.as_ref().filter(|seen| seen.known);
        for (name, setting) in definition
            .into_iter()
            .flat_map(|definition| &definition.settings)
        {
            settings
                .entry(name.clone())
                .or_insert_with(|| setting.default());
        }
        View {
            id: server.id,
            name: server.name.clone(),
            title: server.title.clone(),
            game: server.game.clone(),
            version: server.version.clone(),
            owner: String::new(),
            owner_id: server.owner,
            class: server.class,
            ports: server.ports.clone(),
            desired: server.desired,
            state: self.state(),
            pid: game.and_then(|status| status.pid),
            uptime_s: game
                .and_then(|status| status.started)
                .map(|started| now.since(started).as_secs()),
            starts: status.map_or(0, |status| status.starts),
            exit: self
                .trouble
                .clone()
                .or_else(|| status.and_then(|status| status.exit.clone())),
            retry_at: status
                .filter(|_| running)
                .and_then(|status| status.retry_at),
            restart: server.restart,
            settings: settings
                .iter()
                .map(|(name, value)| (name.clone(), value.json()))
                .collect(),
            limits,
            idle: server.idle,
            public: server.public.clone(),
            mounted: self.mounted.is_some(),
            mounted_version: self.prepared.clone().filter(|_| self.mounted.is_some()),
            players: crowd.filter(|_| game.is_some()).map(|seen| Online {
                online: seen.online,
                max,
                names: seen.names.clone(),
            }),
            notices: self.notices(definition, &limits),
            folder: std::path::PathBuf::new(),
            created: server.created,
        }
    }

    fn notices(&self, definition: Option<&Definition>, limits: &Limits) -> Vec<String> {
        let mut notices = Vec::new();
        if !self.server.skipped.is_empty() {
            notices.push(format!(
                "ports that other programs held were skipped: {:?}",
                self.server.skipped
            ));
        }
        if definition.is_some_and(|definition| !definition.sees_players()) {
            notices.push(
                "who plays cannot be known, so it is never stopped for being empty: its game's definition says no patterns, and it has no TCP port"
                    .into(),
            );
        }
        if let (Some(used), Some(disk)) = (self.used, limits.disk)
            && used > disk
        {
            notices.push(format!(
                "its files take more than the {disk} bytes that it may have: uploads are refused until there is room"
            ));
        }
        notices
    }
}

/// What `server` may use in `class`.
pub(super) fn effective(server: &Server, class: &Class) -> Limits {
    match server.exceeds {
        true => server.limits,
        false => class.cap(server.limits),
    }
}

/// Who asks, as far as ceilings are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Rank {
    Host,
    /// Ceilings do not hold for them.
    Administrator,
}

fn bad(field: &str, why: impl Into<String>) -> HostingError {
    HostingError::Bad {
        field: field.into(),
        why: why.into(),
    }
}

/// A title as it is kept.
pub(super) fn title(text: &str) -> Result<String, HostingError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(bad("title", "must not be empty"));
    }
    super::settings::printable(text, 64).map_err(|why| bad("title", why))?;
    Ok(text.into())
}

/// Puts given settings into `server`; null takes one out, back to its default.
fn settle(
    server: &mut Server,
    definition: &Definition,
    given: &std::collections::BTreeMap<String, serde_json::Value>,
) -> Result<(), HostingError> {
    for (name, value) in given {
        let field = format!("settings.{}", name.chars().take(40).collect::<String>());
        let Some(setting) = definition.settings.get(name) else {
            let known: Vec<_> = definition.settings.keys().map(String::as_str).collect();
            return Err(bad(
                &field,
                format!("`{}` has only: {}", definition.name, known.join(", ")),
            ));
        };
        if value.is_null() {
            server.settings.remove(name);
        } else {
            let value = setting.accept(value).map_err(|why| bad(&field, why))?;
            server.settings.insert(name.clone(), value);
        }
    }
    Ok(())
}

fn limits(limits: super::Limits) -> Result<super::Limits, HostingError> {
    match limits.check() {
        Ok(()) => Ok(limits),
        Err((field, why)) => Err(bad(&format!("limits.{field}"), why)),
    }
}

/// What anybody may download, as it is kept.
fn public(mut wanted: Vec<String>) -> Result<Vec<String>, HostingError> {
    if wanted.len() > PUBLIC {
        return Err(bad("public", format!("may name {PUBLIC} paths at most")));
    }
    for path in &mut wanted {
        path.truncate(path.trim_end_matches('/').len());
        super::settings::relative(path).map_err(|why| bad("public", why))?;
    }
    wanted.sort_unstable();
    wanted.dedup();
    Ok(wanted)
}

/// The record that `wish` asks for, without what is allotted: id, name, ports, uid, secret.
pub(super) fn draft(
    wish: Create,
    definition: &Definition,
    owner: AccountId,
    class: &Class,
    rank: Rank,
    now: UnixMillis,
) -> Result<Server, HostingError> {
    if rank == Rank::Host && !class.hosts {
        return Err(HostingError::ClassClosed {
            class: class.number,
            name: class.name.clone(),
        });
    }
    let idle = wish.idle.unwrap_or_default();
    let mut exceeds = false;
    if let Some(wanted) = wish.limits {
        match (class.allow(wanted, Limits::default()), rank) {
            (Err(_), Rank::Administrator) => exceeds = true,
            (allowed, _) => allowed?,
        }
    }
    if rank == Rank::Host {
        class.allow_idle(idle, super::Idle::default())?;
    }
    let mut server = Server {
        id: crate::accounts::ServerId(0),
        owner,
        name: String::new(),
        title: title(wish.title.as_deref().unwrap_or(&definition.title))?,
        game: definition.name.clone(),
        version: definition.version(wish.version)?,
        class: class.number,
        ports: Vec::new(),
        skipped: Vec::new(),
        uid: 0,
        secret: String::new(),
        desired: Desired::Down,
        restart: wish.restart.unwrap_or(definition.restart.policy),
        limits: limits(wish.limits.unwrap_or(definition.limits))?,
        settings: std::collections::BTreeMap::new(),
        deleted: None,
        created: now,
        exceeds,
        idle,
        mark: None,
        public: Vec::new(),
    };
    settle(&mut server, definition, &wish.settings)?;
    definition.check_seats(&server.settings, &effective(&server, class))?;
    Ok(server)
}

/// `server` with `patch` applied.
pub(super) fn patched(
    server: &Server,
    definition: &Definition,
    class: &Class,
    rank: Rank,
    patch: Patch,
) -> Result<Server, HostingError> {
    let before = effective(server, class);
    let mut server = server.clone();
    if let Some(text) = patch.title {
        server.title = title(&text)?;
    }
    if let Some(version) = patch.version {
        server.version = definition.version(Some(version))?;
    }
    if let Some(wanted) = patch.limits {
        let wanted = limits(wanted)?;
        let allowed = class.allow(wanted, before);
        server.limits = match rank {
            Rank::Administrator => {
                server.exceeds = class.allow(wanted, Limits::default()).is_err();
                wanted
            }
            // What an administrator gave above the class stays, but nothing more comes to be without a limit.
            Rank::Host => {
                allowed?;
                if server.exceeds {
                    wanted.or(class.limits)
                } else {
                    wanted
                }
            }
        };
    }
    if let Some(idle) = patch.idle {
        if rank == Rank::Host {
            class.allow_idle(idle, server.idle)?;
        }
        server.idle = idle;
    }
    if let Some(restart) = patch.restart {
        server.restart = restart;
    }
    if let Some(wanted) = patch.public {
        server.public = public(wanted)?;
    }
    if let Some(given) = patch.settings {
        settle(&mut server, definition, &given)?;
        definition.check_seats(&server.settings, &effective(&server, class))?;
    }
    Ok(server)
}
