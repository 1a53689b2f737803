//! A transaction: the store as last written, with its own changes laid over it.

use std::collections::BTreeMap;

use super::{
    StoreError,
    engine::Changes,
    group::Shared,
    scan::{self, within},
    table::{Counter, Record, Table, decode, encode},
};

/// Inside a transaction: reads see its own writes. Other writers wait; readers do not.
pub struct Tx<'a> {
    shared: &'a Shared,
    changes: Changes,
}

impl<'a> Tx<'a> {
    pub(super) fn new(shared: &'a Shared) -> Self {
        Self {
            shared,
            changes: Changes::new(),
        }
    }

    pub(super) fn into_changes(self) -> Changes {
        self.changes
    }

    /// The record under `key`.
    pub fn get<R: Record>(
        &self,
        _table: Table<R>,
        key: impl AsRef<[u8]>,
    ) -> Result<Option<R>, StoreError> {
        let key = key.as_ref();
        match self.changed::<R>(key) {
            Some(Some(stored)) => decode(key, stored).map(Some),
            Some(None) => Ok(None),
            None => self
                .shared
                .get(R::TABLE, key)?
                .map(|stored| decode(key, &stored))
                .transpose(),
        }
    }

    fn changed<R: Record>(&self, key: &[u8]) -> Option<&Option<Vec<u8>>> {
        self.changes.get(R::TABLE)?.get(key)
    }

    /// Writes or replaces.
    pub fn put<R: Record>(
        &mut self,
        _table: Table<R>,
        key: impl AsRef<[u8]>,
        record: &R,
    ) -> Result<(), StoreError> {
        let stored = encode(record)?;
        self.set::<R>(key.as_ref(), Some(stored));
        Ok(())
    }

    /// Removes; true when something was there.
    pub fn delete<R: Record>(
        &mut self,
        _table: Table<R>,
        key: impl AsRef<[u8]>,
    ) -> Result<bool, StoreError> {
        let key = key.as_ref();
        let stored = self.shared.get(R::TABLE, key)?;
        let was = match self.changed::<R>(key) {
            Some(change) => change.is_some(),
            None => stored.is_some(),
        };
        match stored {
            Some(_) => self.set::<R>(key, None),
            None => {
                let table = self.changes.entry(R::TABLE).or_default();
                table.remove(key);
            }
        }
        Ok(was)
    }

    fn set<R: Record>(&mut self, key: &[u8], change: Option<Vec<u8>>) {
        let table = self.changes.entry(R::TABLE).or_default();
        table.insert(key.into(), change);
    }

    /// All records whose key starts with `prefix`, in key order, with this transaction's own writes.
    pub fn scan<R: Record>(
        &self,
        _table: Table<R>,
        prefix: &[u8],
    ) -> Result<Vec<(Vec<u8>, R)>, StoreError> {
        let range = within(prefix);
        let applied = self
            .shared
            .read(|engine| engine.pairs(R::TABLE, range.clone(), false, scan::ALL))?;
        let mut stored: BTreeMap<&[u8], &[u8]> = applied
            .iter()
            .map(|(key, value)| (&key[..], &value[..]))
            .collect();
        let own = self.changes.get(R::TABLE);
        for (key, change) in own.into_iter().flat_map(|table| table.range(range.clone())) {
            match change {
                Some(value) => stored.insert(key, value),
                None => stored.remove(&key[..]),
            };
        }
        stored
            .into_iter()
            .map(|(key, value)| Ok((key.to_vec(), decode(key, value)?)))
            .collect()
    }

    /// The next never-used id of a series (from 1), counted in table `meta`.
    pub fn next_id(&mut self, series: &'static str) -> Result<u64, StoreError> {
        const META: Table<Counter> = Table::new();
        let key = format!("next/{series}");
        let Counter(last) = self.get(META, &key)?.unwrap_or(Counter(0));
        self.put(META, key, &Counter(last + 1))?;
        Ok(last + 1)
    }
}
