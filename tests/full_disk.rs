//! A disk that fills up while a night is being taken: nothing is sealed, nothing is left over, and the message says where.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

mod night;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use night::{Place, run, succeed};
use test_support::{Fault, FaultProxy, Influxd};

const DAY: &str = "2016-06-11";

/// A command as it runs with a file system of `size` mounted at `folder`, in a mount namespace of its own, so that
/// nothing stays mounted however the test ends. Needs root or user namespaces.
fn on_small_disk(command: &Command, folder: &Path, size: &str, before: &str) -> Command {
    let mut inside = Command::new("unshare");
    if !Command::new("id").arg("-u").output().unwrap().stdout.starts_with(b"0\n") {
        inside.args(["--user", "--map-root-user"]);
    }
    let script = format!("mount -t tmpfs -o size={size} tmpfs \"$0\" || exit 99; {before} exec \"$@\"");
    inside.args(["--mount", "sh", "-c", &script]).arg(folder).arg(command.get_program()).args(command.get_args());
    inside.env_clear();
    for (name, value) in command.get_envs() {
        inside.env(name, value.unwrap());
    }
    inside.current_dir(command.get_current_dir().unwrap());
    inside
}

/// Some 2 MB that do not compress, in one shard.
async fn fill(influxd: &Influxd) {
    influxd.statement("CREATE DATABASE sensu_db WITH DURATION INF SHARD DURATION 52w").await;
    let mut lines = String::new();
    let mut state = 1_u64;
    for number in 0..250_000_u64 {
        // A linear congruential generator: values without a pattern, the same in every run.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        writeln!(lines, "noise value={}i {}", state >> 1, 1_465_596_000_000_000_000 + number * 1_000_000_000).unwrap();
    }
    influxd.write("sensu_db", &lines).await;
}

fn assert_no_night(place: &Place, output: &Output) {
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let seal = place.path("archive").join(DAY).join(DAY).join("manifests/backup.json");
    assert!(!seal.exists());
}

fn left_in(folder: &PathBuf) -> Vec<PathBuf> {
    std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_that_is_too_small_is_said_before_anything_is_changed() {
    let place = Place::folder();
    let production = Influxd::start().await;
    fill(&production).await;
    let mut backup = place.backup(&production);
    backup.args(["--date", DAY]);
    let output = run(on_small_disk(&backup, &place.path("spool"), "1m", "")).await;
    assert_no_night(&place, &output);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("error: the spool ") && stderr.contains("bytes free"), "{stderr}");
    assert!(stderr.contains("hint: free space there"), "{stderr}");
    assert!(!place.path("archive").join(DAY).exists(), "not even the container was made");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_that_fills_up_on_the_way_ends_the_run_and_the_next_one_succeeds() {
    let place = Place::folder();
    let production = Influxd::start().await;
    fill(&production).await;
    let proxy = FaultProxy::start(production.snapshot_address()).await;
    proxy.set(Fault::SlowAnswer(1_000_000));
    let mut backup = place.backup_through(&production, &proxy.address());
    backup.args(["--date", DAY]);
    // Enough for the preflight; then somebody else takes the room while the shard comes in slowly.
    let thief = "(until [ -s \"$0\"/nightshard-*/*/shard.tar ] || ! kill -0 $$; do sleep 0.01; done; head -c 1G /dev/zero >\"$0\"/thief) 2>/dev/null & ";
    let output = run(on_small_disk(&backup, &place.path("spool"), "100m", thief)).await;
    assert_no_night(&place, &output);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("cannot take a snapshot of shard") && stderr.contains("No space left on device"),
        "{stderr}"
    );
    assert!(stderr.contains("hint: the disk is full"), "{stderr}");
    assert!(left_in(&place.path("spool")).is_empty());

    let mut backup = place.backup(&production);
    backup.args(["--date", DAY]);
    succeed(backup).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_fills_up_ends_the_run_without_half_an_object() {
    let place = Place::folder();
    let production = Influxd::start().await;
    fill(&production).await;
    std::fs::create_dir_all(place.path("archive")).unwrap();
    let mut backup = place.backup(&production);
    backup.args(["--date", DAY]);
    let look = "trap 'find \"$0\" -type f >&2' EXIT; ";
    let output = run(on_small_disk(&backup, &place.path("archive"), "1m", look)).await;
    assert_no_night(&place, &output);
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(
        stderr.contains("sensu_db.autogen.00001.00") && stderr.contains("hint: the quota or the disk is full"),
        "{stderr}"
    );
}
