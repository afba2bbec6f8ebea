//! A night's database under another name, beside what is there: in both ways.

use jobs::restore::{Config, Mode, Outcome, Recovery};
use jobs::{Error, Kind, loaded};
use test_support::Influxd;

use crate::bench::{Bench, NIGHT, assert_clean, count, fill, influx, lines, metastore, points};

/// A restore of `sensu_db` as `name`.
fn renaming(bench: &Bench, target: &Influxd, mode: Mode, name: &str) -> Config {
    Config { mode, databases: vec!["sensu_db".to_owned()], new_database: Some(name.to_owned()), ..bench.config(target) }
}

async fn restore(bench: &Bench, target: &Influxd, mode: Mode, name: &str) -> Result<Outcome, Error> {
    bench.restore_with(renaming(bench, target, mode, name), target).await
}

/// The copies that the target says it has, as `name of stored in container`.
async fn copies(target: &Influxd) -> Vec<String> {
    let copies = loaded::copies(&influx(target)).await.unwrap();
    let mut lines: Vec<String> =
        copies.iter().map(|copy| format!("{} of {} in {}", copy.name, copy.stored, copy.container)).collect();
    lines.sort();
    lines
}

#[tokio::test]
async fn a_copy_comes_beside_what_is_there_and_is_replaced_by_one_of_the_same_alone() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 3).await;
    fill(&source, "second", 1).await;
    let bench = Bench::with_night_of(&source).await;
    let (name, of) = ("last \"week\" é", format!("last \"week\" é of sensu_db in {NIGHT}"));
    for mode in [Mode::Offline, Mode::Online] {
        let target = Influxd::options().hostname("intermediary").start().await;
        fill(&target, "other", 2).await;
        bench.restore_with(Config { mode, ..bench.config(&target) }, &target).await.unwrap();
        let held = loaded::read(&influx(&target)).await.unwrap();
        let all = points(&source, "sensu_db").await;
        for times in 1..=2 {
            let outcome = restore(&bench, &target, mode, name).await.unwrap();
            assert_eq!((&outcome.databases, outcome.shards), (&vec![name.to_owned()], 3));
            let line = format!("database sensu_db is called {name}");
            assert!(outcome.differences.contains(&line), "{:?}", outcome.differences);
            assert_eq!(outcome.proof.unwrap().points[0].database, name);
            for database in [name, "sensu_db"] {
                assert_eq!(points(&target, database).await, all, "{mode:?} {times} {database}");
            }
            assert_eq!(count(&points(&target, "other").await), 40);
            // What else is loaded is loaded still.
            assert_eq!(loaded::read(&influx(&target)).await.unwrap(), held);
            assert_eq!(copies(&target).await, [of.as_str()]);
            assert_clean(&target);
        }
        // The copy stays when the other one is replaced, whichever way that goes.
        source.write("sensu_db", &lines(4, 5)).await;
        let next = Bench::with_night_of(&source).await;
        for other_mode in [Mode::Offline, Mode::Online] {
            next.restore_with(Config { mode: other_mode, ..next.config(&target) }, &target).await.unwrap();
            assert_eq!(points(&target, name).await, all);
            assert_eq!(copies(&target).await, [of.as_str()], "{other_mode:?}");
        }
        restore(&next, &target, mode, name).await.unwrap();
        assert_eq!(points(&target, name).await, points(&source, "sensu_db").await);
        source.query("sensu_db", "DROP SERIES FROM cpu").await;
        source.write("sensu_db", &lines(3, 1)).await;
        source.statement("DROP DATABASE sensu_db").await;
        fill(&source, "sensu_db", 3).await;
    }
}

#[tokio::test]
async fn a_name_that_is_taken_or_cannot_be_is_refused_with_nothing_changed() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 2).await;
    fill(&source, "second", 1).await;
    let bench = Bench::with_night_of(&source).await;
    let target = Influxd::start().await;
    fill(&target, "other", 1).await;
    bench
        .restore_with(Config { databases: vec!["second".to_owned()], ..bench.config(&target) }, &target)
        .await
        .unwrap();
    let before = metastore(&target).databases;
    for mode in [Mode::Offline, Mode::Online] {
        let check = async |config: Config, message: &str, hint: &str| {
            let error = bench.restore_with(config, &target).await.unwrap_err();
            assert_eq!(error.kind(), Kind::Usage, "{error}");
            assert!(error.to_string().contains(message), "{error}");
            assert!(error.hint_text().unwrap().contains(hint), "{error:?}");
            assert_eq!(metastore(&target).databases, before);
        };
        let renaming = |name: &str| renaming(&bench, &target, mode, name);
        for name in ["other", "second"] {
            let message =
                format!("the target holds a database {name} which this program did not restore from sensu_db");
            let insisting = Config { first_restore: true, ..renaming(name) };
            check(renaming(name), &message, "another name").await;
            check(insisting, &message, "another name").await;
        }
        for name in ["_internal", "nightshard", "a/b", "..", "", "new\nline"] {
            check(renaming(name), "a database cannot be called", "--new-database").await;
        }
        let both = Config { databases: Vec::new(), ..renaming("fresh") };
        check(both, "2 databases cannot all be called fresh", "second, sensu_db").await;
    }
    let recovery = Some(Recovery { accept_expiry: false });
    let error = bench
        .restore_with(Config { recovery, ..renaming(&bench, &target, Mode::Offline, "fresh") }, &target)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), Kind::Usage, "{error}");
    // Its own name is no other name; then the usual rules hold.
    bench.restore_with(renaming(&bench, &target, Mode::Offline, "sensu_db"), &target).await.unwrap();
    assert_eq!(loaded::read(&influx(&target)).await.unwrap().unwrap().databases, ["sensu_db"]);
    assert_eq!(copies(&target).await, [""; 0]);
}

#[tokio::test]
async fn a_copy_whose_name_a_night_has_too_is_replaced_by_it_only_when_told_so() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 2).await;
    fill(&source, "second", 1).await;
    let bench = Bench::with_night_of(&source).await;
    for mode in [Mode::Offline, Mode::Online] {
        let target = Influxd::start().await;
        restore(&bench, &target, mode, "second").await.unwrap();
        assert_eq!(count(&points(&target, "second").await), 40);
        assert_eq!(loaded::read(&influx(&target)).await.unwrap(), None, "no night is loaded, only a copy");
        let plain = Config { mode, databases: vec!["second".to_owned()], ..bench.config(&target) };
        let error = bench.restore_with(plain.clone(), &target).await.unwrap_err();
        assert!(error.to_string().contains("a database second which was not restored by this program"), "{error}");
        bench.restore_with(Config { first_restore: true, ..plain }, &target).await.unwrap();
        assert_eq!(points(&target, "second").await, points(&source, "second").await);
        assert_eq!(copies(&target).await, [""; 0], "{mode:?}");
    }
}

#[tokio::test]
async fn a_copy_that_does_not_come_up_leaves_the_one_before() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 2).await;
    let bench = Bench::with_night_of(&source).await;
    let target = Influxd::start().await;
    restore(&bench, &target, Mode::Offline, "copy").await.unwrap();
    let before = (points(&target, "copy").await, copies(&target).await);
    let config = renaming(&bench, &target, Mode::Offline, "copy");
    let start_command = crate::bench::once(&bench, "exit 1", &config.start_command);
    let error = bench.restore_with(Config { start_command, ..config }, &target).await.unwrap_err();
    assert!(error.to_string().contains("the target's old state is back, and answers"), "{error}");
    assert_eq!((points(&target, "copy").await, copies(&target).await), before);
    target.stop();
    let error = restore(&bench, &target, Mode::Offline, "copy").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Usage, "{error}");
    assert!(error.hint_text().unwrap().contains("start it first"), "{error:?}");
}
