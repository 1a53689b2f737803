//! A server's folder, held open: every path is resolved beneath it by the kernel, and as the server's user.
//!
//! ```text
//!  Root ──enter──► Inside (this thread is the server's user meanwhile)
//!                    │ folder, file: openat2, beneath the root, no magic links, no other disk
//!                    └ place: the parent so opened; then *at calls on one last name, which follow nothing
//! ```
//!
//! The game may swap folders and links under any of this as fast as it likes: what is looked at is a descriptor, and
//! what is opened is what was looked at. Pipes and devices are looked at and never opened. Links that stay inside lead
//! on; what is written, moved or deleted is the last name itself, never what it leads to.

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    os::{
        fd::{AsFd, AsRawFd as _, OwnedFd},
        unix::ffi::{OsStrExt as _, OsStringExt as _},
    },
    path::Path,
};

use nix::{
    dir::Dir,
    errno::Errno,
    fcntl::{
        AT_FDCWD, AtFlags, OFlag, OpenHow, RenameFlags, ResolveFlag, open, openat2, readlinkat,
        renameat2,
    },
    sys::stat::{FchmodatFlags, Mode, fchmodat, fstat, fstatat, mkdirat},
    unistd::{fsync, symlinkat},
};

use super::{
    about::{About, Kind},
    error::{FilesError, at, io_at},
    path::{FilePath, PathError},
};
use crate::sandbox::identity::{Acting, act_as};

/// How often a path is tried that somebody changes while it is resolved.
const TRIES: u32 = 1000;

/// A server's folder.
#[derive(Debug)]
pub(crate) struct Root {
    folder: OwnedFd,
    user: Option<u32>,
    /// Beside it, for what is not whole yet.
    passing: Option<OwnedFd>,
}

/// The folder as its server's user sees it, on this thread.
pub(crate) struct Inside<'a> {
    root: &'a Root,
    acting: Option<Acting>,
}

/// A name in a folder that is held open.
pub(crate) struct Place {
    pub(super) folder: OwnedFd,
    pub(super) name: OsString,
    pub(super) path: FilePath,
}

/// Whether what is there already may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Replace {
    /// It is replaced, as a whole and at once.
    Yes,
    /// Then nothing is done.
    No,
}

/// Opens a folder by a path that no game can change.
pub(super) fn open_folder(path: &Path) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    open(path, flags, Mode::empty())
}

/// Resolves `path` beneath `folder`, as nobody can lead out of.
pub(super) fn beneath(
    folder: impl AsFd,
    path: &Path,
    flags: OFlag,
    mode: Mode,
    more: ResolveFlag,
) -> nix::Result<OwnedFd> {
    let how = OpenHow::new()
        .flags(flags | OFlag::O_CLOEXEC)
        .mode(mode)
        .resolve(
            ResolveFlag::RESOLVE_BENEATH
                | ResolveFlag::RESOLVE_NO_MAGICLINKS
                | ResolveFlag::RESOLVE_NO_XDEV
                | more,
        );
    for _ in 0..TRIES {
        match openat2(folder.as_fd(), path, how) {
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            done => return done,
        }
    }
    Err(Errno::EAGAIN)
}

impl Root {
    /// Opens the folder, which must be there; `user` is whose it is, when the daemon is root.
    pub(crate) fn open(folder: &Path, user: Option<u32>) -> Result<Self, FilesError> {
        let opened = open_folder(folder).map_err(|error| at(&FilePath::default(), error))?;
        Ok(Self {
            folder: opened,
            user,
            passing: None,
        })
    }

    /// What is not whole yet is `passing` meanwhile, which no game reaches.
    pub(super) fn with_passing(self, passing: OwnedFd) -> Self {
        let passing = Some(passing);
        Self { passing, ..self }
    }

    /// From now on this thread is the server's user, until what this returns is dropped.
    pub(crate) fn enter(&self) -> Result<Inside<'_>, FilesError> {
        let acting = self.user.map(act_as).transpose();
        Ok(Inside {
            root: self,
            acting: acting.map_err(|error| io_at(&FilePath::default(), error))?,
        })
    }
}

impl Inside<'_> {
    /// Another folder of the same user's, on the same thread.
    pub(crate) fn beside<'a>(&'a self, root: &'a Root) -> Inside<'a> {
        debug_assert_eq!(self.root.user, root.user);
        Inside { root, acting: None }
    }

    /// Does `work` as the daemon. For one that [`Root::enter`] gave.
    pub(crate) fn outside<T>(&self, work: impl FnOnce() -> T) -> T {
        match &self.acting {
            Some(acting) => acting.pause(work),
            None => work(),
        }
    }

    /// Where what is to be in `place` is meanwhile.
    pub(super) fn passing(&self, place: &Place) -> Result<OwnedFd, FilesError> {
        let folder = self.root.passing.as_ref().unwrap_or(&place.folder);
        let again = folder.as_fd().try_clone_to_owned();
        again.map_err(|error| io_at(&place.path, error))
    }

    fn resolve(&self, path: &FilePath, flags: OFlag) -> Result<OwnedFd, FilesError> {
        beneath(
            &self.root.folder,
            path.as_path(),
            flags,
            Mode::empty(),
            ResolveFlag::empty(),
        )
        .map_err(|error| at(path, error))
    }

    /// The folder `path`, open to be read.
    pub(crate) fn folder(&self, path: &FilePath) -> Result<OwnedFd, FilesError> {
        self.resolve(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY)
    }

    /// The same, and no link is followed on the way: for walks, which come from listings.
    pub(crate) fn plain_folder(&self, path: &FilePath) -> Result<OwnedFd, FilesError> {
        beneath(
            &self.root.folder,
            path.as_path(),
            OFlag::O_RDONLY | OFlag::O_DIRECTORY,
            Mode::empty(),
            ResolveFlag::RESOLVE_NO_SYMLINKS,
        )
        .map_err(|error| at(path, error))
    }

    /// The last name of `path`, and the folder that it is in.
    pub(crate) fn place(&self, path: &FilePath) -> Result<Place, FilesError> {
        let (parent, name) = path.split().ok_or(PathError::Whole)?;
        let folder = self.resolve(&parent, OFlag::O_PATH | OFlag::O_DIRECTORY)?;
        Ok(Place {
            folder,
            name: OsStr::from_bytes(name).to_owned(),
            path: path.clone(),
        })
    }

    /// What is at `path`; links on the way are followed, the last name is not.
    pub(crate) fn look(&self, path: &FilePath) -> Result<About, FilesError> {
        if path.is_root() {
            let stat = fstat(&self.root.folder).map_err(|error| at(path, error))?;
            return Ok(stat.into());
        }
        self.place(path)?.look()
    }

    /// The plain file `path` to read, also behind links that stay inside.
    pub(crate) fn file(&self, path: &FilePath) -> Result<(File, About), FilesError> {
        let seen = self.resolve(path, OFlag::O_PATH)?;
        reopen(&seen, path, OFlag::O_RDONLY)
    }

    /// The same where no link is followed: for those who are not to see where links lead.
    pub(crate) fn plain_file(&self, path: &FilePath) -> Result<(File, About), FilesError> {
        let seen = beneath(
            &self.root.folder,
            path.as_path(),
            OFlag::O_PATH,
            Mode::empty(),
            ResolveFlag::RESOLVE_NO_SYMLINKS,
        );
        let seen = seen.map_err(|error| match error {
            Errno::ELOOP => FilesError::NoSuchFile(path.clone()),
            error => at(path, error),
        })?;
        reopen(&seen, path, OFlag::O_RDONLY)
    }

    /// Whether `path` is a folder, or a link that leads to one.
    pub(crate) fn is_folder(&self, path: &FilePath) -> Result<bool, FilesError> {
        use FilesError::{Link, NoSuchFile, NotFolder};
        match self.resolve(path, OFlag::O_PATH | OFlag::O_DIRECTORY) {
            Ok(_) => Ok(true),
            Err(NoSuchFile(_) | NotFolder(_) | Link(_)) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The plain file `path` to be added to. A link is refused.
    pub(crate) fn file_to_append(&self, path: &FilePath) -> Result<(File, About), FilesError> {
        let place = self.place(path)?;
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW;
        let seen = place.open(flags)?;
        reopen(&seen, path, OFlag::O_RDWR | OFlag::O_APPEND)
    }

    /// Makes the folder `path`, whose parent is there.
    pub(crate) fn make(&self, path: &FilePath) -> Result<About, FilesError> {
        let place = self.place(path)?;
        let mode = Mode::from_bits_truncate(0o755);
        mkdirat(&place.folder, &*place.name, mode).map_err(|error| at(path, error))?;
        place.look()
    }

    /// Makes the folder `path` and those above it, where they are not there.
    pub(crate) fn make_all(&self, path: &FilePath) -> Result<(), FilesError> {
        let mut missing = Vec::new();
        let mut there = path.clone();
        loop {
            match self.folder(&there) {
                Ok(_) => break,
                Err(FilesError::NoSuchFile(_)) => {}
                Err(error) => return Err(error),
            }
            let Some((parent, _)) = there.split() else {
                return Err(FilesError::NoSuchFile(there));
            };
            missing.push(std::mem::replace(&mut there, parent));
        }
        for folder in missing.iter().rev() {
            match self.make(folder) {
                Ok(_) | Err(FilesError::Exists(_)) => {}
                Err(error) => return Err(error),
            }
        }
        // A link that leads nowhere exists, too, and is no folder.
        self.folder(path).map(drop)
    }

    #[cfg(test)]
    /// Makes a link at `path` to `target`, which must stay in the server's folder by its words.
    pub(crate) fn link(&self, path: &FilePath, target: &[u8]) -> Result<(), FilesError> {
        let (parent, _) = path.split().ok_or(PathError::Whole)?;
        let depth = match parent.is_root() {
            true => 0,
            false => parent.as_bytes().split(|&byte| byte == b'/').count(),
        };
        if !stays(target, depth) {
            return Err(FilesError::LeadsOut(path.clone()));
        }
        self.link_anyhow(path, target)
    }

    /// Makes a link to anywhere. Nothing of ours follows it out, and the game could make it itself.
    pub(crate) fn link_anyhow(&self, path: &FilePath, target: &[u8]) -> Result<(), FilesError> {
        let place = self.place(path)?;
        symlinkat(OsStr::from_bytes(target), &place.folder, &*place.name)
            .map_err(|error| at(path, error))
    }

    /// Where the link at `path` leads, by its words.
    pub(crate) fn read_link(&self, path: &FilePath) -> Result<Vec<u8>, FilesError> {
        read_link_in(&self.place(path)?.folder, path)
    }

    /// Gives `from` the name `to`.
    pub(crate) fn rename(
        &self,
        from: &FilePath,
        to: &FilePath,
        replace: Replace,
    ) -> Result<About, FilesError> {
        let (old, new) = (self.place(from)?, self.place(to)?);
        let about = old.look()?;
        let flags = match replace {
            Replace::Yes => RenameFlags::empty(),
            Replace::No => RenameFlags::RENAME_NOREPLACE,
        };
        let into_itself = || FilesError::IntoItself {
            from: from.clone(),
            to: to.clone(),
        };
        renameat2(&old.folder, &*old.name, &new.folder, &*new.name, flags).map_err(|error| {
            match error {
                Errno::EINVAL => into_itself(),
                error => at(to, error),
            }
        })?;
        new.sync()?;
        old.sync()?;
        Ok(about)
    }

    /// Changes who may do what with `path`: the nine bits of `mode` and no other. Links have none.
    pub(crate) fn set_mode(&self, path: &FilePath, mode: u32) -> Result<(), FilesError> {
        let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW;
        let seen = self.place(path)?.open(flags)?;
        let about: About = fstat(&seen).map_err(|error| at(path, error))?.into();
        if about.kind == Kind::Link {
            return Err(FilesError::Link(path.clone()));
        }
        let mode = Mode::from_bits_truncate(mode & 0o777);
        fchmodat(
            AT_FDCWD,
            &itself(&seen)[..],
            mode,
            FchmodatFlags::FollowSymlink,
        )
        .map_err(|error| at(path, error))
    }
}

/// What `path` is, whose folder is open as `folder`; not followed.
pub(super) fn look_in(folder: &OwnedFd, path: &FilePath) -> Result<About, FilesError> {
    let name = OsStr::from_bytes(path.name());
    fstatat(folder, name, AtFlags::AT_SYMLINK_NOFOLLOW)
        .map(Into::into)
        .map_err(|error| at(path, error))
}

/// Where the link `path` leads, by its words, whose folder is open as `folder`.
pub(super) fn read_link_in(folder: &OwnedFd, path: &FilePath) -> Result<Vec<u8>, FilesError> {
    readlinkat(folder, OsStr::from_bytes(path.name()))
        .map(OsString::into_vec)
        .map_err(|error| at(path, error))
}

impl Place {
    /// What is there, not followed.
    pub(crate) fn look(&self) -> Result<About, FilesError> {
        look_in(&self.folder, &self.path)
    }

    pub(super) fn open(&self, flags: OFlag) -> Result<OwnedFd, FilesError> {
        let path = Path::new(&self.name);
        beneath(
            &self.folder,
            path,
            flags,
            Mode::empty(),
            ResolveFlag::empty(),
        )
        .map_err(|error| at(&self.path, error))
    }

    /// Makes its folder's names durable.
    pub(super) fn sync(&self) -> Result<(), FilesError> {
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY;
        let opened = beneath(
            &self.folder,
            Path::new("."),
            flags,
            Mode::empty(),
            ResolveFlag::empty(),
        );
        match opened.and_then(fsync) {
            // A folder that may be written and not read: its names go to the disk a little later.
            Ok(()) | Err(Errno::EACCES) => Ok(()),
            Err(error) => Err(at(&self.path, error)),
        }
    }
}

/// A name in a folder, and what it is where the folder says so.
pub(super) type Named = (Vec<u8>, Option<Kind>);

/// The names in an open folder.
pub(super) fn names(
    folder: OwnedFd,
    path: &FilePath,
) -> Result<impl Iterator<Item = Result<Named, FilesError>> + use<>, FilesError> {
    let path = path.clone();
    let listing = Dir::from_fd(folder).map_err(|error| at(&path, error))?;
    Ok(listing.into_iter().filter_map(move |entry| match entry {
        Ok(entry) => {
            let kind = entry.file_type().map(kind);
            let name = entry.file_name().to_bytes();
            (name != b"." && name != b"..").then(|| Ok((name.to_vec(), kind)))
        }
        Err(error) => Some(Err(at(&path, error))),
    }))
}

fn kind(of: nix::dir::Type) -> Kind {
    use nix::dir::Type;
    match of {
        Type::File => Kind::File,
        Type::Directory => Kind::Folder,
        Type::Symlink => Kind::Link,
        Type::Fifo => Kind::Pipe,
        Type::Socket => Kind::Socket,
        Type::CharacterDevice | Type::BlockDevice => Kind::Device,
    }
}

/// What a descriptor stands for, as a path: nobody can put something else there.
pub(super) fn itself(file: &OwnedFd) -> Vec<u8> {
    format!("/proc/self/fd/{}", file.as_raw_fd()).into_bytes()
}

/// Opens what was looked at, if it is a plain file: the very same, whatever its name has become meanwhile.
fn reopen(seen: &OwnedFd, path: &FilePath, flags: OFlag) -> Result<(File, About), FilesError> {
    let about: About = fstat(seen).map_err(|error| at(path, error))?.into();
    match about.kind {
        Kind::File => {}
        Kind::Folder => return Err(FilesError::IsFolder(path.clone())),
        Kind::Link => return Err(FilesError::Link(path.clone())),
        kind => {
            let (path, kind) = (path.clone(), kind.name());
            return Err(FilesError::Special { path, kind });
        }
    }
    let flags = flags | OFlag::O_CLOEXEC | OFlag::O_NOCTTY | OFlag::O_NONBLOCK;
    let opened = open(&itself(seen)[..], flags, Mode::empty()).map_err(|error| at(path, error))?;
    Ok((opened.into(), about))
}

/// Whether a link's target stays inside, by its words, from `depth` folders down.
pub(super) fn stays(target: &[u8], mut depth: usize) -> bool {
    if target.is_empty() || target.starts_with(b"/") || target.contains(&0) {
        return false;
    }
    for name in target.split(|&byte| byte == b'/') {
        depth = match name {
            b"" | b"." => depth,
            b".." => match depth.checked_sub(1) {
                Some(depth) => depth,
                None => return false,
            },
            _ => depth + 1,
        };
    }
    true
}
