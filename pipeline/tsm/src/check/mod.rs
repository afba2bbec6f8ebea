//! Checks of whole TSM files and shards, and what is in them: nothing here hands out points.
//!
//! A file is read once, block by block in the order of its index, which is the order in which servers write them. Memory is
//! that of a few buffers, of one block, and of the names of measurements and fields; it does not grow with the number
//! of series or points.

mod blocks;
mod overlap;
mod spans;
mod statistics;

use std::io::{BufReader, Read};

use sha2::{Digest, Sha256};

use crate::{Bytes, Error, InFile, IndexReader, Keys, Kind, Layout, Points, ReadAt, Tombstones, layout};
use blocks::Blocks;
use spans::Spans;
use statistics::Statistics;
pub use statistics::{Field, Measurement, Measurements};

/// How thoroughly blocks are looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Extent {
    /// The checksum of every block is compared, and its points are counted.
    Checksums,
    /// Every block is decoded besides, and its times are compared with the index.
    Decode,
}

/// What is in a TSM file that passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSummary {
    /// Where the index begins, in bytes from the start of the file.
    pub index_offset: u64,
    /// SHA-256 of the index, which reaches to eight bytes before the end of the file.
    pub index_sha256: [u8; 32],
    /// How many keys it has: series times their fields.
    pub keys: u64,
    /// How many blocks.
    pub blocks: u64,
    /// How many points are in the blocks, deleted ones and those that another file overwrites among them.
    pub points: u64,
    /// The first time by the index, in nanoseconds since 1970.
    pub first: i64,
    /// The last time by the index.
    pub last: i64,
}

/// What is in a shard whose files all passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShardSummary {
    /// Of each file, in the order in which they were given.
    pub files: Vec<FileSummary>,
    /// What the shard shows once its files are joined and deletions are honoured.
    pub measurements: Measurements,
}

/// One of a shard's TSM files.
#[derive(Debug, Clone)]
pub struct ShardFile<S> {
    /// Its bytes.
    pub source: S,
    /// What its tombstone deletes.
    pub tombstones: Tombstones,
}

/// Checks one file: header, footer, index, and every block.
///
/// # Errors
///
/// The first thing that is wrong with it, and what keeps it from being read.
pub fn file<S: ReadAt>(source: &S, extent: Extent) -> Result<FileSummary, Error> {
    let layout = layout(source)?;
    let mut index = open(source, layout, LARGEST_BUFFER);
    let mut blocks = Blocks::new(source, layout, extent, LARGEST_BUFFER);
    let mut decoded = Points::empty(Kind::Float);
    while let Some(key) = index.next()? {
        blocks.begin(key.kind);
        for entry in &key.entries {
            blocks.check(&key.key, entry, &mut decoded)?;
        }
    }
    Ok(blocks.summary(digest(index.into_inner())))
}

/// Checks all files of a shard, which stand in the order in which they are joined (see [`crate::members`]), and counts
/// what they show together: a point is the value of one field of one series at one time.
///
/// # Errors
///
/// The first thing that is wrong with one of them, and what keeps it from being read.
pub fn shard<S: ReadAt>(files: &[ShardFile<S>], extent: Extent) -> Result<ShardSummary, InFile> {
    let buffer = buffer(files.len());
    let mut indexes = Vec::with_capacity(files.len());
    let mut blocks = Vec::with_capacity(files.len());
    for (number, file) in files.iter().enumerate() {
        let layout = layout(&file.source).map_err(|error| InFile { file: number, error })?;
        indexes.push(open(&file.source, layout, buffer));
        blocks.push(Blocks::new(&file.source, layout, extent, buffer));
    }
    let mut keys = Keys::new(indexes);
    let mut statistics = Statistics::default();
    let mut spans = Spans::default();
    let mut decoded = Points::empty(Kind::Float);
    while let Some(key) = keys.next()? {
        spans.clear();
        for part in &key.parts {
            let (Some(blocks), Some(file)) = (blocks.get_mut(part.file), files.get(part.file)) else { continue };
            blocks.begin(part.kind);
            spans.begin(part.file, file.tombstones.ranges(&key.key));
            for entry in &part.entries {
                let found = blocks.check(&key.key, entry, &mut decoded);
                let found = found.map_err(|error| InFile { file: part.file, error })?;
                spans.push(*entry, found);
            }
        }
        let shown = spans.count(&key.key, &mut blocks)?;
        statistics.add(&key.key, shown);
    }
    let digests = keys.into_inner().into_iter().map(digest);
    let files = blocks.into_iter().zip(digests).map(|(blocks, digest)| blocks.summary(digest)).collect();
    Ok(ShardSummary { files, measurements: statistics.finish() })
}

/// The largest buffer that an index or the blocks of a file are read through, in bytes.
const LARGEST_BUFFER: usize = 256 << 10;

/// A shard whose compactions stand still may have thousands of files: their buffers share this many bytes, until the
/// buffers are as small as makes sense.
const BUFFERS: usize = 16 << 20;

const SMALLEST_BUFFER: usize = 8 << 10;

fn buffer(files: usize) -> usize {
    BUFFERS.checked_div(files.saturating_mul(2)).unwrap_or(BUFFERS).clamp(SMALLEST_BUFFER, LARGEST_BUFFER)
}

/// An index that is hashed while it is read.
type HashedIndex<'a, S> = BufReader<Hashed<Bytes<'a, S>>>;

fn open<S: ReadAt>(source: &S, layout: Layout, buffer: usize) -> IndexReader<HashedIndex<'_, S>> {
    let hashed = Hashed { bytes: Bytes::index(source, layout), hash: Sha256::new() };
    IndexReader::new(BufReader::with_capacity(buffer, hashed), layout)
}

/// SHA-256 of an index that was read to its end.
fn digest<S>(index: HashedIndex<'_, S>) -> [u8; 32] {
    index.into_inner().hash.finalize().into()
}

#[derive(Debug)]
struct Hashed<R> {
    bytes: R,
    hash: Sha256,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.bytes.read(buffer)?;
        self.hash.update(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}
