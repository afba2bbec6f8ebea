//! Connections that break, servers that are killed, and runs that are asked to end: no night, and no trace but a word.

use archive::{NightState, night_state};
use jobs::Kind;
use jobs::backup::Config;
use store::StoreExt;
use test_support::{Fault, FaultProxy, Influxd};

use super::bench::{Bench, NIGHT, fill, influx, influx_at};

#[tokio::test]
async fn a_stream_that_is_cut_is_asked_for_again_and_the_night_is_whole() {
    let influxd = Influxd::start().await;
    fill(&influxd, 2).await;
    // Cut in good order and by a reset, in the middle of a shard and at its first byte.
    for fault in [Fault::CutAnswer(700), Fault::CutAnswer(1536), Fault::ResetAnswer(700), Fault::CutAnswer(0)] {
        let bench = Bench::new();
        let proxy = FaultProxy::start(&influxd.snapshot_address()).await;
        // The metastore and two lists come first; then the shards, one at a time.
        proxy.set_next([Fault::None, Fault::None, Fault::None, fault]);
        let config = Config { parallel: 1, ..bench.config() };
        let outcome = bench.run_with(config, influx_at(&influxd, &proxy.address())).await.unwrap();
        assert_eq!((outcome.shards, outcome.warnings.len()), (2, 0), "{fault:?}");
        for (object, _) in bench.manifest().await.shards() {
            let bytes = bench.store.get_bytes(NIGHT, &object.name, 1 << 20).await.unwrap();
            tsm::tar::list(bytes.as_ref()).unwrap();
        }
        bench.assert_spool_is_empty();
    }
}

#[tokio::test]
async fn a_stream_that_is_always_cut_ends_the_run_without_a_night_and_its_marker_says_why() {
    let influxd = Influxd::start().await;
    fill(&influxd, 2).await;
    let bench = Bench::new();
    let proxy = FaultProxy::start(&influxd.snapshot_address()).await;
    // Lists and the metastore are shorter than this.
    proxy.set(Fault::CutAnswer(1200));
    let failed = bench.run(influx_at(&influxd, &proxy.address())).await.unwrap_err();
    assert!(failed.to_string().contains("without its trailer"), "{failed}");
    assert!(failed.to_string().contains("cannot take a snapshot of shard"), "{failed}");
    bench.assert_no_night().await;
    match night_state(bench.store.as_ref(), NIGHT).await.unwrap() {
        NightState::Failed(error) => assert_eq!(error, failed.to_string()),
        state => panic!("{state:?}"),
    }
    // Nothing was uploaded, so the same command may try again.
    assert_eq!(bench.run(influx(&influxd)).await.unwrap().shards, 2);
    assert!(!bench.objects().await.iter().any(|name| name.contains("/running/")), "the seal ends the error");
}

#[tokio::test]
async fn a_server_that_is_killed_in_mid_stream_leaves_no_night() {
    let influxd = Influxd::start().await;
    fill(&influxd, 2).await;
    let bench = Bench::new();
    let proxy = FaultProxy::start(&influxd.snapshot_address()).await;
    // Lists and the metastore are shorter than this.
    proxy.set(Fault::StallAnswer(900));
    let influx = influx_at(&influxd, &proxy.address());
    let (failed, ()) = tokio::join!(bench.run(influx), async {
        proxy.await_connections(4).await;
        influxd.kill();
        drop(proxy);
    });
    let failed = failed.unwrap_err();
    assert!(matches!(failed.kind(), Kind::Failed), "{failed}");
    bench.assert_no_night().await;
}

#[tokio::test]
async fn what_a_killed_run_left_in_the_spool_is_swept_by_the_next() {
    let influxd = Influxd::start().await;
    fill(&influxd, 1).await;
    let bench = Bench::new();
    let left = bench.spool().join("nightshard-spool-killed");
    std::fs::create_dir_all(&left).unwrap();
    std::fs::write(left.join("shard-1.tar"), "half").unwrap();
    let foreign =
        ["somebody-elses", "nightshard-data", "nightshard-spool-of-mine"].map(|name| bench.spool().join(name));
    for folder in &foreign {
        std::fs::create_dir_all(folder).unwrap();
    }
    bench.run(influx(&influxd)).await.unwrap();
    assert!(!left.exists());
    assert!(foreign.iter().all(|folder| folder.exists()));
}

#[tokio::test]
async fn a_run_that_is_asked_to_end_says_so_in_its_marker() {
    let influxd = Influxd::start().await;
    fill(&influxd, 3).await;
    let bench = Bench::new();
    let proxy = FaultProxy::start(&influxd.snapshot_address()).await;
    proxy.set(Fault::StallAnswer(1000));
    let config = bench.config();
    let interrupt = config.interrupt.clone();
    let (outcome, ()) = tokio::join!(bench.run_with(config, influx_at(&influxd, &proxy.address())), async {
        proxy.await_connections(4).await;
        interrupt.request();
    });
    assert_eq!(outcome.unwrap_err().to_string(), "interrupted");
    bench.assert_no_night().await;
    let state = night_state(bench.store.as_ref(), NIGHT).await.unwrap();
    assert!(matches!(&state, NightState::Failed(error) if error == "interrupted"), "{state:?}");
}
