//! Values decoded a second on one core, for each type: `cargo bench -p nightshard-tsm`.
//!
//! Blocks of 1,000 points as a server writes them, a hundred different ones in turn, so that the processor cannot learn them by
//! heart; the checksum is compared and the times are decoded with the values, as a reader has to.

#![allow(clippy::unwrap_used, missing_docs, reason = "a benchmark is no part of the interface")]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use test_support::tsm_writer::{Column, block};
use tsm::block::Block;
use tsm::{Kind, Points};

const BLOCKS: usize = 100;
const POINTS: usize = 1_000;

/// Times a second apart, the blocks one after the other.
fn regular(number: usize) -> Vec<i64> {
    let first = 1_465_603_200 + i64::try_from(number * POINTS).unwrap();
    (first..).take(POINTS).map(|second| second * 1_000_000_000).collect()
}

/// Such as agents report: about ten seconds apart, to the nanosecond.
fn jittered(number: usize, random: &mut StdRng) -> Vec<i64> {
    let time = |time: i64| time * 10 + random.random_range(-2_000_000..2_000_000);
    regular(number).into_iter().map(time).collect()
}

/// A hundred blocks, each made by `make` of its number.
fn blocks(mut make: impl FnMut(usize, &mut StdRng) -> Vec<u8>) -> Vec<Vec<u8>> {
    let mut random = StdRng::seed_from_u64(1);
    (0..BLOCKS).map(|number| make(number, &mut random)).collect()
}

/// Values that each `next` makes of the one before.
fn walk<T: Copy>(first: T, mut next: impl FnMut(T) -> T) -> Vec<T> {
    std::iter::successors(Some(first), |value| Some(next(*value))).take(POINTS).collect()
}

fn values() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    let gauge = |random: &mut StdRng, decimals: f64, most: i32| {
        let steps = walk(random.random_range(0..10_000), |value: i32| value + random.random_range(-most..=most));
        steps.into_iter().map(|step| f64::from(step) / decimals).collect::<Vec<f64>>()
    };
    vec![
        (
            "float, two decimals",
            blocks(|number, random| block(&regular(number), &Column::Float(&gauge(random, 100.0, 300)))),
        ),
        (
            "float, one decimal",
            blocks(|number, random| block(&regular(number), &Column::Float(&gauge(random, 10.0, 1)))),
        ),
        (
            "float, counter",
            blocks(|number, random| {
                let counter = walk(1_000_000.0, |value: f64| value + f64::from(random.random_range(0..1_500)));
                block(&regular(number), &Column::Float(&counter))
            }),
        ),
        ("float, constant", blocks(|number, _| block(&regular(number), &Column::Float(&[100.0; POINTS])))),
        (
            "integer, counter",
            blocks(|number, random| {
                let counter = walk(1_000_000, |value: i64| value + random.random_range(0..1_500));
                block(&regular(number), &Column::Integer(&counter))
            }),
        ),
        (
            "integer, any bits",
            blocks(|number, random| block(&regular(number), &Column::Integer(&walk(0, |_| random.random())))),
        ),
        (
            "unsigned, gauge",
            blocks(|number, random| {
                let gauge = walk(1 << 33, |value: u64| value - 40_000 + random.random_range(0..80_001));
                block(&regular(number), &Column::Unsigned(&gauge))
            }),
        ),
        (
            "boolean",
            blocks(|number, random| block(&regular(number), &Column::Boolean(&walk(true, |_| random.random())))),
        ),
        (
            "string, short",
            blocks(|number, random| {
                let states = ["OK", "WARNING: load is 4.2", "CRITICAL: no answer within 10 s", "UNKNOWN"];
                let strings: Vec<Vec<u8>> = (0..POINTS).map(|_| states[random.random_range(0..4)].into()).collect();
                block(&regular(number), &Column::String(&strings))
            }),
        ),
        (
            "boolean, at times to the nanosecond",
            blocks(|number, random| block(&jittered(number, random), &Column::Boolean(&[true; POINTS]))),
        ),
    ]
}

fn decode(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements((BLOCKS * POINTS) as u64));
    for (name, blocks) in values() {
        let mut points = Points::empty(Kind::Float);
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                for bytes in &blocks {
                    Block::open(black_box(bytes)).unwrap().decode(&mut points).unwrap();
                    assert_eq!(black_box(&points).len(), POINTS);
                }
            });
        });
    }
    group.finish();
}

/// What a reader does that only counts.
fn count(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("checksum and count");
    for (name, blocks) in values() {
        group.throughput(Throughput::Bytes(blocks.iter().map(|bytes| bytes.len() as u64).sum()));
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                blocks.iter().map(|bytes| Block::open(black_box(bytes)).unwrap().count().unwrap()).sum::<usize>()
            });
        });
    }
    group.finish();
}

criterion_group!(all, decode, count);
criterion_main!(all);
