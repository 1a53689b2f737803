//! A page of a folder's names, of which there may be a hundred thousand: only the page itself is looked at.

use std::mem::MaybeUninit;

use rustix::fs::RawDir;

use super::{
    about::Kind,
    error::{FilesError, io_at},
    path::FilePath,
    root::{Inside, look_in, read_link_in},
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
        // One more than asked for says whether there are more.
        let mut least = Least::new(count + 1);
        let mut room = [MaybeUninit::uninit(); 64 << 10];
        let mut listing = RawDir::new(&folder, &mut room);
        while let Some(entry) = listing.next() {
            let entry = entry.map_err(|error| io_at(path, error.into()))?;
            let name = entry.file_name().to_bytes();
            if after.is_none_or(|after| name > after) && name != b"." && name != b".." {
                least.put(name);
            }
        }
        let mut names = least.sorted();
        let more = names.len() > count;
        names.truncate(count);
        let entries = names.iter().filter_map(|name| {
            let inner = path.join(name).ok()?;
            let about = look_in(&folder, &inner).ok()?; // it may be gone already
            let target = match about.kind {
                Kind::Link => read_link_in(&folder, &inner).ok(),
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

/// The least of many names, whatever order they come in: gathered until there are several times as many as wanted, and
/// then all but the least forgotten at once, which takes a constant time for each name where a heap's grows.
struct Least {
    count: usize,
    names: Vec<Vec<u8>>,
    /// What is not below this is none of them.
    bound: Option<Vec<u8>>,
}

impl Least {
    /// How many times as many as wanted are gathered.
    const TIMES: usize = 8;

    /// Of `count`, which is not 0.
    fn new(count: usize) -> Self {
        Self {
            count,
            names: Vec::with_capacity(count * Self::TIMES),
            bound: None,
        }
    }

    fn put(&mut self, name: &[u8]) {
        if self.bound.as_ref().is_some_and(|bound| name >= &**bound) {
            return;
        }
        self.names.push(name.to_vec());
        if self.names.len() == self.count * Self::TIMES {
            self.cut();
        }
    }

    fn cut(&mut self) {
        if self.names.len() > self.count {
            let (_, bound, _) = self.names.select_nth_unstable(self.count);
            self.bound = Some(std::mem::take(bound));
            self.names.truncate(self.count);
        }
    }

    fn sorted(mut self) -> Vec<Vec<u8>> {
        self.cut();
        self.names.sort_unstable();
        self.names
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        #[test]
        fn the_least_names_are_found_in_whatever_order_they_come(
            names in vec(vec(any::<u8>(), 0..3), 0..200),
            count in 1_usize..20,
        ) {
            let mut least = Least::new(count);
            names.iter().for_each(|name| least.put(name));
            let mut all = names;
            all.sort();
            all.truncate(count);
            prop_assert_eq!(least.sorted(), all);
        }
    }
}
