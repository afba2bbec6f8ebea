//! List: which nights the archive holds, and how each of them stands; or one night with everything that is in it.
//!
//! ```text
//! containers ─▶ named as nights are, asked for ─▶ seal or markers ─▶ records beside the seal ─▶ table | one night
//! ```
//!
//! It reads and changes nothing, but for the pins that `pin` sets when it is asked to. What cannot be read is told of the night that it belongs to, and keeps no other; a store that does not answer ends the list.

mod cache;
mod night;
mod pin;
mod shares;
mod text;

pub use night::{Details, Dump, Measurement, Night, Restored, State, Stored, Verified};
pub use pin::{Pin, Pinned, Pinning, pin, unpin};
pub(crate) use shares::Shares;
pub(crate) use text::size;

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;

use archive::{Calendar, Dates};
use chrono::{DateTime, Utc};
use futures_util::{StreamExt, stream};
use regex::Regex;
use serde::Serialize;
use store::Store;

use self::cache::{Cache, Kept};
use crate::blocking::joined;
use crate::{Error, Interrupt, Kind, choice};

/// What is to be listed.
#[derive(Debug, Clone)]
pub struct Config {
    /// How days become containers. With a label, those that carry it.
    pub calendar: Calendar,
    /// Which nights; all where nothing is said.
    pub dates: Option<Dates>,
    /// Whether everything in them is told.
    pub detailed: bool,
    /// What the names of their containers match.
    pub matching: Option<Regex>,
    /// Whether it is told what each night added, and what deleting it would free. Where nights share, that takes the seals of
    /// all nights.
    pub shares: bool,
    /// Nights that are read at once.
    pub parallel: usize,
    /// Where what was read is kept for the next time, where that is worth it: with a store that is far away.
    pub cache: Option<PathBuf>,
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
    /// What a person should know, though nothing is wrong with these nights by it.
    pub notes: Vec<String>,
}

impl Outcome {
    /// A table of the nights, or all that is known of the one that was asked for.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut text = match self.nights.as_slice() {
            [night] if night.details.is_some() => text::night(night),
            nights => text::table(nights),
        };
        self.notes.iter().for_each(|note| text.push_str(&format!("note: {note}\n")));
        text
    }
}

/// Lists nights.
///
/// # Errors
///
/// [`Kind::Missing`] when there is no such night; when the archive cannot be listed.
pub async fn run(config: Config, now: DateTime<Utc>, store: Arc<dyn Store>) -> Result<Outcome, Error> {
    let interrupt = config.interrupt.clone();
    interrupt.unless(list(config, now, &store)).await
}

async fn list(config: Config, now: DateTime<Utc>, store: &Arc<dyn Store>) -> Result<Outcome, Error> {
    let mut shares = config.shares.then(Shares::default);
    let mut outcome = read(&config, now, store, shares.as_mut()).await?;
    if let Some(shares) = shares {
        let nights = outcome.nights.iter_mut();
        outcome.notes.extend(shares.tell(store, config.parallel, config.cache.as_deref(), nights).await);
    }
    Ok(outcome)
}

/// Reads the nights, and counts what they share.
pub(crate) async fn read(
    config: &Config,
    now: DateTime<Utc>,
    store: &Arc<dyn Store>,
    mut shares: Option<&mut Shares>,
) -> Result<Outcome, Error> {
    let Config { calendar, dates, matching, parallel, .. } = config;
    let detailed = config.detailed;
    let cache = config.cache.as_deref().map(|folder| Arc::new(Cache::of(folder, &store.location())));
    let wanted = choice::nights(store.as_ref(), calendar, *dates, matching.as_ref(), now).await?;
    let is_all = dates.is_none() && matching.is_none() && calendar.pattern.label().is_none();
    let containers: Vec<String> = wanted.iter().map(|(_, container)| container.clone()).collect();
    // Each in a task of its own: what takes the time is to understand the seals.
    let reads = wanted.iter().filter_map(|(_, container)| calendar.pattern.night_of(container)).map(|night| {
        let (store, name, cache) = (Arc::clone(store), night.container.clone(), cache.clone());
        let task = async move {
            let kept = cache.map_or_else(Kept::nothing, |cache| Kept::of(cache, &night.container));
            night::read(store.as_ref(), kept, night, detailed).await
        };
        async move { (name, joined(tokio::spawn(task).await)) }
    });
    let mut reads = pin!(stream::iter(reads).buffered(*parallel));
    let (mut nights, mut failures) = (Vec::new(), Vec::new());
    while let Some((container, read)) = reads.next().await {
        match read {
            Ok(night) => {
                let (night, share) = night.unzip();
                if let Some(shares) = &mut shares {
                    shares.count(&container, share.unwrap_or(Ok(None)));
                }
                nights.extend(night);
            }
            Err(error) if matches!(dates, Some(Dates::One(_))) || error.kind() == Kind::Passing => return Err(error),
            Err(error) => {
                if let Some(shares) = &mut shares {
                    shares.count(&container, Err(error.to_string()));
                }
                failures.push(format!("{container}: {error}"));
            }
        }
    }
    // Where nights share, the others are kept as well, and those that there are no longer are told from them there.
    let is_alone = shares.is_none_or(|shares| !shares.is_shared());
    if let Some(cache) = cache.as_ref().filter(|_| is_all && is_alone) {
        cache.forget_others(containers.iter().map(String::as_str));
    }
    if nights.is_empty() && failures.is_empty() {
        let is_choosing = dates.is_some() || matching.is_some();
        return Err(choice::none(store.as_ref(), *dates, matching.as_ref()).hint(if is_choosing {
            "is --container the pattern that the backups have? without a date and --match all nights are listed"
        } else {
            "is --container the pattern that the backups have? nightshard-backup makes the first one"
        }));
    }
    let unreadable = |night: &Night| -> Vec<String> {
        night.unreadable.iter().map(|what| format!("{}: {what}", night.container)).collect()
    };
    failures.extend(nights.iter().flat_map(unreadable));
    Ok(Outcome { nights, failures, notes: Vec::new() })
}
