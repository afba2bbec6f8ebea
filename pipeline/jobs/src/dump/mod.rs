//! Dump: the measurements of a night, as JSON pages, into the archive.
//!
//! ```text
//! query ─▶ records of one instant sorted ─┬─▶ pages ─▶ spool (digests) ─▶ put, HEAD ─▶ manifest LAST
//! indexes ─▶ blocks ─▶ records in order ──┘
//! ```
//!
//! The records come out of the night's shards as they are stored ([`Reading::Backup`]), or from the intermediary, in which a
//! restore has loaded the night; which night is loaded is read before and after, so that a dump never mixes two. Without
//! an archive they come from a server as it is.

mod arrange;
mod base;
mod columns;
mod complete;
mod deliver;
mod deposit;
mod encode;
mod extract;
mod format;
mod json;
mod late;
mod measurement;
mod older;
mod outcome;
mod pages;
mod refusals;
mod rest;
mod schema;
mod selection;
mod series_key;
mod sorter;
mod source;
mod spans;
mod task;
mod text;
mod together;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use archive::{Calendar, Date, Dates, DumpName, Night};
use chrono::{DateTime, Utc};
use futures_util::FutureExt;
use store::Store;
use tokio::sync::RwLock;

pub use format::{Compression, Format};
pub use outcome::{Dumped, Outcome};
pub use rest::{SeriesBlocks, print_in_memory};
pub use source::Reading;

use crate::{Error, Interrupt, Kind, Lock, Place, Progress, Spool, clocks};
use base::Base;
use rest::Rest;
use source::Source;
use task::Task;

/// What a dump is to do.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the job runs.
    pub place: Place,
    /// How days become containers.
    pub calendar: Calendar,
    /// Which days to dump.
    pub date: Dates,
    /// The measurements, at least one; `*` and `?` in a name that does not exist stand for any text and any character.
    pub measurements: Vec<String>,
    /// Their database; may be absent where there is only one.
    pub database: Option<String>,
    /// Their retention policy; else the default one.
    pub retention_policy: Option<String>,
    /// How dumps are named.
    pub name: DumpName,
    /// How many dumps are made at once; each takes two threads.
    pub parallel: usize,
    /// How long to wait for the backup and for the restore; else not at all.
    pub wait: Option<Duration>,
    /// How records are written.
    pub format: Format,
    /// How the files are compressed, if they are.
    pub compression: Option<Compression>,
    /// Records a page, where there are pages.
    pub page_size: usize,
    /// A folder for local copies.
    pub output: Option<PathBuf>,
    /// Whether to store the dump in the archive.
    pub upload: bool,
    /// Memory for the records of one instant, in bytes, which dumps that are made at once share; what does not fit goes
    /// through the spool.
    pub buffer_bytes: usize,
    /// Asks the dump to end.
    pub interrupt: Interrupt,
}

/// What was asked for, and the connections for it.
#[derive(Clone)]
struct Job {
    config: Config,
    now: DateTime<Utc>,
    store: Option<Arc<dyn Store>>,
    reading: Reading,
    progress: Arc<dyn Progress>,
    /// Shared by all that must come to its own end also when the run is asked to end.
    unbroken: Arc<RwLock<()>>,
}

/// One day of it under way.
struct Run {
    job: Job,
    begun: Instant,
    spool: Spool,
    base: Base,
    source: Source,
    database: String,
    /// The policies of the database.
    policies: Vec<String>,
}

/// Dumps measurements of a day. Without `store` nothing is uploaded, and the records are those that the server holds at
/// this moment, whatever night they come from.
///
/// # Errors
///
/// [`Kind::Missing`] without a backup of the day, [`Kind::Passing`] when the server does not hold this night (any
/// more), [`Kind::Usage`] for a database, policy or single measurement that does not exist. Of several measurements
/// those that fail are in the [`Outcome`]. [`Error::interrupted`] when it is asked to end; a dump that is being stored
/// is stored and sealed before that.
pub async fn run(
    config: Config,
    now: DateTime<Utc>,
    store: Option<Arc<dyn Store>>,
    reading: Reading,
    progress: Arc<dyn Progress>,
) -> Result<Outcome, Error> {
    let unbroken = Arc::new(RwLock::new(()));
    let job = Job { config, now, store, reading, progress, unbroken };
    let asked_to_end = async {
        job.config.interrupt.requested().await;
        job.unbroken.write().await
    };
    tokio::select! {
        biased;
        _guard = asked_to_end => Err(Error::interrupted()),
        outcome = job.days() => outcome,
    }
}

impl Job {
    /// One day after the other; one that fails does not keep the others.
    async fn days(&self) -> Result<Outcome, Error> {
        let Job { config, store, reading, progress, .. } = self;
        let influx = match reading {
            Reading::Influx(influx) => Some(&**influx),
            Reading::Backup => None,
        };
        let (dates, clocks) = (config.calendar.begun(config.date, self.now), (self.now, Instant::now()));
        let clocks = clocks::look(&config.calendar, dates, clocks, store.as_deref(), influx, progress.as_ref()).await;
        let (mut all, mut failed): (Option<Outcome>, Vec<(Date, Error)>) = (None, Vec::new());
        for date in dates.iter() {
            match self.day(date).await {
                Ok(outcome) => match &mut all {
                    None => all = Some(outcome),
                    Some(all) => all.append(outcome),
                },
                // Of a single day there is no rest, and an interruption ends them all.
                Err(error) if matches!(dates, Dates::One(_)) || error.is_interruption() => return Err(error),
                Err(error) => failed.push((date, error)),
            }
        }
        let Some(mut all) = all else {
            let none = || Error::new(Kind::Usage, "there is no day to dump");
            return Err(failed.into_iter().next().map_or_else(none, |(_, error)| error));
        };
        all.clocks = clocks;
        all.failures.extend(failed.iter().map(|(date, error)| format!("{date}: {}", failure(error))));
        Ok(all)
    }

    async fn day(&self, date: Date) -> Result<Outcome, Error> {
        let Job { config, store, .. } = self;
        let begun = Instant::now();
        let deadline = config.wait.map(|wait| begun + wait);
        refusals::check(config, store.is_some())?;
        refusals::measurements(config, &config.measurements, "", "")?;

        // 1. The night, and the server that holds it.
        let night = config.calendar.night(date, self.now)?;
        let window = config.calendar.window(night.day)?;
        spans::span(night.day, window)?;
        if let Some(output) = &config.output {
            refusals::output(output)?;
        }
        let base = self.base(&night).await?;
        let database = base.database(config.database.as_deref())?;
        let spool = Spool::open(&config.place.spool)?.limited(config.place.spool_size);
        let (source, _lock) = self.source(&base, &database, &spool, deadline).await?;
        let (policy, policies) = policy(&source, &database, config.retention_policy.as_deref()).await?;
        let selected = selection::expand(&source, &database, &policy, &config.measurements).await?;
        let measurements = refusals::measurements(config, &selected.measurements, &database, &policy)?;
        // Whichever hour is asked for: the dumps of a day lie in one place.
        let night = config.calendar.of_day(night.day)?;
        let run = Run { job: self.clone(), begun, spool, base, source, database, policies };

        // 2. The measurements, some at once; one that fails does not keep the others.
        let mut outcome = Outcome {
            night: night.day,
            container: store.as_ref().map(|_| night.container.clone()),
            dumps: Vec::new(),
            completed: Vec::new(),
            failures: Vec::new(),
            clocks: Vec::new(),
            seconds: 0.0,
        };
        let tasks = measurements.iter().map(|measurement| Task::new(&run, &night, window, &policy, measurement));
        let tasks = tasks.collect::<Result<Vec<Task>, Error>>()?;
        run.refuse_names_of_others(&night.container, &tasks).await?;
        if selected.may_grow {
            run.remember(&night, window, &policy).await?;
        }
        for (_, made) in run.together(&tasks, |error| tasks.len() == 1 || error.kind() == Kind::Passing).await? {
            match made {
                Ok(made) => {
                    outcome.failures.extend(made.failures);
                    outcome.dumps.push(made.dumped);
                }
                Err(error) => outcome.failures.push(failure(&error)),
            }
        }

        // 3. The days before, of which the backups that their dumps were made from had not seen the end.
        run.complete(&mut outcome).await?;
        outcome.seconds = begun.elapsed().as_secs_f64();
        Ok(outcome)
    }

    /// What there is to dump.
    async fn base(&self, night: &Night) -> Result<Base, Error> {
        let Job { config, store, reading, progress, .. } = self;
        match (reading, store) {
            (Reading::Influx(influx), Some(store)) => {
                Base::night(config, store.as_ref(), influx, night, progress.as_ref()).await
            }
            (Reading::Influx(influx), None) => Base::server(influx).await,
            (Reading::Backup, Some(store)) => Base::archived(config, store.as_ref(), night, progress.as_ref()).await,
            (Reading::Backup, None) => Err(Error::new(Kind::Usage, "a backup cannot be read without an archive")
                .hint("name one with --archive, or an InfluxDB with --target")),
        }
    }

    /// Where it is read, with a lock that keeps it there.
    async fn source(
        &self,
        base: &Base,
        database: &str,
        spool: &Spool,
        deadline: Option<Instant>,
    ) -> Result<(Source, Option<Lock>), Error> {
        match (&self.reading, &self.store, base.manifest()) {
            (Reading::Backup, Some(store), Some(manifest)) => {
                let rest = Rest::open(store, manifest, spool.resident()?).await?;
                Ok((Source::Rest(rest), None))
            }
            (Reading::Backup, ..) => Err(Error::new(Kind::Usage, "there is no backup to read")),
            (Reading::Influx(influx), ..) => {
                let lock = base.hold(&self.config, influx, database, deadline, self.progress.as_ref()).await?;
                influx.ping().await?;
                Ok((Source::Live(influx.clone()), Some(lock)))
            }
        }
    }
}

impl Run {
    fn interrupted(&self) -> bool {
        self.job.config.interrupt.requested().now_or_never().is_some()
    }
}

/// An error as one line among others.
fn failure(error: &Error) -> String {
    error.hint_text().map_or(error.to_string(), |hint| format!("{error} ({hint})"))
}

/// The policy to read, and all that there are.
async fn policy(source: &Source, database: &str, asked: Option<&str>) -> Result<(String, Vec<String>), Error> {
    let policies = source.policies(database).await?;
    let found = policies.iter().find(|(name, default)| asked.map_or(*default, |asked| name == asked));
    let all = || policies.iter().map(|(name, _)| name.clone());
    let Some((found, _)) = found else {
        let message = match asked {
            Some(asked) => format!("retention policy {asked} of database {database} does not exist"),
            None => format!("database {database} has no default retention policy"),
        };
        let names = all().collect::<Vec<_>>().join(", ");
        return Err(Error::new(Kind::Usage, message).hint(format!("there are: {names}; see --retention-policy")));
    };
    Ok((found.clone(), all().collect()))
}
