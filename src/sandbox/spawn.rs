//! Starts a process shut in: own session, own user, limits, no descriptors but its three pipes (and a channel, where
//! it is to have one), gone when its parent is.
//!
//! The child borrows the parent's memory until it execs (`CLONE_VM | CLONE_VFORK`), so a start costs the same from any
//! size of parent, and the child reports the step that failed by writing it down where the parent reads it.
//!
//! ```text
//!  parent: resolve, pipes, block signals ─clone─► child: session, cgroup, limits, groups, user, no_new_privs,
//!     ▲                                              die-with-parent, folder, pipes on 0 1 2, channel on 3,
//!     └── exec done, or (step, errno) ◄─────────────  close the rest, umask, default signals, exec
//! ```
#![expect(
    unsafe_code,
    reason = "nothing safe starts a process with all of this in one step"
)]

use std::{
    ffi::{CStr, CString, NulError, c_char, c_int, c_void},
    fmt, fs, io,
    os::{
        fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
    ptr,
};

use nix::{
    fcntl::{FcntlArg, OFlag, fcntl},
    sys::signal::{SigSet, SigmaskHow},
    unistd,
};

/// The number of [`Launch::channel`] in the child.
const CHANNEL: RawFd = 3;

/// What to start, and how shut in.
#[derive(Debug, Clone, Copy)]
pub struct Launch<'a> {
    /// The program (looked up in the `PATH` of `env` when it has no slash) and its arguments.
    pub argv: &'a [String],
    /// The whole environment.
    pub env: &'a [(String, String)],
    /// Working directory.
    pub cwd: &'a Path,
    /// User and group to become.
    pub user: Option<(u32, u32)>,
    /// With `user`: the real and saved user, when they are to be another's. Then it has the rights of `user` over files,
    /// while nobody of that user can signal or trace it. The kernel keeps neither leash across such a start, so the
    /// program itself must refuse new privileges and tie itself to its parent ([`super::process::leash`]).
    pub guise: Option<u32>,
    /// A cgroup v2 folder to be in.
    pub cgroup: Option<&'a Path>,
    /// Resource (libc's number) and its limit, soft and hard.
    pub rlimits: &'a [(u32, u64)],
    /// What it has as descriptor 3, across its exec.
    pub channel: Option<BorrowedFd<'a>>,
    /// The permissions that its files do not get.
    pub umask: u32,
}

/// A started process. It is the caller's child, to be reaped; it dies when the calling *thread* ends.
#[derive(Debug)]
pub struct Child {
    /// Its number, its own until it is reaped.
    pub pid: u32,
    /// Write here what it reads.
    pub stdin: OwnedFd,
    /// Read here what it prints.
    pub stdout: OwnedFd,
    /// Read here what it complains of.
    pub stderr: OwnedFd,
}

/// Why a process could not be started.
#[derive(Debug, thiserror::Error)]
pub enum SpawnError {
    /// `argv` is empty.
    #[error("no program was named")]
    Nameless,
    /// Arguments and variables end at NUL.
    #[error("an argument, a variable or the folder holds a NUL byte")]
    Nul(#[from] NulError),
    /// A bare name that no folder of `PATH` holds.
    #[error("there is no program `{0}` in PATH")]
    NotInPath(String),
    /// A step on the way failed.
    #[error("cannot {step} {subject}: {source}")]
    Step {
        /// Which.
        step: Step,
        /// The file, folder or user that it was about.
        subject: String,
        /// What the kernel said.
        source: io::Error,
    },
}

/// The steps that can fail, in their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Pipes, and the process itself.
    Fork,
    /// A session of its own.
    Session,
    /// Into the cgroup.
    Cgroup,
    /// Resource limits.
    Limits,
    /// Groups and user.
    User,
    /// No new privileges; death with the parent.
    Leash,
    /// The working directory.
    Folder,
    /// Pipes on 0, 1 and 2.
    Pipes,
    /// The program.
    Exec,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fork => "make a process for",
            Self::Session => "make a session for",
            Self::Cgroup => "enter the cgroup",
            Self::Limits => "set the resource limits of",
            Self::User => "become the user of",
            Self::Leash => "tie to its keeper",
            Self::Folder => "enter the folder",
            Self::Pipes => "connect the pipes of",
            Self::Exec => "run",
        })
    }
}

/// Starts it, and returns once its program runs or a step has failed.
pub fn spawn(launch: &Launch<'_>) -> Result<Child, SpawnError> {
    let program = resolve(launch)?;
    let failed = |step, subject: String, source| SpawnError::Step {
        step,
        subject,
        source,
    };
    let fork_failed = |source: io::Error| failed(Step::Fork, program.display().to_string(), source);

    let path = CString::new(program.as_os_str().as_bytes())?;
    let argv = strings(launch.argv.iter().map(|arg| arg.as_bytes().to_vec()))?;
    let env = strings(
        launch
            .env
            .iter()
            .map(|(name, value)| format!("{name}={value}").into_bytes()),
    )?;
    let cwd = CString::new(launch.cwd.as_os_str().as_bytes())?;
    let cgroup = match launch.cgroup {
        None => None,
        Some(folder) => Some(
            fs::OpenOptions::new()
                .write(true)
                .open(folder.join("cgroup.procs"))
                .map_err(|e| failed(Step::Cgroup, folder.display().to_string(), e))?,
        ),
    };
    let pipe = || unistd::pipe2(OFlag::O_CLOEXEC).map_err(|e| fork_failed(e.into()));
    let (stdin_read, stdin) = pipe()?;
    let (stdout, stdout_write) = pipe()?;
    let (stderr, stderr_write) = pipe()?;
    let clear = |fd: BorrowedFd<'_>| clear_of_the_childs(fd).map_err(fork_failed);
    let stdio = [
        clear(stdin_read.as_fd())?,
        clear(stdout_write.as_fd())?,
        clear(stderr_write.as_fd())?,
    ];
    drop((stdin_read, stdout_write, stderr_write));
    let channel = launch.channel.map(clear).transpose()?;

    let mut plan = Plan {
        path: &path,
        argv: &pointers(&argv),
        env: &pointers(&env),
        cwd: &cwd,
        user: launch.user,
        guise: launch.guise,
        cgroup: cgroup.as_ref().map(AsRawFd::as_raw_fd),
        rlimits: launch.rlimits,
        stdio: stdio.each_ref().map(AsRawFd::as_raw_fd),
        channel: channel.as_ref().map(AsRawFd::as_raw_fd),
        umask: launch.umask,
        parent: std::process::id(),
        failure: None,
    };
    // SAFETY: `start` only reads the plan, writes `plan.failure`, and makes system calls.
    let pid = unsafe { vfork_with(start, (&raw mut plan).cast()) }.map_err(fork_failed)?;
    if let Some((step, errno)) = plan.failure {
        // SAFETY: a child of ours that has exited; nobody else knows its number.
        unsafe { libc::waitpid(pid, ptr::null_mut(), 0) };
        let subject = match (step, launch.cgroup, launch.user) {
            (Step::Folder, ..) => launch.cwd.display().to_string(),
            (Step::Cgroup, Some(folder), _) => folder.display().to_string(),
            (Step::User, _, Some((uid, gid))) => format!("{uid}:{gid}"),
            _ => program.display().to_string(),
        };
        return Err(failed(step, subject, io::Error::from_raw_os_error(errno)));
    }
    Ok(Child {
        pid: pid.unsigned_abs(),
        stdin,
        stdout,
        stderr,
    })
}

/// A copy whose number is none of those that the child's own get: they could be overwritten before they are copied,
/// and one that is copied onto itself stays close-on-exec.
fn clear_of_the_childs(fd: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let number = fcntl(fd, FcntlArg::F_DUPFD_CLOEXEC(CHANNEL + 1))?;
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// As `execvp` would, but in the child's `PATH`.
fn resolve(launch: &Launch<'_>) -> Result<PathBuf, SpawnError> {
    let name = launch.argv.first().filter(|name| !name.is_empty());
    let name = name.ok_or(SpawnError::Nameless)?;
    if name.contains('/') {
        return Ok(name.into());
    }
    let path = launch.env.iter().find(|(key, _)| key == "PATH");
    let path = path.map_or("/usr/local/bin:/usr/bin:/bin", |(_, value)| value);
    path.split(':')
        .map(|folder| Path::new(folder).join(name))
        .find(|program| launch.cwd.join(program).is_file())
        .ok_or_else(|| SpawnError::NotInPath(name.clone()))
}

fn strings(items: impl Iterator<Item = Vec<u8>>) -> Result<Vec<CString>, NulError> {
    items.map(CString::new).collect()
}

fn pointers(strings: &[CString]) -> Vec<*const c_char> {
    let null = std::iter::once(ptr::null());
    strings.iter().map(|s| s.as_ptr()).chain(null).collect()
}

/// All that the child needs, made before there is one: it must neither allocate nor lock.
struct Plan<'a> {
    path: &'a CStr,
    argv: &'a [*const c_char],
    env: &'a [*const c_char],
    cwd: &'a CStr,
    user: Option<(u32, u32)>,
    guise: Option<u32>,
    cgroup: Option<RawFd>,
    rlimits: &'a [(u32, u64)],
    stdio: [RawFd; 3],
    channel: Option<RawFd>,
    umask: u32,
    parent: u32,
    failure: Option<(Step, c_int)>,
}

/// The child's whole life before its program.
extern "C" fn start(plan: *mut c_void) -> c_int {
    // SAFETY: `spawn` passes its plan, and sleeps until this child has exec'd or exited.
    let plan = unsafe { &mut *plan.cast::<Plan<'_>>() };
    // SAFETY: we are the child that `steps` is for.
    let step = unsafe { steps(plan) };
    // SAFETY: errno belongs to this thread.
    plan.failure = Some((step, unsafe { *libc::__errno_location() }));
    127
}

/// Returns only when a step failed: that step, with errno set.
///
/// # Safety
/// To be called in a child of [`vfork_with`] only. User and groups are set by bare system calls, because libc's own
/// functions would change them in the parent's threads too.
unsafe fn steps(plan: &Plan<'_>) -> Step {
    // SAFETY: system calls alone, on memory of the plan, which outlives the child's use of it.
    unsafe {
        if libc::setsid() < 0 {
            return Step::Session;
        }
        if let Some(fd) = plan.cgroup
            && libc::write(fd, c"0".as_ptr().cast(), 1) != 1
        {
            return Step::Cgroup;
        }
        for &(resource, value) in plan.rlimits {
            let limit = libc::rlimit {
                rlim_cur: value,
                rlim_max: value,
            };
            if libc::setrlimit(resource as _, &limit) < 0 {
                return Step::Limits;
            }
        }
        if let Some((uid, gid)) = plan.user
            && become_user(plan.guise.unwrap_or(uid), uid, gid) < 0
        {
            return Step::User;
        }
        // After the change of user, which would clear the second of them. With the first, the kernel would take the
        // guise for a new privilege, and start the program without the rights of `user`.
        if plan.guise.is_none() && libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0
            || libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL, 0, 0, 0) < 0
        {
            return Step::Leash;
        }
        // The parent may have died before the leash held.
        if libc::getppid().unsigned_abs() != plan.parent {
            libc::_exit(127);
        }
        if libc::chdir(plan.cwd.as_ptr()) < 0 {
            return Step::Folder;
        }
        for (target, &fd) in (0..).zip(plan.stdio.iter().chain(&plan.channel)) {
            if libc::dup2(fd, target) < 0 {
                return Step::Pipes;
            }
        }
        // Where the call is missing, all of ours are close-on-exec anyway.
        let first = CHANNEL + i32::from(plan.channel.is_some());
        libc::syscall(libc::SYS_close_range, first, u32::MAX, 0);
        libc::umask(plan.umask);
        // The kernel's own call, because libc keeps two signals to itself and would leave them ignored.
        let default = [0_usize; 4];
        for signal in 1..=64 {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                &default,
                ptr::null_mut::<()>(),
                8,
            );
        }
        let mut none: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::sigprocmask(libc::SIG_SETMASK, &none, ptr::null_mut());
        libc::execve(plan.path.as_ptr(), plan.argv.as_ptr(), plan.env.as_ptr());
        Step::Exec
    }
}

/// # Safety
/// For children of [`vfork_with`]: bare system calls, so that only the calling thread changes.
pub(super) unsafe fn become_user(real: u32, uid: u32, gid: u32) -> libc::c_long {
    // SAFETY: plain numbers; an empty group list reads no memory.
    unsafe {
        let done = libc::syscall(libc::SYS_setgroups, 0, ptr::null::<libc::gid_t>())
            | libc::syscall(libc::SYS_setresgid, gid, gid, gid);
        if done < 0 {
            return done;
        }
        libc::syscall(libc::SYS_setresuid, real, uid, real)
    }
}

/// Runs `entry` in a child that shares this memory, and waits until it has exec'd or exited. The child's number.
///
/// # Safety
/// `entry` must not allocate, lock, unwind, or touch what other threads of ours use; `data` must be what it expects.
pub(super) unsafe fn vfork_with(
    entry: extern "C" fn(*mut c_void) -> c_int,
    data: *mut c_void,
) -> io::Result<libc::pid_t> {
    let mut stack = vec![0u128; 2048]; // 32 KiB, aligned as every ABI wants it
    let top = stack.as_mut_ptr_range().end;
    // No handler of ours may run in the child.
    let mut before = SigSet::empty();
    nix::sys::signal::pthread_sigmask(
        SigmaskHow::SIG_BLOCK,
        Some(&SigSet::all()),
        Some(&mut before),
    )?;
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the stack outlives the child's use of it, because CLONE_VFORK suspends us until then; the rest is the
    // caller's promise.
    let pid = unsafe { libc::clone(entry, top.cast(), flags, data) };
    let result = match pid {
        -1 => Err(io::Error::last_os_error()),
        pid => Ok(pid),
    };
    nix::sys::signal::pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(&before), None)?;
    drop(stack);
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    fn run(
        argv: &[&str],
        change: impl FnOnce(&mut Launch<'_>),
    ) -> Result<(String, i32), SpawnError> {
        run_with(argv, None, change)
    }

    fn run_with(
        argv: &[&str],
        channel: Option<BorrowedFd<'_>>,
        change: impl FnOnce(&mut Launch<'_>),
    ) -> Result<(String, i32), SpawnError> {
        let argv: Vec<String> = argv.iter().map(|&arg| arg.into()).collect();
        let env = [
            ("PATH".into(), "/usr/bin:/bin".into()),
            ("A".into(), "b c".into()),
        ];
        let mut launch = Launch {
            argv: &argv,
            env: &env,
            cwd: Path::new("/"),
            user: None,
            guise: None,
            cgroup: None,
            rlimits: &[],
            channel,
            umask: 0o027,
        };
        change(&mut launch);
        let child = spawn(&launch)?;
        drop(child.stdin);
        let mut text = String::new();
        fs::File::from(child.stdout)
            .read_to_string(&mut text)
            .unwrap();
        let mut status = 0;
        // SAFETY: our own child.
        unsafe { libc::waitpid(child.pid as i32, &mut status, 0) };
        Ok((text, status))
    }

    #[test]
    fn environment_folder_and_arguments_arrive_and_nothing_else() {
        let (text, status) = run(
            &["sh", "-c", "env | grep -v ^PWD; pwd; echo $0", "x y"],
            |_| {},
        )
        .unwrap();
        let mut lines: Vec<_> = text.lines().collect();
        lines.retain(|line| !line.starts_with("_=") && !line.starts_with("SHLVL"));
        lines[..2].sort();
        assert_eq!(lines, ["A=b c", "PATH=/usr/bin:/bin", "/", "x y"]);
        assert_eq!(status, 0);
    }

    #[test]
    fn a_game_is_alone_leashed_and_holds_only_its_pipes() {
        let held = fs::File::open("/dev/null").unwrap();
        nix::fcntl::fcntl(
            &held,
            nix::fcntl::FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty()),
        )
        .unwrap();
        let script = "ls /proc/$$/fd | tr '\\n' ' '; grep -E '^(NoNewPrivs|SigBlk|SigIgn)' /proc/self/status; \
                      cut -d' ' -f1,6 /proc/$$/stat; ulimit -n";
        let (text, _) = run(&["sh", "-c", script], |launch| {
            launch.rlimits = &[(libc::RLIMIT_NOFILE, 77)];
        })
        .unwrap();
        let words: Vec<_> = text.split_whitespace().collect();
        assert_eq!(words[..3], ["0", "1", "2"], "{text}");
        let rest = &words[words
            .iter()
            .position(|w| w.starts_with("NoNew") || w.starts_with("Sig"))
            .unwrap()..];
        assert!(rest.contains(&"NoNewPrivs:") && rest.contains(&"1"));
        assert_eq!(
            rest.iter().filter(|w| **w == "0000000000000000").count(),
            2,
            "{text}"
        );
        let [pid, session, files] = rest[rest.len() - 3..] else {
            panic!("{text}")
        };
        assert_eq!((pid, files), (session, "77"));
    }

    #[test]
    fn a_channel_is_descriptor_3_wherever_it_was_here_and_nothing_is_open_beside_it() {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        (&ours).write_all(b"over there").unwrap();
        ours.shutdown(std::net::Shutdown::Write).unwrap();
        let script = "for n in $(seq 0 99); do [ ! -e /proc/$$/fd/$n ] || printf '%s ' $n; done; cat <&3; umask";
        let (text, _) = run_with(&["bash", "-c", script], Some(theirs.as_fd()), |launch| {
            launch.umask = 0o007;
        })
        .unwrap();
        assert_eq!(text, "0 1 2 3 over there0007\n");
    }

    #[test]
    fn each_thing_that_is_missing_is_named() {
        let fault = |argv: &[&str], change: fn(&mut Launch<'_>)| {
            run(argv, change).map(|_| ()).unwrap_err().to_string()
        };
        assert_eq!(fault(&[], |_| {}), "no program was named");
        assert_eq!(
            fault(&["no-such-program"], |_| {}),
            "there is no program `no-such-program` in PATH"
        );
        assert_eq!(
            fault(&["/no/such"], |_| {}),
            "cannot run /no/such: No such file or directory (os error 2)"
        );
        assert_eq!(
            fault(&["/etc/passwd"], |_| {}),
            "cannot run /etc/passwd: Permission denied (os error 13)"
        );
        assert_eq!(
            fault(&["true"], |launch| launch.cwd = Path::new("/no/folder")),
            "cannot enter the folder /no/folder: No such file or directory (os error 2)"
        );
        assert!(fault(&["true", "a\0b"], |_| {}).contains("NUL"));
    }
}
