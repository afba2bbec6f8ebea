//! What comes into folders, and what is there already.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::archives::{DAYS, back_up, command, dump, fetch, files, outcome, production, stored, text, two_nights};
use crate::night::{Place, run};

async fn whole_nights_come_bit_for_bit_and_only_once(place: Place) {
    two_nights(&place).await;
    let expected = tokio::task::block_in_place(|| stored(&place, &DAYS));
    let bytes: usize = expected.values().map(Vec::len).sum();
    let arguments = ["--date", "2016-06", "--output", "got"];

    let (planned, code) = outcome(&place, &[&arguments[..], &["--dry-run"]].concat()).await;
    assert_eq!((code, &planned["due_bytes"], &planned["due"]), (Some(0), &json!(bytes), &json!(expected.len())));
    assert!(!place.path("got").exists(), "nothing is changed by a dry run");

    let (fetched, code) = outcome(&place, &arguments).await;
    assert_eq!((code, &fetched["failures"]), (Some(0), &json!([])), "{fetched}");
    assert_eq!((&fetched["fetched_bytes"], &fetched["fetched"]), (&json!(bytes), &json!(expected.len())));
    assert!(files(&place.path("got")) == expected, "{:?}", files(&place.path("got")).keys());
    assert!(expected.len() == 2 * (4 + 5), "{:?}", expected.keys());

    for day in DAYS {
        let mut verify = place.verify();
        verify.args(["--deep", "--no-record"]).arg(place.path("got").join(place.container(day)));
        verify.env_remove("NIGHTSHARD_ARCHIVE");
        let output = run(verify).await;
        let verified: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{output:?}"));
        assert_eq!((output.status.code(), &verified["objects"]), (Some(0), &json!(6)), "{verified}");
    }

    // Everything is there: no file is written again.
    let inodes =
        || expected.keys().map(|name| place.path("got").join(name).metadata().unwrap().ino()).collect::<Vec<_>>();
    let before = inodes();
    let (again, code) = outcome(&place, &arguments).await;
    assert_eq!((code, &again["fetched"], &again["present"]), (Some(0), &json!(0), &json!(expected.len())));
    assert_eq!(inodes(), before);
    let shown = text(&fetch(&place, &arguments).await.stdout);
    assert!(shown.contains(&format!(", {} were there already", expected.len())), "{shown}");

    // One that is missing comes again, one that is another one stays, and so does a night's seal without it.
    let names: Vec<&String> = expected.keys().collect();
    let at =
        |part: &str| names.iter().find(|name| name.contains(part)).map(|name| place.path("got").join(name)).unwrap();
    let (missing, other, seal) = (at("/influxdb/mem"), at("/shards/sensu_db"), at("/manifests/backup.json"));
    fs::remove_file(&missing).unwrap();
    fs::remove_file(&seal).unwrap();
    fs::write(&other, "mine").unwrap();
    let (third, code) = outcome(&place, &arguments).await;
    assert_eq!((code, &third["fetched"]), (Some(3), &json!(1)), "{third}");
    assert!(missing.exists() && !seal.exists() && fs::read(&other).unwrap() == b"mine");
    let said = third["failures"][0].as_str().unwrap();
    assert!(said.contains(&*other.strip_prefix(place.path("")).unwrap().to_string_lossy()), "{said}");
    assert!(said.contains("--force replaces it"), "{said}");
    let (forced, code) = outcome(&place, &[&arguments[..], &["--force"]].concat()).await;
    assert_eq!((code, &forced["fetched"]), (Some(0), &json!(2)), "{forced}");
    assert!(files(&place.path("got")) == expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_nights_come_from_a_folder() {
    whole_nights_come_bit_for_bit_and_only_once(Place::folder()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whole_nights_come_from_swift() {
    whole_nights_come_bit_for_bit_and_only_once(Place::swift_version1()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn large_objects_come_from_their_segments() {
    let (place, source) = (Place::swift_keystone(), production().await);
    back_up(
        &place,
        &source,
        &[
            "--date",
            "2016-06-11",
            "--segment-size",
            "1000",
            "--segments-container",
            &format!("{}segments", place.prefix),
        ],
    )
    .await;
    let (fetched, code) = outcome(&place, &["--date", "2016-06-11", "--output", "got", "--shards"]).await;
    assert_eq!(code, Some(0), "{fetched}");
    assert!(files(&place.path("got")) == tokio::task::block_in_place(|| stored(&place, &["2016-06-11"])));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_asked_for_comes() {
    let place = Place::folder();
    two_nights(&place).await;
    // What is asked for, and the files that come.
    let cpu = |day: &str, next: &str| format!("cpu_{day}-00:00:00_{next}-00:00:00.json");
    let (first, second) = (cpu("2016-06-11", "2016-06-12"), cpu("2016-06-12", "2016-06-13"));
    let dumps =
        |day: &str, file: &str| vec![format!("{day}/influxdb/{file}"), format!("{day}/manifests/dump.{file}.json")];
    let night = |day: &str| vec![format!("{day}/manifests/backup.json"), format!("{day}/shards/meta.00")];
    let table: [(&[&str], Vec<String>); 6] = [
        (&["--measurement", "cpu", "--date", "2016-06-11", "--output", "out"], dumps("2016-06-11", &first)),
        (
            &["--measurement", "c?u", "--match", "06-1[12]$", "--output", "out"],
            [dumps("2016-06-11", &first), dumps("2016-06-12", &second)].concat(),
        ),
        (
            &["--dumps", "--measurement", "cpu", "--date", "2016-06-11..2016-06-12", "--flat", "out"],
            vec![first.clone(), second.clone()],
        ),
        (&["--measurement", "cpu", "--date", "2016-06-12", "--flat", "out"], vec![second.clone()]),
        (&["--shards", "--date", "2016-06-11", "--output", "out"], night("2016-06-11")),
        (
            &["--shards", "--measurement", "cpu", "--date", "2016-06-11", "--output", "out"],
            [dumps("2016-06-11", &first), night("2016-06-11")].concat(),
        ),
    ];
    for (arguments, expected) in table {
        let output = fetch(&place, arguments).await;
        assert!(output.status.success(), "{arguments:?}: {output:?}");
        let came = files(&place.path("out"));
        let came: Vec<&String> = came.keys().filter(|name| !name.contains("sensu_db.default")).collect();
        assert_eq!(came, expected.iter().collect::<BTreeSet<_>>().into_iter().collect::<Vec<_>>(), "{arguments:?}");
        fs::remove_dir_all(place.path("out")).unwrap();
    }
    // Dumps with their seals are a folder that can be verified.
    fetch(&place, &["--measurement", "cpu", "--date", "2016-06-11", "--output", "out"]).await;
    for (content, code) in [(None, 0), (Some("[]\n"), 5)] {
        let file = place.path("out/2016-06-11/influxdb").join(&first);
        content.into_iter().for_each(|content| fs::write(&file, content).unwrap());
        let mut verify = place.verify();
        verify.arg("out/2016-06-11");
        let output = run(verify).await;
        let verified: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!((output.status.code(), &verified["objects"]), (Some(code), &json!(1)), "{verified}");
    }
    fs::remove_dir_all(place.path("out")).unwrap();
    // Exit code and what is said of what is not there.
    let table: [(&[&str], i32, &str); 6] = [
        (&["--measurement", "disk", "--date", "2016-06-11"], 4, "there is no dump of disk in 2016-06-11"),
        (&["--measurement", "disk", "--measurement", "cpu", "--date", "2016-06-11"], 3, "there is no dump of disk"),
        (&["--date", "2016-06-13"], 4, "there is no backup and no dump in 2016-06-13"),
        (&["--date", "2016-07"], 4, "there is no night 2016-07 in file://"),
        (&["--match", "nothing"], 4, "there is no night like nothing in file://"),
        (&["--shards"], 4, "there is no backup in 20"),
    ];
    for (arguments, code, said) in table {
        let output = fetch(&place, &[arguments, &["--output", "out"]].concat()).await;
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
        assert!(text(&output.stderr).contains(said), "{arguments:?}: {output:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nights_that_are_not_sealed_are_told_and_no_backups() {
    let place = Place::folder();
    two_nights(&place).await;
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
    marker("2016-06-14", json!({"state": "running"}));
    marker("2016-06-15", json!({"state": "failed", "error": "the disk is full"}));
    // A dump alone, and one that is being written.
    fs::create_dir_all(archive.join("2016-06-12/2016-06-12/running")).unwrap();
    fs::remove_file(archive.join("2016-06-12/2016-06-12/manifests/backup.json")).unwrap();
    fs::remove_dir_all(archive.join("2016-06-12/2016-06-12/shards")).unwrap();
    let begun = "2016-06-11/influxdb/disk_2016-06-11-00:00:00_2016-06-12-00:00:00.json";
    fs::write(archive.join("2016-06-11").join(begun), "[{\"time\":").unwrap();
    fs::create_dir_all(archive.join("2016-06-17/music")).unwrap();
    fs::write(archive.join("2016-06-17/music/a"), "nothing of ours").unwrap();

    let (fetched, code) = outcome(&place, &["--date", "2016-06", "--output", "got"]).await;
    assert_eq!(code, Some(3), "{fetched}");
    let failures = fetched["failures"].as_array().unwrap();
    let said = |part: &str| failures.iter().any(|line| line.as_str().unwrap().contains(part));
    assert!(said("there is no backup in 2016-06-14: STATUS_BACKING_UP, on db1 (process 42)"), "{failures:?}");
    assert!(said("there is no backup in 2016-06-15: STATUS_ERROR, the disk is full"), "{failures:?}");
    assert!(said(&format!("{begun} has no seal")) && failures.len() == 3, "{failures:?}");
    assert_eq!(fetched["notes"], json!(["there is no backup in 2016-06-12, only dumps"]));
    assert_eq!(fetched["nights"], json!(["2016-06-11", "2016-06-12"]));
    let came = files(&place.path("got"));
    assert!(!came.contains_key(begun) && came.keys().any(|name| name.starts_with("2016-06-12/influxdb/cpu")));

    for (arguments, code) in [
        (&["--date", "2016-06-14"][..], 4),
        (&["--date", "2016-06-12", "--shards", "--dumps"], 3),
        (&["--date", "2016-06-12", "--shards"], 4),
        (&["--date", "2016-06-12"], 0),
    ] {
        let output = fetch(&place, &[arguments, &["--output", "other"]].concat()).await;
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {output:?}");
    }
}

/// Sets when the shards of a night were taken: five minutes before the end of the day.
fn taken_too_early(place: &Place, day: &str) {
    let path = place.path("archive").join(day).join(day).join("manifests/backup.json");
    let mut manifest: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    for object in manifest["objects"].as_array_mut().unwrap().iter_mut().filter(|object| object["kind"] == "shard") {
        object["snapshot_taken"] = format!("{day}T21:55:00Z").into();
    }
    fs::write(&path, manifest.to_string()).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_that_was_completed_takes_the_place_of_what_was_fetched_before_and_of_nothing_else() {
    let (place, source) = (Place::folder(), production().await);
    back_up(&place, &source, &["--date", "2016-06-11"]).await;
    taken_too_early(&place, "2016-06-11");
    dump(&place, &["cpu", "--date", "2016-06-11"]).await;
    let arguments = ["--dumps", "--date", "2016-06-11", "--output", "got"];
    let (open, _) = outcome(&place, &arguments).await;
    let file = "2016-06-11/influxdb/cpu_2016-06-11-00:00:00_2016-06-12-00:00:00.json";
    assert!(open["notes"][0].as_str().unwrap().starts_with("1 dumps are open"), "{open}");
    assert!(
        open["files"]
            .as_array()
            .unwrap()
            .iter()
            .any(|it| it["object"] == file && it["open_until"] == "2016-06-11T21:55:00Z")
    );
    let before = files(&place.path("got"));

    source.write("sensu_db", "cpu,host=a load=77i 1465682340000000000").await;
    back_up(&place, &source, &["--date", "2016-06-12"]).await;
    dump(&place, &["cpu", "--date", "2016-06-12"]).await;
    let (completed, code) = outcome(&place, &arguments).await;
    assert_eq!((code, &completed["fetched"], &completed["notes"]), (Some(0), &json!(2), &json!([])), "{completed}");
    let after = files(&place.path("got"));
    assert!(text(&after[file]).contains("\"load\":77") && after[file] != before[file]);
    assert!(
        after == stored(&place, &["2016-06-11"]).into_iter().filter(|(name, _)| after.contains_key(name)).collect()
    );

    // What was changed by hand is no earlier state.
    let seal = "2016-06-11/manifests/dump.cpu_2016-06-11-00:00:00_2016-06-12-00:00:00.json.json";
    for (name, content) in [(file, &b"[]\n"[..]), (seal, &before[seal])] {
        fs::write(place.path("got").join(name), content).unwrap();
    }
    let (kept, code) = outcome(&place, &arguments).await;
    assert_eq!((code, &kept["fetched"]), (Some(3), &json!(0)), "{kept}");
    assert_eq!(fs::read(place.path("got").join(file)).unwrap(), b"[]\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_backup_of_the_night_is_not_mixed_with_the_one_that_is_there() {
    let (place, source) = (Place::folder(), production().await);
    back_up(&place, &source, &["--date", "2016-06-11"]).await;
    back_up(&place, &source, &["--date", "2016-06-12"]).await;
    let arguments = ["--date", "2016-06-11", "--output", "got"];
    outcome(&place, &arguments).await;
    let before = files(&place.path("got"));
    source.write("sensu_db", "cpu,host=a load=77i 1465682340000000000\ncpu,host=a load=1i 1467000000000000000").await;
    back_up(&place, &source, &["--date", "2016-06-11", "--replace"]).await;
    let (refused, code) = outcome(&place, &arguments).await;
    assert_eq!((code, &refused["fetched"]), (Some(3), &json!(0)), "{refused}");
    assert!(
        refused["failures"].to_string().contains("another backup than that of the archive lies there"),
        "{refused}"
    );
    assert!(files(&place.path("got")) == before);
    let stranger = place.path("got/2016-06-11/shards/sensu_db.default.99999.00");
    fs::write(&stranger, "a shard that is none of this night").unwrap();
    let (forced, code) = outcome(&place, &[&arguments[..], &["--force"]].concat()).await;
    assert_eq!(code, Some(3), "{forced}");
    assert!(forced["failures"][0].as_str().unwrap().contains("99999.00 is no shard of this night"), "{forced}");
    fs::remove_file(stranger).unwrap();
    assert!(files(&place.path("got")) == stored(&place, &["2016-06-11"]));
}

#[tokio::test(flavor = "multi_thread")]
async fn dumps_of_one_name_are_noticed_before_anything_comes() {
    let (place, source) = (Place::folder(), production().await);
    for label in [&[][..], &["--label", "before-upgrade"]] {
        back_up(&place, &source, &[&["--date", "2016-06-11"], label].concat()).await;
        dump(&place, &[&["cpu", "mem", "--date", "2016-06-11"], label].concat()).await;
    }
    for way in [&["--flat", "out"][..], &["--stdout"]] {
        let output = fetch(&place, &[&["--date", "2016-06"], way].concat()).await;
        let said = text(&output.stderr);
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), String::new()), "{said}");
        assert!(said.contains("of 2016-06-11 and of 2016-06-11_before-upgrade") && said.contains("hint: "), "{said}");
    }
    assert!(!place.path("out").exists());
    for way in [&["--label", "before-upgrade"][..], &["--match", "[0-9]$"]] {
        let output = fetch(&place, &[&["--date", "2016-06", "--flat", "out"], way].concat()).await;
        assert!(output.status.success(), "{output:?}");
        assert_eq!(files(&place.path("out")).len(), 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_runs_do_not_harm_each_other() {
    let place = Place::folder();
    two_nights(&place).await;
    let arguments = ["--date", "2016-06", "--output", "got"];
    fs::create_dir_all(place.path("got")).unwrap();
    let held = jobs::Lock::directory(&place.path("got")).unwrap();
    assert_eq!(fetch(&place, &arguments).await.status.code(), Some(6));
    drop(held);
    let start = || command(&place, &arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let codes = tokio::task::block_in_place(|| {
        let mut runs: Vec<_> = (0..4).map(|_| start()).collect();
        runs.iter_mut().map(|run| run.wait().unwrap().code().unwrap()).collect::<Vec<_>>()
    });
    assert!(codes.contains(&0) && codes.iter().all(|code| [0, 6].contains(code)), "{codes:?}");
    assert!(files(&place.path("got")) == stored(&place, &DAYS));
}
