//! `--prove-only`: what is found on a target that holds the night, and what on one that does not.

use std::sync::Arc;

use archive::names;
use archive::records::RestoreRecord;
use jobs::restore::{self, Config, Prove, Proved};
use jobs::{Error, Kind, Lock, loaded, lock};
use test_support::Influxd;

use crate::bench::{Bench, MIDNIGHT, NIGHT, edit, fill, influx, metastore, now};

async fn prove(bench: &Bench, config: Config, target: &Influxd) -> Result<Proved, Error> {
    restore::prove_only(config, now(), Arc::clone(&bench.store), influx(target), Arc::new(())).await
}

async fn record(bench: &Bench) -> RestoreRecord {
    let name = names::restore_record(NIGHT, "intermediary");
    archive::read(bench.store.as_ref(), NIGHT, &name).await.unwrap().document
}

/// A target that holds the night.
async fn restored() -> (Influxd, Bench, Influxd) {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 3).await;
    let bench = Bench::with_night_of(&source).await;
    let target = Influxd::options().hostname("intermediary").start().await;
    bench.restore(&target).await.unwrap();
    (source, bench, target)
}

#[tokio::test]
async fn a_target_that_holds_all_of_the_night_is_proved_and_its_record_says_so() {
    let (_source, bench, target) = restored().await;
    let before = (record(&bench).await, metastore(&target));
    let proved = prove(&bench, bench.config(&target), &target).await.unwrap();
    assert_eq!((proved.shards, &proved.notes, &proved.failures), (3, &vec![], &vec![]));
    let summary = proved.summary();
    assert!(
        summary
            .starts_with("2016-06-11: sensu_db on intermediary, 3 shards: nothing is missing of what was backed up\n"),
        "{summary}"
    );
    assert!(summary.contains("\n  sensu_db.default cpu: idle 60, load 60, note 60, ok 60"), "{summary}");
    assert_eq!((record(&bench).await, metastore(&target)), before);

    // A restore whose record was lost, and one that counted nothing, are proved all the same.
    let name = names::restore_record(NIGHT, "intermediary");
    archive::remove(bench.store.as_ref(), NIGHT, &name).await.unwrap();
    let sample = Config { prove: Prove::Sample, ..bench.config(&target) };
    let proved = prove(&bench, sample, &target).await.unwrap();
    assert_eq!((proved.failures.len(), proved.notes.len(), proved.proof.extent.as_str()), (0, 1, "sample"));
    assert!(!proved.compared && proved.summary().contains("every shard is there; points were compared with nothing"));
    let made = record(&bench).await;
    assert_eq!((made.shards, made.target, made.databases), (3, before.0.target, before.0.databases));
    prove(&bench, bench.config(&target), &target).await.unwrap();
    assert_eq!(record(&bench).await.proof, before.0.proof);

    // With a count to compare with, a sample still tells nothing about what is missing.
    target.query("sensu_db", "DELETE FROM cpu WHERE host = 'h2'").await;
    let sample = Config { prove: Prove::Sample, ..bench.config(&target) };
    let proved = prove(&bench, sample, &target).await.unwrap();
    assert!(!proved.compared && !proved.summary().contains("nothing is missing"), "{}", proved.summary());
    assert!(proved.notes[0].contains("--prove all"), "{:?}", proved.notes);
}

#[tokio::test]
async fn points_and_shards_that_are_gone_are_named_and_so_are_points_that_others_wrote() {
    let (_source, bench, target) = restored().await;
    target.write("sensu_db", &format!("cpu,host=new idle=1.5 {MIDNIGHT}")).await;
    let proved = prove(&bench, bench.config(&target), &target).await.unwrap();
    assert_eq!(proved.notes, ["sensu_db.default: field idle of cpu has 61 points, and 60 came with the night"]);
    assert_eq!(proved.failures, [""; 0]);

    target.query("sensu_db", "DELETE FROM cpu WHERE host = 'h3' OR host = 'new'").await;
    let gone = |points| {
        let line = |field| format!("sensu_db.default: field {field} of cpu has {points} points, and 60 were backed up");
        ["idle", "load", "note", "ok"].map(line)
    };
    // As often as it is asked.
    for _ in 0..2 {
        let proved = prove(&bench, bench.config(&target), &target).await.unwrap();
        assert_eq!(proved.failures, gone(57));
    }
    assert_eq!(record(&bench).await.proof.unwrap().points[0].fields["idle"], 57);

    let data = metastore(&target);
    let oldest = data.database("sensu_db").unwrap().live_shards().min_by_key(|shard| shard.time_range.end).unwrap().id;
    target.statement(&format!("DROP SHARD {oldest}")).await;
    let proved = prove(&bench, bench.config(&target), &target).await.unwrap();
    let shard = proved.failures[0].strip_prefix("shard ").unwrap();
    assert!(shard.ends_with(" of sensu_db.default, as the source numbers it, is not there"), "{shard}");
    assert_eq!(proved.failures[1..], gone(38));

    target.statement("DROP DATABASE sensu_db").await;
    let proved = prove(&bench, bench.config(&target), &target).await.unwrap();
    assert_eq!(proved.failures[0], "database sensu_db is not there");
    assert_eq!(proved.failures[1..], gone(0));
}

#[tokio::test]
async fn a_target_that_does_not_hold_the_night_is_told_so_and_nothing_is_recorded() {
    let (source, bench, target) = restored().await;
    let before = record(&bench).await;
    let check = async |config: Config, target: &Influxd, kind: Kind, message: &str| {
        let error = prove(&bench, config, target).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(message), "{error}");
        assert!(error.hint_text().is_some(), "{error}");
        assert_eq!(record(&bench).await, before, "{message}");
    };
    let config = || bench.config(&target);
    check(config(), &source, Kind::Missing, "holds no night").await;
    let other = Config { databases: vec!["other".to_owned()], ..config() };
    check(other, &target, Kind::Usage, "the backup in 2016-06-11 has no database other").await;
    let mut elsewhere = config();
    elsewhere.calendar.time_zone = chrono_tz::Europe::Berlin;
    elsewhere.date = NIGHT.parse::<archive::Date>().unwrap().into();
    let zones = "the backup in 2016-06-11 counts days in UTC, this run in Europe/Berlin";
    check(elsewhere, &target, Kind::Usage, zones).await;
    let missing = Config { date: "2016-06-10".parse::<archive::Date>().unwrap().into(), ..config() };
    check(missing, &target, Kind::Missing, "there is no backup in 2016-06-10").await;
    let several = Config { date: "2016-06".parse().unwrap(), ..config() };
    check(several, &target, Kind::Usage, "a target holds one night, not several").await;
    check(Config { prove: Prove::None, ..config() }, &target, Kind::Usage, "nothing would be proved").await;
    {
        let _restore = Lock::exclusive(&config().place.locks, &lock::target_name(influx(&target).url())).unwrap();
        check(config(), &target, Kind::Locked, "holds the lock").await;
    }

    let mut held = loaded::read(&influx(&target)).await.unwrap().unwrap();
    held.container = "2016-06-10".to_owned();
    loaded::write(&influx(&target), &held, now() + chrono::TimeDelta::seconds(1)).await.unwrap();
    check(config(), &target, Kind::Missing, "holds the night 2016-06-10, not 2016-06-11").await;
    held.container = NIGHT.to_owned();
    loaded::write(&influx(&target), &held, now() + chrono::TimeDelta::seconds(2)).await.unwrap();
    edit(&bench, |manifest| manifest["warnings"] = serde_json::json!(["another one"])).await;
    check(config(), &target, Kind::Missing, "holds another backup of 2016-06-11 than the archive").await;
    target.statement("DROP DATABASE nightshard").await;
    check(config(), &target, Kind::Missing, "holds no night").await;
}

#[tokio::test]
async fn a_copy_under_another_name_is_proved_by_that_name() {
    let (_source, bench, target) = restored().await;
    let copy = |name: &str| Config { new_database: Some(name.to_owned()), ..bench.config(&target) };
    bench.restore_with(copy("other"), &target).await.unwrap();
    let proved = prove(&bench, copy("other"), &target).await.unwrap();
    assert_eq!((proved.databases.as_slice(), proved.shards, proved.failures), (&["other".to_owned()][..], 3, vec![]));
    target.query("other", "DELETE FROM cpu WHERE host = 'h3'").await;
    assert_eq!(prove(&bench, copy("other"), &target).await.unwrap().failures.len(), 4);
    assert_eq!(prove(&bench, bench.config(&target), &target).await.unwrap().failures, [""; 0]);
    let error = prove(&bench, copy("another"), &target).await.unwrap_err();
    assert_eq!((error.kind(), error.to_string().contains("holds no night")), (Kind::Missing, true), "{error}");
}
