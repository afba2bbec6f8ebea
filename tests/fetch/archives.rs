//! Archives to fetch from, and looks at what came.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use test_support::Influxd;

use crate::night::{Place, read_all, run, succeed};

/// 2016-06-11 00:00 in Berlin, in seconds.
pub(crate) const MIDNIGHT: i64 = 1_465_596_000;

pub(crate) const DAYS: [&str; 2] = ["2016-06-11", "2016-06-12"];

/// A production with two measurements on two days.
pub(crate) async fn production() -> Influxd {
    let source = Influxd::start().await;
    source.statement("CREATE DATABASE sensu_db WITH DURATION INF SHARD DURATION 1d NAME \"default\"").await;
    let mut lines = String::new();
    for hour in 0..48 {
        let time = (MIDNIGHT + hour * 3600) * 1_000_000_000;
        writeln!(lines, "cpu,host=a load={hour}i,idle=0.5 {time}\nmem,host=a free={hour}i {time}").unwrap();
    }
    source.write("sensu_db", &lines).await;
    source
}

/// Backups of both days, and their dumps: one of them compressed.
pub(crate) async fn two_nights(place: &Place) {
    let source = production().await;
    for day in DAYS {
        back_up(place, &source, &["--date", day]).await;
        dump(place, &["cpu", "--date", day]).await;
        dump(place, &["mem", "--date", day, "--compress", "zstd"]).await;
    }
}

pub(crate) async fn back_up(place: &Place, source: &Influxd, arguments: &[&str]) {
    let mut backup = place.backup(source);
    backup.args(arguments);
    succeed(backup).await;
}

pub(crate) async fn dump(place: &Place, arguments: &[&str]) -> Value {
    let mut dump = place.command(env!("CARGO_BIN_EXE_nightshard-dump"));
    dump.args(["--json", "--from", "backup"]).args(arguments);
    succeed(dump).await
}

pub(crate) fn command(place: &Place, arguments: &[&str]) -> Command {
    let mut fetch = place.command(env!("CARGO_BIN_EXE_nightshard-fetch"));
    fetch.args(arguments);
    fetch
}

pub(crate) async fn fetch(place: &Place, arguments: &[&str]) -> Output {
    run(command(place, arguments)).await
}

/// The outcome for programs, and the exit code.
pub(crate) async fn outcome(place: &Place, arguments: &[&str]) -> (Value, Option<i32>) {
    let output = fetch(place, &[arguments, &["--json"]].concat()).await;
    let printed = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{arguments:?}: {output:?}"));
    (printed, output.status.code())
}

/// What a whole fetch of the days must bring, by other means than ours.
pub(crate) fn stored(place: &Place, days: &[&str]) -> BTreeMap<String, Vec<u8>> {
    let is_sealed = |name: &str| {
        let (_, rest) = name.split_once('/').unwrap();
        let seal = rest == "manifests/backup.json" || rest.starts_with("manifests/dump.");
        seal || rest.starts_with("shards/") || rest.starts_with("influxdb/")
    };
    let contents = days.iter().flat_map(|day| {
        let container = place.container(day);
        place.contents(day).into_iter().filter(move |(name, _)| name.starts_with(&format!("{container}/")))
    });
    contents.filter(|(name, _)| is_sealed(name)).collect()
}

/// All files of a folder.
pub(crate) fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    if folder.exists() {
        read_all(folder, folder, &mut files);
    }
    files
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
