//! The bin: what was deleted, for a while, with where it was.

use std::{
    ffi::OsString,
    fs, io,
    path::Path,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    fcntl::{AtFlags, RenameFlags, renameat2},
    sys::stat::fstatat,
};
use serde::{Deserialize, Serialize};

use super::{
    error::{FilesError, at, io_at},
    path::FilePath,
    remove::remove,
    root::open_folder,
    site::{Lasting, Site},
    view::{Deletion, Entry, shown},
};
use crate::clock::UnixMillis;

/// For removing one thing for good; the rest is left to the next time.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is written beside what was deleted.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    /// Where it was, percent-encoded.
    path: String,
    deleted: UnixMillis,
}

/// The numbers in the bin whose folder is `outer`, least and so oldest first.
fn numbers(outer: &Path) -> io::Result<Vec<u64>> {
    let entries = match fs::read_dir(outer) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut numbers = Vec::new();
    for entry in entries {
        let number = entry?
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<u64>().ok());
        numbers.extend(number);
    }
    numbers.sort_unstable();
    Ok(numbers)
}

fn note(outer: &Path, id: u64) -> Result<(FilePath, UnixMillis), FilesError> {
    let missing = || FilesError::NoSuchDeletion(id);
    let text = fs::read(outer.join(id.to_string())).map_err(|_| missing())?;
    let note: Note = serde_json::from_slice(&text).map_err(|_| missing())?;
    Ok((FilePath::from_raw(&note.path)?, note.deleted))
}

fn number(id: u64) -> FilePath {
    FilePath::parse(id.to_string().as_bytes()).expect("digits are a name")
}

/// Moves `path` into the bin.
pub(super) fn put(site: &Site, path: &FilePath) -> Result<Deletion, FilesError> {
    let (outer, held) = site.held("bin")?;
    let fail = |error| io_at(path, error);
    let newest = numbers(&outer).map_err(fail)?.last().copied().unwrap_or(0);
    let deleted = UnixMillis::now();
    // Numbers are moments, so that they are in order and none is given twice.
    let id = deleted.0.max(newest + 1);
    let note = Note {
        path: path.raw(),
        deleted,
    };
    let beside = outer.join(id.to_string());
    let text = serde_json::to_vec(&note).expect("two plain fields");
    let moved = fs::write(&beside, text)
        .and_then(|()| fs::File::open(&beside)?.sync_all())
        .map_err(fail)
        .and_then(|()| {
            let inside = site.enter()?;
            let place = inside.place(path)?;
            let about = place.look()?;
            let name = OsString::from(id.to_string());
            let flags = RenameFlags::RENAME_NOREPLACE;
            renameat2(&place.folder, &*place.name, &held, &*name, flags)
                .map_err(|error| at(path, error))?;
            place.sync()?;
            Ok(about)
        });
    match moved {
        Ok(about) => {
            let (path, raw) = shown(path.as_bytes());
            Ok(Deletion {
                id,
                path,
                raw,
                deleted,
                kind: about.kind,
            })
        }
        Err(error) => {
            fs::remove_file(&beside).ok(); // it says nothing of anything
            Err(error)
        }
    }
}

/// What can be had back, newest first.
pub(super) fn list(site: &Site) -> Result<Vec<Deletion>, FilesError> {
    let outer = site.home.join("bin");
    let root = site.held_root("bin")?;
    let numbers = numbers(&outer).map_err(|error| io_at(&FilePath::default(), error))?;
    let notes = numbers.into_iter().rev().map(|id| (id, note(&outer, id)));
    let notes: Vec<_> = notes.collect();
    let inside = root.enter()?;
    let shown = notes.into_iter().filter_map(|(id, note)| {
        let (path, deleted) = note.ok()?;
        let kind = inside.look(&number(id)).ok()?.kind;
        let (path, raw) = shown(path.as_bytes());
        Some(Deletion {
            id,
            path,
            raw,
            deleted,
            kind,
        })
    });
    Ok(shown.collect())
}

/// Takes it out again, to where it was or to `to`.
pub(super) fn take(site: &Site, id: u64, to: Option<&FilePath>) -> Result<Entry, FilesError> {
    let (outer, held) = site.held("bin")?;
    let (was, _) = note(&outer, id)?;
    let to = to.unwrap_or(&was);
    let entry = {
        let inside = site.enter()?;
        if let Some((parent, _)) = to.split() {
            inside.make_all(&parent)?;
        }
        let place = inside.place(to)?;
        let name = OsString::from(id.to_string());
        let missing = |error| match error {
            Errno::ENOENT => FilesError::NoSuchDeletion(id),
            error => at(to, error),
        };
        // What it is is seen before: where it is then, the game may change at once.
        let stat = fstatat(&held, &*name, AtFlags::AT_SYMLINK_NOFOLLOW).map_err(missing)?;
        let flags = RenameFlags::RENAME_NOREPLACE;
        renameat2(&held, &*name, &place.folder, &*place.name, flags).map_err(missing)?;
        place.sync()?;
        Entry::new(to, &stat.into(), None)
    };
    fs::remove_file(outer.join(id.to_string())).ok(); // without what it tells of it is not shown
    Ok(entry)
}

/// Removes one thing that somebody named for good.
pub(super) fn purge_one(site: &Site, id: u64) -> Result<(), FilesError> {
    note(&site.home.join("bin"), id)?;
    drop_one(site, id)
}

/// Removes one thing for good, also when what was written down of it is torn.
fn drop_one(site: &Site, id: u64) -> Result<(), FilesError> {
    let (outer, held) = site.held("bin")?;
    let room = {
        let root = site.held_root("bin")?;
        root.enter()?.room(&number(id)).unwrap_or(0)
    };
    let name = OsString::from(id.to_string());
    remove(&held, &name, Instant::now() + PATIENCE).map_err(|error| at(&number(id), error))?;
    // As long as it is there, the same would give way again and again.
    match fs::remove_file(outer.join(id.to_string())) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(io_at(&number(id), error));
        }
        _ => {}
    }
    site.lasting.room.change(0, room);
    Ok(())
}

/// Makes room: removes what was deleted first. False when the bin is empty.
pub(super) fn drop_oldest(site: &Site) -> Result<bool, FilesError> {
    let _turn = site.turn();
    let outer = site.home.join("bin");
    let numbers = numbers(&outer).map_err(|error| io_at(&FilePath::default(), error))?;
    match numbers.first() {
        Some(&oldest) => drop_one(site, oldest).map(|()| true),
        None => Ok(false),
    }
}

/// Removes for good what was deleted before `before` from the server whose home that is. Answers how much went.
pub(super) fn purge(home: &Path, lasting: &Lasting, before: UnixMillis) -> io::Result<u64> {
    let outer = home.join("bin");
    let mut gone = 0;
    for id in numbers(&outer)? {
        let due = match note(&outer, id) {
            Ok((_, deleted)) => deleted < before,
            // Half written when the box died.
            Err(_) => id < before.0,
        };
        if due {
            let _turn = lasting.turn();
            let held = open_folder(&outer.join("held"))?;
            let name = OsString::from(id.to_string());
            remove(&held, &name, Instant::now() + PATIENCE)?;
            fs::remove_file(outer.join(id.to_string()))?;
            gone += 1;
        }
    }
    Ok(gone)
}
