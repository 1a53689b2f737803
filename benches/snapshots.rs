//! A snapshot of 1 GiB of which 1 % has changed, against `tar --zstd` of the same folder in the same run.
//!
//! The first has no target: it is what the later ones save. Without the daemon's pace, since `tar` has none.

#[path = "common/table.rs"]
mod table;

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::{fd::AsFd, unix::net::UnixStream},
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use longhouse::sandbox::{
    passing,
    spawn::{self, Launch},
};
use rustic_core::repofile::MasterKey;
use serde_json::{Value, json};

use crate::table::{Row, median};

/// Of the folder that is copied.
const FOLDER: u64 = 1 << 30;
/// Of one file of it.
const FILE: u64 = 1 << 20;
/// What is asked for: at most so much of the time of `tar`.
const WANTED: f64 = 0.15;
const ROUNDS: usize = 3;

fn main() {
    let home = tempfile::tempdir().expect("a folder");
    let (files, repository) = (home.path().join("files"), home.path().join("repository"));
    fs::create_dir_all(&repository).expect("a folder");
    eprintln!("writing 1 GiB of mixed data");
    for n in 0..FOLDER / FILE {
        let folder = files.join(format!("region{:02}", n % 32));
        fs::create_dir_all(&folder).expect("a folder");
        write(&folder.join(format!("r{n:04}")), n, 0);
    }
    let key = json!(MasterKey::new());
    let begun = Instant::now();
    let mut last = take(&key, &files, &repository, None);
    let first = begun.elapsed().as_secs_f64();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        for n in (0..FOLDER / FILE).filter(|n| n % 100 == round as u64) {
            write(
                &files.join(format!("region{:02}/r{n:04}", n % 32)),
                n,
                round as u64,
            );
        }
        let packing = Instant::now();
        let packed = Command::new("tar")
            .args(["--zstd", "-cf", "-", "-C"])
            .arg(&files)
            .arg(".")
            .stdout(Stdio::piped())
            .spawn()
            .and_then(|mut tar| {
                let mut out = tar.stdout.take().expect("it is piped");
                // Into a file, as a snapshot is, and to the disk, as a snapshot is.
                let mut archive = fs::File::create(home.path().join("archive"))?;
                std::io::copy(&mut out, &mut archive)?;
                archive.sync_all()?;
                tar.wait()
            });
        assert!(packed.expect("tar and zstd are installed").success());
        theirs.push(packing.elapsed().as_secs_f64());
        let taking = Instant::now();
        last = take(&key, &files, &repository, Some(&last));
        ours.push(taking.elapsed().as_secs_f64());
    }
    let tar = median(&mut theirs);
    let row = |what: &str, ours: f64, target: Option<f64>| Row {
        what: format!("{what} of 1 GiB"),
        ours,
        unit: "s",
        peer: "tar --zstd".into(),
        theirs: Some(tar),
        ratio: ours / tar,
        target: target.map_or("none".into(), |most| format!("under {most} x")),
        met: target.map(|most| ours / tar < most),
    };
    let rows = [
        row("snapshot with 1 % changed", median(&mut ours), Some(WANTED)),
        row("first snapshot", first, None),
    ];
    table::print(&rows);
    table::write(Path::new("target/bench/snapshots.json"), &rows).expect("room for the figures");
}

/// One file: a part that does not compress, and a part that does.
fn write(path: &Path, seed: u64, round: u64) {
    let mut state = (seed * 31 + round).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut content = Vec::with_capacity(FILE as usize);
    while (content.len() as u64) < FILE / 2 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        content.extend_from_slice(&state.to_le_bytes());
    }
    while (content.len() as u64) < FILE {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        writeln!(
            content,
            "tile {} height {} owner {}",
            state % 4096,
            state % 17,
            state % 5
        )
        .expect("memory takes it");
    }
    content.truncate(FILE as usize);
    fs::write(path, content).expect("room for 1 GiB");
}

/// One job, as the daemon runs it: the new snapshot's id.
fn take(key: &Value, files: &Path, repository: &Path, parent: Option<&str>) -> String {
    let argv = [
        env!("CARGO_BIN_EXE_longhouse").into(),
        "snapshot-job".into(),
    ];
    let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
    let launch = Launch {
        argv: &argv,
        env: &[("RAYON_NUM_THREADS".into(), "2".into())],
        cwd: Path::new("/"),
        user: None,
        guise: None,
        cgroup: None,
        rlimits: &[],
        channel: Some(theirs.as_fd()),
        umask: 0o077,
    };
    let job = spawn::spawn(&launch).expect("it starts");
    let mut lines = BufReader::new(fs::File::from(job.stdout)).lines();
    let mut line = || lines.next().expect("it says something").expect("in text");
    assert_eq!(line(), "ready");
    for folder in [repository, files] {
        let folder = fs::File::open(folder).expect("a folder");
        passing::send(ours.as_fd(), 0, folder.as_fd()).expect("it takes it");
    }
    let order = json!({"job": {"do": "take", "parent": parent}, "key": key, "rate": 0});
    writeln!(fs::File::from(job.stdin), "{order}").expect("it listens");
    loop {
        let said: Value = serde_json::from_str(&line()).expect("JSON");
        match said["say"].as_str() {
            Some("progress") => {}
            Some("done") => return said["result"]["snapshot"].as_str().expect("an id").into(),
            _ => panic!("{said}"),
        }
    }
}
