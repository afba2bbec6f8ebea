//! Which nights of an archive are meant: by their days, and by the names of their containers.

use archive::{Calendar, Dates};
use chrono::{DateTime, NaiveDate, Utc};
use regex::Regex;
use store::Store;

use crate::{Error, Kind};

/// The containers that are meant, each with its day, the newest first. Those of several days have any label, unless one is
/// asked for; a single one is that night alone.
pub(crate) async fn nights(
    store: &dyn Store,
    calendar: &Calendar,
    dates: Option<Dates>,
    matching: Option<&Regex>,
    now: DateTime<Utc>,
) -> Result<Vec<(NaiveDate, String)>, Error> {
    let mut wanted = archive::nights(store, &calendar.pattern).await?;
    match dates {
        None => {}
        Some(Dates::One(date)) => {
            let asked = calendar.night(date, now)?.container;
            wanted.retain(|(_, container)| *container == asked);
        }
        Some(Dates::Days { from, to } | Dates::Month { from, to }) => {
            wanted.retain(|(day, _)| (from..=to).contains(day));
        }
    }
    if let Some(matching) = matching {
        wanted.retain(|(_, container)| matching.is_match(container));
    }
    Ok(wanted)
}

/// What is said where there is none.
pub(crate) fn none(store: &dyn Store, dates: Option<Dates>, matching: Option<&Regex>) -> Error {
    let what = match (dates, matching) {
        (None, None) => String::new(),
        (_, Some(matching)) => format!(" like {matching}"),
        (Some(dates), None) => format!(" {dates}"),
    };
    Error::new(Kind::Missing, format!("there is no night{what} in {}", store.location()))
}
