//! What this box can do to keep games apart: for `longhouse doctor`, and for the notices of a server.

use std::path::Path;

use super::{cgroup::Hierarchy, pidfd::PidFd};

/// One way to keep games apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Isolation {
    /// `own user`, `cgroup`, `memory limit`.
    pub name: &'static str,
    /// Whether this box can.
    pub ok: bool,
    /// What it gives, or why it is missing.
    pub why: String,
    /// What to do about it.
    pub hint: Option<&'static str>,
}

/// All of them, in a fixed order. Asks the kernel; changes nothing but an empty cgroup folder.
pub fn isolation() -> Vec<Isolation> {
    let root = nix::unistd::geteuid().is_root();
    let mut all = vec![
        fact(
            "own user",
            match root {
                true => Ok("each server runs as its own unprivileged user".into()),
                false => Err(
                    "only root can start servers as other users: a game can do all that the daemon's user can, \
                     the control socket included"
                        .into(),
                ),
            },
            "run the daemon as root: every server then gets a user id of its own",
        ),
        fact(
            "no new privileges",
            match nix::sys::prctl::get_no_new_privs() {
                Ok(_) => Ok("set-uid programs gain a game nothing".into()),
                Err(e) => Err(format!("the kernel has none: {e}")),
            },
            "use Linux 5.10 or newer",
        ),
        fact(
            "pidfd",
            match PidFd::open(std::process::id()) {
                Ok(_) => Ok("signals reach the process that was meant".into()),
                Err(e) => Err(format!("the kernel has none: {e}")),
            },
            "use Linux 5.10 or newer",
        ),
    ];
    let hierarchy = Hierarchy::find();
    all.push(fact(
        "cgroup",
        match &hierarchy {
            Ok(_) => Ok("whatever a game forks is found and ended with it".into()),
            Err(e) => Err(e.to_string()),
        },
        "run the daemon as root, or as a systemd service with Delegate=yes, on a machine with cgroup version 2",
    ));
    let there = hierarchy.map(|h| h.controllers()).unwrap_or_default();
    for (name, controller) in [
        ("memory limit", "memory"),
        ("cpu limit", "cpu"),
        ("process limit", "pids"),
    ] {
        all.push(fact(
            name,
            match there.contains(&controller) {
                true => Ok(format!("by the {controller} controller")),
                false => Err(missing(controller)),
            },
            "boot with systemd.unified_cgroup_hierarchy=1, or delegate the controller to the daemon",
        ));
    }
    all
}

fn missing(controller: &str) -> String {
    match Path::new("/sys/fs/cgroup").join(controller).exists() {
        true => format!("the {controller} controller is bound to cgroup version 1"),
        false => format!("no {controller} controller for us in cgroup version 2"),
    }
}

fn fact(name: &'static str, found: Result<String, String>, hint: &'static str) -> Isolation {
    let ok = found.is_ok();
    let (Ok(why) | Err(why)) = found;
    Isolation {
        name,
        ok,
        why,
        hint: (!ok).then_some(hint),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_missing_comes_with_a_hint_and_whatever_is_there_without() {
        let all = isolation();
        assert_eq!(all.len(), 7);
        for one in all {
            assert_eq!(one.ok, one.hint.is_none(), "{one:?}");
            assert!(!one.why.is_empty());
        }
    }
}
