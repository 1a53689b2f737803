//! The process of one table: what it is started with, where it may write, and how nothing of it stays.
//!
//! ```text
//!  state/tables/               0711  root
//!  state/tables/TicTacToe/     2770  root : a group of the game type's own; its tables' working directory and home
//! ```
//!
//! As root every table runs as a user of its own and in its game type's group, so that a later table can take up what
//! an earlier one saved, and no other game can. Otherwise all run as this program's user, and bear a mark by which what
//! they fork is found. Where this program may make cgroups, each table is in one of its own.

use std::{
    fs,
    future::{self, Future},
    io,
    ops::RangeInclusive,
    os::{
        fd::{AsFd, OwnedFd},
        unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::oneshot,
};

use super::stage::Start;
use crate::{
    lobby::definition::TableGame,
    sandbox::{
        cgroup::{self, Hierarchy},
        kill,
        pidfd::PidFd,
        process::Ended,
        spawn::{self, Launch, SpawnError, Step},
        tree::Ties,
    },
};

/// Where programs without a slash are looked for, by us and by them.
const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/local/games:/usr/games";
/// Open files, and bytes of one file, of a game.
const FILES: u64 = 256;
const FILE: u64 = 256 << 20;
/// Address space of one process.
const MEMORY: u64 = 1 << 30;
/// Processes and threads of one table, where it has a user or a cgroup of its own.
const PROCESSES: u32 = 64;
/// What the cgroup of a table limits, where it can: all of its processes together, and to one processor.
const LIMITS: cgroup::Limits = cgroup::Limits {
    memory: Some(MEMORY),
    cpu_percent: Some(100),
    pids: Some(PROCESSES),
};
/// In the environment of games that have no user of their own.
const MARK: &str = "LONGHOUSE_TABLE";
/// One look at what is left of a game.
const KILLING: Duration = Duration::from_secs(10);
/// Between two tries of what has to succeed in the end.
const PAUSE: Duration = Duration::from_secs(1);

/// What to start.
pub(super) struct Recipe {
    pub(super) argv: Vec<String>,
    /// Where all data folders are.
    pub(super) tables: PathBuf,
    /// The name of this one's.
    pub(super) folder: String,
    /// Its user, and the pool of groups.
    pub(super) user: Option<(u32, RangeInclusive<u32>)>,
    /// Its place, which no other running table has.
    pub(super) place: usize,
    /// What no other table is ever marked with.
    pub(super) mark: String,
    /// Where cgroups can be made.
    pub(super) cgroups: Option<Hierarchy>,
    /// Its end of the link.
    pub(super) channel: OwnedFd,
}

/// A running game. Dropped, it is killed.
pub(super) struct Process {
    pid: u32,
    fd: PidFd,
    /// What all that it forks is known by.
    ties: Ties,
    /// What it prints, and what it complains of.
    pub(super) outputs: Option<[OwnedFd; 2]>,
}

type Job = (Recipe, oneshot::Sender<Result<Process, Start>>);

/// The thread that all games are children of: they die when it ends, so it lives as long as the stage.
#[derive(Clone)]
pub(super) struct Spawner(mpsc::Sender<Job>);

impl Spawner {
    pub(super) fn new() -> io::Result<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        thread::Builder::new()
            .name("tables".into())
            .spawn(move || {
                for (recipe, reply) in queue {
                    reply.send(start(&recipe)).ok(); // nobody waits: it is dropped, and so killed
                }
            })?;
        Ok(Self(jobs))
    }

    pub(super) async fn spawn(&self, recipe: Recipe) -> Result<Process, Start> {
        let (reply, answer) = oneshot::channel();
        self.0.send((recipe, reply)).ok();
        answer.await.unwrap_or(Err(Start::Over))
    }
}

fn start(recipe: &Recipe) -> Result<Process, Start> {
    let uid = recipe.user.as_ref().map(|(uid, _)| *uid);
    if let Some(uid) = uid {
        // What a daemon that was killed may have left behind.
        kill::kill_user(uid).map_err(Start::System)?;
    }
    let pool = recipe.user.as_ref().map(|(_, pool)| pool);
    let path = recipe.tables.join(&recipe.folder);
    let group = prepare(&path, pool).map_err(|source| Start::Folder {
        path: path.clone(),
        source,
    })?;
    let env = [
        ("GGZMODE", "true"),
        ("GGZSOCKET", "3"),
        ("PATH", PATH),
        ("LANG", "C.UTF-8"),
    ];
    let mut env: Vec<(String, String)> = env.map(|(k, v)| (k.into(), v.into())).into();
    env.push(("HOME".into(), path.to_string_lossy().into_owned()));
    let mut rlimits = vec![
        (libc::RLIMIT_CORE, 0),
        (libc::RLIMIT_NOFILE, FILES),
        (libc::RLIMIT_FSIZE, FILE),
        (libc::RLIMIT_AS, MEMORY),
    ];
    let mut ties = Ties {
        user: uid,
        cgroup: folder_of(recipe),
        ..Ties::default()
    };
    match uid {
        Some(_) => rlimits.push((libc::RLIMIT_NPROC, PROCESSES.into())),
        None => {
            ties.mark = Some(format!("{MARK}={}", recipe.mark));
            env.push((MARK.into(), recipe.mark.clone()));
        }
    }
    let launch = Launch {
        argv: &recipe.argv,
        env: &env,
        cwd: &path,
        user: uid.zip(group),
        guise: None,
        cgroup: ties.cgroup.as_deref(),
        rlimits: &rlimits,
        channel: Some(recipe.channel.as_fd()),
        umask: 0o007,
    };
    let child = match spawn::spawn(&launch) {
        Err(SpawnError::Step {
            step: Step::Cgroup,
            source,
            ..
        }) => {
            tracing::warn!(%source, "a table runs without a cgroup");
            spawn::spawn(&Launch {
                cgroup: None,
                ..launch
            })?
        }
        spawned => spawned?,
    };
    let fd = PidFd::open(child.pid).map_err(Start::System)?;
    Ok(Process {
        pid: child.pid,
        fd,
        ties,
        outputs: Some([child.stdout, child.stderr]),
    })
}

/// Its cgroup, empty; none where there is none to be had.
fn folder_of(recipe: &Recipe) -> Option<PathBuf> {
    let name = format!("table-{}", recipe.place);
    let placed = recipe
        .cgroups
        .as_ref()?
        .place(&recipe.tables, name, &LIMITS)
        .inspect_err(|error| tracing::warn!(%error, "a table runs without a cgroup"));
    let folder = placed.ok()?.path;
    // What a daemon that was killed may have left behind.
    cgroup::kill(&folder);
    Some(folder)
}

/// Makes the data folder where it is absent. Its group, where there is a pool to choose one from.
fn prepare(path: &Path, pool: Option<&RangeInclusive<u32>>) -> io::Result<Option<u32>> {
    let tables = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(tables)?;
    fs::set_permissions(tables, PermissionsExt::from_mode(0o711))?;
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let Some(pool) = pool else { return Ok(None) };
    let group = fs::symlink_metadata(path)?.gid();
    if pool.contains(&group) {
        return Ok(Some(group));
    }
    // One that was just made, or made before the pool was changed.
    let mut taken = Vec::new();
    for entry in fs::read_dir(tables)? {
        taken.push(entry?.metadata()?.gid());
    }
    let free = pool.clone().find(|gid| !taken.contains(gid));
    let group = free.ok_or_else(|| io::Error::other("no group is left for one more game type"))?;
    std::os::unix::fs::lchown(path, Some(0), Some(group))?;
    fs::set_permissions(path, PermissionsExt::from_mode(0o2770))?;
    Ok(Some(group))
}

/// The command line of a table.
pub(super) fn command(game: &TableGame, args: &[String]) -> Result<Vec<String>, Start> {
    let mut argv: Vec<String> = game.argv.iter().chain(args).cloned().collect();
    let program = game.argv.first().filter(|name| !name.is_empty());
    let program = program.ok_or(SpawnError::Nameless)?;
    let path = Path::new(program);
    if program == "longhouse" {
        // This very program, even where the game's user cannot reach its file by name.
        argv[0] = "/proc/self/exe".into();
    } else if path.is_relative() {
        match &game.folder {
            Some(folder) => {
                let path = std::path::absolute(folder.join(path)).map_err(Start::System)?;
                argv[0] = path.to_string_lossy().into_owned();
            }
            None if program.contains('/') => return Err(Start::Nowhere(program.clone())),
            None => {} // of the system
        }
    }
    Ok(argv)
}

/// A name for a game type's data folder: what is no plain letter, digit, space, `-`, `_` or inner dot is written `%XX`.
pub(super) fn folder_name(title: &str) -> String {
    if title.is_empty() {
        return "%".into();
    }
    let safe = |(at, byte): (usize, u8)| match byte {
        b'-' | b'_' | b' ' => char::from(byte).into(),
        b'.' if at > 0 => ".".into(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).into(),
        byte => format!("%{byte:02X}"),
    };
    title.bytes().take(64).enumerate().map(safe).collect()
}

/// Tries until it succeeds, with pauses; that it fails is said once. What fails for want of descriptors succeeds when
/// somebody else lets go of theirs.
async fn insist<T, F>(trouble: &str, mut attempt: impl FnMut() -> F) -> T
where
    F: Future<Output = io::Result<T>>,
{
    let mut said = false;
    loop {
        match attempt().await {
            Ok(done) => return done,
            Err(error) if !said => tracing::error!(%error, "{trouble}; it is tried again"),
            Err(_) => {}
        }
        said = true;
        tokio::time::sleep(PAUSE).await;
    }
}

impl Process {
    /// Returns when its main process has ended.
    pub(super) async fn ended(&self) {
        let watch = || -> io::Result<_> {
            // Needs no descriptor more: this is seen even while there is none to be had.
            if self.fd.ended_by(Instant::now()) {
                return Ok(None);
            }
            let own = self.fd.as_fd().try_clone_to_owned()?;
            #[expect(
                deprecated,
                reason = "its successor is unsafe, and an OwnedFd keeps its number"
            )]
            AsyncFd::with_interest(own, Interest::READABLE).map(Some)
        };
        let tries = || future::ready(watch());
        if let Some(end) = insist("cannot wait for a game's end", tries).await {
            drop(end.readable().await);
        }
    }

    /// Asks it to end.
    pub(super) fn interrupt(&self) {
        self.fd.signal(libc::SIGINT).ok();
    }

    /// Kills it, all of its group, and all that is tied to it. How the main process ended, once none of them is left.
    pub(super) async fn bury(mut self) -> Option<Ended> {
        self.kill();
        self.ended().await;
        let how = self.fd.reap();
        self.pid = 0;
        let kill = || {
            let rest = self.ties.clone();
            let killing = tokio::task::spawn_blocking(move || rest.kill(KILLING));
            // That it does not run at all means that this program ends.
            async { killing.await.unwrap_or(Ok(0)) }
        };
        insist("a game does not go", kill).await;
        if let Some(folder) = &self.ties.cgroup {
            cgroup::remove(folder).ok(); // the next table in this place uses it
        }
        how.inspect_err(|error| tracing::error!(%error, "a game's end is unknown"))
            .ok()
            .flatten()
    }

    /// The group too: until the main process is reaped, its number is nobody else's.
    fn kill(&self) {
        if let Ok(group @ 1..) = i32::try_from(self.pid) {
            killpg(Pid::from_raw(group), Signal::SIGKILL).ok();
            self.fd.signal(libc::SIGKILL).ok();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_fails_is_tried_again_after_a_pause_until_it_succeeds() {
        let begun = tokio::time::Instant::now();
        let mut tries = 0;
        let done = insist("no luck", || {
            tries += 1;
            let luck = (tries == 4).then_some("done");
            future::ready(luck.ok_or_else(|| io::ErrorKind::Other.into()))
        });
        assert_eq!(done.await, "done");
        assert_eq!((tries, begun.elapsed()), (4, 3 * PAUSE));
    }
}
