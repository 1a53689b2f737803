//! Removes a tree that a game made, which may be deeper than a path or a table of open files can be, and may be changed
//! meanwhile. So nothing here goes down: each nested folder is first moved up, beside the others. Every step is one name
//! in a folder that is held open, and no link is followed, so that root may do it.

use std::{
    ffi::{OsStr, OsString},
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt as _,
    },
    path::Path,
    time::Instant,
};

use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, AtFlags, OFlag, RenameFlags, ResolveFlag, renameat2},
    sys::stat::{FchmodatFlags, Mode, fchmodat, fstatat},
    unistd::{UnlinkatFlags, unlinkat},
};

use super::{
    about::{About, Kind},
    error::{FilesError, at},
    path::FilePath,
    root::{Inside, beneath, itself, names},
};

impl Inside<'_> {
    /// Removes `path` with all that is in it, by `until`; what is left then, another call goes on with.
    pub(crate) fn remove_all(&self, path: &FilePath, until: Instant) -> Result<(), FilesError> {
        let place = self.place(path)?;
        remove(&place.folder, &place.name, until).map_err(|error| at(path, error))
    }
}

/// Removes `name` in `folder`, and is glad when it is not there. `EBUSY` when time ran out.
pub(super) fn remove(folder: &OwnedFd, name: &OsStr, until: Instant) -> nix::Result<()> {
    if !is_folder(folder, name)? {
        return unlink(folder, name);
    }
    let tree = enter(folder, name)?;
    let mut raised = 0_u64;
    loop {
        let mut empty = true;
        for entry in listed(&tree)? {
            if Instant::now() > until {
                return Err(Errno::EBUSY);
            }
            empty = false;
            if !is_folder(&tree, &entry)? {
                unlink(&tree, &entry)?;
                continue;
            }
            let sub = enter(&tree, &entry)?;
            for inner in listed(&sub)? {
                match is_folder(&sub, &inner)? {
                    true => raise(&sub, &inner, &tree, &mut raised)?,
                    false => unlink(&sub, &inner)?,
                }
            }
            match unlinkat(&tree, &*entry, UnlinkatFlags::RemoveDir) {
                // What a listing misses while it is changed comes in the next round.
                Ok(()) | Err(Errno::ENOENT | Errno::ENOTEMPTY) => {}
                Err(error) => return Err(error),
            }
        }
        if empty {
            return match unlinkat(folder, name, UnlinkatFlags::RemoveDir) {
                Err(Errno::ENOENT) => Ok(()),
                done => done,
            };
        }
    }
}

fn is_folder(folder: &OwnedFd, name: &OsStr) -> nix::Result<bool> {
    match fstatat(folder, name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(About::from(stat).kind == Kind::Folder),
        Err(Errno::ENOENT) => Ok(false),
        Err(error) => Err(error),
    }
}

fn unlink(folder: &OwnedFd, name: &OsStr) -> nix::Result<()> {
    match unlinkat(folder, name, UnlinkatFlags::NoRemoveDir) {
        Err(Errno::ENOENT) => Ok(()),
        done => done,
    }
}

/// The names in it, as of now.
fn listed(folder: &OwnedFd) -> nix::Result<Vec<OsString>> {
    let again = beneath(
        folder,
        Path::new("."),
        OFlag::O_RDONLY | OFlag::O_DIRECTORY,
        Mode::empty(),
        ResolveFlag::empty(),
    )?;
    let names = names(again, &FilePath::default()).map_err(|_| Errno::EIO)?;
    names
        .map(|name| match name {
            Ok((name, _)) => Ok(OsStr::from_bytes(&name).to_owned()),
            Err(_) => Err(Errno::EIO),
        })
        .collect()
}

fn enter(folder: &OwnedFd, name: &OsStr) -> nix::Result<OwnedFd> {
    let open = |flags| {
        let more = ResolveFlag::RESOLVE_NO_SYMLINKS;
        beneath(folder, Path::new(name), flags, Mode::empty(), more)
    };
    match open(OFlag::O_RDONLY | OFlag::O_DIRECTORY) {
        Err(Errno::EACCES) => {
            let shut = open(OFlag::O_PATH | OFlag::O_DIRECTORY)?;
            unlock(&shut)?;
            open(OFlag::O_RDONLY | OFlag::O_DIRECTORY)
        }
        opened => opened,
    }
}

/// Lets its owner in.
fn unlock(folder: impl AsFd) -> nix::Result<()> {
    let folder = folder
        .as_fd()
        .try_clone_to_owned()
        .map_err(|_| Errno::EMFILE)?;
    let path = itself(&folder);
    fchmodat(
        AT_FDCWD,
        &path[..],
        Mode::S_IRWXU,
        FchmodatFlags::FollowSymlink,
    )
}

/// Moves the folder `inner` up to `tree`, under a number that is free there.
fn raise(sub: &OwnedFd, inner: &OsStr, tree: &OwnedFd, raised: &mut u64) -> nix::Result<()> {
    let mut tried = false;
    loop {
        let name = format!("{raised}");
        let flags = RenameFlags::RENAME_NOREPLACE;
        match renameat2(sub, inner, tree, OsStr::new(&name), flags) {
            Ok(()) => {
                *raised += 1;
                return Ok(());
            }
            Err(Errno::EEXIST) => *raised += 1,
            Err(Errno::ENOENT) => return Ok(()),
            Err(Errno::EACCES) if !tried => {
                tried = true;
                unlock(sub)?;
                enter(sub, inner).and_then(unlock)?;
            }
            Err(error) => return Err(error),
        }
    }
}
