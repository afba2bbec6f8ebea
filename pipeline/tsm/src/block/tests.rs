//! Blocks that no server wrote, with right checksums.

use super::*;

/// A block of such times and values.
fn block(kind: Kind, times: &[u8], values: &[u8]) -> Vec<u8> {
    let mut content = vec![kind.code(), u8::try_from(times.len()).unwrap()];
    content.extend_from_slice(times);
    content.extend_from_slice(values);
    let mut bytes = crc32fast::hash(&content).to_be_bytes().to_vec();
    bytes.extend(content);
    bytes
}

fn decode(kind: Kind, times: &[u8], values: &[u8]) -> Result<Points, Fault> {
    let bytes = block(kind, times, values);
    let mut points = Points { times: vec![1, 2, 3], values: Values::Boolean(vec![true; 3]) };
    let decoded = Block::open(&bytes)?.decode(&mut points);
    if decoded.is_err() {
        assert_eq!(points, Points::empty(kind), "nothing is left of a block that is refused");
    }
    decoded.map(|()| points)
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b' ').collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

#[test]
fn what_is_written_later_wins_where_a_time_stands_twice() {
    // Steps of 1, 0, 0, 2 and then the same values in every type.
    let times = "00 0000000000000005 0000000000000001 0000000000000000 0000000000000000 0000000000000002";
    let integers = "00 0000000000000002 0000000000000002 0000000000000002 0000000000000002 0000000000000002";
    for (kind, values, expected) in [
        (Kind::Integer, integers, Values::Integer(vec![1, 4, 5])),
        (Kind::Unsigned, integers, Values::Unsigned(vec![1, 4, 5])),
        (Kind::Boolean, "10 05 98", Values::Boolean(vec![true, true, true])),
        (Kind::Boolean, "10 05 90", Values::Boolean(vec![true, true, false])),
    ] {
        let bytes = block(kind, &hex(times), &hex(values));
        let opened = Block::open(&bytes).unwrap();
        let mut points = Points::empty(kind);
        opened.decode(&mut points).unwrap();
        assert_eq!(points, Points { times: vec![5, 6, 8], values: expected });
        assert_eq!(opened.count().unwrap(), 3);
        let mut times = Vec::new();
        opened.times(&mut times).unwrap();
        assert_eq!(times, points.times);
    }
    let strings = hex("10 0A 24 01 61 01 62 01 63 01 64 01 65");
    let expected: Vec<&[u8]> = vec![b"a", b"d", b"e"];
    let points = decode(Kind::String, &hex(times), &strings).unwrap();
    let Values::String(values) = &points.values else { panic!("{points:?}") };
    assert_eq!(values.iter().collect::<Vec<_>>(), expected);
    // The steps packed, and all the same.
    let packed = decode(Kind::Boolean, &hex("10 0000000000000005 E000000000000001"), &hex("10 03 80")).unwrap();
    assert_eq!(packed, Points { times: vec![5, 6], values: Values::Boolean(vec![true, false]) });
    let run = decode(Kind::Boolean, &hex("20 0000000000000005 00 03"), &hex("10 03 20")).unwrap();
    assert_eq!(run, Points { times: vec![5], values: Values::Boolean(vec![true]) });
}

#[test]
fn times_that_go_back_or_leave_their_range_are_refused() {
    for (times, expected) in [
        // The largest step there is, from the first nanosecond to the last.
        ("00 8000000000000000 FFFFFFFFFFFFFFFF", Ok(vec![i64::MIN, i64::MAX])),
        ("21 8000000000000000 99B3E6CC99B3E6CC19 02", Ok(vec![i64::MIN, i64::MAX - 5])),
        ("21 8000000000000000 9AB3E6CC99B3E6CC19 02", Err("its times do not ascend")),
        ("00 0000000000000000 FFFFFFFFFFFFFFFF", Err("its times do not ascend")),
        ("00 7FFFFFFFFFFFFFFF 0000000000000001", Err("its times do not ascend")),
        // 2^52 times 10^12 is a multiple of 2^64, and would seem to be no step at all.
        ("1C 0000000000000000 F010000000000000", Err("its times do not ascend")),
        ("2C 0000000000000000 8080808080808008 02", Err("its times do not ascend")),
        ("20 7FFFFFFFFFFFFFFE 01 03", Err("its times do not ascend")),
        ("20 0000000000000000 01 00", Err("it has no times")),
        ("20 0000000000000000 01 818040", Err("it claims more points than a block may hold")),
        ("20 0000000000000000 01 FFFFFFFFFFFFFFFFFF01", Err("it claims more points than a block may hold")),
        ("20 0000000000000000 01", Err("a number in it is cut off")),
        ("2D 0000000000000000 01 02", Err("the scale of its times is unknown")),
        ("1F 0000000000000000", Err("the scale of its times is unknown")),
        ("10 00000000000000", Err("its first time is cut off")),
        ("10 0000000000000000 F0000000000000", Err("its packed numbers are no whole words")),
        ("00 0000000000000000 F0000000000000", Err("its last time is cut off")),
        ("30 0000000000000000", Err("the encoding of its times is unknown")),
        ("", Err("it has no times")),
    ] {
        let bytes = block(Kind::Float, &hex(times), &[]);
        let opened = Block::open(&bytes).unwrap();
        let mut decoded = vec![1];
        let outcome = opened.times(&mut decoded).map(|()| decoded.clone()).map_err(|fault| fault.0);
        assert_eq!(outcome, expected, "{times}");
        if expected.is_err() {
            assert!(decoded.is_empty());
        }
    }
}

#[test]
fn the_most_points_that_a_block_may_hold_are_read() {
    let bytes = block(Kind::Integer, &hex("20 0000000000000000 01 808040"), &hex("20 0000000000000000 02 FFFF3F"));
    let mut points = Points::empty(Kind::Integer);
    Block::open(&bytes).unwrap().decode(&mut points).unwrap();
    let expected: Vec<i64> = (0..1 << 20).collect();
    assert!(points.values == Values::Integer(expected.clone()) && points.times == expected);
    assert_eq!(points.len(), LARGEST);
}

#[test]
fn values_that_are_not_as_many_as_the_times_or_not_whole_are_refused() {
    const UNEQUAL: &str = "it does not hold as many values as times";
    let three = hex("20 000000000000000A 01 03");
    for (kind, values, expected) in [
        (Kind::Float, "", UNEQUAL),
        (Kind::Float, "20", "the encoding of its values is unknown"),
        (Kind::Float, "10 3FF80000000000", "its first value is cut off"),
        // No value at all, one, and the end behind bits that are not there.
        (Kind::Float, "10 7FF8000000000001", UNEQUAL),
        (Kind::Float, "10 3FF8000000000000 C04001FFFFFFFFFFFF", UNEQUAL),
        (Kind::Float, "10 3FF8000000000000", UNEQUAL),
        (Kind::Float, "10 7FF8000000000000 3F7F00", "a value in it has more than 64 bits"),
        (Kind::Float, "10 3FF8000000000000 00", UNEQUAL),
        (Kind::Float, "10 3FF8000000000001 3091", "its last value is cut off"),
        (Kind::Integer, "", UNEQUAL),
        (Kind::Integer, "00 00000000000000", "its first value is cut off"),
        (Kind::Integer, "00 0000000000000000 0000000000000000", UNEQUAL),
        (Kind::Integer, "00 0000000000000000 00000000000000", "its last value is cut off"),
        (Kind::Integer, "10 0000000000000000 F000000000000000", UNEQUAL),
        (Kind::Integer, "10 0000000000000000 0000000000000000", UNEQUAL),
        (Kind::Integer, "10 0000000000000000 E0", "its packed numbers are no whole words"),
        (Kind::Unsigned, "20 0000000000000000 01 03", UNEQUAL),
        (Kind::Unsigned, "20 0000000000000000 01", "a number in it is cut off"),
        (Kind::Unsigned, "30 0000000000000000", "the encoding of its values is unknown"),
        (Kind::Boolean, "10 02 C0", UNEQUAL),
        (Kind::Boolean, "10 03", UNEQUAL),
        (Kind::Boolean, "00 03 E0", "the encoding of its values is unknown"),
        (Kind::String, "10 02 04 00 00", UNEQUAL),
        (Kind::String, "10 04 0C 00 00 00 00", UNEQUAL),
        (Kind::String, "10 03 08 00 00 01", "a string in it goes beyond its end"),
        (Kind::String, "10 03 08 00 00 80", "a number in it is cut off"),
        (Kind::String, "10 03 08 00 00", "its strings cannot be decompressed"),
        (Kind::String, "10 FFFFFFFF0F 08 00 00 00", "its strings cannot be decompressed"),
        (Kind::String, "00 03 08 00 00 00", "the encoding of its values is unknown"),
    ] {
        assert_eq!(decode(kind, &three, &hex(values)), Err(Fault(expected)), "{kind:?} {values}");
    }
}

#[test]
fn bytes_behind_the_last_value_are_passed_over_as_the_server_does() {
    let three = hex("20 000000000000000A 01 03 AA");
    for (kind, values) in [
        (Kind::Unsigned, "20 0000000000000002 02 02 AA"),
        (Kind::Boolean, "10 03 E0 AA"),
        (Kind::Float, "10 3FF8000000000001 309100 AA"),
    ] {
        assert_eq!(decode(kind, &three, &hex(values)).unwrap().times, [10, 11, 12], "{kind:?}");
    }
}
