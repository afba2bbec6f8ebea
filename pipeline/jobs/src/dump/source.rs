//! Where the records of a dump are read: in an InfluxDB that holds them, or in the stored shards of a night.

use influx::Influx;

use super::rest::Rest;
use super::schema::{self, Origin, Schema};
use super::spans;
use super::task::Task;
use crate::Error;

/// Where a dump is to be read.
#[derive(Debug, Clone)]
pub enum Reading {
    /// An InfluxDB: an intermediary in which a night was restored, or any one where there is no archive.
    Influx(Box<Influx>),
    /// The shards of the night as they lie in the archive.
    Backup,
}

/// The same, once the night is known.
#[derive(Debug, Clone)]
pub(super) enum Source {
    Live(Box<Influx>),
    Rest(Rest),
}

impl Source {
    /// The server, if there is one.
    pub(super) fn live(&self) -> Option<&Influx> {
        match self {
            Source::Live(influx) => Some(influx),
            Source::Rest(_) => None,
        }
    }

    /// The policies of a database, and which of them is the default one.
    pub(super) async fn policies(&self, database: &str) -> Result<Vec<(String, bool)>, Error> {
        Ok(match self {
            Source::Live(influx) => {
                let policies = influx.retention_policies(database).await?;
                policies.into_iter().map(|policy| (policy.name, policy.default)).collect()
            }
            Source::Rest(rest) => rest.policies(database),
        })
    }

    /// All measurements of a policy, in byte order.
    pub(super) async fn in_policy(&self, database: &str, policy: &str) -> Result<Vec<String>, Error> {
        match self {
            Source::Live(influx) => schema::in_policy(influx, database, policy).await,
            Source::Rest(rest) => Ok(rest.measurements(database, Some(policy))),
        }
    }

    /// Some measurements of a database.
    pub(super) async fn measurements(&self, database: &str, limit: usize) -> Result<Vec<String>, Error> {
        match self {
            Source::Live(influx) => schema::measurements(influx, database, limit).await,
            Source::Rest(rest) => Ok(rest.measurements(database, None).into_iter().take(limit).collect()),
        }
    }

    /// The other policies among `policies` that have the measurement.
    pub(super) async fn elsewhere(&self, origin: &Origin, policies: &[String]) -> Result<Vec<String>, Error> {
        match self {
            Source::Live(influx) => schema::elsewhere(influx, origin, policies).await,
            Source::Rest(rest) => {
                let others = policies.iter().filter(|policy| **policy != origin.policy);
                let has =
                    |policy: &&String| rest.measurements(&origin.database, Some(policy)).contains(&origin.measurement);
                Ok(others.filter(has).cloned().collect())
            }
        }
    }

    /// What the measurement consists of; `None` when its policy has no such measurement.
    pub(super) async fn schema(&self, task: &Task) -> Result<Option<Schema>, Error> {
        match self {
            Source::Live(influx) => schema::read(influx, &task.origin).await,
            Source::Rest(rest) => rest.schema(&task.origin, task.window, task.span).await,
        }
    }

    /// Where the window must be cut so that a field has one type in each part, both ends included.
    pub(super) async fn cuts(&self, task: &Task, schema: &Schema) -> Result<Vec<i64>, Error> {
        match self {
            // Without a field there is nothing that a query could select.
            _ if schema.columns.fields().is_empty() => Ok(Vec::new()),
            Source::Live(influx) => spans::cuts(influx, &task.origin, task.span, &schema.mixed).await,
            // Files tell the type of every value.
            Source::Rest(_) => Ok(task.span.to_vec()),
        }
    }
}
