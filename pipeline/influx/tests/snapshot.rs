//! The snapshot service of a real server, and services that break.

// Clippy does not see that helpers beside the tests belong to them.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use nightshard_influx::metastore::{Data, frame};
use nightshard_influx::snapshot::ShardPath;
use nightshard_influx::{Error, Influx, Settings};
use test_support::{Fault, FaultProxy, Influxd};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

/// The end of every complete tar.
const TRAILER: [u8; 1024] = [0; 1024];

fn connect_at(influxd: &Influxd, address: impl Into<String>) -> Influx {
    let mut settings = Settings::new(influxd.url().parse().unwrap(), address);
    settings.answer_timeout = Duration::from_millis(1500);
    settings.stall_timeout = Duration::from_millis(800);
    Influx::new(settings).unwrap()
}

fn connect(influxd: &Influxd) -> Influx {
    Influx::new(Settings::new(influxd.url().parse().unwrap(), influxd.snapshot_address())).unwrap()
}

/// A server with two policies and three shards, in the order policy, group.
async fn three_shards() -> Influxd {
    let influxd = Influxd::start().await;
    influxd.statement("CREATE DATABASE demo").await;
    influxd.statement("CREATE RETENTION POLICY \"a.b c\" ON demo DURATION INF REPLICATION 1 SHARD DURATION 1d").await;
    influxd.write("demo", "cpu,host=a v=1 1600000000000000000\ncpu,host=a v=2 1600600000000000000").await;
    influxd.write_into("demo", "a.b c", "cpu,host=b v=3 1600000000000000000").await;
    influxd
}

fn path(policy: &str, id: u64) -> ShardPath {
    ShardPath { database: "demo".to_owned(), policy: policy.to_owned(), id }
}

async fn read(influx: &Influx, id: u64) -> Result<Vec<u8>, Error> {
    let mut stream = influx.snapshot().shard(id).await?;
    let mut bytes = Vec::new();
    while let Some(piece) = stream.next().await? {
        bytes.extend_from_slice(&piece);
    }
    assert_eq!(stream.received(), bytes.len() as u64);
    Ok(bytes)
}

#[tokio::test]
async fn shards_are_listed_by_database_and_by_policy() {
    let influxd = three_shards().await;
    influxd.statement("CREATE DATABASE \"<empty> & \\\"quoted\\\"\"").await;
    let influx = connect(&influxd);
    let snapshot = influx.snapshot();
    assert_eq!(snapshot.shards("demo").await.unwrap(), [path("autogen", 1), path("autogen", 2), path("a.b c", 3)]);
    assert_eq!(snapshot.policy_shards("demo", "a.b c").await.unwrap(), [path("a.b c", 3)]);
    assert_eq!(snapshot.shards("<empty> & \"quoted\"").await.unwrap(), []);
}

#[tokio::test]
async fn a_database_that_does_not_exist_is_said_to_not_exist() {
    let influxd = three_shards().await;
    let influx = connect(&influxd);
    let error = influx.snapshot().shards("nobody").await.unwrap_err();
    assert!(matches!(&error, Error::UnknownDatabase { database, .. } if database == "nobody"), "{error}");
    assert!(!error.is_passing() && error.hint().is_some());
    for (database, policy) in [("demo", "nothing"), ("demo", ""), ("nobody", "autogen")] {
        let error = influx.snapshot().policy_shards(database, policy).await.unwrap_err();
        assert!(matches!(&error, Error::UnknownPolicy { .. }), "{error}");
    }
}

#[tokio::test]
async fn a_shard_holds_what_was_written_before() {
    let influxd = three_shards().await;
    let influx = connect(&influxd);
    let tar = read(&influx, 1).await.unwrap();
    assert!(tar.starts_with(b"demo/autogen/1/000000001-000000001.tsm\0"), "the cache was made a file");
    assert!(tar.ends_with(&TRAILER) && tar.len().is_multiple_of(512));
    // Nothing new, so the same answer again.
    assert_eq!(read(&influx, 1).await.unwrap(), tar);
}

#[tokio::test]
async fn several_shards_can_be_read_at_once() {
    let influxd = three_shards().await;
    let influx = connect(&influxd);
    let (first, second, third) = tokio::join!(read(&influx, 1), read(&influx, 2), read(&influx, 3));
    for (tar, name) in [(first, "demo/autogen/1/"), (second, "demo/autogen/2/"), (third, "demo/a.b c/3/")] {
        let tar = tar.unwrap();
        assert!(tar.starts_with(name.as_bytes()) && tar.ends_with(&TRAILER), "{name}");
    }
}

#[tokio::test]
async fn a_shard_that_does_not_exist_is_an_empty_stream() {
    let influxd = three_shards().await;
    assert!(read(&connect(&influxd), 4711).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_large_shard_comes_in_pieces_of_bounded_size() {
    let influxd = Influxd::start().await;
    influxd.statement("CREATE DATABASE demo").await;
    // Digits that do not compress: a linear congruential generator.
    let mut state: u64 = 1;
    let lines: String = (0..400_000)
        .map(|time| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            format!("m v={}i {time}\n", state.cast_signed() >> 1)
        })
        .collect();
    influxd.write("demo", &lines).await;
    let influx = connect(&influxd);
    let mut stream = influx.snapshot().shard(1).await.unwrap();
    let (mut pieces, mut largest) = (0, 0);
    while let Some(piece) = stream.next().await.unwrap() {
        pieces += 1;
        largest = largest.max(piece.len());
    }
    assert!(stream.received() > 3 << 20 && pieces > 10, "{} bytes, {pieces} pieces", stream.received());
    assert!(largest <= 512 << 10, "{largest}");
}

#[tokio::test]
async fn the_metastore_is_that_of_the_servers_own_file() {
    let influxd = three_shards().await;
    influxd.statement("CREATE USER boss WITH PASSWORD 'x' WITH ALL PRIVILEGES").await;
    influxd
        .statement("CREATE CONTINUOUS QUERY cq ON demo BEGIN SELECT mean(v) INTO b FROM cpu GROUP BY time(1h) END")
        .await;
    influxd.statement("CREATE SUBSCRIPTION s ON demo.autogen DESTINATIONS ALL 'udp://127.0.0.1:9'").await;
    influxd.statement("DROP SHARD 2").await;
    let framed = connect(&influxd).snapshot().metastore().await.unwrap();
    influxd.stop();
    let file = std::fs::read(influxd.meta_dir().join("meta.db")).unwrap();
    assert_eq!(framed.data, Data::from_meta_db(&file).unwrap());
    assert_eq!(framed.data.to_meta_db(), file, "byte for byte");
    assert_eq!(frame(&framed.data), framed.raw, "byte for byte");

    let database = framed.data.database("demo").unwrap();
    assert_eq!(
        database.live_shards().map(|shard| (shard.policy, shard.id)).collect::<Vec<_>>(),
        [("autogen", 1), ("a.b c", 3)]
    );
    assert_eq!(database.continuous_queries.len(), 1);
    assert_eq!(framed.data.users[0].name, "boss");
    assert_eq!(framed.data.max_shard_id, 3);
}

#[tokio::test]
async fn a_server_takes_the_metastore_that_was_written_here() {
    let influxd = three_shards().await;
    let mut data = connect(&influxd).snapshot().metastore().await.unwrap().data;
    influxd.stop();
    data.index += 1;
    data.databases[0].policies[0].duration = 3_600_000_000_000 * 24 * 365 * 100;
    std::fs::write(influxd.meta_dir().join("meta.db"), data.to_meta_db()).unwrap();
    influxd.restart().await;
    let influx = connect(&influxd);
    assert_eq!(influx.retention_policies("demo").await.unwrap()[0].duration, "876000h0m0s");
    assert_eq!(influx.snapshot().metastore().await.unwrap().data, data);
    assert_eq!(influxd.count("demo", "cpu", "v").await, 2);
}

#[tokio::test]
async fn a_first_possible_point_lies_in_a_group_without_lower_bound() {
    let influxd = Influxd::start().await;
    influxd.statement("CREATE DATABASE demo").await;
    let first = i64::MIN + 2;
    influxd.write("demo", &format!("m v=1 {first}\nm v=1 9223372036854775806")).await;
    let data = connect(&influxd).snapshot().metastore().await.unwrap().data;
    let ranges: Vec<_> = data.database("demo").unwrap().live_shards().map(|shard| shard.time_range).collect();
    assert_eq!(ranges.len(), 2);
    let lowest = ranges.iter().find(|range| range.start.is_none()).unwrap();
    assert!(lowest.contains(first) && !lowest.contains(0));
    assert!(ranges.iter().any(|range| range.contains(9_223_372_036_854_775_806)));
}

#[tokio::test]
async fn a_metastore_of_more_than_half_a_megabyte_arrives_whole() {
    let influxd = Influxd::start().await;
    let influx = connect(&influxd);
    influx.create_database("demo").await.unwrap();
    let host = "h".repeat(10_000);
    for number in 0..60 {
        let select = format!("SELECT mean(v) INTO b FROM cpu WHERE host = '{host}' GROUP BY time(1h)");
        let statement = format!("CREATE CONTINUOUS QUERY cq{number} ON demo BEGIN {select} END");
        influx.statement(None, &statement).await.unwrap();
    }
    let framed = influx.snapshot().metastore().await.unwrap();
    assert!(framed.raw.len() > 512 << 10, "{} bytes", framed.raw.len());
    assert_eq!(framed.data.databases[0].continuous_queries.len(), 60);
    assert_eq!(frame(&framed.data), framed.raw);
}

#[tokio::test]
async fn a_cut_list_or_metastore_is_a_passing_error() {
    let influxd = three_shards().await;
    let proxy = FaultProxy::start(influxd.snapshot_address()).await;
    let influx = connect_at(&influxd, proxy.address());
    for fault in [Fault::CutAnswer(1), Fault::CutAnswer(17), Fault::CutAnswer(60), Fault::ResetAnswer(17)] {
        proxy.set(fault);
        for error in [
            influx.snapshot().metastore().await.map(drop).unwrap_err(),
            influx.snapshot().shards("demo").await.map(drop).unwrap_err(),
        ] {
            assert!(matches!(error, Error::Truncated { .. }) && error.is_passing(), "{fault:?}: {error}");
        }
    }
    // An empty answer to this request has no other meaning than a server that is gone.
    proxy.set(Fault::CutAnswer(0));
    let error = influx.snapshot().metastore().await.unwrap_err();
    assert!(matches!(error, Error::Truncated { received: 0, .. }), "{error}");
    proxy.set(Fault::None);
    assert_eq!(influx.snapshot().shards("demo").await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_stream_that_stalls_is_given_up_and_one_that_is_reset_is_an_error() {
    let influxd = three_shards().await;
    let proxy = FaultProxy::start(influxd.snapshot_address()).await;
    let influx = connect_at(&influxd, proxy.address());
    let whole = read(&influx, 1).await.unwrap();

    proxy.set(Fault::StallAnswer(600));
    let error = read(&influx, 1).await.unwrap_err();
    assert!(matches!(error, Error::Stalled { received: 600, .. }) && error.is_passing(), "{error}");
    proxy.set(Fault::StallAnswer(0));
    let error = read(&influx, 1).await.unwrap_err();
    assert!(matches!(error, Error::Stalled { received: 0, waited, .. } if waited.as_millis() == 1500), "{error}");

    proxy.set(Fault::ResetAnswer(600));
    let error = read(&influx, 1).await.unwrap_err();
    assert!(matches!(error, Error::Truncated { .. }) && error.is_passing(), "{error}");

    // A clean end in the middle cannot be told from a good one here: the tar must be looked at.
    proxy.set(Fault::CutAnswer(600));
    assert_eq!(read(&influx, 1).await.unwrap(), whole[..600]);

    // Slow is not stalled: the whole takes longer than the patience between two bytes.
    proxy.set(Fault::SlowAnswer(whole.len() as u64 / 2));
    assert_eq!(read(&influx, 1).await.unwrap(), whole);
}

#[tokio::test]
async fn a_request_is_one_write_and_the_connection_is_used_once() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let settings = Settings::new("http://127.0.0.1:1".parse().unwrap(), listener.local_addr().unwrap().to_string());
    let influx = Influx::new(settings).unwrap();
    let server = async {
        let mut requests = BTreeMap::new();
        for name in ["first", "second"] {
            let (mut connection, _) = listener.accept().await.unwrap();
            let mut request = vec![0; 4096];
            // A single read, as servers do; loopback does not cut what was written at once.
            let count = connection.read(&mut request).await.unwrap();
            request.truncate(count);
            connection.write_all(b"{\"Paths\":null}\n").await.unwrap();
            requests.insert(name, Bytes::from(request));
        }
        requests
    };
    let client = async {
        influx.snapshot().shards("demo").await.unwrap();
        influx.snapshot().shards("demo").await.unwrap();
    };
    let (requests, ()) = tokio::join!(server, client);
    let expected = include_bytes!("vectors/database-info.request.bin");
    assert_eq!(requests["first"], expected[..]);
    assert_eq!(requests["second"], expected[..]);
}

#[tokio::test]
async fn what_is_no_snapshot_service_is_told() {
    let influxd = three_shards().await;
    // The HTTP port answers 400 to what is not HTTP.
    let influx = connect_at(&influxd, influxd.http_address());
    let error = influx.snapshot().metastore().await.unwrap_err();
    assert!(matches!(error, Error::Protocol { .. } | Error::Truncated { .. }), "{error}");
    let error = influx.snapshot().shards("demo").await.unwrap_err();
    assert!(matches!(error, Error::Protocol { .. } | Error::Truncated { .. }), "{error}");
}
