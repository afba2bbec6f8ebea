//! Restore: a night of the archive in the place of the target's databases of the same names.
//!
//! ```text
//! manifest FIRST ─▶ store.get ─▶ digests, tar walk ─▶ staged ─▶ (only now) stop ─▶ aside ─▶ place ─▶ start ─▶ prove
//!                                                          └──▶ (only now) drop ─▶ import ─▶ send each shard ─▶ prove
//! ```
//!
//! Offline, on the target's machine: a running server keeps its metastore in memory and writes it over whatever was
//! placed beneath it. Everything that is replaced is moved aside and comes back if the new state does not come up.
//! Online, from anywhere, over the target's snapshot service: see [`online`].

mod aside;
mod count;
mod days;
mod directories;
mod download;
mod files;
mod measure;
mod online;
mod ours;
mod place;
mod prove;
mod prove_only;
mod record;
mod recovery;
mod selection;
mod server;
mod staged;
mod swap;
mod target;
mod way;
mod witness;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use archive::records::{Proof, RestoreRecord, Target as TargetRecord};
use archive::{Calendar, Date, Dates, Document};
use chrono::{DateTime, TimeDelta, Utc};
use influx::Influx;
use serde::Serialize;
use store::Store;

use crate::{Error, Event, Interrupt, Lock, Metric, Place, Progress, clocks, lock, wait};
pub use count::Prove;
pub use days::run;
pub use directories::Directories;
use measure::{Differences, Measure};
pub use prove_only::{Proved, prove_only};
pub use recovery::Recovery;
use selection::Selection;
pub use way::Mode;
use way::{Exchanged, Way};

/// What a restore is to do.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the job runs: on the target's machine, unless over the wire.
    pub place: Place,
    /// How days become containers.
    pub calendar: Calendar,
    /// Which nights to restore, one after the other.
    pub date: Dates,
    /// What to do with each of them once it stands; run by `sh -c`, with its day in `NIGHTSHARD_DATE`.
    pub then: Option<String>,
    /// The databases; none named means all of the night.
    pub databases: Vec<String>,
    /// Another name for the only database, beside one that may be there under its own.
    pub new_database: Option<String>,
    /// By which way the night gets into its place.
    pub mode: Mode,
    /// How long to wait for the night's backup.
    pub wait: Option<Duration>,
    /// Whether databases that the target holds, and that were not restored by us, may be replaced, and whether the
    /// target may be a twin of the source.
    pub first_restore: bool,
    /// Brings the databases back as what they were, onto a server that does not have them, instead of replacing a copy.
    pub recovery: Option<Recovery>,
    /// Whether the old databases are deleted before the new ones are unpacked, for disks that cannot hold both. Over the
    /// wire, where they always are, whether that is before the night is downloaded, for spools that cannot hold it.
    pub drop_first: bool,
    /// How much is counted afterwards.
    pub prove: Prove,
    /// How many shards travel at once, and how many requests count.
    pub parallel: usize,
    /// Where the target keeps its files, as far as it is not to be asked.
    pub directories: Directories,
    /// Stops the target; run by `sh -c`.
    pub stop_command: String,
    /// Starts the target; run by `sh -c`.
    pub start_command: String,
    /// How long the target may take to stop, and to answer after its start.
    pub start_timeout: Duration,
    /// A folder to make at the end, for the dumps.
    pub dump_directory: Option<PathBuf>,
    /// Asks the restore to end: at once before it has stopped the target, else as soon as the old state is back.
    pub interrupt: Interrupt,
}

/// What a restore did. Printed with `--json`: members are added, never changed.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// The night's container.
    pub container: String,
    /// SHA-256 of its manifest.
    pub manifest_sha256: String,
    /// The target's own host name.
    pub host: String,
    /// The databases that were restored.
    pub databases: Vec<String>,
    /// How many shards were restored, all of which answered.
    pub shards: u64,
    /// Bytes that were restored.
    pub bytes: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// How long it took until every shard had answered, in seconds: what comes after is clearing up.
    pub seconds_until_proven: f64,
    /// How long the target was down, or not yet proven, in seconds.
    pub seconds_down: f64,
    /// What is different on the target on purpose.
    pub differences: Vec<String>,
    /// What was counted afterwards, per measurement and field.
    pub proof: Option<Proof>,
    /// How long that took, in seconds.
    pub seconds_counting: f64,
    /// What went wrong after everything had been restored and proven; of several nights, with all of them.
    pub failures: Vec<String>,
    /// The nights that were restored before it, of several, the oldest first; each was replaced by the next one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<Outcome>,
    /// How the clocks of this machine, the archive and InfluxDB differ, where they do by more than a minute, and the day
    /// that was decided by this machine's.
    pub clocks: Vec<String>,
}

impl Outcome {
    /// A few lines for the morning mail.
    #[must_use]
    pub fn summary(&self) -> String {
        let Outcome { container, host, shards, bytes, seconds, seconds_down, .. } = self;
        let databases = self.databases.join(", ");
        let mut text: String = self.earlier.iter().map(|outcome| outcome.summary() + "\n").collect();
        text += &format!(
            "{container}: {databases} restored onto {host} and proven, {shards} shards, {bytes} bytes in {seconds:.1} s ({seconds_down:.1} s without service)"
        );
        if let Some(proof) = &self.proof {
            text.push('\n');
            text.push_str(&count::summary(proof, self.seconds_counting));
        }
        for (label, lines) in
            [("different on purpose", &self.differences), ("warning", &self.clocks), ("failed", &self.failures)]
        {
            for line in lines {
                text.push_str(&format!("\n{label}: {line}"));
            }
        }
        text
    }

    /// What monitoring is told; of several nights, of the last one.
    #[must_use]
    pub fn metrics(&self) -> Vec<Metric> {
        let points = self.proof.iter().flat_map(|proof| &proof.points).flat_map(|count| count.fields.values());
        vec![
            Metric::new("nightshard_restore_bytes", "Bytes that were restored", self.bytes as f64),
            Metric::new("nightshard_restore_shards", "Shards that were restored and answered", self.shards as f64),
            Metric::new("nightshard_restore_counted_points", "Points counted afterwards", points.sum::<u64>() as f64),
            Metric::new("nightshard_restore_down_seconds", "Time without service on the target", self.seconds_down),
        ]
    }

    /// What failed although the restore as a whole did not.
    #[must_use]
    pub fn failures(&self) -> &[String] {
        &self.failures
    }
}

/// Restores a night.
///
/// # Errors
///
/// Until everything lies checked on the local disk, nothing is changed. If the new state does not come up after that,
/// the old one is put back, and the error says so. That goes for an interruption too: the target is not left down.
async fn night(
    config: Config,
    date: Date,
    now: DateTime<Utc>,
    store: Arc<dyn Store>,
    influx: Influx,
    progress: Arc<dyn Progress>,
) -> Result<Outcome, Error> {
    let begun = Instant::now();
    // 1. The clocks, and the night's seal, which is waited for.
    let clocks = (now, begun);
    let (time_zone, interrupt) = (config.calendar.time_zone, &config.interrupt);
    let clocks =
        clocks::look(&config.calendar, date.into(), clocks, Some(store.as_ref()), Some(&influx), progress.as_ref());
    let clocks = interrupt.unless(async { Ok::<_, Error>(clocks.await) }).await?;
    let night = config.calendar.night(date, now)?;
    let manifest = wait::for_backup(store.as_ref(), &night, time_zone, config.wait, progress.as_ref());
    let manifest = interrupt.unless(manifest).await?;

    // 2. One restore at a time for each target, and no dump meanwhile.
    let _lock = Lock::exclusive(&config.place.locks, &lock::target_name(influx.url()))?;

    // 3. What is to be restored, and onto whom: is it the source, or a stranger?
    progress.report(Event::Step("looking at the night and the target"));
    let selection = Selection::load(store.as_ref(), manifest, &config.databases, config.new_database.as_deref());
    let selection = interrupt.unless(selection).await?;
    let way = interrupt.unless(Way::find(&config, &influx, &selection, now)).await?;

    // 4. Everything onto the local disk, and checked; unless an earlier recovery has put it in place already.
    let (staging, shards) = way.fetch(&config, &store, &selection, progress.as_ref()).await?;

    // 5. Only now: the old databases give way to the new ones, which have to prove themselves.
    let down = Instant::now();
    let fetched = (&staging, shards);
    let exchanged = way.exchange(&config, &store, &influx, &selection, fetched, progress.as_ref()).await?;
    let Exchanged { proven, cluster_id, data_directory, mut differences, ours, copies, mut aside } = exchanged;
    let renamed = selection.stored_as.as_ref().map(|stored| (stored, selection.databases.join(", ")));
    differences.extend(renamed.map(|(stored, name)| format!("database {stored} is called {name}")));
    let host = proven.host.unwrap_or_else(|| config.place.host.clone());
    let (seconds_until_proven, seconds_down) = (begun.elapsed().as_secs_f64(), down.elapsed().as_secs_f64());

    // 6. The new state stands: what was set aside goes, and the records say what is there. By its journal a recovery that is
    // cut off goes on, so that stays until the end.
    progress.report(Event::Step("writing the records"));
    let mut failures = Vec::new();
    // A recovered server is nobody's intermediary.
    if config.recovery.is_none() {
        let written = way::write_records(&influx, &selection, ours, &copies, now);
        let (discarded, written) = tokio::join!(way::discard(aside.take()), written);
        written.map_err(Error::after_changes)?;
        failures.extend(discarded.err().map(|error| error.to_string()));
    }
    if let Some(folder) = &config.dump_directory {
        failures.extend(files::make_folder(folder).err().map(|error| error.to_string()));
    }

    // 7. The points are counted, and compared with what was backed up.
    let counting = Instant::now();
    let name = record::name(&selection, &host);
    let counted = count::all(&influx, &selection.databases, config.prove, config.parallel, progress.as_ref());
    let mut proof = interrupt.unless(counted).await.unwrap_or_else(|error| {
        failures.push(format!("cannot count the points: {error}"));
        None
    });
    let seconds_counting = counting.elapsed().as_secs_f64();
    let earlier = record::earlier(store.as_ref(), &night.container, &name, &selection.manifest_sha256);
    let earlier = interrupt.unless_slow(earlier).await;
    let before = earlier.as_ref().ok().and_then(Option::as_ref);
    let measure = Measure::of(&selection, before, config.recovery.is_some());
    if let Some(proof) = &mut proof {
        failures.extend(compare(proof, &measure, &selection.databases, config.recovery.is_some()));
    }
    let record = RestoreRecord {
        format: RestoreRecord::FORMAT.to_owned(),
        writer: config.place.writer.clone(),
        manifest_sha256: selection.manifest_sha256.clone(),
        target: TargetRecord {
            host: host.clone(),
            influxdb_version: proven.version,
            cluster_id: cluster_id.to_string(),
            url: influx.url().to_string(),
            data_directory,
        },
        started: now,
        finished: now + TimeDelta::from_std(begun.elapsed()).unwrap_or_default(),
        databases: selection.databases.clone(),
        shards: selection.shards.len() as u64,
        bytes: selection.bytes,
        differences,
        most: measure.most_with(before, proof.as_ref()),
        proof,
    };
    let recorded = match earlier {
        Ok(_) => {
            let replaced = archive::replace(store.as_ref(), &night.container, &name, &record);
            interrupt.unless_slow(async { replaced.await.map_err(Error::from) }).await
        }
        // What it knows of earlier restores would be lost.
        Err(error) => Err(error.during("it stays as it was")),
    };
    failures.extend(recorded.err().map(|error| format!("cannot write {name}: {error}")));
    failures.extend(way::discard(aside).await.err().map(|error| error.to_string()));
    Ok(Outcome {
        container: night.container,
        manifest_sha256: record.manifest_sha256,
        host,
        databases: record.databases,
        shards: record.shards,
        bytes: record.bytes,
        seconds: begun.elapsed().as_secs_f64(),
        seconds_until_proven,
        seconds_down,
        seconds_counting,
        proof: record.proof,
        differences: record.differences,
        failures,
        earlier: Vec::new(),
        clocks,
    })
}

/// Compares what was counted with what has to be there, writes into the proof what differs, and returns what of that is
/// a failure.
fn compare(proof: &mut Proof, measure: &Measure, databases: &[String], recovery: bool) -> Vec<String> {
    let Differences { missing, surplus, excused } = measure.compare(proof, databases);
    proof.compared_with = measure.compares(proof).then(|| measure.name().to_owned());
    proof.notes.extend(excused);
    // Clients of a recovered server write already.
    (proof.missing, proof.surplus) = (missing, if recovery { Vec::new() } else { surplus });
    // What an earlier restore has counted may have been too little.
    let more = proof.surplus.iter().filter(|_| measure.is_of_backup());
    proof.missing.iter().chain(more).cloned().collect()
}
