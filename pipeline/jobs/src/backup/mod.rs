//! Backup: an InfluxDB's databases into a night of the archive.
//!
//! ```text
//! snapshot ─▶ spool (digests, tar walk) ─▶ TSM check ─▶ put, HEAD ─▶ local file deleted ─▶ … ─▶ metastore ─▶ manifest LAST
//! ```
//!
//! What the last night of the same source has, in files that have not changed, is neither read nor sent again: the night gets
//! names of what lies in the pool ([`archive::pool`]).
//!
//! A night that an earlier run has left unsealed is gone on with: every shard is read again, and only what the store
//! does not hold already is sent.

mod collect;
pub(crate) mod counts;
mod held;
mod last;
pub(crate) mod preflight;
mod replace;
mod shard;
mod snapshot;
mod unchanged;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use archive::manifest::{BackupManifest, MeasurementRecord, StoredObject};
use archive::pool::{self, Pool};
use archive::records::ShardStatistics;
use archive::{Calendar, Date, Document, Night, names};
use chrono::{DateTime, TimeDelta, Utc};
use influx::Influx;
use serde::Serialize;
use store::{Store, StoreExt};

use crate::claim::{self, Claim, Marker, Subject};
use crate::{Error, Event, Interrupt, Lock, Metric, Place, Progress, Spool, clocks, spool};
use counts::Counts;
use held::Held;
use last::Last;
use preflight::{Preflight, Wanted};

/// What a backup is to do.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where the job runs.
    pub place: Place,
    /// How days become containers.
    pub calendar: Calendar,
    /// Which night to fill.
    pub date: Date,
    /// The databases; none named means all but `_internal`.
    pub databases: Vec<String>,
    /// Whether a night that this source has sealed already is success.
    pub if_missing: bool,
    /// Whether a night that this source has sealed already is taken again.
    pub replace: bool,
    /// How thoroughly shards are looked into before they are stored.
    pub verify: Verify,
    /// Where what nights have in common is stored once; with `None` each night has bytes of its own.
    pub shared: Option<Shared>,
    /// How many shards travel at once.
    pub parallel: usize,
    /// When the store's token expires, where it cannot be renewed.
    pub token_expiry: Option<DateTime<Utc>>,
    /// Asks the run to end.
    pub interrupt: Interrupt,
}

/// How nights share what they have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// The container of the pool.
    pub pool: String,
    /// How long the pool keeps what no night names; it decides only when the pool is made.
    pub grace: TimeDelta,
    /// In which night in a row a shard is read although nothing in it has changed: 1 is every night.
    pub read_every: u32,
}

impl Default for Shared {
    fn default() -> Shared {
        Shared { pool: pool::DEFAULT_CONTAINER.to_owned(), grace: pool::DEFAULT_GRACE, read_every: 7 }
    }
}

/// How thoroughly a shard's TSM files are looked into before it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verify {
    /// Not at all: the tar is whole, and that is all.
    Off,
    /// Their structure, and the checksum of every block.
    Checksums,
    /// Every block is decoded too.
    Decode,
}

impl Verify {
    /// Its name in a manifest; none where nothing was verified.
    fn name(self) -> Option<String> {
        let name = match self {
            Verify::Off => return None,
            Verify::Checksums => "checksums",
            Verify::Decode => "decode",
        };
        Some(name.to_owned())
    }
}

/// What a backup did. Printed with `--json`: members are added, never changed.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// The night's container.
    pub container: String,
    /// Whether the night was sealed before, so that nothing was done.
    pub already_sealed: bool,
    /// The databases in it.
    pub databases: Vec<String>,
    /// How many shards are in it.
    pub shards: u64,
    /// Bytes of all its objects.
    pub bytes: u64,
    /// Bytes that this run has sent; the others were in the store already.
    pub sent_bytes: u64,
    /// Shards that were not read, because nothing in them had changed since the last night.
    pub unread_shards: u64,
    /// The container of the pool in which the shards lie; null where the night has bytes of its own.
    pub pool: Option<String>,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// How closely its shards were looked into: `checksums` or `decode`; null where they were not.
    pub verified: Option<String>,
    /// SHA-256 of the manifest.
    pub manifest_sha256: String,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// How the clocks of this machine, the archive and InfluxDB differ, where they do by more than a minute, and the day
    /// that was decided by this machine's.
    pub clocks: Vec<String>,
}

impl Outcome {
    /// A few lines for the morning mail.
    #[must_use]
    pub fn summary(&self) -> String {
        let Outcome { container, shards, bytes, seconds, .. } = self;
        let databases = self.databases.join(", ");
        let mut text = if self.already_sealed {
            format!("{container}: sealed before, nothing to do ({databases}: {shards} shards, {bytes} bytes)")
        } else {
            format!("{container}: {databases} backed up and proven, {shards} shards, {bytes} bytes in {seconds:.1} s")
        };
        if !self.already_sealed && self.sent_bytes < self.bytes {
            text.push_str(&format!("; {} bytes of them were there already", self.bytes - self.sent_bytes));
        }
        if self.unread_shards > 0 {
            text.push_str(&format!("; {} shards had not changed, and were not read", self.unread_shards));
        }
        if self.verified.is_none() {
            text.push_str("; nobody has looked into the shards (--verify off)");
        }
        for warning in self.warnings.iter().chain(&self.clocks) {
            text.push_str("\nwarning: ");
            text.push_str(warning);
        }
        text
    }

    /// What monitoring is told.
    #[must_use]
    pub fn metrics(&self) -> Vec<Metric> {
        vec![
            Metric::new("nightshard_backup_bytes", "Bytes of all objects of the night", self.bytes as f64),
            Metric::new("nightshard_backup_sent_bytes", "Bytes that this run has sent", self.sent_bytes as f64),
            Metric::new("nightshard_backup_shards", "Shards of the night", self.shards as f64),
            Metric::new("nightshard_backup_warnings", "Warnings in the manifest", self.warnings.len() as f64),
        ]
    }

    fn of(manifest: &BackupManifest, manifest_sha256: String) -> Outcome {
        let of_shards = manifest.shards().flat_map(|(object, shard)| {
            shard.warnings.iter().map(move |warning| format!("{}: {warning}", object.name))
        });
        Outcome {
            container: manifest.container.clone(),
            already_sealed: true,
            databases: manifest.databases.clone(),
            shards: manifest.shards().count() as u64,
            bytes: manifest.bytes(),
            sent_bytes: 0,
            unread_shards: manifest.shards().filter(|(_, shard)| shard.unchanged.is_some()).count() as u64,
            pool: manifest.pool.clone(),
            seconds: 0.0,
            verified: manifest.verified.clone(),
            manifest_sha256,
            warnings: manifest.warnings.iter().cloned().chain(of_shards).collect(),
            clocks: Vec::new(),
        }
    }
}

/// A run under way: what every station of the corridor needs.
struct Run {
    config: Config,
    night: Night,
    store: Arc<dyn Store>,
    influx: Influx,
    counts: Counts,
    claim: Claim,
    held: Held,
    /// Where the shards are kept, if they are shared.
    pool: Option<Pool>,
    last: Last,
    spool: Spool,
    /// The data directory of the source, where a person would look after a file.
    data_directory: String,
    progress: Arc<dyn Progress>,
}

/// Backs up a night.
///
/// # Errors
///
/// Nothing is changed before the preflight has passed. A failure after it leaves the night without a manifest, which
/// is no backup, and its marker with the error; the next run of the same source goes on from there.
pub async fn run(
    config: Config,
    now: DateTime<Utc>,
    store: Arc<dyn Store>,
    influx: Influx,
    progress: Arc<dyn Progress>,
) -> Result<Outcome, Error> {
    let begun = Instant::now();
    // 1. One run at a time on this machine.
    let night = config.calendar.night(config.date, now)?;
    let _lock = Lock::exclusive(&config.place.locks, &format!("backup-{}-{}", store.location(), night.container))?;

    // 2. Look, and change nothing: the clocks, the source, the archive, the night, the disk.
    progress.report(Event::Step("looking at the source and the archive"));
    let clocks = (now, begun);
    let clocks = clocks::look(
        &config.calendar,
        config.date.into(),
        clocks,
        Some(store.as_ref()),
        Some(&influx),
        progress.as_ref(),
    )
    .await;
    let look = preflight::look(&config, &night, now, store.as_ref(), &influx);
    let looked = tokio::select! {
        looked = look => looked?,
        () = config.interrupt.requested() => return Err(Error::interrupted()),
    };
    let preflight = match looked {
        Preflight::Sealed(sealed) => {
            // Nothing is to be done but to tidy up after a run that was killed.
            spool::sweep(&config.place.spool);
            claim::sweep(&night.container, &config.place.host, store.as_ref()).await;
            return Ok(Outcome { clocks, ..Outcome::of(&sealed.document, sealed.sha256) });
        }
        Preflight::Go(found) => found,
    };
    let spool = Spool::open(&config.place.spool)?.limited(config.place.spool_size);
    preflight::space(&spool, preflight.sizes(), config.parallel, config.place.spool_size)?;

    // 3. From here on something changes: the container, and in it the marker of this run.
    store.create_container(&night.container).await?;
    let preflight::Found { wanted, held, replaces, .. } = *preflight;
    let (cluster_id, databases) = (wanted.source.cluster_id.clone(), wanted.databases.clone());
    let subject = Subject { cluster_id, databases, is_deleting: false };
    let marker = Marker::raise(&config.place, &night.container, now, subject, Arc::clone(&store)).await?;
    let mut claim = Claim::new(Arc::clone(&store), night.container.clone(), marker, replaces);
    let interrupt = config.interrupt.clone();
    let counts = Counts::new(influx.clone(), wanted.may_leave_out_caches);
    let data_directory = wanted.source.data_directory.clone();
    // 4. What nights share, as it is now that the marker stands.
    let prepared = prepare(&config, &night, &wanted, &store, progress.as_ref());
    let (pool, last) = match tokio::select! {
        prepared = claim.guard(prepared) => prepared,
        () = interrupt.requested() => Err(Error::interrupted()),
    } {
        Ok(prepared) => prepared,
        Err(error) => return Err(claim.abandon(error).await),
    };
    claim.limit(pool.as_ref().map(Pool::longest_backup));
    let run = Arc::new(Run {
        config,
        night,
        store,
        influx,
        counts,
        claim,
        held,
        pool,
        last,
        spool,
        data_directory,
        progress,
    });
    let sealed = tokio::select! {
        sealed = run.claim.guard(steps(&run, wanted, now, begun)) => sealed,
        () = interrupt.requested() => Err(Error::interrupted()),
    };
    match sealed {
        Ok(outcome) => {
            run.claim.settle().await;
            for warning in &outcome.warnings {
                run.progress.report(Event::Warning(warning));
            }
            Ok(Outcome { clocks, ..outcome })
        }
        Err(error) => Err(run.claim.abandon(error).await),
    }
}

/// Makes the night one that is filled, opens the pool, and looks for the last night in it.
async fn prepare(
    config: &Config,
    night: &Night,
    wanted: &Wanted,
    store: &Arc<dyn Store>,
    progress: &dyn Progress,
) -> Result<(Option<Pool>, Last), Error> {
    // What was deleted here before, or was to be, is no matter of the night that comes.
    archive::remove(store.as_ref(), &night.container, &names::deletion_record(&night.container)).await?;
    let Some(shared) = &config.shared else { return Ok((None, Last::default())) };
    let Some(pool) = Pool::open(Arc::clone(store), &shared.pool, shared.grace).await? else {
        progress.report(Event::Warning(
            "this store has no links or no large objects, so that each night is stored with bytes of its own",
        ));
        return Ok((None, Last::default()));
    };
    let (pattern, cluster_id) = (&config.calendar.pattern, &wanted.source.cluster_id);
    let last = Last::find(store.as_ref(), pattern, cluster_id, &night.container, &shared.pool).await;
    Ok((Some(pool), last))
}

/// Everything between the marker and the seal.
async fn steps(run: &Arc<Run>, wanted: Wanted, now: DateTime<Utc>, begun: Instant) -> Result<Outcome, Error> {
    let container = &run.night.container;

    // 5. Every shard, and the metastore last of the data; what the store holds already is not sent again.
    run.claim.check().await?;
    let collected = collect::all(run, wanted.databases).await?;

    // 6. `shards/` holds what the manifest names, and nothing else.
    let objects: Vec<StoredObject> = collected.objects.into_values().chain([collected.metastore]).collect();
    sweep(run, &objects).await?;

    // 7. The seal, if nobody has come between.
    run.claim.check().await?;
    run.progress.report(Event::Step("sealing the night"));
    let statistics_sha256 = match run.config.verify {
        Verify::Off => None,
        _ => Some(seal_statistics(run, collected.statistics).await?),
    };
    let manifest = BackupManifest {
        format: BackupManifest::FORMAT.to_owned(),
        night: run.night.day,
        container: container.clone(),
        label: run.config.calendar.pattern.label().map(ToString::to_string),
        time_zone: run.config.calendar.time_zone.to_string(),
        writer: run.config.place.writer.clone(),
        source: wanted.source,
        started: now,
        sealed: now + TimeDelta::from_std(begun.elapsed()).unwrap_or_default(),
        databases: collected.databases,
        objects,
        // A night of which a part could not be shared still names the pool of the others.
        pool: run.pool.as_ref().map(|pool| pool.container().to_owned()),
        sent_bytes: Some(collected.sent_bytes),
        verified: run.config.verify.name(),
        measurements: collected.measurements,
        statistics_sha256,
        warnings: collected.warnings,
        adopted: None,
    };
    let name = names::backup_manifest(container);
    let sha256 = archive::seal(run.store.as_ref(), container, &name, &manifest).await?;
    let outcome = Outcome::of(&manifest, sha256);
    let (sent_bytes, seconds) = (collected.sent_bytes, begun.elapsed().as_secs_f64());
    let unread_shards = collected.unread_shards;
    Ok(Outcome { already_sealed: false, sent_bytes, unread_shards, seconds, ..outcome })
}

/// Writes down what each shard holds, for the backup of the next night.
async fn seal_statistics(run: &Run, shards: BTreeMap<u64, Vec<MeasurementRecord>>) -> Result<String, Error> {
    let container = &run.night.container;
    let statistics = ShardStatistics { format: ShardStatistics::FORMAT.to_owned(), shards };
    Ok(archive::seal(run.store.as_ref(), container, &names::shard_statistics(container), &statistics).await?)
}

/// Removes objects in `shards/` that the manifest will not name: shards that expired while the night was being taken.
async fn sweep(run: &Run, objects: &[StoredObject]) -> Result<(), Error> {
    let container = &run.night.container;
    let named: BTreeMap<&str, u64> = objects.iter().map(|object| (object.name.as_str(), object.bytes)).collect();
    for entry in run.store.list_all(container, &names::shards_prefix(container)).await? {
        if !named.contains_key(entry.name.as_str()) {
            tracing::info!("removing {}, which is not part of the night any more", entry.name);
            match run.store.delete_with_segments(container, &entry.name).await {
                Ok(()) | Err(store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}
