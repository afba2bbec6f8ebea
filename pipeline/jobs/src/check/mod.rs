//! Check: is this machine ready for the night?
//!
//! ```text
//! programs asked for their settings ─▶ archive, source, intermediary, timers at once ─▶ probe, clocks, nights, room ─▶ list of ✓ and ✗
//! ```
//!
//! Everything is looked at, also when something else is wrong; what hangs is given up. Nothing is changed but for one small
//! object, which is written into the archive in a container of its own, and removed with it.

mod archive;
mod influx;
mod machine;
mod nights;
mod outcome;
mod programs;
mod schedule;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use ::archive::Calendar;
use ::influx::Influx;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;
use futures_util::future::BoxFuture;

pub use self::archive::Opened;
use self::influx::Question;
use crate::blocking::ended;
use crate::{Error, Event, Interrupt, Kind, Place, Progress};
pub use outcome::{Check, Outcome, Status};
pub use programs::Program;
pub use schedule::Schedule;
use schedule::Wants;

/// How old a proven restore may be where an intermediary is configured and nobody says otherwise.
const RESTORE_AGE: Duration = Duration::from_secs(26 * 3600);

/// What a check is to look at.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the programs of the night run: locks and spool are those of the backup.
    pub place: Place,
    /// How days become containers for the backup.
    pub calendar: Calendar,
    /// The zone that timers and cron follow, if it is known.
    pub machine_zone: Option<Tz>,
    /// The programs of the night.
    pub programs: Vec<Program>,
    /// Variables that they get besides the environment of this process.
    pub variables: Vec<(String, String)>,
    /// The folder of the archive, where it is one.
    pub folder: Option<PathBuf>,
    /// How large the segments of large objects are to be.
    pub segment_size: u64,
    /// Whether a probe is written into the archive.
    pub write: bool,
    /// Where timers are looked for, if at all.
    pub schedule: Option<Schedule>,
    /// How old the newest backup may be.
    pub max_age: Duration,
    /// How old the newest proven restore may be. The inner `None` asks for none; the outer one leaves it to whether an
    /// intermediary is configured.
    pub max_restore_age: Option<Option<Duration>>,
    /// How long any answer is waited for.
    pub patience: Duration,
    /// Asks for an early end.
    pub interrupt: Interrupt,
}

/// The connections that the programs of the night would have, or why they would have none.
pub struct Connections {
    /// The backup's archive. It is connected with everything else, since that may take its time.
    pub archive: BoxFuture<'static, Result<Opened, Error>>,
    /// The backup's source.
    pub source: Result<Influx, Error>,
    /// The restore's target.
    pub target: Result<Influx, Error>,
}

impl std::fmt::Debug for Connections {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connections")
            .field("source", &self.source)
            .field("target", &self.target)
            .finish_non_exhaustive()
    }
}

/// Looks at everything that the night needs.
///
/// # Errors
///
/// When the job is asked to end. Whatever is wrong is in the outcome.
pub async fn run(
    config: Config,
    now: DateTime<Utc>,
    connections: Connections,
    progress: &dyn Progress,
) -> Result<Outcome, Error> {
    let begun = Instant::now();
    let (config, interrupt) = (&config, &config.interrupt);
    let Connections { archive, source, target } = connections;

    // 1. How the programs are configured decides what they will need.
    progress.report(Event::Step("asking the programs for their settings"));
    let asked = interrupt.unless(async { Ok::<_, Error>(programs::ask(config).await) }).await?;
    let has_target = asked.has_target();

    // 2. Everybody who can be asked at once.
    progress.report(Event::Step("asking the archive and InfluxDB"));
    let of_backup = asked.of("backup");
    let databases = of_backup.map(|settings| settings.values("database"));
    let question = Question {
        which: "source",
        flags: "--source and --snapshot-addr",
        snapshot: true,
        databases: databases.as_deref(),
    };
    let named = asked.of("dump").is_none_or(|settings| !settings.values("measurement").is_empty());
    let wants = Wants { restore: has_target, measurements: !named };
    let by_wire = asked.of("restore").and_then(|settings| settings.value("mode")).as_deref() == Some("online");
    // In a task of its own: a folder on a disk whose server is gone blocks its thread.
    let archive = tokio::spawn(archive);
    let at_once = async {
        Ok::<_, Error>(tokio::join!(
            within(config.patience, "the archive", ended(archive)),
            influx::look(question, &source, config.patience),
            intermediary(config, has_target, by_wire, &source, &target),
            schedule::look(config, wants, now),
            machine::locks(config),
        ))
    };
    let (opened, from_source, of_target, timers, locks) = interrupt.unless(at_once).await?;

    // 3. What follows from their answers.
    progress.report(Event::Step("looking at the archive and the nights in it"));
    let reachable = match &opened {
        Ok(opened) => Check::ok("archive.reachable", opened.store.location()),
        Err(error) => Check::failed("archive.reachable", error),
    };
    let (opened, sizes) = (opened.ok(), from_source.sizes);
    let restore_limit = config.max_restore_age.unwrap_or(has_target.then_some(RESTORE_AGE));
    let parallel = of_backup.and_then(|settings| settings.value("jobs")?.parse().ok()).unwrap_or(1);
    let store = opened.as_ref().map(|opened| opened.store.as_ref());
    let rest = async {
        Ok::<_, Error>(tokio::join!(
            nights::look(config, opened.as_ref(), restore_limit, now),
            machine::clock(config, (now, begun), store, source.as_ref().ok()),
            machine::spool(config, sizes.clone(), parallel),
            archive::room(config, opened.as_ref(), sizes.as_deref()),
        ))
    };
    // The probe looks after itself when the job is to end, so that it leaves nothing behind.
    let (rest, probe) = tokio::join!(interrupt.unless(rest), archive::probe(config, opened.as_ref()));
    let (nights, clock, spool, room) = rest?;

    let mut checks = asked.checks();
    checks.extend([machine::time_zone(config, now), clock, locks, spool]);
    checks.extend([reachable, probe, archive::limits(config, opened.as_ref(), sizes.as_deref())]);
    checks.push(archive::token(opened.as_ref(), timers.next_backup, now));
    checks.extend(room);
    checks.extend(from_source.checks);
    checks.extend(of_target);
    checks.extend(timers.checks);
    checks.extend(nights.checks);
    Ok(Outcome::new(checks, nights.ages))
}

/// The intermediary, where one is configured.
async fn intermediary(
    config: &Config,
    has_target: bool,
    by_wire: bool,
    source: &Result<Influx, Error>,
    target: &Result<Influx, Error>,
) -> Vec<Check> {
    if !has_target {
        return vec![Check::skipped(
            "target.http",
            "no intermediary is configured (target); --target URL looks at one",
        )];
    }
    let question =
        Question { which: "target", flags: "--target and --target-snapshot-addr", snapshot: by_wire, databases: None };
    let mut checks = influx::look(question, target, config.patience).await.checks;
    checks.extend(influx::is_other(source, target));
    checks
}

/// Work that is given up after a while.
async fn within<T>(patience: Duration, whom: &str, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::time::timeout(patience, work).await.unwrap_or_else(|_| {
        Err(Error::new(Kind::Passing, format!("no answer from {whom} within {patience:.0?}"))
            .hint("is it up, and does a firewall drop what is sent to it? --patience waits longer"))
    })
}
