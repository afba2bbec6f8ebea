//! TSM files: their index, their keys, and all of one.

use tsm::block::Block;
use tsm::check::{self, Extent, Field, ShardFile};
use tsm::{IndexReader, Kind, Layout, Points, Tombstones, join, key as keys, layout};

/// So many bytes of blocks lie before an index.
const BLOCKS: u64 = 1 << 20;

/// An index, which has one form only: what was read, written again, is the same.
pub fn index(bytes: &[u8]) {
    let Ok(layout) = Layout::new(BLOCKS + bytes.len() as u64 + 8, BLOCKS) else { return };
    let mut reader = IndexReader::new(bytes, layout);
    let mut written = Vec::new();
    loop {
        match reader.next() {
            Ok(Some(indexed)) => {
                written.extend(u16::try_from(indexed.key.len()).unwrap().to_be_bytes());
                written.extend(&indexed.key);
                written.push(indexed.kind.code());
                written.extend(u16::try_from(indexed.entries.len()).unwrap().to_be_bytes());
                for entry in &indexed.entries {
                    assert!(entry.first <= entry.last && entry.offset + u64::from(entry.size) <= BLOCKS);
                    written.extend(entry.first.to_be_bytes());
                    written.extend(entry.last.to_be_bytes());
                    written.extend(entry.offset.to_be_bytes());
                    written.extend(entry.size.to_be_bytes());
                }
                assert!(bytes.starts_with(&written));
            }
            Ok(None) => break,
            Err(_) => return,
        }
    }
    assert_eq!(written, bytes);
}

/// A key.
pub fn key(bytes: &[u8]) {
    if let Some((series, field)) = keys::split(bytes) {
        assert_eq!([series, keys::SEPARATOR, field].concat(), bytes);
        if let Ok(parts) = keys::series(series) {
            assert_eq!(parts.measurement, *keys::measurement(series));
            assert!(parts.tags.iter().all(|(name, _)| !name.is_empty()));
        }
    }
}

/// A TSM file, once the checksums are right of all blocks that its index names.
pub fn shard(bytes: &[u8]) {
    let mut file = bytes.to_vec();
    repair(&mut file);
    let shard = [ShardFile { source: file.as_slice(), tombstones: Tombstones::default() }];
    let quick = check::shard(&shard, Extent::Checksums);
    let thorough = check::shard(&shard, Extent::Decode);
    let Ok(thorough) = thorough else { return };
    assert_eq!(quick.unwrap(), thorough, "what is right when decoded is right when counted");
    let counted = thorough.measurements.values().flat_map(|measurement| measurement.fields.values());
    let counted: u64 = counted.flat_map(|kinds| kinds.values()).map(|field: &Field| field.points).sum();
    assert_eq!(counted, read(&file));
}

fn repair(file: &mut [u8]) {
    let source = file.to_vec();
    let Ok(layout) = layout(&source) else { return };
    let mut reader = IndexReader::of(&source, layout, 1 << 10);
    while let Ok(Some(indexed)) = reader.next() {
        for entry in &indexed.entries {
            let begins = usize::try_from(entry.offset).unwrap();
            let block = &mut file[begins..begins + entry.size as usize];
            let checksum = crc32fast::hash(&block[4..]);
            block[..4].copy_from_slice(&checksum.to_be_bytes());
        }
    }
}

/// How many points a file shows that passed all checks, once they are joined.
fn read(file: &[u8]) -> u64 {
    let mut reader = IndexReader::of(file, layout(file).unwrap(), 1 << 10);
    let mut shown = 0;
    while let Some(indexed) = reader.next().unwrap() {
        let mut pieces = Vec::new();
        for entry in &indexed.entries {
            let begins = usize::try_from(entry.offset).unwrap();
            let mut points = Points::empty(Kind::Float);
            Block::open(&file[begins..begins + entry.size as usize]).unwrap().decode(&mut points).unwrap();
            pieces.push(points);
        }
        shown += join(pieces).iter().map(|points| points.len() as u64).sum::<u64>();
    }
    shown
}
