//! A descriptor for a process: unlike its number, it never comes to mean another one.
#![expect(
    unsafe_code,
    reason = "pidfd_open and pidfd_send_signal have no wrapper in nix"
)]

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    time::{Duration, Instant},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::process::Ended;

/// One process, alive or dead, for as long as this is held.
#[derive(Debug)]
pub struct PidFd(OwnedFd);

impl PidFd {
    /// The process that has number `pid` now.
    pub fn open(pid: u32) -> io::Result<Self> {
        let pid = libc::pid_t::try_from(pid).map_err(|_| io::ErrorKind::InvalidInput)?;
        // SAFETY: plain numbers in; on success a new descriptor that nobody else owns.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel has just made this descriptor for us; descriptors fit an i32.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd as i32) }))
    }

    /// Sends a signal, by number. An ended process is no error: there is nobody left to disobey.
    pub fn signal(&self, number: i32) -> io::Result<()> {
        // SAFETY: plain numbers and a null `siginfo`, which means "as kill(2) does".
        let sent = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.0.as_raw_fd(),
                number,
                std::ptr::null::<libc::siginfo_t>(),
                0,
            )
        };
        match sent {
            0 => Ok(()),
            _ => match io::Error::last_os_error() {
                gone if gone.raw_os_error() == Some(libc::ESRCH) => Ok(()),
                error => Err(error),
            },
        }
    }

    /// Collects this child, and no other, when it has ended; none while it lives. Its number is free from then on.
    pub fn reap(&self) -> io::Result<Option<Ended>> {
        // SAFETY: all zeroes are a valid value of this plain struct.
        let mut about: libc::siginfo_t = unsafe { std::mem::zeroed() };
        let fd = self.0.as_raw_fd().unsigned_abs();
        // SAFETY: `about` is ours and outlives the call.
        if unsafe { libc::waitid(libc::P_PIDFD, fd, &mut about, libc::WEXITED | libc::WNOHANG) } < 0
        {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: waitid has filled in what belongs to a child, or left the zeroes.
        let (pid, status) = unsafe { (about.si_pid(), about.si_status()) };
        Ok((pid != 0).then_some(match about.si_code {
            libc::CLD_EXITED => Ended::Code(status),
            _ => Ended::Signal(status),
        }))
    }

    /// Waits until the process has ended, at most until `deadline`; whether it has.
    pub fn ended_by(&self, deadline: Instant) -> bool {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            // Rounded up, so that the last millisecond is slept and not spun.
            let timeout = PollTimeout::try_from(left + Duration::from_micros(999))
                .unwrap_or(PollTimeout::MAX);
            match poll(
                &mut [PollFd::new(self.0.as_fd(), PollFlags::POLLIN)],
                timeout,
            ) {
                Ok(0) if left.is_zero() => return false,
                Ok(0) | Err(nix::errno::Errno::EINTR) => {}
                Ok(_) => return true,
                Err(_) => return false,
            }
        }
    }
}

impl AsFd for PidFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn a_killed_process_is_seen_to_end_and_takes_no_more_signals() {
        let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
        let fd = PidFd::open(child.id()).unwrap();
        assert!(!fd.ended_by(Instant::now()));
        fd.signal(libc::SIGKILL).unwrap();
        assert!(fd.ended_by(Instant::now() + Duration::from_secs(10)));
        child.wait().unwrap();
        fd.signal(libc::SIGKILL).unwrap();
    }

    #[test]
    #[expect(
        clippy::zombie_processes,
        reason = "they are collected by their descriptors"
    )]
    fn a_child_is_collected_once_with_how_it_ended() {
        let start = |script| Command::new("sh").args(["-c", script]).spawn().unwrap();
        for (script, how) in [
            ("exit 7", Ended::Code(7)),
            ("kill -9 $$", Ended::Signal(9)),
            ("kill -40 $$", Ended::Signal(40)),
        ] {
            let child = start(script);
            let fd = PidFd::open(child.id()).unwrap();
            assert!(fd.ended_by(Instant::now() + Duration::from_secs(60)));
            assert_eq!(fd.reap().unwrap(), Some(how));
            fd.reap().unwrap_err();
        }
        let mut sleeper = Command::new("sleep").arg("1000").spawn().unwrap();
        assert_eq!(PidFd::open(sleeper.id()).unwrap().reap().unwrap(), None);
        sleeper.kill().unwrap();
        sleeper.wait().unwrap();
    }
}
