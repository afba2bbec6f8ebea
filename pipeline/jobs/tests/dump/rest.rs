//! Dumps straight from the backup: of a real server's shards, with no server to ask.

use std::fmt::Write as _;
use std::sync::Arc;

use archive::{BackupManifest, Date, names};
use jobs::Kind;
use jobs::dump::{Config, Format, Reading};

use crate::bench::{Bench, MIDNIGHT, NIGHT, SECOND, records};

const MINUTE: i64 = 60 * SECOND;

/// A day of some hosts in measurements of one shape, their fields at times of their own now and then.
fn lines(measurements: &[&str], hosts: usize, minutes: i64) -> String {
    let mut lines = String::new();
    for measurement in measurements {
        for host in 0..hosts {
            for minute in 0..minutes {
                let number = minute * 31 + host as i64 * 17;
                let time = MIDNIGHT + minute * MINUTE + i64::from(number % 7 == 0) * host as i64;
                writeln!(lines, "{measurement},host=h{host} a={},b={number}i {time}", number as f64 / 8.0).unwrap();
                if number % 5 == 0 {
                    writeln!(lines, "{measurement},host=h{host} c=\"text {number}\",d=true {}", time + 1).unwrap();
                }
            }
        }
    }
    lines
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_are_those_of_a_dump_from_the_server_in_every_format() {
    let bench = Bench::start().await;
    bench.influxd.write("sensu_db", &lines(&["m", "other"], 5, 700)).await;
    bench.back_up().await;
    for format in [Format::Json, Format::Ndjson, Format::Csv] {
        let config = Config { format, ..bench.config(&["*"]) };
        let from_backup = bench.files_of_backup(config.clone()).await.unwrap();
        assert_eq!(from_backup.len(), 2);
        assert_eq!(from_backup, bench.files(config, bench.reading()).await.unwrap(), "{format}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn series_that_do_not_fit_into_memory_together_give_the_same_file() {
    let bench = Bench::start().await;
    bench.influxd.write("sensu_db", &lines(&["m"], 40, 60)).await;
    bench.back_up().await;
    let whole = bench.files_of_backup(bench.config(&["m"])).await.unwrap();
    // Room for the blocks of two streams, while there are 160.
    let config = Config { buffer_bytes: 32 << 10, parallel: 1, ..bench.config(&["m"]) };
    assert_eq!(bench.files_of_backup(config).await.unwrap(), whole);
    assert!(whole.values().all(|text| records(text).len() > 2400));
}

/// Turns over a byte of the only shard in the archive; `place` tells which by what the manifest says of its only file.
async fn damage(bench: &Bench, place: impl Fn(&archive::manifest::ShardFile) -> u64) {
    let NightFile { path, file } = night_file(bench).await;
    let mut bytes = std::fs::read(&path).unwrap();
    let at = usize::try_from(file.offset + place(&file)).unwrap();
    bytes[at] ^= 1;
    std::fs::write(&path, bytes).unwrap();
}

struct NightFile {
    path: std::path::PathBuf,
    file: archive::manifest::ShardFile,
}

async fn night_file(bench: &Bench) -> NightFile {
    let manifest = names::backup_manifest(NIGHT);
    let sealed = archive::read::<BackupManifest>(bench.store.as_ref(), NIGHT, &manifest).await.unwrap().document;
    let (object, shard) = sealed.shards().next().unwrap();
    let file = shard.files.iter().find(|file| file.name.ends_with(".tsm")).unwrap().clone();
    NightFile { path: bench.folder.path().join("archive").join(NIGHT).join(&object.name), file }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_block_is_named_and_nothing_is_written() {
    let bench = Bench::start().await;
    bench.influxd.write("sensu_db", &lines(&["a", "b"], 1, 900)).await;
    bench.back_up().await;
    // The first block of the file belongs to the first measurement.
    damage(&bench, |_| 5 + 40).await;
    let error = bench.files_of_backup(bench.config(&["a"])).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Damage);
    let told = error.to_string();
    for part in ["sensu_db.autogen.", ".tsm: ", "block at offset 5: its checksum is wrong"] {
        assert!(told.contains(part), "{told}");
    }
    assert!(error.hint_text().unwrap().contains("nightshard-verify"), "{:?}", error.hint_text());
    assert_eq!(bench.files_of_backup(bench.config(&["b"])).await.unwrap().len(), 1, "its blocks are whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_index_that_is_not_the_stored_one_is_not_believed() {
    let bench = Bench::start().await;
    bench.influxd.write("sensu_db", &lines(&["a"], 1, 900)).await;
    bench.back_up().await;
    // A letter of the first key: an index as good as any other.
    damage(&bench, |file| file.inside.as_ref().unwrap().index_offset + 2).await;
    let error = bench.files_of_backup(bench.config(&["a"])).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Damage);
    assert!(error.to_string().ends_with("its index is not the one of the manifest"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spool_that_cannot_hold_it_is_said_and_not_waited_for() {
    let bench = Bench::start().await;
    bench.influxd.write("sensu_db", &lines(&["a"], 3, 900)).await;
    bench.back_up().await;
    for (size, whole) in [(100, false), (60 << 10, false), (2 << 20, true)] {
        let mut config = Config { buffer_bytes: 64 << 10, ..bench.config(&["a"]) };
        config.place.spool_size = Some(size);
        match bench.files_of_backup(config).await {
            Ok(files) => assert!(whole && files.len() == 1, "{size}"),
            Err(error) => {
                assert!(!whole && error.to_string().contains("--spool-size"), "{size}: {error}");
                assert_eq!(error.hint_text(), Some("give a larger --spool-size, or none"));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_is_gone_or_too_short_is_damage() {
    let bench = Bench::start().await;
    bench.influxd.write("sensu_db", &lines(&["a"], 1, 900)).await;
    bench.back_up().await;
    let NightFile { path, file } = night_file(&bench).await;
    std::fs::File::options().write(true).open(&path).unwrap().set_len(file.offset + 100).unwrap();
    let error = bench.files_of_backup(bench.config(&["a"])).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Damage, "{error}");
    std::fs::remove_file(&path).unwrap();
    let error = bench.files_of_backup(bench.config(&["a"])).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.to_string().ends_with("the shard does not exist")),
        (Kind::Damage, true),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_value_keeps_its_type_where_shards_of_several_types_overlap() {
    let bench = Bench::start().await;
    let hours = "CREATE RETENTION POLICY hours ON sensu_db DURATION INF REPLICATION 1 SHARD DURATION 1h DEFAULT";
    bench.influxd.statement(hours).await;
    let write = async |value: &str, minute: i64| {
        bench.influxd.write("sensu_db", &format!("m,a=b v={value} {}\n", MIDNIGHT + minute * MINUTE)).await;
    };
    write("9007199254740993i", 130).await;
    write("true", 190).await;
    bench.influxd.statement("ALTER RETENTION POLICY hours ON sensu_db SHARD DURATION 1d").await;
    write("1.5", 300).await;
    bench.back_up().await;
    let files = bench.files_of_backup(bench.config(&["m"])).await.unwrap();
    let text = files.values().next().unwrap();
    let values: Vec<_> =
        records(text).into_iter().map(|record| record.rsplit("\"v\":").next().unwrap().to_owned()).collect();
    assert_eq!(values, ["9007199254740993}", "true}", "1.5}"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_day_without_a_night_of_its_own_is_dumped_from_the_next_one_and_open_dumps_are_completed() {
    let bench = Bench::start().await;
    bench.influxd.write("sensu_db", &lines(&["m"], 2, 1440)).await;
    let before = MIDNIGHT - 5 * MINUTE;
    bench.influxd.write("sensu_db", &format!("m,host=h0 a=1.5 {before}\n")).await;
    bench.back_up().await;
    let day = |day: &str| Config { date: Date::Day(day.parse().unwrap()).into(), ..bench.config(&["m"]) };
    let outcome = bench.dump_from(day("2016-06-10"), Reading::Backup, Arc::new(())).await.unwrap();
    let dumped = &outcome.dumps[0];
    assert_eq!((dumped.records, dumped.night.to_string().as_str(), dumped.open), (1, "2016-06-10", false));
    assert!(dumped.warnings.iter().any(|warning| warning == "read from the night 2016-06-11"), "{:?}", dumped.warnings);
    let object = dumped.object.clone().unwrap();
    assert!(bench.text(&object).await.contains("\"a\":1.5"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_said_as_of_a_server() {
    let bench = Bench::start().await;
    bench.influxd.write("sensu_db", &lines(&["m"], 1, 5)).await;
    bench.back_up().await;
    let error = bench.files_of_backup(bench.config(&["cpu"])).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Usage);
    assert_eq!(error.to_string(), "measurement cpu does not exist in sensu_db.autogen");
    assert_eq!(error.hint_text(), Some("database sensu_db has m"));
    let config = Config { retention_policy: Some("weekly".to_owned()), ..bench.config(&["m"]) };
    let error = bench.files_of_backup(config).await.unwrap_err();
    assert_eq!(error.to_string(), "retention policy weekly of database sensu_db does not exist");
    let later = Config { date: Date::Day("2016-06-20".parse().unwrap()).into(), ..bench.config(&["m"]) };
    assert_eq!(bench.files_of_backup(later).await.unwrap_err().kind(), Kind::Missing);
}
