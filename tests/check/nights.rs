//! The nights before: how old the newest backup, the newest proven restore and the newest verification are.

use std::collections::BTreeMap;
use std::fs;

use serde_json::Value;
use test_support::Influxd;

use crate::checked::{check, checked, install, production};
use crate::night::{Place, run, succeed};

#[tokio::test(flavor = "multi_thread")]
async fn nights_that_are_old_or_unproven_or_damaged_are_told_of() {
    let (source, target) = tokio::join!(production(), Influxd::start());
    let place = Place::folder();
    install(&place);
    let found = checked(check(&place, &source, &[])).await;
    found.assert_wrong(&["nights.backup"], "there is no backup of the last 14 days", "run nightshard-backup");

    let container = succeed(place.backup(&source)).await["container"].as_str().unwrap().to_owned();
    let found = checked(check(&place, &source, &[])).await;
    assert_eq!((found.code, found.with("warning")), (Some(0), vec!["schedule.dump", "nights.verification"]));
    assert!(found.get("schedule.dump").message.contains("no measurement is configured"), "{:#?}", found.checks);
    let found = checked(check(&place, &source, &["--max-restore-age", "26h"])).await;
    found.assert_wrong(
        &["nights.restore"],
        "no night of the last 14 days was restored and proven",
        "nightshard-restore",
    );
    let mut restore = place.restore(&target);
    restore.args(["--date", "today", "--prove", "none"]);
    succeed(restore).await;
    let found = checked(check(&place, &source, &["--max-restore-age", "26h"])).await;
    found.assert_wrong(
        &["nights.restore"],
        "no night of the last 14 days was restored and proven",
        "counts every point",
    );
    let mut restore = place.restore(&target);
    restore.args(["--date", "today"]);
    succeed(restore).await;
    let found = checked(check(&place, &source, &["--max-restore-age", "26h"])).await;
    assert_eq!(found.code, Some(0), "{:#?}", found.checks);
    assert!(found.get("nights.restore").message.starts_with(&format!("{container} was restored and proven ")));

    // A backup of another day with a label is not what the timer should have made.
    let mut backup = place.backup(&source);
    backup.args(["--label", "before-upgrade"]);
    succeed(backup).await;
    let night = place.path("archive").join(&container).join(&container);
    let seal = night.join("manifests/backup.json");
    let sealed = fs::read_to_string(&seal).unwrap();
    let mut old: Value = serde_json::from_str(&sealed).unwrap();
    old["sealed"] = "2016-06-11T22:00:00Z".into();
    fs::write(&seal, old.to_string()).unwrap();
    let found = checked(check(&place, &source, &[])).await;
    found.assert_wrong(&["nights.backup"], &format!("{container} was sealed "), "journalctl --unit nightshard-backup");
    fs::write(&seal, sealed).unwrap();

    let shards: BTreeMap<_, _> = fs::read_dir(night.join("shards"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
        .collect();
    fs::write(shards.iter().find(|(name, _)| name.starts_with("sensu_db")).unwrap().1, "damaged").unwrap();
    let mut verify = place.verify();
    verify.args(["--date", "today"]);
    assert_eq!(run(verify).await.status.code(), Some(5));
    let found = checked(check(&place, &source, &[])).await;
    found.assert_wrong(&["nights.verification"], &format!("damaged: {container}"), "names what is damaged");
}
