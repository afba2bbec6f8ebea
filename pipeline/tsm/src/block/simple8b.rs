//! Simple8b: small numbers in words of 64 bits, big-endian.
//!
//! The highest four bits of a word say how many numbers of how many bits it holds; the first number lies in the lowest
//! bits. A word is always full, so how many numbers there are follows from the selectors alone.

use crate::Fault;

use super::LARGEST;

/// How many numbers a word with each selector holds.
const COUNTS: [u8; 16] = [240, 120, 60, 30, 20, 15, 12, 10, 8, 7, 6, 5, 4, 3, 2, 1];

/// How many bits each of them has.
const WIDTHS: [u32; 16] = [0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 30, 60];

/// The lowest and the highest bit of every number in a word, for each selector.
const ENDS: [(u64, u64); 16] = ends();

const fn ends() -> [(u64, u64); 16] {
    let mut all = [(0, 0); 16];
    let mut selector = 2;
    #[allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "the compiler computes it")]
    while selector < 16 {
        let mut number = 0;
        while number < COUNTS[selector] as u32 {
            let lowest = 1 << (number * WIDTHS[selector]);
            all[selector].0 |= lowest;
            all[selector].1 |= lowest << (WIDTHS[selector] - 1);
            number += 1;
        }
        selector += 1;
    }
    all
}

/// Words that were counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packed<'a> {
    words: &'a [[u8; 8]],
    count: usize,
}

impl<'a> Packed<'a> {
    /// Takes the words, and counts their numbers.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Packed<'a>, Fault> {
        let (words, rest) = bytes.as_chunks::<8>();
        if !rest.is_empty() {
            return Err(Fault("its packed numbers are no whole words"));
        }
        let numbers = |word: &[u8; 8]| COUNTS.get(usize::from(word[0] >> 4)).map_or(0, |count| usize::from(*count));
        // Cannot overflow: 240 numbers take eight bytes of memory at least.
        let count = words.iter().map(numbers).sum();
        if count > LARGEST {
            return Err(Fault("it claims more points than a block may hold"));
        }
        Ok(Packed { words, count })
    }

    /// How many numbers there are.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Whether one of them is zero.
    pub(super) fn has_zero(&self) -> bool {
        self.words.iter().any(|word| {
            let word = u64::from_be_bytes(*word);
            let (lowest, highest) = ENDS.get(selector(word)).copied().unwrap_or_default();
            // Taking one from each number borrows into the highest bit of those that are zero; a number above a zero may be taken
            // for one too, which does not change the answer.
            (word.wrapping_sub(lowest) & !word & highest) != 0
        })
    }

    /// Appends all numbers to `out`, each as `of` makes it.
    pub(super) fn unpack<T: Copy>(&self, out: &mut Vec<T>, of: impl Fn(u64) -> T + Copy) {
        out.reserve(self.count);
        for word in self.words {
            let word = u64::from_be_bytes(*word);
            match selector(word) {
                0 => ones::<T, 240>(out, of),
                1 => ones::<T, 120>(out, of),
                2 => numbers::<T, 60, 1>(word, out, of),
                3 => numbers::<T, 30, 2>(word, out, of),
                4 => numbers::<T, 20, 3>(word, out, of),
                5 => numbers::<T, 15, 4>(word, out, of),
                6 => numbers::<T, 12, 5>(word, out, of),
                7 => numbers::<T, 10, 6>(word, out, of),
                8 => numbers::<T, 8, 7>(word, out, of),
                9 => numbers::<T, 7, 8>(word, out, of),
                10 => numbers::<T, 6, 10>(word, out, of),
                11 => numbers::<T, 5, 12>(word, out, of),
                12 => numbers::<T, 4, 15>(word, out, of),
                13 => numbers::<T, 3, 20>(word, out, of),
                14 => numbers::<T, 2, 30>(word, out, of),
                _ => numbers::<T, 1, 60>(word, out, of),
            }
        }
    }
}

fn selector(word: u64) -> usize {
    usize::try_from(word >> 60).unwrap_or_default()
}

/// The two lowest selectors stand for runs of the number one.
fn ones<T: Copy, const COUNT: usize>(out: &mut Vec<T>, of: impl Fn(u64) -> T) {
    out.extend_from_slice(&[of(1); COUNT]);
}

/// The numbers of one word; how many and how wide are constants, so that the compiler unrolls the loop.
#[inline]
fn numbers<T: Copy, const COUNT: usize, const WIDTH: u32>(word: u64, out: &mut Vec<T>, of: impl Fn(u64) -> T) {
    let mask = u64::MAX.wrapping_shr(64u32.wrapping_sub(WIDTH));
    let mut rest = word;
    let numbers: [T; COUNT] = std::array::from_fn(|_| {
        let number = of(rest & mask);
        rest = rest.wrapping_shr(WIDTH);
        number
    });
    out.extend_from_slice(&numbers);
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test may fail")]
mod tests {
    use super::*;

    /// Numbers of a word, taken from it one by one.
    fn slowly(word: u64) -> Vec<u64> {
        let selector = selector(word);
        let width = WIDTHS[selector];
        let number = |index| if width == 0 { 1 } else { word >> (u32::from(index) * width) & ((1 << width) - 1) };
        (0..COUNTS[selector]).map(number).collect()
    }

    #[test]
    fn words_of_every_selector_are_unpacked() {
        for selector in 0..16u64 {
            for payload in [0, 1, 0x0fff_ffff_ffff_ffff, 0x0123_4567_89ab_cdef, 0x0edc_ba98_7654_3210] {
                let word = selector << 60 | payload;
                let bytes = word.to_be_bytes();
                let packed = Packed::parse(&bytes).unwrap();
                let mut unpacked = Vec::new();
                packed.unpack(&mut unpacked, |number| number);
                assert_eq!(unpacked, slowly(word), "{word:016x}");
                assert_eq!(packed.count(), unpacked.len());
                assert_eq!(packed.has_zero(), unpacked.contains(&0), "{word:016x}");
            }
        }
    }

    #[test]
    fn a_zero_is_found_in_every_place() {
        for selector in 2..16u64 {
            let width = WIDTHS[usize::try_from(selector).unwrap()];
            for index in 0..u32::from(COUNTS[usize::try_from(selector).unwrap()]) {
                let full = (1u64 << 60) - 1;
                let hole = full & !(((1 << width) - 1) << (index * width));
                assert!(Packed::parse(&(selector << 60 | hole).to_be_bytes()).unwrap().has_zero());
                assert!(!Packed::parse(&(selector << 60 | full).to_be_bytes()).unwrap().has_zero());
            }
        }
    }

    #[test]
    fn more_numbers_than_a_block_may_hold_are_refused_before_memory_is_taken() {
        let words = vec![0; 8 * (LARGEST / 240 + 1)];
        assert_eq!(Packed::parse(&words).unwrap_err(), Fault("it claims more points than a block may hold"));
        assert_eq!(Packed::parse(&words[8..]).unwrap().count(), LARGEST / 240 * 240);
        assert_eq!(Packed::parse(&words[1..16]).unwrap_err(), Fault("its packed numbers are no whole words"));
    }
}
