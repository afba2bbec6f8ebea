//! Points: times, and the values of one field at them.

use std::ops::Range;

/// The type of a field's values, as a block names it. The codes are those of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// IEEE 754 double precision.
    Float,
    /// Signed, 64 bits.
    Integer,
    /// True and false.
    Boolean,
    /// Bytes, UTF-8 as a rule and not by any check of the server.
    String,
    /// Unsigned, 64 bits.
    Unsigned,
}

impl Kind {
    /// The type with this code in a file.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Kind> {
        Some(match code {
            0 => Kind::Float,
            1 => Kind::Integer,
            2 => Kind::Boolean,
            3 => Kind::String,
            4 => Kind::Unsigned,
            _ => return None,
        })
    }

    /// Its code in a file.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Kind::Float => 0,
            Kind::Integer => 1,
            Kind::Boolean => 2,
            Kind::String => 3,
            Kind::Unsigned => 4,
        }
    }

    /// Its name, as `SHOW FIELD KEYS` has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Float => "float",
            Kind::Integer => "integer",
            Kind::Boolean => "boolean",
            Kind::String => "string",
            Kind::Unsigned => "unsigned",
        }
    }
}

/// Values of one type, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Doubles.
    Float(Vec<f64>),
    /// Signed integers.
    Integer(Vec<i64>),
    /// Booleans.
    Boolean(Vec<bool>),
    /// Strings.
    String(Strings),
    /// Unsigned integers.
    Unsigned(Vec<u64>),
}

impl Values {
    /// No values of a type.
    #[must_use]
    pub fn empty(kind: Kind) -> Values {
        match kind {
            Kind::Float => Values::Float(Vec::new()),
            Kind::Integer => Values::Integer(Vec::new()),
            Kind::Boolean => Values::Boolean(Vec::new()),
            Kind::String => Values::String(Strings::default()),
            Kind::Unsigned => Values::Unsigned(Vec::new()),
        }
    }

    /// Their type.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Values::Float(_) => Kind::Float,
            Values::Integer(_) => Kind::Integer,
            Values::Boolean(_) => Kind::Boolean,
            Values::String(_) => Kind::String,
            Values::Unsigned(_) => Kind::Unsigned,
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Values::Float(values) => values.len(),
            Values::Integer(values) => values.len(),
            Values::Boolean(values) => values.len(),
            Values::String(values) => values.len(),
            Values::Unsigned(values) => values.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Appends some of other values. Nothing happens when those are of another type, or not there.
    fn append(&mut self, other: &Values, range: Range<usize>) {
        match (self, other) {
            (Values::Float(to), Values::Float(from)) => to.extend_from_slice(from.get(range).unwrap_or_default()),
            (Values::Integer(to), Values::Integer(from)) => to.extend_from_slice(from.get(range).unwrap_or_default()),
            (Values::Boolean(to), Values::Boolean(from)) => to.extend_from_slice(from.get(range).unwrap_or_default()),
            (Values::String(to), Values::String(from)) => to.append(from, range),
            (Values::Unsigned(to), Values::Unsigned(from)) => to.extend_from_slice(from.get(range).unwrap_or_default()),
            _ => {}
        }
    }

    /// Takes some of them away.
    fn remove(&mut self, range: Range<usize>) {
        match self {
            Values::Float(values) => drop(values.drain(range)),
            Values::Integer(values) => drop(values.drain(range)),
            Values::Boolean(values) => drop(values.drain(range)),
            Values::String(values) => values.remove(range),
            Values::Unsigned(values) => drop(values.drain(range)),
        }
    }
}

/// Strings one after the other in one piece of memory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Strings {
    pub(crate) bytes: Vec<u8>,
    /// Where each ends.
    pub(crate) ends: Vec<usize>,
}

impl Strings {
    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// One of them, counted from 0.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        let ends = *self.ends.get(index)?;
        self.bytes.get(self.begin(index)..ends)
    }

    /// Where one of them begins, or would begin behind the last.
    fn begin(&self, index: usize) -> usize {
        index.checked_sub(1).and_then(|previous| self.ends.get(previous)).copied().unwrap_or(0)
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        (0..self.len()).map(|index| self.get(index).unwrap_or_default())
    }

    /// Appends one.
    pub fn push(&mut self, string: &[u8]) {
        self.bytes.extend_from_slice(string);
        self.ends.push(self.bytes.len());
    }

    /// Appends some of other strings.
    fn append(&mut self, other: &Strings, range: Range<usize>) {
        let begins = other.begin(range.start);
        let grown_by = self.bytes.len();
        self.bytes.extend_from_slice(other.bytes.get(begins..other.begin(range.end)).unwrap_or_default());
        let ends = other.ends.get(range).unwrap_or_default();
        self.ends.extend(ends.iter().map(|end| end.wrapping_sub(begins).wrapping_add(grown_by)));
    }

    /// Takes some of them away.
    fn remove(&mut self, range: Range<usize>) {
        let bytes = self.begin(range.start)..self.begin(range.end);
        for end in self.ends.get_mut(range.end..).unwrap_or_default() {
            *end = end.saturating_sub(bytes.len());
        }
        self.ends.drain(range);
        self.bytes.drain(bytes);
    }

    /// Forgets all, and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

/// Values and their times.
#[derive(Debug, Clone, PartialEq)]
pub struct Points {
    /// Nanoseconds since 1970, strictly ascending.
    pub times: Vec<i64>,
    /// As many as there are times.
    pub values: Values,
}

impl Points {
    /// No points of a type.
    #[must_use]
    pub fn empty(kind: Kind) -> Points {
        Points { times: Vec::new(), values: Values::empty(kind) }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.times.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.times.is_empty()
    }

    /// Takes away the points from `first` to `last`, both included, as a deletion does.
    pub fn remove(&mut self, first: i64, last: i64) {
        let range = self.range(first, last);
        if !range.is_empty() {
            self.values.remove(range.clone());
            self.times.drain(range);
        }
    }

    /// Takes away all but the points from `first` to `last`, both included.
    pub fn keep(&mut self, first: i64, last: i64) {
        let Range { start, end } = self.range(first, last);
        for range in [end..self.len(), 0..start] {
            self.values.remove(range.clone());
            self.times.drain(range);
        }
    }

    /// Takes away the points from a place on, and gives them back.
    #[must_use]
    pub fn split_off(&mut self, at: usize) -> Points {
        let range = at.min(self.len())..self.len();
        let mut rest = Points::empty(self.values.kind());
        rest.append(self, range.clone());
        self.values.remove(range.clone());
        self.times.truncate(range.start);
        rest
    }

    /// Memory that they take, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        let values = match &self.values {
            Values::Float(values) => size_of_val(values.as_slice()),
            Values::Integer(values) => size_of_val(values.as_slice()),
            Values::Boolean(values) => values.len(),
            Values::String(Strings { bytes, ends }) => bytes.len().saturating_add(size_of_val(ends.as_slice())),
            Values::Unsigned(values) => size_of_val(values.as_slice()),
        };
        values.saturating_add(size_of_val(self.times.as_slice()))
    }

    /// Appends some points of the same type, which must all be later than those there are.
    pub(crate) fn append(&mut self, other: &Points, range: Range<usize>) {
        self.values.append(&other.values, range.clone());
        self.times.extend_from_slice(other.times.get(range).unwrap_or_default());
    }

    /// Which of them lie from `first` to `last`; an empty range at its place when none does.
    fn range(&self, first: i64, last: i64) -> Range<usize> {
        let start = self.times.partition_point(|time| *time < first);
        let end = self.times.partition_point(|time| *time <= last);
        start..end.max(start)
    }
}
