//! Asks the server for what was restored: the metastore, every shard, and a known point of each.

use std::collections::BTreeSet;
use std::future::Future;
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt};
use influx::Influx;
use influx::snapshot::ShardPath;
use tokio::time::sleep;

use super::place::Placed;
use crate::{Error, Kind};

/// How often a question is asked that the server cannot answer at the moment, as when it has just started.
const TRIES: u32 = 10;

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(500);

/// The server as it answered.
#[derive(Debug)]
pub(super) struct Proven {
    /// Its own host name.
    pub(super) host: Option<String>,
    /// Its version.
    pub(super) version: String,
}

/// Asks for everything that was placed; queries run `parallel` at once.
///
/// # Errors
///
/// When another server answers, a database or shard is missing, or a point is.
pub(super) async fn all(
    influx: &Influx,
    cluster_id: u64,
    databases: &[String],
    placed: &[Placed],
    parallel: usize,
) -> Result<Proven, Error> {
    let version = patiently(|| influx.ping()).await?.version.to_string();
    let served = patiently(|| influx.snapshot().metastore()).await?.data;
    if served.cluster_id != cluster_id {
        let message = format!("another server answers at {}: its cluster id is {}", influx.url(), served.cluster_id);
        return Err(Error::new(Kind::Failed, message).hint("does the start command start the right one?"));
    }
    for database in databases {
        let listed = patiently(|| influx.snapshot().shards(database)).await?;
        let open: BTreeSet<(&str, u64)> =
            listed.iter().map(|ShardPath { policy, id, .. }| (policy.as_str(), *id)).collect();
        for shard in placed.iter().filter(|shard| shard.database == *database) {
            if !open.contains(&(shard.policy.as_str(), shard.id)) {
                return Err(missing(shard, "the server does not open it"));
            }
        }
    }
    futures_util::stream::iter(placed.iter().map(|shard| witness(influx, shard)).collect::<Vec<_>>())
        .buffer_unordered(parallel.max(1))
        .try_collect::<()>()
        .await?;
    let host = patiently(|| influx.diagnostics()).await?.hostname;
    Ok(Proven { host, version })
}

/// Asks for one point; for another one if the server does not understand the question, which proves nothing.
async fn witness(influx: &Influx, shard: &Placed) -> Result<(), Error> {
    for witness in &shard.witnesses {
        let query = witness.query(&shard.database, &shard.policy);
        match patiently(|| influx.statement(Some(&shard.database), &query)).await {
            Err(error @ influx::Error::Query { passing: false, .. }) => {
                tracing::debug!("{error}; asking for another point");
            }
            Err(error) => return Err(error.into()),
            Ok(answer) if answer.iter().any(|series| !series.values.is_empty()) => return Ok(()),
            Ok(_) if witness.certain => {
                let reason = format!("the server does not find a point that is in its files ({query})");
                return Err(missing(shard, &reason));
            }
            Ok(_) => {}
        }
    }
    Ok(())
}

fn missing(shard: &Placed, reason: &str) -> Error {
    let Placed { database, policy, id, .. } = shard;
    Error::new(Kind::Failed, format!("shard {id} of {database}.{policy} is not there: {reason}"))
        .hint("the server's log says why")
}

async fn patiently<T, F>(mut ask: impl FnMut() -> F) -> Result<T, influx::Error>
where
    F: Future<Output = Result<T, influx::Error>>,
{
    for _ in 1..TRIES {
        match ask().await {
            Err(error) if error.is_passing() => {
                tracing::debug!("{error}; asking again");
                sleep(PAUSE).await;
            }
            other => return other,
        }
    }
    ask().await
}
