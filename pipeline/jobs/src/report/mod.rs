//! Report: what the archive tells of its nights, on a page to look at and as values for monitoring.
//!
//! ```text
//! containers ─▶ nights in batches, each as the list reads it ─▶ model: days, troubles, series, dumps ─▶ page | values
//! ```
//!
//! It knows what lies in the archive and nothing else. It reads and changes nothing, but for the page itself, which is
//! published into a container that no night can have.

mod collect;
mod days;
mod deliver;
mod metrics;
mod model;
mod outcome;
mod page;
mod series;
mod troubles;
mod verdict;
mod words;

pub use deliver::{Html, published_as};
pub use metrics::NAMES;
pub use outcome::{LastNight, LastRestore, Nights, Outcome};
pub use troubles::{Matter, Trouble};

use std::path::PathBuf;
use std::sync::Arc;

use archive::{Calendar, Dates};
use chrono::{DateTime, Utc};
use store::Store;

use crate::{Error, Interrupt, Place};

/// What is to be reported.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the job runs.
    pub place: Place,
    /// How days become containers. With a label, those that carry it.
    pub calendar: Calendar,
    /// Of which nights.
    pub range: Range,
    /// Where the page is put.
    pub html: Option<Html>,
    /// Whether the page is stored in the archive.
    pub publish: bool,
    /// Nights that are read at once.
    pub parallel: usize,
    /// See [`crate::list::Config::cache`].
    pub cache: Option<PathBuf>,
    /// Asks for an early end.
    pub interrupt: Interrupt,
}

/// The nights of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Range {
    /// All that there are.
    All,
    /// Those of the last days.
    Last(u32),
    /// Those of some days.
    Dates(Dates),
}

/// Looks through the archive and makes the page where one is asked for.
///
/// # Errors
///
/// [`Kind::Missing`](crate::Kind::Missing) when there is no night; when the archive cannot be listed, or the page cannot
/// be put where it is to be.
pub async fn run(config: Config, now: DateTime<Utc>, store: Arc<dyn Store>) -> Result<Outcome, Error> {
    let interrupt = config.interrupt.clone();
    interrupt.unless(report(&config, now, store)).await
}

async fn report(config: &Config, now: DateTime<Utc>, store: Arc<dyn Store>) -> Result<Outcome, Error> {
    // 1. What lies in the archive, night by night; what a night holds is forgotten once it is counted.
    let collected = collect::nights(config, now, &store).await?;
    // 2. What it means: which days have a good night, what is wrong, and how things grow.
    let model = model::Model::of(collected, &config.calendar, now);
    let mut outcome = Outcome::of(&model);
    // 3. The page.
    if config.html.is_some() || config.publish {
        let html = page::render(&model, &store.location(), &config.place.writer)?;
        // 4. Where it is to be seen.
        if config.publish {
            outcome.published = Some(deliver::publish(store.as_ref(), &config.calendar.pattern, &html).await?);
        }
        match &config.html {
            Some(Html::File(file)) => outcome.html = Some(deliver::write(file, html).await?),
            Some(Html::Stdout) => outcome.page = Some(html),
            None => {}
        }
    }
    Ok(outcome)
}
