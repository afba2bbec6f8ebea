//! What a report tells, as plain values: everything is decided here, and a page or a value only says it.

use std::collections::BTreeMap;

use archive::Calendar;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;

use super::collect::{Collected, Dumps};
use super::days::{self, Day};
use super::troubles::{self, Trouble};
use crate::list::{self, State};

/// A night, without what is in it.
#[derive(Debug)]
pub(super) struct Night {
    /// As the list tells it.
    pub(super) listed: list::Night,
    /// Whether it is one of those that are made every day, and not one with a label for an occasion.
    pub(super) is_regular: bool,
    /// Seconds in which its dumps were made.
    pub(super) dumped: Option<f64>,
    /// What it holds, by database, as far as somebody looked into the shards.
    pub(super) databases: Vec<Database>,
    /// What the backup says that a person should know.
    pub(super) warnings: Vec<String>,
    /// Objects that are damaged.
    pub(super) damaged: u64,
}

/// A database of a night.
#[derive(Debug)]
pub(super) struct Database {
    pub(super) name: String,
    pub(super) measurements: u64,
    pub(super) points: u64,
}

impl Database {
    pub(super) fn named(name: String) -> Database {
        Database { name, measurements: 0, points: 0 }
    }
}

impl Night {
    /// A sealed one of those that are made every day.
    pub(super) fn is_good(&self) -> bool {
        self.is_regular && self.listed.state == State::Ready
    }

    /// Seconds that its backup took.
    pub(super) fn backed_up(&self) -> Option<f64> {
        Some(seconds(self.listed.sealed? - self.listed.started?))
    }

    /// The last restore of it.
    pub(super) fn restore(&self) -> Option<&list::Restored> {
        self.listed.restored.first()
    }
}

/// Seconds, never fewer than none: clocks may have been set between two instants.
pub(super) fn seconds(delta: TimeDelta) -> f64 {
    (delta.num_milliseconds().max(0)) as f64 / 1000.0
}

/// A report.
#[derive(Debug)]
pub(super) struct Model {
    /// Where days begin and end.
    pub(super) time_zone: Tz,
    /// When it was made.
    pub(super) now: DateTime<Utc>,
    /// The instant from which ages are counted: the present, or the end of days that lie in the past.
    pub(super) at: DateTime<Utc>,
    /// The nights, the oldest first.
    pub(super) nights: Vec<Night>,
    /// The days of the report without a gap, the oldest first.
    pub(super) days: Vec<Day>,
    /// What is wrong, the newest first.
    pub(super) troubles: Vec<Trouble>,
    /// The dumps, by database, retention policy and measurement.
    pub(super) dumps: BTreeMap<[String; 3], Dumps>,
    /// What could not be read.
    pub(super) failures: Vec<String>,
    /// What keeps anything else from being known.
    pub(super) notes: Vec<String>,
}

impl Model {
    pub(super) fn of(collected: Collected, calendar: &Calendar, now: DateTime<Utc>) -> Model {
        let Collected { from, to, nights, dumps, failures, notes } = collected;
        let days = days::of(&nights, from, to, days::tonight(calendar, now));
        let troubles = troubles::of(&nights, &days);
        let end = calendar.window(to).map_or(now, |window| window.end);
        Model { time_zone: calendar.time_zone, now, at: now.min(end), nights, days, troubles, dumps, failures, notes }
    }

    /// The night that was sealed last, by its day.
    pub(super) fn last_good(&self) -> Option<&Night> {
        self.nights.iter().rev().find(|night| night.is_good())
    }

    /// When any night was sealed last.
    pub(super) fn last_sealed(&self) -> Option<DateTime<Utc>> {
        self.nights.iter().filter(|night| night.is_good()).filter_map(|night| night.listed.sealed).max()
    }

    /// The last restore of which every point was counted, and its night.
    pub(super) fn last_proven(&self) -> Option<(&Night, &list::Restored)> {
        let proven = |restored: &&list::Restored| restored.proven == Some(true);
        self.restores().filter(|(_, restored)| proven(restored)).max_by_key(|(_, restored)| restored.finished)
    }

    /// The last restore at all, and its night.
    pub(super) fn last_restore(&self) -> Option<(&Night, &list::Restored)> {
        self.restores().max_by_key(|(_, restored)| restored.finished)
    }

    fn restores(&self) -> impl Iterator<Item = (&Night, &list::Restored)> {
        self.nights.iter().flat_map(|night| night.listed.restored.iter().map(move |restored| (night, restored)))
    }

    /// When a night was verified last, and which.
    pub(super) fn last_verified(&self) -> Option<(&Night, &list::Verified)> {
        let verified = self.nights.iter().filter_map(|night| Some((night, night.listed.verified.as_ref()?)));
        verified.max_by_key(|(_, verified)| verified.finished)
    }

    /// Objects of all nights that are damaged.
    pub(super) fn damaged(&self) -> u64 {
        self.nights.iter().map(|night| night.damaged).sum()
    }

    /// Objects of all nights that the last verifications could not look at.
    pub(super) fn unchecked(&self) -> u64 {
        self.nights.iter().filter_map(|night| night.listed.verified.as_ref()).map(|verified| verified.unchecked).sum()
    }

    /// Dumps that do not reach to the end of their day.
    pub(super) fn open_dumps(&self) -> u64 {
        self.dumps.values().map(|dumps| dumps.open.len() as u64).sum()
    }

    /// Those among them that a later night could have completed.
    pub(super) fn overdue_dumps(&self) -> u64 {
        let Some(last) = self.last_good().map(|night| night.listed.night) else { return 0 };
        self.dumps.values().map(|dumps| dumps.open.range(..last).count() as u64).sum()
    }

    /// How many days stand so.
    pub(super) fn count(&self, wanted: impl Fn(&Day) -> bool) -> u64 {
        self.days.iter().filter(|day| wanted(day)).count() as u64
    }

    /// The first day of the report and the last one.
    pub(super) fn span(&self) -> Option<(NaiveDate, NaiveDate)> {
        Some((self.days.first()?.date, self.days.last()?.date))
    }
}

/// Nights made up for tests.
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "clippy.toml does not reach helper functions")]
pub(super) mod samples {
    use archive::verification::Damage;

    use super::*;
    use crate::list::{Restored, Verified};

    pub(in super::super) fn at(day: &str, time: &str) -> DateTime<Utc> {
        format!("{day}T{time}Z").parse().unwrap()
    }

    /// A regular night of 1000 bytes that took five minutes from 21:55 on, if it is sealed.
    pub(in super::super) fn night(day: &str, state: State) -> Night {
        let is_ready = state == State::Ready;
        let listed = list::Night {
            container: day.to_owned(),
            night: day.parse().unwrap(),
            label: None,
            state,
            why: None,
            databases: vec!["sensu_db".to_owned()],
            shards: 3,
            bytes: if is_ready { 1000 } else { 0 },
            sent_bytes: is_ready.then_some(300),
            added_bytes: is_ready.then_some(200),
            freed_bytes: is_ready.then_some(100),
            is_sharing: is_ready,
            points: is_ready.then_some(90),
            started: is_ready.then(|| at(day, "21:55:00")),
            sealed: is_ready.then(|| at(day, "22:00:00")),
            adopted: None,
            verified: None,
            restored: Vec::new(),
            pin: None,
            dumps: 0,
            details: None,
            unreadable: Vec::new(),
        };
        Night { listed, is_regular: true, dumped: None, databases: Vec::new(), warnings: Vec::new(), damaged: 0 }
    }

    pub(in super::super) fn ready(day: &str) -> Night {
        night(day, State::Ready)
    }

    /// A restore that took two minutes.
    pub(in super::super) fn restored(proven: Option<bool>) -> Restored {
        Restored {
            host: "db2".to_owned(),
            started: at("2016-06-12", "00:15:00"),
            finished: at("2016-06-12", "00:17:00"),
            proven,
            missing: if proven == Some(false) { vec!["cpu.load".to_owned()] } else { Vec::new() },
            surplus: Vec::new(),
        }
    }

    pub(in super::super) fn verified(damaged: &[&str], unchecked: u64) -> Verified {
        let damage = |object: &&str| Damage {
            object: (*object).to_owned(),
            what: "it does not exist".to_owned(),
            hint: "restore it".to_owned(),
        };
        Verified {
            extent: "deep".to_owned(),
            slices: None,
            finished: at("2016-06-12", "04:00:00"),
            damaged: damaged.len() as u64,
            unchecked,
            damages: damaged.iter().map(damage).collect(),
        }
    }

    /// The report at an instant of these nights, with days in UTC.
    pub(in super::super) fn model(nights: Vec<Night>, now: DateTime<Utc>) -> Model {
        let calendar = Calendar {
            time_zone: Tz::UTC,
            night_ends: chrono::NaiveTime::from_hms_opt(12, 0, 0).unwrap(),
            pattern: archive::ContainerPattern::default(),
        };
        let from = nights.first().map_or(now.date_naive(), |night| night.listed.night);
        let (dumps, failures) = (BTreeMap::new(), Vec::new());
        Model::of(Collected { from, to: NaiveDate::MAX, nights, dumps, failures, notes: Vec::new() }, &calendar, now)
    }
}
