//! The process of one job: `longhouse snapshot-job`, started by the daemon with the rights of the server's user, and no more.
//!
//! It opens nothing by a path that leads from the root: its folders come as descriptors, and all else is found beneath
//! them without following a link. So whatever the game does to its folder meanwhile, nothing can be read here that the
//! game could not read itself.
//!
//! | file | |
//! |---|---|
//! | `backend.rs` | the repository's files: paced, synced, and no snapshot after a failed write |
//! | `source.rs` | walks the server's folder and opens what has changed |
//! | `repository.rs` | take, list, read, forget |
//! | `restore.rs` | writes files as they were, and puts them in place |
//! | `check.rs` | reads everything, and names what is damaged |

mod backend;
mod check;
mod repository;
mod restore;
mod source;

use std::{
    fs::File,
    io::{self, BufRead, Read, Write},
    os::fd::{AsFd, OwnedFd, RawFd},
    process::ExitCode,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rustic_core::{
    HiddenProgress, Progress, ProgressBars, ProgressType, RusticError, RusticProgress,
};

use super::wire::{self, Job, Order, Outcome, Said, Why};
use crate::sandbox::{passing, process};

/// Where the daemon's end of the channel is.
const CHANNEL: RawFd = 3;
/// Threads that read, pack and compress.
const THREADS: usize = 2;
/// How often it says how far it is.
const BEAT: Duration = Duration::from_millis(500);

/// Why a job cannot be done.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// The daemon's words or descriptors did not come.
    #[error("the daemon cannot be understood: {0}")]
    Order(io::Error),
    /// The library says no.
    #[error("{}", .0.display_log().trim_start_matches("Error: "))]
    Library(#[from] Box<RusticError>),
    /// A file or a folder.
    #[error("{what}: {source}")]
    Io {
        /// Which.
        what: String,
        /// Why.
        source: io::Error,
    },
    /// The snapshot holds no such thing.
    #[error("the snapshot holds no `{0}`")]
    NoSuchPath(String),
    /// It is something else.
    #[error("`{path}` is no {wanted}")]
    WrongKind {
        /// Below the server's folder.
        path: String,
        /// What it would have to be.
        wanted: &'static str,
    },
    /// What is stored makes no sense.
    #[error("the repository is damaged: {0}")]
    Damaged(String),
}

impl Trouble {
    fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    fn why(&self) -> Why {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(error) = cause {
            let full = |error: &io::Error| {
                matches!(error.raw_os_error(), Some(libc::ENOSPC | libc::EDQUOT))
            };
            if error.downcast_ref().is_some_and(full) {
                return Why::DiskFull;
            }
            cause = match error.downcast_ref::<Self>() {
                Some(Self::Io { source, .. }) if full(source) => return Why::DiskFull,
                Some(Self::Library(library)) => library.as_ref().source_of(),
                _ => error.source(),
            };
        }
        match self {
            Self::NoSuchPath(_) => Why::NoSuchPath,
            Self::WrongKind { .. } => Why::WrongKind,
            Self::Damaged(_) => Why::Damaged,
            _ => Why::Failed,
        }
    }
}

/// The library's error hides its cause behind a method of another trait.
trait SourceOf {
    fn source_of(&self) -> Option<&(dyn std::error::Error + 'static)>;
}

impl SourceOf for RusticError {
    fn source_of(&self) -> Option<&(dyn std::error::Error + 'static)> {
        std::error::Error::source(self)
    }
}

/// How far the job is, and how fast it may read: shared by all of its threads.
#[derive(Debug, Clone)]
pub(super) struct Pace(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    done: AtomicU64,
    rate: u64,
    /// When what was read so far may have been read. Locked for one sum; the wait is outside.
    next: Mutex<Instant>,
}

impl Pace {
    fn new(rate: u64) -> Self {
        Self(Arc::new(Shared {
            done: AtomicU64::new(0),
            rate,
            next: Mutex::new(Instant::now()),
        }))
    }

    /// Counts what was done.
    fn count(&self, bytes: u64) {
        self.0.done.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Waits until so many bytes more may be read.
    fn read(&self, bytes: u64) {
        if self.0.rate == 0 {
            return;
        }
        let cost = Duration::from_secs_f64(bytes as f64 / self.0.rate as f64);
        let now = Instant::now();
        let wait = {
            let mut next = self.0.next.lock().unwrap_or_else(PoisonError::into_inner);
            let start = (*next).max(now);
            *next = start + cost;
            start.saturating_duration_since(now)
        };
        if !wait.is_zero() {
            thread::sleep(wait);
        }
    }
}

/// What the library reports of bytes is how far the job is.
impl ProgressBars for Pace {
    fn progress(&self, kind: ProgressType, _: &str) -> Progress {
        match kind {
            ProgressType::Bytes => Progress::new(self.clone()),
            ProgressType::Spinner | ProgressType::Counter => Progress::new(HiddenProgress),
        }
    }
}

impl RusticProgress for Pace {
    fn is_hidden(&self) -> bool {
        false
    }

    fn set_length(&self, _: u64) {}

    fn set_title(&self, _: &str) {}

    fn inc(&self, bytes: u64) {
        self.count(bytes);
    }

    fn finish(&self) {}
}

/// The verb's main. Everything that it has to say goes to standard output, a line each.
pub fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| {
        say(&Said::Failed {
            why: Why::Failed,
            text: format!("bug: {panic}"),
        });
        std::process::exit(101);
    }));
    match run() {
        Ok(result) => {
            say(&Said::Done { result });
            ExitCode::SUCCESS
        }
        Err(trouble) => {
            say(&Said::Failed {
                why: trouble.why(),
                text: trouble.to_string().replace('\n', " "),
            });
            ExitCode::FAILURE
        }
    }
}

fn say(said: &Said) {
    print(&wire::encode(said));
}

/// Nobody reads it: then we are about to be killed.
fn print(line: &[u8]) {
    let mut out = io::stdout().lock();
    out.write_all(line).and_then(|()| out.flush()).ok();
}

fn run() -> Result<Outcome, Trouble> {
    process::leash().map_err(Trouble::Order)?;
    process::yield_to_all(THREADS).map_err(Trouble::Order)?;
    print(format!("{}\n", wire::READY).as_bytes());
    let mut line = Vec::new();
    let mut input = io::stdin().lock().take(wire::LONGEST as u64);
    input.read_until(b'\n', &mut line).map_err(Trouble::Order)?;
    let order: Order =
        serde_json::from_slice(&line).map_err(|error| Trouble::Order(error.into()))?;
    let socket = passing::inherited(CHANNEL).map_err(Trouble::Order)?;
    let mut passed = Vec::new();
    for _ in 0..=order.job.descriptors().len() {
        let (_, descriptor) = passing::receive(socket.as_fd()).map_err(Trouble::Order)?;
        passed.push(descriptor);
    }
    let repository = passed.remove(0);
    // The library knows paths only: from here on its folder is where we are.
    nix::unistd::fchdir(&repository).map_err(|error| Trouble::Order(error.into()))?;
    let pace = Pace::new(order.rate);
    let beat = pace.clone();
    thread::spawn(move || {
        loop {
            say(&Said::Progress {
                bytes: beat.0.done.load(Ordering::Relaxed),
            });
            thread::sleep(BEAT);
        }
    });
    work(order.job, &order.key, &repository, passed, &pace)
}

/// Does it. The repository is the working directory.
fn work(
    job: Job,
    key: &serde_json::Value,
    folder: &OwnedFd,
    passed: Vec<OwnedFd>,
    pace: &Pace,
) -> Result<Outcome, Trouble> {
    let mut passed = passed.into_iter();
    let mut next = || {
        let missing = || Trouble::Order(io::ErrorKind::NotFound.into());
        passed.next().ok_or_else(missing)
    };
    let open = || repository::open(key, pace);
    match job {
        Job::Take { parent } => repository::take(folder, key, parent, next()?, pace),
        Job::List {
            snapshot,
            path,
            after,
            count,
        } => repository::list(&open()?, &snapshot, &path, after.as_ref(), count),
        Job::Read { snapshot, path } => {
            repository::read(&open()?, &snapshot, &path, File::from(next()?), pace)
        }
        Job::Restore { snapshot, .. } => restore::all(&open()?, &snapshot, next()?, pace),
        Job::RestoreOne {
            snapshot,
            path,
            to,
            aside,
        } => {
            let (files, kept) = (next()?, next()?);
            let place = restore::Place {
                files: &files,
                aside: &kept,
                name: &aside,
            };
            restore::one(&open()?, &snapshot, &path, &to, &place, pace)
        }
        Job::PutBack {
            to,
            aside,
            was_there,
        } => {
            let (files, kept) = (next()?, next()?);
            let place = restore::Place {
                files: &files,
                aside: &kept,
                name: &aside,
            };
            restore::put_back(&place, &to, was_there)
        }
        Job::Forget { snapshots, prune } => {
            repository::forget(key, &snapshots, prune.as_deref(), pace)
        }
        Job::Check { snapshots } => check::check(key, &snapshots, pace),
    }
}
