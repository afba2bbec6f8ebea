//! The records of an older dump of the same window, read back in their order.
//!
//! What a dump holds must not get lost when it is made anew from a server that has lost some of it. So the older records
//! go through the same sorting as the new ones, instant by instant, and those that nobody else has are kept. Which
//! record is which is told by its time and its tags; for new records too this is read from what the dump shows of them
//! ([`Identity`]), since of the old ones nothing else is left.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use chrono::DateTime;
use serde_json::{Map, Value};

use super::series_key;
use crate::{Error, Kind};

/// How records of one instant are told from each other: by the members that are called like tags and hold text.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    measurement: Vec<u8>,
    tags: BTreeSet<String>,
}

impl Identity {
    /// `tags` are all that the measurement has or had.
    pub(super) fn new(measurement: &str, tags: impl IntoIterator<Item = String>) -> Identity {
        Identity { measurement: measurement.as_bytes().to_vec(), tags: tags.into_iter().collect() }
    }

    /// Appends the series key of a record as it stands in the dump.
    pub(super) fn append(&self, out: &mut Vec<u8>, record: &[u8]) -> io::Result<()> {
        self.append_members(out, &members(record)?);
        Ok(())
    }

    fn append_members(&self, out: &mut Vec<u8>, members: &Map<String, Value>) {
        let tags = self.tags.iter().filter_map(|tag| match members.get(tag) {
            Some(Value::String(value)) if !value.is_empty() => Some((tag.as_bytes(), value.as_bytes())),
            _ => None,
        });
        series_key::append(out, &self.measurement, tags);
    }
}

/// An older dump, at its first record that has not been taken.
#[derive(Debug)]
pub(super) struct Older {
    pages: BufReader<File>,
    next: Option<Record>,
}

/// A record of an older dump.
#[derive(Debug)]
pub(super) struct Record {
    /// Nanoseconds since 1970.
    pub(super) time: i64,
    /// The record as it stands there.
    pub(super) text: Vec<u8>,
}

impl Older {
    /// Opens the pages in `path`.
    pub(super) fn open(path: &Path) -> Result<Older, Error> {
        let open = || {
            let mut older = Older { pages: BufReader::with_capacity(256 << 10, File::open(path)?), next: None };
            older.advance()?;
            Ok(older)
        };
        open().map_err(|error| unreadable(&error))
    }

    /// The instant of the next record.
    pub(super) fn time(&self) -> Option<i64> {
        self.next.as_ref().map(|record| record.time)
    }

    /// Takes the next record if it is of this instant.
    pub(super) fn take(&mut self, time: i64) -> Result<Option<Record>, Error> {
        if self.time() != Some(time) {
            return Ok(None);
        }
        let taken = self.next.take();
        self.advance().map_err(|error| unreadable(&error))?;
        if self.time().is_some_and(|next| next < time) {
            return Err(unreadable(&invalid("its records are not in order of time")));
        }
        Ok(taken)
    }

    fn advance(&mut self) -> io::Result<()> {
        self.next = None;
        let Some(text) = self.record()? else { return Ok(()) };
        let members = members(&text)?;
        let time = members.get("time").and_then(Value::as_str).and_then(|time| DateTime::parse_from_rfc3339(time).ok());
        let time = time.and_then(|time| time.timestamp_nanos_opt()).ok_or_else(|| invalid("a record has no time"))?;
        self.next = Some(Record { time, text });
        Ok(())
    }

    /// The text of the next record: what stands between braces, for a record holds no others but within strings.
    fn record(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut record = Vec::new();
        let (mut quoted, mut escaped) = (false, false);
        loop {
            let buffer = self.pages.fill_buf()?;
            if buffer.is_empty() {
                return if record.is_empty() { Ok(None) } else { Err(invalid("it ends within a record")) };
            }
            let mut used = 0;
            let mut whole = false;
            for &byte in buffer {
                used += 1;
                if record.is_empty() {
                    match byte {
                        b'{' => record.push(byte),
                        b'[' | b',' | b']' | b'\n' => {}
                        _ => return Err(invalid("something stands between its records")),
                    }
                    continue;
                }
                record.push(byte);
                match byte {
                    _ if escaped => escaped = false,
                    b'\\' if quoted => escaped = true,
                    b'"' => quoted = !quoted,
                    b'}' if !quoted => {
                        whole = true;
                        break;
                    }
                    _ => {}
                }
            }
            self.pages.consume(used);
            if whole {
                return Ok(Some(record));
            }
        }
    }
}

fn members(record: &[u8]) -> io::Result<Map<String, Value>> {
    serde_json::from_slice(record).map_err(|error| invalid(&format!("a record cannot be read: {error}")))
}

fn invalid(reason: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason.to_owned())
}

fn unreadable(error: &io::Error) -> Error {
    Error::new(Kind::Damage, format!("cannot read the older dump: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn older(pages: &str) -> Result<Vec<(i64, String)>, Error> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), pages).unwrap();
        let mut older = Older::open(file.path())?;
        let mut records = Vec::new();
        while let Some(time) = older.time() {
            let record = older.take(time)?.unwrap();
            records.push((record.time, String::from_utf8(record.text).unwrap()));
        }
        Ok(records)
    }

    #[test]
    fn records_come_back_byte_for_byte_across_pages_whatever_their_strings_hold() {
        let first = r#"{"time":"1970-01-01T00:00:00Z","s":"}],[{\"\\"}"#;
        let second = r#"{"time":"1970-01-01T00:00:00.000000001Z","v":1e+300,"w":18446744073709551615}"#;
        let expected = [(0, first.to_owned()), (1, second.to_owned()), (1, second.to_owned())];
        assert_eq!(older(&format!("[{first},{second}]\n[{second}]\n")).unwrap(), expected);
        assert_eq!(older("").unwrap(), []);
    }

    #[test]
    fn what_is_no_dump_is_refused() {
        let record = r#"{"time":"1970-01-01T00:00:01Z"}"#;
        for pages in ["[{\"v\":1}]\n", "[{\"time\":1}]\n", "time,v\n", "[{\"time\":\"1970", "[{]}\n"] {
            assert_eq!(older(pages).unwrap_err().kind(), Kind::Damage, "{pages}");
        }
        assert_eq!(
            older(&format!("[{record},{}]\n", record.replace(":01Z", ":00Z"))).unwrap_err().kind(),
            Kind::Damage
        );
    }

    #[test]
    fn a_record_is_known_by_its_members_that_are_called_like_tags() {
        let identity = Identity::new("m", ["host", "zone", "gone"].map(str::to_owned));
        let key = |record: &str| {
            let mut key = Vec::new();
            identity.append(&mut key, record.as_bytes()).unwrap();
            String::from_utf8(key).unwrap()
        };
        assert_eq!(key(r#"{"time":"t","host":"a b","v":1,"zone":"z"}"#), r"m,host=a\ b,zone=z");
        assert_eq!(key(r#"{"time":"t","host":5,"v":"host"}"#), "m");
    }
}
