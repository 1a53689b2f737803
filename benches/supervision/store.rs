//! Acknowledged writes per second, beside a bare loop that writes as many bytes into a file and calls `fdatasync`.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::Path,
    time::{Duration, Instant},
};

use longhouse::store::{Record, Store, StoreError, Table};
use serde::{Deserialize, Serialize};

use crate::table::{Row, median};

const ROUNDS: usize = 7;
const ROUND: Duration = Duration::from_millis(500);
const WRITERS: [usize; 3] = [1, 16, 256];
const TARGET: f64 = 20.0;
const BODY: usize = 128;
/// How much the bare loop overwrites, round and round.
const SPAN: u64 = 1 << 20;

#[derive(Serialize, Deserialize)]
struct Entry(Vec<u8>);

impl Record for Entry {
    const TABLE: &'static str = "entry";
    const FORMAT: u8 = 1;
}

const ENTRIES: Table<Entry> = Table::new();

/// On the disk that holds `target`; both in the same rounds, in turn.
pub(crate) fn rows() -> io::Result<Vec<Row>> {
    fs::create_dir_all("target")?;
    let folder = tempfile::tempdir_in("target")?;
    let store = Store::open(folder.path()).map_err(io::Error::other)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().build()?;
    let mut theirs = Vec::new();
    let mut ours = WRITERS.map(|_| Vec::new());
    for round in 0..ROUNDS {
        theirs.push(bare(&folder.path().join("bare"))?);
        for (writers, rates) in WRITERS.into_iter().zip(&mut ours) {
            let rate = runtime.block_on(acknowledged(&store, round, writers));
            rates.push(rate.map_err(io::Error::other)?);
        }
    }
    let theirs = median(&mut theirs);
    let row = |(writers, mut rates): (usize, Vec<f64>)| {
        let ours = median(&mut rates);
        let ratio = ours / theirs;
        let judged = writers == 256;
        Row {
            what: format!("store: acknowledged writes, {writers} at once"),
            ours,
            unit: "/s",
            peer: "bare write + fdatasync loop".into(),
            theirs: Some(theirs),
            ratio,
            target: match judged {
                true => format!("at least {TARGET} x"),
                false => "none".into(),
            },
            met: judged.then_some(ratio >= TARGET),
        }
    };
    Ok(WRITERS.into_iter().zip(ours).map(row).collect())
}

/// Overwrites a file that was written before: a growing one would pay for the file system's own records too.
fn bare(path: &Path) -> io::Result<f64> {
    let file = File::create(path)?;
    file.write_all_at(&vec![7; SPAN as usize], 0)?;
    file.sync_all()?;
    let (start, mut count) = (Instant::now(), 0u32);
    while start.elapsed() < ROUND {
        file.write_all_at(&[8; BODY], u64::from(count) * BODY as u64 % SPAN)?;
        file.sync_data()?;
        count += 1;
    }
    Ok(f64::from(count) / start.elapsed().as_secs_f64())
}

async fn acknowledged(store: &Store, round: usize, writers: usize) -> Result<f64, StoreError> {
    let start = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for writer in 0..writers {
        let store = store.clone();
        tasks.spawn(async move {
            let mut count = 0u32;
            while start.elapsed() < ROUND {
                let key = format!("{writers}/{writer}/{round}/{count:08}");
                let entry = Entry(vec![7; BODY]);
                store.write(|tx| tx.put(ENTRIES, key, &entry)).await?;
                count += 1;
            }
            Ok(count)
        });
    }
    let counts: Result<Vec<u32>, StoreError> = tasks.join_all().await.into_iter().collect();
    Ok(f64::from(counts?.iter().sum::<u32>()) / start.elapsed().as_secs_f64())
}
