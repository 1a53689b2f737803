//! On a small disk of its own.

use std::{
    fs::{File, OpenOptions},
    io::Write,
    path::PathBuf,
};

use nix::mount::{MntFlags, MsFlags, mount, umount2};

use super::*;
use engine::{Changes, Engine};

/// A tmpfs of 24 MiB.
struct Disk(tempfile::TempDir);

impl Disk {
    /// None, said loudly, where it cannot be mounted; in CI that is a failure.
    fn mount() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let tmpfs = Some("tmpfs");
        match mount(
            tmpfs,
            folder.path(),
            tmpfs,
            MsFlags::empty(),
            Some("size=24m"),
        ) {
            Ok(()) => Some(Self(folder)),
            Err(errno) if std::env::var_os("CI").is_some() => {
                panic!("cannot mount a tmpfs: {errno}")
            }
            Err(errno) => {
                eprintln!("SKIPPED: tests of a full disk need root to mount a tmpfs ({errno})");
                None
            }
        }
    }

    fn filler(&self) -> PathBuf {
        self.0.path().join("filler")
    }

    fn fill(&self) {
        let mut filler = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.filler())
            .unwrap();
        for chunk in [1 << 16, 1 << 12, 1] {
            while filler.write_all(&vec![0; chunk]).is_ok() {}
        }
    }

    fn clear(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        umount2(self.0.path(), MntFlags::MNT_DETACH).ok();
    }
}

fn put_large(store: &Store, id: u64) -> Result<(), StoreError> {
    let face = vec![7; 10_000];
    store.write_blocking(|tx| {
        tx.put(
            PEOPLE,
            id.to_be_bytes(),
            &Person {
                face,
                ..Person::new(id)
            },
        )
    })
}

#[test]
fn a_full_disk_refuses_changes_answers_reads_and_recovers_by_itself() {
    let Some(disk) = Disk::mount() else { return };
    let state = disk.0.path().join("state");
    let store = Store::open(&state).unwrap();
    put_person(&store, 0).unwrap();
    disk.fill();

    let mut taken = 0;
    let error = loop {
        match put_large(&store, taken + 1) {
            Ok(()) => taken += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StoreError::DiskFull { .. }), "{error}");
    assert!(error.to_string().contains("full"), "{error}");
    assert!(!store.0.shared.broken());
    let all: Vec<u64> = (0..=taken).collect();
    assert_eq!(ids(&store), all);
    put_large(&store, 0).unwrap_err();

    // A restart on the full disk reads as well.
    drop(store);
    let store = Store::open(&state).unwrap();
    assert_eq!(ids(&store), all);
    assert!(matches!(
        put_large(&store, 0),
        Err(StoreError::DiskFull { .. })
    ));

    disk.clear();
    put_large(&store, taken + 1).unwrap();
    drop(store);
    let store = Store::open(&state).unwrap();
    assert_eq!(ids(&store).len() as u64, taken + 2);
}

fn one(id: u64, face: usize) -> Changes {
    let person = Person {
        face: vec![7; face],
        ..Person::new(id)
    };
    let stored = table::encode(&person).unwrap();
    let keys = [(id.to_be_bytes().to_vec(), Some(stored))].into();
    [(Person::TABLE, keys)].into()
}

#[test]
fn a_write_that_fails_after_all_is_told_and_the_database_opens_again() {
    let Some(disk) = Disk::mount() else { return };
    let folder = disk.0.path().join("store");
    let mut engine = Engine::open(&folder).unwrap();
    engine.apply(one(0, 0)).unwrap();
    engine.flush().unwrap();

    for id in 1..15 {
        engine.apply(one(id, 60_000)).unwrap();
    }
    // Somebody takes away the room that was promised.
    let log = OpenOptions::new()
        .write(true)
        .open(folder.join("db"))
        .unwrap();
    log.set_len(log.metadata().unwrap().len()).unwrap();
    disk.fill();
    std::thread::scope(|scope| {
        let flush = scope.spawn(|| engine.flush());
        for again in 0.. {
            if flush.is_finished() {
                break;
            }
            engine.nudge(again).ok();
        }
        flush.join().unwrap().unwrap_err();
    });
    let first = engine.get(Person::TABLE, &0u64.to_be_bytes()).unwrap();
    assert!(first.is_some(), "reads go on");

    drop(engine);
    disk.clear();
    let engine = Engine::open(&folder).unwrap();
    let first = engine.get(Person::TABLE, &0u64.to_be_bytes()).unwrap();
    assert!(first.is_some(), "what was durable is there");
}

#[test]
fn the_ballast_is_given_up_when_the_database_needs_room_to_open() {
    let Some(disk) = Disk::mount() else { return };
    let state = disk.0.path().join("state");
    drop(Store::open(&state).unwrap());
    let log = state.join("store/db");
    // As after a crash on a file system that gives back what lies past the end.
    let file = File::options().write(true).open(&log).unwrap();
    file.set_len(file.metadata().unwrap().len()).unwrap();
    disk.fill();
    let store = Store::open(&state).unwrap();
    assert!(ids(&store).is_empty());
    assert!(matches!(
        put_person(&store, 1),
        Err(StoreError::DiskFull { .. })
    ));
    disk.clear();
    put_person(&store, 1).unwrap();
}
