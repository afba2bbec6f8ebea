//! The few types of MessagePack that answers consist of, read from the beginning of a slice.
//!
//! Each function moves the slice beyond what it has read. Where the slice ends too early the answer is
//! [`Pause::Starved`], and the caller, who has kept the old slice, tries again with more bytes.

use rmp::Marker;
use rmp::decode::{self, MarkerReadError, RmpRead as _, ValueReadError};

use super::decoder::Fault;

/// How deep something that is skipped may be nested.
const SKIP_DEPTH: u32 = 16;

/// Why something could not be read.
#[derive(Debug, PartialEq)]
pub(super) enum Pause {
    /// More bytes are needed.
    Starved,
    /// More bytes would not help.
    Fault(Fault),
}

impl From<MarkerReadError> for Pause {
    fn from(_: MarkerReadError) -> Pause {
        // A slice can fail in one way only: by its end.
        Pause::Starved
    }
}

impl From<ValueReadError> for Pause {
    fn from(error: ValueReadError) -> Pause {
        match error {
            ValueReadError::InvalidMarkerRead(_) | ValueReadError::InvalidDataRead(_) => Pause::Starved,
            ValueReadError::TypeMismatch(marker) => malformed(format!("it has {marker:?} in a wrong place")),
        }
    }
}

impl From<std::io::Error> for Pause {
    fn from(_: std::io::Error) -> Pause {
        Pause::Starved
    }
}

pub(super) fn malformed(reason: impl Into<String>) -> Pause {
    Pause::Fault(Fault::Malformed(reason.into()))
}

/// A value of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Scalar<'a> {
    Null,
    Boolean(bool),
    Integer(i64),
    Unsigned(u64),
    Float(f64),
    String(&'a [u8]),
}

pub(super) fn map_length(input: &mut &[u8]) -> Result<u32, Pause> {
    Ok(decode::read_map_len(input)?)
}

pub(super) fn array_length(input: &mut &[u8]) -> Result<u32, Pause> {
    Ok(decode::read_array_len(input)?)
}

pub(super) fn boolean(input: &mut &[u8]) -> Result<bool, Pause> {
    Ok(decode::read_bool(input)?)
}

/// A string, which need not be UTF-8.
pub(super) fn string<'a>(input: &mut &'a [u8]) -> Result<&'a [u8], Pause> {
    let length = decode::read_str_len(input)?;
    take(input, length)
}

/// A value of a row. Numbers that MessagePack writes alike for signed and unsigned ones (0 to 127) count as signed.
#[inline]
pub(super) fn scalar<'a>(input: &mut &'a [u8]) -> Result<Scalar<'a>, Pause> {
    let marker = decode::read_marker(input)?;
    Ok(match marker {
        Marker::Null => Scalar::Null,
        Marker::True => Scalar::Boolean(true),
        Marker::False => Scalar::Boolean(false),
        Marker::FixPos(value) => Scalar::Integer(value.into()),
        Marker::FixNeg(value) => Scalar::Integer(value.into()),
        Marker::I8 => Scalar::Integer(input.read_data_i8()?.into()),
        Marker::I16 => Scalar::Integer(input.read_data_i16()?.into()),
        Marker::I32 => Scalar::Integer(input.read_data_i32()?.into()),
        Marker::I64 => Scalar::Integer(input.read_data_i64()?),
        Marker::U8 => Scalar::Unsigned(input.read_data_u8()?.into()),
        Marker::U16 => Scalar::Unsigned(input.read_data_u16()?.into()),
        Marker::U32 => Scalar::Unsigned(input.read_data_u32()?.into()),
        Marker::U64 => Scalar::Unsigned(input.read_data_u64()?),
        Marker::F32 => Scalar::Float(input.read_data_f32()?.into()),
        Marker::F64 => Scalar::Float(input.read_data_f64()?),
        Marker::FixStr(length) => Scalar::String(take(input, length.into())?),
        Marker::Str8 => {
            let length = input.read_data_u8()?.into();
            Scalar::String(take(input, length)?)
        }
        Marker::Str16 => {
            let length = input.read_data_u16()?.into();
            Scalar::String(take(input, length)?)
        }
        Marker::Str32 => {
            let length = input.read_data_u32()?;
            Scalar::String(take(input, length)?)
        }
        marker => return Err(malformed(format!("a row has a value of the type {marker:?}"))),
    })
}

/// Anything that we do not look at.
pub(super) fn skip(input: &mut &[u8]) -> Result<(), Pause> {
    skip_nested(input, SKIP_DEPTH)
}

fn skip_nested(input: &mut &[u8], depth: u32) -> Result<(), Pause> {
    let Some(depth) = depth.checked_sub(1) else {
        return Err(malformed("it is nested too deeply"));
    };
    let mut ahead = *input;
    let items = match decode::read_marker(&mut ahead)? {
        Marker::FixArray(_) | Marker::Array16 | Marker::Array32 => u64::from(array_length(input)?),
        Marker::FixMap(_) | Marker::Map16 | Marker::Map32 => 2 * u64::from(map_length(input)?),
        _ => {
            scalar(input)?;
            0
        }
    };
    for _ in 0..items {
        skip_nested(input, depth)?;
    }
    Ok(())
}

fn take<'a>(input: &mut &'a [u8], length: u32) -> Result<&'a [u8], Pause> {
    let (taken, rest) = input.split_at_checked(length as usize).ok_or(Pause::Starved)?;
    *input = rest;
    Ok(taken)
}
