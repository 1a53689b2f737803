//! Moves what was made into a folder that is there: all of it, or nothing. What is about to be moved is written down
//! first, so that it can be put back, also after a crash in the middle.
//!
//! ```text
//!  look what is in the way ─► write down ─► move, or exchange with what is there ─► sync ─► strike out: it is done
//!                                              └ fails, or the daemon dies ─► move back, or exchange again ─► strike out
//! ```

use std::{
    collections::{BTreeMap, HashSet},
    io,
};

use nix::{
    errno::Errno,
    fcntl::{RenameFlags, renameat2},
    unistd::syncfs,
};
use serde::{Deserialize, Serialize};

use super::{
    about::Kind,
    error::{FilesError, at, io_at},
    passing::{Making, below, forget, write_down},
    path::FilePath,
    root::{Inside, Replace},
};

/// What is written down.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Merge {
    /// The folder that all of it goes to, percent-encoded.
    to: String,
    /// Below that, also percent-encoded, with the number by which the disk knows it: whatever else is there in the end,
    /// the game put there.
    moves: Vec<(String, u64)>,
}

impl Making<'_> {
    /// Moves everything into the folder `to`. `made` is all that there is, below this. Answers how much room was in what
    /// was replaced.
    pub(super) fn merge(
        &self,
        inside: &Inside<'_>,
        to: &FilePath,
        made: &BTreeMap<FilePath, Kind>,
        replace: Replace,
    ) -> Result<u64, FilesError> {
        let note = self.note();
        let told = |done: io::Result<()>| done.map_err(|error| io_at(to, error));
        let forgotten = || told(inside.outside(|| forget(&note)));
        let aside = inside.beside(self.root());
        let _turn = self.site.turn();
        let (merge, replaced) = plan(inside, &aside, self.name(), to, made, replace)?;
        let text = serde_json::to_vec(&merge).expect("plain fields");
        let written = told(inside.outside(|| write_down(&note, &text)));
        let done = written
            .and_then(|()| merge.carry(inside, &aside, self.name(), replace))
            .and_then(|()| synced(inside))
            .and_then(|()| forgotten());
        let Err(error) = done else {
            return Ok(replaced);
        };
        let back = merge.put_back(inside, &aside, self.name());
        if let Err(left) = back.and_then(|()| forgotten()) {
            tracing::error!(folder = %to, error = %left, "a folder was filled by half: the next start tries to undo it");
            self.kept.set(true);
        }
        Err(error)
    }
}

/// What is to be moved, if nothing is in the way, and the room of what is replaced.
fn plan(
    inside: &Inside<'_>,
    aside: &Inside<'_>,
    name: &FilePath,
    to: &FilePath,
    made: &BTreeMap<FilePath, Kind>,
    replace: Replace,
) -> Result<(Merge, u64), FilesError> {
    let mut shared = HashSet::new();
    let (mut moves, mut replaced) = (Vec::new(), 0);
    for (path, kind) in made {
        // What lies in a folder that is new is moved with it. Folders come before what is in them.
        let parent = path.split().map(|(parent, _)| parent);
        if parent.is_some_and(|parent| !parent.is_root() && !shared.contains(&parent)) {
            continue;
        }
        let target = below(to, path)?;
        match (kind, inside.look_if_any(&target)?) {
            (_, None) => {}
            (Kind::Folder, Some(about)) if about.kind == Kind::Folder => {
                shared.insert(path.clone());
                continue;
            }
            (Kind::Folder, Some(_)) => return Err(FilesError::NotFolder(target)),
            (_, Some(about)) if about.kind == Kind::Folder => {
                return Err(FilesError::IsFolder(target));
            }
            (_, Some(_)) if replace == Replace::No => return Err(FilesError::Exists(target)),
            (_, Some(about)) => replaced += about.room,
        }
        let made = aside.look(&below(name, path)?)?;
        moves.push((path.raw(), made.identity.1));
    }
    let to = to.raw();
    Ok((Merge { to, moves }, replaced))
}

/// Everything is on the disk: what was written down may be struck out.
fn synced(inside: &Inside<'_>) -> Result<(), FilesError> {
    let whole = FilePath::default();
    let top = inside.folder(&whole)?;
    syncfs(&top).map_err(|error| at(&whole, error))
}

impl Merge {
    /// Where it is to be.
    fn target(&self, path: &FilePath) -> Result<FilePath, FilesError> {
        below(&FilePath::from_raw(&self.to)?, path)
    }

    /// Moves everything, in order, up to where that fails.
    fn carry(
        &self,
        inside: &Inside<'_>,
        aside: &Inside<'_>,
        name: &FilePath,
        replace: Replace,
    ) -> Result<(), FilesError> {
        let paths = self.moves.iter().map(|(path, _)| path);
        for path in paths {
            let path = FilePath::from_raw(path)?;
            let target = self.target(&path)?;
            let (old, new) = (aside.place(&below(name, &path)?)?, inside.place(&target)?);
            let carry = |flags| renameat2(&old.folder, &*old.name, &new.folder, &*new.name, flags);
            match carry(RenameFlags::RENAME_NOREPLACE) {
                Err(Errno::EEXIST)
                    if replace == Replace::Yes && old.look()?.kind != Kind::Folder =>
                {
                    carry(RenameFlags::RENAME_EXCHANGE).map_err(|error| at(&target, error))?;
                    // The game may have put a folder there just now.
                    if old.look()?.kind == Kind::Folder {
                        return Err(FilesError::IsFolder(target));
                    }
                }
                moved => moved.map_err(|error| at(&target, error))?,
            }
        }
        Ok(())
    }

    /// Puts back what was moved, last first, as far as it is still there: what was exchanged goes where it was.
    pub(super) fn put_back(
        &self,
        inside: &Inside<'_>,
        aside: &Inside<'_>,
        name: &FilePath,
    ) -> Result<(), FilesError> {
        for (path, number) in self.moves.iter().rev() {
            let path = FilePath::from_raw(path)?;
            let target = self.target(&path)?;
            let new = match inside.place(&target) {
                Err(FilesError::NoSuchFile(_) | FilesError::NotFolder(_)) => continue,
                place => place?,
            };
            match new.look() {
                Ok(about) if about.identity.1 == *number => {}
                Ok(_) | Err(FilesError::NoSuchFile(_)) => continue,
                Err(error) => return Err(error),
            }
            let old = aside.place(&below(name, &path)?)?;
            let flags = match old.look() {
                Ok(_) => RenameFlags::RENAME_EXCHANGE,
                Err(FilesError::NoSuchFile(_)) => RenameFlags::RENAME_NOREPLACE,
                Err(error) => return Err(error),
            };
            renameat2(&new.folder, &*new.name, &old.folder, &*old.name, flags)
                .map_err(|error| at(&target, error))?;
        }
        synced(inside)
    }
}
