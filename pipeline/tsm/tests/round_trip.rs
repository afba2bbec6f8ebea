//! Whatever is encoded decodes to the same: every type, every encoding, any bits.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

use proptest::collection::vec;
use proptest::prelude::*;
use test_support::tsm_writer::{Column, Packing, Windows, assemble, block, booleans, floats, integers, strings, times};
use tsm::block::Block;
use tsm::{Kind, Points, Strings, Values};

const PACKINGS: [Packing; 3] = [Packing::Raw, Packing::Packed, Packing::Run];

/// More than any server writes into a block.
const MOST: usize = 12_000;

/// Decodes a block, and compares all that it tells with what it was made of.
fn check(bytes: &[u8], times: &[i64], values: &Values) {
    let block = Block::open(bytes).unwrap();
    assert_eq!(block.kind(), values.kind());
    assert_eq!(block.count().unwrap(), times.len());
    let mut decoded = Vec::new();
    block.times(&mut decoded).unwrap();
    assert_eq!(decoded, times);
    // Something of another length and type is in place already.
    let mut points = Points { times: vec![1, 2], values: Values::Boolean(vec![true; 2]) };
    block.decode(&mut points).unwrap();
    assert_eq!(points.times, times);
    match (&points.values, values) {
        // A NaN equals nothing, and zero has two signs.
        (Values::Float(decoded), Values::Float(values)) => {
            assert!(decoded.iter().map(|value| value.to_bits()).eq(values.iter().map(|value| value.to_bits())));
        }
        (decoded, values) => assert_eq!(decoded, values),
    }
}

/// Ascending times: steps of any size, such as powers of ten divide, and all the same.
fn any_times() -> impl Strategy<Value = Vec<i64>> {
    let first = prop_oneof![any::<i64>(), Just(i64::MIN), Just(1_600_000_000_000_000_000)];
    let any_steps = vec((1u64.., 0u32..64).prop_map(|(step, smaller)| (step >> smaller).max(1)), 0..300);
    let scaled = (vec(1u64..2_000, 0..300), 0u32..16)
        .prop_map(|(steps, exponent)| steps.into_iter().map(|step| step * 10u64.pow(exponent)).collect::<Vec<u64>>());
    let same = (1u64..1 << 40, 0usize..MOST).prop_map(|(step, count)| vec![step; count]);
    // Runs of the number one have words of their own.
    let ones = vec(prop_oneof![20 => Just(1u64), 1 => 1u64..5], 0..1_500);
    (first, prop_oneof![any_steps, scaled, same, ones]).prop_map(|(first, steps)| {
        let next = |time: &mut i64, step: u64| {
            *time = time.checked_add_unsigned(step)?;
            Some(*time)
        };
        std::iter::once(first).chain(steps.into_iter().scan(first, |time, step| next(time, step))).collect()
    })
}

/// Numbers of any size, small ones, and such as differ by the same from each to the next.
fn any_integers() -> impl Strategy<Value = Vec<u64>> {
    let any_bits = vec((any::<u64>(), 0u32..64).prop_map(|(number, smaller)| number >> smaller), 1..300);
    let near = (any::<u64>(), vec(0u64..100, 1..300))
        .prop_map(|(first, others)| others.into_iter().map(|other| first.wrapping_add(other)).collect::<Vec<u64>>());
    let ramp = (any::<u64>(), any::<u64>(), 1u64..1_000).prop_map(|(first, step, count)| {
        (0..count).map(|index| first.wrapping_add(step.wrapping_mul(index))).collect()
    });
    prop_oneof![any_bits, near, ramp]
}

/// Doubles of any bits, NaN among them, but for the one that ends a block.
fn any_floats() -> impl Strategy<Value = Vec<f64>> {
    let bits = any::<u64>().prop_filter("this one ends a block", |bits| *bits != 0x7ff8_0000_0000_0001);
    let any_bits = vec(bits.prop_map(f64::from_bits), 1..300);
    let gauge =
        vec(prop_oneof![(-1_000i32..100_000).prop_map(|hundredths| f64::from(hundredths) / 100.0), Just(1.5)], 1..300);
    // What differs lies in few bits, anywhere.
    let near = (any::<u32>(), vec(0u32..64, 1..300)).prop_map(|(first, places)| {
        places.into_iter().map(|place| f64::from_bits(u64::from(first) << 20 ^ 1 << place)).collect()
    });
    prop_oneof![any_bits, gauge, near]
}

/// As many values as there are times, from a shorter list again and again.
fn fill<T: Clone>(values: &[T], times: &[i64]) -> Vec<T> {
    values.iter().cycle().take(times.len()).cloned().collect()
}

fn strings_of(values: &[Vec<u8>]) -> Strings {
    let mut strings = Strings::default();
    values.iter().for_each(|value| strings.push(value));
    strings
}

proptest! {
    #[test]
    fn times_in_every_encoding_come_back(times_of_points in any_times()) {
        let values = vec![true; times_of_points.len()];
        check(&block(&times_of_points, &Column::Boolean(&values)), &times_of_points, &Values::Boolean(values.clone()));
        for packing in PACKINGS {
            if let Some(part) = times(&times_of_points, packing) {
                let bytes = assemble(Kind::Boolean.code(), &part, &booleans(&values));
                check(&bytes, &times_of_points, &Values::Boolean(values.clone()));
            }
        }
    }

    #[test]
    fn integers_in_every_encoding_come_back(times_of_points in any_times(), numbers in any_integers()) {
        let bits = fill(&numbers, &times_of_points);
        let signed: Vec<i64> = bits.iter().map(|bits| bits.cast_signed()).collect();
        check(&block(&times_of_points, &Column::Integer(&signed)), &times_of_points, &Values::Integer(signed.clone()));
        check(&block(&times_of_points, &Column::Unsigned(&bits)), &times_of_points, &Values::Unsigned(bits.clone()));
        let times_part = times(&times_of_points, Packing::Raw).unwrap();
        for part in PACKINGS.iter().filter_map(|packing| integers(&bits, *packing)) {
            let bytes = assemble(Kind::Integer.code(), &times_part, &part);
            check(&bytes, &times_of_points, &Values::Integer(signed.clone()));
            let bytes = assemble(Kind::Unsigned.code(), &times_part, &part);
            check(&bytes, &times_of_points, &Values::Unsigned(bits.clone()));
        }
    }

    #[test]
    fn floats_in_every_kind_of_window_come_back(times_of_points in any_times(), values in any_floats()) {
        let values = fill(&values, &times_of_points);
        let times_part = times(&times_of_points, Packing::Raw).unwrap();
        for windows in [Windows::AsServer, Windows::Fresh, Windows::Whole] {
            let bytes = assemble(Kind::Float.code(), &times_part, &floats(&values, windows));
            check(&bytes, &times_of_points, &Values::Float(values.clone()));
        }
    }

    #[test]
    fn booleans_come_back(times_of_points in any_times(), values in vec(any::<bool>(), 1..300)) {
        let values = fill(&values, &times_of_points);
        check(&block(&times_of_points, &Column::Boolean(&values)), &times_of_points, &Values::Boolean(values.clone()));
    }

    #[test]
    fn strings_of_any_bytes_come_back(
        times_of_points in any_times(),
        values in vec(prop_oneof![4 => vec(any::<u8>(), 0..20), 1 => vec(Just(b'x'), 0..20_000)], 1..20),
    ) {
        let values = fill(&values, &times_of_points[..times_of_points.len().min(200)]);
        let times_of_points = &times_of_points[..values.len()];
        let bytes = assemble(Kind::String.code(), &times(times_of_points, Packing::Raw).unwrap(), &strings(&values));
        check(&bytes, times_of_points, &Values::String(strings_of(&values)));
    }
}
