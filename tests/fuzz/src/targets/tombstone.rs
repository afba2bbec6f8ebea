//! Tombstones.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use tsm::Tombstones;

/// A tombstone; and its records, if it has such, in every version that has records.
pub fn tombstone(bytes: &[u8]) {
    let plain = read(bytes);
    let Some(records) = bytes.strip_prefix(&[0, 0, 0x15, 2]) else { return };
    for version in [3, 4] {
        let mut encoder = GzEncoder::new(vec![0, 0, 0x15, version], Compression::fast());
        encoder.write_all(records).unwrap();
        let packed = read(&encoder.finish().unwrap());
        if let (Some(plain), Some(packed)) = (&plain, &packed) {
            assert_eq!(packed.is_empty(), plain.is_empty());
            for key in keys(records) {
                assert!(packed.ranges(key).eq(plain.ranges(key)));
            }
        }
        // What compresses too well may be refused for that.
        assert!(plain.is_some() || packed.is_none());
    }
}

fn read(bytes: &[u8]) -> Option<Tombstones> {
    let tombstones = Tombstones::read(bytes).ok()?;
    let records = bytes.get(4..).unwrap_or_default();
    for key in keys(records) {
        let ranges: Vec<(i64, i64)> = tombstones.ranges(key).collect();
        assert!(ranges.is_sorted_by(|(_, last), (first, _)| last < first), "in order and disjoint");
        assert!(ranges.is_empty() || !tombstones.is_empty());
    }
    Some(tombstones)
}

/// The keys of records, as far as they are such.
fn keys(mut records: &[u8]) -> Vec<&[u8]> {
    let mut keys = Vec::new();
    while let Some((length, rest)) = records.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        let Some((key, rest)) = rest.split_at_checked(length) else { break };
        let Some((_, rest)) = rest.split_at_checked(16) else { break };
        keys.push(key);
        records = rest;
    }
    keys
}
