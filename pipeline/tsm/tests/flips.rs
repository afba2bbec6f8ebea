//! Real files with any bit turned over, and cut anywhere: what the checks find by themselves, and exactly what they cannot.
//!
//! A manifest's SHA-256 finds all of it. The checks know a file from its own words, so what they miss is a file that is whole in
//! itself: one that has a key by another name, in an order that is still right, or by a name that goes on over the
//! keys behind it.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

use std::collections::BTreeSet;
use std::fs;
use std::ops::Range;
use std::path::Path;

use peak_alloc::PeakAlloc;
use sha2::{Digest, Sha256};
use tsm::Tombstones;
use tsm::check::{self, Extent, ShardFile};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What no check may take.
const MOST_MEMORY: usize = 64 << 20;

/// Each bit by itself, and all of a byte.
const FLIPS: [u8; 9] = [0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff];

/// Small files, each of whose keys has one block.
const FILES: [&str; 5] =
    ["tombstone/points.tsm", "tsm/unsigned.tsm", "tsm/timestamp_wide.tsm", "tsm/escapes.tsm", "tsm/boolean.tsm"];

/// Lengths of keys that, changed so, reach by chance to the end of a later key. The index is right then, and the keys between
/// are a part of this one's name; their blocks are there and no key has them.
const SWALLOWING: [(&str, Flip); 2] = [("tsm/escapes.tsm", (700, 0x80)), ("tsm/escapes.tsm", (923, 0x01))];

/// A byte of a file, and how it is changed.
type Flip = (usize, u8);

fn vector(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name)).unwrap()
}

fn passes(file: &[u8], extent: Extent) -> bool {
    let shard = [ShardFile { source: file, tombstones: Tombstones::default() }];
    let passes = check::shard(&shard, extent).is_ok();
    assert_eq!(check::file(&file, extent).is_ok(), passes);
    assert!(MEMORY.peak_usage() < MOST_MEMORY, "{} bytes of memory", MEMORY.peak_usage());
    passes
}

/// The flips of a file that the checks let pass.
fn passing(file: &[u8], extent: Extent) -> BTreeSet<Flip> {
    let mut changed = file.to_vec();
    let mut passing = BTreeSet::new();
    for place in 0..file.len() {
        for flip in FLIPS {
            changed[place] ^= flip;
            if passes(&changed, extent) {
                passing.insert((place, flip));
            }
            changed[place] ^= flip;
        }
    }
    passing
}

/// A key of an index that was taken apart here, by where its parts lie in the file.
struct Indexed {
    key: Range<usize>,
    first: Range<usize>,
    last: Range<usize>,
}

fn index(file: &[u8]) -> Vec<Indexed> {
    let footer = file.len() - 8;
    let mut place = usize::try_from(u64::from_be_bytes(*file.last_chunk().unwrap())).unwrap();
    let mut keys = Vec::new();
    while place < footer {
        let length = usize::from(u16::from_be_bytes([file[place], file[place + 1]]));
        let key = place + 2..place + 2 + length;
        assert_eq!(file[key.end + 1..key.end + 3], [0, 1], "a key with one block");
        let times = key.end + 3;
        keys.push(Indexed { key, first: times..times + 8, last: times + 8..times + 16 });
        place = times + 28;
    }
    keys
}

/// The flips of keys, and of their lengths, that leave each greater than the one before it, with a series and a field.
fn flips_of_keys(name: &str, file: &[u8]) -> BTreeSet<Flip> {
    let keys = index(file);
    let mut flips: BTreeSet<Flip> =
        SWALLOWING.iter().filter(|(swallowing, _)| *swallowing == name).map(|(_, flip)| *flip).collect();
    for (number, indexed) in keys.iter().enumerate() {
        let before = number.checked_sub(1).map(|before| &file[keys[before].key.clone()]);
        let after = keys.get(number + 1).map(|after| &file[after.key.clone()]);
        for place in indexed.key.clone() {
            for flip in FLIPS {
                let mut key = file[indexed.key.clone()].to_vec();
                key[place - indexed.key.start] ^= flip;
                let ordered = before.is_none_or(|before| before < key.as_slice())
                    && after.is_none_or(|after| key.as_slice() < after);
                if ordered && key.windows(4).any(|part| part == b"#!~#") {
                    flips.insert((place, flip));
                }
            }
        }
    }
    flips
}

/// The flips of the times of keys that leave the first not behind the last.
fn flips_of_times(file: &[u8]) -> BTreeSet<Flip> {
    let time = |range: &Range<usize>| i64::from_be_bytes(file[range.clone()].try_into().unwrap());
    let mut flips = BTreeSet::new();
    for indexed in index(file) {
        let (first, last) = (time(&indexed.first), time(&indexed.last));
        for byte in 0..8 {
            for flip in FLIPS {
                let changed = i64::from_be_bytes((u64::from(flip) << (56 - 8 * byte)).to_be_bytes());
                if first ^ changed <= last {
                    flips.insert((indexed.first.start + byte, flip));
                }
                if first <= last ^ changed {
                    flips.insert((indexed.last.start + byte, flip));
                }
            }
        }
    }
    flips
}

/// Flips that pass are exactly those that are expected to; names the first that is not, with what stands before it.
fn compare(name: &str, file: &[u8], passing: &BTreeSet<Flip>, expected: &BTreeSet<Flip>) {
    if let Some((place, flip)) = passing.symmetric_difference(expected).next() {
        let passes = passing.contains(&(*place, *flip));
        let before = file[place.saturating_sub(40)..=*place].escape_ascii();
        panic!("{name}: byte {place} xor {flip:#04x} passes: {passes}; it is the last of {before}");
    }
}

#[test]
fn a_flipped_bit_passes_only_where_it_leaves_other_names_of_keys_in_the_right_order() {
    for name in FILES {
        let file = vector(name);
        assert!(passes(&file, Extent::Decode));
        let expected = flips_of_keys(name, &file);
        compare(name, &file, &passing(&file, Extent::Decode), &expected);
        assert!(!expected.is_empty(), "there are such in {name}");
    }
}

#[test]
fn checksums_alone_do_not_find_a_wrong_time_in_the_index_either() {
    for name in FILES {
        let file = vector(name);
        let expected: BTreeSet<Flip> = flips_of_keys(name, &file).union(&flips_of_times(&file)).copied().collect();
        compare(name, &file, &passing(&file, Extent::Checksums), &expected);
    }
}

#[test]
fn a_digest_finds_every_flip_that_the_checks_miss() {
    for name in FILES {
        let file = vector(name);
        let digest = Sha256::digest(&file);
        let mut changed = file.clone();
        for (place, flip) in flips_of_keys(name, &file).union(&flips_of_times(&file)) {
            changed[*place] ^= flip;
            assert_ne!(Sha256::digest(&changed), digest);
            changed[*place] ^= flip;
        }
        assert_eq!(Sha256::digest(&changed), digest);
    }
}

#[test]
fn a_file_that_is_cut_anywhere_is_refused() {
    for name in FILES.iter().chain(&["tsm/multiblock.tsm", "tsm/string.tsm"]) {
        let file = vector(name);
        for length in 0..file.len() {
            assert!(!passes(&file[..length], Extent::Checksums), "{name}, cut after {length} bytes");
        }
    }
}
