//! Records of a span of time, printed in their order.
//!
//! First it is found out which records there are, and then each is printed where it belongs. Within a series the fields
//! mostly have the same times, so records are found in stretches in which they have the same fields.

use std::hint::black_box;

use tsm::{Points, Strings, Values};

use super::batch::{Batch, Printing, Series};
use super::sheet::Sheet;
use crate::dump::json::{self, Losses, Times};
use crate::dump::text::Text;

/// Records in order of time and series key.
#[derive(Debug, Default)]
pub(in crate::dump) struct Printed {
    /// The records one after the other.
    pub(in crate::dump) text: Sheet,
    /// Of each its time, in nanoseconds since 1970, and where it ends.
    pub(in crate::dump) records: Vec<(i64, usize)>,
    pub(in crate::dump) losses: Losses,
    /// The series of each, by its number in the batch.
    pub(super) series: Vec<u32>,
}

/// A record, and where its values are.
#[derive(Debug, Clone, Copy)]
struct Row {
    time: i64,
    /// The number of the series in the batch.
    series: u32,
    /// Where the columns of its stretch begin among those of all.
    columns: u32,
    /// Its place in the stretch.
    place: u32,
}

/// The values of a field in a stretch of records.
#[derive(Debug, Clone, Copy)]
enum Column<'a> {
    /// There are none.
    Absent,
    Float(&'a [f64]),
    Integer(&'a [i64]),
    Unsigned(&'a [u64]),
    Boolean(&'a [bool]),
    /// From a place on.
    String(&'a Strings, usize),
}

impl Column<'_> {
    /// Brings so many values close to the processor. Records are printed across many columns, more than it can foresee.
    fn touch(&self, rows: usize) {
        fn touch<T: Copy>(values: &[T], rows: usize) {
            let line = LINE / size_of::<T>();
            values.iter().take(rows).step_by(line).for_each(|value| _ = black_box(*value));
        }
        match self {
            Column::Absent => {}
            Column::Float(values) => touch(values, rows),
            Column::Integer(values) => touch(values, rows),
            Column::Unsigned(values) => touch(values, rows),
            Column::Boolean(values) => touch(values, rows),
            Column::String(values, from) => {
                let rows = (*from..from + rows).step_by(LINE / size_of::<usize>());
                rows.for_each(|row| _ = black_box(values.get(row).and_then(<[u8]>::first)));
            }
        }
    }
}

/// Bytes that a processor fetches at once.
const LINE: usize = 64;

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

    /// The values from here on.
    fn column(&self) -> Column<'a> {
        match self.runs.first().map(|run| &run.values) {
            None => Column::Absent,
            Some(Values::Float(values)) => Column::Float(&values[self.at..]),
            Some(Values::Integer(values)) => Column::Integer(&values[self.at..]),
            Some(Values::Unsigned(values)) => Column::Unsigned(&values[self.at..]),
            Some(Values::Boolean(values)) => Column::Boolean(&values[self.at..]),
            Some(Values::String(values)) => Column::String(values, self.at),
        }
    }
}

/// Prints what the batch has in a span, its end not included. `ready` has the points of each stream: runs in order of
/// time. They are printed on `sheet`, which is empty.
pub(super) fn print(
    batch: &Batch,
    printing: &Printing,
    ready: &[Vec<Points>],
    span: [i64; 2],
    sheet: Sheet,
) -> Printed {
    let mut found = Found::default();
    for (number, series) in batch.series.iter().enumerate() {
        found.add(u32::try_from(number).unwrap_or(u32::MAX), series, ready, span);
    }
    found.arrange();

    let mut printed = Printed {
        text: sheet,
        records: Vec::with_capacity(found.rows.len()),
        losses: Losses::default(),
        series: found.rows.iter().map(|row| row.series).collect(),
    };
    let (mut times, mut opening, mut of) = (Times::default(), Text::new(b""), None);
    let mut line = Vec::new();
    for row in &found.rows {
        if of != Some(row.time) {
            line.clear();
            times.append_opening(&mut line, row.time);
            (opening, of) = (Text::new(&line), Some(row.time));
        }
        let Printed { text, losses, records, .. } = &mut printed;
        opening.append(text);
        let series = &batch.series[row.series as usize];
        let columns = &found.columns[row.columns as usize..];
        match printing.cells {
            false => append::<false>(text, series, columns, row.place as usize, losses),
            true => append::<true>(text, series, columns, row.place as usize, losses),
        }
        losses.strings += series.losses;
        records.push((row.time, text.len()));
    }
    printed
}

/// Appends the members of a record and its end; as cells, each value is a text.
fn append<const CELLS: bool>(
    text: &mut Vec<u8>,
    series: &Series,
    columns: &[Column<'_>],
    place: usize,
    losses: &mut Losses,
) {
    for (member, column) in series.members.iter().zip(columns) {
        if matches!(column, Column::Absent) {
            text.extend_from_slice(&member.label.bytes()[..member.before]);
            continue;
        }
        member.label.append(text);
        if CELLS && !matches!(column, Column::String(..)) {
            text.push(b'"');
        }
        match column {
            Column::Absent => {}
            Column::Float(values) if values[place].is_finite() => json::append_float(text, values[place]),
            Column::Float(_) => {
                losses.floats += 1;
                text.extend_from_slice(if CELLS { b"" } else { b"null" });
            }
            Column::Integer(values) => json::append_integer(text, values[place]),
            Column::Unsigned(values) => json::append_unsigned(text, values[place]),
            Column::Boolean(values) => json::append_boolean(text, values[place]),
            Column::String(values, from) => {
                json::append_bytes(text, values.get(from + place).unwrap_or_default(), losses);
            }
        }
        if CELLS && !matches!(column, Column::String(..)) {
            text.push(b'"');
        }
    }
    series.closing.append(text);
}

/// The records of a span.
#[derive(Debug, Default)]
struct Found<'a> {
    rows: Vec<Row>,
    /// Where the rows of each series end.
    ends: Vec<usize>,
    columns: Vec<Column<'a>>,
}

impl<'a> Found<'a> {
    fn add(&mut self, number: u32, series: &Series, ready: &'a [Vec<Points>], span: [i64; 2]) {
        let cursors = series.members.iter().map(|member| Cursor::new(&ready[member.stream], span));
        let mut cursors: Vec<Cursor<'_>> = cursors.collect();
        loop {
            let Some(time) = cursors.iter().filter_map(|cursor| cursor.times().first()).min().copied() else {
                self.ends.push(self.rows.len());
                return;
            };
            let has = |cursor: &Cursor<'_>| cursor.times().first() == Some(&time);
            let columns = u32::try_from(self.columns.len()).unwrap_or(u32::MAX);
            let column = |cursor: &Cursor<'a>| if has(cursor) { cursor.column() } else { Column::Absent };
            self.columns.extend(cursors.iter().map(column));
            // Until a field comes that has no value yet.
            let others = cursors.iter().filter(|cursor| !has(cursor)).filter_map(|cursor| cursor.times().first());
            let times = together(cursors.iter().filter(|cursor| has(cursor)), others.min().copied());
            self.columns[columns as usize..].iter().for_each(|column| column.touch(times.len()));
            let row = |(place, time): (u32, &i64)| Row { time: *time, series: number, columns, place };
            self.rows.extend((0..).zip(times).map(row));
            cursors.iter_mut().filter(|cursor| has(cursor)).for_each(|cursor| cursor.advance(times.len()));
        }
    }
}

impl Found<'_> {
    /// Puts the rows into order: by time, then by series. Those of each series are in order already.
    fn arrange(&mut self) {
        let begins = [0].into_iter().chain(self.ends.iter().copied());
        let series = begins.zip(&self.ends).map(|(begins, ends)| &self.rows[begins..*ends]);
        let series: Vec<&[Row]> = series.filter(|rows| !rows.is_empty()).collect();
        let Some((first, others)) = series.split_first() else { return };
        let same = |rows: &&[Row]| {
            rows.len() == first.len() && rows.iter().zip(*first).all(|(one, other)| one.time == other.time)
        };
        // As a rule they all have the same times.
        if others.iter().all(same) {
            self.rows = (0..first.len()).flat_map(|place| series.iter().map(move |rows| rows[place])).collect();
        } else {
            self.rows.sort_by_key(|row| (row.time, row.series));
        }
    }
}

/// The times from here on that all these fields have, up to the first time that others have.
fn together<'a, 'b: 'a>(cursors: impl Iterator<Item = &'a Cursor<'b>>, others: Option<i64>) -> &'b [i64] {
    let before = |times: &'b [i64]| match others {
        Some(end) => &times[..times.partition_point(|time| *time < end)],
        None => times,
    };
    let alike = |ours: &'b [i64], theirs: &'b [i64]| match theirs.get(..ours.len()) {
        Some(theirs) if ours == theirs => ours,
        _ => &ours[..ours.iter().zip(theirs).take_while(|(ours, theirs)| ours == theirs).count()],
    };
    cursors.map(Cursor::times).reduce(alike).map(before).unwrap_or_default()
}
