//! What is not deleted, whoever asks for it.

use std::fs;

use serde_json::{Value, json};

use crate::archive::Archive;
use crate::night::Place;

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
