//! Rows of one series, packed: sixteen bytes a value, and one buffer for all texts.

use std::sync::Arc;

/// Rows of one series of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// Name of the measurement. (Bytes that are no UTF-8 are replaced, here and in other names.)
    pub measurement: String,
    /// Tags by name, if the query groups by them; their values may be any bytes.
    pub tags: Vec<(String, Vec<u8>)>,
    /// Names of the columns; the first is `time`.
    pub columns: Arc<[String]>,
    pub(super) cells: Vec<Cell>,
    pub(super) text: Vec<u8>,
}

/// A value as it is kept: a text by its place in the batch's buffer.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Cell {
    Null,
    Boolean(bool),
    Integer(i64),
    Unsigned(u64),
    Float(f64),
    Text { start: u32, length: u32 },
}

/// A value of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    /// The row has no such field or tag.
    Null,
    /// A boolean field.
    Boolean(bool),
    /// An integer field, or a time in nanoseconds since 1970.
    Integer(i64),
    /// A field of unsigned integers, from servers that were built with them. Those below 128 come as
    /// [`Value::Integer`]: MessagePack writes both alike.
    Unsigned(u64),
    /// A float field, bit by bit as the server holds it.
    Float(f64),
    /// A string field or a tag. InfluxDB does not ask for UTF-8, so these may be any bytes.
    String(&'a [u8]),
}

impl Batch {
    /// How many rows there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.cells.len().checked_div(self.columns.len()).unwrap_or(0)
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// One row.
    ///
    /// # Panics
    ///
    /// If `index` is not below [`Batch::len`].
    #[must_use]
    pub fn row(&self, index: usize) -> Row<'_> {
        let width = self.columns.len();
        Row { batch: self, cells: &self.cells[index * width..(index + 1) * width] }
    }

    /// All rows in the order of the answer.
    pub fn rows(&self) -> impl ExactSizeIterator<Item = Row<'_>> {
        (0..self.len()).map(|index| self.row(index))
    }

    /// Bytes of memory which the values take.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.cells.capacity() * size_of::<Cell>() + self.text.capacity()
    }

    fn value(&self, cell: Cell) -> Value<'_> {
        match cell {
            Cell::Null => Value::Null,
            Cell::Boolean(value) => Value::Boolean(value),
            Cell::Integer(value) => Value::Integer(value),
            Cell::Unsigned(value) => Value::Unsigned(value),
            Cell::Float(value) => Value::Float(value),
            Cell::Text { start, length } => Value::String(&self.text[start as usize..start as usize + length as usize]),
        }
    }
}

/// One row of a [`Batch`].
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    batch: &'a Batch,
    cells: &'a [Cell],
}

impl<'a> Row<'a> {
    /// The value in a column.
    ///
    /// # Panics
    ///
    /// If there is no such column.
    #[must_use]
    pub fn get(&self, column: usize) -> Value<'a> {
        self.batch.value(self.cells[column])
    }

    /// The values of all columns.
    pub fn values(&self) -> impl ExactSizeIterator<Item = Value<'a>> + use<'a> {
        let batch = self.batch;
        self.cells.iter().map(move |cell| batch.value(*cell))
    }

    /// What stands in the first column, which InfluxQL calls `time`: nanoseconds since 1970; `None` if it is no number.
    #[must_use]
    pub fn time(&self) -> Option<i64> {
        match self.cells.first() {
            Some(Cell::Integer(time)) => Some(*time),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_takes_sixteen_bytes() {
        assert_eq!(size_of::<Cell>(), 16);
    }
}
