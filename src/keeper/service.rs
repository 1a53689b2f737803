//! The keeper itself: one task on one thread, which waits in one place and then looks at everything that may have
//! happened, in the order of its urgency.
//!
//! ```text
//!  wait: signals │ output │ input room │ peers │ probe or stop script │ next deadline
//!    └─► deaths ─► [replacement runs] ─► deadlines ─► console ─► requests ─► status synced ─► news to peers ─┐
//!        ▲                                                                                                   │
//!        └───────────────────────────────────────────────────────────────────────────────────────────────────┘
//! ```
//!
//! A dead game is replaced before anything is written: what the dead one left in its pipes, the words about it, and the
//! synced status all come after the replacement's start, and before anybody is told.

use std::{
    io::{self, Write},
    os::{
        fd::AsFd,
        unix::{fs::PermissionsExt, net::UnixListener},
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use nix::{
    poll::{PollFd, PollFlags, ppoll},
    sys::{
        signal::{SigSet, Signal},
        signalfd::{SfdFlags, SignalFd},
        time::TimeSpec,
    },
};

use super::{
    Phase, Request, Spec, Status,
    aside::Aside,
    files::{self, Lock},
    game::Game,
    peers::{self, Peers},
    state::{Effect, Event, Lifecycle, Rules},
    wire::{Answer, Ask},
};
use crate::clock::UnixMillis;
use crate::console::{Kind, Writer};
use crate::sandbox::process::{self, Ended};

/// How long an unfinished line waits for its end.
const UNFINISHED: Duration = Duration::from_millis(200);
/// How long one attempt to kill everything may hold up the loop.
pub(super) const KILLING: Duration = Duration::from_millis(100);

/// What the loop holds. `effects` has the other half of what it does.
pub(super) struct Keeper {
    pub(super) run: PathBuf,
    pub(super) spec: Spec,
    pub(super) life: Lifecycle,
    pub(super) status: Status,
    /// `status` is not yet on disk.
    pub(super) changed: bool,
    pub(super) game: Option<Game>,
    /// The main process has ended like this, and others of the game may live.
    pub(super) remains: Option<Ended>,
    pub(super) never_ready: bool,
    /// Kills for memory that were counted before this start of the game.
    pub(super) memory_kills: u64,
    console: Writer,
    console_fault: Option<io::ErrorKind>,
    /// Log lines that wait until what the game said before them is in the console.
    pub(super) notes: Vec<String>,
    flush_at: Option<Instant>,
    buffer: Vec<u8>,
    pub(super) probe: Option<Aside<()>>,
    pub(super) script: Option<Aside<io::Result<()>>>,
    signals: SignalFd,
    peers: Peers,
    _lock: Lock,
}

/// Supervises the game of `run/spec.json` until it is stopped or gives up.
pub(crate) fn supervise(run: &Path) -> io::Result<()> {
    std::panic::set_hook(Box::new(|panic| {
        complain(format_args!(
            "bug in {}: {panic}",
            env!("CARGO_PKG_VERSION")
        ));
        std::process::abort();
    }));
    process::stand_alone()?;
    process::stay_small();
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o077));
    let mut keeper = Keeper::open(run)?;
    keeper.act(Effect::Spawn, Instant::now());
    keeper.publish();
    announce()?;
    keeper.serve();
    Ok(())
}

/// Tells who launched us that all is in place, and lets go of them.
fn announce() -> io::Result<()> {
    let mut stdout = io::stdout();
    stdout.write_all(b"ready\n").ok(); // nobody need be there
    stdout.flush().ok();
    let null = std::fs::OpenOptions::new().write(true).open("/dev/null")?;
    nix::unistd::dup2_stdout(null)?;
    Ok(())
}

impl Keeper {
    fn open(run: &Path) -> io::Result<Self> {
        let run = run.canonicalize()?;
        let lock = Lock::take(&run)?;
        let spec = files::read_spec(&run)?;
        let console = Writer::open(&spec.console, spec.history)?;

        // Before any other thread: they inherit the mask, and so none of them takes these.
        let mut mask = SigSet::empty();
        for signal in [
            Signal::SIGCHLD,
            Signal::SIGTERM,
            Signal::SIGINT,
            Signal::SIGHUP,
        ] {
            mask.add(signal);
        }
        mask.thread_block()?;
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;

        // A socket's path is short, a folder's may not be: bind where we stand.
        std::env::set_current_dir(&run)?;
        std::fs::remove_file("keeper.sock").ok(); // the lock says that it is nobody's
        let listener = UnixListener::bind("keeper.sock")?;
        std::fs::set_permissions("keeper.sock", std::fs::Permissions::from_mode(0o600))?;

        let before = files::read_status(&run)?;
        let now = Instant::now();
        Ok(Self {
            life: Lifecycle::start(&Rules::from(&spec), now),
            status: Status {
                revision: before.as_ref().map_or(0, |status| status.revision),
                phase: Phase::Starting,
                keeper: std::process::id(),
                pid: None,
                started: None,
                since: UnixMillis::now(),
                starts: 0,
                exit: before.and_then(|status| status.exit),
                retry_at: None,
            },
            changed: true,
            game: None,
            remains: None,
            never_ready: false,
            memory_kills: 0,
            console,
            console_fault: None,
            notes: Vec::new(),
            flush_at: None,
            buffer: Vec::new(),
            probe: None,
            script: None,
            signals,
            peers: Peers::new(listener)?,
            run,
            spec,
            _lock: lock,
        })
    }

    fn serve(mut self) {
        while !matches!(self.status.phase, Phase::Down | Phase::Failed) {
            self.wait();
            self.turn();
        }
        // All is synced and told; nobody finds a socket that nobody answers.
        std::fs::remove_file("keeper.sock").ok();
    }

    /// Until something may have happened.
    fn wait(&self) {
        let mut fds = vec![PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        if let Some(game) = &self.game {
            game.watch(&mut fds);
        }
        self.peers.watch(&mut fds);
        let asides = [
            self.probe.as_ref().map(Aside::fd),
            self.script.as_ref().map(Aside::fd),
        ];
        for fd in asides.into_iter().flatten() {
            fds.push(PollFd::new(fd, PollFlags::POLLIN));
        }
        let now = Instant::now();
        let again = self.remains.map(|_| now + KILLING);
        let deadlines = [self.life.deadline(), self.flush_at, again];
        let deadline = deadlines.into_iter().flatten().min();
        let left = deadline.map(|at| TimeSpec::from(at.saturating_duration_since(now)));
        // An interruption or a shortage is no more than a look at everything for nothing.
        ppoll(&mut fds, left, None).ok();
    }

    /// Looks at everything that may have happened.
    fn turn(&mut self) {
        self.signals();
        self.deaths();
        let now = Instant::now();
        self.asides(now);
        if self.life.deadline().is_some_and(|at| now >= at) {
            self.tick(now);
        }
        self.listen(now);
        for (peer, ask) in self.peers.asks() {
            let answer = match ask {
                Ask::Hello => Answer::Hello,
                Ask::Request(id, request) => peers::verdict(id, self.request(request, now)),
                Ask::Unknown(id, kind) => {
                    Answer::Refused(id, format!("this keeper knows no request {kind}"))
                }
            };
            self.write_notes();
            self.peers.answer(peer, &answer);
        }
        if let Some(game) = &mut self.game {
            game.feed();
        }
        self.write_notes();
        self.publish();
    }

    fn asides(&mut self, now: Instant) {
        if self.probe.as_ref().and_then(Aside::outcome).is_some() {
            self.probe = None;
            self.ready(now);
        }
        if let Some(done) = self.script.as_ref().and_then(Aside::outcome) {
            self.script = None;
            if let Err(error) = done {
                self.notes.push(format!("the stop script failed: {error}"));
            }
        }
    }

    fn signals(&mut self) {
        while let Ok(Some(signal)) = self.signals.read_signal() {
            if matches!(signal.ssi_signo as i32, libc::SIGTERM | libc::SIGINT) {
                self.notes.push("the keeper was told to end".into());
                self.step(Event::Stop, Instant::now());
            }
        }
    }

    /// Everything that a dead game said last.
    pub(super) fn drain(&mut self, old: &mut Game) {
        let time = UnixMillis::now();
        let mut before = 0;
        let mut said = 1;
        while said != before {
            before = said;
            old.pump(&mut self.buffer, |kind, bytes| {
                said += bytes.len();
                let written = self.console.output(kind, time, bytes);
                note_fault(&mut self.console_fault, written);
            });
        }
        self.flush();
    }

    fn flush(&mut self) {
        for kind in [Kind::Stdout, Kind::Stderr] {
            let written = self.console.flush(kind, UnixMillis::now());
            note_fault(&mut self.console_fault, written);
        }
        self.flush_at = None;
    }

    pub(super) fn type_lines(&mut self, text: &[u8]) -> Result<(), String> {
        let game = self.game.as_mut().ok_or("the game is not running")?;
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        for line in text.split(|&b| b == b'\n') {
            game.type_line(line)?;
            let written = self.console.line(Kind::Stdin, UnixMillis::now(), line);
            note_fault(&mut self.console_fault, written);
        }
        Ok(())
    }

    /// Takes what the game says, and delivers what it left unfinished for too long.
    fn listen(&mut self, now: Instant) {
        let Some(game) = &mut self.game else {
            return;
        };
        let time = UnixMillis::now();
        let mut heard = false;
        let ready = game.pump(&mut self.buffer, |kind, bytes| {
            heard = true;
            let written = self.console.output(kind, time, bytes);
            note_fault(&mut self.console_fault, written);
        });
        if ready {
            self.ready(now);
        }
        if self.flush_at.is_some_and(|at| now >= at) {
            self.flush();
        }
        let waiting = [Kind::Stdout, Kind::Stderr].map(|kind| self.console.unfinished(kind));
        self.flush_at = match waiting.contains(&true) || self.console.behind() {
            true => self.flush_at.or(Some(now + UNFINISHED)),
            false => None,
        };
        if !heard {
            self.buffer = Vec::new(); // most games are silent most of the time
        }
    }

    fn request(&mut self, request: Request, now: Instant) -> Result<(), String> {
        if matches!(self.life.phase(), Phase::Down | Phase::Failed) {
            return Err("the keeper is ending: start it anew".into());
        }
        match request {
            Request::Input(line) => self.type_lines(&line)?,
            Request::Log(text) => self.notes.push(text),
            Request::Stop => self.step(Event::Stop, now),
            Request::Restart => self.step(Event::Restart, now),
            Request::Kill => self.step(Event::Kill, now),
        }
        Ok(())
    }

    pub(super) fn write_notes(&mut self) {
        for note in std::mem::take(&mut self.notes) {
            let written = self
                .console
                .line(Kind::Log, UnixMillis::now(), note.as_bytes());
            note_fault(&mut self.console_fault, written);
        }
    }

    /// Syncs a changed status, then tells everybody what is new.
    fn publish(&mut self) {
        self.write_notes();
        if std::mem::take(&mut self.changed) {
            self.status.revision += 1;
            if let Err(error) = files::write_status(&self.run, &self.status) {
                // The game matters more than the record of it.
                complain(format_args!("status.json: {error}"));
            }
        }
        self.peers.tell(&self.status, self.console.head());
    }
}

/// To `keeper.log`, when the disk takes it: `eprintln` would panic where it does not, and the game would go with us.
fn complain(what: std::fmt::Arguments<'_>) {
    writeln!(io::stderr(), "{} {what}", UnixMillis::now()).ok();
}

/// Says once that the console cannot be written, and once that it can again.
fn note_fault(known: &mut Option<io::ErrorKind>, written: io::Result<()>) {
    let fault = written.as_ref().err().map(io::Error::kind);
    if *known != fault {
        match &written {
            Err(error) => complain(format_args!("console: {error}")),
            Ok(()) => complain(format_args!("console: written again")),
        }
        *known = fault;
    }
}
