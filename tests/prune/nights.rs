//! Which nights leave, and what goes with them.

use serde_json::{Value, json};

use crate::archive::Archive;
use crate::night::{Place, run, succeed};

fn words(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

/// Three nights, of which the oldest two leave.
async fn nights_leave_by_the_policy_and_the_pool_follows(archive: Archive) {
    for day in 9..=11 {
        archive.take(day).await;
    }
    let night = |day: u32| archive.place.container(&format!("2016-06-{day:02}"));
    let (oldest, older, newest) = (night(9), night(10), night(11));
    let before = archive.contents("2016-06-11");
    let containers = archive.containers().await;
    let pooled = archive.pooled().await;

    // A rehearsal tells everything and changes nothing.
    let rehearsed = archive.pruned(&["--keep-last", "1", "--dry-run"]).await;
    let nights = rehearsed["nights"].as_array().unwrap();
    let fates: Vec<(&str, bool)> =
        nights.iter().map(|fate| (fate["container"].as_str().unwrap(), fate["keep"].as_bool().unwrap())).collect();
    assert_eq!(fates, [(newest.as_str(), true), (older.as_str(), false), (oldest.as_str(), false)]);
    assert_eq!(words(&nights[0]["reasons"]), ["the last"]);
    assert_eq!(words(&nights[1]["reasons"]), ["no rule keeps it"]);
    // Each night but the first wrote one shard anew, the metastores are the nights' own.
    assert_eq!(rehearsed["frees"]["objects"], json!(2 + 3), "{rehearsed}");
    assert!(rehearsed["frees"]["bytes"].as_u64().unwrap() > 0);
    assert_eq!((&rehearsed["dry_run"], &rehearsed["deleted_nights"]), (&json!(true), &json!(0)));
    assert_eq!((archive.containers().await, archive.pooled().await), (containers.clone(), pooled.clone()));

    // Nobody is there to be asked.
    let (code, said) = archive.refused(&["--keep-last", "1"]).await;
    assert!(code == 2 && said.contains("stdin is no terminal") && said.contains("--yes"), "{code}: {said}");
    assert_eq!(archive.containers().await, containers);

    let done = archive.pruned(&["--keep-last", "1", "--yes"]).await;
    assert_eq!(
        (&done["deleted_nights"], &done["deleted_objects"], &done["failures"]),
        (&json!(2), &json!(5), &json!([]))
    );
    assert_eq!(archive.list().await.keys().collect::<Vec<_>>(), [&newest]);
    let left: Vec<String> = containers.into_iter().filter(|name| *name != oldest && *name != older).collect();
    assert_eq!(archive.containers().await, left, "nothing is left of them");
    assert_eq!(archive.contents("2016-06-11"), before);
    archive.verify("2016-06-11").await;
    assert_eq!(archive.pooled().await, pooled, "what lies in the pool is young, and nothing is marked yet");

    // A second run finds nothing to do.
    let again = archive.pruned(&["--keep-last", "1", "--yes"]).await;
    assert_eq!((&again["deleted_nights"], &again["frees"]["objects"]), (&json!(0), &json!(0)));

    // When the grace period is over, what no night names is gone for good.
    let named: std::collections::BTreeSet<String> = {
        let seal: Value = serde_json::from_slice(&before[&format!("{newest}/manifests/backup.json")]).unwrap();
        let objects = seal["objects"].as_array().unwrap().clone();
        let of = |object: &Value| -> Vec<String> {
            let pooled = &object["pooled"];
            let pieces = pooled["pieces"].as_array().cloned().unwrap_or_default();
            let names = pieces.iter().chain([pooled]).filter_map(|named| named["name"].as_str());
            names.map(str::to_owned).collect()
        };
        objects.iter().flat_map(of).collect()
    };
    archive.shorten_grace(2).await;
    archive.prune_until(async || archive.pooled().await.len() <= named.len()).await;
    assert_eq!(archive.pooled().await.into_iter().collect::<std::collections::BTreeSet<_>>(), named);
    assert_eq!(archive.contents("2016-06-11").keys().collect::<Vec<_>>(), before.keys().collect::<Vec<_>>());
    archive.verify("2016-06-11").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nights_leave_a_folder_by_the_policy_and_the_pool_follows_after_the_grace_period() {
    nights_leave_by_the_policy_and_the_pool_follows(Archive::on(Place::folder()).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nights_leave_a_swift_by_the_policy_and_the_pool_follows_after_the_grace_period() {
    nights_leave_by_the_policy_and_the_pool_follows(Archive::on(Place::swift_alone().await).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_leaves_the_pool_of_a_swift_is_not_kept_as_a_version() {
    let archive = Archive::on(Place::swift_alone().await).await;
    archive.take(9).await;
    archive.source.statement("DROP DATABASE sensu_db").await;
    archive.source.statement("CREATE DATABASE sensu_db WITH DURATION INF SHARD DURATION 1d NAME \"default\"").await;
    archive.take(10).await;
    let pool = archive.place.pool();
    let before = archive.bytes_in(&pool).await;
    archive.pruned(&["--keep-last", "1", "--yes"]).await;
    assert_eq!(archive.bytes_in(&pool).await, before, "nothing goes before the grace period is over");
    archive.shorten_grace(2).await;
    archive.prune_until(async || archive.bytes_in(&pool).await < before * 6 / 10).await;
    archive.verify("2016-06-10").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pins_labels_and_the_last_verified_night_stay_and_a_plain_night_frees_all_its_bytes() {
    let archive = Archive::on(Place::folder()).await;
    archive.take(8).await;
    archive.take(9).await;
    archive.back_up(9, &["--label", "before-upgrade"]).await;
    archive.take(10).await;
    archive.write(11).await;
    let plain = archive.back_up(11, &["--dedup", "off"]).await;
    archive.write(12).await;
    archive.back_up(12, &[]).await;
    let mut pin = archive.place.command(env!("CARGO_BIN_EXE_nightshard-list"));
    pin.args(["--pin", "2016-06-08", "--reason", "the auditors"]);
    assert!(run(pin).await.status.success());

    let planned = archive.pruned(&["--keep-last", "1", "--dry-run"]).await;
    let fates: Vec<(String, bool, String)> = planned["nights"]
        .as_array()
        .unwrap()
        .iter()
        .map(|fate| {
            let reasons = words(&fate["reasons"]).join("; ");
            (fate["container"].as_str().unwrap().to_owned(), fate["keep"].as_bool().unwrap(), reasons)
        })
        .collect();
    let expected = [
        ("2016-06-12", true, "the last"),
        ("2016-06-11", false, "no rule keeps it"),
        ("2016-06-10", true, "the newest verified night of sensu_db"),
        ("2016-06-09_before-upgrade", true, "it has the label before-upgrade"),
        ("2016-06-09", false, "no rule keeps it"),
        ("2016-06-08", true, "pinned: the auditors"),
    ];
    assert_eq!(fates, expected.map(|(name, keep, why)| (name.to_owned(), keep, why.to_owned())));

    let done = archive.pruned(&["--keep-last", "1", "--yes"]).await;
    assert_eq!(done["deleted_nights"], json!(2));
    let plain_bytes = plain["bytes"].as_u64().unwrap();
    let freed = done["deleted_bytes"].as_u64().unwrap();
    assert!(freed >= plain_bytes, "{freed} < {plain_bytes}");
    let left: Vec<String> = archive.list().await.into_keys().collect();
    assert_eq!(left, ["2016-06-08", "2016-06-09_before-upgrade", "2016-06-10", "2016-06-12"]);
    for date in ["2016-06-08", "2016-06-10", "2016-06-12"] {
        archive.verify(date).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn dumps_stay_unless_they_are_asked_for_and_an_open_one_holds_its_night() {
    let archive = Archive::on(Place::folder()).await;
    for day in 9..=11 {
        archive.take(day).await;
    }
    let dump = |day: &'static str| {
        let mut dump = archive.place.command(env!("CARGO_BIN_EXE_nightshard-dump"));
        dump.args(["log", "--from", "backup", "--date", day, "--database", "sensu_db"]);
        dump
    };
    succeed_quietly(dump("2016-06-09")).await;
    succeed_quietly(dump("2016-06-10")).await;
    // The nights were taken long after their days, so that nothing is missing in these dumps; one is made to say otherwise.
    let seal = std::fs::read_dir(archive.place.path("archive/2016-06-10/2016-06-10/manifests"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.file_name().unwrap().to_string_lossy().starts_with("dump."))
        .unwrap();
    let mut document: Value = serde_json::from_slice(&std::fs::read(&seal).unwrap()).unwrap();
    assert_eq!(document["open"], json!(false));
    document["open"] = json!(true);
    std::fs::write(&seal, document.to_string()).unwrap();

    let done = archive.pruned(&["--keep-last", "1", "--yes"]).await;
    let nights = done["nights"].as_array().unwrap();
    let held = &nights[1];
    assert_eq!((&held["container"], &held["keep"]), (&json!("2016-06-10"), &json!(true)));
    assert_eq!(words(&held["reasons"]), ["its dump of log is open until a younger night completes it"]);
    assert_eq!(done["deleted_nights"], json!(1));
    let listed = archive.list().await;
    assert_eq!(listed["2016-06-09"]["state"], "STATUS_DELETED");
    assert_eq!(listed["2016-06-09"]["dumps"], json!(1), "the dump has stayed");
    let names = archive.contents("2016-06-09").into_keys().collect::<Vec<_>>();
    assert!(names.iter().any(|name| name.contains("/influxdb/")), "{names:?}");
    assert!(!names.iter().any(|name| name.contains("/shards/")), "{names:?}");
    let (code, said) = archive.refused(&["--delete", "2016-06-10", "--yes"]).await;
    assert!(code == 1 && said.contains("its dump of log is open"), "{code}: {said}");

    // Dumps leave by rules of their own.
    let (code, said) = archive.refused(&["--dumps", "--yes"]).await;
    assert!(code == 2 && said.contains("--keep-dumps"), "{code}: {said}");
    document["open"] = json!(false);
    std::fs::write(&seal, document.to_string()).unwrap();
    let done = archive.pruned(&["--dumps", "--keep-dumps-last", "1", "--yes"]).await;
    assert_eq!((&done["deleted_nights"], &done["deleted_dumps"]), (&json!(0), &json!(1)));
    assert_eq!(archive.list().await.into_keys().collect::<Vec<_>>(), ["2016-06-10", "2016-06-11"]);
    assert!(!archive.place.path("archive/2016-06-09").exists(), "the last of it has gone");
    let done = archive.pruned(&["--delete", "2016-06-10", "--dumps", "--yes"]).await;
    assert_eq!((&done["deleted_nights"], &done["deleted_dumps"]), (&json!(1), &json!(1)));
    assert!(!archive.place.path("archive/2016-06-10").exists());
    archive.verify("2016-06-11").await;
}

async fn succeed_quietly(command: std::process::Command) {
    let output = run(command).await;
    assert!(output.status.success(), "{output:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_night_that_was_deleted_can_be_taken_again() {
    let archive = Archive::on(Place::folder()).await;
    archive.take(10).await;
    archive.take(11).await;
    archive.pruned(&["--delete", "2016-06-10", "--yes"]).await;
    let again = archive.back_up(10, &[]).await;
    assert_eq!(again["already_sealed"], json!(false));
    let mut verify = archive.place.verify();
    verify.arg("--all");
    succeed(verify).await;
}
