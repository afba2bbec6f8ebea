//! A source, an archive and a target of a test's own.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use archive::manifest::Writer;
use archive::{Date, names};
use chrono::{DateTime, Utc};
use influx::Influx;
use influx::metastore::Data;
use jobs::restore::{self, Config, Directories, Mode, Outcome, Prove};
use jobs::{Error, Interrupt, Place, backup};
use serde_json::Value;
use store::{Folder, Store, StoreExt};
use test_support::{Influxd, TempDir, temp_dir};

pub(crate) use crate::common::{calendar, influx};

pub(crate) const NIGHT: &str = "2016-06-11";

/// 2016-06-11T00:00:00Z in nanoseconds.
pub(crate) const MIDNIGHT: i64 = 1_465_603_200_000_000_000;

pub(crate) const DAY: i64 = 86_400_000_000_000;

/// An archive, a spool and a lock folder.
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

    /// A bench whose archive holds the night of this source.
    pub(crate) async fn with_night_of(source: &Influxd) -> Bench {
        let bench = Bench::new();
        bench.back_up(source).await;
        bench
    }

    pub(crate) async fn back_up(&self, source: &Influxd) {
        self.back_up_as(source, NIGHT).await;
    }

    pub(crate) async fn back_up_as(&self, source: &Influxd, day: &str) {
        let config = backup::Config {
            place: self.place("db1"),
            calendar: calendar(),
            date: day.parse().unwrap(),
            databases: Vec::new(),
            if_missing: false,
            shared: Some(backup::Shared::default()),
            replace: false,
            verify: backup::Verify::Checksums,
            parallel: 2,
            token_expiry: None,
            interrupt: Interrupt::new(),
        };
        backup::run(config, now(), Arc::clone(&self.store), influx(source), Arc::new(())).await.unwrap();
    }

    pub(crate) fn place(&self, host: &str) -> Place {
        Place {
            host: host.to_owned(),
            process: std::process::id(),
            writer: Writer { program: "nightshard-restore".to_owned(), version: "0.0.0".to_owned() },
            locks: self.folder.path().join("locks"),
            spool: self.folder.path().join("spool"),
            spool_size: None,
        }
    }

    /// A restore of yesterday onto the target, which is asked for its directories.
    pub(crate) fn config(&self, target: &Influxd) -> Config {
        Config {
            place: self.place("intermediary"),
            calendar: calendar(),
            date: Date::Yesterday.into(),
            then: None,
            databases: Vec::new(),
            new_database: None,
            mode: Mode::Offline,
            wait: None,
            first_restore: false,
            recovery: None,
            prove: Prove::All,
            drop_first: false,
            parallel: 3,
            directories: Directories::default(),
            stop_command: target.stop_command(),
            start_command: target.start_command(),
            start_timeout: Duration::from_secs(60),
            dump_directory: None,
            interrupt: Interrupt::new(),
        }
    }

    pub(crate) async fn restore(&self, target: &Influxd) -> Result<Outcome, Error> {
        self.restore_with(self.config(target), target).await
    }

    pub(crate) async fn restore_with(&self, config: Config, target: &Influxd) -> Result<Outcome, Error> {
        self.restore_by(config, influx(target)).await
    }

    pub(crate) async fn restore_by(&self, config: Config, client: Influx) -> Result<Outcome, Error> {
        restore::run(config, now(), Arc::clone(&self.store), client, Arc::new(())).await
    }
}

/// The day after the night.
pub(crate) fn now() -> DateTime<Utc> {
    DateTime::parse_from_rfc3339("2016-06-12T00:15:00Z").unwrap().to_utc()
}

pub(crate) fn influx_as(influxd: &Influxd, user: &str, password: &str) -> Influx {
    let mut settings = influx::Settings::new(influxd.url().parse().unwrap(), influxd.snapshot_address());
    (settings.user, settings.password) = (Some(user.to_owned()), Some(password.to_owned()));
    Influx::new(settings).unwrap()
}

/// A database with shards of a day, `days` of them until the night, and 20 points in each.
pub(crate) async fn fill(influxd: &Influxd, database: &str, days: i64) {
    let policy = "WITH DURATION INF SHARD DURATION 1d NAME \"default\"";
    influxd.statement(&format!("CREATE DATABASE \"{database}\" {policy}")).await;
    influxd.write(database, &lines(days, 1)).await;
}

pub(crate) fn lines(days: i64, factor: i64) -> String {
    let mut lines = String::new();
    for day in 0..days {
        for host in 0..20 {
            let time = MIDNIGHT - day * DAY + host;
            let value = host * factor;
            writeln!(lines, "cpu,host=h{host} idle={value}.5,load={value}i,ok=true,note=\"day {day}\" {time}").unwrap();
        }
    }
    lines
}

/// Every point of all policies of a database, as text.
pub(crate) async fn points(influxd: &Influxd, database: &str) -> BTreeMap<String, Vec<Vec<Value>>> {
    let mut points = BTreeMap::new();
    let name = influx::quote_identifier(database);
    for policy in influxd.rows(database, &format!("SHOW RETENTION POLICIES ON {name}")).await {
        let policy = policy[0].as_str().unwrap().to_owned();
        let from = format!("{name}.{}./.*/", influx::quote_identifier(&policy));
        let answer = influxd.query(database, &format!("SELECT * FROM {from} GROUP BY *")).await;
        for series in answer["results"][0]["series"].as_array().unwrap_or(&Vec::new()) {
            let name = format!("{policy} {} {} {}", series["name"], series["tags"], series["columns"]);
            let rows = series["values"].as_array().unwrap().iter().map(|row| row.as_array().unwrap().clone());
            points.insert(name, rows.collect());
        }
    }
    points
}

/// How many points, for the sake of tests that would compare nothing with nothing.
pub(crate) fn count(points: &BTreeMap<String, Vec<Vec<Value>>>) -> usize {
    points.values().map(Vec::len).sum()
}

/// The metastore as it lies on disk.
pub(crate) fn metastore(influxd: &Influxd) -> Data {
    Data::from_meta_db(&std::fs::read(influxd.meta_dir().join("meta.db")).unwrap()).unwrap()
}

/// Nothing of a restore is left in the target's directories, of which a young server has not made all.
pub(crate) fn assert_clean(influxd: &Influxd) {
    for folder in [influxd.data_dir(), influxd.wal_dir(), influxd.meta_dir()] {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            assert!(!name.starts_with('.'), "{name} is left in {}", folder.display());
        }
    }
}

/// Changes the night's manifest as no program of ours ever does.
pub(crate) async fn edit(bench: &Bench, change: impl FnOnce(&mut serde_json::Value)) -> String {
    let name = names::backup_manifest(NIGHT);
    let bytes = bench.store.get_bytes(NIGHT, &name, 1 << 20).await.unwrap();
    let mut manifest = serde_json::from_slice(&bytes).unwrap();
    change(&mut manifest);
    let text = manifest.to_string();
    bench.store.put_bytes(NIGHT, &name, text.clone().into()).await.unwrap();
    text
}

/// Makes the night one of which nobody knows how many points it has, as `--verify off` does.
pub(crate) async fn forget_statistics(bench: &Bench) {
    let forget = |manifest: &mut serde_json::Value| {
        for member in ["verified", "measurements"] {
            manifest.as_object_mut().unwrap().remove(member).unwrap();
        }
    };
    edit(bench, forget).await;
}

/// Does something else the first time.
pub(crate) fn once(bench: &Bench, first: &str, then: &str) -> String {
    once_called(bench, "once", first, then)
}

/// The same, where a test needs several.
pub(crate) fn once_called(bench: &Bench, name: &str, first: &str, then: &str) -> String {
    let flag = bench.folder.path().join(name).display().to_string();
    format!("if [ -e {flag} ]; then {then}; else touch {flag}; {first}; fi")
}

/// A target that holds a night, and a bench with the next one, which is another.
pub(crate) async fn two_nights() -> (Influxd, Influxd, Bench) {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 3).await;
    let target = Influxd::start().await;
    fill(&target, "other", 2).await;
    Bench::with_night_of(&source).await.restore(&target).await.unwrap();
    source.write("sensu_db", &lines(5, 7)).await;
    let bench = Bench::with_night_of(&source).await;
    (source, target, bench)
}
