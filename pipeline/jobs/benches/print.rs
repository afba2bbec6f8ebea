//! How many field values a second become JSON text, from blocks in memory, on all cores: an hour of ten hosts with a record
//! a second, six fields each, as `scripts/bench` has them for a day.

#![allow(clippy::unwrap_used, reason = "a benchmark may fail")]

use bytes::Bytes;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use jobs::dump::{SeriesBlocks, print_in_memory};
use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use test_support::tsm_writer::{Column, block};

/// Points in a block, as InfluxDB writes them.
const POINTS: usize = 1000;

/// Blocks of a field: four hours.
const BLOCKS: usize = 14;

const START: i64 = 1_465_603_200_000_000_000;

const SECOND: i64 = 1_000_000_000;

fn host(number: u64) -> SeriesBlocks {
    let mut random = SmallRng::seed_from_u64(number);
    let mut gauge = |middle: f64, width: f64, decimals: i32| {
        // Four uniform numbers are near enough to a normal one.
        let sum: f64 = (0..4).map(|_| random.random_range(-1.0..1.0)).sum();
        let scale = 10_f64.powi(decimals);
        ((middle + sum * width) * scale).round() / scale
    };
    let floats = |mut next: Box<dyn FnMut() -> f64 + '_>| -> Vec<Bytes> {
        (0..BLOCKS)
            .map(|number| {
                let values: Vec<f64> = (0..POINTS).map(|_| next()).collect();
                packed(number, &Column::Float(&values))
            })
            .collect()
    };
    let load = floats(Box::new(|| gauge(2.0, 0.5, 4)));
    let idle = floats(Box::new(|| gauge(75.0, 12.0, 2)));
    let temperature = floats(Box::new(|| gauge(40.0, 5.0, 1)));
    let mut checks = Vec::new();
    let mut ok = Vec::new();
    let mut state = Vec::new();
    for number in 0..BLOCKS {
        let integers: Vec<i64> = (0..POINTS).map(|_| random.random_range(0..1000)).collect();
        checks.push(packed(number, &Column::Integer(&integers)));
        let booleans: Vec<bool> = (0..POINTS).map(|_| random.random_range(0..100) > 0).collect();
        ok.push(packed(number, &Column::Boolean(&booleans)));
        let texts = ["ok", "warning", "critical"];
        let strings: Vec<Vec<u8>> = (0..POINTS).map(|_| texts[random.random_range(0..3)].into()).collect();
        state.push(packed(number, &Column::String(&strings)));
    }
    let fields = [
        ("checks", checks),
        ("idle", idle),
        ("load", load),
        ("ok", ok),
        ("state", state),
        ("temperature", temperature),
    ];
    SeriesBlocks {
        tags: vec![("host".to_owned(), format!("host{number}"))],
        fields: fields.into_iter().map(|(name, blocks)| (name.to_owned(), blocks)).collect(),
    }
}

fn packed(number: usize, values: &Column<'_>) -> Bytes {
    let first = START + (number * POINTS) as i64 * SECOND;
    let times: Vec<i64> = (0..POINTS).map(|second| first + second as i64 * SECOND).collect();
    block(&times, values).into()
}

fn print(criterion: &mut Criterion) {
    let series: Vec<SeriesBlocks> = (0..10).map(host).collect();
    let (values, _) = print_in_memory("Aggregated_metrics", &series).unwrap();
    let mut group = criterion.benchmark_group("dump");
    group.throughput(Throughput::Elements(values));
    group.bench_function("decode and print", |bencher| {
        bencher.iter(|| print_in_memory("Aggregated_metrics", &series).unwrap());
    });
    group.finish();

    // What a machine can do at all: the digits of as many numbers, without names or order, on one core.
    let mut random = SmallRng::seed_from_u64(1);
    let numbers: Vec<(f64, i64)> = (0..values / 2)
        .map(|_| ((random.random_range(0.0..100.0_f64) * 100.0).round() / 100.0, random.random_range(0..1000)))
        .collect();
    let mut group = criterion.benchmark_group("digits alone");
    group.throughput(Throughput::Elements(values));
    group.bench_function("zmij and itoa", |bencher| {
        let mut text = Vec::with_capacity(16 << 20);
        bencher.iter(|| {
            text.clear();
            for (float, integer) in &numbers {
                text.extend_from_slice(zmij::Buffer::new().format_finite(*float).as_bytes());
                text.extend_from_slice(itoa::Buffer::new().format(*integer).as_bytes());
            }
            text.len()
        });
    });
    group.finish();
}

criterion_group!(benches, print);
criterion_main!(benches);
