//! All record types of the house in one list: what `check` decodes, and what backups turn into JSON and back.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::{
    Store, StoreError,
    engine::Pair,
    group::Shared,
    scan::within,
    table::{Counter, Record, decode, encode, key_text},
};

const AT_A_TIME: usize = 256;

/// The record types: `Catalog::new().with::<Account>().with::<Server>()`. Table `meta` is always there.
#[derive(Clone)]
pub struct Catalog(BTreeMap<&'static str, Codec>);

/// One record type, without its type.
#[derive(Clone, Copy)]
struct Codec {
    to_json: fn(&[u8]) -> Option<Json>,
    from_json: fn(u8, Value) -> Option<Vec<u8>>,
}

/// A stored value on its way into a backup.
pub(super) enum Json {
    /// Which comes back as the same record.
    Exact(u8, Value),
    /// JSON cannot express it (a NaN, say).
    Inexpressible,
}

impl Default for Catalog {
    fn default() -> Self {
        Self::new()
    }
}

impl Catalog {
    /// The store's own tables only.
    pub fn new() -> Self {
        Self(BTreeMap::new()).with::<Counter>()
    }

    /// And the table of `R`.
    #[must_use]
    pub fn with<R: Record>(mut self) -> Self {
        let codec = Codec {
            to_json: to_json::<R>,
            from_json: from_json::<R>,
        };
        let twice = self.0.insert(R::TABLE, codec);
        assert!(twice.is_none(), "two record types claim `{}`", R::TABLE);
        self
    }

    /// The JSON of a stored value; none when it does not decode, or the table is not known.
    pub(super) fn json(&self, table: &str, stored: &[u8]) -> Option<Json> {
        (self.0.get(table)?.to_json)(stored)
    }

    /// The stored form of what [`Self::json`] made, here or in an older release.
    pub(super) fn stored(&self, table: &str, format: u8, value: Value) -> Option<Vec<u8>> {
        (self.0.get(table)?.from_json)(format, value)
    }

    pub(super) fn knows(&self, table: &str) -> bool {
        self.0.contains_key(table)
    }
}

fn to_json<R: Record>(stored: &[u8]) -> Option<Json> {
    let record: R = decode(b"", stored).ok()?;
    let value = serde_json::to_string(&record)
        .and_then(|text| serde_json::from_str::<Value>(&text))
        .ok();
    let same = |value: &Value| from_json::<R>(R::FORMAT, value.clone()) == encode(&record).ok();
    Some(match value.filter(same) {
        Some(value) => Json::Exact(R::FORMAT, value),
        None => Json::Inexpressible,
    })
}

fn from_json<R: Record>(format: u8, value: Value) -> Option<Vec<u8>> {
    let record = match format == R::FORMAT {
        true => serde_json::from_value(value).ok()?,
        false => R::upgrade_json(format, value)?,
    };
    encode::<R>(&record).ok()
}

/// Something that this release cannot read. It is kept as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "fault", rename_all = "kebab-case")]
pub enum Fault {
    /// A record that does not decode.
    #[error("table `{table}`, key {key}: the record does not decode")]
    Corrupt {
        /// The table's name.
        table: String,
        /// The key, printable or as hex.
        key: String,
    },
    /// A table of a newer release.
    #[error("table `{table}` is not known to this release")]
    UnknownTable {
        /// The table's name.
        table: String,
    },
    /// The disk does not give it.
    #[error("table `{table}` cannot be read to its end: {cause}")]
    Unreadable {
        /// The table's name.
        table: String,
        /// Why.
        cause: String,
    },
}

impl Store {
    /// Decodes every record of every table: all faults at once. For a thread that may block.
    pub fn check(&self, catalog: &Catalog) -> Vec<Fault> {
        let shared = &self.0.shared;
        let tables = match shared.read(|engine| Ok(engine.tables())) {
            Ok(tables) => tables,
            Err(error) => return vec![unreadable("", &error)],
        };
        let mut faults = Vec::new();
        for table in tables {
            if !catalog.knows(&table) {
                faults.push(Fault::UnknownTable { table });
                continue;
            }
            let read = for_each(shared, &table, |(key, stored)| {
                if catalog.json(&table, &stored).is_none() {
                    faults.push(corrupt(&table, &key));
                }
            });
            if let Err(error) = read {
                faults.push(unreadable(&table, &error));
            }
        }
        faults
    }
}

/// Every pair of a table, in order.
pub(super) fn for_each(
    shared: &Shared,
    table: &str,
    mut each: impl FnMut(Pair),
) -> Result<(), StoreError> {
    let mut left = within(b"");
    loop {
        let pairs = shared.read(|engine| engine.pairs(table, left.clone(), false, AT_A_TIME))?;
        let Some((last, _)) = pairs.last() else {
            return Ok(());
        };
        left.0 = std::ops::Bound::Excluded(last.to_vec());
        pairs.into_iter().for_each(&mut each);
    }
}

pub(super) fn corrupt(table: &str, key: &[u8]) -> Fault {
    Fault::Corrupt {
        table: table.into(),
        key: key_text(key),
    }
}

fn unreadable(table: &str, error: &StoreError) -> Fault {
    Fault::Unreadable {
        table: table.into(),
        cause: error.to_string(),
    }
}
