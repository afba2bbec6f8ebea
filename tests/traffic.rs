//! What a dump from the backup brings over the network: little more than what it needs.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

mod night;

use std::fmt::Write as _;

use night::{Place, succeed};
use serde_json::Value;
use test_support::{FaultProxy, Influxd, tempauth};

/// 2016-06-11 00:00 in Berlin, in seconds.
const MIDNIGHT: i64 = 1_465_596_000;

/// A record each twenty seconds of a day from each of ten hosts, with fields that no encoding makes much smaller.
fn day(measurement: &str) -> String {
    let mut lines = String::new();
    for moment in 0..4320 {
        let time = (MIDNIGHT + moment * 20) * 1_000_000_000;
        for host in 0..10 {
            let number = (moment * 10 + host) as f64;
            writeln!(lines, "{measurement},host=h{host} a={},b={} {time}", number.sqrt(), (number + 0.5).ln()).unwrap();
        }
    }
    lines
}

/// The bytes of the blocks that a measurement has in the night, and those of all indexes.
fn sizes(place: &Place, night: &str, measurement: &str) -> (u64, u64) {
    let contents = place.contents(night);
    let seal: Value =
        serde_json::from_slice(&contents[&format!("{}/manifests/backup.json", place.container(night))]).unwrap();
    let (mut blocks, mut indexes) = (0, 0);
    for object in seal["objects"].as_array().unwrap() {
        let tar = &contents[object["name"].as_str().unwrap()];
        for file in object["files"].as_array().into_iter().flatten() {
            let number = |name: &str| file[name].as_u64().unwrap();
            let section = tsm::Section::new(tar, number("offset"), number("bytes"));
            let layout = tsm::layout(&section).unwrap();
            indexes += layout.index_bytes();
            let mut index = tsm::IndexReader::of(&section, layout, 1 << 16);
            while let Some(key) = index.next().unwrap() {
                let (series, _) = tsm::key::split(&key.key).unwrap();
                if tsm::key::measurement(series) == measurement.as_bytes() {
                    blocks += key.entries.iter().map(|entry| u64::from(entry.size)).sum::<u64>();
                }
            }
        }
    }
    (blocks, indexes)
}

#[tokio::test(flavor = "multi_thread")]
async fn one_measurement_of_ten_is_dumped_from_swift_with_little_more_than_its_own_blocks() {
    let (place, source) = (Place::swift_version1(), Influxd::start().await);
    source.statement("CREATE DATABASE sensu_db WITH DURATION INF SHARD DURATION 1d NAME \"default\"").await;
    for number in 0..10 {
        source.write("sensu_db", &day(&format!("m{number}"))).await;
    }
    let mut backup = place.backup(&source);
    backup.args(["--date", "2016-06-11"]);
    succeed(backup).await;
    let (blocks, indexes) = sizes(&place, "2016-06-11", "m4");

    let proxy = FaultProxy::start(tempauth().proxy.trim_start_matches("http://")).await;
    let mut dump = place.command(env!("CARGO_BIN_EXE_nightshard-dump"));
    dump.env("ST_AUTH", format!("{}/auth/v1.0", proxy.url()));
    dump.args(["m4", "--json", "--from", "backup", "--date", "2016-06-11", "--no-upload", "--output", "dumps"]);
    let dumped = succeed(dump).await;
    assert_eq!(dumped["dumps"][0]["records"], 43_200, "{dumped}");

    // Everything counts that Swift answered: heads of answers, and the night's seal.
    let read = proxy.answer_bytes();
    assert!(
        read * 10 <= blocks * 12 + indexes * 10,
        "{read} bytes were read of {blocks} in blocks and {indexes} in indexes"
    );
    assert!(blocks > 500_000, "{blocks} bytes of blocks are enough to tell");
}
