//! Runs one job as a process of its own, to its end: starts it as the server's user, hands it its folders, listens.
//!
//! As root it has the *effective* user of the server, and a real and saved one that no server has: so it may do what
//! the game may do with files, but the game can neither trace nor signal it, nor is it swept with the game's processes.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::net::UnixStream,
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, Instant},
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::resource::Resource,
};
use tokio_util::sync::CancellationToken;

use super::wire::{self, Order, Outcome, READY, Said, Why};
use crate::sandbox::{
    passing,
    pidfd::PidFd,
    process::Ended,
    spawn::{self, Child, Launch, SpawnError, Step},
};

/// A user that no server and nobody else is. Containers may not have it.
const GUISE: u32 = u32::MAX - 2;
/// Memory that a job may have for its data.
const MEMORY: u64 = 1 << 30;
/// A job says something twice a second; when it has been silent for so long, it hangs.
const SILENCE: Duration = Duration::from_secs(120);
/// How long it may take to end once it has said its last.
const LAST: Duration = Duration::from_secs(10);
/// How often it is looked whether the box shuts down.
const LOOK: Duration = Duration::from_millis(200);

/// Why a job came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// Its process could not be started.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// Talking to it failed.
    #[error("its process cannot be talked to: {0}")]
    Io(#[from] io::Error),
    /// It said something else than jobs say.
    #[error("its process speaks in riddles: {0}")]
    Riddle(String),
    /// It ended without a result.
    #[error("its process ended without a result: {0}")]
    Ended(Ended),
    /// It hung, and was killed.
    #[error("its process said nothing for {} s, and was killed", SILENCE.as_secs())]
    Silent,
    /// It said why.
    #[error("{0}")]
    Failed(String),
    /// The box is shutting down.
    #[error("the box is shutting down")]
    Stopped,
}

/// How a job that ran failed, in its own words.
#[derive(Debug)]
pub(super) enum Failure {
    Said(Why, String),
    Job(JobError),
}

impl<T: Into<JobError>> From<T> for Failure {
    fn from(error: T) -> Self {
        Self::Job(error.into())
    }
}

/// What starts jobs.
#[derive(Debug, Clone)]
pub(super) struct Runner {
    /// The `longhouse` binary.
    pub(super) program: PathBuf,
    /// Ends all jobs.
    pub(super) stop: CancellationToken,
}

/// One job.
pub(super) struct Work {
    pub(super) order: Order,
    /// The server's user and group, when we are root.
    pub(super) user: Option<u32>,
    pub(super) repository: OwnedFd,
    /// In the order of the job's descriptors.
    pub(super) passed: Vec<OwnedFd>,
}

impl Runner {
    /// Runs it to its end, and counts on the way. Blocking. The process dies with this thread.
    pub(super) fn run(&self, work: Work, done: &AtomicU64) -> Result<Outcome, Failure> {
        debug_assert_eq!(work.passed.len(), work.order.job.descriptors().len());
        let (ours, theirs) = UnixStream::pair()?;
        let child = self.start(&work, &theirs)?;
        drop(theirs);
        let process = PidFd::open(child.pid)?;
        let talked = self.talk(child, &ours, work, done);
        if !matches!(talked, Ok(_) | Err(Failure::Said(..))) {
            process.signal(libc::SIGKILL)?;
        }
        if !process.ended_by(Instant::now() + LAST) {
            process.signal(libc::SIGKILL)?;
            process.ended_by(Instant::now() + LAST);
        }
        let ended = process.reap()?;
        match talked {
            // It closed its output: what is to be known is how it ended.
            Err(Failure::Job(JobError::Io(error)))
                if error.kind() == io::ErrorKind::UnexpectedEof =>
            {
                Err(JobError::Ended(ended.unwrap_or(Ended::Signal(libc::SIGKILL))).into())
            }
            talked => talked,
        }
    }

    fn start(&self, work: &Work, channel: &UnixStream) -> Result<Child, SpawnError> {
        let argv = [
            self.program.to_string_lossy().into_owned(),
            "snapshot-job".into(),
        ];
        // By which the library counts its threads, where it does not count processors.
        let env = [("RAYON_NUM_THREADS".to_owned(), "2".to_owned())];
        let rlimits = [
            (Resource::RLIMIT_CORE as u32, 0),
            (Resource::RLIMIT_DATA as u32, MEMORY),
        ];
        let launch = Launch {
            argv: &argv,
            env: &env,
            cwd: Path::new("/"),
            user: work.user.map(|id| (id, id)),
            guise: work.user.map(|_| GUISE),
            cgroup: None,
            rlimits: &rlimits,
            channel: Some(channel.as_fd()),
            umask: 0o077,
        };
        match spawn::spawn(&launch) {
            Err(SpawnError::Step {
                step: Step::User, ..
            }) => spawn::spawn(&Launch {
                guise: None,
                ..launch
            }),
            started => started,
        }
    }

    fn talk(
        &self,
        child: Child,
        channel: &UnixStream,
        work: Work,
        done: &AtomicU64,
    ) -> Result<Outcome, Failure> {
        let mut lines = Lines {
            from: File::from(child.stdout),
            held: Vec::new(),
            stop: &self.stop,
        };
        let first = lines.next()?;
        if first != READY.as_bytes() {
            // It may have said why it cannot.
            return match wire::decode(&first) {
                Ok(Said::Failed { why, text }) => Err(Failure::Said(why, text)),
                _ => Err(JobError::Riddle(String::from_utf8_lossy(&first).into_owned()).into()),
            };
        }
        for descriptor in std::iter::once(&work.repository).chain(&work.passed) {
            passing::send(channel.as_fd(), 0, descriptor.as_fd())?;
        }
        // Whoever reads the other end of a pipe waits until nobody holds this one.
        drop((work.repository, work.passed));
        let mut input = File::from(child.stdin);
        input.write_all(&wire::encode(&work.order))?;
        loop {
            let line = lines.next()?;
            match wire::decode(&line).map_err(|error| JobError::Riddle(error.to_string()))? {
                Said::Progress { bytes } => done.store(bytes, Ordering::Relaxed),
                Said::Done { result } => return Ok(result),
                Said::Failed { why, text } => return Err(Failure::Said(why, text)),
            }
        }
    }
}

/// What it says, line by line.
struct Lines<'a> {
    from: File,
    held: Vec<u8>,
    stop: &'a CancellationToken,
}

impl Lines<'_> {
    /// The next line, without its end.
    fn next(&mut self) -> Result<Vec<u8>, JobError> {
        let patience = Instant::now() + SILENCE;
        let mut searched = 0;
        loop {
            if let Some(end) = memchr::memchr(b'\n', &self.held[searched..]) {
                let rest = self.held.split_off(searched + end + 1);
                let mut line = std::mem::replace(&mut self.held, rest);
                line.pop();
                return Ok(line);
            }
            searched = self.held.len();
            if searched > wire::LONGEST {
                return Err(JobError::Riddle("a line without end".into()));
            }
            let timeout = PollTimeout::try_from(LOOK).expect("a fifth of a second is short enough");
            match poll(
                &mut [PollFd::new(self.from.as_fd(), PollFlags::POLLIN)],
                timeout,
            ) {
                _ if self.stop.is_cancelled() => return Err(JobError::Stopped),
                Ok(0) | Err(nix::errno::Errno::EINTR) if Instant::now() < patience => continue,
                Ok(0) => return Err(JobError::Silent),
                Ok(_) => {}
                Err(error) => return Err(io::Error::from(error).into()),
            }
            let mut piece = [0; 16 << 10];
            match self.from.read(&mut piece)? {
                0 => return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into()),
                count => self.held.extend_from_slice(&piece[..count]),
            }
        }
    }
}
