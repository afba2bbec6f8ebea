//! Ping, statements, statistics, diagnostics and writes.
//!
//! Of the `influxdb` crate we use what builds line protocol. Its client would hide the server's words from us: of a
//! refusal it keeps the status alone, of a broken connection the outermost error, and a database that is called
//! `error` is an error to it.

use std::collections::BTreeMap;

use bytes::Bytes;
use chrono::{DateTime, Utc};
use influxdb::Query as _;
use reqwest::header::DATE;

use crate::answer::{self, Fault};
use crate::{Error, Influx, Series, Version, WriteQuery, quote_identifier};

/// Statements whose answers are longer than this, in bytes, are for [`Influx::select`].
const ANSWER_LIMIT: usize = 64 << 20;

/// What the server says of itself when asked for nothing else.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Ping {
    /// Its version.
    pub version: Version,
    /// Its clock, to the second.
    pub date: DateTime<Utc>,
}

/// A retention policy as `SHOW RETENTION POLICIES` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Policy {
    /// Its name.
    pub name: String,
    /// Whether it is the one that is meant when none is named.
    pub default: bool,
    /// How long points are kept, as the server writes it (`168h0m0s`); `0s` is for ever.
    pub duration: String,
    /// What span of time a shard group covers, written likewise.
    pub shard_group_duration: String,
}

/// Where the server keeps its files, and who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Diagnostics {
    /// Host name of its machine.
    pub hostname: Option<String>,
    /// Folder of the shards, as the server's configuration has it (perhaps relative to where it was started).
    pub data_dir: Option<String>,
    /// Folder of the write-ahead logs.
    pub wal_dir: Option<String>,
    /// Folder of `meta.db`.
    pub meta_dir: Option<String>,
    /// Version as the build has it.
    pub version: Option<String>,
    /// Process id.
    pub pid: Option<u64>,
    /// Its clock.
    pub current_time: Option<DateTime<Utc>>,
    /// When it was started, by its clock.
    pub started: Option<DateTime<Utc>>,
}

/// The files of one shard as `SHOW STATS` counts them.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShardStatistics {
    /// Its database.
    pub database: String,
    /// Its retention policy.
    pub policy: String,
    /// TSM files; points that only the cache and the log hold are in none.
    pub tsm_files: u64,
    /// Bytes of these files.
    pub disk_bytes: u64,
}

/// The cache of one shard as `SHOW STATS` tells of it: points that are in no TSM file yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStatistics {
    /// Bytes that the points take in memory; they need less room in a file.
    pub memory_bytes: u64,
    /// The same with those that are just being written to a file.
    pub cached_bytes: u64,
    /// Writes that it has taken since the shard was opened.
    pub writes: u64,
}

impl Influx {
    /// Version and clock of the server. Needs no user.
    ///
    /// # Errors
    ///
    /// [`Error::UnsupportedVersion`] with the server's version if we do not speak its snapshot protocol, which we
    /// presume of a server that does not know its own version.
    pub async fn ping(&self) -> Result<Ping, Error> {
        let operation = "ping InfluxDB";
        let response = self.inner.http.ping(operation).await?;
        let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
        let missing = |name: &str| Error::Protocol {
            operation: format!("{operation} at {}", self.url()),
            reason: format!("it has no usable {name} header"),
        };
        let text = header("X-Influxdb-Version").ok_or_else(|| missing("X-Influxdb-Version"))?;
        let version = Version::parse(text).filter(Version::supported);
        let version = version
            .ok_or_else(|| Error::UnsupportedVersion { address: self.url().to_string(), version: text.to_owned() })?;
        let date = header(DATE.as_str()).and_then(|date| DateTime::parse_from_rfc2822(date).ok());
        let date = date.ok_or_else(|| missing("Date"))?.to_utc();
        Ok(Ping { version, date })
    }

    /// Names of the databases which the user may see, `_internal` included.
    pub async fn databases(&self) -> Result<Vec<String>, Error> {
        let series = self.run("list databases", None, "SHOW DATABASES").await?;
        Ok(series.iter().flat_map(|series| series.column("name")).filter_map(text_of).collect())
    }

    /// Makes a database; one that exists already is success.
    pub async fn create_database(&self, name: &str) -> Result<(), Error> {
        let statement = format!("CREATE DATABASE {}", quote_identifier(name));
        self.run(&format!("create database {name}"), None, &statement).await.map(drop)
    }

    /// Removes a database and all that is in it; one that does not exist is success.
    pub async fn drop_database(&self, name: &str) -> Result<(), Error> {
        let statement = format!("DROP DATABASE {}", quote_identifier(name));
        self.run(&format!("drop database {name}"), None, &statement).await.map(drop)
    }

    /// Retention policies of a database.
    pub async fn retention_policies(&self, database: &str) -> Result<Vec<Policy>, Error> {
        let operation = format!("list retention policies of database {database}");
        let statement = format!("SHOW RETENTION POLICIES ON {}", quote_identifier(database));
        let mut policies = Vec::new();
        for series in self.run(&operation, None, &statement).await? {
            let columns = (series.column("name"), series.column("default"));
            let durations = (series.column("duration"), series.column("shardGroupDuration"));
            for ((name, default), (duration, group)) in columns.0.zip(columns.1).zip(durations.0.zip(durations.1)) {
                let policy = (text_of(name), default.as_bool(), text_of(duration), text_of(group));
                let (Some(name), Some(default), Some(duration), Some(shard_group_duration)) = policy else {
                    return Err(Error::Protocol {
                        operation,
                        reason: "a policy has no name or no duration".to_owned(),
                    });
                };
                policies.push(Policy { name, default, duration, shard_group_duration });
            }
        }
        Ok(policies)
    }

    /// Where the server keeps its files, and who it is.
    pub async fn diagnostics(&self) -> Result<Diagnostics, Error> {
        let series = self.run("read diagnostics", None, "SHOW DIAGNOSTICS").await?;
        let section = |name: &str| series.iter().find(|series| series.name == name);
        let text = |name: &str, column: &str| section(name)?.text(column).map(str::to_owned);
        let time = |column: &str| DateTime::parse_from_rfc3339(&text("system", column)?).ok().map(|time| time.to_utc());
        Ok(Diagnostics {
            hostname: text("network", "hostname"),
            data_dir: text("config-data", "dir"),
            wal_dir: text("config-data", "wal-dir"),
            meta_dir: text("config-meta", "dir"),
            version: text("build", "Version"),
            pid: section("system").and_then(|system| system.column("PID").next()?.as_u64()),
            current_time: time("currentTime"),
            started: time("started"),
        })
    }

    /// TSM files of every open shard, by shard id.
    pub async fn shard_statistics(&self) -> Result<BTreeMap<u64, ShardStatistics>, Error> {
        let operation = "read statistics of shards";
        let mut shards = BTreeMap::new();
        for series in self.run(operation, None, "SHOW STATS FOR 'tsm1_filestore'").await? {
            let tag = |name: &str| series.tags.get(name).cloned();
            let number = |column: &str| series.column(column).next().and_then(serde_json::Value::as_u64);
            let shard = (
                tag("id").and_then(|id| id.parse().ok()),
                tag("database"),
                tag("retentionPolicy"),
                number("numFiles"),
                number("diskBytes"),
            );
            let (Some(id), Some(database), Some(policy), Some(tsm_files), Some(disk_bytes)) = shard else {
                return Err(Error::Protocol {
                    operation: operation.to_owned(),
                    reason: "a tsm1_filestore lacks id, database, retentionPolicy, numFiles or diskBytes".to_owned(),
                });
            };
            shards.insert(id, ShardStatistics { database, policy, tsm_files, disk_bytes });
        }
        Ok(shards)
    }

    /// What each shard's cache holds and has taken, by shard id.
    pub async fn cache_statistics(&self) -> Result<BTreeMap<u64, CacheStatistics>, Error> {
        let series = self.run("read the cache statistics", None, "SHOW STATS FOR 'tsm1_cache'").await?;
        let shards = series.iter().filter_map(|series| {
            let number = |column: &str| series.column(column).next().and_then(serde_json::Value::as_u64);
            let memory_bytes = number("memBytes")?;
            let cached_bytes = memory_bytes.saturating_add(number("diskBytes").unwrap_or_default());
            let writes = number("writeOk").unwrap_or_default();
            Some((series.tags.get("id")?.parse().ok()?, CacheStatistics { memory_bytes, cached_bytes, writes }))
        });
        Ok(shards.collect())
    }

    /// Runs a statement with a small answer; times in it are RFC 3339 texts.
    ///
    /// # Errors
    ///
    /// Whatever the server says against it, also when it says so in an answer with a good status.
    pub async fn statement(&self, database: Option<&str>, text: &str) -> Result<Vec<Series>, Error> {
        let shown: String = text.chars().take(80).collect();
        self.run(&format!("run `{shown}`"), database, text).await
    }

    /// Writes lines of the line protocol, times in nanoseconds, into a database's policy (its default one if `None`).
    ///
    /// # Errors
    ///
    /// [`Error::UnknownDatabase`]; [`Error::Query`] if the server refuses some or all of the lines.
    pub async fn write(&self, database: &str, policy: Option<&str>, lines: &str) -> Result<(), Error> {
        let mut parameters = vec![("db", database), ("precision", "ns")];
        parameters.extend(policy.map(|policy| ("rp", policy)));
        let operation = format!("write to database {database}");
        self.inner.http.write(&operation, &parameters, Bytes::copy_from_slice(lines.as_bytes())).await
    }

    /// Writes one point, which the builder of the `influxdb` crate escapes. (Of tags it escapes quotes and backslashes
    /// too, which the server then takes as they stand: such text belongs into fields.)
    ///
    /// # Errors
    ///
    /// As [`Influx::write`]; [`Error::Settings`] for a point without a field.
    pub async fn write_point(&self, database: &str, point: &WriteQuery) -> Result<(), Error> {
        let line = point.build().map_err(|error| Error::Settings {
            message: format!("cannot write to database {database}: {error}"),
            hint: "a point needs at least one field".to_owned(),
        })?;
        let precision = point.get_precision();
        let parameters = [("db", database), ("precision", precision.as_str())];
        self.inner.http.write(&format!("write to database {database}"), &parameters, line.get().into()).await
    }

    async fn run(&self, operation: &str, database: Option<&str>, text: &str) -> Result<Vec<Series>, Error> {
        let mut form = vec![("q", text)];
        form.extend(database.map(|database| ("db", database)));
        let http = &self.inner.http;
        let response = http.query(operation, "application/json", &form).await?;
        let body = http.body(operation, response, ANSWER_LIMIT).await?;
        answer::series(&body).map_err(|fault| match fault {
            Fault::Refused(message) => http.refused(operation, &message),
            Fault::Malformed(reason) => Error::Protocol { operation: operation.to_owned(), reason },
        })
    }
}

fn text_of(value: &serde_json::Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}
