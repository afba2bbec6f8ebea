//! Nights that are damaged, or were made to do damage: refused before anything is touched.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use archive::names;
use influx::metastore::{Data, Database, Framed, Policy, frame};
use jobs::restore::{self, Config};
use jobs::{Event, Kind, Progress};
use serde_json::Value;
use store::StoreExt;
use test_support::Influxd;

use crate::bench::{Bench, NIGHT, edit, fill, influx as client_of, now, points};
use crate::refusals::assert_refused;

#[tokio::test]
async fn names_that_lead_elsewhere_are_damage() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 1).await;
    let target = Influxd::start().await;
    let long = "x".repeat(256);
    for name in ["../../etc", "..", ".", ".nightshard", "a/b", "a\\b", "a\0b", "a\nb", "", &long] {
        // With shards, and without: an empty database is put in place as well.
        for shards in [true, false] {
            let bench = Bench::with_night_of(&source).await;
            edit(&bench, |manifest| {
                manifest["databases"] = serde_json::json!([name]);
                let objects = manifest["objects"].as_array_mut().unwrap();
                objects.retain(|object| shards || object["kind"] == "meta");
                for object in objects {
                    object["database"] = name.into();
                }
            })
            .await;
            assert_refused(&bench, bench.config(&target), &target, Kind::Damage, "cannot be a database").await;
        }
    }
    for (member, message) in [("retention_policy", "cannot be a retention policy"), ("database", "does not have")] {
        let bench = Bench::with_night_of(&source).await;
        let name = if member == "database" { "unknown" } else { "../x" };
        edit(&bench, |manifest| {
            if member == "database" {
                manifest["databases"] = serde_json::json!([name]);
            }
            for object in manifest["objects"].as_array_mut().unwrap() {
                object[member] = name.into();
            }
        })
        .await;
        assert_refused(&bench, bench.config(&target), &target, Kind::Damage, message).await;
    }
}

/// Changes the night's metastore, and says so in the manifest.
async fn edit_metastore(bench: &Bench, change: impl FnOnce(&mut Data)) {
    let name = "2016-06-11/shards/meta.00";
    let bytes = bench.store.get_bytes(NIGHT, name, 1 << 20).await.unwrap();
    let mut data = Framed::decode(bytes).unwrap().data;
    change(&mut data);
    let bytes = frame(&data);
    edit(bench, |manifest| {
        let object = object(manifest, name);
        object["bytes"] = bytes.len().into();
        object["sha256"] = hex::encode(store::Digests::of(&bytes, None).sha256).into();
    })
    .await;
    bench.store.put_bytes(NIGHT, name, bytes).await.unwrap();
}

fn object<'a>(manifest: &'a mut Value, name: &str) -> &'a mut Value {
    manifest["objects"].as_array_mut().unwrap().iter_mut().find(|object| object["name"] == name).unwrap()
}

#[tokio::test]
async fn names_in_the_nights_metastore_that_lead_elsewhere_are_damage() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 1).await;
    let target = Influxd::start().await;
    let long = "x".repeat(256);
    for name in ["../../../etc", "..", ".", "a/b", "a\\b", "a\0b", "a\u{1b}b", "", &long] {
        // A policy without shards, and a database without policies.
        let bench = Bench::with_night_of(&source).await;
        edit_metastore(&bench, |data| {
            let database = &mut data.databases[0];
            let policy = Policy { name: name.to_owned(), shard_groups: Vec::new(), ..database.policies[0].clone() };
            database.policies.push(policy);
        })
        .await;
        assert_refused(&bench, bench.config(&target), &target, Kind::Damage, "cannot be a retention policy").await;

        let bench = Bench::with_night_of(&source).await;
        edit_metastore(&bench, |data| {
            let database = Database { name: name.to_owned(), policies: Vec::new(), ..data.databases[0].clone() };
            data.databases.push(database);
        })
        .await;
        edit(&bench, |manifest| manifest["databases"] = serde_json::json!([name, "sensu_db"])).await;
        // Also when it is another one that is asked for.
        let config = Config { databases: vec!["sensu_db".to_owned()], ..bench.config(&target) };
        assert_refused(&bench, config, &target, Kind::Damage, "cannot be a database").await;
    }
}

#[tokio::test]
async fn a_night_that_contradicts_itself_is_damage() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 2).await;
    let target = Influxd::start().await;
    let (shard, meta) = (names::shard(NIGHT, "sensu_db", "default", 2), "2016-06-11/shards/meta.00");
    let (shard, shortened) = (shard.as_str(), "it has ");
    type Change = fn(&mut Value, &str);
    let contradictions: [(&str, Change, &str); 6] = [
        (
            shard,
            |manifest, _| manifest["databases"] = serde_json::json!(["gone", "sensu_db"]),
            "have the database gone",
        ),
        (shard, |manifest, name| object(manifest, name)["shard_id"] = 1.into(), "shard 1 twice"),
        (shard, |manifest, name| object(manifest, name)["bytes"] = u64::MAX.into(), "no disk has so many bytes"),
        (meta, |manifest, name| object(manifest, name)["bytes"] = 10.into(), shortened),
        (meta, |manifest, name| object(manifest, name)["bytes"] = (1 << 20).into(), shortened),
        (meta, |manifest, name| object(manifest, name)["name"] = "2016-06-11/shards/meta.01".into(), "does not exist"),
    ];
    for (name, change, message) in contradictions {
        let bench = Bench::with_night_of(&source).await;
        edit(&bench, |manifest| change(manifest, name)).await;
        assert_refused(&bench, bench.config(&target), &target, Kind::Damage, message).await;
    }
}

#[tokio::test]
async fn a_damaged_night_is_refused_while_the_target_goes_on() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 4).await;
    let target = Influxd::start().await;
    fill(&target, "sensu_db", 1).await;
    let name = names::shard(NIGHT, "sensu_db", "default", 3);
    type Change = fn(Vec<u8>) -> Vec<u8>;
    let damage: [(&str, &str, Change); 4] = [
        (&name, "its SHA-256 is not that of the manifest", |mut bytes| {
            bytes[600] ^= 1;
            bytes
        }),
        (&name, "no tar header at byte 0", |mut bytes| {
            bytes[0] ^= 1;
            bytes
        }),
        (&name, "bytes instead of", |mut bytes| {
            bytes.truncate(1000);
            bytes
        }),
        ("2016-06-11/shards/meta.00", "its SHA-256 is not that of the manifest", |mut bytes| {
            bytes[40] ^= 1;
            bytes
        }),
    ];
    for (name, message, change) in damage {
        let bench = Bench::with_night_of(&source).await;
        let bytes = bench.store.get_bytes(NIGHT, name, 1 << 20).await.unwrap().to_vec();
        bench.store.put_bytes(NIGHT, name, change(bytes).into()).await.unwrap();
        let config = Config { first_restore: true, ..bench.config(&target) };
        assert_refused(&bench, config, &target, Kind::Damage, message).await;
    }
    let bench = Bench::with_night_of(&source).await;
    bench.store.delete(NIGHT, &name).await.unwrap();
    let config = Config { first_restore: true, ..bench.config(&target) };
    assert_refused(&bench, config, &target, Kind::Damage, "it does not exist").await;
}

/// Mends a file once it is said to be damaged, as Swift does with a copy that it has taken for damaged.
struct Mender {
    file: PathBuf,
    whole: Vec<u8>,
    left: AtomicU32,
    said: Mutex<Vec<String>>,
}

impl Progress for Mender {
    fn report(&self, event: Event<'_>) {
        // Of the clocks there are warnings too: the tests' own is years behind.
        if let Event::Warning(text) = event
            && text.contains("reading it again")
        {
            self.said.lock().unwrap().push(text.to_owned());
            if self.left.fetch_sub(1, Ordering::SeqCst) == 1 {
                fs::write(&self.file, &self.whole).unwrap();
            }
        }
    }
}

#[tokio::test]
async fn a_shard_that_comes_damaged_is_read_again_since_another_copy_may_be_whole() {
    let source = Influxd::start().await;
    fill(&source, "sensu_db", 4).await;
    let target = Influxd::start().await;
    let name = names::shard(NIGHT, "sensu_db", "default", 3);
    for looks in [1, 2] {
        let bench = Bench::with_night_of(&source).await;
        let file = bench.folder.path().join("archive").join(NIGHT).join(&name);
        let whole = fs::read(&file).unwrap();
        // Damage in the middle: files that were unpacked before it are in the way of the next try.
        let mut bytes = whole.clone();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&file, bytes).unwrap();
        let mender = Arc::new(Mender { file, whole, left: AtomicU32::new(looks), said: Mutex::default() });
        let progress = Arc::<Mender>::clone(&mender);
        restore::run(bench.config(&target), now(), Arc::clone(&bench.store), client_of(&target), progress)
            .await
            .unwrap();
        assert_eq!(points(&target, "sensu_db").await, points(&source, "sensu_db").await);
        let said = mender.said.lock().unwrap();
        assert_eq!(said.len(), looks as usize, "{said:?}");
        assert!(said.iter().all(|line| line.contains(&name) && line.contains("reading it again")), "{said:?}");
    }
}
