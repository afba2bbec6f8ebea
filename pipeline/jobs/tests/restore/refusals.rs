//! Refused, with nothing changed.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use archive::records::{RunState, RunningMarker};
use archive::{Document, names};
use influx::Influx;
use jobs::restore::{self, Config, Directories, Outcome};
use jobs::{Error, Event, Kind, Lock, Progress, lock};
use test_support::{FaultProxy, Influxd, temp_dir};

use crate::bench::{Bench, NIGHT, assert_clean, edit, fill, influx, now};

/// Commands that leave a trace, so that a test can say that the server was left alone.
pub(crate) fn traced(bench: &Bench, config: Config) -> Config {
    let trace = bench.folder.path().join("touched");
    let touch = |command: &str| format!("touch {}; {command}", trace.display());
    let (stop_command, start_command) = (touch(&config.stop_command), touch(&config.start_command));
    Config { stop_command, start_command, ..config }
}

/// The restore ends so, and the target was neither stopped nor changed.
pub(crate) async fn assert_refused(
    bench: &Bench,
    config: Config,
    target: &Influxd,
    kind: Kind,
    message: &str,
) -> Error {
    let before = fs::read(target.meta_dir().join("meta.db")).unwrap();
    let error = bench.restore_with(traced(bench, config), target).await.unwrap_err();
    assert_eq!(error.kind(), kind, "{error}");
    assert!(error.to_string().contains(message), "{error}");
    assert!(error.hint_text().is_some(), "{error}");
    assert!(!bench.folder.path().join("touched").exists(), "the target was stopped or started");
    assert_eq!(fs::read(target.meta_dir().join("meta.db")).unwrap(), before);
    assert_clean(target);
    error
}

#[tokio::test]
async fn a_night_that_is_not_there_or_cannot_be_read_is_refused() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 1).await;
    let bench = Bench::with_night_of(&source).await;
    let target = Influxd::start().await;

    let config = Config { date: "2016-06-10".parse().unwrap(), ..bench.config(&target) };
    assert_refused(&bench, config, &target, Kind::Missing, "there is no backup in 2016-06-10").await;

    let mut config = bench.config(&target);
    config.calendar.time_zone = chrono_tz::Europe::Berlin;
    assert_refused(&bench, config, &target, Kind::Usage, "counts days in UTC, this run in Europe/Berlin").await;

    let config = Config { databases: vec!["nosuch".to_owned()], ..bench.config(&target) };
    let error = assert_refused(&bench, config, &target, Kind::Usage, "has no database nosuch").await;
    assert_eq!(error.hint_text(), Some("it has: sensu_db"));

    let config = Config { databases: vec!["nightshard".to_owned()], ..bench.config(&target) };
    assert_refused(&bench, config, &target, Kind::Usage, "cannot be restored").await;

    let manifest = edit(&bench, |manifest| manifest["format"] = "nightshard-archive/2".into()).await;
    assert_refused(&bench, bench.config(&target), &target, Kind::Usage, "has the format").await;
    assert!(manifest.contains("nightshard-archive/2"));
}

#[tokio::test]
async fn a_disk_without_room_is_refused_before_anything_is_downloaded() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 1).await;
    let bench = Bench::with_night_of(&source).await;
    let target = Influxd::start().await;
    edit(&bench, |manifest| {
        for object in manifest["objects"].as_array_mut().unwrap() {
            if object["kind"] == "shard" {
                object["bytes"] = (1u64 << 60).into();
            }
        }
    })
    .await;
    assert_refused(&bench, bench.config(&target), &target, Kind::Failed, "bytes, and 1152921504").await;
}

#[tokio::test]
async fn directories_of_another_server_are_refused() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 1).await;
    let bench = Bench::with_night_of(&source).await;
    let (target, other) = (Influxd::start().await, Influxd::start().await);

    let directories = Directories { data: Some(other.data_dir()), ..Directories::default() };
    let config = Config { directories, ..bench.config(&target) };
    assert_refused(&bench, config, &target, Kind::Usage, "the target's data directory is").await;

    let directories = Directories { influx_config: Some(other.config().to_owned()), ..Directories::default() };
    let config = Config { directories, ..bench.config(&target) };
    assert_refused(&bench, config, &target, Kind::Usage, "the target's meta directory is").await;

    // The server's own directories, but another's metastore in them, as on another machine with the same paths.
    let own = fs::read(target.meta_dir().join("meta.db")).unwrap();
    fs::copy(other.meta_dir().join("meta.db"), target.meta_dir().join("meta.db")).unwrap();
    assert_refused(&bench, bench.config(&target), &target, Kind::Usage, "is not the metastore of the server at").await;
    // A metastore with something in it that we do not know: field 99.
    fs::write(target.meta_dir().join("meta.db"), [own.as_slice(), &[0x98, 0x06, 0x01]].concat()).unwrap();
    assert_refused(&bench, bench.config(&target), &target, Kind::Failed, "holds more than this version knows").await;
}

#[tokio::test]
async fn a_server_that_does_not_answer_and_whose_directories_nobody_knows_is_refused() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 1).await;
    let bench = Bench::with_night_of(&source).await;
    let target = Influxd::start().await;
    target.stop();
    let error = assert_refused(&bench, bench.config(&target), &target, Kind::Usage, "it was not given").await;
    assert!(error.hint_text().unwrap().contains("--influx-config"), "{error:?}");
}

/// A restore of the target is under way, and waits in its stop command, while `second` is refused.
async fn assert_locked_out_of_a_running_restore(
    bench: &Bench,
    target: &Influxd,
    second: impl Future<Output = Result<Outcome, Error>>,
) {
    let gate = temp_dir();
    let (stopping, go) = (gate.path().join("stopping"), gate.path().join("go"));
    let config = bench.config(target);
    let stop_command = format!(
        "touch {}; while ! [ -e {} ]; do sleep 0.02; done; {}",
        stopping.display(),
        go.display(),
        config.stop_command
    );
    let first = bench.restore_with(Config { stop_command, ..config }, target);
    let (first, second) = tokio::join!(first, async {
        while !stopping.exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let second = second.await;
        std::fs::write(&go, "").unwrap();
        second
    });
    first.unwrap();
    assert_eq!(second.unwrap_err().kind(), Kind::Locked);
}

#[tokio::test]
async fn a_second_restore_and_one_during_a_dump_are_locked_out() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 1).await;
    let bench = Bench::with_night_of(&source).await;
    let target = Influxd::start().await;
    let config = bench.config(&target);
    let dump = Lock::shared(&config.place.locks, &lock::target_name(influx(&target).url())).unwrap();
    assert_refused(&bench, config, &target, Kind::Locked, "holds the lock").await;
    drop(dump);
    let second = bench.restore(&target);
    assert_locked_out_of_a_running_restore(&bench, &target, second).await;
}

#[tokio::test]
async fn two_restores_of_one_server_by_two_addresses_lock_each_other_out() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 1).await;
    let bench = Bench::with_night_of(&source).await;
    let target = Influxd::start().await;
    // Its second address; the first one's lock is another.
    let proxy = FaultProxy::start(target.http_address()).await;
    let url = proxy.url();
    let by_proxy = Influx::new(influx::Settings::new(url.parse().unwrap(), target.snapshot_address())).unwrap();
    let second = bench.restore_by(bench.config(&target), by_proxy);
    assert_locked_out_of_a_running_restore(&bench, &target, second).await;
}

/// Remembers what was said.
#[derive(Default)]
struct Said(Mutex<Vec<String>>);

impl Progress for Said {
    fn report(&self, event: Event<'_>) {
        if let Event::Waiting(text) | Event::Warning(text) = event {
            self.0.lock().unwrap().push(text.to_owned());
        }
    }
}

#[tokio::test]
async fn a_night_to_come_is_waited_for_over_the_errors_of_its_runs() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 1).await;
    let sealed = Bench::with_night_of(&source).await;
    let bench = Bench::new();
    let target = Influxd::start().await;
    let said = Arc::new(Said::default());
    let config = Config { wait: Some(Duration::from_secs(60)), ..bench.config(&target) };
    let restoring = restore::run(config, now(), Arc::clone(&bench.store), influx(&target), Arc::<Said>::clone(&said));
    let until_said = |text: &'static str| {
        let said = Arc::clone(&said);
        async move {
            while !said.0.lock().unwrap().iter().any(|line| line.contains(text)) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
    };
    let backing_up = async {
        until_said("nothing is there yet").await;
        bench.store.create_container(NIGHT).await.unwrap();
        let mut marker = RunningMarker {
            format: RunningMarker::FORMAT.to_owned(),
            id: "aa".to_owned(),
            writer: bench.place("db1").writer,
            host: "db1".to_owned(),
            process: 7,
            cluster_id: "1".to_owned(),
            databases: Vec::new(),
            started: now(),
            is_deleting: false,
            state: RunState::Running,
        };
        let name = names::running_marker(NIGHT, "aa");
        archive::replace(bench.store.as_ref(), NIGHT, &name, &marker).await.unwrap();
        until_said("STATUS_BACKING_UP, on db1 (process 7)").await;
        marker.state = RunState::Failed { error: "cannot upload".to_owned() };
        archive::replace(bench.store.as_ref(), NIGHT, &name, &marker).await.unwrap();
        until_said("STATUS_ERROR, cannot upload").await;
        // Another run makes it good, and its seal comes last.
        let from = sealed.folder.path().join("archive").join(NIGHT);
        let to = bench.folder.path().join("archive").join(NIGHT);
        for part in ["shards", "manifests"] {
            copy_folder(&from.join(NIGHT).join(part), &to.join(NIGHT).join(part));
        }
    };
    let (restored, ()) = tokio::join!(restoring, backing_up);
    assert_eq!(restored.unwrap().shards, 1);
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}

#[tokio::test]
async fn waiting_ends() {
    let bench = Bench::new();
    let target = Influxd::start().await;
    let config = Config { wait: Some(Duration::from_millis(300)), ..bench.config(&target) };
    assert_refused(&bench, config, &target, Kind::Missing, "there is no backup in 2016-06-11").await;
}
