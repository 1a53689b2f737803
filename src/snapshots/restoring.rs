//! Puts back what was, so that it can be undone.
//!
//! ```text
//!  all:  STATE/snapshots/ID/aside/N ◄─ job writes all of it there
//!        record {N, its inode} ─► exchange(servers/ID/files, aside/N) ─► the old folder is aside/N
//!        undo: exchange again
//!
//!  one:  aside/N.new ◄─ job; record; target ─► aside/N.old; N.new ─► target
//!        undo: target ─► aside/N.undone; N.old ─► target
//! ```

use std::{fs, io, path::PathBuf, time::Duration};

use tokio::sync::broadcast::error::RecvError;

use super::{
    Restore, RestoredView, SnapshotsError, places,
    records::{Restored, UNDOS, Undo, of},
    service::{Service, Turn, riddle},
    wire::{Job, Outcome, Path},
};
use crate::{
    accounts::{Principal, ServerId},
    clock::UnixMillis,
    hosting::{Home, State},
    store::StoreError,
};

/// How long a server that is told to stop may take: the definition's own time, and then some.
const STOPPING: Duration = Duration::from_secs(300);

/// Runs what blocks aside.
async fn aside<T: Send + 'static>(
    path: PathBuf,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, SnapshotsError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(places::at(&path)),
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(SnapshotsError::Closed),
        },
    }
}

fn path(
    text: Option<&str>,
    base64: Option<&str>,
    field: &'static str,
) -> Result<Option<Path>, SnapshotsError> {
    let bad = |why: &str| SnapshotsError::Bad {
        field,
        why: why.into(),
    };
    let bytes = match (text, base64) {
        (None, None) => return Ok(None),
        (Some(_), Some(_)) => return Err(bad("say it once: as text or in base64")),
        (Some(text), None) => text.as_bytes().to_vec(),
        (None, Some(text)) => data_encoding::BASE64
            .decode(text.as_bytes())
            .map_err(|_| bad("is no base64"))?,
    };
    let path = Path(bytes);
    match path.names() {
        Some(_) => Ok(Some(path)),
        None => Err(bad(
            "must be a path below the server's folder: names with single slashes between them, none of them . or ..",
        )),
    }
}

/// A path as a request says it; none where it says none.
pub(super) fn asked(text: Option<&str>, base64: Option<&str>) -> Result<Path, SnapshotsError> {
    Ok(path(text, base64, "path")?.unwrap_or_default())
}

/// How far a restore of one file had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Left {
    /// What was there still is; or nothing was.
    Nothing,
    /// What was there is aside, and what is to come is not in its place.
    Moved,
    /// What was there is aside, and what was to come is in its place.
    Placed,
}

impl Service {
    /// Restores what `wish` names. `by` is who may stop and start the server, where that is asked for.
    pub(super) async fn restore(
        &self,
        home: Home,
        id: u64,
        wish: Restore,
        by: &Principal,
    ) -> Result<RestoredView, SnapshotsError> {
        let from = path(wish.path.as_deref(), wish.path_base64.as_deref(), "path")?;
        let to = path(wish.to.as_deref(), None, "to")?;
        let turn = self.turn(home.id).await?;
        self.settle_undo(&turn, &home).await?;
        let stored = self.one(home.id, id)?.stored;
        match from.filter(|path| !path.0.is_empty()) {
            Some(from) => {
                let to = to.unwrap_or_else(|| from.clone());
                self.restore_one(&turn, home, id, stored, from, to).await
            }
            None if to.is_some() => Err(SnapshotsError::Bad {
                field: "to",
                why: "is for single files and folders: all of a server is restored where it was"
                    .into(),
            }),
            None => {
                self.restore_all(&turn, home, id, stored, wish.stop, by)
                    .await
            }
        }
    }

    async fn restore_one(
        &self,
        turn: &Turn,
        home: Home,
        snapshot: u64,
        stored: String,
        from: Path,
        to: Path,
    ) -> Result<RestoredView, SnapshotsError> {
        if to.0.is_empty() {
            return Err(SnapshotsError::Bad {
                field: "to",
                why: "must name where it goes".into(),
            });
        }
        let (id, at) = (home.id, UnixMillis::now());
        let undo = |was_there, done| Undo {
            at,
            snapshot,
            what: Restored::One {
                to: to.clone(),
                was_there,
                done,
            },
        };
        let before = self.store.get(UNDOS, of(id))?;
        self.note(id, Some(undo(false, false))).await?;
        let job = Job::RestoreOne {
            snapshot: stored,
            path: from,
            to: to.clone(),
            aside: at.0.to_string(),
        };
        match self.job(turn, &home, job, None, None).await {
            Ok(Outcome::Placed { was_there, bytes }) => {
                self.note(id, Some(undo(was_there, true))).await?;
                self.clear(id, Some(at)).await;
                Ok(RestoredView {
                    bytes,
                    started: false,
                })
            }
            failed => {
                // Whatever it had begun is taken back, and what could be undone before still can be.
                if self.left(id, at).await? != Left::Nothing {
                    self.take_back(turn, &home, at, &to).await?;
                }
                self.forget(id, at).await?;
                self.note(id, before).await?;
                failed.and_then(|outcome| Err(riddle(&outcome)))
            }
        }
    }

    /// Brings the note of what can be undone, and what is aside for it, to what is so after the daemon ended in the
    /// middle; when what can be undone was done, if anything can.
    pub(super) async fn settle_undo(
        &self,
        turn: &Turn,
        home: &Home,
    ) -> Result<Option<UnixMillis>, SnapshotsError> {
        let id = home.id;
        let Some(Undo { at, snapshot, what }) = self.store.get(UNDOS, of(id))? else {
            return Ok(None);
        };
        let to = match what {
            Restored::One { done: true, .. } => return Ok(Some(at)),
            Restored::All { inode } => {
                let now = places::inode(&home.folder).map_err(places::at(&home.folder))?;
                if now == inode {
                    return Ok(Some(at));
                }
                self.note(id, None).await?;
                return Ok(None);
            }
            Restored::One { to, .. } => to,
        };
        let left = self.left(id, at).await?;
        if left == Left::Placed {
            let (was_there, done) = (true, true);
            let what = Restored::One {
                to,
                was_there,
                done,
            };
            self.note(id, Some(Undo { at, snapshot, what })).await?;
            return Ok(Some(at));
        }
        if left == Left::Moved {
            self.take_back(turn, home, at, &to).await?;
        }
        // Where nothing was before, what is in place may stay, without an undo.
        self.forget(id, at).await?;
        self.note(id, None).await?;
        Ok(None)
    }

    /// What a restore of one file left that did not come to its end.
    async fn left(&self, id: ServerId, at: UnixMillis) -> Result<Left, SnapshotsError> {
        let folder = self.places.aside(id);
        let there = {
            let folder = folder.clone();
            move |end| {
                let entry = folder.join(format!("{}.{end}", at.0));
                entry.symlink_metadata().is_ok()
            }
        };
        let look = move || {
            Ok(match (there("old"), there("new") || there("undone")) {
                (false, _) => Left::Nothing,
                (true, true) => Left::Moved,
                (true, false) => Left::Placed,
            })
        };
        aside(folder, look).await
    }

    /// Puts back what a restore of one file had moved.
    async fn take_back(
        &self,
        turn: &Turn,
        home: &Home,
        at: UnixMillis,
        to: &Path,
    ) -> Result<(), SnapshotsError> {
        let job = Job::PutBack {
            to: to.clone(),
            aside: at.0.to_string(),
            was_there: true,
        };
        self.job(turn, home, job, None, None).await.map(drop)
    }

    /// Removes what that restore has aside.
    async fn forget(&self, id: ServerId, at: UnixMillis) -> Result<(), SnapshotsError> {
        let folder = self.places.aside(id);
        let name = at.0.to_string();
        aside(folder.clone(), move || {
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                if entry
                    .file_name()
                    .to_str()
                    .and_then(|known| known.split('.').next())
                    == Some(&name)
                {
                    places::discard(&entry.path())?;
                }
            }
            Ok(())
        })
        .await
    }

    async fn restore_all(
        &self,
        turn: &Turn,
        home: Home,
        snapshot: u64,
        stored: String,
        stop: bool,
        by: &Principal,
    ) -> Result<RestoredView, SnapshotsError> {
        let id = home.id;
        let ran = !self.still(id).await?;
        if ran && !stop {
            return Err(SnapshotsError::Running(id.0));
        }
        if ran {
            self.stop(by, id).await?;
        }
        let restored = self.exchanged(turn, &home, snapshot, stored).await;
        // It ran before, and shall again, whatever came of it.
        let started = ran && self.hosting.start(by, id).await.is_ok();
        restored.map(|bytes| RestoredView { bytes, started })
    }

    async fn exchanged(
        &self,
        turn: &Turn,
        home: &Home,
        snapshot: u64,
        stored: String,
    ) -> Result<u64, SnapshotsError> {
        let (id, at) = (home.id, UnixMillis::now());
        let name = at.0.to_string();
        let (places, user) = (self.places.clone(), home.user);
        let fresh = self.places.aside(id).join(&name);
        let (folder, files) = (fresh.clone(), home.folder.clone());
        places.prepare(id, user)?;
        let inode = aside(fresh.clone(), move || {
            places::make(&folder, user)?;
            // A server that never ran has none: the exchange wants two.
            places::make(&files, user)?;
            places::inode(&folder)
        })
        .await?;
        let job = Job::Restore {
            snapshot: stored,
            into: name,
        };
        let done = async {
            let bytes = match self.job(turn, home, job, None, None).await? {
                Outcome::Written { bytes, .. } => bytes,
                other => return Err(riddle(&other)),
            };
            if !self.still(id).await? {
                return Err(SnapshotsError::Running(id.0));
            }
            let before = self.store.get(UNDOS, of(id))?;
            let what = Restored::All { inode };
            self.note(id, Some(Undo { at, snapshot, what })).await?;
            let exchanged = self.exchange_at_rest(home, &fresh).await;
            if let Err(SnapshotsError::Running(_)) = exchanged {
                self.note(id, before).await?;
            }
            exchanged.map(|()| bytes)
        };
        let done = done.await;
        match &done {
            Ok(_) => self.clear(id, Some(at)).await,
            Err(_) => {
                let folder = fresh.clone();
                let discard = move || match places::inode(&folder)? == inode {
                    true => places::discard(&folder),
                    false => Ok(()), // it is what was there before
                };
                aside(fresh, discard).await.ok(); // the reason comes first
            }
        }
        done
    }

    async fn exchange(&self, home: &Home, with: &std::path::Path) -> Result<(), SnapshotsError> {
        let (files, with) = (home.folder.clone(), with.to_owned());
        aside(files.clone(), move || places::exchange(&files, &with)).await
    }

    /// The same, unless somebody starts the server in that moment: then it goes on with the files that it began with.
    async fn exchange_at_rest(
        &self,
        home: &Home,
        with: &std::path::Path,
    ) -> Result<(), SnapshotsError> {
        self.exchange(home, with).await?;
        if !self.still(home.id).await? {
            self.exchange(home, with).await?;
            return Err(SnapshotsError::Running(home.id.0));
        }
        Ok(())
    }

    /// Undoes the last restore.
    pub(super) async fn undo(
        &self,
        home: Home,
        stop: bool,
        by: &Principal,
    ) -> Result<RestoredView, SnapshotsError> {
        let (id, turn) = (home.id, self.turn(home.id).await?);
        self.settle_undo(&turn, &home).await?;
        let undo = self.store.get(UNDOS, of(id))?;
        let undo = undo.ok_or(SnapshotsError::NothingToUndo(id.0))?;
        let mut started = false;
        match undo.what {
            Restored::All { .. } => {
                let ran = !self.still(id).await?;
                if ran && !stop {
                    return Err(SnapshotsError::Running(id.0));
                }
                if ran {
                    self.stop(by, id).await?;
                }
                let old = self.places.aside(id).join(undo.at.0.to_string());
                let exchanged = self.exchange_at_rest(&home, &old).await;
                started = ran && self.hosting.start(by, id).await.is_ok();
                exchanged?;
            }
            Restored::One { to, was_there, .. } => {
                let job = Job::PutBack {
                    to,
                    aside: undo.at.0.to_string(),
                    was_there,
                };
                self.job(&turn, &home, job, None, None).await?;
            }
        }
        self.note(id, None).await?;
        self.clear(id, None).await;
        Ok(RestoredView { bytes: 0, started })
    }

    /// Whether nothing of it runs.
    async fn still(&self, id: ServerId) -> Result<bool, SnapshotsError> {
        let view = self.hosting.get(&self.own, id).await?;
        Ok(matches!(view.state, State::Stopped | State::Failed))
    }

    /// Stops it, and waits until it has.
    async fn stop(&self, by: &Principal, id: ServerId) -> Result<(), SnapshotsError> {
        let mut news = self.hosting.news();
        self.hosting.stop(by, id).await?;
        let stopped = async {
            while !self.still(id).await? {
                match news.recv().await {
                    Ok(_) | Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return Err(SnapshotsError::Closed),
                }
            }
            Ok(())
        };
        let waited = tokio::time::timeout(STOPPING, stopped).await;
        waited.unwrap_or(Err(SnapshotsError::WouldNotStop(id.0)))
    }

    /// Writes down what can be undone.
    pub(super) async fn note(&self, id: ServerId, undo: Option<Undo>) -> Result<(), StoreError> {
        self.store
            .write(move |tx| match undo {
                Some(undo) => tx.put(UNDOS, of(id), &undo),
                None => tx.delete(UNDOS, of(id)).map(drop),
            })
            .await
    }

    /// Removes what was moved aside, but for what can still be undone. What stays is removed another time.
    pub(super) async fn clear(&self, id: ServerId, but: Option<UnixMillis>) {
        let (places, but) = (self.places.clone(), but.map(|at| at.0.to_string()));
        let cleared = aside(self.places.aside(id), move || {
            places.clear_aside(id, but.as_deref())
        });
        if let Err(error) = cleared.await {
            tracing::warn!(server = id.0, %error, "what a restore moved aside cannot be removed");
        }
    }
}
