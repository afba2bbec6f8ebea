//! Short texts that are appended very often: each is copied with as many bytes as the longest of its kind, for a copy whose
//! length is known beforehand takes a fraction of the time.

/// A text that is made once and appended often.
#[derive(Debug)]
pub(super) struct Text {
    short: [u8; SHORT],
    length: usize,
    /// All of it, where it is longer.
    long: Vec<u8>,
}

/// The longest text that is a short one, in bytes.
const SHORT: usize = 48;

impl Text {
    pub(super) fn new(text: &[u8]) -> Text {
        let mut short = [0; SHORT];
        match short.get_mut(..text.len()) {
            Some(place) => {
                place.copy_from_slice(text);
                Text { short, length: text.len(), long: Vec::new() }
            }
            None => Text { short, length: text.len(), long: text.to_vec() },
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        if self.length <= SHORT { &self.short[..self.length] } else { &self.long }
    }

    #[inline]
    pub(super) fn append(&self, out: &mut Vec<u8>) {
        if self.length <= SHORT {
            append(out, &self.short, self.length);
        } else {
            out.extend_from_slice(&self.long);
        }
    }
}

/// A text that is made to be appended once: at most [`Word::LONGEST`] bytes, the first in the lowest place, so that all of
/// it stays in registers.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Word {
    bytes: u128,
    length: usize,
}

impl Word {
    /// The length of the longest, in bytes.
    pub(super) const LONGEST: usize = size_of::<u128>();

    /// A text that is known beforehand.
    pub(super) const fn new(text: &[u8]) -> Word {
        assert!(text.len() <= Word::LONGEST, "there is room");
        let (mut bytes, mut length) = (0, text.len());
        while length > 0 {
            length -= 1;
            bytes = (bytes << 8) | text[length] as u128;
        }
        Word { bytes, length: text.len() }
    }

    /// A number of at most four digits.
    #[inline]
    pub(super) fn number(number: u32) -> Word {
        let digits = four_digits(number);
        // The last one is written even if it is a zero.
        let zeros = ((digits ^ ZEROS).trailing_zeros() / 8).min(3);
        Word { bytes: u128::from(digits >> (8 * zeros)), length: 4 - zeros as usize }
    }

    /// What stands behind the point: so many ten thousandths, of which there are fewer than 10,000.
    #[inline]
    pub(super) fn decimals(number: u32) -> Word {
        let digits = four_digits(number);
        // The first one is written even if it is a zero.
        let zeros = ((digits ^ ZEROS).leading_zeros() / 8).min(3);
        Word { bytes: u128::from(digits), length: 4 - zeros as usize }
    }

    /// Puts a byte before all others.
    #[inline]
    pub(super) fn prepend(&mut self, byte: u8) {
        debug_assert!(self.length < Word::LONGEST, "there is room");
        self.bytes = (self.bytes << 8) | u128::from(byte);
        self.length += 1;
    }

    /// Both, one after the other.
    #[inline]
    pub(super) fn then(self, other: Word) -> Word {
        debug_assert!(self.length + other.length <= Word::LONGEST, "there is room");
        Word { bytes: self.bytes | (other.bytes << (8 * self.length)), length: self.length + other.length }
    }

    #[inline]
    pub(super) fn append(self, out: &mut Vec<u8>) {
        append(out, &self.bytes.to_le_bytes(), self.length);
    }
}

/// Four times the digit 0.
const ZEROS: u32 = u32::from_le_bytes(*b"0000");

/// The digits of a number below 10,000, the first in the lowest byte: two pairs, and then the digits of both at once.
#[inline]
fn four_digits(number: u32) -> u32 {
    debug_assert!(number < 10_000, "there are four digits");
    let pairs = (number / 100) | ((number % 100) << 16);
    // A tenth of each: 103/1024 is near enough for two digits.
    let tens = ((pairs * 103) >> 10) & 0x000f_000f;
    tens | ((pairs - tens * 10) << 8) | ZEROS
}

#[inline]
fn append<const BYTES: usize>(out: &mut Vec<u8>, text: &[u8; BYTES], length: usize) {
    let end = out.len() + length;
    out.extend_from_slice(text);
    out.truncate(end);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(word: Word) -> String {
        let mut out = Vec::new();
        word.append(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn each_number_of_four_digits_is_written_without_zeros_before_it_or_behind_it() {
        for number in 0..10_000 {
            assert_eq!(text(Word::number(number)), number.to_string());
            let decimals = format!("{number:04}");
            let (first, others) = decimals.split_at(1);
            let decimals = Word::decimals(number);
            assert_eq!(text(decimals), format!("{first}{}", others.trim_end_matches('0')));
        }
    }

    #[test]
    fn words_follow_on_each_other() {
        let mut word = Word::new(b"12345678").then(Word::new(b".")).then(Word::new(b""));
        word.prepend(b'-');
        assert_eq!(text(word), "-12345678.");
        assert_eq!(text(Word::new(b"0123456789abcdef")), "0123456789abcdef");
    }

    #[test]
    fn short_and_long_texts_are_appended_whole() {
        for length in [0, 1, SHORT - 1, SHORT, SHORT + 1, 1000] {
            let bytes = vec![b'x'; length];
            let mut out = b"before".to_vec();
            Text::new(&bytes).append(&mut out);
            assert_eq!((&out[..6], &out[6..]), (b"before".as_slice(), bytes.as_slice()));
            assert_eq!(Text::new(&bytes).bytes(), bytes);
        }
    }
}
