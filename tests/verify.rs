//! Verifications with the program as users run it, on each kind of archive: of a night with its dump, whole and damaged; and of
//! what `swift download` brings.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

mod night;

use std::fmt::Write as _;
use std::process::{Command, Output};

use night::{Place, run, succeed};
use serde::Deserialize;
use test_support::{Influxd, tempauth};

const DAY: &str = "2016-06-11";

/// 2016-06-11 00:00 in Berlin, in seconds.
const MIDNIGHT: i64 = 1_465_596_000;

/// What `--json` prints, declared once more: members are added, never changed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Outcome {
    extent: String,
    slice: Option<Slice>,
    nights: Vec<Night>,
    pool: Vec<PoolObject>,
    brought_back: Vec<String>,
    objects: u64,
    bytes: u64,
    seconds: f64,
    failures: Vec<String>,
    clocks: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Slice {
    of: u64,
    number: u64,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Night {
    night: String,
    manifest_sha256: Option<String>,
    objects: u64,
    bytes: u64,
    damages: Vec<Damage>,
    unchecked: Vec<String>,
    notes: Vec<String>,
    recorded: bool,
    adopted: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PoolObject {
    object: String,
    kind: String,
    what: String,
    nights: Vec<String>,
    marked: bool,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Damage {
    object: String,
    what: String,
    hint: String,
}

/// The record in the archive, as far as it is looked at here.
#[derive(Debug, Deserialize)]
struct Record {
    format: String,
    manifest_sha256: String,
    verifications: Vec<Verification>,
}

#[derive(Debug, Deserialize)]
struct Verification {
    extent: String,
    damages: Vec<serde_json::Value>,
}

/// Two shards with some thousand points.
async fn production() -> Influxd {
    let influxd = Influxd::start().await;
    influxd.statement("CREATE DATABASE sensu_db WITH DURATION INF SHARD DURATION 1d NAME \"default\"").await;
    let (mut lines, mut random) = (String::new(), 7_u64);
    for second in 0..8_000 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        writeln!(lines, "cpu,host=a value={}i {}000000000", random >> 1, MIDNIGHT + second).unwrap();
    }
    influxd.write("sensu_db", &lines).await;
    influxd
}

/// Ends with a code, and prints one document.
async fn verify(place: &Place, flags: &[&str], code: i32) -> (Outcome, Output) {
    let mut command = place.verify();
    command.args(flags);
    let output = run(command).await;
    assert_eq!(output.status.code(), Some(code), "{flags:?}: {output:?}");
    let outcome: Outcome = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(outcome.objects, outcome.nights.iter().map(|night| night.objects).sum::<u64>());
    assert!(outcome.nights.iter().all(|night| !night.adopted));
    assert_eq!(outcome.bytes, outcome.nights.iter().map(|night| night.bytes).sum::<u64>());
    assert!(outcome.seconds > 0.0);
    let said = String::from_utf8_lossy(&output.stderr);
    for night in &outcome.nights {
        for Damage { object, what, hint } in &night.damages {
            assert!(said.contains(&format!("ERROR {object} is damaged: {what} ({hint})")), "{said}");
        }
    }
    (outcome, output)
}

async fn swift(place: &Place, arguments: &[&str]) {
    let mut command = place.command("swift");
    command.args(arguments);
    let output = run(command).await;
    assert!(output.status.success(), "{arguments:?}: {output:?}");
}

async fn a_whole_night(place: Place) {
    let (production, intermediary) = tokio::join!(production(), Influxd::start());
    let mut backup = place.backup(&production);
    backup.args(["--date", DAY]);
    succeed(backup).await;
    let mut restore = place.restore(&intermediary);
    restore.args(["--date", DAY]);
    succeed(restore).await;
    let mut dump = place.dump(&intermediary);
    dump.args(["cpu", "--date", DAY]);
    succeed(dump).await;

    let container = place.container(DAY);
    let mut before = tokio::task::block_in_place(|| place.contents(DAY));
    for (flag, extent) in [("--quick", "quick"), ("--no-record", "digests"), ("--deep", "deep"), ("--decode", "decode")]
    {
        let (outcome, _) = verify(&place, &["--date", DAY, flag], 0).await;
        assert_eq!((outcome.extent.as_str(), outcome.objects, outcome.failures.len()), (extent, 4, 0), "{outcome:?}");
        let [night] = &outcome.nights[..] else { panic!("{outcome:?}") };
        assert_eq!((&night.night, night.recorded), (&container, flag != "--no-record"));
        assert_eq!((night.notes.len(), night.unchecked.len()), (0, 0), "{night:?}");
        let sealed = ["/shards/", "/influxdb/"];
        let stored = before.iter().filter(|(name, _)| sealed.iter().any(|folder| name.contains(folder)));
        assert_eq!(outcome.bytes, stored.map(|(_, bytes)| bytes.len() as u64).sum::<u64>());
    }
    let (outcome, _) = verify(&place, &["--all", "--sample", "1/366"], 0).await;
    assert!(outcome.objects < 4 && outcome.slice.is_some_and(|slice| slice.of == 366 && slice.number < 366));

    let mut after = tokio::task::block_in_place(|| place.contents(DAY));
    let record = after.remove(&format!("{container}/manifests/verify.json")).unwrap();
    let record: Record = serde_json::from_slice(&record).unwrap();
    let extents: Vec<&str> = record.verifications.iter().map(|one| one.extent.as_str()).collect();
    assert_eq!(extents, ["quick", "deep", "decode", "digests"]);
    assert!(record.verifications.iter().all(|one| one.damages.is_empty()));
    assert_eq!((record.format.as_str(), record.manifest_sha256.len()), ("nightshard-verify/1", 64));
    before.remove(&format!("{container}/manifests/verify.json"));
    assert!(before == after, "nothing else has changed");

    // What was downloaded is verified without the archive, by the name of its folder.
    if !place.prefix.is_empty() {
        let folder = place.path("fetched").join(&container);
        let mut command = place.verify();
        command.env_remove("NIGHTSHARD_ARCHIVE").arg(&folder).arg("--deep");
        let outcome: Outcome = serde_json::from_value(succeed(command).await).unwrap();
        assert_eq!((outcome.objects, outcome.failures.len()), (4, 0), "{outcome:?}");
        assert!(!outcome.nights[0].recorded, "a copy is no archive");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_night_with_its_dump_in_a_folder_passes_every_look() {
    a_whole_night(Place::folder()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_night_with_its_dump_in_swift_passes_every_look() {
    tokio::join!(a_whole_night(Place::swift_version1()), a_whole_night(Place::swift_keystone()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_damaged_in_swift_is_found_by_each_look_that_can_see_it() {
    let (place, production) = (Place::swift_version1(), production().await);
    let mut backup = place.backup(&production);
    // The shards are in segments and the night's own, the metastore is in one piece.
    backup.args(["--date", DAY, "--dedup", "off"]).env("NIGHTSHARD_SEGMENT_SIZE", "16KiB");
    backup.env("NIGHTSHARD_SEGMENTS_CONTAINER", format!("{}segments", place.prefix));
    succeed(backup).await;
    let (container, segments) = (place.container(DAY), format!("{}segments", place.prefix));
    let contents = tokio::task::block_in_place(|| place.contents(DAY));
    let flags = |extent: &'static str| ["--date", DAY, extent];
    let (all, looks) = (["--quick", "--no-record", "--deep"], ["--no-record", "--deep"]);
    for extent in all {
        verify(&place, &flags(extent), 0).await;
    }
    let expect = async |extent: &'static str, expected: &[(&str, &str)]| {
        let (outcome, _) = verify(&place, &flags(extent), if expected.is_empty() { 0 } else { 5 }).await;
        let damages = &outcome.nights[0].damages;
        assert_eq!(damages.len(), expected.len(), "{extent}: {outcome:?}");
        for (damage, (object, what)) in damages.iter().zip(expected) {
            assert!(damage.object == *object && damage.what.contains(what), "{extent}: {what}: {damage:?}");
        }
    };
    let upload = async |object: &str, change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = contents[object].clone();
        change(&mut bytes);
        std::fs::write(place.path("changed"), bytes).unwrap();
        swift(&place, &["upload", &container, "changed", "--object-name", object]).await;
    };
    // A byte in the middle: Swift tells another MD5 of the metastore, and of a shard that is in one piece now.
    let (meta, shard) =
        (format!("{container}/shards/meta.00"), format!("{container}/shards/sensu_db.default.00002.00"));
    upload(&meta, &|bytes| bytes[40] ^= 1).await;
    upload(&shard, &|bytes| bytes[1000] ^= 1).await;
    expect("--quick", &[(&meta, "its ETag is not"), (&shard, "its ETag is not")]).await;
    for extent in looks {
        expect(extent, &[(&meta, "its SHA-256 is not"), (&shard, "it is in 000000001-000000001.tsm")]).await;
    }
    upload(&meta, &|bytes| bytes.truncate(40)).await;
    swift(&place, &["delete", &container, &shard]).await;
    for extent in all {
        expect(extent, &[(&meta, "it has 40 bytes instead of"), (&shard, "it does not exist")]).await;
    }
    upload(&meta, &|_| {}).await;
    upload(&shard, &|_| {}).await;
    for extent in all {
        expect(extent, &[]).await;
    }
    // A segment in the middle, which a HEAD of the whole does not miss.
    let first = format!("{container}/shards/sensu_db.default.00001.00");
    let listed = run({
        let mut list = place.command("swift");
        list.args(["list", &segments, "--prefix", &format!("{container}/{first}/")]);
        list
    });
    let listed = String::from_utf8(listed.await.stdout).unwrap();
    let names: Vec<&str> = listed.lines().collect();
    assert!(names.len() > 2, "{names:?}");
    swift(&place, &["delete", &segments, names[1]]).await;
    for extent in all {
        expect(extent, &[(&first, "its segment")]).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_only_read_verifies_and_is_told_that_nothing_is_written_down() {
    let (place, production) = (Place::swift_version1(), production().await);
    let mut backup = place.backup(&production);
    backup.args(["--date", DAY]);
    succeed(backup).await;
    let (container, reader) = (place.container(DAY), tempauth());
    // The shards lie in the pool, and its own list says who reads them.
    for container in [&container, &place.pool()] {
        swift(&place, &["post", container, "--read-acl", &reader.reader]).await;
    }
    let mut command = place.verify();
    command.args(["--date", DAY, "--deep"]).envs([("ST_USER", &reader.reader), ("ST_KEY", &reader.reader_key)]);
    let outcome: Outcome = serde_json::from_value(succeed(command).await).unwrap();
    assert_eq!((outcome.objects, outcome.nights[0].recorded), (3, false), "{outcome:?}");
    let [note] = &outcome.nights[0].notes[..] else { panic!("{outcome:?}") };
    assert!(note.contains("it was not written down that it was verified") && note.contains("403"), "{note}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_exit_code_tells_damage_from_what_could_not_be_looked_at() {
    let (place, production) = (Place::folder(), production().await);
    let mut backup = place.backup(&production);
    backup.args(["--date", DAY]);
    succeed(backup).await;
    // A day without a night is no damage, and beside damage it does not hide it.
    let (outcome, _) = verify(&place, &["--date", "2016-06-10..2016-06-11"], 3).await;
    assert!(outcome.failures[0].starts_with("2016-06-10: there is no backup in"), "{outcome:?}");
    let shard = place.path("archive/2016-06-11/2016-06-11/shards/sensu_db.default.00001.00");
    let whole = std::fs::read(&shard).unwrap();
    std::fs::write(&shard, &whole[..whole.len() - 1]).unwrap();
    let (outcome, output) = verify(&place, &["--date", "2016-06-10..2016-06-11"], 5).await;
    assert_eq!(outcome.failures.len(), 3, "{outcome:?}");
    // It is one file with that in the pool.
    let [PoolObject { object, kind, what, nights, marked }] = &outcome.pool[..] else { panic!("{outcome:?}") };
    assert!(object.starts_with("nightshard-pool/shards/") && what.contains(" bytes instead of "), "{object}: {what}");
    assert_eq!((kind.as_str(), nights, *marked), ("shard", &vec![DAY.to_owned()], false));
    assert!(outcome.nights[0].manifest_sha256.is_some() && outcome.clocks.is_empty());
    assert!(String::from_utf8_lossy(&output.stderr).contains("no other night has this shard"), "{output:?}");
    // People read the same as a list.
    let mut command = place.command(env!("CARGO_BIN_EXE_nightshard-verify"));
    command.args(["--date", DAY]);
    let output = run(command).await;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.starts_with("2016-06-11: 3 objects, ") && said.contains("bytes: 1 damaged\n"), "{said}");
    // A name that is gone is made again, by the one that the pool has.
    std::fs::write(&shard, &whole).unwrap();
    std::fs::remove_file(&shard).unwrap();
    verify(&place, &["--date", DAY, "--quick"], 5).await;
    let (outcome, _) = verify(&place, &["--date", DAY, "--undelete"], 0).await;
    assert_eq!(outcome.brought_back, ["2016-06-11/shards/sensu_db.default.00001.00"]);
    assert_eq!(std::fs::read(&shard).unwrap(), whole);
    // What influxd wrote beside it is looked at by its folder.
    let legacy = place.path("legacy");
    let mut influxd = Command::new("influxd");
    influxd.args(["backup", "-host", &production.snapshot_address(), "-database", "sensu_db"]).arg(&legacy);
    assert!(influxd.output().unwrap().status.success());
    verify(&place, &[legacy.to_str().unwrap()], 0).await;
    std::fs::write(legacy.join("sensu_db.default.00001.00"), &whole[..whole.len() - 1]).unwrap();
    let (outcome, _) = verify(&place, &[legacy.to_str().unwrap()], 5).await;
    assert!(outcome.nights[0].damages[0].what.contains("without its trailer"), "{outcome:?}");
}
