//! Tombstones: which points of a TSM file are deleted.
//!
//! A file `<base>.tombstone` speaks of `<base>.tsm` alone, and of all its points whatever their type. Versions by the
//! first four bytes: none of them (text, a key a line, up to InfluxDB 0.12), 2 (records, 0.13 – 1.3), 3 (one gzip stream
//! of records, 1.4) and 4 (a gzip member for each delete, 1.5 and later). A record is a u32 length, the key, and
//! the first and last time, big endian.
//!
//! Version 2 is honoured as what it says. Servers from 1.4 on misread such a file and show what it deletes, until they
//! compact it; a point that was deleted is not brought back here because of that.

use std::cmp::Ordering;
use std::io::{self, BufRead, BufReader, ErrorKind, Read};

use flate2::bufread::MultiGzDecoder;

use crate::{Error, Fault};

/// Longest key: the index of a TSM file has a u16 for its length.
const LONGEST_KEY: u32 = 65535;

/// What even a small tombstone may take in memory once it is read, in bytes.
const ALLOWANCE: u64 = 8 << 20;

/// And what it may take besides, for each of its own bytes. Keys that follow each other differ in few letters and
/// compress well, but a file that grows more than this is none that a server wrote.
const ALLOWANCE_PER_BYTE: u64 = 256;

const BUFFER: usize = 64 << 10;

/// What is deleted from one TSM file.
#[derive(Debug, Clone, Default)]
pub struct Tombstones {
    /// The keys, one behind the other, each once where it follows itself.
    keys: Vec<u8>,
    /// By key, then by time.
    records: Vec<Record>,
}

#[derive(Debug, Clone, Copy)]
struct Record {
    begins: u64,
    length: u32,
    first: i64,
    last: i64,
}

impl Tombstones {
    /// Reads a tombstone file.
    ///
    /// # Errors
    ///
    /// When it cannot be read, is of an unknown version, or is cut.
    pub fn read(source: impl Read) -> Result<Tombstones, Error> {
        let mut source = BufReader::with_capacity(BUFFER, Counted { source, bytes: 0 });
        let mut tombstones = Tombstones::default();
        let mut reading = Reading { offset: 0, tombstones: &mut tombstones };
        let mut version = [0; 4];
        let begins = fill(&mut source, &mut version).map_err(|error| reading.failed(error))?;
        match version {
            _ if begins < version.len() => {}
            [0, 0, 0x15, 2] => reading.records(&mut source, |source| source.get_ref().bytes)?,
            [0, 0, 0x15, 3 | 4] => {
                // Nothing at all is no gzip member, and no deletion either.
                if !source.fill_buf().map_err(|error| reading.failed(error))?.is_empty() {
                    reading.records(&mut MultiGzDecoder::new(source), |members| members.get_ref().get_ref().bytes)?;
                }
            }
            [0, 0, 0x15, _] => return Err(reading.broken("its version is unknown")),
            _ => reading.lines(&version, source)?,
        }
        tombstones.arrange();
        Ok(tombstones)
    }

    /// Whether nothing is deleted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The deleted ranges of a key, in order and disjoint; both ends are deleted too.
    pub fn ranges<'a>(&'a self, key: &'a [u8]) -> impl Iterator<Item = (i64, i64)> + 'a {
        let begins = self.records.partition_point(|record| self.key(record) < key);
        let records = self.records.get(begins..).unwrap_or_default();
        records.iter().take_while(move |record| self.key(record) == key).map(|record| (record.first, record.last))
    }

    fn key(&self, record: &Record) -> &[u8] {
        let begins = usize::try_from(record.begins).unwrap_or(usize::MAX);
        let ends = begins.saturating_add(usize::try_from(record.length).unwrap_or(usize::MAX));
        self.keys.get(begins..ends).unwrap_or_default()
    }

    fn push(&mut self, key: &[u8], first: i64, last: i64) {
        let (begins, length) = match self.records.last() {
            Some(before) if self.key(before) == key => {
                if (before.first, before.last) == (first, last) {
                    return;
                }
                (before.begins, before.length)
            }
            _ => {
                let begins = self.keys.len() as u64;
                self.keys.extend_from_slice(key);
                (begins, u32::try_from(key.len()).unwrap_or(u32::MAX))
            }
        };
        self.records.push(Record { begins, length, first, last });
    }

    fn arrange(&mut self) {
        let mut records = std::mem::take(&mut self.records);
        let order = |one: &Record, other: &Record| -> Ordering {
            self.key(one).cmp(self.key(other)).then((one.first, one.last).cmp(&(other.first, other.last)))
        };
        records.sort_unstable_by(order);
        // Ranges that touch each other become one.
        records.dedup_by(|next, before| {
            let touch = next.first <= before.last.saturating_add(1) && self.key(next) == self.key(before);
            if touch {
                before.last = before.last.max(next.last);
            }
            touch
        });
        records.shrink_to_fit();
        self.records = records;
        self.keys.shrink_to_fit();
    }

    fn bytes_in_memory(&self) -> u64 {
        let records = self.records.len().saturating_mul(size_of::<Record>());
        (self.keys.len() as u64).saturating_add(records as u64)
    }
}

/// A tombstone that is being read.
struct Reading<'a> {
    /// How many bytes of what was read are behind us: of the file, or of what its gzip holds.
    offset: u64,
    tombstones: &'a mut Tombstones,
}

impl Reading<'_> {
    /// Records until the end. `consumed` says how many bytes of the file that has taken.
    fn records<R: Read>(&mut self, source: &mut R, consumed: impl Fn(&R) -> u64) -> Result<(), Error> {
        let mut key = Vec::new();
        loop {
            let mut length = [0; 4];
            match fill(source, &mut length).map_err(|error| self.failed(error))? {
                0 => return Ok(()),
                4 => {}
                _ => return Err(self.broken("it ends within a record")),
            }
            let length = u32::from_be_bytes(length);
            if length > LONGEST_KEY {
                return Err(self.broken("a key is longer than keys can be"));
            }
            key.resize(usize::try_from(length).unwrap_or_default(), 0);
            let mut bounds = [0; 16];
            let whole = fill(source, &mut key).map_err(|error| self.failed(error))? == key.len()
                && fill(source, &mut bounds).map_err(|error| self.failed(error))? == bounds.len();
            if !whole {
                return Err(self.broken("it ends within a record"));
            }
            let bounds = u128::from_be_bytes(bounds);
            self.offset = self.offset.saturating_add(20).saturating_add(u64::from(length));
            #[allow(clippy::cast_possible_truncation, reason = "the halves of the sixteen bytes")]
            self.tombstones.push(&key, (bounds >> 64) as i64, bounds as i64);
            self.check_size(consumed(source))?;
        }
    }

    /// The first version: a key a line, whose first bytes have been read.
    fn lines<R: Read>(&mut self, begins: &[u8], mut source: BufReader<Counted<R>>) -> Result<(), Error> {
        let mut rest = begins.chain(&mut source);
        let mut line = Vec::new();
        loop {
            line.clear();
            // A line that does not end is not read beyond what can be a key.
            let mut limited = rest.by_ref().take(u64::from(LONGEST_KEY).saturating_add(1));
            let read = limited.read_until(b'\n', &mut line).map_err(|error| self.failed(error))?;
            if read == 0 {
                return Ok(());
            }
            if line.last() == Some(&b'\n') {
                line.pop();
            } else if line.len() as u64 > u64::from(LONGEST_KEY) {
                return Err(self.broken("a key is longer than keys can be"));
            }
            if !line.is_empty() {
                self.tombstones.push(&line, i64::MIN, i64::MAX);
            }
            self.offset = self.offset.saturating_add(read as u64);
        }
    }

    fn check_size(&self, consumed: u64) -> Result<(), Error> {
        let allowed = ALLOWANCE.saturating_add(consumed.saturating_mul(ALLOWANCE_PER_BYTE));
        if self.tombstones.bytes_in_memory() > allowed {
            return Err(self.broken("it holds more than its length can mean"));
        }
        Ok(())
    }

    fn broken(&self, fault: &'static str) -> Error {
        Error::Structure { part: "tombstone", offset: self.offset, fault: Fault(fault) }
    }

    /// Of a failed reading: the end of a gzip stream that does not come, or its checksum, are damage.
    fn failed(&self, source: io::Error) -> Error {
        match source.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::InvalidInput | ErrorKind::InvalidData => {
                self.broken("its gzip stream is broken")
            }
            _ => Error::Read { offset: self.offset, bytes: 0, source },
        }
    }
}

/// Counts what is read.
#[derive(Debug)]
struct Counted<R> {
    source: R,
    bytes: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.bytes = self.bytes.saturating_add(read as u64);
        Ok(read)
    }
}

/// Fills the buffer as far as there are bytes.
fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0_usize;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match source.read(rest) {
            Ok(0) => break,
            Ok(read) => filled = filled.saturating_add(read),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests;
