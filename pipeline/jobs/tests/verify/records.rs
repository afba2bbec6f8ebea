//! What `manifests/verify.json` tells, read with types of the test's own.

use std::fs;

use archive::names;
use jobs::verify::{Config, Extent};
use serde::Deserialize;
use serde_json::Value;

use super::bench::{Bench, NIGHT, damages, lines, only, shard};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    format: String,
    manifest_sha256: Option<String>,
    verifications: Vec<Verification>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Verification {
    extent: String,
    slice: Option<Value>,
    writer: Value,
    host: String,
    started: String,
    finished: String,
    objects: u64,
    bytes: u64,
    damages: Vec<Value>,
    unchecked: Vec<String>,
}

fn record(bench: &Bench) -> Record {
    serde_json::from_slice(&fs::read(bench.file(&names::verify_record(NIGHT))).unwrap()).unwrap()
}

#[tokio::test]
async fn a_record_says_when_and_how_and_a_quick_look_does_not_hide_a_deep_one() {
    let (bench, _source) = Bench::with_shards(2).await;
    let seal = fs::read(bench.file(&names::backup_manifest(NIGHT))).unwrap();
    let deep = bench.verify(Extent::Deep).await;
    bench.damage(&shard(1), |bytes| bytes.truncate(600));
    let quick = bench.verify(Extent::Quick).await;
    let found = record(&bench);
    assert_eq!(found.format, "nightshard-verify/1");
    assert_eq!(found.manifest_sha256, only(&quick).manifest_sha256);
    let [first, second] = &found.verifications[..] else { panic!("{found:?}") };
    assert_eq!((first.extent.as_str(), second.extent.as_str()), ("deep", "quick"));
    assert_eq!((first.objects, first.bytes, first.damages.len()), (3, deep.bytes, 0));
    assert_eq!((second.objects, second.slice.as_ref(), second.unchecked.len()), (3, None, 0));
    let [damage] = &second.damages[..] else { panic!("{second:?}") };
    let (object, what) = damages(&quick)[0];
    assert_eq!((damage["object"].as_str(), damage["what"].as_str()), (Some(object), Some(what)));
    assert!(!damage["hint"].as_str().unwrap().is_empty());
    for one in [first, second] {
        assert_eq!((one.host.as_str(), &one.writer["program"]), ("db1", &"nightshard-verify".into()));
        assert!(one.started.starts_with("2016-06-12T04:00:0") && one.started <= one.finished, "{one:?}");
    }
    assert_eq!(fs::read(bench.file(&names::backup_manifest(NIGHT))).unwrap(), seal, "the seal never changes");
}

#[tokio::test]
async fn nothing_is_written_down_where_that_is_not_wanted() {
    let (bench, _source) = Bench::with_shards(1).await;
    let outcome = bench.verify_with(Config { record: false, ..bench.config(Extent::Digests) }).await.unwrap();
    assert!(!only(&outcome).recorded);
    assert!(!bench.file(&names::verify_record(NIGHT)).exists());
}

#[tokio::test]
async fn a_record_that_cannot_be_written_is_a_note_and_no_failure() {
    let (bench, _source) = Bench::with_shards(1).await;
    // Something that no file can replace lies in its place.
    let file = bench.file(&names::verify_record(NIGHT));
    fs::create_dir_all(file.join("in the way")).unwrap();
    let outcome = bench.verify(Extent::Digests).await;
    super::bench::assert_whole(&outcome, 2);
    assert!(!only(&outcome).recorded);
    assert!(only(&outcome).notes[0].contains("it was not written down"), "{outcome:?}");
}

#[tokio::test]
async fn a_record_of_a_newer_version_stays_and_one_that_cannot_be_read_is_replaced() {
    let (bench, _source) = Bench::with_shards(1).await;
    let file = bench.file(&names::verify_record(NIGHT));
    let newer = "{\"format\": \"nightshard-verify/2\"}";
    fs::write(&file, newer).unwrap();
    let outcome = bench.verify(Extent::Quick).await;
    assert!(only(&outcome).notes[0].contains("nightshard-verify/2"), "{outcome:?}");
    assert_eq!(fs::read_to_string(&file).unwrap(), newer);
    fs::write(&file, "{").unwrap();
    assert!(only(&bench.verify(Extent::Quick).await).recorded);
    assert_eq!(record(&bench).verifications.len(), 1);
}

#[tokio::test]
async fn a_night_that_is_backed_up_again_was_not_verified() {
    let (bench, source) = Bench::with_shards(1).await;
    bench.verify(Extent::Deep).await;
    let before = record(&bench);
    source.write("sensu_db", &lines(1, 3)).await;
    bench.back_up(&source, "2016-06-12").await;
    bench.back_up_with(&source, NIGHT, true).await;
    bench.verify(Extent::Quick).await;
    let after = record(&bench);
    assert_ne!(before.manifest_sha256, after.manifest_sha256);
    let extents: Vec<&str> = after.verifications.iter().map(|one| one.extent.as_str()).collect();
    assert_eq!(extents, ["quick"]);
}
