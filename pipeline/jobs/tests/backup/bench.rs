//! A source, and an archive, a spool and a lock folder of a test's own.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::Arc;

use archive::manifest::{BackupManifest, Writer};
use archive::records::{RunState, RunningMarker};
use archive::{Calendar, ContainerPattern, Date, Document, NightState, names, night_state};
use chrono::{DateTime, NaiveTime, Utc};
use influx::Influx;
use jobs::backup::{self, Config, Outcome, Verify};
use jobs::{Error, Interrupt, Place};
use store::{Folder, Store, StoreExt};
use test_support::{Influxd, TempDir, temp_dir};

pub(crate) const NIGHT: &str = "2016-06-11";

/// An archive, a spool and a lock folder of a test's own.
pub(crate) struct Bench {
    pub(crate) folder: TempDir,
    pub(crate) store: Arc<dyn Store>,
}

impl Bench {
    pub(crate) fn new() -> Bench {
        let folder = temp_dir();
        let store = Arc::new(Folder::open(folder.path().join("archive")).unwrap());
        Bench { folder, store }
    }

    pub(crate) fn spool(&self) -> PathBuf {
        self.folder.path().join("spool")
    }

    pub(crate) fn config(&self) -> Config {
        let place = Place {
            host: "db1".to_owned(),
            process: std::process::id(),
            writer: Writer { program: "nightshard-backup".to_owned(), version: "0.0.0".to_owned() },
            locks: self.folder.path().join("locks"),
            spool: self.spool(),
            spool_size: None,
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
            shared: Some(backup::Shared::default()),
            replace: false,
            verify: Verify::Checksums,
            parallel: 3,
            token_expiry: None,
            interrupt: Interrupt::new(),
        }
    }

    pub(crate) async fn run(&self, influx: Influx) -> Result<Outcome, Error> {
        self.run_with(self.config(), influx).await
    }

    pub(crate) async fn run_with(&self, config: Config, influx: Influx) -> Result<Outcome, Error> {
        backup::run(config, now(), Arc::clone(&self.store), influx, Arc::new(())).await
    }

    pub(crate) async fn manifest(&self) -> BackupManifest {
        match night_state(self.store.as_ref(), NIGHT).await.unwrap() {
            NightState::Ready(loaded) => loaded.document,
            state => panic!("{NIGHT} is not sealed: {state:?}"),
        }
    }

    pub(crate) async fn objects(&self) -> Vec<String> {
        let listed = self.store.list_all(NIGHT, "").await.unwrap();
        listed.into_iter().map(|entry| entry.name).collect()
    }

    /// Makes the night one that a run of another machine has left unsealed, and changes what its marker says.
    pub(crate) async fn unseal(&self, change: impl FnOnce(&mut RunningMarker)) {
        let manifest = self.manifest().await;
        let mut marker = RunningMarker {
            format: RunningMarker::FORMAT.to_owned(),
            id: "00".to_owned(),
            writer: manifest.writer,
            host: "db2".to_owned(),
            process: 7,
            cluster_id: manifest.source.cluster_id,
            databases: manifest.databases,
            started: now(),
            is_deleting: false,
            state: RunState::Failed { error: "the disk is full".to_owned() },
        };
        change(&mut marker);
        archive::replace(self.store.as_ref(), NIGHT, &names::running_marker(NIGHT, "00"), &marker).await.unwrap();
        archive::remove(self.store.as_ref(), NIGHT, &names::backup_manifest(NIGHT)).await.unwrap();
    }

    /// Every object that the manifest names has the bytes that it tells, and nothing else lies in `shards/`.
    pub(crate) async fn assert_whole(&self) {
        let mut named = Vec::new();
        for object in self.manifest().await.objects {
            let bytes = self.store.get_bytes(NIGHT, &object.name, 1 << 30).await.unwrap();
            assert_eq!(object.sha256, hex::encode(store::Digests::of(&bytes, None).sha256), "{}", object.name);
            named.push(object.name);
        }
        named.sort();
        let mut lying = self.objects().await;
        lying.retain(|name| name.starts_with(&names::shards_prefix(NIGHT)));
        assert_eq!(lying, named);
        assert!(!self.objects().await.iter().any(|name| name.contains("/running/")), "no marker is left");
        self.assert_spool_is_empty();
    }

    /// Nothing is left in the spool.
    pub(crate) fn assert_spool_is_empty(&self) {
        let left: Vec<_> = std::fs::read_dir(self.spool()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(left.is_empty(), "{left:?}");
    }

    /// There is no backup, and nothing of this machine's is left over.
    pub(crate) async fn assert_no_night(&self) {
        assert!(!self.objects().await.iter().any(|name| *name == names::backup_manifest(NIGHT)));
        self.assert_spool_is_empty();
    }
}

pub(crate) fn now() -> DateTime<Utc> {
    DateTime::parse_from_rfc3339("2016-06-11T21:55:00Z").unwrap().to_utc()
}

pub(crate) fn influx(influxd: &Influxd) -> Influx {
    influx_at(influxd, &influxd.snapshot_address())
}

pub(crate) fn influx_at(influxd: &Influxd, snapshot_address: &str) -> Influx {
    Influx::new(influx::Settings::new(influxd.url().parse().unwrap(), snapshot_address)).unwrap()
}

/// A database with a point a day for `days` days from 2016-05-01 on, in shards of a day.
pub(crate) async fn fill(influxd: &Influxd, days: u32) {
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
