//! Integers, signed and unsigned: the difference of each value to the one before it, zigzag-coded.
//!
//! All is computed modulo 2^64, so the two types differ in nothing but how the bits are read in the end.

use crate::Fault;

use super::simple8b::Packed;
use super::{UNEQUAL, uvarint};

/// An integer of 64 bits, signed or not.
pub(super) trait Bits: Copy {
    /// The integer with these bits.
    fn of(bits: u64) -> Self;
    /// Its bits.
    fn bits(self) -> u64;
}

impl Bits for i64 {
    fn of(bits: u64) -> i64 {
        bits.cast_signed()
    }

    fn bits(self) -> u64 {
        self.cast_unsigned()
    }
}

impl Bits for u64 {
    fn of(bits: u64) -> u64 {
        bits
    }

    fn bits(self) -> u64 {
        self
    }
}

/// Decodes exactly `count` values into `out`, in place of what it held.
pub(super) fn decode<T: Bits>(bytes: &[u8], count: usize, out: &mut Vec<T>) -> Result<(), Fault> {
    out.clear();
    let (encoding, rest) = bytes.split_first().ok_or(UNEQUAL)?;
    let (first, rest) = rest.split_first_chunk::<8>().ok_or(Fault("its first value is cut off"))?;
    let behind = count.checked_sub(1).ok_or(UNEQUAL)?;
    out.reserve(count);
    out.push(T::of(u64::from_be_bytes(*first)));
    match encoding >> 4 {
        0 => {
            let (differences, cut) = rest.as_chunks::<8>();
            if !cut.is_empty() {
                return Err(Fault("its last value is cut off"));
            }
            if differences.len() != behind {
                return Err(UNEQUAL);
            }
            out.extend(differences.iter().map(|difference| T::of(u64::from_be_bytes(*difference))));
        }
        1 => {
            let differences = Packed::parse(rest)?;
            if differences.count() != behind {
                return Err(UNEQUAL);
            }
            differences.unpack(out, T::of);
        }
        2 => {
            let (difference, rest) = uvarint::read(rest)?;
            // Unlike that of the times, this number does not count the first value.
            let (repeats, _) = uvarint::read(rest)?;
            if usize::try_from(repeats) != Ok(behind) {
                return Err(UNEQUAL);
            }
            out.resize(count, T::of(difference));
        }
        _ => return Err(Fault("the encoding of its values is unknown")),
    }
    add_up(out);
    Ok(())
}

/// Makes values of differences; that of the first value is the one to zero.
fn add_up<T: Bits>(values: &mut [T]) {
    let mut sum = 0u64;
    for value in values {
        let zigzag = value.bits();
        sum = sum.wrapping_add((zigzag >> 1) ^ (zigzag & 1).wrapping_neg());
        *value = T::of(sum);
    }
}
