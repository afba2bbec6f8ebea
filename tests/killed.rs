//! Backups that are killed with SIGKILL, at moments spread over the length of a run: the same command completes the
//! night, and what `influxd backup` writes proves it.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

mod night;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use chrono::{Days, NaiveDate};
use night::{Place, kill_after, kills, read_all, shorter_unless, succeed};
use serde_json::Value;
use sha2::{Digest, Sha256};
use test_support::{Influxd, temp_dir};

/// Shards of a day, with values that do not shrink away.
async fn fill(influxd: &Influxd, shards: i64) {
    influxd.statement("CREATE DATABASE sensu_db WITH DURATION INF SHARD DURATION 1d").await;
    let mut random: u64 = 7;
    for day in 0..shards {
        let mut lines = String::new();
        for second in 0..2000 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let time = (1_464_739_200 + day * 86_400 + second) * 1_000_000_000;
            writeln!(lines, "load,host=h{} value={}i {time}", second % 7, random >> 1).unwrap();
        }
        influxd.write("sensu_db", &lines).await;
    }
}

/// What the stock command backs up, by file name.
fn stock_backup(influxd: &Influxd) -> BTreeMap<String, Vec<u8>> {
    let folder = temp_dir();
    let mut command = Command::new("influxd");
    command.args(["backup", "-host", &influxd.snapshot_address(), "-database", "sensu_db"]).arg(folder.path());
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    files(folder.path())
}

fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    read_all(folder, folder, &mut files);
    files
}

fn backup(place: &Place, production: &Influxd, day: &str) -> Command {
    let mut command = place.backup(production);
    // A run that is killed after its seal has done its work.
    command.args(["--database", "sensu_db", "--if-missing", "--date", day]);
    command
}

/// The night holds what the stock command backs up, its manifest names exactly that, and nothing else is there.
fn assert_whole(place: &Place, day: &str, stock: &BTreeMap<String, Vec<u8>>) {
    let (contents, day) = (place.contents(day), place.container(day));
    let seal = format!("{day}/manifests/backup.json");
    let manifest: Value = serde_json::from_slice(&contents[&seal]).unwrap();
    let digests: BTreeMap<&str, &str> = manifest["objects"]
        .as_array()
        .unwrap()
        .iter()
        .map(|object| (object["name"].as_str().unwrap(), object["sha256"].as_str().unwrap()))
        .collect();
    assert!(contents.contains_key(&format!("{day}/manifests/statistics.json")));
    assert_eq!((digests.len(), stock.len()), (contents.len() - 2, contents.len() - 2), "{:?}", contents.keys());
    for (name, bytes) in stock {
        let name = format!("{day}/shards/{name}");
        assert!(contents[&name] == *bytes, "{name} is not what influxd backs up");
        assert_eq!(digests[name.as_str()], hex::encode(Sha256::digest(bytes)), "{name}");
    }
    assert_eq!(std::fs::read_dir(place.path("spool")).unwrap().count(), 0, "the spool is swept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_is_killed_at_any_moment_is_completed_by_the_same_command() {
    let production = Influxd::start().await;
    fill(&production, 12).await;
    let stock = stock_backup(&production);
    let place = Place::folder();
    let begun = Instant::now();
    succeed(backup(&place, &production, "2016-05-31")).await;
    let mut length = begun.elapsed();
    assert_whole(&place, "2016-05-31", &stock);

    let (kills, mut killed, mut resumed) = (kills(30), 0, 0);
    for number in 0..3 * kills {
        if killed == kills {
            break;
        }
        let first = NaiveDate::from_ymd_opt(2016, 6, 1).unwrap();
        let day = (first + Days::new(number.into())).to_string();
        let moment = length * (number % kills) / kills + Duration::from_micros(u64::from(number % 31) * 137);
        let alive = kill_after(backup(&place, &production, &day), moment);
        let outcome = succeed(backup(&place, &production, &day)).await;
        assert_whole(&place, &day, &stock);
        killed += u32::from(alive);
        length = shorter_unless(alive, length);
        let is_resumed =
            outcome["already_sealed"] == false && outcome["sent_bytes"].as_u64() < outcome["bytes"].as_u64();
        resumed += u32::from(is_resumed);
    }
    assert_eq!(killed, kills, "too many runs had ended before they could be killed");
    assert!(resumed > 0, "no run was killed between its first upload and its seal");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_onto_swift_that_is_killed_at_ninety_percent_sends_at_most_fifteen_percent_again() {
    let production = Influxd::start().await;
    fill(&production, 80).await;
    let stock = stock_backup(&production);
    let place = Place::swift_keystone();
    let mut run = backup(&place, &production, "2016-06-11").stderr(Stdio::piped()).spawn().unwrap();
    // All shards are about the same size.
    let done = BufReader::new(run.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(done.filter(|line| line.contains(" is done, ")).take(72).count(), 72);
    run.kill().unwrap();
    run.wait().unwrap();

    let outcome = succeed(backup(&place, &production, "2016-06-11")).await;
    let [sent, bytes] = ["sent_bytes", "bytes"].map(|member| outcome[member].as_u64().unwrap());
    assert!(sent * 100 <= bytes * 15, "{sent} of {bytes} bytes were sent again");
    assert!(sent > 0, "the first run came to its end");
    assert_whole(&place, "2016-06-11", &stock);
}
