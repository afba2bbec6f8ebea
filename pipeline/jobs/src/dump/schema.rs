//! What a measurement consists of: its tags and fields, and how to ask for them.
//!
//! The query names every tag and field (`"host"::tag`, `"host"::field`) and takes the columns of the answer by their
//! place, so that names which are both do no harm. What InfluxDB 1.6.7 does with odd names, and what becomes of them:
//!
//! - `time`: the server drops such a field from the point and refuses such a tag. Where old files have one, queries
//!   cannot reach it; it is left out and said so.
//! - Fields called `_name`, `_tagKey`, `_tagValue`, `_seriesKey` and `_fieldKey`: the server stores them, but queries
//!   answer names of its own in their place, in rows at 1970-01-01 that nobody wrote. They are left out and said so.
//!   (Tags may be called like that, and so may fields with other underscores.)
//! - Names with bytes that are no UTF-8 cannot be written in a query; they are left out and said so.
//! - A field that has different types in different shards: a query that spans them answers the values of one type
//!   alone. The window is then cut at the borders of the shards, within which a field has one type. Where shards
//!   overlap, no cut makes a query meet one of them alone, and the measurement is refused.

use std::collections::BTreeMap;
use std::fmt;

use influx::{Influx, quote_identifier};

use super::columns::Columns;
use crate::Error;

const UNREACHABLE_FIELDS: [&str; 5] = ["_name", "_tagKey", "_tagValue", "_seriesKey", "_fieldKey"];

/// A measurement in a retention policy of a database.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Origin {
    pub(super) database: String,
    pub(super) policy: String,
    pub(super) measurement: String,
}

/// Its tags and fields.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Schema {
    pub(super) columns: Columns,
    /// Fields that have several types.
    pub(super) mixed: Vec<Mixed>,
    /// Names that are left out.
    pub(super) unreachable: Vec<String>,
}

/// A field that has several types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mixed {
    pub(super) field: String,
    /// In the server's words, such as `float`.
    pub(super) types: Vec<String>,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Origin { database, policy, measurement } = self;
        write!(f, "{measurement} of {database}.{policy}")
    }
}

impl Origin {
    fn from(&self) -> String {
        let Origin { database, policy, measurement } = self;
        [database, policy, measurement].map(|name| quote_identifier(name)).join(".")
    }

    /// The query for everything in a span of time, in nanoseconds since 1970, its end not included.
    pub(super) fn query(&self, columns: &Columns, start: i64, end: i64) -> String {
        let tags = columns.tags().iter().map(|tag| format!("{}::tag", quote_identifier(tag)));
        let fields = columns.fields().iter().map(|field| format!("{}::field", quote_identifier(field)));
        let columns = tags.chain(fields).collect::<Vec<_>>().join(", ");
        // As numbers, and both included: the server refuses its own first instant, and the one after its last,
        // when they are written as dates.
        format!("SELECT {columns} FROM {} WHERE time >= {start} AND time <= {}", self.from(), end.saturating_sub(1))
    }
}

/// Asks for the tags and fields of a measurement; `None` when the policy has no such measurement.
pub(super) async fn read(influx: &Influx, origin: &Origin) -> Result<Option<Schema>, Error> {
    let [fields, types] = keys(influx, origin, "SHOW FIELD KEYS", ["fieldKey", "fieldType"]).await?;
    if fields.is_empty() {
        return Ok(None);
    }
    let [tags] = keys(influx, origin, "SHOW TAG KEYS", ["tagKey"]).await?;
    Ok(Some(Schema::new(tags, fields.into_iter().zip(types))))
}

/// What a statement shows of a measurement, column by column.
async fn keys<const N: usize>(
    influx: &Influx,
    origin: &Origin,
    show: &str,
    columns: [&str; N],
) -> Result<[Vec<String>; N], Error> {
    let from = [&origin.policy, &origin.measurement].map(|name| quote_identifier(name)).join(".");
    let statement = format!("{show} ON {} FROM {from}", quote_identifier(&origin.database));
    let series = influx.statement(None, &statement).await?;
    Ok(columns.map(|column| texts(&series, column)))
}

impl Schema {
    /// `fields` has a name once for each of its types.
    pub(super) fn new(mut tags: Vec<String>, fields: impl IntoIterator<Item = (String, String)>) -> Schema {
        let mut unreachable = Vec::new();
        let nameless = |name: &str| name == "time" || name.contains('\u{fffd}');
        tags.retain(|tag| {
            let kept = !nameless(tag);
            if !kept {
                unreachable.push(format!("the tag {tag:?}"));
            }
            kept
        });
        let mut types: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (field, kind) in fields {
            types.entry(field).or_default().push(kind);
        }
        types.retain(|field, _| {
            let kept = !nameless(field) && !UNREACHABLE_FIELDS.contains(&field.as_str());
            if !kept {
                unreachable.push(format!("the field {field:?}"));
            }
            kept
        });
        let fields = types.keys().cloned().collect();
        let mixed = types.into_iter().filter(|(_, types)| types.len() > 1);
        let mixed = mixed.map(|(field, types)| Mixed { field, types }).collect();
        Schema { columns: Columns::new(tags, fields), mixed, unreachable }
    }

    /// What a person should know about the names.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for clash in self.columns.clashes() {
            warnings.push(format!(
                "{clash:?} is both a tag and a field: where a series has the tag, the field is called {:?}",
                format!("{clash}::field")
            ));
        }
        for name in &self.unreachable {
            warnings.push(format!("{name} is left out: InfluxDB cannot be asked for a name like this"));
        }
        for Mixed { field, .. } in &self.mixed {
            warnings
                .push(format!("the field {field:?} has different types in different shards; each value has its own"));
        }
        warnings
    }
}

/// The other policies among `policies` that have the measurement.
pub(super) async fn elsewhere(influx: &Influx, origin: &Origin, policies: &[String]) -> Result<Vec<String>, Error> {
    let mut found = Vec::new();
    for policy in policies.iter().filter(|policy| **policy != origin.policy) {
        let other = Origin { policy: policy.clone(), ..origin.clone() };
        let [fields] = keys(influx, &other, "SHOW FIELD KEYS", ["fieldKey"]).await?;
        if !fields.is_empty() {
            found.push(policy.clone());
        }
    }
    Ok(found)
}

/// Names of all measurements that a policy has.
pub(super) async fn in_policy(influx: &Influx, database: &str, policy: &str) -> Result<Vec<String>, Error> {
    let [database, policy] = [database, policy].map(quote_identifier);
    let series = influx.statement(None, &format!("SHOW FIELD KEYS ON {database} FROM {policy}./.*/")).await?;
    let mut names: Vec<String> = series.into_iter().map(|series| series.name).collect();
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// Names of some measurements of a database, at most `limit`.
pub(super) async fn measurements(influx: &Influx, database: &str, limit: usize) -> Result<Vec<String>, Error> {
    let statement = format!("SHOW MEASUREMENTS ON {} LIMIT {limit}", quote_identifier(database));
    Ok(texts(&influx.statement(None, &statement).await?, "name"))
}

fn texts(series: &[influx::Series], column: &str) -> Vec<String> {
    series
        .iter()
        .flat_map(|series| series.column(column))
        .filter_map(|value| value.as_str())
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    fn typed<'a>(fields: &'a [(&str, &str)]) -> impl Iterator<Item = (String, String)> + 'a {
        fields.iter().map(|&(field, kind)| (field.to_owned(), kind.to_owned()))
    }

    #[test]
    fn the_query_names_tags_and_fields_apart() {
        let origin = Origin { database: "db".into(), policy: "r p".into(), measurement: "m\"x\\".into() };
        let columns = Columns::new(owned(&["host", "a\nb"]), owned(&["host", "été"]));
        assert_eq!(
            origin.query(&columns, 1_465_596_000_000_000_000, 1_465_603_200_000_000_001),
            "SELECT \"a\\nb\"::tag, \"host\"::tag, \"host\"::field, \"été\"::field FROM \"db\".\"r p\".\"m\\\"x\\\\\" \
             WHERE time >= 1465596000000000000 AND time <= 1465603200000000000"
        );
    }

    #[test]
    fn names_that_cannot_be_asked_for_are_left_out_and_told() {
        let fields = ["v", "_name", "x\u{fffd}", "_time", "time"].map(|field| (field, "float"));
        let schema = Schema::new(owned(&["host", "time", "_name"]), typed(&fields));
        assert_eq!(schema.columns, Columns::new(owned(&["_name", "host"]), owned(&["_time", "v"])));
        let unreachable = ["the tag \"time\"", "the field \"_name\"", "the field \"time\"", "the field \"x\u{fffd}\""];
        assert_eq!(schema.unreachable, unreachable);
        assert_eq!(schema.warnings().len(), 4);
    }

    #[test]
    fn a_field_with_several_types_is_found() {
        let fields = [("v", "float"), ("w", "float"), ("v", "string"), ("_name", "float"), ("_name", "string")];
        let schema = Schema::new(owned(&[]), typed(&fields));
        assert_eq!(schema.mixed, [Mixed { field: "v".into(), types: owned(&["float", "string"]) }]);
        assert_eq!(schema.columns.fields(), ["v", "w"]);
    }
}
