//! Whole files and shards of a real server: read, joined and counted, and compared with what that server answered.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tsm::block::Block;
use tsm::check::{self, Extent, Field, Measurement, Measurements, ShardFile};
use tsm::{IndexReader, Keys, Kind, Points, Section, Tombstones, Values, join, key, layout, members, tar};

fn vector(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors").join(name)).unwrap()
}

/// What the server answered, a point a line. Floats are compared by their bits alone, which reading them from text may
/// change.
fn answered(name: &str) -> Vec<Value> {
    let lines = String::from_utf8(vector(&format!("{name}.ndjson"))).unwrap();
    let answer = |line: &str| {
        let mut point: Value = serde_json::from_str(line).unwrap();
        if point["type"] == "float" {
            point["value"] = Value::Null;
        }
        point
    };
    lines.lines().map(answer).collect()
}

fn single(tsm: &str, tombstone: Option<&str>) -> Vec<ShardFile<Vec<u8>>> {
    let tombstones = tombstone.map(|name| Tombstones::read(vector(name).as_slice()).unwrap()).unwrap_or_default();
    vec![ShardFile { source: vector(tsm), tombstones }]
}

/// The files of a shard's tar.
fn shard(tar: &[u8]) -> Vec<ShardFile<Section<&[u8]>>> {
    let entries = tar::list(tar).unwrap();
    let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
    let section = |number: usize| Section::new(tar, entries[number].offset, entries[number].bytes);
    let tombstones = |number: usize| {
        let begins = usize::try_from(entries[number].offset).unwrap();
        Tombstones::read(&tar[begins..begins + usize::try_from(entries[number].bytes).unwrap()]).unwrap()
    };
    let member = |member: tsm::Member| ShardFile {
        source: section(member.tsm),
        tombstones: member.tombstone.map(tombstones).unwrap_or_default(),
    };
    members(&names).into_iter().map(member).collect()
}

/// All points that files show, as the server would answer them.
fn read<S: tsm::ReadAt>(files: &[ShardFile<S>]) -> Vec<Value> {
    let index = |file: &ShardFile<S>| {
        let layout = layout(&file.source).unwrap();
        let mut bytes = vec![0; usize::try_from(layout.index_bytes()).unwrap()];
        file.source.read_exact_at(&mut bytes, layout.index_offset()).unwrap();
        IndexReader::new(std::io::Cursor::new(bytes), layout)
    };
    let mut keys = Keys::new(files.iter().map(index).collect());
    let mut points = Vec::new();
    while let Some(joined) = keys.next().unwrap() {
        let mut pieces = Vec::new();
        for part in &joined.parts {
            let file = &files[part.file];
            for entry in &part.entries {
                let mut bytes = vec![0; entry.size as usize];
                file.source.read_exact_at(&mut bytes, entry.offset).unwrap();
                let mut piece = Points::empty(part.kind);
                Block::open(&bytes).unwrap().decode(&mut piece).unwrap();
                assert_eq!((piece.times[0], piece.times[piece.len() - 1]), (entry.first, entry.last));
                file.tombstones.ranges(&joined.key).for_each(|(first, last)| piece.remove(first, last));
                pieces.push(piece);
            }
        }
        for run in join(pieces) {
            points.extend((0..run.len()).map(|index| answer(&joined.key, &run, index)));
        }
    }
    points
}

fn answer(key: &[u8], points: &Points, index: usize) -> Value {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (series, field) = key::split(key).unwrap();
    let series = key::series(series).unwrap();
    let tags: BTreeMap<String, String> = series.tags.iter().map(|(name, value)| (text(name), text(value))).collect();
    let mut answer = json!({
        "measurement": text(&series.measurement),
        "tags": tags,
        "field": text(field),
        "type": points.values.kind().name(),
        "time": points.times[index],
        "value": match &points.values {
            Values::Float(_) => Value::Null,
            Values::Integer(values) => json!(values[index]),
            Values::Boolean(values) => json!(values[index]),
            Values::String(values) => json!(text(values.get(index).unwrap())),
            Values::Unsigned(values) => json!(values[index]),
        },
    });
    if let Values::Float(values) = &points.values {
        answer["bits"] = json!(format!("{:016x}", values[index].to_bits()));
    }
    answer
}

/// The statistics of points, counted one by one.
fn counted(points: &[Value]) -> Measurements {
    let bytes = |value: &Value| value.as_str().unwrap().as_bytes().to_vec();
    let kinds = [Kind::Float, Kind::Integer, Kind::Boolean, Kind::String, Kind::Unsigned];
    let mut measurements = Measurements::new();
    let mut series = BTreeMap::<String, ()>::new();
    let mut keys = BTreeMap::<String, ()>::new();
    for point in points {
        let kind = *kinds.iter().find(|kind| kind.name() == point["type"]).unwrap();
        let time = point["time"].as_i64().unwrap();
        let measurement: &mut Measurement = measurements.entry(bytes(&point["measurement"])).or_default();
        let name = format!("{} {}", point["measurement"], point["tags"]);
        let new_key = keys.insert(format!("{name} {} {}", point["field"], point["type"]), ()).is_none();
        measurement.series += u64::from(series.insert(name, ()).is_none());
        let field = measurement.fields.entry(bytes(&point["field"])).or_default().entry(kind).or_insert(Field {
            keys: 0,
            points: 0,
            first: time,
            last: time,
        });
        field.keys += u64::from(new_key);
        field.points += 1;
        (field.first, field.last) = (field.first.min(time), field.last.max(time));
    }
    measurements
}

/// Compares what files show, and what is counted in them, with what the server answered.
fn compare<S: tsm::ReadAt>(what: &str, files: &[ShardFile<S>], mut expected: Vec<Value>) {
    let mut found = read(files);
    for points in [&mut found, &mut expected] {
        points.sort_by_key(|point| {
            let text = |name: &str| point[name].to_string();
            (text("measurement"), text("tags"), text("field"), point["time"].as_i64())
        });
    }
    assert_eq!(found.len(), expected.len(), "{what}");
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found, expected, "{what}");
    }
    let counted = counted(&expected);
    for extent in [Extent::Checksums, Extent::Decode] {
        assert_eq!(check::shard(files, extent).unwrap().measurements, counted, "{what}, {extent:?}");
    }
}

const NAMES: [&str; 9] =
    ["boolean", "escapes", "float", "integer", "multiblock", "string", "timestamp", "timestamp_wide", "unsigned"];

#[test]
fn a_file_shows_what_the_server_answered() {
    for name in NAMES {
        compare(name, &single(&format!("tsm/{name}.tsm"), None), answered(&format!("tsm/{name}")));
    }
}

#[test]
fn a_file_is_summed_up_as_the_list_of_its_blocks_says() {
    for name in NAMES {
        let file = vector(&format!("tsm/{name}.tsm"));
        let list = String::from_utf8(vector(&format!("tsm/{name}.blocks.tsv"))).unwrap();
        let rows: Vec<Vec<&str>> = list.lines().skip(1).map(|line| line.split('\t').collect()).collect();
        let keys: std::collections::BTreeSet<&str> = rows.iter().map(|row| row[0]).collect();
        let points: u64 = rows.iter().map(|row| row[2].parse::<u64>().unwrap()).sum();
        let times: Vec<i64> = answered(&format!("tsm/{name}")).iter().map(|p| p["time"].as_i64().unwrap()).collect();
        let index = layout(&file).unwrap().index_offset();
        let hashed = &file[usize::try_from(index).unwrap()..file.len() - 8];
        for extent in [Extent::Checksums, Extent::Decode] {
            let summary = check::file(&file, extent).unwrap();
            assert_eq!(summary.index_offset, index);
            assert_eq!(summary.index_sha256, <[u8; 32]>::from(Sha256::digest(hashed)));
            assert_eq!(summary.keys, keys.len() as u64, "{name}");
            assert_eq!(summary.blocks, rows.len() as u64, "{name}");
            assert_eq!(summary.points, points, "{name}");
            assert_eq!((Some(&summary.first), Some(&summary.last)), (times.iter().min(), times.iter().max()), "{name}");
        }
    }
}

#[test]
fn tombstones_of_every_version_leave_what_the_server_showed() {
    compare("none", &single("tombstone/points.tsm", None), answered("tombstone/points"));
    for version in ["v1", "v2", "v3", "v4", "v4hand"] {
        let files = single("tombstone/points.tsm", Some(&format!("tombstone/{version}.tombstone")));
        compare(version, &files, answered(&format!("tombstone/{version}.after")));
    }
}

#[test]
fn files_of_a_shard_are_joined_as_the_server_does_it() {
    compare("shard", &shard(&vector("shard-merge/shard.tar")), answered("shard-merge/merged"));
}

#[test]
fn a_shard_without_files_holds_nothing() {
    let summary = check::shard::<Vec<u8>>(&[], Extent::Decode).unwrap();
    assert!(summary.files.is_empty() && summary.measurements.is_empty());
}

#[test]
fn damage_is_named_by_file_key_block_and_offset() {
    let mut files = single("tsm/multiblock.tsm", None);
    files.extend(single("tsm/multiblock.tsm", None));
    let entry = {
        let layout = layout(&files[1].source).unwrap();
        let mut index = tsm::IndexOf::of(&files[1].source, layout, 4096);
        index.next().unwrap().unwrap().entries[1]
    };
    let middle = usize::try_from(entry.offset).unwrap() + 50;
    files[1].source[middle] ^= 1;
    let error = check::shard(&files, Extent::Checksums).unwrap_err();
    assert_eq!(error.file, 1);
    assert!(error.error.is_damage());
    let said = error.error.to_string();
    let expected = format!("at offset {}: its checksum is wrong", entry.offset);
    assert!(said.starts_with("block 2 of key \"") && said.ends_with(&expected), "{said}");
    assert_eq!(check::file(&files[1].source, Extent::Checksums).unwrap_err().to_string(), said);
}
