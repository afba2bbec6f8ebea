//! Points: times, and the values of one field at them.

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
        let begins = match index.checked_sub(1) {
            Some(previous) => *self.ends.get(previous)?,
            None => 0,
        };
        self.bytes.get(begins..ends)
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
}
