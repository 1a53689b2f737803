//! A cgroup (version 2) folder per game: it holds all that the game ever forks, it can be limited, and it dies at once.
//!
//! ```text
//!  /sys/fs/cgroup  (or .../unified on hybrid machines, which tracks and kills but has no controllers)
//!    └─ the daemon's own cgroup        delegated to it, or the root
//!         ├─ longhouse-daemon          where the daemon moves when a folder with processes may not have limited children
//!         └─ longhouse
//!              └─ {state folder's crc}-{server, or table-{place}}      memory.max cpu.max pids.max
//! ```

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
};

/// Limits in the kernel's terms. Absent: not limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Hundredths of one processor.
    pub cpu_percent: Option<u32>,
    /// Processes and threads.
    pub pids: Option<u32>,
}

/// A limit that was wished for and is not enforced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmet {
    /// `memory`, `cpu`, `pids`.
    pub controller: &'static str,
    /// Why.
    pub why: String,
}

/// A game's folder, and what it cannot give.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// To be entered by the game.
    pub path: PathBuf,
    /// Limits that are not enforced.
    pub unmet: Vec<Unmet>,
}

/// Where this process may make folders.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    base: PathBuf,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum NoHierarchy {
    /// Nothing of type cgroup2 is mounted.
    #[error("no cgroup version 2 is mounted")]
    NotMounted,
    /// It is, but not for us to change.
    #[error("{path} cannot be written: {source}")]
    NotWritable {
        /// Our own cgroup.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

const CONTROLLERS: [&str; 3] = ["memory", "cpu", "pids"];

impl Hierarchy {
    /// The version 2 hierarchy of this machine, below this process's own cgroup.
    pub fn find() -> Result<Self, NoHierarchy> {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let own = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let base = own_folder(&mounts, &own).ok_or(NoHierarchy::NotMounted)?;
        let ours = base.join("longhouse");
        match fs::create_dir(&ours) {
            Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
                return Err(NoHierarchy::NotWritable { path: base, source });
            }
            _ => {}
        }
        match fs::OpenOptions::new()
            .write(true)
            .open(ours.join("cgroup.procs"))
        {
            Ok(_) => Ok(Self { base }),
            Err(source) => Err(NoHierarchy::NotWritable { path: ours, source }),
        }
    }

    /// Which of `memory`, `cpu` and `pids` can be limited here.
    pub fn controllers(&self) -> Vec<&'static str> {
        let text = fs::read_to_string(self.base.join("cgroup.controllers")).unwrap_or_default();
        let there = |name: &&str| text.split_ascii_whitespace().any(|word| word == *name);
        CONTROLLERS.into_iter().filter(there).collect()
    }

    /// The folder of `game`, a server's number or a table's place, which is of the daemon with this state folder; limits
    /// as they are now wished.
    pub fn place(
        &self,
        state: &Path,
        game: impl fmt::Display,
        limits: &Limits,
    ) -> io::Result<Placed> {
        let state = crc32fast::hash(state.as_os_str().as_encoded_bytes());
        let ours = self.base.join("longhouse");
        let path = ours.join(format!("{state:08x}-{game}"));
        fs::create_dir_all(&path)?;
        let files = [
            ("memory", "memory.max", limits.memory.map(|n| n.to_string())),
            (
                "cpu",
                "cpu.max",
                limits
                    .cpu_percent
                    .map(|n| format!("{} 100000", u64::from(n) * 1000)),
            ),
            ("pids", "pids.max", limits.pids.map(|n| n.to_string())),
        ];
        let mut unmet = Vec::new();
        for (controller, file, wish) in files {
            let file = path.join(file);
            let set = match &wish {
                None if !file.exists() => continue,
                None => fs::write(file, "max"),
                Some(value) => self
                    .enable(controller)
                    .and_then(|()| fs::write(file, value)),
            };
            if let (Err(error), Some(_)) = (set, wish) {
                let why = error.to_string();
                unmet.push(Unmet { controller, why });
            }
        }
        // One process over the limit takes the whole game with it: half a game is no game.
        fs::write(path.join("memory.oom.group"), "1").ok();
        Ok(Placed { path, unmet })
    }

    /// Lets the folders of games limit `controller`.
    fn enable(&self, controller: &'static str) -> io::Result<()> {
        if !self.controllers().contains(&controller) {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                format!("{} has no {controller} controller", self.base.display()),
            ));
        }
        let word = format!("+{controller}");
        let control = |folder: &Path| fs::write(folder.join("cgroup.subtree_control"), &word);
        if let Err(error) = control(&self.base) {
            if error.raw_os_error() != Some(libc::EBUSY) {
                return Err(error);
            }
            // A folder with processes of its own may not hand controllers down: move them aside.
            let aside = self.base.join("longhouse-daemon");
            fs::create_dir_all(&aside)?;
            for pid in fs::read_to_string(self.base.join("cgroup.procs"))?.lines() {
                fs::write(aside.join("cgroup.procs"), pid).ok(); // it may have ended
            }
            control(&self.base)?;
        }
        control(&self.base.join("longhouse"))
    }
}

/// Kills all that is in a game's folder, at once and without waiting; nothing where the kernel cannot.
pub fn kill(folder: &Path) {
    fs::write(folder.join("cgroup.kill"), "1").ok();
}

/// Removes a game's folder, once nothing lives in it. Absent is fine.
pub fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// How many processes in `folder` were killed for memory; 0 where nobody counts.
pub fn killed_for_memory(folder: &Path) -> u64 {
    let text = fs::read_to_string(folder.join("memory.events")).unwrap_or_default();
    let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
    count.and_then(|n| n.trim().parse().ok()).unwrap_or(0)
}

/// The folder of our own cgroup, from `/proc/self/mounts` and `/proc/self/cgroup`.
fn own_folder(mounts: &str, own: &str) -> Option<PathBuf> {
    let mut mounts = mounts.lines().map(|line| line.split(' '));
    let mount = mounts.find_map(|mut fields| {
        let (folder, kind) = (fields.nth(1)?, fields.next()?);
        (kind == "cgroup2").then_some(folder)
    })?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::"))?;
    // The daemon moves itself aside; after a restart it must still find the same place.
    let own = own.strip_suffix("/longhouse-daemon").unwrap_or(own);
    Some(Path::new(mount).join(own.trim_start_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pure_hybrid_and_absent_hierarchies_are_told_apart() {
        let pure = "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n";
        let hybrid = "cgroup /sys/fs/cgroup/memory cgroup rw,memory 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(
            own_folder(pure, "0::/system.slice/longhouse.service\n"),
            Some("/sys/fs/cgroup/system.slice/longhouse.service".into())
        );
        assert_eq!(
            own_folder(hybrid, "4:memory:/x\n0::/\n"),
            Some("/sys/fs/cgroup/unified/".into())
        );
        assert_eq!(
            own_folder(
                "cgroup /sys/fs/cgroup/memory cgroup rw 0 0\n",
                "4:memory:/\n"
            ),
            None
        );
    }

    #[test]
    fn a_daemon_that_moved_aside_finds_the_same_place_again() {
        let mounts = "cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n";
        assert_eq!(
            own_folder(mounts, "0::/a/longhouse-daemon\n"),
            own_folder(mounts, "0::/a\n")
        );
    }

    #[test]
    fn a_limit_without_its_controller_is_reported_and_the_folder_is_there_all_the_same() {
        let hierarchy = match Hierarchy::find() {
            Ok(hierarchy) => hierarchy,
            Err(why) => {
                eprintln!("SKIPPED: no cgroup folder to test with: {why}");
                return;
            }
        };
        let state = tempfile::tempdir().unwrap();
        let wish = Limits {
            memory: Some(1 << 30),
            ..Limits::default()
        };
        let placed = hierarchy.place(state.path(), 7, &wish).unwrap();
        let has_memory = hierarchy.controllers().contains(&"memory");
        assert_eq!(placed.unmet.is_empty(), has_memory, "{placed:?}");
        assert!(placed.path.join("cgroup.procs").exists());
        remove(&placed.path).unwrap();
        remove(&placed.path).unwrap();
    }
}
