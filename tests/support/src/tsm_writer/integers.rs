//! How integers are written: zigzag, in variable length, and packed into words.

/// How many numbers of how many bits a word with each selector holds, from the third selector on.
const SHAPES: [(usize, u32); 14] = [
    (60, 1),
    (30, 2),
    (20, 3),
    (15, 4),
    (12, 5),
    (10, 6),
    (8, 7),
    (7, 8),
    (6, 10),
    (5, 12),
    (4, 15),
    (3, 20),
    (2, 30),
    (1, 60),
];

/// The largest number that simple8b can hold.
pub(super) fn largest_packed() -> u64 {
    (1 << 60) - 1
}

/// Small for what is near zero on either side.
pub(super) fn zigzag(difference: u64) -> u64 {
    (difference << 1) ^ (difference.cast_signed() >> 63).cast_unsigned()
}

/// Seven bits a byte, the lowest first.
pub(super) fn uvarint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// Simple8b words, each with as many numbers as it can hold; all must be at most [`largest_packed`].
pub(super) fn words(mut numbers: &[u64]) -> Vec<u8> {
    let mut bytes = Vec::new();
    while !numbers.is_empty() {
        let (word, taken) = word(numbers);
        bytes.extend(word.to_be_bytes());
        numbers = &numbers[taken..];
    }
    bytes
}

fn word(numbers: &[u64]) -> (u64, usize) {
    for (selector, count) in [(0u64, 240), (1, 120)] {
        if numbers.len() >= count && numbers[..count].iter().all(|number| *number == 1) {
            return (selector << 60, count);
        }
    }
    let fits = |(_, (count, bits)): &(u64, (usize, u32))| {
        numbers.len() >= *count && numbers[..*count].iter().all(|number| number >> bits == 0)
    };
    let (selector, (count, bits)) = (2..).zip(SHAPES).find(fits).unwrap();
    let payload = numbers[..count].iter().rev().fold(0, |payload, number| payload << bits | number);
    (selector << 60 | payload, count)
}
