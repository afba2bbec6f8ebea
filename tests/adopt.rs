//! Nights that scripts have stored with `influxd backup` and `swift upload`: told of, looked at, adopted, and then used as any other.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

mod night;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use night::{Place, production, run, succeed};
use serde_json::{Value, json};
use test_support::{Influxd, temp_dir};

const DAY: &str = "2016-06-11";

/// What is said to whoever has not adopted the night.
const ADOPT: &str = "nightshard-verify --adopt 2016-06-11";

/// `influxd backup` as the script had it.
fn influxd_backup(source: &Influxd, folder: &Path) {
    fs::create_dir_all(folder.parent().unwrap()).unwrap();
    let mut command = Command::new("influxd");
    command.args(["backup", "-host", &source.snapshot_address(), "-database", "sensu_db"]).arg(folder);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// The whole script: a folder, an upload in segments of that size, the end of the folder.
async fn script(place: &Place, source: &Influxd, segment_size: Option<&str>) {
    let (container, old) = (place.container(DAY), place.path("old"));
    influxd_backup(source, &old.join(&container).join("shards"));
    let mut upload = place.command("swift");
    upload.args(["upload", &container, &container]).current_dir(&old);
    if let Some(size) = segment_size {
        upload.args(["--segment-size", size]);
    }
    assert!(run(upload).await.status.success());
    fs::remove_dir_all(old).unwrap();
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

async fn listed(place: &Place) -> Value {
    let mut list = place.command(env!("CARGO_BIN_EXE_nightshard-list"));
    list.args(["--json", DAY]);
    succeed(list).await["nights"][0].take()
}

fn fetch(place: &Place) -> Command {
    let mut fetch = place.command(env!("CARGO_BIN_EXE_nightshard-fetch"));
    fetch.args(["--json", "--date", DAY, "--output", "fetched-by-us"]);
    fetch
}

/// A dump into a folder of its own, from the backup or from an InfluxDB.
fn dump(place: &Place, folder: &str, from: Option<&Influxd>) -> Command {
    let mut dump = match from {
        Some(target) => place.dump(target),
        None => {
            let mut dump = place.command(env!("CARGO_BIN_EXE_nightshard-dump"));
            dump.args(["--json", "--from", "backup"]);
            dump
        }
    };
    dump.args(["cpu", "mem", "--date", DAY, "--no-upload", "--output", folder]);
    dump
}

fn files(folder: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        paths.map(|path| (PathBuf::from(path.file_name().unwrap()), fs::read(&path).unwrap())).collect();
    files.sort();
    files
}

/// From the first look at a night that was stored so to everything that can be done with it.
async fn becomes_a_night_as_any_other(place: &Place, source: &Influxd) {
    let night = listed(place).await;
    assert_eq!((&night["state"], &night["shards"]), (&json!("STATUS_UNSEALED"), &json!(0)), "{night}");
    assert_eq!(night["why"], json!(format!("not adopted: {ADOPT} gives it a seal")));
    let before = tokio::task::block_in_place(|| place.contents(DAY));
    // What can be known without a seal is known.
    let mut look = place.verify();
    look.args(["--date", DAY]);
    let looked = succeed(look).await;
    assert_eq!((&looked["objects"], &looked["nights"][0]["manifest_sha256"]), (&json!(4), &Value::Null), "{looked}");
    assert!(looked["nights"][0]["notes"][0].as_str().unwrap().contains(ADOPT), "{looked}");
    // Nothing else takes it for a backup, and each says what would make it one.
    let target = Influxd::start().await;
    let mut restore = place.restore(&target);
    restore.args(["--date", DAY]);
    for command in [restore, fetch(place), dump(place, "never", None)] {
        let output = run(command).await;
        assert_eq!(output.status.code(), Some(4), "{output:?}");
        let hint = said(&output).lines().rfind(|line| line.contains("hint: ")).unwrap().to_owned();
        assert!(hint.contains(ADOPT), "{output:?}");
    }
    assert!(before == tokio::task::block_in_place(|| place.contents(DAY)), "nothing was written");

    let mut adopt = place.verify();
    adopt.args(["--adopt", DAY]);
    let adopted = succeed(adopt).await;
    assert_eq!((&adopted["objects"], &adopted["nights"][0]["adopted"]), (&json!(4), &json!(true)), "{adopted}");
    let container = place.container(DAY);
    let mut after = tokio::task::block_in_place(|| place.contents(DAY));
    let seal: Value =
        serde_json::from_slice(&after.remove(&format!("{container}/manifests/backup.json")).unwrap()).unwrap();
    after.remove(&format!("{container}/manifests/verify.json")).unwrap();
    assert!(before == after, "no object was touched");
    assert_eq!(seal["databases"], json!(["sensu_db"]));
    assert_eq!(seal["source"]["host"], json!(""));
    assert!(seal["adopted"]["at"].is_string() && seal["adopted"]["by"].is_string(), "{seal}");

    let night = listed(place).await;
    assert_eq!((&night["state"], &night["started"]), (&json!("STATUS_READY"), &Value::Null), "{night}");
    assert_eq!(
        (&night["shards"], &night["points"], &night["verified"]["extent"]),
        (&json!(3), &json!(90), &json!("deep"))
    );
    assert!(night["adopted"].is_string(), "{night}");
    for extent in ["--quick", "--no-record", "--deep", "--decode"] {
        let mut look = place.verify();
        look.args(["--date", DAY, extent]);
        let looked = succeed(look).await;
        assert_eq!((&looked["objects"], &looked["nights"][0]["notes"]), (&json!(4), &json!([])), "{extent}: {looked}");
    }
    succeed(fetch(place)).await;
    let mut copy = place.verify();
    copy.arg(place.path("fetched-by-us").join(&container)).arg("--deep");
    assert_eq!(succeed(copy).await["objects"], json!(4));

    let mut restore = place.restore(&target);
    restore.args(["--date", DAY]);
    let restored = succeed(restore).await;
    assert_eq!(restored["failures"], json!([]), "every point was counted: {restored}");
    for (measurement, field) in [("cpu", "load"), ("cpu", "idle"), ("mem", "free")] {
        let counts =
            (source.count("sensu_db", measurement, field).await, target.count("sensu_db", measurement, field).await);
        assert_eq!(counts, (30, 30), "{measurement}.{field}");
    }
    for (folder, from) in [("from-backup", None), ("from-influx", Some(&target))] {
        let dumped = succeed(dump(place, folder, from)).await;
        assert_eq!(dumped["failures"], json!([]), "{dumped}");
    }
    let dumps = files(&place.path("from-backup"));
    assert!(dumps.len() == 2 && dumps == files(&place.path("from-influx")), "{dumps:?}");
    assert!(dumps.iter().all(|(_, bytes)| !bytes.is_empty()));

    let mut again = place.verify();
    again.args(["--adopt", DAY]);
    let output = run(again).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(said(&output).contains("2016-06-11 is adopted already, since "), "{output:?}");
    let output = run(place.command(env!("CARGO_BIN_EXE_nightshard-report"))).await;
    assert!(output.status.success(), "{output:?}");
    let mut list = place.command(env!("CARGO_BIN_EXE_nightshard-list"));
    list.arg(DAY);
    assert!(said(&run(list).await).contains(", adopted 20"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_night_of_a_script_in_a_folder_becomes_one_as_any_other() {
    let (place, source) = (Place::folder(), production().await);
    influxd_backup(&source, &place.path("archive").join(DAY).join(DAY).join("shards"));
    becomes_a_night_as_any_other(&place, &source).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_night_of_a_script_in_swift_becomes_one_as_any_other() {
    let (place, source) = (Place::swift_version1(), production().await);
    script(&place, &source, None).await;
    becomes_a_night_as_any_other(&place, &source).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_night_that_swift_has_cut_into_segments_becomes_one_as_any_other() {
    let (place, source) = (Place::swift_keystone(), production().await);
    script(&place, &source, Some("1000")).await;
    becomes_a_night_as_any_other(&place, &source).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lies_in_swift_under_other_names_gets_its_names_by_the_hint() {
    let (place, source) = (Place::swift_version1(), production().await);
    let container = place.container(DAY);
    influxd_backup(&source, &place.path("old/shards"));
    let mut upload = place.command("swift");
    upload.args(["upload", &container, "shards"]).current_dir(place.path("old"));
    assert!(run(upload).await.status.success());
    let night = listed(&place).await;
    assert_eq!(night["state"], json!("STATUS_UNSEALED"), "{night}");
    assert!(night["why"].as_str().unwrap().contains("shards/meta.00, and not"), "{night}");
    let mut fetch = fetch(&place);
    let output = run({
        fetch.arg("--shards");
        fetch
    });
    let output = output.await;
    assert_eq!(output.status.code(), Some(4), "{output:?}");
    assert!(said(&output).contains(ADOPT), "{output:?}");

    let adopt = || {
        let mut adopt = place.verify();
        adopt.args(["--adopt", DAY]);
        adopt
    };
    let output = run(adopt()).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = said(&output);
    let (_, command) = said.split_once("hint: copy them within Swift: ").unwrap();
    let mut shell = place.command("bash");
    shell.args(["-euo", "pipefail", "-c", command.trim()]);
    let output = run(shell).await;
    assert!(output.status.success(), "{command}: {output:?}");
    let adopted = succeed(adopt()).await;
    assert_eq!(adopted["objects"], json!(4), "{adopted}");
    let mut look = place.verify();
    look.args(["--date", DAY, "--deep"]);
    succeed(look).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_is_named_and_ends_with_its_code_and_the_night_stays_as_it_is() {
    let (place, source) = (Place::swift_version1(), production().await);
    let container = place.container(DAY);
    let shards = place.path("old").join(&container).join("shards");
    influxd_backup(&source, &shards);
    // An upload of what influxd has left of a shard when its connection broke, which it does not tell.
    let shard = shards.join("sensu_db.default.00002.00");
    let bytes = fs::read(&shard).unwrap();
    fs::write(&shard, &bytes[..1300]).unwrap();
    let mut upload = place.command("swift");
    upload.args(["upload", &container, &container]).current_dir(place.path("old"));
    assert!(run(upload).await.status.success());
    for arguments in [["--adopt", DAY], ["--date", DAY]] {
        let mut verify = place.verify();
        verify.args(arguments);
        let output = run(verify).await;
        assert_eq!(output.status.code(), Some(5), "{output:?}");
        let outcome: Value = serde_json::from_slice(&output.stdout).unwrap();
        let damage = &outcome["nights"][0]["damages"][0];
        assert!(damage["object"].as_str().unwrap().ends_with("sensu_db.default.00002.00"), "{damage}");
        assert!(damage["what"].as_str().unwrap().contains("the tar ends after 1300 bytes"), "{damage}");
        assert_eq!(outcome["nights"][0]["adopted"], json!(false));
    }
    // One that is not there at all is named as well, and does without only who says so.
    let mut delete = place.command("swift");
    delete.args(["delete", &container, &format!("{container}/shards/sensu_db.default.00002.00")]);
    assert!(run(delete).await.status.success());
    let mut adopt = place.verify();
    adopt.args(["--adopt", DAY]);
    let output = run(adopt).await;
    assert_eq!(output.status.code(), Some(5), "{output:?}");
    assert!(said(&output).contains("sensu_db.default.00002.00 is damaged: it does not exist"), "{output:?}");
    let contents = tokio::task::block_in_place(|| place.contents(DAY));
    assert!(contents.keys().all(|name| name.contains("/shards/")), "{:?}", contents.keys());
    let mut adopt = place.verify();
    adopt.args(["--adopt", DAY, "--incomplete"]);
    let adopted = succeed(adopt).await;
    let note = adopted["nights"][0]["notes"][0].as_str().unwrap();
    assert_eq!(note, "the metastore knows shards that are not here: sensu_db.default.00002");
    let contents = tokio::task::block_in_place(|| place.contents(DAY));
    let seal: Value = serde_json::from_slice(&contents[&format!("{container}/manifests/backup.json")]).unwrap();
    assert_eq!(seal["warnings"], json!([note]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_is_a_name_of_something_elsewhere_keeps_the_night_from_its_seal() {
    let (place, source) = (Place::swift_version1(), production().await);
    let (container, old) = (place.container(DAY), place.path("old"));
    let shards = old.join(&container).join("shards");
    influxd_backup(&source, &shards);
    fs::rename(shards.join("sensu_db.default.00002.00"), old.join("elsewhere")).unwrap();
    fs::write(old.join("nothing"), "").unwrap();
    let target = format!("X-Symlink-Target: {container}/elsewhere");
    let name = format!("{container}/shards/sensu_db.default.00002.00");
    let link = ["--object-name", &name, "-H", &target, "nothing"];
    for arguments in [&[container.as_str()][..], &["elsewhere"], &link] {
        let mut upload = place.command("swift");
        upload.args(["upload", &container]).args(arguments).current_dir(&old);
        assert!(run(upload).await.status.success());
    }
    let look = |arguments: [&str; 2]| {
        let mut verify = place.verify();
        verify.args(arguments);
        run(verify)
    };
    let output = look(["--adopt", DAY]).await;
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        said(&output).contains("sensu_db.default.00002.00 is a name of something that lies elsewhere"),
        "{output:?}"
    );
    assert_eq!(listed(&place).await["state"], json!("STATUS_UNSEALED"));
    assert_eq!(look(["--date", DAY]).await.status.code(), Some(0), "it can be looked at all the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intermediary_that_influxd_has_made_a_twin_of_production_wants_a_night_of_ours_first() {
    let parent = temp_dir();
    let base = parent.path().join("influxdb");
    fs::create_dir(&base).unwrap();
    let (place, source) = (Place::folder(), production().await);
    let target = Influxd::options().base(&base).start().await;
    let shards = place.path("archive").join(DAY).join(DAY).join("shards");
    influxd_backup(&source, &shards);
    let mut adopt = place.verify();
    adopt.args(["--adopt", DAY]);
    succeed(adopt).await;

    // The restore of the script, which gives the intermediary production's metastore and all.
    target.stop();
    let mut command = Command::new("influxd");
    command.args(["restore", "-database", "sensu_db", "-metadir"]).arg(base.join("meta"));
    command.arg("-datadir").arg(base.join("data")).arg(&shards);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    target.restart().await;

    let restore = |day: &str, flags: &[&str]| {
        let mut restore = place.restore(&target);
        restore.args(["--date", day]).args(flags);
        restore
    };
    for flags in [&[][..], &["--first-restore"]] {
        let output = run(restore(DAY, flags)).await;
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(said(&output).contains("nothing tells whether it is that server"), "{output:?}");
    }
    assert_eq!(target.count("sensu_db", "cpu", "load").await, 30, "nothing was changed");
    let mut backup = place.backup(&source);
    backup.args(["--date", "2016-06-12"]);
    succeed(backup).await;
    succeed(restore("2016-06-12", &["--first-restore"])).await;
    succeed(restore(DAY, &[])).await;
    assert_eq!(target.count("sensu_db", "cpu", "load").await, 30);
}
