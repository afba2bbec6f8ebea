//! Blocks of a real server's files, decoded and compared with what that server answered to queries.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

mod real_blocks;

use std::fs;

use real_blocks::{NAMES, blocks, folder};
use serde_json::Value;
use tsm::block::Block;
use tsm::{Kind, Points, Values};

/// What the server answered: type, time and value of each point, floats by their bits.
fn answered(name: &str) -> Vec<(String, i64, Value)> {
    let lines = fs::read_to_string(folder().join(format!("{name}.ndjson"))).unwrap();
    let point = |line: &str| {
        let mut point: Value = serde_json::from_str(line).unwrap();
        let kind = point["type"].as_str().unwrap().to_owned();
        let value = if kind == "float" { point["bits"].take() } else { point["value"].take() };
        (kind, point["time"].as_i64().unwrap(), value)
    };
    lines.lines().map(point).collect()
}

/// Decoded points as the server answers them.
fn told(points: &Points) -> Vec<(String, i64, Value)> {
    let values: Vec<Value> = match &points.values {
        Values::Float(values) => values.iter().map(|value| format!("{:016x}", value.to_bits()).into()).collect(),
        Values::Integer(values) => values.iter().map(|value| (*value).into()).collect(),
        Values::Boolean(values) => values.iter().map(|value| (*value).into()).collect(),
        Values::Unsigned(values) => values.iter().map(|value| (*value).into()).collect(),
        Values::String(values) => values.iter().map(|value| str::from_utf8(value).unwrap().into()).collect(),
    };
    assert_eq!(values.len(), points.times.len());
    let kind = points.values.kind().name();
    values.into_iter().zip(&points.times).map(|(value, time)| (kind.to_owned(), *time, value)).collect()
}

#[test]
fn every_block_of_a_real_server_decodes_to_what_that_server_answered() {
    // One value for all, so that what a block leaves behind is what the next one finds.
    let mut points = Points::empty(Kind::Float);
    let mut compared = 0;
    for name in NAMES {
        let mut decoded = Vec::new();
        for listed in blocks(name) {
            let block = Block::open(&listed.bytes).unwrap();
            block.decode(&mut points).unwrap();
            assert_eq!((block.kind().name(), points.len()), (listed.kind.as_str(), listed.points));
            assert_eq!(block.count().unwrap(), points.len());
            let mut times = vec![7];
            block.times(&mut times).unwrap();
            assert_eq!(times, points.times);
            decoded.extend(told(&points));
        }
        assert_eq!(decoded, answered(name), "{name}");
        compared += decoded.len();
    }
    assert_eq!(compared, 5_826);
}

#[test]
fn a_flipped_bit_anywhere_in_a_block_is_noticed_and_so_is_every_cut() {
    for name in NAMES {
        for listed in blocks(name) {
            let mut bytes = listed.bytes;
            for bit in 0..bytes.len() * 8 {
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert!(Block::open(&bytes).is_err(), "{name}, bit {bit}");
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
            for length in 0..bytes.len() {
                assert!(Block::open(&bytes[..length]).is_err(), "{name}, cut after {length} bytes");
            }
        }
    }
}
