//! The small process beside each game server. It outlives the daemon, and nothing but its administrator's word, or the
//! limit of its restarts, makes it let its game stay down.
//!
//! Owns: one game's process and everything that it forks, its input and output, its restarts, `RUN/status.json`, and the
//! writing end of its console while it runs. Refuses: to decide *whether* a server should run; that is `hosting`'s.
//! It answers MyOTTD's in-guest init.
//!
//! ```text
//!  daemon                       keeper (small, one thread)                      game
//!  ───────                      ─────────────────────────                      ────
//!  launch ── spec.json ───────► lock, keeper.sock, console
//!  Client ── wire ── stop… ───► state: what now? ──► service: does it ──spawn─► own session, user, cgroup;
//!         ◄─ status, head ────  status.json, segments ◄─ stdout, stderr ──────  dies with its keeper
//!  sweep  ── whatever a dead keeper left ends by cgroup, user, or mark
//! ```
//!
//! | file | what |
//! |---|---|
//! | `state` | the lifecycle: one function of state, event and time |
//! | `wire` | bytes between daemon and keeper, versioned |
//! | `service` | the loop: waiting, and the order of looking |
//! | `effects` | what decisions do: start, stop, replace, explain |
//! | `game`, `peers`, `files` | what the loop holds: the process and its pipes, the connections, the run folder |
//! | `aside` | TCP probes and stop scripts, by smol, beside the loop |
//! | `client` | the daemon's end |

mod aside;
mod client;
mod effects;
mod files;
mod game;
mod peers;
mod service;
mod state;
pub(crate) mod wire;

use std::{
    io::{self, Write},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde::{Deserialize, Serialize};

pub use client::{Client, launch, sweep};
pub(crate) use client::{clear, fell};
pub(crate) use files::excuse;

use crate::clock::UnixMillis;
use crate::hosting::{Exit, Restart};
use crate::sandbox::tree::Ties;

/// How a game says that players may come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ready {
    /// A line of its output contains this text.
    Line(String),
    /// This TCP port of the loopback address accepts.
    Tcp(u16),
    /// It has no way to say so: ready as soon as it runs.
    Running,
}

/// The definition's way to stop; SIGTERM and SIGKILL follow when it does not help.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stop {
    /// Lines on standard input.
    Console(Vec<String>),
    /// A signal, by number, to the game's main process.
    Signal(i32),
    /// A TCP console on the loopback address: read until `expect`, send `send`, a line each, in turn.
    Tcp {
        /// The port.
        port: u16,
        /// Pairs of what to wait for (may be empty) and the line to send then.
        script: Vec<(String, String)>,
    },
}

/// Everything the keeper needs; written by the worker to `RUN/spec.json` (atomically) before the keeper starts, and read again by the keeper before each start of the game.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// The server's id, for logs and for the mark `LONGHOUSE_SERVER` in the game's environment.
    pub server: u64,
    /// The program and its arguments. Never a shell, unless the definition says so.
    pub argv: Vec<String>,
    /// The whole environment.
    pub env: Vec<(String, String)>,
    /// Working directory.
    pub cwd: PathBuf,
    /// Where the console's segments are.
    pub console: PathBuf,
    /// Bytes of console history to keep.
    pub history: u64,
    /// The unprivileged user and group, when the daemon is root.
    pub user: Option<(u32, u32)>,
    /// The cgroup v2 folder for the game, when there is one that can be written.
    pub cgroup: Option<PathBuf>,
    /// `RLIMIT_NPROC`, `RLIMIT_NOFILE`, `RLIMIT_CORE` and so on: resource number (of libc), value.
    pub rlimits: Vec<(u32, u64)>,
    /// How it says that it is ready.
    pub ready: Ready,
    /// How long that may take before the start counts as failed.
    pub ready_timeout: Duration,
    /// How it is stopped.
    pub stop: Stop,
    /// How long the definition's way may take before SIGTERM.
    pub stop_timeout: Duration,
    /// How long SIGTERM may take before everything is killed.
    pub term_timeout: Duration,
    /// When it is started again.
    pub restart: Restart,
    /// How many ends within `window` make it give up; 0: never.
    pub limit: u32,
    /// The window of `limit`. An end that is the first within it is answered by a start at once, the next ones after
    /// 1 s, 2 s, 4 s and so on.
    pub window: Duration,
}

/// What the keeper's game does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Launched, not ready.
    Starting,
    /// Ready.
    Up,
    /// Being stopped.
    Stopping,
    /// Waiting for the next start.
    Backoff,
    /// Down because somebody said so: the keeper is about to end, or has.
    Down,
    /// Down because policy or limit says so: the same.
    Failed,
}

/// `RUN/status.json`: synced before it is announced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Counts changes.
    pub revision: u64,
    /// What the game does.
    pub phase: Phase,
    /// The keeper's pid.
    pub keeper: u32,
    /// The game's main process.
    pub pid: Option<u32>,
    /// When this game process was started.
    pub started: Option<UnixMillis>,
    /// When `phase` was entered.
    pub since: UnixMillis,
    /// Starts of the game by this keeper.
    pub starts: u32,
    /// The last end of the game.
    pub exit: Option<Exit>,
    /// When it is next started.
    pub retry_at: Option<UnixMillis>,
}

/// What can be asked of a keeper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// Type a line.
    Input(Vec<u8>),
    /// Append a `log` line to the console.
    Log(String),
    /// Stop in the definition's way, then end.
    Stop,
    /// Stop, read the spec again, start.
    Restart,
    /// Kill everything at once, then end.
    Kill,
}

/// What goes wrong between the daemon and a keeper.
#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    /// No keeper holds the lock of that run folder.
    #[error("no keeper runs in {0}")]
    Absent(PathBuf),
    /// The keeper said no.
    #[error("the keeper refused: {0}")]
    Refused(String),
    /// It ended before it said how it went.
    #[error("the keeper ended without a word; see {}", .0.join("keeper.log").display())]
    Wordless(PathBuf),
    /// Reading or writing failed.
    #[error("keeper in {path}: {source}")]
    Io {
        /// The run folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The status that the keeper in `run` last wrote, and whether a keeper holds the lock now.
pub fn last_status(run: &Path) -> Result<(Option<Status>, bool), KeeperError> {
    let failed = |source| KeeperError::Io {
        path: run.into(),
        source,
    };
    // The lock first: a keeper that ends meanwhile has written its last status by then.
    let held = files::Lock::held(run).map_err(failed)?;
    Ok((files::read_status(run).map_err(failed)?, held))
}

/// The keeper's main: supervises the game of `RUN/spec.json` until it is stopped or gives up. Whoever launched it reads
/// `ready` on its standard output, or why not.
pub fn main(run: &Path) -> io::Result<()> {
    service::supervise(run).inspect_err(|error| {
        writeln!(io::stdout(), "{error}").ok(); // the launcher may be gone
    })
}

/// The variable that marks every process of a game.
pub(crate) const MARK: &str = "LONGHOUSE_SERVER";

/// What it holds: nothing else on this machine has the same run folder.
pub(crate) fn mark(run: &Path, server: u64) -> String {
    format!("{server}@{}", run.display())
}

/// Both, as they stand in an environment.
fn entry(run: &Path, server: u64) -> String {
    format!("{MARK}={}", mark(run, server))
}

/// All that ties a process to the game of `server`, whose run folder this is and whose user id that.
fn ties(
    run: &Path,
    server: u64,
    user: Option<u32>,
    cgroup: Option<PathBuf>,
    ancestor: Option<u32>,
) -> Ties {
    let own = run.to_owned();
    Ties {
        ancestor,
        user,
        cgroup,
        mark: Some(entry(run, server)),
        spares: Some(Arc::new(move |mark| is_of_another(mark, &own, user))),
    }
}

/// Whether a mark is of another game of the same user: two boxes on one machine may use the same users. A game can
/// write what it likes into its environment, but has no spec in a folder that only root or we can write.
fn is_of_another(mark: &[u8], own: &Path, user: Option<u32>) -> bool {
    let claimed = || {
        let (server, run) = std::str::from_utf8(mark).ok()?.split_once('@')?;
        let run = Path::new(run)
            .canonicalize()
            .ok()
            .filter(|run| run != own)?;
        let folder = run.metadata().ok()?;
        let trusted = [0, nix::unistd::geteuid().as_raw()].contains(&folder.uid());
        if !trusted || folder.mode() & 0o022 != 0 {
            return None; // and nothing in it is opened: it might be a pipe
        }
        let spec = files::read_spec(&run).ok()?;
        let uid = spec.user.map(|(uid, _)| uid);
        Some(spec.server.to_string() == server && uid == user)
    };
    claimed().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt as _};

    fn spec(server: u64, user: u32) -> Vec<u8> {
        let spec = Spec {
            server,
            argv: Vec::new(),
            env: Vec::new(),
            cwd: "/".into(),
            console: "/".into(),
            history: 1,
            user: Some((user, user)),
            cgroup: None,
            rlimits: Vec::new(),
            ready: Ready::Running,
            ready_timeout: Duration::ZERO,
            stop: Stop::Signal(15),
            stop_timeout: Duration::ZERO,
            term_timeout: Duration::ZERO,
            restart: Restart::Never,
            limit: 0,
            window: Duration::ZERO,
        };
        serde_json::to_vec(&spec).unwrap()
    }

    #[test]
    fn only_a_mark_that_is_true_is_another_games() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path().canonicalize().unwrap();
        let [own, other, odd] = ["own", "other", "odd"].map(|name| home.join(name));
        for (run, server) in [(&own, 7), (&other, 9), (&odd, 9)] {
            fs::create_dir(run).unwrap();
            fs::write(run.join("spec.json"), spec(server, 3000)).unwrap();
        }
        fs::set_permissions(&odd, fs::Permissions::from_mode(0o777)).unwrap();
        std::os::unix::fs::symlink(&own, home.join("link")).unwrap();
        let claim = |mark: String, user| is_of_another(mark.as_bytes(), &own, Some(user));
        assert!(claim(mark(&other, 9), 3000));
        assert!(!claim(mark(&other, 9), 3001), "of another user");
        assert!(!claim(mark(&other, 8), 3000), "of no server there");
        assert!(!claim(mark(&own, 7), 3000));
        assert!(!claim(mark(&home.join("link"), 7), 3000), "ourselves");
        assert!(!claim(mark(&odd, 9), 3000), "anybody's folder");
        assert!(!claim("9".into(), 3000) && !claim("9@/no/such".into(), 3000));
    }
}
