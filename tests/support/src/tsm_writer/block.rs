//! Blocks: times and values, each in one of their encodings, behind a checksum.

use super::floats::{Windows, floats};
use super::integers::{largest_packed, uvarint, words, zigzag};

/// The values of a block.
#[derive(Debug, Clone, Copy)]
pub enum Column<'a> {
    /// Doubles.
    Float(&'a [f64]),
    /// Signed integers.
    Integer(&'a [i64]),
    /// Booleans.
    Boolean(&'a [bool]),
    /// Strings.
    String(&'a [Vec<u8>]),
    /// Unsigned integers.
    Unsigned(&'a [u64]),
}

impl Column<'_> {
    /// The code of its type in a file.
    pub fn code(&self) -> u8 {
        match self {
            Column::Float(_) => 0,
            Column::Integer(_) => 1,
            Column::Boolean(_) => 2,
            Column::String(_) => 3,
            Column::Unsigned(_) => 4,
        }
    }
}

/// How times and integers are encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Eight bytes each.
    Raw,
    /// Simple8b.
    Packed,
    /// One step, and how often.
    Run,
}

/// The packings in the order in which a server tries them.
const TRIED: [Packing; 3] = [Packing::Run, Packing::Packed, Packing::Raw];

/// A whole block, encoded as a server would.
pub fn block(times_of_points: &[i64], values: &Column<'_>) -> Vec<u8> {
    let packed_integers = |bits: &[u64]| {
        TRIED
            .iter()
            .filter(|packing| bits.len() > 2 || **packing != Packing::Run)
            .find_map(|packing| integers(bits, *packing))
            .unwrap()
    };
    let values_part = match values {
        Column::Float(values) => floats(values, Windows::AsServer),
        Column::Integer(values) => {
            packed_integers(&values.iter().map(|value| value.cast_unsigned()).collect::<Vec<u64>>())
        }
        Column::Unsigned(values) => packed_integers(values),
        Column::Boolean(values) => booleans(values),
        Column::String(values) => strings(values),
    };
    let times_part = TRIED
        .iter()
        .filter(|packing| times_of_points.len() > 1 || **packing != Packing::Run)
        .find_map(|packing| times(times_of_points, *packing))
        .unwrap();
    assemble(values.code(), &times_part, &values_part)
}

/// A block of these parts, with its checksum.
pub fn assemble(code: u8, times: &[u8], values: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    bytes.push(code);
    bytes.extend(uvarint(times.len() as u64));
    bytes.extend(times);
    bytes.extend(values);
    let checksum = crc32fast::hash(&bytes[4..]);
    bytes[..4].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

/// Times in one of their encodings, where they can be encoded so.
pub fn times(times: &[i64], packing: Packing) -> Option<Vec<u8>> {
    let steps: Vec<u64> = times.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]).cast_unsigned()).collect();
    let divides = |exponent: &u32| steps.iter().all(|step| step.is_multiple_of(10u64.pow(*exponent)));
    let exponent = match packing {
        Packing::Raw => 0,
        Packing::Packed | Packing::Run => (0..=12).rev().find(divides)?,
    };
    let scaled: Vec<u64> = steps.iter().map(|step| step / 10u64.pow(exponent)).collect();
    let mut bytes = vec![u8::try_from(exponent).unwrap()];
    bytes.extend(times[0].to_be_bytes());
    bytes[0] |= match packing {
        Packing::Raw => {
            bytes.extend(scaled.iter().flat_map(|step| step.to_be_bytes()));
            0 << 4
        }
        Packing::Packed if steps.iter().all(|step| *step <= largest_packed()) => {
            bytes.extend(words(&scaled));
            1 << 4
        }
        Packing::Run if scaled.iter().all(|step| *step == scaled[0]) => {
            bytes.extend(uvarint(scaled.first().copied().unwrap_or_default()));
            bytes.extend(uvarint(times.len() as u64));
            2 << 4
        }
        Packing::Packed | Packing::Run => return None,
    };
    Some(bytes)
}

/// Integers (their bits, signed or not) in one of their encodings, where they can be encoded so.
pub fn integers(bits: &[u64], packing: Packing) -> Option<Vec<u8>> {
    let before = std::iter::once(0).chain(bits.iter().copied());
    let differences: Vec<u64> =
        bits.iter().zip(before).map(|(value, before)| zigzag(value.wrapping_sub(before))).collect();
    let (first, rest) = differences.split_first()?;
    let mut bytes = vec![0];
    bytes.extend(first.to_be_bytes());
    bytes[0] = match packing {
        Packing::Raw => {
            bytes.extend(rest.iter().flat_map(|difference| difference.to_be_bytes()));
            0 << 4
        }
        Packing::Packed if rest.iter().all(|difference| *difference <= largest_packed()) => {
            bytes.extend(words(rest));
            1 << 4
        }
        Packing::Run if rest.iter().all(|difference| *difference == rest[0]) => {
            bytes.extend(uvarint(rest.first().copied().unwrap_or_default()));
            bytes.extend(uvarint(rest.len() as u64));
            2 << 4
        }
        Packing::Packed | Packing::Run => return None,
    };
    Some(bytes)
}

/// Booleans in their encoding.
pub fn booleans(values: &[bool]) -> Vec<u8> {
    let mut bytes = vec![1 << 4];
    bytes.extend(uvarint(values.len() as u64));
    let byte =
        |bits: &[bool]| bits.iter().enumerate().fold(0, |byte, (place, bit)| byte | u8::from(*bit) << (7 - place));
    bytes.extend(values.chunks(8).map(byte));
    bytes
}

/// Strings in their encoding.
pub fn strings(values: &[Vec<u8>]) -> Vec<u8> {
    let mut plain = Vec::new();
    for value in values {
        plain.extend(uvarint(value.len() as u64));
        plain.extend(value);
    }
    let mut bytes = vec![1 << 4];
    bytes.extend(snap::raw::Encoder::new().compress_vec(&plain).unwrap());
    bytes
}
