//! What is not whole yet. Folders that are copied or unpacked are made in `passing/held`, beside the server's files, which
//! no game reaches, and moved from there when they are whole. A crash so leaves nothing among the files: what another
//! run of the daemon left is known by its name, and goes when the next one begins.
//!
//! ```text
//! STATE/servers/ID/passing/NAME        which things of it are being moved into a folder that is there (merge.rs); ours
//!                  passing/held/NAME   what is being made; the game's, behind a door of ours
//! ```

use std::{
    cell::Cell,
    ffi::{OsStr, OsString},
    fs,
    fs::File,
    io,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, PermissionsExt as _},
    },
    path::{Path, PathBuf},
    sync::LazyLock,
    time::{Duration, Instant},
};

use data_encoding::HEXLOWER;
use nix::{
    fcntl::{RenameFlags, renameat2},
    unistd::geteuid,
};

use super::{
    error::{FilesError, at, io_at},
    merge::Merge,
    path::FilePath,
    remove::remove,
    root::{Inside, Root, open_folder},
    site::Site,
};

/// The place's name in a server's home.
pub(super) const PASSING: &str = "passing";
/// For removing one thing; the rest is left to the next start.
const TIDY: Duration = Duration::from_secs(60);
/// What names that are given now begin with. What begins otherwise, nobody works on any more.
static RUN: LazyLock<String> = LazyLock::new(random);

fn random() -> String {
    let mut random = [0; 8];
    getrandom::fill(&mut random).expect("the kernel has random bytes");
    HEXLOWER.encode(&random)
}

/// A name that nobody has, for what is not whole yet.
pub(super) fn passing_name() -> OsString {
    format!("{}-{}", *RUN, random()).into()
}

fn is_ours(name: &OsStr) -> bool {
    name.as_bytes().starts_with(RUN.as_bytes())
}

/// `path`, which is below a folder, in the folder `base`.
pub(super) fn below(base: &FilePath, path: &FilePath) -> Result<FilePath, FilesError> {
    let mut whole = base.as_bytes().to_vec();
    whole.push(b'/');
    whole.extend_from_slice(path.as_bytes());
    let whole = whole.strip_prefix(b"/").unwrap_or(&whole);
    Ok(FilePath::parse(whole)?)
}

/// A folder in the making. Dropped, what is still there of it goes.
pub(super) struct Making<'a> {
    pub(super) site: &'a Site,
    root: Root,
    name: FilePath,
    /// Originals lie in it that could not be put back: they are left to the next start.
    pub(super) kept: Cell<bool>,
}

impl<'a> Making<'a> {
    /// Begins one, empty.
    pub(super) fn begin(site: &'a Site) -> Result<Self, FilesError> {
        let making = Self {
            site,
            root: site.held_root(PASSING)?,
            name: FilePath::default().join(passing_name().as_bytes())?,
            kept: Cell::new(false),
        };
        making.root.enter()?.make(&making.name)?;
        Ok(making)
    }

    /// The place that it is in.
    pub(super) fn root(&self) -> &Root {
        &self.root
    }

    /// What it is called there.
    pub(super) fn name(&self) -> &FilePath {
        &self.name
    }

    /// What is written down of it.
    pub(super) fn note(&self) -> PathBuf {
        let name = OsStr::from_bytes(self.name.as_bytes());
        self.site.home.join(PASSING).join(name)
    }

    /// Moves all of it to `to`, where nothing may be.
    pub(super) fn publish(&self, inside: &Inside<'_>, to: &FilePath) -> Result<(), FilesError> {
        let _turn = self.site.turn();
        let (old, new) = (
            inside.beside(&self.root).place(&self.name)?,
            inside.place(to)?,
        );
        let flags = RenameFlags::RENAME_NOREPLACE;
        renameat2(&old.folder, &*old.name, &new.folder, &*new.name, flags)
            .map_err(|error| at(to, error))?;
        new.sync()
    }
}

impl Drop for Making<'_> {
    fn drop(&mut self) {
        if self.kept.get() {
            return;
        }
        let Ok(inside) = self.root.enter() else {
            return;
        };
        if inside
            .remove_all(&self.name, Instant::now() + TIDY)
            .is_err()
            && let Ok(old) = inside.place(&self.name)
        {
            // The next round goes on with what no run knows.
            let name = OsString::from(random());
            let flags = RenameFlags::RENAME_NOREPLACE;
            renameat2(&old.folder, &*old.name, &old.folder, &*name, flags).ok();
        }
    }
}

/// What is in the folder `of` that another run left.
fn left(of: &Path) -> io::Result<Vec<OsString>> {
    let entries = match fs::read_dir(of) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let names = entries.map(|entry| entry.map(|entry| entry.file_name()));
    let mut names: Vec<_> = names.collect::<Result<_, _>>()?;
    names.retain(|name| !is_ours(name) && name != "held");
    Ok(names)
}

/// Undoes the mergings in which another run died, in the server whose home that is.
pub(super) fn recover(home: &Path) -> Result<(), FilesError> {
    let fail = |error| io_at(&FilePath::default(), error);
    let outer = home.join(PASSING);
    for name in left(&outer).map_err(fail)? {
        let note = outer.join(&name);
        let text = fs::read(&note).map_err(fail)?;
        // One that is torn was written when nothing had been moved yet.
        if let Ok(merge) = serde_json::from_slice::<Merge>(&text) {
            let folder = home.join("files");
            let owner = fs::metadata(&folder).map_err(fail)?.uid();
            let user = (geteuid().is_root() && owner != 0).then_some(owner);
            let files = Root::open(&folder, user)?;
            let held = Root::open(&outer.join("held"), user)?;
            let inside = files.enter()?;
            let name = FilePath::parse(name.as_bytes())?;
            merge.put_back(&inside, &inside.beside(&held), &name)?;
        }
        forget(&note).map_err(fail)?;
    }
    Ok(())
}

/// Removes what another run made and did not finish. Answers how much that was.
pub(super) fn sweep(home: &Path) -> io::Result<u64> {
    let outer = home.join(PASSING);
    let path = outer.join("held");
    let names = left(&path)?;
    if names.is_empty() {
        return Ok(0);
    }
    let held = open_folder(&path)?;
    let mut gone = 0;
    for name in names {
        // What could not be put back is kept for the next try.
        if !outer.join(&name).exists() {
            remove(&held, &name, Instant::now() + TIDY)?;
            gone += 1;
        }
    }
    Ok(gone)
}

/// Writes `text` as the note `path`, durably.
pub(super) fn write_down(path: &Path, text: &[u8]) -> io::Result<()> {
    fs::write(path, text)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    File::open(path)?.sync_all()?;
    sync_above(path)
}

/// Removes the note `path`, durably.
pub(super) fn forget(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        removed => removed?,
    }
    sync_above(path)
}

fn sync_above(path: &Path) -> io::Result<()> {
    let above = path.parent().expect("a note lies in a folder of ours");
    File::open(above)?.sync_all()
}
