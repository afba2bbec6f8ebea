//! `nightshard-restore`, killed with SIGKILL at moments spread over the length of a run, and started again: the
//! intermediary has the night then, whole, and production is back. What is there is counted by plain queries.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

mod night;

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use night::{Place, kill_after, kills, run, shorter_unless, succeed};
use serde_json::Value;
use test_support::{Influxd, temp_dir};

const DAYS: [&str; 2] = ["2016-06-10", "2016-06-11"];

const SHARDS: i64 = 6;

/// Adds points to each of some days, in two databases; the values make sure that nothing looks like what was there before.
async fn write(influxd: &Influxd, night: i64) {
    for (database, policy) in [("sensu_db", "\"default\""), ("second", "\"for ever\"")] {
        influxd
            .statement(&format!("CREATE DATABASE {database} WITH DURATION INF SHARD DURATION 1d NAME {policy}"))
            .await;
        let mut lines = String::new();
        for day in 0..SHARDS {
            for second in 0..300 * (night + 1) {
                let time = (1_465_516_800 - day * 86_400 + second) * 1_000_000_000;
                writeln!(lines, "load,host=h{} value={}i,night={night}i {time}", second % 7, second * day).unwrap();
            }
        }
        influxd.write(database, &lines).await;
    }
}

/// How many points there are, and sums over all of them, of both databases; `null` where there is none.
async fn state(influxd: &Influxd) -> Vec<Value> {
    let mut state = Vec::new();
    for database in ["sensu_db", "second"] {
        let query = "SELECT count(value), sum(value), count(night), sum(night) FROM load";
        state.push(influxd.query(database, query).await["results"][0]["series"][0]["values"][0].clone());
    }
    state
}

/// Production with two nights in an archive, and what each of them holds.
async fn two_nights() -> (Influxd, Place, [Vec<Value>; 2]) {
    let (production, place) = (Influxd::start().await, Place::folder());
    let mut states = Vec::new();
    for (night, day) in (0..).zip(DAYS) {
        write(&production, night).await;
        let mut backup = place.backup(&production);
        backup.args(["--date", day]);
        succeed(backup).await;
        states.push(state(&production).await);
    }
    assert!(states[0] != states[1] && states.iter().flatten().all(Value::is_array), "{states:?}");
    (production, place, states.try_into().unwrap())
}

/// A server that is down does not tell where its files are; on a real one its configuration is found by default.
fn restore(place: &Place, target: &Influxd, day: &str) -> Command {
    let mut restore = place.restore(target);
    restore.args(["--date", day, "--influx-config", &target.config().display().to_string()]);
    restore
}

fn recovery(place: &Place, target: &Influxd) -> Command {
    let mut recovery = restore(place, target, DAYS[1]);
    recovery.arg("--disaster-recovery");
    recovery
}

/// Nothing of ours is left but what the new state consists of.
fn assert_clean(place: &Place, target: &Influxd, moment: &str) {
    for folder in [target.data_dir(), target.wal_dir(), place.path("spool")] {
        for name in fs::read_dir(&folder).into_iter().flatten().map(|entry| entry.unwrap().file_name()) {
            let name = name.into_string().unwrap();
            let ours = name.starts_with('.') || folder.ends_with("spool");
            assert!(!ours, "{moment}: {name} is left in {}", folder.display());
        }
    }
}

/// The night that the target says it holds, if it says so.
async fn loaded(target: &Influxd) -> Option<usize> {
    let answer = target.query("nightshard", "SELECT last(container) FROM loaded").await;
    let container = answer["results"][0]["series"][0]["values"][0][1].as_str().map(str::to_owned);
    container.map(|container| DAYS.iter().position(|day| **day == container).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_is_killed_at_any_moment_is_whole_after_the_same_command() {
    let (_production, place, nights) = two_nights().await;
    let target = Influxd::start().await;
    target.statement("CREATE DATABASE of_others").await;
    target.write("of_others", "m v=1 1465516800000000000").await;
    succeed(restore(&place, &target, DAYS[1])).await;
    let begun = Instant::now();
    succeed(restore(&place, &target, DAYS[0])).await;
    let mut length = begun.elapsed();

    let (kills, mut killed, mut down, mut kept) = (kills(30), 0, 0, 0);
    for number in 0..3 * kills {
        if killed >= kills {
            break;
        }
        // Each night takes the place of the other one.
        let (night, day) = (usize::from(number % 2 == 0), DAYS[usize::from(number % 2 == 0)]);
        let moment = length * (number % kills) / kills + Duration::from_micros(u64::from(number % 31) * 137);
        let alive = kill_after(restore(&place, &target, day), moment);
        killed += u32::from(alive);
        length = shorter_unless(alive, length);
        let moment = format!("kill {number}, after {moment:?}");
        down += u32::from(!target.is_running());
        if number % 3 == 0 {
            // A machine that lost its power starts its server by itself, with whatever the disk has: where the record is
            // found, there is its night.
            target.restart().await;
            if let Some(night) = loaded(&target).await {
                assert_eq!(state(&target).await, nights[night], "{moment}");
                kept += 1;
            }
        }
        // Once more in the middle of clearing up after itself.
        if number % 4 == 1 {
            kill_after(restore(&place, &target, day), length / 3);
        }
        succeed(restore(&place, &target, day)).await;
        assert_eq!(state(&target).await, nights[night], "{moment}");
        assert_eq!(loaded(&target).await, Some(night), "{moment}");
        assert_eq!(target.count("of_others", "m", "v").await, 1, "{moment}");
        assert_clean(&place, &target, &moment);
    }
    assert!(killed >= kills, "too many runs had ended before they could be killed");
    assert!(down > 0 && kept > 0, "{down} runs were killed while the server was down, {kept} with a night in place");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_over_the_wire_that_is_killed_at_any_moment_is_whole_after_the_same_command() {
    let (_production, place, nights) = two_nights().await;
    let target = Influxd::start().await;
    target.statement("CREATE DATABASE of_others").await;
    target.write("of_others", "m v=1 1465516800000000000").await;
    let online = |day: &str| {
        let mut restore = place.restore(&target);
        restore.args(["--date", day, "--mode", "online"]);
        restore
    };
    succeed(online(DAYS[1])).await;
    let begun = Instant::now();
    succeed(online(DAYS[0])).await;
    let mut length = begun.elapsed();

    let (kills, mut killed, mut without, mut kept) = (kills(30), 0, 0, 0);
    for number in 0..3 * kills {
        if killed >= kills {
            break;
        }
        let (night, day) = (usize::from(number % 2 == 0), DAYS[usize::from(number % 2 == 0)]);
        let moment = length * (number % kills) / kills + Duration::from_micros(u64::from(number % 31) * 137);
        let alive = kill_after(online(day), moment);
        killed += u32::from(alive);
        length = shorter_unless(alive, length);
        let moment = format!("kill {number}, after {moment:?}");
        if number % 5 == 0 {
            target.restart().await;
        }
        // Where the record is found, there is its night; where not, nobody takes what is there for one.
        match loaded(&target).await {
            Some(night) => {
                assert_eq!(state(&target).await, nights[night], "{moment}");
                kept += 1;
            }
            None => without += 1,
        }
        if number % 4 == 1 {
            kill_after(online(day), length / 2);
        }
        succeed(online(day)).await;
        assert_eq!(state(&target).await, nights[night], "{moment}");
        assert_eq!(loaded(&target).await, Some(night), "{moment}");
        assert_eq!(target.count("of_others", "m", "v").await, 1, "{moment}");
        assert_clean(&place, &target, &moment);
    }
    assert!(killed >= kills, "too many runs had ended before they could be killed");
    assert!(without > 0 && kept > 0, "{without} runs were killed behind the drop, {kept} before it or at their end");
}

/// Takes everything from a server, as a rebuilt machine has it, and starts it.
async fn empty(target: &Influxd, base: &Path) {
    target.kill();
    for folder in fs::read_dir(base).unwrap().map(|entry| entry.unwrap().path()) {
        fs::remove_dir_all(folder).unwrap();
    }
    target.restart().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recovery_that_is_killed_at_any_moment_is_whole_after_the_same_command() {
    let (production, place, nights) = two_nights().await;
    let base = temp_dir();
    let target = Influxd::options().base(base.path()).start().await;
    let begun = Instant::now();
    succeed(recovery(&place, &target)).await;
    let mut length = begun.elapsed();
    assert_eq!(state(&target).await, nights[1]);

    let (kills, mut killed, mut went_on) = (kills(30), 0, 0);
    for number in 0..3 * kills {
        if killed >= kills {
            break;
        }
        empty(&target, base.path()).await;
        let moment = length * (number % kills) / kills + Duration::from_micros(u64::from(number % 31) * 137);
        let alive = kill_after(recovery(&place, &target), moment);
        killed += u32::from(alive);
        length = shorter_unless(alive, length);
        let moment = format!("kill {number}, after {moment:?}");
        if number % 3 == 0 {
            target.restart().await;
        }
        if number % 4 == 1 {
            kill_after(recovery(&place, &target), length / 3);
        }
        let output = run(recovery(&place, &target)).await;
        let said = String::from_utf8_lossy(&output.stderr);
        // One that was killed behind its last step has nothing left to complete, and says that the databases are there.
        let done = output.status.code() == Some(2) && said.contains("already: second, sensu_db");
        assert!(output.status.success() || done, "{moment}: {}\n{said}", output.status);
        went_on += u32::from(String::from_utf8_lossy(&output.stdout).contains("had put everything in place"));
        assert_eq!(state(&target).await, nights[1], "{moment}");
        if !done {
            assert_clean(&place, &target, &moment);
        }
        let policies = async |influxd: &Influxd| influxd.statement("SHOW RETENTION POLICIES ON second").await;
        assert_eq!(policies(&target).await, policies(&production).await, "{moment}");
    }
    assert!(killed >= kills, "too many runs had ended before they could be killed");
    assert!(went_on > 0, "no run was killed between placing and its end");
}
