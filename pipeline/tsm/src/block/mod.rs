//! Blocks: up to some thousand points of one key, compressed, with a checksum.
//!
//! ```text
//! u32 BE   CRC32 (IEEE) of all that follows
//! u8       type of the values
//! uvarint  length of the times in bytes
//!          times
//!          values
//! ```
//!
//! Only what the server's own decoder refuses too is refused here, and what makes two parts of a block disagree; bytes
//! behind the last value, say, are passed over. Whether bytes were changed is for the checksum to tell, and a reader that
//! is stricter than the server would call a good backup damaged.

mod boolean;
mod duplicates;
mod float;
mod integer;
mod simple8b;
mod string;
mod times;
mod uvarint;

use crate::{Fault, Kind, Points, Values};
use times::Times;

/// The most points that a block may hold here.
///
/// InfluxDB writes 1,000 into a block, since 1.12 also 10,000. The limit leaves room for more, and keeps a few hostile
/// bytes, which can claim any number, from taking more memory than 16 MiB.
pub const LARGEST: usize = 1 << 20;

const CHECKSUM: usize = 4;

/// A block with the right checksum, not decoded yet.
#[derive(Debug, Clone, Copy)]
pub struct Block<'a> {
    kind: Kind,
    times: &'a [u8],
    values: &'a [u8],
}

impl<'a> Block<'a> {
    /// Takes the bytes of a block, its checksum among them, and compares that with the rest.
    ///
    /// # Errors
    ///
    /// When the checksum is wrong, the type is unknown, or the times do not lie within the block.
    pub fn open(bytes: &'a [u8]) -> Result<Block<'a>, Fault> {
        let (stored, content) = bytes.split_first_chunk::<CHECKSUM>().ok_or(Fault("it is too short for a checksum"))?;
        if u32::from_be_bytes(*stored) != crc32fast::hash(content) {
            return Err(Fault("its checksum is wrong"));
        }
        let (code, rest) = content.split_first().ok_or(Fault("it is empty"))?;
        let kind = Kind::from_code(*code).ok_or(Fault("its type is unknown"))?;
        let (length, rest) = uvarint::read(rest)?;
        let (times, values) = usize::try_from(length)
            .ok()
            .and_then(|length| rest.split_at_checked(length))
            .ok_or(Fault("its times go beyond its end"))?;
        Ok(Block { kind, times, values })
    }

    /// The type of its values.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// How many points it holds; told by the times alone, as a rule without decoding them.
    ///
    /// # Errors
    ///
    /// When that cannot be told, or the number is greater than [`LARGEST`].
    pub fn count(&self) -> Result<usize, Fault> {
        let times = Times::parse(self.times)?;
        if !times.has_duplicates() {
            return Ok(times.stored());
        }
        let mut decoded = Vec::new();
        self.times(&mut decoded)?;
        Ok(decoded.len())
    }

    /// Decodes the times alone into `out`, in place of what it held: nanoseconds since 1970, strictly ascending.
    ///
    /// # Errors
    ///
    /// When they are not what they should be; `out` is empty then.
    pub fn times(&self, out: &mut Vec<i64>) -> Result<(), Fault> {
        out.clear();
        let times = Times::parse(self.times)?;
        let decoded = times.decode(out);
        if decoded.is_err() {
            out.clear();
        } else if times.has_duplicates() {
            out.dedup();
        }
        decoded
    }

    /// Decodes all points into `out`, in place of what it held; its memory is used again where the type is the same.
    ///
    /// Very old servers could write a time twice into a block: the value that was written later is kept.
    ///
    /// # Errors
    ///
    /// When times or values are not what they should be, or not as many of the ones as of the others; `out` is
    /// empty then.
    pub fn decode(&self, out: &mut Points) -> Result<(), Fault> {
        out.times.clear();
        if out.values.kind() != self.kind {
            out.values = Values::empty(self.kind);
        }
        let decoded = self.decode_parts(out);
        if decoded.is_err() {
            *out = Points::empty(self.kind);
        }
        decoded
    }

    fn decode_parts(&self, out: &mut Points) -> Result<(), Fault> {
        let times = Times::parse(self.times)?;
        times.decode(&mut out.times)?;
        let count = times.stored();
        match &mut out.values {
            Values::Float(values) => float::decode(self.values, count, values)?,
            Values::Integer(values) => integer::decode(self.values, count, values)?,
            Values::Unsigned(values) => integer::decode(self.values, count, values)?,
            Values::Boolean(values) => boolean::decode(self.values, count, values)?,
            Values::String(values) => string::decode(self.values, count, values)?,
        }
        if times.has_duplicates() {
            duplicates::keep_the_last(out);
        }
        Ok(())
    }
}

/// Said of every encoding that has another number of values than the block has times.
const UNEQUAL: Fault = Fault("it does not hold as many values as times");

#[cfg(test)]
mod tests;
