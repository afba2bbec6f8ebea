//! The backup's manifest: what was stored, whence, and how to know it again.
//!
//! These are the types of the wire, on purpose not derived from any inner type: a change here is a change of
//! the format. Readers ignore members that they do not know. Times are RFC 3339 in UTC; digests are hex.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::Document;
use crate::pool::NamingPooled;

/// The seal of a backup. A night without it is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupManifest {
    /// `nightshard-archive/1`.
    pub format: String,
    /// The day that the night is named after.
    pub night: NaiveDate,
    /// The container, with which every object's name begins.
    pub container: String,
    /// A name given to this backup besides its date.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The time zone in which days begin, such as `Europe/Berlin`.
    pub time_zone: String,
    /// The program that wrote this.
    pub writer: Writer,
    /// The InfluxDB that was backed up.
    pub source: Source,
    /// When the backup began; of an adopted night an instant that is surely not after that.
    pub started: DateTime<Utc>,
    /// When everything was stored and proven; of an adopted night when the last object was stored.
    pub sealed: DateTime<Utc>,
    /// The databases that were backed up, in byte order; one may have no shards.
    pub databases: Vec<String>,
    /// Everything that lies in `shards/`.
    pub objects: Vec<StoredObject>,
    /// The container of the pool in which the shards lie, of which each object in `shards/` is then a name; absent where each
    /// night has bytes of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pool: Option<String>,
    /// What the backup sent, in bytes; what earlier nights had stored already is not in it. Absent in older manifests, and
    /// where others have stored the night.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_bytes: Option<u64>,
    /// How thoroughly the shards were looked into before they were stored: `checksums` of every block, `decode` of every
    /// block, or not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verified: Option<String>,
    /// What the shards hold, by database, retention policy and measurement in byte order; empty when nobody looked inside.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub measurements: Vec<MeasurementRecord>,
    /// SHA-256 of the document in which each shard's own share of `measurements` stands, for the backup of the next night;
    /// absent where nobody looked inside, and where no backup can go on from this night, since others have stored it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statistics_sha256: Option<String>,
    /// What a person should know about the whole.
    #[serde(default)]
    pub warnings: Vec<String>,
    /// Who gave the night its seal, where others had stored it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopted: Option<Adoption>,
}

impl Document for BackupManifest {
    const WHAT: &'static str = "backup";
    const FORMAT: &'static str = "nightshard-archive/1";
}

impl BackupManifest {
    /// The shards, in the order in which they are recorded.
    pub fn shards(&self) -> impl Iterator<Item = (&StoredObject, &ShardRecord)> {
        self.objects.iter().filter_map(|object| match &object.content {
            Content::Shard(shard) => Some((object, shard)),
            Content::Meta => None,
        })
    }

    /// The metastore.
    #[must_use]
    pub fn metastore(&self) -> Option<&StoredObject> {
        self.objects.iter().find(|object| object.content == Content::Meta)
    }

    /// Bytes of all objects together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.objects.iter().map(|object| object.bytes).sum()
    }
}

/// What a list tells of a backup: the same document, of which most is passed over. It is read in a quarter of the time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupOutline {
    /// See [`BackupManifest::format`].
    pub format: String,
    /// See [`BackupManifest::container`].
    pub container: String,
    /// See [`BackupManifest::label`].
    #[serde(default)]
    pub label: Option<String>,
    /// See [`BackupManifest::started`].
    pub started: DateTime<Utc>,
    /// See [`BackupManifest::sealed`].
    pub sealed: DateTime<Utc>,
    /// See [`BackupManifest::databases`].
    pub databases: Vec<String>,
    /// See [`BackupManifest::objects`].
    pub objects: Vec<ObjectOutline>,
    /// See [`BackupManifest::sent_bytes`].
    #[serde(default)]
    pub sent_bytes: Option<u64>,
    /// See [`BackupManifest::verified`].
    #[serde(default)]
    pub verified: Option<String>,
    /// See [`BackupManifest::measurements`].
    #[serde(default)]
    pub measurements: Vec<MeasurementRecord>,
    /// See [`BackupManifest::warnings`].
    #[serde(default)]
    pub warnings: Vec<String>,
    /// See [`BackupManifest::adopted`].
    #[serde(default)]
    pub adopted: Option<Adoption>,
}

impl Document for BackupOutline {
    const WHAT: &'static str = BackupManifest::WHAT;
    const FORMAT: &'static str = BackupManifest::FORMAT;
}

/// An object in `shards/`, without what is in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectOutline {
    /// Its full name.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// `meta` or `shard`.
    pub kind: String,
    /// Where its bytes lie in the pool, if they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pooled: Option<NamingPooled>,
}

/// A backup's seal, as much of it as is wanted.
pub trait Seal: Document {
    /// The container that it says it is of.
    fn container(&self) -> &str;
}

impl Seal for BackupManifest {
    fn container(&self) -> &str {
        &self.container
    }
}

impl Seal for BackupOutline {
    fn container(&self) -> &str {
        &self.container
    }
}

/// Which program wrote a document.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Writer {
    /// Such as `nightshard-backup`.
    pub program: String,
    /// Such as `0.1.0`.
    pub version: String,
}

/// A night that others had stored was looked into and given a seal. Nobody knows of its source more than the metastore tells,
/// and what else a [`Source`] has is empty.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adoption {
    /// When its seal was made.
    pub at: DateTime<Utc>,
    /// The machine on which that was done.
    pub by: String,
}

/// An InfluxDB server, described so that it can be told from others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// Its own host name (`network.hostname` in `SHOW DIAGNOSTICS`).
    pub host: String,
    /// Its version as it tells it.
    pub influxdb_version: String,
    /// The random number that it drew at its first start, as decimal text: JSON numbers lose digits above 2^53.
    pub cluster_id: String,
    /// Its HTTP address as it was configured, without credentials.
    pub url: String,
    /// The address of its snapshot service as it was configured.
    pub snapshot_address: String,
    /// Its data directory (`config-data.dir` in `SHOW DIAGNOSTICS`).
    pub data_directory: String,
}

/// An object in `shards/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredObject {
    /// Its full name.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// MD5 of its bytes.
    pub md5: String,
    /// What it is.
    #[serde(flatten)]
    pub content: Content,
}

/// What an object holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
#[expect(clippy::large_enum_variant, reason = "of all objects of a night one alone is no shard")]
pub enum Content {
    /// The metastore, framed as the snapshot service sends it.
    Meta,
    /// The tar of a shard.
    Shard(ShardRecord),
}

/// A stored shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardRecord {
    /// Its database.
    pub database: String,
    /// Its retention policy.
    pub retention_policy: String,
    /// Its id on the source.
    pub shard_id: u64,
    /// The first instant of its time range by the metastore; `null` when it has no lower bound.
    pub starts: Option<DateTime<Utc>>,
    /// The first instant after its time range by the metastore.
    pub ends: DateTime<Utc>,
    /// When its snapshot was asked for, by the InfluxDB server's clock: every point that was acknowledged before is in it. Of an
    /// adopted night an instant that is surely not after that.
    pub snapshot_taken: DateTime<Utc>,
    /// When its bytes were last read from the source, by the InfluxDB server's clock, and how many nights ago, where they
    /// were not read for this night because nothing had changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unchanged: Option<Unchanged>,
    /// Where its bytes lie, when they lie in the pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pooled: Option<Pooled>,
    /// Its files, in the order of the tar.
    pub files: Vec<ShardFile>,
    /// What a person should know about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// That a shard was not read, because nothing in it had changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unchanged {
    /// When its bytes were last read, by the InfluxDB server's clock.
    pub read: DateTime<Utc>,
    /// How many nights in a row it has not been read.
    pub nights: u32,
}

/// The object of the pool that a shard is a name of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pooled {
    /// Its name in the container of the pool.
    pub name: String,
    /// What a link to it has to name, where the store has links that name something.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// The objects of the pool that it consists of, in their order; what lies between them stands in its own manifest. Empty
    /// where it is in one piece.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pieces: Vec<PooledPiece>,
}

impl Pooled {
    /// The names of all objects of the pool that it needs.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.name.as_str()).chain(self.pieces.iter().map(|piece| piece.name.as_str()))
    }
}

/// An object of the pool that holds a part of a shard, as a rule a TSM file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PooledPiece {
    /// Its name in the container of the pool.
    pub name: String,
    /// Where it begins, in bytes from the start of the shard's tar.
    pub offset: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its MD5, which is its ETag.
    pub md5: String,
}

/// A file within a shard's tar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShardFile {
    /// The last part of its name, such as `000000001-000000001.tsm`.
    pub name: String,
    /// Where it begins, in bytes from the start of the tar.
    pub offset: u64,
    /// Its length in bytes.
    pub bytes: u64,
    /// SHA-256 of its bytes.
    pub sha256: String,
    /// What was found in it, where it is a TSM file and was looked into.
    #[serde(flatten, default, skip_serializing_if = "Option::is_none")]
    pub inside: Option<FileRecord>,
}

/// What a TSM file holds, before it is joined with the others of its shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRecord {
    /// Where its index begins, in bytes from the start of the file; the index ends 8 bytes before the end of the file.
    pub index_offset: u64,
    /// SHA-256 of the index.
    pub index_sha256: String,
    /// Keys: fields of series.
    pub keys: u64,
    /// Field values, those among them that its tombstone deletes and those that a later file overwrites.
    pub points: u64,
    /// The time of the first point.
    pub first: DateTime<Utc>,
    /// The time of the last point.
    pub last: DateTime<Utc>,
}

/// What a measurement has in the shards of a retention policy, once the files of each shard are joined and what was deleted
/// is left out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MeasurementRecord {
    /// Its database.
    pub database: String,
    /// Its retention policy.
    pub retention_policy: String,
    /// Its name, with U+FFFD for what is no UTF-8.
    pub measurement: String,
    /// Series, counted in each shard and added up.
    pub series: u64,
    /// Its fields in byte order; one that has several types comes once for each.
    pub fields: Vec<FieldRecord>,
}

/// What a field has in the shards of a retention policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FieldRecord {
    /// Its name, with U+FFFD for what is no UTF-8.
    pub field: String,
    /// Its type: `float`, `integer`, `unsigned`, `string` or `boolean`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Series that have it, counted in each shard and added up.
    pub keys: u64,
    /// Its points: values, each of one series at one time. InfluxDB counts the same.
    pub points: u64,
    /// The time of the first one.
    pub first: DateTime<Utc>,
    /// The time of the last one.
    pub last: DateTime<Utc>,
    /// The shards in which it has this type, where it has others elsewhere.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub shards: Vec<u64>,
}
