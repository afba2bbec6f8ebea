//! Fields that have different types in different shards, and shards that overlap.

use std::fmt::Write as _;

use jobs::Kind;
use serde_json::json;
use test_support::{Fault, FaultProxy};

use crate::bench::{Bench, Intruder, MIDNIGHT, NIGHT, SECOND, post};

const HOUR: i64 = 3600 * SECOND;

/// A database of which the default policy has shards of an hour.
async fn bench() -> Bench {
    let bench = Bench::start().await;
    let hours = "CREATE RETENTION POLICY hours ON sensu_db DURATION INF REPLICATION 1 SHARD DURATION 1h DEFAULT";
    bench.influxd.statement(hours).await;
    bench
}

async fn write(bench: &Bench, value: &str, minute: i64) {
    bench.influxd.write("sensu_db", &format!("m,a=b v={value} {}\n", MIDNIGHT + minute * HOUR / 60)).await;
}

/// From now on shards have a day, and those that are there stay.
async fn lengthen(bench: &Bench) {
    bench.influxd.statement("ALTER RETENTION POLICY hours ON sensu_db SHARD DURATION 1d").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_field_of_two_types_in_shards_that_overlap_is_not_dumped_short() {
    let bench = bench().await;
    write(&bench, "true", 130).await;
    write(&bench, "true", 190).await;
    lengthen(&bench).await;
    write(&bench, "1.5", 300).await;
    bench.load(NIGHT).await;

    // What makes it so: the server says nothing of two points out of three.
    assert_eq!(bench.influxd.rows("sensu_db", "SELECT v::field FROM m").await.len(), 1);
    let shards = bench.influxd.statement("SHOW SHARDS").await;
    let series = shards["results"][0]["series"].as_array().unwrap();
    let shards = series.iter().find(|series| series["name"] == "sensu_db").unwrap();
    let ids: Vec<String> = shards["values"].as_array().unwrap().iter().map(|row| row[0].to_string()).collect();

    let error = bench.dump(bench.config(&["m"])).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Failed);
    let expected = format!(
        "cannot dump m of sensu_db.hours: the field \"v\" is boolean and float, and the shards {} of the day overlap, \
         so that a query would leave records out",
        ids.join(", ")
    );
    assert_eq!(error.to_string(), expected);
    assert!(bench.objects(NIGHT).await.is_empty());

    // What the hint says gives all three.
    let hint = error.hint_text().unwrap();
    let select = &hint[hint.find("SELECT").unwrap()..];
    assert_eq!(select, "SELECT \"v\"::boolean, \"v\"::float");
    let rows = bench.influxd.rows("sensu_db", &format!("{select} FROM m")).await;
    let values: Vec<_> = rows.iter().map(|row| (&row[1], &row[2])).collect();
    let (yes, none, float) = (json!(true), json!(null), json!(1.5));
    assert_eq!(values, [(&yes, &none), (&yes, &none), (&none, &float)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn shards_that_overlap_do_no_harm_to_a_field_of_one_type() {
    let bench = bench().await;
    write(&bench, "1.5", 130).await;
    write(&bench, "2.5", 190).await;
    lengthen(&bench).await;
    write(&bench, "3.5", 300).await;
    write(&bench, "4.5", 1439).await;
    bench.load(NIGHT).await;
    let values = bench.records("m").await.join("\n");
    for value in ["1.5", "2.5", "3.5", "4.5"] {
        assert!(values.contains(&format!("\"v\":{value}}}")), "{value} is not in {values}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn shards_that_overlap_on_another_day_do_no_harm_to_a_field_of_two_types() {
    let bench = bench().await;
    write(&bench, "true", -60).await;
    write(&bench, "1.5", 0).await;
    write(&bench, "5i", 60).await;
    lengthen(&bench).await;
    // Two of a day beside each other, one of them over an hour of the day before.
    write(&bench, "\"text\"", -300).await;
    bench.load(NIGHT).await;
    let expected =
        [r#"{"time":"2016-06-11T00:00:00Z","a":"b","v":1.5}"#, r#"{"time":"2016-06-11T01:00:00Z","a":"b","v":5}"#];
    assert_eq!(bench.records("m").await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_type_that_comes_while_it_is_read_is_an_error() {
    let bench = bench().await;
    let mut lines = String::new();
    for number in 0..30_000 {
        writeln!(lines, "m,a=b v=true {}", MIDNIGHT + number).unwrap();
    }
    bench.influxd.write("sensu_db", &lines).await;
    bench.load(NIGHT).await;
    let proxy = FaultProxy::start(bench.influxd.http_address()).await;
    // Whichever connection the query takes, its answer is longer.
    proxy.set(Fault::CutAnswer(200_000));
    let address = bench.influxd.http_address();
    let line = format!("m,a=b v=1.5 {}", MIDNIGHT + 5 * HOUR);
    let comes = Intruder::new("asking again", move || post(&address, "/write?db=sensu_db", line.as_bytes()));
    let error = bench.dump_with(bench.config(&["m"]), bench.influx_at(&proxy.url()), comes).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Failed);
    assert!(error.to_string().contains("got other types or shards"), "{error}");
    assert!(bench.objects(NIGHT).await.is_empty());
    // The same command again.
    assert_eq!(bench.dump(bench.config(&["m"])).await.unwrap().dumps[0].records, 30_001);
}
