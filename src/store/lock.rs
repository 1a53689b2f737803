//! One daemon per state folder.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, PermissionsExt},
    path::{Path, PathBuf},
};

use nix::{
    errno::Errno,
    fcntl::{Flock, FlockArg},
};

/// Why the state folder could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// Somebody has it.
    #[error(
        "the state folder {state} is in use by process {pid}; stop that one first, or choose another folder with --state"
    )]
    Taken {
        /// The folder.
        state: PathBuf,
        /// Whose it is, as the lock file says.
        pid: String,
    },
    /// It cannot be created or locked.
    #[error("the state folder {state} cannot be taken: {cause}")]
    Unusable {
        /// The folder.
        state: PathBuf,
        /// Why.
        cause: io::Error,
    },
}

/// The state folder is ours until this is dropped, or the process ends in whatever way.
#[derive(Debug)]
pub struct StateLock {
    _file: Flock<File>,
}

impl StateLock {
    /// Creates the folder where it is missing (0711: game servers pass through it and read nothing), and locks it.
    pub fn take(state: &Path) -> Result<Self, LockError> {
        let unusable = |cause| LockError::Unusable {
            state: state.into(),
            cause,
        };
        create(state).map_err(unusable)?;
        let file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(state.join("lock"))
            .map_err(unusable)?;
        match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(mut file) => {
                let pid = format!("{}\n", std::process::id());
                file.set_len(0)
                    .and_then(|()| file.write_all(pid.as_bytes()))
                    .map_err(unusable)?;
                Ok(Self { _file: file })
            }
            Err((mut file, Errno::EWOULDBLOCK)) => {
                let mut pid = String::new();
                file.read_to_string(&mut pid).map_err(unusable)?;
                let pid = match pid.trim() {
                    "" => "unknown".into(), // it has just started
                    pid => pid.into(),
                };
                Err(LockError::Taken {
                    state: state.into(),
                    pid,
                })
            }
            Err((_, errno)) => Err(unusable(errno.into())),
        }
    }
}

fn create(state: &Path) -> io::Result<()> {
    if let Some(parent) = state.parent() {
        fs::create_dir_all(parent)?;
    }
    match DirBuilder::new().mode(0o711).create(state) {
        // Whatever the umask is.
        Ok(()) => fs::set_permissions(state, Permissions::from_mode(0o711)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_taker_is_told_whose_it_is_and_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("deep/state");
        let first = StateLock::take(&state).unwrap();
        let mode = fs::metadata(&state).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o711);

        let error = StateLock::take(&state).unwrap_err().to_string();
        let pid = std::process::id().to_string();
        for part in [pid.as_str(), state.to_str().unwrap(), "--state"] {
            assert!(error.contains(part), "{error}");
        }

        drop(first);
        StateLock::take(&state).unwrap();
    }

    #[test]
    fn a_folder_that_cannot_be_created_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        let error = StateLock::take(&file.join("state")).unwrap_err();
        assert!(error.to_string().contains("file/state"), "{error}");
    }
}
