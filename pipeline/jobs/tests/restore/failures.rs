//! What goes wrong once the target is stopped, and what is left then.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use archive::names;
use jobs::restore::{self, Config, Directories};
use jobs::{Kind, loaded};
use serde_json::Value;
use store::StoreExt;
use test_support::Influxd;

use crate::bench::{
    Bench, MIDNIGHT, NIGHT, assert_clean, count, edit, fill, influx, metastore, now, once, points, two_nights,
};

/// The restore fails with these words, and the target is as it was before.
async fn assert_back(bench: &Bench, config: Config, target: &Influxd, words: &[&str]) {
    let before = (points(target, "sensu_db").await, points(target, "other").await, metastore(target).databases);
    let loaded_before = loaded::read(&influx(target)).await.unwrap();
    assert!(loaded_before.is_some());
    let error = bench.restore_with(config, target).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Failed, "{error}");
    for word in words {
        assert!(error.to_string().contains(word), "{error}");
    }
    let after = (points(target, "sensu_db").await, points(target, "other").await, metastore(target).databases);
    assert_eq!(after, before);
    assert_eq!(loaded::read(&influx(target)).await.unwrap(), loaded_before);
    assert_clean(target);
}

const BACK: &str = "the target's old state is back, and answers";

#[tokio::test]
async fn the_old_state_comes_back_when_the_new_one_does_not_start() {
    let (source, target, bench) = two_nights().await;
    let config = bench.config(&target);
    let start_command = once(&bench, "echo no such unit; exit 5", &config.start_command);
    assert_back(&bench, Config { start_command, ..config }, &target, &["exit status: 5): no such unit", BACK]).await;
    // The same command again does it.
    bench.restore(&target).await.unwrap();
    assert_eq!(points(&target, "sensu_db").await, points(&source, "sensu_db").await);
}

#[tokio::test]
async fn the_old_state_comes_back_when_the_new_one_does_not_answer() {
    let (_source, target, bench) = two_nights().await;
    let config = bench.config(&target);
    let start_command = once(&bench, "true", &config.start_command);
    let config = Config { start_command, start_timeout: Duration::from_secs(3), ..config };
    assert_back(&bench, config, &target, &["the target does not answer at", BACK]).await;
}

#[tokio::test]
async fn the_old_state_comes_back_when_a_shard_does_not_answer() {
    let (_source, target, bench) = two_nights().await;
    // A night that was damaged before it was sealed: digests and tar are right, but a TSM file has no header.
    let name = names::shard(NIGHT, "sensu_db", "default", 2);
    let mut bytes = bench.store.get_bytes(NIGHT, &name, 1 << 20).await.unwrap().to_vec();
    let mut offset = 0;
    edit(&bench, |manifest| {
        let object = shard(manifest, &name);
        offset = usize::try_from(object["files"][0]["offset"].as_u64().unwrap()).unwrap();
        bytes[offset..offset + 4].fill(0);
        object["sha256"] = hex::encode(store::Digests::of(&bytes, None).sha256).into();
    })
    .await;
    bench.store.put_bytes(NIGHT, &name, bytes.into()).await.unwrap();
    assert_back(
        &bench,
        bench.config(&target),
        &target,
        &["of sensu_db.default is not there: the server does not open it", BACK],
    )
    .await;
}

#[tokio::test]
async fn the_old_state_comes_back_when_a_shard_lacks_a_point_that_it_must_have() {
    let (_source, target, bench) = two_nights().await;
    let config = bench.config(&target);
    // The shards open, but a file is gone: no server says a word about that.
    let remove = format!("rm {}/sensu_db/default/*/*.tsm; {}", target.data_dir().display(), config.start_command);
    let start_command = once(&bench, &remove, &config.start_command);
    let words = ["the server does not find a point that is in its files", BACK];
    assert_back(&bench, Config { start_command, ..config }, &target, &words).await;
}

fn shard<'a>(manifest: &'a mut Value, name: &str) -> &'a mut Value {
    let objects = manifest["objects"].as_array_mut().unwrap();
    objects.iter_mut().find(|object| object["name"] == name).unwrap()
}

#[tokio::test]
async fn a_target_that_does_not_stop_is_left_alone() {
    let (_source, target, bench) = two_nights().await;
    for (stop_command, words) in
        [("true", "it answers at"), ("echo not me; exit 3", "exit status: 3): not me: it answers")]
    {
        let start_timeout = Duration::from_secs(1);
        let config = Config { stop_command: stop_command.to_owned(), start_timeout, ..bench.config(&target) };
        assert_back(&bench, config, &target, &["the target is not stopped by", words]).await;
    }
}

#[tokio::test]
async fn files_that_somebody_else_has_open_are_not_moved() {
    let (_source, target, bench) = two_nights().await;
    let file = target.data_dir().join("sensu_db/_series/00/0000");
    let mut tail = Command::new("tail").arg("-f").arg(&file).stdout(Stdio::null()).spawn().unwrap();
    let holds = |entry: fs::DirEntry| fs::read_link(entry.path()).is_ok_and(|held| held == file);
    let open = format!("/proc/{}/fd", tail.id());
    while !fs::read_dir(&open).unwrap().any(|entry| holds(entry.unwrap())) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let config = Config { start_timeout: Duration::from_secs(3), ..bench.config(&target) };
    assert_back(&bench, config, &target, &["the target is stopped, but process", "(tail) has", BACK]).await;
    tail.kill().unwrap();
    tail.wait().unwrap();
    bench.restore(&target).await.unwrap();
}

#[tokio::test]
async fn a_target_that_goes_down_after_its_stop_has_failed_is_started_again() {
    let (_source, target, bench) = two_nights().await;
    const UP: &str = "nothing was changed, and the target answers";
    let config = bench.config(&target);
    let stop = &config.stop_command;
    let late =
        format!("(sleep 1; {stop}; touch {}) >/dev/null 2>&1 & exit 1", bench.folder.path().join("down").display());
    let config = Config { stop_command: late, ..bench.config(&target) };
    assert_back(&bench, config, &target, &["the target is not stopped by", UP]).await;
    assert!(bench.folder.path().join("down").exists());

    let slow = format!("{stop}; exec sleep 1000");
    let config = Config { stop_command: slow, start_timeout: Duration::from_secs(5), ..bench.config(&target) };
    assert_back(&bench, config, &target, &["has not ended after 5s", UP]).await;
}

#[tokio::test]
async fn the_end_of_the_process_is_waited_for() {
    let (source, target, bench) = two_nights().await;
    let pid = target.config().with_file_name("influxd.pid");
    let config = Config { stop_command: format!("kill $(cat {})", pid.display()), ..bench.config(&target) };
    bench.restore_with(config, &target).await.unwrap();
    assert_eq!(points(&target, "sensu_db").await, points(&source, "sensu_db").await);
}

#[tokio::test]
async fn a_broken_intermediary_heals_itself() {
    let (source, target, bench) = two_nights().await;
    target.kill();
    // Half of its files are gone, and there is rubbish in the rest; the stop command has nothing to stop.
    fs::remove_dir_all(target.data_dir().join("sensu_db/_series")).unwrap();
    for entry in fs::read_dir(target.data_dir().join("sensu_db/default")).unwrap() {
        fs::write(entry.unwrap().path().join("000000001-000000001.tsm"), "rubbish").unwrap();
    }
    let directories = Directories { influx_config: Some(target.config().to_owned()), ..Directories::default() };
    let config = Config { directories, stop_command: "false".to_owned(), ..bench.config(&target) };
    bench.restore_with(config, &target).await.unwrap();
    assert_eq!(points(&target, "sensu_db").await, points(&source, "sensu_db").await);
    assert_eq!(count(&points(&target, "other").await), 40);
    assert_clean(&target);
}

#[tokio::test]
async fn a_server_that_stays_down_is_told_how_to_be_found_and_heals_by_its_configuration() {
    let (source, target, bench) = two_nights().await;
    let config = Config { start_command: "exit 7".to_owned(), ..bench.config(&target) };
    let error = bench.restore_with(config, &target).await.unwrap_err();
    assert!(error.to_string().contains("could not be brought back"), "{error}");
    assert!(!target.is_running());
    // It told of its directories itself, and does so no more.
    let flags = format!("--influx-config, or --meta-dir {}", target.meta_dir().display());
    assert!(error.hint_text().unwrap().contains(&flags), "{error:?}");
    assert_eq!(bench.restore(&target).await.unwrap_err().kind(), Kind::Usage);

    // With its configuration at the usual place the same command is right.
    let usual = Some(target.config().to_owned());
    let directories = || Directories { default_influx_config: usual.clone(), ..Directories::default() };
    let broken = Config { start_command: "exit 7".to_owned(), directories: directories(), ..bench.config(&target) };
    let error = bench.restore_with(broken, &target).await.unwrap_err();
    assert!(!error.hint_text().unwrap().contains("--meta-dir"), "{error:?}");
    let config = Config { directories: directories(), ..bench.config(&target) };
    bench.restore_with(config, &target).await.unwrap();
    assert_eq!(points(&target, "sensu_db").await, points(&source, "sensu_db").await);
    assert_clean(&target);
}

/// Runs a restore until it starts the server, and no further, as if the machine had lost its power.
async fn cut_off_before_start(bench: &Bench, config: Config, target: &Influxd) {
    let flag = bench.folder.path().join("starting");
    let start_command = format!("touch {}; exec sleep 1000", flag.display());
    let config = Config { start_command, ..config };
    let run = restore::run(config, now(), Arc::clone(&bench.store), influx(target), Arc::new(()));
    let run = tokio::spawn(run);
    while !flag.exists() {
        assert!(!run.is_finished(), "{:?}", run.await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    run.abort();
    assert!(run.await.unwrap_err().is_cancelled());
    assert!(!target.is_running());
}

fn journal(target: &Influxd) -> PathBuf {
    target.data_dir().join(".nightshard/journal.json")
}

#[tokio::test]
async fn a_restore_that_was_cut_off_claims_nothing_and_the_next_one_finishes_it() {
    let (source, target, bench) = two_nights().await;
    cut_off_before_start(&bench, bench.config(&target), &target).await;
    assert!(journal(&target).exists());
    // Somebody starts the server by hand, and others write into it.
    target.restart().await;
    assert_eq!(loaded::read(&influx(&target)).await.unwrap(), None, "no dump may take this for a night");
    let later = MIDNIGHT + 400 * 86_400_000_000_000;
    target.write("other", &format!("cpu,host=h1 idle=5 {later}")).await;

    bench.restore(&target).await.unwrap();
    assert_eq!(points(&target, "sensu_db").await, points(&source, "sensu_db").await);
    assert_eq!(count(&points(&target, "other").await), 41, "what others wrote meanwhile stays");
    assert_eq!(loaded::read(&influx(&target)).await.unwrap().unwrap().container, NIGHT);
    assert_clean(&target);
}

#[tokio::test]
async fn a_restore_that_was_cut_off_right_after_the_metastore_stands_although_it_was_started_by_hand() {
    let (source, target, bench) = two_nights().await;
    cut_off_before_start(&bench, bench.config(&target), &target).await;
    // As if the power had gone before the journal could say that the metastore is written.
    let mut written: Value = serde_json::from_slice(&fs::read(journal(&target)).unwrap()).unwrap();
    written["written"] = false.into();
    fs::write(journal(&target), written.to_string()).unwrap();
    target.restart().await;
    let later = MIDNIGHT + 400 * 86_400_000_000_000;
    target.write("sensu_db", &format!("cpu,host=h1 idle=5 {later}")).await;
    assert_eq!(count(&points(&target, "sensu_db").await), 101);
    // The next run fails, so that what it puts back is what it found.
    let config = bench.config(&target);
    let flag = bench.folder.path().join("twice");
    let start_command =
        format!("if [ -e {0} ]; then {1}; else touch {0}; exit 1; fi", flag.display(), config.start_command);
    bench.restore_with(Config { start_command, ..config }, &target).await.unwrap_err();
    assert_eq!(count(&points(&target, "sensu_db").await), 101, "the new state, and what was written into it");
    bench.restore(&target).await.unwrap();
    assert_eq!(points(&target, "sensu_db").await, points(&source, "sensu_db").await);
    assert_clean(&target);
}

#[tokio::test]
async fn directories_that_a_cut_off_restore_moved_aside_come_back() {
    let source = Influxd::start().await;
    fill(&source, "one", 2).await;
    fill(&source, "two", 2).await;
    let bench = Bench::with_night_of(&source).await;
    let target = Influxd::start().await;
    fill(&target, "two", 7).await;
    let two = points(&target, "two").await;
    target.restart().await;
    let before = fs::read(target.meta_dir().join("meta.db")).unwrap();
    let config = Config { first_restore: true, ..bench.config(&target) };
    cut_off_before_start(&bench, config, &target).await;
    // As if it had ended a moment earlier: everything aside, the new metastore not yet written.
    fs::write(target.meta_dir().join("meta.db"), before).unwrap();
    let mut written: Value = serde_json::from_slice(&fs::read(journal(&target)).unwrap()).unwrap();
    written["written"] = false.into();
    fs::write(journal(&target), written.to_string()).unwrap();

    // The next run is for one database only, and need not be told that we were here.
    let directories = Directories { influx_config: Some(target.config().to_owned()), ..Directories::default() };
    let config = Config { databases: vec!["one".to_owned()], directories, ..bench.config(&target) };
    bench.restore_with(config, &target).await.unwrap();
    assert_eq!(points(&target, "one").await, points(&source, "one").await);
    assert_eq!(points(&target, "two").await, two, "what was aside is back");
    assert_clean(&target);
}

#[tokio::test]
async fn what_was_dropped_first_does_not_come_back_and_the_error_says_so() {
    let (source, target, bench) = two_nights().await;
    let config = bench.config(&target);
    let start_command = once(&bench, "exit 1", &config.start_command);
    let config = Config { start_command, drop_first: true, ..config };
    let error = bench.restore_with(config, &target).await.unwrap_err();
    assert!(error.to_string().contains("had been dropped first"), "{error}");
    assert_eq!(count(&points(&target, "other").await), 40);
    assert_eq!(loaded::read(&influx(&target)).await.unwrap(), None);
    assert_clean(&target);
    bench.restore(&target).await.unwrap();
    assert_eq!(points(&target, "sensu_db").await, points(&source, "sensu_db").await);
}

#[tokio::test]
async fn a_record_that_cannot_be_written_is_a_failure_of_its_own() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 1).await;
    let bench = Bench::with_night_of(&source).await;
    let target = Influxd::options().hostname("intermediary").start().await;
    // A folder stands where the record should be.
    bench
        .store
        .put_bytes(NIGHT, &format!("{}/x", names::restore_record(NIGHT, "intermediary")), "x".into())
        .await
        .unwrap();
    let outcome = bench.restore(&target).await.unwrap();
    assert_eq!(outcome.failures().len(), 1, "{outcome:?}");
    assert!(
        outcome.summary().contains("\nfailed: cannot write 2016-06-11/manifests/restore.intermediary.json"),
        "{}",
        outcome.summary()
    );
    assert!(loaded::read(&influx(&target)).await.unwrap().is_some());
}
