//! Floats: each value's bits as they differ from those of the one before (xor), in a stream of bits.
//!
//! ```text
//! 64 bits              the first value
//! 0                    the same value again
//! 1 0 m bits           what differs, within the last window
//! 1 1 lead:5 m:6 m bits  a new window: so many zeros before it, so many bits in it, 0 for 64
//! ```
//!
//! A NaN that no client can write ends the stream.

use crate::Fault;

use super::UNEQUAL;

/// The bits of the NaN behind the last value.
const END: u64 = 0x7ff8_0000_0000_0001;

/// Decodes exactly `count` values into `out`, in place of what it held.
pub(super) fn decode(bytes: &[u8], count: usize, out: &mut Vec<f64>) -> Result<(), Fault> {
    let (encoding, stream) = bytes.split_first().ok_or(UNEQUAL)?;
    if encoding >> 4 != 1 {
        return Err(Fault("the encoding of its values is unknown"));
    }
    let (first, stream) = stream.split_first_chunk::<8>().ok_or(Fault("its first value is cut off"))?;
    let mut value = u64::from_be_bytes(*first);
    // The window before there was one is the whole value.
    let mut window = Window { width: 64, trail: 0 };
    let mut position = 0usize;
    out.clear();
    out.resize(count, 0.0);
    for slot in out.iter_mut() {
        if value == END {
            return Err(UNEQUAL);
        }
        *slot = f64::from_bits(value);
        let control = peek(stream, position);
        if control >> 63 == 0 {
            position = position.wrapping_add(1);
            continue;
        }
        if control >> 62 == 0b11 {
            window = Window::new(control)?;
            position = position.wrapping_add(13);
        } else {
            position = position.wrapping_add(2);
        }
        value ^= window.take(stream, position);
        position = position.wrapping_add(window.width as usize);
    }
    if value != END {
        return Err(UNEQUAL);
    }
    // Bits behind the end are read as zeros, of which there must not be any need.
    if position.div_ceil(8) > stream.len() {
        return Err(Fault("its last value is cut off"));
    }
    Ok(())
}

/// The bits of a value that may differ from those of the one before.
#[derive(Debug, Clone, Copy)]
struct Window {
    /// How many there are, 1 to 64.
    width: u32,
    /// How many bits of the value lie below them.
    trail: u32,
}

impl Window {
    /// The window that is described behind two control bits.
    #[inline]
    fn new(bits: u64) -> Result<Window, Fault> {
        let lead = (bits >> 57 & 0x1f) as u32;
        match (bits >> 51 & 0x3f) as u32 {
            0 => Ok(Window { width: 64, trail: 0 }),
            width => match 64u32.checked_sub(lead.wrapping_add(width)) {
                Some(trail) => Ok(Window { width, trail }),
                None => Err(Fault("a value in it has more than 64 bits")),
            },
        }
    }

    /// The bits at this position of the stream, as they lie in the value.
    #[inline]
    fn take(self, stream: &[u8], position: usize) -> u64 {
        let mut bits = peek(stream, position);
        if self.width > PEEKED {
            bits |= peek(stream, position.wrapping_add(32)) >> 32;
        }
        bits.wrapping_shr(64u32.wrapping_sub(self.width)).wrapping_shl(self.trail)
    }
}

/// So many bits at least are good that [`peek`] returns: what a load of eight bytes has behind the first byte's bits.
const PEEKED: u32 = 57;

/// The next bits at this position, the first one highest; zeros behind the stream's end.
#[inline]
fn peek(stream: &[u8], position: usize) -> u64 {
    let rest = stream.get(position / 8..).unwrap_or_default();
    let bytes = match rest.first_chunk::<8>() {
        Some(bytes) => *bytes,
        None => last_bytes(rest),
    };
    u64::from_be_bytes(bytes).wrapping_shl((position % 8) as u32)
}

#[cold]
fn last_bytes(rest: &[u8]) -> [u8; 8] {
    let mut bytes = [0; 8];
    bytes.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
    bytes
}
