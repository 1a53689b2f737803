//! The keeper's files in its run folder: the lock that makes it the only one, the spec, the status.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use nix::fcntl::{FcntlArg, fcntl};

use super::{Phase, Spec, Status};
use crate::sandbox::pidfd::PidFd;

/// Held for the keeper's life; the kernel lets go when it ends, however it ends.
#[derive(Debug)]
pub(crate) struct Lock(#[expect(dead_code, reason = "held, not used")] File);

impl Lock {
    /// Takes the lock of `run`, or names the process that has it.
    pub(crate) fn take(run: &Path) -> io::Result<Self> {
        let mut file = lock_file(run)?;
        match fcntl(&file, FcntlArg::F_OFD_SETLK(&whole(libc::F_WRLCK))) {
            Ok(_) => {}
            Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EACCES) => {
                let pid = fs::read_to_string(run.join("lock")).unwrap_or_default();
                return Err(io::Error::new(
                    ErrorKind::AlreadyExists,
                    format!("keeper {} already runs in {}", pid.trim(), run.display()),
                ));
            }
            Err(error) => return Err(error.into()),
        }
        // Only for those who are refused; a full disk may not take it.
        file.set_len(0).ok();
        writeln!(file, "{}", std::process::id()).ok();
        Ok(Self(file))
    }

    /// Whether a keeper holds the lock of `run` now. Looking never gets in the way of one that starts.
    pub(crate) fn held(run: &Path) -> io::Result<bool> {
        let file = match OpenOptions::new().read(true).open(run.join("lock")) {
            Err(absent) if absent.kind() == ErrorKind::NotFound => return Ok(false),
            file => file?,
        };
        let mut wish = whole(libc::F_WRLCK);
        fcntl(&file, FcntlArg::F_OFD_GETLK(&mut wish))?;
        Ok(i32::from(wish.l_type) != libc::F_UNLCK)
    }
}

/// The process that holds the lock of `run`, when its command line says so too.
pub(crate) fn keeper(run: &Path) -> io::Result<Option<PidFd>> {
    let text = fs::read_to_string(run.join("lock")).unwrap_or_default();
    let Ok(pid) = text.trim().parse() else {
        return Ok(None);
    };
    let Ok(process) = PidFd::open(pid) else {
        return Ok(None);
    };
    let mut end = b"\0keeper\0".to_vec();
    end.extend_from_slice(run.canonicalize()?.as_os_str().as_encoded_bytes());
    end.push(0);
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    Ok((line.ends_with(&end) && Lock::held(run)?).then_some(process))
}

fn lock_file(run: &Path) -> io::Result<File> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .mode(0o600)
        .open(run.join("lock"))
}

/// A lock of the whole file that belongs to the open file, not to the process: it survives nothing but is never
/// lost by another close of the same file.
fn whole(kind: i32) -> libc::flock {
    libc::flock {
        l_type: kind as _,
        l_whence: libc::SEEK_SET as _,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    }
}

pub(crate) fn read_spec(run: &Path) -> io::Result<Spec> {
    let path = run.join("spec.json");
    let named = |e: io::Error| io::Error::new(e.kind(), format!("{}: {e}", path.display()));
    let bytes = fs::read(&path).map_err(named)?;
    serde_json::from_slice(&bytes).map_err(|e| named(e.into()))
}

/// The last written status; `None` when there is none, or none that can be read.
pub(crate) fn read_status(run: &Path) -> io::Result<Option<Status>> {
    match fs::read(run.join("status.json")) {
        Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        Err(absent) if absent.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns when the status would survive a power cut; a reader sees the old one or the new one, whole.
pub(crate) fn write_status(run: &Path, status: &Status) -> io::Result<()> {
    let new = run.join("status.json.new");
    let mut file = OpenOptions::new()
        .create(true)
        .write(true)
        .truncate(true)
        .mode(0o600)
        .open(&new)?;
    file.write_all(&serde_json::to_vec(status)?)?;
    file.sync_all()?;
    fs::rename(&new, run.join("status.json"))?;
    File::open(run)?.sync_all()
}

/// Somebody's word counts for more than a keeper that gave up before it: from now on, nothing says that it had.
pub(crate) fn excuse(run: &Path) -> io::Result<()> {
    match read_status(run)? {
        Some(status) if status.phase == Phase::Failed && !Lock::held(run)? => {
            let phase = Phase::Backoff;
            write_status(run, &Status { phase, ..status })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_lock_is_refused_with_the_firsts_pid_and_a_look_takes_nothing() {
        let run = tempfile::tempdir().unwrap();
        assert!(!Lock::held(run.path()).unwrap());
        let first = Lock::take(run.path()).unwrap();
        assert!(Lock::held(run.path()).unwrap());
        let why = Lock::take(run.path()).unwrap_err().to_string();
        let pid = std::process::id();
        assert!(why.contains(&format!("keeper {pid} already runs")), "{why}");
        drop(first);
        assert!(!Lock::held(run.path()).unwrap());
        Lock::take(run.path()).unwrap();
    }

    #[test]
    fn a_status_that_is_torn_reads_as_none() {
        let run = tempfile::tempdir().unwrap();
        assert_eq!(read_status(run.path()).unwrap(), None);
        fs::write(run.path().join("status.json"), "{\"revision\":").unwrap();
        assert_eq!(read_status(run.path()).unwrap(), None);
    }
}
