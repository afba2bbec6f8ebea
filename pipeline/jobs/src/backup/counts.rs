//! What the server counts of its shards: their sizes, and their TSM files, asked for not more often than need be.
//!
//! The answer is for all shards of the server at once, some 300 bytes each; asked twice for each of a thousand shards it
//! would cost more than the shards.

use std::collections::BTreeMap;
use std::time::Duration;

use influx::{Influx, ShardStatistics};
use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::Error;

/// A count this old still tells what was there just before.
const RECENT: Duration = Duration::from_secs(2);

/// The server's statistics of its shards.
pub(super) struct Counts {
    influx: Influx,
    last: Mutex<Option<(Instant, BTreeMap<u64, ShardStatistics>)>>,
}

impl Counts {
    pub(super) fn new(influx: Influx) -> Counts {
        Counts { influx, last: Mutex::new(None) }
    }

    /// The shard's TSM files a moment ago; `None` when the server does not count them.
    pub(super) async fn recent(&self, shard: u64) -> Result<Option<u64>, Error> {
        let mut last = self.last.lock().await;
        if last.as_ref().is_none_or(|(read, _)| read.elapsed() > RECENT) {
            *last = Some((Instant::now(), self.influx.shard_statistics().await?));
        }
        Ok(last.as_ref().and_then(|(_, counted)| counted.get(&shard)).map(|shard| shard.tsm_files))
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
    let cached = influx.cached_bytes().await?;
    let shards = influx.shard_statistics().await?.into_iter();
    let wanted = shards.filter(|(_, shard)| databases.contains(&shard.database));
    Ok(wanted.map(|(id, shard)| (id, shard.disk_bytes + cached.get(&id).unwrap_or(&0))).collect())
}
