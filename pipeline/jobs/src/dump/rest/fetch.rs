//! Blocks out of the archive, in order of time: ranged reads, as few and as large as possible without bringing much that
//! nobody asked for, and each block checked by its CRC.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, stream};
use store::Store;
use tsm::{Fault, block};

use super::batch::{Batch, Block};
use super::files::StoredFile;
use super::indexes::{self, LOOKS, Opened, damaged};
use super::sweep::{Fetched, Group};
use crate::Error;

/// Ranges that are read at once.
const AT_ONCE: usize = 8;

/// The longest range, in bytes, but for a block that is longer.
const LONGEST: u64 = 4 << 20;

/// Of what is read one part in so many may be what lies between the blocks.
const WASTE: u64 = 16;

/// A block of the batch: stream, number within it, and the block.
type Place = (usize, usize, Block);

/// Reads the blocks of a batch.
#[derive(Debug)]
pub(super) struct Fetching<'a> {
    store: &'a dyn Store,
    container: &'a str,
    files: &'a [Arc<Opened>],
    /// By the time of their first point.
    blocks: Vec<Place>,
    reached: usize,
    /// The end of the window.
    end: i64,
}

/// Blocks that one request reads.
#[derive(Debug)]
struct Request {
    file: usize,
    /// Within the file.
    range: Range<u64>,
    blocks: Vec<Place>,
}

impl<'a> Fetching<'a> {
    pub(super) fn new(
        store: &'a dyn Store,
        container: &'a str,
        files: &'a [Arc<Opened>],
        batch: &Batch,
        end: i64,
    ) -> Fetching<'a> {
        let streams = batch.streams.iter().enumerate();
        let blocks = streams.flat_map(|(stream, blocks)| {
            blocks.iter().enumerate().map(move |(number, block)| (stream, number, *block))
        });
        let mut blocks: Vec<Place> = blocks.collect();
        blocks.sort_by_key(|(.., block)| (block.first, block.file, block.offset));
        Fetching { store, container, files, blocks, reached: 0, end }
    }

    /// The next blocks, at most so many of them and about so many bytes, but at least one; `None` at the end.
    pub(super) async fn next(&mut self, most: usize, bytes: u64) -> Result<Option<Group>, Error> {
        let mut taken = 0;
        let left = &self.blocks[self.reached..];
        let enough = left.iter().take(most.max(1)).position(|(.., block)| {
            taken += u64::from(block.size);
            taken > bytes
        });
        let count = enough.unwrap_or(most.max(1)).clamp(1, left.len().max(1));
        let Some(wanted) = left.get(..count) else { return Ok(None) };
        let until = left.get(count).map_or(self.end, |(.., block)| block.first.min(self.end));
        let requests = requests(wanted);
        let reads = stream::iter(requests.into_iter().map(|request| self.read(request)).collect::<Vec<_>>());
        let blocks: Vec<Vec<Fetched>> = reads.buffer_unordered(AT_ONCE).try_collect().await?;
        self.reached += count;
        Ok(Some(Group { blocks: blocks.into_iter().flatten().collect(), until }))
    }

    async fn read(&self, request: Request) -> Result<Vec<Fetched>, Error> {
        let Request { file, range, blocks } = request;
        let bytes = self.bytes(file, range.clone()).await?;
        let mut fetched = Vec::with_capacity(blocks.len());
        for (stream, number, block) in blocks {
            let begins = usize::try_from(block.offset - range.start).unwrap_or(usize::MAX);
            let bytes = bytes.slice(begins..begins + block.size as usize);
            let bytes = self.checked(file, block, bytes).await?;
            fetched.push(Fetched { stream, number, block, bytes });
        }
        Ok(fetched)
    }

    /// The block, read again by itself where it came damaged.
    async fn checked(&self, file: usize, block: Block, mut bytes: Bytes) -> Result<Bytes, Error> {
        for _ in 1..LOOKS {
            match block::Block::open(&bytes) {
                Ok(_) => return Ok(bytes),
                Err(_) => bytes = self.bytes(file, block.offset..block.offset + u64::from(block.size)).await?,
            }
        }
        match block::Block::open(&bytes) {
            Ok(_) => Ok(bytes),
            Err(fault) => Err(undecodable(&self.files[file].stored, block, fault)),
        }
    }

    async fn bytes(&self, file: usize, range: Range<u64>) -> Result<Bytes, Error> {
        let file = &self.files[file].stored;
        let begins = file.file.offset;
        let range = begins + range.start..begins + range.end;
        let download = indexes::get(self.store, self.container, &file.object, &file.file.name, range).await?;
        let mut pieces: Vec<Bytes> = download.stream.try_collect().await?;
        Ok(if pieces.len() == 1 { pieces.remove(0) } else { pieces.concat().into() })
    }
}

/// The error that a block cannot be decoded.
pub(super) fn undecodable(file: &StoredFile, block: Block, fault: Fault) -> Error {
    damaged(&file.object, &file.file.name, &format!("block at offset {}: {fault}", block.offset))
}

/// What is to be asked for.
fn requests(blocks: &[Place]) -> Vec<Request> {
    let mut blocks = blocks.to_vec();
    blocks.sort_by_key(|(.., block)| (block.file, block.offset));
    let mut requests: Vec<Request> = Vec::new();
    for place in blocks {
        let block = place.2;
        let end = block.offset + u64::from(block.size);
        match requests.last_mut() {
            Some(request) if request.file == block.file && request.takes(block.offset, end) => {
                request.range.end = request.range.end.max(end);
                request.blocks.push(place);
            }
            _ => requests.push(Request { file: block.file, range: block.offset..end, blocks: vec![place] }),
        }
    }
    requests
}

impl Request {
    /// Whether a block is near enough.
    fn takes(&self, begins: u64, end: u64) -> bool {
        let gap = begins.saturating_sub(self.range.end);
        let length = end - self.range.start;
        length <= LONGEST && gap <= length / WASTE
    }
}

#[cfg(test)]
mod tests {
    use tsm::Kind;

    use super::*;

    #[test]
    fn neighbours_are_read_together_and_little_that_nobody_asked_for() {
        // Blocks by file, offset and size, and the ranges in which they are read.
        type Blocks = &'static [(usize, u64, u32)];
        type Ranges = &'static [(usize, u64, u64)];
        let table: [(Blocks, Ranges); 6] = [
            (&[(0, 5, 100), (0, 105, 100)], &[(0, 5, 205)]),
            (&[(0, 105, 100), (0, 5, 100)], &[(0, 5, 205)]),
            (&[(0, 5, 100), (1, 105, 100)], &[(0, 5, 105), (1, 105, 205)]),
            (&[(0, 5, 1000), (0, 1105, 1000)], &[(0, 5, 2105)]),
            (&[(0, 5, 1000), (0, 1205, 1000)], &[(0, 5, 1005), (0, 1205, 2205)]),
            (&[(0, 0, 4 << 20), (0, 4 << 20, 10)], &[(0, 0, 4 << 20), (0, 4 << 20, (4 << 20) + 10)]),
        ];
        for (blocks, expected) in table {
            let place = |&(file, offset, size): &(usize, u64, u32)| {
                (0, 0, Block { file, kind: Kind::Float, first: 0, last: 0, offset, size })
            };
            let blocks: Vec<Place> = blocks.iter().map(place).collect();
            let requests = requests(&blocks);
            let ranges: Vec<_> =
                requests.iter().map(|request| (request.file, request.range.start, request.range.end)).collect();
            assert_eq!(ranges, expected, "{blocks:?}");
            assert_eq!(requests.iter().map(|request| request.blocks.len()).sum::<usize>(), blocks.len());
        }
    }
}
