//! One server's files and what is beside them: all that is done with them, on a thread that may block.
//!
//! ```text
//! STATE/servers/ID/files           the game's
//!                  bin/NUMBER      where it was and when it was deleted; ours
//!                  bin/held/       what was deleted; the game's, behind a door of ours
//!                  uploads/held/   what is being uploaded; likewise
//!                  passing/        what is not whole yet (passing.rs)
//! ```
//!
//! What the server's user moves between these is moved by the kernel as that user; the folders around `held` let nobody
//! but the daemon in, so that no game reaches what lies there by a path.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Write as _},
    os::{
        fd::OwnedFd,
        unix::fs::{DirBuilderExt as _, PermissionsExt, chown},
    },
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Instant,
};

use data_encoding::HEXLOWER;
use nix::sys::{stat::fstat, statvfs::statvfs};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use super::{
    about::About,
    bin,
    error::{FilesError, at, io_at},
    fresh::Fresh,
    passing::{self, PASSING},
    path::FilePath,
    room::{Promise, Room, store_or},
    root::{Inside, Replace, Root, open_folder},
    view::{Deletion, Entry, Usage},
};

/// Bytes that can be added to a file in one go.
pub(crate) const APPEND: usize = 16 << 20;
/// Folders of one server that are filled from streams at once, and that go out as streams.
const STREAMS: usize = 2;

/// What outlives one request: the sums, and whose turn it is to change something.
#[derive(Debug)]
pub(crate) struct Lasting {
    pub(super) room: Arc<Room>,
    /// Who may fill a folder from a stream: such a one is as slow as whoever sends it.
    pub(super) filling: Arc<Semaphore>,
    /// Who may take a folder as a stream, which goes likewise.
    pub(super) emptying: Arc<Semaphore>,
    /// Who may pack or unpack an archive in place.
    pub(super) archiving: Arc<Semaphore>,
    /// What a run before this one broke off is undone.
    settled: OnceLock<()>,
    /// Held while something appears, moves or goes, not while bytes flow.
    turn: Mutex<()>,
}

impl Default for Lasting {
    fn default() -> Self {
        Self {
            room: Arc::default(),
            filling: Arc::new(Semaphore::new(STREAMS)),
            emptying: Arc::new(Semaphore::new(STREAMS)),
            archiving: Arc::new(Semaphore::new(1)),
            settled: OnceLock::new(),
            turn: Mutex::default(),
        }
    }
}

impl Lasting {
    /// Undoes what a run before this one broke off in the server whose home that is: once, before anything else is done.
    pub(super) fn settle(&self, home: &Path) {
        self.settled.get_or_init(|| {
            if let Err(error) = passing::recover(home) {
                tracing::error!(home = %home.display(), %error, "a folder that was filled by half stays so");
            }
        });
    }

    /// What was counted does not hold any more.
    pub(super) fn forget_count(&self) {
        self.room.forget();
    }

    /// Waits for one's turn. What frees room takes a turn, too: so nobody asks for room in theirs.
    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One server's files.
pub(crate) struct Site {
    pub(super) home: PathBuf,
    pub(super) root: Root,
    pub(super) user: Option<u32>,
    limit: Option<u64>,
    pub(super) lasting: Arc<Lasting>,
}

/// A file that is to be written.
#[derive(Debug, Clone)]
pub(crate) struct Wish {
    pub(crate) path: FilePath,
    /// The nine bits; none: those of what is there, else 0644.
    pub(crate) mode: Option<u32>,
    /// What its content must be.
    pub(crate) sha256: Option<[u8; 32]>,
    pub(crate) replace: Replace,
    /// What must be there now.
    pub(crate) tag: Option<String>,
    /// Bytes that will come, where that is known.
    pub(crate) size: Option<u64>,
    /// Folders above it are made.
    pub(crate) parents: bool,
}

/// A file that is being written.
pub(crate) struct Writing {
    site: Arc<Site>,
    fresh: Fresh,
    wish: Wish,
    digest: Option<Sha256>,
    promise: Promise,
    written: u64,
}

/// Makes a folder for `user`, unless it is there.
fn make(path: &Path, mode: u32, user: Option<u32>) -> io::Result<()> {
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        made => made?,
    }
    fs::set_permissions(path, PermissionsExt::from_mode(mode))?;
    match user {
        Some(_) => chown(path, user, user),
        None => Ok(()),
    }
}

/// The folder `held` within `kind`, which is ours, in a server's home.
fn held(home: &Path, kind: &str, user: Option<u32>) -> Result<(PathBuf, OwnedFd), FilesError> {
    let outer = home.join(kind);
    let held = outer.join("held");
    make(&outer, 0o700, None)
        .and_then(|()| make(&held, 0o700, user))
        .and_then(|()| Ok(open_folder(&held)?))
        .map(|opened| (outer, opened))
        .map_err(|error| io_at(&FilePath::default(), error))
}

impl Site {
    /// Opens `folder`, whose parent is ours; both are made when they are not there yet.
    pub(crate) fn open(
        folder: &Path,
        user: Option<u32>,
        limit: Option<u64>,
        lasting: Arc<Lasting>,
    ) -> Result<Self, FilesError> {
        let home = folder
            .parent()
            .expect("a server's folder is within its home");
        let whole = FilePath::default();
        make(home, 0o711, None)
            .and_then(|()| make(folder, 0o700, user))
            .map_err(|error| io_at(&whole, error))?;
        lasting.settle(home);
        let (_, passing) = held(home, PASSING, user)?;
        Ok(Self {
            home: home.into(),
            root: Root::open(folder, user)?.with_passing(passing),
            user,
            limit,
            lasting,
        })
    }

    /// The folder, as the server's user.
    pub(crate) fn enter(&self) -> Result<Inside<'_>, FilesError> {
        self.root.enter()
    }

    pub(super) fn turn(&self) -> MutexGuard<'_, ()> {
        self.lasting.turn()
    }

    /// The folder `held` within `kind`, which is ours.
    pub(super) fn held(&self, kind: &str) -> Result<(PathBuf, OwnedFd), FilesError> {
        held(&self.home, kind, self.user)
    }

    /// What is in `held`, with a door of its own: by numbers, as the server's user.
    pub(super) fn held_root(&self, kind: &str) -> Result<Root, FilesError> {
        self.held(kind)?;
        Root::open(&self.home.join(kind).join("held"), self.user)
    }

    fn room_of(&self, kind: &str) -> Result<u64, FilesError> {
        let root = self.held_root(kind)?;
        root.enter()?.room(&FilePath::default())
    }

    /// Counts anew when the last count is old.
    fn count(&self) -> Result<(), FilesError> {
        let room = &self.lasting.room;
        if !room.is_stale(Instant::now()) {
            return Ok(());
        }
        let files = self.enter()?.room(&FilePath::default())?;
        let used = files + self.room_of("bin")? + self.room_of("uploads")?;
        room.count(used, Instant::now());
        Ok(())
    }

    /// Room for `bytes`, when it has it; the bin gives way, oldest first.
    pub(super) fn promise(&self, bytes: u64) -> Result<Promise, FilesError> {
        if self.limit.is_some() {
            self.count()?;
        }
        let mut promise = Promise::new(self.lasting.room.clone(), self.limit);
        self.grow(&mut promise, bytes)?;
        Ok(promise)
    }

    /// Lets a promise grow to `bytes`.
    pub(super) fn grow(&self, promise: &mut Promise, bytes: u64) -> Result<(), FilesError> {
        loop {
            match promise.grow_to(bytes) {
                Err(FilesError::OverLimit {
                    limit,
                    used,
                    wanted,
                }) => {
                    let bin = self.room_of("bin")?;
                    let enough = used.saturating_sub(bin).saturating_add(wanted) <= limit;
                    if !enough || !bin::drop_oldest(self)? {
                        return Err(FilesError::OverLimit {
                            limit,
                            used,
                            wanted,
                        });
                    }
                }
                done => return done,
            }
        }
    }

    /// Bytes that can ever be here at once: what the server may have, else all that the disk is.
    pub(super) fn most(&self) -> Result<u64, FilesError> {
        if let Some(limit) = self.limit {
            return Ok(limit);
        }
        let disk = statvfs(&self.home).map_err(|error| at(&FilePath::default(), error))?;
        match disk.blocks().saturating_mul(disk.fragment_size()) {
            0 => Ok(u64::MAX), // there are file systems that do not say
            size => Ok(size),
        }
    }

    /// How much room it takes.
    pub(crate) fn usage(&self) -> Result<Usage, FilesError> {
        self.count()?;
        Ok(Usage {
            used: self.lasting.room.used(),
            limit: self.limit,
            bin: self.room_of("bin")?,
        })
    }

    /// Begins to write a file.
    pub(crate) fn write(self: Arc<Self>, wish: Wish) -> Result<Writing, FilesError> {
        let promise = self.promise(wish.size.unwrap_or(0))?;
        let inside = self.enter()?;
        if wish.parents
            && let Some((parent, _)) = wish.path.split()
        {
            inside.make_all(&parent)?;
        }
        let there = inside.look_if_any(&wish.path)?;
        wish.agrees(there.as_ref())?;
        if wish.replace == Replace::No && there.is_some() {
            return Err(FilesError::Exists(wish.path));
        }
        let fresh = inside.fresh(&wish.path)?;
        drop(inside);
        Ok(Writing {
            site: self,
            fresh,
            digest: wish.sha256.map(|_| Sha256::new()),
            wish,
            promise,
            written: 0,
        })
    }

    /// Adds to a file, which is made when it is not there. Answers what it is now.
    pub(crate) fn append(&self, path: &FilePath, bytes: &[u8]) -> Result<Entry, FilesError> {
        let promise = self.promise(bytes.len() as u64)?;
        let _turn = self.turn();
        let inside = self.enter()?;
        let (file, before) = match inside.file_to_append(path) {
            Err(FilesError::NoSuchFile(_)) => {
                let fresh = inside.fresh(path)?;
                fresh.publish(&inside, Replace::No, None)?;
                inside.file_to_append(path)?
            }
            opened => opened?,
        };
        let added = (&file).write_all(bytes).and_then(|()| file.sync_data());
        if let Err(error) = added {
            // All or nothing, as far as the disk lets us.
            file.set_len(before.size).ok();
            return Err(io_at(path, error));
        }
        promise.keep(bytes.len() as u64, 0);
        let stat = fstat(&file).map_err(|error| at(path, error))?;
        Ok(Entry::new(path, &stat.into(), None))
    }

    /// Gives `from` the name `to`.
    pub(crate) fn rename(
        &self,
        from: &FilePath,
        to: &FilePath,
        replace: Replace,
    ) -> Result<Entry, FilesError> {
        let _turn = self.turn();
        let inside = self.enter()?;
        // What it is was seen before: where it is now, the game may have changed already.
        let about = inside.rename(from, to, replace)?;
        Ok(Entry::new(to, &about, None))
    }

    /// Makes a folder.
    pub(crate) fn make(&self, path: &FilePath, parents: bool) -> Result<Entry, FilesError> {
        let inside = self.enter()?;
        match path.split() {
            Some((parent, _)) if parents => inside.make_all(&parent)?,
            _ => {}
        }
        let about = inside.make(path)?;
        Ok(Entry::new(path, &about, None))
    }

    /// Changes who may do what.
    pub(crate) fn set_mode(&self, path: &FilePath, mode: u32) -> Result<Entry, FilesError> {
        let inside = self.enter()?;
        inside.set_mode(path, mode)?;
        inside.entry(path)
    }

    /// The plain file `path`, to be read.
    pub(crate) fn read(&self, path: &FilePath) -> Result<(File, About), FilesError> {
        self.enter()?.file(path)
    }

    /// Moves `path` to the bin.
    pub(crate) fn delete(&self, path: &FilePath) -> Result<Deletion, FilesError> {
        let _turn = self.turn();
        bin::put(self, path)
    }

    /// Removes a deletion for good.
    pub(crate) fn purge(&self, id: u64) -> Result<(), FilesError> {
        let _turn = self.turn();
        bin::purge_one(self, id)
    }

    /// Has a deletion back, where it was or at `to`.
    pub(crate) fn undo(&self, id: u64, to: Option<&FilePath>) -> Result<Entry, FilesError> {
        let _turn = self.turn();
        bin::take(self, id, to)
    }
}

impl Wish {
    /// Just that file.
    pub(crate) fn new(path: FilePath, replace: Replace) -> Self {
        Self {
            path,
            mode: None,
            sha256: None,
            replace,
            tag: None,
            size: None,
            parents: false,
        }
    }

    /// Whether what is there is what the caller last saw.
    pub(super) fn agrees(&self, there: Option<&About>) -> Result<(), FilesError> {
        let Some(tag) = &self.tag else {
            return Ok(());
        };
        let same = match there {
            Some(there) => tag == "*" || there.tag() == *tag,
            None => false,
        };
        match same {
            true => Ok(()),
            false => Err(FilesError::Changed(self.path.clone())),
        }
    }
}

impl Writing {
    /// The next bytes.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<(), FilesError> {
        let written = self.written + bytes.len() as u64;
        if let Some(expected) = self.wish.size.filter(|&size| written > size) {
            return Err(FilesError::Length {
                expected,
                found: written,
            });
        }
        self.site.grow(&mut self.promise, written)?;
        store(&self.site, self.fresh.file(), self.fresh.path(), bytes)?;
        if let Some(digest) = &mut self.digest {
            digest.update(bytes);
        }
        self.written = written;
        Ok(())
    }

    /// Bytes so far.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Puts it in its place.
    pub(crate) fn finish(self) -> Result<Entry, FilesError> {
        let Self {
            site,
            fresh,
            wish,
            digest,
            promise,
            written,
        } = self;
        if let Some(expected) = wish.size.filter(|&size| written != size) {
            return Err(FilesError::Length {
                expected,
                found: written,
            });
        }
        if let (Some(digest), Some(expected)) = (digest, wish.sha256) {
            matches(&expected, digest)?;
        }
        fresh.sync()?;
        let (about, before) = place(&site, fresh, &wish)?;
        promise.keep(about.room, before.map_or(0, |before| before.room));
        Ok(Entry::new(&wish.path, &about, None))
    }
}

/// Whether what came is what was announced.
pub(super) fn matches(expected: &[u8; 32], found: Sha256) -> Result<(), FilesError> {
    let found: [u8; 32] = found.finalize().into();
    match found == *expected {
        true => Ok(()),
        false => Err(FilesError::Checksum {
            expected: HEXLOWER.encode(expected),
            found: HEXLOWER.encode(&found),
        }),
    }
}

/// Puts a whole file in its place, if what is there is still what the caller saw. Answers what it is, and what was there.
pub(super) fn place(
    site: &Site,
    fresh: Fresh,
    wish: &Wish,
) -> Result<(About, Option<About>), FilesError> {
    let _turn = site.turn();
    let inside = site.enter()?;
    let before = inside.look_if_any(&wish.path)?;
    wish.agrees(before.as_ref())?;
    let about = fresh.publish(&inside, wish.replace, wish.mode)?;
    Ok((about, before))
}

/// Writes all of `bytes`; on a full disk the bin gives way, oldest first.
pub(super) fn store(
    site: &Site,
    file: &File,
    path: &FilePath,
    bytes: &[u8],
) -> Result<(), FilesError> {
    store_or(file, path, bytes, || bin::drop_oldest(site))
}
