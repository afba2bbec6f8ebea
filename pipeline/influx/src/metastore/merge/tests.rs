//! What holds of every merge, whatever the two metastores look like.

use proptest::prelude::*;

use super::super::{ContinuousQuery, Privilege, Subscription, User};
use super::*;

/// A metastore described by one line a shard group: `database policy group-id shard-ids live|deleted`.
fn metastore(cluster_id: u64, counters: (u64, u64), table: &str) -> Data {
    let mut data =
        Data { index: 7, cluster_id, max_shard_group_id: counters.0, max_shard_id: counters.1, ..Data::default() };
    for (number, line) in table.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate() {
        let columns: Vec<&str> = line.split_whitespace().collect();
        if data.database(columns[0]).is_none() {
            add_database(&mut data, columns[0]);
            data.databases.last_mut().unwrap().policies.clear();
        }
        let database = data.databases.iter_mut().find(|database| database.name == columns[0]).unwrap();
        if database.policy(columns[1]).is_none() {
            database.policies.push(Policy { name: columns[1].to_owned(), replica_n: 1, ..Policy::default() });
        }
        let policy = database.policies.iter_mut().find(|policy| policy.name == columns[1]).unwrap();
        policy.shard_groups.push(ShardGroup {
            id: columns[2].parse().unwrap(),
            start_time: number as i64 * 100,
            end_time: number as i64 * 100 + 100,
            deleted_at: i64::from(columns[4] == "deleted"),
            shards: columns[3].split(',').map(|id| Shard { id: id.parse().unwrap(), ..Shard::default() }).collect(),
            truncated_at: None,
        });
    }
    data
}

/// The inverse of [`metastore`], for comparison.
fn table(data: &Data) -> Vec<String> {
    let mut lines = Vec::new();
    for database in &data.databases {
        for policy in &database.policies {
            for group in &policy.shard_groups {
                let shards: Vec<String> = group.shards.iter().map(|shard| shard.id.to_string()).collect();
                let state = if group.is_live() { "live" } else { "deleted" };
                lines.push(format!("{} {} {} {} {state}", database.name, policy.name, group.id, shards.join(",")));
            }
        }
    }
    lines
}

fn every_shard(data: &Data) -> BTreeSet<u64> {
    all_groups(&data.databases).flat_map(|group| &group.shards).map(|shard| shard.id).collect()
}

fn wished(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn databases_of_the_same_name_are_replaced_and_taken_ids_give_way() {
    let target = metastore(
        11,
        (9, 9),
        "_internal monitor 1 1 live
         sensu     autogen 2 2 live
         other     autogen 3 3 live
         other     autogen 4 4 deleted",
    );
    let night = metastore(
        22,
        (20, 10),
        "sensu autogen 1  1  live
         sensu autogen 5  5  live
         sensu autogen 6  6  deleted
         sensu week    3  10 live
         sensu week    7  4  live
         left  autogen 8  8  live",
    );
    let (databases, stored) = (wished(&["sensu"]), every_shard(&night));
    let wish = Wish {
        purpose: Purpose::Copy,
        databases: &databases,
        stored: &stored,
        occupied: &BTreeSet::from([10]),
        cluster_id: None,
    };
    let merged = merge(&target, &night, &wish).unwrap();
    assert_eq!(
        table(&merged.data),
        [
            "_internal monitor 1 1 live",
            "sensu autogen 21 11 live",
            "sensu autogen 5 5 live",
            "sensu week 22 12 live",
            "sensu week 7 13 live",
            "other autogen 3 3 live",
            "other autogen 4 4 deleted",
        ]
    );
    assert_eq!(merged.shards, BTreeMap::from([(1, 11), (5, 5), (10, 12), (4, 13)]));
    assert_eq!((merged.data.cluster_id, merged.data.index), (11, 8));
    assert_eq!((merged.data.max_shard_group_id, merged.data.max_shard_id), (22, 13));
}

#[test]
fn a_copy_keeps_points_for_ever_and_writes_to_nobody() {
    let mut night = metastore(1, (3, 3), "db week 1 1 live\n db week 2 2 deleted\n db week 3 3 live");
    let policy = &mut night.databases[0].policies[0];
    policy.duration = 7 * 24 * 3600 * 1_000_000_000;
    policy.shard_group_duration = 24 * 3600 * 1_000_000_000;
    policy.subscriptions = vec![Subscription { name: "forward".to_owned(), ..Subscription::default() }];
    night.databases[0].continuous_queries =
        vec![ContinuousQuery { name: "hourly".to_owned(), ..ContinuousQuery::default() }];
    night.users = vec![User { name: "admin".to_owned(), ..User::default() }];
    let target = metastore(2, (0, 0), "");
    let (databases, stored) = (wished(&["db"]), BTreeSet::from([1]));
    let wish = Wish {
        purpose: Purpose::Copy,
        databases: &databases,
        stored: &stored,
        occupied: &BTreeSet::new(),
        cluster_id: Some(5),
    };
    let merged = merge(&target, &night, &wish).unwrap();

    let copy = merged.data.database("db").unwrap();
    assert_eq!((copy.policies[0].duration, copy.policies[0].shard_group_duration), (0, 24 * 3600 * 1_000_000_000));
    assert!(copy.continuous_queries.is_empty() && copy.policies[0].subscriptions.is_empty());
    assert!(merged.data.users.is_empty());
    assert_eq!(merged.data.cluster_id, 5);
    let said: Vec<String> = merged.differences.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "continuous query hourly of db is left out",
            "subscription forward of db.week is left out",
            "db.week keeps points for ever instead of 168 hours",
            "shard groups of db.week that are marked as deleted are left out: 1",
            "shard 3 of db.week was not stored and is left out",
            "users, with their grants, are left out: 1",
        ]
    );
}

#[test]
fn what_is_recovered_is_as_it_was_and_drops_nobody() {
    let grant = |database: &str, privilege| Privilege { database: database.to_owned(), privilege };
    let user = |name: &str, hash: &str, privileges: &[Privilege]| User {
        name: name.to_owned(),
        hash: hash.to_owned(),
        admin: false,
        privileges: privileges.to_vec(),
    };
    let mut night =
        metastore(1, (4, 4), "db week 1 1 live\n db week 2 2 deleted\n db other 3 3 live\n left p 4 4 live");
    let policy = &mut night.databases[0].policies[0];
    policy.duration = 7 * 24 * 3600 * 1_000_000_000;
    policy.subscriptions = vec![Subscription { name: "forward".to_owned(), ..Subscription::default() }];
    night.databases[0].continuous_queries =
        vec![ContinuousQuery { name: "hourly".to_owned(), ..ContinuousQuery::default() }];
    night.databases[0].default_policy = "other".to_owned();
    night.users = vec![
        user("reader", "h1", &[grant("db", 1), grant("left", 1), grant("_internal", 1)]),
        user("boss", "h2", &[]),
        user("same", "h3", &[grant("db", 3)]),
    ];
    let mut target = metastore(2, (1, 1), "_internal monitor 1 1 live");
    target.users = vec![user("boss", "other", &[]), user("same", "h3", &[grant("_internal", 1)])];
    let (databases, stored) = (wished(&["db"]), BTreeSet::from([1, 3]));
    let occupied = BTreeSet::new();
    let wish = Wish {
        purpose: Purpose::Recovery,
        databases: &databases,
        stored: &stored,
        occupied: &occupied,
        cluster_id: Some(1),
    };
    let merged = merge(&target, &night, &wish).unwrap();

    let (back, mut expected) = (merged.data.database("db").unwrap(), night.databases[0].clone());
    expected.policies[0].shard_groups.remove(1);
    (expected.policies[0].shard_groups[0].id, expected.policies[0].shard_groups[0].shards[0].id) = (5, 5);
    assert_eq!(*back, expected);
    let expected = [
        user("boss", "other", &[]),
        user("same", "h3", &[grant("_internal", 1), grant("db", 3)]),
        user("reader", "h1", &[grant("db", 1), grant("_internal", 1)]),
    ];
    assert_eq!(merged.data.users, expected);
    assert!(merged.data.database("left").is_none() && merged.data.database("_internal").is_some());
    let said: Vec<String> = merged.differences.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "shard groups of db.week that are marked as deleted are left out: 1",
            "shards of db.week with other ids, since theirs were taken: 1",
            "user boss was on the target already, keeps its password and got its grants",
        ]
    );
    let back = take_back(&merged.data, &target, &databases, Purpose::Recovery);
    assert_eq!((&back.databases, &back.users, back.cluster_id), (&target.databases, &target.users, 2));
}

#[test]
fn what_cannot_be_merged_is_an_error() {
    let target = metastore(1, (1, 1), "");
    let try_it = |night: &Data, name: &str| {
        let (databases, stored) = (wished(&[name]), every_shard(night));
        merge(
            &target,
            night,
            &Wish {
                purpose: Purpose::Copy,
                databases: &databases,
                stored: &stored,
                occupied: &BTreeSet::new(),
                cluster_id: None,
            },
        )
    };
    let night = metastore(2, (1, 1), "db a 1 1 live");
    assert_eq!(try_it(&night, "other"), Err(MergeError::UnknownDatabase("other".to_owned())));
    let night = metastore(2, (2, 2), "db a 1 1 live\n db a 2 1 live");
    assert_eq!(try_it(&night, "db"), Err(MergeError::Twice(1)));
    let night = metastore(2, (u64::MAX, 1), "db a 1 1 live\n db a 1 2 live");
    assert_eq!(try_it(&night, "db"), Err(MergeError::Exhausted(u64::MAX)));
}

#[test]
fn a_merge_that_is_taken_back_leaves_what_others_did_since() {
    let target = metastore(1, (3, 3), "db autogen 1 1 live\n other autogen 2 2 live");
    let night = metastore(2, (9, 9), "db autogen 8 8 live\n new autogen 9 9 live");
    let (databases, stored) = (wished(&["db", "new"]), every_shard(&night));
    let wish = Wish {
        purpose: Purpose::Copy,
        databases: &databases,
        stored: &stored,
        occupied: &BTreeSet::new(),
        cluster_id: Some(3),
    };
    let mut current = merge(&target, &night, &wish).unwrap().data;
    let other = current.databases.iter_mut().find(|database| database.name == "other").unwrap();
    other.policies[0].shard_groups.push(ShardGroup {
        id: 10,
        shards: vec![Shard { id: 10, ..Shard::default() }],
        ..ShardGroup::default()
    });
    current.max_shard_id = 10;
    let back = take_back(&current, &target, &databases, Purpose::Copy);
    assert_eq!(table(&back), ["db autogen 1 1 live", "other autogen 2 2 live", "other autogen 10 10 live"]);
    assert_eq!((back.cluster_id, back.max_shard_id), (1, 10));
}

#[test]
fn a_database_is_added_once() {
    let mut data = metastore(1, (1, 1), "");
    add_database(&mut data, "nightshard");
    let once = data.clone();
    add_database(&mut data, "nightshard");
    assert_eq!(data, once);
    assert_eq!(data.database("nightshard").unwrap().policies[0].duration, 0);
}

/// Metastores with up to six databases, whose ids are unique and need not be in order.
fn metastores() -> impl Strategy<Value = Data> {
    let group = (0usize..6, 0usize..3, 1usize..3, any::<bool>());
    (prop::collection::vec(group, 0..24), any::<u64>(), 0u64..5, any::<u64>()).prop_map(
        |(groups, cluster_id, ahead, seed)| {
            // A permutation of the ids by an odd factor: unique, but not ascending.
            let scramble = |number: u64| (number.wrapping_mul(seed | 1)) % 64 + 1;
            let (mut used_groups, mut used_shards) = (BTreeSet::new(), BTreeSet::new());
            let mut lines = String::new();
            let mut counter = 0;
            let mut fresh = |used: &mut BTreeSet<u64>| loop {
                counter += 1;
                let id = scramble(counter) + 64 * (counter / 64);
                if used.insert(id) {
                    return id;
                }
            };
            for (database, policy, shards, live) in groups {
                let group = fresh(&mut used_groups);
                let ids: Vec<String> = (0..shards).map(|_| fresh(&mut used_shards).to_string()).collect();
                let state = if live { "live" } else { "deleted" };
                lines += &format!("db{database} rp{policy} {group} {} {state}\n", ids.join(","));
            }
            let counters =
                (used_groups.last().copied().unwrap_or(0) + ahead, used_shards.last().copied().unwrap_or(0) + ahead);
            metastore(cluster_id, counters, &lines)
        },
    )
}

proptest! {
    #[test]
    fn every_merge_keeps_the_rest_and_its_ids_apart(
        target in metastores(),
        night in metastores(),
        chosen in prop::collection::vec(any::<bool>(), 6),
        occupied in prop::collection::btree_set(1u64..80, 0..8),
        lost in prop::collection::btree_set(1u64..80, 0..4),
    ) {
        let databases: Vec<String> = night.databases.iter().zip(&chosen)
            .filter(|(_, chosen)| **chosen).map(|(database, _)| database.name.clone()).collect();
        let stored: BTreeSet<u64> = every_shard(&night).difference(&lost).copied().collect();
        let wish = Wish { purpose: Purpose::Copy, databases: &databases, stored: &stored, occupied: &occupied, cluster_id: None };
        let merged = merge(&target, &night, &wish).unwrap();
        let data = &merged.data;

        // Other databases are as they were, bit for bit and in their order; users too.
        let others = |data: &Data| -> Vec<Database> {
            data.databases.iter().filter(|database| !databases.contains(&database.name)).cloned().collect()
        };
        prop_assert_eq!(others(data), others(&target));
        prop_assert_eq!(&data.users, &target.users);
        prop_assert_eq!(data.cluster_id, target.cluster_id);
        prop_assert!(data.index > target.index);

        // Ids are unique and not above the counters, which never go back.
        let groups: Vec<u64> = all_groups(&data.databases).map(|group| group.id).collect();
        let shards: Vec<u64> =
            all_groups(&data.databases).flat_map(|group| &group.shards).map(|shard| shard.id).collect();
        prop_assert_eq!(groups.iter().collect::<BTreeSet<_>>().len(), groups.len());
        prop_assert_eq!(shards.iter().collect::<BTreeSet<_>>().len(), shards.len());
        prop_assert!(groups.iter().all(|id| *id <= data.max_shard_group_id));
        prop_assert!(shards.iter().all(|id| *id <= data.max_shard_id));
        prop_assert!(data.max_shard_group_id >= target.max_shard_group_id.max(night.max_shard_group_id));
        prop_assert!(data.max_shard_id >= target.max_shard_id.max(night.max_shard_id));
        prop_assert!(merged.shards.values().all(|id| !occupied.contains(id)));

        // Every live group of the night that has stored shards is there once, with its times and its shards.
        for name in &databases {
            let (from, to) = (night.database(name).unwrap(), data.database(name).unwrap());
            for (from, to) in from.policies.iter().zip(&to.policies) {
                let expected: Vec<(i64, i64, Vec<u64>)> = from.live_groups().map(|group| {
                    let shards = group.shards.iter().filter_map(|shard| merged.shards.get(&shard.id)).copied();
                    (group.start_time, group.end_time, shards.collect())
                }).filter(|(_, _, shards): &(i64, i64, Vec<u64>)| !shards.is_empty()).collect();
                let actual: Vec<(i64, i64, Vec<u64>)> = to.shard_groups.iter().map(|group| {
                    (group.start_time, group.end_time, group.shards.iter().map(|shard| shard.id).collect())
                }).collect();
                prop_assert_eq!(&from.name, &to.name);
                prop_assert_eq!(actual, expected);
                prop_assert_eq!(to.duration, 0);
            }
        }

        // Taking it back gives the old databases again.
        let back = take_back(data, &target, &databases, Purpose::Copy);
        let by_name = |data: &Data| -> BTreeMap<String, Database> {
            data.databases.iter().map(|database| (database.name.clone(), database.clone())).collect()
        };
        prop_assert_eq!(by_name(&back), by_name(&target));
    }
}
