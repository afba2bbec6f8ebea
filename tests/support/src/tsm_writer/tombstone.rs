//! Tombstones of every version.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

/// A tombstone of this version (1 to 4) that deletes of each key what lies between two times, both inclusive.
///
/// Version 1 knows no times, and names the keys only.
pub fn tombstone(version: u8, deleted: &[(&[u8], i64, i64)]) -> Vec<u8> {
    let header = [0, 0, 0x15, version];
    match version {
        1 => deleted.iter().flat_map(|(key, _, _)| [*key, b"\n"].concat()).collect(),
        2 => [&header, records(deleted).as_slice()].concat(),
        3 => [&header, gzip(&records(deleted)).as_slice()].concat(),
        // Each deletion is a gzip member of its own.
        4 => header.into_iter().chain(deleted.iter().flat_map(|one| gzip(&records(&[*one])))).collect(),
        _ => panic!("there is no tombstone of version {version}"),
    }
}

fn records(deleted: &[(&[u8], i64, i64)]) -> Vec<u8> {
    let record = |(key, first, last): &(&[u8], i64, i64)| {
        let length = u32::try_from(key.len()).unwrap().to_be_bytes();
        [length.as_slice(), key, &first.to_be_bytes(), &last.to_be_bytes()].concat()
    };
    deleted.iter().flat_map(record).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
