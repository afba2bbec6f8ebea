//! Records of a span of time, printed: the series one after the other, and then put into order.
//!
//! Within a series the fields mostly have the same times, so rows are printed in stretches in which every field has a
//! value, and one by one only where they differ.

use influx::Value;
use tsm::{Points, Values};

use super::batch::{Batch, Printing, Series};
use crate::dump::json::{self, Losses, Times};

/// Records in order of time and series key.
#[derive(Debug, Default)]
pub(in crate::dump) struct Printed {
    /// The records one after the other.
    pub(in crate::dump) text: Vec<u8>,
    /// Of each its time, in nanoseconds since 1970, and where it ends.
    pub(in crate::dump) records: Vec<(i64, usize)>,
    pub(in crate::dump) losses: Losses,
    /// The series of each, by its number in the batch.
    pub(super) series: Vec<u32>,
}

/// A record without its time, as it lies among those of its series.
#[derive(Debug, Clone, Copy)]
struct Row {
    time: i64,
    series: u32,
    begins: usize,
    ends: usize,
}

/// The points of a field from a place on, up to the end of the span.
#[derive(Debug)]
struct Cursor<'a> {
    runs: &'a [Points],
    /// The place in the first run.
    at: usize,
    /// Where in the first run the span ends.
    until: usize,
    /// The first time after the span.
    end: i64,
}

impl<'a> Cursor<'a> {
    fn new(runs: &'a [Points], span: [i64; 2]) -> Cursor<'a> {
        let first = runs.partition_point(|run| run.times.last().is_none_or(|last| *last < span[0]));
        let runs = &runs[first..];
        let at = runs.first().map_or(0, |run| run.times.partition_point(|time| *time < span[0]));
        let mut cursor = Cursor { runs, at, until: 0, end: span[1] };
        cursor.limit();
        cursor
    }

    fn limit(&mut self) {
        self.until = self.runs.first().map_or(0, |run| run.times.partition_point(|time| *time < self.end));
    }

    /// The times that are left in this run.
    fn times(&self) -> &'a [i64] {
        self.runs.first().and_then(|run| run.times.get(self.at..self.until)).unwrap_or_default()
    }

    fn advance(&mut self, rows: usize) {
        self.at += rows;
        if self.runs.first().is_some_and(|run| self.at >= run.times.len()) {
            self.runs = &self.runs[1..];
            self.at = 0;
            self.limit();
        }
    }

    fn value(&self, row: usize) -> Value<'a> {
        let row = self.at + row;
        match &self.runs[0].values {
            Values::Float(values) => Value::Float(values[row]),
            Values::Integer(values) => Value::Integer(values[row]),
            Values::Unsigned(values) => Value::Unsigned(values[row]),
            Values::Boolean(values) => Value::Boolean(values[row]),
            Values::String(values) => Value::String(values.get(row).unwrap_or_default()),
        }
    }
}

/// Prints what the batch has in a span, its end not included. `ready` has the points of each stream: runs in order of
/// time.
pub(super) fn print(batch: &Batch, printing: &Printing, ready: &[Vec<Points>], span: [i64; 2]) -> Printed {
    let mut page = Page { cells: printing.cells, body: Vec::new(), rows: Vec::new(), losses: Losses::default() };
    for (number, series) in batch.series.iter().enumerate() {
        let number = u32::try_from(number).unwrap_or(u32::MAX);
        page.append_series(number, series, ready, span);
    }
    page.arranged()
}

/// What is being printed.
struct Page {
    cells: bool,
    body: Vec<u8>,
    rows: Vec<Row>,
    losses: Losses,
}

impl Page {
    fn append_series(&mut self, number: u32, series: &Series, ready: &[Vec<Points>], span: [i64; 2]) {
        let cursors = series.members.iter().map(|member| Cursor::new(&ready[member.stream], span));
        let mut cursors: Vec<Cursor<'_>> = cursors.collect();
        loop {
            let Some(time) = cursors.iter().filter_map(|cursor| cursor.times().first()).min().copied() else { return };
            let together = together(&cursors);
            for row in 0..together {
                let time = cursors[0].times()[row];
                self.row(time, number, series, |column| Some(cursors[column].value(row)));
            }
            if together > 0 {
                cursors.iter_mut().for_each(|cursor| cursor.advance(together));
                continue;
            }
            let has = |cursor: &Cursor<'_>| cursor.times().first() == Some(&time);
            self.row(time, number, series, |column| has(&cursors[column]).then(|| cursors[column].value(0)));
            cursors.iter_mut().filter(|cursor| has(cursor)).for_each(|cursor| cursor.advance(1));
        }
    }

    #[inline]
    fn row<'a>(&mut self, time: i64, number: u32, series: &Series, value: impl Fn(usize) -> Option<Value<'a>>) {
        let begins = self.body.len();
        for (column, member) in series.members.iter().enumerate() {
            self.body.extend_from_slice(&member.before);
            if let Some(value) = value(column) {
                self.body.extend_from_slice(&member.label);
                match self.cells {
                    true => json::append_cell(&mut self.body, value, &mut self.losses),
                    false => json::append_value(&mut self.body, value, &mut self.losses),
                }
            }
        }
        self.body.extend_from_slice(&series.closing);
        self.losses.strings += series.losses;
        self.rows.push(Row { time, series: number, begins, ends: self.body.len() });
    }

    /// The records in order, each with its time before it.
    fn arranged(mut self) -> Printed {
        // Those of a series are in order already, which this sorting makes use of.
        self.rows.sort_by_key(|row| (row.time, row.series));
        let opening = br#"{"time":"2016-06-11T00:00:00.123456789Z""#.len();
        let mut text = Vec::with_capacity(self.body.len() + self.rows.len() * opening);
        let mut records = Vec::with_capacity(self.rows.len());
        let (mut times, mut opening, mut of) = (Times::default(), Vec::new(), None);
        for row in &self.rows {
            if of != Some(row.time) {
                opening.clear();
                times.append_opening(&mut opening, row.time);
                of = Some(row.time);
            }
            text.extend_from_slice(&opening);
            text.extend_from_slice(&self.body[row.begins..row.ends]);
            records.push((row.time, text.len()));
        }
        let series = self.rows.iter().map(|row| row.series).collect();
        Printed { text, records, losses: self.losses, series }
    }
}

/// So many rows from here on have a value of every field, all of one time.
fn together(cursors: &[Cursor<'_>]) -> usize {
    let Some((first, others)) = cursors.split_first() else { return 0 };
    let times = first.times();
    others.iter().fold(times.len(), |rows, cursor| {
        let others = cursor.times();
        match (times.get(..rows), others.get(..rows)) {
            (Some(ours), Some(theirs)) if ours == theirs => rows,
            _ => times[..rows].iter().zip(others).take_while(|(ours, theirs)| ours == theirs).count(),
        }
    })
}
