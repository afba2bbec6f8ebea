//! Strings: each behind its length, all of them in one piece compressed with snappy.

use crate::{Fault, Strings};

use super::{UNEQUAL, uvarint};

/// How many bytes a byte of snappy may become: three bytes stand for at most 64.
const LARGEST_GROWTH: usize = 22;

/// Decodes exactly `count` values into `out`, in place of what it held.
///
/// The bytes are decompressed to where they stay, and then moved together over the lengths between them.
pub(super) fn decode(bytes: &[u8], count: usize, out: &mut Strings) -> Result<(), Fault> {
    let (encoding, compressed) = bytes.split_first().ok_or(UNEQUAL)?;
    if encoding >> 4 != 1 {
        return Err(Fault("the encoding of its values is unknown"));
    }
    out.ends.clear();
    decompress(compressed, &mut out.bytes)?;
    // A string takes a byte at least.
    if out.bytes.len() < count {
        return Err(UNEQUAL);
    }
    out.ends.reserve(count);
    let (mut read, mut written) = (0usize, 0usize);
    for _ in 0..count {
        let rest = out.bytes.get(read..).unwrap_or_default();
        if rest.is_empty() {
            return Err(UNEQUAL);
        }
        let (length, content) = uvarint::read(rest)?;
        let length = usize::try_from(length).ok().filter(|length| *length <= content.len());
        let length = length.ok_or(Fault("a string in it goes beyond its end"))?;
        // Cannot overflow: all of it lies within the bytes.
        let begins = out.bytes.len().wrapping_sub(content.len());
        read = begins.wrapping_add(length);
        out.bytes.copy_within(begins..read, written);
        written = written.wrapping_add(length);
        out.ends.push(written);
    }
    if read != out.bytes.len() {
        return Err(UNEQUAL);
    }
    out.bytes.truncate(written);
    Ok(())
}

fn decompress(compressed: &[u8], out: &mut Vec<u8>) -> Result<(), Fault> {
    const BROKEN: Fault = Fault("its strings cannot be decompressed");
    let length = snap::raw::decompress_len(compressed).map_err(|_| BROKEN)?;
    if length > compressed.len().saturating_mul(LARGEST_GROWTH) {
        return Err(BROKEN);
    }
    out.resize(length, 0);
    let decompressed = snap::raw::Decoder::new().decompress(compressed, out).map_err(|_| BROKEN)?;
    if decompressed == length { Ok(()) } else { Err(BROKEN) }
}
