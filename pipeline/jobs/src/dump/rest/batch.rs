//! A batch: some series of a measurement, how their records are printed, and the blocks that have their points.
//!
//! Blocks are read in order of time, all series of a batch side by side, so what is in memory at any time grows with the
//! number of series. A measurement of too many series is read in several batches.

use std::collections::BTreeMap;

use influx::Value;
use tsm::Kind;

use super::super::columns::{self, Columns};
use super::super::json::{self, Losses};
use super::super::series_key;
use super::super::text::Text;

/// Series with their blocks.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) series: Vec<Series>,
    /// The blocks of each stream. A stream is one field of one series.
    pub(super) streams: Vec<Vec<Block>>,
    /// What tombstones take from the blocks that a file has of a stream: spans, both ends included.
    pub(super) removed: BTreeMap<(usize, usize), Vec<[i64; 2]>>,
    /// Memory that all this takes, about, in bytes.
    pub(super) bytes: usize,
    /// Memory that a decoded block of each stream will take, about, in bytes.
    pub(super) decoded: usize,
}

/// What a block of 1000 points takes in memory once it is decoded, in bytes, until some have been seen.
pub(super) const EXPECTED: usize = 16 << 10;

/// How much larger long strings become that are decompressed, as a rule.
const GROWTH: usize = 2;

/// A series, prepared for printing.
#[derive(Debug)]
pub(super) struct Series {
    /// Its canonical key.
    pub(super) key: Vec<u8>,
    /// Its fields in the order in which a record has them.
    pub(super) members: Vec<Member>,
    /// What ends a record: the tags after the last field, and the brace.
    pub(super) closing: Text,
    /// What is lost of its tags in each record.
    pub(super) losses: u64,
}

/// A field of a series.
#[derive(Debug)]
pub(super) struct Member {
    /// What stands before the value: the tags before it, and then comma, name and colon.
    pub(super) label: Text,
    /// How much of that a record has without the field: the bytes of the tags.
    pub(super) before: usize,
    /// Its place in [`Batch::streams`].
    pub(super) stream: usize,
}

/// A block, and where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    /// The number of its file: of two points of one time the later file's wins.
    pub(super) file: usize,
    pub(super) kind: Kind,
    /// The times of its first and its last point.
    pub(super) first: i64,
    pub(super) last: i64,
    /// Bytes from the start of the file.
    pub(super) offset: u64,
    pub(super) size: u32,
}

/// A field of a series, as the indexes have it.
#[derive(Debug, Default)]
pub(super) struct Stream {
    pub(super) field: String,
    /// In the order of the files, and in that of the index of each.
    pub(super) blocks: Vec<Block>,
    /// What tombstones take, by file.
    pub(super) removed: Vec<(usize, Vec<[i64; 2]>)>,
}

/// How the records of a measurement are printed.
#[derive(Debug)]
pub(in crate::dump) struct Printing {
    measurement: Vec<u8>,
    columns: Columns,
    members: Vec<columns::Member>,
    /// Values are the texts of cells.
    pub(super) cells: bool,
}

impl Printing {
    pub(in crate::dump) fn new(measurement: &str, columns: &Columns, cells: bool) -> Printing {
        let members = columns.members();
        Printing { measurement: measurement.as_bytes().to_vec(), columns: columns.clone(), members, cells }
    }

    pub(super) fn has_field(&self, field: &str) -> bool {
        self.columns.fields().binary_search_by(|known| known.as_str().cmp(field)).is_ok()
    }

    fn append(&self, out: &mut Vec<u8>, value: Value<'_>, losses: &mut Losses) {
        match self.cells {
            true => json::append_cell(out, value, losses),
            false => json::append_value(out, value, losses),
        }
    }
}

impl Batch {
    /// Takes a series with these tags.
    pub(super) fn push(&mut self, printing: &Printing, mut tags: Vec<(Vec<u8>, Vec<u8>)>, fields: Vec<Stream>) {
        tags.sort_unstable();
        let names = printing.columns.tags();
        // By column, of which the first is the time.
        let mut values = vec![None; 1 + names.len()];
        let mut known = Vec::new();
        for (name, value) in &tags {
            if let Ok(place) = names.binary_search_by(|known| known.as_bytes().cmp(name)) {
                values[1 + place] = Some(value.as_slice());
                known.push((name.as_slice(), value.as_slice()));
            }
        }
        let mut key = Vec::new();
        series_key::append(&mut key, &printing.measurement, known.into_iter());

        let has = |column: usize| values.get(column).is_some_and(Option::is_some);
        let mut fields: Vec<Option<Stream>> = fields.into_iter().map(Some).collect();
        let (mut members, mut text, mut losses) = (Vec::new(), Vec::new(), Losses::default());
        for member in &printing.members {
            if !member.present.is_none_or(has) || member.absent.iter().any(|&column| has(column)) {
                continue;
            }
            if let Some(value) = values.get(member.column) {
                if let Some(value) = value {
                    text.push(b',');
                    text.extend_from_slice(&member.label);
                    printing.append(&mut text, Value::String(value), &mut losses);
                }
                continue;
            }
            let name = &printing.columns.fields()[member.column - values.len()];
            let field = fields.iter_mut().find(|field| field.as_ref().is_some_and(|field| field.field == *name));
            let Some(field) = field.and_then(Option::take) else { continue };
            let stream = self.streams.len();
            self.bytes += field.blocks.len() * size_of::<Block>() + member.label.len() + 160;
            self.removed.extend(field.removed.into_iter().map(|(file, spans)| ((stream, file), spans)));
            // Numbers take what they take, however well they were packed; long strings show in the blocks' sizes.
            let largest = field.blocks.iter().map(|block| block.size as usize).max().unwrap_or(0);
            self.decoded += EXPECTED.max(GROWTH * largest);
            self.streams.push(field.blocks);
            let before = text.len();
            text.push(b',');
            text.extend_from_slice(&member.label);
            members.push(Member { label: Text::new(&text), before, stream });
            text.clear();
        }
        text.push(b'}');
        self.bytes += key.len() + text.len() + 200;
        self.series.push(Series { key, members, closing: Text::new(&text), losses: losses.strings });
    }

    /// Puts the series into the order of their keys.
    pub(super) fn arrange(&mut self) {
        self.series.sort_by(|one, other| one.key.cmp(&other.key));
    }
}
