//! What to do about what is damaged: who else has it.

use std::collections::{BTreeMap, BTreeSet};

use archive::manifest::ShardRecord;
use archive::{BackupManifest, names, nights, read};

use super::Run;
use super::expected::{Expected, Held};
use super::ground::Ground;

/// What to do about what is damaged in a copy.
pub(super) const AGAIN: &str = "fetch it again from where this copy came from, and verify the night there";

/// So many other nights are asked for a shard at most, the nearest first.
const NIGHTS: usize = 60;

/// A shard that is damaged.
pub(super) struct DamagedShard<'a> {
    /// The name of its object.
    pub(super) name: &'a str,
    pub(super) record: &'a ShardRecord,
    /// Whether it was whole when it was stored: else another one with the same bytes is no help.
    pub(super) was_whole: bool,
    /// The objects of the pool that are to blame: a night that needs them too is no help.
    pub(super) blamed: BTreeSet<String>,
}

/// Where else a shard is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Elsewhere {
    container: String,
    object: String,
    /// Whether it was the very same there.
    is_same: bool,
}

impl<'a> Expected<'a> {
    /// The shard that it is.
    pub(super) fn shard(&self) -> Option<&'a ShardRecord> {
        match self.held {
            Held::Shard(shard) => Some(shard),
            Held::Metastore | Held::Dump { .. } => None,
        }
    }
}

impl Run {
    /// The nights of the same source that have these shards too, by the names of the objects. An archive that does not tell
    /// is asked no further: that something is damaged is worth more than where else it is.
    pub(super) async fn elsewhere(
        &self,
        ground: &Ground,
        night: &BackupManifest,
        shards: &[DamagedShard<'_>],
    ) -> BTreeMap<String, Elsewhere> {
        let mut found: BTreeMap<String, Elsewhere> = BTreeMap::new();
        let store = ground.store.as_ref();
        // With any label.
        let pattern = self.config.calendar.pattern.clone().labelled(None);
        let mut others = match ground.is_archive() {
            true => nights(store, &pattern).await.unwrap_or_default(),
            false => Vec::new(),
        };
        others.retain(|(_, container)| *container != ground.container);
        // Of two as near the later one, which has at least what had been written until then.
        others.sort_by_key(|(day, _)| ((*day - night.night).num_days().abs(), *day < night.night));
        for (_, container) in others.into_iter().take(NIGHTS) {
            let settled = |name: &str| found.get(name).is_some_and(|elsewhere| elsewhere.is_same);
            if shards.iter().all(|shard| settled(shard.name)) {
                break;
            }
            let manifest = read::<BackupManifest>(store, &container, &names::backup_manifest(&container)).await;
            let Ok(other) = manifest.map(|loaded| loaded.document) else { continue };
            if other.source.cluster_id != night.source.cluster_id || other.container != container {
                continue;
            }
            for DamagedShard { name, record, was_whole, blamed } in shards {
                let known =
                    |shard: &ShardRecord| (shard.database.clone(), shard.retention_policy.clone(), shard.shard_id);
                let Some((object, theirs)) = other.shards().find(|(_, theirs)| known(theirs) == known(record)) else {
                    continue;
                };
                if theirs.pooled.iter().flat_map(|pooled| pooled.names()).any(|name| blamed.contains(name)) {
                    continue;
                }
                let ours = night.objects.iter().find(|object| object.name == *name);
                let is_same = ours.is_some_and(|ours| ours.sha256 == object.sha256);
                let object = object.name.clone();
                let elsewhere = Elsewhere { container: container.clone(), object, is_same };
                if is_same && *was_whole || !is_same && !found.contains_key(*name) {
                    found.insert((*name).to_owned(), elsewhere);
                }
            }
        }
        found
    }

    /// What to do about a damaged object.
    pub(super) fn hint(&self, ground: &Ground, expected: &Expected<'_>, elsewhere: Option<&Elsewhere>) -> String {
        if !ground.is_archive() {
            return AGAIN.to_owned();
        }
        match (&expected.held, elsewhere) {
            (Held::Shard(_), Some(Elsewhere { object, is_same: true, .. })) => {
                format!("{object} was the very same: verify that night, and copy it over this one")
            }
            (Held::Shard(_), Some(Elsewhere { container, .. })) => {
                format!("{container} has this shard too, as it was then; restore it from there")
            }
            (Held::Shard(_), None) => {
                "no other night has this shard: back it up again while the source still has it, with --replace or --label"
                    .to_owned()
            }
            (Held::Metastore, _) => {
                "without it the night cannot be restored: back it up again with --replace, or restore another one".to_owned()
            }
            (Held::Dump { seal, .. }, _) => format!(
                "make it again: nightshard-dump '{}' --database '{}' --retention-policy '{}' --date {}",
                seal.measurement, seal.database, seal.retention_policy, seal.night
            ),
        }
    }
}
