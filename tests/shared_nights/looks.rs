//! Looking at nights by other means than ours.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use sha2::{Digest, Sha256};
use test_support::{Influxd, temp_dir};

use crate::account::swift;
use crate::night::{Place, read_all};

pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

pub(crate) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap()
}

/// A production with many shards, of which one is large enough to consist of other objects in the pool.
pub(crate) async fn production() -> Influxd {
    let source = Influxd::start().await;
    source.statement("CREATE DATABASE sensu_db WITH DURATION INF SHARD DURATION 1d NAME \"default\"").await;
    let mut lines = String::new();
    for day in 0..24 {
        writeln!(lines, "cpu,host=a load={day} {}", (1_464_739_200 + day * 86_400) * 1_000_000_000_i64).unwrap();
    }
    for number in 0..400 {
        let text: String = (0..3600).map(|_| char::from(rand::random_range(b'#'..=b'Z'))).collect();
        writeln!(lines, "log,host=a text=\"{text}\" {}", (1_464_739_200 + number) * 1_000_000_000_i64).unwrap();
    }
    source.write("sensu_db", &lines).await;
    source
}

/// The shard that consists of other objects: its name in the night, its name in the pool, and that of its first piece.
pub(crate) fn composed(seal: &Value) -> (String, String, String) {
    let objects = seal["objects"].as_array().unwrap();
    let object = objects.iter().find(|object| object["pooled"]["pieces"].is_array()).unwrap();
    let pooled = &object["pooled"];
    (text(object, "name").to_owned(), text(pooled, "name").to_owned(), text(&pooled["pieces"][0], "name").to_owned())
}

/// What `swift download` brings of a night's shards, by object name.
pub(crate) async fn downloaded(place: &Place, night: &str, into: &Path) -> BTreeMap<String, Vec<u8>> {
    let folder = into.display().to_string();
    swift(place, &["download", night, "-p", &format!("{night}/shards/"), "-D", &folder]).await;
    let mut contents = BTreeMap::new();
    read_all(into, into, &mut contents);
    contents
}

/// What was downloaded is what the seal says that InfluxDB sent, object by object, and nothing else.
pub(crate) fn assert_as_sealed(contents: &BTreeMap<String, Vec<u8>>, seal: &Value) {
    let objects = seal["objects"].as_array().unwrap().iter();
    let sealed: BTreeMap<&str, &str> = objects.map(|object| (text(object, "name"), text(object, "sha256"))).collect();
    let came: BTreeMap<&str, String> = contents.iter().map(|(name, bytes)| (name.as_str(), sha256(bytes))).collect();
    let came: BTreeMap<&str, &str> = came.iter().map(|(name, digest)| (*name, digest.as_str())).collect();
    assert_eq!(came, sealed);
}

/// The files of each shard as `influxd backup` has them at this moment: SHA-256 by name, by `database.policy.shard`.
pub(crate) fn backed_up_by_influxd(source: &Influxd) -> BTreeMap<String, BTreeMap<String, String>> {
    let folder = temp_dir();
    let mut influxd = Command::new("influxd");
    influxd.args(["backup", "-host", &source.snapshot_address(), "-database", "sensu_db"]).arg(folder.path());
    let output = influxd.output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let mut tars = BTreeMap::new();
    read_all(folder.path(), folder.path(), &mut tars);
    let shards = tars.keys().filter(|name| !name.starts_with("meta"));
    let files = shards.map(|tar| {
        let unpacked = temp_dir();
        let status =
            Command::new("tar").arg("-xf").arg(folder.path().join(tar)).arg("-C").arg(unpacked.path()).status();
        assert!(status.unwrap().success(), "{tar}");
        let mut contents = BTreeMap::new();
        read_all(unpacked.path(), unpacked.path(), &mut contents);
        let digests = contents.iter().map(|(name, bytes)| (name.rsplit('/').next().unwrap().to_owned(), sha256(bytes)));
        (tar.trim_end_matches(".00").to_owned(), digests.collect())
    });
    files.collect()
}

/// The files of each shard as the night's seal names them, in the same way.
pub(crate) fn files_of(seal: &Value) -> BTreeMap<String, BTreeMap<String, String>> {
    let objects = seal["objects"].as_array().unwrap().iter().filter(|object| object["kind"] == "shard");
    let shards = objects.map(|object| {
        let files = object["files"].as_array().unwrap().iter();
        let files = files.map(|file| (text(file, "name").to_owned(), text(file, "sha256").to_owned())).collect();
        (text(object, "name").rsplit('/').next().unwrap().trim_end_matches(".00").to_owned(), files)
    });
    shards.collect()
}

/// What `influxd restore` makes of downloaded shards, in a server of its own.
pub(crate) async fn restored_by_influxd(shards: &Path, base: &Path) -> Influxd {
    let mut influxd = Command::new("influxd");
    influxd.args(["restore", "-metadir"]).arg(base.join("meta")).arg("-datadir").arg(base.join("data"));
    let output = influxd.args(["-database", "sensu_db", "-newdb", "sensu_db"]).arg(shards).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    Influxd::options().base(base).start().await
}
