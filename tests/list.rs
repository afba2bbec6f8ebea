//! Nights listed with the program as users run it: what the others did, and what is wrong with a night.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

mod night;

use std::fs;
use std::process::Output;

use night::{Place, production, run, succeed};
use serde_json::{Value, json};
use test_support::Influxd;

async fn list(place: &Place, arguments: &[&str]) -> Output {
    let mut list = place.command(env!("CARGO_BIN_EXE_nightshard-list"));
    list.args(arguments);
    run(list).await
}

/// What is printed for people.
async fn shown(place: &Place, arguments: &[&str]) -> String {
    let output = list(place, arguments).await;
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// What is printed for programs, and the exit code.
async fn nights(place: &Place, arguments: &[&str]) -> (Vec<Value>, Option<i32>) {
    let output = list(place, &[arguments, &["--json"]].concat()).await;
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
    (printed["nights"].as_array().unwrap().clone(), output.status.code())
}

async fn what_the_programs_did_is_told_of(place: Place) {
    let (source, target) = (production().await, Influxd::start().await);
    let mut backup = place.backup(&source);
    backup.args(["--date", "2016-06-11"]);
    let sealed = succeed(backup).await;
    let (before, _) = nights(&place, &[]).await;
    assert_eq!((&before[0]["verified"], &before[0]["restored"]), (&Value::Null, &json!([])));

    let mut restore = place.restore(&target);
    restore.args(["--date", "2016-06-11"]);
    succeed(restore).await;
    let mut dump = place.command(env!("CARGO_BIN_EXE_nightshard-dump"));
    dump.args(["cpu", "--json", "--from", "backup", "--date", "2016-06-11"]);
    succeed(dump).await;
    let mut verify = place.verify();
    verify.args(["--date", "2016-06-11", "--deep"]);
    succeed(verify).await;

    let (nights, code) = nights(&place, &["2016-06-11"]).await;
    let [night] = nights.as_slice() else { panic!("{nights:?}") };
    assert_eq!(code, Some(0));
    assert_eq!(night["state"], "STATUS_READY");
    for member in ["container", "shards", "bytes", "databases"] {
        assert_eq!(night[member], sealed[member], "{member}");
    }
    assert_eq!((&night["points"], &night["dumps"]), (&json!(90), &json!(1)));
    assert_eq!((&night["verified"]["extent"], &night["verified"]["damaged"]), (&json!("deep"), &json!(0)));
    assert_eq!(night["restored"][0]["proven"], true, "{night}");
    let details = &night["details"];
    let points: Vec<(&str, u64)> = details["measurements"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["measurement"].as_str().unwrap(), it["points"].as_u64().unwrap()))
        .collect();
    assert_eq!(points, [("cpu", 60), ("mem", 30)]);
    assert_eq!(details["measurements"][0]["last"], "2016-06-12T03:00:00Z");
    // Those of the day, which in Berlin ends two hours earlier than in Greenwich.
    assert_eq!((&details["dumps"][0]["measurement"], &details["dumps"][0]["records"]), (&json!("cpu"), &json!(24)));
    assert_eq!(details["objects"].as_array().unwrap().len(), 4, "three shards and the metastore");

    let page = shown(&place, &["2016-06-11"]).await;
    for line in ["sealed     ", "verified   deep", ", every point counted", "complete"] {
        assert!(page.contains(line), "{line:?} is not in\n{page}");
    }
    let table = shown(&place, &[]).await;
    let row = table.lines().nth(1).unwrap();
    assert!(row.starts_with(&place.container("2016-06-11")) && row.contains("  ready  sensu_db  "), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_programs_did_is_told_of_a_night_in_a_folder() {
    what_the_programs_did_is_told_of(Place::folder()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_programs_did_is_told_of_a_night_in_swift() {
    what_the_programs_did_is_told_of(Place::swift_version1()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nights_that_are_not_ready_say_why_and_keep_no_other() {
    let (place, source) = (Place::folder(), production().await);
    for arguments in [&["--date", "2016-06-11"][..], &["--date", "2016-06-11", "--label", "before-upgrade"]] {
        let mut backup = place.backup(&source);
        backup.args(arguments);
        succeed(backup).await;
    }
    let archive = place.path("archive");
    let marker = |day: &str, state: Value| {
        let folder = archive.join(day).join(day).join("running");
        fs::create_dir_all(&folder).unwrap();
        let mut marker = json!({
            "format": "nightshard-running/1", "id": "aa", "writer": {"program": "nightshard-backup", "version": "0.1.0"},
            "host": "db1", "process": 42, "cluster_id": "7", "databases": ["sensu_db"], "started": "2016-06-12T21:55:00Z",
        });
        marker.as_object_mut().unwrap().extend(state.as_object().unwrap().clone());
        fs::write(folder.join("aa.json"), marker.to_string()).unwrap();
    };
    marker("2016-06-12", json!({"state": "running"}));
    marker("2016-06-13", json!({"state": "failed", "error": "the disk is full"}));
    let object = |name: &str, content: &str| {
        let path = archive.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    };
    object("2016-06-14/2016-06-14/shards/sensu_db.default.00001.00", "a shard");
    object("2016-06-15/2016-06-15/manifests/backup.json", "{\"format\": ");
    object("2016-06-16/2016-06-16/manifests/dump.cpu_2016-06-16.json.json", "{}");
    object("2016-06-17/notes.txt", "nothing of ours");
    object("music/2016-06-11.mp3", "nothing of ours");

    let (all, code) = nights(&place, &[]).await;
    let states: Vec<(&str, &str, &str)> = all
        .iter()
        .map(|night| {
            let text = |member: &str| night[member].as_str().unwrap_or_default();
            (text("container"), text("state"), text("why"))
        })
        .collect();
    let unreadable = states[1].2;
    assert!(unreadable.contains("2016-06-15/manifests/backup.json"), "{states:?}");
    assert_eq!(
        states,
        [
            ("2016-06-16", "STATUS_DUMPS_ONLY", "there is no backup, only dumps"),
            ("2016-06-15", "STATUS_ERROR", unreadable),
            ("2016-06-14", "STATUS_UNSEALED", "not adopted: nightshard-verify --adopt 2016-06-14 gives it a seal"),
            ("2016-06-13", "STATUS_ERROR", "the disk is full"),
            ("2016-06-12", "STATUS_BACKING_UP", "on db1 (process 42)"),
            ("2016-06-11_before-upgrade", "STATUS_READY", ""),
            ("2016-06-11", "STATUS_READY", ""),
        ]
    );
    assert_eq!(code, Some(3), "a seal that cannot be read is named");

    // What is asked for, and the containers that are told of.
    let table: [(&[&str], &[&str]); 8] = [
        (&["0001-01-01..9999-12-31", "--match", "06-1[12]$"], &["2016-06-12", "2016-06-11"]),
        (&["2016-06-11"], &["2016-06-11"]),
        (&["2016-06-11", "--label", "before-upgrade"], &["2016-06-11_before-upgrade"]),
        (&["--label", "before-upgrade"], &["2016-06-11_before-upgrade"]),
        (&["2016-06-11..2016-06-12"], &["2016-06-12", "2016-06-11_before-upgrade", "2016-06-11"]),
        (&["--match", "1[23]$"], &["2016-06-13", "2016-06-12"]),
        (&["2016-06", "--match", "before"], &["2016-06-11_before-upgrade"]),
        (&["2016-06-16"], &["2016-06-16"]),
    ];
    for (arguments, expected) in table {
        let (found, _) = nights(&place, arguments).await;
        let found: Vec<&str> = found.iter().map(|night| night["container"].as_str().unwrap()).collect();
        assert_eq!(found, expected, "{arguments:?}");
    }
    for arguments in [&["2016-06-17"][..], &["2016-07"], &["--match", "music"]] {
        let output = list(&place, arguments).await;
        assert_eq!(output.status.code(), Some(4), "{output:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_of_swift_is_kept_until_the_store_lists_another_etag() {
    let (place, source) = (Place::swift_version1(), production().await);
    let mut backup = place.backup(&source);
    backup.args(["--date", "2016-06-11"]);
    succeed(backup).await;
    let (first, _) = nights(&place, &[]).await;

    let kept_once = kept(&place);
    let [file] = kept_once.as_slice() else { panic!("one night is kept: {kept_once:?}") };
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains("\"databases\":[\"sensu_db\"]"), "{text}");
    fs::write(file, text.replace("[\"sensu_db\"]", "[\"kept\"]")).unwrap();
    let (second, _) = nights(&place, &[]).await;
    assert_eq!(second[0]["databases"], json!(["kept"]), "it was not read again");
    assert_eq!(nights(&place, &["--no-cache"]).await.0, first);

    let mut verify = place.verify();
    verify.args(["--date", "2016-06-11"]);
    succeed(verify).await;
    let (third, _) = nights(&place, &[]).await;
    assert_eq!(third[0]["verified"]["extent"], "digests", "what has come since is told of");
    let mut backup = place.backup(&source);
    backup.args(["--date", "2016-06-12"]);
    succeed(backup).await;
    let mut backup = place.backup(&source);
    backup.args(["--date", "2016-06-11", "--replace"]);
    succeed(backup).await;
    let (fourth, _) = nights(&place, &[]).await;
    assert_eq!(fourth[1]["databases"], json!(["sensu_db"]), "a seal that was replaced is read");
    assert_eq!(fourth[1]["verified"], Value::Null);
    assert_eq!(kept(&place).len(), 2);

    let output = place.command("swift").args(["delete", &place.container("2016-06-12")]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    assert_eq!(nights(&place, &[]).await.0.len(), 1);
    assert_eq!(kept(&place).len(), 1, "nothing is kept of nights that have gone");
}

/// What is kept of the nights of this place; where they share, others that use the same store are kept as well.
fn kept(place: &Place) -> Vec<std::path::PathBuf> {
    let ours = ["2016-06-11", "2016-06-12"].map(|day| format!("\"{}/", place.container(day)));
    let mut kept = files(&place.path("home/.cache/nightshard/list-3"));
    kept.retain(|file| fs::read_to_string(file).is_ok_and(|text| ours.iter().any(|name| text.contains(name))));
    kept
}

/// The files below a folder.
fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
