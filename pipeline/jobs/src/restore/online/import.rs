//! Has the target make a database with empty shards.

use std::collections::BTreeMap;

use influx::Influx;
use influx::metastore::merge::Merged;

use crate::{Error, Kind};

/// How often a metastore is sent that an old server may not have read to its end.
const TIMES: u32 = 3;

/// Makes the database, and tells the id on the target of each shard. The server's answer does not tell a refusal from a
/// database without shards, so the metastore is asked.
///
/// # Errors
///
/// When the database is not there afterwards, or not with these shards.
pub(super) async fn database(influx: &Influx, name: &str, excerpt: &Merged) -> Result<BTreeMap<u64, u64>, Error> {
    let mut refusal = None;
    for time in 0..TIMES {
        let answer = influx.snapshot().import(&excerpt.data, name, time).await;
        let there = influx.snapshot().metastore().await?.data.database(name).is_some();
        match answer {
            Ok(ids) if there && excerpt.shards.values().all(|id| ids.contains_key(id)) => {
                let on_target = |(from, sent): (&u64, &u64)| ids.get(sent).map(|id| (*from, *id));
                return Ok(excerpt.shards.iter().filter_map(on_target).collect());
            }
            Ok(_) if there => {
                let message = format!("the target has a database {name} again, but not with the night's shards");
                return Err(Error::new(Kind::Failed, message)
                    .hint("does something else restore there, or does a client make its database anew? keep it away"));
            }
            Err(error) if there || !error.is_passing() => return Err(error.into()),
            answer => refusal = answer.err(),
        }
    }
    let bytes = excerpt.data.to_meta_db().len();
    let said = refusal.map_or(String::new(), |error| format!(" ({error})"));
    let message = format!("the target does not take the metastore of database {name}, {bytes} bytes{said}");
    Err(Error::new(Kind::Failed, message)
        .hint("the target's log says why (service=snapshot); --mode offline does not need it to"))
}
