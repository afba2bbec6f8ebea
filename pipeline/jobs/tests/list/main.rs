//! Pins against an archive that changes meanwhile, and what a list asks of it.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

mod eventful;
mod shares;

use std::sync::Arc;

use archive::manifest::{BackupManifest, Content, Source, StoredObject, Writer};
use archive::records::PinRecord;
use archive::{Calendar, ContainerPattern, Document, names};
use chrono::{DateTime, NaiveTime, Utc};
use eventful::Eventful;
use jobs::list::{self, Config, Pinning};
use jobs::{Interrupt, Kind, Place};
use store::{Folder, Store};
use test_support::{TempDir, temp_dir};

const NIGHT: &str = "2016-06-11";

fn calendar() -> Calendar {
    Calendar { time_zone: chrono_tz::UTC, night_ends: NaiveTime::MIN, pattern: ContainerPattern::default() }
}

fn at(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

fn writer() -> Writer {
    Writer { program: "nightshard-list".to_owned(), version: "0.0.0".to_owned() }
}

/// An archive with nights that are sealed, each with nothing but a metastore.
async fn archive(nights: &[&str]) -> (TempDir, Arc<dyn Store>) {
    let folder = temp_dir();
    let store: Arc<dyn Store> = Arc::new(Folder::open(folder.path()).unwrap());
    for night in nights {
        seal(&store, &manifest(night)).await;
    }
    (folder, store)
}

async fn seal(store: &Arc<dyn Store>, manifest: &BackupManifest) {
    let container = &manifest.container;
    store.create_container(container).await.unwrap();
    archive::seal(store.as_ref(), container, &names::backup_manifest(container), manifest).await.unwrap();
}

/// The seal of a night that has nothing but a metastore of three bytes.
fn manifest(night: &str) -> BackupManifest {
    BackupManifest {
        format: BackupManifest::FORMAT.to_owned(),
        night: night.get(night.len() - 10..).unwrap().parse().unwrap(),
        container: night.to_owned(),
        label: None,
        time_zone: "UTC".to_owned(),
        writer: writer(),
        source: Source {
            host: "db1".to_owned(),
            influxdb_version: "1.6.7".to_owned(),
            cluster_id: "7".to_owned(),
            url: "http://127.0.0.1:8086/".to_owned(),
            snapshot_address: "127.0.0.1:8088".to_owned(),
            data_directory: "/var/lib/influxdb/data".to_owned(),
        },
        started: at("2016-06-11T21:55:00Z"),
        sealed: at("2016-06-11T21:57:30Z"),
        databases: vec!["sensu_db".to_owned()],
        objects: vec![StoredObject {
            name: names::metastore(night),
            bytes: 3,
            sha256: "00".to_owned(),
            md5: "00".to_owned(),
            content: Content::Meta,
        }],
        pool: None,
        sent_bytes: None,
        verified: None,
        measurements: Vec::new(),
        statistics_sha256: None,
        warnings: Vec::new(),
        adopted: None,
    }
}

fn pinning(folder: &TempDir) -> Pinning {
    let place = Place {
        host: "desk".to_owned(),
        process: std::process::id(),
        writer: writer(),
        locks: folder.path().join("locks"),
        spool: folder.path().join("spool"),
        spool_size: None,
    };
    Pinning { place, calendar: calendar(), date: NIGHT.parse().unwrap(), interrupt: Interrupt::new() }
}

#[tokio::test]
async fn a_night_that_loses_its_seal_while_it_is_pinned_is_no_success() {
    let (folder, store) = archive(&[NIGHT]).await;
    let now = at("2016-06-12T08:00:00Z");
    let reason = "audit".parse().unwrap();
    let removed = Eventful::losing(&store, names::backup_manifest(NIGHT), names::pin_record(NIGHT));
    let error = list::pin(pinning(&folder), &reason, now, Arc::new(removed)).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().as_str()),
        (Kind::Failed, "2016-06-11 lost its seal while it was pinned")
    );
    assert!(error.hint_text().is_some_and(|hint| hint.contains("the same command")), "{error:?}");
    // The pin stays, so that whoever looks for one from now on leaves alone what there is.
    let record = archive::read::<PinRecord>(store.as_ref(), NIGHT, &names::pin_record(NIGHT)).await.unwrap().document;
    assert_eq!((record.set, record.host.as_str(), record.reason.as_str()), (now, "desk", "audit"));
    let error = list::pin(pinning(&folder), &reason, now, store).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Missing, "{error}");
}

#[tokio::test]
async fn a_pin_that_does_not_read_back_as_it_was_written_is_no_success() {
    let (folder, store) = archive(&[NIGHT]).await;
    let pinned = Eventful::losing(&store, names::pin_record(NIGHT), names::pin_record(NIGHT));
    let now = at("2016-06-12T08:00:00Z");
    let error = list::pin(pinning(&folder), &"audit".parse().unwrap(), now, Arc::new(pinned)).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Failed, "{error}");
}

#[tokio::test]
async fn a_list_asks_for_the_pins_that_there_are_and_for_no_other() {
    let (folder, store) = archive(&[NIGHT, "2016-06-12", "2016-06-13"]).await;
    let now = at("2016-06-14T08:00:00Z");
    list::pin(pinning(&folder), &"audit".parse().unwrap(), now, Arc::clone(&store)).await.unwrap();
    let watched = Arc::new(Eventful::watching(&store));
    let config = Config {
        calendar: calendar(),
        dates: None,
        detailed: false,
        matching: None,
        shares: true,
        parallel: 2,
        cache: None,
        interrupt: Interrupt::new(),
    };
    let listed = list::run(config, now, Arc::<Eventful>::clone(&watched)).await.unwrap();
    let pins: Vec<_> = listed.nights.iter().map(|night| night.pin.as_ref().map(|pin| pin.reason.as_str())).collect();
    assert_eq!(pins, [None, None, Some("audit")]);
    let mut asked = watched.asked();
    asked.sort();
    let seals = [NIGHT, "2016-06-12", "2016-06-13"].map(names::backup_manifest);
    let [first, second, third] = seals;
    assert_eq!(asked, [first, names::pin_record(NIGHT), second, third]);
}
