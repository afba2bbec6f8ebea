//! `nightshard-dump --all`, several dumps at once in a small spool, killed at random moments and started again: each
//! measurement has its records, also the one that came after the backup of its day.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

mod night;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use night::{Place, kill_after, kills, read_all};
use serde_json::Value;
use sha2::{Digest, Sha256};
use test_support::Influxd;

/// 2016-06-11 00:00 in Berlin, in seconds.
const MIDNIGHT: i64 = 1_465_596_000;
const MEASUREMENTS: [&str; 5] = ["a", "b", "c", "d", "e"];

async fn write(influxd: &Influxd, measurement: &str, seconds: std::ops::Range<i64>) {
    let text = "x".repeat(100);
    let line = |second| format!("{measurement},host=a v={second}i,s=\"{text}\" {}000000000\n", MIDNIGHT + second);
    influxd.write("sensu_db", &seconds.map(line).collect::<String>()).await;
}

fn dump(place: &Place, intermediary: &Influxd, day: &str) -> Command {
    let mut dump = place.dump(intermediary);
    dump.args(["--all", "--date", day, "--spool-size", "1MiB"]).stdout(Stdio::null()).stderr(Stdio::null());
    dump
}

/// The values of all records of the first day by their measurement, each dump with the seal that it should have.
fn values(archive: &Path) -> BTreeMap<String, Vec<i64>> {
    let mut contents = BTreeMap::new();
    read_all(archive, archive, &mut contents);
    assert!(!contents.keys().any(|name| name.contains("/replacing.")), "{:?}", contents.keys());
    let mut values = BTreeMap::new();
    for (name, bytes) in &contents {
        let Some(file) = name.strip_prefix("2016-06-11/2016-06-11/influxdb/") else { continue };
        // What was being written into the folder when its writer was killed is no object; a backup removes it.
        if file.starts_with(".nightshard-unfinished-") {
            continue;
        }
        let seal = contents.get(&format!("2016-06-11/2016-06-11/manifests/dump.{file}.json"));
        let seal: Value = serde_json::from_slice(seal.unwrap_or_else(|| panic!("{name} has no seal"))).unwrap();
        assert_eq!(seal["sha256"], hex::encode(Sha256::digest(bytes)), "{name}");
        let records = std::str::from_utf8(bytes).unwrap().lines();
        let records = records.flat_map(|page| serde_json::from_str::<Vec<Value>>(page).unwrap());
        let measurement = seal["measurement"].as_str().unwrap().to_owned();
        values.insert(measurement, records.map(|record| record["v"].as_i64().unwrap()).collect());
    }
    values
}

#[tokio::test(flavor = "multi_thread")]
async fn dumps_that_are_killed_together_are_all_whole_after_the_next_run() {
    let place = Place::folder();
    let (production, intermediary) = tokio::join!(Influxd::start(), Influxd::start());
    production.statement("CREATE DATABASE sensu_db WITH DURATION INF SHARD DURATION 1d NAME \"default\"").await;
    for measurement in MEASUREMENTS {
        write(&production, measurement, 0..2000).await;
    }
    place.load(&production, &intermediary, "2016-06-11").await;
    let archive = place.path("archive");
    let expected = |seconds: Vec<i64>| MEASUREMENTS.map(|name| (name.to_owned(), seconds.clone()));
    let (moments, mut killed) = (kills(16) / 2, 0);
    let mut rounds = |day: &str, kept: &BTreeMap<String, Vec<u8>>, expected: &BTreeMap<String, Vec<i64>>| {
        let run = || dump(&place, &intermediary, day);
        tokio::task::block_in_place(|| {
            let begun = Instant::now();
            assert!(run().status().unwrap().success());
            let whole = begun.elapsed();
            for moment in 0..moments {
                // As it was before the first run of this night.
                for folder in ["influxdb", "manifests"] {
                    let folder = archive.join("2016-06-11/2016-06-11").join(folder);
                    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                        let name = entry.path().strip_prefix(&archive).unwrap().display().to_string();
                        match kept.get(&name) {
                            Some(bytes) => std::fs::write(entry.path(), bytes).unwrap(),
                            None => std::fs::remove_file(entry.path()).unwrap(),
                        }
                    }
                }
                let share = 0.2 + 0.8 * f64::from(moment) / f64::from(moments);
                killed += u32::from(kill_after(run(), whole.mul_f64(share)));
                assert!(run().status().unwrap().success(), "after kill {moment}");
                assert_eq!(values(&archive), *expected, "after kill {moment}");
            }
        });
    };
    let lying = || {
        let mut contents = BTreeMap::new();
        read_all(&archive, &archive, &mut contents);
        contents
    };
    rounds("2016-06-11", &lying(), &expected((0..2000).collect()).into_iter().collect());

    // The night after has the last minutes of all, and a measurement that was not there before.
    let kept = lying();
    for measurement in MEASUREMENTS {
        write(&production, measurement, 86_300..86_400).await;
    }
    write(&production, "late", 86_350..86_400).await;
    place.load(&production, &intermediary, "2016-06-12").await;
    let mut whole: BTreeMap<_, _> = expected((0..2000).chain(86_300..86_400).collect()).into_iter().collect();
    whole.insert("late".to_owned(), (86_350..86_400).collect());
    rounds("2016-06-12", &kept, &whole);
    assert!(killed >= moments / 2, "only {killed} runs were still under way when they were killed");
    assert_eq!(std::fs::read_dir(place.path("spool")).unwrap().count(), 0);
}
