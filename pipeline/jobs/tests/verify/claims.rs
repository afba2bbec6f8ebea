//! Manifests that say of a whole night what is not so.

use std::fs;

use archive::names;
use jobs::verify::Extent;
use serde_json::{Value, json};
use test_support::Influxd;

use super::bench::{Bench, EXTENTS, NIGHT, assert_whole, damages, fill, lines, only, shard};

/// The first shard as a manifest has it.
fn first(manifest: &mut Value) -> &mut Value {
    let objects = manifest["objects"].as_array_mut().unwrap();
    objects.iter_mut().find(|object| object["name"] == shard(1)).unwrap()
}

/// The first TSM file of the first shard.
fn file(manifest: &mut Value) -> &mut Value {
    let files = first(manifest)["files"].as_array_mut().unwrap();
    files.iter_mut().find(|file| file["name"].as_str().unwrap().ends_with(".tsm")).unwrap()
}

/// A night whose first shard has several files, and a tombstone among them.
async fn with_several_files() -> (Bench, Influxd) {
    let (bench, source) = (Bench::new(), Influxd::start().await);
    fill(&source, 2).await;
    // Each backup has the server write out what came since the one before.
    bench.back_up(&source, "2016-06-09").await;
    source.write("sensu_db", &lines(2, 3).replace("host=a", "host=b")).await;
    bench.back_up(&source, "2016-06-10").await;
    source.query("sensu_db", "DELETE FROM cpu WHERE host = 'a' AND time < '2016-06-11T00:01:00Z'").await;
    bench.back_up(&source, NIGHT).await;
    (bench, source)
}

type Edit = fn(&mut Value);

#[tokio::test]
async fn what_a_manifest_says_is_compared_with_what_is_there() {
    use Extent::{Deep, Digests, Quick};
    let (bench, _source) = with_several_files().await;
    let manifest = bench.file(&names::backup_manifest(NIGHT));
    let whole = fs::read(&manifest).unwrap();
    let kinds: Vec<Value> = first(&mut serde_json::from_slice(&whole).unwrap())["files"].as_array().unwrap().clone();
    let ending = |ending: &str| kinds.iter().filter(|file| file["name"].as_str().unwrap().ends_with(ending)).count();
    assert!(ending(".tsm") > 1 && ending(".tombstone") > 0, "{kinds:?}");
    for extent in EXTENTS {
        assert_whole(&bench.verify(extent).await, 3);
    }
    // What is changed, the first look that finds it, and what that says.
    let table: &[(Edit, Extent, &str)] = &[
        (|it| it["objects"] = json!([]), Quick, "it names no metastore"),
        (|it| it["objects"].as_array_mut().unwrap().retain(|it| it["kind"] == "shard"), Quick, "it names no metastore"),
        (|it| it["databases"] = json!([]), Quick, "and no database sensu_db"),
        (
            |it| {
                let again = first(it).clone();
                it["objects"].as_array_mut().unwrap().push(again);
            },
            Quick,
            "00001.00 twice",
        ),
        (|it| first(it)["ends"] = json!("1900-01-01T00:00:00Z"), Quick, "ends before it begins"),
        (|it| drop(first(it)["files"].as_array_mut().unwrap().pop()), Quick, "do not make up 2016-06-11/shards/"),
        (|it| drop(first(it)["files"].as_array_mut().unwrap().remove(1)), Quick, "do not make up 2016-06-11/shards/"),
        (
            |it| {
                let again = file(it).clone();
                first(it)["files"].as_array_mut().unwrap().push(again);
            },
            Quick,
            "comes twice",
        ),
        (|it| file(it)["offset"] = json!(u64::MAX), Quick, "does not begin at byte 18446744073709551615"),
        (|it| file(it)["bytes"] = json!(u64::MAX), Quick, "do not make up 2016-06-11/shards/"),
        (
            |it| {
                first(it)["starts"] = json!("2016-05-11T00:00:00Z");
                first(it)["ends"] = json!("2016-05-12T00:00:00Z");
            },
            Digests,
            "is from 2016-05-11T00:00:00Z to 2016-05-12T00:00:00Z, and the metastore's from 2016-06-1",
        ),
        (
            |it| first(it)["shard_id"] = json!(99),
            Digests,
            "shard 99 of sensu_db.default, which the metastore does not have",
        ),
        (|it| file(it)["index_offset"] = json!(0), Deep, "says that its index begins at byte 0, and not "),
        (|it| file(it)["index_offset"] = json!(u64::MAX), Deep, "its index begins at byte 18446744073709551615"),
        (|it| file(it)["index_sha256"] = json!("00"), Deep, "the SHA-256 of its index is 00, and not "),
        (|it| file(it)["keys"] = json!(0), Deep, "says that its keys are 0, and not 4"),
        (|it| file(it)["points"] = json!(7), Deep, "says that its points are 7, and not 1000"),
        (|it| file(it)["first"] = json!("2016-01-01T00:00:00Z"), Deep, "its first time is 2016-01-01T00:00:00Z, and"),
        (|it| file(it)["last"] = json!("2016-01-01T00:00:00Z"), Deep, "its last time is 2016-01-01T00:00:00Z, and"),
    ];
    for (edit, finds, what) in table {
        bench.edit(edit);
        for extent in EXTENTS {
            let outcome = bench.verify(extent).await;
            let found = damages(&outcome);
            assert_eq!(
                found.iter().any(|(_, found)| found.contains(what)),
                extent >= *finds,
                "{extent:?}: {what}: {found:?}"
            );
            assert_eq!(outcome.is_damaged(), extent >= *finds, "{extent:?}: {what}: {found:?}");
            assert!(only(&outcome).damages.iter().all(|damage| !damage.hint.is_empty()), "{outcome:?}");
        }
        fs::write(&manifest, &whole).unwrap();
    }
}

#[tokio::test]
async fn names_that_need_longer_headers_are_no_fault() {
    let (bench, source) = (Bench::new(), Influxd::start().await);
    let policies = ["größe".to_owned(), "x".repeat(90), "ü".repeat(50)];
    for policy in &policies {
        source.statement(&format!("CREATE DATABASE \"db {policy}\" WITH DURATION INF NAME \"{policy}\"")).await;
    }
    for (host, day) in [("a", "2016-06-09"), ("b", NIGHT)] {
        for policy in &policies {
            source.write(&format!("db {policy}"), &lines(1, 1).replace("host=a", &format!("host={host}"))).await;
        }
        bench.back_up(&source, day).await;
    }
    for extent in EXTENTS {
        assert_whole(&bench.verify(extent).await, 4);
    }
    // Two files in each shard, and headers of several blocks before some.
    let manifest: Value =
        serde_json::from_slice(&fs::read(bench.file(&names::backup_manifest(NIGHT))).unwrap()).unwrap();
    let objects = manifest["objects"].as_array().unwrap();
    let files = || objects.iter().filter_map(|object| object["files"].as_array());
    assert!(files().all(|files| files.len() == 2), "{manifest}");
    assert!(files().any(|files| files[0]["offset"] == 3 * 512), "{manifest}");
}
