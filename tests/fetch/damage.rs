//! What is damaged in the archive, and what is made to look like something else.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::archives::{DAYS, fetch, files, outcome, stored, text, two_nights};
use crate::night::Place;

/// Not in place: other nights may have the same bytes.
fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_is_not_put_in_place_and_everything_else_comes() {
    let place = Place::folder();
    two_nights(&place).await;
    let whole = stored(&place, &DAYS);
    let archive = place.path("archive");
    let path = |part: &str| {
        let name = whole.keys().find(|name| name.contains(part)).unwrap();
        (archive.join(name.split_once('/').unwrap().0).join(name), name.clone())
    };
    let (flipped, first) = path("2016-06-11/shards/sensu_db.default.");
    flip(&flipped);
    let (cut, second) = path("2016-06-11/influxdb/cpu");
    fs::write(&cut, &whole[&second][..100]).unwrap();
    let (gone, third) = path("2016-06-12/influxdb/cpu");
    fs::remove_file(&gone).unwrap();
    let (unreadable, _) = path("2016-06-12/manifests/dump.mem");
    fs::write(&unreadable, "{\"format\": ").unwrap();

    let (fetched, code) = outcome(&place, &["--date", "2016-06", "--output", "got"]).await;
    assert_eq!(code, Some(5), "{fetched}");
    let failures = fetched["failures"].to_string();
    for said in [
        format!("{first} is damaged: its SHA-256 is not that of its seal"),
        format!("{second} is damaged: it has 100 bytes instead of {}", whole[&second].len()),
        format!("{third} is damaged: it does not exist"),
        "manifests/dump.mem".to_owned(),
    ] {
        assert!(failures.contains(&said), "{said} is not in {failures}");
    }
    let came = files(&place.path("got"));
    let missing: Vec<&String> = whole.keys().filter(|name| !came.contains_key(*name)).collect();
    let is_due = |name: &&String| {
        let of_dumps = name.contains("/influxdb/cpu")
            || name.contains("manifests/dump.cpu")
            || name.starts_with("2016-06-12") && name.contains("mem");
        **name == first || **name == "2016-06-11/manifests/backup.json" || of_dumps
    };
    assert_eq!(missing, whole.keys().filter(is_due).collect::<Vec<_>>());
    assert!(came.iter().all(|(name, bytes)| whole.get(name) == Some(bytes)), "{:?}", came.keys());

    // A single one is damage as well.
    let output = fetch(&place, &["--date", "2016-06-11", "--measurement", "cpu", "--flat", "flat"]).await;
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    assert!(files(&place.path("flat")).is_empty());

    // Once they are whole again the same command brings the rest.
    for path in [flipped, cut, gone, unreadable] {
        let name = path.strip_prefix(&archive).unwrap().to_str().unwrap().split_once('/').unwrap().1.to_owned();
        fs::write(&path, &whole[&name]).unwrap();
    }
    let (rest, code) = outcome(&place, &["--date", "2016-06", "--output", "got"]).await;
    assert_eq!((code, &rest["fetched"]), (Some(0), &json!(missing.len())), "{rest}");
    assert!(files(&place.path("got")) == whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_lead_elsewhere_are_damage_and_nothing_is_written_there() {
    let place = Place::folder();
    two_nights(&place).await;
    let night = place.path("archive/2016-06-11/2016-06-11");
    let seal = night.join("manifests/backup.json");
    let manifest: Value = serde_json::from_slice(&fs::read(&seal).unwrap()).unwrap();
    let shards: Vec<usize> = (0..4).filter(|at| manifest["objects"][*at]["kind"] == "shard").collect();
    let outside = place.path("evil");
    fs::create_dir_all(night.join("shards/deep")).unwrap();
    fs::copy(night.join("shards/meta.00"), night.join("shards/deep/evil")).unwrap();
    for name in [
        "../../../evil".to_owned(),
        outside.display().to_string(),
        "2016-06-11/shards/../../../evil".to_owned(),
        "2016-06-11/shards/deep/evil".to_owned(),
        "2016-06-11/shards/..".to_owned(),
        "2016-06-11/manifests/backup.json".to_owned(),
        manifest["objects"][shards[1]]["name"].as_str().unwrap().to_owned(),
    ] {
        let mut hostile = manifest.clone();
        hostile["objects"][shards[0]]["name"] = json!(name);
        fs::write(&seal, hostile.to_string()).unwrap();
        let before = files(&place.path(""));
        let (fetched, code) = outcome(&place, &["--date", "2016-06-11", "--shards", "--output", "got"]).await;
        assert_eq!((code, &fetched["fetched"]), (Some(5), &json!(0)), "{name}: {fetched}");
        assert!(files(&place.path("")) == before, "{name}: something was written");
    }
    let mut hostile = manifest.clone();
    hostile["objects"][shards[0]]["sha256"] = json!("../".repeat(21) + "x");
    fs::write(&seal, hostile.to_string()).unwrap();
    assert_eq!(outcome(&place, &["--date", "2016-06-11", "--shards", "--output", "got"]).await.1, Some(5));
    // A dump whose seal names another object.
    let dump = night.join("manifests/dump.cpu_2016-06-11-00:00:00_2016-06-12-00:00:00.json.json");
    let seal = fs::read_to_string(&dump).unwrap();
    fs::write(&dump, seal.replace("2016-06-11/influxdb/cpu", "2016-06-11/influxdb/../../../evil")).unwrap();
    let (fetched, code) = outcome(&place, &["--date", "2016-06-11", "--measurement", "cpu", "--output", "got"]).await;
    assert_eq!(code, Some(5), "{fetched}");
    assert!(!outside.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_the_way_is_named() {
    let place = Place::folder();
    two_nights(&place).await;
    fs::create_dir_all(place.path("got/2016-06-11/shards/meta.00")).unwrap();
    fs::write(place.path("file"), "").unwrap();
    for folder in ["file", "file/below"] {
        let output = fetch(&place, &["--date", "2016-06-11", "--output", folder]).await;
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("error: ") && said.contains("hint: "), "{said}");
    }
    // Everything else comes.
    let (fetched, code) = outcome(&place, &["--date", "2016-06-11", "--output", "got", "--force"]).await;
    assert_eq!(code, Some(3), "{fetched}");
    assert!(fetched["failures"][0].as_str().unwrap().contains("shards/meta.00 cannot be put in place"), "{fetched}");
    assert!(place.path("got/2016-06-11/shards/sensu_db.default.00001.00").exists());
    assert!(!place.path("got/2016-06-11/manifests/backup.json").exists(), "a seal over what is not there");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_written_where_links_lead_and_backups_are_not_for_everybody() {
    let place = Place::folder();
    two_nights(&place).await;
    for link in ["linked/2016-06-11", "below/2016-06-11/shards"] {
        let (link, elsewhere) = (place.path(link), place.path("elsewhere"));
        fs::create_dir_all(&elsewhere).unwrap();
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &link).unwrap();
        let output = fetch(
            &place,
            &[
                "--date",
                "2016-06-11",
                "--output",
                link.strip_prefix(place.path("")).unwrap().iter().next().unwrap().to_str().unwrap(),
            ],
        )
        .await;
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("is a link, and files are not put where it leads"), "{said}");
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0, "{said}");
    }
    assert_eq!(outcome(&place, &["--date", "2016-06-11", "--output", "got"]).await.1, Some(0));
    let mode = |path: &str| {
        let metadata = fs::metadata(place.path(path)).unwrap();
        std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o7
    };
    assert_eq!((mode("got/2016-06-11/shards"), mode("got/2016-06-11/shards/meta.00")), (0, 0));
}
