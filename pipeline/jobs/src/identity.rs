//! Whether the two addresses of an InfluxDB lead to one server.
//!
//! Shards come from the snapshot service and everything else from HTTP, and nothing in either protocol names the server.
//! An address that was forgotten when the other one was changed would back up, or drop, what is on another server than
//! the one that is named. So what both tell must agree: the databases, the policies of the wanted ones, and their shards.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use influx::Influx;
use influx::metastore::{Data, Framed};

use crate::{Error, Kind};

/// Databases, policies and shards come and go between two questions, but not every time.
const TRIES: u32 = 3;

/// What a server tells of itself in both ways.
#[derive(Debug, Default, PartialEq, Eq)]
struct View {
    databases: BTreeSet<String>,
    /// Duration by database and policy, as the server writes it.
    policies: BTreeMap<(String, String), String>,
    shards: BTreeSet<u64>,
}

/// Gives the metastore, once both addresses tell the same; `flags` are those that name them.
pub(crate) async fn metastore(influx: &Influx, wanted: &[String], flags: &str) -> Result<Framed, Error> {
    let mut difference = String::new();
    for _ in 0..TRIES {
        let over_http = View::over_http(influx, wanted).await?;
        let metastore = influx.snapshot().metastore().await?;
        let over_snapshots = View::over_snapshots(influx, &metastore.data, wanted).await?;
        match over_http.difference(&over_snapshots) {
            None => return Ok(metastore),
            Some(found) => difference = found,
        }
    }
    let (url, address) = (influx.url(), influx.snapshot_address());
    Err(Error::new(
        Kind::Usage,
        format!("{url} and the snapshot service at {address} are not one server: {difference}"),
    )
    .hint(format!("{flags} must name the same InfluxDB")))
}

impl View {
    async fn over_http(influx: &Influx, wanted: &[String]) -> Result<View, Error> {
        let mut view = View { databases: influx.databases().await?.into_iter().collect(), ..View::default() };
        for database in wanted.iter().filter(|name| view.databases.contains(*name)) {
            for policy in influx.retention_policies(database).await? {
                view.policies.insert((database.clone(), policy.name), policy.duration);
            }
        }
        let shards = influx.shard_statistics().await?;
        let shards = shards.into_iter().filter(|(_, shard)| wanted.contains(&shard.database));
        view.shards = shards.map(|(id, _)| id).collect();
        Ok(view)
    }

    async fn over_snapshots(influx: &Influx, metastore: &Data, wanted: &[String]) -> Result<View, Error> {
        let mut view = View::default();
        for database in &metastore.databases {
            view.databases.insert(database.name.clone());
            if !wanted.contains(&database.name) {
                continue;
            }
            for policy in &database.policies {
                view.policies.insert((database.name.clone(), policy.name.clone()), duration(policy.duration));
            }
            match influx.snapshot().shards(&database.name).await {
                Ok(listed) => view.shards.extend(listed.into_iter().map(|shard| shard.id)),
                Err(influx::Error::UnknownDatabase { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(view)
    }

    /// The first thing in which two views differ, told by the names that only one of them has.
    fn difference(&self, snapshots: &View) -> Option<String> {
        let named = |policies: &BTreeMap<(String, String), String>| -> BTreeSet<String> {
            policies.iter().map(|((database, policy), duration)| format!("{database}.{policy} ({duration})")).collect()
        };
        let ids = |shards: &BTreeSet<u64>| shards.iter().map(u64::to_string).collect();
        [
            ("databases", self.databases.clone(), snapshots.databases.clone()),
            ("policies", named(&self.policies), named(&snapshots.policies)),
            ("shards", ids(&self.shards), ids(&snapshots.shards)),
        ]
        .into_iter()
        .find(|(_, one, other)| one != other)
        .map(|(what, one, other)| {
            let only = |some: &BTreeSet<String>, others: &BTreeSet<String>| {
                let names: Vec<&str> = some.difference(others).take(5).map(String::as_str).collect();
                if names.is_empty() { "none".to_owned() } else { names.join(", ") }
            };
            format!("{what} that only the first has: {}; only the second: {}", only(&one, &other), only(&other, &one))
        })
    }
}

/// Nanoseconds as Go writes a duration: `168h0m0s`, `1h30m0s`, `0s`. Policies have whole seconds.
fn duration(nanoseconds: i64) -> String {
    let seconds = nanoseconds / 1_000_000_000;
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let mut text = String::new();
    if hours > 0 {
        // Writing to a string cannot fail.
        let _ = write!(text, "{hours}h");
    }
    if hours > 0 || minutes > 0 {
        let _ = write!(text, "{minutes}m");
    }
    text + &format!("{}s", seconds % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_the_server_writes_them() {
        for (seconds, text) in
            [(0, "0s"), (3600, "1h0m0s"), (604_800, "168h0m0s"), (5400, "1h30m0s"), (3661, "1h1m1s"), (90, "1m30s")]
        {
            assert_eq!(duration(seconds * 1_000_000_000), text);
        }
    }
}
