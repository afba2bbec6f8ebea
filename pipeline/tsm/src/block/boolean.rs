//! Booleans: a bit each, the first one highest.

use crate::Fault;

use super::{UNEQUAL, uvarint};

/// Decodes exactly `count` values into `out`, in place of what it held.
pub(super) fn decode(bytes: &[u8], count: usize, out: &mut Vec<bool>) -> Result<(), Fault> {
    out.clear();
    let (encoding, rest) = bytes.split_first().ok_or(UNEQUAL)?;
    if encoding >> 4 != 1 {
        return Err(Fault("the encoding of its values is unknown"));
    }
    let (stored, bits) = uvarint::read(rest)?;
    if usize::try_from(stored) != Ok(count) || bits.len() < count.div_ceil(8) {
        return Err(UNEQUAL);
    }
    out.reserve(count.next_multiple_of(8));
    for byte in bits.iter().take(count.div_ceil(8)) {
        let bits: [bool; 8] = std::array::from_fn(|index| byte.rotate_left(1).rotate_left(index as u32) & 1 != 0);
        out.extend_from_slice(&bits);
    }
    out.truncate(count);
    Ok(())
}
