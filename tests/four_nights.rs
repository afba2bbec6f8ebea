//! Four nights in a row with the programs as users run them: backed up at 23:55, restored, dumped. One night fails
//! altogether, one day is empty until its last minutes, one policy expires. In the end the dumps together hold every
//! point that production ever acknowledged, each once.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

mod night;

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{DateTime, Days, NaiveDate, Utc};
use night::{Place, read_all, run, succeed};
use serde_json::Value;
use test_support::Influxd;

/// Measurement, instant in seconds, host: what tells a point. And its value.
type Points = BTreeMap<(String, i64, String), i64>;

/// Production, and all that it ever acknowledged.
struct Production {
    influxd: Influxd,
    acknowledged: Points,
}

impl Production {
    async fn start() -> Production {
        let influxd = Influxd::start().await;
        influxd.statement("CREATE DATABASE sensu_db WITH DURATION INF SHARD DURATION 1d NAME \"long\"").await;
        let short = "CREATE RETENTION POLICY short ON sensu_db DURATION INF REPLICATION 1 SHARD DURATION 1d";
        influxd.statement(short).await;
        Production { influxd, acknowledged: Points::new() }
    }

    /// Writes points of two hosts at minutes of a night's day.
    async fn write(&mut self, policy: &str, measurement: &str, night: u64, minutes: impl Iterator<Item = i64>) {
        let mut lines = String::new();
        for minute in minutes {
            for host in ["a", "b"] {
                let time = midnight(night) + minute * 60;
                let value = self.acknowledged.len() as i64;
                lines.push_str(&format!("{measurement},host={host} v={value}i {time}000000000\n"));
                self.acknowledged.insert((measurement.to_owned(), time, host.to_owned()), value);
            }
        }
        self.influxd.write_into("sensu_db", policy, &lines).await;
    }

    /// What happens to a policy that expires: its shards go.
    async fn expire(&self, policy: &str) {
        let shards = self.influxd.rows("sensu_db", "SHOW SHARDS").await;
        for shard in shards.iter().filter(|shard| shard[2] == policy) {
            self.influxd.statement(&format!("DROP SHARD {}", shard[0])).await;
        }
    }
}

/// The day of the first night or one after it.
fn day(night: u64) -> NaiveDate {
    NaiveDate::from_ymd_opt(2016, 6, 11).unwrap() + Days::new(night - 1)
}

/// Its first instant in Berlin, in seconds.
fn midnight(night: u64) -> i64 {
    1_465_596_000 + (night as i64 - 1) * 86_400
}

/// Backs up at 23:55 and restores. Production runs on this machine's clock; what its backup says of the time is moved to
/// the night.
async fn back_up_and_restore(place: &Place, production: &Production, intermediary: &Influxd, night: u64) {
    let day = day(night).to_string();
    let mut backup = place.backup(&production.influxd);
    backup.args(["--database", "sensu_db", "--date", &day]);
    succeed(backup).await;

    let path = place.path("archive").join(&day).join(&day).join("manifests/backup.json");
    let mut manifest: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let taken = DateTime::from_timestamp(midnight(night) + 86_400 - 300, 0).unwrap();
    manifest["started"] = Value::from(taken.to_rfc3339());
    for object in manifest["objects"].as_array_mut().unwrap() {
        if object["kind"] == "shard" {
            object["snapshot_taken"] = Value::from(taken.to_rfc3339());
        }
    }
    std::fs::write(&path, manifest.to_string()).unwrap();

    let mut restore = place.restore(intermediary);
    restore.args(["--date", &day]);
    succeed(restore).await;
}

/// Dumps a night's day and returns exit code and outcome.
async fn dump(place: &Place, intermediary: &Influxd, night: u64, arguments: &[&str]) -> (i32, Value) {
    let mut dump = place.dump(intermediary);
    dump.args(["--date", &day(night).to_string()]).args(arguments);
    let output = run(dump).await;
    let outcome = serde_json::from_slice(&output.stdout);
    (output.status.code().unwrap(), outcome.unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr))))
}

/// All points of all dumps below a folder, each of which must occur once.
fn dumped(archive: &Path) -> Points {
    let mut contents = BTreeMap::new();
    read_all(archive, archive, &mut contents);
    let mut points = Points::new();
    for (name, bytes) in contents.iter().filter(|(name, _)| name.contains("/influxdb/")) {
        let measurement = name.rsplit('/').next().unwrap().split('_').next().unwrap();
        for page in std::str::from_utf8(bytes).unwrap().lines() {
            for record in serde_json::from_str::<Vec<Value>>(page).unwrap() {
                let time: DateTime<Utc> = record["time"].as_str().unwrap().parse().unwrap();
                let key = (measurement.to_owned(), time.timestamp(), record["host"].as_str().unwrap().to_owned());
                let twice = points.insert(key, record["v"].as_i64().unwrap());
                assert_eq!(twice, None, "{record} of {name} is there twice");
            }
        }
    }
    points
}

/// Every half hour of a day, and what comes after 23:55.
fn half_hours() -> impl Iterator<Item = i64> {
    (0..1440).step_by(30)
}
const LAST_MINUTES: [i64; 3] = [1435, 1436, 1439];

#[tokio::test(flavor = "multi_thread")]
async fn after_four_nights_the_dumps_hold_every_point_that_was_acknowledged() {
    let place = Place::folder();
    let (mut production, intermediary) = (Production::start().await, Influxd::start().await);

    // The first night. One measurement has nothing on this day but in its last minutes.
    production.write("long", "m", 1, half_hours()).await;
    production.influxd.write_into("sensu_db", "long", "quiet,host=a v=0i 1465500000000000000\n").await;
    back_up_and_restore(&place, &production, &intermediary, 1).await;
    let (code, outcome) = dump(&place, &intermediary, 1, &["m", "quiet"]).await;
    assert_eq!((code, &outcome["dumps"][0]["open"], &outcome["dumps"][1]["records"]), (0, &true.into(), &0.into()));
    production.write("long", "m", 1, LAST_MINUTES.into_iter()).await;
    production.write("long", "quiet", 1, [1437].into_iter()).await;

    // The second night: nothing runs at all.
    production.write("long", "m", 2, half_hours().chain(LAST_MINUTES)).await;

    // The third night catches up with the second, and completes the first.
    production.write("long", "m", 3, half_hours()).await;
    production.write("short", "brief", 3, half_hours()).await;
    back_up_and_restore(&place, &production, &intermediary, 3).await;
    let (code, outcome) = dump(&place, &intermediary, 2, &["m"]).await;
    assert_eq!((code, &outcome["dumps"][0]["open"]), (0, &false.into()), "{outcome}");
    let completed: Vec<_> = outcome["completed"].as_array().unwrap().iter().map(|dump| &dump["records"]).collect();
    assert_eq!(completed, [2 * (48 + 3), 2], "{outcome}");
    assert_eq!(dump(&place, &intermediary, 3, &["m*"]).await.0, 0);
    assert_eq!(dump(&place, &intermediary, 3, &["brief", "--retention-policy", "short"]).await.0, 0);
    production.write("long", "m", 3, LAST_MINUTES.into_iter()).await;
    // One that nobody could have known of until then.
    production.write("long", "mlate", 3, [1438].into_iter()).await;

    // Before the fourth night the short policy expires: only the open dump of the third still has its points.
    production.expire("short").await;
    production.write("long", "m", 4, half_hours()).await;
    back_up_and_restore(&place, &production, &intermediary, 4).await;
    let (code, outcome) = dump(&place, &intermediary, 4, &["m"]).await;
    assert_eq!((code, outcome["completed"].as_array().unwrap().len()), (3, 3), "{outcome}");
    let failures = outcome["failures"].to_string();
    assert!(
        failures.contains("brief of sensu_db.short on 2016-06-13") && failures.contains("96 records"),
        "{failures}"
    );
    assert_eq!(dump(&place, &intermediary, 4, &["m"]).await.0, 0, "it is told once");

    assert_eq!(production.acknowledged.len(), 2 * (4 * 48 + 3 * 3 + 1 + 48 + 1));
    assert_eq!(dumped(&place.path("archive")), production.acknowledged);
}
