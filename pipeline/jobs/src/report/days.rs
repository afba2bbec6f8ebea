//! The days of a report without a gap, and how each of them stands.

use archive::{Calendar, Date};
use chrono::{DateTime, NaiveDate, Utc};

use super::model::Night;
use crate::list::State;

/// A day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Day {
    pub(super) date: NaiveDate,
    pub(super) standing: Standing,
    /// Its nights, by their places among all: more than one with labels or with hourly containers.
    pub(super) nights: Vec<usize>,
    /// How many of them are sealed.
    pub(super) ready: usize,
    /// Damaged objects of all its nights.
    pub(super) damaged: u64,
    /// Whether all points were counted after a restore of one of its nights.
    pub(super) is_proven: bool,
}

/// How a day stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// As the worst of the nights that are made every day.
    Night(State),
    /// There is no such night, and none will come any more.
    Missing,
    /// There is none yet.
    Awaited,
}

impl Standing {
    /// The name of it, for programs.
    pub(super) fn name(self) -> &'static str {
        match self {
            Standing::Night(State::Ready) => "STATUS_READY",
            Standing::Night(State::BackingUp) => "STATUS_BACKING_UP",
            Standing::Night(State::Error) => "STATUS_ERROR",
            Standing::Night(State::Unsealed) => "STATUS_UNSEALED",
            Standing::Night(State::Deleting) => "STATUS_DELETING",
            Standing::Night(State::Deleted) => "STATUS_DELETED",
            Standing::Night(State::DumpsOnly) => "STATUS_DUMPS_ONLY",
            Standing::Missing => "STATUS_MISSING",
            Standing::Awaited => "STATUS_AWAITED",
        }
    }

    /// What people are told.
    pub(super) fn word(self) -> &'static str {
        match self {
            Standing::Night(State::Ready) => "sealed",
            Standing::Night(State::BackingUp) => "backing up",
            Standing::Night(State::Error) => "failed",
            Standing::Night(State::Unsealed) => "unsealed",
            Standing::Night(State::Deleting) => "being deleted",
            Standing::Night(State::Deleted) => "deleted",
            Standing::Night(State::DumpsOnly) => "dumps only",
            Standing::Missing => "missing",
            Standing::Awaited => "awaited",
        }
    }

    /// The sign of it, so that it can be told without colours.
    pub(super) fn sign(self) -> &'static str {
        match self {
            Standing::Night(State::Ready) => "✓",
            Standing::Night(State::BackingUp) => "…",
            Standing::Night(State::Error) => "✗",
            Standing::Night(State::Unsealed) => "?",
            Standing::Night(State::Deleting) => "⌫",
            Standing::Night(State::Deleted) => "×",
            Standing::Night(State::DumpsOnly) => "D",
            Standing::Missing => "–",
            Standing::Awaited => "·",
        }
    }
}

/// The day of the night that is under way: its backup may still come, those of the days before it will not.
pub(super) fn tonight(calendar: &Calendar, now: DateTime<Utc>) -> NaiveDate {
    match calendar.night(Date::Night, now) {
        Ok(night) => night.day,
        // Where each hour has a container there is no night.
        Err(_) => now.with_timezone(&calendar.time_zone).date_naive(),
    }
}

/// All days from the first to the last night, or to tonight where it is later, but none outside of those asked for.
pub(super) fn of(nights: &[Night], from: NaiveDate, to: NaiveDate, tonight: NaiveDate) -> Vec<Day> {
    let newest = nights.last().map_or(tonight, |night| night.listed.night.max(tonight));
    let mut places = nights.iter().enumerate().peekable();
    let mut days = Vec::new();
    for date in from.iter_days().take_while(|date| *date <= to.min(newest)) {
        while places.next_if(|(_, night)| night.listed.night < date).is_some() {}
        let mut of_day = Vec::new();
        while let Some((place, _)) = places.next_if(|(_, night)| night.listed.night == date) {
            of_day.push(place);
        }
        days.push(day(date, nights, of_day, tonight));
    }
    days
}

fn day(date: NaiveDate, nights: &[Night], places: Vec<usize>, tonight: NaiveDate) -> Day {
    let of_day = || places.iter().filter_map(|place| nights.get(*place));
    let worst =
        of_day().filter(|night| night.is_regular).map(|night| night.listed.state).max_by_key(|state| match state {
            State::Ready => 0,
            State::Deleted => 1,
            State::Deleting => 2,
            State::DumpsOnly => 3,
            State::BackingUp => 4,
            State::Unsealed => 5,
            State::Error => 6,
        });
    let none = if date < tonight { Standing::Missing } else { Standing::Awaited };
    Day {
        date,
        standing: worst.map_or(none, Standing::Night),
        ready: of_day().filter(|night| night.listed.state == State::Ready).count(),
        damaged: of_day().map(|night| night.damaged).sum(),
        is_proven: of_day().flat_map(|night| &night.listed.restored).any(|restored| restored.proven == Some(true)),
        nights: places,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::model::samples::{night, ready};

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn shown(days: &[Day]) -> String {
        days.iter().map(|day| format!("{} {}\n", day.date.format("%m-%d"), day.standing.word())).collect()
    }

    #[test]
    fn days_without_a_night_are_missing_until_the_one_that_may_still_come() {
        let mut nights = vec![ready("2016-06-11"), ready("2016-06-14")];
        let of = |nights: &[Night], from, to, tonight| shown(&of(nights, day(from), day(to), day(tonight)));
        assert_eq!(
            of(&nights, "2016-06-11", "9999-12-31", "2016-06-16"),
            "06-11 sealed\n06-12 missing\n06-13 missing\n06-14 sealed\n06-15 missing\n06-16 awaited\n"
        );
        // The night of today was made already, although the one before could still be caught up.
        assert_eq!(of(&nights, "2016-06-13", "9999-12-31", "2016-06-13"), "06-13 awaited\n06-14 sealed\n",);
        assert_eq!(
            of(&nights, "2016-06-10", "2016-06-12", "2016-06-16"),
            "06-10 missing\n06-11 sealed\n06-12 missing\n"
        );
        // One with a label stands for no day.
        nights.push(night("2016-06-15", State::Ready));
        nights[2].is_regular = false;
        assert_eq!(of(&nights, "2016-06-14", "2016-06-15", "2016-06-16"), "06-14 sealed\n06-15 missing\n");
    }

    #[test]
    fn a_day_of_several_nights_stands_as_the_worst_of_them() {
        let states = [State::Ready, State::Error, State::Ready, State::BackingUp];
        let hours: Vec<Night> = states.into_iter().map(|state| night("2016-06-11", state)).collect();
        let days = of(&hours, day("2016-06-11"), day("2016-06-11"), day("2016-06-12"));
        assert_eq!((days[0].standing, days[0].ready), (Standing::Night(State::Error), 2));
        assert_eq!(days[0].nights, [0, 1, 2, 3]);
    }
}
