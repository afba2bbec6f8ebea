//! Files that somebody made in order to harm: no check of them panics, goes on for ever, or takes much memory.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

use std::fs;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use peak_alloc::PeakAlloc;
use proptest::prelude::*;
use test_support::tsm_writer::{TsmWriter, assemble};
use tsm::check::{self, Extent, ShardFile};
use tsm::{ReadAt, Tombstones};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What a check may take.
const MOST_MEMORY: usize = 64 << 20;

/// Tests run at the same time, and memory is counted for all of them: one at a time measures.
static MEASURING: Mutex<()> = Mutex::new(());

fn measured<T>(work: impl FnOnce() -> T) -> T {
    let _alone = MEASURING.lock().unwrap_or_else(PoisonError::into_inner);
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    let outcome = work();
    let taken = MEMORY.peak_usage().saturating_sub(before);
    assert!(taken < MOST_MEMORY, "{taken} bytes of memory");
    outcome
}

/// Checks a file in every way; whether it passed, and what was said of it.
fn check(file: &[u8]) -> Result<(), String> {
    let shard = [ShardFile { source: file, tombstones: Tombstones::default() }];
    let outcome = [Extent::Checksums, Extent::Decode].map(|extent| {
        measured(|| {
            let _ = check::file(&file, extent);
            check::shard(&shard, extent).map(drop).map_err(|error| error.error.to_string())
        })
    });
    outcome.into_iter().collect()
}

/// A few bytes that hold a million points: a time every nanosecond from `first` on, and the same value.
fn dense(first: i64, count: u64) -> Vec<u8> {
    // A run: where it begins, one step, and its length; of times all of it, of values how often the step is made.
    let run = |begins: [u8; 8], step: u8, length: u64| {
        let mut run = [&[2 << 4][..], &begins, &[step]].concat();
        let mut rest = length;
        while rest > 127 {
            run.push(0x80 | (rest & 127) as u8);
            rest >>= 7;
        }
        run.push(rest as u8);
        run
    };
    assemble(1, &run(first.to_be_bytes(), 1, count), &run([0; 8], 0, count - 1))
}

#[test]
fn a_million_points_in_forty_bytes_are_counted_and_too_many_at_once_are_refused() {
    let count = 1 << 20;
    let file = |blocks: i64, apart: i64| {
        let mut writer = TsmWriter::new(Vec::new());
        writer.key(b"m#!~#f", 1);
        for block in 0..blocks {
            let first = block * apart;
            writer.block(first, first + count - 1, &dense(first, count as u64));
        }
        writer.finish()
    };
    assert_eq!(check(&file(20, count)), Ok(()), "one behind the other");
    assert_eq!(check(&file(2, 1)), Ok(()), "two that overlap");
    assert!(check(&file(20, 1)).unwrap_err().contains("overlaps more blocks"));
}

#[test]
fn a_block_may_be_named_once_only() {
    let mut writer = TsmWriter::new(Vec::new());
    writer.key(b"m#!~#f", 1);
    let block = dense(0, 1000);
    writer.block(0, 999, &block);
    for _ in 0..1000 {
        writer.entry(0, 999, 5, u32::try_from(block.len()).unwrap());
    }
    assert!(check(&writer.finish()).unwrap_err().contains("more bytes than lie before the index"));
}

#[test]
fn thousands_of_blocks_that_overlap_are_merged() {
    let mut writer = TsmWriter::new(Vec::new());
    writer.key(b"m#!~#f", 1);
    for first in 0..60_000 {
        writer.block(first, first + 19, &dense(first, 20));
    }
    assert_eq!(check(&writer.finish()), Ok(()));
}

#[test]
fn a_long_block_at_a_place_that_is_not_there_allocates_nothing() {
    struct Endless;
    impl ReadAt for Endless {
        fn length(&self) -> std::io::Result<u64> {
            Ok(u64::MAX)
        }
        fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<()> {
            let header = [0x16, 0xd1, 0x16, 0xd1, 1];
            let footer = (u64::MAX - 1000).to_be_bytes();
            for (place, byte) in buffer.iter_mut().enumerate() {
                let offset = offset.saturating_add(place as u64);
                *byte = match offset {
                    0..5 => header[offset as usize],
                    _ if offset >= u64::MAX - 8 => footer[(offset - (u64::MAX - 8)) as usize],
                    _ => 0xff,
                };
            }
            Ok(())
        }
    }
    assert!(measured(|| check::file(&Endless, Extent::Checksums)).unwrap_err().is_damage());
}

fn vector(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors/tsm").join(name)).unwrap()
}

proptest! {
    #[test]
    fn changed_files_are_taken_or_refused_and_nothing_else(
        name in prop::sample::select(vec!["escapes.tsm", "multiblock.tsm", "string.tsm", "timestamp_wide.tsm"]),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let mut file = vector(name);
        for (place, byte) in changes {
            let place = place.index(file.len());
            file[place] = byte;
        }
        if let Some(cut) = cut {
            file.truncate(cut.index(file.len()));
        }
        let _ = check(&file);
    }

    #[test]
    fn arbitrary_tombstones_are_taken_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), version in 0_u8..6) {
        for head in [&[][..], &[0, 0, 0x15, version]] {
            let _ = measured(|| Tombstones::read([head, &bytes].concat().as_slice()));
        }
    }
}
