//! What decisions do to the world: starting the game, stopping it, and what becomes of it when it has ended.

use std::time::{Duration, Instant};

use super::{
    Phase, Ready, Stop,
    aside::{self, Aside},
    files,
    game::Game,
    service::{KILLING, Keeper},
    state::{Effect, Event, Rules},
};
use crate::clock::UnixMillis;
use crate::hosting::Exit;
use crate::sandbox::{
    cgroup,
    pidfd::PidFd,
    process::{self, Ended, Reaped},
    spawn::{self, Launch},
    tree::{Process, Ties},
};

/// The processor is a replacement's own for so long, before its predecessor's affairs are settled.
const HEAD_START: Duration = Duration::from_millis(5);

impl Keeper {
    /// Collects the dead. A game has ended when its main process has, and nothing that it left lives.
    pub(super) fn deaths(&mut self) {
        let childless = loop {
            match process::reap() {
                Ok(Reaped::Ended(pid, how)) => {
                    if self.game.as_ref().is_some_and(|game| game.pid == pid) {
                        self.remains = Some(how);
                    }
                }
                Ok(Reaped::Alive) => break false,
                Ok(Reaped::Childless) | Err(_) => break true,
            }
        };
        let Some(how) = self.remains else { return };
        if childless {
            self.remains = None;
            self.ended(how);
        } else if !how.clean() {
            if let Ok(count @ 1..) = self.ties().kill(KILLING) {
                self.notes
                    .push(format!("killed {count} that it left behind"));
                self.deaths();
            }
        } else if let Some(heir) = self.heir() {
            self.remains = None;
            self.status.pid = Some(heir);
            self.changed = true;
            if let Some(game) = &mut self.game {
                game.pid = heir;
                self.notes.push(format!(
                    "its main process ended with {how}; process {heir}, which it left, is the game now"
                ));
            }
        }
    }

    /// The oldest of our children: every living orphan's line leads up to one.
    fn heir(&self) -> Option<u32> {
        let members = self.ties().members().ok()?;
        let ours = |p: &&Process| p.parent == std::process::id();
        Some(members.iter().find(ours)?.pid)
    }

    fn ties(&self) -> Ties {
        let spec = &self.spec;
        let user = spec.user.map(|(uid, _)| uid);
        let cgroup = spec.cgroup.clone();
        super::ties(
            &self.run,
            spec.server,
            user,
            cgroup,
            Some(std::process::id()),
        )
    }

    /// Nothing of the game is left: decide, replace it at once if so decided, and only then see to its estate.
    fn ended(&mut self, how: Ended) {
        let now = Instant::now();
        let reason = self.reason(how);
        let old = self.game.take();
        self.probe = None;
        self.script = None;
        self.status.pid = None;
        self.status.started = None;
        self.status.exit = Some(Exit {
            at: UnixMillis::now(),
            code: match how {
                Ended::Code(code) => Some(code),
                Ended::Signal(_) => None,
            },
            signal: match how {
                Ended::Signal(number) => Some(number),
                Ended::Code(_) => None,
            },
            reason: reason.clone(),
        });
        self.notes.push(match old.as_ref() {
            Some(game) => format!("ended after {}: {reason}", spoken(now - game.launched)),
            None => format!("ended: {reason}"),
        });
        self.step(Event::Ended { clean: how.clean() }, now);
        if self.game.is_some() {
            // The kernel tends to run us where we have just made the replacement, which would then wait for our writing.
            std::thread::sleep(HEAD_START);
        }
        if let Some(mut old) = old {
            self.drain(&mut old);
        }
        self.write_notes();
    }

    fn reason(&self, how: Ended) -> String {
        let killed_for_memory = || {
            let folder = self.spec.cgroup.as_deref();
            folder.is_some_and(|f| cgroup::killed_for_memory(f) > self.memory_kills)
        };
        match how {
            _ if self.life.told() && self.life.killing() => "killed".into(),
            Ended::Code(0) | Ended::Signal(libc::SIGTERM) if self.life.told() => "stopped".into(),
            _ if self.life.told() => format!("stopped, {how}"),
            _ if self.never_ready => "never became ready".into(),
            Ended::Signal(libc::SIGKILL) if killed_for_memory() => "killed for memory".into(),
            _ => how.to_string(),
        }
    }

    pub(super) fn step(&mut self, event: Event, now: Instant) {
        let before = self.life.phase();
        let rules = Rules::from(&self.spec);
        let killing = self.life.killing();
        let effect = self.life.step(event, &rules, now);
        if self.life.killing() && !killing {
            self.notes.push("SIGKILL to all of it".into());
        }
        let phase = self.life.phase();
        if phase != before || effect == Effect::Spawn {
            self.status.phase = phase;
            self.status.since = UnixMillis::now();
            self.status.retry_at = None;
            self.changed = true;
        }
        match phase {
            _ if phase == before => {}
            Phase::Backoff => {
                let pause = self.life.deadline().map_or(Duration::ZERO, |at| at - now);
                self.status.retry_at = Some(UnixMillis::now().after(pause));
                self.notes
                    .push(format!("starts again in {}", spoken(pause)));
            }
            Phase::Failed if self.life.gave_up(&rules) => {
                let (ends, window) = (self.life.ends(), spoken(self.spec.window));
                self.notes
                    .push(format!("gave up: ended {ends} times within {window}"));
            }
            Phase::Failed => self
                .notes
                .push("is left like that by its restart policy".into()),
            Phase::Down => self.notes.push("is down".into()),
            Phase::Starting | Phase::Up | Phase::Stopping => {}
        }
        self.act(effect, now);
    }

    pub(super) fn tick(&mut self, now: Instant) {
        let starting = self.life.phase() == Phase::Starting;
        self.step(Event::Tick, now);
        if starting && self.life.phase() == Phase::Stopping {
            self.never_ready = true;
            let patience = spoken(self.spec.ready_timeout);
            self.notes
                .push(format!("never became ready within {patience}"));
        }
    }

    pub(super) fn act(&mut self, effect: Effect, now: Instant) {
        match effect {
            Effect::Nothing => {}
            Effect::Spawn => self.spawn(now),
            Effect::Ask => self.ask(),
            Effect::Terminate => {
                self.notes.push("SIGTERM to all of it".into());
                if let Err(error) = self.ties().signal(libc::SIGTERM) {
                    self.notes.push(format!("SIGTERM failed: {error}"));
                }
            }
            Effect::Kill => {
                // What is left after this is tried again at the next tick.
                self.ties().kill(KILLING).ok();
            }
        }
    }

    fn spawn(&mut self, now: Instant) {
        match files::read_spec(&self.run) {
            Ok(spec) => self.spec = spec,
            Err(error) => self
                .notes
                .push(format!("the last good settings are used: {error}")),
        }
        let mark = (
            super::MARK.to_string(),
            super::mark(&self.run, self.spec.server),
        );
        self.spec.env.retain(|(name, _)| *name != mark.0);
        self.spec.env.push(mark);
        let cgroup = self.spec.cgroup.as_deref();
        self.memory_kills = cgroup.map_or(0, cgroup::killed_for_memory);
        self.never_ready = false;
        self.status.starts += 1;
        self.changed = true;
        let text = match &self.spec.ready {
            Ready::Line(text) => Some(text.as_str()),
            Ready::Tcp(_) | Ready::Running => None,
        };
        let started = spawn::spawn(&Launch {
            argv: &self.spec.argv,
            env: &self.spec.env,
            cwd: &self.spec.cwd,
            user: self.spec.user,
            guise: None,
            cgroup,
            rlimits: &self.spec.rlimits,
            channel: None,
            umask: 0o027,
        });
        let held = started
            .map_err(|error| error.to_string())
            .and_then(|child| {
                let pid = child.pid;
                Game::new(child, text, now).map_err(|error| format!("process {pid}: {error}"))
            });
        match held {
            Ok(game) => {
                self.notes.push(format!("started as process {}", game.pid));
                self.status.pid = Some(game.pid);
                self.status.started = Some(UnixMillis::now());
                self.game = Some(game);
                match self.spec.ready {
                    Ready::Line(_) => {}
                    Ready::Tcp(port) => self.probe = self.aside(aside::accepts(port)),
                    Ready::Running => self.ready(now),
                }
            }
            Err(reason) => {
                self.notes.push(reason.clone());
                self.status.exit = Some(Exit {
                    at: UnixMillis::now(),
                    code: None,
                    signal: None,
                    reason,
                });
                self.step(Event::Unborn, now);
            }
        }
    }

    pub(super) fn ready(&mut self, now: Instant) {
        let starting = self.life.phase() == Phase::Starting;
        self.step(Event::Ready, now);
        if let (true, Some(game)) = (starting, &self.game)
            && self.spec.ready != Ready::Running
        {
            let after = spoken(now - game.launched);
            self.notes.push(format!("ready after {after}"));
        }
    }

    fn aside<T: Send + 'static>(
        &mut self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Option<Aside<T>> {
        let noted = |error| self.notes.push(format!("cannot use TCP: {error}"));
        Aside::start(work).map_err(noted).ok()
    }

    /// The definition's way to stop.
    fn ask(&mut self) {
        match self.spec.stop.clone() {
            Stop::Console(lines) => {
                for line in lines {
                    if let Err(why) = self.type_lines(line.as_bytes()) {
                        self.notes.push(format!("cannot type `{line}`: {why}"));
                    }
                }
            }
            Stop::Signal(number) => {
                self.notes
                    .push(format!("stopping by {}", Ended::Signal(number)));
                let pid = self.game.as_ref().map(|game| game.pid);
                let main = pid.map(PidFd::open).transpose();
                if let Err(error) = main.and_then(|main| main.map_or(Ok(()), |m| m.signal(number)))
                {
                    self.notes.push(format!("signal {number} failed: {error}"));
                }
            }
            Stop::Tcp { port, script } => {
                self.notes
                    .push(format!("stopping by its console on port {port}"));
                self.script = self.aside(aside::converse(port, script));
            }
        }
    }
}

/// As people say it: `0.3 s`, `4 s`, `2 min`.
fn spoken(duration: Duration) -> String {
    match duration.as_secs() {
        0..10 if duration.subsec_millis() >= 100 => format!("{:.1} s", duration.as_secs_f64()),
        secs @ 0..120 => format!("{secs} s"),
        secs => format!("{} min", secs / 60),
    }
}
