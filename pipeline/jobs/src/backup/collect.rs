//! All shards of the wanted databases, and the metastore that fits them.
//!
//! Nothing ties the answers of the snapshot service together: while shards travel, new ones appear and old ones
//! expire. So shards are listed before and after, the metastore comes last, and what it calls live must be what was
//! stored; else another round takes what is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use archive::manifest::{Content, MeasurementRecord, ShardRecord, StoredObject};
use archive::names;
use bytes::Bytes;
use influx::metastore::{Framed, TimeRange};
use influx::snapshot::ShardPath;
use store::{Digests, StoreExt};
use tokio::task::JoinSet;

use super::shard::{self, Taken};
use super::{Run, counts, unchanged};
use crate::statistics::Sum;
use crate::{Error, Event, Kind, recorded};

/// How often the metastore is asked again when shards came or went meanwhile.
const ROUNDS: u32 = 3;

/// What a night holds before it is sealed.
pub(super) struct Collected {
    /// The shards by id.
    pub(super) objects: BTreeMap<u64, StoredObject>,
    /// The metastore.
    pub(super) metastore: StoredObject,
    /// Bytes that were sent; the others were in the store already.
    pub(super) sent_bytes: u64,
    /// Shards that were not read, because nothing in them had changed.
    pub(super) unread_shards: u64,
    /// What the shards hold; nothing where they were not looked into.
    pub(super) measurements: Vec<MeasurementRecord>,
    /// What each of them holds, by id.
    pub(super) statistics: BTreeMap<u64, Vec<MeasurementRecord>>,
    /// The databases that are left.
    pub(super) databases: Vec<String>,
    /// What a person should know.
    pub(super) warnings: Vec<String>,
}

/// Stores every shard of the databases, then the metastore.
pub(super) async fn all(run: &Arc<Run>, mut databases: Vec<String>) -> Result<Collected, Error> {
    let mut taken: BTreeMap<u64, Taken> = BTreeMap::new();
    let mut warnings = Vec::new();
    for _ in 0..ROUNDS {
        let listed = list(run, &databases).await?;
        take_missing(run, &databases, listed, &mut taken).await?;

        let listed: BTreeSet<u64> = list(run, &databases).await?.into_iter().map(|path| path.id).collect();
        let metastore = run.influx.snapshot().metastore().await?;
        leave_dropped(run, &metastore, &mut databases, &mut warnings)?;
        let live = live(&metastore, &databases);

        taken.retain(|id, shard| {
            let stays = live.contains_key(id);
            if !stays {
                warnings.push(format!(
                    "shard {id} of {}.{} expired or was dropped during the backup",
                    shard.path.database, shard.path.policy
                ));
            }
            stays
        });
        if listed.iter().all(|id| taken.contains_key(id) || !live.contains_key(id)) {
            run.progress.report(Event::Step("storing the metastore"));
            let metastore = store_metastore(run, metastore.raw).await?;
            let sent_bytes = taken.values().map(|shard| shard.sent_bytes).sum::<u64>() + metastore.bytes;
            let unread_shards = taken.values().filter(|shard| shard.unchanged.is_some()).count() as u64;
            let mut statistics = BTreeMap::new();
            let mut sum = Sum::default();
            for (id, shard) in &mut taken {
                let measurements = std::mem::take(&mut shard.measurements);
                sum.add(*id, measurements.iter().cloned());
                statistics.insert(*id, measurements);
            }
            let measurements = sum.finish();
            let objects =
                taken.into_iter().filter_map(|(id, shard)| Some((id, record(shard, *live.get(&id)?)))).collect();
            return Ok(Collected {
                objects,
                metastore,
                sent_bytes,
                unread_shards,
                measurements,
                statistics,
                databases,
                warnings,
            });
        }
    }
    Err(Error::new(
        Kind::Failed,
        format!("shards kept appearing in {} during the backup, {ROUNDS} times", databases.join(", ")),
    )
    .hint("something creates shards all the time, such as writes with random times; run the same command again"))
}

/// The shards that the server holds now.
async fn list(run: &Run, databases: &[String]) -> Result<Vec<ShardPath>, Error> {
    let mut listed = Vec::new();
    for database in databases {
        match run.influx.snapshot().shards(database).await {
            Ok(shards) => listed.extend(shards),
            // The metastore, which comes last, has the word on what was dropped.
            Err(influx::Error::UnknownDatabase { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(listed)
}

/// A database that was dropped meanwhile is left out of the night, unless it was asked for by name.
fn leave_dropped(
    run: &Run,
    metastore: &Framed,
    databases: &mut Vec<String>,
    warnings: &mut Vec<String>,
) -> Result<(), Error> {
    let (left, dropped): (Vec<String>, Vec<String>) =
        databases.drain(..).partition(|name| metastore.data.database(name).is_some());
    *databases = left;
    for name in dropped {
        let message = format!("database {name} was dropped during the backup");
        if databases.is_empty() || run.config.databases.contains(&name) {
            return Err(Error::new(Kind::Failed, message).hint("run the same command again for what is left"));
        }
        warnings.push(message);
    }
    Ok(())
}

/// What the metastore calls live, with time ranges.
fn live(metastore: &Framed, databases: &[String]) -> BTreeMap<u64, TimeRange> {
    let databases = databases.iter().filter_map(|name| metastore.data.database(name));
    databases.flat_map(|database| database.live_shards().map(|shard| (shard.id, shard.time_range))).collect()
}

/// Stores the listed shards that are not stored yet, a few at a time, the largest first.
async fn take_missing(
    run: &Arc<Run>,
    databases: &[String],
    listed: Vec<ShardPath>,
    taken: &mut BTreeMap<u64, Taken>,
) -> Result<(), Error> {
    let sizes = counts::sizes(&run.influx, databases).await?;
    let size = |path: &ShardPath| sizes.get(&path.id).copied().unwrap_or_default();
    let mut waiting: Vec<ShardPath> = listed.into_iter().filter(|path| !taken.contains_key(&path.id)).collect();
    for shard in unchanged::take(run, &waiting).await? {
        waiting.retain(|path| path.id != shard.path.id);
        run.progress.report(Event::Done { name: &shard.name, bytes: shard.bytes });
        taken.insert(shard.path.id, shard);
    }
    // From the end of the list, so that the largest does not travel alone at last.
    waiting.sort_by_key(size);
    if !waiting.is_empty() {
        run.progress.report(Event::Planned { objects: waiting.len() as u64, bytes: waiting.iter().map(size).sum() });
    }
    let mut travelling = JoinSet::new();
    loop {
        while travelling.len() < run.config.parallel.max(1) {
            let Some(path) = waiting.pop() else { break };
            let size = size(&path);
            travelling.spawn(shard::take(Arc::clone(run), path, size));
        }
        // Returning early drops the set, which ends the others.
        let Some(done) = travelling.join_next().await else { return Ok(()) };
        let done = done.map_err(|error| Error::new(Kind::Failed, format!("a shard's task ended: {error}")))?;
        if let Some(shard) = done? {
            run.progress.report(Event::Done { name: &shard.name, bytes: shard.bytes });
            taken.insert(shard.path.id, shard);
        }
    }
}

async fn store_metastore(run: &Run, bytes: Bytes) -> Result<StoredObject, Error> {
    let name = names::metastore(&run.night.container);
    let digests = Digests::of(&bytes, None);
    run.claim.take_possession(run.progress.as_ref()).await?;
    run.store.put_bytes(&run.night.container, &name, bytes).await?;
    Ok(recorded::object(name, &digests, Content::Meta))
}

fn record(taken: Taken, range: TimeRange) -> StoredObject {
    let (starts, ends) = recorded::instants(range);
    let shard = ShardRecord {
        database: taken.path.database,
        retention_policy: taken.path.policy,
        shard_id: taken.path.id,
        starts,
        ends,
        snapshot_taken: taken.snapshot_taken,
        unchanged: taken.unchanged,
        pooled: taken.pooled,
        files: taken.files,
        warnings: taken.warnings,
    };
    let Taken { name, bytes, sha256, md5, .. } = taken;
    StoredObject { name, bytes, sha256, md5, content: Content::Shard(shard) }
}
