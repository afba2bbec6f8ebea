//! Counts the points of the restored databases, as the server finds them: per measurement and field, in slices of time.
//!
//! A slice never exceeds a day or a shard group, so that a query's work is bounded by a day of one measurement, and so
//! that a field has one type in it: over several shards InfluxDB counts the values of one type of a field and is silent
//! about the others.

use std::collections::{BTreeMap, BTreeSet};

use archive::records::{PointCount, Proof};
use futures_util::future::try_join_all;
use influx::metastore::{Data, Policy};
use influx::{Influx, Series, quote_identifier};
use serde_json::Value;

use crate::{Error, Event, Progress};

/// The longest slice, a day in nanoseconds.
const SLICE: i64 = 86_400_000_000_000;

/// Into so many slices a shard group is cut at most.
const SLICES: i64 = 64;

/// Measurements that one request asks for, each by a query of its own.
const MEASUREMENTS: usize = 16;

/// A sample has the newest slice, and each one that is so many older.
const SAMPLED: usize = 10;

/// How much is counted after a restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prove {
    /// Every point.
    All,
    /// The points of the newest slice of each retention policy, and of one in ten others.
    Sample,
    /// Nothing: every shard has answered, and that is all.
    None,
}

impl Prove {
    pub(super) fn name(self) -> &'static str {
        match self {
            Prove::All => "all",
            Prove::Sample => "sample",
            Prove::None => "none",
        }
    }
}

/// A question: points of some measurements in a span of time.
struct Question<'a> {
    database: &'a str,
    policy: &'a str,
    measurements: &'a [String],
    span: [i64; 2],
}

/// Counts the points of these databases; requests run `parallel` at once.
///
/// # Errors
///
/// When the server does not answer.
pub(super) async fn all(
    influx: &Influx,
    databases: &[String],
    prove: Prove,
    parallel: usize,
    progress: &dyn Progress,
) -> Result<Option<Proof>, Error> {
    if prove == Prove::None {
        return Ok(None);
    }
    progress.report(Event::Step("counting points"));
    let served: Data = influx.snapshot().metastore().await?.data;
    let (mut counts, mut notes, mut asked) = (BTreeMap::new(), BTreeSet::new(), 0u64);
    for name in databases {
        let Some(database) = served.database(name) else { continue };
        let measurements = measurements(influx, name).await?;
        for policy in &database.policies {
            let (spans, uncounted) = spans(policy);
            notes.extend(uncounted.into_iter().map(|why| format!("{name}.{}: {why}", policy.name)));
            let spans = spans.into_iter().rev().enumerate();
            let spans = spans.filter(|(age, _)| prove == Prove::All || age % SAMPLED == 0).map(|(_, span)| span);
            let mut questions = Vec::new();
            for span in spans {
                questions.extend(measurements.chunks(MEASUREMENTS).map(|measurements| Question {
                    database: name,
                    policy: &policy.name,
                    measurements,
                    span,
                }));
            }
            for batch in questions.chunks(parallel.max(1)) {
                let answers: Vec<_> = batch.iter().map(|question| ask(influx, question)).collect();
                for (series, refused) in try_join_all(answers).await? {
                    asked += 1;
                    notes.extend(refused.into_iter().map(|why| format!("{name}.{}: {why}", policy.name)));
                    series.iter().for_each(|series| add(&mut counts, (name, &policy.name), series));
                }
            }
        }
    }
    let points = counts.into_iter().map(|((database, retention_policy, measurement), fields)| PointCount {
        database,
        retention_policy,
        measurement,
        fields,
    });
    Ok(Some(Proof {
        extent: prove.name().to_owned(),
        requests: asked,
        points: points.collect(),
        notes: notes.into_iter().collect(),
        ..Proof::default()
    }))
}

/// What was counted, in a few lines.
pub(super) fn summary(proof: &Proof, seconds: f64) -> String {
    let values: u64 = proof.points.iter().flat_map(|count| count.fields.values()).sum();
    let what = if proof.extent == Prove::All.name() { "counted" } else { "counted in a sample" };
    let measurements = match proof.points.len() {
        1 => "1 measurement".to_owned(),
        many => format!("{many} measurements"),
    };
    let mut text = format!("{what}: {values} field values in {measurements} in {seconds:.1} s");
    for PointCount { database, retention_policy, measurement, fields } in &proof.points {
        let fields: Vec<String> = fields.iter().map(|(field, points)| format!("{field} {points}")).collect();
        text.push_str(&format!("\n  {database}.{retention_policy} {measurement}: {}", fields.join(", ")));
    }
    proof.notes.iter().for_each(|note| text.push_str(&format!("\nnot counted: {note}")));
    text
}

async fn measurements(influx: &Influx, database: &str) -> Result<Vec<String>, Error> {
    let statement = format!("SHOW MEASUREMENTS ON {}", quote_identifier(database));
    let answer = influx.statement(None, &statement).await?;
    Ok(answer.iter().flat_map(|series| series.column("name")).filter_map(Value::as_str).map(str::to_owned).collect())
}

/// Asks for all measurements at once; where the server refuses, for each by itself, so that one which nobody can ask for
/// does not hide the others.
async fn ask(influx: &Influx, question: &Question<'_>) -> Result<(Vec<Series>, Vec<String>), Error> {
    let queries: Vec<String> = question.measurements.iter().map(|measurement| query(question, measurement)).collect();
    match influx.statement(Some(question.database), &queries.join("; ")).await {
        Ok(series) => return Ok((series, Vec::new())),
        Err(influx::Error::Query { passing: false, .. }) => {}
        Err(error) => return Err(error.into()),
    }
    let (mut found, mut refused) = (Vec::new(), Vec::new());
    for (measurement, query) in question.measurements.iter().zip(&queries) {
        match influx.statement(Some(question.database), query).await {
            Ok(series) => found.extend(series),
            Err(error @ influx::Error::Query { passing: false, .. }) => {
                refused.push(format!("measurement {measurement} cannot be counted: {error}"));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok((found, refused))
}

fn query(question: &Question<'_>, measurement: &str) -> String {
    let Question { database, policy, span: [start, end], .. } = question;
    let [database, policy, measurement] = [*database, *policy, measurement].map(quote_identifier);
    format!("SELECT count(*) FROM {database}.{policy}.{measurement} WHERE time >= {start} AND time < {end}")
}

type Counts = BTreeMap<(String, String, String), BTreeMap<String, u64>>;

fn add(counts: &mut Counts, (database, policy): (&str, &str), series: &Series) {
    let key = (database.to_owned(), policy.to_owned(), series.name.clone());
    let fields = counts.entry(key).or_default();
    for column in &series.columns {
        let Some(field) = column.strip_prefix("count_") else { continue };
        let found: u64 = series.column(column).filter_map(Value::as_u64).sum();
        *fields.entry(field.to_owned()).or_default() += found;
    }
}

/// The slices of a policy's time that have shards, in order and apart from each other, and what cannot be counted.
fn spans(policy: &Policy) -> (Vec<[i64; 2]>, Vec<String>) {
    let (mut groups, mut notes) = (Vec::new(), Vec::new());
    for range in policy.live_groups().map(influx::metastore::ShardGroup::time_range) {
        match range.start {
            Some(start) => groups.push([start, range.end]),
            // Seen on 1.6.7: its points are only found by queries over all time.
            None => {
                notes.push("points before 1677-09-22 are not counted, since InfluxDB finds them in no slice".to_owned())
            }
        }
    }
    groups.sort_unstable();
    if groups.windows(2).any(|pair| pair[1][0] < pair[0][1]) {
        notes.push("shards overlap; of a field that has several types there, one is counted".to_owned());
    }
    let mut spans = Vec::new();
    let mut after = i64::MIN;
    for [start, end] in groups {
        let length = SLICE.max(end.saturating_sub(start) / SLICES);
        let mut from = start.max(after);
        while from < end {
            let to = from.saturating_add(length).min(end);
            spans.push([from, to]);
            from = to;
        }
        after = after.max(end);
    }
    (spans, notes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use influx::metastore::ShardGroup;

    fn policy(groups: &[[i64; 2]]) -> Policy {
        let group = |[start_time, end_time]: &[i64; 2]| ShardGroup {
            start_time: *start_time,
            end_time: *end_time,
            ..ShardGroup::default()
        };
        Policy { shard_groups: groups.iter().map(group).collect(), ..Policy::default() }
    }

    #[test]
    fn slices_cover_every_group_once_and_are_no_longer_than_a_day() {
        let check = |groups: &[[i64; 2]], expected: &[[i64; 2]]| assert_eq!(spans(&policy(groups)).0, expected);
        check(&[], &[]);
        check(&[[0, 3600]], &[[0, 3600]]);
        check(&[[SLICE, 2 * SLICE + 1], [0, SLICE]], &[[0, SLICE], [SLICE, 2 * SLICE], [2 * SLICE, 2 * SLICE + 1]]);
        // Overlapping ones are not counted twice.
        check(&[[0, 100], [50, 200], [60, 70]], &[[0, 100], [100, 200]]);
        assert_eq!(spans(&policy(&[[0, 100], [50, 200]])).1.len(), 1);
        // A long group is not cut without end, and the last one does not overflow.
        assert!(spans(&policy(&[[0, 3650 * SLICE]])).0.len() <= 65);
        check(&[[i64::MAX - 5, i64::MAX]], &[[i64::MAX - 5, i64::MAX]]);
        // The group whose start has wrapped around cannot be asked for.
        let (found, notes) = spans(&policy(&[[i64::MAX - 9, i64::MIN + SLICE]]));
        assert!(found.is_empty() && notes[0].contains("1677"), "{notes:?}");
    }
}
