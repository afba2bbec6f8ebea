//! The dumps of a night, sealed or being replaced.

use std::fs;

use archive::names;
use jobs::verify::{Config, Extent, Which};
use serde_json::{Value, json};
use store::Digests;

use super::bench::{Bench, EXTENTS, NIGHT, assert_whole, damages, only};

const FILE: &str = "cpu_2016-06-11-00:00:00_2016-06-12-00:00:00.json";

/// The seal of a dump that holds these bytes.
fn seal(content: &[u8]) -> Value {
    let digests = Digests::of(content, None);
    json!({
        "format": "nightshard-dump/1", "night": NIGHT, "time_zone": "UTC",
        "writer": { "program": "nightshard-dump", "version": "0.0.0" },
        "measurement": "cpu", "database": "sensu_db", "retention_policy": "default",
        "window_start": "2016-06-11T00:00:00Z", "window_end": "2016-06-12T00:00:00Z",
        "object": (!content.is_empty()).then(|| names::dump(NIGHT, FILE)),
        "encoding": "json", "page_size": 1000, "records": 1, "pages": 1,
        "bytes": digests.bytes, "sha256": hex::encode(digests.sha256), "md5": hex::encode(digests.md5),
        "covered_until": "2016-06-12T00:00:00Z", "open": false, "backup_manifest_sha256": null,
        "started": "2016-06-12T00:30:00Z", "sealed": "2016-06-12T00:30:01Z",
    })
}

fn write(bench: &Bench, name: &str, bytes: &[u8]) {
    let file = bench.file(name);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, bytes).unwrap();
}

fn write_seal(bench: &Bench, seal: &Value) {
    write(bench, &names::dump_manifest(NIGHT, FILE), seal.to_string().as_bytes());
}

#[tokio::test]
async fn dumps_are_verified_with_their_night() {
    let (bench, _source) = Bench::with_shards(1).await;
    write_seal(&bench, &seal(b"[{}]\n"));
    write(&bench, &names::dump(NIGHT, FILE), b"[{}]\n");
    for extent in EXTENTS {
        let outcome = bench.verify(extent).await;
        assert_whole(&outcome, 3);
        assert_eq!(only(&outcome).notes, Vec::<String>::new());
    }
    write(&bench, &names::dump(NIGHT, FILE), b"[{]}\n");
    assert_whole(&bench.verify(Extent::Quick).await, 3);
    let outcome = bench.verify(Extent::Digests).await;
    assert_eq!(damages(&outcome), [(names::dump(NIGHT, FILE).as_str(), "its SHA-256 is not that of the manifest")]);
    let hint = &only(&outcome).damages[0].hint;
    assert_eq!(
        hint,
        "make it again: nightshard-dump 'cpu' --database 'sensu_db' --retention-policy 'default' --date 2016-06-11"
    );
    write(&bench, &names::dump(NIGHT, FILE), b"[{}]");
    assert_eq!(damages(&bench.verify(Extent::Quick).await)[0].1, "it has 4 bytes instead of 5");
    fs::remove_file(bench.file(&names::dump(NIGHT, FILE))).unwrap();
    for extent in EXTENTS {
        assert_eq!(damages(&bench.verify(extent).await)[0].1, "it does not exist");
    }
    // One that had no records has no object.
    write_seal(&bench, &seal(b""));
    assert_whole(&bench.verify(Extent::Deep).await, 2);
}

#[tokio::test]
async fn a_seal_of_a_dump_that_cannot_be_read_is_damage_and_one_of_a_newer_version_is_told_of() {
    let (bench, _source) = Bench::with_shards(1).await;
    write(&bench, &names::dump(NIGHT, FILE), b"[{}]\n");
    write(&bench, &names::dump_manifest(NIGHT, FILE), b"{}");
    let outcome = bench.verify(Extent::Quick).await;
    let [(object, what)] = damages(&outcome)[..] else { panic!("{outcome:?}") };
    assert_eq!(object, names::dump_manifest(NIGHT, FILE));
    assert!(what.contains("cannot be read"), "{what}");
    let mut newer = seal(b"[{}]\n");
    newer["format"] = "nightshard-dump/2".into();
    write_seal(&bench, &newer);
    let outcome = bench.verify(Extent::Quick).await;
    assert_eq!((outcome.is_damaged(), outcome.failures.len(), outcome.objects), (false, 1, 2), "{outcome:?}");
    assert!(outcome.failures[0].contains("nightshard-dump/2"), "{outcome:?}");
}

#[tokio::test]
async fn a_dump_that_is_being_replaced_may_be_the_old_one_or_the_new_one() {
    let (bench, _source) = Bench::with_shards(1).await;
    let replacement =
        json!({ "format": "nightshard-replacement/1", "before": seal(b"[{}]\n"), "after": seal(b"[{},{}]\n") });
    write(&bench, &names::dump_replacement(NIGHT, FILE), replacement.to_string().as_bytes());
    for content in [b"[{}]\n".as_slice(), b"[{},{}]\n"] {
        write(&bench, &names::dump(NIGHT, FILE), content);
        for extent in EXTENTS {
            assert_whole(&bench.verify(extent).await, 3);
        }
    }
    write(&bench, &names::dump(NIGHT, FILE), b"[{}");
    for extent in EXTENTS {
        assert_eq!(damages(&bench.verify(extent).await)[0].1, "it has 3 bytes instead of 8 or 5", "{extent:?}");
    }
    write(&bench, &names::dump(NIGHT, FILE), b"[[]]\n");
    assert!(bench.verify(Extent::Digests).await.is_damaged());
    // The first one of a day had no records: then there may be no object.
    let replacement = json!({ "format": "nightshard-replacement/1", "before": seal(b""), "after": seal(b"[{}]\n") });
    write(&bench, &names::dump_replacement(NIGHT, FILE), replacement.to_string().as_bytes());
    fs::remove_file(bench.file(&names::dump(NIGHT, FILE))).unwrap();
    for extent in EXTENTS {
        assert_whole(&bench.verify(extent).await, 3);
    }
}

#[tokio::test]
async fn a_dump_that_is_made_anew_while_it_is_looked_at_is_looked_at_again() {
    let (bench, _source) = Bench::with_shards(1).await;
    write_seal(&bench, &seal(b"[{}]\n"));
    write(&bench, &names::dump(NIGHT, FILE), b"[{}]\n");
    let (object, sealed) = (bench.file(&names::dump(NIGHT, FILE)), bench.file(&names::dump_manifest(NIGHT, FILE)));
    let listener = super::bench::Listener::new(move |event: &jobs::Event<'_>| {
        if matches!(event, jobs::Event::Planned { .. }) {
            fs::write(&object, "[{},{}]\n").unwrap();
            fs::write(&sealed, seal(b"[{},{}]\n").to_string()).unwrap();
        }
    });
    let outcome = bench.verify_later(bench.config(Extent::Digests), 0, listener).await.unwrap();
    assert_whole(&outcome, 3);
}

#[tokio::test]
async fn dumps_without_a_backup_are_verified_where_all_is() {
    let (bench, _source) = Bench::with_shards(1).await;
    fs::remove_file(bench.file(&names::backup_manifest(NIGHT))).unwrap();
    fs::remove_dir_all(bench.file(&format!("{NIGHT}/shards"))).unwrap();
    write_seal(&bench, &seal(b"[{}]\n"));
    write(&bench, &names::dump(NIGHT, FILE), b"[{}]\n");
    let all = Config { nights: Which::All, ..bench.config(Extent::Digests) };
    let outcome = bench.verify_with(all.clone()).await.unwrap();
    assert_whole(&outcome, 1);
    assert_eq!(only(&outcome).notes, ["there is no backup, only dumps"]);
    assert!(bench.file(&names::verify_record(NIGHT)).exists());
    write(&bench, &names::dump(NIGHT, FILE), b"[{}]");
    assert!(bench.verify_with(all).await.unwrap().is_damaged());
}
