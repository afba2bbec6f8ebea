//! How containers are named: by the day, or by the hour.

use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::str::FromStr;

use chrono::format::{Fixed, Item, StrftimeItems};
use chrono::{DateTime, FixedOffset, NaiveDate, Offset, TimeDelta, TimeZone, Timelike};
use chrono_tz::Tz;

use crate::{Date, Error, Hour, Label, Night};

/// How containers are named: text with strftime fields, such as `%Y-%m-%d` or `prod1-%Y-%m-%d`, and after it a label,
/// where one is given. With the hour, `%Y-%m-%dT%H%z`, each hour has a container of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerPattern {
    text: String,
    label: Option<Label>,
    hourly: bool,
}

/// What the name of a container tells.
struct Parts<'a> {
    day: NaiveDate,
    /// The beginning of its hour, where containers are named by the hour.
    hour: Option<DateTime<FixedOffset>>,
    /// What follows the date: nothing, or a label behind `_`.
    rest: &'a str,
}

impl Default for ContainerPattern {
    fn default() -> Self {
        ContainerPattern { text: "%Y-%m-%d".to_owned(), label: None, hourly: false }
    }
}

impl ContainerPattern {
    /// Whether containers are named by the hour.
    #[must_use]
    pub fn is_hourly(&self) -> bool {
        self.hourly
    }

    /// The container of a day, where containers are named by the day.
    pub(crate) fn of_day(&self, day: NaiveDate) -> String {
        self.with_label(day.format(&self.text).to_string())
    }

    /// The container of the hour of an instant, where containers are named by the hour.
    pub(crate) fn of_hour(&self, instant: &DateTime<Tz>) -> String {
        self.with_label(beginning(instant).format(&self.text).to_string())
    }

    fn with_label(&self, name: String) -> String {
        match &self.label {
            Some(label) => format!("{name}_{label}"),
            None => name,
        }
    }

    /// The day of a container that is named so, with any label or none.
    #[must_use]
    pub fn day_of(&self, container: &str) -> Option<NaiveDate> {
        self.parts(container).map(|parts| parts.day)
    }

    /// The beginning of the hour of a container that is named so, where containers are named by the hour.
    #[must_use]
    pub fn hour_of(&self, container: &str) -> Option<DateTime<FixedOffset>> {
        self.parts(container)?.hour
    }

    /// The night of a container that is named so, with any label or none.
    #[must_use]
    pub fn night_of(&self, container: &str) -> Option<Night> {
        let Parts { day, hour, rest } = self.parts(container)?;
        let hour = hour.map(|hour| Hour { day, hour: hour.hour(), offset: Some(*hour.offset()) });
        let date = hour.map_or(Date::Day(day), Date::Hour);
        let label = rest.strip_prefix('_').and_then(|label| label.parse().ok());
        Some(Night { day, date, label, container: container.to_owned() })
    }

    /// The label of a container that is named so; `None` for one without, and for any other container.
    #[must_use]
    pub fn label_of<'a>(&self, container: &'a str) -> Option<&'a str> {
        self.parts(container)?.rest.strip_prefix('_')
    }

    /// What the name of a container tells that is named so.
    fn parts<'a>(&self, container: &'a str) -> Option<Parts<'a>> {
        // What can be read as a day need not be what we write for it.
        let (day, hour, written, rest) = if self.hourly {
            // The minutes, which a name does not have, are told with the offset.
            let text = format!("%M {}", self.text);
            let padded = format!("00 {container}");
            let (hour, rest) = DateTime::parse_and_remainder(&padded, &text).ok()?;
            (hour.date_naive(), Some(hour), hour.format(&self.text).to_string(), rest.len())
        } else {
            let (day, rest) = NaiveDate::parse_and_remainder(container, &self.text).ok()?;
            (day, None, day.format(&self.text).to_string(), rest.len())
        };
        let (name, rest) = container.split_at_checked(container.len().checked_sub(rest)?)?;
        let is_label = rest.is_empty() || rest.strip_prefix('_').is_some_and(|label| label.parse::<Label>().is_ok());
        (is_label && name == written).then_some(Parts { day, hour, rest })
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

/// So many days in a row are tried, a leap day and all changes of the clocks among them.
const TRIED: usize = 500;

impl FromStr for ContainerPattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<ContainerPattern, Error> {
        let refuse = |reason: &str| Error::Usage {
            message: format!("the container pattern {text:?} {reason}"),
            hint: "use text with %Y, %m and %d, such as \"%Y-%m-%d\" or \"prod1-%Y-%m-%d\"; for a container each hour \
                   \"%Y-%m-%dT%H%z\""
                .to_owned(),
        };
        let items: Vec<Item<'_>> = StrftimeItems::new(text).collect();
        if items.iter().any(|item| matches!(item, Item::Error)) {
            return Err(refuse("has a field that does not exist"));
        }
        let first = NaiveDate::from_ymd_opt(2019, 12, 1).ok_or_else(|| refuse("cannot be tried"))?;
        let mut names = BTreeSet::new();
        let mut hourly = false;
        for day in first.iter_days().take(TRIED) {
            let mut name = String::new();
            if write!(name, "{}", day.format(text)).is_err() {
                hourly = true;
                break;
            }
            names.insert(name);
        }
        if hourly {
            let offset = |item: &Item<'_>| matches!(item, Item::Fixed(Fixed::TimezoneOffset));
            if !items.iter().any(offset) {
                return Err(refuse(
                    "has the hour without %z, so that two hours would share a name when clocks are set back",
                ));
            }
            names = hours(text, first).ok_or_else(|| refuse("has a field that an hour does not have"))?;
        }
        if names.len() < TRIED * if hourly { 24 } else { 1 } {
            let what = if hourly { "hours" } else { "days" };
            return Err(refuse(&format!("gives several {what} the same name")));
        }
        if names.iter().any(|name| name.len() > 128 || name.contains(['/', '\0', '\n']) || name.starts_with('.')) {
            return Err(refuse("gives names that cannot be those of containers"));
        }
        Ok(ContainerPattern { text: text.to_owned(), label: None, hourly })
    }
}

/// The hour of an instant as it is written: without minutes, and with the offset that clocks have at the instant.
fn beginning(instant: &DateTime<Tz>) -> DateTime<FixedOffset> {
    let offset = instant.offset().fix();
    let local = instant.naive_local();
    let into = TimeDelta::minutes(local.minute().into()) + TimeDelta::seconds(local.second().into());
    let hour = local - into - TimeDelta::nanoseconds(local.nanosecond().into());
    DateTime::from_naive_utc_and_offset(hour - offset, offset)
}

/// The names of the hours of many days. The clocks of Berlin change among them.
fn hours(text: &str, first: NaiveDate) -> Option<BTreeSet<String>> {
    let first = chrono_tz::Europe::Berlin.from_local_datetime(&first.and_hms_opt(0, 0, 0)?).earliest()?;
    let mut names = BTreeSet::new();
    for hour in 0..TRIED as i64 * 24 {
        let mut name = String::new();
        write!(name, "{}", beginning(&(first + TimeDelta::hours(hour))).format(text)).ok()?;
        names.insert(name);
    }
    Some(names)
}

impl fmt::Display for ContainerPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
