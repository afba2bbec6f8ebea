//! The seal of a night that others have stored: what was found there, and nothing that nobody knows.

use std::collections::BTreeMap;

use archive::manifest::{Adoption, BackupManifest, Content, ShardRecord, Source, StoredObject};
use archive::{Document, Night};
use chrono::{DateTime, Utc};

use super::lying::Known;
use super::piece::{Metastore, Whole};
use crate::recorded;
use crate::statistics::Sum;
use crate::verify::{Extent, Run};

/// What was found.
pub(super) struct Found {
    pub(super) metastore: Metastore,
    pub(super) metastore_object: String,
    /// By their ids.
    pub(super) shards: BTreeMap<u64, (Known, Whole)>,
    /// In byte order.
    pub(super) databases: Vec<String>,
    pub(super) warnings: Vec<String>,
}

impl Run {
    /// The seal of what was found.
    pub(super) fn seal(&self, night: &Night, found: Found) -> BackupManifest {
        let Found { metastore, metastore_object, shards, databases, warnings } = found;
        let infos = shards.values().map(|(_, whole)| &whole.info).chain([&metastore.info]);
        let stored = infos.map(|info| info.modified).max().unwrap_or(metastore.info.modified);
        let begun = begun(shards.values().map(|(_, whole)| whole.taken));
        let (mut sum, mut objects) = (Sum::default(), Vec::new());
        for (id, (known, mut whole)) in shards {
            sum.add(id, std::mem::take(&mut whole.measurements));
            objects.push(shard(known, whole, begun));
        }
        objects.push(recorded::object(metastore_object, &metastore.digests, Content::Meta));
        let unknown = String::new;
        BackupManifest {
            format: BackupManifest::FORMAT.to_owned(),
            night: night.day,
            container: night.container.clone(),
            label: night.label.as_ref().map(ToString::to_string),
            time_zone: self.config.calendar.time_zone.to_string(),
            writer: self.config.place.writer.clone(),
            source: Source {
                host: unknown(),
                influxdb_version: unknown(),
                cluster_id: metastore.data.cluster_id.to_string(),
                url: unknown(),
                snapshot_address: unknown(),
                data_directory: unknown(),
            },
            started: begun,
            sealed: stored,
            databases,
            objects,
            pool: None,
            sent_bytes: None,
            verified: Some(if self.config.extent == Extent::Decode { "decode" } else { "checksums" }.to_owned()),
            measurements: sum.finish(),
            statistics_sha256: None,
            warnings,
            adopted: Some(Adoption { at: self.instant(), by: self.config.place.host.clone() }),
        }
    }
}

/// An instant that is surely not after the beginning of the run: the first shard that has files was asked for right after it, or a
/// later one was. Nothing is known where none has any.
fn begun(taken: impl Iterator<Item = Option<DateTime<Utc>>>) -> DateTime<Utc> {
    taken.flatten().min().unwrap_or(DateTime::UNIX_EPOCH)
}

fn shard(known: Known, whole: Whole, begun: DateTime<Utc>) -> StoredObject {
    let Known { object, database, policy, id, range } = known;
    let (starts, ends) = recorded::instants(range);
    let record = ShardRecord {
        database,
        retention_policy: policy,
        shard_id: id,
        starts,
        ends,
        // One without files was not asked for before the run began.
        snapshot_taken: whole.taken.unwrap_or(begun),
        unchanged: None,
        pooled: None,
        files: whole.files,
        warnings: Vec::new(),
    };
    recorded::object(object, &whole.digests, Content::Shard(record))
}
