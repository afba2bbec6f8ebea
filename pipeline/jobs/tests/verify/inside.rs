//! What only a look inside finds: shards that were damaged before they were backed up.

use std::fs;

use archive::names;
use jobs::verify::Extent;
use serde_json::Value;
use store::Digests;

use super::bench::{Bench, NIGHT, assert_whole, damages, shard};

/// Changes the first file of a shard, and the manifest with it, as if the source had sent it so.
fn change(bench: &Bench, id: u64, change: impl FnOnce(&mut [u8])) {
    let manifest: Value =
        serde_json::from_slice(&fs::read(bench.file(&names::backup_manifest(NIGHT))).unwrap()).unwrap();
    let is_it = |object: &Value| object["name"] == shard(id);
    let objects = manifest["objects"].as_array().unwrap();
    let place = objects.iter().position(is_it).unwrap();
    let file = &objects[place]["files"][0];
    let begins = file["offset"].as_u64().unwrap() as usize;
    let range = begins..begins + file["bytes"].as_u64().unwrap() as usize;
    assert!(file["name"].as_str().unwrap().ends_with(".tsm"), "{file}");
    bench.damage(&shard(id), |bytes| change(&mut bytes[range.clone()]));
    let bytes = fs::read(bench.file(&shard(id))).unwrap();
    bench.edit(|manifest| {
        let object = &mut manifest["objects"][place];
        let digests = Digests::of(&bytes, None);
        object["sha256"] = hex::encode(digests.sha256).into();
        object["md5"] = hex::encode(digests.md5).into();
        object["files"][0]["sha256"] = hex::encode(Digests::of(&bytes[range], None).sha256).into();
    });
}

/// Changes a time in the file's first block, and its checksum too: what is wrong then is that the index says otherwise.
/// (A block is its CRC, a byte for its type, the length of its times, and these: a byte for their encoding, and the first
/// one in eight.)
fn move_first_time(file: &mut [u8]) {
    let footer = file.len() - 8;
    let index = u64::from_be_bytes(file[footer..].try_into().unwrap()) as usize;
    let key = u16::from_be_bytes(file[index..index + 2].try_into().unwrap()) as usize;
    // Behind the key: its type, the number of its blocks, and of the first one its times and its place.
    let entry = index + 2 + key + 3 + 16;
    let begins = u64::from_be_bytes(file[entry..entry + 8].try_into().unwrap()) as usize;
    let bytes = u32::from_be_bytes(file[entry + 8..entry + 12].try_into().unwrap()) as usize;
    let block = &mut file[begins..begins + bytes];
    assert!(block[5] < 0x80, "the length of the times has one byte");
    block[7 + 7] ^= 1;
    let checksum = crc32fast::hash(&block[4..]);
    block[..4].copy_from_slice(&checksum.to_be_bytes());
}

#[tokio::test]
async fn a_block_that_was_stored_damaged_is_found_by_a_deep_look_alone_and_named() {
    let (bench, _source) = Bench::with_shards(2).await;
    change(&bench, 2, |file| file[20] ^= 1);
    for extent in [Extent::Quick, Extent::Digests] {
        assert_whole(&bench.verify(extent).await, 3);
    }
    for extent in [Extent::Deep, Extent::Decode] {
        for outcome in [bench.verify(extent).await, bench.verify_elsewhere(bench.config(extent)).await.unwrap()] {
            let [(name, what)] = damages(&outcome)[..] else { panic!("{outcome:?}") };
            assert_eq!(name, shard(2));
            for part in ["000000001-000000001.tsm: ", "block 1 of key \"cpu,host=a#!~#", "at offset 5", "checksum"] {
                assert!(what.to_lowercase().contains(part), "{part}: {what}");
            }
        }
    }
}

#[tokio::test]
async fn another_night_with_the_same_damaged_bytes_is_no_help() {
    let (bench, source) = Bench::with_shards(1).await;
    bench.back_up(&source, "2016-06-12").await;
    let object = |bench: &Bench| {
        let manifest: Value =
            serde_json::from_slice(&fs::read(bench.file(&names::backup_manifest(NIGHT))).unwrap()).unwrap();
        let objects = manifest["objects"].as_array().unwrap();
        objects.iter().find(|object| object["name"] == shard(1)).unwrap()["sha256"].as_str().unwrap().to_owned()
    };
    let whole = object(&bench);
    change(&bench, 1, |file| file[20] ^= 1);
    let damaged = object(&bench);
    let hint = async || bench.verify(Extent::Deep).await.nights[0].damages[0].hint.clone();
    assert_eq!(hint().await, "2016-06-12 has this shard too, as it was then; restore it from there");
    bench.damage(&names::backup_manifest("2016-06-12"), |bytes| {
        *bytes = String::from_utf8(bytes.clone()).unwrap().replace(&whole, &damaged).into_bytes();
    });
    assert!(hint().await.starts_with("no other night has this shard"));
}

#[tokio::test]
async fn what_the_checksums_cannot_tell_is_found_by_decoding() {
    let (bench, _source) = Bench::with_shards(1).await;
    change(&bench, 1, move_first_time);
    assert_whole(&bench.verify(Extent::Deep).await, 2);
    let outcome = bench.verify(Extent::Decode).await;
    let [(_, what)] = damages(&outcome)[..] else { panic!("{outcome:?}") };
    assert!(what.contains("its times are not those that the index states"), "{what}");
}

#[tokio::test]
async fn a_metastore_that_was_stored_broken_is_found_by_a_deep_look() {
    let (bench, _source) = Bench::with_shards(1).await;
    let name = format!("{NIGHT}/shards/meta.00");
    bench.damage(&name, |bytes| bytes[0] ^= 1);
    let digests = Digests::of(&fs::read(bench.file(&name)).unwrap(), None);
    bench.edit(|manifest| {
        let objects = manifest["objects"].as_array_mut().unwrap();
        let object = objects.iter_mut().find(|object| object["kind"] == "meta").unwrap();
        object["sha256"] = hex::encode(digests.sha256).into();
        object["md5"] = hex::encode(digests.md5).into();
    });
    assert_whole(&bench.verify(Extent::Digests).await, 2);
    let outcome = bench.verify(Extent::Deep).await;
    let [(object, what)] = damages(&outcome)[..] else { panic!("{outcome:?}") };
    assert_eq!(object, name);
    assert!(what.contains("the metastore begins with"), "{what}");
}

#[tokio::test]
async fn a_manifest_with_another_digest_of_a_file_is_found_by_decoding() {
    let (bench, _source) = Bench::with_shards(1).await;
    bench.edit(|manifest| {
        let objects = manifest["objects"].as_array_mut().unwrap();
        let object = objects.iter_mut().find(|object| object["kind"] == "shard").unwrap();
        object["files"][0]["sha256"] = "00".repeat(32).into();
    });
    assert_whole(&bench.verify(Extent::Deep).await, 2);
    let outcome = bench.verify(Extent::Decode).await;
    assert!(damages(&outcome)[0].1.contains("another digest of 000000001-000000001.tsm"), "{outcome:?}");
}
