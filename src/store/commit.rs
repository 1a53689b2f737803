//! Group commit: one thread that has the group applied and makes it durable, once for all who wait.
//!
//! ```text
//! writers:  work, join, wait ┐   work, join, wait ┐
//!           work, join, wait ┤       work, join, wait ┐
//! thread:                    └─ apply, flush + sync ──┴─ apply, flush + sync ─ ...
//! ```
//!
//! A flush or sync that fails breaks the engine: what waited for it is told that its outcome is unknown, reads go
//! on from memory, and the next writer has the database opened again, when there is room. What was acknowledged is
//! on the disk and so is there again. After a failed *sync* nothing more is taken until the process starts anew:
//! the kernel has forgotten what it could not write, so a second sync that succeeds would prove nothing.

use std::{
    io, mem,
    path::PathBuf,
    sync::{Arc, PoisonError, atomic::Ordering},
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{
    StoreError,
    engine::{Engine, Failure},
    group::{Shared, Wait},
    space,
};

/// A flush that takes this long is looked after.
const STUCK: Duration = Duration::from_secs(1);

impl Shared {
    pub(super) fn open(folder: PathBuf) -> Result<(Arc<Self>, Threads), StoreError> {
        let shared = Arc::new(Self::new(folder)?);
        let start = |name: &str, run: fn(&Self)| {
            let own = Arc::clone(&shared);
            thread::Builder::new()
                .name(name.into())
                .spawn(move || run(&own))
                .map_err(|error| StoreError::of_disk(&shared.folder, error))
        };
        let commit = start("store-commit", Self::run)?;
        let watch = start("store-watch", Self::watch)?;
        Ok((shared, Threads(vec![commit, watch])))
    }

    /// Ends the threads once all who wait are served.
    pub(super) fn close(&self, threads: &mut Threads) {
        self.queue().closed = true;
        self.wake.notify_one();
        for thread in threads.0.drain(..) {
            thread.thread().unpark();
            thread.join().ok(); // its panic was reported where it happened
        }
    }

    /// How often the disk was synced.
    #[cfg(test)]
    pub(super) fn syncs(&self) -> u64 {
        self.flushes.load(Ordering::SeqCst) / 2
    }

    fn run(&self) {
        let mut lost: Option<StoreError> = None;
        while let Some(mut waits) = self.next() {
            let (durable, mended) = match &lost {
                Some(error) => (Err(error.clone()), Err(error.clone())),
                None if self.broken() => (Err(self.uncertain(broke())), self.reopen(&mut waits)),
                None => match self.flush() {
                    Ok(()) => (Ok(()), Ok(())),
                    Err(Failure { cause, at_sync }) => {
                        tracing::error!(error = %cause, folder = %self.folder.display(), "the store's disk failed");
                        self.broken.store(true, Ordering::SeqCst);
                        let error = self.uncertain(cause);
                        lost = at_sync.then(|| error.clone());
                        (Err(error.clone()), Err(error))
                    }
                },
            };
            for wait in waits {
                // Who has gone no longer cares: the change was made all the same.
                match wait {
                    Wait::Durable(reply) => reply.send(durable.clone()).ok(),
                    Wait::Mended(reply) => reply.send(mended.clone()).ok(),
                };
            }
        }
    }

    /// Everybody who waits now; none when closed and empty.
    fn next(&self) -> Option<Vec<Wait>> {
        let mut queue = self.queue();
        while queue.waits.is_empty() && !queue.closed {
            queue = self
                .wake
                .wait(queue)
                .expect("no panic leaves it half changed");
        }
        // Those whom the last sync set free are about to write again: they may come along.
        loop {
            let before = queue.waits.len();
            drop(queue);
            thread::yield_now();
            queue = self.queue();
            if queue.waits.len() == before {
                break;
            }
        }
        let waits = mem::take(&mut queue.waits);
        (!waits.is_empty()).then_some(waits)
    }

    fn flush(&self) -> Result<(), Failure> {
        let failure = |error: StoreError| Failure {
            cause: io::Error::other(error),
            at_sync: false,
        };
        let queue = self.queue();
        let covered = queue.disk.unsynced();
        self.settle(queue).map_err(failure)?;
        let flusher = self
            .applied(|engine| Ok(engine.flusher(covered)))
            .map_err(failure)?;
        // Somebody else may have had the group applied, in vain.
        if self.broken() {
            return Err(failure(self.uncertain(broke())));
        }
        self.flushes.fetch_add(1, Ordering::SeqCst);
        let flushed = flusher.flush();
        self.flushes.fetch_add(1, Ordering::SeqCst);
        flushed
    }

    /// Sees to it that no flush waits for ever.
    fn watch(&self) {
        let (mut seen, mut again) = (0, 0u64);
        while !self.queue().closed {
            thread::park_timeout(STUCK);
            let now = self.flushes.load(Ordering::SeqCst);
            if now % 2 == 1 && now == seen {
                again += 1;
                self.applied(|engine| engine.nudge(again)).ok(); // who waits hears of it
            }
            seen = now;
        }
    }

    /// Gives up the group, and adds those who waited for it.
    fn reopen(&self, waits: &mut Vec<Wait>) -> Result<(), StoreError> {
        let held = self.applied(|_| Ok(())).is_ok();
        if held && !space::room(&self.folder) {
            return Err(StoreError::of_disk(
                &self.folder,
                io::ErrorKind::StorageFull.into(),
            ));
        }
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut queue = self.queue();
        queue.changes.clear();
        queue.bytes = 0;
        waits.append(&mut queue.waits);
        let mut engine = self
            .engine
            .write()
            .expect("no panic leaves it half changed");
        // sled's lock is free once the old one is gone.
        *engine = Err(self.uncertain(broke()));
        *engine = Engine::open(&self.folder);
        let opened = engine.as_ref().map(Engine::disk).map_err(StoreError::clone);
        let opened = opened.map(|disk| queue.disk = disk);
        if opened.is_ok() {
            self.broken.store(false, Ordering::SeqCst);
            tracing::info!(folder = %self.folder.display(), "the store takes changes again");
        }
        opened
    }

    fn uncertain(&self, cause: io::Error) -> StoreError {
        StoreError::Uncertain {
            path: self.folder.clone(),
            cause: Arc::new(cause),
        }
    }
}

fn broke() -> io::Error {
    io::Error::other("an earlier write failed")
}

/// What runs besides the callers.
pub(super) struct Threads(Vec<JoinHandle<()>>);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::engine::Changes;

    fn change(key: &[u8]) -> Changes {
        [("t", [(key.to_vec(), Some(b"v".to_vec()))].into())].into()
    }

    #[test]
    fn a_broken_engine_answers_reads_takes_nothing_as_durable_and_is_opened_again() {
        let folder = tempfile::tempdir().unwrap();
        let (shared, mut threads) = Shared::open(folder.path().join("store")).unwrap();
        shared
            .join(change(b"a"))
            .unwrap()
            .answer_blocking()
            .unwrap();

        shared.broken.store(true, Ordering::SeqCst);
        let late = shared.join(change(b"b")).unwrap().answer_blocking();
        assert!(matches!(late, Err(StoreError::Uncertain { .. })));
        let there = |key| {
            shared
                .read(|engine| engine.get("t", key))
                .unwrap()
                .is_some()
        };
        assert!(there(b"a"));

        shared.mend().answer_blocking().unwrap();
        assert!(!shared.broken());
        assert!(there(b"a"));
        shared
            .join(change(b"c"))
            .unwrap()
            .answer_blocking()
            .unwrap();

        // What joined a group that was given up is neither taken for durable nor seen.
        assert!(shared.get("t", b"b").unwrap().is_none());
        shared.close(&mut threads);
    }

    #[test]
    fn the_thread_ends_when_the_store_is_closed_and_serves_who_waits_first() {
        let folder = tempfile::tempdir().unwrap();
        let (shared, mut threads) = Shared::open(folder.path().join("store")).unwrap();
        let ticket = shared.join(change(b"a")).unwrap();
        shared.close(&mut threads);
        ticket.answer_blocking().unwrap();
    }
}
