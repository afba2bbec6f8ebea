//! Joining against a naive model, and the members of a shard.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

use std::collections::BTreeMap;

use proptest::prelude::*;
use tsm::{Entry, IndexReader, Keys, Kind, Layout, Member, Points, Strings, Values, join, members};

/// A value of any type, to compare with.
#[derive(Debug, Clone, PartialEq)]
enum Value {
    Float(f64),
    Integer(i64),
    Boolean(bool),
    String(Vec<u8>),
    Unsigned(u64),
}

fn points(kind: Kind, times: &[i64], seed: u64) -> Points {
    let number = |index: usize| seed.wrapping_mul(1000) + index as u64;
    let indexes = 0..times.len();
    let values = match kind {
        Kind::Float => Values::Float(indexes.map(|index| number(index) as f64).collect()),
        Kind::Integer => Values::Integer(indexes.map(|index| -(number(index) as i64)).collect()),
        Kind::Boolean => Values::Boolean(indexes.map(|index| number(index) % 3 == 0).collect()),
        Kind::Unsigned => Values::Unsigned(indexes.map(number).collect()),
        Kind::String => {
            let mut strings = Strings::default();
            indexes.for_each(|index| strings.push("é".repeat(number(index) as usize % 5).as_bytes()));
            Values::String(strings)
        }
    };
    Points { times: times.to_vec(), values }
}

fn pairs(points: &Points) -> Vec<(i64, Value)> {
    let value = |index: usize| match &points.values {
        Values::Float(values) => Value::Float(values[index]),
        Values::Integer(values) => Value::Integer(values[index]),
        Values::Boolean(values) => Value::Boolean(values[index]),
        Values::String(values) => Value::String(values.get(index).unwrap().to_vec()),
        Values::Unsigned(values) => Value::Unsigned(values[index]),
    };
    assert_eq!(points.times.len(), points.values.len());
    points.times.iter().enumerate().map(|(index, time)| (*time, value(index))).collect()
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop::sample::select(vec![Kind::Float, Kind::Integer, Kind::Boolean, Kind::String, Kind::Unsigned])
}

/// A piece whose times lie close together somewhere in a small space, so that pieces touch each other often.
fn pieces() -> impl Strategy<Value = Vec<Points>> {
    let piece = (kinds(), -50_i64..50, prop::collection::btree_set(0_i64..30, 0..12));
    prop::collection::vec(piece, 0..12).prop_map(|pieces| {
        let piece = |(seed, (kind, shift, times)): (usize, (Kind, i64, std::collections::BTreeSet<i64>))| {
            let times: Vec<i64> = times.into_iter().map(|time| time + shift).collect();
            points(kind, &times, seed as u64)
        };
        pieces.into_iter().enumerate().map(piece).collect()
    })
}

proptest! {
    #[test]
    fn the_later_piece_wins_and_all_comes_in_order(pieces in pieces()) {
        let mut expected = BTreeMap::new();
        for piece in &pieces {
            expected.extend(pairs(piece));
        }
        let joined = join(pieces);
        prop_assert!(joined.iter().all(|run| !run.is_empty()));
        let found: Vec<(i64, Value)> = joined.iter().flat_map(pairs).collect();
        prop_assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
    }

    #[test]
    fn a_range_is_removed_or_kept_with_both_its_ends(
        kind in kinds(),
        times in prop::collection::btree_set(-20_i64..20, 0..20),
        (first, last) in (-25_i64..25, -25_i64..25),
    ) {
        let times: Vec<i64> = times.into_iter().collect();
        let whole = points(kind, &times, 7);
        let inside = |time: i64| first <= time && time <= last;
        let (mut removed, mut kept) = (whole.clone(), whole.clone());
        removed.remove(first, last);
        kept.keep(first, last);
        let (expected_kept, expected_left): (Vec<_>, Vec<_>) =
            pairs(&whole).into_iter().partition(|(time, _)| inside(*time));
        prop_assert_eq!(pairs(&removed), expected_left);
        prop_assert_eq!(pairs(&kept), expected_kept);
    }

    #[test]
    fn keys_of_several_files_come_once_and_in_order(
        files in prop::collection::vec(prop::collection::btree_map("[a-c]{1,3}", 0_i64..100, 1..8), 0..6),
    ) {
        let mut expected: BTreeMap<Vec<u8>, Vec<(usize, i64)>> = BTreeMap::new();
        let mut indexes = Vec::new();
        for (number, keys) in files.iter().enumerate() {
            for (key, time) in keys {
                expected.entry(key.clone().into_bytes()).or_default().push((number, *time));
            }
            indexes.push(index(keys));
        }
        let readers = indexes.iter().map(|index| {
            let layout = Layout::new(1000 + index.len() as u64 + 8, 1000).unwrap();
            IndexReader::new(index.as_slice(), layout)
        });
        let mut keys = Keys::new(readers.collect());
        let mut found = Vec::new();
        while let Some(joined) = keys.next().unwrap() {
            let parts = joined.parts.iter().map(|part| (part.file, part.entries[0].first));
            found.push((joined.key.clone(), parts.collect::<Vec<_>>()));
        }
        prop_assert_eq!(found, expected.into_iter().collect::<Vec<_>>());
    }
}

/// An index in which each key has a single block with a single time.
fn index(keys: &BTreeMap<String, i64>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (number, (key, time)) in keys.iter().enumerate() {
        bytes.extend((key.len() as u16).to_be_bytes());
        bytes.extend(key.as_bytes());
        bytes.extend([0, 0, 1]);
        let entry = Entry { first: *time, last: *time, offset: 5 + 10 * number as u64, size: 10 };
        bytes.extend(entry.first.to_be_bytes());
        bytes.extend(entry.last.to_be_bytes());
        bytes.extend(entry.offset.to_be_bytes());
        bytes.extend(entry.size.to_be_bytes());
    }
    bytes
}

#[test]
fn pieces_that_do_not_touch_are_passed_on_as_they_are() {
    let pieces = vec![points(Kind::Float, &[5, 6], 1), points(Kind::Float, &[1, 4], 2), points(Kind::String, &[7], 3)];
    let expected = vec![pieces[1].clone(), pieces[0].clone(), pieces[2].clone()];
    assert_eq!(join(pieces), expected);
}

#[test]
fn a_damaged_index_is_named_by_its_file() {
    let good = index(&BTreeMap::from([("a".to_owned(), 1)]));
    let mut bad = good.clone();
    bad[2] = b'A';
    bad[3] = 9;
    let reader = |index: &'static [u8]| IndexReader::new(index, Layout::new(108 + index.len() as u64, 100).unwrap());
    let mut keys = Keys::new(vec![reader(good.leak()), reader(bad.leak())]);
    let error = keys.next().unwrap_err();
    assert_eq!(error.file, 1);
    assert!(error.error.to_string().contains("unknown type"), "{error}");
}

#[test]
fn members_come_in_the_order_of_their_names_and_twice_sent_ones_once() {
    let names = [
        "000000002-000000001.tsm",
        "000000001-000000002.tombstone",
        "000000001-000000002.tsm",
        "000000003-000000001.tsm.tmp",
        "000000009-000000001.tombstone",
        "000000002-000000001.tsm",
        "fields.idx",
        "000000010-000000001.tsm",
    ];
    let member = |tsm, tombstone| Member { tsm, tombstone };
    assert_eq!(members(&names), [member(2, Some(1)), member(5, None), member(7, None)]);
    assert_eq!(members::<&str>(&[]), []);
}
