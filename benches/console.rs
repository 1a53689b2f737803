//! The console's inner costs, for watching them change: `cargo bench --bench console`.

use std::{hint::black_box, io};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use longhouse::{
    clock::UnixMillis,
    console::{Kind, Reader, Writer},
};

const HISTORY: usize = 4 << 20;

/// As many lines of 80 bytes as a read of 64 KiB brings.
fn lines() -> Vec<u8> {
    let line = [
        b"a line of a game that has much to tell ".repeat(2),
        b".\n".to_vec(),
    ]
    .concat();
    line.repeat((64 << 10) / line.len())
}

fn console(c: &mut Criterion) {
    let lines = lines();
    let now = UnixMillis(1);
    let mut group = c.benchmark_group("console");
    group.throughput(Throughput::Bytes(lines.len() as u64));
    group.bench_function("64 KiB of lines into memory", |b| {
        let mut writer = Writer::in_memory(HISTORY);
        b.iter(|| writer.output(Kind::Stdout, now, black_box(&lines)));
    });
    let folder = tempfile::tempdir().expect("a temporary folder");
    group.bench_function("64 KiB of lines into files", |b| {
        let mut writer = open(&folder).expect("a console");
        b.iter(|| writer.output(Kind::Stdout, now, black_box(&lines)));
    });
    group.finish();
    c.bench_function("console/the newest 100 entries", |b| {
        let mut reader = Reader::new(folder.path().into());
        b.iter(|| reader.last(black_box(100)));
    });
}

fn open(folder: &tempfile::TempDir) -> io::Result<Writer> {
    Writer::open(folder.path(), HISTORY as u64)
}

criterion_group!(benches, console);
criterion_main!(benches);
