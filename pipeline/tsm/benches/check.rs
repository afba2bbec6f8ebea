//! Bytes of TSM files that are checked a second on one core: `cargo bench -p nightshard-tsm --bench check`.
//!
//! Files as servers write them, in memory: structure, index with its digest, every block's checksum, and the points counted; or
//! every block decoded.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark is no part of the interface")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use test_support::tsm_writer::{Column, TsmWriter};
use tsm::Tombstones;
use tsm::check::{self, Extent, ShardFile};

const SECOND: i64 = 1_000_000_000;

/// A file of six fields for each of so many hosts, with a point every ten seconds or so from `first` on.
fn file(hosts: usize, points: usize, first: i64, jitter: i64) -> ShardFile<Vec<u8>> {
    let mut random = StdRng::seed_from_u64(1);
    let mut writer = TsmWriter::new(Vec::new());
    for host in 0..hosts {
        for field in ["idle", "iowait", "nice", "softirq", "system", "user"] {
            let key = format!("cpu,cpu=cpu-total,host=server{host:06},region=eu#!~#usage_{field}");
            writer.key(key.as_bytes(), 0);
            let mut gauge = 5_000;
            for block in 0..points.div_ceil(1000) {
                let numbers = block * 1000..points.min(block * 1000 + 1000);
                let time = |number| first + i64::try_from(number).unwrap() * 10 * SECOND;
                let times: Vec<i64> = numbers
                    .map(|number| time(number) + if jitter > 0 { random.random_range(0..jitter) } else { 0 })
                    .collect();
                let mut next = || {
                    gauge += random.random_range(-30..=30);
                    f64::from(gauge) / 100.0
                };
                let values: Vec<f64> = times.iter().map(|_| next()).collect();
                writer.points(&times, &Column::Float(&values));
            }
        }
    }
    ShardFile { source: writer.finish(), tombstones: Tombstones::default() }
}

fn check(criterion: &mut Criterion) {
    let shards = [
        ("regular times", vec![file(100, 8640, 0, 0)]),
        ("irregular times", vec![file(100, 8640, 0, SECOND)]),
        ("ten points a series", vec![file(20_000, 10, 0, SECOND)]),
        // The second file begins in the middle of each block of the first.
        ("two files that overlap", vec![file(100, 8640, 0, 0), file(100, 8640, 5_000 * SECOND, 0)]),
    ];
    for (name, files) in &shards {
        let mut group = criterion.benchmark_group(*name);
        let bytes: usize = files.iter().map(|file| file.source.len()).sum();
        group.throughput(Throughput::Bytes(bytes as u64));
        group.sample_size(10);
        for extent in [Extent::Checksums, Extent::Decode] {
            group.bench_function(format!("{extent:?}"), |bencher| {
                bencher.iter(|| check::shard(black_box(files), extent).unwrap());
            });
        }
        group.finish();
    }
}

criterion_group!(benches, check);
criterion_main!(benches);
