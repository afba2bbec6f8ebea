//! Thirty nights of one InfluxDB in one Swift, with writes into new and old shards, deletions, shards that expire, and
//! compactions between them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use chrono::{Days, NaiveDate};
use rand::rngs::SmallRng;
use rand::{RngExt as _, SeedableRng};
use serde_json::Value;
use test_support::{Influxd, temp_dir};
use tokio::task;

use crate::account::Account;
use crate::looks::{assert_as_sealed, backed_up_by_influxd, downloaded, files_of, restored_by_influxd, text};
use crate::night::{Place, succeed};

const NIGHTS: u64 = 30;

/// 2016-06-01 00:00 UTC, the day of the first night, in seconds.
const FIRST: i64 = 1_464_739_200;

const DAY: i64 = 86_400;

/// Objects of the pool are no smaller.
const SMALLEST: u64 = 1 << 20;

/// A production whose every day is as any day, but that some things happen every few days.
struct Production {
    influxd: Influxd,
    random: SmallRng,
}

impl Production {
    async fn start(seed: u64) -> Production {
        // Elsewhere it takes hours until a shard without writes is compacted.
        let influxd = Influxd::options()
            .set("data", "compact-full-write-cold-duration", "\"1s\"")
            .set("data", "cache-snapshot-write-cold-duration", "\"1s\"")
            .start()
            .await;
        influxd.statement("CREATE DATABASE sensu_db WITH DURATION INF SHARD DURATION 5d NAME \"default\"").await;
        Production { influxd, random: SmallRng::seed_from_u64(seed) }
    }

    /// A day's points: some numbers, and more than a megabyte of text that does not become smaller.
    async fn write(&mut self, day: i64) {
        let mut lines = String::new();
        for minute in (0..1440).step_by(4) {
            let time = (FIRST + day * DAY + minute * 60) * 1_000_000_000;
            let host = ["a", "b", "c"][minute as usize / 4 % 3];
            let text: String = (0..3600).map(|_| char::from(self.random.random_range(b'#'..=b'Z'))).collect();
            let load: f64 = self.random.random();
            writeln!(lines, "log,host={host} text=\"{text}\" {time}").unwrap();
            writeln!(lines, "cpu,host={host} load={load},count={minute}i,up={} {time}", minute % 8 == 0).unwrap();
        }
        self.influxd.write("sensu_db", &lines).await;
    }

    /// What happens before a night beside the day's own points.
    async fn live(&mut self, night: u64) {
        let day = night as i64 - 1;
        if night % 10 == 9 {
            return;
        }
        self.write(day).await;
        if night % 4 == 2 {
            // Late points, of which each replaces another one where that day has been written before.
            self.write(day - 4).await;
        }
        if night % 5 == 3 {
            let (start, end) = (FIRST + (day - 4) * DAY, FIRST + (day - 2) * DAY);
            let deletion = format!("DELETE FROM cpu WHERE host = 'b' AND time >= {start}s AND time < {end}s");
            self.influxd.query("sensu_db", &deletion).await;
        }
        if night % 7 == 5 {
            self.influxd.query("sensu_db", "DROP SERIES FROM log WHERE host = 'c'").await;
        }
        if night > 10 && night.is_multiple_of(4) {
            // What happens when a policy expires.
            let shards = self.influxd.rows("sensu_db", "SHOW SHARDS").await;
            let oldest = shards.iter().min_by_key(|shard| shard[4].to_string()).unwrap();
            self.influxd.statement(&format!("DROP SHARD {}", oldest[0])).await;
        }
        if night.is_multiple_of(3) {
            self.await_compactions().await;
        }
    }

    /// Waits until each shard is one TSM file.
    async fn await_compactions(&self) {
        let limit = Instant::now() + Duration::from_secs(60);
        let folder = self.influxd.data_dir().join("sensu_db/default");
        let is_compacted = || {
            std::fs::read_dir(&folder).unwrap().all(|shard| {
                let files = std::fs::read_dir(shard.unwrap().path()).into_iter().flatten();
                let names = files.map(|file| file.unwrap().file_name().into_string().unwrap());
                names.filter(|name| name.ends_with(".tsm") || name.ends_with(".tmp")).count() <= 1
            })
        };
        while !is_compacted() {
            assert!(Instant::now() < limit, "nothing is compacted:\n{}", self.influxd.log());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// All points, as the server tells them.
async fn points(influxd: &Influxd) -> Value {
    let answer = influxd.query("sensu_db", "SELECT * FROM cpu; SELECT * FROM log; SHOW SERIES").await;
    answer["results"].clone()
}

/// What all nights so far have cost.
#[derive(Default)]
struct Costs {
    /// TSM files of all nights: SHA-256 and bytes.
    files: BTreeMap<String, u64>,
    /// Shards of all nights, by SHA-256.
    shards: BTreeSet<String>,
    sent: u64,
    whole: u64,
}

impl Costs {
    /// Counts a night, and holds that it sent what is new and little more.
    fn count(&mut self, night: &str, seal: &Value) {
        let (mut new, mut around, mut metastore) = (0, 0, 0);
        for object in seal["objects"].as_array().unwrap() {
            let bytes = object["bytes"].as_u64().unwrap();
            self.whole += bytes;
            if object["kind"] != "shard" {
                metastore += bytes;
                continue;
            }
            let mut counted = 0;
            for file in object["files"].as_array().unwrap() {
                let bytes = file["bytes"].as_u64().unwrap();
                let is_new = text(file, "name").ends_with(".tsm")
                    && self.files.insert(text(file, "sha256").to_owned(), bytes).is_none();
                new += if is_new { bytes } else { 0 };
                counted += if is_new || bytes >= SMALLEST { bytes } else { 0 };
            }
            if self.shards.insert(text(object, "sha256").to_owned()) {
                // Headers, tombstones, and old files that are too small for objects of their own: they go with each change.
                around += bytes - counted;
            }
        }
        let sent = seal["sent_bytes"].as_u64().unwrap();
        assert!(
            sent * 100 <= (new + metastore) * 105 + around * 100,
            "{night} sent {sent} bytes, but has {new} in new TSM files, {around} around them, {metastore} in the metastore"
        );
        self.sent += sent;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_nights_cost_little_more_than_what_changed_and_each_is_whole() {
    let seed = std::env::var("NIGHTSHARD_TEST_SEED").map_or_else(|_| rand::random(), |text| text.parse().unwrap());
    println!("NIGHTSHARD_TEST_SEED={seed} makes the same choices again");
    let mut random = SmallRng::seed_from_u64(seed);
    let (place, account) = (Place::swift_version1(), Account::of_tempauth().await);
    let mut production = Production::start(seed).await;
    let restored: Vec<u64> = [1, 11, 21].map(|first| random.random_range(first..first + 10)).to_vec();
    let (mut seals, mut expected, mut costs) = (BTreeMap::new(), BTreeMap::new(), Costs::default());
    let (mut same, mut unread) = (0, 0);
    for night in 1..=NIGHTS {
        production.live(night).await;
        let day = (NaiveDate::from_ymd_opt(2016, 6, 1).unwrap() + Days::new(night - 1)).to_string();
        let mut backup = place.backup(&production.influxd);
        backup.args(["--database", "sensu_db", "--date", &day]);
        let outcome = succeed(backup).await;
        unread += outcome["unread_shards"].as_u64().unwrap();
        let container = place.container(&day);
        let seal = account.seal(&container).await;
        assert_eq!((&outcome["pool"], text(&seal, "pool")), (&place.pool().into(), place.pool().as_str()));

        // The same files as InfluxDB's own backup has a moment later, unless it has compacted them meanwhile.
        let (ours, influxds) = (files_of(&seal), task::block_in_place(|| backed_up_by_influxd(&production.influxd)));
        assert!(ours.keys().eq(influxds.keys()), "{day}: {ours:?} {influxds:?}");
        for (shard, files) in &ours {
            let of_influxd = &influxds[shard];
            let differ =
                files.iter().filter(|(name, digest)| of_influxd.get(*name).is_some_and(|other| other != *digest));
            assert_eq!(differ.collect::<Vec<_>>(), [], "{shard} on {day} of seed {seed}");
            same += usize::from(files == of_influxd);
        }
        if restored.contains(&night) {
            expected.insert(container.clone(), points(&production.influxd).await);
        }
        costs.count(&day, &seal);
        seals.insert(container.clone(), seal);
        // This night, and one of those before: what came later has not changed it.
        let earlier = seals.keys().nth(random.random_range(0..seals.len())).unwrap();
        tokio::join!(assert_downloads(&place, &container, &seals), assert_downloads(&place, earlier, &seals));
    }
    assert!(same as u64 >= NIGHTS && unread > 0, "{same} shards could be compared, {unread} were not read");
    let files = seals.values().flat_map(|seal| files_of(seal).into_values().flatten());
    let compacted = files.filter(|(name, _)| name.ends_with(".tsm") && !name.ends_with("-000000001.tsm")).count();
    assert!(compacted > 0, "nothing was compacted");

    for (night, expected) in &expected {
        let (folder, base) = (temp_dir(), temp_dir());
        downloaded(&place, night, folder.path()).await;
        let restored = restored_by_influxd(&folder.path().join(night).join("shards"), base.path()).await;
        assert!(points(&restored).await == *expected, "{night} of seed {seed}");
    }
    let mut verify = place.verify();
    verify.args(["--all", "--quick"]);
    assert_eq!(succeed(verify).await["nights"].as_array().unwrap().len() as u64, NIGHTS);

    let mut stored = account.bytes_in(&place.pool()).await;
    for night in seals.keys() {
        stored += account.bytes_in(night).await;
    }
    let distinct: u64 = costs.files.values().sum();
    println!(
        "nights of {} bytes in all, {distinct} of them in different TSM files: {} were sent and {stored} are stored; {same} \
         shards were the same as influxd's, {unread} were not read",
        costs.whole, costs.sent
    );
    assert!(stored * 10 <= distinct * 11, "{stored} bytes are stored of {distinct}");
    assert!(costs.sent * 100 <= distinct * 105, "{} bytes were sent of {distinct}", costs.sent);
}

async fn assert_downloads(place: &Place, night: &str, seals: &BTreeMap<String, Value>) {
    let folder = temp_dir();
    assert_as_sealed(&downloaded(place, night, folder.path()).await, &seals[night]);
}
