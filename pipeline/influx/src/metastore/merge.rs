//! Puts databases of one metastore in the place of another's databases of the same names, and touches nothing else
//! there.
//!
//! Pure: values in, a value out. The server whose metastore is the target keeps its cluster id, its users, its other
//! databases and its counters, so that whatever lies in its other directories stays reachable. Shard ids name
//! directories and are unique over all databases; two shards of one id hide each other's points without a message,
//! so an id that is taken gives way to one above both servers' counters.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use super::{Data, Database, Policy, Shard, ShardGroup, User};

/// The database of a server's own statistics, which no merge takes over.
const INTERNAL: &str = "_internal";

/// What becomes of the databases on the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// They are a copy to read: points are kept for ever, nothing writes or forwards by itself, and users stay away.
    Copy,
    /// They are back where they belong: with durations, continuous queries, subscriptions, and the users with their
    /// grants on them.
    Recovery,
}

/// What is to be taken over, and what stands in the way.
#[derive(Debug, Clone, Copy)]
pub struct Wish<'a> {
    /// What for.
    pub purpose: Purpose,
    /// Names of the databases.
    pub databases: &'a [String],
    /// Ids of the shards that there are files for; others are left out.
    pub stored: &'a BTreeSet<u64>,
    /// Shard ids that must not be used although the target's metastore may not know them, such as those of directories
    /// which were left behind.
    pub occupied: &'a BTreeSet<u64>,
    /// A cluster id in place of the target's own.
    pub cluster_id: Option<u64>,
}

/// A metastore with the databases in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merged {
    /// The target's new metastore.
    pub data: Data,
    /// Each shard that was taken over: its id where it comes from, and its id on the target.
    pub shards: BTreeMap<u64, u64>,
    /// What is not as it was where it comes from.
    pub differences: Vec<Difference>,
}

/// Why the metastores cannot be merged.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MergeError {
    /// The database is not in the metastore that it should come from.
    #[error("the stored metastore has no database {0}")]
    UnknownDatabase(String),
    /// Two shards of the stored metastore have one id.
    #[error("the stored metastore has two shards of the id {0}")]
    Twice(u64),
    /// The counters stand at the end of their range.
    #[error("there is no free id above {0}")]
    Exhausted(u64),
}

/// Something that a copy does not do, or not under the same number.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Difference {
    /// A policy that would have removed points keeps them for ever.
    Duration {
        /// The database.
        database: String,
        /// The retention policy.
        policy: String,
        /// Its duration where it comes from, in nanoseconds.
        nanoseconds: i64,
    },
    /// A continuous query, which would write into the copy, was left out.
    ContinuousQuery {
        /// The database.
        database: String,
        /// Its name.
        name: String,
    },
    /// A subscription, which would forward what is written, was left out.
    Subscription {
        /// The database.
        database: String,
        /// The retention policy.
        policy: String,
        /// Its name.
        name: String,
    },
    /// Shard groups that were marked as deleted were left out.
    DeletedGroups {
        /// The database.
        database: String,
        /// The retention policy.
        policy: String,
        /// How many.
        groups: usize,
    },
    /// A shard that the metastore knows, but that was not stored, was left out.
    NotStored {
        /// The database.
        database: String,
        /// The retention policy.
        policy: String,
        /// Its id.
        shard: u64,
    },
    /// Shards have other ids, since theirs were taken on the target.
    Renumbered {
        /// The database.
        database: String,
        /// The retention policy.
        policy: String,
        /// How many.
        shards: usize,
    },
    /// Users and their grants were left out.
    Users {
        /// How many users.
        users: usize,
    },
    /// The target has a user of this name, which keeps its password and may administrate or not as before.
    OwnUser {
        /// Its name.
        name: String,
    },
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::Duration { database, policy, nanoseconds } => {
                let kept = Duration::from_nanos(nanoseconds.unsigned_abs()).as_secs() / 3600;
                write!(f, "{database}.{policy} keeps points for ever instead of {kept} hours")
            }
            Difference::ContinuousQuery { database, name } => {
                write!(f, "continuous query {name} of {database} is left out")
            }
            Difference::Subscription { database, policy, name } => {
                write!(f, "subscription {name} of {database}.{policy} is left out")
            }
            Difference::DeletedGroups { database, policy, groups } => {
                write!(f, "shard groups of {database}.{policy} that are marked as deleted are left out: {groups}")
            }
            Difference::NotStored { database, policy, shard } => {
                write!(f, "shard {shard} of {database}.{policy} was not stored and is left out")
            }
            Difference::Renumbered { database, policy, shards } => {
                write!(f, "shards of {database}.{policy} with other ids, since theirs were taken: {shards}")
            }
            Difference::Users { users } => write!(f, "users, with their grants, are left out: {users}"),
            Difference::OwnUser { name } => {
                write!(f, "user {name} was on the target already, keeps its password and got its grants")
            }
        }
    }
}

/// Puts the wished databases of `night` in the place of those of the same names in `target`.
///
/// # Errors
///
/// When `night` does not have such a database, or its ids cannot be.
pub fn merge(target: &Data, night: &Data, wish: &Wish<'_>) -> Result<Merged, MergeError> {
    let wanted: BTreeSet<&str> = wish.databases.iter().map(String::as_str).collect();
    let mut data = target.clone();
    let (mut groups, mut shards) = (Ids::default(), Ids::default());
    for metastore in [target, night] {
        groups.next = groups.next.max(metastore.max_shard_group_id);
        shards.next = shards.next.max(metastore.max_shard_id);
        for group in all_groups(&metastore.databases) {
            groups.next = groups.next.max(group.id);
            shards.next = group.shards.iter().fold(shards.next, |next, shard| next.max(shard.id));
        }
    }
    for group in all_groups(target.databases.iter().filter(|database| !wanted.contains(database.name.as_str()))) {
        groups.taken.insert(group.id);
        shards.taken.extend(group.shards.iter().map(|shard| shard.id));
    }
    shards.taken.extend(wish.occupied);

    let (purpose, stored) = (wish.purpose, wish.stored);
    let mut copying = Copying { purpose, stored, groups, shards, map: BTreeMap::new(), differences: Vec::new() };
    for &name in &wanted {
        let stored = night.database(name).ok_or_else(|| MergeError::UnknownDatabase(name.to_owned()))?;
        put(&mut data, copying.database(stored)?);
    }
    match purpose {
        Purpose::Copy if night.users.is_empty() => {}
        Purpose::Copy => copying.differences.push(Difference::Users { users: night.users.len() }),
        Purpose::Recovery => {
            let comes = |database: &str| database == INTERNAL || wanted.contains(database);
            let own = take_users(&mut data.users, &night.users, comes);
            copying.differences.extend(own.into_iter().map(|name| Difference::OwnUser { name }));
        }
    }
    data.cluster_id = wish.cluster_id.unwrap_or(target.cluster_id);
    data.index = target.index.saturating_add(1);
    data.max_shard_group_id = copying.groups.next;
    data.max_shard_id = copying.shards.next;
    Ok(Merged { data, shards: copying.map, differences: copying.differences })
}

/// What a running server is to be sent of `night` so that it makes this database: the database and nothing else, as a copy
/// wants it. The ids stay, since the server gives its own.
///
/// # Errors
///
/// As [`merge`].
pub fn excerpt(night: &Data, database: &str, stored: &BTreeSet<u64>) -> Result<Merged, MergeError> {
    let (databases, occupied) = ([database.to_owned()], BTreeSet::new());
    let wish = Wish { purpose: Purpose::Copy, databases: &databases, stored, occupied: &occupied, cluster_id: None };
    merge(&Data { cluster_id: night.cluster_id, ..Data::default() }, night, &wish)
}

/// Takes a merge back: `current` with the named databases and the cluster id, after a recovery also the users, as they
/// were in `old`. What the server changed in other databases since stays.
#[must_use]
pub fn take_back(current: &Data, old: &Data, databases: &[String], purpose: Purpose) -> Data {
    let mut data = current.clone();
    if purpose == Purpose::Recovery {
        data.users.clone_from(&old.users);
    }
    for name in databases {
        match old.database(name) {
            Some(database) => put(&mut data, database.clone()),
            None => data.databases.retain(|database| database.name != *name),
        }
    }
    data.cluster_id = old.cluster_id;
    data.index = current.index.max(old.index).saturating_add(1);
    data
}

/// Adds an empty database whose one policy, `autogen`, keeps points for ever, unless there is one of this name.
pub fn add_database(data: &mut Data, name: &str) {
    const WEEK: i64 = 7 * 24 * 3600 * 1_000_000_000;
    const POLICY: &str = "autogen";
    if data.database(name).is_none() {
        let policy = Policy { name: POLICY.to_owned(), shard_group_duration: WEEK, replica_n: 1, ..Policy::default() };
        data.databases.push(Database {
            name: name.to_owned(),
            default_policy: POLICY.to_owned(),
            policies: vec![policy],
            continuous_queries: Vec::new(),
        });
    }
}

/// In the place of the one of its name, else behind all others.
fn put(data: &mut Data, database: Database) {
    match data.databases.iter_mut().find(|present| present.name == database.name) {
        Some(present) => *present = database,
        None => data.databases.push(database),
    }
}

/// Adds the users of the night with their grants on databases that come; tells which names were taken by others.
fn take_users(users: &mut Vec<User>, night: &[User], comes: impl Fn(&str) -> bool) -> Vec<String> {
    let mut taken = Vec::new();
    for stored in night {
        let grants = stored.privileges.iter().filter(|grant| comes(&grant.database)).cloned();
        match users.iter_mut().find(|user| user.name == stored.name) {
            None => users.push(User { privileges: grants.collect(), ..stored.clone() }),
            Some(user) => {
                for grant in grants {
                    if user.privileges.iter().all(|present| present.database != grant.database) {
                        user.privileges.push(grant);
                    }
                }
                if (&user.hash, user.admin) != (&stored.hash, stored.admin) {
                    taken.push(stored.name.clone());
                }
            }
        }
    }
    taken
}

fn all_groups<'a>(databases: impl IntoIterator<Item = &'a Database>) -> impl Iterator<Item = &'a ShardGroup> {
    databases.into_iter().flat_map(|database| &database.policies).flat_map(|policy| &policy.shard_groups)
}

/// Ids of one kind: which are taken, and the counter above all that were ever handed out.
#[derive(Debug, Default)]
struct Ids {
    taken: BTreeSet<u64>,
    next: u64,
}

impl Ids {
    /// The same id where it is free, else a new one.
    fn place(&mut self, id: u64) -> Result<u64, MergeError> {
        if self.taken.insert(id) {
            return Ok(id);
        }
        loop {
            self.next = self.next.checked_add(1).ok_or(MergeError::Exhausted(self.next))?;
            if self.taken.insert(self.next) {
                return Ok(self.next);
            }
        }
    }
}

struct Copying<'a> {
    purpose: Purpose,
    stored: &'a BTreeSet<u64>,
    groups: Ids,
    shards: Ids,
    map: BTreeMap<u64, u64>,
    differences: Vec<Difference>,
}

impl Copying<'_> {
    fn database(&mut self, stored: &Database) -> Result<Database, MergeError> {
        let mut copy = Database { policies: Vec::new(), ..stored.clone() };
        if self.purpose == Purpose::Copy {
            let left = std::mem::take(&mut copy.continuous_queries).into_iter();
            let database = || stored.name.clone();
            self.differences
                .extend(left.map(|query| Difference::ContinuousQuery { database: database(), name: query.name }));
        }
        for policy in &stored.policies {
            copy.policies.push(self.policy(&stored.name, policy)?);
        }
        Ok(copy)
    }

    fn policy(&mut self, database: &str, stored: &Policy) -> Result<Policy, MergeError> {
        let names = || (database.to_owned(), stored.name.clone());
        let mut copy = Policy { shard_groups: Vec::new(), ..stored.clone() };
        if self.purpose == Purpose::Copy {
            for subscription in std::mem::take(&mut copy.subscriptions) {
                let ((database, policy), name) = (names(), subscription.name);
                self.differences.push(Difference::Subscription { database, policy, name });
            }
            let nanoseconds = std::mem::take(&mut copy.duration);
            if nanoseconds != 0 {
                let (database, policy) = names();
                self.differences.push(Difference::Duration { database, policy, nanoseconds });
            }
        }
        let deleted = stored.shard_groups.iter().filter(|group| !group.is_live()).count();
        if deleted > 0 {
            let (database, policy) = names();
            self.differences.push(Difference::DeletedGroups { database, policy, groups: deleted });
        }
        let mut renumbered = 0;
        for group in stored.live_groups() {
            let mut shards = Vec::new();
            for shard in &group.shards {
                if !self.stored.contains(&shard.id) {
                    let ((database, policy), shard) = (names(), shard.id);
                    self.differences.push(Difference::NotStored { database, policy, shard });
                    continue;
                }
                let id = self.shards.place(shard.id)?;
                if self.map.insert(shard.id, id).is_some() {
                    return Err(MergeError::Twice(shard.id));
                }
                renumbered += usize::from(id != shard.id);
                // Owners are nodes of the cluster that the shard comes from.
                shards.push(Shard { id, ..Shard::default() });
            }
            if !shards.is_empty() {
                copy.shard_groups.push(ShardGroup { id: self.groups.place(group.id)?, shards, ..group.clone() });
            }
        }
        if renumbered > 0 {
            let (database, policy) = names();
            self.differences.push(Difference::Renumbered { database, policy, shards: renumbered });
        }
        Ok(copy)
    }
}

#[cfg(test)]
mod tests;
