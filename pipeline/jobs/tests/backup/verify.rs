//! What is looked for inside of shards, and what the manifest tells of them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use archive::manifest::FieldRecord;
use jobs::Kind;
use jobs::backup::{Config, Verify};
use serde_json::Value;
use store::StoreExt;
use test_support::{Fault, FaultProxy, Influxd};

use super::bench::{Bench, NIGHT, fill, influx, influx_at};

/// 2016-05-01T00:00:00Z, where the first shard begins.
const BEGIN: i64 = 1_462_060_800_000_000_000;

const DAY: i64 = 86_400_000_000_000;

/// The points of each measurement and field, as the server counts them day by day, in each of which a field has one type.
async fn counted(influxd: &Influxd, days: i64) -> BTreeMap<(String, String), u64> {
    let mut counts = BTreeMap::new();
    for day in 0..days {
        let (from, to) = (BEGIN + day * DAY, BEGIN + (day + 1) * DAY);
        let query = format!("SELECT count(*) FROM /.*/ WHERE time >= {from} AND time < {to}");
        let answer = influxd.query("sensu_db", &query).await;
        for series in answer["results"][0]["series"].as_array().into_iter().flatten() {
            let name = series["name"].as_str().unwrap();
            for (column, value) in
                series["columns"].as_array().unwrap().iter().zip(series["values"][0].as_array().unwrap())
            {
                if let (Some(field), Some(points)) = (column.as_str().unwrap().strip_prefix("count_"), value.as_u64()) {
                    *counts.entry((name.to_owned(), field.to_owned())).or_default() += points;
                }
            }
        }
    }
    counts.retain(|_, points| *points > 0);
    counts
}

/// The same as the manifest tells it.
async fn told(bench: &Bench) -> BTreeMap<(String, String), u64> {
    let mut counts = BTreeMap::new();
    for measurement in bench.manifest().await.measurements {
        for field in measurement.fields {
            *counts.entry((measurement.measurement.clone(), field.field)).or_default() += field.points;
        }
    }
    counts
}

/// A backup under another label than the night's, whose only use is that the server writes its cache into files.
async fn flush(influxd: &Influxd) {
    Bench::new().run(influx(influxd)).await.unwrap();
}

#[tokio::test]
async fn the_manifest_counts_what_influxdb_counts_after_overwrites_deletes_and_new_types() {
    let influxd = Influxd::start().await;
    fill(&influxd, 3).await;
    let line = |series: &str, fields: &str, time: i64| format!("{series} {fields} {}\n", BEGIN + time);
    influxd
        .write(
            "sensu_db",
            &[
                line(r"odd\ name\,a,tag\ k=v\=1", r#"f\ g=1.5,h="text",i=3i,j=true"#, 7),
                line(r"odd\ name\,a,tag\ k=v\=2", r"f\ g=2.5", 8),
                line(r#"quo"te"#, r"a\=b=1,é=2", 5),
                line("changing", "v=1i", 1),
                line("changing", "v=2i", 2),
                line("changing", "v=2.5", DAY + 1),
                line("changing", "v=\"s\"", 2 * DAY + 1),
                line("gone", "v=1", 1),
            ]
            .concat(),
        )
        .await;
    flush(&influxd).await;
    // The same points once more, partly with other values, and others among them.
    fill(&influxd, 2).await;
    influxd
        .write("sensu_db", &[line("cpu,host=h3", "idle=-1,load=7i", 3), line("cpu,host=h3", "idle=4", 4)].concat())
        .await;
    flush(&influxd).await;
    for delete in [
        "DELETE FROM cpu WHERE host = 'h5'",
        "DELETE FROM cpu WHERE host = 'h6' AND time < '2016-05-02'",
        "DROP SERIES FROM cpu WHERE host = 'h7'",
        "DROP MEASUREMENT gone",
    ] {
        influxd.query("sensu_db", delete).await;
    }
    // One of them comes back.
    influxd.write("sensu_db", &line("cpu,host=h5", "idle=9", 5)).await;

    for verify in [Verify::Checksums, Verify::Decode] {
        let bench = Bench::new();
        bench.run_with(Config { verify, ..bench.config() }, influx(&influxd)).await.unwrap();
        let counted = counted(&influxd, 3).await;
        assert_eq!(counted[&("cpu".to_owned(), "idle".to_owned())], 55, "17 of each day and what was left and written");
        assert_eq!(told(&bench).await, counted, "{verify:?}");

        let manifest = bench.manifest().await;
        let named = |name: &str| manifest.measurements.iter().find(|m| m.measurement == name).unwrap();
        let odd = named("odd name,a");
        assert_eq!((odd.database.as_str(), odd.retention_policy.as_str(), odd.series), ("sensu_db", "default", 2));
        let kinds: Vec<(&str, &str, u64)> =
            odd.fields.iter().map(|f| (f.field.as_str(), f.kind.as_str(), f.keys)).collect();
        assert_eq!(kinds, [("f g", "float", 2), ("h", "string", 1), ("i", "integer", 1), ("j", "boolean", 1)]);
        let FieldRecord { first, last, shards, .. } = &odd.fields[0];
        let times = [first, last].map(|time| time.timestamp_nanos_opt().unwrap());
        assert_eq!((times, shards.len()), ([BEGIN + 7, BEGIN + 8], 0));

        let ids: Vec<u64> = manifest.shards().map(|(_, shard)| shard.shard_id).collect();
        let changing: Vec<(&str, u64, &[u64])> =
            named("changing").fields.iter().map(|f| (f.kind.as_str(), f.points, f.shards.as_slice())).collect();
        assert_eq!(changing, [("float", 1, &ids[1..2]), ("integer", 2, &ids[..1]), ("string", 1, &ids[2..])]);
        assert!(!manifest.measurements.iter().any(|m| m.measurement == "gone"));
    }
}

#[tokio::test]
async fn what_is_in_each_file_stands_beside_its_digest_unless_nobody_looked() {
    let influxd = Influxd::start().await;
    fill(&influxd, 2).await;
    for (verify, verified) in
        [(Verify::Off, None), (Verify::Checksums, Some("checksums")), (Verify::Decode, Some("decode"))]
    {
        let bench = Bench::new();
        let outcome = bench.run_with(Config { verify, ..bench.config() }, influx(&influxd)).await.unwrap();
        assert_eq!(outcome.summary().contains("nobody has looked into the shards"), verified.is_none());
        let manifest = bench.manifest().await;
        assert_eq!((manifest.verified.as_deref(), outcome.verified.as_deref()), (verified, verified));
        assert_eq!(manifest.measurements.is_empty(), verified.is_none());
        for (object, shard) in manifest.shards() {
            let bytes = bench.store.get_bytes(NIGHT, &object.name, 1 << 20).await.unwrap();
            for file in &shard.files {
                assert_eq!(file.inside.is_some(), verified.is_some(), "{}", file.name);
                let Some(inside) = &file.inside else { continue };
                let begins = usize::try_from(file.offset + inside.index_offset).unwrap();
                let ends = usize::try_from(file.offset + file.bytes - 8).unwrap();
                let digests = store::Digests::of(&bytes[begins..ends], None);
                assert_eq!(inside.index_sha256, hex::encode(digests.sha256));
                // Twenty hosts, three fields, a point of each.
                assert_eq!((inside.keys, inside.points), (60, 60));
                assert_eq!((inside.last - inside.first).num_nanoseconds(), Some(19));
            }
        }
        // The members are those of the file's record, and absent where there is none.
        let name = archive::names::backup_manifest(NIGHT);
        let raw: Value = serde_json::from_slice(&bench.store.get_bytes(NIGHT, &name, 1 << 20).await.unwrap()).unwrap();
        let shard = raw["objects"].as_array().unwrap().iter().find(|object| object["kind"] == "shard").unwrap();
        assert_eq!(shard["files"][0].get("index_offset").is_some(), verified.is_some());
        assert_eq!(raw.get("measurements").is_some(), verified.is_some());
    }
}

/// The only TSM file of each shard on the server's disk, once a snapshot has made the server write it.
async fn files_of(influxd: &Influxd) -> Vec<PathBuf> {
    flush(influxd).await;
    let policy = influxd.data_dir().join("sensu_db/default");
    let mut found = Vec::new();
    for shard in fs::read_dir(policy).unwrap() {
        let files = fs::read_dir(shard.unwrap().path()).unwrap().map(|file| file.unwrap().path());
        found.extend(files.filter(|file| file.extension().is_some_and(|ending| ending == "tsm")));
    }
    found.sort();
    found
}

fn flip(file: &Path, at: usize) {
    use std::os::unix::fs::FileExt;
    let file = fs::File::options().read(true).write(true).open(file).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at as u64).unwrap();
    file.write_all_at(&[!byte[0]], at as u64).unwrap();
}

#[tokio::test]
async fn a_shard_that_is_damaged_on_the_server_is_asked_for_three_times_and_ends_the_run_without_a_night() {
    let influxd = Influxd::start().await;
    fill(&influxd, 3).await;
    let files = files_of(&influxd).await;
    // In the values of the first block, behind its checksum, its type and its times.
    flip(&files[1], 5 + 20);
    let bench = Bench::new();
    let proxy = FaultProxy::start(&influxd.snapshot_address()).await;
    let config = Config { parallel: 1, ..bench.config() };
    let failed = bench.run_with(config, influx_at(&influxd, &proxy.address())).await.unwrap_err();
    assert_eq!(failed.kind(), Kind::Damage);
    let said = failed.to_string();
    let shard = files[1].parent().unwrap().file_name().unwrap().to_str().unwrap();
    assert!(said.starts_with(&format!("shard {shard} of sensu_db.default is damaged on the server")), "{said}");
    let place = "000000001-000000001.tsm: block 1 of key \"cpu,host=h0#!~#idle\" at offset 5: its checksum is wrong";
    assert!(said.ends_with(place), "{said}");
    let hint = failed.hint_text().unwrap();
    assert!(hint.contains(files[1].to_str().unwrap()) && hint.contains("--verify off"), "{hint}");
    bench.assert_no_night().await;
    // The metastore and two lists; then whole shards came before it, perhaps, and it came three times.
    let shards_before = bench.objects().await.iter().filter(|name| name.contains("/shards/")).count();
    assert_eq!(proxy.connections(), 3 + shards_before + 3);

    // The bytes as they are, for those who want them.
    let config = Config { verify: Verify::Off, ..bench.config() };
    assert_eq!(bench.run_with(config, influx(&influxd)).await.unwrap().shards, 3);
    // Mended, it is taken like the others.
    flip(&files[1], 5 + 20);
    let bench = Bench::new();
    assert_eq!(bench.run(influx(&influxd)).await.unwrap().shards, 3);
}

#[tokio::test]
async fn damage_that_only_decoding_finds_is_found_by_decoding() {
    let influxd = Influxd::start().await;
    fill(&influxd, 1).await;
    let file = files_of(&influxd).await.remove(0);
    // The first time that the index states for the first key: behind its length, the key, its type and the number of blocks.
    let bytes = fs::read(&file).unwrap();
    let footer = u64::from_be_bytes(bytes[bytes.len() - 8..].try_into().unwrap());
    let key = usize::from(u16::from_be_bytes(bytes[footer as usize..footer as usize + 2].try_into().unwrap()));
    flip(&file, footer as usize + 2 + key + 3);
    let bench = Bench::new();
    let config = Config { verify: Verify::Decode, ..bench.config() };
    let failed = bench.run_with(config, influx(&influxd)).await.unwrap_err();
    assert_eq!(failed.kind(), Kind::Damage);
    bench.assert_no_night().await;
}

#[tokio::test]
async fn a_shard_that_comes_whole_at_the_second_time_is_good() {
    let influxd = Influxd::start().await;
    fill(&influxd, 1).await;
    flush(&influxd).await;
    let bench = Bench::new();
    let proxy = FaultProxy::start(&influxd.snapshot_address()).await;
    // The metastore and two lists come first; then the shard, whose tar has a header of 512 bytes before its file.
    proxy.set_next([Fault::None, Fault::None, Fault::None, Fault::FlipAnswer(512 + 5 + 20)]);
    let outcome = bench.run_with(bench.config(), influx_at(&influxd, &proxy.address())).await.unwrap();
    assert_eq!((outcome.shards, outcome.warnings.len()), (1, 0));
    // The shard twice, and the lists and the metastore that follow.
    assert_eq!(proxy.connections(), 3 + 2 + 2);
    bench.assert_whole().await;
    assert_eq!(told(&bench).await, counted(&influxd, 1).await);
}
