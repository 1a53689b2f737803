//! Mounting and giving back, what rules find due, classes that change, and files that have grown too large.

use std::time::{Duration, Instant};

use super::classes::{Class, LAST};
use super::idle::{self, Due, Rules, Use};
use super::lifecycle::{Event as Happened, Life};
use super::records::{Mark, Server};
use super::scribe::{Reply, Then};
use super::service::{Input, Service};
use super::state::{self, Entry};
use super::steward::Chore;
use super::{Desired, Exit, HostingError, State, View};
use crate::accounts::ServerId;
use crate::clock::UnixMillis;
use crate::keeper::{Phase, Request};
use crate::worker::{Order, Usage, WorkerError};

/// How long a rule that could not be followed waits.
const AGAIN: Duration = Duration::from_secs(60);
/// The least time between two measurements of all files, and how many times as long as they take.
const MEASURE: Duration = Duration::from_secs(5);
const REST: u32 = 20;

/// What mounting a server comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mounting {
    /// It is mounted, or is on its way there.
    Nothing,
    /// Somebody else's mount will do.
    Wait,
    Prepare,
    /// It is being given back, and after that it is not mounted.
    Busy,
    /// A start failed; before it is mounted it is stopped.
    Failed,
}

fn mounting(life: Life, mounted: bool, started: bool) -> Mounting {
    match life {
        Life::Mounting => Mounting::Wait,
        Life::Unmounting => Mounting::Busy,
        // A start is on its way to the disk: that mounts it.
        Life::Down if mounted || started => Mounting::Nothing,
        Life::Down => Mounting::Prepare,
        Life::Failed if !mounted => Mounting::Failed,
        _ => Mounting::Nothing,
    }
}

/// How a mount or unmount ended.
enum Fate {
    Done,
    /// Somebody stopped the server meanwhile.
    Stopped,
    Failed(String),
}

impl Fate {
    fn of(done: Result<(), WorkerError>) -> Self {
        match done {
            Ok(()) => Self::Done,
            Err(WorkerError::Canceled) => Self::Stopped,
            Err(error) => Self::Failed(error.to_string()),
        }
    }
}

impl Entry {
    /// Puts a line of the box on its console, while a keeper is there to write it.
    pub(super) fn say(&self, line: String) {
        let Some(client) = self.client.clone() else {
            return;
        };
        let id = self.server.id.0;
        tokio::spawn(async move {
            if let Err(error) = client.ask(Request::Log(line)).await {
                tracing::warn!(server = id, %error, "its console cannot be written");
            }
        });
    }

    /// How it is being used.
    fn used(&self) -> Use {
        let phase = self.status.as_ref().map(|status| status.phase);
        match (self.course.life, self.mounted) {
            (Life::Kept, _) if phase == Some(Phase::Up) => match &self.crowd {
                Some(seen) if seen.known => seen.empty_since.map_or(Use::Busy, Use::Empty),
                _ => Use::Busy,
            },
            (Life::Down | Life::Failed, Some(mounted)) => {
                let status = self.status.as_ref();
                let exit = self
                    .trouble
                    .as_ref()
                    .or(status.and_then(|status| status.exit.as_ref()));
                Use::Down(exit.map_or(mounted, |exit| exit.at.max(mounted)))
            }
            _ => Use::Busy,
        }
    }
}

impl Service {
    pub(super) fn class(&self, number: u8) -> &Class {
        let class = self.classes.get(&number.min(LAST));
        class.expect("there are always ten classes")
    }

    /// What the worker is to make of a server, with everything that its class caps; none when its game is gone.
    pub(super) fn order(&self, entry: &Entry) -> Option<Order> {
        let definition = self.library.get(&entry.server.game)?.clone();
        let mut server = entry.server.clone();
        server.limits = entry.limits(self.class(server.class));
        server.settings = definition.capped(server.settings, &server.limits);
        Some(Order { server, definition })
    }

    /// Bytes of memory that are reserved for it while it is mounted.
    fn share(&self, entry: &Entry) -> u64 {
        entry
            .limits(self.class(entry.server.class))
            .memory
            .unwrap_or(0)
    }

    /// Refuses a server that would take more than the box has.
    pub(super) fn afford(&self, id: ServerId) -> Result<(), HostingError> {
        let (Some(budget), entry) = (self.settings.memory, self.entry(id)?) else {
            return Ok(());
        };
        if entry.mounted.is_some() {
            return Ok(());
        }
        let mounted = self
            .servers
            .values()
            .filter(|entry| entry.mounted.is_some());
        let taken = mounted
            .map(|entry| self.share(entry))
            .fold(0, u64::saturating_add);
        let (wanted, free) = (self.share(entry), budget.saturating_sub(taken));
        if wanted > free {
            return Err(HostingError::OverBudget {
                id: id.0,
                wanted,
                free,
                budget,
            });
        }
        Ok(())
    }

    /// Its share is its own from now on.
    pub(super) fn reserve(&mut self, id: ServerId) {
        if let Some(entry) = self.servers.get_mut(&id) {
            entry.mounted.get_or_insert(UnixMillis::now());
        }
    }

    pub(super) fn mount(&mut self, id: ServerId, reply: Reply) {
        match self.mountable(id) {
            Err(error) => drop(reply.send(Err(error))),
            Ok(false) => drop(reply.send(self.entry(id).map(|entry| self.view(entry)))),
            Ok(true) => {
                self.reserve(id);
                if let Some(entry) = self.servers.get_mut(&id) {
                    entry.mounting.push(reply);
                }
                self.step(id, Happened::Mount);
            }
        }
    }

    /// How it is, if mounting it would do nothing.
    pub(super) fn mounts(&self, id: ServerId) -> Option<View> {
        let nothing = self.mountable(id).is_ok_and(|something| !something);
        let entry = self.servers.get(&id).filter(|_| nothing);
        entry.map(|entry| self.view(entry))
    }

    /// Whether there is something to do, or to wait for.
    fn mountable(&self, id: ServerId) -> Result<bool, HostingError> {
        let entry = self.lasting(id)?;
        let started = entry.server.desired == Desired::Up;
        match mounting(entry.course.life, entry.mounted.is_some(), started) {
            Mounting::Nothing => Ok(false),
            Mounting::Wait => Ok(true),
            Mounting::Prepare => {
                self.game(&entry.server.game)?
                    .available(&entry.server.version)?;
                self.afford(id)?;
                Ok(true)
            }
            Mounting::Busy => Err(HostingError::Busy {
                id: id.0,
                state: "being unmounted".into(),
            }),
            Mounting::Failed => {
                self.afford(id)?;
                Err(HostingError::NotStopped(id.0))
            }
        }
    }

    pub(super) fn mounted(&mut self, id: ServerId, done: Result<(), WorkerError>) {
        let fate = Fate::of(done);
        if let Some(entry) = self.servers.get_mut(&id) {
            entry.installing = false;
            match &fate {
                Fate::Done => entry.mounted = Some(UnixMillis::now()),
                Fate::Stopped => (entry.mounted, entry.prepared) = (None, None),
                Fate::Failed(why) => {
                    tracing::error!(server = id.0, why, "cannot be prepared");
                    entry.mounted = None;
                    entry.prepared = None;
                    entry.trouble = Some(Exit {
                        at: UnixMillis::now(),
                        code: None,
                        signal: None,
                        reason: format!("could not be prepared: {why}"),
                    });
                }
            }
        }
        self.step(id, Happened::Mounted);
        self.answer(id, &fate);
    }

    pub(super) fn unmount(&mut self, id: ServerId, because: String, reply: Reply) {
        let state = self
            .lasting(id)
            .map(|entry| (entry.course.life, entry.mounted));
        match state {
            Err(error) => drop(reply.send(Err(error))),
            Ok((Life::Down, None)) => {
                reply
                    .send(self.entry(id).map(|entry| self.view(entry)))
                    .ok();
            }
            Ok((Life::Down, Some(_)) | (Life::Unmounting, _)) => {
                if let Some(entry) = self.servers.get_mut(&id) {
                    entry.because = because;
                    entry.mounting.push(reply);
                }
                self.step(id, Happened::Unmount);
            }
            Ok(_) => drop(reply.send(Err(HostingError::NotStopped(id.0)))),
        }
    }

    pub(super) fn unmounted(&mut self, id: ServerId, done: Result<(), WorkerError>) {
        let fate = Fate::of(done);
        if let Some(entry) = self.servers.get_mut(&id) {
            match &fate {
                Fate::Done => (entry.mounted, entry.prepared) = (None, None),
                Fate::Stopped => {}
                Fate::Failed(why) => {
                    tracing::error!(server = id.0, why, "what it had cannot be given back")
                }
            }
        }
        self.step(id, Happened::Unmounted);
        self.answer(id, &fate);
    }

    /// Tells all who waited how it went.
    fn answer(&mut self, id: ServerId, fate: &Fate) {
        let Some(entry) = self.servers.get_mut(&id) else {
            return;
        };
        let waiting = std::mem::take(&mut entry.mounting);
        for reply in waiting {
            let answer = match fate {
                Fate::Done => self.entry(id).map(|entry| self.view(entry)),
                Fate::Stopped => Err(HostingError::Busy {
                    id: id.0,
                    state: "being stopped".into(),
                }),
                Fate::Failed(why) => Err(HostingError::Unprepared {
                    id: id.0,
                    why: why.clone(),
                }),
            };
            reply.send(answer).ok();
        }
    }

    // Rules.

    /// What holds for one server.
    fn rules(&self, entry: &Entry) -> Rules {
        let game = self.library.get(&entry.server.game);
        let class = self.class(entry.server.class);
        Rules::first([
            entry.server.idle,
            class.idle,
            game.map(|game| game.idle).unwrap_or_default(),
        ])
    }

    /// Once a second: what is due is given to the steward, who records it before it is done; and files are measured.
    pub(super) fn beat(&mut self, now: UnixMillis) {
        let mut chores = Vec::new();
        for (&id, entry) in &self.servers {
            let rules = self.rules(entry);
            let rested = entry.due.is_none_or(|last| last.elapsed() >= AGAIN);
            if let Some(due) = idle::due(rules, entry.used(), now)
                && rested
            {
                let because = rules.because(due);
                chores.push(Chore { id, due, because });
            }
        }
        for chore in chores {
            let id = chore.id;
            // One that finds no room is due the next time, too.
            if self.chores.try_send(chore).is_ok()
                && let Some(entry) = self.servers.get_mut(&id)
            {
                entry.due = Some(Instant::now());
            }
        }
        self.measure_files();
    }

    /// Does what a rule wants, if it still does: somebody may have come meanwhile.
    pub(super) fn rule(&mut self, id: ServerId, due: Due, reply: Reply) {
        let entry = match self.lasting(id) {
            Ok(entry) => entry,
            Err(error) => return drop(reply.send(Err(error))),
        };
        let rules = self.rules(entry);
        if idle::due(rules, entry.used(), UnixMillis::now()) != Some(due) {
            return drop(reply.send(Ok(self.view(entry))));
        }
        let because = rules.because(due);
        match (due, entry.course.life) {
            (Due::Release, Life::Down) => self.unmount(id, because, reply),
            // One that failed is stopped first, and released the next time.
            (Due::Stop | Due::Release, _) => {
                entry.say(format!("stopped: {because}"));
                let mut server = entry.server.clone();
                server.desired = Desired::Down;
                self.put(server, Then::Step(Happened::Stop, reply));
            }
        }
    }

    // Classes.

    /// A class is another from now on: so is what its servers may use.
    pub(super) fn classed(&mut self, class: &Class) {
        self.classes.insert(class.number, class.clone());
        let of = |entry: &&Entry| entry.server.class == class.number;
        let ids: Vec<_> = self
            .servers
            .values()
            .filter(of)
            .map(|entry| entry.server.id)
            .collect();
        for id in ids {
            if let Some(entry) = self.servers.get_mut(&id) {
                entry.stale = true;
            }
            self.rewrite(id);
            self.tell(id);
        }
    }

    // Files.

    /// Measures the files of servers that write by themselves and may have only so many, unless that is under way.
    fn measure_files(&mut self) {
        if self.measure.is_none_or(|at| Instant::now() < at) {
            return;
        }
        let limited = |entry: &&Entry| {
            let limits = entry.limits(self.class(entry.server.class));
            entry.client.is_some() && limits.disk.is_some()
        };
        let ids: Vec<_> = self
            .servers
            .values()
            .filter(limited)
            .map(|entry| entry.server.id)
            .collect();
        if ids.is_empty() {
            return;
        }
        self.measure = None;
        let (worker, inputs) = (self.worker.clone(), self.inputs.clone());
        tokio::spawn(async move {
            let mut used = Vec::new();
            for id in ids {
                used.push((id, worker.usage(id).await));
            }
            inputs.send(Input::Measured(used)).await.ok();
        });
    }

    pub(super) fn measured(&mut self, used: Vec<(ServerId, Usage)>) {
        let took: Duration = used.iter().map(|(_, usage)| usage.took).sum();
        self.measure = Some(Instant::now() + MEASURE.max(took * REST));
        for (id, usage) in used {
            let Some(entry) = self.servers.get(&id) else {
                continue;
            };
            let limits = state::effective(&entry.server, self.class(entry.server.class));
            let over = |used: Option<u64>| {
                used.zip(limits.disk)
                    .is_some_and(|(used, most)| used > most)
            };
            if over(Some(usage.bytes)) && !over(entry.used) {
                entry.say(format!(
                    "its files take {} bytes, more than the {} that it may have",
                    usage.bytes,
                    limits.disk.unwrap_or(0),
                ));
            }
            if let Some(entry) = self.servers.get_mut(&id) {
                entry.used = Some(usage.bytes);
            }
            self.tell(id);
        }
    }

    // The mark.

    /// The record with a new mark.
    pub(super) fn marked(&self, id: ServerId) -> Result<(Server, Mark), HostingError> {
        let mut server = self.lasting(id)?.server.clone();
        let mut nonce = [0; 16];
        getrandom::fill(&mut nonce).expect("the kernel has random bytes");
        let mark = Mark {
            nonce: data_encoding::HEXLOWER.encode(&nonce),
            at: UnixMillis::now(),
        };
        server.mark = Some(mark.clone());
        Ok((server, mark))
    }

    /// The record; with `stopped` only that of a server that does not run.
    pub(super) fn record(&self, id: ServerId, stopped: bool) -> Result<Server, HostingError> {
        let entry = self.lasting(id)?;
        let down = matches!(entry.state(), State::Stopped | State::Failed);
        match stopped && !down {
            true => Err(HostingError::NotStopped(id.0)),
            false => Ok(entry.server.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_waits_for_what_somebody_stops_is_told_to_try_again() {
        let stopped = Fate::of(Err(WorkerError::Canceled));
        assert!(matches!(stopped, Fate::Stopped));
        let missing = Fate::of(Err(WorkerError::Missing("no disk".into())));
        assert!(matches!(missing, Fate::Failed(why) if why == "no disk"));
        assert!(matches!(Fate::of(Ok(())), Fate::Done));
    }

    #[test]
    fn what_is_being_given_back_is_not_said_to_be_mounted() {
        // It is reserved until that is done.
        for mounted in [true, false] {
            assert_eq!(mounting(Life::Unmounting, mounted, false), Mounting::Busy);
        }
        assert_eq!(mounting(Life::Down, true, false), Mounting::Nothing);
        assert_eq!(mounting(Life::Down, false, true), Mounting::Nothing);
        assert_eq!(mounting(Life::Down, false, false), Mounting::Prepare);
        assert_eq!(mounting(Life::Mounting, true, false), Mounting::Wait);
        assert_eq!(mounting(Life::Kept, true, true), Mounting::Nothing);
        assert_eq!(mounting(Life::Failed, false, true), Mounting::Failed);
    }
}
