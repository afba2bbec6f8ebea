//! One shard: asked for until a whole answer came, stored, proven, and deleted locally.
//!
//! The snapshot service tells no status, so an answer is judged by what it is: empty means busy or gone, a tar without
//! its trailer means cut, and a tar with another number of TSM files than the server counts means that files are missing.
//! A TSM file that is damaged is asked for again too, but it is damaged on the server as a rule.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use archive::manifest::{MeasurementRecord, Pooled, ShardFile, Unchanged};
use archive::names;
use archive::pool::{Kept, LocalShard};
use chrono::{DateTime, Utc};
use influx::CacheStatistics;
use influx::snapshot::ShardPath;
use store::Body;
use tokio::time::Instant;
use tsm::check::Extent;

use super::snapshot::{self, Fault, Snapshot};
use super::{Run, Verify, held};
use crate::spool::Shelf;
use crate::{Error, Event, Kind, inspect};

/// The name of a snapshot on its shelf.
const FILE: &str = "shard.tar";

/// Room for the headers of a small tar, in bytes.
const HEADERS: u64 = 64 << 10;

/// How long a busy shard is asked again.
const BUSY: Duration = Duration::from_secs(600);

/// The first pause before asking again; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(250);

const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// How often a broken answer, or one with the wrong number of files, is asked for again.
const TRIES: u32 = 3;

/// A shard that lies proven in the store.
pub(super) struct Taken {
    pub(super) path: ShardPath,
    pub(super) name: String,
    pub(super) bytes: u64,
    pub(super) sha256: String,
    pub(super) md5: String,
    /// Bytes that were sent for it, and not held by the store already.
    pub(super) sent_bytes: u64,
    pub(super) files: Vec<ShardFile>,
    /// What is in them, where they were looked into.
    pub(super) measurements: Vec<MeasurementRecord>,
    pub(super) snapshot_taken: DateTime<Utc>,
    /// Set where it was not read.
    pub(super) unchanged: Option<Unchanged>,
    /// Where it lies in the pool.
    pub(super) pooled: Option<Pooled>,
    pub(super) warnings: Vec<String>,
}

/// Takes a shard of about so many bytes to the store. `None` when the server does not have it any more.
pub(super) async fn take(run: Arc<Run>, path: ShardPath, size: u64) -> Result<Option<Taken>, Error> {
    let what = format!("shard {} of {}.{}", path.id, path.database, path.policy);
    // A tenth more: writes go on, and the tar has headers.
    let mut room = size + size / 10 + HEADERS;
    let (shelf, judged) = loop {
        let shelf = run.spool.shelf(room).await?;
        match judged_snapshot(&run, &path, &what, &shelf).await {
            Err(_) if shelf.gave_way() => {
                tracing::info!("{what} waits until the spool is empty: it is larger than was expected");
                room = u64::MAX;
            }
            judged => break (shelf, judged?),
        }
    };
    let Some(judged) = judged else {
        tracing::info!("{what} is not on the server any more");
        return Ok(None);
    };
    shelf.settle();
    let container = &run.night.container;
    let name = names::shard(container, &path.database, &path.policy, path.id);
    let file = shelf.file(FILE);
    let Snapshot { digests, files, .. } = judged.snapshot;
    run.claim.take_possession(run.progress.as_ref()).await?;
    let kept = match &run.pool {
        Some(pool) => {
            let shard = LocalShard { path: &file, digests: &digests, files: &files };
            let kept = pool.keep(container, &name, &shard, &run.last.known).await;
            // What lies in the pool has names that tell a person nothing.
            kept.map_err(|error| Error::from(error).during(format_args!("for {name}")))?
        }
        None => None,
    };
    let (sent_bytes, pooled) = match kept {
        Some(Kept { pooled, sent_bytes }) => (sent_bytes, Some(pooled)),
        None if held::holds(run.store.as_ref(), container, &run.held, &name, &digests).await? => (0, None),
        None => {
            run.store.put(container, &name, &Body::from_file(&file, digests.clone())).await?;
            (digests.bytes, None)
        }
    };
    // Only now, that the stored copy is proven.
    tokio::fs::remove_file(&file).await.map_err(|error| Error::io(format!("remove {}", file.display()), &error))?;
    drop(shelf);
    Ok(Some(Taken {
        path,
        name,
        bytes: digests.bytes,
        sha256: hex::encode(digests.sha256),
        md5: hex::encode(digests.md5),
        sent_bytes,
        files,
        measurements: judged.measurements,
        snapshot_taken: judged.taken,
        unchanged: None,
        pooled,
        warnings: judged.warnings,
    }))
}

struct Judged {
    snapshot: Snapshot,
    measurements: Vec<MeasurementRecord>,
    taken: DateTime<Utc>,
    warnings: Vec<String>,
}

async fn judged_snapshot(run: &Run, path: &ShardPath, what: &str, shelf: &Shelf) -> Result<Option<Judged>, Error> {
    let busy_until = Instant::now() + BUSY;
    let mut pause = FIRST_PAUSE;
    let (mut broken, mut miscounted, mut damaged, mut left_out) = (0, 0, 0, 0);
    loop {
        let (before, cache_before) = run.counts.recent(path.id).await?;
        // The server's clock, to the second below: every point acknowledged until then will be in the snapshot.
        let taken = run.influx.ping().await?.date;
        shelf.begin_again();
        match snapshot::receive(&run.influx, path, shelf, FILE, run.store.segment_size()).await {
            Ok(mut snapshot) => {
                let mut warning = miscount(run, path.id, snapshot.tsm_files, before).await?;
                miscounted += u32::from(warning.is_some());
                if leaves_out(cache_before, run.counts.cache(path.id).await?) {
                    left_out += 1;
                    if left_out < TRIES {
                        tracing::info!(
                            "{what}: the snapshot may lack what the server had not written to files; asking again"
                        );
                        tokio::time::sleep(pause).await;
                        pause = (pause * 2).min(LONGEST_PAUSE);
                        continue;
                    }
                    let lacks = "the server kept points in its cache, and the snapshot may lack them".to_owned();
                    warning.get_or_insert(lacks);
                }
                match warning {
                    Some(warning) if left_out < TRIES && miscounted < TRIES => {
                        tracing::info!("{what}: {warning}; asking again")
                    }
                    warning => match look_into(run, path, &shelf.file(FILE), &mut snapshot).await? {
                        Ok(measurements) => {
                            let warnings = warning.into_iter().collect();
                            return Ok(Some(Judged { snapshot, measurements, taken, warnings }));
                        }
                        Err(fault) => {
                            damaged += 1;
                            if damaged == TRIES {
                                return Err(damage(run, path, what, &fault));
                            }
                            tracing::warn!("{what} is damaged: {fault}; asking again");
                        }
                    },
                }
            }
            Err(Fault::Empty) => {
                if !is_listed(run, path).await? {
                    return Ok(None);
                }
                if Instant::now() >= busy_until {
                    return Err(Error::new(Kind::Passing, format!("{what} was busy for {BUSY:?}")).hint(
                        "another backup reads it, or the server writes it out; run the same command again later",
                    ));
                }
                run.progress.report(Event::Waiting(&format!("{what} is busy")));
            }
            Err(Fault::Broken(error)) => {
                broken += 1;
                if broken == TRIES {
                    return Err(error.during(format_args!("cannot take a snapshot of {what} ({TRIES} tries)")));
                }
                tracing::warn!("{what}: {error}; asking again from the beginning");
            }
            Err(Fault::Local(error)) => return Err(error.during(format_args!("cannot take a snapshot of {what}"))),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Looks into the TSM files of a snapshot in the spool, as far as that is wanted, and tells what they show; what is in each
/// goes beside its name. The inner error is damage, and the outer one says that this machine is at fault.
async fn look_into(
    run: &Run,
    path: &ShardPath,
    tar: &Path,
    snapshot: &mut Snapshot,
) -> Result<Result<Vec<MeasurementRecord>, inspect::Fault>, Error> {
    let extent = match run.config.verify {
        Verify::Off => return Ok(Ok(Vec::new())),
        Verify::Checksums => Extent::Checksums,
        Verify::Decode => Extent::Decode,
    };
    let (path, tar, files) = (path.clone(), tar.to_owned(), snapshot.files.clone());
    let looked = tokio::task::spawn_blocking(move || {
        let opened = File::open(&tar).map_err(|error| Error::io(format!("read {}", tar.display()), &error))?;
        Ok(inspect::shard(&opened, (&path.database, &path.policy), &files, extent))
    });
    let looked: Result<_, Error> = looked.await.map_err(|error| Error::new(Kind::Failed, error.to_string()))?;
    Ok(match looked? {
        Ok(mut found) => {
            for file in snapshot.files.iter_mut().rev() {
                file.inside = found.files.remove(&file.name);
            }
            Ok(found.measurements)
        }
        Err(fault) if fault.error.is_damage() => Err(fault),
        Err(fault) => return Err(Error::new(Kind::Failed, format!("cannot read the spool: {fault}"))),
    })
}

fn damage(run: &Run, path: &ShardPath, what: &str, fault: &inspect::Fault) -> Error {
    let ShardPath { database, policy, id, .. } = path;
    let file = format!("{}/{database}/{policy}/{id}/{}", run.data_directory, fault.file);
    Error::new(Kind::Damage, format!("{what} is damaged on the server ({TRIES} snapshots): {fault}")).hint(format!(
        "look at {file} there with influx_inspect verify, and bring that shard back from an older night; \
         --verify off stores it as it is"
    ))
}

/// What is wrong with the number of TSM files in the tar, if anything.
async fn miscount(run: &Run, shard: u64, in_tar: u64, before: Option<u64>) -> Result<Option<String>, Error> {
    if before.is_some_and(|before| is_plausible(in_tar, before, before)) {
        // Whatever is counted now, it would not make this less plausible.
        return Ok(None);
    }
    let after = run.counts.now(shard).await?;
    let (Some(before), Some(after)) = (before, after) else {
        // A shard that was made after the last count is in the next one.
        return Ok((after != Some(in_tar)).then(|| {
            "the server does not count its files, so nobody knows whether the snapshot has them all".to_owned()
        }));
    };
    Ok((!is_plausible(in_tar, before, after)).then(|| {
        format!("the snapshot has {in_tar} TSM files, but the server counted {before} before it and {after} after it")
    }))
}

/// The snapshot itself adds a file when it flushes the cache, and a compaction may run meanwhile, so what the server
/// counts before and after are bounds.
fn is_plausible(in_tar: u64, before: u64, after: u64) -> bool {
    (before.min(after)..=before.max(after) + 1).contains(&in_tar)
}

/// Whether a snapshot may lack what the cache held. Releases from 1.8.5 on send what they have when the cache cannot be written
/// to a file at the moment; then it is still there afterwards, though nothing was written to the shard meanwhile.
fn leaves_out(before: Option<CacheStatistics>, after: Option<CacheStatistics>) -> bool {
    let (Some(before), Some(after)) = (before, after) else { return false };
    before.writes == after.writes && after.cached_bytes > 0
}

async fn is_listed(run: &Run, path: &ShardPath) -> Result<bool, Error> {
    match run.influx.snapshot().shards(&path.database).await {
        Ok(listed) => Ok(listed.iter().any(|other| other.id == path.id)),
        Err(influx::Error::UnknownDatabase { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::is_plausible;

    #[test]
    fn the_number_of_files_must_lie_between_what_the_server_counts_before_and_after() {
        // tar, before, after, plausible
        let table = [
            (3, 3, 3, true),
            (4, 3, 4, true),
            (4, 3, 3, true),
            (2, 8, 2, true),
            (5, 8, 2, true),
            (9, 8, 2, true),
            (1, 8, 2, false),
            (10, 8, 2, false),
            (0, 0, 0, true),
            (0, 1, 1, false),
        ];
        for (in_tar, before, after, plausible) in table {
            assert_eq!(is_plausible(in_tar, before, after), plausible, "{in_tar} {before} {after}");
        }
    }
}
