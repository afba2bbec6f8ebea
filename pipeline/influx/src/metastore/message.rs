//! The messages of the metastore, field by field in the order of their tags, which is the order on the wire.

/// The whole metastore.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Data {
    /// Raft term; 0 in the open-source server.
    #[prost(uint64, required, tag = "1")]
    pub term: u64,
    /// Counter of changes.
    #[prost(uint64, required, tag = "2")]
    pub index: u64,
    /// Random, drawn at the server's first start.
    #[prost(uint64, required, tag = "3")]
    pub cluster_id: u64,
    /// Nodes before 0.10; empty.
    #[prost(message, repeated, tag = "4")]
    pub nodes: Vec<Node>,
    /// Databases in the order of their creation.
    #[prost(message, repeated, tag = "5")]
    pub databases: Vec<Database>,
    /// Users.
    #[prost(message, repeated, tag = "6")]
    pub users: Vec<User>,
    /// Last node id handed out; 0 in the open-source server.
    #[prost(uint64, required, tag = "7")]
    pub max_node_id: u64,
    /// Last shard group id handed out, over all databases.
    #[prost(uint64, required, tag = "8")]
    pub max_shard_group_id: u64,
    /// Last shard id handed out, over all databases.
    #[prost(uint64, required, tag = "9")]
    pub max_shard_id: u64,
    /// Data nodes of an Enterprise cluster.
    #[prost(message, repeated, tag = "10")]
    pub data_nodes: Vec<Node>,
    /// Meta nodes of an Enterprise cluster.
    #[prost(message, repeated, tag = "11")]
    pub meta_nodes: Vec<Node>,
}

/// A node of a cluster.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Node {
    /// Its id.
    #[prost(uint64, required, tag = "1")]
    pub id: u64,
    /// Its HTTP address.
    #[prost(string, required, tag = "2")]
    pub host: String,
    /// Its address for other nodes.
    #[prost(string, optional, tag = "3")]
    pub tcp_host: Option<String>,
}

/// A database.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Database {
    /// Its name: 1 to 255 printable bytes without `/` and `\`.
    #[prost(string, required, tag = "1")]
    pub name: String,
    /// Name of the default retention policy; may be empty.
    #[prost(string, required, tag = "2")]
    pub default_policy: String,
    /// Its retention policies.
    #[prost(message, repeated, tag = "3")]
    pub policies: Vec<Policy>,
    /// Its continuous queries.
    #[prost(message, repeated, tag = "4")]
    pub continuous_queries: Vec<ContinuousQuery>,
}

/// A retention policy.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Policy {
    /// Its name; the one made by itself is `autogen`.
    #[prost(string, required, tag = "1")]
    pub name: String,
    /// How long points are kept, in nanoseconds; 0 is for ever.
    #[prost(int64, required, tag = "2")]
    pub duration: i64,
    /// Span of new shard groups, in nanoseconds.
    #[prost(int64, required, tag = "3")]
    pub shard_group_duration: i64,
    /// Copies in a cluster; 1 in the open-source server.
    #[prost(uint32, required, tag = "4")]
    pub replica_n: u32,
    /// Its shard groups, by end, then by start.
    #[prost(message, repeated, tag = "5")]
    pub shard_groups: Vec<ShardGroup>,
    /// Its subscriptions.
    #[prost(message, repeated, tag = "6")]
    pub subscriptions: Vec<Subscription>,
    /// How far ahead of the clock points may lie, in nanoseconds (1.12).
    #[prost(int64, optional, tag = "7")]
    pub future_write_limit: Option<i64>,
    /// How far behind the clock points may lie, in nanoseconds (1.12).
    #[prost(int64, optional, tag = "8")]
    pub past_write_limit: Option<i64>,
}

/// A span of time and the shards that hold its points.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ShardGroup {
    /// Its id, unique on the server.
    #[prost(uint64, required, tag = "1")]
    pub id: u64,
    /// First time, nanoseconds since 1970. See [`ShardGroup::time_range`].
    #[prost(int64, required, tag = "2")]
    pub start_time: i64,
    /// One past the last time, nanoseconds since 1970.
    #[prost(int64, required, tag = "3")]
    pub end_time: i64,
    /// When the group was marked as deleted, nanoseconds since 1970; 0 if it is not.
    #[prost(int64, required, tag = "4")]
    pub deleted_at: i64,
    /// Its shards: one in the open-source server; none after `DROP SHARD`.
    #[prost(message, repeated, tag = "5")]
    pub shards: Vec<Shard>,
    /// Since when the group takes no more points (Enterprise); absent or 0 if it does.
    #[prost(int64, optional, tag = "6")]
    pub truncated_at: Option<i64>,
}

/// A shard.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Shard {
    /// Its id, unique on the server; the name of its folder.
    #[prost(uint64, required, tag = "1")]
    pub id: u64,
    /// Owners as they were once written.
    #[prost(uint64, repeated, packed = "false", tag = "2")]
    pub owner_ids: Vec<u64>,
    /// Nodes that hold it; empty in the open-source server.
    #[prost(message, repeated, tag = "3")]
    pub owners: Vec<ShardOwner>,
}

/// A node that holds a shard.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct ShardOwner {
    /// Id of the node.
    #[prost(uint64, required, tag = "1")]
    pub node_id: u64,
}

/// Where points written to a policy are forwarded to.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Subscription {
    /// Its name.
    #[prost(string, required, tag = "1")]
    pub name: String,
    /// `ALL` or `ANY`.
    #[prost(string, required, tag = "2")]
    pub mode: String,
    /// Addresses.
    #[prost(string, repeated, tag = "3")]
    pub destinations: Vec<String>,
}

/// A continuous query.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct ContinuousQuery {
    /// Its name.
    #[prost(string, required, tag = "1")]
    pub name: String,
    /// Its text, from `CREATE CONTINUOUS QUERY` to `END`.
    #[prost(string, required, tag = "2")]
    pub query: String,
}

/// A user. The hash is no matter for logs.
#[derive(Clone, PartialEq, Eq, prost::Message)]
#[prost(skip_debug)]
pub struct User {
    /// Its name.
    #[prost(string, required, tag = "1")]
    pub name: String,
    /// bcrypt hash of the password.
    #[prost(string, required, tag = "2")]
    pub hash: String,
    /// Whether it may do everything.
    #[prost(bool, required, tag = "3")]
    pub admin: bool,
    /// What else it may do, in no order.
    #[prost(message, repeated, tag = "4")]
    pub privileges: Vec<Privilege>,
}

impl std::fmt::Debug for User {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("User")
            .field("name", &self.name)
            .field("admin", &self.admin)
            .field("privileges", &self.privileges)
            .finish_non_exhaustive()
    }
}

/// What a user may do with a database.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Privilege {
    /// The database.
    #[prost(string, required, tag = "1")]
    pub database: String,
    /// 0 nothing, 1 read, 2 write, 3 all.
    #[prost(int32, required, tag = "2")]
    pub privilege: i32,
}

impl Privilege {
    /// As InfluxQL calls it; `None` for nothing.
    #[must_use]
    pub fn name(&self) -> Option<&'static str> {
        match self.privilege {
            1 => Some("READ"),
            2 => Some("WRITE"),
            3 => Some("ALL"),
            _ => None,
        }
    }
}
