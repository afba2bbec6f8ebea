//! Shards in which nothing has changed since the last night: they are not read, and become names of what that night has.
//!
//! What says so is the server alone: it sends no file that was written since that night's snapshot, or only such as that
//! night has with the same bytes; it counts as many TSM files with as many bytes; and its cache of the shard is empty before
//! and after.

use std::collections::BTreeMap;
use std::sync::Arc;

use archive::manifest::{ShardRecord, Unchanged};
use archive::names;
use chrono::{DateTime, TimeDelta, Utc};
use futures_util::{StreamExt, stream};
use influx::snapshot::ShardPath;
use influx::{CacheStatistics, ShardStatistics};
use tsm::tar::Walker;

use super::shard::Taken;
use super::{Run, Shared};
use crate::inventory::Inventory;
use crate::{Error, Event};

/// How much earlier than the last snapshot files are asked for: its time is known to the second, and a file system has its
/// own idea of the present.
const MARGIN: TimeDelta = TimeDelta::seconds(2);

/// What the server counts of all its shards.
struct Counted {
    files: BTreeMap<u64, ShardStatistics>,
    caches: BTreeMap<u64, CacheStatistics>,
}

impl Counted {
    async fn of(run: &Run) -> Result<Counted, Error> {
        let (files, caches) = tokio::try_join!(run.influx.shard_statistics(), run.influx.cache_statistics())?;
        Ok(Counted { files, caches })
    }

    /// Whether the shard has the files of the record, as far as numbers tell, and nothing beside them.
    fn is_as_recorded(&self, shard: &ShardRecord) -> bool {
        let (Some(counted), Some(cache)) = (self.files.get(&shard.shard_id), self.caches.get(&shard.shard_id)) else {
            return false;
        };
        counts_agree(counted, cache, shard)
    }
}

fn counts_agree(counted: &ShardStatistics, cache: &CacheStatistics, shard: &ShardRecord) -> bool {
    let of_kind = |end: &str| -> (u64, u64) {
        let files = shard.files.iter().filter(|file| file.name.ends_with(end));
        files.fold((0, 0), |(number, bytes), file| (number + 1, bytes + file.bytes))
    };
    let ((files, bytes), (_, of_tombstones)) = (of_kind(".tsm"), of_kind(".tombstone"));
    // Releases differ in whether tombstones count.
    let is_size = counted.disk_bytes == bytes || counted.disk_bytes == bytes + of_tombstones;
    cache.cached_bytes == 0 && counted.tsm_files == files && is_size
}

/// Of the listed shards, takes those that have not changed; the others are to be read.
pub(super) async fn take(run: &Arc<Run>, listed: &[ShardPath]) -> Result<Vec<Taken>, Error> {
    let Some((pool, shared)) = run.pool.as_ref().zip(run.config.shared.as_ref()) else { return Ok(Vec::new()) };
    let candidates: Vec<&ShardPath> = listed.iter().filter(|path| is_candidate(run, shared, path)).collect();
    if candidates.is_empty() {
        return Ok(Vec::new());
    }
    run.progress.report(Event::Step("looking for what has changed"));
    let before = Counted::of(run).await?;
    let now = run.influx.ping().await?.date;
    let candidates = candidates.into_iter().filter_map(|path| {
        let last = run.last.shard(path, run.config.verify)?;
        // A clock that was set back would hide what was written since.
        (now >= last.shard.snapshot_taken && before.is_as_recorded(last.shard)).then_some((path, last))
    });
    let looks = stream::iter(candidates).map(|(path, last)| async move {
        let is_same = nothing_new(run, path, last.shard).await;
        is_same.then_some((path, last))
    });
    let same: Vec<_> = looks.buffer_unordered(run.config.parallel.max(1)).filter_map(async |same| same).collect().await;
    if same.is_empty() {
        return Ok(Vec::new());
    }
    let after = Counted::of(run).await?;
    run.claim.take_possession(run.progress.as_ref()).await?;
    let links = stream::iter(same.into_iter().filter(|(_, last)| after.is_as_recorded(last.shard)));
    let links = links.map(|(path, last)| async move {
        let name = names::shard(&run.night.container, &path.database, &path.policy, path.id);
        let Some(pooled) = &last.shard.pooled else { return Ok(None) };
        if pool.link_known(&run.night.container, &name, pooled, last.object.bytes).await?.is_none() {
            return Ok(None);
        }
        let unchanged = Unchanged {
            read: last.shard.unchanged.as_ref().map_or(last.shard.snapshot_taken, |unchanged| unchanged.read),
            nights: nights_unread(last.shard) + 1,
        };
        Ok::<_, Error>(Some(Taken {
            path: (*path).clone(),
            name,
            bytes: last.object.bytes,
            sha256: last.object.sha256.clone(),
            md5: last.object.md5.clone(),
            sent_bytes: 0,
            files: last.shard.files.clone(),
            measurements: last.measurements.to_vec(),
            snapshot_taken: now,
            unchanged: Some(unchanged),
            pooled: Some(pooled.clone()),
            warnings: last.shard.warnings.clone(),
        }))
    });
    let linked: Vec<_> = links.buffer_unordered(run.config.parallel.max(1)).collect().await;
    linked.into_iter().filter_map(Result::transpose).collect()
}

/// For how many nights in a row the shard has not been read.
fn nights_unread(shard: &ShardRecord) -> u32 {
    shard.unchanged.as_ref().map_or(0, |unchanged| unchanged.nights)
}

/// Whether it may be left unread: the last night has it in the pool, and has read it not too long ago.
fn is_candidate(run: &Run, shared: &Shared, path: &ShardPath) -> bool {
    let (Some(last), Some(pool)) = (run.last.shard(path, run.config.verify), run.pool.as_ref()) else { return false };
    let is_due = nights_unread(last.shard) + 1 >= shared.read_every;
    !is_due && last.shard.pooled.as_ref().is_some_and(|pooled| pool.is_usable(pooled))
}

/// Whether the server has no file of the shard that was written since, but such as are recorded with the same bytes. Whatever
/// is unclear is a reason to read.
async fn nothing_new(run: &Run, path: &ShardPath, shard: &ShardRecord) -> bool {
    let since = shard.snapshot_taken - MARGIN;
    match new_files(run, path, since).await {
        Ok(files) => files.iter().all(|new| {
            shard.files.iter().any(|old| old.name == new.name && old.bytes == new.bytes && old.sha256 == new.sha256)
        }),
        Err(reason) => {
            tracing::debug!("shard {} of {}.{} is read: {reason}", path.id, path.database, path.policy);
            false
        }
    }
}

/// The files that the server has written since.
async fn new_files(
    run: &Run,
    path: &ShardPath,
    since: DateTime<Utc>,
) -> Result<Vec<archive::manifest::ShardFile>, String> {
    let mut stream = run.influx.snapshot().shard_since(path.id, since).await.map_err(|error| error.to_string())?;
    let mut walker = Walker::new();
    let mut inventory = Inventory::new(format!("{}/{}/{}/", path.database, path.policy, path.id));
    while let Some(piece) = stream.next().await.map_err(|error| error.to_string())? {
        walker.feed(&piece, |event| inventory.take(&event)).map_err(|error| error.to_string())?;
    }
    walker.finish().map_err(|error| error.to_string())?;
    inventory.finish()
}
