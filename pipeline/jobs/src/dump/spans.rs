//! Spans of time to ask for, as InfluxDB counts it: nanoseconds since 1970 in 64 bits.

use std::collections::BTreeSet;

use archive::Window;
use chrono::{DateTime, NaiveDate, Utc};
use influx::{Influx, quote_identifier};
use serde_json::Value;

use super::schema::{Mixed, Origin};
use crate::{Error, Kind};

/// The first instant that a point may have; the two numbers below it have other meanings in InfluxDB.
const FIRST: i64 = i64::MIN + 2;

/// The last instant that a point may have.
const LAST: i64 = i64::MAX - 1;

/// The nanoseconds of a day of which InfluxDB can hold points: the first one, and the first one after them.
pub(super) fn span(day: NaiveDate, window: Window) -> Result<[i64; 2], Error> {
    let [start, end] = [window.start, window.end].map(nanoseconds);
    if start == end {
        let [first, last] = [FIRST, LAST].map(DateTime::from_timestamp_nanos);
        let error = Error::new(Kind::Usage, format!("InfluxDB cannot hold points of the day {day}"));
        return Err(error.hint(format!("its time goes from {first} to {last}")));
    }
    Ok([start, end])
}

/// Nanoseconds since 1970; what lies outside of InfluxDB's time becomes its first instant, or the one after its last.
fn nanoseconds(instant: DateTime<Utc>) -> i64 {
    let bound = if instant.timestamp() < 0 { FIRST } else { LAST + 1 };
    instant.timestamp_nanos_opt().unwrap_or(bound).clamp(FIRST, LAST + 1)
}

/// A shard, and the time of which it holds points, its end not included.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Shard {
    start: i64,
    end: i64,
    id: i64,
}

/// Where a span must be cut so that a query meets one shard alone, both ends included; `mixed` are the fields for
/// which that is needed.
///
/// Shards overlap once the shard duration of their policy was changed. A query that meets several of them answers the
/// values of one type of a field and is silent about the others, so there is no span to ask for then.
pub(super) async fn cuts(influx: &Influx, origin: &Origin, span: [i64; 2], mixed: &[Mixed]) -> Result<Vec<i64>, Error> {
    if mixed.is_empty() {
        return Ok(span.to_vec());
    }
    let shards = shards(influx, origin, span).await?;
    let overlapping = overlapping(&shards);
    if !overlapping.is_empty() {
        return Err(inseparable(origin, mixed, &overlapping));
    }
    let borders = shards.iter().flat_map(|shard| [shard.start, shard.end]);
    let mut cuts: Vec<i64> = borders.filter(|border| span[0] < *border && *border < span[1]).chain(span).collect();
    cuts.sort_unstable();
    cuts.dedup();
    Ok(cuts)
}

/// The shards of a policy that meet a span.
async fn shards(influx: &Influx, origin: &Origin, span: [i64; 2]) -> Result<Vec<Shard>, Error> {
    let mut shards = Vec::new();
    for series in influx.statement(None, "SHOW SHARDS").await? {
        let of = series.column("database").zip(series.column("retention_policy"));
        let times = series.column("start_time").zip(series.column("end_time"));
        for (((database, policy), (start, end)), id) in of.zip(times).zip(series.column("id")) {
            if database.as_str() != Some(&origin.database) || policy.as_str() != Some(&origin.policy) {
                continue;
            }
            let instant = |time: &Value| DateTime::parse_from_rfc3339(time.as_str()?).ok();
            let (Some(start), Some(end), Some(id)) = (instant(start), instant(end), id.as_i64()) else {
                let what = format!("{series:?}");
                return Err(Error::new(Kind::Failed, format!("cannot dump {origin}: SHOW SHARDS answered {what}")));
            };
            let shard = Shard { start: nanoseconds(start.to_utc()), end: nanoseconds(end.to_utc()), id };
            if shard.start < span[1] && span[0] < shard.end {
                shards.push(shard);
            }
        }
    }
    Ok(shards)
}

/// The ids of the shards that share time with another one.
fn overlapping(shards: &[Shard]) -> BTreeSet<i64> {
    let meets = |one: &Shard, other: &Shard| one.id != other.id && one.start < other.end && other.start < one.end;
    shards.iter().filter(|one| shards.iter().any(|other| meets(one, other))).map(|shard| shard.id).collect()
}

fn inseparable(origin: &Origin, mixed: &[Mixed], shards: &BTreeSet<i64>) -> Error {
    let fields = mixed.iter().map(|Mixed { field, types }| format!("the field {field:?} is {}", types.join(" and ")));
    let fields = fields.collect::<Vec<_>>().join(", ");
    let shards = shards.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
    let message = format!(
        "cannot dump {origin}: {fields}, and the shards {shards} of the day overlap, so that a query would leave \
         records out"
    );
    let select = mixed.iter().take(1).flat_map(|Mixed { field, types }| types.iter().map(move |kind| (field, kind)));
    let select = select.map(|(field, kind)| format!("{}::{kind}", quote_identifier(field))).collect::<Vec<_>>();
    Error::new(Kind::Failed, message)
        .hint(format!("nothing is lost in the backup; a query can name the types, as in SELECT {}", select.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_that_touch_do_not_overlap() {
        // Start and end of the shards 0, 1, 2 …, and which of them overlap.
        let table = [
            (vec![(0, 10), (10, 20), (20, 30)], vec![]),
            (vec![(0, 30), (10, 20)], vec![0, 1]),
            (vec![(10, 20), (0, 11), (30, 40)], vec![0, 1]),
            (vec![(0, 10), (0, 10)], vec![0, 1]),
            (vec![(2, 3), (3, 4), (0, 24), (24, 48)], vec![0, 1, 2]),
        ];
        for (times, expected) in table {
            let shard = |(id, &(start, end))| Shard { start, end, id };
            let shards: Vec<Shard> = (0..).zip(&times).map(shard).collect();
            assert_eq!(overlapping(&shards).into_iter().collect::<Vec<_>>(), expected, "{times:?}");
        }
    }
}
