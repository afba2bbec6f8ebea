//! Days, time zones and the names of nights.

use std::fmt;
use std::str::FromStr;

use chrono::format::{Item, StrftimeItems};
use chrono::{DateTime, Days, Months, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use crate::{Error, Label};

/// How days become containers: settings that backup, restore and dump must share.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Calendar {
    /// The time zone in which days begin and end.
    pub time_zone: Tz,
    /// The local time until which a start still belongs to the night before (see [`Date::Night`]).
    pub night_ends: NaiveTime,
    /// How containers are named.
    pub pattern: ContainerPattern,
}

/// Which night is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Date {
    /// The day that it is.
    Today,
    /// The day before.
    Yesterday,
    /// The day to which a backup that starts now belongs: before `night_ends` that is the day before, so that a
    /// night caught up in the morning does not take the name of the next one.
    Night,
    /// A given day.
    Day(NaiveDate),
}

impl FromStr for Date {
    type Err = Error;

    fn from_str(text: &str) -> Result<Date, Error> {
        match text {
            "today" => Ok(Date::Today),
            "yesterday" => Ok(Date::Yesterday),
            "night" => Ok(Date::Night),
            // chrono takes 2016-6-1 too; one spelling for one day is enough.
            _ if text.len() == 10 => {
                NaiveDate::parse_from_str(text, "%Y-%m-%d").map(Date::Day).map_err(|_| no_date(text))
            }
            _ => Err(no_date(text)),
        }
    }
}

fn no_date(text: &str) -> Error {
    Error::Usage {
        message: format!("{text:?} is no date"),
        hint: "give today, yesterday, night or a day such as 2016-06-11".to_owned(),
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Date::Today => f.write_str("today"),
            Date::Yesterday => f.write_str("yesterday"),
            Date::Night => f.write_str("night"),
            Date::Day(day) => day.fmt(f),
        }
    }
}

/// One date or several days in a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dates {
    /// One.
    One(Date),
    /// All days from the first to the last, both included.
    Days {
        /// The first.
        from: NaiveDate,
        /// The last, not before the first.
        to: NaiveDate,
    },
}

impl From<Date> for Dates {
    fn from(date: Date) -> Dates {
        Dates::One(date)
    }
}

impl Dates {
    /// Each date, in order.
    pub fn iter(self) -> impl Iterator<Item = Date> {
        let (one, days) = match self {
            Dates::One(date) => (Some(date), None),
            Dates::Days { from, to } => (None, Some(from.iter_days().take_while(move |day| *day <= to))),
        };
        one.into_iter().chain(days.into_iter().flatten().map(Date::Day))
    }
}

impl FromStr for Dates {
    type Err = Error;

    /// A date, a month such as `2016-06`, or `FROM..TO`.
    fn from_str(text: &str) -> Result<Dates, Error> {
        let refuse = || Error::Usage {
            message: format!("{text:?} is neither a date nor several"),
            hint: "give today, yesterday, night or a day such as 2016-06-11; or 2016-06 or 2016-06-11..2016-06-13"
                .to_owned(),
        };
        let day = |text: &str| match text.parse() {
            Ok(Date::Day(day)) => Ok(day),
            _ => Err(refuse()),
        };
        if let Some((from, to)) = text.split_once("..") {
            let (from, to) = (day(from)?, day(to)?);
            return if from <= to { Ok(Dates::Days { from, to }) } else { Err(refuse()) };
        }
        if text.len() == 7 {
            let from = day(&format!("{text}-01"))?;
            let to = from.checked_add_months(Months::new(1)).and_then(|next| next.pred_opt()).ok_or_else(refuse)?;
            return Ok(Dates::Days { from, to });
        }
        text.parse().map(Dates::One).map_err(|_| refuse())
    }
}

/// A night: a day, and the container that holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Night {
    /// The day.
    pub day: NaiveDate,
    /// The container's name, with which every object's name begins too.
    pub container: String,
}

/// A span of time, half open: `start` belongs to it, `end` does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The first instant.
    pub start: DateTime<Utc>,
    /// The first instant after it.
    pub end: DateTime<Utc>,
}

impl Calendar {
    /// The night that `date` means at the instant `now`.
    ///
    /// # Errors
    ///
    /// When the day before does not exist, at the end of the calendar.
    pub fn night(&self, date: Date, now: DateTime<Utc>) -> Result<Night, Error> {
        let local = now.with_timezone(&self.time_zone);
        let today = local.date_naive();
        let before = || today.checked_sub_days(Days::new(1)).ok_or_else(|| no_date(&today.to_string()));
        let day = match date {
            Date::Today => today,
            Date::Yesterday => before()?,
            Date::Night if local.time() < self.night_ends => before()?,
            Date::Night => today,
            Date::Day(day) => day,
        };
        Ok(Night { day, container: self.pattern.container(day) })
    }

    /// The instants that belong to the day in this time zone. A day begins at its first existing instant, which is
    /// 01:00 where clocks skip midnight, and has 23 or 25 hours where they change.
    ///
    /// # Errors
    ///
    /// When the time zone skips the whole day, or the calendar ends.
    pub fn window(&self, day: NaiveDate) -> Result<Window, Error> {
        let next = day.checked_add_days(Days::new(1)).ok_or_else(|| no_date(&day.to_string()))?;
        let window = Window { start: self.first_instant(day)?, end: self.first_instant(next)? };
        if window.start == window.end {
            return Err(Error::Usage {
                message: format!("the day {day} does not exist in {}", self.time_zone),
                hint: "clocks there skipped it; ask for the day before or after".to_owned(),
            });
        }
        Ok(window)
    }

    /// The first instant at or after 00:00 of the day.
    fn first_instant(&self, day: NaiveDate) -> Result<DateTime<Utc>, Error> {
        let midnight = day.and_time(NaiveTime::MIN);
        // No zone ever skipped more than a day, and none skipped to a time that is not on a full minute.
        (0..=48 * 60)
            .find_map(|minutes| self.earliest(midnight + TimeDelta::minutes(minutes)))
            .ok_or_else(|| no_date(&day.to_string()))
    }

    fn earliest(&self, local: NaiveDateTime) -> Option<DateTime<Utc>> {
        self.time_zone.from_local_datetime(&local).earliest().map(|instant| instant.with_timezone(&Utc))
    }
}

/// How containers are named: text with strftime fields, such as `%Y-%m-%d` or `prod1-%Y-%m-%d`, and after it a label,
/// where one is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerPattern {
    text: String,
    label: Option<Label>,
}

impl Default for ContainerPattern {
    fn default() -> Self {
        ContainerPattern { text: "%Y-%m-%d".to_owned(), label: None }
    }
}

impl ContainerPattern {
    /// The container of a day.
    #[must_use]
    pub fn container(&self, day: NaiveDate) -> String {
        let name = day.format(&self.text).to_string();
        match &self.label {
            Some(label) => format!("{name}_{label}"),
            None => name,
        }
    }

    /// The day of a container that is named so, with any label or none.
    #[must_use]
    pub fn day_of(&self, container: &str) -> Option<NaiveDate> {
        let (day, rest) = NaiveDate::parse_and_remainder(container, &self.text).ok()?;
        let is_label = rest.is_empty() || rest.strip_prefix('_').is_some_and(|label| label.parse::<Label>().is_ok());
        // What can be read as a day need not be what we write for it.
        let is_ours = container.strip_suffix(rest) == Some(&day.format(&self.text).to_string());
        (is_label && is_ours).then_some(day)
    }

    /// The same pattern for backups with this label, or for those without one.
    #[must_use]
    pub fn labelled(self, label: Option<Label>) -> ContainerPattern {
        ContainerPattern { label, ..self }
    }

    /// The label of the backups that are named so.
    #[must_use]
    pub fn label(&self) -> Option<&Label> {
        self.label.as_ref()
    }

    /// The pattern's text, without the label.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl FromStr for ContainerPattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<ContainerPattern, Error> {
        let refuse = |reason: &str| Error::Usage {
            message: format!("the container pattern {text:?} {reason}"),
            hint: "use text with %Y, %m and %d, such as \"%Y-%m-%d\" or \"prod1-%Y-%m-%d\"".to_owned(),
        };
        let items: Vec<Item<'_>> = StrftimeItems::new(text).collect();
        if items.iter().any(|item| matches!(item, Item::Error)) {
            return Err(refuse("has a field that does not exist"));
        }
        let pattern = ContainerPattern { text: text.to_owned(), label: None };
        let mut names = std::collections::BTreeSet::new();
        // Every day of more than a year, a leap day among them, must have a name of its own.
        let first = NaiveDate::from_ymd_opt(2019, 12, 1).ok_or_else(|| refuse("cannot be tried"))?;
        for day in first.iter_days().take(500) {
            let mut name = String::new();
            if fmt::Write::write_fmt(&mut name, format_args!("{}", day.format(text))).is_err() {
                return Err(refuse("has a field that a day does not have, such as an hour"));
            }
            names.insert(name);
        }
        if names.len() < 500 {
            return Err(refuse("gives several days the same name"));
        }
        if names.iter().any(|name| name.len() > 128 || name.contains(['/', '\0', '\n']) || name.starts_with('.')) {
            return Err(refuse("gives names that cannot be those of containers"));
        }
        Ok(pattern)
    }
}

impl fmt::Display for ContainerPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
