//! Blocks that somebody made in order to harm, with right checksums: none panics, and none takes much memory.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

// What the fuzzers do with a block.
#[allow(dead_code, unreachable_pub, reason = "they begin at other functions")]
#[path = "../../../tests/fuzz/src/targets/block.rs"]
mod block;
mod real_blocks;

use peak_alloc::PeakAlloc;
use proptest::collection::vec;
use proptest::prelude::*;
use real_blocks::{NAMES, blocks};
use test_support::tsm_writer::assemble;
use tsm::block::LARGEST;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// What all tests of this program may take together, the harness among them.
const MOST_MEMORY: usize = 64 << 20;

/// Decodes a block in every way; whether it was taken.
fn decode(bytes: &[u8]) -> bool {
    let taken = block::decode(bytes);
    assert!(MEMORY.peak_usage() < MOST_MEMORY, "{} bytes of memory: {bytes:02x?}", MEMORY.peak_usage());
    taken
}

fn with_checksum(content: &[u8]) -> Vec<u8> {
    [&crc32fast::hash(content).to_be_bytes(), content].concat()
}

#[test]
fn a_real_block_with_any_byte_changed_is_decoded_or_refused() {
    let (mut taken, mut refused) = (0, 0);
    // Longer ones have nothing that these have not.
    for listed in NAMES.iter().flat_map(|name| blocks(name)).filter(|listed| listed.points <= 300) {
        let mut content = listed.bytes[4..].to_vec();
        for place in 0..content.len() {
            let byte = content[place];
            for changed in [byte ^ 0xff, byte ^ 0x01, byte ^ 0x80] {
                content[place] = changed;
                if decode(&with_checksum(&content)) {
                    taken += 1;
                } else {
                    refused += 1;
                }
            }
            content[place] = byte;
            decode(&with_checksum(&content[..place]));
        }
    }
    assert!(taken > 1_000 && refused > 1_000, "both happens: {taken} taken, {refused} refused");
}

#[test]
fn a_few_bytes_that_claim_very_much_take_little_memory() {
    let most = u32::try_from(LARGEST).unwrap();
    let number = |mut left: u64| {
        let mut bytes = Vec::new();
        while left > 0x7f {
            bytes.push(left as u8 | 0x80);
            left >>= 7;
        }
        bytes.push(left as u8);
        bytes
    };
    for code in 0..5 {
        for claimed in [u64::from(most), u64::from(most) + 1, u64::MAX] {
            let times = [&[0x20; 1], [0; 8].as_slice(), &[1], &number(claimed)].concat();
            for values in [
                [&[0x10], number(claimed).as_slice()].concat(),
                [&[0x10; 1], [0; 8].as_slice(), &[0; 80_000]].concat(),
                [&[0x20; 1], [0; 8].as_slice(), &[1], &number(claimed - 1)].concat(),
                [&[0x10], number(claimed).as_slice(), &[0; 1_000]].concat(),
            ] {
                let taken = decode(&assemble(code, &times, &values));
                assert!(!taken || claimed <= u64::from(most), "{code}: {claimed}");
            }
        }
        // As many words as there may be, and more.
        for words in [LARGEST / 240, LARGEST / 240 + 1] {
            let packed = [&[0x10; 1], [0; 8].as_slice(), &vec![0; words * 8]].concat();
            decode(&assemble(code, &packed, &packed));
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_decoded_or_refused(
        code in 0u8..6,
        times_encoding in 0u8..4,
        scale in 0u8..16,
        times in vec(any::<u8>(), 0..200),
        values_encoding in 0u8..4,
        values in vec(any::<u8>(), 0..2_000),
    ) {
        let times = [&[times_encoding << 4 | scale], times.as_slice()].concat();
        let values = [&[values_encoding << 4], values.as_slice()].concat();
        decode(&assemble(code, &times, &values));
        decode(&values);
        decode(&with_checksum(&values));
    }

    #[test]
    fn any_values_behind_times_that_are_right_are_decoded_or_refused(
        code in 0u8..5,
        count in 1u8..0x80,
        encoding in 0u8..4,
        values in vec(any::<u8>(), 0..1_000),
    ) {
        let times = [&[0x20; 1], [0; 8].as_slice(), &[1, count]].concat();
        decode(&assemble(code, &times, &[&[encoding << 4], values.as_slice()].concat()));
    }
}
