//! Goes through a folder and all below it, while the game changes it: what vanishes or shuts itself is passed over.

use std::{collections::HashSet, os::fd::AsFd as _};

use super::{
    about::{About, Kind},
    error::{FilesError, io_at},
    path::FilePath,
    root::{Inside, look_in, names},
};

/// Where a walk goes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Go {
    /// On, and down where it is a folder.
    On,
    /// No further.
    Stop,
}

impl Inside<'_> {
    /// Calls `each` with everything below `from`, a folder before what is in it. No link is followed. Answers how much
    /// was passed over: folders that cannot be read, and what lies deeper than a path is long.
    pub(crate) fn walk(
        &self,
        from: &FilePath,
        mut each: impl FnMut(&FilePath, &About) -> Result<Go, FilesError>,
    ) -> Result<u64, FilesError> {
        let mut passed = 0;
        let mut folders = vec![from.clone()];
        let mut first = true;
        while let Some(path) = folders.pop() {
            let folder = match self.plain_folder(&path) {
                Ok(folder) => folder,
                Err(error) if first => return Err(error),
                Err(_) => {
                    passed += 1;
                    continue;
                }
            };
            first = false;
            let again = folder.as_fd().try_clone_to_owned();
            let again = again.map_err(|error| io_at(&path, error))?;
            for name in names(folder, &path)? {
                let Ok((name, _)) = name else {
                    passed += 1;
                    break;
                };
                let Ok(inner) = path.join(&name) else {
                    passed += 1;
                    continue;
                };
                let Ok(about) = look_in(&again, &inner) else {
                    continue; // it is gone already
                };
                match each(&inner, &about)? {
                    Go::Stop => return Ok(passed),
                    Go::On if about.kind == Kind::Folder => folders.push(inner),
                    Go::On => {}
                }
            }
        }
        Ok(passed)
    }

    /// Bytes on the disk of `from` and all below it. A file with several names counts once.
    pub(crate) fn room(&self, from: &FilePath) -> Result<u64, FilesError> {
        let mut bytes = 0;
        let mut seen = HashSet::new();
        let mut add = |about: &About| {
            let again =
                about.names > 1 && about.kind != Kind::Folder && !seen.insert(about.identity);
            if !again {
                bytes += about.room;
            }
        };
        let about = self.look(from)?;
        add(&about);
        if about.kind == Kind::Folder {
            self.walk(from, |_, about| {
                add(about);
                Ok(Go::On)
            })?;
        }
        Ok(bytes)
    }
}
