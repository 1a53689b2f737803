//! The folders of a server's snapshots: making, opening and exchanging them. Blocking.

use std::{
    ffi::OsStr,
    fs::{self, File},
    io,
    os::{
        fd::OwnedFd,
        unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    },
    path::{Path, PathBuf},
};

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use super::{SnapshotsError, records::Repository};
use crate::{accounts::ServerId, store::StoreError, worker};

/// Everything below `STATE/snapshots`.
#[derive(Debug, Clone)]
pub(super) struct Places(PathBuf);

pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> SnapshotsError + '_ {
    |source| SnapshotsError::Io {
        path: path.into(),
        source,
    }
}

impl Places {
    pub(super) fn open(state: &Path) -> Result<Self, SnapshotsError> {
        let root = state.join("snapshots");
        make(&root, None).map_err(at(&root))?;
        Ok(Self(root))
    }

    /// All that is kept of one server.
    pub(super) fn home(&self, id: ServerId) -> PathBuf {
        self.0.join(id.0.to_string())
    }

    pub(super) fn repository(&self, id: ServerId) -> PathBuf {
        self.home(id).join("repository")
    }

    pub(super) fn aside(&self, id: ServerId) -> PathBuf {
        self.home(id).join("aside")
    }

    /// Makes what is absent.
    pub(super) fn prepare(&self, id: ServerId, user: Option<u32>) -> Result<(), SnapshotsError> {
        let home = self.home(id);
        make(&home, None).map_err(at(&home))?;
        for path in [self.repository(id), self.aside(id)] {
            make(&path, user).map_err(at(&path))?;
        }
        Ok(())
    }

    /// The servers that anything is kept of.
    pub(super) fn servers(&self) -> io::Result<Vec<ServerId>> {
        let mut servers = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            if let Some(Ok(id)) = entry?.file_name().to_str().map(str::parse) {
                servers.push(ServerId(id));
            }
        }
        Ok(servers)
    }

    /// The repository's own ids of the snapshots in it; none where there is no repository.
    pub(super) fn stored(&self, id: ServerId) -> io::Result<Option<Vec<String>>> {
        let repository = self.repository(id);
        if !repository.join("config").exists() {
            return Ok(None);
        }
        let mut stored = Vec::new();
        for entry in fs::read_dir(repository.join("snapshots"))? {
            let name = entry?.file_name();
            // Half-written ones have longer names.
            let name = name.to_str().filter(|name| name.len() == 64);
            stored.extend(name.map(str::to_owned));
        }
        Ok(Some(stored))
    }

    /// Removes what was moved aside, but for what begins with `but`.
    pub(super) fn clear_aside(&self, id: ServerId, but: Option<&str>) -> io::Result<()> {
        let entries = match fs::read_dir(self.aside(id)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let stem = name.to_str().and_then(|name| name.split('.').next());
            if but.is_some() && stem == but {
                continue;
            }
            discard(&entry.path())?;
        }
        Ok(())
    }

    /// Removes all that is kept of a server.
    pub(super) fn remove(&self, id: ServerId) -> io::Result<()> {
        match worker::remove::remove(&self.home(id)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            done => done,
        }
    }
}

/// Removes a file, a link or a whole folder.
pub(super) fn discard(path: &Path) -> io::Result<()> {
    if path.symlink_metadata()?.is_dir() {
        worker::remove::remove(path)
    } else {
        fs::remove_file(path)
    }
}

/// Makes a folder that only its user enters.
pub(super) fn make(path: &Path, user: Option<u32>) -> io::Result<()> {
    match fs::DirBuilder::new().mode(0o700).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        done => done?,
    }
    let folder = File::from(self::folder(path)?);
    folder.set_permissions(PermissionsExt::from_mode(0o700))?;
    if let Some(user) = user {
        std::os::unix::fs::fchown(&folder, Some(user), Some(user))?;
    }
    Ok(())
}

/// A folder itself, not what a link leads to.
pub(super) fn folder(path: &Path) -> io::Result<OwnedFd> {
    let folder = File::options()
        .read(true)
        .custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW)
        .open(path)?;
    Ok(folder.into())
}

/// What tells one folder from another on the same disk.
pub(super) fn inode(path: &Path) -> io::Result<u64> {
    Ok(path.symlink_metadata()?.ino())
}

/// Exchanges two folders in one step.
pub(super) fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    let (from, to): (&OsStr, &OsStr) = (one.as_os_str(), other.as_os_str());
    renameat2(AT_FDCWD, from, AT_FDCWD, to, RenameFlags::RENAME_EXCHANGE)?;
    for path in [one, other] {
        if let Some(parent) = path.parent() {
            File::open(parent)?.sync_all()?;
        }
    }
    Ok(())
}

/// The key as the library takes it.
pub(super) fn unlocked(repository: &Repository) -> Result<serde_json::Value, SnapshotsError> {
    serde_json::from_str(&repository.key).map_err(|_| {
        SnapshotsError::Store(StoreError::Corrupt {
            table: "snapshot_repository",
            key: "key".into(),
        })
    })
}
