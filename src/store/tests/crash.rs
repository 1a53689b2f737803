//! Killed at any moment: nothing acknowledged is lost, and transactions are whole.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
};

use super::*;

const CHILD: &str = "LONGHOUSE_STORE_CRASH";
const ROUNDS: u64 = 20;

/// One transaction over three tables.
fn transaction(tx: &mut Tx<'_>) -> Result<u64, StoreError> {
    let id = tx.next_id("person")?;
    fill(tx, id)?;
    Ok(id)
}

/// Not a test of its own: what the test below starts, to kill it.
#[test]
fn child_that_writes_until_it_is_killed() {
    let Some(state) = std::env::var_os(CHILD) else {
        return;
    };
    let store = Store::open(Path::new(&state)).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let id = store.write_blocking(transaction).unwrap();
                    let line = format!("acknowledged {id}\n");
                    std::io::stdout().write_all(line.as_bytes()).unwrap();
                }
            });
        }
    });
}

/// The ids that a child acknowledged before it was killed, after `count` of them.
fn killed_after(state: &Path, count: usize) -> Vec<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "store::tests::crash::child_that_writes_until_it_is_killed",
        ])
        .arg("--nocapture")
        .env(CHILD, state)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acknowledged: Vec<u64> = Vec::new();
    while let Some(Ok(line)) = lines.next() {
        // What it said before it died counts, too.
        acknowledged.extend(
            line.rsplit("acknowledged ")
                .next()
                .and_then(|id| id.parse::<u64>().ok()),
        );
        if acknowledged.len() == count {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    acknowledged
}

#[test]
fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    let state = tempfile::tempdir().unwrap();
    let mut last = 0;
    for round in 1..=ROUNDS {
        let count = (round * 7919 % 131 + 1) as usize;
        let acknowledged = killed_after(state.path(), count);
        assert!(acknowledged.len() >= count, "the child failed");
        let newest = acknowledged.iter().copied().max().unwrap();
        assert!(
            acknowledged.iter().all(|&id| id > last),
            "an id was given twice"
        );

        let store = Store::open(state.path()).unwrap();
        let found = ids(&store);
        last = *found.last().unwrap();
        assert!(last >= newest, "{newest} was acknowledged, {last} is there");
        // Whole: the window of a hundred that the last transaction leaves, in every table.
        let window: Vec<u64> = (last.saturating_sub(99).max(1)..=last).collect();
        assert_eq!(found, window);
        let mut names: Vec<u64> = store
            .scan(NAMES, b"")
            .map(|name| name.unwrap().1.0)
            .collect();
        names.sort_unstable();
        assert_eq!(names, window);
        let next = store.write_blocking(|tx| tx.next_id("person")).unwrap();
        assert_eq!(next, last + 1);
        last = next;
        // Keep the window whole for the next round.
        store.write_blocking(|tx| fill(tx, next)).unwrap();
    }
}

fn fill(tx: &mut Tx<'_>, id: u64) -> Result<(), StoreError> {
    tx.put(PEOPLE, id.to_be_bytes(), &Person::new(id))?;
    tx.put(NAMES, format!("person {id}"), &Name(id))?;
    if id > 100 {
        tx.delete(NAMES, format!("person {}", id - 100))?;
        tx.delete(PEOPLE, (id - 100).to_be_bytes())?;
    }
    Ok(())
}
