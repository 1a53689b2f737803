//! Walks the server's folder, beneath one descriptor, and opens what has to be read.
//!
//! No link is followed: each folder is opened by its name in the one above, each file by its name in its folder. Links
//! are kept as links; pipes, sockets and devices are left out with a note. A file that changes while it is read is
//! noted, too.

use std::{
    ffi::{OsStr, OsString},
    fs::{self, File},
    io::{self, Read},
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::fs::MetadataExt,
    },
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use jiff::Timestamp;
use nix::{
    fcntl::{AtFlags, OFlag, openat, readlinkat},
    sys::stat::{FileStat, Mode, fstat, fstatat},
};
use rustic_core::{
    ReadSource, ReadSourceEntry, ReadSourceOpen, RusticResult,
    repofile::{Metadata, Node, NodeType},
};

use super::{super::wire::NOTES, Pace};

/// Folders within folders: each holds a descriptor.
const DEEPEST: usize = 128;

/// What was left out, and what changed under our eyes: the first so many, and how many there were.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) left_out: Notes,
    pub(super) changed: Notes,
}

#[derive(Debug, Default)]
pub(super) struct Notes {
    first: Vec<String>,
    count: usize,
}

impl Notes {
    fn push(&mut self, note: String) {
        self.count += 1;
        if self.count < NOTES {
            self.first.push(note);
        }
    }

    /// At most [`NOTES`] lines; the last says how many are not told.
    pub(super) fn told(self) -> Vec<String> {
        let mut told = self.first;
        if self.count > told.len() {
            told.push(format!("and {} more", self.count - told.len()));
        }
        told
    }
}

type Shared = Arc<Mutex<Seen>>;

fn note(
    seen: &Shared,
    to: impl FnOnce(&mut Seen) -> &mut Notes,
    path: &Path,
    what: impl std::fmt::Display,
) {
    let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    let what = what.to_string();
    let note = match what.is_empty() {
        true => path.display().to_string(),
        false => format!("{}: {what}", path.display()),
    };
    to(&mut seen).push(note);
}

/// The server's folder.
pub(super) struct Source {
    root: Arc<OwnedFd>,
    pace: Pace,
    seen: Shared,
}

impl Source {
    pub(super) fn new(root: OwnedFd, pace: Pace) -> Self {
        Self {
            root: Arc::new(root),
            pace,
            seen: Shared::default(),
        }
    }

    /// What was met; for after the walk.
    pub(super) fn seen(&self) -> Seen {
        std::mem::take(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl ReadSource for Source {
    type Open = Opener;
    type Iter = Walk;

    fn size(&self) -> RusticResult<Option<u64>> {
        Ok(None)
    }

    fn entries(&self) -> Walk {
        let mut walk = Walk {
            device: fstat(&*self.root).map(|about| about.st_dev).unwrap_or(0),
            pace: self.pace.clone(),
            seen: self.seen.clone(),
            levels: Vec::new(),
        };
        walk.enter(self.root.clone(), PathBuf::new());
        walk
    }
}

/// One open folder, and the names in it that are still to come, in the order of their bytes.
struct Level {
    folder: Arc<OwnedFd>,
    path: PathBuf,
    names: std::vec::IntoIter<OsString>,
}

/// The walk: a folder comes before what is in it.
pub(super) struct Walk {
    device: u64,
    pace: Pace,
    seen: Shared,
    levels: Vec<Level>,
}

impl Walk {
    fn left_out(&self, path: &Path, why: impl std::fmt::Display) {
        note(&self.seen, |seen| &mut seen.left_out, path, why);
    }

    fn enter(&mut self, folder: Arc<OwnedFd>, path: PathBuf) {
        let names = || -> io::Result<Vec<OsString>> {
            // The folder that we hold, and none that has its place by now.
            let held = format!("/proc/self/fd/{}", folder.as_raw_fd());
            let mut names = Vec::new();
            for entry in fs::read_dir(held)? {
                names.push(entry?.file_name());
            }
            names.sort();
            Ok(names)
        };
        match names() {
            Ok(names) => self.levels.push(Level {
                folder,
                path,
                names: names.into_iter(),
            }),
            Err(error) => self.left_out(&path, format_args!("cannot be listed: {error}")),
        }
    }

    /// The entry of that name, when it is of a kind that is kept.
    fn entry(&mut self, folder: &Arc<OwnedFd>, name: &OsStr, path: &Path) -> Result<Entry, String> {
        let about = fstatat(&**folder, name, AtFlags::AT_SYMLINK_NOFOLLOW);
        let about = about.map_err(|error| format!("cannot be looked at: {error}"))?;
        match about.st_mode & libc::S_IFMT {
            libc::S_IFREG => {
                let open = Opener {
                    folder: folder.clone(),
                    name: name.to_owned(),
                    path: path.to_owned(),
                    pace: self.pace.clone(),
                    seen: self.seen.clone(),
                };
                let node = Node::new_node(name, NodeType::File, metadata(&about));
                Ok(found(path, node, Some(open)))
            }
            libc::S_IFLNK => {
                let target = readlinkat(&**folder, name).map_err(|error| error.to_string())?;
                let kind = NodeType::from_link(Path::new(&target));
                Ok(found(
                    path,
                    Node::new_node(name, kind, metadata(&about)),
                    None,
                ))
            }
            libc::S_IFDIR => {
                if about.st_dev != self.device {
                    return Err("another disk is mounted there".into());
                }
                if self.levels.len() >= DEEPEST {
                    return Err(format!("lies deeper than {DEEPEST} folders"));
                }
                let flags =
                    OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
                let inner = openat(&**folder, name, flags, Mode::empty())
                    .map_err(|error| format!("cannot be opened: {error}"))?;
                let about = fstat(&inner).map_err(|error| error.to_string())?;
                self.enter(Arc::new(inner), path.to_owned());
                Ok(found(
                    path,
                    Node::new_node(name, NodeType::Dir, metadata(&about)),
                    None,
                ))
            }
            libc::S_IFIFO => Err("is a pipe".into()),
            libc::S_IFSOCK => Err("is a socket".into()),
            _ => Err("is a device".into()),
        }
    }
}

type Entry = ReadSourceEntry<Opener>;

fn found(path: &Path, node: Node, open: Option<Opener>) -> Entry {
    ReadSourceEntry {
        path: path.to_owned(),
        node,
        open,
    }
}

impl Iterator for Walk {
    type Item = RusticResult<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let level = self.levels.last_mut()?;
            let Some(name) = level.names.next() else {
                self.levels.pop();
                continue;
            };
            let (folder, path) = (level.folder.clone(), level.path.join(&name));
            match self.entry(&folder, &name, &path) {
                Ok(entry) => return Some(Ok(entry)),
                Err(why) => self.left_out(&path, why),
            }
        }
    }
}

/// How a mode is written in the repository's format, which took Go's bits.
fn mode_bits(mode: u32) -> u32 {
    let kind = match mode & libc::S_IFMT {
        libc::S_IFDIR => 1 << 31,
        libc::S_IFLNK => 1 << 27,
        _ => 0,
    };
    let sticky = if mode & libc::S_ISVTX == 0 {
        0
    } else {
        1 << 20
    };
    kind | sticky | mode & 0o777
}

fn metadata(about: &FileStat) -> Metadata {
    let time =
        |seconds, nanoseconds: i64| Timestamp::new(seconds, i32::try_from(nanoseconds).ok()?).ok();
    let folder = about.st_mode & libc::S_IFMT == libc::S_IFDIR;
    let linked = about.st_nlink > 1 && !folder;
    Metadata {
        mode: Some(mode_bits(about.st_mode)),
        mtime: time(about.st_mtime, about.st_mtime_nsec),
        // When it was last read is nobody's business, and would make every snapshot of it another.
        atime: None,
        ctime: time(about.st_ctime, about.st_ctime_nsec),
        inode: about.st_ino,
        // By which files with several names are known.
        device_id: if linked { about.st_dev } else { 0 },
        size: if folder {
            0
        } else {
            about.st_size.unsigned_abs()
        },
        links: if folder { 0 } else { about.st_nlink },
        ..Metadata::default()
    }
}

/// A file that is about to be read.
pub(super) struct Opener {
    folder: Arc<OwnedFd>,
    name: OsString,
    path: PathBuf,
    pace: Pace,
    seen: Shared,
}

impl ReadSourceOpen for Opener {
    type Reader = Reading;

    fn open(self) -> RusticResult<Reading> {
        let opened = || -> io::Result<(File, Stamp)> {
            // A pipe that took its place a moment ago must not hang us.
            let flags = OFlag::O_RDONLY
                | OFlag::O_NOFOLLOW
                | OFlag::O_NONBLOCK
                | OFlag::O_NOCTTY
                | OFlag::O_CLOEXEC;
            let file = File::from(openat(
                self.folder.as_fd(),
                &*self.name,
                flags,
                Mode::empty(),
            )?);
            if !file.metadata()?.is_file() {
                return Err(io::Error::other("is no plain file any more"));
            }
            let stamp = stamp(&file)?;
            Ok((file, stamp))
        };
        match opened() {
            Ok((file, before)) => Ok(Reading {
                // What is appended meanwhile could be without end.
                file: Some(file.take(before.0)),
                before,
                path: self.path,
                pace: self.pace,
                seen: self.seen,
            }),
            Err(error) => {
                note(
                    &self.seen,
                    |seen| &mut seen.left_out,
                    &self.path,
                    format_args!("cannot be opened: {error}"),
                );
                Err(rustic_core::RusticError::new(
                    rustic_core::ErrorKind::InputOutput,
                    "it cannot be opened",
                ))
            }
        }
    }
}

/// By which it is seen that a file was written to.
type Stamp = (u64, i64, i64, i64, i64);

fn stamp(file: &File) -> io::Result<Stamp> {
    let about = file.metadata()?;
    Ok((
        about.size(),
        about.mtime(),
        about.mtime_nsec(),
        about.ctime(),
        about.ctime_nsec(),
    ))
}

/// A file as it is read.
pub(super) struct Reading {
    file: Option<io::Take<File>>,
    before: Stamp,
    path: PathBuf,
    pace: Pace,
    seen: Shared,
}

impl Read for Reading {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Some(file) = &mut self.file else {
            return Ok(0);
        };
        let read = file.read(into);
        match &read {
            Ok(0) => {
                if stamp(file.get_ref()).ok() != Some(self.before) {
                    note(&self.seen, |seen| &mut seen.changed, &self.path, "");
                }
                self.file = None;
            }
            Ok(count) => self.pace.read(*count as u64),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                note(
                    &self.seen,
                    |seen| &mut seen.left_out,
                    &self.path,
                    format_args!("cannot be read: {error}"),
                );
            }
        }
        read
    }
}
