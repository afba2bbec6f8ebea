//! From rows to pages: records printed, those of one instant sorted.
//!
//! Runs on a thread of its own, between the one that reads the server's answer and the one that hashes and stores.

use std::io;
use std::sync::mpsc::SyncSender;

use influx::{Batch, Row, Value};
use tokio::sync::mpsc::Receiver;

use super::columns::{Columns, Member};
use super::format::Format;
use super::json::{self, Losses, Times};
use super::older::{Identity, Older};
use super::pages::Pages;
use super::rest::Printed;
use super::series_key;
use super::sorter::Sorter;
use crate::{Error, Kind};

/// So many bytes go to the file at once.
const BLOCK: usize = 256 << 10;

/// What the reader of the answer tells.
#[derive(Debug)]
pub(super) enum Message {
    /// More rows, in order of time.
    Rows(Batch),
    /// More records, in order of time and series key, printed already.
    Printed(Printed),
    /// The last instant will be told once more, from its beginning.
    InstantAgain,
    /// That was all.
    End,
}

/// What became of the rows.
#[derive(Debug, Clone, Default)]
pub(super) struct Arranged {
    pub(super) records: u64,
    pub(super) pages: u64,
    pub(super) losses: Losses,
    /// Records that share instant and series with another one.
    pub(super) duplicates: u64,
    /// Records that only the older dump had.
    pub(super) kept: u64,
    /// Runs that did not fit into memory.
    pub(super) spills: u64,
}

/// Says whence a record in the sorter is. Of two with one key the newer is sorted first.
const NEWER: u8 = 0;
const OLDER: u8 = 1;

/// Turns rows into records and pages.
pub(super) struct Arranger {
    measurement: String,
    columns: Columns,
    members: Vec<Member>,
    /// An older dump of the same window, of which nothing may get lost.
    older: Option<(Older, Identity)>,
    sorter: Sorter,
    pages: Pages,
    /// Values are the texts of cells.
    cells: bool,
    times: Times,
    /// The instant of the records in the sorter.
    instant: Option<i64>,
    /// How each record of this instant begins: `{"time":"…"`.
    opening: Vec<u8>,
    previous_key: Vec<u8>,
    losses: Losses,
    duplicates: u64,
    kept: u64,
    scratch: Vec<u8>,
}

impl Arranger {
    pub(super) fn new(
        measurement: &str,
        columns: &Columns,
        older: Option<(Older, Identity)>,
        page_size: usize,
        format: Format,
        sorter: Sorter,
    ) -> Arranger {
        Arranger {
            measurement: measurement.to_owned(),
            columns: columns.clone(),
            members: columns.members(),
            older,
            sorter,
            pages: Pages::new((format == Format::Json).then_some(page_size)),
            cells: format == Format::Csv,
            times: Times::default(),
            instant: None,
            opening: Vec::new(),
            previous_key: Vec::new(),
            losses: Losses::default(),
            duplicates: 0,
            kept: 0,
            scratch: Vec::new(),
        }
    }

    /// Works until the rows end; `None` when another end of the pipeline is gone, which then has the reason.
    pub(super) fn run(
        mut self,
        mut rows: Receiver<Message>,
        blocks: &SyncSender<Vec<u8>>,
    ) -> Result<Option<Arranged>, Error> {
        while let Some(message) = rows.blocking_recv() {
            match message {
                Message::Rows(batch) => {
                    if !self.take(&batch, blocks)? {
                        return Ok(None);
                    }
                }
                Message::Printed(printed) => {
                    if !self.take_printed(&printed, blocks)? {
                        return Ok(None);
                    }
                }
                Message::InstantAgain => self.sorter.clear(),
                Message::End => {
                    let arrived = self.close_instant(blocks)? && self.pass_older(None, blocks)?;
                    self.pages.finish();
                    let arrived = arrived && blocks.send(self.pages.take()).is_ok();
                    return Ok(arrived.then(|| Arranged {
                        records: self.pages.records(),
                        pages: self.pages.pages(),
                        losses: self.losses,
                        duplicates: self.duplicates,
                        kept: self.kept,
                        spills: self.sorter.spills(),
                    }));
                }
            }
        }
        Ok(None)
    }

    /// Takes rows; `false` when nobody takes the blocks any more.
    fn take(&mut self, batch: &Batch, blocks: &SyncSender<Vec<u8>>) -> Result<bool, Error> {
        let (given, asked) = (batch.columns.len(), self.columns.count());
        if given != asked {
            return Err(self.nonsense(&format!("has {given} columns where {asked} were asked for")));
        }
        for row in batch.rows() {
            let Some(time) = row.time() else { return Err(self.nonsense("has a row without a time")) };
            if self.instant != Some(time) {
                if self.instant.is_some_and(|instant| instant > time) {
                    return Err(self.nonsense("is not in order of time"));
                }
                if !self.close_instant(blocks)? || !self.pass_older(Some(time), blocks)? {
                    return Ok(false);
                }
                self.open_instant(time);
            }
            self.push(row).map_err(spooling)?;
        }
        Ok(true)
    }

    /// Takes records; `false` when nobody takes the blocks any more.
    fn take_printed(&mut self, printed: &Printed, blocks: &SyncSender<Vec<u8>>) -> Result<bool, Error> {
        self.losses.add(printed.losses);
        let mut begins = 0;
        for &(time, ends) in &printed.records {
            let record = &printed.text[begins..ends];
            begins = ends;
            if self.older.is_none() {
                self.pages.add(record);
                if self.pages.waiting() >= BLOCK && blocks.send(self.pages.take()).is_err() {
                    return Ok(false);
                }
                continue;
            }
            if self.instant != Some(time) {
                if !self.close_instant(blocks)? || !self.pass_older(Some(time), blocks)? {
                    return Ok(false);
                }
                self.instant = Some(time);
            }
            self.push_record(record).map_err(spooling)?;
        }
        Ok(true)
    }

    /// Takes a record that an older dump may have as well.
    fn push_record(&mut self, record: &[u8]) -> io::Result<()> {
        let Some((_, identity)) = &self.older else { return Ok(()) };
        let mut shown = Vec::new();
        identity.append(&mut shown, record)?;
        let marked = |out: &mut Vec<u8>| {
            out.push(NEWER);
            out.extend_from_slice(record);
        };
        self.sorter.push(|out| out.extend(shown), marked)
    }

    fn open_instant(&mut self, time: i64) {
        self.instant = Some(time);
        self.opening.clear();
        self.times.append_opening(&mut self.opening, time);
    }

    fn push(&mut self, row: Row<'_>) -> io::Result<()> {
        let Arranger { measurement, columns, members, older, sorter, opening, losses, scratch, cells, .. } = self;
        let key = |out: &mut Vec<u8>| {
            let tags = columns.tags().iter().enumerate().filter_map(|(index, tag)| match row.get(1 + index) {
                Value::String(value) if !value.is_empty() => Some((tag.as_bytes(), value)),
                _ => None,
            });
            series_key::append(out, measurement.as_bytes(), tags);
        };
        let mut record = |out: &mut Vec<u8>| {
            let has = |column: usize| !matches!(row.get(column), Value::Null);
            out.extend_from_slice(opening);
            for member in members.iter() {
                let value = row.get(member.column);
                let named = member.present.is_none_or(has) && !member.absent.iter().any(|&column| has(column));
                if named && !matches!(value, Value::Null) {
                    out.push(b',');
                    out.extend_from_slice(&member.label);
                    match cells {
                        true => json::append_cell(out, value, losses),
                        false => json::append_value(out, value, losses),
                    }
                }
            }
            out.push(b'}');
        };
        let mut marked = |out: &mut Vec<u8>| {
            out.push(NEWER);
            record(out);
        };
        match older {
            None => sorter.push(key, marked),
            Some((_, identity)) => {
                scratch.clear();
                marked(scratch);
                let mut shown = Vec::new();
                identity.append(&mut shown, &scratch[1..])?;
                sorter.push(|out| out.extend(shown), |out| out.extend_from_slice(scratch))
            }
        }
    }

    /// Writes the records that the older dump has of instants before `until` of which no new record came.
    fn pass_older(&mut self, until: Option<i64>, blocks: &SyncSender<Vec<u8>>) -> Result<bool, Error> {
        while let Some(time) = self.older.as_ref().and_then(|(older, _)| older.time()) {
            if until.is_some_and(|until| time >= until) {
                break;
            }
            self.instant = Some(time);
            if !self.close_instant(blocks)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Adds what the older dump has of the instant that ends. Not earlier: its rows may come once more.
    fn push_older(&mut self) -> Result<(), Error> {
        let (Some(instant), Some((older, identity))) = (self.instant, &mut self.older) else { return Ok(()) };
        while let Some(record) = older.take(instant)? {
            let mut shown = Vec::new();
            identity.append(&mut shown, &record.text).map_err(spooling)?;
            let text = |out: &mut Vec<u8>| {
                out.push(OLDER);
                out.extend_from_slice(&record.text);
            };
            self.sorter.push(|out| out.extend(shown), text).map_err(spooling)?;
        }
        Ok(())
    }

    /// Writes the records of the instant that has ended. An older record gives way to a new one with its key.
    fn close_instant(&mut self, blocks: &SyncSender<Vec<u8>>) -> Result<bool, Error> {
        self.push_older()?;
        let Arranger { sorter, pages, previous_key, duplicates, kept, .. } = self;
        previous_key.clear();
        let mut arrived = true;
        let drained = sorter.drain(|key, marked| {
            let (origin, record) = marked.split_at(1);
            // The measurement's name makes a key longer than nothing, so the first one differs from none.
            let same = previous_key.as_slice() == key;
            if origin == [OLDER] {
                if same {
                    return Ok(());
                }
                *kept += 1;
            } else {
                *duplicates += u64::from(same);
                previous_key.clear();
                previous_key.extend_from_slice(key);
            }
            pages.add(record);
            if pages.waiting() >= BLOCK {
                arrived = arrived && blocks.send(pages.take()).is_ok();
            }
            Ok(())
        });
        drained.map_err(spooling)?;
        Ok(arrived)
    }

    fn nonsense(&self, what: &str) -> Error {
        Error::new(Kind::Failed, format!("cannot dump {}: the server's answer {what}", self.measurement))
    }
}

fn spooling(error: io::Error) -> Error {
    Error::io("sort records in the spool", &error)
}
