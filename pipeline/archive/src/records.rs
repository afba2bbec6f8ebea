//! The other documents of a night: dumps, restores, pins, runs under way. Types of the wire, like the manifest.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::Document;
use crate::manifest::{MeasurementRecord, Writer};

/// The seal of a dump.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DumpManifest {
    /// `nightshard-dump/1`.
    pub format: String,
    /// The day that was dumped.
    pub night: NaiveDate,
    /// The time zone in which the day begins and ends.
    pub time_zone: String,
    /// The program that wrote this.
    pub writer: Writer,
    /// The measurement, as InfluxDB shows it.
    pub measurement: String,
    /// Its database.
    pub database: String,
    /// Its retention policy.
    pub retention_policy: String,
    /// The first instant that was asked for.
    pub window_start: DateTime<Utc>,
    /// The first instant after what was asked for.
    pub window_end: DateTime<Utc>,
    /// The object with the records; `null` when there are none.
    pub object: Option<String>,
    /// How records are written: `json`, `ndjson` or `csv`.
    pub encoding: String,
    /// How the object is compressed as a whole: `gzip`, `zstd`, or not.
    #[serde(default)]
    pub compression: Option<String>,
    /// Records a page.
    pub page_size: u64,
    /// Records in all.
    pub records: u64,
    /// Pages in all; 0 where the encoding has none.
    pub pages: u64,
    /// Length of what the object holds, before compression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_bytes: Option<u64>,
    /// SHA-256 of what the object holds, before compression.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_sha256: Option<String>,
    /// Length of the object in bytes.
    pub bytes: u64,
    /// SHA-256 of the object.
    pub sha256: String,
    /// MD5 of the object.
    pub md5: String,
    /// Until when the source held everything: a point which was written later may be missing.
    pub covered_until: DateTime<Utc>,
    /// Whether the source may have lacked points of the window: `covered_until` lies before its end.
    pub open: bool,
    /// SHA-256 of the backup's manifest from which the records come, where they come from a backup.
    pub backup_manifest_sha256: Option<String>,
    /// The measurement's tags: with its time they tell which record is which, when the dump is completed.
    #[serde(default)]
    pub tags: Vec<String>,
    /// Records among all that only an earlier dump of the same window still had.
    #[serde(default)]
    pub kept: u64,
    /// When the dump began.
    pub started: DateTime<Utc>,
    /// When it was stored and proven.
    pub sealed: DateTime<Utc>,
    /// What a person should know about it.
    #[serde(default)]
    pub warnings: Vec<String>,
}

impl Document for DumpManifest {
    const WHAT: &'static str = "dump";
    const FORMAT: &'static str = "nightshard-dump/1";
}

/// What a run of the dump was asked for on a day of which its night had not seen the end. A measurement that comes later
/// is found by it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DumpSelection {
    /// `nightshard-selection/1`.
    pub format: String,
    /// The day that was dumped.
    pub night: NaiveDate,
    /// The time zone in which the day begins and ends.
    pub time_zone: String,
    /// The program that wrote this.
    pub writer: Writer,
    /// The database.
    pub database: String,
    /// The retention policy.
    pub retention_policy: String,
    /// The measurements as they were asked for, with `*` and `?`.
    pub measurements: Vec<String>,
    /// The pattern of the dumps' names.
    pub name: String,
    /// How records are written: `json`, `ndjson` or `csv`.
    pub encoding: String,
    /// How each object is compressed as a whole: `gzip`, `zstd`, or not.
    #[serde(default)]
    pub compression: Option<String>,
    /// Records a page.
    pub page_size: u64,
    /// The first instant of the day.
    pub window_start: DateTime<Utc>,
    /// The first instant after it.
    pub window_end: DateTime<Utc>,
    /// Until when all measurements were looked through.
    pub covered_until: DateTime<Utc>,
    /// Whether that lies before the end of the day.
    pub open: bool,
}

impl Document for DumpSelection {
    const WHAT: &'static str = "selection of a dump";
    const FORMAT: &'static str = "nightshard-selection/1";
}

/// A sealed dump is being replaced by one that holds more. It is written before the seal goes and removed after the new
/// one stands: whoever finds it without a seal can tell from the object which of the two is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DumpReplacement {
    /// `nightshard-replacement/1`.
    pub format: String,
    /// The seal that goes.
    pub before: DumpManifest,
    /// The seal that comes.
    pub after: DumpManifest,
}

impl Document for DumpReplacement {
    const WHAT: &'static str = "replacement of a dump";
    const FORMAT: &'static str = "nightshard-replacement/1";
}

/// What a restore onto one host did and proved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestoreRecord {
    /// `nightshard-restore/1`.
    pub format: String,
    /// The program that wrote this.
    pub writer: Writer,
    /// SHA-256 of the manifest of the night that was restored.
    pub manifest_sha256: String,
    /// The server onto which it was restored.
    pub target: Target,
    /// When the restore began.
    pub started: DateTime<Utc>,
    /// When every shard had answered.
    pub finished: DateTime<Utc>,
    /// The databases that were restored.
    pub databases: Vec<String>,
    /// How many shards were restored, all of which answered a query.
    pub shards: u64,
    /// Bytes that were restored.
    pub bytes: u64,
    /// What is different on the target on purpose: durations, continuous queries, users and so on.
    pub differences: Vec<String>,
    /// What was counted there afterwards, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
    /// The most points that were ever counted of each field after restores of this night onto this host; absent where that
    /// is what `proof` has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub most: Vec<PointCount>,
}

/// Points as a server counted them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Proof {
    /// `all`, or `sample`.
    pub extent: String,
    /// Requests that it took.
    pub requests: u64,
    /// What was counted.
    pub points: Vec<PointCount>,
    /// What could not be counted, and why.
    #[serde(default)]
    pub notes: Vec<String>,
    /// What all of it was compared with, if with anything: `backed up`, as the manifest tells it, or `counted before`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared_with: Option<String>,
    /// The fields that have fewer points than that.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<String>,
    /// The fields that have more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub surplus: Vec<String>,
}

/// Points of a measurement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointCount {
    /// Its database.
    pub database: String,
    /// Its retention policy.
    pub retention_policy: String,
    /// The measurement.
    pub measurement: String,
    /// The points that have a value of the field, by its name.
    pub fields: BTreeMap<String, u64>,
}

impl Document for RestoreRecord {
    const WHAT: &'static str = "restore";
    const FORMAT: &'static str = "nightshard-restore/1";
}

/// The server that a night was restored to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Its own host name.
    pub host: String,
    /// Its version.
    pub influxdb_version: String,
    /// Its cluster id, as decimal text.
    pub cluster_id: String,
    /// Its HTTP address as it was configured.
    pub url: String,
    /// Its data directory.
    pub data_directory: String,
}

/// What each shard of a night holds: read by the backup of the next night, which takes over what has not changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardStatistics {
    /// `nightshard-statistics/1`.
    pub format: String,
    /// What each shard holds, by its id on the source.
    pub shards: BTreeMap<u64, Vec<MeasurementRecord>>,
}

impl Document for ShardStatistics {
    const WHAT: &'static str = "statistics of shards";
    const FORMAT: &'static str = "nightshard-statistics/1";
}

/// That a night was deleted: it is written before the seal goes, so that a later run goes on where one was killed. In the end
/// it goes with the container, or stays beside the dumps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeletionRecord {
    /// `nightshard-deletion/1`.
    pub format: String,
    /// The program that wrote this.
    pub writer: Writer,
    /// The host that it ran on.
    pub host: String,
    /// When it began, by that host's clock.
    pub started: DateTime<Utc>,
    /// SHA-256 of the seal of the night that goes; another one that stands there is of a later backup, which stays.
    pub manifest_sha256: String,
    /// When all was gone that was to go; `null` before.
    #[serde(default)]
    pub finished: Option<DateTime<Utc>>,
}

impl Document for DeletionRecord {
    const WHAT: &'static str = "deletion";
    const FORMAT: &'static str = "nightshard-deletion/1";
}

/// The night is to be kept when others of its age are removed. A night is pinned as long as this lies beside its seal,
/// whichever seal that is: a backup that replaces the night stays pinned.
///
/// Whoever removes nights has to ask for it by its name, since listings are late, and keeps a night whose pin cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PinRecord {
    /// `nightshard-pin/1`.
    pub format: String,
    /// The program that wrote this.
    pub writer: Writer,
    /// The host that it ran on.
    pub host: String,
    /// When the pin was set; one that is set again has another reason, and is as old as that.
    pub set: DateTime<Utc>,
    /// Why the night is kept, in the words of whoever pinned it: a [`Reason`](crate::Reason) when it was written.
    pub reason: String,
}

impl Document for PinRecord {
    const WHAT: &'static str = "pin";
    const FORMAT: &'static str = "nightshard-pin/1";
}

/// The marker of a run under way, or what ended it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunningMarker {
    /// `nightshard-running/1`.
    pub format: String,
    /// The run's random id; of two runs at once the lower goes on.
    pub id: String,
    /// The program that writes this.
    pub writer: Writer,
    /// The host that it runs on.
    pub host: String,
    /// Its process id there.
    pub process: u32,
    /// Cluster id of the server that is being backed up, as decimal text.
    pub cluster_id: String,
    /// The databases that are being backed up.
    pub databases: Vec<String>,
    /// When the run began, by its own clock.
    pub started: DateTime<Utc>,
    /// Whether the night is being deleted, and not filled.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_deleting: bool,
    /// How it stands.
    #[serde(flatten)]
    pub state: RunState,
}

impl Document for RunningMarker {
    const WHAT: &'static str = "running marker";
    const FORMAT: &'static str = "nightshard-running/1";
}

/// How a run stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum RunState {
    /// It runs, if its marker is young.
    Running,
    /// It ended with this error.
    Failed {
        /// The error as the program printed it.
        error: String,
    },
}
