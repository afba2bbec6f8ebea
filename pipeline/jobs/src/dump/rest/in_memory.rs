//! Decoding and printing alone, of blocks that lie in memory: what a dump does between reading and writing.

use bytes::Bytes;
use tsm::block;

use super::batch::{Batch, Block, Printing, Stream};
use super::sheet::Sheets;
use super::sweep::{Fetched, Group, Sweep};
use crate::dump::columns::Columns;
use crate::{Error, Kind};

/// A series whose blocks lie in memory.
#[derive(Debug, Clone)]
pub struct SeriesBlocks {
    /// Names and values.
    pub tags: Vec<(String, String)>,
    /// Each field's name, and its blocks in order of time, with their checksums.
    pub fields: Vec<(String, Vec<Bytes>)>,
}

/// Prints all records of some series as a dump does, on all cores, and tells how many field values and bytes that were.
///
/// # Errors
///
/// [`Kind::Damage`] when a block cannot be decoded.
pub fn print_in_memory(measurement: &str, series: &[SeriesBlocks]) -> Result<(u64, u64), Error> {
    let tags = series.iter().flat_map(|series| series.tags.iter().map(|(name, _)| name.clone())).collect();
    let fields = series.iter().flat_map(|series| series.fields.iter().map(|(name, _)| name.clone())).collect();
    let printing = Printing::new(measurement, &Columns::new(tags, fields), false);
    let damaged = |fault: tsm::Fault| Error::new(Kind::Damage, format!("a block cannot be decoded: {fault}"));
    let (mut batch, mut blocks, mut values) = (Batch::default(), Vec::new(), 0);
    for SeriesBlocks { tags, fields } in series {
        let mut streams = Vec::new();
        for (field, stored) in fields {
            let mut stream = Stream { field: field.clone(), ..Stream::default() };
            for bytes in stored {
                let opened = block::Block::open(bytes).map_err(damaged)?;
                values += opened.count().map_err(damaged)? as u64;
                let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                let (kind, offset) = (opened.kind(), blocks.len() as u64);
                stream.blocks.push(Block { file: 0, kind, first: 0, last: 0, offset, size });
                blocks.push(bytes.clone());
            }
            streams.push(stream);
        }
        let tags = tags.iter().map(|(name, value)| (name.clone().into_bytes(), value.clone().into_bytes()));
        batch.push(&printing, tags.collect(), streams);
    }
    batch.arrange();
    let streams = batch.streams.iter().enumerate();
    let fetched = streams.flat_map(|(stream, all)| all.iter().enumerate().map(move |place| (stream, place)));
    let fetched = fetched.map(|(stream, (number, block))| {
        let bytes = blocks[usize::try_from(block.offset).unwrap_or_default()].clone();
        Fetched { stream, number, block: *block, bytes }
    });
    let group = Group { blocks: fetched.collect(), until: i64::MAX };
    let mut written = 0;
    let mut sweep = Sweep::new(&batch, &printing, [i64::MIN, i64::MAX], Sheets::default());
    let all = sweep.advance(&group, |printed| {
        written += printed.text.len() as u64;
        true
    });
    all.map_err(|undecodable| damaged(undecodable.fault))?;
    Ok((values, written))
}
