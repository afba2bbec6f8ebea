//! What lies in the shards is what InfluxDB shows: random points of all types, written, overwritten, deleted and compacted on
//! a real server, and then dumped from the backup, from a restored intermediary, and read by plain queries.
//!
//! `NIGHTSHARD_FIDELITY_POINTS` and `NIGHTSHARD_FIDELITY_SEED` make longer runs of it (`scripts/fidelity`).

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

#[path = "fidelity/history.rs"]
mod history;
mod night;

use std::collections::BTreeMap;
use std::path::Path;

use history::{DAYS, FIELDS, History, MEASUREMENTS};
use night::{Place, succeed};
use serde_json::{Map, Value};
use test_support::{Influxd, temp_dir};

/// The night, after all days that have points: what lies in it is dumped for each of them.
const NIGHT: &str = "2262-04-11";

/// Field values that are written, some of them over others.
const POINTS: u64 = 220_000;

fn number(variable: &str, usual: u64) -> u64 {
    std::env::var(variable).map_or(usual, |number| number.parse().unwrap())
}

/// Every dump of a way of reading, by its file name.
async fn dumps(place: &Place, day: &str, folder: &Path, from: &[&str]) -> (BTreeMap<String, Vec<u8>>, Value) {
    let mut command = place.command(env!("CARGO_BIN_EXE_nightshard-dump"));
    command.args(["--json", "--all", "--no-upload", "--database", "sensu_db", "--date", day, "--output"]);
    let outcome = succeed({
        command.arg(folder).args(from);
        command
    })
    .await;
    let mut contents = BTreeMap::new();
    night::read_all(folder, folder, &mut contents);
    (contents, outcome)
}

/// The values of a field on a day, as a plain query shows them: by time and tags.
async fn shown(
    influxd: &Influxd,
    measurement: &str,
    field: &str,
    span: [i64; 2],
) -> Vec<(i64, Map<String, Value>, Value)> {
    let [start, end] = span;
    let query = format!(
        "SELECT \"{field}\"::field FROM \"sensu_db\".\"day\".\"{measurement}\" WHERE time >= {start} AND time < {end} GROUP BY *"
    );
    let answer = influxd.query("sensu_db", &query).await;
    let mut values = Vec::new();
    for series in answer["results"][0]["series"].as_array().into_iter().flatten() {
        let mut tags = series["tags"].as_object().cloned().unwrap_or_default();
        tags.retain(|_, value| value != "");
        for row in series["values"].as_array().unwrap() {
            values.push((row[0].as_i64().unwrap(), tags.clone(), row[1].clone()));
        }
    }
    values
}

/// A value so that floats are compared by their bits: InfluxDB writes a whole one without its point.
fn exact(value: &Value, is_float: bool) -> String {
    match value.as_f64().filter(|_| is_float) {
        Some(float) => format!("{:016x}", float.to_bits()),
        None => value.to_string(),
    }
}

/// All values of a dump, in the shape of what queries show.
fn dumped(pages: &[u8], field: &str, is_float: bool) -> Vec<(i64, String, String)> {
    let mut values = Vec::new();
    for page in std::str::from_utf8(pages).unwrap().lines() {
        for record in serde_json::from_str::<Vec<Map<String, Value>>>(page).unwrap() {
            let Some(value) = record.get(field) else { continue };
            let time = chrono::DateTime::parse_from_rfc3339(record["time"].as_str().unwrap()).unwrap();
            let tags: Map<String, Value> = record
                .iter()
                .filter(|(name, _)| history::TAGS.contains(&name.as_str()))
                .map(|(name, value)| (name.clone(), value.clone()))
                .collect();
            values.push((time.timestamp_nanos_opt().unwrap(), Value::from(tags).to_string(), exact(value, is_float)));
        }
    }
    values.sort();
    values
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dump_from_the_backup_is_byte_for_byte_the_one_from_a_restored_influxdb_and_what_queries_show() {
    let (points, seed) = (number("NIGHTSHARD_FIDELITY_POINTS", POINTS), number("NIGHTSHARD_FIDELITY_SEED", 1));
    let place = Place::folder();
    // Compactions are to happen while it is written.
    let production = Influxd::options()
        .set("data", "compact-full-write-cold-duration", "\"2s\"")
        .set("data", "cache-snapshot-write-cold-duration", "\"1s\"")
        .start()
        .await;
    production.statement("CREATE DATABASE sensu_db WITH DURATION INF SHARD DURATION 1d NAME \"day\"").await;
    let mut history = History::new(seed);
    history.play(&production, points).await;

    let mut backup = place.backup(&production);
    backup.args(["--database", "sensu_db", "--date", NIGHT, "--timezone", "UTC", "--verify", "decode"]);
    let sealed = succeed(backup).await;
    let intermediary = Influxd::start().await;
    let mut restore = place.restore(&intermediary);
    restore.args(["--date", NIGHT, "--timezone", "UTC", "--first-restore"]);
    succeed(restore).await;

    let (mut compared, mut files, mut notes) = (0_u64, 0, Vec::new());
    for (day, span) in DAYS {
        let folders = temp_dir();
        let [backup, influx] = ["backup", "influx"].map(|name| folders.path().join(name));
        let utc = ["--timezone", "UTC"];
        let (from_backup, outcome) = dumps(&place, day, &backup, &[&utc[..], &["--from", "backup"]].concat()).await;
        let live = [
            "--from",
            "influx",
            "--target",
            &intermediary.url(),
            "--target-snapshot-addr",
            &intermediary.snapshot_address(),
        ];
        let (from_influx, _) = dumps(&place, day, &influx, &[&utc[..], &live].concat()).await;
        assert_eq!(from_backup.keys().collect::<Vec<_>>(), from_influx.keys().collect::<Vec<_>>(), "{day}");
        for (name, bytes) in &from_backup {
            assert!(*bytes == from_influx[name], "seed {seed}: {name} differs, kept in {:?}", folders.keep());
        }
        notes.extend(outcome["dumps"].as_array().unwrap().iter().map(|dump| dump["records"].as_u64().unwrap()));
        files += from_backup.len();

        for measurement in MEASUREMENTS {
            let file = from_backup.iter().find(|(name, _)| name.starts_with(&history::file_name(measurement)));
            let empty = Vec::new();
            let pages = file.map_or(&empty, |(_, pages)| pages);
            for (field, kind) in FIELDS {
                let is_float = *kind == "float";
                let shown = shown(&production, measurement, field, span).await;
                let mut shown: Vec<_> = shown
                    .into_iter()
                    .map(|(time, tags, value)| (time, Value::from(tags).to_string(), exact(&value, is_float)))
                    .collect();
                shown.sort();
                let dumped = dumped(pages, field, is_float);
                let first = shown.iter().zip(&dumped).find(|(shown, dumped)| shown != dumped);
                assert!(
                    first.is_none() && shown.len() == dumped.len(),
                    "seed {seed}, {day}, {measurement}.{field}: {} shown, {} dumped, {first:?}",
                    shown.len(),
                    dumped.len()
                );
                compared += dumped.len() as u64;
            }
        }
    }
    println!(
        "seed {seed}: {points} values written, {compared} of them found alike in {files} dumps, shards {}",
        sealed["shards"]
    );
    assert!(compared > points / 3 && files >= 4, "{compared} values in {files} files");
}
