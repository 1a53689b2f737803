//! sled as the store uses it. The only file that names it.
//!
//! A group of changes is atomic by a journal of one: sled recovers a prefix of what was written in order, so a
//! journal entry that is still there means that nothing came after it, and applying it again completes it.
//!
//! ```text
//! put journal/tx = all of it;  put, put, remove, ...;  remove journal/tx
//! ^ cut before: not at all     ^ cut here: done again when opened
//! ```
//!
//! Why not sled's own transactions: each of them closes two of sled's write buffers, so that no two could share a
//! disk write, and takes a lock that a flush holds too, so that readers would wait for the disk.

use std::{
    collections::{BTreeMap, HashMap},
    fs::{self, DirBuilder, File},
    io,
    ops::Bound,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::Duration,
};

use super::{
    StoreError,
    space::{self, Space},
    table::{Counter, Record, decode, encode, from_bytes, to_bytes},
};

/// What a transaction, or a group of them, changes: by table and key, the new value, or none for a removal.
pub(super) type Changes = BTreeMap<&'static str, BTreeMap<Vec<u8>, Option<Vec<u8>>>>;

/// A stored value.
pub(super) type Stored = sled::IVec;

/// A key and its stored value.
pub(super) type Pair = (sled::IVec, Stored);

/// Between two keys.
pub(super) type Range = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// The journal's bytes, at most: what exceeds an eighth of a segment sled would put beside its log.
pub(super) const CHANGE_LIMIT: usize = 96 << 10;

const JOURNAL: &str = "journal";
const PENDING: &[u8] = b"tx";
const NUDGE: &[u8] = b"nudge";
const SCHEMA: u64 = 1;

/// sled keeps decoded pages up to this.
const CACHE: u64 = 8 << 20;
/// A background write of the former owner may hold sled's lock a moment longer.
const LOCK_TRIES: u32 = 200;

/// An open database.
pub(super) struct Engine {
    db: sled::Db,
    journal: sled::Tree,
    trees: HashMap<String, sled::Tree>,
    disk: Arc<Space>,
    folder: PathBuf,
}

impl Engine {
    /// Opens or creates the database in `folder`, and completes what a crash cut short.
    pub(super) fn open(folder: &Path) -> Result<Self, StoreError> {
        let unusable = |error: io::Error| StoreError::of_disk(folder, error);
        if !folder.exists() {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(folder)
                .map_err(unusable)?;
        }
        let engine = match Self::complete_in(folder) {
            Err(StoreError::DiskFull { .. }) if space::release(folder).is_ok() => {
                Self::complete_in(folder)?
            }
            opened => opened?,
        };
        // Not before: what a crash cut short may need that room.
        engine.disk.take_ballast();
        for folder in [Some(folder), folder.parent()].into_iter().flatten() {
            File::open(folder)
                .and_then(|folder| folder.sync_all())
                .map_err(unusable)?;
        }
        Ok(engine)
    }

    fn complete_in(folder: &Path) -> Result<Self, StoreError> {
        let unusable = |error: io::Error| StoreError::of_disk(folder, error);
        let sled_error = |error: sled::Error| unusable(error.into());
        let db = open_sled(folder).map_err(sled_error)?;
        let journal = db.open_tree(JOURNAL).map_err(sled_error)?;
        let mut trees = HashMap::new();
        for name in db.tree_names() {
            let text = String::from_utf8_lossy(&name).into_owned();
            if text != JOURNAL && !text.starts_with("__sled__") {
                trees.insert(text, db.open_tree(name).map_err(sled_error)?);
            }
        }
        let mut engine = Self {
            db,
            journal,
            trees,
            disk: Arc::new(Space::open(folder).map_err(unusable)?),
            folder: folder.into(),
        };
        engine.complete().map_err(sled_error)?;
        engine.check_schema()?;
        engine.flush()?;
        Ok(engine)
    }

    fn complete(&mut self) -> sled::Result<()> {
        let Some(entry) = self.journal.get(PENDING)? else {
            return Ok(());
        };
        type Entry = BTreeMap<String, BTreeMap<Vec<u8>, Option<Vec<u8>>>>;
        match from_bytes::<Entry>(&entry) {
            Some(tables) => {
                for (table, changes) in tables {
                    self.put_all(&table, changes)?;
                }
            }
            None => tracing::error!("table `journal`, key tx: the record does not decode"),
        }
        self.journal.remove(PENDING).map(drop)
    }

    fn check_schema(&mut self) -> Result<(), StoreError> {
        let key = b"schema";
        match self.get(Counter::TABLE, key)? {
            Some(stored) => match decode(key, &stored)? {
                Counter(schema) if schema <= SCHEMA => Ok(()),
                Counter(schema) => Err(StoreError::Newer {
                    path: self.folder.clone(),
                    schema,
                }),
            },
            None => self.put(Counter::TABLE, key, &encode(&Counter(SCHEMA))?),
        }
    }

    fn failed(&self, error: sled::Error) -> StoreError {
        StoreError::of_disk(&self.folder, error.into())
    }

    /// The stored value under a key.
    pub(super) fn get(&self, table: &str, key: &[u8]) -> Result<Option<Stored>, StoreError> {
        match self.trees.get(table) {
            Some(tree) => tree.get(key).map_err(|error| self.failed(error)),
            None => Ok(None),
        }
    }

    /// The first `count` pairs within a range, from its other end when `back`.
    pub(super) fn pairs(
        &self,
        table: &str,
        range: Range,
        back: bool,
        count: usize,
    ) -> Result<Vec<Pair>, StoreError> {
        let Some(tree) = self.trees.get(table) else {
            return Ok(Vec::new());
        };
        let pairs = tree.range(range);
        if back {
            pairs.rev().take(count).collect::<Result<_, _>>()
        } else {
            pairs.take(count).collect()
        }
        .map_err(|error| self.failed(error))
    }

    /// All tables that exist, in order.
    pub(super) fn tables(&self) -> Vec<String> {
        let mut tables: Vec<_> = self.trees.keys().cloned().collect();
        tables.sort_unstable();
        tables
    }

    /// Whether the smallest change would be taken.
    pub(super) fn has_room(&self) -> Result<(), StoreError> {
        self.disk.reserve(0)
    }

    /// Where room must be promised for what is to be applied.
    pub(super) fn disk(&self) -> Arc<Space> {
        Arc::clone(&self.disk)
    }

    /// Applies all of it, for which there is room; an error leaves sled unfit for use.
    pub(super) fn apply(&mut self, changes: Changes) -> Result<(), StoreError> {
        let count: usize = changes.values().map(BTreeMap::len).sum();
        let entry = match count {
            0 => return Ok(()),
            1 => Vec::new(),
            _ => to_bytes(&changes, Vec::new()),
        };
        self.write(changes, &entry)
            .map_err(|error| StoreError::Uncertain {
                path: self.folder.clone(),
                cause: Arc::new(error.into()),
            })
    }

    fn write(&mut self, changes: Changes, entry: &[u8]) -> sled::Result<()> {
        if !entry.is_empty() {
            self.journal.insert(PENDING, entry)?;
        }
        for (table, changes) in changes {
            self.put_all(table, changes)?;
        }
        if !entry.is_empty() {
            self.journal.remove(PENDING)?;
        }
        Ok(())
    }

    fn put_all(
        &mut self,
        table: &str,
        changes: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
    ) -> sled::Result<()> {
        let tree = self.tree(table)?;
        for (key, value) in changes {
            match value {
                Some(value) => tree.insert(key, value)?,
                None => tree.remove(key)?,
            };
        }
        Ok(())
    }

    /// One stored value, as it is: for a database that nobody else sees yet.
    pub(super) fn put(&mut self, table: &str, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        self.disk.reserve(one_written(key, value))?;
        let put = self.tree(table).and_then(|tree| tree.insert(key, value));
        put.map(drop).map_err(|error| self.failed(error))
    }

    /// Flushes and syncs, for a database that nobody else sees yet.
    pub(super) fn flush(&self) -> Result<(), StoreError> {
        let flushed = self.flusher(self.disk.unsynced()).flush();
        flushed.map_err(|failure| StoreError::of_disk(&self.folder, failure.cause))
    }

    fn tree(&mut self, table: &str) -> sled::Result<&sled::Tree> {
        if !self.trees.contains_key(table) {
            self.trees.insert(table.into(), self.db.open_tree(table)?);
        }
        Ok(&self.trees[table])
    }

    /// What makes all that was applied durable, without holding the engine meanwhile. `covered` bytes of the room
    /// that was promised will then have been used.
    pub(super) fn flusher(&self, covered: u64) -> Flusher {
        Flusher {
            db: self.db.clone(),
            disk: self.disk(),
            covered,
        }
    }

    /// sled's flush waits for ever when one of its background writes fails while nobody writes: a further attempt
    /// to write tells it. `again` must differ from the last.
    pub(super) fn nudge(&self, again: u64) -> Result<(), StoreError> {
        let nudged = self.journal.insert(NUDGE, &again.to_be_bytes());
        nudged.map(drop).map_err(|error| self.failed(error))
    }
}

/// The bytes of these changes in the journal, at most.
pub(super) fn journaled(changes: &Changes) -> usize {
    const LENGTHS: usize = 12; // of a key and a value, or of a name and a table
    let record = |(key, value): (&Vec<u8>, &Option<Vec<u8>>)| {
        LENGTHS + key.len() + value.as_ref().map_or(0, Vec::len)
    };
    let table = |(name, records): (&&str, &BTreeMap<_, _>)| {
        LENGTHS + name.len() + records.iter().map(record).sum::<usize>()
    };
    changes.iter().map(table).sum()
}

/// What sled may write for these changes, at most: twice for the journal, and now and then a page as a whole.
pub(super) fn written(changes: &Changes) -> u64 {
    let records = changes.values().flatten();
    records
        .map(|(key, value)| one_written(key, value.as_deref().unwrap_or_default()))
        .sum()
}

fn one_written(key: &[u8], value: &[u8]) -> u64 {
    8192 + 8 * (key.len() + value.len()) as u64
}

/// Flush, then sync.
pub(super) struct Flusher {
    db: sled::Db,
    disk: Arc<Space>,
    covered: u64,
}

impl Flusher {
    /// Returns once everything applied before the call survives a power cut.
    pub(super) fn flush(&self) -> Result<(), Failure> {
        self.db.flush().map_err(|error| Failure {
            cause: error.into(),
            at_sync: false,
        })?;
        self.disk.sync(self.covered).map_err(|cause| Failure {
            cause,
            at_sync: true,
        })
    }
}

/// How making durable failed.
pub(super) struct Failure {
    pub(super) cause: io::Error,
    /// The sync itself, after which the kernel's copy can no longer be trusted.
    pub(super) at_sync: bool,
}

fn open_sled(folder: &Path) -> sled::Result<sled::Db> {
    // A snapshot that was cut short while it was written: sled would take it for the newest, and refuse it.
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == "generating") {
            fs::remove_file(path)?;
        }
    }
    let config = sled::Config::new()
        .path(folder)
        .cache_capacity(CACHE)
        .flush_every_ms(None); // we flush when there is something to flush
    for _ in 1..LOCK_TRIES {
        match config.open() {
            Err(sled::Error::Io(error)) if error.to_string().starts_with("could not acquire") => {
                thread::sleep(Duration::from_millis(10));
            }
            opened => return opened,
        }
    }
    config.open()
}

/// Whether a disk is full, or a quota.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}

/// Removes the database in `folder`, if there is one.
pub(super) fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two(value: &[u8]) -> Changes {
        let keys = |key: &[u8]| [(key.to_vec(), Some(value.to_vec()))].into();
        [("a", keys(b"k")), ("b", keys(b"l"))].into()
    }

    #[test]
    fn a_change_that_was_cut_short_is_completed_when_opened() {
        let folder = tempfile::tempdir().unwrap();
        let mut engine = Engine::open(folder.path()).unwrap();
        engine.apply(two(b"old")).unwrap();
        // The journal is written, one of two tables is done.
        let entry = to_bytes(&two(b"new"), Vec::new());
        engine.journal.insert(PENDING, entry).unwrap();
        engine.put("a", b"k", b"new").unwrap();
        engine.flush().unwrap();
        drop(engine);

        let engine = Engine::open(folder.path()).unwrap();
        assert_eq!(engine.get("a", b"k").unwrap().unwrap(), b"new");
        assert_eq!(engine.get("b", b"l").unwrap().unwrap(), b"new");
        assert!(engine.journal.get(PENDING).unwrap().is_none());
    }

    #[test]
    fn what_the_journal_takes_is_never_more_than_what_was_counted() {
        for value in [0, 1, 250, 251, 60_000, 70_000] {
            let changes = two(&vec![7; value]);
            assert!(to_bytes(&changes, Vec::new()).len() <= journaled(&changes));
        }
        let many = (0..300u32).map(|key| (key.to_be_bytes().to_vec(), None));
        let changes = Changes::from([("a", many.collect())]);
        assert!(to_bytes(&changes, Vec::new()).len() <= journaled(&changes));
    }

    #[test]
    fn overwriting_the_same_records_does_not_grow_the_log_for_ever() {
        let folder = tempfile::tempdir().unwrap();
        let mut engine = Engine::open(folder.path()).unwrap();
        for round in 0u32..200 {
            for _ in 0..50 {
                engine.apply(two(&[round as u8; 500])).unwrap();
                engine.apply(two(&[!round as u8; 500])).unwrap();
            }
            engine.flush().unwrap();
        }
        let written = 200 * 100 * 2 * 2 * 500;
        let log = fs::metadata(folder.path().join("db")).unwrap().len();
        assert!(log < written / 4, "{log} of {written} bytes");
    }
}
