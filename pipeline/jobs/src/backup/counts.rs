//! What the server counts of its shards: their sizes, and their TSM files, asked for not more often than need be.
//!
//! The answer is for all shards of the server at once, some 300 bytes each; asked twice for each of a thousand shards it
//! would cost more than the shards.

use std::collections::BTreeMap;
use std::time::Duration;

use influx::{CacheStatistics, Influx, ShardStatistics};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::Error;

/// A count this old still tells what was there just before.
const RECENT: Duration = Duration::from_secs(2);

/// The server's statistics of its shards.
pub(super) struct Counts {
    influx: Influx,
    /// Whether the caches are of interest, which are asked for separately.
    with_caches: bool,
    last: Mutex<Option<(Instant, Counted)>>,
}

/// What was counted at one time, by shard id.
struct Counted {
    files: BTreeMap<u64, ShardStatistics>,
    caches: BTreeMap<u64, CacheStatistics>,
}

impl Counts {
    pub(super) fn new(influx: Influx, with_caches: bool) -> Counts {
        Counts { influx, with_caches, last: Mutex::new(None) }
    }

    /// The shard's TSM files and its cache a moment ago; `None` when the server does not tell of them, or nobody asked.
    pub(super) async fn recent(&self, shard: u64) -> Result<(Option<u64>, Option<CacheStatistics>), Error> {
        let mut last = self.last.lock().await;
        if last.as_ref().is_none_or(|(read, _)| read.elapsed() > RECENT) {
            let read = Instant::now();
            let caches = if self.with_caches { self.influx.cache_statistics().await? } else { BTreeMap::new() };
            *last = Some((read, Counted { files: self.influx.shard_statistics().await?, caches }));
        }
        let Some((_, counted)) = last.as_ref() else { return Ok((None, None)) };
        Ok((counted.files.get(&shard).map(|shard| shard.tsm_files), counted.caches.get(&shard).copied()))
    }

    /// The shard's cache now, where caches are of interest.
    pub(super) async fn cache(&self, shard: u64) -> Result<Option<CacheStatistics>, Error> {
        if !self.with_caches {
            return Ok(None);
        }
        Ok(self.influx.cache_statistics().await?.get(&shard).copied())
    }

    /// The shard's TSM files now.
    pub(super) async fn now(&self, shard: u64) -> Result<Option<u64>, Error> {
        let counted = self.influx.shard_statistics().await?;
        Ok(counted.get(&shard).map(|shard| shard.tsm_files))
    }
}

/// How many bytes each shard of these databases may need: its files, and what its cache takes, which is more than the
/// file that is made of it.
pub(crate) async fn sizes(influx: &Influx, databases: &[String]) -> Result<BTreeMap<u64, u64>, Error> {
    let caches = influx.cache_statistics().await?;
    let cached = |id: &u64| caches.get(id).map_or(0, |cache| cache.memory_bytes);
    let shards = influx.shard_statistics().await?.into_iter();
    let wanted = shards.filter(|(_, shard)| databases.contains(&shard.database));
    Ok(wanted.map(|(id, shard)| (id, shard.disk_bytes + cached(&id))).collect())
}
