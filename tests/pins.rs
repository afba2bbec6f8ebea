//! Nights that are pinned with the program as users run it: what is written, what lists tell, and that nothing else stumbles over it.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

mod night;

use std::collections::BTreeMap;
use std::fs;
use std::process::Output;

use night::{Place, production, run, succeed};
use serde_json::{Value, json};
use test_support::Influxd;

const NIGHT: &str = "2016-06-11";

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

/// What is printed for programs.
async fn told(place: &Place, arguments: &[&str]) -> Value {
    let output = list(place, &[arguments, &["--json"]].concat()).await;
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The reasons that a list tells of, by container.
async fn reasons(place: &Place, arguments: &[&str]) -> Vec<(String, Option<String>)> {
    let listed = told(place, arguments).await;
    let nights = listed["nights"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    nights.map(|night| (text(&night["container"]).unwrap(), text(&night["pin"]["reason"]))).collect()
}

async fn back_up(place: &Place, source: &Influxd, arguments: &[&str]) {
    let mut backup = place.backup(source);
    backup.args(arguments);
    succeed(backup).await;
}

/// All of the night as it is now, by other means than ours.
fn contents(place: &Place) -> BTreeMap<String, Vec<u8>> {
    // Where an earlier look at a Swift has left what there was then.
    let _ = fs::remove_dir_all(place.path("fetched"));
    place.contents(NIGHT)
}

async fn a_night_is_pinned_until_its_pin_is_taken_away(place: Place) {
    let source = production().await;
    back_up(&place, &source, &["--date", NIGHT]).await;
    back_up(&place, &source, &["--date", NIGHT, "--label", "before-upgrade"]).await;
    let container = place.container(NIGHT);
    let labelled = format!("{container}_before-upgrade");
    let before = contents(&place);
    let plain = shown(&place, &[]).await;
    assert!(!plain.contains('*'), "{plain}");
    assert_eq!(told(&place, &[NIGHT]).await["nights"][0]["pin"], Value::Null);

    let said = shown(&place, &["--pin", NIGHT, "--reason", "before the migration"]).await;
    assert_eq!(said, format!("{container} is pinned: before the migration\n"));
    let mut stored = contents(&place);
    let written = stored.remove(&format!("{container}/manifests/pin.json")).expect("a record beside the seal");
    assert_eq!(stored, before, "nothing else has changed");
    let record: Value = serde_json::from_slice(&written).unwrap();
    let writer = json!({"program": "nightshard-list", "version": env!("CARGO_PKG_VERSION")});
    assert_eq!((&record["format"], &record["writer"]), (&json!("nightshard-pin/1"), &writer));
    assert_eq!(record["reason"], "before the migration");
    assert!(record["host"].as_str().is_some_and(|host| !host.is_empty()), "{record}");
    let set = record["set"].as_str().unwrap();

    let one = told(&place, &[NIGHT]).await;
    assert_eq!(one["nights"][0]["pin"], json!({"reason": "before the migration", "since": set}));
    let expected = [(labelled.clone(), None), (container.clone(), Some("before the migration".to_owned()))];
    assert_eq!(reasons(&place, &[]).await, expected);
    let page = shown(&place, &[NIGHT]).await;
    let line = format!("\npinned     since {}Z: before the migration\n", &set[..19]);
    assert!(page.contains(&line), "{line:?} is not in\n{page}");
    let table = shown(&place, &[]).await;
    let rows: Vec<&str> = table.lines().collect();
    let is_marked =
        |name: &str| rows.iter().any(|row| row.starts_with(&format!("{name}  ")) && row.contains("  ready *  "));
    assert!(is_marked(&container) && !is_marked(&labelled), "{table}");
    // What is not known of other nights, of which the store may have any, is told behind all that is.
    let last = rows.iter().rfind(|row| !row.starts_with("note: ")).unwrap();
    assert_eq!(*last, format!("* {container}: pinned since {}: before the migration", &set[..10]));
    let widest = |table: &str| table.lines().take(3).map(|row| row.chars().count()).max().unwrap();
    assert!(widest(&table) <= widest(&plain) + 2, "{table}");

    // The other backup of that day has a pin of its own, and a pin may get another reason.
    let pinned = told(&place, &["--pin", NIGHT, "--label", "before-upgrade", "--reason", "  the upgrade "]).await;
    assert_eq!((&pinned["container"], &pinned["night"]), (&json!(labelled), &json!(NIGHT)));
    assert_eq!((&pinned["pin"]["reason"], &pinned["was_pinned"]), (&json!("the upgrade"), &json!(false)));
    let pinned = told(&place, &["--pin", NIGHT, "--reason", "für die Prüfer"]).await;
    assert_eq!((&pinned["was_pinned"], &pinned["before"]["since"]), (&json!(true), &json!(set)));
    let said = shown(&place, &["--pin", NIGHT, "--reason", "for the auditors"]).await;
    assert_eq!(said, format!("{container} is pinned: for the auditors; until now: für die Prüfer\n"));
    let expected =
        [(labelled.clone(), Some("the upgrade".to_owned())), (container.clone(), Some("for the auditors".to_owned()))];
    assert_eq!(reasons(&place, &[]).await, expected, "what was read before is not told any more");

    let said = shown(&place, &["--unpin", NIGHT]).await;
    assert_eq!(said, format!("{container} is not pinned any more; until now: for the auditors\n"));
    assert_eq!(contents(&place).keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    let unpinned = told(&place, &["--unpin", NIGHT]).await;
    assert_eq!((&unpinned["pin"], &unpinned["was_pinned"]), (&Value::Null, &json!(false)));
    let said = shown(&place, &["--unpin", NIGHT]).await;
    assert_eq!(said, format!("{container} was not pinned\n"));
    let expected = [(labelled, Some("the upgrade".to_owned())), (container, None)];
    assert_eq!(reasons(&place, &[]).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_night_in_a_folder_is_pinned_until_its_pin_is_taken_away() {
    a_night_is_pinned_until_its_pin_is_taken_away(Place::folder()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_night_in_swift_is_pinned_until_its_pin_is_taken_away() {
    a_night_is_pinned_until_its_pin_is_taken_away(Place::swift_version1()).await;
}

async fn nothing_stumbles_over_a_pin(place: Place) {
    let (source, target) = (production().await, Influxd::start().await);
    back_up(&place, &source, &["--date", NIGHT]).await;
    back_up(&place, &source, &["--date", "2016-06-12"]).await;
    shown(&place, &["--pin", NIGHT, "--reason", "before the migration"]).await;

    let verify = async |arguments: &[&str]| {
        let mut verify = place.verify();
        verify.args(arguments);
        let verified = succeed(verify).await;
        let night = &verified["nights"][0];
        for member in ["damages", "unchecked", "notes"] {
            assert_eq!(night[member], json!([]), "{arguments:?}: {member}");
        }
    };
    verify(&["--date", NIGHT, "--deep"]).await;
    verify(&["--all", "--quick"]).await;
    let mut dump = place.command(env!("CARGO_BIN_EXE_nightshard-dump"));
    dump.args(["cpu", "--json", "--from", "backup", "--date", NIGHT]);
    succeed(dump).await;
    let mut restore = place.restore(&target);
    restore.args(["--date", NIGHT]);
    assert_eq!(succeed(restore).await["failures"], json!([]));
    let mut fetch = place.command(env!("CARGO_BIN_EXE_nightshard-fetch"));
    fetch.args(["--json", "--date", NIGHT, "--output", "here"]);
    succeed(fetch).await;

    // What was brought by other means than ours, pin and all.
    let here = place.path("brought");
    fs::create_dir(&here).unwrap();
    for (name, content) in contents(&place) {
        let path = here.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    let brought = here.join(place.container(NIGHT));
    assert!(brought.join("manifests/pin.json").exists());
    verify(&[brought.to_str().unwrap()]).await;

    // Another backup takes the place of the night, which stays pinned.
    let first = told(&place, &[NIGHT]).await;
    back_up(&place, &source, &["--date", NIGHT, "--replace"]).await;
    let second = told(&place, &[NIGHT]).await;
    assert_ne!(first["nights"][0]["sealed"], second["nights"][0]["sealed"]);
    assert_eq!(second["nights"][0]["restored"], json!([]), "that was the other one");
    assert_eq!(first["nights"][0]["pin"], second["nights"][0]["pin"]);
    verify(&["--date", NIGHT]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_stumbles_over_a_pin_in_a_folder() {
    nothing_stumbles_over_a_pin(Place::folder()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_stumbles_over_a_pin_in_swift() {
    nothing_stumbles_over_a_pin(Place::swift_keystone()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reason_that_is_no_line_of_text_is_refused_and_nothing_is_written() {
    let (place, source) = (Place::folder(), production().await);
    back_up(&place, &source, &["--date", NIGHT]).await;
    let before = contents(&place);
    for (reason, why) in [
        ("", "it says nothing"),
        ("  ", "it says nothing"),
        ("one\ntwo", "line breaks"),
        ("a\u{1b}[2Jb", "control characters"),
        (&*"x".repeat(201), "201 characters"),
    ] {
        let output = list(&place, &["--pin", NIGHT, "--reason", reason]).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{reason:?}: {said}");
        assert!(said.contains("as --reason: ") && said.contains(why) && said.contains("\nhint: say "), "{said}");
        assert!(!said.contains('\u{1b}'), "{said:?}");
    }
    assert_eq!(contents(&place), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_that_cannot_be_read_is_named_replaced_and_taken_away() {
    let (place, source) = (Place::folder(), production().await);
    back_up(&place, &source, &["--date", NIGHT]).await;
    let path = place.path("archive").join(NIGHT).join(NIGHT).join("manifests/pin.json");
    fs::write(&path, "{\"format\": ").unwrap();
    let output = list(&place, &["--json"]).await;
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let listed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(listed["failures"][0].as_str().unwrap().contains("manifests/pin.json cannot be read"), "{listed}");

    let said = shown(&place, &["--pin", NIGHT, "--reason", "audit"]).await;
    assert_eq!(said, "2016-06-11 is pinned: audit; the pin that stood there could not be read\n");
    assert_eq!(reasons(&place, &[]).await, [(NIGHT.to_owned(), Some("audit".to_owned()))]);

    // What a newer version has written is not overwritten, and may go.
    fs::write(&path, "{\"format\": \"nightshard-pin/2\", \"until\": \"2017-06-11\"}").unwrap();
    let output = list(&place, &["--pin", NIGHT, "--reason", "audit"]).await;
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(fs::read_to_string(&path).unwrap().contains("nightshard-pin/2"));
    let said = shown(&place, &["--unpin", NIGHT]).await;
    assert_eq!(said, "2016-06-11 is not pinned any more; the pin that stood there could not be read\n");
    assert!(!path.exists());

    // The pin of a night that has lost its seal can be taken away, and is told of until then.
    shown(&place, &["--pin", NIGHT, "--reason", "audit"]).await;
    fs::remove_file(path.with_file_name("backup.json")).unwrap();
    let listed = told(&place, &[]).await;
    let night = &listed["nights"][0];
    assert_eq!((&night["state"], &night["pin"]["reason"]), (&json!("STATUS_UNSEALED"), &json!("audit")));
    let table = shown(&place, &[]).await;
    assert!(table.contains("  unsealed *  ") && table.contains("\n* 2016-06-11: pinned since "), "{table}");
    shown(&place, &["--unpin", NIGHT]).await;
    assert!(!path.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pin_is_set_by_the_command_line_alone() {
    let (place, source) = (Place::folder(), production().await);
    back_up(&place, &source, &["--date", NIGHT]).await;
    let mut list = place.command(env!("CARGO_BIN_EXE_nightshard-list"));
    list.envs([("NIGHTSHARD_PIN", NIGHT), ("NIGHTSHARD_REASON", "audit")]).arg("--json");
    assert_eq!(succeed(list).await["nights"][0]["pin"], Value::Null);

    let file = place.path("pins.toml");
    fs::write(&file, "[list]\npin = \"2016-06-11\"\nreason = \"audit\"\n").unwrap();
    let mut list = place.command(env!("CARGO_BIN_EXE_nightshard-list"));
    list.arg("--config").arg(&file);
    let output = run(list).await;
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert_eq!(reasons(&place, &[]).await, [(NIGHT.to_owned(), None)]);
}
