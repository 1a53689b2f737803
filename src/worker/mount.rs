//! What of a server is there before it runs and after: its folder, its mounting, its mark, and the size of its files.

use std::{
    fs, io,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Order, Worker, WorkerError, aside, at, folder::Folder, make, replace};
use crate::accounts::ServerId;
use crate::clock::UnixMillis;
use crate::hosting::records::{Mark, Server};
use crate::keeper::Spec;
use crate::sandbox::cgroup;

/// The file whose presence confirms that a server shall be destroyed.
pub(crate) const MARK: &str = "ERASE-THIS-SERVER";
/// No longer is a mark good.
const HOUR: Duration = Duration::from_secs(3600);
/// No mark's file is longer.
const MAX_MARK: u64 = 4096;

/// What a server's files take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Usage {
    pub(crate) bytes: u64,
    /// How long it took to find out.
    pub(crate) took: Duration,
}

/// The file `mounted`: what is prepared.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Mounted {
    /// The game's version.
    pub(crate) version: String,
    /// Since when.
    pub(crate) at: UnixMillis,
}

impl Worker {
    fn mounted_file(&self, id: ServerId) -> PathBuf {
        self.home(id).join("mounted")
    }

    fn read_mounted(&self, id: ServerId) -> Option<Mounted> {
        let bytes = fs::read(self.mounted_file(id)).ok()?;
        serde_json::from_slice(&bytes).ok()
    }

    /// The version that was last prepared. Blocking.
    pub(super) fn mounted_version(&self, id: ServerId) -> Option<String> {
        self.read_mounted(id).map(|mounted| mounted.version)
    }

    /// Remembers that a server is prepared. Blocking.
    pub(super) fn note_mounted(&self, server: &Server) -> Result<(), WorkerError> {
        let mounted = Mounted {
            version: server.version.clone(),
            at: UnixMillis::now(),
        };
        let text = serde_json::to_vec(&mounted).expect("text and a number");
        let file = self.mounted_file(server.id);
        replace(&file, &text).map_err(at(&file))
    }

    /// What is prepared of it.
    pub(crate) async fn mounted(&self, id: ServerId) -> Option<Mounted> {
        let worker = self.clone();
        aside(move || worker.read_mounted(id)).await
    }

    /// Makes the folder of a new server, its user's own. What it made is gone again when it fails.
    pub(crate) async fn lay_out(&self, server: &Server) -> Result<(), WorkerError> {
        let (home, files, user) = (
            self.home(server.id),
            self.files(server.id),
            self.user(server),
        );
        aside(move || {
            let before = files.exists();
            let laid = make(&home, 0o711).map_err(at(&home)).and_then(|()| {
                let folder = Folder::open(&files, user).map(drop);
                folder.map_err(at(&files))
            });
            if laid.is_err() && !before {
                // Only what is empty: a folder from an older life of this number is not ours to remove.
                fs::remove_dir(&files).ok();
                fs::remove_file(home.join("server.json")).ok();
                fs::remove_dir(&home).ok();
            }
            laid
        })
        .await
    }

    /// Prepares a server, and starts nothing.
    pub(crate) async fn mount(
        &self,
        order: &Order,
        head: watch::Sender<u64>,
        cancel: &CancellationToken,
        installing: impl AsyncFnOnce(),
    ) -> Result<(), WorkerError> {
        let mut journal = self.journal(order.server.id, head).await?;
        let ready = self.prepare(order, &mut journal, cancel, installing).await;
        match &ready {
            Ok(()) => {
                journal
                    .say(&format!("mounted, version {}", order.server.version))
                    .await
            }
            Err(error) => journal.say(&format!("not mounted: {error}")).await,
        }
        journal.close().await;
        ready
    }

    /// Removes what mounting made beside the owner's files. Nothing of the server runs.
    pub(crate) async fn unmount(
        &self,
        id: ServerId,
        head: watch::Sender<u64>,
        because: &str,
    ) -> Result<(), WorkerError> {
        let (spec, mounted) = (self.run(id).join("spec.json"), self.mounted_file(id));
        let removed = move || {
            if let Ok(bytes) = fs::read(&spec)
                && let Ok(spec) = serde_json::from_slice::<Spec>(&bytes)
                && let Some(folder) = spec.cgroup
            {
                cgroup::remove(&folder).ok(); // an empty folder of the kernel's harms nobody
            }
            for file in [&spec, &mounted] {
                absent(file).map_err(at(file))?;
            }
            Ok::<(), WorkerError>(())
        };
        aside(removed).await?;
        let mut journal = self.journal(id, head).await?;
        journal.say(&format!("unmounted: {because}")).await;
        journal.close().await;
        Ok(())
    }

    /// Writes the file that confirms a mark, among the server's own and as its user's.
    pub(crate) async fn mark(&self, server: &Server, mark: &Mark) -> Result<(), WorkerError> {
        let (files, user) = (self.files(server.id), self.user(server));
        let text = format!(
            "Somebody has asked that this server, {}, be destroyed with all its files.\n\
             Delete this file to prevent that. It counts for one hour from {}.\n\
             {}\n",
            server.name, mark.at, mark.nonce
        );
        let written = move || {
            let folder = Folder::open(&files, user)?;
            folder.write(Path::new(MARK), &mut text.as_bytes(), 0o644)
        };
        let path = self.files(server.id).join(MARK);
        aside(written).await.map(drop).map_err(at(&path))
    }

    /// Whether a server's mark is fresh, and its file still bears it.
    pub(crate) async fn bears_mark(&self, server: &Server) -> Result<bool, WorkerError> {
        let Some(mark) = server.mark.clone() else {
            return Ok(false);
        };
        if !fresh(mark.at, UnixMillis::now()) {
            return Ok(false);
        }
        let (files, user) = (self.files(server.id), self.user(server));
        let read = move || {
            let folder = Folder::open(&files, user)?;
            // A link, a pipe, or something too long in its place is no mark.
            let text = folder.read(Path::new(MARK), MAX_MARK).ok().flatten();
            let text = text.and_then(|bytes| String::from_utf8(bytes).ok());
            Ok(text.is_some_and(|text| text.lines().any(|line| line == mark.nonce)))
        };
        aside(read).await.map_err(at(&self.files(server.id)))
    }

    /// What its files take on the disk.
    pub(crate) async fn usage(&self, id: ServerId) -> Usage {
        let files = self.files(id);
        aside(move || {
            let before = Instant::now();
            let bytes = size(files);
            Usage {
                bytes,
                took: before.elapsed(),
            }
        })
        .await
    }
}

fn fresh(at: UnixMillis, now: UnixMillis) -> bool {
    at <= now && now.since(at) <= HOUR
}

fn absent(file: &Path) -> io::Result<()> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The blocks of everything in `folder`; no link is followed. What vanishes meanwhile takes nothing.
fn size(folder: PathBuf) -> u64 {
    let mut bytes: u64 = 0;
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(about) = entry.metadata() else {
                continue;
            };
            bytes = bytes.saturating_add(about.blocks().saturating_mul(512));
            if about.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn a_mark_is_good_for_an_hour_and_not_before_it_was_made() {
        let at = UnixMillis(10_000);
        let hour = 3_600_000;
        assert!(fresh(at, at) && fresh(at, UnixMillis(at.0 + hour)));
        assert!(!fresh(at, UnixMillis(at.0 + hour + 1)));
        assert!(!fresh(at, UnixMillis(at.0 - 1)), "the clock was set back");
    }

    #[test]
    fn links_are_not_followed_when_files_are_measured() {
        let home = tempfile::tempdir().unwrap();
        let (inner, outer) = (home.path().join("files"), home.path().join("outside"));
        fs::create_dir_all(inner.join("deep/er")).unwrap();
        fs::write(&outer, vec![1; 1 << 20]).unwrap();
        let before = size(inner.clone());
        symlink(&outer, inner.join("link")).unwrap();
        symlink(&inner, inner.join("deep/loop")).unwrap();
        assert!(size(inner.clone()) < before + (1 << 16));
        fs::write(inner.join("deep/er/map"), vec![1; 1 << 20]).unwrap();
        assert!(size(inner) >= before + (1 << 20));
        assert_eq!(size("/nonexistent".into()), 0);
    }
}
