//! Nights restored over the wire with the programs as users run them, one of them under another name beside the other, and
//! both dumped.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

mod night;

use std::fmt::Write as _;

use night::{Place, run, succeed};
use serde_json::Value;
use test_support::Influxd;

/// 2016-06-10 00:00 in Berlin, in seconds.
const FIRST: i64 = 1_465_509_600;

/// A record each ten seconds of one day.
fn day(number: i64, factor: i64) -> String {
    let mut lines = String::new();
    for moment in 0..8640 {
        let time = (FIRST + number * 86_400 + moment * 10) * 1_000_000_000;
        writeln!(lines, "cpu,host=h{} load={}i {time}", moment % 3, moment * factor).unwrap();
    }
    lines
}

/// The records of a dump of `cpu`, as its pages have them.
fn records(place: &Place, container: &str) -> Vec<Value> {
    let contents = place.contents(container);
    let dumps: Vec<&Vec<u8>> =
        contents.iter().filter(|(name, _)| name.contains("/influxdb/cpu_")).map(|(_, bytes)| bytes).collect();
    assert_eq!(dumps.len(), 1, "{:?}", contents.keys());
    let lines = std::str::from_utf8(dumps[0]).unwrap().lines();
    lines.flat_map(|line| serde_json::from_str::<Vec<Value>>(line).unwrap()).collect()
}

/// The number of the server's process, and when it was started.
async fn process(influxd: &Influxd) -> (Value, Value) {
    let answer = influxd.query("", "SHOW DIAGNOSTICS").await;
    let series = answer["results"][0]["series"].as_array().unwrap();
    let system = series.iter().find(|series| series["name"] == "system").unwrap();
    let value = |name: &str| {
        let column = system["columns"].as_array().unwrap().iter().position(|column| column == name).unwrap();
        system["values"][0][column].clone()
    };
    (value("PID"), value("started"))
}

#[tokio::test]
async fn the_newest_night_and_an_older_one_are_dumped_from_a_server_that_was_never_stopped() {
    let place = Place::folder();
    let (source, target) =
        tokio::join!(Influxd::start(), Influxd::options().admin("admin", "swordfish").internal_database().start());
    source.statement("CREATE DATABASE sensu_db WITH DURATION INF SHARD DURATION 1d NAME \"default\"").await;
    for (date, number) in [("2016-06-10", 0), ("2016-06-11", 1)] {
        // The older night has what is overwritten later.
        source.write("sensu_db", &day(0, number + 1)).await;
        source.write("sensu_db", &day(1, 7)).await;
        let mut backup = place.backup(&source);
        backup.args(["--date", date]);
        succeed(backup).await;
    }
    let restore = |arguments: &[&str]| {
        let mut restore = place.command(env!("CARGO_BIN_EXE_nightshard-restore"));
        restore.args(["--json", "--mode", "online", "--target", &target.url()]);
        restore.args(["--target-snapshot-addr", &target.snapshot_address()]).args(arguments);
        restore.env("NIGHTSHARD_TARGET_USER", "admin").env("NIGHTSHARD_TARGET_PASSWORD", "swordfish");
        restore
    };
    let dump = |arguments: &[&str]| {
        let mut dump = place.dump(&target);
        dump.arg("cpu").args(arguments);
        dump.env("NIGHTSHARD_TARGET_USER", "admin").env("NIGHTSHARD_TARGET_PASSWORD", "swordfish");
        dump
    };
    let process_before = process(&target).await;
    let restored = succeed(restore(&["--date", "2016-06-11"])).await;
    assert_eq!(restored["proof"]["points"][0]["fields"]["load"], 17_280);
    succeed(restore(&["--date", "2016-06-10", "--new-database", "older"])).await;

    succeed(dump(&["--date", "2016-06-11"])).await;
    succeed(dump(&["--date", "2016-06-10", "--database", "older"])).await;
    let (newest, older) = (records(&place, "2016-06-11"), records(&place, "2016-06-10"));
    assert_eq!((newest.len(), older.len()), (8640, 8640));
    assert_eq!((&newest[10]["load"], &older[10]["load"]), (&Value::from(70), &Value::from(10)));

    // A night that was loaded only in part is none, and neither is a copy's database in the night beside it.
    let refused = run(dump(&["--date", "2016-06-11", "--database", "nothing"])).await;
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert_eq!(process(&target).await, process_before);
}
