//! What a night holds: what `influxd backup` would have written, and a manifest that tells it, also when the server changes
//! meanwhile.

use std::path::Path;
use std::process::Command;

use archive::names;
use chrono::Utc;
use jobs::Kind;
use jobs::backup::Config;
use store::StoreExt;
use test_support::{Fault, FaultProxy, Influxd, temp_dir};

use super::bench::{Bench, NIGHT, fill, influx, influx_at};

#[tokio::test]
async fn a_night_is_bit_for_bit_what_influxd_backup_writes() {
    let influxd = Influxd::start().await;
    fill(&influxd, 12).await;
    influxd.query("sensu_db", "DELETE FROM cpu WHERE host = 'h3' AND time < '2016-05-03'").await;
    let bench = Bench::new();
    let outcome = bench.run(influx(&influxd)).await.unwrap();
    assert_eq!((outcome.shards, outcome.warnings), (12, Vec::<String>::new()));

    let peer = temp_dir();
    let status = Command::new("influxd")
        .args(["backup", "-host", &influxd.snapshot_address(), "-database", "sensu_db"])
        .arg(peer.path())
        .output()
        .unwrap();
    assert!(status.status.success(), "{status:?}");
    let ours = bench.folder.path().join("archive").join(NIGHT).join(NIGHT).join("shards");
    let theirs = files(peer.path());
    assert_eq!(files(&ours), theirs, "the same names");
    assert_eq!(theirs.len(), 13);
    for name in theirs {
        let (one, other) = (std::fs::read(ours.join(&name)).unwrap(), std::fs::read(peer.path().join(&name)).unwrap());
        assert!(one == other, "{name} differs");
    }
    bench.assert_spool_is_empty();
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn the_manifest_tells_what_each_object_is() {
    let influxd = Influxd::start().await;
    fill(&influxd, 3).await;
    let bench = Bench::new();
    let before = Utc::now();
    bench.run(influx(&influxd)).await.unwrap();
    let manifest = bench.manifest().await;
    assert_eq!((manifest.container.as_str(), manifest.time_zone.as_str()), (NIGHT, "Europe/Berlin"));
    assert_eq!(manifest.databases, ["sensu_db"]);
    assert!(manifest.source.influxdb_version.starts_with("1.6.7"), "{:?}", manifest.source);
    assert_eq!(manifest.source.data_directory, influxd.data_dir().display().to_string());
    assert_ne!(manifest.source.cluster_id, "0");
    assert_eq!(manifest.shards().count(), 3);
    for (object, shard) in manifest.shards() {
        assert_eq!(object.name, format!("{NIGHT}/shards/sensu_db.default.{:05}.00", shard.shard_id));
        let starts = shard.starts.unwrap();
        assert_eq!((shard.ends - starts).num_hours(), 24);
        assert!(shard.snapshot_taken >= before - chrono::Duration::seconds(1) && shard.snapshot_taken <= Utc::now());
        let bytes = bench.store.get_bytes(NIGHT, &object.name, 1 << 20).await.unwrap();
        assert_eq!(object.bytes, bytes.len() as u64);
        let digests = store::Digests::of(&bytes, None);
        assert_eq!((&object.sha256, &object.md5), (&hex::encode(digests.sha256), &hex::encode(digests.md5)));
        assert_eq!(shard.files.len(), 1);
        for file in &shard.files {
            let start = usize::try_from(file.offset).unwrap();
            let content = &bytes[start..start + usize::try_from(file.bytes).unwrap()];
            assert_eq!(&content[..4], [0x16, 0xd1, 0x16, 0xd1]);
            assert_eq!(file.sha256, hex::encode(store::Digests::of(content, None).sha256));
        }
    }
    let meta = manifest.metastore().unwrap();
    let bytes = bench.store.get_bytes(NIGHT, &meta.name, 1 << 20).await.unwrap();
    let framed = influx::metastore::Framed::decode(bytes).unwrap();
    assert_eq!(framed.data.cluster_id.to_string(), manifest.source.cluster_id);
    assert!(!bench.objects().await.iter().any(|name| name.contains("/running/")), "the marker is gone");
}

#[tokio::test]
async fn all_databases_but_internal_are_taken_when_none_is_named() {
    let influxd = Influxd::options().internal_database().start().await;
    fill(&influxd, 1).await;
    influxd.statement("CREATE DATABASE \"an empty one\"").await;
    let bench = Bench::new();
    let config = Config { databases: Vec::new(), ..bench.config() };
    let outcome = bench.run_with(config, influx(&influxd)).await.unwrap();
    assert_eq!(outcome.databases, ["an empty one", "sensu_db"]);
}

#[tokio::test]
async fn a_shard_that_is_dropped_meanwhile_is_left_out_and_named() {
    let influxd = Influxd::start().await;
    fill(&influxd, 4).await;
    let bench = Bench::new();
    let proxy = FaultProxy::start(&influxd.snapshot_address()).await;
    // The first shard comes slowly, so that another one can be dropped before its turn.
    proxy.set_next([Fault::None, Fault::None, Fault::None, Fault::SlowAnswer(4000)]);
    let config = Config { parallel: 1, ..bench.config() };
    let (outcome, ()) = tokio::join!(bench.run_with(config, influx_at(&influxd, &proxy.address())), async {
        proxy.await_connections(4).await;
        let shards = influxd.rows("sensu_db", "SHOW SHARDS").await;
        for shard in shards {
            influxd.statement(&format!("DROP SHARD {}", shard[0])).await;
        }
        fill_one_more(&influxd).await;
    });
    let outcome = outcome.unwrap();
    let manifest = bench.manifest().await;
    // What is left is the shard that appeared; whatever had been stored of the others is gone from `shards/`.
    assert_eq!(outcome.shards, 1, "{outcome:?}");
    let listed = bench.store.list_all(NIGHT, &names::shards_prefix(NIGHT)).await.unwrap();
    let mut named: Vec<String> = manifest.objects.iter().map(|object| object.name.clone()).collect();
    named.sort();
    assert_eq!(listed.into_iter().map(|entry| entry.name).collect::<Vec<_>>(), named);
}

async fn fill_one_more(influxd: &Influxd) {
    influxd.write("sensu_db", "cpu,host=late idle=1.0 1470000000000000000").await;
}

#[tokio::test]
async fn a_database_that_is_dropped_meanwhile_is_left_out_and_named_unless_it_was_asked_for() {
    for asked in [false, true] {
        let influxd = Influxd::start().await;
        fill(&influxd, 3).await;
        influxd.statement("CREATE DATABASE scratch").await;
        influxd.write("scratch", "cpu idle=1 1462060800000000000").await;
        let bench = Bench::new();
        let proxy = FaultProxy::start(&influxd.snapshot_address()).await;
        // The metastore and two lists of each database come first; then a shard that is slow.
        let mut faults = vec![Fault::None; 5];
        faults.push(Fault::SlowAnswer(4000));
        proxy.set_next(faults);
        let databases = if asked { vec!["scratch".to_owned(), "sensu_db".to_owned()] } else { Vec::new() };
        let config = Config { parallel: 1, databases, ..bench.config() };
        let (outcome, ()) = tokio::join!(bench.run_with(config, influx_at(&influxd, &proxy.address())), async {
            proxy.await_connections(6).await;
            influxd.statement("DROP DATABASE scratch").await;
        });
        if asked {
            let failed = outcome.unwrap_err();
            assert_eq!(failed.kind(), Kind::Failed);
            assert!(failed.to_string().contains("database scratch was dropped"), "{failed}");
        } else {
            let outcome = outcome.unwrap();
            assert_eq!((outcome.databases, outcome.shards), (vec!["sensu_db".to_owned()], 3));
            assert!(outcome.warnings.iter().any(|warning| warning == "database scratch was dropped during the backup"));
        }
    }
}
