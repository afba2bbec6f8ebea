//! What a restore over the wire leaves on the target before it drops anything: whose databases these are, and which run is
//! at work.

use std::time::Duration;

use influx::metastore::Data;
use influx::{Influx, quote_identifier};

use tokio::time::timeout;

use super::super::ours::Ours;
use crate::loaded::{self, DATABASE, Memory};
use crate::{Error, Kind};

/// How the policies are named that tell whether two addresses lead to one server.
const POLICY: &str = "run-";

/// How long a target may think about which run is at work, once something has failed.
const PATIENCE: Duration = Duration::from_secs(5);

/// A target on which a run of ours is at work.
#[derive(Debug)]
pub(super) struct Claim {
    memory: Memory,
}

impl Claim {
    /// Writes down which databases restores make there. The target is found to be one server by both of its addresses, for
    /// what is dropped over one is sent over the other.
    ///
    /// # Errors
    ///
    /// [`Kind::Usage`] when the addresses lead to two servers. The databases are as they were then, and so is the record.
    pub(super) async fn make(influx: &Influx, ours: Ours, metastore: &Data) -> Result<Claim, Error> {
        let run = format!("{:016x}", rand::random::<u64>());
        let memory = ours.with(DATABASE, DATABASE).memory(&run)?;
        influx.create_database(DATABASE).await?;
        one_server(influx, &run, metastore).await?;
        loaded::remember(influx, &memory).await?;
        Ok(Claim { memory })
    }

    /// That no other run has begun since.
    ///
    /// # Errors
    ///
    /// When one has: what it sends is mixed with ours.
    pub(super) async fn check(&self, influx: &Influx) -> Result<(), Error> {
        if loaded::memory(influx).await?.as_ref() == Some(&self.memory) {
            return Ok(());
        }
        Err(Claim::lost())
    }

    /// Whether another run has begun since. A target that does not answer soon cannot tell.
    ///
    /// # Errors
    ///
    /// When the target does not tell.
    pub(super) async fn is_lost(&self, influx: &Influx) -> Result<bool, Error> {
        match timeout(PATIENCE, loaded::memory(influx)).await {
            Ok(memory) => Ok(memory?.is_some_and(|memory| memory != self.memory)),
            Err(_) => Ok(false),
        }
    }

    /// The error that another run has begun.
    pub(super) fn lost() -> Error {
        Error::new(Kind::Failed, "another restore has begun on the target meanwhile")
            .hint("see to it that one machine restores at a time")
    }
}

/// That what is made over HTTP appears in the metastore of the snapshot service: a retention policy of a name that nothing
/// else has, in our own database.
async fn one_server(influx: &Influx, run: &str, metastore: &Data) -> Result<(), Error> {
    let (name, database) = (format!("{POLICY}{run}"), quote_identifier(DATABASE));
    let make = format!("CREATE RETENTION POLICY {} ON {database} DURATION INF REPLICATION 1", quote_identifier(&name));
    influx.statement(None, &make).await?;
    let served = influx.snapshot().metastore().await;
    // Those of runs that were killed here go as well.
    let made = influx.retention_policies(DATABASE).await?.into_iter().map(|policy| policy.name);
    for policy in made.filter(|policy| policy.starts_with(POLICY)) {
        influx.statement(None, &format!("DROP RETENTION POLICY {} ON {database}", quote_identifier(&policy))).await?;
    }
    let served = served?.data;
    let there = served.database(DATABASE).is_some_and(|found| found.policy(&name).is_some());
    if there && served.cluster_id == metastore.cluster_id {
        return Ok(());
    }
    let (url, address) = (influx.url(), influx.snapshot_address());
    let message = format!("{url} and the snapshot service at {address} are not one server");
    Err(Error::new(Kind::Usage, message).hint("--target and --target-snapshot-addr must name the same InfluxDB"))
}
