//! Runs that end before their work is done, and disks that are too small.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::json;
use test_support::{FaultProxy, Influxd, tempauth};

use crate::archives::{back_up, command, dump, fetch, files, outcome, stored, text};
use crate::night::{Place, kill_after, kills, run, shorter_unless};

const DAY: &str = "2016-06-11";

/// A shard of some megabytes that do not compress, and a dump of them.
async fn large_night(place: &Place) {
    let source = Influxd::start().await;
    source.statement("CREATE DATABASE sensu_db WITH DURATION INF SHARD DURATION 52w").await;
    let (mut lines, mut state) = (String::new(), 1_u64);
    for number in 0..300_000_u64 {
        // A linear congruential generator: values without a pattern, the same in every run.
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let time = 1_465_600_000_000_000_000 + number * 100_000_000;
        writeln!(lines, "noise value={}i {time}", state >> 1).unwrap();
        if number % 100 == 0 {
            writeln!(lines, "{} value={number} {time}", ["a", "b", "c", "d"][(number / 100 % 4) as usize]).unwrap();
        }
    }
    source.write("sensu_db", &lines).await;
    back_up(place, &source, &["--date", DAY]).await;
    dump(place, &["a", "b", "c", "d", "--date", DAY]).await;
}

/// Files that have not come to their end.
fn unfinished(folder: &Path) -> Vec<u64> {
    let all = files(folder);
    all.iter()
        .filter(|(name, _)| name.contains("/.nightshard-unfinished-"))
        .map(|(_, bytes)| bytes.len() as u64)
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_killed_leaves_only_whole_files_and_the_next_run_completes_them() {
    let place = Place::folder();
    large_night(&place).await;
    let expected = stored(&place, &[DAY]);
    let got = place.path("got");
    let arguments = ["--date", DAY, "--output", "got", "--json"];
    let begun = Instant::now();
    assert!(fetch(&place, &arguments).await.status.success());
    let (mut length, rounds, mut killed) = (begun.elapsed(), kills(20), 0);
    for round in 0..rounds {
        fs::remove_dir_all(&got).unwrap();
        // Up to three kills one after the other, each run beginning with what the last one has left.
        for again in 0..3 {
            let share = f64::from((round * 7 + again * 3) % rounds) / f64::from(rounds);
            let alive = kill_after(command(&place, &arguments), length.mul_f64(0.1 + 0.9 * share));
            killed += u32::from(alive);
            length = shorter_unless(alive, length);
            let left = files(&got);
            for (name, bytes) in left.iter().filter(|(name, _)| !name.contains("/.nightshard-unfinished-")) {
                assert!(expected[name] == *bytes, "round {round}: {name} is not whole");
            }
            let sealed = left.contains_key(&format!("{DAY}/manifests/backup.json"));
            let named = expected.keys().filter(|name| name.contains("/shards/"));
            assert!(
                !sealed || named.clone().all(|name| left.contains_key(name)),
                "round {round}: a seal without its shards"
            );
        }
        let (outcome, code) = outcome(&place, &arguments[..4]).await;
        assert_eq!((code, &outcome["failures"]), (Some(0), &json!([])), "round {round}: {outcome}");
        assert!(files(&got) == expected, "round {round}: {:?}", files(&got).keys());
    }
    assert!(killed >= rounds, "only {killed} runs were still under way when they were killed");
}

/// Runs a slow fetch until something has come, and ends it by a signal.
async fn cut_off(place: &Place, signal: &str, least: u64) -> (Option<i32>, String) {
    let mut slow = command(place, &["--shards", "--date", DAY, "--output", "got", "--limit-rate", "500KiB"]);
    let child = slow.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    tokio::time::timeout(Duration::from_secs(60), async {
        while unfinished(&place.path("got")).iter().sum::<u64>() < least {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("something comes");
    assert!(Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap().success());
    let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap();
    (output.status.code(), text(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_begun_is_gone_on_with() {
    let place = Place::swift_version1();
    large_night(&place).await;
    let expected = tokio::task::block_in_place(|| stored(&place, &[DAY]));
    let shards = expected.iter().filter(|(name, _)| name.contains("/shards/")).map(|(_, bytes)| bytes.len() as u64);
    let (bytes, least) = (shards.sum::<u64>(), 1_000_000);
    assert!(bytes > 2 * least, "{bytes} bytes are enough to be cut");
    for (signal, code) in [("-KILL", None), ("-TERM", Some(143))] {
        let (ended, said) = cut_off(&place, signal, least).await;
        assert_eq!(ended, code, "{said}");
        if signal == "-TERM" {
            assert!(
                said.contains("files were put in place") && said.contains("hint: what is in place stays"),
                "{said}"
            );
        }
        let begun: u64 = unfinished(&place.path("got")).iter().sum();
        assert!(begun >= least, "{begun} bytes are left of it");
        let proxy = FaultProxy::start(tempauth().proxy.trim_start_matches("http://")).await;
        let mut rest = command(&place, &["--shards", "--date", DAY, "--output", "got"]);
        rest.env("ST_AUTH", format!("{}/auth/v1.0", proxy.url()));
        let output = run(rest).await;
        assert!(output.status.success(), "{output:?}");
        // Besides the bytes there are two readings of the seal, and heads of answers.
        let seal = expected[&format!("{}/manifests/backup.json", place.container(DAY))].len() as u64;
        let most = bytes - begun + 2 * seal + 50_000;
        assert!(proxy.answer_bytes() < most, "{signal}: {} bytes were read instead of {most}", proxy.answer_bytes());
        let came = files(&place.path("got"));
        assert!(came.iter().all(|(name, bytes)| expected[name] == *bytes) && came.len() >= 3, "{:?}", came.keys());
        fs::remove_dir_all(place.path("got")).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_beginning_that_is_not_what_was_written_is_read_anew_and_leftovers_go() {
    let place = Place::folder();
    large_night(&place).await;
    let got = place.path("got");
    cut_off(&place, "-KILL", 1_000_000).await;
    let all = files(&got);
    let (name, bytes) = all.iter().find(|(name, _)| name.contains("/.nightshard-unfinished-")).unwrap();
    // As after a loss of power: the length is there, the bytes are not.
    fs::write(got.join(name), vec![0; bytes.len()]).unwrap();
    let leftover = got.join(DAY).join("shards/.nightshard-unfinished-0123456789abcdef0123456789abcdef");
    fs::write(&leftover, "of something else").unwrap();
    let output = fetch(&place, &["--date", DAY, "--output", "got"]).await;
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(!text(&output.stderr).contains("damaged"), "{output:?}");
    assert!(files(&got) == stored(&place, &[DAY]));
}

/// A command as it runs with a file system of `size` mounted at `folder`, in a mount namespace of its own.
fn on_small_disk(command: &Command, folder: &Path, size: &str, before: &str) -> Command {
    let mut inside = Command::new("unshare");
    if !Command::new("id").arg("-u").output().unwrap().stdout.starts_with(b"0\n") {
        inside.args(["--user", "--map-root-user"]);
    }
    let script = format!(
        "mount -t tmpfs -o size={size} tmpfs \"$0\" || exit 99; {before} \"$@\"; code=$?; find \"$0\" -type f >&2; exit $code"
    );
    inside.args(["--mount", "sh", "-c", &script]).arg(folder).arg(command.get_program()).args(command.get_args());
    inside.env_clear();
    for (name, value) in command.get_envs() {
        inside.env(name, value.unwrap());
    }
    inside.current_dir(command.get_current_dir().unwrap());
    inside
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_too_small_is_said_before_anything_comes_and_one_that_fills_up_leaves_no_half_file() {
    let place = Place::folder();
    large_night(&place).await;
    let got = place.path("got");
    fs::create_dir_all(&got).unwrap();
    let whole = command(&place, &["--date", DAY, "--output", "got"]);
    let output = run(on_small_disk(&whole, &got, "1m", "")).await;
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("has room for") && said.contains("hint: free space there, or name another folder"), "{said}");
    assert!(!said.contains(&format!("{}/", got.join(DAY).display())), "{said}");
    // Somebody else takes the room meanwhile.
    let slow = command(&place, &["--date", DAY, "--output", "got", "--limit-rate", "500KiB"]);
    let thief = "(until find \"$0\" -name '.nightshard-unfinished-*' -size +0 | grep -q . || ! kill -0 $$; do sleep 0.01; done; head -c 1G /dev/zero >\"$0\"/thief) 2>/dev/null & ";
    let output = run(on_small_disk(&slow, &got, "30m", thief)).await;
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("No space left on device") && said.contains("hint: the disk is full"), "{said}");
    assert!(!said.contains("manifests/backup.json\n"), "{said}");
}
