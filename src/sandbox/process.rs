//! What a small supervisor does to itself once, and the deaths that it collects.
#![expect(
    unsafe_code,
    reason = "close_range, mallopt, priorities, and a waitpid that knows real-time signals are not in nix"
)]

use std::{fmt, io};

use nix::{
    sched::{CpuSet, sched_getaffinity, sched_setaffinity},
    sys::{prctl, signal::Signal},
    unistd::{self, Pid},
};

/// Makes this process stand alone: a session of its own, no descriptors but the first three, every orphan below it its own child.
pub fn stand_alone() -> io::Result<()> {
    // SAFETY: only closes descriptors that this process inherited; called before it has opened any.
    unsafe { libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0) };
    match unistd::setsid() {
        Ok(_) | Err(nix::errno::Errno::EPERM) => {} // EPERM: it leads its own group already
        Err(error) => return Err(error.into()),
    }
    prctl::set_child_subreaper(true)?;
    Ok(())
}

/// What a process does first that acts with a game's rights: nobody else of that user can trace, read or signal it from
/// here on, it gets no new privileges, and it dies when the thread that started it ends.
pub fn leash() -> io::Result<()> {
    prctl::set_dumpable(false)?;
    // The start of a program has made the effective user the saved one, by whom others could signal us.
    let ids = unistd::getresuid()?;
    unistd::setresuid(ids.real, ids.effective, ids.real)?;
    prctl::set_no_new_privs()?;
    prctl::set_pdeathsig(Signal::SIGKILL)?; // after the change of user, which clears it
    Ok(())
}

/// Everybody else comes first: the least of the processor, the disk when nobody else wants it, and at most `processors`
/// of the processors that there are, by which libraries count their threads.
pub fn yield_to_all(processors: usize) -> io::Result<()> {
    /// `IOPRIO_WHO_PROCESS`, and the class for idle times, as the kernel numbers them.
    const IO: (libc::c_int, libc::c_int) = (1, 3 << 13);
    // SAFETY: plain numbers in; both change this thread and those that it will start.
    unsafe {
        if libc::setpriority(libc::PRIO_PROCESS, 0, 19) < 0 {
            return Err(io::Error::last_os_error());
        }
        libc::syscall(libc::SYS_ioprio_set, IO.0, 0, IO.1); // some kernels have none, and lose nothing
    }
    let (all, mut few) = (sched_getaffinity(Pid::from_raw(0))?, CpuSet::new());
    let allowed = (0..CpuSet::count()).filter(|&cpu| all.is_set(cpu).unwrap_or(false));
    for cpu in allowed.take(processors) {
        few.set(cpu)?;
    }
    sched_setaffinity(Pid::from_raw(0), &few)?;
    Ok(())
}

/// Tells the allocator that small matters more than fast: one arena, freed buffers go back at once.
pub fn stay_small() {
    #[cfg(target_env = "gnu")]
    // SAFETY: only sets parameters of the allocator.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, 32 << 10);
        libc::mallopt(libc::M_TRIM_THRESHOLD, 64 << 10);
    }
}

/// Tells the allocator to give large buffers back at once. Left to itself it learns from the first of them to keep all of
/// that size, one for every thread that ever needed one: 19 MiB each, for passwords.
pub fn give_back() {
    #[cfg(target_env = "gnu")]
    // SAFETY: only sets a parameter of the allocator.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 1 << 20);
    }
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// With this exit code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl Ended {
    /// Exit code 0.
    pub fn clean(self) -> bool {
        self == Self::Code(0)
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(number) => match Signal::try_from(number) {
                Ok(signal) => write!(f, "signal {number} ({})", signal.as_str()),
                Err(_) => write!(f, "signal {number}"),
            },
        }
    }
}

/// One look at this process's children.
#[derive(Debug, PartialEq, Eq)]
pub enum Reaped {
    /// This one has ended, and its number is free again.
    Ended(u32, Ended),
    /// All that there are live.
    Alive,
    /// There are none.
    Childless,
}

/// Collects one ended child, whichever it is, without waiting.
pub fn reap() -> io::Result<Reaped> {
    let mut status = 0;
    // SAFETY: `status` is ours and outlives the call.
    match unsafe { libc::waitpid(-1, &mut status, libc::WNOHANG) } {
        0 => Ok(Reaped::Alive),
        -1 => match io::Error::last_os_error() {
            none if none.raw_os_error() == Some(libc::ECHILD) => Ok(Reaped::Childless),
            error => Err(error),
        },
        pid => Ok(Reaped::Ended(
            pid.unsigned_abs(),
            match libc::WIFSIGNALED(status) {
                true => Ended::Signal(libc::WTERMSIG(status)),
                false => Ended::Code(libc::WEXITSTATUS(status)),
            },
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_read_as_people_say_them() {
        assert_eq!(Ended::Code(1).to_string(), "exit code 1");
        assert_eq!(
            Ended::Signal(libc::SIGSEGV).to_string(),
            "signal 11 (SIGSEGV)"
        );
        assert_eq!(Ended::Signal(40).to_string(), "signal 40");
    }
}
