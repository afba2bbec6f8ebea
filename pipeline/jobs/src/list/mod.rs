//! List: which nights the archive holds, and how each of them stands; or one night with everything that is in it.
//!
//! ```text
//! containers ─▶ named as nights are, asked for ─▶ seal or markers ─▶ records beside the seal ─▶ table | one night
//! ```
//!
//! It reads and changes nothing. What cannot be read is told of the night that it belongs to, and keeps no other.

mod night;
mod text;

pub use night::{Details, Dump, Measurement, Night, Restored, State, Stored, Verified};

use std::sync::Arc;

use archive::{Calendar, Dates};
use chrono::{DateTime, Utc};
use futures_util::{StreamExt, TryStreamExt, stream};
use regex::Regex;
use serde::Serialize;
use store::Store;

use crate::blocking::joined;
use crate::{Error, Interrupt, Kind};

/// What is to be listed.
#[derive(Debug, Clone)]
pub struct Config {
    /// How days become containers. With a label, those that carry it.
    pub calendar: Calendar,
    /// Which nights; all where nothing is said.
    pub dates: Option<Dates>,
    /// What the names of their containers match.
    pub matching: Option<Regex>,
    /// Nights that are read at once.
    pub parallel: usize,
    /// Asks for an early end.
    pub interrupt: Interrupt,
}

/// The nights that there are. Printed with `--json`: members are added, never changed.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// The nights, the newest first.
    pub nights: Vec<Night>,
    /// What could not be read, by night.
    pub failures: Vec<String>,
}

impl Outcome {
    /// A table of the nights, or all that is known of the one that was asked for.
    #[must_use]
    pub fn summary(&self) -> String {
        match self.nights.as_slice() {
            [night] if night.details.is_some() => text::night(night),
            nights => text::table(nights),
        }
    }
}

/// Lists nights; one date gives that night with its details.
///
/// # Errors
///
/// [`Kind::Missing`] when there is no such night; when the archive cannot be listed.
pub async fn run(config: Config, now: DateTime<Utc>, store: Arc<dyn Store>) -> Result<Outcome, Error> {
    let interrupt = config.interrupt.clone();
    interrupt.unless(list(config, now, &store)).await
}

async fn list(config: Config, now: DateTime<Utc>, store: &Arc<dyn Store>) -> Result<Outcome, Error> {
    let Config { calendar, dates, matching, parallel, .. } = &config;
    let detailed = matches!(dates, Some(Dates::One(_)));
    let mut wanted = archive::nights(store.as_ref(), &calendar.pattern).await?;
    if let Some(dates) = dates {
        let named =
            dates.iter().map(|date| Ok(calendar.night(date, now)?.container)).collect::<Result<Vec<_>, Error>>()?;
        // Those of several days have any label, unless one is asked for; a single one is that night alone.
        wanted.retain(|(day, container)| match dates {
            Dates::One(_) => named.contains(container),
            Dates::Days { from, to } | Dates::Month { from, to } => (from..=to).contains(&day),
        });
    }
    if let Some(matching) = matching {
        wanted.retain(|(_, container)| matching.is_match(container));
    }
    // Each in a task of its own: what takes the time is to understand the seals.
    let reads =
        wanted.into_iter().map(|(day, container)| {
            let store = Arc::clone(store);
            async move {
                joined(tokio::spawn(async move { night::read(store.as_ref(), day, container, detailed).await }).await)
            }
        });
    let read: Vec<Option<Night>> = stream::iter(reads).buffered(*parallel).try_collect().await?;
    let nights: Vec<Night> = read.into_iter().flatten().collect();
    if nights.is_empty() {
        let what = match (dates, matching) {
            (None, None) => String::new(),
            (_, Some(matching)) => format!(" like {matching}"),
            (Some(dates), None) => format!(" {dates}"),
        };
        return Err(Error::new(Kind::Missing, format!("there is no night{what} in {}", store.location())).hint(
            "is --container the pattern that the backups have? without a date and --match all nights are listed",
        ));
    }
    let failures = nights
        .iter()
        .flat_map(|night| night.unreadable.iter().map(|what| format!("{}: {what}", night.container)))
        .collect();
    Ok(Outcome { nights, failures })
}
