//! A file in the making: nobody sees it until it is whole and on the disk, and then it is there at once.
//!
//! It has no name until then where the file system can do that, so that a crash leaves nothing behind; elsewhere, and for
//! the moment in which it replaces another, it has one in a place beside the server's files (`passing.rs`).

use std::{
    ffi::{OsStr, OsString},
    fs::File,
    io::{self, Write},
    os::{
        fd::{AsRawFd as _, OwnedFd},
        unix::fs::PermissionsExt,
    },
    path::Path,
};

use nix::{
    errno::Errno,
    fcntl::{AT_FDCWD, AtFlags, OFlag, RenameFlags, ResolveFlag, renameat2},
    sys::stat::{Mode, fstat},
    unistd::{UnlinkatFlags, linkat, unlinkat},
};

use super::{
    about::{About, Kind},
    error::{FilesError, at, io_at},
    passing::passing_name,
    path::FilePath,
    root::{Inside, Place, Replace, beneath},
};

/// A file in the making. Dropped, it never was.
pub(crate) struct Fresh {
    file: File,
    path: FilePath,
    /// Where it is meanwhile, when it has a name.
    named: Option<(OwnedFd, OsString)>,
    /// It was there before, and stays when it cannot take its place.
    lasting: bool,
}

impl Inside<'_> {
    /// Whether a file can take the place of what is at `path`, if anything is.
    pub(super) fn may_write(&self, path: &FilePath) -> Result<(), FilesError> {
        match self.place(path) {
            Ok(place) => place.judge(None).map(drop),
            Err(FilesError::NoSuchFile(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Begins a file that is to be `path`, whose parent is there.
    pub(crate) fn fresh(&self, path: &FilePath) -> Result<Fresh, FilesError> {
        let place = self.place(path)?;
        place.judge(None)?;
        let passing = self.passing(&place)?;
        place.fresh(passing)
    }

    /// What is at `path` now, if anything is.
    pub(crate) fn look_if_any(&self, path: &FilePath) -> Result<Option<About>, FilesError> {
        match self.look(path) {
            Ok(about) => Ok(Some(about)),
            Err(FilesError::NoSuchFile(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Place {
    /// What is there, unless a file cannot take its place.
    fn judge(&self, replace: Option<Replace>) -> Result<Option<About>, FilesError> {
        let there = match self.look() {
            Ok(about) => about,
            Err(FilesError::NoSuchFile(_)) => return Ok(None),
            Err(error) => return Err(error),
        };
        let path = self.path.clone();
        match there.kind {
            _ if replace == Some(Replace::No) => Err(FilesError::Exists(path)),
            Kind::File | Kind::Link => Ok(Some(there)),
            Kind::Folder => Err(FilesError::IsFolder(path)),
            kind => Err(FilesError::Special {
                path,
                kind: kind.name(),
            }),
        }
    }

    fn fresh(self, passing: OwnedFd) -> Result<Fresh, FilesError> {
        let mode = Mode::from_bits_truncate(0o600);
        let unnamed = beneath(
            &self.folder,
            Path::new("."),
            OFlag::O_TMPFILE | OFlag::O_RDWR,
            mode,
            ResolveFlag::empty(),
        );
        let (file, named) = match unnamed {
            Ok(file) => (file, None),
            Err(Errno::EOPNOTSUPP | Errno::EISDIR | Errno::EINVAL) => {
                let name = passing_name();
                let flags = OFlag::O_RDWR | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
                let made = beneath(
                    &passing,
                    Path::new(&name),
                    flags,
                    mode,
                    ResolveFlag::empty(),
                );
                let made = made.map_err(|error| at(&self.path, error))?;
                (made, Some((passing, name)))
            }
            Err(error) => return Err(at(&self.path, error)),
        };
        Ok(Fresh {
            file: file.into(),
            path: self.path,
            named,
            lasting: false,
        })
    }
}

impl Write for Fresh {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Fresh {
    /// A file that was made elsewhere, as `name` in `folder`, and is to be `path`.
    pub(super) fn held(file: File, path: FilePath, folder: OwnedFd, name: OsString) -> Self {
        Self {
            file,
            path,
            named: Some((folder, name)),
            lasting: true,
        }
    }

    /// The file, to be written.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Where it is to be.
    pub(crate) fn path(&self) -> &FilePath {
        &self.path
    }

    /// Brings its bytes to the disk, which may take a while: [`Self::publish`] then takes none. Anybody may do that.
    pub(crate) fn sync(&self) -> Result<(), FilesError> {
        self.file
            .sync_all()
            .map_err(|error| io_at(&self.path, error))
    }

    /// Puts it in its place, durably, with the nine bits of `mode`; without them those of what it replaces, else 0644.
    /// The folder is looked for anew: who moved it meanwhile gets the file where its path leads now.
    pub(crate) fn publish(
        mut self,
        inside: &Inside<'_>,
        replace: Replace,
        mode: Option<u32>,
    ) -> Result<About, FilesError> {
        let path = self.path.clone();
        let fail = |error| at(&path, error);
        let place = inside.place(&path)?;
        let there = place.judge(Some(replace))?;
        let kept = there.filter(|there| there.kind == Kind::File);
        let mode = mode.or(kept.map(|there| there.mode)).unwrap_or(0o644) & 0o777;
        let permissions = PermissionsExt::from_mode(mode);
        let told = self.file.set_permissions(permissions);
        told.map_err(|error| io_at(&path, error))?;
        self.sync()?;
        if self.named.is_none() && there.is_none() {
            match self.name(&place.folder, &place.name) {
                Ok(()) => return self.settled(&place),
                Err(Errno::EEXIST) if replace == Replace::Yes => {}
                Err(error) => return Err(fail(error)),
            }
        }
        if self.named.is_none() {
            let (folder, name) = (inside.passing(&place)?, passing_name());
            self.name(&folder, &name).map_err(fail)?;
            self.named = Some((folder, name));
        }
        let flags = match replace {
            Replace::Yes => RenameFlags::empty(),
            Replace::No => RenameFlags::RENAME_NOREPLACE,
        };
        let (folder, name) = self.named.as_ref().expect("it was given one just now");
        renameat2(folder, &**name, &place.folder, &*place.name, flags).map_err(fail)?;
        self.named = None;
        self.settled(&place)
    }

    fn name(&self, folder: &OwnedFd, name: &OsStr) -> nix::Result<()> {
        let itself = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        linkat(
            AT_FDCWD,
            &itself[..],
            folder,
            name,
            AtFlags::AT_SYMLINK_FOLLOW,
        )
    }

    fn settled(&self, place: &Place) -> Result<About, FilesError> {
        place.sync()?;
        let stat = fstat(&self.file).map_err(|error| at(&self.path, error))?;
        Ok(stat.into())
    }
}

impl Drop for Fresh {
    fn drop(&mut self) {
        if let Some((folder, name)) = &self.named
            && !self.lasting
        {
            // It may be gone with its folder.
            unlinkat(folder, &**name, UnlinkatFlags::NoRemoveDir).ok();
        }
    }
}
