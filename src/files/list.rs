//! A page of a folder's names, of which there may be a hundred thousand: only the page itself is looked at.

use std::{collections::BinaryHeap, os::fd::AsFd as _};

use super::{
    about::Kind,
    error::{FilesError, io_at},
    path::FilePath,
    root::{Inside, look_in, names, read_link_in},
    view::Entry,
};

/// Entries of one page, at most.
pub(crate) const MOST: usize = 1000;

impl Inside<'_> {
    /// The first `count` entries of the folder `path` whose names come after `after`, by name, and the name to go on after
    /// when there are more.
    pub(crate) fn page(
        &self,
        path: &FilePath,
        after: Option<&[u8]>,
        count: usize,
    ) -> Result<(Vec<Entry>, Option<Vec<u8>>), FilesError> {
        let folder = self.folder(path)?;
        let again = folder.as_fd().try_clone_to_owned();
        let again = again.map_err(|error| io_at(path, error))?;
        // The least names so far, the greatest of them on top; one more than asked for says whether there are more.
        let mut least: BinaryHeap<Vec<u8>> = BinaryHeap::with_capacity(count + 2);
        for name in names(folder, path)? {
            let (name, _) = name?;
            if after.is_some_and(|after| *name <= *after) {
                continue;
            }
            if least.len() <= count {
                least.push(name);
            } else if least.peek().is_some_and(|greatest| name < *greatest) {
                least.pop();
                least.push(name);
            }
        }
        let more = least.len() > count;
        let mut names = least.into_sorted_vec();
        names.truncate(count);
        let entries = names.iter().filter_map(|name| {
            let inner = path.join(name).ok()?;
            let about = look_in(&again, &inner).ok()?; // it may be gone already
            let target = match about.kind {
                Kind::Link => read_link_in(&again, &inner).ok(),
                _ => None,
            };
            Some(Entry::new(&inner, &about, target.as_deref()))
        });
        let next = names.last().filter(|_| more).cloned();
        Ok((entries.collect(), next))
    }

    /// One entry.
    pub(crate) fn entry(&self, path: &FilePath) -> Result<Entry, FilesError> {
        let about = self.look(path)?;
        let target = match about.kind {
            Kind::Link => self.read_link(path).ok(),
            _ => None,
        };
        Ok(Entry::new(path, &about, target.as_deref()))
    }
}
