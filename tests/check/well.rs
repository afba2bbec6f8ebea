//! Machines that are ready: nothing is wrong, and nothing of the check is left.

use std::fs;

use test_support::Influxd;

use crate::checked::{check, checked, install, production};
use crate::night::{Place, run, succeed};

/// Everything that a night needs, after a night that went well.
async fn all_is_well(place: Place, containers: impl AsyncFn(&Place) -> Vec<String>) {
    let (source, target) = tokio::join!(production(), Influxd::start());
    install(&place);
    succeed(place.backup(&source)).await;
    let mut restore = place.restore(&target);
    restore.args(["--date", "today"]);
    succeed(restore).await;
    let mut verify = place.verify();
    verify.args(["--date", "today"]);
    succeed(verify).await;

    let (url, address) = (target.url(), target.snapshot_address());
    let file = place.path("nightshard.toml");
    fs::write(&file, "[dump]\nmeasurement = [\"cpu\"]\n").unwrap();
    let file = file.to_str().unwrap();
    let arguments = ["--config", file, "--target", &url, "--target-snapshot-addr", &address];
    let before = containers(&place).await;
    let found = checked(check(&place, &source, &arguments)).await;
    assert_eq!((found.with("failed"), found.with("warning")), (vec![], vec![]), "{:#?}", found.checks);
    assert_eq!(found.with("skipped"), Vec::<&str>::new(), "everything was looked at");
    assert_eq!(found.code, Some(0));
    assert!(found.get("source.databases").message.starts_with("sensu_db: 1 shards, "), "{:#?}", found.checks);
    assert!(found.get("schedule.restore").message.contains(" 00:15 CE"), "{:#?}", found.checks);
    assert!(found.get("archive.writable").message.contains("written, read, and removed"));
    assert_eq!(containers(&place).await, before, "the probe is gone, and so is its container");

    let shown = run(check(&place, &source, &arguments)).await;
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.ends_with("ready for the night\n"), "{shown}");
    assert_eq!(shown.lines().filter(|line| line.starts_with("✓ ")).count(), found.checks.len(), "{shown}");
    let quiet = run(check(&place, &source, &[&arguments[..], &["--quiet"]].concat())).await;
    assert!(quiet.stdout.is_empty() && quiet.stderr.is_empty() && quiet.status.success(), "{quiet:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_with_a_folder_is_ready() {
    let containers = async |place: &Place| {
        let entries = fs::read_dir(place.path("archive")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    all_is_well(Place::folder(), containers).await;
}

/// Containers that are the test's own, or a probe's.
async fn in_swift(place: &Place) -> Vec<String> {
    let mut list = place.command("swift");
    list.arg("list");
    let output = run(list).await;
    assert!(output.status.success(), "{output:?}");
    let ours = |name: &&str| name.starts_with(&place.prefix) || name.starts_with("nightshard-probe");
    String::from_utf8(output.stdout).unwrap().lines().filter(ours).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_with_a_swift_is_ready() {
    all_is_well(Place::swift_version1(), in_swift).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_with_a_swift_and_a_keystone_is_ready() {
    all_is_well(Place::swift_keystone(), in_swift).await;
}
