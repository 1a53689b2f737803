//! The store as a whole: against a model, killed, and on a full disk.

mod backups;
mod crash;
mod full;
mod model;

use serde::{Deserialize, Serialize};

use super::*;
use crate::clock::UnixMillis;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Person {
    pub(super) name: String,
    pub(super) id: u64,
    pub(super) seen: Option<UnixMillis>,
    pub(super) face: Vec<u8>,
    pub(super) ratio: f64,
}

impl Person {
    pub(super) fn new(id: u64) -> Self {
        Self {
            name: format!("person {id}"),
            id,
            seen: None,
            face: Vec::new(),
            ratio: 0.5,
        }
    }
}

impl Record for Person {
    const TABLE: &'static str = "person";
    const FORMAT: u8 = 1;
}

/// From a name to an id.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Name(pub(super) u64);

impl Record for Name {
    const TABLE: &'static str = "name";
    const FORMAT: u8 = 1;
}

pub(super) const PEOPLE: Table<Person> = Table::new();
pub(super) const NAMES: Table<Name> = Table::new();

pub(super) fn catalog() -> Catalog {
    Catalog::new().with::<Person>().with::<Name>()
}

pub(super) fn put_person(store: &Store, id: u64) -> Result<(), StoreError> {
    store.write_blocking(|tx| tx.put(PEOPLE, id.to_be_bytes(), &Person::new(id)))
}

pub(super) fn ids(store: &Store) -> Vec<u64> {
    let people = store.scan(PEOPLE, b"");
    people.map(|person| person.unwrap().1.id).collect()
}

/// What is stored, whatever it is.
pub(super) fn put_raw(state: &Path, table: &str, key: &[u8], stored: &[u8]) {
    let mut engine = engine::Engine::open(&state.join("store")).unwrap();
    engine.put(table, key, stored).unwrap();
    engine.flush().unwrap();
}

#[test]
fn a_corrupt_record_is_named_and_the_rest_works() {
    let state = tempfile::tempdir().unwrap();
    for id in [1, 3] {
        put_person(&Store::open(state.path()).unwrap(), id).unwrap();
    }
    put_raw(state.path(), "person", &2u64.to_be_bytes(), b"\x01junk");
    put_raw(state.path(), "garden", b"rose", b"\x01red");

    let store = Store::open(state.path()).unwrap();
    let found: Vec<_> = store.scan(PEOPLE, b"").collect();
    assert_eq!(found.iter().filter(|person| person.is_ok()).count(), 2);
    let told = "table `person`, key 0x0000000000000002: the record does not decode";
    assert_eq!(found[1].as_ref().unwrap_err().to_string(), told);
    let error = store.get(PEOPLE, 2u64.to_be_bytes()).unwrap_err();
    assert_eq!(error.to_string(), told);
    assert_eq!(
        store.get(PEOPLE, 3u64.to_be_bytes()).unwrap(),
        Some(Person::new(3))
    );

    let faults: Vec<_> = store
        .check(&catalog())
        .iter()
        .map(Fault::to_string)
        .collect();
    assert_eq!(
        faults,
        ["table `garden` is not known to this release", told]
    );
    // It can be overwritten.
    put_person(&store, 2).unwrap();
    assert_eq!(ids(&store), [1, 2, 3]);
}

#[test]
fn a_page_ends_below_a_key_from_either_end() {
    let state = tempfile::tempdir().unwrap();
    let store = Store::open(state.path()).unwrap();
    for key in ["a", "b1", "b2", "b3", "c"] {
        store
            .write_blocking(|tx| tx.put(NAMES, key, &Name(7)))
            .unwrap();
    }
    let page = |prefix: &str, below: &str| -> Vec<_> {
        let page = store.scan_below(NAMES, prefix.as_bytes(), below.as_bytes());
        page.rev()
            .map(|found| String::from_utf8(found.unwrap().0).unwrap())
            .collect()
    };
    assert_eq!(page("b", "3"), ["b2", "b1"]);
    assert_eq!(page("b", "9"), ["b3", "b2", "b1"]);
    assert_eq!(page("", "b2"), ["b1", "a"]);
    assert!(page("b", "").is_empty() && page("b", "1").is_empty());
}

#[test]
fn ids_count_from_one_per_series_and_those_of_a_failed_transaction_are_given_again() {
    let state = tempfile::tempdir().unwrap();
    let next = |store: &Store, series| store.write_blocking(|tx| tx.next_id(series)).unwrap();
    let store = Store::open(state.path()).unwrap();
    assert_eq!(
        (next(&store, "a"), next(&store, "a"), next(&store, "b")),
        (1, 2, 1)
    );
    let failed = store.write_blocking(|tx| tx.next_id("a").and(Err::<u64, _>(StoreError::Closed)));
    failed.unwrap_err();
    drop(store);
    let store = Store::open(state.path()).unwrap();
    assert_eq!((next(&store, "a"), next(&store, "b")), (3, 2));
}

#[test]
fn a_transaction_that_is_too_large_changes_nothing() {
    let state = tempfile::tempdir().unwrap();
    let store = Store::open(state.path()).unwrap();
    let error = store.write_blocking(|tx| {
        for id in 0..3 {
            let face = vec![7; 50_000];
            tx.put(
                PEOPLE,
                u64::to_be_bytes(id),
                &Person {
                    face,
                    ..Person::new(id)
                },
            )?;
        }
        Ok::<_, StoreError>(())
    });
    assert!(matches!(error, Err(StoreError::TooLarge { .. })));
    assert!(ids(&store).is_empty());
}

#[test]
fn a_snapshot_that_was_cut_short_does_not_keep_the_store_shut() {
    let state = tempfile::tempdir().unwrap();
    put_person(&Store::open(state.path()).unwrap(), 1).unwrap();
    let cut = state.path().join("store/snap.7FFFFFFFFFFFFFFF.generating");
    std::fs::write(cut, "half of").unwrap();
    assert_eq!(ids(&Store::open(state.path()).unwrap()), [1]);
}

#[test]
fn a_store_of_a_newer_release_is_refused() {
    let state = tempfile::tempdir().unwrap();
    drop(Store::open(state.path()).unwrap());
    put_raw(state.path(), "meta", b"schema", b"\x01\x63");
    let error = Store::open(state.path()).map(drop).unwrap_err();
    assert!(error.to_string().contains("schema 99"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_writers_share_a_sync_and_none_is_lost() {
    const WRITERS: u64 = 200;
    let state = tempfile::tempdir().unwrap();
    let store = Store::open(state.path()).unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for id in 0..WRITERS {
        let store = store.clone();
        tasks.spawn(async move {
            let put = |tx: &mut Tx<'_>| tx.put(PEOPLE, id.to_be_bytes(), &Person::new(id));
            store.write(put).await.unwrap();
        });
    }
    tasks.join_all().await;
    assert!(store.syncs() < WRITERS, "{} syncs", store.syncs());
    drop(store);
    let store = Store::open(state.path()).unwrap();
    assert_eq!(ids(&store), (0..WRITERS).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_write_that_nobody_waits_for_any_more_is_there_all_the_same() {
    let state = tempfile::tempdir().unwrap();
    let store = Store::open(state.path()).unwrap();
    let mut write = Box::pin(store.write(|tx| {
        tx.put(PEOPLE, b"a", &Person::new(1))?;
        tx.put(NAMES, b"a", &Name(1))
    }));
    // One poll: applied, not yet durable.
    let polled = futures_lite::future::poll_once(&mut write).await;
    drop(write);
    if let Some(done) = polled {
        done.unwrap();
    }
    assert_eq!(store.get(NAMES, b"a").unwrap(), Some(Name(1)));
    drop(store);
    let store = Store::open(state.path()).unwrap();
    assert_eq!(ids(&store), [1]);
    assert_eq!(store.get(NAMES, b"a").unwrap(), Some(Name(1)));
}
