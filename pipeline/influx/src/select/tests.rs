//! Answers of a real server, whole, in pieces and cut; and answers that no server should give.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::decoder::{Decoder, Fault};
use super::{Batch, Value};

const ALL: &[u8] = include_bytes!("../../tests/vectors/select-all.msgpack");
const GROUP: &[u8] = include_bytes!("../../tests/vectors/select-group.msgpack");

/// Feeds the pieces and then the end.
fn decode<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<Batch>, Fault> {
    let mut decoder = Decoder::default();
    let mut ready = VecDeque::new();
    for piece in pieces {
        decoder.feed(piece, &mut ready)?;
    }
    decoder.finish()?;
    Ok(ready.into())
}

/// One line a row: measurement, tags, then each column that is not null.
fn lines(batches: &[Batch]) -> Vec<String> {
    let mut lines = Vec::new();
    for batch in batches {
        for row in batch.rows() {
            let mut line = batch.measurement.clone();
            for (name, value) in &batch.tags {
                line += &format!(",{name}={}", value.escape_ascii());
            }
            for (column, value) in batch.columns.iter().zip(row.values()) {
                let value = match value {
                    Value::Null => continue,
                    Value::Boolean(value) => value.to_string(),
                    Value::Integer(value) => format!("{value}i"),
                    Value::Unsigned(value) => format!("{value}u"),
                    Value::Float(value) => format!("{value:?}"),
                    Value::String(bytes) => format!("\"{}\"", bytes.escape_ascii()),
                };
                line += &format!(" {column}={value}");
            }
            lines.push(line);
        }
    }
    lines
}

#[test]
fn columns_keep_their_types() {
    let expected = r#"
        types time=-1i host="c" i=40000i
        types time=1465603200000000000i b=true f=1.5 host="a b" i=-1i region="eu" s="x\"y"
        types time=1465603201000000000i b=false f=-0.0 host="a b" i=9223372036854775807i region="eu" s=""
        types time=1465603201000000001i f=5.0 host="c" s="\xff\xfe"
        types time=1465603202000000000i host="c" i=5i
    "#;
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(lines(&decode([ALL]).unwrap()), expected);
}

#[test]
fn grouped_series_carry_their_tags() {
    let batches = decode([GROUP]).unwrap();
    let expected = r#"
        types,host=a b,region=eu time=1465603200000000000i b=true f=1.5 i=-1i s="x\"y"
        types,host=a b,region=eu time=1465603201000000000i b=false f=-0.0 i=9223372036854775807i s=""
        types,host=c,region= time=-1i i=40000i
        types,host=c,region= time=1465603201000000001i f=5.0 s="\xff\xfe"
        types,host=c,region= time=1465603202000000000i i=5i
    "#;
    let expected: Vec<&str> = expected.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    assert_eq!(lines(&batches), expected);
    assert!(batches.windows(2).all(|pair| std::sync::Arc::ptr_eq(&pair[0].columns, &pair[1].columns)));
    assert_eq!(batches[0].row(1).time(), Some(1_465_603_201_000_000_000));
    assert_eq!(batches[0].row(0).get(1), Value::Boolean(true));
}

#[test]
fn an_answer_cut_anywhere_is_an_error() {
    for answer in [ALL, GROUP] {
        for end in 0..answer.len() {
            let fault = decode([&answer[..end]]).unwrap_err();
            assert!(matches!(fault, Fault::Truncated(_)), "cut after {end} bytes: {fault:?}");
        }
    }
}

#[test]
fn every_byte_may_come_alone() {
    for answer in [ALL, GROUP] {
        assert_eq!(lines(&decode(answer.chunks(1)).unwrap()), lines(&decode([answer]).unwrap()));
    }
}

#[test]
fn an_answer_without_series_has_no_rows() {
    let empty = message(&[map(2), text("statement_id"), vec![0], text("series"), array(0)]);
    assert_eq!(decode([empty.as_slice()]), Ok(vec![]));
    let bare = message(&[map(1), text("statement_id"), vec![0]]);
    assert_eq!(decode([bare.as_slice()]), Ok(vec![]));
}

#[test]
fn an_error_in_mid_stream_is_an_error() {
    let refused = Err(Fault::Refused("query interrupted".to_owned()));
    let first_message = 150;
    let killed = message(&[map(1), text("error"), text("query interrupted")]);
    assert_eq!(decode([&ALL[..first_message], &killed]), refused);
    let top_level = [map(1), text("error"), text("query interrupted")].concat();
    assert_eq!(decode([&ALL[..first_message], &top_level]), refused);
    assert_eq!(super::error_text(&top_level).as_deref(), Some("query interrupted"));
    assert_eq!(super::error_text(br#"{"error":"x"}"#), None);
    assert_eq!(super::error_text(b""), None);
}

#[test]
fn a_last_message_that_is_partial_is_an_error() {
    let rows = [text("columns"), array(1), text("time"), text("values"), array(1), array(1), vec![7]].concat();
    let on_result = [map(2), text("series"), array(1), map(2), rows.clone(), text("partial"), vec![0xc3]].concat();
    let on_series = [map(1), text("series"), array(1), map(3), rows.clone(), text("partial"), vec![0xc3]].concat();
    let whole = [map(2), text("series"), array(1), map(2), rows, text("partial"), vec![0xc2]].concat();
    for partial in [on_result, on_series] {
        let partial = message(&[partial]);
        assert!(matches!(decode([partial.as_slice()]), Err(Fault::Truncated(_))));
        let whole = message(std::slice::from_ref(&whole));
        assert_eq!(decode([partial.as_slice(), &whole]).unwrap().len(), 2);
    }
}

#[test]
fn what_no_server_sends_is_malformed() {
    let column = [text("columns"), array(1), text("time")].concat();
    let row = |value: Vec<u8>| {
        message(&[map(1), text("series"), array(1), map(2), column.clone(), text("values"), array(1), array(1), value])
    };
    assert!(decode([row(vec![1]).as_slice()]).is_ok());
    let senseless = [
        ("a number", vec![7]),
        ("another key", [map(1), text("result"), array(0)].concat()),
        ("two keys", [map(2), text("results"), array(0), text("x"), array(0)].concat()),
        (
            "rows before columns",
            message(&[map(1), text("series"), array(1), map(1), text("values"), array(1), array(0)]),
        ),
        ("an array as a value", row(array(0))),
        ("a time of another kind", row([vec![0xc7, 12, 5], vec![0; 12]].concat())),
        ("a row that is too short", {
            let rows = [text("values"), array(1), array(0)].concat();
            message(&[map(1), text("series"), array(1), map(2), column.clone(), rows])
        }),
        ("endless nesting", message(&[map(1), text("messages"), vec![0x91; 100]])),
    ];
    for (what, answer) in senseless {
        let outcome = decode([answer.as_slice()]);
        assert!(matches!(outcome, Err(Fault::Malformed(_))), "{what}: {outcome:?}");
    }
}

#[test]
fn a_chunk_larger_than_a_batch_comes_in_several() {
    let count: u32 = 100_000;
    let mut answer = message(&[map(1), text("series"), array(1), map(2), text("columns"), array(2)]);
    answer.extend([text("time"), text("s"), text("values")].concat());
    answer.push(0xdd);
    answer.extend(count.to_be_bytes());
    for _ in 0..count {
        answer.extend([array(2), vec![1], text("state")].concat());
    }
    let batches = decode(answer.chunks(1 << 16)).unwrap();
    assert!(batches.len() > 2 && batches.iter().all(|batch| batch.len() <= 32 << 10));
    assert_eq!(batches.iter().map(Batch::len).sum::<usize>(), count as usize);
    assert!(batches.iter().flat_map(|batch| batch.rows()).all(|row| row.get(1) == Value::String(b"state")));
}

#[test]
fn unsigned_numbers_stay_unsigned() {
    let column = [text("columns"), array(1), text("u")].concat();
    let value = [vec![0xcf], u64::MAX.to_be_bytes().to_vec()].concat();
    let answer =
        message(&[map(1), text("series"), array(1), map(2), column, text("values"), array(1), array(1), value]);
    assert_eq!(decode([answer.as_slice()]).unwrap()[0].row(0).get(0), Value::Unsigned(u64::MAX));
}

proptest! {
    #[test]
    fn pieces_make_no_difference(cuts in prop::collection::btree_set(0..ALL.len(), 0..20)) {
        let mut pieces = Vec::new();
        let mut rest = ALL;
        for cut in cuts.into_iter().rev() {
            let (head, tail) = rest.split_at(cut);
            pieces.push(tail);
            rest = head;
        }
        pieces.push(rest);
        pieces.reverse();
        prop_assert_eq!(lines(&decode(pieces).unwrap()), lines(&decode([ALL]).unwrap()));
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = decode([bytes.as_slice()]);
        let _ = decode([&message(&[])[..], &bytes]);
    }

    #[test]
    fn damage_does_not_panic(position in 0..GROUP.len(), byte in any::<u8>()) {
        let mut answer = GROUP.to_vec();
        answer[position] = byte;
        let _ = decode([answer.as_slice()]);
    }
}

fn message(result: &[Vec<u8>]) -> Vec<u8> {
    [map(1), text("results"), array(1), result.concat()].concat()
}

fn map(length: u8) -> Vec<u8> {
    vec![0x80 | length]
}

fn array(length: u8) -> Vec<u8> {
    vec![0x90 | length]
}

fn text(text: &str) -> Vec<u8> {
    [&[0xa0 | u8::try_from(text.len()).unwrap()], text.as_bytes()].concat()
}
