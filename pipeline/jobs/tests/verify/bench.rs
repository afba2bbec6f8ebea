//! A source, an archive, and what a test does to it.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use archive::manifest::Writer;
use archive::verification::Damage;
use archive::{Date, names};
use chrono::{DateTime, TimeDelta, Utc};
use jobs::verify::{self, Config, Extent, Outcome, Verified, Which};
use jobs::{Error, Event, Interrupt, Place, Progress, backup};
use serde_json::Value;
use store::{Folder, Store};
use test_support::{Influxd, TempDir, temp_dir};

pub(crate) use crate::common::{calendar, influx};

pub(crate) const NIGHT: &str = "2016-06-11";

/// 2016-06-11T00:00:00Z in nanoseconds.
const MIDNIGHT: i64 = 1_465_603_200_000_000_000;

const DAY: i64 = 86_400_000_000_000;

/// All ways to look at a night.
pub(crate) const EXTENTS: [Extent; 4] = [Extent::Quick, Extent::Digests, Extent::Deep, Extent::Decode];

/// An archive and a spool.
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

    /// A bench whose archive holds the night of a source with so many shards.
    pub(crate) async fn with_shards(days: i64) -> (Bench, Influxd) {
        let (bench, source) = (Bench::new(), Influxd::start().await);
        fill(&source, days).await;
        bench.back_up(&source, NIGHT).await;
        (bench, source)
    }

    pub(crate) async fn back_up(&self, source: &Influxd, day: &str) -> backup::Outcome {
        self.back_up_with(source, day, false).await
    }

    pub(crate) async fn back_up_with(&self, source: &Influxd, day: &str, replace: bool) -> backup::Outcome {
        let config = backup::Config { replace, ..self.backup_config(day) };
        backup::run(config, now(), Arc::clone(&self.store), influx(source), Arc::new(())).await.unwrap()
    }

    pub(crate) fn backup_config(&self, day: &str) -> backup::Config {
        backup::Config {
            place: self.place(),
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
        }
    }

    pub(crate) fn place(&self) -> Place {
        Place {
            host: "db1".to_owned(),
            process: std::process::id(),
            writer: Writer { program: "nightshard-verify".to_owned(), version: "0.0.0".to_owned() },
            locks: self.folder.path().join("locks"),
            spool: self.folder.path().join("spool"),
            spool_size: None,
        }
    }

    /// The night, as closely as that.
    pub(crate) fn config(&self, extent: Extent) -> Config {
        Config {
            place: self.place(),
            calendar: calendar(),
            nights: Which::Dates(NIGHT.parse::<Date>().unwrap().into()),
            extent,
            sample: None,
            record: true,
            undelete: false,
            parallel: 3,
            interrupt: Interrupt::new(),
        }
    }

    pub(crate) async fn verify(&self, extent: Extent) -> Outcome {
        self.verify_with(self.config(extent)).await.unwrap()
    }

    pub(crate) async fn verify_with(&self, config: Config) -> Result<Outcome, Error> {
        verify::run(config, now(), Arc::clone(&self.store), Arc::new(())).await
    }

    /// The same with somebody who listens, and so many days later.
    pub(crate) async fn verify_later(
        &self,
        config: Config,
        days: i64,
        progress: Arc<dyn Progress>,
    ) -> Result<Outcome, Error> {
        verify::run(config, now() + TimeDelta::days(days), Arc::clone(&self.store), progress).await
    }

    /// The archive where its files are not read past the store.
    pub(crate) fn elsewhere(&self) -> Arc<dyn Store> {
        Arc::new(store::Metered::new(Arc::clone(&self.store), Some(1 << 40), &Arc::default()))
    }

    pub(crate) async fn verify_elsewhere(&self, config: Config) -> Result<Outcome, Error> {
        verify::run(config, now(), self.elsewhere(), Arc::new(())).await
    }

    /// The file of an object of a night.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        let container = name.split('/').next().unwrap();
        self.folder.path().join("archive").join(container).join(name)
    }

    /// Changes the bytes of an object behind everybody's back.
    pub(crate) fn damage(&self, name: &str, change: impl FnOnce(&mut Vec<u8>)) {
        let file = self.file(name);
        let mut bytes = fs::read(&file).unwrap();
        change(&mut bytes);
        fs::write(file, bytes).unwrap();
    }

    /// Gives an object bytes of its own.
    pub(crate) fn unshare(&self, name: &str) {
        let (file, bytes) = (self.file(name), fs::read(self.file(name)).unwrap());
        fs::remove_file(&file).unwrap();
        fs::write(file, bytes).unwrap();
    }

    /// Changes the night's manifest as no program of ours ever does.
    pub(crate) fn edit(&self, change: impl FnOnce(&mut Value)) {
        self.damage(&names::backup_manifest(NIGHT), |bytes| {
            let mut manifest = serde_json::from_slice(bytes).unwrap();
            change(&mut manifest);
            *bytes = manifest.to_string().into_bytes();
        });
    }

    /// Nothing is left in the spool, of which a run that needs none makes none.
    pub(crate) fn assert_spool_is_empty(&self) {
        let left: Vec<_> = fs::read_dir(self.folder.path().join("spool")).into_iter().flatten().collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

/// The only night of an outcome.
pub(crate) fn only(outcome: &Outcome) -> &Verified {
    let [night] = &outcome.nights[..] else { panic!("{outcome:?}") };
    night
}

/// What is damaged: each object, and what is wrong with it.
pub(crate) fn damages(outcome: &Outcome) -> Vec<(&str, &str)> {
    let all = outcome.nights.iter().flat_map(|night| &night.damages);
    all.map(|Damage { object, what, .. }| (object.as_str(), what.as_str())).collect()
}

/// Nothing is wrong, and so many objects were looked at.
#[track_caller]
pub(crate) fn assert_whole(outcome: &Outcome, objects: u64) {
    assert_eq!(
        (outcome.objects, outcome.is_damaged(), &outcome.failures),
        (objects, false, &Vec::new()),
        "{outcome:?}"
    );
}

/// The n-th shard of the night, from 1.
pub(crate) fn shard(id: u64) -> String {
    names::shard(NIGHT, "sensu_db", "default", id)
}

/// The day after the night.
pub(crate) fn now() -> DateTime<Utc> {
    DateTime::parse_from_rfc3339("2016-06-12T04:00:00Z").unwrap().to_utc()
}

/// A database with shards of a day, `days` of them until the night, and a thousand points in each.
pub(crate) async fn fill(influxd: &Influxd, days: i64) {
    influxd.statement("CREATE DATABASE sensu_db WITH DURATION INF SHARD DURATION 1d NAME \"default\"").await;
    influxd.write("sensu_db", &lines(days, 1)).await;
}

pub(crate) fn lines(days: i64, factor: i64) -> String {
    let mut lines = String::new();
    for day in 0..days {
        for second in 0..250 {
            let (time, value) = (MIDNIGHT - day * DAY + second * 1_000_000_000, second * factor);
            writeln!(lines, "cpu,host=a idle={value}.5,load={value}i,ok=true,note=\"day {day} {value}\" {time}")
                .unwrap();
        }
    }
    lines
}

/// Remembers what was said, and does something the first time that it is of a kind.
pub(crate) struct Listener<F> {
    pub(crate) said: Mutex<Vec<String>>,
    act: F,
}

impl<F> Listener<F> {
    pub(crate) fn new(act: F) -> Arc<Listener<F>> {
        Arc::new(Listener { said: Mutex::default(), act })
    }
}

impl<F: Fn(&Event<'_>) + Send + Sync + 'static> Progress for Listener<F> {
    fn report(&self, event: Event<'_>) {
        (self.act)(&event);
        self.said.lock().unwrap().push(format!("{event:?}"));
    }
}
