//! The loaded record: which night the intermediary holds, told by itself.
//!
//! One point in a database of its own on the target, so that a dump over the network can ask for it. A restore
//! moves that database's files aside before any other, and writes the record anew when all shards have answered: a
//! record that can be read never speaks of a night that is not there.

use chrono::{DateTime, Utc};
use influx::Influx;
use serde_json::Value;

use crate::{Error, Kind};

/// The database that holds the record. That it exists means: a restore of ours was here.
pub const DATABASE: &str = "nightshard";

/// The measurement of the record.
const RECORD: &str = "loaded";

/// The measurement of what restores remember.
const MEMORY: &str = "restored";

/// The measurement of the records of copies.
const COPIES: &str = "copied";

/// What is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadedNight {
    /// The night's container.
    pub container: String,
    /// SHA-256 of its manifest, in hex.
    pub manifest_sha256: String,
    /// The databases that were restored from it.
    pub databases: Vec<String>,
}

/// What the server has loaded; `None` when nothing was ever restored, or a restore is under way.
///
/// # Errors
///
/// When the server does not answer, or the record cannot be read.
pub async fn read(influx: &Influx) -> Result<Option<LoadedNight>, Error> {
    // Quoted, since `databases` is a keyword.
    let select = r#"SELECT "container", "manifest_sha256", "databases" FROM "loaded" ORDER BY time DESC LIMIT 1"#;
    let answer = match influx.statement(Some(DATABASE), select).await {
        Ok(answer) => answer,
        Err(influx::Error::UnknownDatabase { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let Some(series) = answer.first() else { return Ok(None) };
    let text = |column: &str| series.column(column).next().and_then(Value::as_str);
    let (Some(container), Some(manifest_sha256), Some(databases)) =
        (text("container"), text("manifest_sha256"), text("databases"))
    else {
        return Err(unreadable("a field is missing"));
    };
    let databases = serde_json::from_str(databases).map_err(|error| unreadable(&error.to_string()))?;
    let (container, manifest_sha256) = (container.to_owned(), manifest_sha256.to_owned());
    Ok(Some(LoadedNight { container, manifest_sha256, databases }))
}

/// A night's database that was restored under another name, beside whatever else is loaded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copied {
    /// Its name.
    pub name: String,
    /// Its name in the night.
    pub stored: String,
    /// The night's container.
    pub container: String,
    /// SHA-256 of its manifest, in hex.
    pub manifest_sha256: String,
}

impl From<Copied> for LoadedNight {
    fn from(copy: Copied) -> LoadedNight {
        let Copied { name, container, manifest_sha256, .. } = copy;
        LoadedNight { container, manifest_sha256, databases: vec![name] }
    }
}

/// The copies that the server has.
///
/// # Errors
///
/// When the server does not answer, or a record cannot be read.
pub async fn copies(influx: &Influx) -> Result<Vec<Copied>, Error> {
    let columns = ["name", "stored", "container", "manifest_sha256"];
    let select = format!(r#"SELECT "name", "stored", "container", "manifest_sha256" FROM "{COPIES}""#);
    let answer = match influx.statement(Some(DATABASE), &select).await {
        Ok(answer) => answer,
        Err(influx::Error::UnknownDatabase { .. }) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let Some(series) = answer.first() else { return Ok(Vec::new()) };
    let mut copies = Vec::new();
    for row in 0..series.values.len() {
        let text = |column| series.column(column).nth(row).and_then(Value::as_str).map(str::to_owned);
        let [Some(name), Some(stored), Some(container), Some(manifest_sha256)] = columns.map(text) else {
            return Err(unreadable("a copy lacks a field"));
        };
        copies.push(Copied { name, stored, container, manifest_sha256 });
    }
    Ok(copies)
}

/// Writes the record of a copy; the database must exist.
pub(crate) async fn write_copy(influx: &Influx, copy: &Copied) -> Result<(), Error> {
    let Copied { name, stored, container, manifest_sha256 } = copy;
    let [text, stored, container, manifest_sha256] = [name, stored, container, manifest_sha256].map(|text| field(text));
    let line = format!(
        "{COPIES},copy={} name={text},stored={stored},container={container},manifest_sha256={manifest_sha256} 0",
        tag(name)
    );
    Ok(influx.write(DATABASE, None, &line).await?)
}

/// Takes the records of these copies away.
pub(crate) async fn withdraw_copies(influx: &Influx, names: &[String]) -> Result<(), Error> {
    for name in names {
        let drop = format!(r#"DROP SERIES FROM "{COPIES}" WHERE "copy" = '{}'"#, tag(name));
        influx.statement(Some(DATABASE), &drop).await?;
    }
    Ok(())
}

/// A name as a tag whose text needs no escaping.
fn tag(name: &str) -> String {
    hex::encode(name)
}

/// What the target keeps for restores over the wire, which do not see its files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Memory {
    /// The run that wrote it.
    pub(crate) run: String,
    /// The databases that restores have made, as JSON.
    pub(crate) ours: String,
}

/// Whether a database of this name, which the target has, is ours: it has one of our measurements, or none at all.
pub(crate) async fn is_ours(influx: &Influx) -> Result<bool, Error> {
    let answer = influx.statement(Some(DATABASE), "SHOW MEASUREMENTS").await?;
    let names: Vec<&str> = answer.iter().flat_map(|series| series.column("name")).filter_map(Value::as_str).collect();
    Ok(names.is_empty() || names.iter().any(|name| [RECORD, MEMORY, COPIES].contains(name)))
}

/// What the target remembers; `None` when there is nothing.
pub(crate) async fn memory(influx: &Influx) -> Result<Option<Memory>, Error> {
    let select = format!(r#"SELECT "run", "ours" FROM "{MEMORY}" LIMIT 1"#);
    let answer = match influx.statement(Some(DATABASE), &select).await {
        Ok(answer) => answer,
        Err(influx::Error::UnknownDatabase { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let text = |column: &str| answer.first()?.column(column).next()?.as_str().map(str::to_owned);
    Ok(text("run").zip(text("ours")).map(|(run, ours)| Memory { run, ours }))
}

/// Has the target remember this in place of what it remembered; the database must exist.
pub(crate) async fn remember(influx: &Influx, memory: &Memory) -> Result<(), Error> {
    // Always the same point, so that no clock decides which of two is the later one.
    let line = format!("{MEMORY} run={},ours={} 0", field(&memory.run), field(&memory.ours));
    Ok(influx.write(DATABASE, None, &line).await?)
}

/// Takes the record away: from now on the target holds no night.
pub(crate) async fn withdraw(influx: &Influx) -> Result<(), Error> {
    let there = influx.statement(Some(DATABASE), &format!("SHOW MEASUREMENTS WITH MEASUREMENT = \"{RECORD}\"")).await?;
    if there.iter().any(|series| !series.values.is_empty()) {
        influx.statement(Some(DATABASE), &format!("DROP MEASUREMENT \"{RECORD}\"")).await?;
    }
    Ok(())
}

fn unreadable(reason: &str) -> Error {
    Error::new(Kind::Failed, format!("the loaded record in database {DATABASE} cannot be read: {reason}"))
        .hint("a restore writes it anew")
}

/// Writes the record; `now` is its time.
///
/// # Errors
///
/// When the server does not take it.
pub async fn write(influx: &Influx, loaded: &LoadedNight, now: DateTime<Utc>) -> Result<(), Error> {
    influx.create_database(DATABASE).await?;
    let databases = Value::from(loaded.databases.clone()).to_string();
    let time = now.timestamp_nanos_opt().unwrap_or_default();
    let line = format!(
        "loaded container={},manifest_sha256={},databases={} {time}",
        field(&loaded.container),
        field(&loaded.manifest_sha256),
        field(&databases)
    );
    influx.write(DATABASE, None, &line).await?;
    Ok(())
}

/// A string field of the line protocol.
fn field(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', r"\\").replace('"', r#"\""#))
}
