//! Large answers of a real server as a stream, and answers that break.

// Clippy does not see that helpers beside the tests belong to them.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use nightshard_influx::{Batch, Error, Influx, Rows, Settings, Value};
use test_support::{Fault, FaultProxy, Influxd, Options};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

const ALL: &[u8] = include_bytes!("vectors/select-all.msgpack");

fn settings(url: &str) -> Settings {
    Settings::new(url.parse().unwrap(), "127.0.0.1:8088")
}

fn connect(influxd: &Influxd) -> Influx {
    Influx::new(settings(&influxd.url())).unwrap()
}

async fn filled(options: Options, lines: &str) -> Influxd {
    let influxd = options.start().await;
    influxd.statement("CREATE DATABASE demo").await;
    influxd.write("demo", lines).await;
    influxd
}

/// Series by series `count` points, 1 ns apart: their value is their time.
fn points(series: u32, count: u32) -> String {
    let mut lines = String::new();
    for series in 0..series {
        for time in 0..count {
            writeln!(lines, "m,s={series:06} i={time}i,f={time},t=\"{time}\",b={} {time}", time % 2 == 0).unwrap();
        }
    }
    lines
}

async fn all(mut rows: Rows) -> Result<Vec<Batch>, Error> {
    let mut batches = Vec::new();
    while let Some(batch) = rows.next().await? {
        batches.push(batch);
    }
    assert!(rows.next().await.unwrap().is_none(), "the end stays the end");
    Ok(batches)
}

async fn select(influx: &Influx, query: &str, chunk_size: u32) -> Result<Vec<Batch>, Error> {
    all(influx.select("demo", query, chunk_size).await?).await
}

fn count(batches: &[Batch]) -> usize {
    batches.iter().map(Batch::len).sum()
}

#[tokio::test]
async fn every_row_comes_once_whatever_the_chunk_size() {
    let influxd = filled(Influxd::options(), &points(3, 1000)).await;
    let influx = connect(&influxd);
    for chunk_size in [1, 7, 999, 1000, 1001, 3000, 50_000, 0] {
        let batches = select(&influx, "SELECT b, f, i, t FROM m GROUP BY s", chunk_size).await.unwrap();
        let mut seen = BTreeSet::new();
        for batch in &batches {
            assert_eq!(batch.measurement, "m");
            assert_eq!(*batch.columns, ["time", "b", "f", "i", "t"]);
            let [(tag, series)] = batch.tags.as_slice() else { panic!("{:?}", batch.tags) };
            assert_eq!(tag, "s");
            for row in batch.rows() {
                let time = row.time().unwrap();
                let text = time.to_string();
                let expected = [
                    Value::Integer(time),
                    Value::Boolean(time % 2 == 0),
                    Value::Float(time as f64),
                    Value::Integer(time),
                    Value::String(text.as_bytes()),
                ];
                assert!(row.values().eq(expected), "{row:?}");
                assert!(seen.insert((series.clone(), time)), "twice: {row:?}");
            }
        }
        assert_eq!((seen.len(), count(&batches)), (3000, 3000), "chunk size {chunk_size}");
    }
}

#[tokio::test]
async fn without_grouping_rows_come_in_the_order_of_time() {
    let influxd = filled(Influxd::options(), &points(5, 2000)).await;
    let batches = select(&connect(&influxd), "SELECT s::tag, i::field FROM m", 1000).await.unwrap();
    let times: Vec<i64> = batches.iter().flat_map(Batch::rows).map(|row| row.time().unwrap()).collect();
    assert_eq!(times.len(), 10_000);
    assert!(times.is_sorted());
}

#[tokio::test]
async fn twenty_thousand_series_come_one_by_one() {
    let mut lines = String::new();
    for series in 0..20_000 {
        writeln!(lines, "m,s={series} v=1 1").unwrap();
    }
    let influxd = filled(Influxd::options(), &lines).await;
    let mut rows = connect(&influxd).select("demo", "SELECT * FROM m GROUP BY *", 1000).await.unwrap();
    let mut series = BTreeSet::new();
    while let Some(mut batch) = rows.next().await.unwrap() {
        assert_eq!(batch.len(), 1);
        assert!(series.insert(batch.tags.remove(0).1));
    }
    assert_eq!(series.len(), 20_000);
}

#[tokio::test]
async fn strings_may_be_any_bytes_and_of_any_length() {
    let influxd = Influxd::start().await;
    influxd.statement("CREATE DATABASE demo").await;
    let long = "x".repeat(1_500_000);
    let mut lines = b"m,tag=\xff\xfe s=\"not \xc3\x28 UTF-8\" 1\n".to_vec();
    lines.extend(format!("m s=\"{long}\" 2\nm s=\"\" 3\nm s=\"a\nb\\\"c\\\\d\0\" 4\n").bytes());
    lines.extend(format!("m,tag={} s=\"long tag\" 5\n", "v".repeat(65_000)).bytes());
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let answer = client.post(format!("{}/write?db=demo", influxd.url())).body(lines).send().await.unwrap();
    assert_eq!(answer.status(), 204);

    let batches = select(&connect(&influxd), "SELECT \"s\"::field, \"tag\"::tag FROM m", 10_000).await.unwrap();
    let rows: Vec<Vec<Value<'_>>> = batches.iter().flat_map(Batch::rows).map(|row| row.values().collect()).collect();
    assert_eq!(rows.len(), 5);
    assert_eq!(rows[0][1..], [Value::String(b"not \xc3\x28 UTF-8"), Value::String(b"\xff\xfe")]);
    assert_eq!(rows[1][1..], [Value::String(long.as_bytes()), Value::Null]);
    assert_eq!(rows[2][1..], [Value::String(b""), Value::Null]);
    assert_eq!(rows[3][1..], [Value::String(b"a\nb\"c\\d\0"), Value::Null]);
    assert_eq!(rows[4][2], Value::String("v".repeat(65_000).as_bytes()));
}

#[tokio::test]
async fn floats_and_integers_keep_every_bit() {
    let floats = [0.1, -0.0, 5e-324, f64::MAX, f64::MIN, 1e15, 1e16, 123_456_789.123_456_78];
    let integers = [0, -1, 127, 128, -128, -129, 32_768, 65_536, 1 << 32, i64::MAX, i64::MIN, (1 << 53) + 1];
    let mut lines = String::new();
    for (time, value) in floats.iter().enumerate() {
        writeln!(lines, "f v={value:?} {time}").unwrap();
    }
    for (time, value) in integers.iter().enumerate() {
        writeln!(lines, "i v={value}i {time}").unwrap();
    }
    let influxd = filled(Influxd::options(), &lines).await;
    let influx = connect(&influxd);
    let batches = select(&influx, "SELECT v FROM f", 1000).await.unwrap();
    for (row, expected) in batches[0].rows().zip(floats) {
        let Value::Float(value) = row.get(1) else { panic!("{row:?}") };
        assert_eq!(value.to_bits(), expected.to_bits(), "{expected:?}");
    }
    let batches = select(&influx, "SELECT v FROM i", 1000).await.unwrap();
    assert!(batches[0].rows().map(|row| row.get(1)).eq(integers.map(Value::Integer)));
    assert_eq!(batches[0].len(), integers.len());
}

#[tokio::test]
async fn nothing_found_is_an_answer_without_rows() {
    let influxd = filled(Influxd::options(), "m v=1 1").await;
    let influx = connect(&influxd);
    for query in ["SELECT * FROM nothing", "SELECT * FROM m WHERE time > 5", "SELECT nothing FROM m"] {
        assert_eq!(select(&influx, query, 1000).await.unwrap(), [], "{query}");
    }
}

#[tokio::test]
async fn a_query_of_a_hundred_kilobytes_is_taken() {
    let influxd = filled(Influxd::options(), "m,host=a v=1 1").await;
    let query = format!("SELECT v FROM m WHERE host = 'a' OR host = '{}'", "h".repeat(100_000));
    assert!(query.len() > 100_000);
    assert_eq!(count(&select(&connect(&influxd), &query, 1000).await.unwrap()), 1);
}

#[tokio::test]
async fn what_the_server_says_at_once_is_an_error() {
    let influxd = filled(Influxd::options(), "m v=1 1").await;
    let influx = connect(&influxd);
    let error = all(influx.select("nobody", "SELECT * FROM m", 1000).await.unwrap()).await.unwrap_err();
    assert!(matches!(&error, Error::UnknownDatabase { database, .. } if database == "nobody"), "{error}");
    let error = select(&influx, "SELECT FROM WHERE", 1000).await.unwrap_err();
    assert!(error.to_string().contains("400 Bad Request: error parsing query: found FROM"), "{error}");
    let error = select(&influx, "SELECT * FROM m; SELECT v FROM nobody..m", 1000).await.unwrap_err();
    assert!(matches!(error, Error::UnknownDatabase { .. }), "the second statement's error: {error}");
}

#[tokio::test]
async fn a_limit_on_series_is_an_error_that_does_not_pass() {
    let options = Influxd::options().set("coordinator", "max-select-series", "2");
    let influxd = filled(options, &points(3, 1)).await;
    let error = select(&connect(&influxd), "SELECT * FROM m", 1000).await.unwrap_err();
    assert!(matches!(error, Error::Query { .. }) && error.to_string().contains("max-select-series"), "{error}");
    assert!(!error.is_passing());
}

/// Reads the first rows, so that the server is in the middle of an answer that no buffer on the way can hold.
async fn in_mid_stream(influx: &Influx) -> (Rows, usize) {
    let mut rows = influx.select("demo", "SELECT * FROM m", 500).await.unwrap();
    let first = rows.next().await.unwrap().unwrap();
    (rows, first.len())
}

async fn rest(mut rows: Rows, mut count: usize) -> (Error, usize) {
    loop {
        match rows.next().await {
            Ok(Some(batch)) => count += batch.len(),
            Ok(None) => panic!("a short answer of {count} rows was taken for whole"),
            Err(error) => {
                assert!(rows.next().await.is_err(), "no end after an error");
                return (error, count);
            }
        }
    }
}

/// How many rows [`much`] has.
const MUCH: usize = 25_000;

/// Some 25 MB as MessagePack: several times what socket buffers on loopback take.
async fn much() -> Influxd {
    let influxd = filled(Influxd::options(), "").await;
    let text = "x".repeat(1000);
    let mut lines = String::new();
    for time in 0..MUCH {
        writeln!(lines, "m t=\"{text}\" {time}").unwrap();
    }
    influxd.write("demo", &lines).await;
    influxd
}

#[tokio::test]
async fn a_query_that_is_killed_in_mid_stream_is_an_error() {
    let influxd = much().await;
    let influx = connect(&influxd);
    let (rows, seen) = in_mid_stream(&influx).await;
    let queries = influx.statement(None, "SHOW QUERIES").await.unwrap();
    let ids = queries[0].column("qid").zip(queries[0].column("query"));
    let id = ids.filter(|(_, query)| query.as_str().unwrap().starts_with("SELECT")).map(|(id, _)| id).next().unwrap();
    influx.statement(None, &format!("KILL QUERY {id}")).await.unwrap();
    let (error, seen) = rest(rows, seen).await;
    assert!(matches!(error, Error::Query { .. }) && error.to_string().contains("query interrupted"), "{error}");
    assert!(error.is_passing() && seen < MUCH);
}

#[tokio::test]
async fn a_server_that_ends_in_mid_stream_is_an_error() {
    for crash in [false, true] {
        let influxd = much().await;
        let influx = connect(&influxd);
        let (rows, seen) = in_mid_stream(&influx).await;
        if crash {
            influxd.kill()
        } else {
            influxd.stop()
        }
        let (error, seen) = rest(rows, seen).await;
        assert!(error.is_passing() && seen < MUCH, "{error}");
        influxd.restart().await;
        assert_eq!(count(&select(&influx, "SELECT t FROM m", 5000).await.unwrap()), MUCH);
    }
}

#[tokio::test]
async fn a_connection_that_breaks_in_mid_stream_is_an_error() {
    let influxd = filled(Influxd::options(), &points(2, 5000)).await;
    let proxy = FaultProxy::start(influxd.http_address()).await;
    let mut settings = settings(&proxy.url());
    settings.stall_timeout = Duration::from_millis(500);
    for fault in [Fault::CutAnswer(100_000), Fault::ResetAnswer(100_000), Fault::StallAnswer(100_000)] {
        proxy.set(fault);
        let influx = Influx::new(settings.clone()).unwrap();
        let rows = influx.select("demo", "SELECT * FROM m", 1000).await.unwrap();
        let (error, seen) = rest(rows, 0).await;
        match fault {
            Fault::StallAnswer(_) => assert!(matches!(error, Error::Stalled { .. }), "{error}"),
            _ => assert!(matches!(error, Error::Truncated { .. }), "{error}"),
        }
        assert!(error.is_passing() && seen < 10_000, "{error}");
    }
}

/// A server that gives the bytes asked for, and a client of it.
struct Script {
    listener: TcpListener,
    influx: Influx,
}

impl Script {
    async fn new() -> Script {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let influx = Influx::new(settings(&format!("http://{}", listener.local_addr().unwrap()))).unwrap();
        Script { listener, influx }
    }

    /// Answers one query with these bytes behind a status line and headers, then closes.
    async fn answer(&self, headers: &str, body: &[u8]) -> Result<Vec<Batch>, Error> {
        let server = async {
            let (mut connection, _) = self.listener.accept().await.unwrap();
            let mut request = Vec::new();
            while !request.ends_with(b"chunk_size=2") {
                assert!(connection.read_buf(&mut request).await.unwrap() > 0);
            }
            let head = format!("HTTP/1.1 200 OK\r\nConnection: close\r\n{headers}\r\n");
            connection.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
            connection.shutdown().await.unwrap();
        };
        let (outcome, ()) = tokio::join!(select(&self.influx, "SELECT * FROM types", 2), server);
        outcome
    }
}

#[tokio::test]
async fn an_answer_that_ends_without_its_terminator_is_an_error_at_every_length() {
    let script = Script::new().await;
    let chunked = |body: &[u8]| [format!("{:x}\r\n", body.len()).as_bytes(), body, b"\r\n"].concat();
    let whole = [chunked(ALL), b"0\r\n\r\n".to_vec()].concat();
    let headers = "Transfer-Encoding: chunked\r\n";
    assert_eq!(count(&script.answer(headers, &whole).await.unwrap()), 5);
    for end in 0..whole.len() {
        let error = script.answer(headers, &whole[..end]).await.unwrap_err();
        assert!(matches!(error, Error::Truncated { .. }), "cut after {end} bytes: {error}");
    }
    // A proxy in between may end a cut answer properly; then the last message gives it away.
    for end in 1..ALL.len() {
        let ended = [chunked(&ALL[..end]), b"0\r\n\r\n".to_vec()].concat();
        let error = script.answer(headers, &ended).await.unwrap_err();
        assert!(matches!(error, Error::Truncated { .. }), "ended after {end} bytes: {error}");
    }
}

#[tokio::test]
async fn an_answer_without_length_ends_where_its_messages_end() {
    let script = Script::new().await;
    assert_eq!(count(&script.answer("", ALL).await.unwrap()), 5);
    for end in 0..ALL.len() {
        let error = script.answer("", &ALL[..end]).await.unwrap_err();
        assert!(matches!(error, Error::Truncated { .. }), "cut after {end} bytes: {error}");
    }
}

#[tokio::test]
async fn an_answer_that_is_no_messagepack_is_malformed() {
    let json = br#"{"results":[{"statement_id":0}]}"#;
    let outcome = Script::new().await.answer(&format!("Content-Length: {}\r\n", json.len()), json).await;
    let error = outcome.unwrap_err();
    assert!(matches!(error, Error::Protocol { .. }) && !error.is_passing(), "{error}");
}
