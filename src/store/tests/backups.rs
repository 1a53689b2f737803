//! Backup and restore.

use std::io::{Cursor, Read};

use proptest::prelude::*;

use super::*;

fn person() -> impl Strategy<Value = Person> {
    let face = prop::collection::vec(any::<u8>(), 0..60);
    let seen = prop::option::of((0u64..200_000_000_000_000).prop_map(UnixMillis));
    (".*", any::<u64>(), seen, face, any::<f64>()).prop_map(|(name, id, seen, face, ratio)| {
        Person {
            name,
            id,
            seen,
            face,
            ratio,
        }
    })
}

/// Every stored byte.
fn content(store: &Store) -> Vec<(String, Vec<u8>, Vec<u8>)> {
    let shared = &store.0.shared;
    let mut content = Vec::new();
    for table in shared.read(|engine| Ok(engine.tables())).unwrap() {
        let each = |(key, value): engine::Pair| {
            content.push((table.clone(), key.to_vec(), value.to_vec()))
        };
        catalog::for_each(shared, &table, each).unwrap();
    }
    content
}

fn backup(store: &Store) -> (Vec<u8>, Summary) {
    let mut file = Vec::new();
    let summary = store
        .backup(&catalog(), "2026-11-20T00:00:00Z", &mut file)
        .unwrap();
    (file, summary)
}

fn text(file: &[u8]) -> String {
    let mut text = String::new();
    zstd::Decoder::new(file)
        .unwrap()
        .read_to_string(&mut text)
        .unwrap();
    text
}

fn compressed(text: &str) -> Vec<u8> {
    zstd::encode_all(text.as_bytes(), 0).unwrap()
}

fn sample() -> (tempfile::TempDir, Store) {
    let state = tempfile::tempdir().unwrap();
    let store = Store::open(state.path()).unwrap();
    store
        .write_blocking(|tx| {
            let id = tx.next_id("person")?;
            tx.put(
                PEOPLE,
                id.to_be_bytes(),
                &Person {
                    id: u64::MAX,
                    ..Person::new(id)
                },
            )?;
            tx.put(
                PEOPLE,
                b"not a number",
                &Person {
                    ratio: f64::NAN,
                    ..Person::new(id)
                },
            )?;
            tx.put(NAMES, "ada", &Name(id))
        })
        .unwrap();
    drop(store);
    put_raw(state.path(), "name", b"broken\n", b"\x01\xff\xff");
    put_raw(state.path(), "garden", b"rose", b"\x01red");
    let store = Store::open(state.path()).unwrap();
    (state, store)
}

#[test]
fn a_backup_restores_every_byte_and_no_id_is_given_twice() {
    let (_state, store) = sample();
    let (file, summary) = backup(&store);
    assert_eq!(summary.records, 7);
    let faults: Vec<_> = summary.faults.iter().map(Fault::to_string).collect();
    assert_eq!(
        faults,
        [
            "table `garden` is not known to this release",
            "table `name`, key 0x62726f6b656e0a: the record does not decode"
        ]
    );
    let text = text(&file);
    assert!(
        text.contains(r#""moment":"2026-11-20T00:00:00Z""#),
        "{text}"
    );
    assert!(
        text.contains(r#"{"table":"name","key":"ada","format":1,"value":1}"#),
        "{text}"
    );
    assert!(text.contains("18446744073709551615"), "{text}");

    let other = tempfile::tempdir().unwrap();
    let restored = restore(other.path(), &catalog(), Cursor::new(&file)).unwrap();
    assert_eq!((restored.records, &restored.tables), (7, &summary.tables));
    let copy = Store::open(other.path()).unwrap();
    assert_eq!(content(&copy), content(&store));
    assert_eq!(copy.write_blocking(|tx| tx.next_id("person")).unwrap(), 2);
}

#[test]
fn a_store_that_is_not_empty_is_not_restored_over() {
    let (state, store) = sample();
    let (file, _) = backup(&store);
    let before = content(&store);
    drop(store);
    let error = restore(state.path(), &catalog(), Cursor::new(&file)).unwrap_err();
    assert!(matches!(error, BackupError::NotEmpty { .. }), "{error}");
    assert_eq!(content(&Store::open(state.path()).unwrap()), before);
}

/// Refuses the file, and leaves an empty store that a good one still goes into.
fn refused(file: &[u8]) -> BackupError {
    let state = tempfile::tempdir().unwrap();
    let error = restore(state.path(), &catalog(), Cursor::new(file)).unwrap_err();
    assert_eq!(std::fs::read_dir(state.path()).unwrap().count(), 0);
    error
}

#[test]
fn a_truncated_file_is_refused_and_leaves_nothing_behind() {
    let (_state, store) = sample();
    let (file, _) = backup(&store);
    for len in (0..file.len()).step_by(7).chain([file.len() - 1]) {
        refused(&file[..len]);
    }
    // Well compressed, but cut: within the header, after a line, within one, before the end.
    let text = text(&file);
    let starts: Vec<usize> = text.match_indices('\n').map(|(at, _)| at + 1).collect();
    for &start in &starts[..starts.len() - 1] {
        for len in [start, start - 1, start + 5] {
            refused(&compressed(&text[..len]));
        }
    }
}

#[test]
fn an_altered_file_is_refused() {
    let (_state, store) = sample();
    let text = text(&backup(&store).0);
    let at_line = |error: BackupError, what: &str| {
        assert!(error.to_string().contains(what), "{error}");
    };
    at_line(
        refused(&compressed(&text.replace("person 1", "person 2"))),
        "checksum",
    );
    at_line(
        refused(&compressed(&format!("{text}{{}}\n"))),
        "follows the end",
    );
    at_line(refused(&compressed(&"x".repeat(3 << 20))), "not a backup");
    at_line(refused(b"anything"), "not a backup");
    let long = text.replacen('\n', &format!("\n{}", " ".repeat(2 << 20)), 1);
    at_line(refused(&compressed(&long)), "line 2: the line is too long");
    let newer = text.replace(r#""longhouse_backup":1"#, r#""longhouse_backup":2"#);
    at_line(refused(&compressed(&newer)), "newer");
    let unknown = text.replace(r#""table":"person""#, r#""table":"planet""#);
    at_line(refused(&compressed(&unknown)), "`planet`");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn whatever_is_stored_comes_back(people in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..9), person()), 0..20)) {
        let state = tempfile::tempdir().unwrap();
        let store = Store::open(state.path()).unwrap();
        store.write_blocking(|tx| {
            people.iter().try_for_each(|(key, person)| tx.put(PEOPLE, key, person))
        }).map_err(|error: StoreError| TestCaseError::fail(error.to_string()))?;
        let (file, summary) = backup(&store);
        prop_assert!(summary.faults.is_empty());
        let other = tempfile::tempdir().unwrap();
        restore(other.path(), &catalog(), Cursor::new(&file)).unwrap();
        prop_assert_eq!(content(&Store::open(other.path()).unwrap()), content(&store));
    }
}
