//! How the programs behave towards whoever called them: help, output, signals, locks, and the example configuration.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

mod night;

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use night::{Place, read_all, run, succeed};
use serde_json::Value;
use test_support::{Fault, FaultProxy, Influxd, temp_dir};

const PROGRAMS: [(&str, &str); 9] = [
    ("backup", env!("CARGO_BIN_EXE_nightshard-backup")),
    ("check", env!("CARGO_BIN_EXE_nightshard-check")),
    ("restore", env!("CARGO_BIN_EXE_nightshard-restore")),
    ("dump", env!("CARGO_BIN_EXE_nightshard-dump")),
    ("prune", env!("CARGO_BIN_EXE_nightshard-prune")),
    ("verify", env!("CARGO_BIN_EXE_nightshard-verify")),
    ("fetch", env!("CARGO_BIN_EXE_nightshard-fetch")),
    ("list", env!("CARGO_BIN_EXE_nightshard-list")),
    ("report", env!("CARGO_BIN_EXE_nightshard-report")),
];

/// A program with nothing in its environment.
fn bare(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("TZ", "UTC");
    command
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A production with one shard.
async fn source() -> Influxd {
    let source = Influxd::start().await;
    source.statement("CREATE DATABASE sensu_db").await;
    source.write("sensu_db", "cpu,host=a load=1 1465646400000000000").await;
    source
}

#[test]
fn help_has_examples_and_every_exit_code_and_version_is_one_line() {
    for (name, program) in PROGRAMS {
        for flag in ["-h", "--help", "--help-all"] {
            let output = bare(program).arg(flag).output().unwrap();
            let help = text(&output.stdout);
            assert!(output.status.success() && output.stderr.is_empty(), "{name} {flag}: {output:?}");
            let status = help.split_once("Exit status:").expect("a section about exit codes").1;
            for code in ["0", "1", "2", "3", "4", "5", "6", "75"] {
                assert!(status.contains(&format!(" {code} ")), "{name} {flag}: {code} is missing in {status}");
            }
            assert!(help.contains(&format!("Examples:\n  nightshard-{name} ")), "{help}");
        }
        let output = bare(program).arg("--version").output().unwrap();
        assert_eq!(text(&output.stdout), format!("nightshard-{name} {}\n", env!("CARGO_PKG_VERSION")));
    }
}

/// What is printed where a terminal is 100 columns wide, and lines of it that fit.
const SCREEN: (usize, usize) = (100, 50);

#[test]
fn help_fits_a_screen_and_is_as_it_was_agreed_upon() {
    for (name, program) in PROGRAMS {
        let output = bare(program).arg("--help").env("COLUMNS", SCREEN.0.to_string()).output().unwrap();
        let help = text(&output.stdout);
        assert!(help.lines().count() <= SCREEN.1, "{name}: {} lines", help.lines().count());
        assert!(help.lines().all(|line| line.chars().count() <= SCREEN.0), "{help}");
        let (purpose, rest) = help.split_once("\n\n").unwrap();
        assert!(!purpose.contains('\n') && rest.starts_with("Usage: nightshard-"), "{help}");
        assert!(rest.find("Options:") < rest.find("Examples:") && rest.find("Examples:") < rest.find("Exit status:"));
        // UPDATE_EXPECT=1 writes down what there is now.
        expect_test::expect_file![format!("command_line/help/{name}.txt")].assert_eq(&help);
    }
}

#[test]
fn nothing_is_offered_that_does_not_work_yet() {
    let later = ["--mode=online", "--dry-run", "--new-database=x", "--from=backup", "--prove-only"];
    for (name, program) in PROGRAMS {
        for option in later {
            let output = bare(program).args(["x", option]).output().unwrap();
            assert_eq!(output.status.code(), Some(2), "{name} {option}");
        }
    }
}

#[test]
fn the_example_configuration_is_understood_line_by_line_and_names_every_key() {
    let example = include_str!("../docs/nightshard.toml");
    let folder = temp_dir();
    let path = folder.path().join("nightshard.toml");
    let show = |program: &str, content: &str| {
        std::fs::write(&path, content).unwrap();
        let output = bare(program).args(["--print-config", "--config"]).arg(&path).output().unwrap();
        (output.status.code(), text(&output.stdout), text(&output.stderr))
    };
    let key_of = |line: &str| {
        let (key, _) = line.strip_prefix('#').unwrap_or(line).split_once(" = ")?;
        key.chars().all(|c| c.is_ascii_lowercase() || c == '_').then(|| key.to_owned())
    };

    let mut table = String::new();
    let mut tried = 0;
    for (number, line) in example.lines().enumerate() {
        if line.starts_with('[') {
            table = line.trim_matches(['[', ']']).to_owned();
        }
        let Some(key) = key_of(line) else { continue };
        // This line counts, and of all others only those that do anyway and have another key.
        let content: Vec<&str> = example
            .lines()
            .enumerate()
            .filter(|(other, text)| *other == number || text.starts_with('#') || key_of(text).as_ref() != Some(&key))
            .map(|(other, text)| if other == number { text.trim_start_matches('#') } else { text })
            .collect();
        for (name, program) in PROGRAMS.iter().filter(|(name, _)| table.is_empty() || *name == table) {
            let (code, shown, stderr) = show(program, &content.join("\n"));
            // A Swift without credentials is shown, and then said to lack them.
            let wanted = if line.contains("\"swift:\"") { Some(2) } else { Some(0) };
            assert_eq!(code, wanted, "{name}, line {}: {line}\n{stderr}", number + 1);
            let taken = |line: &str| line.starts_with(&format!("{key} = ")) && line.ends_with("nightshard.toml");
            let unknown = |line: &str| !line.starts_with(&format!("{key} = ")) && line != format!("# {key} is not set");
            // What all may share need not concern each.
            let foreign = table.is_empty() && shown.lines().all(unknown);
            assert!(foreign || shown.lines().any(taken), "{name}: {line}\n{shown}");
            tried += 1;
        }
    }
    assert!(tried > 60, "{tried} lines were tried");
    for (name, program) in PROGRAMS {
        let (_, shown, _) = show(program, "");
        for line in shown.lines() {
            let unset = line.strip_prefix("# ").and_then(|line| line.strip_suffix(" is not set"));
            let Some(key) = unset.map(str::to_owned).or_else(|| key_of(line)) else { continue };
            // The night and which of them are a matter of the moment; a timer names them on its command line.
            let explained = example.lines().any(|line| key_of(line).as_ref() == Some(&key))
                || ["adopt", "date", "from", "folder", "incomplete", "match"].contains(&key.as_str());
            assert!(explained, "{key} of {name} is not in docs/nightshard.toml");
        }
    }
}

#[test]
fn print_config_shows_where_values_come_from_and_no_secret() {
    let mut command = bare(PROGRAMS[0].1);
    command.args(["--print-config", "--archive", "swift:", "--date", "night"]).envs([
        ("NIGHTSHARD_SOURCE_USER", "admin"),
        ("NIGHTSHARD_SOURCE_PASSWORD", "swordfish"),
        ("OS_AUTH_URL", "http://keystone:5000/v3"),
        ("OS_USERNAME", "backup"),
        ("OS_PASSWORD", "swordfish"),
        ("OS_PROJECT_NAME", "backups"),
    ]);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let shown = text(&output.stdout);
    assert!(!shown.contains("swordfish") && !text(&output.stderr).contains("swordfish"), "{shown}");
    let squeezed: Vec<String> =
        shown.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for line in [
        "archive = \"swift:\" # command line",
        "timezone = \"UTC\" # TZ",
        "source_user = \"admin\" # NIGHTSHARD_SOURCE_USER",
        "source_password = \"(hidden)\" # NIGHTSHARD_SOURCE_PASSWORD",
        "date = \"night\" # command line",
        "jobs = 4 # default",
        "# username = \"backup\" # OS_USERNAME",
        "# password = \"(hidden)\" # OS_PASSWORD",
    ] {
        assert!(squeezed.iter().any(|shown| shown == line), "{line} is not in\n{shown}");
    }
}

#[test]
fn a_reader_who_has_seen_enough_is_no_failure_but_a_full_disk_is() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = bare(PROGRAMS[0].1).arg("--help").stdout(writer).status().unwrap();
    assert_eq!(status.code(), Some(0));

    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output = bare(PROGRAMS[0].1).arg("--help").stdout(full).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("error: cannot write to stdout"), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn stdout_carries_data_and_stderr_talk() {
    let (source, place) = (source().await, Place::folder());
    let backup = |flags: &[&str]| {
        let mut command = place.command(env!("CARGO_BIN_EXE_nightshard-backup"));
        command.args(["--source", &source.url(), "--snapshot-addr", &source.snapshot_address()]).args(flags);
        command
    };
    // Quiet: nothing at all, so that cron has nothing to mail.
    let output = run(backup(&["--quiet", "--date", "2016-06-11"])).await;
    assert_eq!(
        (output.status.code(), text(&output.stdout), text(&output.stderr)),
        (Some(0), String::new(), String::new())
    );
    // For people: a summary, and what was done.
    let output = run(backup(&["--date", "2016-06-12"])).await;
    assert!(text(&output.stdout).starts_with("2016-06-12: "), "{output:?}");
    assert!(text(&output.stderr).contains(" INFO "), "{output:?}");
    // For machines: one document, and lines of JSON, the error that ends it among them.
    let output = run(backup(&["--json", "--log-format", "json", "--date", "2016-06-14"])).await;
    assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap()["container"], "2016-06-14");
    let output = run(backup(&["--json", "--log-format", "json", "--date", "2016-06-14"])).await;
    let lines: Vec<Value> = text(&output.stderr).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = lines.last().unwrap();
    assert_eq!((output.status.code(), last["level"].as_str()), (Some(1), Some("ERROR")));
    assert!(last["message"].as_str().unwrap().contains("is sealed already"), "{last}");
    assert!(last["hint"].as_str().unwrap().contains("--if-missing"), "{last}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_besides_what_went_well_is_named_and_is_exit_3() {
    let (source, place) = (source().await, Place::folder());
    let mut dump = place.command(env!("CARGO_BIN_EXE_nightshard-dump"));
    dump.env_remove("NIGHTSHARD_ARCHIVE").args(["cpu", "nothing", "--no-upload", "--output", "here"]);
    dump.args(["--target", &source.url(), "--date", "2016-06-11"]);
    let output = run(dump).await;
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(text(&output.stdout).starts_with("cpu: 1 records"), "{output:?}");
    assert!(text(&output.stderr).lines().any(|line| line.contains("ERROR") && line.contains("nothing")), "{output:?}");
    assert_eq!(std::fs::read_dir(place.path("here")).unwrap().count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_of_a_night_is_damage_and_is_exit_5() {
    let (source, place, target) = (source().await, Place::folder(), Influxd::start().await);
    let mut backup = place.backup(&source);
    backup.args(["--date", "2016-06-11"]);
    succeed(backup).await;
    let prove = async |expected: i32| {
        let mut restore = place.restore(&target);
        restore.args(["--date", "2016-06-11", "--prove-only"]);
        let output = run(restore).await;
        assert_eq!(output.status.code(), Some(expected), "{output:?}");
        serde_json::from_slice::<Value>(&output.stdout).unwrap()["failures"].as_array().unwrap().len()
    };
    let mut restore = place.restore(&target);
    restore.args(["--date", "2016-06-11"]);
    succeed(restore).await;
    assert_eq!(prove(0).await, 0);
    target.query("sensu_db", "DELETE FROM cpu").await;
    assert!(prove(5).await > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_most_talkative_log_tells_no_secret() {
    let (source, keystone) = (source().await, test_support::keystone());
    for (place, secret) in
        [(Place::swift_version1(), test_support::tempauth().key), (Place::swift_keystone(), keystone.password)]
    {
        let mut backup = place.backup(&source);
        backup.args(["-vv", "--date", "2016-06-11"]);
        let output = run(backup).await;
        let said = text(&output.stderr);
        assert!(output.status.success(), "{said}");
        // Tokens of Keystone and of Swift begin like this.
        for secret in [secret.as_str(), "gAAAAA", "AUTH_tk"] {
            assert!(!said.contains(secret), "{secret} is in\n{said}");
        }
    }
}

/// Ends a backup by a signal while a shard is on its way.
async fn interrupted(signal: &str) -> (Place, Output, f64) {
    let (source, place) = (source().await, Place::folder());
    let proxy = FaultProxy::start(source.snapshot_address()).await;
    // Listings pass, they are shorter; a shard's tar does not.
    proxy.set(Fault::StallAnswer(2048));
    let mut command = place.backup_through(&source, &proxy.address());
    command.args(["--date", "2016-06-11"]).stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    let pid = child.id().to_string();
    let spooled = || {
        let mut files = std::collections::BTreeMap::new();
        read_all(&place.path("spool"), &place.path("spool"), &mut files);
        files.values().any(|content| !content.is_empty())
    };
    tokio::time::timeout(Duration::from_secs(60), async {
        while !spooled() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("a shard in the spool");
    assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    let asked = Instant::now();
    let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap();
    (place, output, asked.elapsed().as_secs_f64())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_ends_the_run_cleans_the_spool_and_seals_nothing() {
    for (signal, code) in [("-TERM", 143), ("-INT", 130), ("-HUP", 129)] {
        let (place, output, seconds) = interrupted(signal).await;
        assert!(seconds < 10.0, "{signal}: {seconds} s");
        assert_eq!((output.status.code(), output.status.signal()), (Some(code), None), "{output:?}");
        let said = text(&output.stderr);
        assert!(said.contains(&format!("error: ended by SIG{}", signal.trim_start_matches('-'))), "{said}");
        assert!(said.contains("hint: "), "{said}");
        assert!(output.stdout.is_empty(), "{output:?}");
        assert_eq!(std::fs::read_dir(place.path("spool")).unwrap().count(), 0, "{signal}");
        let contents = place.contents("2016-06-11");
        assert!(!contents.keys().any(|name| name.contains("/manifests/")), "{signal}");
        let marker = contents.iter().find(|(name, _)| name.contains("/running/")).expect("a marker").1;
        let marker: Value = serde_json::from_slice(marker).unwrap();
        assert_eq!((&marker["state"], &marker["error"]), (&"failed".into(), &"interrupted".into()), "{signal}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_and_a_dump_of_one_target_exclude_each_other_whoever_runs_them() {
    let (source, target, place) = (source().await, Influxd::start().await, Place::folder());
    let mut backup = place.backup(&source);
    backup.args(["--date", "2016-06-11"]);
    succeed(backup).await;
    let name = jobs::lock::target_name(&target.url().parse().unwrap());
    let locks = place.path("locks");
    let (mut restore, mut dump) = (place.restore(&target), place.dump(&target));
    restore.args(["--date", "2016-06-11"]);
    dump.args(["cpu", "--date", "2016-06-11"]);
    // A dump shares the target with other dumps, a restore with nobody.
    let held = jobs::Lock::shared(&locks, &name).unwrap();
    let refused_restore = run(restore).await;
    drop(held);
    let _held = jobs::Lock::exclusive(&locks, &name).unwrap();
    for output in [refused_restore, run(dump).await] {
        assert_eq!(output.status.code(), Some(6), "{output:?}");
        let said = text(&output.stderr);
        assert!(said.contains("error: another run on this machine holds the lock"), "{said}");
        assert!(said.contains("hint: wait until it has ended"), "{said}");
    }
}
