//! What lies in `shards/` of a night without a seal: by the names that `influxd backup` gives, and by what the metastore says of them.

use std::collections::{BTreeMap, BTreeSet};

use archive::names;
use chrono::{DateTime, Utc};
use influx::metastore::{Data, TimeRange};
use store::ObjectEntry;

use crate::verify::folder::Files;

/// The objects, by their full names.
#[derive(Debug, Default)]
pub(super) struct Lying {
    /// `meta.00`, and `meta.NN` of further runs into the same folder.
    pub(super) metastores: Vec<String>,
    /// Shards, with the id that the name has.
    pub(super) shards: BTreeMap<String, u64>,
    /// The beginnings of files: a run was ended while it downloaded them.
    pub(super) pending: Vec<String>,
    /// What `influxd backup -portable` writes.
    pub(super) portable: Vec<String>,
    /// What is nothing of these.
    pub(super) others: Vec<String>,
    /// How large they all are, as the listing has it.
    bytes: BTreeMap<String, u64>,
}

/// A shard that lies there and that the metastore knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Known {
    pub(super) object: String,
    pub(super) database: String,
    pub(super) policy: String,
    pub(super) id: u64,
    pub(super) range: TimeRange,
}

/// The shards that lie there beside those of the metastore.
#[derive(Debug, Default)]
pub(super) struct Compared {
    /// By id.
    pub(super) known: BTreeMap<u64, Known>,
    /// The names of those that it does not know, each with why.
    pub(super) unknown: Vec<(String, String)>,
    /// Those that do not lie there, of retention policies of which others do.
    pub(super) missing: Vec<Missing>,
    /// The databases of which there are shards.
    pub(super) databases: BTreeSet<String>,
    /// Databases that have shards in the metastore, of which none lies there, and such retention policies of the others, as
    /// `database.policy`. InfluxDB's own is nobody's data.
    pub(super) left_out: BTreeSet<String>,
}

/// A shard that does not lie there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Missing {
    pub(super) object: String,
    pub(super) database: String,
    pub(super) policy: String,
    pub(super) id: u64,
    pub(super) range: TimeRange,
}

impl Missing {
    /// What its file would be called, without what `influxd` appends for each run.
    pub(super) fn name(&self) -> String {
        let Missing { database, policy, id, .. } = self;
        format!("{database}.{policy}.{id:05}")
    }
}

impl Lying {
    /// Sorts objects of the night by their names.
    pub(super) fn of(night: &str, listed: Vec<ObjectEntry>) -> Lying {
        let prefix = names::shards_prefix(night);
        let (mut files, mut others) = (Files::default(), Vec::new());
        let bytes = listed.iter().map(|entry| (entry.name.clone(), entry.bytes)).collect();
        for object in listed.into_iter().map(|entry| entry.name) {
            match object.strip_prefix(&prefix) {
                Some(file) if !file.contains('/') => files.add(file.to_owned()),
                _ => others.push(object),
            }
        }
        let full = |file: String| format!("{prefix}{file}");
        others.extend(files.others.into_iter().map(full));
        Lying {
            metastores: files.metastores.into_iter().map(full).collect(),
            shards: files.shards.into_iter().map(|(file, id)| (full(file), id)).collect(),
            pending: files.pending.into_iter().map(full).collect(),
            portable: files.manifests.into_iter().chain(files.parts.into_keys()).map(full).collect(),
            others,
            bytes,
        }
    }

    /// How large objects are together, as the listing has it: nothing, where they lie in segments elsewhere.
    pub(super) fn bytes<'a>(&self, objects: impl Iterator<Item = &'a String>) -> u64 {
        objects.filter_map(|object| self.bytes.get(object)).fold(0, |sum, bytes| sum.saturating_add(*bytes))
    }

    /// Shards that are not of the first run into the folder: additions to it, or all of them once more.
    pub(super) fn increments(&self) -> Vec<String> {
        self.shards.keys().filter(|name| !name.ends_with(".00")).cloned().collect()
    }

    /// Compares the shards with a metastore. Ids are unique on a server; names are not, where those of databases hold dots.
    pub(super) fn compare(&self, night: &str, data: &Data) -> Compared {
        let live = data.databases.iter().flat_map(|database| {
            database
                .live_shards()
                .map(move |shard| (shard.id, (database.name.as_str(), shard.policy, shard.time_range)))
        });
        let live: BTreeMap<u64, (&str, &str, TimeRange)> = live.collect();
        let mut all = Compared::default();
        for (object, id) in &self.shards {
            let Some((database, policy, range)) = live.get(id) else {
                all.unknown.push((object.clone(), format!("the metastore has no shard {id} that is in use")));
                continue;
            };
            let named = names::shard(night, database, policy, *id);
            if *object != named {
                let why = format!("by the metastore shard {id} is of {database}.{policy}, and would be called {named}");
                all.unknown.push((object.clone(), why));
                continue;
            }
            let (database, policy) = ((*database).to_owned(), (*policy).to_owned());
            all.databases.insert(database.clone());
            all.known.insert(*id, Known { object: object.clone(), database, policy, id: *id, range: *range });
        }
        let policies: BTreeSet<_> =
            all.known.values().map(|known| (known.database.as_str(), known.policy.as_str())).collect();
        for (id, (database, policy, range)) in live {
            if all.known.contains_key(&id) {
                continue;
            }
            if policies.contains(&(database, policy)) {
                let object = names::shard(night, database, policy, id);
                let (database, policy) = (database.to_owned(), policy.to_owned());
                all.missing.push(Missing { object, database, policy, id, range });
            } else if all.databases.contains(database) {
                all.left_out.insert(format!("{database}.{policy}"));
            } else if database != INTERNAL {
                all.left_out.insert(database.to_owned());
            }
        }
        all
    }
}

impl Compared {
    /// The shards that do not lie there although they may have had points: InfluxDB makes shard groups some time before they
    /// begin, and no files for them until something is written. `taken` are instants until which shards were written to,
    /// by id: in a retention policy to which nobody writes any more, empty groups follow each other.
    pub(super) fn lacking(&self, taken: impl Iterator<Item = (u64, DateTime<Utc>)>) -> Vec<&Missing> {
        let mut newest = BTreeMap::new();
        for (id, taken) in taken {
            let (Some(known), Some(taken)) = (self.known.get(&id), taken.timestamp_nanos_opt()) else { continue };
            let newest = newest.entry((&known.database, &known.policy)).or_insert(taken);
            *newest = taken.max(*newest);
        }
        let is_to_come = |missing: &&Missing| {
            let newest = newest.get(&(&missing.database, &missing.policy));
            missing.range.start.zip(newest).is_some_and(|(begins, newest)| begins >= *newest)
        };
        self.missing.iter().filter(|missing| !is_to_come(missing)).collect()
    }
}

/// InfluxDB's database of its own statistics.
const INTERNAL: &str = "_internal";

#[cfg(test)]
mod tests {
    use influx::metastore::{Database, Policy, Shard, ShardGroup};

    use super::*;

    fn shards(night: &str, files: &[&str]) -> Lying {
        let entry = |file: &&str| ObjectEntry { name: format!("{night}/shards/{file}"), bytes: 7, etag: None };
        Lying::of(night, files.iter().map(entry).collect())
    }

    #[test]
    fn objects_are_sorted_by_the_names_that_influxd_gives() {
        let lying = shards(
            "n",
            &[
                "meta.00",
                "meta.01",
                "db.p.00001.00",
                "db.p.00001.01",
                "db.p.00002.00.pending",
                "20261120T143817Z.manifest",
                "20261120T143817Z.s1.tar.gz",
                "notes.txt",
                "deeper/db.p.00003.00",
            ],
        );
        assert_eq!(lying.metastores, ["n/shards/meta.00", "n/shards/meta.01"]);
        assert_eq!((lying.shards.len(), lying.bytes(lying.shards.keys())), (2, 14));
        assert_eq!(lying.pending, ["n/shards/db.p.00002.00.pending"]);
        assert_eq!(lying.portable.len(), 2);
        assert_eq!(lying.others, ["n/shards/deeper/db.p.00003.00", "n/shards/notes.txt"]);
    }

    #[test]
    fn shards_are_known_by_their_ids_and_must_be_called_as_the_metastore_has_them() {
        let group = |id, deleted_at| {
            let shards = vec![Shard { id, ..Shard::default() }];
            ShardGroup { id, end_time: 10, deleted_at, shards, ..ShardGroup::default() }
        };
        let database = |name: &str, policy: &str, shard_groups| Database {
            name: name.to_owned(),
            policies: vec![Policy { name: policy.to_owned(), shard_groups, ..Policy::default() }],
            ..Database::default()
        };
        let databases = vec![
            database("a.b", "p", vec![group(1, 0), group(2, 7), group(3, 0)]),
            database("left", "p", vec![group(4, 0)]),
            Database {
                name: "part".to_owned(),
                policies: vec![
                    Policy { name: "p".to_owned(), shard_groups: vec![group(6, 0)], ..Policy::default() },
                    Policy { name: "q".to_owned(), shard_groups: vec![group(7, 0)], ..Policy::default() },
                ],
                ..Database::default()
            },
            database("_internal", "monitor", vec![group(5, 0)]),
            database("empty", "p", vec![]),
        ];
        let data = Data { databases, ..Data::default() };
        let files = ["a.b.p.00001.00", "a.b.p.00002.00", "left.q.00004.00", "part.p.00006.00", "x.p.00009.00"];
        let found = shards("n", &files).compare("n", &data);
        assert_eq!(found.known.keys().collect::<Vec<_>>(), [&1, &6]);
        assert_eq!((found.known[&1].database.as_str(), found.known[&1].policy.as_str()), ("a.b", "p"));
        let unknown: Vec<String> = found.unknown.into_iter().map(|(object, why)| format!("{object}: {why}")).collect();
        assert_eq!(
            unknown,
            [
                "n/shards/a.b.p.00002.00: the metastore has no shard 2 that is in use",
                "n/shards/left.q.00004.00: by the metastore shard 4 is of left.p, and would be called n/shards/left.p.00004.00",
                "n/shards/x.p.00009.00: the metastore has no shard 9 that is in use",
            ]
        );
        assert_eq!(found.missing.iter().map(Missing::name).collect::<Vec<_>>(), ["a.b.p.00003"]);
        assert_eq!(found.missing[0].object, "n/shards/a.b.p.00003.00");
        assert_eq!(found.left_out.iter().collect::<Vec<_>>(), ["left", "part.q"]);
    }

    #[test]
    fn a_shard_is_missed_unless_it_begins_after_all_that_its_policy_has() {
        let range = |start| TimeRange { start, end: i64::MAX };
        let missing = |id, policy: &str, start| Missing {
            object: String::new(),
            database: "d".to_owned(),
            policy: policy.to_owned(),
            id,
            range: range(start),
        };
        let known = |id, policy: &str| {
            let (database, policy) = ("d".to_owned(), policy.to_owned());
            (id, Known { object: String::new(), database, policy, id, range: range(None) })
        };
        let compared = Compared {
            known: BTreeMap::from([known(1, "busy"), known(2, "busy"), known(3, "idle"), known(4, "empty")]),
            missing: vec![
                missing(11, "busy", Some(999)),
                missing(12, "busy", Some(1000)),
                missing(13, "busy", None),
                missing(14, "idle", Some(999)),
                missing(15, "empty", Some(1000)),
            ],
            ..Compared::default()
        };
        let taken = [(1, 1000), (2, 500), (3, 700)].map(|(id, at)| (id, DateTime::from_timestamp_nanos(at)));
        let lacking = compared.lacking(taken.into_iter()).into_iter().map(|missing| missing.id);
        assert_eq!(lacking.collect::<Vec<_>>(), [11, 13, 15]);
    }
}
