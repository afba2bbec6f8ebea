//! From pieces of MessagePack to batches.
//!
//! The shape of a message, as all servers write it (maps in any order of their keys but for the values, which
//! come after the columns; `?` where something may be absent):
//!
//! ```text
//! { results: [ { statement_id, messages?, series?: [ { name?, tags?, columns, values: [ [value …] … ], partial? } ],
//!                partial?, error? } ] }
//! { error }
//! ```
//!
//! `partial` on a result or a series says that the next message goes on with it. Bytes are consumed in steps, each a
//! row or a key with its value (for `series` and `values`: their length alone); a step whose bytes have not all
//! arrived is taken back and tried again with more.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::{Buf as _, BytesMut};

use super::batch::{Batch, Cell};
use super::messagepack::{Pause, Scalar, array_length, boolean, malformed, map_length, scalar, skip, string};

/// A batch is handed out when it has this many values …
const BATCH_CELLS: usize = 64 << 10;

/// … or this many bytes of text.
const BATCH_TEXT: usize = 1 << 20;

/// What is wrong with an answer.
#[derive(Debug, PartialEq)]
pub(super) enum Fault {
    /// The server's own words.
    Refused(String),
    /// What does not follow the protocol.
    Malformed(String),
    /// It ended before its end.
    Truncated(&'static str),
}

type Step = Result<(), Pause>;

/// Takes the pieces of an answer and makes batches of them.
#[derive(Default)]
pub(super) struct Decoder {
    buffer: BytesMut,
    left: Left,
    series: Series,
    /// Whether the last result or series said that more of it would come.
    partial: bool,
    messages: u64,
}

/// How much of the current message is to come, from the outside to the inside.
#[derive(Default)]
struct Left {
    results: u32,
    result_keys: u32,
    series: u32,
    series_keys: u32,
    rows: u32,
}

/// The series that is being read.
#[derive(Default)]
struct Series {
    name: String,
    tags: Vec<(String, Vec<u8>)>,
    columns: Arc<[String]>,
    has_columns: bool,
    cells: Vec<Cell>,
    text: Vec<u8>,
}

impl Decoder {
    /// Takes the next bytes of the answer and appends what they complete to `ready`.
    pub(super) fn feed(&mut self, piece: &[u8], ready: &mut VecDeque<Batch>) -> Result<(), Fault> {
        self.buffer.extend_from_slice(piece);
        let mut bytes = std::mem::take(&mut self.buffer);
        let mut input: &[u8] = &bytes;
        let outcome = loop {
            if input.is_empty() {
                break Ok(());
            }
            let mut ahead = input;
            match self.step(&mut ahead, ready) {
                Ok(()) => input = ahead,
                Err(Pause::Starved) => break Ok(()),
                Err(Pause::Fault(fault)) => break Err(fault),
            }
        };
        let consumed = bytes.len() - input.len();
        bytes.advance(consumed);
        self.buffer = bytes;
        outcome
    }

    /// The answer has ended: was that its end?
    pub(super) fn finish(&self) -> Result<(), Fault> {
        if !self.buffer.is_empty() || !self.left.nothing() {
            Err(Fault::Truncated("in the middle of a message"))
        } else if self.messages == 0 {
            Err(Fault::Truncated("without a message"))
        } else if self.partial {
            Err(Fault::Truncated("the last message is marked as partial"))
        } else {
            Ok(())
        }
    }

    fn step(&mut self, input: &mut &[u8], ready: &mut VecDeque<Batch>) -> Step {
        let left = &mut self.left;
        if left.rows > 0 {
            self.series.read_row(input)?;
            left.rows -= 1;
        } else if left.series_keys > 0 {
            self.read_series_key(input)?;
            self.left.series_keys -= 1;
        } else if left.series > 0 {
            left.series_keys = map_length(input)?;
            left.series -= 1;
            self.series.begin();
        } else if left.result_keys > 0 {
            self.read_result_key(input)?;
            self.left.result_keys -= 1;
        } else if left.results > 0 {
            left.result_keys = map_length(input)?;
            left.results -= 1;
        } else {
            self.read_message(input)?;
        }
        let series_ended = self.left.rows == 0 && self.left.series_keys == 0;
        if self.series.is_full() || series_ended {
            ready.extend(self.series.take_batch());
        }
        Ok(())
    }

    fn read_message(&mut self, input: &mut &[u8]) -> Step {
        if map_length(input)? != 1 {
            return Err(malformed("a message has not exactly one key"));
        }
        match string(input)? {
            b"results" => {
                self.left.results = array_length(input)?;
                self.messages += 1;
                self.partial = false;
                Ok(())
            }
            b"error" => refused(input),
            key => Err(malformed(format!("a message has the key {:?}", lossy(key)))),
        }
    }

    fn read_result_key(&mut self, input: &mut &[u8]) -> Step {
        match string(input)? {
            b"series" => self.left.series = array_length(input)?,
            b"partial" => self.partial |= boolean(input)?,
            b"error" => return refused(input),
            _ => skip(input)?,
        }
        Ok(())
    }

    fn read_series_key(&mut self, input: &mut &[u8]) -> Step {
        match string(input)? {
            b"name" => self.series.name = lossy(string(input)?),
            b"tags" => {
                let mut tags = Vec::new();
                for _ in 0..map_length(input)? {
                    tags.push((lossy(string(input)?), string(input)?.to_owned()));
                }
                tags.sort_unstable();
                self.series.tags = tags;
            }
            b"columns" => {
                let mut columns = Vec::new();
                for _ in 0..array_length(input)? {
                    columns.push(lossy(string(input)?));
                }
                // Series by series the columns are mostly the same ones, and then they are shared.
                if *self.series.columns != *columns {
                    self.series.columns = columns.into();
                }
                self.series.has_columns = true;
            }
            b"values" => {
                if !self.series.has_columns {
                    return Err(malformed("a series has values before it has columns"));
                }
                self.left.rows = array_length(input)?;
            }
            b"partial" => self.partial |= boolean(input)?,
            _ => skip(input)?,
        }
        Ok(())
    }
}

impl Left {
    fn nothing(&self) -> bool {
        // Whatever lies further inside is counted out first.
        self.results == 0 && self.result_keys == 0 && self.series == 0 && self.series_keys == 0 && self.rows == 0
    }
}

impl Series {
    /// Begins the next series; the columns stay, to be shared if they are the same again.
    fn begin(&mut self) {
        self.name.clear();
        self.tags.clear();
        self.has_columns = false;
    }

    fn read_row(&mut self, input: &mut &[u8]) -> Step {
        let (cells, text) = (self.cells.len(), self.text.len());
        let outcome = self.read_values(input);
        if outcome.is_err() {
            self.cells.truncate(cells);
            self.text.truncate(text);
        }
        outcome
    }

    fn read_values(&mut self, input: &mut &[u8]) -> Step {
        let length = array_length(input)?;
        if length as usize != self.columns.len() {
            return Err(malformed(format!("a row has {length} values for {} columns", self.columns.len())));
        }
        for _ in 0..length {
            let cell = match scalar(input)? {
                Scalar::Null => Cell::Null,
                Scalar::Boolean(value) => Cell::Boolean(value),
                Scalar::Integer(value) => Cell::Integer(value),
                Scalar::Unsigned(value) => Cell::Unsigned(value),
                Scalar::Float(value) => Cell::Float(value),
                Scalar::String(bytes) => {
                    let place = (u32::try_from(self.text.len()), u32::try_from(bytes.len()));
                    let (Ok(start), Ok(length)) = place else {
                        return Err(malformed("a row holds more than 4 GiB of text"));
                    };
                    self.text.extend_from_slice(bytes);
                    Cell::Text { start, length }
                }
            };
            self.cells.push(cell);
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.cells.len() >= BATCH_CELLS || self.text.len() >= BATCH_TEXT
    }

    fn take_batch(&mut self) -> Option<Batch> {
        if self.cells.is_empty() {
            return None;
        }
        Some(Batch {
            measurement: self.name.clone(),
            tags: self.tags.clone(),
            columns: Arc::clone(&self.columns),
            cells: std::mem::take(&mut self.cells),
            text: std::mem::take(&mut self.text),
        })
    }
}

fn refused(input: &mut &[u8]) -> Step {
    let message = lossy(string(input)?);
    Err(Pause::Fault(Fault::Refused(message)))
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
