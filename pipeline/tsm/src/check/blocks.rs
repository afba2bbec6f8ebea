//! The blocks of one file, read one after the other through a buffer.

use crate::block::Block;
use crate::{Entry, Error, Fault, Kind, Layout, Points, ReadAt, file, key};

use super::{Extent, FileSummary};

/// What a block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) kind: Kind,
    pub(super) points: u64,
    /// Which of its key's blocks in the file it is, counted from 1.
    pub(super) number: u64,
}

/// Reads and checks the blocks of a file.
pub(super) struct Blocks<'a, S> {
    source: &'a S,
    extent: Extent,
    window: Window,
    /// The type of the current key by the index.
    kind: Kind,
    number: u64,
    summary: FileSummary,
}

impl<'a, S: ReadAt> Blocks<'a, S> {
    pub(super) fn new(source: &'a S, layout: Layout, extent: Extent, buffer: usize) -> Blocks<'a, S> {
        let summary = FileSummary {
            index_offset: layout.index_offset(),
            index_sha256: [0; 32],
            keys: 0,
            blocks: 0,
            points: 0,
            first: i64::MAX,
            last: i64::MIN,
        };
        let window = Window { bytes: Vec::new(), offset: 0, most: buffer, ends: layout.index_offset() };
        Blocks { source, extent, window, kind: Kind::Float, number: 0, summary }
    }

    /// The next key, with blocks of that type.
    pub(super) fn begin(&mut self, kind: Kind) {
        self.kind = kind;
        self.number = 0;
        self.summary.keys = self.summary.keys.saturating_add(1);
    }

    /// Checks the next block of the current key. `decoded` is memory to use, the same for all files.
    pub(super) fn check(&mut self, key: &[u8], entry: &Entry, decoded: &mut Points) -> Result<Found, Error> {
        self.number = self.number.saturating_add(1);
        let number = self.number;
        let bytes = self.window.read(self.source, entry)?;
        let found = look(bytes, entry, self.extent, decoded).and_then(|(kind, points)| {
            // The server takes the type of a key's first block into the index.
            if number == 1 && kind != self.kind {
                return Err(Fault("its type is not that of the index"));
            }
            if number == 1 && key::split(key).is_none() {
                return Err(Fault("its key has no field"));
            }
            Ok(Found { kind, points, number })
        });
        let found = found.map_err(|fault| broken(key, number, entry, fault))?;
        let summary = &mut self.summary;
        summary.blocks = summary.blocks.saturating_add(1);
        summary.points = summary.points.saturating_add(found.points);
        summary.first = summary.first.min(entry.first);
        summary.last = summary.last.max(entry.last);
        Ok(found)
    }

    /// The times of a block that was checked before.
    pub(super) fn times(&self, key: &[u8], number: u64, entry: &Entry, times: &mut Vec<i64>) -> Result<(), Error> {
        let mut bytes = vec![0; usize::try_from(entry.size).unwrap_or(usize::MAX)];
        file::read(self.source, &mut bytes, entry.offset)?;
        let decoded = Block::open(&bytes).and_then(|block| block.times(times));
        decoded.and_then(|()| compare(times, entry)).map_err(|fault| broken(key, number, entry, fault))
    }

    pub(super) fn summary(self, index_sha256: [u8; 32]) -> FileSummary {
        FileSummary { index_sha256, ..self.summary }
    }
}

fn look(bytes: &[u8], entry: &Entry, extent: Extent, decoded: &mut Points) -> Result<(Kind, u64), Fault> {
    let block = Block::open(bytes)?;
    let kind = block.kind();
    if extent == Extent::Checksums {
        return Ok((kind, block.count()? as u64));
    }
    block.decode(decoded)?;
    compare(&decoded.times, entry)?;
    Ok((kind, decoded.len() as u64))
}

/// Whether times are those that the index states.
fn compare(times: &[i64], entry: &Entry) -> Result<(), Fault> {
    if times.first() == Some(&entry.first) && times.last() == Some(&entry.last) {
        Ok(())
    } else {
        Err(Fault("its times are not those that the index states"))
    }
}

pub(super) fn broken(key: &[u8], number: u64, entry: &Entry, fault: Fault) -> Error {
    Error::Block { key: String::from_utf8_lossy(key).into_owned(), number, offset: entry.offset, fault }
}

/// A piece of the file in memory.
struct Window {
    bytes: Vec<u8>,
    offset: u64,
    /// How long it is where blocks follow each other.
    most: usize,
    /// Where the blocks end.
    ends: u64,
}

impl Window {
    /// The bytes of a block, which lies within the file as the index was checked.
    fn read(&mut self, source: &impl ReadAt, entry: &Entry) -> Result<&[u8], Error> {
        let size = usize::try_from(entry.size).unwrap_or(usize::MAX);
        let known = entry.offset.checked_sub(self.offset).and_then(|begins| usize::try_from(begins).ok());
        let here = known.filter(|begins| begins.saturating_add(size) <= self.bytes.len());
        let begins = match here {
            Some(begins) => begins,
            None => {
                // Further bytes come with it only where the reading goes on from one block to the next: blocks that lie
                // across the file in any order are read one by one.
                let goes_on = known.is_some_and(|begins| begins <= self.bytes.len());
                let left = usize::try_from(self.ends.saturating_sub(entry.offset)).unwrap_or(usize::MAX);
                let length = if goes_on { size.max(self.most).min(left) } else { size };
                self.bytes.clear();
                if length < self.most {
                    // What a single large block took is given back.
                    self.bytes.shrink_to(self.most);
                }
                self.bytes.resize(length, 0);
                self.offset = entry.offset;
                file::read(source, &mut self.bytes, entry.offset)?;
                0
            }
        };
        Ok(self.bytes.get(begins..begins.saturating_add(size)).unwrap_or_default())
    }
}
