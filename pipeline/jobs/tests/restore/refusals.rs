//! Refused, with nothing changed.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use archive::records::{RunState, RunningMarker};
use archive::{Document, names};
use influx::Influx;
use influx::metastore::{Data, Database, Framed, Policy, frame};
use jobs::restore::{self, Config, Directories};
use jobs::{Error, Event, Kind, Lock, Progress, lock};
use serde_json::Value;
use store::StoreExt;
use test_support::{FaultProxy, Influxd, temp_dir};

use crate::bench::{Bench, NIGHT, assert_clean, count, edit, fill, influx, influx_as, metastore, now, points};

/// Commands that leave a trace, so that a test can say that the server was left alone.
fn traced(bench: &Bench, config: Config) -> Config {
    let trace = bench.folder.path().join("touched");
    let touch = |command: &str| format!("touch {}; {command}", trace.display());
    let (stop_command, start_command) = (touch(&config.stop_command), touch(&config.start_command));
    Config { stop_command, start_command, ..config }
}

/// The restore ends so, and the target was neither stopped nor changed.
async fn assert_refused(bench: &Bench, config: Config, target: &Influxd, kind: Kind, message: &str) -> Error {
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
    assert_refused(&bench, bench.config(&target), &target, Kind::Failed, "and the night needs 115292150").await;
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
    let (one, other) = tokio::join!(bench.restore(&target), bench.restore(&target));
    let mut ends = [one.map(drop).map_err(|error| error.kind()), other.map(drop).map_err(|error| error.kind())];
    ends.sort_by_key(Result::is_err);
    assert_eq!(ends, [Ok(()), Err(Kind::Locked)]);
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
    let (one, other) = tokio::join!(bench.restore(&target), bench.restore_by(bench.config(&target), by_proxy));
    let mut ends = [one.map(drop).map_err(|error| error.kind()), other.map(drop).map_err(|error| error.kind())];
    ends.sort_by_key(Result::is_err);
    assert_eq!(ends, [Ok(()), Err(Kind::Locked)]);
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

#[tokio::test]
async fn names_that_lead_elsewhere_are_damage() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 1).await;
    let target = Influxd::start().await;
    let long = "x".repeat(256);
    for name in ["../../etc", "..", ".", ".nightshard", "a/b", "a\\b", "a\0b", "a\nb", "", &long] {
        // With shards, and without: an empty database is put in place as well.
        for shards in [true, false] {
            let bench = Bench::with_night_of(&source).await;
            edit(&bench, |manifest| {
                manifest["databases"] = serde_json::json!([name]);
                let objects = manifest["objects"].as_array_mut().unwrap();
                objects.retain(|object| shards || object["kind"] == "meta");
                for object in objects {
                    object["database"] = name.into();
                }
            })
            .await;
            assert_refused(&bench, bench.config(&target), &target, Kind::Damage, "cannot be a database").await;
        }
    }
    for (member, message) in [("retention_policy", "cannot be a retention policy"), ("database", "does not have")] {
        let bench = Bench::with_night_of(&source).await;
        let name = if member == "database" { "unknown" } else { "../x" };
        edit(&bench, |manifest| {
            if member == "database" {
                manifest["databases"] = serde_json::json!([name]);
            }
            for object in manifest["objects"].as_array_mut().unwrap() {
                object[member] = name.into();
            }
        })
        .await;
        assert_refused(&bench, bench.config(&target), &target, Kind::Damage, message).await;
    }
}

/// Changes the night's metastore, and says so in the manifest.
async fn edit_metastore(bench: &Bench, change: impl FnOnce(&mut Data)) {
    let name = "2016-06-11/shards/meta.00";
    let bytes = bench.store.get_bytes(NIGHT, name, 1 << 20).await.unwrap();
    let mut data = Framed::decode(bytes).unwrap().data;
    change(&mut data);
    let bytes = frame(&data);
    edit(bench, |manifest| {
        let object = object(manifest, name);
        object["bytes"] = bytes.len().into();
        object["sha256"] = hex::encode(store::Digests::of(&bytes, None).sha256).into();
    })
    .await;
    bench.store.put_bytes(NIGHT, name, bytes).await.unwrap();
}

fn object<'a>(manifest: &'a mut Value, name: &str) -> &'a mut Value {
    manifest["objects"].as_array_mut().unwrap().iter_mut().find(|object| object["name"] == name).unwrap()
}

#[tokio::test]
async fn names_in_the_nights_metastore_that_lead_elsewhere_are_damage() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 1).await;
    let target = Influxd::start().await;
    let long = "x".repeat(256);
    for name in ["../../../etc", "..", ".", "a/b", "a\\b", "a\0b", "a\u{1b}b", "", &long] {
        // A policy without shards, and a database without policies.
        let bench = Bench::with_night_of(&source).await;
        edit_metastore(&bench, |data| {
            let database = &mut data.databases[0];
            let policy = Policy { name: name.to_owned(), shard_groups: Vec::new(), ..database.policies[0].clone() };
            database.policies.push(policy);
        })
        .await;
        assert_refused(&bench, bench.config(&target), &target, Kind::Damage, "cannot be a retention policy").await;

        let bench = Bench::with_night_of(&source).await;
        edit_metastore(&bench, |data| {
            let database = Database { name: name.to_owned(), policies: Vec::new(), ..data.databases[0].clone() };
            data.databases.push(database);
        })
        .await;
        edit(&bench, |manifest| manifest["databases"] = serde_json::json!([name, "sensu_db"])).await;
        // Also when it is another one that is asked for.
        let config = Config { databases: vec!["sensu_db".to_owned()], ..bench.config(&target) };
        assert_refused(&bench, config, &target, Kind::Damage, "cannot be a database").await;
    }
}

#[tokio::test]
async fn a_night_that_contradicts_itself_is_damage() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 2).await;
    let target = Influxd::start().await;
    let (shard, meta) = (names::shard(NIGHT, "sensu_db", "default", 2), "2016-06-11/shards/meta.00");
    let (shard, shortened) = (shard.as_str(), "it has ");
    type Change = fn(&mut Value, &str);
    let contradictions: [(&str, Change, &str); 6] = [
        (
            shard,
            |manifest, _| manifest["databases"] = serde_json::json!(["gone", "sensu_db"]),
            "have the database gone",
        ),
        (shard, |manifest, name| object(manifest, name)["shard_id"] = 1.into(), "shard 1 twice"),
        (shard, |manifest, name| object(manifest, name)["bytes"] = u64::MAX.into(), "no disk has so many bytes"),
        (meta, |manifest, name| object(manifest, name)["bytes"] = 10.into(), shortened),
        (meta, |manifest, name| object(manifest, name)["bytes"] = (1 << 20).into(), shortened),
        (meta, |manifest, name| object(manifest, name)["name"] = "2016-06-11/shards/meta.01".into(), "does not exist"),
    ];
    for (name, change, message) in contradictions {
        let bench = Bench::with_night_of(&source).await;
        edit(&bench, |manifest| change(manifest, name)).await;
        assert_refused(&bench, bench.config(&target), &target, Kind::Damage, message).await;
    }
}

#[tokio::test]
async fn a_damaged_night_is_refused_while_the_target_goes_on() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 4).await;
    let target = Influxd::start().await;
    fill(&target, "sensu_db", 1).await;
    let name = names::shard(NIGHT, "sensu_db", "default", 3);
    type Change = fn(Vec<u8>) -> Vec<u8>;
    let damage: [(&str, &str, Change); 4] = [
        (&name, "its SHA-256 is not that of the manifest", |mut bytes| {
            bytes[600] ^= 1;
            bytes
        }),
        (&name, "no tar header at byte 0", |mut bytes| {
            bytes[0] ^= 1;
            bytes
        }),
        (&name, "bytes instead of", |mut bytes| {
            bytes.truncate(1000);
            bytes
        }),
        ("2016-06-11/shards/meta.00", "its SHA-256 is not that of the manifest", |mut bytes| {
            bytes[40] ^= 1;
            bytes
        }),
    ];
    for (name, message, change) in damage {
        let bench = Bench::with_night_of(&source).await;
        let bytes = bench.store.get_bytes(NIGHT, name, 1 << 20).await.unwrap().to_vec();
        bench.store.put_bytes(NIGHT, name, change(bytes).into()).await.unwrap();
        let config = Config { first_restore: true, ..bench.config(&target) };
        assert_refused(&bench, config, &target, Kind::Damage, message).await;
    }
    let bench = Bench::with_night_of(&source).await;
    bench.store.delete(NIGHT, &name).await.unwrap();
    let config = Config { first_restore: true, ..bench.config(&target) };
    assert_refused(&bench, config, &target, Kind::Damage, "it does not exist").await;
}
