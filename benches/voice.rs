//! The voice relay's inner costs, for watching them change: `cargo bench --bench voice`. What the kernel costs, which is
//! nearly all of it, is measured by the fan-out bench.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use longhouse::voice::Yardstick;

fn voice(c: &mut Criterion) {
    let mut group = c.benchmark_group("voice");
    group.throughput(Throughput::Elements(64));
    let yardstick = Yardstick::new(64);
    group.bench_function("decode 64 packets", |b| {
        b.iter(|| black_box(&yardstick).decode());
    });
    for members in [8, 64, 512] {
        let mut yardstick = Yardstick::new(members);
        group.bench_function(format!("judge and route 64 packets to {members}"), |b| {
            b.iter(|| black_box(&mut yardstick).route());
        });
    }
    group.finish();
}

criterion_group!(benches, voice);
criterion_main!(benches);
