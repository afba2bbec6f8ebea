//! Answers that break off, servers that go away, and strings that JSON cannot hold.

use std::fmt::Write as _;
use std::sync::Arc;

use jobs::Kind;
use test_support::{Fault, FaultProxy};

use crate::bench::{Bench, Intruder, MIDNIGHT, NIGHT, SECOND, post};

/// About 6 MB of answer, with 50 records at each instant.
async fn bench() -> Bench {
    let mut lines = String::new();
    for instant in 0..2000 {
        for host in 0..50 {
            writeln!(lines, "m,host=h{host} v={instant}i,s=\"{}\" {}", "x".repeat(30), MIDNIGHT + instant * SECOND)
                .unwrap();
        }
    }
    Bench::with(&lines).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_breaks_off_is_taken_up_again_where_it_broke() {
    let bench = bench().await;
    let whole = bench.dumped("m").await;
    let proxy = FaultProxy::start(bench.influxd.http_address()).await;
    proxy.set_next([
        Fault::CutAnswer(1_000_000),
        Fault::ResetAnswer(2_000_000),
        Fault::Refuse,
        Fault::CutAnswer(700_001),
    ]);
    let told = Intruder::new("nothing", || ());
    let influx = bench.influx_at(&proxy.url());
    let outcome = bench.dump_with(bench.config(&["m"]), influx, Arc::<Intruder<_>>::clone(&told)).await.unwrap();
    let text = bench.text(outcome.dumps[0].object.as_ref().unwrap()).await;
    assert!(text == whole, "the bytes differ");
    assert!(proxy.connections() >= 5, "only {} connections", proxy.connections());
    let again = told.reported.lock().unwrap().iter().filter(|event| event.contains("asking again")).count();
    assert!(again >= 3, "asked again {again} times");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_goes_away_for_good_leaves_no_short_dump() {
    let bench = bench().await;
    let proxy = FaultProxy::start(bench.influxd.http_address()).await;
    let gone = std::iter::repeat_n(Fault::Refuse, 20);
    proxy.set_next([Fault::CutAnswer(1_000_000)].into_iter().chain(gone));
    let influx = bench.influx_at(&proxy.url());
    let error = bench.dump_with(bench.config(&["m"]), influx, Arc::new(())).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Passing);
    assert!(bench.objects(NIGHT).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_that_cannot_be_written_is_an_error_with_its_reason() {
    let bench = bench().await;
    let mut config = bench.config(&["m"]);
    config.place.spool = "/proc/nightshard".into();
    let error = bench.dump(config).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Failed);
    assert!(error.to_string().contains("/proc/nightshard"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_utf8_are_replaced_and_counted() {
    let bench = Bench::start().await;
    let time = MIDNIGHT.to_string();
    // Two series whose tags differ in bytes that JSON cannot tell apart.
    let lines =
        [&b"m,t=\xff s=\"a\xffb\" "[..], time.as_bytes(), b"\nm,t=\xfe s=\"b\" ", time.as_bytes(), b"\n"].concat();
    post(&bench.influxd.http_address(), "/write?db=sensu_db", &lines);
    bench.load(NIGHT).await;
    let expected = [
        "{\"time\":\"2016-06-11T00:00:00Z\",\"s\":\"b\",\"t\":\"\u{fffd}\"}",
        "{\"time\":\"2016-06-11T00:00:00Z\",\"s\":\"a\u{fffd}b\",\"t\":\"\u{fffd}\"}",
    ];
    assert_eq!(bench.records("m").await, expected);
    let seal = bench.seal_of(NIGHT, "m_2016-06-11-00:00:00_2016-06-12-00:00:00.json").await;
    assert_eq!(seal.warnings, ["3 strings are no UTF-8; bytes in them were replaced by U+FFFD"]);
}
