//! Verification: whether what was stored is still there as it was, and can be read.
//!
//! ```text
//! manifest FIRST ─▶ HEAD | store.get ─▶ digest, tar ─▶ TSM files ─▶ record beside the seal
//! ```
//!
//! Nothing is locked and nothing is changed but that record, so a backup may run at the same time: a night that is not sealed
//! is none, and one that is replaced while it is looked at is looked at again.

mod advice;
mod claims;
mod expected;
mod folder;
mod ground;
mod inside;
mod night;
mod object;
mod outcome;
mod pool;
mod reading;
mod record;
mod unsealed;

use std::sync::Arc;
use std::time::Instant;

use archive::{Calendar, Dates, Night, Sample, Slice, nights};
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use store::Store;
use tokio::sync::OnceCell;
use tsm::check;

use crate::{Error, Interrupt, Kind, Place, Progress, Spool, clocks};
pub use folder::folder;
pub(crate) use outcome::told;
pub use outcome::{Outcome, PoolObject, Verified};
use pool::Pools;
pub use unsealed::{Adopting, adopt};

/// What is to be verified, and how.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the job runs.
    pub place: Place,
    /// How days become containers.
    pub calendar: Calendar,
    /// Which nights.
    pub nights: Which,
    /// How closely they are looked at.
    pub extent: Extent,
    /// How large a part of them is looked at today, if not all.
    pub sample: Option<Sample>,
    /// Whether it is written down beside the seals when and how they were verified.
    pub record: bool,
    /// Whether what nights share is brought back first, where it was deleted and the archive has kept it.
    pub undelete: bool,
    /// How many objects are looked at at once.
    pub parallel: usize,
    /// Asks the run to end.
    pub interrupt: Interrupt,
}

/// Which nights are verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// These.
    Dates(Dates),
    /// All that are sealed.
    All,
}

/// How closely a night is looked at; each looks at what the ones before it do, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Extent {
    /// The store is asked for every object: whether it is there, its length, and its ETag where that is the MD5.
    Quick,
    /// Every byte is read, and compared with the digest in the manifest.
    Digests,
    /// The tars and the TSM files in them are looked into: their structure, and every block's checksum.
    Deep,
    /// Every block is decoded as well.
    Decode,
}

impl Extent {
    /// Its name in records.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Extent::Quick => "quick",
            Extent::Digests => "digests",
            Extent::Deep => "deep",
            Extent::Decode => "decode",
        }
    }

    /// How closely blocks are looked at, where they are.
    fn of_blocks(self) -> check::Extent {
        match self {
            Extent::Decode => check::Extent::Decode,
            Extent::Quick | Extent::Digests | Extent::Deep => check::Extent::Checksums,
        }
    }
}

/// One night that is to be verified.
enum Target {
    /// One of which there must be a backup.
    Backup(Night),
    /// One with whatever is sealed in it.
    Any(Night),
}

impl Target {
    fn container(&self) -> &str {
        match self {
            Target::Backup(night) | Target::Any(night) => &night.container,
        }
    }
}

/// A verification under way.
struct Run {
    config: Config,
    now: DateTime<Utc>,
    begun: Instant,
    store: Arc<dyn Store>,
    progress: Arc<dyn Progress>,
    /// For what is looked into and does not lie in a file already; made when it is needed first.
    spool: OnceCell<Spool>,
    slice: Option<Slice>,
    pools: Pools,
}

/// Verifies nights of the archive.
///
/// # Errors
///
/// [`Kind::Missing`] when there is no such night. Of several nights those that cannot be verified are in the [`Outcome`], as is
/// everything that is damaged.
pub async fn run(
    config: Config,
    now: DateTime<Utc>,
    store: Arc<dyn Store>,
    progress: Arc<dyn Progress>,
) -> Result<Outcome, Error> {
    let interrupt = config.interrupt.clone();
    let run = Run::begin(config, now, store, progress);
    interrupt.unless(run.nights()).await
}

impl Run {
    fn begin(config: Config, now: DateTime<Utc>, store: Arc<dyn Store>, progress: Arc<dyn Progress>) -> Run {
        // Whoever runs this every night counts nights by the days of the place.
        let today = now.with_timezone(&config.calendar.time_zone).date_naive();
        let slice = config.sample.map(|sample| sample.slice(today));
        Run {
            config,
            now,
            begun: Instant::now(),
            store,
            progress,
            spool: OnceCell::new(),
            slice,
            pools: Pools::default(),
        }
    }

    /// One night after the other; one that cannot be verified does not keep the others.
    async fn nights(&self) -> Result<Outcome, Error> {
        let (calendar, store) = (&self.config.calendar, self.store.as_ref());
        let targets: Vec<Target> = match self.config.nights {
            Which::Dates(dates) => calendar
                .begun(dates, self.now)
                .iter()
                .map(|date| Ok(Target::Backup(calendar.night(date, self.now)?)))
                .collect::<Result<_, Error>>()?,
            Which::All => {
                let all = nights(store, &calendar.pattern).await?;
                let named = all.iter().filter_map(|(_, container)| calendar.pattern.night_of(container));
                named.map(Target::Any).collect()
            }
        };
        let single = matches!(self.config.nights, Which::Dates(Dates::One(_)));
        let (mut outcome, mut first) = (Outcome::new(self.config.extent, self.slice), None);
        if let Which::Dates(dates) = self.config.nights {
            let clocks = (self.now, self.begun);
            outcome.clocks = clocks::look(calendar, dates, clocks, Some(store), None, self.progress.as_ref()).await;
        }
        for target in &targets {
            match self.night(target).await {
                Ok(verified) => outcome.nights.extend(verified),
                Err(error) if single || error.is_interruption() => return Err(error),
                Err(error) => {
                    outcome.failures.push(format!("{}: {error}", target.container()));
                    let gone = error.kind() == Kind::Passing;
                    first.get_or_insert(error);
                    if gone {
                        outcome.failures.push("what comes after that was not verified".to_owned());
                        break;
                    }
                }
            }
        }
        if outcome.nights.is_empty() {
            return Err(first.unwrap_or_else(|| {
                let message = format!("there is no backup in {}", store.location());
                Error::new(Kind::Missing, message).hint("is --container the pattern that the backups have?")
            }));
        }
        let (pool, brought_back, unknown) = self.pool_findings().await;
        (outcome.pool, outcome.brought_back) = (pool, brought_back);
        outcome.failures.extend(unknown);
        Ok(outcome.finished(self.begun.elapsed()))
    }

    async fn spool(&self) -> Result<&Spool, Error> {
        let Place { spool, spool_size, .. } = &self.config.place;
        self.spool.get_or_try_init(async || Ok(Spool::open(spool)?.limited(*spool_size))).await
    }

    /// The present, by the clock of whoever called.
    fn instant(&self) -> DateTime<Utc> {
        self.now + TimeDelta::from_std(self.begun.elapsed()).unwrap_or_default()
    }
}
