//! A server's own folder, into which the game may put whatever it likes: links to elsewhere, pipes, anything.
//!
//! Nothing here ever leaves it: each path is resolved by the kernel beneath it, without following a link; what is
//! written replaces what was there by a rename; what is read must be a plain file of bounded size.

use std::{
    fs::File,
    io::{self, Read, Write},
    os::fd::OwnedFd,
    os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt},
    path::{Component, Path},
};

use nix::{
    errno::Errno,
    fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat2, renameat},
    sys::stat::{Mode, mkdirat},
    unistd::{Gid, Uid, UnlinkatFlags, fchown, fchownat, symlinkat, unlinkat},
};

/// The folder, held open.
pub(super) struct Folder {
    root: OwnedFd,
    /// Who shall own what is written, when the daemon is root.
    user: Option<u32>,
}

/// The folder part and the name of `path`.
fn split(path: &Path) -> io::Result<(&Path, &Path)> {
    let plain = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    match path.file_name() {
        Some(name) if plain => Ok((path.parent().unwrap_or(Path::new("")), Path::new(name))),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("`{}` does not stay in the server's folder", path.display()),
        )),
    }
}

impl Folder {
    /// Makes it when absent, gives it to `user`, and lets nobody else in.
    pub(super) fn open(path: &Path, user: Option<u32>) -> io::Result<Self> {
        std::fs::create_dir_all(path)?;
        let root = File::options()
            .read(true)
            .custom_flags(libc::O_DIRECTORY | libc::O_NOFOLLOW)
            .open(path)?;
        root.set_permissions(PermissionsExt::from_mode(0o700))?;
        let folder = Self {
            root: root.into(),
            user,
        };
        folder.give(&folder.root)?;
        Ok(folder)
    }

    fn give(&self, file: &OwnedFd) -> io::Result<()> {
        match self.user {
            Some(id) => Ok(fchown(
                file,
                Some(Uid::from_raw(id)),
                Some(Gid::from_raw(id)),
            )?),
            None => Ok(()),
        }
    }

    fn beneath(&self, path: &Path, flags: OFlag, mode: Mode) -> nix::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() {
            Path::new(".")
        } else {
            path
        };
        let how = OpenHow::new()
            .flags(flags | OFlag::O_CLOEXEC)
            .mode(mode)
            .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
        openat2(&self.root, path, how)
    }

    /// Makes the folder `path` and those above it.
    pub(super) fn make(&self, path: &Path) -> io::Result<OwnedFd> {
        match self.beneath(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY, Mode::empty()) {
            Err(Errno::ENOENT) => {}
            found => return Ok(found?),
        }
        let (parent, name) = split(path)?;
        let parent = self.make(parent)?;
        match mkdirat(&parent, name, Mode::from_bits_truncate(0o755)) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(error) => return Err(error.into()),
        }
        let made = self.beneath(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY, Mode::empty())?;
        self.give(&made)?;
        Ok(made)
    }

    /// Writes `content` as the file `path`, replacing it at once as a whole; `mode` keeps its bits for reading and running only.
    pub(super) fn write(&self, path: &Path, content: &mut dyn Read, mode: u32) -> io::Result<u64> {
        let (parent, name) = split(path)?;
        let parent = self.make(parent)?;
        let mut fresh = std::ffi::OsString::from(".longhouse-new-");
        fresh.push(name);
        let fresh = Path::new(&fresh);
        match unlinkat(&parent, fresh, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(error) => return Err(error.into()),
        }
        let how = OpenHow::new()
            .flags(OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC)
            .mode(Mode::from_bits_truncate(0o600))
            .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
        let mut file = File::from(openat2(&parent, fresh, how)?);
        let bytes = io::copy(content, &mut file)?;
        file.flush()?;
        file.set_permissions(PermissionsExt::from_mode(0o600 | mode & 0o755))?;
        let file = OwnedFd::from(file);
        self.give(&file)?;
        renameat(&parent, fresh, &parent, name)?;
        Ok(bytes)
    }

    /// The file `path` to read, when it is a plain file of its user's and of at most `max` bytes.
    pub(super) fn file(&self, path: &Path, max: u64) -> io::Result<Option<impl Read + use<>>> {
        let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        let file = match self.beneath(path, flags, Mode::empty()) {
            Ok(file) => File::from(file),
            Err(Errno::ENOENT) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let about = file.metadata()?;
        let refused = |why: String| {
            let why = format!("{} is not {why}", path.display());
            io::Error::new(io::ErrorKind::InvalidData, why)
        };
        if !about.is_file() || about.size() > max {
            return Err(refused(format!("a plain file of at most {max} bytes")));
        }
        // A hard link leads out of the folder too: to what its user could not read, and we can.
        if self.user.is_some_and(|user| about.uid() != user) {
            return Err(refused("the server's own".into()));
        }
        Ok(Some(file.take(max)))
    }

    /// What is in it.
    pub(super) fn read(&self, path: &Path, max: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(mut file) = self.file(path, max)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(Some(bytes))
    }

    /// Whether something is at `path`, reached without links.
    pub(super) fn has(&self, path: &Path) -> bool {
        self.beneath(path, OFlag::O_PATH, Mode::empty()).is_ok()
    }

    /// Makes a link at `path`; its target must stay in the folder too.
    pub(super) fn link(&self, path: &Path, target: &Path) -> io::Result<()> {
        let (parent, name) = split(path)?;
        let mut depth = parent.components().count();
        for part in target.components() {
            depth = match part {
                Component::Normal(_) => Some(depth + 1),
                Component::CurDir => Some(depth),
                Component::ParentDir => depth.checked_sub(1),
                Component::RootDir | Component::Prefix(_) => None,
            }
            .ok_or_else(|| {
                let what = format!(
                    "the link `{}` leads out, to `{}`",
                    path.display(),
                    target.display()
                );
                io::Error::new(io::ErrorKind::InvalidInput, what)
            })?;
        }
        let parent = self.make(parent)?;
        match unlinkat(&parent, name, UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(error) => return Err(error.into()),
        }
        symlinkat(target, &parent, name)?;
        if let Some(id) = self.user {
            let (user, group) = (Some(Uid::from_raw(id)), Some(Gid::from_raw(id)));
            fchownat(&parent, name, user, group, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn folder() -> (tempfile::TempDir, Folder) {
        let home = tempfile::tempdir().unwrap();
        let folder = Folder::open(&home.path().join("files"), None).unwrap();
        (home, folder)
    }

    #[test]
    fn what_is_written_is_read_back_and_set_user_bits_are_dropped() {
        let (home, folder) = folder();
        folder
            .write(Path::new("a/b/c"), &mut &b"hello"[..], 0o6777)
            .unwrap();
        assert_eq!(
            folder.read(Path::new("a/b/c"), 10).unwrap().unwrap(),
            b"hello"
        );
        let mode = fs::metadata(home.path().join("files/a/b/c"))
            .unwrap()
            .mode();
        assert_eq!(mode & 0o7777, 0o755);
        assert!(folder.read(Path::new("a/b/c"), 4).is_err());
        assert_eq!(folder.read(Path::new("none"), 4).unwrap(), None);
    }

    #[test]
    fn a_link_that_the_game_planted_is_never_followed() {
        let (home, folder) = folder();
        let outside = home.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("secret"), "s").unwrap();
        let files = home.path().join("files");
        std::os::unix::fs::symlink(&outside, files.join("dir")).unwrap();
        std::os::unix::fs::symlink(outside.join("secret"), files.join("file")).unwrap();
        assert!(
            folder
                .write(Path::new("dir/x"), &mut &b"x"[..], 0o644)
                .is_err()
        );
        assert!(folder.read(Path::new("file"), 10).is_err());
        assert!(!folder.has(Path::new("dir/secret")));
        folder
            .write(Path::new("file"), &mut &b"x"[..], 0o644)
            .unwrap();
        assert_eq!(fs::read(outside.join("secret")).unwrap(), b"s");
        assert_eq!(fs::read(files.join("file")).unwrap(), b"x");
    }

    #[test]
    fn a_hard_link_to_what_is_not_the_games_is_not_read() {
        if !nix::unistd::geteuid().is_root() {
            assert!(std::env::var_os("CI").is_none(), "CI runs this as root");
            eprintln!("SKIPPED: only root can give files to another user");
            return;
        }
        let home = tempfile::tempdir().unwrap();
        let folder = Folder::open(&home.path().join("files"), Some(1_900_000_001)).unwrap();
        fs::write(home.path().join("secret"), "s").unwrap();
        fs::hard_link(home.path().join("secret"), home.path().join("files/cfg")).unwrap();
        assert!(folder.read(Path::new("cfg"), 10).is_err());
        folder
            .write(Path::new("cfg"), &mut &b"own"[..], 0o644)
            .unwrap();
        assert_eq!(folder.read(Path::new("cfg"), 10).unwrap().unwrap(), b"own");
        assert_eq!(fs::read(home.path().join("secret")).unwrap(), b"s");
    }

    #[test]
    fn paths_and_links_that_lead_out_are_refused() {
        let (_home, folder) = folder();
        for bad in ["../x", "/x", "a/../../x", ".."] {
            assert!(
                folder.write(Path::new(bad), &mut &b""[..], 0).is_err(),
                "{bad}"
            );
        }
        assert!(
            folder
                .link(Path::new("a/link"), Path::new("../../x"))
                .is_err()
        );
        assert!(folder.link(Path::new("a/link"), Path::new("/etc")).is_err());
        folder.link(Path::new("a/link"), Path::new("../x")).unwrap();
    }

    #[test]
    fn a_pipe_in_place_of_a_file_does_not_hang_the_box() {
        let (home, folder) = folder();
        nix::unistd::mkfifo(&home.path().join("files/cfg"), Mode::S_IRWXU).unwrap();
        assert!(folder.read(Path::new("cfg"), 10).is_err());
    }
}
