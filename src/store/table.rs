//! Typed tables: a name, a format byte, and bincode.
//!
//! ```text
//! stored value:  | format: u8 | bincode of the record (little endian, varint) |
//! ```
//!
//! A record of an older format is read by its type's `upgrade` chain, and written anew when it is next put.

use std::{fmt::Write, marker::PhantomData};

use bincode::config::{Configuration, Limit, LittleEndian, Varint, standard};
use serde::{Serialize, de::DeserializeOwned};

use super::StoreError;

/// Bytes of one stored record, at most. sled puts what exceeds an eighth of its segments beside its log.
pub(super) const RECORD_LIMIT: usize = 64 << 10;

/// What may be read is bounded too, so that a corrupt length cannot ask for gigabytes.
const CONFIG: Configuration<LittleEndian, Varint, Limit<{ 256 << 10 }>> = standard().with_limit();

/// A value that a table holds. Keys are big-endian ids or lowercase names, so that scans are in order.
///
/// bincode does not describe itself: no `serde_json::Value`, `flatten`, `untagged` or `skip_serializing_if` in a
/// record; hold JSON as a `String`.
pub trait Record: Serialize + DeserializeOwned + Send + 'static {
    /// The table's name, for ever.
    const TABLE: &'static str;
    /// The leading byte of each stored value.
    const FORMAT: u8;
    /// Reads the body of a record that an older release wrote. See [`from_bytes`].
    fn upgrade(format: u8, body: &[u8]) -> Option<Self> {
        let _ = (format, body);
        None
    }
    /// The same for the JSON in a backup that an older release wrote.
    fn upgrade_json(format: u8, value: serde_json::Value) -> Option<Self> {
        let _ = (format, value);
        None
    }
}

/// One typed table, a name only: `const ACCOUNTS: Table<Account> = Table::new();`
pub struct Table<R>(PhantomData<fn() -> R>);

impl<R: Record> Table<R> {
    /// The table of `R`.
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

impl<R: Record> Default for Table<R> {
    fn default() -> Self {
        Self::new()
    }
}

impl<R> Clone for Table<R> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<R> Copy for Table<R> {}

/// Decodes a bincode body written by this or an older release: for `Record::upgrade`.
pub fn from_bytes<T: DeserializeOwned>(body: &[u8]) -> Option<T> {
    let (value, read) = bincode::serde::decode_from_slice(body, CONFIG).ok()?;
    (read == body.len()).then_some(value)
}

pub(super) fn to_bytes<T: Serialize>(value: &T, mut out: Vec<u8>) -> Vec<u8> {
    bincode::serde::encode_into_std_write(value, &mut out, CONFIG)
        .expect("records are plain data, and a Vec takes every byte");
    out
}

/// The stored form of a record.
pub(super) fn encode<R: Record>(record: &R) -> Result<Vec<u8>, StoreError> {
    let stored = to_bytes(record, vec![R::FORMAT]);
    debug_assert!(
        from_bytes::<R>(&stored[1..]).is_some(),
        "a record of table `{}` does not decode what it encodes",
        R::TABLE
    );
    if stored.len() > RECORD_LIMIT {
        return Err(StoreError::TooLarge {
            bytes: stored.len(),
            limit: RECORD_LIMIT,
        });
    }
    Ok(stored)
}

/// The record in a stored value, upgraded if need be.
pub(super) fn decode<R: Record>(key: &[u8], stored: &[u8]) -> Result<R, StoreError> {
    match stored.split_first() {
        Some((&format, body)) if format == R::FORMAT => from_bytes(body),
        Some((&format, body)) => R::upgrade(format, body),
        None => None,
    }
    .ok_or_else(|| StoreError::Corrupt {
        table: R::TABLE,
        key: key_text(key),
    })
}

/// A key as people read it: names as they are, everything else as `0x` and hex.
pub(super) fn key_text(key: &[u8]) -> String {
    match str::from_utf8(key) {
        Ok(text) if !text.is_empty() && key.iter().all(u8::is_ascii_graphic) => text.into(),
        _ => key.iter().fold("0x".into(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("a String takes every byte");
            text
        }),
    }
}

/// How far the ids of a series went, and the store's schema: what table `meta` counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
pub(super) struct Counter(pub(super) u64);

impl Record for Counter {
    const TABLE: &'static str = "meta";
    const FORMAT: u8 = 1;
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct PlayerV1(String);

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Player {
        name: String,
        rating: i32,
    }

    impl Record for Player {
        const TABLE: &'static str = "player";
        const FORMAT: u8 = 2;
        fn upgrade(format: u8, body: &[u8]) -> Option<Self> {
            let PlayerV1(name) = (format == 1).then(|| from_bytes(body))??;
            Some(Self { name, rating: 1500 })
        }
    }

    #[test]
    fn golden_bytes() {
        let ada = Player {
            name: "ada".into(),
            rating: -2,
        };
        assert_eq!(encode(&ada).unwrap(), b"\x02\x03ada\x03");
    }

    #[test]
    fn a_record_of_an_older_release_is_upgraded() {
        let old = to_bytes(&PlayerV1("ada".into()), vec![1]);
        let player: Player = decode(b"ada", &old).unwrap();
        assert_eq!((player.name.as_str(), player.rating), ("ada", 1500));
    }

    #[test]
    fn a_record_that_does_not_decode_is_named() {
        for (key, stored, text) in [
            (&b"ada"[..], &b""[..], "key ada:"),
            (&7u64.to_be_bytes(), b"\x02\xff", "key 0x0000000000000007:"),
            (b"a b", b"\x09anything", "key 0x612062:"),
            (b"", b"\x02\x03ada\x03trailing", "key 0x:"),
        ] {
            let error = decode::<Player>(key, stored).unwrap_err().to_string();
            assert!(
                error.contains("table `player`") && error.contains(text),
                "{error}"
            );
        }
    }

    #[test]
    fn what_is_too_large_is_refused_before_it_is_stored() {
        let name = "x".repeat(RECORD_LIMIT);
        let error = encode(&Player { name, rating: 0 }).unwrap_err();
        assert!(matches!(error, StoreError::TooLarge { .. }), "{error}");
    }

    proptest! {
        #[test]
        fn records_round_trip(name in ".*", rating: i32) {
            let player = Player { name, rating };
            let stored = encode(&player).unwrap();
            prop_assert_eq!(decode::<Player>(b"k", &stored).unwrap(), player);
        }

        #[test]
        fn any_bytes_decode_or_refuse(stored in prop::collection::vec(any::<u8>(), 0..200)) {
            decode::<Player>(b"k", &stored).ok();
        }
    }
}
