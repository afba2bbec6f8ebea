//! Whole nights with the programs as users run them, on each kind of archive: backed up, restored, dumped, and every
//! record compared with what production itself answers. And the way without us: `swift download`, `influxd restore`.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

mod night;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::process::Command;

use night::{Place, run, succeed};
use serde_json::{Map, Value};
use test_support::{Influxd, temp_dir};

const DAY: &str = "2016-06-11";

/// 2016-06-11 00:00 in Berlin, in seconds.
const MIDNIGHT: i64 = 1_465_596_000;

/// Three days around the night, a record a minute for each of three hosts, with all types of fields.
async fn fill(influxd: &Influxd) {
    influxd.statement("CREATE DATABASE sensu_db WITH DURATION INF SHARD DURATION 1d NAME \"default\"").await;
    let mut lines = String::new();
    for minute in -1440..2880_i64 {
        for host in ["alpha", "beta two", "gamma"] {
            let time = (MIDNIGHT + minute * 60) * 1_000_000_000 + minute.rem_euclid(3);
            let escaped = host.replace(' ', "\\ ");
            writeln!(
                lines,
                "Aggregated_metrics,host={escaped},zone=a load={}.25,count={minute}i,up={},note=\"line {minute}, \\\"ok\\\"\" {time}",
                minute * 3,
                minute % 2 == 0
            )
            .unwrap();
        }
    }
    influxd.write("sensu_db", &lines).await;
}

/// The day's records as the server itself gives them, by time and host.
async fn records_of(influxd: &Influxd) -> BTreeMap<(String, String), Map<String, Value>> {
    let (start, end) = (MIDNIGHT, MIDNIGHT + 86_400);
    let query = format!("SELECT * FROM Aggregated_metrics WHERE time >= {start}s AND time < {end}s");
    let answer = influxd.query("sensu_db", &query).await;
    let series = &answer["results"][0]["series"][0];
    let columns: Vec<&str> = series["columns"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    let rows = series["values"].as_array().unwrap();
    rows.iter()
        .map(|row| {
            let record: Map<String, Value> = columns
                .iter()
                .zip(row.as_array().unwrap())
                .map(|(name, value)| ((*name).to_owned(), value.clone()))
                .collect();
            ((record["time"].to_string(), record["host"].to_string()), record)
        })
        .collect()
}

/// The records of a dump, as an analyst reads them; pages have at most 1000, and all but the last have exactly so many.
fn records_in(dump: &[u8]) -> Vec<Map<String, Value>> {
    let pages: Vec<Vec<Map<String, Value>>> =
        std::str::from_utf8(dump).unwrap().lines().map(|page| serde_json::from_str(page).unwrap()).collect();
    let (last, full) = pages.split_last().unwrap();
    assert!(full.iter().all(|page| page.len() == 1000) && (1..=1000).contains(&last.len()));
    pages.into_iter().flatten().collect()
}

async fn a_whole_night(place: Place) {
    let production = Influxd::start().await;
    fill(&production).await;
    let mut backup = place.backup(&production);
    backup.args(["--database", "sensu_db", "--date", DAY]);
    let outcome = succeed(backup).await;
    assert_eq!(outcome["container"], Value::from(place.container(DAY)));
    assert_eq!(outcome["shards"], 4, "{outcome}");

    let intermediary = Influxd::start().await;
    let mut restore = place.restore(&intermediary);
    restore.args(["--date", DAY]);
    succeed(restore).await;
    let expected = records_of(&production).await;
    assert_eq!(expected.len(), 3 * 1440);
    assert_eq!(records_of(&intermediary).await, expected);

    let mut dump = place.dump(&intermediary);
    dump.args(["Aggregated_metrics", "--date", DAY]);
    succeed(dump).await;
    let contents = place.contents(DAY);
    let container = place.container(DAY);
    let file = "Aggregated_metrics_2016-06-11-00:00:00_2016-06-12-00:00:00.json";
    let records = records_in(&contents[&format!("{container}/influxdb/{file}")]);
    assert_eq!(records.len(), expected.len());
    for record in &records {
        let time = chrono::DateTime::parse_from_rfc3339(record["time"].as_str().unwrap()).unwrap();
        let key = (time.timestamp_nanos_opt().unwrap().to_string(), record["host"].to_string());
        for (name, value) in &expected[&key] {
            if name != "time" {
                assert_eq!(number(&record[name]), number(value), "{name} of {key:?}");
            }
        }
    }
    let mut names: Vec<&str> = contents.keys().map(String::as_str).collect();
    names.retain(|name| !name.contains("/shards/"));
    let host = Command::new("hostname").output().unwrap().stdout;
    let host = String::from_utf8(host).unwrap();
    assert_eq!(
        names,
        [
            format!("{container}/influxdb/{file}"),
            format!("{container}/manifests/backup.json"),
            format!("{container}/manifests/dump.{file}.json"),
            format!("{container}/manifests/restore.{}.json", host.trim()),
            format!("{container}/manifests/statistics.json"),
        ]
    );
}

/// JSON from the server writes the float 3.0 as 3.
fn number(value: &Value) -> Value {
    value.as_f64().map_or_else(|| value.clone(), Value::from)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_night_in_a_folder_brings_every_record_to_the_analysts() {
    a_whole_night(Place::folder()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_night_in_swift_with_version_1_credentials_brings_every_record_to_the_analysts() {
    a_whole_night(Place::swift_version1()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_night_in_swift_with_keystone_brings_every_record_to_the_analysts() {
    a_whole_night(Place::swift_keystone()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_with_a_label_stands_beside_the_nights_and_is_restored_and_dumped_by_it() {
    let place = Place::folder();
    let production = Influxd::start().await;
    production.statement("CREATE DATABASE sensu_db").await;
    production.write("sensu_db", "cpu,host=a load=1 1465646400000000000").await;
    let label = ["--date", DAY, "--label", "before-upgrade"];
    let mut backup = place.backup(&production);
    backup.args(label);
    assert_eq!(succeed(backup).await["container"], "2016-06-11_before-upgrade");
    production.write("sensu_db", "cpu,host=b load=2 1465646400000000000").await;
    let mut backup = place.backup(&production);
    backup.args(["--date", DAY]);
    assert_eq!(succeed(backup).await["container"], DAY);

    let intermediary = Influxd::start().await;
    let mut restore = place.restore(&intermediary);
    restore.args(label);
    succeed(restore).await;
    assert_eq!(intermediary.count("sensu_db", "cpu", "load").await, 1);
    let mut dump = place.dump(&intermediary);
    dump.arg("cpu").args(label);
    succeed(dump).await;
    let file = "cpu_2016-06-11-00:00:00_2016-06-12-00:00:00.json";
    let labelled = place.path("archive/2016-06-11_before-upgrade/2016-06-11_before-upgrade");
    let records = records_in(&std::fs::read(labelled.join("influxdb").join(file)).unwrap());
    assert_eq!(records.len(), 1);
    let manifest = std::fs::read(labelled.join("manifests/backup.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&manifest).unwrap()["label"], "before-upgrade");
}

#[tokio::test(flavor = "multi_thread")]
async fn swift_download_and_influxd_restore_give_every_point_back_without_us() {
    let place = Place::swift_keystone();
    let production = Influxd::start().await;
    fill(&production).await;
    let mut backup = place.backup(&production);
    backup.args(["--database", "sensu_db", "--date", DAY]);
    succeed(backup).await;

    let container = place.container(DAY);
    let fetched = temp_dir();
    let mut download = place.command("swift");
    download.args(["download", &container, "-p", &format!("{container}/shards/"), "-D"]).arg(fetched.path());
    let output = run(download).await;
    assert!(output.status.success(), "{output:?}");

    let base = temp_dir();
    let shards = fetched.path().join(&container).join("shards");
    let output = Command::new("influxd")
        .args(["restore", "-metadir"])
        .arg(base.path().join("meta"))
        .arg("-datadir")
        .arg(base.path().join("data"))
        .args(["-database", "sensu_db", "-newdb", "sensu_db"])
        .arg(&shards)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let restored = Influxd::options().base(base.path()).start().await;
    let expected = records_of(&production).await;
    assert_eq!(records_of(&restored).await, expected);
    for field in ["load", "count", "up", "note"] {
        assert_eq!(restored.count("sensu_db", "Aggregated_metrics", field).await, 3 * 4320, "{field}");
    }
}
