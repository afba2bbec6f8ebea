//! Days, time zones and the names of nights.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use chrono::{
    DateTime, Days, FixedOffset, Months, NaiveDate, NaiveDateTime, NaiveTime, Offset, TimeDelta, TimeZone, Timelike,
    Utc,
};
use chrono_tz::Tz;

use crate::{ContainerPattern, Error, Label};

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
    /// The day that it is; where containers are named by the hour, the hour that it is.
    Today,
    /// The day before; where containers are named by the hour, its last one.
    Yesterday,
    /// The day to which a backup that starts now belongs: before `night_ends` that is the day before, so that a
    /// night caught up in the morning does not take the name of the next one.
    Night,
    /// A given day. Where containers are named by the hour, its last one is meant.
    Day(NaiveDate),
    /// A given hour of a day, where containers are named by the hour.
    Hour(Hour),
}

/// An hour of a day, as clocks show it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hour {
    /// The day.
    pub day: NaiveDate,
    /// The hour, 0 to 23.
    pub hour: u32,
    /// How far the clocks are ahead of UTC: tells the two hours of one name that a day has when clocks are set back.
    pub offset: Option<FixedOffset>,
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
            _ => text.parse().map(Date::Hour).map_err(|()| no_date(text)),
        }
    }
}

impl FromStr for Hour {
    type Err = ();

    /// `2016-06-11T14`, or with an offset `2016-06-11T14+0200`.
    fn from_str(text: &str) -> Result<Hour, ()> {
        let (day, time) = text.split_once('T').ok_or(())?;
        let Ok(Date::Day(day)) = day.parse() else { return Err(()) };
        let (hour, offset) = time.split_at_checked(2).ok_or(())?;
        let is_hour = hour.bytes().all(|digit| digit.is_ascii_digit());
        let hour = hour.parse().ok().filter(|hour| is_hour && *hour < 24).ok_or(())?;
        let offset = match offset {
            "" => None,
            // chrono takes more spellings; one is enough.
            _ if offset.len() == 5 && offset.is_ascii() && !offset.contains(':') => {
                Some(offset.parse().map_err(|_| ())?)
            }
            _ => return Err(()),
        };
        Ok(Hour { day, hour, offset })
    }
}

impl fmt::Display for Hour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}T{:02}", self.day, self.hour)?;
        let Some(offset) = self.offset else { return Ok(()) };
        let minutes = offset.local_minus_utc() / 60;
        let sign = if minutes < 0 { '-' } else { '+' };
        write!(f, "{sign}{:02}{:02}", minutes.abs() / 60, minutes.abs() % 60)
    }
}

fn no_date(text: &str) -> Error {
    Error::Usage {
        message: format!("{text:?} is no date"),
        hint: "give today, yesterday, night or a day such as 2016-06-11; where containers are named by the hour also \
               2016-06-11T14"
            .to_owned(),
    }
}

impl fmt::Display for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Date::Today => f.write_str("today"),
            Date::Yesterday => f.write_str("yesterday"),
            Date::Night => f.write_str("night"),
            Date::Day(day) => day.fmt(f),
            Date::Hour(hour) => hour.fmt(f),
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
    /// All days of a month.
    Month {
        /// Its first.
        from: NaiveDate,
        /// Its last.
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
            Dates::Days { from, to } | Dates::Month { from, to } => {
                (None, Some(from.iter_days().take_while(move |day| *day <= to)))
            }
        };
        one.into_iter().chain(days.into_iter().flatten().map(Date::Day))
    }
}

impl fmt::Display for Dates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dates::One(date) => date.fmt(f),
            Dates::Days { from, to } => write!(f, "{from}..{to}"),
            Dates::Month { from, .. } => write!(f, "{}", from.format("%Y-%m")),
        }
    }
}

impl FromStr for Dates {
    type Err = Error;

    /// A date, a month such as `2016-06`, or `FROM..TO`.
    fn from_str(text: &str) -> Result<Dates, Error> {
        let refuse = || Error::Usage {
            message: format!("{text:?} is neither a date nor several"),
            hint:
                "give today, yesterday, night or a day such as 2016-06-11; or 2016-06 or 2016-06-11..2016-06-13; where \
                   containers are named by the hour also 2016-06-11T14"
                    .to_owned(),
        };
        let day = |text: &str| match text.parse() {
            Ok(Date::Day(day)) => Ok(day),
            _ => Err(refuse()),
        };
        if let Some((from, to)) = text.split_once("..") {
            let (from, to) = (day(from)?, day(to)?);
            return if from <= to {
                Ok(Dates::Days { from, to })
            } else {
                Err(Error::Usage {
                    message: format!("{text:?} ends before it begins"),
                    hint: format!("give the oldest day first: {to}..{from}"),
                })
            };
        }
        if text.len() == 7 {
            let from = day(&format!("{text}-01"))?;
            let to = from.checked_add_months(Months::new(1)).and_then(|next| next.pred_opt()).ok_or_else(refuse)?;
            return Ok(Dates::Month { from, to });
        }
        text.parse().map(Dates::One).map_err(|_| refuse())
    }
}

/// A night: a day, or an hour of it, and the container that holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Night {
    /// The day.
    pub day: NaiveDate,
    /// What names it whenever it is asked for.
    pub date: Date,
    /// The name given to its backup besides.
    pub label: Option<Label>,
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
    /// The same dates without those of a month that are still to come: of a month under way nobody misses the rest. Who
    /// names the last day means it, for points may lie in the future.
    #[must_use]
    pub fn begun(&self, dates: Dates, now: DateTime<Utc>) -> Dates {
        let today = now.with_timezone(&self.time_zone).date_naive();
        match dates {
            Dates::Month { from, to } if from <= today => Dates::Month { from, to: to.min(today) },
            other => other,
        }
    }

    /// The night that `date` means at the instant `now`.
    ///
    /// # Errors
    ///
    /// When the day before does not exist, at the end of the calendar; when an hour is named that does not exist, comes
    /// twice, or has no container of its own.
    pub fn night(&self, date: Date, now: DateTime<Utc>) -> Result<Night, Error> {
        let local = now.with_timezone(&self.time_zone);
        let today = local.date_naive();
        // Not one less: a day that clocks skipped was not the one before.
        let before = || {
            let last = self.first_instant(today)?.checked_sub_signed(TimeDelta::seconds(1));
            let last = last.ok_or_else(|| no_date(&today.to_string()))?;
            Ok::<NaiveDate, Error>(last.with_timezone(&self.time_zone).date_naive())
        };
        let day = match date {
            Date::Today if self.pattern.is_hourly() => return Ok(self.hour(&local)),
            Date::Night if self.pattern.is_hourly() => {
                return Err(Error::Usage {
                    message: format!("with the container pattern {:?} there is no night", self.pattern.as_str()),
                    hint: "each hour has a container of its own: --date today is the hour that it is".to_owned(),
                });
            }
            Date::Hour(hour) => return self.given_hour(hour),
            Date::Today => today,
            Date::Yesterday => before()?,
            Date::Night if local.time() < self.night_ends => before()?,
            Date::Night => today,
            Date::Day(day) => day,
        };
        self.of_day(day)
    }

    /// The night of a day: where containers are named by the hour, its last one, which alone can have seen most of it.
    ///
    /// # Errors
    ///
    /// When there is no such day where hours are asked for.
    pub fn of_day(&self, day: NaiveDate) -> Result<Night, Error> {
        if self.pattern.is_hourly() {
            let last = self.window(day)?.end - TimeDelta::seconds(1);
            return Ok(self.hour(&last.with_timezone(&self.time_zone)));
        }
        let label = self.pattern.label().cloned();
        Ok(Night { day, date: Date::Day(day), label, container: self.pattern.of_day(day) })
    }

    /// The hour to which an instant belongs.
    fn hour(&self, instant: &DateTime<Tz>) -> Night {
        let (day, offset) = (instant.date_naive(), Some(instant.offset().fix()));
        let date = Date::Hour(Hour { day, hour: instant.hour(), offset });
        Night { day, date, label: self.pattern.label().cloned(), container: self.pattern.of_hour(instant) }
    }

    /// An hour that was named.
    fn given_hour(&self, asked: Hour) -> Result<Night, Error> {
        if !self.pattern.is_hourly() {
            return Err(Error::Usage {
                message: format!(
                    "{asked} is an hour, and with the pattern {:?} containers are named by the day",
                    self.pattern.as_str()
                ),
                hint: "give a day; hours want a --container pattern such as \"%Y-%m-%dT%H%z\"".to_owned(),
            });
        }
        // Clocks are never set by less than a quarter of an hour.
        let quarters = (0..4).filter_map(|quarter| asked.day.and_hms_opt(asked.hour, quarter * 15, 0));
        let instants = quarters.flat_map(|local| {
            let found = self.time_zone.from_local_datetime(&local);
            found.earliest().into_iter().chain(found.latest())
        });
        let hours = instants.filter(|instant| asked.offset.is_none_or(|offset| instant.offset().fix() == offset));
        let hours: BTreeMap<String, Night> =
            hours.map(|hour| self.hour(&hour)).map(|night| (night.date.to_string(), night)).collect();
        let named = hours.keys().cloned().collect::<Vec<_>>().join(" and ");
        let mut hours = hours.into_values();
        match (hours.next(), hours.next()) {
            (Some(hour), None) => Ok(hour),
            (None, _) => Err(Error::Usage {
                message: format!("the hour {asked} does not exist in {}", self.time_zone),
                hint: "clocks there skipped it, or are not so far from UTC then".to_owned(),
            }),
            (Some(_), Some(_)) => Err(Error::Usage {
                message: format!("the hour {asked} comes twice in {}", self.time_zone),
                hint: format!("say which one: {named}"),
            }),
        }
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
