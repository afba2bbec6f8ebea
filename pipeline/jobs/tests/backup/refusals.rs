//! What a backup refuses before it changes anything.

use archive::names;
use jobs::Kind;
use jobs::backup::Config;
use store::StoreExt;
use test_support::Influxd;

use super::bench::{Bench, NIGHT, fill, influx, influx_at, now};

#[tokio::test]
async fn a_sealed_night_is_never_changed() {
    let influxd = Influxd::start().await;
    fill(&influxd, 1).await;
    let bench = Bench::new();
    let first = bench.run(influx(&influxd)).await.unwrap();

    let again = bench.run(influx(&influxd)).await.unwrap_err();
    assert_eq!(again.kind(), Kind::Failed);
    assert!(again.to_string().contains("is sealed already"), "{again}");
    assert!(again.hint_text().unwrap().contains("--if-missing"));

    let config = Config { if_missing: true, ..bench.config() };
    let same = bench.run_with(config.clone(), influx(&influxd)).await.unwrap();
    assert!(same.already_sealed);
    assert_eq!(same.manifest_sha256, first.manifest_sha256);

    influxd.statement("CREATE DATABASE other").await;
    let more = Config { databases: vec!["sensu_db".to_owned(), "other".to_owned()], ..config.clone() };
    let refused = bench.run_with(more, influx(&influxd)).await.unwrap_err();
    assert!(refused.to_string().contains("without other"), "{refused}");

    let stranger = Influxd::start().await;
    fill(&stranger, 1).await;
    let refused = bench.run_with(config, influx(&stranger)).await.unwrap_err();
    assert!(refused.to_string().contains("from another InfluxDB"), "{refused}");
    assert_eq!(bench.manifest().await.sealed, bench.manifest().await.sealed);
}

#[tokio::test]
async fn containers_with_anything_in_them_are_refused() {
    let influxd = Influxd::start().await;
    fill(&influxd, 1).await;
    let bench = Bench::new();
    bench.store.create_container(NIGHT).await.unwrap();
    bench.store.put_bytes(NIGHT, "holiday.jpg", "x".into()).await.unwrap();
    let refused = bench.run(influx(&influxd)).await.unwrap_err();
    assert!(refused.to_string().contains("holds objects that are no backup, such as holiday.jpg"), "{refused}");
    assert_eq!(bench.objects().await, ["holiday.jpg"], "nothing was added");

    bench.store.delete(NIGHT, "holiday.jpg").await.unwrap();
    bench.store.put_bytes(NIGHT, &names::metastore(NIGHT), "x".into()).await.unwrap();
    let refused = bench.run(influx(&influxd)).await.unwrap_err();
    assert!(refused.to_string().contains("unfinished run"), "{refused}");
    let hint = refused.hint_text().unwrap();
    assert!(hint.contains("--adopt 2016-06-11") && hint.contains("swift delete"), "{hint}");
}

#[tokio::test]
async fn dumps_of_a_day_that_had_no_backup_do_not_stand_in_its_way() {
    let influxd = Influxd::start().await;
    fill(&influxd, 1).await;
    let bench = Bench::new();
    bench.store.create_container(NIGHT).await.unwrap();
    let file = "cpu_2016-06-11-00:00:00_2016-06-12-00:00:00.json";
    let dump = [names::dump(NIGHT, file), names::dump_manifest(NIGHT, file)];
    for name in &dump {
        bench.store.put_bytes(NIGHT, name, "[]\n".into()).await.unwrap();
    }
    bench.run(influx(&influxd)).await.unwrap();
    bench.assert_whole().await;
    let objects = bench.objects().await;
    assert!(dump.iter().all(|name| objects.contains(name)), "{objects:?}");
}

#[tokio::test]
async fn what_the_preflight_refuses_changes_nothing() {
    let influxd = Influxd::start().await;
    fill(&influxd, 1).await;
    let bench = Bench::new();
    let unknown = Config { databases: vec!["sensu".to_owned()], ..bench.config() };
    let refused = bench.run_with(unknown, influx(&influxd)).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Usage);
    assert!(refused.to_string().contains("database sensu does not exist"), "{refused}");
    assert!(refused.hint_text().unwrap().contains("sensu_db"), "{refused:?}");

    let short = Config { token_expiry: Some(now() + chrono::Duration::hours(5)), ..bench.config() };
    let refused = bench.run_with(short, influx(&influxd)).await.unwrap_err();
    assert!(refused.to_string().contains("less than 6 hours"), "{refused}");

    influxd.stop();
    let refused = bench.run(influx(&influxd)).await.unwrap_err();
    assert_eq!(refused.kind(), Kind::Passing, "{refused}");

    assert!(bench.store.list_containers("", None).await.unwrap().is_empty(), "not even a container was made");
}

#[tokio::test]
async fn addresses_of_two_servers_are_refused() {
    let (influxd, other) = (Influxd::start().await, Influxd::start().await);
    fill(&influxd, 2).await;
    let bench = Bench::new();
    let mixed = || influx_at(&influxd, &other.snapshot_address());
    let differ = async |what: &str| {
        let refused = bench.run(mixed()).await.unwrap_err();
        assert_eq!(refused.kind(), Kind::Usage);
        assert!(refused.to_string().contains(&format!("are not one server: {what} that only")), "{refused}");
        assert!(refused.hint_text().unwrap().contains("--snapshot-addr"));
    };
    differ("databases").await;
    other.statement("CREATE DATABASE sensu_db WITH DURATION 4w SHARD DURATION 1d NAME \"default\"").await;
    differ("policies").await;
    other.statement("ALTER RETENTION POLICY \"default\" ON sensu_db DURATION INF").await;
    differ("shards").await;
    assert!(bench.store.list_containers("", None).await.unwrap().is_empty(), "not even a container was made");
}
