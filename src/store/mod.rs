//! The store: typed tables over sled, transactions, durable commits, backup and restore.
//!
//! Owns `STATE/store/` and the lock on the state folder. It knows no record of the house: rooms bring their types
//! as [`Record`]s. `engine.rs` is the only `use sled` of the project, and (with `keeper/wire.rs`) `table.rs` the
//! only one of bincode, so that either can be replaced by a backup and a restore.
//!
//! ```text
//! write(|tx| ..)     one writer at a time: work on an overlay, then join the group            tx.rs, group.rs
//!    └── wait        until the commit thread has applied the group, flushed and synced       commit.rs, engine.rs
//! get, scan          as last written; never wait for the disk                                scan.rs
//! full disk          room is promised before each change, or the change is refused           space.rs
//! ```
//!
//! - Acknowledged means durable: what [`Store::write`] returned `Ok` for survives a power cut.
//! - A transaction is there as a whole or not at all: for readers, after an error, after a crash.
//! - An error leaves nothing changed, with one exception that says so: [`StoreError::Uncertain`].
//! - What does not decode is reported with table and key, and carried along by backups; the rest works.

mod backup;
mod catalog;
mod commit;
mod engine;
mod group;
mod lock;
mod restore;
mod scan;
mod space;
mod table;
#[cfg(test)]
mod tests;
mod tx;

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::sync::RwLock;

use commit::Threads;
use group::Shared;
use scan::Scan;

pub use backup::{BackupError, Summary};
pub use catalog::{Catalog, Fault};
pub use lock::{LockError, StateLock};
pub use restore::restore;
pub use table::{Record, Table, from_bytes};
pub use tx::Tx;

/// What the store refuses or cannot do.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// A record that does not decode; everything else still works.
    #[error("table `{table}`, key {key}: the record does not decode")]
    Corrupt {
        /// The table's name.
        table: &'static str,
        /// The key, printable or as hex.
        key: String,
    },
    /// No room for changes: reads go on, and changes are taken again when there is room.
    #[error("the disk that holds {path} is full: changes are refused until there is room")]
    DiskFull {
        /// The store's folder.
        path: String,
    },
    /// A record, or all that one transaction changes, is larger than the store takes. Nothing was changed.
    #[error("a change of {bytes} bytes exceeds the store's limit of {limit}")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// What would be taken.
        limit: usize,
    },
    /// The disk failed while the change was under way: it is there as a whole, or not at all.
    #[error(
        "the disk that holds {path} failed, and the change may or may not have been kept: {cause}"
    )]
    Uncertain {
        /// The store's folder.
        path: PathBuf,
        /// What the disk said.
        cause: Arc<io::Error>,
    },
    /// It cannot be opened or read.
    #[error("the store in {path} cannot be used: {cause}")]
    Unusable {
        /// The store's folder.
        path: PathBuf,
        /// Why.
        cause: Arc<io::Error>,
    },
    /// A newer release has written it, in a way that this one does not know.
    #[error("the store in {path} has schema {schema}, which only a newer release can read")]
    Newer {
        /// The store's folder.
        path: PathBuf,
        /// Its schema.
        schema: u64,
    },
    /// The store was shut down.
    #[error("the store is closed")]
    Closed,
}

impl StoreError {
    fn of_disk(folder: &Path, error: io::Error) -> Self {
        if engine::is_full(&error) {
            return Self::DiskFull {
                path: folder.display().to_string(),
            };
        }
        Self::Unusable {
            path: folder.into(),
            cause: Arc::new(error),
        }
    }
}

/// Cheap to clone; every service holds one. The last one to go closes the store.
#[derive(Clone)]
pub struct Store(Arc<Handle>);

struct Handle {
    shared: Arc<Shared>,
    /// Held for reading by writers, and for writing by a backup, which may take a second, for which no runtime
    /// thread should stand still.
    gate: RwLock<()>,
    threads: Threads,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.close(&mut self.threads);
    }
}

impl Store {
    /// Opens or creates the store in `state/store`. The caller holds the state folder's lock.
    pub fn open(state: &Path) -> Result<Self, StoreError> {
        let (shared, threads) = Shared::open(state.join("store"))?;
        Ok(Self(Arc::new(Handle {
            shared,
            gate: RwLock::new(()),
            threads,
        })))
    }

    /// Runs `work` as one transaction, which holds as a whole (or, when it fails, not at all), and returns once it is durable.
    ///
    /// `work` runs on the calling thread, some microseconds in memory; only durability is waited for, without
    /// holding anything. Dropping the future changes nothing once `work` has run: the change is seen, and becomes
    /// durable unheard.
    pub async fn write<T, E>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, E> + Send,
    ) -> Result<T, E>
    where
        T: Send,
        E: From<StoreError> + Send,
    {
        let (done, ticket) = loop {
            let gate = self.0.gate.read().await;
            if !self.0.shared.broken() {
                break self.0.shared.transact(work)?;
            }
            drop(gate);
            self.0.shared.mend().answer().await?;
        };
        ticket.answer().await?;
        Ok(done)
    }

    /// The same for threads without a runtime. Panics within one.
    pub fn write_blocking<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&mut Tx<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let (done, ticket) = loop {
            let gate = self.0.gate.blocking_read();
            if !self.0.shared.broken() {
                break self.0.shared.transact(work)?;
            }
            drop(gate);
            self.0.shared.mend().answer_blocking()?;
        };
        ticket.answer_blocking()?;
        Ok(done)
    }

    /// Whether a change would be taken now: there is room, and a change of nothing becomes durable.
    pub async fn works(&self) -> Result<(), StoreError> {
        self.0.shared.read(engine::Engine::has_room)?;
        self.write(|_| Ok(())).await
    }

    /// The record under `key`, as last written.
    pub fn get<R: Record>(
        &self,
        _table: Table<R>,
        key: impl AsRef<[u8]>,
    ) -> Result<Option<R>, StoreError> {
        let key = key.as_ref();
        self.0
            .shared
            .get(R::TABLE, key)?
            .map(|stored| table::decode(key, &stored))
            .transpose()
    }

    /// All that decode under `prefix`, in key order; each fault is an `Err` item with its table and key, and the rest goes on.
    ///
    /// Records that are written meanwhile may or may not be seen.
    pub fn scan<R: Record>(
        &self,
        _table: Table<R>,
        prefix: &[u8],
    ) -> impl DoubleEndedIterator<Item = Result<(Vec<u8>, R), StoreError>> + use<R> {
        Scan::new(Arc::clone(&self.0.shared), prefix)
    }

    /// The same, of the keys that are less than `prefix` with `below` after it: a page that ends where another began.
    pub fn scan_below<R: Record>(
        &self,
        _table: Table<R>,
        prefix: &[u8],
        below: &[u8],
    ) -> impl DoubleEndedIterator<Item = Result<(Vec<u8>, R), StoreError>> + use<R> {
        Scan::new(Arc::clone(&self.0.shared), prefix).below(prefix, below)
    }

    /// How often the disk was synced since the store was opened.
    #[cfg(test)]
    fn syncs(&self) -> u64 {
        self.0.shared.syncs()
    }
}
