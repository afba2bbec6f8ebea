//! Looks into the TSM files of a shard whose tar lies on disk: whether they are whole, and what they hold.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufReader;

use archive::manifest::{FieldRecord, FileRecord, MeasurementRecord, ShardFile};
use chrono::DateTime;
use tsm::check::{self, Extent, FileSummary, Measurements};
use tsm::{Bytes, Section, Tombstones, members};

/// What was found in a shard.
#[derive(Debug)]
pub(crate) struct Contents {
    /// Of each TSM file, by its name.
    pub(crate) files: BTreeMap<String, FileRecord>,
    /// What the shard shows.
    pub(crate) measurements: Vec<MeasurementRecord>,
}

/// What is wrong with a shard, or keeps it from being read.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {error}")]
pub(crate) struct Fault {
    /// The name of the file.
    pub(crate) file: String,
    /// What is wrong with it.
    pub(crate) error: tsm::Error,
}

/// Reads all TSM files and tombstones of a shard out of its tar, in which the files lie as it is said.
///
/// # Errors
///
/// The first thing that is wrong.
pub(crate) fn shard(
    tar: &File,
    (database, policy): (&str, &str),
    files: &[ShardFile],
    extent: Extent,
) -> Result<Contents, Fault> {
    let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
    let members = members(&names);
    let section = |place: usize| Section::new(tar, files[place].offset, files[place].bytes);
    let mut parts = Vec::with_capacity(members.len());
    for member in &members {
        let tombstones = member.tombstone.map(|place| {
            let section = section(place);
            let read = Bytes::of(&section).and_then(|bytes| Tombstones::read(BufReader::new(bytes)));
            read.map_err(|error| Fault { file: names[place].to_owned(), error })
        });
        let tombstones = tombstones.transpose()?.unwrap_or_default();
        parts.push(check::ShardFile { source: section(member.tsm), tombstones });
    }
    let name = |member: usize| names[members[member].tsm].to_owned();
    let summary =
        check::shard(&parts, extent).map_err(|tsm::InFile { file, error }| Fault { file: name(file), error })?;
    let files = summary.files.iter().enumerate().map(|(member, file)| (name(member), record(file))).collect();
    Ok(Contents { files, measurements: statistics(database, policy, summary.measurements) })
}

/// What was found in a file, as a manifest has it.
pub(crate) fn record(summary: &FileSummary) -> FileRecord {
    FileRecord {
        index_offset: summary.index_offset,
        index_sha256: hex::encode(summary.index_sha256),
        keys: summary.keys,
        points: summary.points,
        first: DateTime::from_timestamp_nanos(summary.first),
        last: DateTime::from_timestamp_nanos(summary.last),
    }
}

fn statistics(database: &str, policy: &str, measurements: Measurements) -> Vec<MeasurementRecord> {
    let field = |name: &[u8], kind: tsm::Kind, field: check::Field| FieldRecord {
        field: shown(name),
        kind: kind.name().to_owned(),
        keys: field.keys,
        points: field.points,
        first: DateTime::from_timestamp_nanos(field.first),
        last: DateTime::from_timestamp_nanos(field.last),
        shards: Vec::new(),
    };
    let measurement = |(name, measurement): (Vec<u8>, check::Measurement)| MeasurementRecord {
        database: database.to_owned(),
        retention_policy: policy.to_owned(),
        measurement: shown(&name),
        series: measurement.series,
        fields: measurement
            .fields
            .iter()
            .flat_map(|(name, kinds)| kinds.iter().map(move |(kind, found)| field(name, *kind, *found)))
            .collect(),
    };
    measurements.into_iter().map(measurement).collect()
}

/// A name as InfluxDB's answers in JSON have it: each byte that belongs to no character becomes U+FFFD.
fn shown(name: &[u8]) -> String {
    let mut shown = String::with_capacity(name.len());
    for chunk in name.utf8_chunks() {
        shown.push_str(chunk.valid());
        shown.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::shown;

    #[test]
    fn names_are_written_as_the_server_writes_them() {
        let table: [(&[u8], &str); 4] = [
            (b"cpu", "cpu"),
            ("é".as_bytes(), "é"),
            (b"a\xffb", "a\u{fffd}b"),
            // The first two of the three bytes of a character: Go replaces each of them.
            (b"\xe6\x97", "\u{fffd}\u{fffd}"),
        ];
        for (name, expected) in table {
            assert_eq!(shown(name), expected);
        }
    }
}
