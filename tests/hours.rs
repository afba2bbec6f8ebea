//! Containers by the hour, with the programs as users run them: the hour that exists twice in autumn, one of them restored
//! by its name, a day of 25 hours dumped from its last hour, and an open dump that the next hours complete.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

mod night;

use std::process::Command;

use night::{Place, run, succeed};
use serde_json::Value;
use test_support::Influxd;

/// 2016-10-30 00:00 in Berlin, in seconds; clocks go from 03:00 back to 02:00.
const AUTUMN: i64 = 1_477_778_400;

/// 2016-06-11 00:00 in Berlin, in seconds.
const SUMMER: i64 = 1_465_596_000;

/// By the hour.
fn hourly(mut command: Command, place: &Place, arguments: &[&str]) -> Command {
    command.env("NIGHTSHARD_CONTAINER", format!("{}%Y-%m-%dT%H%z", place.prefix)).args(arguments);
    command
}

/// A record at the middle of each of so many hours of a day, from one of them on.
async fn write(influxd: &Influxd, midnight: i64, hours: std::ops::Range<i64>) {
    let line = |hour: i64| format!("m,host=a v={hour}i {}000000000\n", midnight + hour * 3600 + 1800);
    influxd.write("sensu_db", &hours.map(line).collect::<String>()).await;
}

async fn count(influxd: &Influxd) -> i64 {
    influxd.count("sensu_db", "m", "v").await as i64
}

/// Hours that a dump has, by their numbers.
fn hours(place: &Place, container: &str, file: &str) -> Vec<i64> {
    let container = container.strip_prefix(&place.prefix).unwrap();
    let name = format!("{}/influxdb/{file}", place.container(container));
    let contents = place.contents(container);
    let pages = std::str::from_utf8(contents.get(&name).unwrap_or_else(|| panic!("{:?}", contents.keys()))).unwrap();
    let records = pages.lines().flat_map(|page| serde_json::from_str::<Vec<Value>>(page).unwrap());
    records.map(|record| record["v"].as_i64().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_hour_that_exists_twice_has_two_containers_and_its_day_a_dump_of_25_hours() {
    let place = &Place::folder();
    let (production, intermediary) = tokio::join!(Influxd::start(), Influxd::start());
    production.statement("CREATE DATABASE sensu_db WITH DURATION INF SHARD DURATION 1d").await;
    let backup = |arguments: &'static [&str]| hourly(place.backup(&production), place, arguments);
    let restore = |arguments: &'static [&str]| hourly(place.restore(&intermediary), place, arguments);
    let dump = |arguments: &'static [&str]| hourly(place.dump(&intermediary), place, arguments);

    write(&production, AUTUMN, 0..3).await;
    let outcome = succeed(backup(&["--date", "2016-10-30T02+0200"])).await;
    assert_eq!(outcome["container"], place.container("2016-10-30T02+0200"));
    write(&production, AUTUMN, 3..4).await;
    succeed(backup(&["--date", "2016-10-30T02+0100"])).await;
    write(&production, AUTUMN, 4..26).await;
    assert_eq!(succeed(backup(&["--date", "2016-10-30"])).await["container"], place.container("2016-10-30T23+0100"));
    assert_eq!(succeed(backup(&["--date", "2016-10-30T23", "--if-missing"])).await["already_sealed"], true);

    // Either of the two hours is there by its name, and none by the name of both.
    for (hour, points) in [("2016-10-30T02+0200", 3), ("2016-10-30T02+0100", 4)] {
        let mut restore = restore(&["--date"]);
        restore.arg(hour);
        succeed(restore).await;
        assert_eq!(count(&intermediary).await, points, "{hour}");
    }
    let output = run(restore(&["--date", "2016-10-30T02"])).await;
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("hint: say which one: 2016-10-30T02+0100 and 2016-10-30T02+0200"), "{said}");

    // The day has 25 hours, and its dump lies with its last one; from an hour before it is not made.
    assert_eq!(run(dump(&["m", "--date", "2016-10-30"])).await.status.code(), Some(75));
    succeed(restore(&["--date", "2016-10-30"])).await;
    let outcome = succeed(dump(&["m", "--date", "2016-10-30"])).await;
    let object = outcome["dumps"][0]["object"].as_str().unwrap().to_owned();
    let container = place.container("2016-10-30T23+0100");
    let file = "m_2016-10-30-00:00:00_2016-10-31-00:00:00.json";
    assert_eq!((object, &outcome["container"]), (format!("{container}/influxdb/{file}"), &container.clone().into()));
    assert_eq!(hours(place, &container, file), (0..25).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn swift_takes_the_names_of_hours_too() {
    let place = Place::swift_keystone();
    let (production, intermediary) = tokio::join!(Influxd::start(), Influxd::start());
    production.statement("CREATE DATABASE sensu_db WITH DURATION INF SHARD DURATION 1d").await;
    write(&production, AUTUMN, 0..3).await;
    let outcome = succeed(hourly(place.backup(&production), &place, &["--date", "2016-10-30T02+0200"])).await;
    assert_eq!(outcome["container"], place.container("2016-10-30T02+0200"));
    succeed(hourly(place.restore(&intermediary), &place, &["--date", "2016-10-30T02+0200"])).await;
    assert_eq!(count(&intermediary).await, 3);
    assert!(place.contents("2016-10-30T02+0200").keys().any(|name| name.ends_with("/manifests/backup.json")));
}

/// Production runs on this machine's clock; what its backup says of the time is moved to five minutes before the end of
/// its hour.
fn move_clock(place: &Place, container: &str, hour: i64) {
    let path = place.path("archive").join(container).join(container).join("manifests/backup.json");
    let mut manifest: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let taken = chrono::DateTime::from_timestamp(SUMMER + (hour + 1) * 3600 - 300, 0).unwrap().to_rfc3339();
    manifest["started"] = Value::from(taken.clone());
    for object in manifest["objects"].as_array_mut().unwrap() {
        if object["kind"] == "shard" {
            object["snapshot_taken"] = Value::from(taken.clone());
        }
    }
    std::fs::write(&path, manifest.to_string()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_of_the_day_that_it_is_grows_with_its_hours_and_is_completed_by_those_of_the_next() {
    let place = Place::folder();
    let (production, intermediary) = tokio::join!(Influxd::start(), Influxd::start());
    production.statement("CREATE DATABASE sensu_db WITH DURATION INF SHARD DURATION 1d").await;
    let (container, file) = ("2016-06-11T23+0200", "m_2016-06-11-00:00:00_2016-06-12-00:00:00.json");
    // Hours of the day and of the next one; the last minutes of each are in the backup after it alone.
    for (hour, date, records, open) in [
        (14, "2016-06-11T14", 14, true),
        (15, "2016-06-11T15", 15, true),
        (23, "2016-06-11", 23, true),
        (24, "2016-06-12T00", 24, false),
    ] {
        write(&production, SUMMER, 0..hour).await;
        succeed(hourly(place.backup(&production), &place, &["--date", date])).await;
        let date_of_container = if hour == 23 { "2016-06-11T23+0200".to_owned() } else { format!("{date}+0200") };
        move_clock(&place, &date_of_container, hour);
        succeed(hourly(place.restore(&intermediary), &place, &["--date", date])).await;
        let outcome = succeed(hourly(place.dump(&intermediary), &place, &["m", "--date", date])).await;
        let made = if hour == 24 { &outcome["completed"][0] } else { &outcome["dumps"][0] };
        assert_eq!((&made["records"], &made["open"]), (&records.into(), &open.into()), "{date}: {outcome}");
        assert_eq!(hours(&place, container, file), (0..hour).collect::<Vec<_>>(), "{date}");
    }
}
