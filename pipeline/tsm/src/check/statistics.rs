//! What the measurements of a shard hold, added up key by key.

use std::collections::BTreeMap;

use crate::{Kind, key};

/// Measurements by their names, as the server shows them.
pub type Measurements = BTreeMap<Vec<u8>, Measurement>;

/// What a measurement shows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Measurement {
    /// How many series have a point.
    pub series: u64,
    /// Its fields by their names. Within a shard the server takes one type for a field; others may be there all the same
    /// after a measurement was dropped and made again.
    pub fields: BTreeMap<Vec<u8>, BTreeMap<Kind, Field>>,
}

/// What a field shows of one type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// How many series have a point of it.
    pub keys: u64,
    /// How many points there are.
    pub points: u64,
    /// The first time, in nanoseconds since 1970.
    pub first: i64,
    /// The last time.
    pub last: i64,
}

impl Field {
    /// Adds what was found elsewhere.
    pub fn add(&mut self, other: &Field) {
        self.keys = self.keys.saturating_add(other.keys);
        self.points = self.points.saturating_add(other.points);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

/// What one key shows of each type, in the order of their codes.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Shown([Option<Field>; 5]);

impl Shown {
    /// Some more points, of which there is at least one.
    pub(super) fn add(&mut self, kind: Kind, points: u64, first: i64, last: i64) {
        let Some(shown) = self.0.get_mut(usize::from(kind.code())) else { return };
        // However many blocks it has, the key is one.
        let keys = if shown.is_some() { 0 } else { 1 };
        add(shown, &Field { keys, points, first, last });
    }
}

fn add(to: &mut Option<Field>, field: &Field) {
    match to {
        Some(to) => to.add(field),
        None => *to = Some(*field),
    }
}

/// Adds up keys, which come in ascending order, so that those of a series follow each other; those of a measurement do
/// as a rule.
#[derive(Debug, Default)]
pub(super) struct Statistics {
    measurements: Measurements,
    /// The measurement of the last key as it stands there, and what it has so far.
    measurement: Vec<u8>,
    series: u64,
    fields: BTreeMap<Vec<u8>, [Option<Field>; 5]>,
    /// The last series that was counted.
    counted: Vec<u8>,
}

impl Statistics {
    /// Adds what a key shows, if anything.
    pub(super) fn add(&mut self, key: &[u8], shown: Shown) {
        if shown.0.iter().all(Option::is_none) {
            return;
        }
        let (series, field) = key::split(key).unwrap_or((key, &[]));
        let (measurement, _) = key::escaped_measurement(series);
        if measurement != self.measurement {
            self.settle();
            self.measurement.extend_from_slice(measurement);
        }
        if series != self.counted || self.series == 0 {
            self.series = self.series.saturating_add(1);
            self.counted.clear();
            self.counted.extend_from_slice(series);
        }
        if !self.fields.contains_key(field) {
            self.fields.insert(field.to_vec(), [None; 5]);
        }
        let Some(fields) = self.fields.get_mut(field) else { return };
        for (to, shown) in fields.iter_mut().zip(&shown.0) {
            if let Some(shown) = shown {
                add(to, shown);
            }
        }
    }

    /// Puts what the current measurement has to what was found of the same name before, which escapes may have kept
    /// apart.
    fn settle(&mut self) {
        let name = std::mem::take(&mut self.measurement);
        let (series, fields) = (std::mem::take(&mut self.series), std::mem::take(&mut self.fields));
        if series == 0 {
            return;
        }
        let measurement = self.measurements.entry(key::measurement(&name).into_owned()).or_default();
        measurement.series = measurement.series.saturating_add(series);
        for (name, kinds) in fields {
            let field = measurement.fields.entry(name).or_default();
            for (code, shown) in (0..).zip(kinds) {
                if let (Some(kind), Some(shown)) = (Kind::from_code(code), shown) {
                    field.entry(kind).and_modify(|field| field.add(&shown)).or_insert(shown);
                }
            }
        }
    }

    pub(super) fn finish(mut self) -> Measurements {
        self.settle();
        self.measurements
    }
}
