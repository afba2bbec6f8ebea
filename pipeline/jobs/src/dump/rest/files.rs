//! Which files of a night have points of a window.

use std::sync::Arc;

use archive::manifest::{ShardFile, ShardRecord, StoredObject};
use archive::{BackupManifest, Window};
use tsm::Layout;

use crate::dump::schema::Origin;
use crate::{Error, Kind};

/// A TSM file within a stored shard.
#[derive(Debug, Clone)]
pub(super) struct StoredFile {
    /// The shard's object.
    pub(super) object: Arc<str>,
    /// Its record in the night's manifest.
    pub(super) file: ShardFile,
    pub(super) layout: Layout,
    pub(super) index_sha256: String,
    /// What has been deleted from it.
    pub(super) tombstone: Option<ShardFile>,
}

/// The files of a policy's shards that meet a window, in the order in which they are joined.
///
/// Shards follow on each other in time, so what one of them holds comes before what the next one holds. Where some
/// overlap, which happens when the shard duration of their policy was changed, their files stand together.
pub(super) fn clusters(
    manifest: &BackupManifest,
    origin: &Origin,
    window: Window,
) -> Result<Vec<Vec<StoredFile>>, Error> {
    let of_policy = manifest.shards().filter(|(_, shard)| {
        shard.database == origin.database && shard.retention_policy == origin.policy && meets(shard, window)
    });
    let mut shards: Vec<(&StoredObject, &ShardRecord)> = of_policy.collect();
    shards.sort_by_key(|(_, shard)| (shard.starts, shard.ends, shard.shard_id));
    let mut clusters: Vec<Vec<StoredFile>> = Vec::new();
    let mut ends = None;
    for (object, shard) in shards {
        let files = files(object, shard)?;
        match clusters.last_mut() {
            Some(cluster) if ends.is_some_and(|ends| shard.starts.is_none_or(|starts| starts < ends)) => {
                cluster.extend(files);
            }
            _ => clusters.push(files),
        }
        ends = ends.max(Some(shard.ends));
    }
    Ok(clusters)
}

fn meets(shard: &ShardRecord, window: Window) -> bool {
    shard.starts.is_none_or(|starts| starts < window.end) && window.start < shard.ends
}

fn files(object: &StoredObject, shard: &ShardRecord) -> Result<Vec<StoredFile>, Error> {
    let names: Vec<&str> = shard.files.iter().map(|file| file.name.as_str()).collect();
    let name: Arc<str> = object.name.as_str().into();
    tsm::members(&names)
        .into_iter()
        .map(|member| {
            let file = shard.files[member.tsm].clone();
            let Some(inside) = file.inside.clone() else {
                let message =
                    format!("the manifest of {} does not tell where the indexes of its files are", object.name);
                return Err(Error::new(Kind::Failed, message)
                    .hint("it was backed up with --verify off, or by an older version: restore it, and dump it with --from influx"));
            };
            if file.offset.checked_add(file.bytes).is_none_or(|end| end > object.bytes) {
                let message =
                    format!("{}, {}: its place in the manifest is beyond the end of the shard", object.name, file.name);
                return Err(Error::new(Kind::Damage, message));
            }
            let layout = Layout::new(file.bytes, inside.index_offset)
                .map_err(|error| Error::new(Kind::Damage, format!("{}, {}: {error}", object.name, file.name)))?;
            let tombstone = member.tombstone.map(|place| shard.files[place].clone());
            Ok(StoredFile { object: Arc::clone(&name), file, layout, index_sha256: inside.index_sha256, tombstone })
        })
        .collect()
}
