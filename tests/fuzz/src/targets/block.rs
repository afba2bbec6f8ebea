//! Blocks, each under a right checksum.

use tsm::block::Block;
use tsm::{Kind, Points};

/// Times and values of floats, with the length of the times before them, as in a block.
pub fn float(bytes: &[u8]) {
    decode(&with_checksum(Kind::Float, bytes));
}

/// As [`float`], of integers.
pub fn integer(bytes: &[u8]) {
    decode(&with_checksum(Kind::Integer, bytes));
}

/// As [`float`], of booleans.
pub fn boolean(bytes: &[u8]) {
    decode(&with_checksum(Kind::Boolean, bytes));
}

/// As [`float`], of strings.
pub fn string(bytes: &[u8]) {
    decode(&with_checksum(Kind::String, bytes));
}

/// As [`float`], of unsigned integers.
pub fn unsigned(bytes: &[u8]) {
    decode(&with_checksum(Kind::Unsigned, bytes));
}

/// Times alone.
pub fn times(bytes: &[u8]) {
    let length = bytes.len();
    // The length in seven bits a byte.
    let length = [length as u8 | 0x80, (length >> 7) as u8 | 0x80, (length >> 14) as u8 & 0x7f];
    decode(&with_checksum(Kind::Boolean, &[&length, bytes].concat()));
}

fn with_checksum(kind: Kind, bytes: &[u8]) -> Vec<u8> {
    let content = [&[kind.code()], bytes].concat();
    [&crc32fast::hash(&content).to_be_bytes(), content.as_slice()].concat()
}

/// Decodes a block in every way, and sees to it that these agree. Returns whether it was taken.
pub fn decode(bytes: &[u8]) -> bool {
    let Ok(block) = Block::open(bytes) else { return false };
    let mut times = vec![3, 2, 1];
    let told = block.times(&mut times).map(|()| times.len());
    assert!(times.is_sorted_by(|before, after| before < after));
    // Only decoding shows that times do not ascend.
    assert!(told.is_err() || told == block.count());
    let mut points = Points::empty(Kind::Float);
    let decoded = block.decode(&mut points);
    assert_eq!(points.values.kind(), block.kind());
    assert_eq!(points.values.len(), points.len());
    match decoded {
        Ok(()) => assert_eq!(points.times, times),
        Err(_) => assert!(points.is_empty()),
    }
    // What another block left behind changes nothing.
    let mut again = points.clone();
    assert_eq!(block.decode(&mut again), decoded);
    assert_eq!(again.times, points.times);
    decoded.is_ok()
}
