//! Writes files as they were: owner, modes, times, links, and names that share one file.

use std::{
    collections::HashMap,
    ffi::OsStr,
    fs::File,
    io::{self, Seek as _, SeekFrom, Write},
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::PathBuf,
};

use nix::{
    errno::Errno,
    fcntl::{AtFlags, OFlag, OpenHow, RenameFlags, ResolveFlag, openat, openat2, renameat2},
    sys::{
        stat::{Mode, UtimensatFlags, fchmod, futimens, mkdirat, utimensat},
        time::{TimeSpec, TimeValLike},
    },
    unistd::{linkat, symlinkat, syncfs},
};
use rustic_core::{
    TreeId,
    repofile::{Node, NodeType},
};

use super::{
    Pace, Trouble,
    repository::{Counted, Found, Full, find, snapshot, tree_of},
};
use crate::snapshots::wire::{Outcome, Path};

/// Deeper than any snapshot of ours is.
const DEEPEST: usize = 1000;

/// Where things are put, and where what was there goes.
pub(super) struct Place<'a> {
    /// The server's folder.
    pub(super) files: &'a OwnedFd,
    /// The folder for what is moved aside.
    pub(super) aside: &'a OwnedFd,
    /// The name of this turn in it.
    pub(super) name: &'a str,
}

impl Place<'_> {
    fn fresh(&self) -> String {
        format!("{}.new", self.name)
    }

    fn old(&self) -> String {
        format!("{}.old", self.name)
    }
}

/// All of a snapshot into an empty folder.
pub(super) fn all(
    repository: &Full,
    id: &str,
    folder: OwnedFd,
    pace: &Pace,
) -> Result<Outcome, Trouble> {
    let top = snapshot(repository, id)?.tree;
    let mut writer = Writer::new(repository, &folder, pace);
    writer.tree(top, &folder, &mut PathBuf::new(), 0)?;
    let written = Outcome::Written {
        bytes: writer.bytes,
        files: writer.files,
    };
    sync(&folder)?;
    Ok(written)
}

/// One file or folder: first written aside, then moved into place.
pub(super) fn one(
    repository: &Full,
    id: &str,
    path: &Path,
    to: &Path,
    place: &Place<'_>,
    pace: &Pace,
) -> Result<Outcome, Trouble> {
    let top = snapshot(repository, id)?.tree;
    let node = match find(repository, top, path)? {
        Found::Node(node) => node,
        Found::Top(_) => return Err(Trouble::NoSuchPath(String::new())),
    };
    let mut writer = Writer::new(repository, place.aside, pace);
    let new = place.fresh();
    writer.node(
        &node,
        place.aside,
        OsStr::new(&new),
        &mut PathBuf::from(&new),
        0,
    )?;
    let bytes = writer.bytes;
    sync(place.aside)?;
    let (parent, name) = parent(place.files, to, true)?;
    let here = || Trouble::io(to.lossy());
    let was_there = move_over(&parent, &name, place.aside, &place.old()).map_err(here())?;
    let moved = renameat2(
        place.aside,
        &*new,
        &parent,
        OsStr::from_bytes(&name),
        RenameFlags::RENAME_NOREPLACE,
    );
    moved.map_err(io::Error::from).map_err(here())?;
    Ok(Outcome::Placed { was_there, bytes })
}

/// Takes away what was put in place, and puts back what was there before.
pub(super) fn put_back(place: &Place<'_>, to: &Path, was_there: bool) -> Result<Outcome, Trouble> {
    let here = || Trouble::io(to.lossy());
    let (parent, name) = parent(place.files, to, was_there)?;
    let undone = format!("{}.undone", place.name);
    move_over(&parent, &name, place.aside, &undone).map_err(here())?;
    if was_there {
        let moved = renameat2(
            place.aside,
            &*place.old(),
            &parent,
            OsStr::from_bytes(&name),
            RenameFlags::RENAME_NOREPLACE,
        );
        moved.map_err(io::Error::from).map_err(here())?;
    }
    Ok(Outcome::Placed {
        was_there,
        bytes: 0,
    })
}

/// Moves an entry elsewhere; whether there was one.
fn move_over(from: &OwnedFd, name: &[u8], to: &OwnedFd, new: &str) -> io::Result<bool> {
    let moved = renameat2(
        from,
        OsStr::from_bytes(name),
        to,
        new,
        RenameFlags::RENAME_NOREPLACE,
    );
    match moved {
        Ok(()) => Ok(true),
        Err(Errno::ENOENT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// The folder that an entry is in, reached without links, and its name. Folders on the way are made where `make`.
fn parent(files: &OwnedFd, path: &Path, make: bool) -> Result<(OwnedFd, Vec<u8>), Trouble> {
    let nowhere = || Trouble::NoSuchPath(path.lossy().into_owned());
    let mut names = path.names().ok_or_else(nowhere)?;
    let name = names.pop().ok_or_else(nowhere)?.to_vec();
    let open = |folder: &OwnedFd, name: &[u8]| {
        let how = OpenHow::new()
            .flags(OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
        openat2(folder, OsStr::from_bytes(name), how)
    };
    let failed = |error: Errno| match error {
        Errno::ENOTDIR | Errno::ELOOP => Trouble::WrongKind {
            path: path.lossy().into_owned(),
            wanted: "place beneath plain folders",
        },
        Errno::ENOENT => nowhere(),
        error => Trouble::io(path.lossy())(error.into()),
    };
    let mut folder = open(files, b".").map_err(failed)?;
    for name in names {
        folder = match open(&folder, name) {
            Err(Errno::ENOENT) if make => {
                mkdirat(
                    &folder,
                    OsStr::from_bytes(name),
                    Mode::from_bits_truncate(0o755),
                )
                .map_err(failed)?;
                open(&folder, name).map_err(failed)?
            }
            found => found.map_err(failed)?,
        };
    }
    Ok((folder, name))
}

fn sync(folder: &OwnedFd) -> Result<(), Trouble> {
    syncfs(folder).map_err(|error| Trouble::io("the restored files")(error.into()))
}

struct Writer<'a> {
    repository: &'a Full,
    top: &'a OwnedFd,
    pace: &'a Pace,
    /// Where files with several names were first written, below the top.
    links: HashMap<(u64, u64), PathBuf>,
    bytes: u64,
    files: u64,
}

impl<'a> Writer<'a> {
    fn new(repository: &'a Full, top: &'a OwnedFd, pace: &'a Pace) -> Self {
        Self {
            repository,
            top,
            pace,
            links: HashMap::new(),
            bytes: 0,
            files: 0,
        }
    }

    /// What is in a folder.
    fn tree(
        &mut self,
        id: TreeId,
        folder: &OwnedFd,
        at: &mut PathBuf,
        depth: usize,
    ) -> Result<(), Trouble> {
        if depth > DEEPEST {
            return Err(Trouble::Damaged("folders without end".into()));
        }
        for node in tree_of(self.repository, id)?.nodes {
            let name = node.name().into_owned();
            at.push(&name);
            self.node(&node, folder, &name, at, depth)?;
            at.pop();
        }
        Ok(())
    }

    /// One entry, under a name of its own.
    fn node(
        &mut self,
        node: &Node,
        folder: &OwnedFd,
        name: &OsStr,
        at: &mut PathBuf,
        depth: usize,
    ) -> Result<(), Trouble> {
        let shown = at.display().to_string();
        let failed = |error: Errno| Trouble::io(shown.clone())(error.into());
        match &node.node_type {
            NodeType::Dir => {
                mkdirat(folder, name, Mode::S_IRWXU).map_err(failed)?;
                let flags =
                    OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
                let inner = openat(folder, name, flags, Mode::empty()).map_err(failed)?;
                if let Some(subtree) = node.subtree {
                    self.tree(subtree, &inner, at, depth + 1)?;
                }
                // Last: a folder may have been one that nobody could write to.
                dress(&inner, node).map_err(failed)?;
            }
            NodeType::Symlink { .. } => {
                symlinkat(node.node_type.to_link(), folder, name).map_err(failed)?;
                let at = moment(node);
                utimensat(
                    folder,
                    name,
                    &TimeSpec::UTIME_OMIT,
                    &at,
                    UtimensatFlags::NoFollowSymlink,
                )
                .map_err(failed)?;
            }
            NodeType::File => {
                let linked =
                    (node.meta.links > 1).then_some((node.meta.device_id, node.meta.inode));
                let first = linked.and_then(|key| self.links.get(&key));
                let done = first.is_some_and(|first| {
                    linkat(self.top, first, folder, name, AtFlags::empty()).is_ok()
                });
                if !done {
                    self.file(node, folder, name, &shown)?;
                    if let Some(key) = linked {
                        self.links.insert(key, at.clone());
                    }
                }
            }
            // None is ever taken.
            NodeType::Dev { .. } | NodeType::Chardev { .. } | NodeType::Fifo | NodeType::Socket => {
            }
        }
        Ok(())
    }

    fn file(
        &mut self,
        node: &Node,
        folder: &OwnedFd,
        name: &OsStr,
        shown: &str,
    ) -> Result<(), Trouble> {
        let failed = |error: Errno| Trouble::io(shown)(error.into());
        let flags =
            OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = openat(folder, name, flags, Mode::S_IRUSR | Mode::S_IWUSR).map_err(failed)?;
        let mut to = Counted {
            to: Sparse(File::from(file)),
            bytes: 0,
            pace: self.pace,
        };
        self.repository.dump(node, &mut to)?;
        self.bytes += to.bytes;
        self.files += 1;
        let file = to.to.end().map_err(Trouble::io(shown))?;
        dress(&file.into(), node).map_err(failed)
    }
}

/// A new file in which whatever is zero takes no room: what was sparse is so again.
struct Sparse(File);

impl Write for Sparse {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.iter().any(|&byte| byte != 0) {
            return self.0.write(bytes);
        }
        let past = i64::try_from(bytes.len()).expect("a piece is small");
        self.0.seek(SeekFrom::Current(past))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Sparse {
    /// The file, as long as what was written.
    fn end(mut self) -> io::Result<File> {
        let size = self.0.stream_position()?;
        self.0.set_len(size)?;
        Ok(self.0)
    }
}

/// Gives it the mode and the time that it had. What would lend its owner's rights to others is left away.
fn dress(file: &OwnedFd, node: &Node) -> nix::Result<()> {
    let bits = node.meta.mode.unwrap_or(0o600);
    let sticky = if bits & 1 << 20 == 0 { 0 } else { 0o1000 };
    fchmod(
        file.as_fd(),
        Mode::from_bits_truncate(bits & 0o777 | sticky),
    )?;
    futimens(file.as_fd(), &TimeSpec::UTIME_OMIT, &moment(node))
}

fn moment(node: &Node) -> TimeSpec {
    match node.meta.mtime {
        Some(at) => {
            let nanoseconds = i64::try_from(at.as_nanosecond()).unwrap_or(0);
            TimeSpec::nanoseconds(nanoseconds)
        }
        None => TimeSpec::UTIME_OMIT,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lends_rights_to_others_is_left_away() {
        let file = tempfile::tempfile().unwrap();
        let mut node = Node::default();
        node.meta.mode = Some(0o755 | 1 << 23);
        dress(&file.try_clone().unwrap().into(), &node).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::mode(&file.metadata().unwrap().permissions());
        assert_eq!(mode & 0o7777, 0o755);
    }

    #[test]
    fn a_link_on_the_way_is_not_followed() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join("files")).unwrap();
        std::fs::create_dir(home.path().join("outside")).unwrap();
        std::os::unix::fs::symlink(home.path().join("outside"), home.path().join("files/link"))
            .unwrap();
        let files = OwnedFd::from(File::open(home.path().join("files")).unwrap());
        let refused = parent(&files, &Path(b"link/file".to_vec()), true).unwrap_err();
        assert!(matches!(refused, Trouble::WrongKind { .. }), "{refused}");
        let (folder, name) = parent(&files, &Path(b"a/b/c".to_vec()), true).unwrap();
        assert_eq!(name, b"c");
        nix::sys::stat::fstat(&folder).unwrap();
        assert!(home.path().join("files/a/b").is_dir());
        assert!(parent(&files, &Path(b"none/c".to_vec()), false).is_err());
    }
}
