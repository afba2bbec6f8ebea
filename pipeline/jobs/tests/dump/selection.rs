//! Several measurements, and several days.

use archive::Dates;
use jobs::Kind;

use crate::bench::{Bench, MIDNIGHT, NIGHT, SECOND};

const DAY: i64 = 86_400 * SECOND;

#[tokio::test(flavor = "multi_thread")]
async fn patterns_stand_for_the_measurements_of_the_policy() {
    let bench = Bench::with(&format!("cpu v=1 {MIDNIGHT}\ncpu_load v=1 {MIDNIGHT}\nmem v=1 {MIDNIGHT}\n")).await;
    bench.influxd.statement("CREATE RETENTION POLICY year ON sensu_db DURATION INF REPLICATION 1").await;
    bench.influxd.write_into("sensu_db", "year", &format!("cpu_year v=3 {MIDNIGHT}\n")).await;
    for (asked, expected) in [
        (&["*"][..], &["cpu", "cpu_load", "mem"][..]),
        (&["cpu*"], &["cpu", "cpu_load"]),
        (&["mem", "c*d", "mem"], &["mem", "cpu_load"]),
    ] {
        let outcome = bench.dump(bench.config(asked)).await.unwrap();
        let dumped: Vec<&str> = outcome.dumps.iter().map(|dump| dump.measurement.as_str()).collect();
        assert_eq!((dumped.as_slice(), outcome.failures()), (expected, &[][..]));
    }
    let error = bench.dump(bench.config(&["disk*"])).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    assert!(error.to_string().contains("called like disk*"), "{error}");
    assert!(error.hint_text().unwrap().contains("cpu, cpu_load, mem"), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_measurement_that_is_called_like_a_pattern_hides_no_other() {
    let bench =
        Bench::with(&format!("* v=1 {MIDNIGHT}\nc* v=1 {MIDNIGHT}\ncpu v=1 {MIDNIGHT}\nmem v=1 {MIDNIGHT}\n")).await;
    for (asked, expected) in [("*", &["*", "c*", "cpu", "mem"][..]), ("c*", &["c*", "cpu"]), ("?", &["*"])] {
        let outcome = bench.dump(bench.config(&[asked])).await.unwrap();
        let dumped: Vec<&str> = outcome.dumps.iter().map(|dump| dump.measurement.as_str()).collect();
        assert_eq!((dumped.as_slice(), outcome.failures()), (expected, &[][..]), "{asked}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn days_off_are_caught_up_each_in_a_dump_of_its_own_and_a_failed_one_is_named() {
    let bench = Bench::start().await;
    let lines: String = (0..4).map(|day| format!("m v={day}i {}\n", MIDNIGHT + day * DAY)).collect();
    bench.influxd.write("sensu_db", &lines).await;
    bench.load("2016-06-14").await;
    // What cannot be told whose it is keeps its own day only.
    let broken = "m_2016-06-13-00:00:00_2016-06-14-00:00:00.json";
    bench.store.create_container("2016-06-13").await.unwrap();
    let name = format!("2016-06-13/manifests/dump.{broken}.json");
    store::StoreExt::put_bytes(bench.store.as_ref(), "2016-06-13", &name, bytes::Bytes::from_static(b"{"))
        .await
        .unwrap();

    let mut config = bench.config(&["m"]);
    config.date = "2016-06-11..2016-06-14".parse::<Dates>().unwrap();
    let outcome = bench.dump(config.clone()).await.unwrap();
    let nights: Vec<String> = outcome.dumps.iter().map(|dump| dump.night.to_string()).collect();
    assert_eq!(nights, ["2016-06-11", "2016-06-12", "2016-06-14"]);
    assert!(outcome.failures().iter().any(|failure| failure.starts_with("2016-06-13: ")), "{outcome:?}");
    for (day, (night, next)) in [(NIGHT, "2016-06-12"), ("2016-06-12", "2016-06-13")].into_iter().enumerate() {
        let object = format!("{night}/influxdb/m_{night}-00:00:00_{next}-00:00:00.json");
        assert_eq!(bench.text(&object).await, format!("[{{\"time\":\"{night}T00:00:00Z\",\"v\":{day}}}]\n"));
    }

    // No day at all is no success.
    config.date = "2016-06-20..2016-06-22".parse().unwrap();
    assert_eq!(bench.dump(config).await.unwrap_err().kind(), Kind::Missing);
}
