//! Points of a shard, picked from its files: a server that has the shard must answer with them.
//!
//! A shard that does not open, or that another one hides, is missing without a message: queries just find fewer
//! points. So each restored shard is asked for a point that is known to be in it. The index at the end of a TSM file
//! gives the key of a series' field and the time of its first point, without reading any block.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use influx::{quote_identifier, quote_string};
use serde::{Deserialize, Serialize};

/// Bytes of the index that are looked at: enough for any one key, and for many usual ones.
const LOOKED_AT: u64 = 256 << 10;

/// So many keys of a shard are kept; the next one is asked for when the server does not understand the question for one.
const WITNESSES: usize = 8;

/// What InfluxDB calls things of its own: in a condition these mean something else than a tag of that name.
const RESERVED: [&str; 6] = ["_name", "_tagKey", "_tagValue", "_seriesKey", "_fieldKey", "time"];

/// A known point of a shard.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Witness {
    measurement: String,
    field: String,
    tags: Vec<(String, String)>,
    time: i64,
    /// Whether it must be there: points of a shard with tombstones may be deleted.
    pub(super) certain: bool,
}

impl Witness {
    /// The query for exactly this point.
    pub(super) fn query(&self, database: &str, policy: &str) -> String {
        let mut query = self.query_at_time(database, policy);
        for (name, value) in &self.tags {
            query += &format!(" AND {}::tag = {}", quote_identifier(name), quote_string(value));
        }
        query + " LIMIT 1"
    }

    fn query_at_time(&self, database: &str, policy: &str) -> String {
        format!(
            "SELECT {}::field FROM {}.{}.{} WHERE time >= {time} AND time <= {time}",
            quote_identifier(&self.field),
            quote_identifier(database),
            quote_identifier(policy),
            quote_identifier(&self.measurement),
            time = self.time,
        )
    }
}

/// Points of the shard that consists of these files, of several series; none when there is none that can be asked for
/// by name.
///
/// A file that cannot be read is for the server to complain about.
pub(super) fn find(files: &[PathBuf]) -> Vec<Witness> {
    let has_extension = |path: &&PathBuf, extension: &str| path.extension().is_some_and(|found| found == extension);
    let certain = !files.iter().any(|path| has_extension(&path, "tombstone"));
    let mut found = Vec::new();
    for path in files.iter().filter(|path| has_extension(path, "tsm")) {
        let Ok(index) = read_index(path) else { continue };
        let mut index = index.as_slice();
        let keys = std::iter::from_fn(|| entry(&mut index)).filter_map(|(key, time)| witness(key, time));
        found.extend(keys.take(WITNESSES - found.len()).map(|witness| Witness { certain, ..witness }));
        if found.len() == WITNESSES {
            break;
        }
    }
    found
}

/// The beginning of a TSM file's index, whose place the last 8 bytes of the file tell (big-endian).
fn read_index(path: &Path) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    let end = file.seek(SeekFrom::End(-8))?;
    let mut footer = [0; 8];
    file.read_exact(&mut footer)?;
    let begin = u64::from_be_bytes(footer);
    file.seek(SeekFrom::Start(begin))?;
    let mut index = Vec::new();
    file.take(end.saturating_sub(begin).min(LOOKED_AT)).read_to_end(&mut index)?;
    Ok(index)
}

/// The next key of the index, and the time of its first point: length (2 bytes), key, type (1), count of blocks (2), and
/// for each block its first time (8), last time (8), offset (8) and size (4).
fn entry<'a>(index: &mut &'a [u8]) -> Option<(&'a [u8], i64)> {
    let (length, rest) = index.split_first_chunk::<2>()?;
    let (key, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
    let (head, rest) = rest.split_first_chunk::<3>()?;
    let (blocks, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes([head[1], head[2]])) * 28)?;
    let time = i64::from_be_bytes(*blocks.first_chunk::<8>()?);
    *index = rest;
    Some((key, time))
}

/// Takes a key apart: measurement and tags, escaped with backslashes, then `#!~#` and the field as it is.
///
/// Names with backslashes or line feeds of their own cannot be told from escapes with certainty, or are selectable
/// only in some versions, so that such a key, and one that is no UTF-8, is no witness.
fn witness(key: &[u8], time: i64) -> Option<Witness> {
    let (series, field) = std::str::from_utf8(key).ok()?.split_once("#!~#")?;
    let plain = |text: &str| !text.contains(['\\', '"', '\n']) && !text.is_empty();
    let mut parts = split(series, ',').into_iter();
    let measurement = unescape(parts.next()?);
    let mut tags = Vec::new();
    for part in parts {
        let (name, value) = match split(part, '=').as_slice() {
            [name, values @ ..] if !values.is_empty() => (unescape(name), unescape(&part[name.len() + 1..])),
            _ => return None,
        };
        if !plain(&name) || !plain(&value) || RESERVED.contains(&name.as_str()) || name == field {
            return None;
        }
        tags.push((name, value));
    }
    // InfluxDB has names of its own that begin so, and answers phantoms for fields that are called like them.
    let own = measurement.starts_with('_') || field.starts_with('_') || RESERVED.contains(&field);
    let usual = plain(&measurement) && plain(field) && !own;
    usual.then(|| Witness { measurement, field: field.to_owned(), tags, time, certain: false })
}

/// Cuts at each delimiter without a backslash before it.
fn split(text: &str, delimiter: char) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut begin = 0;
    for (place, _) in text.match_indices(delimiter) {
        if !text[..place].ends_with('\\') {
            parts.push(&text[begin..place]);
            begin = place + delimiter.len_utf8();
        }
    }
    parts.push(&text[begin..]);
    parts
}

fn unescape(text: &str) -> String {
    text.replace("\\,", ",").replace("\\ ", " ").replace("\\=", "=")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_queries() {
        let table = [
            (
                r"m\ sp\,comma,tag\ k\=x\,y=v\ a\=l\,ue#!~#f ld=a,b",
                r#"SELECT "f ld=a,b"::field FROM "d b"."r.p"."m sp,comma" WHERE time >= -5 AND time <= -5 AND "tag k=x,y"::tag = 'v a=l,ue' LIMIT 1"#,
            ),
            (
                "hashf,t=a x#!~#y=9",
                r#"SELECT "y=9"::field FROM "d b"."r.p"."hashf" WHERE time >= -5 AND time <= -5 AND "t"::tag = 'a x' LIMIT 1"#,
            ),
            ("été#!~#v", r#"SELECT "v"::field FROM "d b"."r.p"."été" WHERE time >= -5 AND time <= -5 LIMIT 1"#),
            (
                "m,t=it's=more#!~#v",
                r#"SELECT "v"::field FROM "d b"."r.p"."m" WHERE time >= -5 AND time <= -5 AND "t"::tag = 'it\'s=more' LIMIT 1"#,
            ),
        ];
        for (key, query) in table {
            assert_eq!(witness(key.as_bytes(), -5).unwrap().query("d b", "r.p"), query);
        }
        for key in [
            r"a\b#!~#v",
            "m,v=1#!~#v",
            "m,time=1#!~#v",
            "m#!~#_field",
            "m",
            "m,t#!~#v",
            r"m,t=a\\\,b#!~#v",
            "_m#!~#v",
            "m,_name=1#!~#v",
            "m,_tagKey=1#!~#v",
            "m,_tagValue=1#!~#v",
            "m,_seriesKey=1#!~#v",
            "m,_fieldKey=1#!~#v",
            "m#!~#time",
        ] {
            assert_eq!(witness(key.as_bytes(), 0), None, "{key}");
        }
        assert_eq!(witness(b"m\xff#!~#v", 0), None);
    }

    #[test]
    fn the_first_usable_keys_of_an_index_are_found_and_damage_is_none() {
        let mut file = vec![0x16, 0xD1, 0x16, 0xD1, 1, 9, 9, 9];
        let index = file.len() as u64;
        let keys: Vec<String> = (1..=20).map(|number| format!("m,t={number}#!~#v")).collect();
        let all = std::iter::once(r"a\b#!~#v").chain(keys.iter().map(String::as_str));
        for (key, time) in all.zip(1_000_006i64..) {
            file.extend((key.len() as u16).to_be_bytes());
            file.extend(key.as_bytes());
            file.extend([0, 0, 1]);
            file.extend(time.to_be_bytes());
            file.extend([0; 20]);
        }
        file.extend(index.to_be_bytes());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("000000001-000000001.tsm");
        std::fs::write(&path, &file).unwrap();
        let found = find(std::slice::from_ref(&path));
        assert_eq!(found.len(), 8);
        assert_eq!((found[0].measurement.as_str(), found[0].time, found[0].certain), ("m", 1_000_007, true));
        assert_eq!((found[7].tags[0].1.as_str(), found[7].time), ("8", 1_000_014));
        let with_tombstone = [path.clone(), folder.path().join("000000001-000000001.tombstone")];
        assert!(find(&with_tombstone).iter().all(|witness| !witness.certain));

        for length in 0..file.len() {
            std::fs::write(&path, &file[..length]).unwrap();
            assert_eq!(find(std::slice::from_ref(&path)), [], "{length}");
        }
    }
}
