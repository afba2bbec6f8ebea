//! How times and values are written, byte for byte.
//!
//! A time is RFC 3339 in UTC with a fraction only where there is one, without zeros at its end (as InfluxDB itself
//! writes times): `2016-06-11T00:00:00Z`, `2016-06-11T00:00:00.5Z`. Integers are exact. Floats have the shortest
//! digits that give the same float again, plain from 1e-5 up to below 1e16 (`5.0`, `0.1`, `-0.0`), else `1.5e+300`
//! and `1e-7`. Strings are escaped as JSON needs and no more. JSON knows neither bytes that are no UTF-8 nor infinities
//! nor NaN, which InfluxDB can hold: the former become U+FFFD and the latter `null`, and [`Losses`] counts them.

use chrono::DateTime;
use influx::Value;

use super::text::Word;

/// Values that JSON cannot hold as they are.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Losses {
    /// Strings with bytes that are no UTF-8, written with U+FFFD in their place.
    pub(super) strings: u64,
    /// Floats that are no numbers or infinite, written as `null`.
    pub(super) floats: u64,
}

impl Losses {
    /// Counts those of other values as well.
    pub(super) fn add(&mut self, others: Losses) {
        self.strings += others.strings;
        self.floats += others.floats;
    }
}

/// Appends a value.
pub(super) fn append_value(out: &mut Vec<u8>, value: Value<'_>, losses: &mut Losses) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Boolean(value) => append_boolean(out, value),
        Value::Integer(value) => append_integer(out, value),
        Value::Unsigned(value) => append_unsigned(out, value),
        Value::Float(value) if value.is_finite() => append_float(out, value),
        Value::Float(_) => {
            losses.floats += 1;
            out.extend_from_slice(b"null");
        }
        Value::String(bytes) => append_bytes(out, bytes, losses),
    }
}

/// Appends a boolean.
#[inline]
pub(super) fn append_boolean(out: &mut Vec<u8>, value: bool) {
    const WORDS: [Word; 2] = [Word::new(b"false"), Word::new(b"true")];
    WORDS[usize::from(value)].append(out);
}

/// Appends an integer.
#[inline]
pub(super) fn append_integer(out: &mut Vec<u8>, value: i64) {
    // Most that were counted or measured are small.
    match u32::try_from(value) {
        Ok(value) if value < 10_000 => Word::number(value).append(out),
        _ => out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes()),
    }
}

/// Appends an integer without a sign.
#[inline]
pub(super) fn append_unsigned(out: &mut Vec<u8>, value: u64) {
    match i64::try_from(value) {
        Ok(value) => append_integer(out, value),
        Err(_) => out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes()),
    }
}

/// Appends a float that is a finite number.
#[inline]
pub(super) fn append_float(out: &mut Vec<u8>, value: f64) {
    match decimal(value) {
        Some(word) => word.append(out),
        None => out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes()),
    }
}

/// A float with few digits, as most that were measured are: at most four before the point and four behind it.
///
/// A whole number of ten thousandths that is, divided, the very float has digits that give it again. They are the shortest
/// ones, since no two numbers of at most 15 digits are the same float.
#[inline]
fn decimal(value: f64) -> Option<Word> {
    let positive = value.abs();
    if !(1e-4..1e4).contains(&positive) {
        return None;
    }
    let number = (positive * 1e4 + 0.5) as i32;
    if f64::from(number) / 1e4 != positive {
        return None;
    }
    let number = number.unsigned_abs();
    let mut word = Word::number(number / 10_000).then(Word::new(b".")).then(Word::decimals(number % 10_000));
    if value < 0.0 {
        word.prepend(b'-');
    }
    Some(word)
}

/// Appends a string, as JSON with its quotes.
#[inline]
pub(super) fn append_bytes(out: &mut Vec<u8>, bytes: &[u8], losses: &mut Losses) {
    // Most strings are such that nothing in them needs a second look.
    if bytes.iter().all(|byte| matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\')) {
        if bytes.len() + 2 <= Word::LONGEST {
            let mut word = Word::default();
            word.prepend(b'"');
            bytes.iter().rev().for_each(|byte| word.prepend(*byte));
            word.prepend(b'"');
            word.append(out);
            return;
        }
        out.push(b'"');
        out.extend_from_slice(bytes);
        out.push(b'"');
        return;
    }
    let text = String::from_utf8_lossy(bytes);
    losses.strings += u64::from(matches!(text, std::borrow::Cow::Owned(_)));
    append_serialized(out, text.as_ref());
}

/// Appends a value as the text of a cell, in quotes; what JSON cannot hold is no text.
pub(super) fn append_cell(out: &mut Vec<u8>, value: Value<'_>, losses: &mut Losses) {
    match value {
        Value::String(_) => append_value(out, value, losses),
        Value::Float(float) if !float.is_finite() => {
            losses.floats += 1;
            out.extend_from_slice(b"\"\"");
        }
        value => {
            out.push(b'"');
            append_value(out, value, losses);
            out.push(b'"');
        }
    }
}

/// Appends a string as JSON, with its quotes.
pub(super) fn append_string(out: &mut Vec<u8>, text: &str) {
    append_serialized(out, text);
}

fn append_serialized<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    serde_json::to_writer(out, value).expect("numbers and strings can be written to memory");
}

const SECOND: i64 = 1_000_000_000;
const DAY: i64 = 86_400;

/// Writes times; quickly while they are of one day.
#[derive(Debug, Default)]
pub(super) struct Times {
    day: Option<i64>,
    /// `2016-06-11T`.
    date: Vec<u8>,
}

impl Times {
    /// Appends how a record begins: `{"time":"…"`, for a time in nanoseconds since 1970.
    pub(super) fn append_opening(&mut self, out: &mut Vec<u8>, time: i64) {
        out.extend_from_slice(b"{\"time\":\"");
        self.append(out, time);
        out.push(b'"');
    }

    /// Appends a time in nanoseconds since 1970, without quotes.
    pub(super) fn append(&mut self, out: &mut Vec<u8>, time: i64) {
        let (seconds, nanoseconds) = (time.div_euclid(SECOND), time.rem_euclid(SECOND));
        let (day, second) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
        if self.day != Some(day) {
            // Every count of nanoseconds in 64 bits is a day of the years 1677 to 2262.
            let date = DateTime::from_timestamp(seconds, 0).unwrap_or_default();
            self.date = date.format("%Y-%m-%dT").to_string().into_bytes();
            self.day = Some(day);
        }
        out.extend_from_slice(&self.date);
        let two = |number: i64| [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        out.extend_from_slice(&two(second / 3600));
        out.push(b':');
        out.extend_from_slice(&two(second / 60 % 60));
        out.push(b':');
        out.extend_from_slice(&two(second % 60));
        if nanoseconds != 0 {
            let digits = format!(".{nanoseconds:09}");
            out.extend_from_slice(digits.trim_end_matches('0').as_bytes());
        }
        out.push(b'Z');
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(value: Value<'_>) -> String {
        let mut out = Vec::new();
        append_value(&mut out, value, &mut Losses::default());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn floats_are_written_with_their_shortest_digits() {
        let table = [
            (5.0, "5.0"),
            (0.1, "0.1"),
            (0.0, "0.0"),
            (-0.0, "-0.0"),
            (-2.5, "-2.5"),
            (1e-5, "0.00001"),
            (9.9e-6, "9.9e-6"),
            (1e-7, "1e-7"),
            (1.5e-7, "1.5e-7"),
            (1e15, "1000000000000000.0"),
            (9_007_199_254_740_993.0, "9007199254740992.0"),
            (1e16, "1e+16"),
            (1e300, "1e+300"),
            (1.5e300, "1.5e+300"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::MIN, "-1.7976931348623157e+308"),
        ];
        for (float, text) in table {
            assert_eq!(written(Value::Float(float)), text);
        }
    }

    #[test]
    fn integers_are_exact() {
        assert_eq!(written(Value::Integer(i64::MIN)), "-9223372036854775808");
        assert_eq!(written(Value::Integer(i64::MAX)), "9223372036854775807");
        assert_eq!(written(Value::Integer(5)), "5");
        assert_eq!(written(Value::Unsigned(u64::MAX)), "18446744073709551615");
    }

    #[test]
    fn strings_are_escaped_as_json_needs_and_no_more() {
        assert_eq!(written(Value::String(b"")), r#""""#);
        assert_eq!(written(Value::String("été/夜 \u{7f}\u{2028}".as_bytes())), "\"été/夜 \u{7f}\u{2028}\"");
        assert_eq!(written(Value::String(b"a\"b\\c")), r#""a\"b\\c""#);
        assert_eq!(written(Value::String(b"\x00\x01\x08\x0c\n\r\t\x1f")), r#""\u0000\u0001\b\f\n\r\t\u001f""#);
    }

    #[test]
    fn what_json_cannot_hold_is_counted() {
        let mut losses = Losses::default();
        let mut out = Vec::new();
        append_value(&mut out, Value::String(b"a\xffb"), &mut losses);
        append_value(&mut out, Value::Float(f64::NAN), &mut losses);
        append_value(&mut out, Value::Float(f64::NEG_INFINITY), &mut losses);
        append_value(&mut out, Value::String(b"whole"), &mut losses);
        assert_eq!(String::from_utf8(out).unwrap(), "\"a\u{fffd}b\"nullnull\"whole\"");
        assert_eq!(losses, Losses { strings: 1, floats: 2 });
    }

    #[test]
    fn times_have_a_fraction_only_where_there_is_one() {
        let table = [
            (1_465_603_200_000_000_000, "2016-06-11T00:00:00Z"),
            (1_465_603_200_500_000_000, "2016-06-11T00:00:00.5Z"),
            (1_465_603_199_000_000_001, "2016-06-10T23:59:59.000000001Z"),
            (1_465_603_200_000_120_000, "2016-06-11T00:00:00.00012Z"),
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59.999999999Z"),
            (i64::MIN, "1677-09-21T00:12:43.145224192Z"),
            (i64::MAX, "2262-04-11T23:47:16.854775807Z"),
        ];
        let mut times = Times::default();
        for (time, text) in table {
            let mut out = Vec::new();
            times.append(&mut out, time);
            assert_eq!(String::from_utf8(out).unwrap(), text);
        }
    }

    proptest! {
        #[test]
        fn every_finite_float_reads_back_bit_by_bit(bits: u64) {
            let float = f64::from_bits(bits);
            prop_assume!(float.is_finite());
            let back: f64 = written(Value::Float(float)).parse().unwrap();
            prop_assert_eq!(back.to_bits(), float.to_bits());
        }

        #[test]
        fn decimals_are_written_like_all_floats(number in -20_000_000_000_000_i64..20_000_000_000_000, decimals in 0..7) {
            let float = number as f64 / 10_f64.powi(decimals);
            let mut buffer = zmij::Buffer::new();
            prop_assert_eq!(written(Value::Float(float)), buffer.format_finite(float));
        }

        #[test]
        fn few_digits_are_written_like_all_integers(number in -1_000_000_000_i64..1_000_000_000, digits in 0..9_u32) {
            let number = number / 10_i64.pow(digits);
            prop_assert_eq!(written(Value::Integer(number)), number.to_string());
            let number = number.unsigned_abs();
            prop_assert_eq!(written(Value::Unsigned(number)), number.to_string());
        }

        #[test]
        fn every_string_reads_back(text: String) {
            let back: String = serde_json::from_str(&written(Value::String(text.as_bytes()))).unwrap();
            prop_assert_eq!(back, text);
        }

        #[test]
        fn every_time_reads_back(time: i64) {
            let mut out = Vec::new();
            Times::default().append(&mut out, time);
            let back = DateTime::parse_from_rfc3339(std::str::from_utf8(&out).unwrap()).unwrap();
            prop_assert_eq!(back.timestamp_nanos_opt(), Some(time));
        }
    }
}
