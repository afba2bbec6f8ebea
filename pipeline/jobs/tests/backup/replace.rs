//! Sealed nights that are taken again: which may be, when the old seal goes, and what is said when no new one comes.

use std::sync::Arc;

use archive::{Date, NightState, names, night_state};
use jobs::backup::{self, Config};
use jobs::{Error, Kind};
use store::StoreExt;
use test_support::{Fault, FaultProxy, Influxd};

use super::bench::{Bench, NIGHT, fill, influx, influx_at, now};
use super::stores::Watched;

/// A bench with the night, and a labelled one of the same databases.
async fn two_nights(influxd: &Influxd) -> Bench {
    let bench = Bench::new();
    bench.run(influx(influxd)).await.unwrap();
    bench.run_with(labelled(&bench), influx(influxd)).await.unwrap();
    bench
}

fn labelled(bench: &Bench) -> Config {
    let mut config = bench.config();
    config.calendar.pattern = config.calendar.pattern.labelled(Some("before-upgrade".parse().unwrap()));
    config
}

fn replacing(bench: &Bench) -> Config {
    Config { replace: true, ..bench.config() }
}

async fn assert_sealed_as(bench: &Bench, sha256: &str) {
    match night_state(bench.store.as_ref(), NIGHT).await.unwrap() {
        NightState::Ready(sealed) => assert_eq!(sealed.sha256, sha256),
        state => panic!("{state:?}"),
    }
}

#[tokio::test]
async fn a_night_is_replaced_by_what_the_source_has_now_and_only_that_is_sent() {
    let influxd = Influxd::start().await;
    fill(&influxd, 4).await;
    let bench = two_nights(&influxd).await;
    let before = bench.manifest().await;
    influxd.write("sensu_db", "cpu,host=late idle=1.0 1462060900000000000").await;
    let dump = names::dump(NIGHT, "cpu_2016-06-11-00:00:00_2016-06-12-00:00:00.json");
    bench.store.put_bytes(NIGHT, &dump, "[]\n".into()).await.unwrap();

    let outcome = bench.run_with(replacing(&bench), influx(&influxd)).await.unwrap();
    bench.assert_whole().await;
    let after = bench.manifest().await;
    assert_ne!(before.objects[0].sha256, after.objects[0].sha256);
    let changed: u64 = [0, 4].iter().map(|number| after.objects[*number].bytes).sum();
    assert_eq!((outcome.shards, outcome.sent_bytes), (4, changed), "a shard and the metastore");
    assert!(bench.objects().await.contains(&dump), "what lies beside the backup stays");
}

#[tokio::test]
async fn the_last_good_night_of_a_database_is_not_replaced() {
    let influxd = Influxd::start().await;
    fill(&influxd, 2).await;
    let bench = Bench::new();
    let sealed = bench.run(influx(&influxd)).await.unwrap().manifest_sha256;
    let refused = async |why: &str| {
        let refused = bench.run_with(replacing(&bench), influx(&influxd)).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Failed, "{why}");
        assert!(refused.to_string().contains("is the last good night of sensu_db"), "{why}: {refused}");
        assert_sealed_as(&bench, &sealed).await;
    };
    refused("there is no other").await;

    // One that is not named as nights are, one of another server, one without this database, and one that is not whole.
    let other = Influxd::start().await;
    fill(&other, 2).await;
    let day = |day: &str| Config { date: Date::Day(day.parse().unwrap()), ..bench.config() };
    let mut elsewhere = bench.config();
    elsewhere.calendar.pattern = "other-%Y-%m-%d".parse().unwrap();
    bench.run_with(elsewhere, influx(&influxd)).await.unwrap();
    bench.run_with(day("2016-06-10"), influx(&other)).await.unwrap();
    influxd.statement("CREATE DATABASE second").await;
    let second = Config { databases: vec!["second".to_owned()], ..day("2016-06-09") };
    bench.run_with(second, influx(&influxd)).await.unwrap();
    bench.run_with(day("2016-06-08"), influx(&influxd)).await.unwrap();
    bench.store.delete("2016-06-08", &names::metastore("2016-06-08")).await.unwrap();
    refused("none of the others is a good one").await;

    bench.run_with(labelled(&bench), influx(&influxd)).await.unwrap();
    bench.run_with(replacing(&bench), influx(&influxd)).await.unwrap();
    bench.assert_whole().await;
}

#[tokio::test]
async fn the_old_seal_stays_until_the_first_shard_has_come_whole() {
    let influxd = Influxd::start().await;
    fill(&influxd, 2).await;
    let bench = two_nights(&influxd).await;
    let before = bench.manifest().await;
    let NightState::Ready(sealed) = night_state(bench.store.as_ref(), NIGHT).await.unwrap() else { panic!() };

    let proxy = FaultProxy::start(&influxd.snapshot_address()).await;
    // Lists and the metastore are shorter than this.
    proxy.set(Fault::CutAnswer(1200));
    let failed = bench.run_with(replacing(&bench), influx_at(&influxd, &proxy.address())).await.unwrap_err();
    assert!(!failed.to_string().contains("unsealed"), "{failed}");
    assert_sealed_as(&bench, &sealed.sha256).await;
    for object in before.objects {
        let there = bench.store.get_bytes(NIGHT, &object.name, 1 << 20).await.unwrap();
        assert_eq!(object.sha256, hex::encode(store::Digests::of(&there, None).sha256), "{}", object.name);
    }
}

#[tokio::test]
async fn a_failure_after_the_seal_has_gone_says_so_and_the_same_command_completes_the_night() {
    let influxd = Influxd::start().await;
    fill(&influxd, 3).await;
    let bench = two_nights(&influxd).await;
    for day in 0..3_i64 {
        let time = 1_462_060_900_000_000_000 + day * 86_400_000_000_000;
        influxd.write("sensu_db", &format!("cpu,host=late idle=1.0 {time}")).await;
    }
    // The first shard that changed passes, and the store stands still at the second.
    let config = Config { parallel: 1, ..replacing(&bench) };
    let store = Arc::new(Watched::until(&bench.store, 2 * bench.manifest().await.objects[0].bytes));
    let interrupt = config.interrupt.clone();
    let run = backup::run(config, now(), Arc::<Watched>::clone(&store), influx(&influxd), Arc::new(()));
    let (failed, ()): (Result<_, Error>, ()) = tokio::join!(run, async {
        store.stands_still().await;
        interrupt.request();
    });
    let failed = failed.unwrap_err();
    assert_eq!(failed.to_string(), "2016-06-11, whose seal was to go, is unsealed now: interrupted");
    assert!(failed.hint_text().unwrap().contains("run the same command again"), "{failed:?}");
    let state = night_state(bench.store.as_ref(), NIGHT).await.unwrap();
    assert!(matches!(&state, NightState::Failed(error) if *error == failed.to_string()), "{state:?}");

    bench.run_with(replacing(&bench), influx(&influxd)).await.unwrap();
    bench.assert_whole().await;
    assert_eq!(bench.manifest().await.shards().count(), 3);
}
