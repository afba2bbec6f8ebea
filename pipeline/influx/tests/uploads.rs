//! Databases and shards sent to a real server, and servers that do not take them.

// Clippy does not see that helpers beside the tests belong to them.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use bytes::Bytes;
use nightshard_influx::metastore::merge::excerpt;
use nightshard_influx::metastore::{Data, Database, Policy};
use nightshard_influx::{Error, Influx, Settings};
use test_support::{Fault, FaultProxy, Influxd};

fn connect(influxd: &Influxd) -> Influx {
    connect_at(influxd, influxd.snapshot_address())
}

fn connect_at(influxd: &Influxd, address: impl Into<String>) -> Influx {
    let mut settings = Settings::new(influxd.url().parse().unwrap(), address);
    settings.answer_timeout = Duration::from_secs(2);
    Influx::new(settings).unwrap()
}

async fn read(influx: &Influx, id: u64) -> Vec<u8> {
    let mut stream = influx.snapshot().shard(id).await.unwrap();
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await.unwrap() {
        bytes.extend_from_slice(&piece);
    }
    bytes
}

/// A server with one database, what to send of its metastore, and the tar of its only shard.
async fn source() -> (Influxd, Data, u64, Vec<u8>) {
    let influxd = Influxd::start().await;
    influxd.statement("CREATE DATABASE demo WITH DURATION INF SHARD DURATION 1d NAME \"a.b c\"").await;
    influxd.write("demo", "cpu,host=a v=1 1600000000000000000\ncpu,host=b v=2 1600000000000000000").await;
    let influx = connect(&influxd);
    let id = influx.snapshot().shards("demo").await.unwrap()[0].id;
    let tar = read(&influx, id).await;
    let stored = BTreeSet::from([id]);
    let metastore = excerpt(&influx.snapshot().metastore().await.unwrap().data, "demo", &stored).unwrap().data;
    (influxd, metastore, id, tar)
}

/// The tar under another id of the same length.
fn renamed(tar: &[u8], from: u64, to: u64) -> Bytes {
    assert_eq!((from, to), (1, 1), "a fresh server begins with the same id");
    Bytes::copy_from_slice(tar)
}

#[tokio::test]
async fn a_database_and_its_shard_are_there_once_the_server_has_closed() {
    let (_source, metastore, id, tar) = source().await;
    let target = Influxd::start().await;
    let influx = connect(&target);
    let ids = influx.snapshot().import(&metastore, "demo", 0).await.unwrap();
    assert_eq!(ids.keys().copied().collect::<Vec<_>>(), [id]);
    let mut upload = influx.snapshot().upload(ids[&id]).await.unwrap();
    upload.send(renamed(&tar, id, ids[&id])).await.unwrap();
    upload.finish().await.unwrap();
    let rows = target.rows("demo", "SELECT v FROM cpu").await;
    assert_eq!(rows.len(), 2, "{rows:?}");
    // A second import is refused without a word, and changes nothing.
    assert_eq!(influx.snapshot().import(&metastore, "demo", 0).await.unwrap(), BTreeMap::new());
    assert_eq!(target.rows("demo", "SELECT v FROM cpu").await.len(), 2);
}

#[tokio::test]
async fn a_metastore_of_half_a_megabyte_is_taken_as_a_whole() {
    // Policies without shards, which cost the server nothing.
    let policies = (0..2200).map(|number| Policy {
        name: format!("{number:0>230}"),
        shard_group_duration: 3_600_000_000_000,
        replica_n: 1,
        ..Policy::default()
    });
    let policies: Vec<Policy> = policies.collect();
    let default_policy = policies[0].name.clone();
    let database = Database { name: "wide".to_owned(), default_policy, policies, ..Database::default() };
    let metastore = Data { databases: vec![database], ..Data::default() };
    assert!(metastore.to_meta_db().len() > 500_000);
    let target = Influxd::start().await;
    let influx = connect(&target);
    let mut time = 0;
    let arrived = loop {
        // A refusal may be a reset.
        let answer = influx.snapshot().import(&metastore, "wide", time).await;
        let served = influx.snapshot().metastore().await.unwrap().data;
        if let Some(database) = served.database("wide") {
            assert_eq!(answer.unwrap(), BTreeMap::new());
            break database.clone();
        }
        time += 1;
        assert!(time < 3, "{answer:?}");
    };
    assert_eq!(arrived, metastore.databases[0]);
}

#[tokio::test]
async fn a_shard_that_does_not_exist_is_not_taken() {
    let (_source, _, _, tar) = source().await;
    let target = Influxd::start().await;
    let influx = connect(&target);
    let mut upload = influx.snapshot().upload(4711).await.unwrap();
    // A server that closes without having read may do so before the bytes arrive, and then a few still go on their way.
    let tar = Bytes::from(tar);
    let error = loop {
        if let Err(error) = upload.send(tar.clone()).await {
            break error;
        }
    };
    assert!(matches!(&error, Error::Unsent { .. }), "{error}");
    assert!(error.to_string().contains("cannot send shard 4711 at"), "{error}");
    assert!(error.hint().unwrap().contains("log"), "{error}");
}

#[tokio::test]
async fn a_tar_that_breaks_off_puts_none_of_its_files_in_place() {
    let (source, metastore, id, one_file) = source().await;
    // What was read before has become a file; this becomes another one.
    source.write("demo", "cpu,host=c v=3 1600000000000000000").await;
    let tar = read(&connect(&source), id).await;
    let second = one_file.len() - 1024;
    assert!(tar[second..].starts_with(b"demo/a.b c/1/000000002-"), "two files");
    let target = Influxd::start().await;
    let influx = connect(&target);
    let ids = influx.snapshot().import(&metastore, "demo", 0).await.unwrap();
    for end in [second + 512, second + 600, tar.len() - 1024 - 512] {
        let mut upload = influx.snapshot().upload(ids[&id]).await.unwrap();
        upload.send(Bytes::copy_from_slice(&tar[..end])).await.unwrap();
        drop(upload);
        // The server closes the shard until it has noticed.
        let files = loop {
            if let Some(shard) = influx.shard_statistics().await.unwrap().get(&ids[&id]) {
                break shard.tsm_files;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        assert_eq!(files, 0, "cut after {end} bytes");
    }
    let mut upload = influx.snapshot().upload(ids[&id]).await.unwrap();
    upload.send(renamed(&tar, id, ids[&id])).await.unwrap();
    upload.finish().await.unwrap();
    assert_eq!(target.rows("demo", "SELECT v FROM cpu").await.len(), 3);
    assert_eq!(influx.shard_statistics().await.unwrap()[&ids[&id]].tsm_files, 2);
}

#[tokio::test]
async fn a_connection_that_breaks_or_stands_still_is_an_error_in_time() {
    let (_source, metastore, id, tar) = source().await;
    let target = Influxd::start().await;
    let proxy = FaultProxy::start(target.snapshot_address()).await;
    let influx = connect_at(&target, proxy.address().to_string());
    let ids = influx.snapshot().import(&metastore, "demo", 0).await.unwrap();
    for fault in [Fault::ResetRequest(600), Fault::StallRequest(600)] {
        proxy.set_next([fault]);
        let mut upload = influx.snapshot().upload(ids[&id]).await.unwrap();
        // Large enough to fill all buffers on the way.
        let filling = Bytes::from(vec![0; 64 << 20]);
        let mut ended = upload.send(Bytes::copy_from_slice(&tar[..512])).await;
        if ended.is_ok() {
            ended = upload.send(filling).await;
        }
        let error = ended.unwrap_err();
        assert!(matches!(&error, Error::Unsent { .. }) && error.is_passing(), "{error}");
    }
}
