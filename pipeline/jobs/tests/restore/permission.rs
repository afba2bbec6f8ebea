//! What may be replaced: whose databases they are, and whose server.

use std::fs;
use std::process::Command;

use jobs::Kind;
use jobs::restore::Config;
use test_support::{Influxd, temp_dir};

use crate::bench::{Bench, count, fill, influx_as, metastore, points};
use crate::refusals::{assert_refused, traced};

#[tokio::test]
async fn the_source_is_never_restored_onto() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 2).await;
    let bench = Bench::with_night_of(&source).await;
    let config = Config { first_restore: true, ..bench.config(&source) };
    let message = "the target is the server that the backup came from";
    let error = assert_refused(&bench, config, &source, Kind::Usage, message).await;
    assert!(error.to_string().contains(&format!("and data directory {}", source.data_dir().display())), "{error}");
    assert!(error.hint_text().unwrap().contains("another data directory"), "{error:?}");
    // Nor when it does not answer: its files tell who it is.
    source.stop();
    let mut config = Config { first_restore: true, ..bench.config(&source) };
    config.directories.influx_config = Some(source.config().to_owned());
    config.place.host = String::from_utf8(Command::new("hostname").output().unwrap().stdout).unwrap().trim().to_owned();
    assert_refused(&bench, config, &source, Kind::Usage, message).await;
}

#[tokio::test]
async fn a_twin_of_the_source_gets_an_id_of_its_own_when_told_so_once() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 2).await;
    let bench = Bench::with_night_of(&source).await;
    source.stop();
    let base = temp_dir();
    for folder in ["meta", "data", "wal"] {
        let from = source.meta_dir().with_file_name(folder);
        assert!(Command::new("cp").arg("-a").arg(from).arg(base.path()).status().unwrap().success());
    }
    source.restart().await;
    let twin = Influxd::options().base(base.path()).start().await;
    let id = metastore(&twin).cluster_id;
    assert_eq!(id, metastore(&source).cluster_id);

    let config = bench.config(&twin);
    let error = assert_refused(&bench, config, &twin, Kind::Usage, "has the cluster id of the backup's source").await;
    let differs = format!(
        "only in its data directory: {} in the backup, {} here",
        source.data_dir().display(),
        twin.data_dir().display()
    );
    assert!(error.to_string().ends_with(&differs), "{error}");
    let config = Config { first_restore: true, ..bench.config(&twin) };
    bench.restore_with(config, &twin).await.unwrap();
    assert_ne!(metastore(&twin).cluster_id, id);
    assert_eq!(points(&twin, "sensu_db").await, points(&source, "sensu_db").await);
    bench.restore(&twin).await.unwrap();
}

#[tokio::test]
async fn a_twin_with_the_sources_data_directory_is_told_apart_by_its_host_name_alone() {
    let base = temp_dir();
    let source = Influxd::options().base(base.path()).hostname("production").start().await;
    fill(&source, "sensu_db", 2).await;
    let bench = Bench::with_night_of(&source).await;
    let (id, all) = (metastore(&source).cluster_id, points(&source, "sensu_db").await);
    source.stop();
    // The same files on another machine, as far as a host name makes one.
    let twin = Influxd::options().base(base.path()).hostname("copy").start().await;
    let message = "only in its host name: production in the backup, copy here";
    let error = assert_refused(&bench, bench.config(&twin), &twin, Kind::Usage, message).await;
    assert!(error.hint_text().unwrap().contains("do NOT give --first-restore"), "{error:?}");
    let config = Config { first_restore: true, ..bench.config(&twin) };
    bench.restore_with(config, &twin).await.unwrap();
    assert_ne!(metastore(&twin).cluster_id, id);
    assert_eq!(points(&twin, "sensu_db").await, all);
}

#[tokio::test]
async fn a_database_that_we_did_not_restore_is_replaced_only_when_told_so_once() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 2).await;
    let bench = Bench::with_night_of(&source).await;
    let target = Influxd::start().await;
    fill(&target, "sensu_db", 1).await;
    let message = "the target holds a database sensu_db which was not restored by this program";
    assert_refused(&bench, bench.config(&target), &target, Kind::Usage, message).await;
    let config = Config { first_restore: true, ..bench.config(&target) };
    bench.restore_with(config, &target).await.unwrap();
    bench.restore(&target).await.unwrap();
}

#[tokio::test]
async fn the_permission_to_replace_is_one_for_each_database() {
    let source = Influxd::start().await;
    for name in ["one", "two", "three"] {
        fill(&source, name, 2).await;
    }
    let bench = Bench::with_night_of(&source).await;
    let target = Influxd::start().await;
    let only = |names: &[&str]| Config {
        databases: names.iter().map(|name| (*name).to_owned()).collect(),
        ..bench.config(&target)
    };
    bench.restore_with(only(&["one"]), &target).await.unwrap();
    fill(&target, "two", 1).await;
    fill(&target, "three", 1).await;
    // That we were here once does not make others' databases ours, not even while the server does not answer.
    let message = "holds databases which were not restored by this program: three, two";
    let error = assert_refused(&bench, bench.config(&target), &target, Kind::Usage, message).await;
    assert!(error.hint_text().unwrap().contains("--first-restore"), "{error:?}");
    target.stop();
    let mut config = only(&["one", "two"]);
    config.directories.influx_config = Some(target.config().to_owned());
    assert_refused(&bench, config.clone(), &target, Kind::Usage, "holds a database two which was not").await;
    let config = Config { databases: vec!["one".to_owned()], ..config };
    bench.restore_with(config, &target).await.unwrap();
    // One that was given stays so, and one that was dropped meanwhile is nobody's.
    bench.restore_with(Config { first_restore: true, ..only(&["two"]) }, &target).await.unwrap();
    bench.restore_with(only(&["one", "two"]), &target).await.unwrap();
    assert_refused(&bench, only(&["three"]), &target, Kind::Usage, "holds a database three which was not").await;
    target.statement("DROP DATABASE two").await;
    bench.restore_with(only(&["one"]), &target).await.unwrap();
    fill(&target, "two", 1).await;
    assert_refused(&bench, only(&["two"]), &target, Kind::Usage, "holds a database two which was not").await;
}

#[tokio::test]
async fn a_list_of_restored_databases_that_cannot_be_read_is_not_guessed_at() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 1).await;
    let bench = Bench::with_night_of(&source).await;
    let target = Influxd::start().await;
    bench.restore(&target).await.unwrap();
    let list = target.meta_dir().join("nightshard.json");
    let text = fs::read_to_string(&list).unwrap();
    for broken in ["", "{", &text.replace("target/1", "target/2")] {
        fs::write(&list, broken).unwrap();
        assert_refused(&bench, bench.config(&target), &target, Kind::Failed, "cannot be read").await;
    }
    fs::write(&list, text).unwrap();
    bench.restore(&target).await.unwrap();
}

#[tokio::test]
async fn a_database_of_others_under_the_name_of_our_own_is_never_touched() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 1).await;
    let bench = Bench::with_night_of(&source).await;
    let target = Influxd::start().await;
    fill(&target, "nightshard", 3).await;
    for first_restore in [false, true] {
        let config = Config { first_restore, ..bench.config(&target) };
        let message = "the target holds a database nightshard which this program did not make";
        let error = assert_refused(&bench, config, &target, Kind::Usage, message).await;
        assert!(error.hint_text().unwrap().contains("drop it"), "{error:?}");
    }
    assert_eq!(count(&points(&target, "nightshard").await), 60);
    target.statement("DROP DATABASE nightshard").await;
    bench.restore(&target).await.unwrap();
    bench.restore(&target).await.unwrap();
}

#[tokio::test]
async fn a_user_who_may_not_write_the_record_afterwards_is_refused_before() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 1).await;
    let bench = Bench::with_night_of(&source).await;
    let target = Influxd::options().admin("boss", "secret").start().await;
    target.statement("CREATE USER reader WITH PASSWORD 'r'").await;
    target.statement("CREATE DATABASE other").await;
    target.statement("GRANT ALL ON other TO reader").await;
    for (user, password) in [("reader", "r"), ("boss", "wrong"), ("nobody", "n")] {
        let config = traced(&bench, bench.config(&target));
        let error = bench.restore_by(config, influx_as(&target, user, password)).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Usage, "{user}: {error}");
        assert!(error.hint_text().unwrap().contains("must be an admin"), "{error:?}");
        assert!(!bench.folder.path().join("touched").exists(), "the target was stopped or started");
    }
    bench.restore_by(bench.config(&target), influx_as(&target, "boss", "secret")).await.unwrap();
}
