//! Ends every process of a user in one step that no fork escapes.
#![expect(
    unsafe_code,
    reason = "a child acts as that user for the length of one system call"
)]

use std::{
    ffi::{c_int, c_void},
    io,
};

use nix::unistd;

use super::spawn::{become_user, vfork_with};

/// A user that nobody is: the last number there is. Containers may not have it.
const NOBODYS: libc::uid_t = libc::uid_t::MAX - 1;

/// How often it is tried to kill a user's processes, when the one that does it is itself killed.
const TRIES: u32 = 100;

/// Kills every process of user `uid`, in one step that no fork escapes. Refuses root and this process's own user.
pub fn kill_user(uid: u32) -> io::Result<()> {
    if uid == 0 || uid == unistd::geteuid().as_raw() || uid == unistd::getuid().as_raw() {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("user {uid} is not a game's own"),
        ));
    }
    extern "C" fn entry(uid: *mut c_void) -> c_int {
        // SAFETY: `kill_user` passes a u32 that outlives this child; system calls alone.
        unsafe {
            let uid = *uid.cast::<u32>();
            // Only as that user is "every process I may signal" the same as "every process of that user". But only our
            // effective user is: by the real and the saved one, they could stop us first, and our caller with us.
            if libc::syscall(libc::SYS_setresuid, NOBODYS, uid, NOBODYS) < 0
                && become_user(uid, uid, uid) < 0
                || libc::geteuid() != uid
            {
                return 1;
            }
            libc::kill(-1, libc::SIGKILL); // ESRCH: none was left
            0
        }
    }
    let mut uid = uid;
    for _ in 0..TRIES {
        let mut status = 0;
        // SAFETY: `entry` keeps the promises of `vfork_with`; `status` is ours; the child is reaped here and only here.
        let reaped = unsafe {
            let pid = vfork_with(entry, (&raw mut uid).cast())?;
            libc::waitpid(pid, &mut status, 0)
        };
        match reaped > 0 {
            true if status == 0 => return Ok(()),
            // All of them share the user that nobody is: one that kills another user's processes may kill ours too.
            true if libc::WIFSIGNALED(status) => {}
            _ => break,
        }
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        format!("cannot act as user {uid}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_a_user_are_killed_and_nobody_else() {
        if !unistd::geteuid().is_root() {
            assert!(std::env::var_os("CI").is_none(), "CI runs this as root");
            eprintln!("SKIPPED: only root can run a program as another user");
            return;
        }
        use std::os::unix::process::CommandExt as _;
        let uid = 1_800_000_000 + std::process::id();
        let start = |uid| {
            let mut sleeper = std::process::Command::new("sleep");
            sleeper.arg("1000").uid(uid).spawn().unwrap()
        };
        let (mut theirs, mut others) = (start(uid), start(uid + 1));
        kill_user(uid).unwrap();
        assert_eq!(theirs.wait().unwrap().code(), None);
        assert!(others.try_wait().unwrap().is_none());
        others.kill().unwrap();
        others.wait().unwrap();
    }

    #[test]
    fn the_processes_of_many_users_can_be_killed_at_once() {
        if !unistd::geteuid().is_root() {
            assert!(std::env::var_os("CI").is_none(), "CI runs this as root");
            eprintln!("SKIPPED: only root can act as another user");
            return;
        }
        let uid = 1_900_000_000 + std::process::id() * 4;
        std::thread::scope(|scope| {
            for uid in uid..uid + 4 {
                scope.spawn(move || (0..300).for_each(|_| kill_user(uid).unwrap()));
            }
        });
    }

    #[test]
    fn root_and_our_own_user_are_never_killed_as_a_whole() {
        assert!(kill_user(0).is_err());
        assert!(kill_user(unistd::geteuid().as_raw()).is_err());
    }
}
