//! Documents: sealed with proof, read with their format checked, and the state of a night that follows from them.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

use std::sync::Arc;

use archive::manifest::{Adoption, BackupManifest, BackupOutline, Content, Source, StoredObject, Writer};
use archive::records::{RunState, RunningMarker};
use archive::{Document, Error, NightState, names, night_state, read, replace, seal};
use chrono::{DateTime, Utc};
use store::{Folder, Store, StoreExt};

const NIGHT: &str = "2016-06-11";

struct Archive {
    _folder: tempfile::TempDir,
    store: Arc<dyn Store>,
}

async fn archive() -> Archive {
    let folder = tempfile::tempdir().unwrap();
    let store = Folder::open(folder.path()).unwrap();
    store.create_container(NIGHT).await.unwrap();
    Archive { _folder: folder, store: Arc::new(store) }
}

fn instant(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

fn manifest() -> BackupManifest {
    BackupManifest {
        format: BackupManifest::FORMAT.to_owned(),
        night: NIGHT.parse().unwrap(),
        container: NIGHT.to_owned(),
        label: None,
        time_zone: "Europe/Berlin".to_owned(),
        writer: Writer { program: "nightshard-backup".to_owned(), version: "0.1.0".to_owned() },
        source: Source {
            host: "db1".to_owned(),
            influxdb_version: "1.6.7".to_owned(),
            cluster_id: "18446744073709551615".to_owned(),
            url: "http://127.0.0.1:8086/".to_owned(),
            snapshot_address: "127.0.0.1:8088".to_owned(),
            data_directory: "/var/lib/influxdb/data".to_owned(),
        },
        started: instant("2016-06-11T21:55:00Z"),
        sealed: instant("2016-06-11T21:57:30.25Z"),
        databases: vec!["sensu_db".to_owned()],
        objects: vec![StoredObject {
            name: names::metastore(NIGHT),
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

fn marker(id: &str, state: RunState) -> RunningMarker {
    RunningMarker {
        format: RunningMarker::FORMAT.to_owned(),
        id: id.to_owned(),
        writer: manifest().writer,
        host: "db1".to_owned(),
        process: 42,
        cluster_id: "7".to_owned(),
        databases: vec!["sensu_db".to_owned()],
        started: instant("2016-06-11T21:55:00Z"),
        is_deleting: false,
        state,
    }
}

#[tokio::test]
async fn a_sealed_manifest_reads_back_with_the_digest_of_its_bytes() {
    let archive = archive().await;
    let name = names::backup_manifest(NIGHT);
    let sha256 = seal(archive.store.as_ref(), NIGHT, &name, &manifest()).await.unwrap();
    let loaded = read::<BackupManifest>(archive.store.as_ref(), NIGHT, &name).await.unwrap();
    assert_eq!((loaded.document, loaded.sha256), (manifest(), sha256));
}

#[test]
fn that_a_night_was_adopted_stands_in_its_seal_alone_and_in_no_other() {
    let text = |manifest: &BackupManifest| serde_json::to_string(manifest).unwrap();
    assert!(!text(&manifest()).contains("adopted"));
    let adoption = Adoption { at: instant("2026-06-11T08:00:00Z"), by: "db1".to_owned() };
    let adopted = BackupManifest { adopted: Some(adoption.clone()), ..manifest() };
    assert!(text(&adopted).contains(r#""adopted":{"at":"2026-06-11T08:00:00Z","by":"db1"}"#), "{}", text(&adopted));
    let outline: BackupOutline = serde_json::from_str(&text(&adopted)).unwrap();
    assert_eq!(outline.adopted, Some(adoption));
}

#[tokio::test]
async fn members_that_we_do_not_know_are_ignored_and_a_newer_format_is_refused() {
    let archive = archive().await;
    let name = names::backup_manifest(NIGHT);
    let mut value = serde_json::to_value(manifest()).unwrap();
    value["from_the_future"] = serde_json::json!({"a": [1, 2]});
    value["objects"][0]["colour"] = "blue".into();
    archive.store.put_bytes(NIGHT, &name, value.to_string().into()).await.unwrap();
    assert_eq!(read::<BackupManifest>(archive.store.as_ref(), NIGHT, &name).await.unwrap().document, manifest());

    value["format"] = "nightshard-archive/2".into();
    value["objects"] = "something else altogether".into();
    archive.store.put_bytes(NIGHT, &name, value.to_string().into()).await.unwrap();
    let refused = read::<BackupManifest>(archive.store.as_ref(), NIGHT, &name).await.unwrap_err();
    assert!(matches!(refused, Error::NewerFormat { .. }), "{refused}");
}

#[tokio::test]
async fn a_document_that_is_cut_or_missing_is_an_error_of_its_own() {
    let archive = archive().await;
    let name = names::backup_manifest(NIGHT);
    let missing = read::<BackupManifest>(archive.store.as_ref(), NIGHT, &name).await.unwrap_err();
    assert!(matches!(missing, Error::Missing { .. }), "{missing}");
    let whole = serde_json::to_vec(&manifest()).unwrap();
    for length in [0, 1, whole.len() / 2, whole.len() - 1] {
        archive.store.put_bytes(NIGHT, &name, whole[..length].to_vec().into()).await.unwrap();
        let cut = read::<BackupManifest>(archive.store.as_ref(), NIGHT, &name).await.unwrap_err();
        assert!(matches!(cut, Error::Unreadable { .. }), "{cut}");
    }
}

#[tokio::test]
async fn an_outline_is_the_same_document_with_less_in_it() {
    let (archive, whole) = (archive().await, manifest());
    let name = names::backup_manifest(NIGHT);
    let sha256 = seal(archive.store.as_ref(), NIGHT, &name, &whole).await.unwrap();
    let outline = read::<BackupOutline>(archive.store.as_ref(), NIGHT, &name).await.unwrap();
    assert_eq!(outline.sha256, sha256);
    let outline = outline.document;
    assert_eq!((&outline.container, &outline.label, outline.sealed), (&whole.container, &whole.label, whole.sealed));
    assert_eq!((&outline.databases, &outline.verified), (&whole.databases, &whole.verified));
    assert_eq!((&outline.measurements, &outline.warnings), (&whole.measurements, &whole.warnings));
    assert!(!whole.objects.is_empty());
    for (object, whole) in outline.objects.iter().zip(&whole.objects) {
        let kind = match whole.content {
            Content::Meta => "meta",
            Content::Shard(_) => "shard",
        };
        assert_eq!((&object.name, object.bytes, object.kind.as_str()), (&whole.name, whole.bytes, kind));
    }
}

#[tokio::test]
async fn the_state_of_a_night_follows_from_seal_and_markers() {
    let archive = archive().await;
    let store = archive.store.as_ref();
    assert!(matches!(night_state(store, "2016-06-10").await.unwrap(), NightState::Absent));
    assert!(matches!(night_state(store, NIGHT).await.unwrap(), NightState::Absent));

    // Called as scripts often call it, and then as a night has it, by whoever has made it.
    archive.store.put_bytes(NIGHT, "shards/notes.txt", b"".as_slice().into()).await.unwrap();
    assert!(matches!(night_state(store, NIGHT).await.unwrap(), NightState::Absent));
    archive.store.put_bytes(NIGHT, "shards/meta.00", b"meta".as_slice().into()).await.unwrap();
    let state = night_state(store, NIGHT).await.unwrap();
    assert!(matches!(&state, NightState::Misnamed(object) if object == "shards/meta.00"), "{state:?}");
    let shard = format!("{NIGHT}/shards/sensu_db.default.00001.00");
    archive.store.put_bytes(NIGHT, &shard, b"tar".as_slice().into()).await.unwrap();
    assert!(matches!(night_state(store, NIGHT).await.unwrap(), NightState::Unsealed));

    let failed = marker("aa", RunState::Failed { error: "the disk is full".to_owned() });
    replace(store, NIGHT, &names::running_marker(NIGHT, "aa"), &failed).await.unwrap();
    assert!(
        matches!(night_state(store, NIGHT).await.unwrap(), NightState::Failed(error) if error == "the disk is full")
    );

    replace(store, NIGHT, &names::running_marker(NIGHT, "bb"), &marker("bb", RunState::Running)).await.unwrap();
    assert!(matches!(night_state(store, NIGHT).await.unwrap(), NightState::BackingUp(found) if found.id == "bb"));

    // The folder's clock is that of its files: a marker that was last written ten minutes ago is that of a dead run.
    let path = archive._folder.path().join(NIGHT).join(names::running_marker(NIGHT, "bb"));
    let old = std::time::SystemTime::now() - std::time::Duration::from_secs(600);
    std::fs::File::options().write(true).open(path).unwrap().set_modified(old).unwrap();
    replace(store, NIGHT, &names::running_marker(NIGHT, "aa"), &failed).await.unwrap();
    assert!(
        matches!(night_state(store, NIGHT).await.unwrap(), NightState::Failed(error) if error == "the disk is full")
    );
    archive::remove(store, NIGHT, &names::running_marker(NIGHT, "aa")).await.unwrap();
    assert!(
        matches!(night_state(store, NIGHT).await.unwrap(), NightState::Failed(error) if error.contains("no sign of life for 10 minutes"))
    );

    let other = BackupManifest { container: "2016-06-10".to_owned(), ..manifest() };
    seal(store, NIGHT, &names::backup_manifest(NIGHT), &other).await.unwrap();
    assert!(matches!(night_state(store, NIGHT).await.unwrap_err(), Error::Misplaced { .. }), "of another night");

    seal(store, NIGHT, &names::backup_manifest(NIGHT), &manifest()).await.unwrap();
    assert!(matches!(night_state(store, NIGHT).await.unwrap(), NightState::Ready(_)));
}
