//! Nights that an earlier run has left unsealed: the next one goes on from there, if they are its own.

use std::process::Command;
use std::sync::Arc;

use archive::names;
use jobs::backup::{self, Config};
use store::StoreExt;
use test_support::Influxd;

use super::bench::{Bench, NIGHT, fill, influx, now};
use super::stores::Watched;

/// The id of a process that is no more.
fn dead_process() -> u32 {
    let mut dead = Command::new("true").spawn().unwrap();
    dead.wait().unwrap();
    dead.id()
}

#[tokio::test]
async fn after_a_kill_at_ninety_percent_at_most_fifteen_percent_are_sent_again() {
    let influxd = Influxd::start().await;
    fill(&influxd, 80).await;
    let whole = Bench::new();
    let total = whole.run(influx(&influxd)).await.unwrap().bytes;

    let bench = Bench::new();
    let store = Arc::new(Watched::until(&bench.store, total * 9 / 10));
    let mut killed = bench.config();
    killed.place.process = dead_process();
    let run = backup::run(killed, now(), Arc::<Watched>::clone(&store), influx(&influxd), Arc::new(()));
    tokio::select! {
        ended = run => panic!("the run ended: {ended:?}"),
        () = store.stands_still() => {}
    }

    let store = Arc::new(Watched::new(&bench.store));
    let outcome = backup::run(bench.config(), now(), Arc::<Watched>::clone(&store), influx(&influxd), Arc::new(()))
        .await
        .unwrap();
    let sent = store.sent();
    assert_eq!((outcome.shards, outcome.bytes, outcome.sent_bytes), (80, total, sent));
    assert!(sent * 100 <= total * 15, "{sent} of {total} bytes were sent again");
    assert!(sent * 100 >= total * 9, "{sent} of {total} bytes: more was there than was sent");
    bench.assert_whole().await;
    for object in bench.manifest().await.objects {
        let there = whole.store.get_bytes(NIGHT, &object.name, 1 << 30).await.unwrap();
        let here = bench.store.get_bytes(NIGHT, &object.name, 1 << 30).await.unwrap();
        assert!(here == there, "{} is another than in a night that nobody interrupted", object.name);
    }
}

#[tokio::test]
async fn what_changed_at_the_source_or_in_the_archive_is_sent_again() {
    // The pool has a shard that was damaged, or deleted, in the night alone; nights that share nothing have no pool.
    for (shared, again) in [(Some(backup::Shared::default()), &[0, 5][..]), (None, &[0, 1, 3, 5][..])] {
        changed_and_sent_again(shared, again).await;
    }
}

async fn changed_and_sent_again(shared: Option<backup::Shared>, again: &[usize]) {
    let influxd = Influxd::start().await;
    fill(&influxd, 5).await;
    let bench = Bench::new();
    let config = Config { shared, ..bench.config() };
    bench.run_with(config.clone(), influx(&influxd)).await.unwrap();
    let before = bench.manifest().await;
    bench.unseal(|_| {}).await;
    // A point of the first day, and a byte of the second day's copy, which keeps its length.
    influxd.write("sensu_db", "cpu,host=late idle=1.0 1462060900000000000").await;
    let damaged = &before.objects[1];
    let mut bytes = bench.store.get_bytes(NIGHT, &damaged.name, 1 << 20).await.unwrap().to_vec();
    bytes[700] ^= 1;
    bench.store.put_bytes(NIGHT, &damaged.name, bytes.into()).await.unwrap();
    // A shard that the source has no more, and one that never arrived.
    bench.store.put_bytes(NIGHT, &names::shard(NIGHT, "sensu_db", "default", 77), "old".into()).await.unwrap();
    bench.store.delete(NIGHT, &before.objects[3].name).await.unwrap();

    let outcome = bench.run_with(config, influx(&influxd)).await.unwrap();
    bench.assert_whole().await;
    let after = bench.manifest().await;
    let is_changed = |number: &usize| before.objects[*number] != after.objects[*number];
    assert_ne!(before.objects[0].sha256, after.objects[0].sha256, "the point is in it");
    assert_eq!(before.objects[1].sha256, after.objects[1].sha256, "the damage is repaired");
    assert!((1..5).filter(is_changed).all(|number| before.objects[number].sha256 == after.objects[number].sha256));
    let sent: u64 = again.iter().map(|number| after.objects[*number].bytes).sum();
    assert_eq!(outcome.sent_bytes, sent, "two shards were there already");
}

#[tokio::test]
async fn what_another_source_or_another_choice_of_databases_has_left_is_refused() {
    let influxd = Influxd::start().await;
    fill(&influxd, 2).await;
    influxd.statement("CREATE DATABASE other").await;
    let bench = Bench::new();
    let both = Config { databases: Vec::new(), ..bench.config() };
    bench.run_with(both.clone(), influx(&influxd)).await.unwrap();
    bench.unseal(|marker| marker.cluster_id = "1".to_owned()).await;
    let before = bench.objects().await;
    let refused = bench.run_with(both.clone(), influx(&influxd)).await.unwrap_err();
    assert!(refused.to_string().contains("began to back up from another InfluxDB"), "{refused}");
    assert!(refused.hint_text().unwrap().contains("swift delete"), "{refused:?}");
    assert_eq!(bench.objects().await, before, "nothing was changed");

    // Back to the right source, with one database less than was begun with.
    bench.store.delete(NIGHT, &names::running_marker(NIGHT, "00")).await.unwrap();
    let refused = bench.run_with(both.clone(), influx(&influxd)).await.unwrap_err();
    assert!(refused.to_string().contains("no marker tells whose they are"), "{refused}");
    let bench = Bench::new();
    bench.run_with(both.clone(), influx(&influxd)).await.unwrap();
    bench.unseal(|_| {}).await;
    let refused = bench.run(influx(&influxd)).await.unwrap_err();
    assert!(refused.to_string().contains("was begun with database other, which is not asked for"), "{refused}");

    // Once the source has it no more, there is nothing that could be left out.
    influxd.statement("DROP DATABASE other").await;
    assert_eq!(bench.run(influx(&influxd)).await.unwrap().databases, ["sensu_db"]);
    bench.assert_whole().await;
}

#[tokio::test]
async fn objects_of_other_people_in_an_unfinished_night_are_refused_and_those_beside_a_backup_stay() {
    let influxd = Influxd::start().await;
    fill(&influxd, 2).await;
    let bench = Bench::new();
    bench.run(influx(&influxd)).await.unwrap();
    bench.unseal(|_| {}).await;
    for name in ["holiday.jpg", "2016-06-11/shards/holiday.jpg", "2016-06-11/notes.txt"] {
        bench.store.put_bytes(NIGHT, name, "x".into()).await.unwrap();
        let before = bench.objects().await;
        let refused = bench.run(influx(&influxd)).await.unwrap_err();
        assert!(refused.to_string().contains(&format!("no backup, such as {name}")), "{refused}");
        assert_eq!(bench.objects().await, before);
        bench.store.delete(NIGHT, name).await.unwrap();
    }
    let dump = names::dump(NIGHT, "cpu_2016-06-11-00:00:00_2016-06-12-00:00:00.json");
    bench.store.put_bytes(NIGHT, &dump, "[]\n".into()).await.unwrap();
    bench.run(influx(&influxd)).await.unwrap();
    bench.assert_whole().await;
    assert!(bench.objects().await.contains(&dump));
}
