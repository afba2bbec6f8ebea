//! What the shards of a night hold together, by measurement and field.

use std::collections::BTreeMap;

use archive::manifest::{FieldRecord, MeasurementRecord};

/// Adds up what shards hold. Series and keys are those of each shard: a series that has points in five counts five times.
#[derive(Debug, Default)]
pub(crate) struct Sum {
    measurements: BTreeMap<[String; 3], Measurement>,
}

/// Fields by name and type, and how many series have any.
#[derive(Debug, Default)]
struct Measurement {
    series: u64,
    fields: BTreeMap<(String, String), FieldRecord>,
}

impl Sum {
    /// Adds a shard.
    pub(crate) fn add(&mut self, shard: u64, holds: impl IntoIterator<Item = MeasurementRecord>) {
        for MeasurementRecord { database, retention_policy, measurement, series, fields } in holds {
            let sum = self.measurements.entry([database, retention_policy, measurement]).or_default();
            sum.series += series;
            for mut field in fields {
                field.shards = vec![shard];
                match sum.fields.get_mut(&(field.field.clone(), field.kind.clone())) {
                    Some(sum) => add(sum, field),
                    None => drop(sum.fields.insert((field.field.clone(), field.kind.clone()), field)),
                }
            }
        }
    }

    /// The whole, in byte order.
    pub(crate) fn finish(self) -> Vec<MeasurementRecord> {
        let measurements = self.measurements.into_iter();
        measurements
            .map(|([database, retention_policy, measurement], Measurement { series, fields })| {
                let mut fields: Vec<FieldRecord> = fields.into_values().collect();
                for types in fields.chunk_by_mut(|one, other| one.field == other.field) {
                    match types {
                        [only] => only.shards.clear(),
                        several => several.iter_mut().for_each(order_shards),
                    }
                }
                MeasurementRecord { database, retention_policy, measurement, series, fields }
            })
            .collect()
    }
}

/// Names of fields that are no UTF-8 may have become one, so a shard may have come twice.
fn order_shards(field: &mut FieldRecord) {
    field.shards.sort_unstable();
    field.shards.dedup();
}

fn add(sum: &mut FieldRecord, field: FieldRecord) {
    sum.keys += field.keys;
    sum.points += field.points;
    sum.first = sum.first.min(field.first);
    sum.last = sum.last.max(field.last);
    sum.shards.extend(field.shards);
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    fn field(field: &str, kind: &str, points: u64, [first, last]: [i64; 2]) -> FieldRecord {
        let [first, last] = [first, last].map(DateTime::from_timestamp_nanos);
        FieldRecord { field: field.to_owned(), kind: kind.to_owned(), keys: 1, points, first, last, shards: vec![] }
    }

    fn measurement(name: &str, fields: Vec<FieldRecord>) -> MeasurementRecord {
        let [database, retention_policy, measurement] = ["db", "p", name].map(str::to_owned);
        MeasurementRecord { database, retention_policy, measurement, series: 2, fields }
    }

    #[test]
    fn shards_are_added_up_and_named_only_where_a_field_has_several_types() {
        let mut sum = Sum::default();
        sum.add(7, [measurement("m", vec![field("a", "float", 5, [3, 9]), field("b", "float", 1, [1, 1])])]);
        sum.add(2, [measurement("m", vec![field("a", "float", 2, [20, 30]), field("b", "string", 4, [2, 2])])]);
        sum.add(3, [measurement("k", vec![]), measurement("m", vec![field("b", "float", 1, [0, 5])])]);
        let found = sum.finish();
        let a = FieldRecord { keys: 2, ..field("a", "float", 7, [3, 30]) };
        let b = FieldRecord { keys: 2, shards: vec![3, 7], ..field("b", "float", 2, [0, 5]) };
        let c = FieldRecord { shards: vec![2], ..field("b", "string", 4, [2, 2]) };
        let m = MeasurementRecord { series: 6, ..measurement("m", vec![a, b, c]) };
        assert_eq!(found, [measurement("k", vec![]), m]);
    }
}
