//! A connection that breaks in the middle of a stream costs at most one shard: what has arrived before is not moved again.
//! The bytes are counted on their way, and the work is whole in the end.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

mod night;

use std::fmt::Write as _;
use std::process::Command;

use night::{Place, succeed};
use serde_json::Value;
use test_support::{Fault, FaultProxy, Influxd, tempauth};

const DAYS: [&str; 2] = ["2016-06-11", "2016-06-12"];

/// 2016-06-12 00:00 in UTC, in seconds; the last of the shards begins.
const MIDNIGHT: i64 = 1_465_689_600;

const SHARDS: i64 = 4;

/// Points of a shard, of about 8 bytes each.
const POINTS: i64 = 50_000;

/// What else may come again: the requests themselves, and what was on its way when the connection broke.
const SLACK: u64 = 100_000;

async fn production() -> Influxd {
    let influxd = Influxd::start().await;
    influxd.statement("CREATE DATABASE sensu_db WITH DURATION INF SHARD DURATION 1d NAME \"default\"").await;
    let mut random = 7_u64;
    for shard in 0..SHARDS {
        let mut lines = String::new();
        for second in 0..POINTS {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            writeln!(lines, "m value={}i {}000000000", random >> 1, MIDNIGHT - shard * 86_400 + second).unwrap();
        }
        influxd.write("sensu_db", &lines).await;
    }
    influxd
}

/// A command whose archive is reached through a proxy.
fn through(proxy: &FaultProxy, mut command: Command) -> Command {
    command.env("ST_AUTH", format!("{}/auth/v1.0", proxy.url())).args(["--jobs", "1"]);
    command
}

async fn before_swift() -> FaultProxy {
    FaultProxy::start(tempauth().proxy.trim_start_matches("http://")).await
}

fn number(outcome: &Value, member: &str) -> u64 {
    outcome[member].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_cut_of_a_backup_moves_at_most_one_shard_again() {
    let (place, production) = (Place::swift_version1(), production().await);
    let (mut moved, mut bytes) = (Vec::new(), 0);
    for (day, cut) in DAYS.iter().zip([false, true]) {
        let (from, to) = (FaultProxy::start(production.snapshot_address()).await, before_swift().await);
        if cut {
            // The metastore and a list come first, then the shards, one at a time.
            from.set_next([Fault::None, Fault::None, Fault::None, Fault::None, Fault::CutAnswer(300_000)]);
            to.set(Fault::ResetRequest(600_000));
        }
        let mut backup = through(&to, place.backup_through(&production, &from.address()));
        // What the first night has would not travel again.
        backup.args(["--date", day, "--dedup", "off"]);
        let outcome = succeed(backup).await;
        assert_eq!((number(&outcome, "shards"), outcome["warnings"].as_array().unwrap().len()), (4, 0), "{outcome}");
        moved.push((from.answer_bytes(), to.request_bytes(), to.resets()));
        bytes = number(&outcome, "bytes");
    }
    let [(from, to, _), (from_cut, to_cut, resets)] = moved[..] else { panic!("{moved:?}") };
    let shard = bytes / 4;
    assert!((from + 200_000..=from + shard).contains(&from_cut), "{moved:?}");
    assert!(resets > 0 && to_cut <= to + resets * shard + SLACK, "{moved:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_and_a_dump_go_on_where_they_were() {
    let (place, production, target) = (Place::swift_version1(), production().await, Influxd::start().await);
    let mut backup = place.backup(&production);
    backup.args(["--date", DAYS[1]]);
    let bytes = number(&succeed(backup).await, "bytes");
    let mut moved = Vec::new();
    for fault in [Fault::None, Fault::CutAnswer(bytes / 3), Fault::ResetAnswer(bytes / 5)] {
        let proxy = before_swift().await;
        proxy.set(fault);
        let mut restore = through(&proxy, place.restore(&target));
        restore.args(["--date", DAYS[1]]);
        succeed(restore).await;
        assert_eq!(target.count("sensu_db", "m", "value").await, (SHARDS * POINTS) as u64);
        moved.push((proxy.answer_bytes(), proxy.connections()));
    }
    let [(whole, connections), (cut, cut_connections), (reset, reset_connections)] = moved[..] else {
        panic!("{moved:?}")
    };
    // An early end loses nothing of what was sent. A reset takes away what the program had not read yet.
    let resets = reset_connections.saturating_sub(connections) as u64;
    assert!(cut_connections > connections && resets > 0, "no connection was cut: {moved:?}");
    assert!(cut <= whole + SLACK, "{moved:?}");
    assert!(reset <= whole + resets * (bytes / 4) + SLACK, "{moved:?}");

    let mut read = Vec::new();
    for fault in [Fault::None, Fault::CutAnswer(400_000)] {
        let proxy = FaultProxy::start(target.http_address()).await;
        proxy.set(fault);
        let mut dump = place.command(env!("CARGO_BIN_EXE_nightshard-dump"));
        dump.args(["m", "--date", DAYS[1], "--json", "--target", &proxy.url(), "--no-upload", "--output", "dumps"]);
        let outcome = succeed(dump).await;
        read.push((
            proxy.answer_bytes(),
            number(&outcome["dumps"][0], "records"),
            outcome["dumps"][0]["sha256"].clone(),
        ));
    }
    assert_eq!((read[0].1, &read[0].2), (read[1].1, &read[1].2));
    assert!(read[0].0 > 800_000 && read[1].0 <= read[0].0 + SLACK, "{read:?}");
}
