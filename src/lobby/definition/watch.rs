//! Tells when the data folder's definitions, or the message of the day, may have changed.
//!
//! ```text
//!  tables/  rooms/  motd.txt ──inotify──► does it matter? ──► quiet for 200 ms, or 2 s at most ──► one signal
//!  the folders above them ─────┘               (what appears later is watched from then on) ──┘
//! ```
//!
//! A signal means: look again. Nothing is said of what has changed; whoever looks compares.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use super::Kind;

/// As long as somebody is still writing, nothing is said,
const QUIET: Duration = Duration::from_millis(200);
/// unless that takes longer.
const PATIENCE: Duration = Duration::from_secs(2);

/// The folder cannot be watched.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The system gives no watch (inotify's limits).
    #[error("cannot watch files: {0}")]
    Unavailable(#[from] notify::Error),
    /// Where it is cannot be said.
    #[error("cannot watch {}: {error}", path.display())]
    Nowhere {
        /// As it was told.
        path: PathBuf,
        /// Of the working directory.
        error: std::io::Error,
    },
}

/// Watches as long as it is held.
#[derive(Debug)]
pub struct Watching {
    task: JoinHandle<()>,
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Watches the definitions and `motd.txt` in the folder `data`, which need not be there yet. Each change of the number
/// means that something may be different. To be called within a tokio runtime.
pub fn watch(data: &Path) -> Result<(Watching, watch::Receiver<u64>), WatchError> {
    let nowhere = |error| WatchError::Nowhere {
        path: data.into(),
        error,
    };
    let places = Places {
        data: std::path::absolute(data).map_err(nowhere)?,
    };
    // One that waits says all: what matters is that something happened.
    let (tell, told) = mpsc::channel(1);
    let matter = places.clone();
    let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
        if event.is_ok_and(|event| matter.has(&event)) {
            tell.try_send(()).ok();
        }
    })?;
    let mut places = Watched { places, watcher };
    places.renew();
    let (signal, signals) = watch::channel(0);
    let task = tokio::spawn(debounced(told, signal, move || places.renew()));
    Ok((Watching { task }, signals))
}

/// One signal for all that happens until it is quiet; `renew` is called before each.
async fn debounced(
    mut told: mpsc::Receiver<()>,
    signal: watch::Sender<u64>,
    mut renew: impl FnMut(),
) {
    while told.recv().await.is_some() {
        let latest = Instant::now() + PATIENCE;
        loop {
            let quiet = (Instant::now() + QUIET).min(latest);
            match timeout_at(quiet, told.recv()).await {
                Ok(Some(())) if Instant::now() < latest => {}
                _ => break,
            }
        }
        renew();
        signal.send_modify(|n| *n += 1);
    }
}

/// Where what matters lies.
#[derive(Debug, Clone)]
struct Places {
    data: PathBuf,
}

impl Places {
    fn folders(&self) -> [PathBuf; 2] {
        [Kind::Game, Kind::Room].map(|kind| self.data.join(kind.folder()))
    }

    fn has(&self, event: &Event) -> bool {
        let is_change = match event.kind {
            // Our own reading is among these.
            EventKind::Access(kind) => kind == AccessKind::Close(AccessMode::Write),
            _ => true,
        };
        is_change && (event.need_rescan() || event.paths.iter().any(|path| self.matters(path)))
    }

    fn matters(&self, path: &Path) -> bool {
        let is_definition = || {
            let extension = path.extension().and_then(|extension| extension.to_str());
            let inside = path
                .parent()
                .is_some_and(|in_it| self.folders().iter().any(|folder| folder == in_it));
            inside && matches!(extension, Some("toml" | "dsc" | "room"))
        };
        // A folder on the way to it comes, goes, or is renamed.
        let is_on_the_way = || self.folders().iter().any(|folder| folder.starts_with(path));
        path == self.data.join("motd.txt") || is_on_the_way() || is_definition()
    }
}

struct Watched {
    places: Places,
    watcher: RecommendedWatcher,
}

impl Watched {
    /// Watches what is there by now: the folders themselves and, so that they are seen to come back, what they are in.
    fn renew(&mut self) {
        let [tables, rooms] = self.places.folders();
        let data = self.places.data.clone();
        let above = data.ancestors().skip(1).find(|folder| folder.is_dir());
        let above = above.map(Path::to_owned);
        for folder in above.into_iter().chain([data, tables, rooms]) {
            // What is not there is seen from above when it comes.
            self.watcher
                .watch(&folder, RecursiveMode::NonRecursive)
                .ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    async fn next(signals: &mut watch::Receiver<u64>) {
        let changed = tokio::time::timeout(Duration::from_secs(20), signals.changed());
        changed.await.expect("a signal").unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn much_at_once_is_one_signal_when_it_is_quiet() {
        let (tell, told) = mpsc::channel(1);
        let (signal, mut signals) = watch::channel(0);
        let mut renewed = 0;
        let task = tokio::spawn(async move {
            debounced(told, signal, || renewed += 1).await;
            renewed
        });
        let begin = Instant::now();
        for _ in 0..5 {
            tell.send(()).await.unwrap();
            tokio::time::advance(Duration::from_millis(150)).await;
        }
        signals.changed().await.unwrap();
        assert_eq!(*signals.borrow_and_update(), 1);
        assert!(begin.elapsed() >= Duration::from_millis(4 * 150) + QUIET);
        // Somebody who never stops cannot keep it back.
        let begin = Instant::now();
        while !signals.has_changed().unwrap() {
            tell.send(()).await.unwrap();
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        assert!(begin.elapsed() < PATIENCE + QUIET);
        drop(tell);
        assert!(task.await.unwrap() >= 2);
    }

    #[tokio::test]
    async fn a_definition_that_is_written_renamed_or_removed_is_noticed() {
        let data = tempfile::tempdir().unwrap();
        let rooms = data.path().join("rooms");
        fs::create_dir(&rooms).unwrap();
        let (_watching, mut signals) = watch(data.path()).unwrap();
        fs::write(rooms.join("a.toml"), "x").unwrap();
        next(&mut signals).await;
        fs::write(rooms.join(".a.toml.swp"), "y").unwrap();
        fs::rename(rooms.join(".a.toml.swp"), rooms.join("a.toml")).unwrap();
        next(&mut signals).await;
        fs::remove_file(rooms.join("a.toml")).unwrap();
        next(&mut signals).await;
        fs::write(data.path().join("motd.txt"), "x").unwrap();
        next(&mut signals).await;
    }

    #[tokio::test]
    async fn folders_that_appear_later_are_noticed_and_what_is_in_them() {
        let above = tempfile::tempdir().unwrap();
        let data = above.path().join("data");
        let (_watching, mut signals) = watch(&data).unwrap();
        for _ in 0..2 {
            fs::create_dir_all(data.join("tables")).unwrap();
            next(&mut signals).await;
            fs::write(data.join("tables/a.dsc"), "x").unwrap();
            next(&mut signals).await;
            fs::remove_dir_all(&data).unwrap();
            next(&mut signals).await;
        }
    }

    #[test]
    fn what_does_not_matter_is_passed_over() {
        let places = Places {
            data: "/srv/data".into(),
        };
        for matters in [
            "/srv",
            "/srv/data",
            "/srv/data/rooms",
            "/srv/data/rooms/a.room",
            "/srv/data/tables/a.dsc",
            "/srv/data/motd.txt",
        ] {
            assert!(places.matters(matters.as_ref()), "{matters}");
        }
        for other in [
            "/srv/other",
            "/srv/data/games",
            "/srv/data/rooms/a.swp",
            "/srv/data/rooms/b/a.toml",
            "/srv/data/a.toml",
        ] {
            assert!(!places.matters(other.as_ref()), "{other}");
        }
        let read = Event::new(EventKind::Access(AccessKind::Open(AccessMode::Any)));
        let read = read.add_path("/srv/data/rooms/a.room".into());
        assert!(!places.has(&read));
    }
}
