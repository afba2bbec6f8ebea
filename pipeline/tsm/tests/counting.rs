//! What is counted in shards, against points that are joined one by one.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::{btree_map, btree_set, vec};
use proptest::prelude::*;
use test_support::tsm_writer::{Column, TsmWriter, tombstone};
use tsm::check::{self, Extent, Field, Measurement, Measurements, ShardFile};
use tsm::{Kind, Tombstones, key};

/// Times and the type of their values.
type Piece = (BTreeSet<i64>, Kind);

/// A file: the blocks of its keys, and what of them its tombstone deletes.
#[derive(Debug, Clone)]
struct Given {
    keys: BTreeMap<&'static str, Vec<Piece>>,
    deleted: Vec<(&'static str, i64, i64)>,
}

const KEYS: [&str; 5] = ["m#!~#f", "m#!~#g", "m,t=1#!~#f", r"m\,n,t=1#!~#f", r"m\,n,t=2#!~#x#!~#y"];

fn kinds() -> impl Strategy<Value = Kind> {
    prop::sample::select(vec![Kind::Float, Kind::Integer, Kind::Boolean, Kind::String, Kind::Unsigned])
}

fn files() -> impl Strategy<Value = Vec<Given>> {
    // Close together somewhere, so that some blocks overlap and others do not.
    let piece = (btree_set(0_i64..12, 1..6), -30_i64..30, kinds())
        .prop_map(|(times, shift, kind)| (times.into_iter().map(|time| time + shift).collect(), kind));
    let keys = btree_map(prop::sample::select(KEYS.to_vec()), vec(piece, 1..5), 1..5);
    let deleted = vec((prop::sample::select(KEYS.to_vec()), -40_i64..40, 0_i64..15), 0..6);
    let file = (keys, deleted).prop_map(|(mut keys, deleted)| {
        // Blocks lie in the order of their first times; those that begin at the same time may lie in any order.
        keys.values_mut().for_each(|blocks: &mut Vec<Piece>| blocks.sort_by_key(|(times, _)| times.first().copied()));
        Given { keys, deleted: deleted.into_iter().map(|(key, first, length)| (key, first, first + length)).collect() }
    });
    vec(file, 1..5)
}

fn write(file: &Given) -> ShardFile<Vec<u8>> {
    let mut writer = TsmWriter::new(Vec::new());
    for (key, blocks) in &file.keys {
        writer.key(key.as_bytes(), blocks[0].1.code());
        for (times, kind) in blocks {
            let times: Vec<i64> = times.iter().copied().collect();
            let count = times.len();
            match kind {
                Kind::Float => writer.points(&times, &Column::Float(&vec![1.5; count])),
                Kind::Integer => writer.points(&times, &Column::Integer(&vec![-7; count])),
                Kind::Boolean => writer.points(&times, &Column::Boolean(&vec![true; count])),
                Kind::String => writer.points(&times, &Column::String(&vec![b"text".to_vec(); count])),
                Kind::Unsigned => writer.points(&times, &Column::Unsigned(&vec![7; count])),
            }
        }
    }
    let deleted: Vec<(&[u8], i64, i64)> =
        file.deleted.iter().map(|(key, first, last)| (key.as_bytes(), *first, *last)).collect();
    let tombstone = tombstone(4, &deleted);
    ShardFile { source: writer.finish(), tombstones: Tombstones::read(tombstone.as_slice()).unwrap() }
}

/// What the files show, point by point.
fn model(files: &[Given]) -> Measurements {
    let mut shown: BTreeMap<&str, BTreeMap<i64, Kind>> = BTreeMap::new();
    for file in files {
        for (key, blocks) in &file.keys {
            for (times, kind) in blocks {
                let deleted = |time: i64| file.deleted.iter().any(|(k, a, b)| k == key && *a <= time && time <= *b);
                let left = times.iter().filter(|time| !deleted(**time));
                shown.entry(key).or_default().extend(left.map(|time| (*time, *kind)));
            }
        }
    }
    let mut measurements = Measurements::new();
    let mut counted = BTreeSet::new();
    for (whole, points) in shown.into_iter().filter(|(_, points)| !points.is_empty()) {
        let (series, field) = key::split(whole.as_bytes()).unwrap();
        let measurement: &mut Measurement = measurements.entry(key::measurement(series).into_owned()).or_default();
        measurement.series += u64::from(counted.insert(series.to_vec()));
        for kind in points.values().collect::<BTreeSet<_>>() {
            let times: Vec<i64> = points.iter().filter(|(_, k)| *k == kind).map(|(time, _)| *time).collect();
            let found = Field { keys: 1, points: times.len() as u64, first: times[0], last: times[times.len() - 1] };
            let field = measurement.fields.entry(field.to_vec()).or_default();
            field.entry(*kind).and_modify(|sum| sum.add(&found)).or_insert(found);
        }
    }
    measurements
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_shard_is_counted_as_its_points_are_joined(files in files()) {
        let written: Vec<_> = files.iter().map(write).collect();
        let expected = model(&files);
        for extent in [Extent::Checksums, Extent::Decode] {
            let summary = check::shard(&written, extent).unwrap();
            prop_assert_eq!(&summary.measurements, &expected);
            for ((given, file), found) in files.iter().zip(&written).zip(&summary.files) {
                let points: usize = given.keys.values().flatten().map(|(times, _)| times.len()).sum();
                prop_assert_eq!((found.keys, found.points), (given.keys.len() as u64, points as u64));
                prop_assert_eq!(&check::file(&file.source, extent).unwrap(), found);
            }
        }
    }
}

#[test]
fn a_long_key_that_another_file_overlaps_everywhere_is_counted() {
    // Every second point of the first file is written again by the second, whose blocks are twice as long in time.
    let file = |count: i64, step: i64| {
        let mut writer = TsmWriter::new(Vec::new());
        writer.key(b"m#!~#f", 1);
        for block in 0..count / 1000 {
            let times: Vec<i64> = (block * 1000..(block + 1) * 1000).map(|number| number * step).collect();
            writer.points(&times, &Column::Integer(&times));
        }
        ShardFile { source: writer.finish(), tombstones: Tombstones::default() }
    };
    let files = [file(1_000_000, 10), file(600_000, 20)];
    let summary = check::shard(&files, Extent::Checksums).unwrap();
    let field = summary.measurements[&b"m"[..]].fields[&b"f"[..]][&Kind::Integer];
    // Up to the end of the first all of it; behind it what the second has alone.
    assert_eq!(field, Field { keys: 1, points: 1_100_000, first: 0, last: 11_999_980 });
}
