//! A backup while the server is being written to: nothing that was acknowledged before a shard's snapshot is missing.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

mod night;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use chrono::{DateTime, Utc};
use night::{Place, succeed};
use serde::Deserialize;
use test_support::{Influxd, temp_dir};

const DAY: &str = "2016-06-11";

/// Batches of this many points, so many times a second, make 20,000 points a second.
const BATCH: u64 = 1000;
const BATCHES_A_SECOND: u64 = 20;

/// How long the server is written to before the backup begins, in batches.
const BEFORE: u64 = 2 * BATCHES_A_SECOND;

/// The parts of the manifest that this test needs, declared anew.
#[derive(Deserialize)]
struct Manifest {
    objects: Vec<Object>,
}

#[derive(Deserialize)]
struct Object {
    name: String,
    kind: String,
    snapshot_taken: Option<DateTime<Utc>>,
}

/// Points are numbered; every point of the numbers below `acknowledged.1` had been acknowledged at `acknowledged.0`.
async fn write_until(influxd: &Influxd, stop: &AtomicBool) -> Vec<(DateTime<Utc>, u64)> {
    let mut acknowledged = Vec::new();
    let mut ticks = tokio::time::interval(Duration::from_micros(1_000_000 / BATCHES_A_SECOND));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Burst);
    let mut next = 0;
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        let mut lines = String::new();
        for number in next..next + BATCH {
            // Several shards of an hour are written to at once, and several series.
            let time = 1_465_596_000_000_000_000 + (number % 3) * 3_600_000_000_000 + number * 1_000;
            writeln!(lines, "load,host=h{} number={number}i {time}", number % 10).unwrap();
        }
        influxd.write("sensu_db", &lines).await;
        next += BATCH;
        acknowledged.push((Utc::now(), next));
    }
    acknowledged
}

#[tokio::test(flavor = "multi_thread")]
async fn every_point_acknowledged_before_its_shards_snapshot_is_in_the_backup() {
    let place = Place::folder();
    // A small cache is written out again and again, which is when the snapshot service answers "busy".
    let production = Influxd::options().set("data", "cache-snapshot-memory-size", "\"1m\"").start().await;
    production.statement("CREATE DATABASE sensu_db WITH DURATION INF SHARD DURATION 1h").await;

    let stop = AtomicBool::new(false);
    let (acknowledged, outcome) = tokio::join!(write_until(&production, &stop), async {
        while production.count("sensu_db", "load", "number").await < BEFORE * BATCH {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let mut backup = place.backup(&production);
        backup.args(["--date", DAY]);
        let outcome = succeed(backup).await;
        stop.store(true, Ordering::Relaxed);
        outcome
    });
    assert_eq!(outcome["warnings"], serde_json::json!([]), "{outcome}");
    assert_eq!(outcome["shards"], 3, "{outcome}");

    let contents = place.contents(DAY);
    let manifest: Manifest = serde_json::from_slice(&contents["2016-06-11/manifests/backup.json"]).unwrap();
    let earliest = manifest.objects.iter().filter_map(|object| object.snapshot_taken).min().unwrap();
    let (_, below) = acknowledged.iter().rfind(|(at, _)| *at < earliest).unwrap();
    assert!(*below >= (BEFORE - BATCHES_A_SECOND) * BATCH, "the backup began while points were being written: {below}");

    // The shards are put in place by hand, so that nothing of ours judges itself.
    let base = temp_dir();
    let shards = place.path("archive").join(DAY).join(DAY).join("shards");
    std::fs::create_dir_all(base.path().join("data")).unwrap();
    for object in manifest.objects.iter().filter(|object| object.kind == "shard") {
        let tar = place.path("archive").join(DAY).join(&object.name);
        let status = Command::new("tar").arg("-xf").arg(tar).arg("-C").arg(base.path().join("data")).status().unwrap();
        assert!(status.success());
    }
    let status =
        Command::new("influxd").arg("restore").arg("-metadir").arg(base.path().join("meta")).arg(shards).status();
    assert!(status.unwrap().success());
    let restored = Influxd::options().base(base.path()).start().await;
    let rows = restored.rows("sensu_db", &format!("SELECT number FROM load WHERE number < {below}")).await;
    let found: BTreeSet<u64> = rows.iter().map(|row| row[1].as_u64().unwrap()).collect();
    let missing: Vec<u64> = (0..*below).filter(|number| !found.contains(number)).take(10).collect();
    assert!(
        missing.is_empty(),
        "of {below} points acknowledged before the first snapshot these are missing: {missing:?} …"
    );
}
