//! The times of a block: the first one, and the steps from each to the next.

use crate::Fault;

use super::simple8b::Packed;
use super::{LARGEST, uvarint};

/// Times that were looked at and not decoded yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times<'a> {
    first: i64,
    /// In nanoseconds; steps are multiples of it.
    scale: u64,
    steps: Steps<'a>,
}

/// The steps, by the high half of the first byte.
#[derive(Debug, Clone, Copy)]
enum Steps<'a> {
    /// Each takes eight bytes.
    Raw(&'a [[u8; 8]]),
    /// Simple8b.
    Packed(Packed<'a>),
    /// All are the same.
    Run { step: u64, count: usize },
}

/// The largest exponent of ten by which a server divides the steps.
const LARGEST_EXPONENT: u32 = 12;

const DESCENDING: Fault = Fault("its times do not ascend");
const TOO_MANY: Fault = Fault("it claims more points than a block may hold");

impl<'a> Times<'a> {
    /// Looks at how they are encoded, and how many they are.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Times<'a>, Fault> {
        let (encoding, rest) = bytes.split_first().ok_or(Fault("it has no times"))?;
        let (first, rest) = rest.split_first_chunk::<8>().ok_or(Fault("its first time is cut off"))?;
        let (steps, scaled) = match encoding >> 4 {
            0 => match rest.as_chunks::<8>() {
                (steps, []) => (Steps::Raw(steps), false),
                _ => return Err(Fault("its last time is cut off")),
            },
            1 => (Steps::Packed(Packed::parse(rest)?), true),
            2 => {
                let (step, rest) = uvarint::read(rest)?;
                // Unlike that of integers, this number counts the first one too.
                let (count, _) = uvarint::read(rest)?;
                let count = count.checked_sub(1).ok_or(Fault("it has no times"))?;
                (Steps::Run { step, count: usize::try_from(count).map_err(|_| TOO_MANY)? }, true)
            }
            _ => return Err(Fault("the encoding of its times is unknown")),
        };
        let scale = match u32::from(encoding & 0x0f) {
            exponent @ 0..=LARGEST_EXPONENT if scaled => 10u64.wrapping_pow(exponent),
            _ if scaled => return Err(Fault("the scale of its times is unknown")),
            _ => 1,
        };
        let times = Times { first: i64::from_be_bytes(*first), scale, steps };
        if times.stored() > LARGEST { Err(TOO_MANY) } else { Ok(times) }
    }

    /// How many times are stored, those counted twice that stand there twice.
    pub(super) fn stored(&self) -> usize {
        let steps = match self.steps {
            Steps::Raw(steps) => steps.len(),
            Steps::Packed(steps) => steps.count(),
            Steps::Run { count, .. } => count,
        };
        steps.saturating_add(1)
    }

    /// Whether a time stands there more than once.
    pub(super) fn has_duplicates(&self) -> bool {
        match self.steps {
            Steps::Raw(steps) => steps.contains(&[0; 8]),
            Steps::Packed(steps) => steps.has_zero(),
            Steps::Run { step, count } => step == 0 && count > 0,
        }
    }

    /// Decodes all into `out`, in place of what it held. A time may equal the one before it, but not lie before that.
    pub(super) fn decode(&self, out: &mut Vec<i64>) -> Result<(), Fault> {
        out.clear();
        out.reserve(self.stored());
        match self.steps {
            Steps::Raw(steps) => {
                out.push(self.first);
                out.extend(steps.iter().map(|step| i64::from_be_bytes(*step)));
                add_up(out, 1)
            }
            Steps::Packed(steps) => {
                out.push(self.first);
                steps.unpack(out, u64::cast_signed);
                self.check_scale(out.get(1..).unwrap_or_default())?;
                add_up(out, self.scale.cast_signed())
            }
            Steps::Run { step, count } => {
                let step = step.checked_mul(self.scale).ok_or(DESCENDING)?;
                let whole = step.checked_mul(count as u64).ok_or(DESCENDING)?;
                self.first.checked_add_unsigned(whole).ok_or(DESCENDING)?;
                // Each for itself, so that several are computed at once.
                let steps = 0..self.stored() as u64;
                out.extend(steps.map(|number| self.first.wrapping_add_unsigned(step.wrapping_mul(number))));
                Ok(())
            }
        }
    }

    /// Whether steps leave the 64 bits when they are scaled.
    fn check_scale(&self, steps: &[i64]) -> Result<(), Fault> {
        // Has every bit that one of them has, so it is as large as the largest; that is found out faster.
        let together = steps.iter().fold(0, |bits, step| bits | step.cast_unsigned());
        if together.checked_mul(self.scale).is_some() {
            return Ok(());
        }
        let largest = steps.iter().map(|step| step.cast_unsigned()).max().unwrap_or_default();
        largest.checked_mul(self.scale).map(drop).ok_or(DESCENDING)
    }
}

/// Makes times of a first time and the steps behind it.
///
/// A step is less than 2^64 ns, so a sum that leaves the range of times is less than the time before.
fn add_up(times: &mut [i64], scale: i64) -> Result<(), Fault> {
    let Some((first, steps)) = times.split_first_mut() else { return Ok(()) };
    let mut time = *first;
    let mut ascending = true;
    for step in steps {
        let next = time.wrapping_add(step.wrapping_mul(scale));
        ascending &= time <= next;
        time = next;
        *step = next;
    }
    if ascending { Ok(()) } else { Err(DESCENDING) }
}
