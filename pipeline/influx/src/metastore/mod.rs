//! The metastore: databases, retention policies, shard groups, users.
//!
//! InfluxDB keeps it as one message (proto2, package `meta`), bare in the file `meta.db` and framed in the answer of the
//! snapshot service and in backup files called `meta.NN`. The message types follow by hand from the wire format. Required fields are written even when they are zero, as influxd
//! demands; what an open-source server never writes (fields of Enterprise) is skipped when read.

mod frame;
pub mod merge;
mod message;
mod packed;

pub use frame::{Fault, Framed, frame};
pub use message::{
    ContinuousQuery, Data, Database, Node, Policy, Privilege, Shard, ShardGroup, ShardOwner, Subscription, User,
};
pub use packed::Packed;

use prost::Message as _;

/// A shard that is in use, and what the metastore knows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveShard<'a> {
    /// Its id, unique on the server.
    pub id: u64,
    /// Its retention policy.
    pub policy: &'a str,
    /// Which points it holds.
    pub time_range: TimeRange,
}

/// The points of a shard group: from `start` (inclusive) to `end` (exclusive), nanoseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeRange {
    /// First time; `None` where there is no lower bound.
    pub start: Option<i64>,
    /// One past the last time. (The last possible group ends at `i64::MAX`, which no point can have.)
    pub end: i64,
}

impl Data {
    /// Reads the bare message, as it stands in `meta.db`.
    ///
    /// # Errors
    ///
    /// [`Fault::Message`] if it is no such message.
    pub fn from_meta_db(bytes: &[u8]) -> Result<Data, Fault> {
        Data::decode(bytes).map_err(Fault::Message)
    }

    /// The bare message, as it stands in `meta.db`.
    #[must_use]
    pub fn to_meta_db(&self) -> Vec<u8> {
        self.encode_to_vec()
    }

    /// The database of this name.
    #[must_use]
    pub fn database(&self, name: &str) -> Option<&Database> {
        self.databases.iter().find(|database| database.name == name)
    }
}

impl Database {
    /// The retention policy of this name.
    #[must_use]
    pub fn policy(&self, name: &str) -> Option<&Policy> {
        self.policies.iter().find(|policy| policy.name == name)
    }

    /// The shards of all groups that are not marked as deleted, policy by policy in the order of the metastore.
    pub fn live_shards(&self) -> impl Iterator<Item = LiveShard<'_>> {
        self.policies.iter().flat_map(|policy| {
            policy.live_groups().flat_map(move |group| {
                let time_range = group.time_range();
                group.shards.iter().map(move |shard| LiveShard { id: shard.id, policy: &policy.name, time_range })
            })
        })
    }
}

impl Policy {
    /// The shard groups that are not marked as deleted.
    pub fn live_groups(&self) -> impl Iterator<Item = &ShardGroup> {
        self.shard_groups.iter().filter(|group| group.is_live())
    }
}

impl ShardGroup {
    /// Whether the group is in use: a deleted one stays in the metastore for two weeks, its shards gone or about to go.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.deleted_at == 0
    }

    /// Which points belong into the group. The first possible group begins before the first time that 64 bits can
    /// hold; its start is stored wrapped around to a large one, beyond its end.
    #[must_use]
    pub fn time_range(&self) -> TimeRange {
        let end = match self.truncated_at {
            Some(truncated) if truncated != 0 => self.end_time.min(truncated),
            _ => self.end_time,
        };
        TimeRange { start: (self.start_time <= self.end_time).then_some(self.start_time), end }
    }
}

impl TimeRange {
    /// Whether a point of this time belongs into the range.
    #[must_use]
    pub fn contains(&self, time: i64) -> bool {
        self.start.is_none_or(|start| start <= time) && time < self.end
    }

    /// Whether the range has a time in common with the half-open window from `start` to `end`.
    #[must_use]
    pub fn meets(&self, start: i64, end: i64) -> bool {
        start < self.end && self.start.is_none_or(|first| first < end) && start < end
    }
}

#[cfg(test)]
mod tests;
