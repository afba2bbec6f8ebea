//! An InfluxDB: whether both of its ports answer, are one server, and let us do what the night needs.

use std::time::Duration;

use influx::Influx;

use super::{Check, within};
use crate::backup::counts;
use crate::list::size;
use crate::{Error, identity, lock};

/// What an InfluxDB is to be asked for.
#[derive(Debug)]
pub(super) struct Question<'a> {
    /// What its checks' names begin with: `source` or `target`.
    pub(super) which: &'static str,
    /// The options that name its two addresses.
    pub(super) flags: &'static str,
    /// Whether its snapshot service is needed.
    pub(super) snapshot: bool,
    /// The databases that must be there, all but `_internal` where the list is empty; `None` where none is needed.
    pub(super) databases: Option<&'a [String]>,
}

/// What was found.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) checks: Vec<Check>,
    /// How many bytes each shard of the databases may need.
    pub(super) sizes: Option<Vec<u64>>,
}

/// Asks one InfluxDB for everything.
pub(super) async fn look(question: Question<'_>, influx: &Result<Influx, Error>, patience: Duration) -> Seen {
    let id = |what: &str| format!("{}.{what}", question.which);
    let influx = match influx {
        Ok(influx) => influx,
        Err(error) => return Seen { checks: vec![Check::failed(&id("http"), error)], sizes: None },
    };
    let mut checks = Vec::new();
    let (ping, metastore) =
        tokio::join!(within(patience, "InfluxDB", async { influx.ping().await.map_err(Error::from) }), async {
            if !question.snapshot {
                return None;
            }
            let asked = async { influx.snapshot().metastore().await.map_err(Error::from) };
            Some(within(patience, "the snapshot service", asked).await)
        },);
    let http = ping.is_ok();
    checks.push(match ping {
        Ok(ping) => Check::ok(&id("http"), format!("InfluxDB {} answers at {}", ping.version, influx.url())),
        Err(error) => Check::failed(&id("http"), &error),
    });
    let existing = match http {
        true => Some(within(patience, "InfluxDB", existing(influx)).await),
        false => None,
    };
    checks.push(match &existing {
        None => Check::skipped(&id("privileges"), "its HTTP interface does not answer"),
        Some(Ok(_)) => Check::ok(&id("privileges"), "it answers what only an admin may ask"),
        Some(Err(error)) => Check::failed(&id("privileges"), error),
    });
    let existing = existing.and_then(Result::ok);
    let snapshot = matches!(metastore, Some(Ok(_)));
    checks.extend(metastore.map(|answer| match answer {
        Ok(_) => Check::ok(&id("snapshot"), format!("the snapshot service answers at {}", influx.snapshot_address())),
        Err(error) => Check::failed(&id("snapshot"), &error),
    }));
    let wanted = wanted(&existing, question.databases);
    if question.snapshot {
        checks.push(match (&existing, snapshot) {
            (Some(_), true) => {
                let asked = identity::metastore(influx, &wanted, question.flags);
                match within(patience, "InfluxDB", asked).await {
                    Ok(_) => Check::ok(&id("one_server"), "both addresses lead to one server"),
                    Err(error) => Check::failed(&id("one_server"), &error),
                }
            }
            _ => Check::skipped(&id("one_server"), "one of its two addresses does not answer"),
        });
    }
    let mut sizes = None;
    if let Some(databases) = question.databases {
        let (check, found) = of_databases(&id("databases"), influx, databases, &existing, patience).await;
        checks.push(check);
        sizes = found;
    }
    Seen { checks, sizes }
}

/// The databases, by a user who may ask for them and for the server itself, which is for admins.
async fn existing(influx: &Influx) -> Result<Vec<String>, Error> {
    let existing = influx.databases().await?;
    influx.diagnostics().await?;
    Ok(existing)
}

/// The databases of the night that there are.
fn wanted(existing: &Option<Vec<String>>, databases: Option<&[String]>) -> Vec<String> {
    let (Some(existing), Some(databases)) = (existing, databases) else { return Vec::new() };
    let is_wanted = |name: &String| match databases {
        [] => name != "_internal",
        named => named.contains(name),
    };
    existing.iter().filter(|name| is_wanted(name)).cloned().collect()
}

/// Whether the databases of the night are there, and how much they are.
async fn of_databases(
    id: &str,
    influx: &Influx,
    databases: &[String],
    existing: &Option<Vec<String>>,
    patience: Duration,
) -> (Check, Option<Vec<u64>>) {
    let Some(there) = existing else {
        return (Check::skipped(id, "nobody tells which databases there are"), None);
    };
    let missing: Vec<&str> = databases.iter().filter(|name| !there.contains(name)).map(String::as_str).collect();
    if !missing.is_empty() {
        let message = format!("there is no database {} at {}", missing.join(", "), influx.url());
        return (Check::wrong(id, message, format!("it has: {}", there.join(", "))), None);
    }
    let wanted = wanted(existing, Some(databases));
    if wanted.is_empty() {
        let message = format!("the InfluxDB at {} has no database to back up", influx.url());
        return (Check::wrong(id, message, "check --source; if it is right, there is nothing to lose yet"), None);
    }
    match within(patience, "InfluxDB", counts::sizes(influx, &wanted)).await {
        Ok(sizes) => {
            let sizes: Vec<u64> = sizes.into_values().collect();
            let all = size(sizes.iter().sum());
            let message = format!("{}: {} shards, {all}", wanted.join(", "), sizes.len());
            (Check::ok(id, message), Some(sizes))
        }
        Err(error) => (Check::failed(id, &error), None),
    }
}

/// Whether the intermediary is not the server that is backed up, which a restore would refuse.
pub(super) fn is_other(source: &Result<Influx, Error>, target: &Result<Influx, Error>) -> Option<Check> {
    const ID: &str = "target.other";
    let (Ok(source), Ok(target)) = (source, target) else { return None };
    Some(match lock::target_name(source.url()) == lock::target_name(target.url()) {
        true => Check::wrong(
            ID,
            format!("the intermediary at {} is the InfluxDB that is backed up", target.url()),
            "--target must name another InfluxDB: a restore replaces what it holds",
        ),
        false => Check::ok(ID, "it is another one than the source"),
    })
}
