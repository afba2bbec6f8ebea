//! The worst day: the databases come back as what they were, onto a server that does not have them.
//!
//! Nothing that is there is dropped, so a database that is there already is a reason to refuse, not to replace. And what
//! comes back is subject to its policies again, which remove what has become too old as soon as they look.

use std::collections::{BTreeMap, BTreeSet};

use archive::manifest::ShardRecord;
use chrono::{DateTime, TimeDelta, Utc};
use influx::metastore::Data;

use super::aside::Recovered;
use super::directories::Paths;
use super::selection::Selection;
use crate::{Error, Kind, loaded};

/// What a policy would remove within this time is not brought back in silence.
const NOTICE: TimeDelta = TimeDelta::hours(24);

/// So many ids of shards stand in a message; of more, their number does.
const NAMED: usize = 20;

/// How a recovery is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovery {
    /// Whether shards may come back although their policy removes them within a day.
    pub accept_expiry: bool,
}

impl Recovery {
    /// The shards that their policies would remove soon after the recovery, by their ids on the source; and, where that is
    /// accepted, what to say of them.
    ///
    /// # Errors
    ///
    /// [`Kind::Usage`] where it is not accepted.
    pub(super) fn expiring(self, selection: &Selection, now: DateTime<Utc>) -> Result<Expiring, Error> {
        let mut by_policy: BTreeMap<(&str, &str), Vec<u64>> = BTreeMap::new();
        for (_, ShardRecord { database, retention_policy, shard_id, .. }) in &selection.shards {
            if expires(&selection.metastore, database, *shard_id, now + NOTICE) {
                by_policy.entry((database, retention_policy)).or_default().push(*shard_id);
            }
        }
        let lines: Vec<String> = by_policy
            .iter()
            .map(|((database, policy), shards)| format!("{} of {database}.{policy}", named(shards)))
            .collect();
        if lines.is_empty() || self.accept_expiry {
            let said =
                lines.iter().map(|line| format!("{line} may be gone, since the policy removes them within 24 h"));
            return Ok(Expiring { said: said.collect(), shards: by_policy.into_values().flatten().collect() });
        }
        let message = format!("retention policies would remove what comes back within 24 h: {}", lines.join("; "));
        Err(Error::new(Kind::Usage, message).hint(
            "nothing was changed; give --accept-expiry if these points may go, or restore the night onto an intermediary, where points are kept for ever, before",
        ))
    }
}

/// Shards that are about to be removed, so that they cannot be asked for.
#[derive(Debug, Clone, Default)]
pub(super) struct Expiring {
    /// Their ids on the source.
    pub(super) shards: BTreeSet<u64>,
    /// What to tell of them.
    pub(super) said: Vec<String>,
}

/// Whether the policy of this shard removes it by then: a group goes when its last point is older than the duration.
fn expires(metastore: &Data, database: &str, shard: u64, then: DateTime<Utc>) -> bool {
    let then = then.timestamp_nanos_opt().unwrap_or(i64::MAX);
    metastore.database(database).into_iter().flat_map(|database| &database.policies).any(|policy| {
        policy.duration != 0
            && policy.live_groups().any(|group| {
                group.shards.iter().any(|found| found.id == shard)
                    && group.end_time.saturating_add(policy.duration) < then
            })
    })
}

fn named(shards: &[u64]) -> String {
    let mut ids = shards.to_vec();
    ids.sort_unstable();
    let shown: Vec<String> = ids.iter().take(NAMED).map(ToString::to_string).collect();
    let (what, shown) = (if ids.len() == 1 { "shard" } else { "shards" }, shown.join(", "));
    match ids.len().saturating_sub(NAMED) {
        0 => format!("{what} {shown}"),
        more => format!("{what} {shown} and {more} more"),
    }
}

/// That the target has none of the databases, neither in its metastore nor as files; `left` is what a recovery of ours
/// brought there that was cut off.
///
/// # Errors
///
/// [`Kind::Usage`] if it has one.
pub(super) fn check_free(
    paths: &Paths,
    metastore: &Data,
    selection: &Selection,
    left: Option<&Recovered>,
) -> Result<(), Error> {
    if left.is_some_and(|left| left.is_of(selection)) {
        return Ok(());
    }
    let there = |name: &&String| {
        let directories = [paths.data.join(name), paths.wal.join(name)];
        metastore.database(name).is_some() || directories.iter().any(|path| path.symlink_metadata().is_ok())
    };
    let taken: Vec<&str> = selection.databases.iter().filter(there).map(String::as_str).collect();
    if taken.is_empty() {
        return Ok(());
    }
    let message = format!("the target has these databases, or files of them, already: {}", taken.join(", "));
    Err(Error::new(Kind::Usage, message).hint(
        "a recovery drops nothing; name the missing ones with --database; if clients have only made an empty one anew, keep them away, drop it, and run the same command again",
    ))
}

/// Whether the server has nothing but its own databases: it becomes the source then, cluster id and all.
pub(super) fn is_rebuilt(metastore: &Data) -> bool {
    metastore.databases.iter().all(|database| ["_internal", loaded::DATABASE].contains(&database.name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use influx::metastore::{Database, Policy, Shard, ShardGroup};

    #[test]
    fn a_shard_expires_when_its_group_has_ended_longer_ago_than_the_policy_lasts() {
        let hour = 3_600_000_000_000;
        let group = |id, end_time| ShardGroup {
            id,
            end_time,
            shards: vec![Shard { id, ..Shard::default() }],
            ..ShardGroup::default()
        };
        let policy = |duration, id| Policy {
            duration,
            shard_groups: vec![group(id, 10 * hour), group(id + 1, 11 * hour)],
            ..Policy::default()
        };
        let database = Database {
            name: "db".to_owned(),
            policies: vec![policy(2 * hour, 1), policy(0, 3)],
            ..Database::default()
        };
        let data = Data { databases: vec![database], ..Data::default() };
        let at = |hours: i64| DateTime::from_timestamp_nanos(hours * hour + 1);
        for (hours, expected) in [(11, vec![]), (12, vec![1]), (13, vec![1, 2]), (100_000, vec![1, 2])] {
            let found: Vec<u64> = (1..=4).filter(|shard| expires(&data, "db", *shard, at(hours))).collect();
            assert_eq!(found, expected, "after {hours} hours");
        }
    }

    #[test]
    fn many_shards_are_counted_and_few_are_named() {
        assert_eq!(named(&[3]), "shard 3");
        assert_eq!(named(&[10, 2]), "shards 2, 10");
        assert!(named(&(1..=25).collect::<Vec<u64>>()).ends_with("19, 20 and 5 more"));
    }
}
