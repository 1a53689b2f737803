//! A walk over a table from either end, some records at a time, so that nobody holds anything between two of them.

use std::{collections::VecDeque, marker::PhantomData, ops::Bound, sync::Arc};

use super::{
    StoreError,
    engine::{Pair, Range},
    group::Shared,
    table::{Record, decode},
};

/// No limit.
pub(super) const ALL: usize = usize::MAX;
const AT_A_TIME: usize = 64;

/// All keys that start with `prefix`.
pub(super) fn within(prefix: &[u8]) -> Range {
    let mut after = prefix.to_vec();
    while after.last() == Some(&u8::MAX) {
        after.pop();
    }
    let end = match after.last_mut() {
        Some(last) => {
            *last += 1;
            Bound::Excluded(after)
        }
        None => Bound::Unbounded,
    };
    (Bound::Included(prefix.to_vec()), end)
}

/// See [`super::Store::scan`].
pub(super) struct Scan<R> {
    shared: Arc<Shared>,
    /// What was not read yet.
    left: Range,
    front: VecDeque<Pair>,
    /// From the end backwards.
    back: VecDeque<Pair>,
    failed: bool,
    record: PhantomData<fn() -> R>,
}

impl<R: Record> Scan<R> {
    pub(super) fn new(shared: Arc<Shared>, prefix: &[u8]) -> Self {
        Self {
            shared,
            left: within(prefix),
            front: VecDeque::new(),
            back: VecDeque::new(),
            failed: false,
            record: PhantomData,
        }
    }

    /// Only keys below `prefix` with `below` after it.
    pub(super) fn below(mut self, prefix: &[u8], below: &[u8]) -> Self {
        self.left.1 = Bound::Excluded([prefix, below].concat());
        self
    }

    fn read(&mut self, back: bool) -> Result<VecDeque<Pair>, StoreError> {
        let range = self.left.clone();
        let pairs = self
            .shared
            .read(|engine| engine.pairs(R::TABLE, range, back, AT_A_TIME))?;
        if let Some((key, _)) = pairs.last() {
            let edge = Bound::Excluded(key.to_vec());
            *(if back {
                &mut self.left.1
            } else {
                &mut self.left.0
            }) = edge;
        }
        Ok(pairs.into())
    }

    fn step(&mut self, back: bool) -> Option<Result<(Vec<u8>, R), StoreError>> {
        if self.failed {
            return None;
        }
        let near = if back { &self.back } else { &self.front };
        if near.is_empty() {
            match self.read(back) {
                Ok(pairs) if back => self.back = pairs,
                Ok(pairs) => self.front = pairs,
                Err(error) => {
                    self.failed = true;
                    return Some(Err(error));
                }
            }
        }
        let (near, far) = match back {
            true => (&mut self.back, &mut self.front),
            false => (&mut self.front, &mut self.back),
        };
        let (key, stored) = near.pop_front().or_else(|| far.pop_back())?;
        Some(decode(&key, &stored).map(|record| (key.to_vec(), record)))
    }
}

impl<R: Record> Iterator for Scan<R> {
    type Item = Result<(Vec<u8>, R), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.step(false)
    }
}

impl<R: Record> DoubleEndedIterator for Scan<R> {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.step(true)
    }
}
