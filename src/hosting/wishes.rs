//! What doors ask of the owning task: refused, answered, or turned into the record to be written.

use std::{collections::BTreeSet, sync::Arc};

use super::definition::Definition;
use super::lifecycle::{Event as Happened, Life};
use super::records::Server;
use super::scribe::{Change, Then};
use super::service::{Command, Service};
use super::state::{self, Entry, Rank};
use super::{Create, Desired, Home, HostingError, Patch, State, ports};
use crate::accounts::{AccountId, ServerId};
use crate::clock::UnixMillis;

impl Service {
    pub(super) fn command(&mut self, command: Command) {
        match command {
            Command::List(reply) => {
                reply
                    .send(
                        self.servers
                            .values()
                            .map(|entry| self.view(entry))
                            .collect(),
                    )
                    .ok();
            }
            Command::Get(id, reply) => {
                reply
                    .send(self.entry(id).map(|entry| self.view(entry)))
                    .ok();
            }
            Command::Create {
                owner,
                owner_name,
                wish,
                rank,
                reply,
            } => match self.draft(owner, *wish, rank) {
                Err(error) => drop(reply.send(Err(error))),
                Ok(server) => {
                    let number = self.next_draft;
                    self.next_draft += 1;
                    self.drafts.insert(number, server.clone());
                    self.write(
                        Change::Create(server, owner_name),
                        Then::Created(number, reply),
                    );
                }
            },
            Command::Update(id, patch, rank, reply) => match self.patched(id, *patch, rank) {
                Err(error) => drop(reply.send(Err(error))),
                Ok(server) => self.put(server, Then::Updated(reply)),
            },
            Command::Power(id, event, reply) => match self.powered(id, event) {
                Err(error) => drop(reply.send(Err(error))),
                Ok(server) => {
                    if matches!(event, Happened::Start | Happened::Restart) {
                        self.reserve(id);
                    }
                    self.put(server, Then::Step(event, reply));
                }
            },
            Command::Mount(id, reply) => self.mount(id, reply),
            Command::Mounts(id, reply) => drop(reply.send(self.mounts(id))),
            Command::Unmount(id, because, reply) => self.unmount(id, because, reply),
            Command::Rule(id, due, reply) => self.rule(id, due, reply),
            Command::Mark(id, reply) => match self.marked(id) {
                Err(error) => drop(reply.send(Err(error))),
                Ok((server, mark)) => self.put(server, Then::Marked(mark, reply)),
            },
            Command::Record(id, stopped, reply) => drop(reply.send(self.record(id, stopped))),
            Command::Classes(reply) => {
                reply.send(self.classes.values().cloned().collect()).ok();
            }
            Command::SetClass(class, reply) => {
                self.write(Change::Class(class.clone()), Then::Classed(class, reply));
            }
            Command::Delete { id, confirm, reply } => match self.deleted(id, &confirm) {
                Err(error) => drop(reply.send(Err(error))),
                Ok(server) => self.put(server, Then::Deleted(reply)),
            },
            Command::Home(id, reply) => {
                let home = self.lasting(id).map(|entry| Home {
                    id,
                    name: entry.server.name.clone(),
                    owner: entry.server.owner,
                    folder: self.worker.files(id),
                    user: self.worker.user(&entry.server),
                    disk: entry.limits(self.class(entry.server.class)).disk,
                    public: entry.server.public.clone(),
                });
                reply.send(home).ok();
            }
            Command::Client(id, reply) => {
                let client = self.entry(id).and_then(|entry| {
                    let running = entry.course.life == Life::Kept
                        && matches!(entry.state(), State::Starting | State::Running);
                    entry
                        .client
                        .clone()
                        .filter(|_| running)
                        .ok_or(HostingError::NotRunning(id.0))
                });
                reply.send(client).ok();
            }
            Command::Console(id, reply) => {
                let console = self
                    .entry(id)
                    .map(|entry| (self.worker.console(id), entry.head.subscribe()));
                reply.send(console).ok();
            }
        }
    }

    pub(super) fn entry(&self, id: ServerId) -> Result<&Entry, HostingError> {
        self.servers
            .get(&id)
            .ok_or(HostingError::NoSuchServer(id.0))
    }

    /// One that is not about to go.
    pub(super) fn lasting(&self, id: ServerId) -> Result<&Entry, HostingError> {
        match self.entry(id)? {
            entry if entry.server.deleted.is_some() => Err(HostingError::Busy {
                id: id.0,
                state: "being deleted".into(),
            }),
            entry => Ok(entry),
        }
    }

    pub(super) fn game(&self, name: &str) -> Result<Arc<Definition>, HostingError> {
        let found = self.library.get(name).cloned();
        found.ok_or_else(|| HostingError::NoSuchGame(name.chars().take(40).collect()))
    }

    fn draft(&self, owner: AccountId, wish: Create, rank: Rank) -> Result<Server, HostingError> {
        let definition = self.game(&wish.game)?;
        let number = wish.class.unwrap_or(2);
        let class = self.classes.get(&number).ok_or(HostingError::Bad {
            field: "class".into(),
            why: "must be from 0 to 9".into(),
        })?;
        let mut server = state::draft(wish, &definition, owner, class, rank, UnixMillis::now())?;
        definition.available(&server.version)?;
        let living = || {
            self.servers
                .values()
                .map(|entry| &entry.server)
                .chain(self.drafts.values())
        };
        let taken: BTreeSet<u16> = living()
            .flat_map(|server| &server.ports)
            .map(|port| port.number)
            .collect();
        let rules = &definition.ports;
        (server.ports, server.skipped) = ports::allocate(
            &self.settings.ports,
            server.class,
            rules,
            &taken,
            ports::is_free,
        )?;
        if !server.skipped.is_empty() {
            tracing::warn!(ports = ?server.skipped, "held by other programs, and so skipped");
        }
        let taken = living()
            .chain(self.bin.values())
            .map(|server| server.uid)
            .collect();
        server.uid =
            ports::uid(&self.settings.uids, &taken).ok_or_else(|| HostingError::Unavailable {
                game: server.game.clone(),
                why: "no user id is left in hosting.uids".into(),
            })?;
        let mut secret = [0; 12]; // Teeworlds takes no more than 31 characters
        getrandom::fill(&mut secret).expect("the kernel has random bytes");
        server.secret = data_encoding::HEXLOWER.encode(&secret);
        Ok(server)
    }

    fn patched(&self, id: ServerId, patch: Patch, rank: Rank) -> Result<Server, HostingError> {
        let server = &self.lasting(id)?.server;
        let definition = self.game(&server.game)?;
        if let Some(version) = &patch.version {
            let version = definition.version(Some(version.clone()))?;
            if version != server.version {
                definition.available(&version)?;
            }
        }
        state::patched(server, &definition, self.class(server.class), rank, patch)
    }

    fn powered(&self, id: ServerId, event: Happened) -> Result<Server, HostingError> {
        // What is to go may still be told to go at once.
        let entry = match event {
            Happened::Kill => self.entry(id)?,
            _ => self.lasting(id)?,
        };
        let mut server = entry.server.clone();
        let up = matches!(event, Happened::Start | Happened::Restart);
        if up && matches!(entry.course.life, Life::Down | Life::Failed) {
            let definition = self.game(&server.game)?;
            definition.available(&server.version)?;
            self.afford(id)?;
            if let Some(port) = server.ports.iter().find(|port| !ports::is_free(port)) {
                return Err(HostingError::PortTaken {
                    id: id.0,
                    port: port.number,
                });
            }
        }
        server.desired = if up { Desired::Up } else { Desired::Down };
        Ok(server)
    }

    fn deleted(&self, id: ServerId, confirm: &str) -> Result<Server, HostingError> {
        let mut server = self.entry(id)?.server.clone();
        if confirm != server.name {
            let name = server.name;
            return Err(HostingError::Unconfirmed { id: id.0, name });
        }
        server.desired = Desired::Down;
        server.deleted.get_or_insert_with(UnixMillis::now);
        Ok(server)
    }
}
