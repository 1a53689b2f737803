//! All processes that are tied to one game, and their certain end.
//!
//! A game may fork, daemonise, change its session and lose its parents. What it cannot shed at once: its ancestry (its
//! keeper is the subreaper), its cgroup, its user, and the mark in its environment. Any one of them is enough.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{cgroup, kill, pidfd::PidFd};

/// Says whether a value of the mark is to be believed.
pub type Spares = Arc<dyn Fn(&[u8]) -> bool + Send + Sync>;

/// What ties a process to a game. Ties that are absent tie nobody.
#[derive(Clone, Default)]
pub struct Ties {
    /// Below this process.
    pub ancestor: Option<u32>,
    /// Of this user, which is the game's own: 0 and this process's own are disregarded. So is whatever bears a mark that
    /// `spares` says yes to: two boxes on one machine may use the same users, and neither may end the other's games.
    pub user: Option<u32>,
    /// In this cgroup v2 folder.
    pub cgroup: Option<PathBuf>,
    /// With exactly this entry, `NAME=value`, in the environment that it was started with.
    pub mark: Option<String>,
    /// Whether another value of the mark is truly another game's: games can write what they like there.
    pub spares: Option<Spares>,
}

/// A living process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    /// When it was started, in ticks since boot: with `pid`, its identity.
    pub start: u64,
    /// Its number.
    pub pid: u32,
    /// Its parent's number.
    pub parent: u32,
}

impl Ties {
    /// All living processes that are tied, the oldest first. Zombies do not live.
    pub fn members(&self) -> io::Result<Vec<Process>> {
        let all = living()?;
        let in_cgroup = self.in_cgroup();
        let user = self.user.filter(|&uid| is_games_own(uid));
        let mut tied: Vec<Process> = all
            .values()
            .filter(|process| {
                process.pid != std::process::id()
                    && (in_cgroup.contains(&process.pid)
                        || self.ancestor.is_some_and(|a| descends(process, a, &all))
                        || user.is_some_and(|uid| {
                            runs_as(process.pid, uid) && !self.is_another_games(process.pid)
                        })
                        || self.mark.as_ref().is_some_and(|m| bears(process.pid, m)))
            })
            .copied()
            .collect();
        tied.sort();
        Ok(tied)
    }

    /// Kills all that is tied, and whatever it forks meanwhile, for at most `within`. How many were killed;
    /// an error when some are left.
    pub fn kill(&self, within: Duration) -> io::Result<u32> {
        let deadline = Instant::now() + within;
        let mut seen = BTreeSet::new();
        loop {
            let members = self.members()?;
            if members.is_empty() {
                return Ok(seen.len() as u32);
            }
            seen.extend(members.iter().copied());
            // The two ways that no fork escapes come first; both are quiet where they cannot be had.
            if let Some(folder) = &self.cgroup {
                cgroup::kill(folder);
            }
            if let Some(uid) = self.user.filter(|&uid| is_games_own(uid))
                && !self.shares_its_user(uid)
            {
                kill::kill_user(uid).ok();
            }
            // Hold all before any is killed, so that none sees another die and forks on.
            let held: Vec<PidFd> = members.iter().filter_map(open).collect();
            for signal in [libc::SIGSTOP, libc::SIGKILL] {
                for process in &held {
                    process.signal(signal).ok(); // not ours to signal: it is reported as left
                }
            }
            if !held.iter().all(|process| process.ended_by(deadline)) || Instant::now() > deadline {
                let left = self.members()?.len();
                return Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    format!("{left} processes do not die"),
                ));
            }
        }
    }

    /// Sends one signal to all that is tied.
    pub fn signal(&self, number: i32) -> io::Result<()> {
        for process in self.members()?.iter().filter_map(open) {
            process.signal(number)?;
        }
        Ok(())
    }

    /// Whether a process was started for another game: its mark has our name and another value, which is true.
    fn is_another_games(&self, pid: u32) -> bool {
        let mark = self.mark.as_ref().and_then(|mark| mark.split_once('='));
        let (Some((name, value)), Some(spares)) = (mark, &self.spares) else {
            return false;
        };
        marks(pid, name).is_some_and(|other| other != value.as_bytes() && spares(&other))
    }

    fn shares_its_user(&self, uid: u32) -> bool {
        living().is_ok_and(|all| {
            all.keys()
                .any(|&pid| runs_as(pid, uid) && self.is_another_games(pid))
        })
    }

    fn in_cgroup(&self) -> BTreeSet<u32> {
        let file = self.cgroup.as_ref().map(|f| f.join("cgroup.procs"));
        let text = file.and_then(|f| fs::read_to_string(f).ok());
        let text = text.unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).collect()
    }
}

fn is_games_own(uid: u32) -> bool {
    uid != 0 && uid != nix::unistd::geteuid().as_raw() && uid != nix::unistd::getuid().as_raw()
}

/// The process itself, and not a later one of its number.
fn open(process: &Process) -> Option<PidFd> {
    let fd = PidFd::open(process.pid).ok()?;
    (stat(process.pid)?.start == process.start).then_some(fd)
}

fn living() -> io::Result<BTreeMap<u32, Process>> {
    let mut all = BTreeMap::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        if let Some(process) = name.to_str().and_then(|n| n.parse().ok()).and_then(stat) {
            all.insert(process.pid, process);
        }
    }
    Ok(all)
}

fn stat(pid: u32) -> Option<Process> {
    parse_stat(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// `pid (any bytes) state ppid ... starttime` with starttime in field 22; `None` for zombies and the dead.
fn parse_stat(stat: &[u8]) -> Option<Process> {
    let paren = memchr::memrchr(b')', stat)?;
    let pid = stat.split(|&b| b == b' ').next()?;
    let mut fields = std::str::from_utf8(&stat[paren + 1..])
        .ok()?
        .split_ascii_whitespace();
    let state = fields.next()?;
    let parent = fields.next()?.parse().ok()?;
    let threads: u32 = fields.nth(15)?.parse().ok()?;
    // A process whose first thread has ended looks like a zombie, but lives while it has others.
    if matches!(state, "X" | "x") || state == "Z" && threads < 2 {
        return None;
    }
    Some(Process {
        parent,
        start: fields.nth(1)?.parse().ok()?,
        pid: std::str::from_utf8(pid).ok()?.parse().ok()?,
    })
}

/// Walks up at most as many steps as there are processes: the snapshot may be torn, and so hold a circle.
fn descends(process: &Process, ancestor: u32, all: &BTreeMap<u32, Process>) -> bool {
    let parents = std::iter::successors(Some(process), |p| all.get(&p.parent));
    parents.take(all.len()).any(|p| p.parent == ancestor)
}

/// By its real user, which no game can change. Who has only the rights of that user for a while, such as what takes a
/// snapshot of its files, is not of the game.
fn runs_as(pid: u32, uid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"));
    let real = line.and_then(|uids| uids.split_ascii_whitespace().next());
    real.is_some_and(|id| id.parse() == Ok(uid))
}

fn bears(pid: u32, mark: &str) -> bool {
    mark.split_once('=')
        .is_some_and(|(name, value)| marks(pid, name).is_some_and(|v| v == value.as_bytes()))
}

/// The value of `name` in the environment that a process was started with.
fn marks(pid: u32, name: &str) -> Option<Vec<u8>> {
    let environ = fs::read(format!("/proc/{pid}/environ")).ok()?;
    let mut entries = environ.split(|&b| b == 0);
    entries.find_map(|entry| {
        let value = entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
        Some(value.to_vec())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::{BufRead, BufReader},
        process::{Child, Command, Stdio},
    };

    /// A shell that runs `script`, printed its first line, and bears the mark.
    fn marked(mark: &str, script: &str) -> (Child, Ties) {
        let (name, value) = mark.split_once('=').unwrap();
        let mut child = Command::new("sh")
            .args(["-c", script])
            .env(name, value)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let ties = Ties {
            mark: Some(mark.into()),
            ..Ties::default()
        };
        (child, ties)
    }

    #[test]
    fn a_daemonised_grandchild_is_found_by_its_mark_and_killed() {
        let mark = format!("LONGHOUSE_SERVER=tree-test-{}", std::process::id());
        let (mut child, ties) =
            marked(&mark, "setsid sh -c 'sleep 1000 & sleep 1000' & echo; wait");
        assert_eq!(ties.members().unwrap()[0].pid, child.id());
        let killed = ties.kill(Duration::from_secs(10)).unwrap();
        assert!(killed >= 2, "{killed}");
        assert_eq!(ties.members().unwrap(), []);
        child.wait().unwrap();
    }

    #[test]
    fn a_process_that_forks_without_end_is_killed() {
        let mark = format!("LONGHOUSE_SERVER=storm-test-{}", std::process::id());
        let script = "echo; while :; do (while :; do sleep 0.01; done) & sleep 0.01; done";
        let (mut child, ties) = marked(&mark, script);
        ties.kill(Duration::from_secs(30)).unwrap();
        assert_eq!(ties.members().unwrap(), []);
        child.wait().unwrap();
    }

    #[test]
    fn descendants_are_those_below_and_not_the_ancestor() {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let ties = Ties {
            ancestor: Some(std::process::id()),
            ..Ties::default()
        };
        let below = ties.members().unwrap();
        assert!(below.iter().any(|p| p.pid == child.id()));
        assert!(below.iter().all(|p| p.pid != std::process::id()));
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn another_boxes_game_of_the_same_user_is_left_alone() {
        if !nix::unistd::geteuid().is_root() {
            assert!(std::env::var_os("CI").is_none(), "CI runs this as root");
            eprintln!("SKIPPED: only root can run a program as another user");
            return;
        }
        use std::os::unix::process::CommandExt as _;
        let uid = 1_900_000_000 + std::process::id();
        let start = |value: &str| {
            let mut sleeper = Command::new("sleep");
            sleeper.arg("1000").uid(uid).env("LONGHOUSE_SERVER", value);
            sleeper.spawn().unwrap()
        };
        let (mut ours, mut theirs, mut liars) = (start("ours"), start("theirs"), start("lie"));
        let ties = Ties {
            user: Some(uid),
            mark: Some("LONGHOUSE_SERVER=ours".into()),
            spares: Some(Arc::new(|mark| mark == b"theirs")),
            ..Ties::default()
        };
        ties.kill(Duration::from_secs(10)).unwrap();
        assert_eq!(ours.wait().unwrap().code(), None);
        assert_eq!(liars.wait().unwrap().code(), None);
        assert!(theirs.try_wait().unwrap().is_none());
        theirs.kill().unwrap();
        theirs.wait().unwrap();
    }

    #[test]
    fn no_ties_tie_nobody_and_root_is_no_games_user() {
        assert_eq!(Ties::default().members().unwrap(), []);
        let root = Ties {
            user: Some(0),
            ..Ties::default()
        };
        assert_eq!(root.members().unwrap(), []);
    }

    #[test]
    fn a_program_name_cannot_forge_its_stat_line() {
        let line = b"42 (a) S 1 (b) R 7 1 1 0 -1 4 1 2 3 4 5 6 7 8 20 0 1 0 999 1 2";
        let process = parse_stat(line).unwrap();
        assert_eq!((process.pid, process.parent, process.start), (42, 7, 999));
        let leaderless = b"42 (x) Z 7 1 1 0 -1 4 1 2 3 4 5 6 7 8 20 0 3 0 999 1";
        assert!(parse_stat(leaderless).is_some());
        assert_eq!(
            parse_stat(b"42 (x) Z 7 1 1 0 -1 4 1 2 3 4 5 6 7 8 20 0 1 0 999 1"),
            None
        );
    }
}
