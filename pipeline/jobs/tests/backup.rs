//! Backups of a real InfluxDB into a folder: what a night holds, and how a run ends that cannot make one.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use archive::manifest::{BackupManifest, Writer};
use archive::{Calendar, ContainerPattern, Date, NightState, names, night_state};
use chrono::{DateTime, NaiveTime, Utc};
use influx::Influx;
use jobs::backup::{self, Config, Outcome};
use jobs::{Error, Interrupt, Kind, Place};
use store::{Folder, Store, StoreExt};
use test_support::{Fault, FaultProxy, Influxd, TempDir, temp_dir};

const NIGHT: &str = "2016-06-11";

/// An archive, a spool and a lock folder of a test's own.
struct Bench {
    folder: TempDir,
    store: Arc<dyn Store>,
}

impl Bench {
    fn new() -> Bench {
        let folder = temp_dir();
        let store = Arc::new(Folder::open(folder.path().join("archive")).unwrap());
        Bench { folder, store }
    }

    fn spool(&self) -> PathBuf {
        self.folder.path().join("spool")
    }

    fn config(&self) -> Config {
        let place = Place {
            host: "db1".to_owned(),
            process: std::process::id(),
            writer: Writer { program: "nightshard-backup".to_owned(), version: "0.0.0".to_owned() },
            locks: self.folder.path().join("locks"),
            spool: self.spool(),
        };
        let calendar = Calendar {
            time_zone: chrono_tz::Europe::Berlin,
            night_ends: NaiveTime::from_hms_opt(12, 0, 0).unwrap(),
            pattern: ContainerPattern::default(),
        };
        let databases = vec!["sensu_db".to_owned()];
        Config {
            place,
            calendar,
            date: Date::Today,
            databases,
            if_missing: false,
            parallel: 3,
            token_expiry: None,
            interrupt: Interrupt::new(),
        }
    }

    async fn run(&self, influx: Influx) -> Result<Outcome, Error> {
        self.run_with(self.config(), influx).await
    }

    async fn run_with(&self, config: Config, influx: Influx) -> Result<Outcome, Error> {
        backup::run(config, now(), Arc::clone(&self.store), influx, Arc::new(())).await
    }

    async fn manifest(&self) -> BackupManifest {
        match night_state(self.store.as_ref(), NIGHT).await.unwrap() {
            NightState::Ready(loaded) => loaded.document,
            state => panic!("{NIGHT} is not sealed: {state:?}"),
        }
    }

    async fn objects(&self) -> Vec<String> {
        let listed = self.store.list_all(NIGHT, "").await.unwrap();
        listed.into_iter().map(|entry| entry.name).collect()
    }

    /// Nothing is left in the spool.
    fn assert_spool_is_empty(&self) {
        let left: Vec<_> = std::fs::read_dir(self.spool()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(left.is_empty(), "{left:?}");
    }

    /// There is no backup, and nothing of this machine's is left over.
    async fn assert_no_night(&self) {
        assert!(!self.objects().await.iter().any(|name| *name == names::backup_manifest(NIGHT)));
        self.assert_spool_is_empty();
    }
}

fn now() -> DateTime<Utc> {
    DateTime::parse_from_rfc3339("2016-06-11T21:55:00Z").unwrap().to_utc()
}

fn influx(influxd: &Influxd) -> Influx {
    influx_at(influxd, &influxd.snapshot_address())
}

fn influx_at(influxd: &Influxd, snapshot_address: &str) -> Influx {
    Influx::new(influx::Settings::new(influxd.url().parse().unwrap(), snapshot_address)).unwrap()
}

/// A database with a point a day for `days` days from 2016-05-01 on, in shards of a day.
async fn fill(influxd: &Influxd, days: u32) {
    influxd.statement("CREATE DATABASE sensu_db WITH DURATION INF SHARD DURATION 1d NAME \"default\"").await;
    let mut lines = String::new();
    for day in 0..days {
        for host in 0..20 {
            let time = 1_462_060_800_000_000_000 + i64::from(day) * 86_400_000_000_000 + host;
            writeln!(lines, "cpu,host=h{host} idle={}.5,load={host}i,note=\"day {day}\" {time}", host * 2).unwrap();
        }
    }
    influxd.write("sensu_db", &lines).await;
}

#[tokio::test]
async fn a_night_is_bit_for_bit_what_influxd_backup_writes() {
    let influxd = Influxd::start().await;
    fill(&influxd, 12).await;
    influxd.query("sensu_db", "DELETE FROM cpu WHERE host = 'h3' AND time < '2016-05-03'").await;
    let bench = Bench::new();
    let outcome = bench.run(influx(&influxd)).await.unwrap();
    assert_eq!((outcome.shards, outcome.warnings), (12, Vec::<String>::new()));

    let peer = temp_dir();
    let status = Command::new("influxd")
        .args(["backup", "-host", &influxd.snapshot_address(), "-database", "sensu_db"])
        .arg(peer.path())
        .output()
        .unwrap();
    assert!(status.status.success(), "{status:?}");
    let ours = bench.folder.path().join("archive").join(NIGHT).join(NIGHT).join("shards");
    let theirs = files(peer.path());
    assert_eq!(files(&ours), theirs, "the same names");
    assert_eq!(theirs.len(), 13);
    for name in theirs {
        let (one, other) = (std::fs::read(ours.join(&name)).unwrap(), std::fs::read(peer.path().join(&name)).unwrap());
        assert!(one == other, "{name} differs");
    }
    bench.assert_spool_is_empty();
}

fn files(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn the_manifest_tells_what_each_object_is() {
    let influxd = Influxd::start().await;
    fill(&influxd, 3).await;
    let bench = Bench::new();
    let before = Utc::now();
    bench.run(influx(&influxd)).await.unwrap();
    let manifest = bench.manifest().await;
    assert_eq!((manifest.container.as_str(), manifest.time_zone.as_str()), (NIGHT, "Europe/Berlin"));
    assert_eq!(manifest.databases, ["sensu_db"]);
    assert!(manifest.source.influxdb_version.starts_with("1.6.7"), "{:?}", manifest.source);
    assert_eq!(manifest.source.data_directory, influxd.data_dir().display().to_string());
    assert_ne!(manifest.source.cluster_id, "0");
    assert_eq!(manifest.shards().count(), 3);
    for (object, shard) in manifest.shards() {
        assert_eq!(object.name, format!("{NIGHT}/shards/sensu_db.default.{:05}.00", shard.shard_id));
        let starts = shard.starts.unwrap();
        assert_eq!((shard.ends - starts).num_hours(), 24);
        assert!(shard.snapshot_taken >= before - chrono::Duration::seconds(1) && shard.snapshot_taken <= Utc::now());
        let bytes = bench.store.get_bytes(NIGHT, &object.name, 1 << 20).await.unwrap();
        assert_eq!(object.bytes, bytes.len() as u64);
        let digests = store::Digests::of(&bytes, None);
        assert_eq!((&object.sha256, &object.md5), (&hex::encode(digests.sha256), &hex::encode(digests.md5)));
        assert_eq!(shard.files.len(), 1);
        for file in &shard.files {
            let start = usize::try_from(file.offset).unwrap();
            let content = &bytes[start..start + usize::try_from(file.bytes).unwrap()];
            assert_eq!(&content[..4], [0x16, 0xd1, 0x16, 0xd1]);
            assert_eq!(file.sha256, hex::encode(store::Digests::of(content, None).sha256));
        }
    }
    let meta = manifest.metastore().unwrap();
    let bytes = bench.store.get_bytes(NIGHT, &meta.name, 1 << 20).await.unwrap();
    let framed = influx::metastore::Framed::decode(bytes).unwrap();
    assert_eq!(framed.data.cluster_id.to_string(), manifest.source.cluster_id);
    assert!(!bench.objects().await.iter().any(|name| name.contains("/running/")), "the marker is gone");
}

#[tokio::test]
async fn all_databases_but_internal_are_taken_when_none_is_named() {
    let influxd = Influxd::options().internal_database().start().await;
    fill(&influxd, 1).await;
    influxd.statement("CREATE DATABASE \"an empty one\"").await;
    let bench = Bench::new();
    let config = Config { databases: Vec::new(), ..bench.config() };
    let outcome = bench.run_with(config, influx(&influxd)).await.unwrap();
    assert_eq!(outcome.databases, ["an empty one", "sensu_db"]);
}

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
    assert!(refused.hint_text().unwrap().contains("swift delete"), "{refused:?}");
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
    assert!(refused.to_string().contains("by db2 (process 7)"), "{refused}");
}

#[tokio::test]
async fn a_stream_that_is_cut_is_asked_for_again_and_the_night_is_whole() {
    let influxd = Influxd::start().await;
    fill(&influxd, 2).await;
    // Cut in good order and by a reset, in the middle of a shard and at its first byte.
    for fault in [Fault::CutAnswer(700), Fault::CutAnswer(1536), Fault::ResetAnswer(700), Fault::CutAnswer(0)] {
        let bench = Bench::new();
        let proxy = FaultProxy::start(&influxd.snapshot_address()).await;
        // The metastore and two lists come first; then the shards, one at a time.
        proxy.set_next([Fault::None, Fault::None, Fault::None, fault]);
        let config = Config { parallel: 1, ..bench.config() };
        let outcome = bench.run_with(config, influx_at(&influxd, &proxy.address())).await.unwrap();
        assert_eq!((outcome.shards, outcome.warnings.len()), (2, 0), "{fault:?}");
        for (object, _) in bench.manifest().await.shards() {
            let bytes = bench.store.get_bytes(NIGHT, &object.name, 1 << 20).await.unwrap();
            tsm::tar::list(bytes.as_ref()).unwrap();
        }
        bench.assert_spool_is_empty();
    }
}

#[tokio::test]
async fn a_stream_that_is_always_cut_ends_the_run_without_a_night_and_its_marker_says_why() {
    let influxd = Influxd::start().await;
    fill(&influxd, 2).await;
    let bench = Bench::new();
    let proxy = FaultProxy::start(&influxd.snapshot_address()).await;
    // Lists and the metastore are shorter than this.
    proxy.set(Fault::CutAnswer(1200));
    let failed = bench.run(influx_at(&influxd, &proxy.address())).await.unwrap_err();
    assert!(failed.to_string().contains("without its trailer"), "{failed}");
    assert!(failed.to_string().contains("cannot take a snapshot of shard"), "{failed}");
    bench.assert_no_night().await;
    match night_state(bench.store.as_ref(), NIGHT).await.unwrap() {
        NightState::Failed(error) => assert_eq!(error, failed.to_string()),
        state => panic!("{state:?}"),
    }
    // Nothing was uploaded, so the same command may try again.
    assert_eq!(bench.run(influx(&influxd)).await.unwrap().shards, 2);
    assert!(!bench.objects().await.iter().any(|name| name.contains("/running/")), "the seal ends the error");
}

#[tokio::test]
async fn a_server_that_is_killed_in_mid_stream_leaves_no_night() {
    let influxd = Influxd::start().await;
    fill(&influxd, 2).await;
    let bench = Bench::new();
    let proxy = FaultProxy::start(&influxd.snapshot_address()).await;
    // Lists and the metastore are shorter than this.
    proxy.set(Fault::StallAnswer(900));
    let influx = influx_at(&influxd, &proxy.address());
    let (failed, ()) = tokio::join!(bench.run(influx), async {
        proxy.await_connections(4).await;
        influxd.kill();
        drop(proxy);
    });
    let failed = failed.unwrap_err();
    assert!(matches!(failed.kind(), Kind::Failed), "{failed}");
    bench.assert_no_night().await;
}

#[tokio::test]
async fn a_shard_that_is_dropped_meanwhile_is_left_out_and_named() {
    let influxd = Influxd::start().await;
    fill(&influxd, 4).await;
    let bench = Bench::new();
    let proxy = FaultProxy::start(&influxd.snapshot_address()).await;
    // The first shard comes slowly, so that another one can be dropped before its turn.
    proxy.set_next([Fault::None, Fault::None, Fault::None, Fault::SlowAnswer(4000)]);
    let config = Config { parallel: 1, ..bench.config() };
    let (outcome, ()) = tokio::join!(bench.run_with(config, influx_at(&influxd, &proxy.address())), async {
        proxy.await_connections(4).await;
        let shards = influxd.rows("sensu_db", "SHOW SHARDS").await;
        for shard in shards {
            influxd.statement(&format!("DROP SHARD {}", shard[0])).await;
        }
        fill_one_more(&influxd).await;
    });
    let outcome = outcome.unwrap();
    let manifest = bench.manifest().await;
    // What is left is the shard that appeared; whatever had been stored of the others is gone from `shards/`.
    assert_eq!(outcome.shards, 1, "{outcome:?}");
    let listed = bench.store.list_all(NIGHT, &names::shards_prefix(NIGHT)).await.unwrap();
    let mut named: Vec<String> = manifest.objects.iter().map(|object| object.name.clone()).collect();
    named.sort();
    assert_eq!(listed.into_iter().map(|entry| entry.name).collect::<Vec<_>>(), named);
}

async fn fill_one_more(influxd: &Influxd) {
    influxd.write("sensu_db", "cpu,host=late idle=1.0 1470000000000000000").await;
}

#[tokio::test]
async fn what_a_killed_run_left_in_the_spool_is_swept_by_the_next() {
    let influxd = Influxd::start().await;
    fill(&influxd, 1).await;
    let bench = Bench::new();
    let left = bench.spool().join("nightshard-dead");
    std::fs::create_dir_all(&left).unwrap();
    std::fs::write(left.join("in-use"), "").unwrap();
    std::fs::write(left.join("shard-1.tar"), "half").unwrap();
    let foreign = bench.spool().join("somebody-elses");
    std::fs::create_dir_all(&foreign).unwrap();
    bench.run(influx(&influxd)).await.unwrap();
    assert!(!left.exists());
    assert!(foreign.exists());
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

#[tokio::test]
async fn a_database_that_is_dropped_meanwhile_is_left_out_and_named_unless_it_was_asked_for() {
    for asked in [false, true] {
        let influxd = Influxd::start().await;
        fill(&influxd, 3).await;
        influxd.statement("CREATE DATABASE scratch").await;
        influxd.write("scratch", "cpu idle=1 1462060800000000000").await;
        let bench = Bench::new();
        let proxy = FaultProxy::start(&influxd.snapshot_address()).await;
        // The metastore and two lists of each database come first; then a shard that is slow.
        let mut faults = vec![Fault::None; 5];
        faults.push(Fault::SlowAnswer(4000));
        proxy.set_next(faults);
        let databases = if asked { vec!["scratch".to_owned(), "sensu_db".to_owned()] } else { Vec::new() };
        let config = Config { parallel: 1, databases, ..bench.config() };
        let (outcome, ()) = tokio::join!(bench.run_with(config, influx_at(&influxd, &proxy.address())), async {
            proxy.await_connections(6).await;
            influxd.statement("DROP DATABASE scratch").await;
        });
        if asked {
            let failed = outcome.unwrap_err();
            assert_eq!(failed.kind(), Kind::Failed);
            assert!(failed.to_string().contains("database scratch was dropped"), "{failed}");
        } else {
            let outcome = outcome.unwrap();
            assert_eq!((outcome.databases, outcome.shards), (vec!["sensu_db".to_owned()], 3));
            assert!(outcome.warnings.iter().any(|warning| warning == "database scratch was dropped during the backup"));
        }
    }
}

#[tokio::test]
async fn a_run_that_is_asked_to_end_says_so_in_its_marker() {
    let influxd = Influxd::start().await;
    fill(&influxd, 3).await;
    let bench = Bench::new();
    let proxy = FaultProxy::start(&influxd.snapshot_address()).await;
    proxy.set(Fault::StallAnswer(1000));
    let config = bench.config();
    let interrupt = config.interrupt.clone();
    let (outcome, ()) = tokio::join!(bench.run_with(config, influx_at(&influxd, &proxy.address())), async {
        proxy.await_connections(4).await;
        interrupt.request();
    });
    assert_eq!(outcome.unwrap_err().to_string(), "interrupted");
    bench.assert_no_night().await;
    let state = night_state(bench.store.as_ref(), NIGHT).await.unwrap();
    assert!(matches!(&state, NightState::Failed(error) if error == "interrupted"), "{state:?}");
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
