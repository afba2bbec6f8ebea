//! Backup: an InfluxDB's databases into a night of the archive.
//!
//! ```text
//! snapshot ─▶ spool (digests, tar walk) ─▶ put, HEAD ─▶ local file deleted ─▶ … ─▶ metastore ─▶ manifest LAST
//! ```

mod collect;
mod counts;
mod identity;
mod marker;
mod preflight;
mod shard;
mod snapshot;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use archive::manifest::{BackupManifest, Content, Source, StoredObject};
use archive::{Calendar, Date, Document, Night, names};
use chrono::{DateTime, TimeDelta, Utc};
use influx::Influx;
use serde::Serialize;
use store::{Store, StoreExt};

use crate::{Error, Event, Interrupt, Lock, Place, Progress, Spool};
use counts::Counts;
use marker::Marker;
use preflight::Preflight;

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
    /// How many shards travel at once.
    pub parallel: usize,
    /// When the store's token expires, where it cannot be renewed.
    pub token_expiry: Option<DateTime<Utc>>,
    /// Asks the run to end.
    pub interrupt: Interrupt,
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
    /// How long it took, in seconds.
    pub seconds: f64,
    /// SHA-256 of the manifest.
    pub manifest_sha256: String,
    /// What a person should know.
    pub warnings: Vec<String>,
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
        for warning in &self.warnings {
            text.push_str("\nwarning: ");
            text.push_str(warning);
        }
        text
    }

    fn of(manifest: &BackupManifest, manifest_sha256: String, already_sealed: bool, seconds: f64) -> Outcome {
        let of_shards = manifest.shards().flat_map(|(object, shard)| {
            shard.warnings.iter().map(move |warning| format!("{}: {warning}", object.name))
        });
        Outcome {
            container: manifest.container.clone(),
            already_sealed,
            databases: manifest.databases.clone(),
            shards: manifest.shards().count() as u64,
            bytes: manifest.bytes(),
            seconds,
            manifest_sha256,
            warnings: manifest.warnings.iter().cloned().chain(of_shards).collect(),
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
    spool: Spool,
    progress: Arc<dyn Progress>,
}

/// Backs up a night.
///
/// # Errors
///
/// Nothing is changed before the preflight has passed. A failure after it leaves the night without a manifest, which
/// is no backup, and its marker with the error.
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

    // 2. Look, and change nothing: the source, the archive, the night, the disk.
    progress.report(Event::Step("looking at the source and the archive"));
    let look = preflight::look(&config, &night, now, store.as_ref(), &influx);
    let looked = tokio::select! {
        looked = look => looked?,
        () = config.interrupt.requested() => return Err(Error::interrupted()),
    };
    let preflight = match looked {
        Preflight::Sealed(sealed) => return Ok(Outcome::of(&sealed.document, sealed.sha256, true, 0.0)),
        Preflight::Go(found) => found,
    };
    let spool = Spool::open(&config.place.spool)?;
    preflight::space(&spool, &preflight, config.parallel)?;

    // 3. From here on something changes: the container, and in it the marker of this run.
    store.create_container(&night.container).await?;
    let marker = Marker::raise(&config.place, &night, now, &preflight, Arc::clone(&store)).await?;
    let interrupt = config.interrupt.clone();
    let run = Arc::new(Run { config, night, store, counts: Counts::new(influx.clone()), influx, spool, progress });
    let work = steps(&run, &preflight.source, preflight.databases, &marker, now, begun);
    let sealed = tokio::select! {
        sealed = marker.guard(work) => sealed,
        () = interrupt.requested() => Err(Error::interrupted()),
    };
    match sealed {
        Ok(outcome) => {
            marker.lower().await;
            for warning in &outcome.warnings {
                run.progress.report(Event::Warning(warning));
            }
            Ok(outcome)
        }
        Err(error) => {
            marker.fail(&error).await;
            Err(error.after_changes())
        }
    }
}

/// Everything between the marker and the seal.
async fn steps(
    run: &Arc<Run>,
    source: &Source,
    databases: Vec<String>,
    marker: &Marker,
    now: DateTime<Utc>,
    begun: Instant,
) -> Result<Outcome, Error> {
    let container = &run.night.container;

    // 4. Every shard, and the metastore last of the data.
    marker.check().await?;
    let collected = collect::all(run, databases).await?;

    // 5. `shards/` holds what the manifest names, and nothing else.
    let objects: Vec<StoredObject> = collected.objects.into_values().chain([collected.metastore]).collect();
    sweep(run, &objects).await?;

    // 6. The seal, if nobody has come between.
    marker.check().await?;
    run.progress.report(Event::Step("sealing the night"));
    let manifest = BackupManifest {
        format: BackupManifest::FORMAT.to_owned(),
        night: run.night.day,
        container: container.clone(),
        label: None,
        time_zone: run.config.calendar.time_zone.to_string(),
        writer: run.config.place.writer.clone(),
        source: source.clone(),
        started: now,
        sealed: now + TimeDelta::from_std(begun.elapsed()).unwrap_or_default(),
        databases: collected.databases,
        objects,
        warnings: collected.warnings,
    };
    let name = names::backup_manifest(container);
    let sha256 = archive::seal(run.store.as_ref(), container, &name, &manifest).await?;
    Ok(Outcome::of(&manifest, sha256, false, begun.elapsed().as_secs_f64()))
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

/// The record of an object that was stored and proven.
fn stored(name: String, digests: &store::Digests, content: Content) -> StoredObject {
    StoredObject {
        name,
        bytes: digests.bytes,
        sha256: hex::encode(digests.sha256),
        md5: hex::encode(digests.md5),
        content,
    }
}
