//! What comes back to the owning task: records that are durable, keepers that were found, launched or lost.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::lifecycle::{End, Event as Happened, Life, Want};
use super::records::{SERVERS, Server};
use super::scribe::{Change, Then};
use super::service::{Input, Service};
use super::watcher::Watcher;
use super::{Event, Exit, State};
use crate::accounts::ServerId;
use crate::clock::UnixMillis;
use crate::keeper::{Client, Phase, Status};
use crate::store::StoreError;
use crate::worker::{Found, Mounted, WorkerError};

/// A keeper that lived shorter than this is not replaced at once.
const YOUNG: Duration = Duration::from_secs(1);

impl Service {
    pub(super) fn apply(&mut self, input: Input) {
        match input {
            Input::Durable { id, result, then } => self.durable(id, *result, then),
            Input::LaidOut(number, server, done, reply) => {
                self.laid_out(number, *server, done, reply);
            }
            Input::Found(id, found, head, mounted) => {
                if let Some(entry) = self.servers.get_mut(&id) {
                    entry.mounted = entry.mounted.or(mounted.as_ref().map(|mounted| mounted.at));
                    entry.prepared = mounted.map(|mounted| mounted.version);
                }
                self.unseen.remove(&id);
                self.found(id, found, head);
                self.resume();
            }
            Input::Mounted(id, done, mounted) => {
                self.prepared(id, mounted);
                self.mounted(id, done);
            }
            Input::Unmounted(id, done) => self.unmounted(id, done),
            Input::Players(id, epoch, seen, say) => {
                let entry = self.servers.get_mut(&id);
                if let Some(entry) = entry.filter(|entry| entry.epoch == epoch) {
                    entry.crowd = Some(seen);
                    if let Some(line) = say {
                        entry.say(line.into());
                    }
                    self.tell(id);
                }
            }
            Input::Measured(used) => self.measured(used),
            Input::Installing(id) => {
                if let Some(entry) = self.servers.get_mut(&id) {
                    entry.installing = true;
                    self.tell(id);
                }
            }
            Input::Launched(id, launched, mounted) => {
                self.prepared(id, mounted);
                self.launched(id, launched);
            }
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

    /// What is prepared of a server now.
    fn prepared(&mut self, id: ServerId, mounted: Option<Mounted>) {
        if let Some(entry) = self.servers.get_mut(&id) {
            entry.prepared = mounted.map(|mounted| mounted.version);
        }
    }

    fn launched(&mut self, id: ServerId, launched: Result<Found, WorkerError>) {
        match launched {
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
        }
    }

    fn durable(
        &mut self,
        id: Option<ServerId>,
        result: Result<Option<Server>, StoreError>,
        then: Then,
    ) {
        let server = match result {
            Ok(server) => server,
            Err(error) => return self.undurable(id, error, then),
        };
        match (then, server) {
            (Then::Created(number, reply), Some(server)) => {
                let (worker, inputs) = (self.worker.clone(), self.inputs.clone());
                tokio::spawn(async move {
                    let done = worker.lay_out(&server).await;
                    let input = Input::LaidOut(number, Box::new(server), done, reply);
                    inputs.send(input).await.ok();
                });
            }
            (Then::Undone(number, _, reply, error), _) => {
                self.drafts.remove(&number);
                reply.send(Err(error)).ok();
            }
            (Then::Marked(mark, reply), Some(server)) => {
                reply.send(Ok((server, mark))).ok();
            }
            (Then::Classed(class, reply), _) => {
                self.classed(&class);
                reply.send(Ok(class)).ok();
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
            (
                Then::Created(..)
                | Then::Step(..)
                | Then::Updated(_)
                | Then::Deleted(_)
                | Then::Marked(..),
                None,
            ) => unreachable!("only `Forget` and classes leave no server's record"),
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
            Then::Created(number, reply) => {
                self.drafts.remove(&number);
                reply.send(Err(error.into())).ok();
            }
            Then::Step(_, reply) | Then::Updated(reply) => {
                reply.send(Err(error.into())).ok();
            }
            // It cannot be forgotten: then it is there, to be seen and deleted.
            Then::Undone(number, server, reply, why) => {
                tracing::error!(server = server.id.0, %error, "a creation cannot be undone; the server stays");
                self.drafts.remove(&number);
                self.admit(*server);
                reply.send(Err(why)).ok();
            }
            Then::Marked(_, reply) => {
                reply.send(Err(error.into())).ok();
            }
            Then::Classed(_, reply) => {
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
                entry.mounted.get_or_insert(UnixMillis::now());
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
                if entry.course.want == Want::Up && event != Happened::FoundFailed {
                    self.held.insert(id, event);
                    return;
                }
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
        entry.crowd = None;
        if let Some(definition) = self.library.get(&entry.server.game) {
            let port = definition.players_port();
            let port = port.and_then(|name| {
                let mut ports = entry.server.ports.iter();
                ports.find(|port| port.name == name)
            });
            let watcher = Watcher {
                id,
                epoch: entry.epoch,
                definition: Arc::clone(definition),
                port: port.map(|port| port.number),
                console: self.worker.console(id),
                head: entry.head.subscribe(),
                status: client.status(),
                counts: self.counts.clone(),
                inputs: self.inputs.clone(),
            };
            tokio::spawn(watcher.run());
        }
        let follower = super::following::follow(
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
        entry.crowd = None;
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
        for reply in entry.mounting {
            reply
                .send(Err(super::HostingError::NoSuchServer(id.0)))
                .ok();
        }
    }
}
