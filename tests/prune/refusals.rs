//! What is not deleted, whoever asks for it.

use std::fs;

use serde_json::{Value, json};

use crate::archive::Archive;
use crate::night::{Place, run};

#[tokio::test(flavor = "multi_thread")]
async fn a_night_that_must_stay_is_refused_and_nothing_is_deleted_with_it() {
    let archive = Archive::on(Place::folder()).await;
    archive.take(10).await;
    archive.take(11).await;
    archive.write(12).await;
    archive.back_up(12, &[]).await;
    let before = archive.containers().await;

    let (code, said) = archive.refused(&["--delete", "2016-06-01", "--yes"]).await;
    assert!(code == 4 && said.contains("there is no backup in 2016-06-01: nothing is there"), "{code}: {said}");
    // One that may leave does not, together with one that may not.
    let both = ["--delete", "2016-06-10", "--delete", "2016-06-11", "--yes"];
    let (code, said) = archive.refused(&both).await;
    assert!(code == 1 && said.contains("2016-06-11 is not deleted: without it no verified night"), "{code}: {said}");

    // A run is at work in it.
    let running = archive.place.path("archive/2016-06-12/2016-06-12/running");
    fs::create_dir_all(&running).unwrap();
    let marker = json!({
        "format": "nightshard-running/1", "id": "00", "host": "elsewhere", "process": 7, "cluster_id": "1",
        "writer": {"program": "nightshard-backup", "version": "0.1.0"}, "databases": [],
        "started": "2016-06-12T21:55:00Z", "state": "running",
    });
    fs::write(running.join("00.json"), marker.to_string()).unwrap();
    let (code, said) = archive.refused(&["--delete", "2016-06-12", "--yes"]).await;
    assert!(code == 6 && said.contains("nightshard-backup is at work in 2016-06-12, on elsewhere"), "{code}: {said}");
    let planned = archive.pruned(&["--keep-daily", "1", "--dry-run"]).await;
    assert!(planned["nights"].as_array().unwrap().iter().any(|fate| fate["keep"] == json!(true)));
    assert_eq!(archive.containers().await, before);
    archive.verify("2016-06-11").await;
    archive.verify("2016-06-10").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_no_seal_of_ours_is_never_touched() {
    let archive = Archive::on(Place::folder()).await;
    for day in 8..=11 {
        archive.take(day).await;
    }
    // What the old scripts left, what somebody else keeps, and a backup that failed.
    let theirs = archive.place.path("archive/2016-05-01/2016-05-01/shards");
    fs::create_dir_all(&theirs).unwrap();
    fs::write(theirs.join("sensu_db.default.00001.00"), "a tar").unwrap();
    fs::create_dir_all(archive.place.path("archive/photographs")).unwrap();
    fs::write(archive.place.path("archive/photographs/cat.jpg"), "a cat").unwrap();
    fs::remove_file(archive.place.path("archive/2016-06-08/2016-06-08/manifests/backup.json")).unwrap();
    let unsealed = archive.contents("2016-06-08");
    let done = archive.pruned(&["--keep-last", "1", "--yes"]).await;
    let untouched: Vec<&Value> = done["untouched"].as_array().unwrap().iter().map(|it| &it["container"]).collect();
    assert_eq!(untouched, [&json!("2016-05-01"), &json!("2016-06-08")], "{done}");
    assert_eq!(done["deleted_nights"], json!(2));
    assert!(theirs.join("sensu_db.default.00001.00").exists());
    assert!(archive.place.path("archive/photographs/cat.jpg").exists());
    assert_eq!(archive.contents("2016-06-08"), unsealed);
    let (code, said) = archive.refused(&["--delete", "2016-06-08", "--yes"]).await;
    assert!(code == 4 && said.contains("not ours to delete"), "{code}: {said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seal_that_cannot_be_read_keeps_its_night_and_the_whole_pool() {
    let archive = Archive::on(Place::folder()).await;
    for day in 9..=11 {
        archive.take(day).await;
    }
    archive.shorten_grace(2).await;
    let seal = archive.place.path("archive/2016-06-10/2016-06-10/manifests/backup.json");
    let whole = fs::read(&seal).unwrap();
    fs::write(&seal, &whole[..whole.len() / 2]).unwrap();
    let pooled = archive.pooled().await;
    for _ in 0..3 {
        let (code, said) = archive.refused(&["--keep-last", "1", "--yes"]).await;
        assert!(code == 3 && said.contains("2016-06-10/manifests/backup.json cannot be read"), "{code}: {said}");
        std::thread::sleep(std::time::Duration::from_millis(1500));
    }
    assert_eq!(archive.pooled().await, pooled, "nobody knows what it names");
    fs::write(&seal, whole).unwrap();
    archive.verify("2016-06-10").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nights_of_a_clock_that_was_wrong_push_no_other_night_out() {
    let archive = Archive::on(Place::folder()).await;
    for day in 9..=11 {
        archive.take(day).await;
    }
    let seal = archive.place.path("archive/2016-06-11/2016-06-11/manifests/backup.json");
    let mut document: Value = serde_json::from_slice(&fs::read(&seal).unwrap()).unwrap();
    document["started"] = json!("2099-06-11T21:55:00Z");
    fs::write(&seal, document.to_string()).unwrap();
    archive.verify("2016-06-11").await;
    let done = archive.pruned(&["--keep-last", "1", "--yes"]).await;
    assert_eq!(done["untouched"][0]["container"], "2016-06-11");
    assert!(done["untouched"][0]["why"].as_str().unwrap().contains("a clock was wrong"), "{done}");
    assert_eq!(archive.list().await.into_keys().collect::<Vec<_>>(), ["2016-06-10", "2016-06-11"]);
    // It can be deleted by its name, for it vouches for nothing.
    archive.pruned(&["--delete", "2016-06-11", "--yes"]).await;
    assert_eq!(archive.list().await.into_keys().collect::<Vec<_>>(), ["2016-06-10"]);
    archive.verify("2016-06-10").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_have_put_into_a_night_stays_when_it_leaves() {
    let archive = Archive::on(Place::folder()).await;
    archive.take(10).await;
    archive.take(11).await;
    let night = archive.place.path("archive/2016-06-10/2016-06-10");
    for name in ["shards/notes.txt", "manifests/ticket.txt", "influxdb/old_script.json"] {
        let path = night.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "theirs").unwrap();
    }
    archive.pruned(&["--delete", "2016-06-10", "--dumps", "--yes"]).await;
    let left: Vec<String> = archive.contents("2016-06-10").into_keys().collect();
    let theirs = ["influxdb/old_script.json", "manifests/ticket.txt", "shards/notes.txt"];
    for name in theirs {
        assert!(left.contains(&format!("2016-06-10/{name}")), "{left:?}");
    }
    assert_eq!(left.iter().filter(|name| !name.ends_with("deletion.json")).count(), 3, "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_of_a_deletion_beside_a_seal_that_stands_deletes_nothing_later() {
    let archive = Archive::on(Place::folder()).await;
    for day in 9..=11 {
        archive.take(day).await;
    }
    // A prune that was killed between the record and the seal, and a pin that came after it.
    let manifests = archive.place.path("archive/2016-06-10/2016-06-10/manifests");
    let record = json!({
        "format": "nightshard-deletion/1", "writer": {"program": "nightshard-prune", "version": "0.1.0"},
        "host": "elsewhere", "started": "2016-06-12T03:00:00Z", "manifest_sha256": "00",
    });
    fs::write(manifests.join("deletion.json"), record.to_string()).unwrap();
    archive.pruned(&["--yes"]).await;
    assert!(!manifests.join("deletion.json").exists(), "the night stays, and so its record means nothing");
    // Where it is found without a seal, the pin still holds.
    fs::write(manifests.join("deletion.json"), record.to_string()).unwrap();
    let mut pin = archive.place.command(env!("CARGO_BIN_EXE_nightshard-list"));
    pin.args(["--pin", "2016-06-10", "--reason", "audit"]);
    assert!(run(pin).await.status.success());
    let seal = fs::read(manifests.join("backup.json")).unwrap();
    fs::remove_file(manifests.join("backup.json")).unwrap();
    let (code, said) = archive.refused(&["--yes"]).await;
    assert!(code == 3 && said.contains("pinned"), "{code}: {said}");
    fs::write(manifests.join("backup.json"), seal).unwrap();
    archive.verify("2016-06-10").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_marker_that_cannot_be_read_keeps_its_night_and_no_other() {
    let archive = Archive::on(Place::folder()).await;
    for day in 8..=11 {
        archive.take(day).await;
    }
    let running = archive.place.path("archive/2016-06-09/2016-06-09/running");
    fs::create_dir_all(&running).unwrap();
    fs::write(running.join("00.json"), "{").unwrap();
    let done = archive.pruned(&["--keep-last", "1", "--yes"]).await;
    assert_eq!(done["deleted_nights"], json!(2));
    assert_eq!(archive.list().await.into_keys().collect::<Vec<_>>(), ["2016-06-09", "2016-06-11"]);
}
