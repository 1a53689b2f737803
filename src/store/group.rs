//! What writers and readers see of the store: the group, over the engine.
//!
//! ```text
//! work, join ─┐         ┌──────────┐  settle   ┌────────┐
//! work, join ─┼────────►│  group   ├──────────►│ engine │
//! work, join ─┘         └────┬─────┘  as one   └───┬────┘
//!                            └────── get ──────────┘
//! ```
//!
//! A transaction joins the group; the group is applied as a whole, by the thread that then makes it durable. What
//! many transactions change alike (a counter, the head of a chain) is so written once, and all of it by one thread
//! in the order of its keys. A walk over a table, or a group without room for one more, has it applied early.

use std::{
    mem,
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tokio::sync::oneshot;

use super::{
    StoreError, Tx,
    engine::{CHANGE_LIMIT, Changes, Engine, Stored, journaled, written},
    space::Space,
};

/// Told to one who waits.
type Reply = oneshot::Sender<Result<(), StoreError>>;

/// What a writer waits for.
pub(super) enum Wait {
    /// What it changed, and what it read, is durable.
    Durable(Reply),
    /// The engine takes changes again.
    Mended(Reply),
}

/// The group, and who waits for it or for those before.
pub(super) struct Queue {
    pub(super) changes: Changes,
    /// Of the changes, in the journal, at most.
    pub(super) bytes: usize,
    /// Where room is promised to each who joins.
    pub(super) disk: Arc<Space>,
    pub(super) waits: Vec<Wait>,
    pub(super) closed: bool,
}

/// The engine, which may be replaced behind everybody's back, and who waits for it.
pub(super) struct Shared {
    pub(super) folder: PathBuf,
    /// Held by the one writer from its first read until it has joined the group, so that transactions follow one
    /// another: microseconds, across no await. Not a lock of tokio's, because handing that from task to task costs
    /// more than what is done under it. Locks are taken in the order of these three.
    pub(super) writer: Mutex<()>,
    pub(super) queue: Mutex<Queue>,
    /// Held for reading by readers and for writing by who applies a group: never while the disk is synced. So nobody
    /// sees half a transaction.
    pub(super) engine: RwLock<Result<Engine, StoreError>>,
    /// Set when sled has failed and must be opened again.
    pub(super) broken: AtomicBool,
    pub(super) wake: Condvar,
    /// Counts flushes as they begin and end: odd while one is under way.
    pub(super) flushes: AtomicU64,
}

impl Shared {
    pub(super) fn new(folder: PathBuf) -> Result<Self, StoreError> {
        let engine = Engine::open(&folder)?;
        let queue = Queue {
            changes: Changes::new(),
            bytes: 0,
            disk: engine.disk(),
            waits: Vec::new(),
            closed: false,
        };
        Ok(Self {
            folder,
            writer: Mutex::new(()),
            queue: Mutex::new(queue),
            engine: RwLock::new(Ok(engine)),
            broken: AtomicBool::new(false),
            wake: Condvar::new(),
            flushes: AtomicU64::new(0),
        })
    }

    /// The stored value under a key, as last written.
    pub(super) fn get(&self, table: &str, key: &[u8]) -> Result<Option<Stored>, StoreError> {
        let queue = self.queue();
        if let Some(change) = queue.changes.get(table).and_then(|table| table.get(key)) {
            return Ok(change.as_deref().map(Stored::from));
        }
        drop(queue);
        self.applied(|engine| engine.get(table, key))
    }

    /// Runs a read of all that was written. It waits for one who applies, never for the disk to be synced.
    pub(super) fn read<T>(
        &self,
        read: impl FnOnce(&Engine) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.settle(self.queue()).ok(); // who waits for the group hears of it
        self.applied(read)
    }

    pub(super) fn applied<T>(
        &self,
        read: impl FnOnce(&Engine) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let engine = self.engine.read().expect("no panic leaves it half changed");
        engine.as_ref().map_err(StoreError::clone).and_then(read)
    }

    /// Runs `work` as the only writer. One who changed nothing waits as well: it may have read what is not durable yet.
    pub(super) fn transact<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<(T, Ticket), E> {
        // A writer that panicked has changed nothing.
        let _writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        let mut tx = Tx::new(self);
        let done = work(&mut tx)?;
        let ticket = self.join(tx.into_changes())?;
        Ok((done, ticket))
    }

    /// Adds changes to the group, or refuses them before anything happened.
    pub(super) fn join(&self, changes: Changes) -> Result<Ticket, StoreError> {
        let bytes = journaled(&changes);
        if bytes > CHANGE_LIMIT {
            return Err(StoreError::TooLarge {
                bytes,
                limit: CHANGE_LIMIT,
            });
        }
        let mut queue = self.queue();
        if queue.bytes + bytes > CHANGE_LIMIT {
            self.settle(queue)?;
            queue = self.queue();
        }
        if let room @ 1.. = written(&changes) {
            queue.disk.reserve(room)?;
        }
        for (table, changes) in changes {
            queue.changes.entry(table).or_default().extend(changes);
        }
        queue.bytes += bytes;
        Ok(self.wait(queue, Wait::Durable))
    }

    /// Has the group applied. Whoever locks the queue afterwards sees that it is gone, and waits for the engine.
    pub(super) fn settle(&self, mut queue: MutexGuard<'_, Queue>) -> Result<(), StoreError> {
        if queue.changes.is_empty() {
            return Ok(());
        }
        let changes = mem::take(&mut queue.changes);
        queue.bytes = 0;
        let mut engine = self
            .engine
            .write()
            .expect("no panic leaves it half changed");
        drop(queue);
        let engine = engine.as_mut().map_err(|error| error.clone())?;
        let applied = engine.apply(changes);
        if applied.is_err() {
            self.broken.store(true, Ordering::SeqCst);
        }
        applied
    }

    /// Whether changes would be refused until the database was opened again.
    pub(super) fn broken(&self) -> bool {
        self.broken.load(Ordering::SeqCst)
    }

    /// Asks for the database to be opened again.
    pub(super) fn mend(&self) -> Ticket {
        self.wait(self.queue(), Wait::Mended)
    }

    fn wait(&self, mut queue: MutexGuard<'_, Queue>, wait: fn(Reply) -> Wait) -> Ticket {
        let (reply, answer) = oneshot::channel();
        queue.waits.push(wait(reply));
        let first = queue.waits.len() == 1;
        drop(queue);
        if first {
            self.wake.notify_one();
        }
        Ticket(answer)
    }

    pub(super) fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().expect("no panic leaves it half changed")
    }
}

/// A writer's place in the queue. Dropping it changes nothing but that nobody hears the answer.
pub(super) struct Ticket(oneshot::Receiver<Result<(), StoreError>>);

impl Ticket {
    pub(super) async fn answer(self) -> Result<(), StoreError> {
        self.0.await.unwrap_or(Err(StoreError::Closed))
    }

    pub(super) fn answer_blocking(self) -> Result<(), StoreError> {
        self.0.blocking_recv().unwrap_or(Err(StoreError::Closed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Without the threads, so that the group stays as it is.
    fn still() -> (tempfile::TempDir, Shared) {
        let folder = tempfile::tempdir().unwrap();
        let shared = Shared::new(folder.path().join("store")).unwrap();
        (folder, shared)
    }

    #[test]
    fn what_joined_the_group_is_seen_at_once_and_applied_for_a_walk() {
        let (_folder, shared) = still();
        let next = |tx: &mut Tx<'_>| tx.next_id("a");
        assert_eq!(shared.transact::<_, StoreError>(next).unwrap().0, 1);
        assert_eq!(shared.transact::<_, StoreError>(next).unwrap().0, 2);
        let key = b"next/a";
        let applied = |engine: &Engine| engine.get("meta", key);
        assert!(shared.applied(applied).unwrap().is_none());
        let seen = shared.get("meta", key).unwrap();
        assert_eq!(shared.read(applied).unwrap(), seen);
        assert!(seen.is_some() && shared.queue().changes.is_empty());
    }

    #[test]
    fn a_group_without_room_for_one_more_is_applied_and_another_begins() {
        let (_folder, shared) = still();
        let large = |key: &[u8]| [("t", [(key.to_vec(), Some(vec![7; 60_000]))].into())].into();
        shared.join(large(b"a")).unwrap();
        shared.join(large(b"b")).unwrap();
        let there = |key: &[u8]| shared.applied(|engine| engine.get("t", key)).unwrap();
        assert!(there(b"a").is_some() && there(b"b").is_none());
        assert!(shared.get("t", b"b").unwrap().is_some());
        assert_eq!(shared.queue().bytes, journaled(&large(b"b")));
    }
}
