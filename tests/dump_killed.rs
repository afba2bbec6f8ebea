//! `nightshard-dump`, killed at random moments and started again: in the end every record is there, once, under a seal
//! that is right. And ended by a signal: soon, with nothing left in the spool.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

mod night;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use night::{Place, kill_after, kills, read_all};
use serde_json::Value;
use sha2::{Digest, Sha256};
use test_support::Influxd;

/// 2016-06-11 00:00 in Berlin, in seconds.
const MIDNIGHT: i64 = 1_465_596_000;
const SECONDS: i64 = 4000;

/// Two days, a point each second of their first hour or so.
async fn production() -> Influxd {
    let influxd = Influxd::start().await;
    influxd.statement("CREATE DATABASE sensu_db WITH DURATION INF SHARD DURATION 1d NAME \"default\"").await;
    write(&influxd, 0..SECONDS).await;
    influxd
}

async fn write(influxd: &Influxd, seconds: std::ops::Range<i64>) {
    let lines: String =
        seconds.map(|second| format!("m,host=a v={second}i {}000000000\n", MIDNIGHT + second)).collect();
    influxd.write("sensu_db", &lines).await;
}

/// The values of all records of the first day, after a look at each seal: it must name what is there.
fn values(archive: &Path) -> Vec<i64> {
    let mut contents = BTreeMap::new();
    read_all(archive, archive, &mut contents);
    let night = "2016-06-11/2016-06-11";
    let object = format!("{night}/influxdb/m_2016-06-11-00:00:00_2016-06-12-00:00:00.json");
    let seals: Vec<_> = contents.keys().filter(|name| name.contains("/manifests/dump.")).collect();
    let replacements = contents.keys().filter(|name| name.contains("/manifests/replacing.")).count();
    assert!(seals.iter().any(|name| name.starts_with(night)) && replacements == 0, "{:?}", contents.keys());
    for name in seals {
        let seal: Value = serde_json::from_slice(&contents[name]).unwrap();
        if let Some(object) = seal["object"].as_str() {
            let container = object.split('/').next().unwrap();
            let bytes = &contents[&format!("{container}/{object}")];
            assert_eq!(seal["sha256"], hex::encode(Sha256::digest(bytes)));
        }
    }
    let text = std::str::from_utf8(&contents[&object]).unwrap();
    let records = text.lines().flat_map(|page| serde_json::from_str::<Vec<Value>>(page).unwrap());
    records.map(|record| record["v"].as_i64().unwrap()).collect()
}

fn dump(place: &Place, intermediary: &Influxd, day: &str) -> Command {
    let mut dump = place.dump(intermediary);
    dump.args(["m", "--date", day, "--page-size", "100"]).stdout(Stdio::null()).stderr(Stdio::null());
    dump
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_that_is_killed_at_any_moment_is_whole_after_the_next_run() {
    let place = Place::folder();
    let (production, intermediary) = (production().await, Influxd::start().await);
    place.load(&production, &intermediary, "2016-06-11").await;
    let archive = place.path("archive");
    let first = || dump(&place, &intermediary, "2016-06-11");
    // Half of the kills for each of two runs, at moments from before the work begins until after its end.
    let (moments, mut killed) = (kills(36) / 2, 0);
    let at = |whole: Duration, moment: u32| whole.mul_f64(0.2 + 0.9 * f64::from(moment) / f64::from(moments));
    tokio::task::block_in_place(|| {
        let begun = Instant::now();
        assert!(first().status().unwrap().success());
        let whole = begun.elapsed();
        for moment in 0..moments {
            killed += u32::from(kill_after(first(), at(whole, moment)));
            assert!(first().status().unwrap().success());
            assert_eq!(values(&archive), (0..SECONDS).collect::<Vec<_>>(), "after kill {moment}");
        }
    });

    // The next night completes it; it is killed as often, each time with the open dump put back as it was.
    let kept: BTreeMap<String, Vec<u8>> = {
        let mut contents = BTreeMap::new();
        read_all(&archive, &archive, &mut contents);
        contents.retain(|name, _| name.contains("influxdb/") || name.contains("/manifests/dump."));
        contents
    };
    write(&production, 86_400 - 100..86_400).await;
    production.query("sensu_db", &format!("DELETE FROM m WHERE time < {}s", MIDNIGHT + 1000)).await;
    place.load(&production, &intermediary, "2016-06-12").await;
    let second = || dump(&place, &intermediary, "2016-06-12");
    let expected: Vec<i64> = (0..SECONDS).chain(86_400 - 100..86_400).collect();
    tokio::task::block_in_place(|| {
        let begun = Instant::now();
        assert_eq!(second().status().unwrap().code(), Some(3));
        let whole = begun.elapsed();
        assert_eq!(values(&archive), expected);
        for moment in 0..moments {
            for (name, bytes) in &kept {
                std::fs::write(archive.join(name), bytes).unwrap();
            }
            killed += u32::from(kill_after(second(), at(whole, moment)));
            let code = second().status().unwrap().code();
            assert!(matches!(code, Some(0 | 3)), "the run after kill {moment} ended with {code:?}");
            assert_eq!(values(&archive), expected, "after kill {moment}");
        }
    });
    assert!(killed >= moments, "only {killed} runs were still under way when they were killed");
    assert_eq!(std::fs::read_dir(place.path("spool")).unwrap().count(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_a_dump_soon_and_leaves_the_spool_clean() {
    let place = Place::folder();
    let (production, intermediary) = (production().await, Influxd::start().await);
    place.load(&production, &intermediary, "2016-06-11").await;
    for wait in [0_u64, 20, 40, 80] {
        let mut child = dump(&place, &intermediary, "2016-06-11").spawn().unwrap();
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_millis(60 + wait) {
            std::thread::yield_now();
        }
        let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).stderr(Stdio::null()).status();
        let signalled = Instant::now();
        let code = tokio::task::block_in_place(|| child.wait().unwrap().code());
        assert!(matches!(code, Some(143 | 0)), "{code:?}");
        assert!(signalled.elapsed() < Duration::from_secs(10), "{:?}", signalled.elapsed());
        assert_eq!(std::fs::read_dir(place.path("spool")).unwrap().count(), 0);
    }
    assert!(dump(&place, &intermediary, "2016-06-11").status().unwrap().success());
    assert_eq!(values(&place.path("archive")).len() as i64, SECONDS);
}
