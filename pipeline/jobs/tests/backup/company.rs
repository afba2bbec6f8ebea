//! Two runs of one night: on one machine they exclude each other, and across machines their markers tell who goes on.

use std::process::Command;
use std::sync::Arc;

use archive::names;
use jobs::Kind;
use jobs::backup::{self, Config};
use store::{Store, StoreExt};
use test_support::{Fault, FaultProxy, Influxd};
use tokio::sync::Barrier;

use super::bench::{Bench, NIGHT, fill, influx, influx_at, now};
use super::stores::Watched;

#[tokio::test]
async fn two_runs_of_one_night_on_one_machine_exclude_each_other() {
    let influxd = Influxd::start().await;
    fill(&influxd, 5).await;
    let bench = Bench::new();
    let (one, other) = tokio::join!(bench.run(influx(&influxd)), bench.run(influx(&influxd)));
    let (good, bad): (Vec<_>, Vec<_>) = [one, other].into_iter().partition(Result::is_ok);
    assert_eq!((good.len(), bad.len()), (1, 1));
    assert_eq!(bad.into_iter().next().unwrap().unwrap_err().kind(), Kind::Locked);
    bench.manifest().await;
}

#[tokio::test]
async fn a_night_that_another_machine_is_taking_is_left_to_it() {
    let influxd = Influxd::start().await;
    fill(&influxd, 1).await;
    let bench = Bench::new();
    bench.store.create_container(NIGHT).await.unwrap();
    let marker = serde_json::json!({
        "format": "nightshard-running/1", "id": "00", "writer": {"program": "nightshard-backup", "version": "0.0.0"},
        "host": "db2", "process": 7, "cluster_id": "1", "databases": ["sensu_db"], "started": now(), "state": "running"
    });
    bench.store.put_bytes(NIGHT, &names::running_marker(NIGHT, "00"), marker.to_string().into()).await.unwrap();
    let refused = bench.run(influx(&influxd)).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Locked);
    assert!(refused.to_string().contains("on db2 (process 7)"), "{refused}");
}

#[tokio::test]
async fn the_fresh_marker_of_a_dead_run_of_this_machine_keeps_nobody_waiting() {
    let influxd = Influxd::start().await;
    fill(&influxd, 1).await;
    let bench = Bench::new();
    bench.store.create_container(NIGHT).await.unwrap();
    let mut dead = Command::new("true").spawn().unwrap();
    dead.wait().unwrap();
    let marker = serde_json::json!({
        "format": "nightshard-running/1", "id": "00", "writer": {"program": "nightshard-backup", "version": "0.0.0"},
        "host": "db1", "process": dead.id(), "cluster_id": "1", "databases": ["sensu_db"], "started": now(), "state": "running"
    });
    bench.store.put_bytes(NIGHT, &names::running_marker(NIGHT, "00"), marker.to_string().into()).await.unwrap();
    bench.run(influx(&influxd)).await.unwrap();
}

/// A configuration of a machine with that name, and with locks and a spool of its own.
fn on(bench: &Bench, host: &str) -> Config {
    let mut config = bench.config();
    config.place.host = host.to_owned();
    config.place.locks = bench.folder.path().join(host);
    config
}

#[tokio::test]
async fn of_two_machines_that_begin_a_night_at_once_exactly_one_seals_it_whole() {
    let influxd = Influxd::start().await;
    fill(&influxd, 6).await;
    // Who has the lower id is a matter of chance.
    for _ in 0..8 {
        let bench = Bench::new();
        let meeting = Arc::new(Barrier::new(2));
        let run = |host: &str| {
            let store: Arc<dyn Store> = Arc::new(Watched::meeting(&bench.store, &meeting));
            backup::run(on(&bench, host), now(), store, influx(&influxd), Arc::new(()))
        };
        let (one, other) = tokio::join!(run("db1"), run("db2"));
        let (good, bad): (Vec<_>, Vec<_>) = [one, other].into_iter().partition(Result::is_ok);
        assert_eq!(good.len(), 1, "{good:?} {bad:?}");
        let ended = bad.into_iter().next().unwrap().unwrap_err();
        assert_eq!(ended.kind(), Kind::Locked, "{ended}");
        assert_eq!(good.into_iter().next().unwrap().unwrap().shards, 6);
        bench.assert_whole().await;
    }
}

#[tokio::test]
async fn a_run_that_finds_the_night_sealed_when_its_turn_comes_changes_nothing_of_it() {
    let influxd = Influxd::start().await;
    fill(&influxd, 2).await;
    let bench = Bench::new();
    let meeting = Arc::new(Barrier::new(2));
    let store: Arc<dyn Store> = Arc::new(Watched::meeting(&bench.store, &meeting));
    let late = backup::run(on(&bench, "db2"), now(), store, influx(&influxd), Arc::new(()));
    let (late, ()) = tokio::join!(late, async {
        bench.run(influx(&influxd)).await.unwrap();
        influxd.write("sensu_db", "cpu,host=late idle=1.0 1462060900000000000").await;
        meeting.wait().await;
    });
    let ended = late.unwrap_err();
    assert_eq!(ended.kind(), Kind::Locked);
    assert!(ended.to_string().contains("was sealed by another run meanwhile"), "{ended}");
    bench.assert_whole().await;
}

#[tokio::test]
async fn a_run_that_lost_its_marker_does_not_seal() {
    let influxd = Influxd::start().await;
    fill(&influxd, 2).await;
    let bench = Bench::new();
    let proxy = FaultProxy::start(&influxd.snapshot_address()).await;
    // The metastore and two lists come first; then a shard that is slow.
    proxy.set_next([Fault::None, Fault::None, Fault::None, Fault::SlowAnswer(4000)]);
    let (failed, ()) = tokio::join!(bench.run(influx_at(&influxd, &proxy.address())), async {
        proxy.await_connections(4).await;
        for name in bench.objects().await {
            assert!(name.contains("/running/"), "{name}");
            bench.store.delete(NIGHT, &name).await.unwrap();
        }
    });
    let failed = failed.unwrap_err();
    assert!(failed.to_string().contains("was removed by somebody else"), "{failed}");
    bench.assert_no_night().await;
}

#[tokio::test]
async fn a_run_that_gives_way_leaves_no_marker_and_the_other_goes_on() {
    let influxd = Influxd::start().await;
    fill(&influxd, 3).await;
    let bench = Bench::new();
    let proxy = FaultProxy::start(&influxd.snapshot_address()).await;
    proxy.set_next([Fault::None, Fault::None, Fault::None, Fault::SlowAnswer(4000)]);
    let config = Config { parallel: 1, ..on(&bench, "db1") };
    let (failed, ()) = tokio::join!(bench.run_with(config, influx_at(&influxd, &proxy.address())), async {
        proxy.await_connections(4).await;
        // A run with the lowest of all ids appears, as one does whose preflight was before this run's marker.
        let own = bench.objects().await.into_iter().find(|name| name.contains("/running/")).unwrap();
        let text = bench.store.get_bytes(NIGHT, &own, 1 << 20).await.unwrap();
        let mut marker: serde_json::Value = serde_json::from_slice(&text).unwrap();
        (marker["id"], marker["host"]) = ("0".into(), "db2".into());
        bench.store.put_bytes(NIGHT, &names::running_marker(NIGHT, "0"), marker.to_string().into()).await.unwrap();
    });
    let failed = failed.unwrap_err();
    assert_eq!(failed.kind(), Kind::Locked, "{failed}");
    assert!(failed.to_string().contains("on db2"), "{failed}");
    let left = bench.objects().await;
    assert_eq!(left, [names::running_marker(NIGHT, "0")], "nothing was uploaded beside a run that goes on");
}
