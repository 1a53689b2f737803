//! One thread does its file work as another user, for a while.
//!
//! The kernel then judges every path as it would for that user, and what root may do beyond that (reading and writing
//! everything, giving files away) falls away with it. Only this thread is meant: the C library's own `setgroups` would
//! change all threads of the process, so the system call is made directly.
#![expect(
    unsafe_code,
    reason = "the C library changes groups for all threads; only the system call itself changes one"
)]

use std::{io, marker::PhantomData};

use nix::unistd::{Gid, Uid, getgroups, setfsgid, setfsuid};

/// While it lives, this thread opens, makes and removes files as that user. It cannot leave its thread, and must not
/// outlive the closure that a thread was lent for.
#[derive(Debug)]
pub struct Acting {
    before: Before,
    _this_thread: PhantomData<*const ()>,
}

#[derive(Debug)]
struct Before {
    uid: Uid,
    gid: Gid,
    groups: Vec<Gid>,
}

/// What the kernel takes for "say who it is, and change nothing".
const ASK: u32 = u32::MAX;

/// Makes this thread's file work that of user and group `user`, in no other group. Only root can do that.
///
/// # Errors
/// The kernel's; `InvalidInput` for root, which is nobody to become. Nothing has changed then.
pub fn act_as(user: u32) -> io::Result<Acting> {
    if user == 0 || user == ASK {
        let why = format!("user {user} is not a server's own");
        return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    }
    let before = Before {
        uid: now().0,
        gid: now().1,
        groups: getgroups()?,
    };
    let acting = Acting {
        before,
        _this_thread: PhantomData,
    };
    set_groups(&[])?;
    // The group first: what gives the right to change it stays, but the order needs no thought that way.
    setfsgid(Gid::from_raw(user));
    setfsuid(Uid::from_raw(user));
    match now() == (Uid::from_raw(user), Gid::from_raw(user)) && getgroups()?.is_empty() {
        true => Ok(acting),
        false => Err(io::Error::new(
            io::ErrorKind::PermissionDenied,
            format!("cannot act as user {user}"),
        )),
    }
}

/// Whom this thread does its file work as.
fn now() -> (Uid, Gid) {
    (setfsuid(Uid::from_raw(ASK)), setfsgid(Gid::from_raw(ASK)))
}

fn set_groups(groups: &[Gid]) -> io::Result<()> {
    let groups: Vec<libc::gid_t> = groups.iter().map(|group| group.as_raw()).collect();
    // SAFETY: the list is ours and as long as is said; the call changes nothing but this thread's groups.
    match unsafe { libc::syscall(libc::SYS_setgroups, groups.len(), groups.as_ptr()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

impl Before {
    /// A thread that stays somebody else would do the box's work as a game: better no box than that.
    fn again(&self) {
        let Self { uid, gid, groups } = self;
        setfsuid(*uid);
        setfsgid(*gid);
        let same = getgroups().is_ok_and(|now| now == *groups);
        if !same && set_groups(groups).is_err() || now() != (*uid, *gid) {
            std::process::abort();
        }
    }
}

impl Acting {
    /// Does `work` as whom the thread was before.
    pub fn pause<T>(&self, work: impl FnOnce() -> T) -> T {
        /// A game's work done as root would be worse than the other way round.
        struct Back(Before);
        impl Drop for Back {
            fn drop(&mut self) {
                self.0.again();
            }
        }
        let back = Back(Before {
            uid: now().0,
            gid: now().1,
            groups: Vec::new(),
        });
        self.before.again();
        let done = work();
        drop(back);
        done
    }
}

impl Drop for Acting {
    fn drop(&mut self) {
        self.before.again();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, os::unix::fs::PermissionsExt};

    fn root() -> bool {
        let root = Uid::effective().is_root();
        if !root {
            assert!(std::env::var_os("CI").is_none(), "CI runs this as root");
            eprintln!("SKIPPED: only root can act as another user");
        }
        root
    }

    #[test]
    fn roots_power_over_files_falls_away_and_comes_back() {
        if !root() {
            return;
        }
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), PermissionsExt::from_mode(0o777)).unwrap();
        let (secret, mine) = (home.path().join("secret"), home.path().join("mine"));
        fs::write(&secret, "s").unwrap();
        fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).unwrap();
        {
            let _acting = act_as(1_900_000_007).unwrap();
            let refused = fs::read(&secret).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::PermissionDenied);
            fs::write(&mine, "m").unwrap();
            assert!(getgroups().unwrap().is_empty());
        }
        assert_eq!(fs::read(&secret).unwrap(), b"s");
        let owner = std::os::unix::fs::MetadataExt::uid(&fs::metadata(&mine).unwrap());
        assert_eq!(owner, 1_900_000_007);
        assert!(std::os::unix::fs::chown(&mine, Some(0), Some(0)).is_ok());
    }

    #[test]
    fn in_a_pause_the_thread_is_who_it_was_and_then_that_user_again() {
        if !root() {
            return;
        }
        let (before, user) = (now(), 1_900_000_009);
        let theirs = (Uid::from_raw(user), Gid::from_raw(user));
        let groups = getgroups().unwrap();
        {
            let acting = act_as(user).unwrap();
            acting.pause(|| {
                assert_eq!((now(), getgroups().unwrap()), (before, groups.clone()));
                // Somebody else's work may be done meanwhile.
                let _inner = act_as(user + 1).unwrap();
                assert_eq!(now().0, Uid::from_raw(user + 1));
            });
            assert_eq!((now(), getgroups().unwrap()), (theirs, Vec::new()));
        }
        assert_eq!((now(), getgroups().unwrap()), (before, groups));
    }

    #[test]
    fn other_threads_stay_who_they_are() {
        if !root() {
            return;
        }
        let home = tempfile::tempdir().unwrap();
        let secret = home.path().join("secret");
        fs::write(&secret, "s").unwrap();
        let groups = getgroups().unwrap();
        let (turn, wait) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _acting = act_as(1_900_000_008).unwrap();
                turn.wait();
                wait.wait();
            });
            turn.wait();
            assert_eq!(fs::read(&secret).unwrap(), b"s");
            assert_eq!(getgroups().unwrap(), groups);
            wait.wait();
        });
    }

    #[test]
    fn nobody_becomes_root_this_way() {
        assert!(act_as(0).is_err());
        assert!(act_as(u32::MAX).is_err());
    }
}
