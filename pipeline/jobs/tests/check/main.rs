//! The check with clocks that a test sets: those that differ, and nights that have grown old.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

#[path = "../common/mod.rs"]
mod common;

use std::sync::Arc;
use std::time::Duration;

use archive::Date;
use archive::manifest::Writer;
use chrono::{DateTime, TimeDelta, Utc};
use jobs::check::{self, Check, Config, Connections, Opened, Outcome, Status};
use jobs::{Interrupt, Place, backup};
use store::{Folder, Store};
use test_support::{Influxd, TempDir, temp_dir};

struct Bench {
    folder: TempDir,
    influxd: Influxd,
}

impl Bench {
    async fn new() -> Bench {
        let influxd = Influxd::start().await;
        influxd.statement("CREATE DATABASE sensu_db").await;
        influxd.write("sensu_db", "cpu,host=a load=1 1465646400000000000").await;
        Bench { folder: temp_dir(), influxd }
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::new(Folder::open(self.folder.path().join("archive")).unwrap())
    }

    fn place(&self) -> Place {
        Place {
            host: "db1".to_owned(),
            process: std::process::id(),
            writer: Writer { program: "nightshard-check".to_owned(), version: "0.0.0".to_owned() },
            locks: self.folder.path().join("locks"),
            spool: self.folder.path().join("spool"),
            spool_size: None,
        }
    }

    async fn back_up(&self, now: DateTime<Utc>) {
        let config = backup::Config {
            place: self.place(),
            calendar: common::calendar(),
            date: Date::Today,
            databases: Vec::new(),
            if_missing: false,
            shared: Some(backup::Shared::default()),
            replace: false,
            verify: backup::Verify::Checksums,
            parallel: 1,
            token_expiry: None,
            interrupt: Interrupt::new(),
        };
        backup::run(config, now, self.store(), common::influx(&self.influxd), Arc::new(())).await.unwrap();
    }

    /// A check of archive and source alone.
    async fn check(&self, now: DateTime<Utc>, limit: Option<Duration>) -> Outcome {
        let config = Config {
            place: self.place(),
            calendar: common::calendar(),
            machine_zone: None,
            programs: Vec::new(),
            variables: Vec::new(),
            folder: None,
            segment_size: 1 << 30,
            write: true,
            schedule: None,
            max_age: Duration::from_secs(26 * 3600),
            max_restore_age: Some(limit),
            patience: Duration::from_secs(20),
            interrupt: Interrupt::new(),
        };
        let store = self.store();
        let connections = Connections {
            archive: Box::pin(async move { Ok(Opened { store, token_expiry: None }) }),
            source: Ok(common::influx(&self.influxd)),
            target: Ok(common::influx(&self.influxd)),
        };
        check::run(config, now, connections, &()).await.unwrap()
    }
}

fn get<'a>(outcome: &'a Outcome, id: &str) -> &'a Check {
    outcome.checks.iter().find(|check| check.id == id).unwrap_or_else(|| panic!("no {id} in {:?}", outcome.checks))
}

#[tokio::test]
async fn clocks_that_differ_are_wrong_and_say_what_depends_on_them() {
    let bench = Bench::new().await;
    let found = bench.check("2016-06-11T21:55:00Z".parse().unwrap(), None).await;
    let clock = get(&found, "machine.clock");
    assert_eq!(clock.status, Status::Failed);
    assert!(clock.message.contains("this machine says 2016-06-11 21:55:0"), "{clock:?}");
    assert!(
        clock.message.contains("night is 2016-06-11, by the clock of this machine; by that of InfluxDB"),
        "{clock:?}"
    );
    let found = bench.check(Utc::now(), None).await;
    assert_eq!(get(&found, "machine.clock").status, Status::Ok);
}

#[tokio::test]
async fn nights_grow_old() {
    let bench = Bench::new().await;
    let began = Utc::now();
    bench.back_up(began).await;
    let table = [
        (TimeDelta::hours(1), Status::Ok, " was sealed 59m ", " was sealed 1h 0m "),
        (TimeDelta::hours(27), Status::Failed, " was sealed 26h 59m ", " was sealed 27h 0m "),
        (TimeDelta::days(13), Status::Failed, " was sealed 311h 59m ", " was sealed 312h 0m "),
        (TimeDelta::days(40), Status::Failed, "there is no backup of the last 14 days", ""),
    ];
    for (later, status, one, other) in table {
        let found = bench.check(began + later, None).await;
        let backup = get(&found, "nights.backup");
        assert_eq!(backup.status, status, "{backup:?}");
        let said = |text: &str| !text.is_empty() && backup.message.contains(text);
        // Less the moment that the backup took.
        assert!(said(one) || said(other), "{backup:?}");
    }
    // Whoever asks for old restores has as many days looked through.
    let found = bench.check(began + TimeDelta::days(40), Some(Duration::from_secs(60 * 86_400))).await;
    assert!(get(&found, "nights.backup").message.contains(" was sealed 9"), "{:?}", found.checks);
    assert_eq!(
        get(&found, "nights.restore").message,
        "no night of the last 62 days was restored and proven; --max-restore-age is 1440h 0m 0s"
    );
}
