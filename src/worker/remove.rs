//! Removes what a game left behind, which may be folders within folders without end: deeper than a stack or a path can
//! be. So nothing here goes down: each nested folder is first moved up, beside the others.

use std::{fs, io, path::Path};

/// Removes `tree`, a folder that is ours and holds what is not. No link is followed. What it could not finish, another
/// call goes on with.
pub(crate) fn remove(tree: &Path) -> io::Result<()> {
    let mut raised = 0_u64;
    loop {
        let mut empty = true;
        for entry in fs::read_dir(tree)? {
            let (entry, path) = entry.map(|entry| (entry.file_type(), entry.path()))?;
            empty = false;
            if !entry?.is_dir() {
                fs::remove_file(path)?;
                continue;
            }
            for inner in fs::read_dir(&path)? {
                let inner = inner?;
                if !inner.file_type()?.is_dir() {
                    fs::remove_file(inner.path())?;
                    continue;
                }
                // An earlier call may have left such a name.
                let free = |name: &u64| tree.join(name.to_string()).symlink_metadata().is_err();
                raised = (raised..)
                    .find(free)
                    .expect("no disk holds as many folders as there are numbers");
                fs::rename(inner.path(), tree.join(raised.to_string()))?;
            }
            match fs::remove_dir(&path) {
                // What a listing misses while it is changed comes in the next round.
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
                done => done?,
            }
        }
        if empty {
            return fs::remove_dir(tree);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::{
        fcntl::{OFlag, openat},
        sys::stat::{Mode, mkdirat},
    };

    #[test]
    fn folders_within_folders_without_end_are_removed() {
        let home = tempfile::tempdir().unwrap();
        let tree = home.path().join("7-1000");
        fs::create_dir_all(tree.join("0/files")).unwrap();
        let mut at = fs::File::open(tree.join("0/files")).unwrap().into();
        // Deep enough to overflow a stack, or a table of open files, with a way down for each level.
        for _ in 0..20_000 {
            mkdirat(&at, "d", Mode::S_IRWXU).unwrap();
            at = openat(&at, "d", OFlag::O_DIRECTORY, Mode::empty()).unwrap();
        }
        remove(&tree).unwrap();
        assert!(!tree.exists());
    }

    #[test]
    fn links_are_removed_and_not_what_they_lead_to() {
        let home = tempfile::tempdir().unwrap();
        let (tree, outside) = (home.path().join("7-1000"), home.path().join("outside"));
        for folder in [&outside, &tree.join("files/a/b")] {
            fs::create_dir_all(folder).unwrap();
            fs::write(folder.join("file"), "x").unwrap();
        }
        for link in ["link", "files/link", "files/a/link", "files/a/b/link"] {
            std::os::unix::fs::symlink(&outside, tree.join(link)).unwrap();
        }
        fs::create_dir(tree.join("0")).unwrap();
        fs::write(tree.join("0/file"), "x").unwrap();
        remove(&tree).unwrap();
        assert!(!tree.exists());
        assert_eq!(fs::read(outside.join("file")).unwrap(), b"x");
    }
}
