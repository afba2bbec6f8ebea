//! The metastore against what a real server wrote, and against everything else.

use bytes::Bytes;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const META: &[u8] = include_bytes!("../../tests/vectors/meta.00");

fn sample() -> Data {
    Framed::decode(Bytes::from_static(META)).unwrap().data
}

/// A message of 91 bytes with one database, policy, group and shard, as a server wrote it to `meta.db`.
const TINY: &str = "0800100318dccef1ecc4e3d4da4b2a450a0474696e7912076175746f67656e1a340a076175746f67656e1000188080a4c9ffc189\
                    0120012a1c0801108080c085bae9959916188080e4ceb9ab9f9a1620002a020801380040014801";

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

#[test]
fn a_backup_is_read_as_an_independent_reader_reads_it() {
    let expected: Value = serde_json::from_slice(include_bytes!("../../tests/vectors/meta.00.expected.json")).unwrap();
    assert_eq!(as_json(&sample()), expected);
}

#[test]
fn a_backup_is_written_byte_for_byte() {
    assert_eq!(frame(&sample()), META);
    assert_eq!(Framed::decode(Bytes::from_static(META)).unwrap().raw, META);
}

#[test]
fn the_servers_own_file_is_read_and_written_byte_for_byte() {
    let data = Data::from_meta_db(&unhex(TINY)).unwrap();
    assert_eq!((data.index, data.cluster_id, data.max_shard_id), (3, 5_455_357_904_655_509_340, 1));
    let shards: Vec<LiveShard<'_>> = data.database("tiny").unwrap().live_shards().collect();
    let time_range = TimeRange { start: Some(1_599_436_800_000_000_000), end: 1_600_041_600_000_000_000 };
    assert_eq!(shards, [LiveShard { id: 1, policy: "autogen", time_range }]);
    assert_eq!(data.to_meta_db(), unhex(TINY));
}

#[test]
fn required_fields_are_written_even_when_they_are_zero() {
    assert_eq!(Data::default().to_meta_db(), [8, 0, 16, 0, 24, 0, 56, 0, 64, 0, 72, 0]);
    let group = ShardGroup { shards: vec![Shard::default()], ..ShardGroup::default() };
    assert_eq!(group.encode_to_vec(), [8, 0, 16, 0, 24, 0, 32, 0, 42, 2, 8, 0]);
    assert_eq!(User::default().encode_to_vec(), [10, 0, 18, 0, 24, 0]);
}

#[test]
fn numbers_of_owners_are_written_one_by_one() {
    let shard = Shard { id: 1, owner_ids: vec![7, 8], owners: vec![ShardOwner { node_id: 9 }] };
    assert_eq!(shard.encode_to_vec(), [8, 1, 16, 7, 16, 8, 26, 2, 8, 9]);
}

#[test]
fn deleted_groups_have_no_live_shards() {
    let data = sample();
    let demo = data.database("demo").unwrap();
    let live: Vec<(&str, u64)> = demo.live_shards().map(|shard| (shard.policy, shard.id)).collect();
    assert_eq!(live, [("autogen", 1), ("autogen", 2), ("short", 3), ("short", 4)]);
    assert_eq!(demo.policy("short").unwrap().shard_groups.len(), 3);
    assert_eq!(data.database("other").unwrap().live_shards().count(), 0);
    assert!(data.database("nobody").is_none());
}

#[test]
fn a_start_beyond_the_end_is_no_lower_bound() {
    let group = |start_time, end_time| ShardGroup { start_time, end_time, ..ShardGroup::default() };
    // As a server stored the group of a point at the first possible time.
    let first = group(9_223_284_873_709_551_616, -9_222_854_400_000_000_000).time_range();
    assert_eq!(first.start, None);
    assert!(first.contains(i64::MIN) && !first.contains(first.end) && !first.contains(0));
    assert!(first.meets(i64::MIN, i64::MIN + 1) && !first.meets(first.end, i64::MAX));

    let epoch = group(0, 10).time_range();
    assert!(epoch.contains(0) && !epoch.contains(10) && !epoch.contains(-1));
    assert!(epoch.meets(-5, 1) && epoch.meets(9, 20) && !epoch.meets(10, 20) && !epoch.meets(-5, 0));
    assert!(!epoch.meets(5, 5), "an empty window meets nothing");
}

#[test]
fn a_truncated_group_ends_where_it_was_truncated() {
    let group = ShardGroup { start_time: 0, end_time: 100, truncated_at: Some(40), ..ShardGroup::default() };
    assert_eq!(group.time_range().end, 40);
    assert_eq!(ShardGroup { truncated_at: Some(0), ..group }.time_range().end, 100);
}

#[test]
fn a_cut_metastore_is_an_error_at_every_length() {
    for end in 0..META.len() {
        let fault = Framed::decode(Bytes::from_static(&META[..end])).unwrap_err();
        assert!(fault.is_truncation(), "cut after {end} bytes: {fault}");
    }
}

#[test]
fn what_is_no_metastore_is_an_error() {
    let decode = |bytes: Vec<u8>| Framed::decode(bytes.into()).unwrap_err();
    assert!(matches!(decode([META, b"x"].concat()), Fault::Trailing(1)));
    let mut other = META.to_vec();
    other[7] = 2;
    assert!(matches!(decode(other), Fault::Magic(0x5959_0102)));
    let mut endless = META.to_vec();
    endless[8..16].fill(0xff);
    assert!(decode(endless).is_truncation());
    let mut damaged = META.to_vec();
    damaged[17..40].fill(0xff);
    assert!(matches!(decode(damaged), Fault::Message(_)));
}

#[test]
fn hashes_of_passwords_are_not_shown() {
    let shown = format!("{:?} {:?}", sample(), Framed::decode(Bytes::from_static(META)).unwrap());
    assert!(shown.contains("reader") && !shown.contains("$2a$"), "{shown}");
}

/// The message in the form of the expectation: the names of the wire format, repeated fields shown even when empty.
fn as_json(data: &Data) -> Value {
    fn all<T>(items: &[T], one: impl Fn(&T) -> Value) -> Value {
        items.iter().map(one).collect()
    }
    let node = |n: &Node| json!({"ID": n.id, "Host": n.host, "TCPHost": n.tcp_host});
    let shard = |s: &Shard| json!({"ID": s.id, "OwnerIDs": s.owner_ids, "Owners": all(&s.owners, |o| json!({"NodeID": o.node_id}))});
    let group = |g: &ShardGroup| {
        assert_eq!(g.truncated_at, None);
        json!({"ID": g.id, "StartTime": g.start_time, "EndTime": g.end_time, "DeletedAt": g.deleted_at,
            "Shards": all(&g.shards, shard)})
    };
    let subscription = |s: &Subscription| json!({"Name": s.name, "Mode": s.mode, "Destinations": s.destinations});
    let policy = |p: &Policy| {
        assert_eq!((p.future_write_limit, p.past_write_limit), (None, None));
        json!({"Name": p.name, "Duration": p.duration, "ShardGroupDuration": p.shard_group_duration,
            "ReplicaN": p.replica_n, "ShardGroups": all(&p.shard_groups, group),
            "Subscriptions": all(&p.subscriptions, subscription)})
    };
    let database = |d: &Database| {
        json!({"Name": d.name, "DefaultRetentionPolicy": d.default_policy, "RetentionPolicies": all(&d.policies, policy),
            "ContinuousQueries": all(&d.continuous_queries, |q| json!({"Name": q.name, "Query": q.query}))})
    };
    let privilege = |p: &Privilege| json!({"Database": p.database, "Privilege": p.privilege});
    let user = |u: &User| json!({"Name": u.name, "Hash": u.hash, "Admin": u.admin, "Privileges": all(&u.privileges, privilege)});
    json!({"Term": data.term, "Index": data.index, "ClusterID": data.cluster_id, "Nodes": all(&data.nodes, node),
        "Databases": all(&data.databases, database), "Users": all(&data.users, user), "MaxNodeID": data.max_node_id,
        "MaxShardGroupID": data.max_shard_group_id, "MaxShardID": data.max_shard_id,
        "DataNodes": all(&data.data_nodes, node), "MetaNodes": all(&data.meta_nodes, node)})
}

fn few<T: std::fmt::Debug + Clone>(element: impl Strategy<Value = T>) -> impl Strategy<Value = Vec<T>> {
    prop::collection::vec(element, 0..4)
}

fn any_node() -> impl Strategy<Value = Node> {
    any::<(u64, String, Option<String>)>().prop_map(|(id, host, tcp_host)| Node { id, host, tcp_host })
}

fn any_group() -> impl Strategy<Value = ShardGroup> {
    let shard = (any::<u64>(), few(any::<u64>()), few(any::<u64>())).prop_map(|(id, owner_ids, owners)| Shard {
        id,
        owner_ids,
        owners: owners.into_iter().map(|node_id| ShardOwner { node_id }).collect(),
    });
    (any::<(u64, i64, i64, i64, Option<i64>)>(), few(shard)).prop_map(|(numbers, shards)| {
        let (id, start_time, end_time, deleted_at, truncated_at) = numbers;
        ShardGroup { id, start_time, end_time, deleted_at, shards, truncated_at }
    })
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let subscription = any::<(String, String, Vec<String>)>().prop_map(|(name, mode, destinations)| Subscription {
        name,
        mode,
        destinations,
    });
    let limits = any::<(Option<i64>, Option<i64>)>();
    (any::<(String, i64, i64, u32)>(), few(any_group()), few(subscription), limits).prop_map(
        |((name, duration, shard_group_duration, replica_n), shard_groups, subscriptions, limits)| Policy {
            name,
            duration,
            shard_group_duration,
            replica_n,
            shard_groups,
            subscriptions,
            future_write_limit: limits.0,
            past_write_limit: limits.1,
        },
    )
}

fn any_data() -> impl Strategy<Value = Data> {
    let query = any::<(String, String)>().prop_map(|(name, query)| ContinuousQuery { name, query });
    let database = (any::<(String, String)>(), few(any_policy()), few(query)).prop_map(
        |((name, default_policy), policies, continuous_queries)| Database {
            name,
            default_policy,
            policies,
            continuous_queries,
        },
    );
    let privilege = any::<(String, i32)>().prop_map(|(database, privilege)| Privilege { database, privilege });
    let user = (any::<(String, String, bool)>(), few(privilege)).prop_map(|((name, hash, admin), privileges)| User {
        name,
        hash,
        admin,
        privileges,
    });
    let nodes = (few(any_node()), few(any_node()), few(any_node()));
    (any::<(u64, u64, u64, u64, u64, u64)>(), few(database), few(user), nodes).prop_map(
        |(numbers, databases, users, nodes)| Data {
            term: numbers.0,
            index: numbers.1,
            cluster_id: numbers.2,
            nodes: nodes.0,
            databases,
            users,
            max_node_id: numbers.3,
            max_shard_group_id: numbers.4,
            max_shard_id: numbers.5,
            data_nodes: nodes.1,
            meta_nodes: nodes.2,
        },
    )
}

proptest! {
    #[test]
    fn whatever_is_written_is_read_again(data in any_data()) {
        prop_assert_eq!(&Data::from_meta_db(&data.to_meta_db()).unwrap(), &data);
        prop_assert_eq!(Framed::decode(frame(&data)).unwrap().data, data);
    }

    #[test]
    fn arbitrary_bytes_are_an_error_or_a_metastore(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Data::from_meta_db(&bytes);
        let framed = [&META[..16], &bytes].concat();
        let _ = Framed::decode(framed.into());
    }

    #[test]
    fn a_damaged_metastore_does_not_panic(position in 0..META.len(), byte in any::<u8>()) {
        let mut damaged = META.to_vec();
        damaged[position] = byte;
        let _ = Framed::decode(damaged.into());
    }
}
