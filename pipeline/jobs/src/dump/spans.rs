//! Spans of time, as InfluxDB counts it: nanoseconds since 1970 in 64 bits.

use archive::Window;
use chrono::{DateTime, NaiveDate, Utc};
use influx::Influx;

use super::schema::Origin;
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

/// Where a span must be cut so that a query meets one shard alone; both ends included.
pub(super) async fn cuts(influx: &Influx, origin: &Origin, span: [i64; 2]) -> Result<Vec<i64>, Error> {
    let mut cuts = span.to_vec();
    for series in influx.statement(None, "SHOW SHARDS").await? {
        let of = series.column("database").zip(series.column("retention_policy"));
        let times = series.column("start_time").zip(series.column("end_time"));
        for ((database, policy), (start, end)) in of.zip(times) {
            if database.as_str() == Some(&origin.database) && policy.as_str() == Some(&origin.policy) {
                let instants = [start, end].map(|time| DateTime::parse_from_rfc3339(time.as_str().unwrap_or_default()));
                let instants = instants.into_iter().flatten().map(|instant| nanoseconds(instant.to_utc()));
                cuts.extend(instants.filter(|instant| span[0] < *instant && *instant < span[1]));
            }
        }
    }
    cuts.sort_unstable();
    cuts.dedup();
    Ok(cuts)
}
