//! What the archive holds, read in batches of nights, so that no more than one batch is in memory with all that is in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use archive::{Calendar, Date, Dates};
use chrono::{DateTime, Days, NaiveDate, Utc};
use store::Store;

use super::model::{Database, Night};
use super::{Config, Range};
use crate::list::{self, Details, Dump};
use crate::{Error, Kind};

/// So many nights are read before what is in them is forgotten.
const BATCH: usize = 256;

/// So many damaged objects of a night are named; all are counted.
const NAMED: usize = 50;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Collected {
    /// The first and the last day of the report.
    pub(super) from: NaiveDate,
    pub(super) to: NaiveDate,
    /// The nights, the oldest first.
    pub(super) nights: Vec<Night>,
    /// The dumps of each measurement, by database, retention policy and name.
    pub(super) dumps: BTreeMap<[String; 3], Dumps>,
    /// What could not be read, by night.
    pub(super) failures: Vec<String>,
    /// What keeps anything else from being known.
    pub(super) notes: Vec<String>,
}

/// The dumps of a measurement.
#[derive(Debug, Default)]
pub(super) struct Dumps {
    /// The days of which there is one.
    pub(super) days: BTreeSet<NaiveDate>,
    /// The days whose dump does not reach to their end.
    pub(super) open: BTreeMap<NaiveDate, DateTime<Utc>>,
    /// Records of all of them.
    pub(super) records: u64,
    /// Bytes of all of them.
    pub(super) bytes: u64,
    /// When the last one was sealed.
    pub(super) sealed: Option<DateTime<Utc>>,
}

/// Reads the nights.
pub(super) async fn nights(config: &Config, now: DateTime<Utc>, store: &Arc<dyn Store>) -> Result<Collected, Error> {
    let Config { calendar, range, .. } = config;
    let named = archive::nights(store.as_ref(), &calendar.pattern).await?;
    let (from, to) = bounds(range, calendar, now)?;
    let older = named.iter().any(|(day, _)| *day < from);
    let mut days: Vec<NaiveDate> = named.iter().map(|(day, _)| *day).filter(|day| (from..=to).contains(day)).collect();
    days.reverse();
    let mut collected = Collected { from, to, ..Collected::default() };
    let mut shares = list::Shares::default();
    for (from, to) in batches(&days) {
        let batch = list::Config {
            calendar: calendar.clone(),
            dates: Some(Dates::Days { from, to }),
            detailed: true,
            matching: None,
            shares: true,
            parallel: config.parallel,
            cache: config.cache.clone(),
            interrupt: config.interrupt.clone(),
        };
        let listed = match list::read(&batch, now, store, Some(&mut shares)).await {
            Ok(listed) => listed,
            // They were removed meanwhile, or there is nothing of ours in them.
            Err(error) if error.kind() == Kind::Missing => continue,
            Err(error) => return Err(error),
        };
        collected.failures.extend(listed.failures);
        for mut night in listed.nights.into_iter().rev() {
            let details = night.details.take();
            collected.take(night, details, calendar);
        }
    }
    let nights = collected.nights.iter_mut().map(|night| &mut night.listed);
    collected.notes.extend(shares.tell(store, config.parallel, config.cache.as_deref(), nights).await);
    if collected.nights.is_empty() && (!older || matches!(range, Range::Dates(_))) {
        let (what, otherwise) = match range {
            Range::Dates(dates) => (format!(" {dates}"), "without a date the report is of all nights"),
            Range::All | Range::Last(_) => (String::new(), "nightshard-backup makes the first one"),
        };
        return Err(Error::new(Kind::Missing, format!("there is no night{what} in {}", store.location()))
            .hint(format!("is --container the pattern that the backups have? {otherwise}")));
    }
    // Days before the first night of all are nobody's fault.
    if !older && let Some(first) = collected.nights.first() {
        collected.from = first.listed.night;
    }
    Ok(collected)
}

/// The first day and the last one that are asked for.
fn bounds(range: &Range, calendar: &Calendar, now: DateTime<Utc>) -> Result<(NaiveDate, NaiveDate), Error> {
    let today = now.with_timezone(&calendar.time_zone).date_naive();
    Ok(match range {
        Range::All => (NaiveDate::MIN, NaiveDate::MAX),
        Range::Last(days) => {
            let before = Days::new(u64::from(days.saturating_sub(1)));
            (today.checked_sub_days(before).unwrap_or(NaiveDate::MIN), NaiveDate::MAX)
        }
        Range::Dates(Dates::One(Date::Hour(hour))) => (hour.day, hour.day),
        Range::Dates(Dates::One(date)) => {
            let day = calendar.night(*date, now)?.day;
            (day, day)
        }
        Range::Dates(Dates::Days { from, to } | Dates::Month { from, to }) => (*from, *to),
    })
}

/// Spans of days with about as many nights each; all nights of a day are in one.
fn batches(days: &[NaiveDate]) -> Vec<(NaiveDate, NaiveDate)> {
    let mut spans: Vec<(NaiveDate, NaiveDate)> = Vec::new();
    let mut held = 0;
    for day in days {
        match spans.last_mut() {
            Some((_, to)) if held < BATCH || *to == *day => *to = *day,
            _ => {
                spans.push((*day, *day));
                held = 0;
            }
        }
        held += 1;
    }
    spans
}

impl Collected {
    fn take(&mut self, mut listed: list::Night, details: Option<Details>, calendar: &Calendar) {
        let Details { measurements, dumps, warnings, .. } = details.unwrap_or_else(|| Details {
            objects: Vec::new(),
            measurements: Vec::new(),
            dumps: Vec::new(),
            warnings: Vec::new(),
        });
        let mut databases: BTreeMap<String, Database> = BTreeMap::new();
        for measurement in measurements {
            let name = measurement.database.clone();
            let database = databases.entry(name).or_insert_with(|| Database::named(measurement.database));
            database.measurements += 1;
            database.points += measurement.points;
        }
        let made = dumps.iter().map(|dump| (dump.started, dump.sealed)).collect();
        let day = listed.night;
        dumps.into_iter().for_each(|dump| self.dump(day, dump));
        let damaged = listed.verified.as_ref().map_or(0, |verified| verified.damages.len() as u64);
        if let Some(verified) = &mut listed.verified {
            verified.damages.truncate(NAMED);
        }
        // A night that is not sealed tells its label by its name alone.
        let label = calendar.pattern.label_of(&listed.container).map(str::to_owned);
        self.nights.push(Night {
            is_regular: label.as_deref() == calendar.pattern.label().map(|label| label.as_str()),
            dumped: busy(made),
            databases: databases.into_values().collect(),
            warnings,
            damaged,
            listed,
        });
    }

    fn dump(&mut self, day: NaiveDate, dump: Dump) {
        let of = self.dumps.entry([dump.database, dump.retention_policy, dump.measurement]).or_default();
        of.days.insert(day);
        if dump.open {
            of.open.insert(day, dump.covered_until);
        }
        of.records += dump.records;
        of.bytes += dump.bytes;
        of.sealed = of.sealed.max(Some(dump.sealed));
    }
}

/// How many seconds at least one of them was being made. From the first beginning to the last end would be a day where some
/// were completed on the next one.
fn busy(mut spans: Vec<(DateTime<Utc>, DateTime<Utc>)>) -> Option<f64> {
    spans.sort_unstable();
    let mut until = spans.first()?.0;
    let mut milliseconds = 0;
    for (started, sealed) in spans {
        let from = started.max(until);
        if sealed > from {
            milliseconds += (sealed - from).num_milliseconds();
            until = sealed;
        }
    }
    Some(milliseconds as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    #[test]
    fn batches_hold_all_nights_of_a_day_and_no_more_days_than_they_must() {
        assert_eq!(batches(&[]), []);
        let first = day("2016-06-11");
        let hours: Vec<NaiveDate> = (0..30).flat_map(|days| [first + Days::new(days); 24]).collect();
        // Ten full days and the eleventh that begins within the batch are 264.
        assert_eq!(
            batches(&hours),
            [
                (day("2016-06-11"), day("2016-06-21")),
                (day("2016-06-22"), day("2016-07-02")),
                (day("2016-07-03"), day("2016-07-10"))
            ]
        );
    }

    #[test]
    fn dumps_that_were_completed_a_day_later_did_not_take_a_day() {
        let at = |text: &str| -> DateTime<Utc> { format!("2016-06-{text}Z").parse().unwrap() };
        assert_eq!(busy(vec![]), None);
        let made = vec![
            (at("13T00:30:00"), at("13T00:30:05")),
            (at("12T00:30:00"), at("12T00:31:00")),
            (at("12T00:30:30"), at("12T00:31:30")),
            (at("12T00:30:10"), at("12T00:30:20")),
        ];
        assert_eq!(busy(made), Some(95.0));
    }
}
