//! A night leaves: its seal first, under a claim on the night; then its objects; then what was written down about it.
//!
//! From the moment the seal is gone nobody takes the night for a backup, and the record beside it tells the next run what is to
//! be completed. The pool is not touched here.

use std::sync::Arc;

use archive::records::{DeletionRecord, PinRecord};
use archive::{Document, names};
use chrono::{DateTime, Utc};
use futures_util::{StreamExt, TryStreamExt, stream};
use store::{ObjectEntry, Store, StoreExt};

use super::guard::Guard;
use super::{Config, Fate, holds};
use crate::claim::{Claim, Marker, Subject};
use crate::{Error, Kind, Progress};

/// Objects that were deleted, and their bytes as the listing has them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Removed {
    pub(super) objects: u64,
    pub(super) bytes: u64,
}

/// Deletes the night.
///
/// # Errors
///
/// [`Kind::Locked`] when another run has it, [`Kind::Failed`] when it was pinned or sealed anew meanwhile: then it stands as
/// before.
pub(super) async fn night(
    config: &Config,
    fate: &Fate,
    guard: &Guard,
    now: DateTime<Utc>,
    store: &Arc<dyn Store>,
    progress: &dyn Progress,
) -> Result<Removed, Error> {
    let container = &fate.container;
    let subject = Subject { cluster_id: String::new(), databases: Vec::new(), is_deleting: true };
    let marker = Marker::raise(&config.place, container, now, subject, Arc::clone(store)).await?;
    let claim = Claim::new(Arc::clone(store), container.clone(), marker, fate.manifest_sha256.clone());
    let steps = claim.guard(steps(config, (fate, guard), now, &claim, store.as_ref(), progress));
    let removed = config.interrupt.unless(steps).await;
    // Where the record of the deletion is, the next run goes on; a marker that says more is of no use to anybody.
    claim.settle().await;
    let removed = removed?;
    forget_container(container, store.as_ref()).await?;
    Ok(removed)
}

async fn steps(
    config: &Config,
    (fate, guard): (&Fate, &Guard),
    now: DateTime<Utc>,
    claim: &Claim,
    store: &dyn Store,
    progress: &dyn Progress,
) -> Result<Removed, Error> {
    let container = &fate.container;
    let record_name = names::deletion_record(container);
    // 1. Nobody else is at work here, nobody has pinned the night since the plan was made, nothing has begun to hold it, and what
    // the plan relied on still stands.
    claim.stand_alone(progress).await?;
    refuse_pinned(container, store).await?;
    let record = match &fate.manifest_sha256 {
        Some(sha256) => {
            if let Some(hold) = holds::of_dumps(container, store).await?.first() {
                return Err(Error::new(Kind::Failed, hold.clone()));
            }
            guard.permit(container, store).await?;
            let record = DeletionRecord {
                format: DeletionRecord::FORMAT.to_owned(),
                writer: config.place.writer.clone(),
                host: config.place.host.clone(),
                started: now,
                manifest_sha256: sha256.clone(),
                finished: None,
            };
            archive::replace(store, container, &record_name, &record).await?;
            record
        }
        None => match archive::read::<DeletionRecord>(store, container, &record_name).await {
            Ok(loaded) => loaded.document,
            // Another run has completed it meanwhile.
            Err(archive::Error::Missing { .. }) => return Ok(Removed::default()),
            Err(error) => return Err(error.into()),
        },
    };
    // 2. The seal, if it is the one that was planned for.
    if let Err(error) = claim.take_possession(progress).await {
        // Where the night stands, nothing is to be completed.
        let seal = names::backup_manifest(container);
        if fate.manifest_sha256.is_some() && store.find(container, &seal).await?.is_some() {
            archive::remove(store, container, &record_name).await?;
        }
        return Err(error);
    }
    // 3. What it named, and what else a backup has left.
    let mut shards = store.list_all(container, &names::shards_prefix(container)).await?;
    shards.retain(|entry| names::is_data(container, &entry.name));
    let removed = objects(config, container, shards, store).await?;
    // 4. What was written down about it; last the record of the deletion, unless dumps stay beside it.
    let records = store.list_all(container, &names::manifests_prefix(container)).await?;
    let (own, others): (Vec<_>, Vec<_>) = records.into_iter().partition(|entry| is_of_night(container, &entry.name));
    objects(config, container, own, store).await?;
    let has_dumps = others.iter().any(|entry| is_of_dumps(container, &entry.name));
    if !has_dumps && store.list(container, &names::dumps_prefix(container), None).await?.is_empty() {
        archive::remove(store, container, &record_name).await?;
    } else {
        let finished = DeletionRecord { finished: Some(now), ..record };
        archive::replace(store, container, &record_name, &finished).await?;
    }
    Ok(removed)
}

/// Only that a pin is missing means that there is none.
async fn refuse_pinned(container: &str, store: &dyn Store) -> Result<(), Error> {
    let pinned = match archive::read::<PinRecord>(store, container, &names::pin_record(container)).await {
        Err(archive::Error::Missing { .. }) => return Ok(()),
        Err(archive::Error::Store(error)) => return Err(error.into()),
        Ok(loaded) => loaded.document.reason,
        Err(error) => error.to_string(),
    };
    Err(Error::new(Kind::Failed, format!("it was pinned meanwhile: {pinned}")))
}

/// Whether a record is of the backup alone. What others have put beside it is not ours to delete.
fn is_of_night(container: &str, name: &str) -> bool {
    let own = [names::shard_statistics(container), names::verify_record(container), names::pin_record(container)];
    own.iter().any(|own| own == name) || names::is_restore_record(container, name)
}

/// Whether a record is of dumps, which stay when the night leaves.
pub(super) fn is_of_dumps(container: &str, name: &str) -> bool {
    names::dump_of_manifest(container, name).is_some() || names::is_dump_selection(container, name)
}

/// Deletes these objects, each with the segments that are its own.
pub(super) async fn objects(
    config: &Config,
    container: &str,
    entries: Vec<ObjectEntry>,
    store: &dyn Store,
) -> Result<Removed, Error> {
    let gone = stream::iter(entries).map(|entry| async move {
        // What a link leads to belongs to the pool. One that leads nowhere is said to be missing, and is there all the same.
        let own = store.find(container, &entry.name).await?.filter(|info| !info.is_link);
        let deleted = match own.is_some() {
            true => store.delete_with_segments(container, &entry.name).await,
            false => store.delete(container, &entry.name).await,
        };
        let bytes = own.map_or(0, |info| info.bytes);
        match deleted {
            Ok(()) => Ok::<_, Error>(Removed { objects: 1, bytes }),
            Err(store::Error::NotFound { .. }) => Ok(Removed::default()),
            Err(error) => Err(error.into()),
        }
    });
    gone.buffer_unordered(config.parallel.max(1))
        .try_fold(Removed::default(), async |sum, one| {
            Ok(Removed { objects: sum.objects + one.objects, bytes: sum.bytes.saturating_add(one.bytes) })
        })
        .await
}

/// Removes the container, if nothing is in it.
pub(super) async fn forget_container(container: &str, store: &dyn Store) -> Result<(), Error> {
    match store.delete_container(container).await {
        // Dumps, or what others have put there.
        Ok(()) | Err(store::Error::Conflict { .. } | store::Error::NotFound { .. }) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
