//! The last night of the same source: what has not changed since then is not read again, and what it has in the pool is not
//! sent again.

use std::collections::BTreeMap;

use archive::manifest::{MeasurementRecord, ShardRecord, StoredObject};
use archive::pool::Known;
use archive::records::ShardStatistics;
use archive::{BackupManifest, ContainerPattern, names, nights};
use store::Store;

use super::Verify;

/// How many nights are looked at for one of the same source. Where several sources share names, theirs lie between.
const LOOKED_AT: usize = 31;

/// The last night.
#[derive(Default)]
pub(super) struct Last {
    manifest: Option<BackupManifest>,
    /// What each of its shards holds; nothing where that was not written down, or is not what the seal says.
    statistics: BTreeMap<u64, Vec<MeasurementRecord>>,
    pub(super) known: Known,
}

/// A shard of the last night.
pub(super) struct Before<'a> {
    pub(super) object: &'a StoredObject,
    pub(super) shard: &'a ShardRecord,
    pub(super) measurements: &'a [MeasurementRecord],
}

impl Last {
    /// Looks for the newest sealed night of the source that lies in the pool, other than the one that is being taken. What
    /// cannot be read is passed over: without a last night everything is read.
    pub(super) async fn find(
        store: &dyn Store,
        pattern: &ContainerPattern,
        cluster_id: &str,
        container: &str,
        pool: &str,
    ) -> Last {
        // Backups with other labels are nights as well.
        let all = nights(store, &pattern.clone().labelled(None)).await.unwrap_or_default();
        for (_, night) in all.into_iter().filter(|(_, night)| night != container).take(LOOKED_AT) {
            let loaded = archive::read::<BackupManifest>(store, &night, &names::backup_manifest(&night)).await;
            let Ok(manifest) = loaded.map(|loaded| loaded.document) else { continue };
            if manifest.container == night
                && manifest.source.cluster_id == cluster_id
                && manifest.pool.as_deref() == Some(pool)
            {
                let statistics = statistics(store, &manifest).await;
                let known = Known::of(&manifest, pool);
                return Last { manifest: Some(manifest), statistics, known };
            }
        }
        Last::default()
    }

    /// The same shard in the last night, if it was looked into as closely as it is wanted now.
    pub(super) fn shard(&self, path: &influx::snapshot::ShardPath, verify: Verify) -> Option<Before<'_>> {
        let manifest = self.manifest.as_ref()?;
        let (object, shard) = manifest.shards().find(|(_, shard)| {
            shard.shard_id == path.id && shard.database == path.database && shard.retention_policy == path.policy
        })?;
        let measurements = match (verify, manifest.verified.as_deref()) {
            (Verify::Off, _) => self.statistics.get(&path.id).map_or(&[][..], Vec::as_slice),
            (Verify::Checksums, Some(_)) | (Verify::Decode, Some("decode")) => self.statistics.get(&path.id)?,
            _ => return None,
        };
        Some(Before { object, shard, measurements })
    }
}

async fn statistics(store: &dyn Store, manifest: &BackupManifest) -> BTreeMap<u64, Vec<MeasurementRecord>> {
    let Some(expected) = &manifest.statistics_sha256 else { return BTreeMap::new() };
    let name = names::shard_statistics(&manifest.container);
    match archive::read::<ShardStatistics>(store, &manifest.container, &name).await {
        Ok(loaded) if loaded.sha256 == *expected => loaded.document.shards,
        Ok(_) => BTreeMap::new(),
        Err(error) => {
            tracing::info!("every shard is read: {error}");
            BTreeMap::new()
        }
    }
}
