//! What the owning task knows of one server, and how people read it. Synchronous; no effects.

use std::time::Instant;

use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::definition::Definition;
use super::lifecycle::{Course, Life, Want};
use super::records::Server;
use super::{Create, Desired, Exit, HostingError, Patch, State, View};
use crate::accounts::AccountId;
use crate::clock::UnixMillis;
use crate::keeper::{Client, Phase, Status};

/// The owner of what root makes on the control socket.
pub(super) const BOX: AccountId = AccountId(0);

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
            (Life::Launching, _) if self.installing => State::Installing,
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
            | (Life::Canceling | Life::Ending | Life::Sweeping | Life::Moving | Life::Gone, _) => {
                State::Stopping
            }
        }
    }

    /// As people read it, but for what only the worker and the accounts know.
    pub(super) fn view(&self, definition: Option<&Definition>, now: UnixMillis) -> View {
        let server = &self.server;
        let running = matches!(self.course.life, Life::Kept | Life::Ending);
        let status = self.status.as_ref();
        let game = status.filter(|status| running && status.pid.is_some());
        let mut settings = server.settings.clone();
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
            limits: server.limits,
            notices: match &server.skipped[..] {
                [] => Vec::new(),
                skipped => vec![format!(
                    "ports that other programs held were skipped: {skipped:?}"
                )],
            },
            folder: std::path::PathBuf::new(),
            created: server.created,
        }
    }
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

/// The record that `wish` asks for, without what is allotted: id, name, ports, uid, secret.
pub(super) fn draft(
    wish: Create,
    definition: &Definition,
    owner: AccountId,
    now: UnixMillis,
) -> Result<Server, HostingError> {
    let class = wish.class.unwrap_or(2);
    if class > 9 {
        return Err(bad("class", "must be from 0 to 9"));
    }
    let mut server = Server {
        id: crate::accounts::ServerId(0),
        owner,
        name: String::new(),
        title: title(wish.title.as_deref().unwrap_or(&definition.title))?,
        game: definition.name.clone(),
        version: definition.version(wish.version)?,
        class,
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
    };
    settle(&mut server, definition, &wish.settings)?;
    Ok(server)
}

/// `server` with `patch` applied.
pub(super) fn patched(
    server: &Server,
    definition: &Definition,
    patch: Patch,
) -> Result<Server, HostingError> {
    let mut server = server.clone();
    if let Some(text) = patch.title {
        server.title = title(&text)?;
    }
    if let Some(version) = patch.version {
        server.version = definition.version(Some(version))?;
    }
    if let Some(wanted) = patch.limits {
        server.limits = limits(wanted)?;
    }
    if let Some(restart) = patch.restart {
        server.restart = restart;
    }
    settle(&mut server, definition, &patch.settings.unwrap_or_default())?;
    Ok(server)
}
