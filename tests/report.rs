//! The report with the program as users run it: what it tells of nights that the other programs have made, or not.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

mod night;

use std::collections::BTreeMap;
use std::fs;
use std::process::Output;

use night::{Place, production, run, succeed};
use serde_json::{Value, json};
use test_support::{Fault, FaultProxy, Influxd};

async fn report(place: &Place, arguments: &[&str]) -> Output {
    let mut report = place.command(env!("CARGO_BIN_EXE_nightshard-report"));
    report.args(arguments);
    run(report).await
}

/// What is printed for programs.
async fn told(place: &Place, arguments: &[&str]) -> Value {
    let output = report(place, &[arguments, &["--json"]].concat()).await;
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Eleventh: backed up five minutes before its end, restored, dumped, verified. Twelfth: nothing. Thirteenth: a backup whose
/// connection breaks. Fourteenth: backed up, and then a shard is lost. Fifteenth: backed up, and once more with a label.
async fn nights(place: &Place) {
    let (source, target) = (production().await, Influxd::start().await);
    place.load(&source, &target, "2016-06-11").await;
    let mut dump = place.command(env!("CARGO_BIN_EXE_nightshard-dump"));
    dump.args(["cpu", "mem", "--json", "--from", "backup", "--date", "2016-06-11"]);
    succeed(dump).await;
    let mut verify = place.verify();
    verify.args(["--date", "2016-06-11"]);
    succeed(verify).await;

    let proxy = FaultProxy::start(source.snapshot_address()).await;
    // Listings pass, they are shorter; a shard's tar does not.
    proxy.set(Fault::CutAnswer(1024));
    let mut backup = place.backup_through(&source, &proxy.address());
    backup.args(["--date", "2016-06-13"]);
    let output = run(backup).await;
    assert!(!output.status.success(), "{output:?}");

    for arguments in [&["2016-06-14"][..], &["2016-06-15"], &["2016-06-15", "--label", "before-upgrade"]] {
        let mut backup = place.backup(&source);
        backup.arg("--date").args(arguments);
        succeed(backup).await;
    }
    let shards = place.path("archive/2016-06-14/2016-06-14/shards");
    fs::remove_file(shards.join("sensu_db.default.00002.00"))
        .or_else(|_| fs::remove_file(shards.join("meta.00")))
        .unwrap();
    let mut verify = place.verify();
    verify.args(["--date", "2016-06-14"]);
    assert_eq!(run(verify).await.status.code(), Some(5));
}

/// The cells of the calendar: their states by date.
fn cells(html: &str) -> BTreeMap<String, String> {
    let cells = html.split("<td data-state=\"").skip(1);
    let cell = |text: &str| {
        let (state, rest) = text.split_once("\" data-date=\"").unwrap();
        (rest.split_once('"').unwrap().0.to_owned(), state.to_owned())
    };
    cells.map(cell).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_programs_did_and_what_went_wrong_is_told() {
    let place = Place::folder();
    nights(&place).await;
    let listed = |output: Output| serde_json::from_slice::<Value>(&output.stdout).unwrap();
    let mut list = place.command(env!("CARGO_BIN_EXE_nightshard-list"));
    list.arg("--json");
    let before = listed(run(list).await);

    let page = place.path("page.html");
    let month = ["--date", "2016-06-01..2016-06-16", "--publish", "--html", page.to_str().unwrap()];
    let outcome = told(&place, &month).await;
    assert_eq!(outcome["verdict"], "bad");
    assert_eq!(
        outcome["headline"],
        "The night of 16 June 2016 is missing, but a restore is proven; 1 object is damaged"
    );
    assert_eq!((&outcome["from"], &outcome["to"]), (&json!("2016-06-11"), &json!("2016-06-16")));
    let states = json!({
        "ready": 3, "backing_up": 0, "error": 1, "unsealed": 0, "deleting": 0, "deleted": 0, "dumps_only": 0,
        "missing": 2, "awaited": 0,
    });
    assert_eq!(outcome["nights"], states);
    let last = &outcome["last_night"];
    assert_eq!((&last["container"], &last["points"]), (&json!("2016-06-15"), &json!(90)));
    assert_eq!(last["points_by_database"], json!({"sensu_db": 90}));
    let fifteenth = &before["nights"].as_array().unwrap().iter().find(|it| it["container"] == "2016-06-15").unwrap();
    assert_eq!((&last["bytes"], &last["sealed"]), (&fifteenth["bytes"], &fifteenth["sealed"]));
    assert_eq!(outcome["last_proven_restore"]["container"], "2016-06-11");
    assert_eq!(
        (&outcome["damaged"], &outcome["open_dumps"], &outcome["overdue_dumps"]),
        (&json!(1), &json!(2), &json!(2))
    );
    let troubles: Vec<(&str, &str, &str)> = outcome["troubles"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["from"].as_str().unwrap(), it["matter"].as_str().unwrap(), it["message"].as_str().unwrap()))
        .collect();
    let [sixteenth, fourteenth, thirteenth, twelfth] = troubles[..] else { panic!("{troubles:?}") };
    assert_eq!((sixteenth.0, sixteenth.1), ("2016-06-16", "missing"));
    assert_eq!((fourteenth.0, fourteenth.1), ("2016-06-14", "damage"));
    assert!(
        fourteenth.2.starts_with("2016-06-14/shards/") && fourteenth.2.ends_with(": it does not exist"),
        "{fourteenth:?}"
    );
    assert_eq!((thirteenth.0, thirteenth.1), ("2016-06-13", "backup"));
    assert!(!thirteenth.2.is_empty(), "what the backup said");
    assert_eq!(twelfth, ("2016-06-12", "missing", "there is no backup of this day"));

    let html = fs::read_to_string(&page).unwrap();
    let expected = [
        ("2016-06-11", "STATUS_READY"),
        ("2016-06-12", "STATUS_MISSING"),
        ("2016-06-13", "STATUS_ERROR"),
        ("2016-06-14", "STATUS_READY"),
        ("2016-06-15", "STATUS_READY"),
        ("2016-06-16", "STATUS_MISSING"),
    ];
    assert_eq!(cells(&html), expected.map(|(day, state)| (day.to_owned(), state.to_owned())).into());
    for text in
        ["restore proven", "also 2016-06-15_before-upgrade", fourteenth.2, "2016-06-11</th>", "sensu_db.default"]
    {
        assert!(html.contains(text), "{text} is not in\n{html}");
    }

    // The same page lies in the archive, and nobody takes it for a night.
    assert_eq!(outcome["published"], "nightshard-report/report.html");
    assert_eq!(fs::read_to_string(place.path("archive/nightshard-report/report.html")).unwrap(), html);
    let mut list = place.command(env!("CARGO_BIN_EXE_nightshard-list"));
    list.arg("--json");
    assert_eq!(listed(run(list).await), before);

    // For people: a few lines, or the page itself.
    let lines = String::from_utf8(report(&place, &["--date", "2016-06"]).await.stdout).unwrap();
    assert!(lines.starts_with("The night of 30 June 2016 is missing"), "{lines}");
    assert!(lines.contains("wrong: 2016-06-13: backup: "), "{lines}");
    let printed = report(&place, &["--html", "-", "--days", "3"]).await;
    let printed = String::from_utf8(printed.stdout).unwrap();
    assert!(printed.starts_with("<!DOCTYPE html>") && printed.ends_with("</html>\n"), "{printed}");
    assert!(cells(&printed).values().all(|state| ["STATUS_MISSING", "STATUS_AWAITED"].contains(&state.as_str())));

    // Only those with the label.
    let labelled = told(&place, &["--label", "before-upgrade", "--publish", "--date", "2016-06-15..2016-06-15"]).await;
    assert_eq!(labelled["last_night"]["container"], "2016-06-15_before-upgrade");
    assert_eq!(labelled["published"], "nightshard-report/report_before-upgrade.html");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_replaced_whole_or_not_at_all_and_what_cannot_be_read_is_named() {
    let (place, source) = (Place::folder(), production().await);
    let mut backup = place.backup(&source);
    backup.args(["--date", "2016-06-11"]);
    succeed(backup).await;
    let page = place.path("page.html");
    fs::write(&page, "an older page").unwrap();
    let seal = place.path("archive/2016-06-12/2016-06-12/manifests/backup.json");
    fs::create_dir_all(seal.parent().unwrap()).unwrap();
    fs::write(&seal, "{\"format\": ").unwrap();

    // A folder in which nothing can be made is as good as a full disk.
    let output = report(&place, &["--date", "2016-06", "--html", "/proc/page.html"]).await;
    assert!([Some(1), Some(2)].contains(&output.status.code()), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write /proc/page.html"), "{output:?}");

    let output = report(&place, &["--date", "2016-06", "--html", page.to_str().unwrap()]).await;
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("2016-06-12/manifests/backup.json cannot be read"),
        "{output:?}"
    );
    let html = fs::read_to_string(&page).unwrap();
    assert_eq!(
        (cells(&html)["2016-06-11"].as_str(), cells(&html)["2016-06-12"].as_str()),
        ("STATUS_READY", "STATUS_ERROR")
    );
    let left: Vec<String> = fs::read_dir(place.path(""))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(".nightshard-"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swift_gives_the_page_out_as_html_and_each_pattern_has_its_own() {
    let (place, source) = (Place::swift_version1(), production().await);
    let mut backup = place.backup(&source);
    backup.args(["--date", "2016-06-11"]);
    succeed(backup).await;
    let outcome = told(&place, &["--publish", "--date", "2016-06-11"]).await;
    let object = format!("{}report.html", place.prefix);
    assert_eq!(outcome["published"], format!("nightshard-report/{object}"));
    assert_eq!(outcome["verdict"], "warning");

    let mut stat = place.command("swift");
    stat.args(["stat", "nightshard-report", &object]);
    let shown = String::from_utf8(run(stat).await.stdout).unwrap();
    assert!(shown.lines().any(|line| line.trim() == "Content Type: text/html; charset=utf-8"), "{shown}");
    // The container is shared by all tests of this Swift; what this one stored goes again.
    let mut delete = place.command("swift");
    delete.args(["delete", "nightshard-report", &object]);
    assert!(run(delete).await.status.success());
}
