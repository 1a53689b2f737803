//! Room on the disk, taken before it is needed, so that sled never meets a full disk half way through a change.
//!
//! sled gives up for good at the first write that fails. So before each change this makes the file system promise
//! the room: blocks are allocated past the end of sled's log (`fallocate` that keeps the size). Where there are
//! none left the change is refused, and nothing has happened.
//!
//! ```text
//! STATE/store/db  |#### log ####|......... ours, LOW to HIGH bytes .........|
//! STATE/store/ballast            given up when sled needs room to open
//! ```

use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use nix::{
    errno::Errno,
    fcntl::{FallocateFlags, fallocate},
    sys::statvfs::statvfs,
};

use super::StoreError;

/// Less than this ahead of the log, and no change is taken.
const LOW: u64 = 4 << 20;
/// How much is allocated at a time.
const HIGH: u64 = 8 << 20;
/// What sled may need to open: the rest of a segment, and a snapshot of its page table.
const BALLAST: u64 = 2 << 20;

/// The disk under sled's log.
pub(super) struct Space {
    folder: PathBuf,
    log: File,
    /// What the changes taken since the last sync may still write, at most.
    unsynced: AtomicU64,
    /// What was found to be promised since the last sync. sled may shorten its log and thereby give it back, so it is
    /// looked at anew after each.
    promised: AtomicU64,
}

impl Space {
    /// Of the store in `folder`, which sled has opened.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let log = OpenOptions::new().write(true).open(folder.join("db"))?;
        Ok(Self {
            folder: folder.into(),
            log,
            unsynced: AtomicU64::new(0),
            promised: AtomicU64::new(0),
        })
    }

    /// Keeps room for the next time that sled opens.
    pub(super) fn take_ballast(&self) {
        if let Err(error) = ballast(&self.folder) {
            let folder = self.folder.display();
            tracing::warn!(%error, %folder, "no room for the store's ballast");
        }
    }

    /// Promises room for a change that writes at most `bytes`, or refuses it.
    pub(super) fn reserve(&self, bytes: u64) -> Result<(), StoreError> {
        let needed = LOW + bytes + self.unsynced.fetch_add(bytes, Ordering::SeqCst);
        if self.promised.load(Ordering::SeqCst) >= needed {
            return Ok(());
        }
        match self.promise(needed) {
            Ok(promised) if promised >= needed => {
                self.promised.store(promised, Ordering::SeqCst);
                Ok(())
            }
            refused => {
                self.unsynced.fetch_sub(bytes, Ordering::SeqCst);
                let full = io::ErrorKind::StorageFull.into();
                Err(StoreError::of_disk(
                    &self.folder,
                    refused.err().unwrap_or(full),
                ))
            }
        }
    }

    /// How much there is past the end of the log, after allocating what is missing.
    fn promise(&self, needed: u64) -> io::Result<u64> {
        let ahead = || {
            let log = self.log.metadata()?;
            io::Result::Ok(((log.blocks() * 512).saturating_sub(log.len()), log.len()))
        };
        let (promised, len) = ahead()?;
        if promised >= needed {
            return Ok(promised);
        }
        let end = i64::try_from(len + HIGH.max(2 * needed)).map_err(io::Error::other)?;
        match fallocate(&self.log, FallocateFlags::FALLOC_FL_KEEP_SIZE, 0, end) {
            // Here nothing can be promised, only looked at.
            Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => Ok(free(&self.folder)?.saturating_sub(HIGH)),
            // The last of the disk may do.
            Ok(()) | Err(Errno::ENOSPC | Errno::EDQUOT) => Ok(ahead()?.0),
            Err(error) => Err(error.into()),
        }
    }

    /// What is taken but not yet durable may write this much.
    pub(super) fn unsynced(&self) -> u64 {
        self.unsynced.load(Ordering::SeqCst)
    }

    /// Makes what sled has written durable; `covered` is what [`Self::unsynced`] was before sled's flush.
    pub(super) fn sync(&self, covered: u64) -> io::Result<()> {
        let blobs = self.folder.join("blobs");
        let mut spilled = false;
        for entry in fs::read_dir(&blobs)? {
            spilled = true;
            match File::open(entry?.path()) {
                Ok(blob) => blob.sync_data()?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {} // sled needs it no more
                Err(error) => return Err(error),
            }
        }
        if spilled {
            File::open(&blobs)?.sync_all()?;
        }
        self.log.sync_data()?;
        self.unsynced.fetch_sub(covered, Ordering::SeqCst);
        self.promised.store(0, Ordering::SeqCst);
        Ok(())
    }
}

/// Whether there is room to open sled again without giving up the ballast.
pub(super) fn room(folder: &Path) -> bool {
    free(folder).is_ok_and(|bytes| bytes >= BALLAST + LOW)
}

/// Gives the ballast up.
pub(super) fn release(folder: &Path) -> io::Result<()> {
    fs::remove_file(folder.join("ballast"))
}

fn ballast(folder: &Path) -> io::Result<()> {
    let path = folder.join("ballast");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)?;
    let size = i64::try_from(BALLAST).expect("a small constant");
    match fallocate(&file, FallocateFlags::empty(), 0, size) {
        Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => Ok(()),
        Err(error) => fs::remove_file(&path).and(Err(error.into())),
        Ok(()) => Ok(()),
    }
}

fn free(folder: &Path) -> io::Result<u64> {
    let disk = statvfs(folder)?;
    Ok(disk.blocks_available().saturating_mul(disk.fragment_size()))
}
