//! How much room a server takes on the disk, against how much it may: counted now and then, kept up between.

use std::{
    fs::File,
    io::{self, Write as _},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    bin,
    error::{FilesError, io_at},
    path::FilePath,
    root::Inside,
    site::Site,
};

/// How long a count holds: the game writes, too, and is not asked.
const HOLDS: Duration = Duration::from_secs(300);

/// One server's room. Locked for single sums only.
#[derive(Debug, Default)]
pub(crate) struct Room(Mutex<Sums>);

#[derive(Debug, Default)]
struct Sums {
    /// Bytes at the last count, with what was added and removed since.
    used: u64,
    /// Promised to writes that are under way.
    promised: u64,
    counted: Option<Instant>,
}

impl Room {
    fn sums(&self) -> MutexGuard<'_, Sums> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it must be counted (again) first.
    pub(crate) fn is_stale(&self, now: Instant) -> bool {
        let counted = self.sums().counted;
        counted.is_none_or(|counted| now.duration_since(counted) > HOLDS)
    }

    /// What a count found.
    pub(crate) fn count(&self, used: u64, now: Instant) {
        let mut sums = self.sums();
        sums.used = used;
        sums.counted = Some(now);
    }

    /// The last count does not hold any more.
    pub(crate) fn forget(&self) {
        self.sums().counted = None;
    }

    /// Bytes used, without those that are only promised.
    pub(crate) fn used(&self) -> u64 {
        self.sums().used
    }

    /// Something came, or went.
    pub(crate) fn change(&self, added: u64, removed: u64) {
        let mut sums = self.sums();
        sums.used = sums.used.saturating_add(added).saturating_sub(removed);
    }
}

/// Room that was promised; what is not kept of it goes back.
#[derive(Debug)]
pub(crate) struct Promise {
    room: Arc<Room>,
    limit: Option<u64>,
    bytes: u64,
}

impl Promise {
    /// Nothing yet.
    pub(crate) fn new(room: Arc<Room>, limit: Option<u64>) -> Self {
        Self {
            room,
            limit,
            bytes: 0,
        }
    }

    /// Promises so much in all, or says what is in the way.
    pub(crate) fn grow_to(&mut self, bytes: u64) -> Result<(), FilesError> {
        let Some(more) = bytes.checked_sub(self.bytes) else {
            return Ok(());
        };
        let mut sums = self.room.sums();
        let taken = sums.used.saturating_add(sums.promised);
        if let Some(limit) = self.limit
            && taken.saturating_add(more) > limit
        {
            return Err(FilesError::OverLimit {
                limit,
                used: taken,
                wanted: more,
            });
        }
        sums.promised = sums.promised.saturating_add(more);
        drop(sums);
        self.bytes = bytes;
        Ok(())
    }

    /// It was kept: so much is there now, and so much went for it.
    pub(crate) fn keep(self, added: u64, removed: u64) {
        self.room.change(added, removed);
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        let mut sums = self.room.sums();
        sums.promised = sums.promised.saturating_sub(self.bytes);
    }
}

/// Room for what grows while it is made: the bin gives way to it, oldest first.
pub(crate) struct Growing<'a> {
    site: &'a Site,
    promise: Promise,
    bytes: u64,
}

impl<'a> Growing<'a> {
    /// Room for `bytes` at once, where they are known. By the daemon.
    pub(super) fn begin(site: &'a Site, bytes: u64) -> Result<Self, FilesError> {
        Ok(Self {
            site,
            promise: site.promise(bytes)?,
            bytes: 0,
        })
    }

    /// So many more bytes are about to be written.
    pub(super) fn more(&mut self, inside: &Inside<'_>, bytes: u64) -> Result<(), FilesError> {
        self.bytes = self.bytes.saturating_add(bytes);
        match self.promise.grow_to(self.bytes) {
            Err(FilesError::OverLimit { .. }) => {
                inside.outside(|| self.site.grow(&mut self.promise, self.bytes))
            }
            done => done,
        }
    }

    /// Writes all of `bytes`; the bin gives way to them on a full disk, too.
    pub(super) fn store(
        &self,
        inside: &Inside<'_>,
        file: &File,
        path: &FilePath,
        bytes: &[u8],
    ) -> Result<(), FilesError> {
        store_or(file, path, bytes, || self.give_way(inside))
    }

    /// The disk is full. False when the bin is empty.
    pub(super) fn give_way(&self, inside: &Inside<'_>) -> Result<bool, FilesError> {
        inside.outside(|| bin::drop_oldest(self.site))
    }

    /// It was kept: so much is there now, and so much went for it.
    pub(super) fn keep(self, added: u64, removed: u64) {
        self.promise.keep(added, removed);
    }
}

/// Writes all of `bytes`; on a full disk something gives way, as long as that says that it did.
pub(super) fn store_or(
    mut file: &File,
    path: &FilePath,
    mut bytes: &[u8],
    mut give_way: impl FnMut() -> Result<bool, FilesError>,
) -> Result<(), FilesError> {
    while !bytes.is_empty() {
        match file.write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => match io_at(path, error) {
                FilesError::DiskFull(path) => {
                    if !give_way()? {
                        return Err(FilesError::DiskFull(path));
                    }
                }
                error => return Err(error),
            },
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_promised_counts_until_it_is_kept_or_dropped() {
        let room = Arc::new(Room::default());
        room.count(50, Instant::now());
        let promise = |bytes| {
            let mut promise = Promise::new(room.clone(), Some(100));
            promise.grow_to(bytes).map(|()| promise)
        };
        let first = promise(30).unwrap();
        let refused = promise(21).unwrap_err();
        assert!(
            matches!(
                refused,
                FilesError::OverLimit {
                    limit: 100,
                    used: 80,
                    wanted: 21
                }
            ),
            "{refused}"
        );
        let second = promise(20).unwrap();
        drop(second);
        first.keep(10, 5);
        assert_eq!(room.used(), 55);
        promise(45).unwrap();
        assert!(promise(46).is_err());
    }
}
