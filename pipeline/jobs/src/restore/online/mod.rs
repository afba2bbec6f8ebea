//! A restore over the wire: the target runs all the while, and may be on another machine.
//!
//! Its snapshot service makes a database only where there is none of the name, and says neither why it refuses nor whether
//! it has taken a shard. So the old databases are dropped first, once the whole night lies checked in the spool, and what
//! was sent is asked for afterwards. There is nothing to go back to: from the drop on the target remembers that these
//! databases are a restore's, and has no loaded record, until a run has come to its end. The next run begins anew.
//!
//! With `drop_first` the drop comes earlier, as soon as the store has all objects in their lengths, and each shard is sent as
//! soon as it is downloaded and checked: the spool need not hold the night.

mod claim;
mod import;
mod upload;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures_util::{StreamExt, TryStreamExt};
use influx::metastore::merge::{self, Merged};
use influx::metastore::{Data, User};
use influx::{Influx, quote_identifier};
use store::Store;

use super::Config;
use super::download::Staging;
use super::ours::Ours;
use super::prove;
use super::selection::Selection;
use super::staged::StagedShard;
use super::target::{check_foreign, not_our_record};
use super::way::Exchanged;
use crate::{Error, Event, Kind, Progress, identity, loaded};
use claim::Claim;
use upload::Sending;

/// A night on its way, and all that is about it.
#[derive(Clone, Copy)]
pub(super) struct Night<'a> {
    pub(super) config: &'a Config,
    pub(super) store: &'a Arc<dyn Store>,
    pub(super) selection: &'a Selection,
    /// Where it lies, or passes through.
    pub(super) staging: &'a Staging,
    pub(super) progress: &'a dyn Progress,
}

/// The target as it was found.
#[derive(Debug)]
pub(super) struct Online {
    metastore: Data,
    data_directory: String,
    /// The databases that restores have made there.
    ours: Ours,
}

impl Online {
    /// Asks the target over both of its ports, and whether this night may and can be restored onto it.
    ///
    /// # Errors
    ///
    /// [`Kind::Usage`] when it may or can not.
    pub(super) async fn find(config: &Config, influx: &Influx, selection: &Selection) -> Result<Online, Error> {
        check_files(selection)?;
        influx.ping().await?;
        let wanted = [selection.databases.as_slice(), &[loaded::DATABASE.to_owned()]].concat();
        let metastore = identity::metastore(influx, &wanted, "--target and --target-snapshot-addr").await?.data;
        let data_directory = influx.diagnostics().await?.data_dir.unwrap_or_default();
        let ours = Ours::recall(loaded::memory(influx).await?.as_ref(), &metastore)?;
        // What an earlier version has restored with the server stopped stands in its record alone.
        let recorded = loaded::read(influx).await?.map(|loaded| loaded.databases).unwrap_or_default();
        let ours = recorded.iter().fold(Ours::none(&metastore), |ours, name| ours.with(name, name)).and(&ours);
        let online = Online { ours, metastore, data_directory };
        if online.metastore.database(loaded::DATABASE).is_some() && !loaded::is_ours(influx).await? {
            return Err(not_our_record());
        }
        online.admit(selection, config.first_restore)?;
        Ok(online)
    }

    fn admit(&self, selection: &Selection, first_restore: bool) -> Result<(), Error> {
        let id = &selection.manifest.source.cluster_id;
        if self.metastore.cluster_id.to_string() == *id {
            let message = format!("the target has the cluster id of the backup's source, {id}");
            return Err(Error::new(Kind::Usage, message).hint(
                "--target must name the intermediary, production is never restored onto; a copy of production gets an id of its own from a restore with --mode offline",
            ));
        }
        let is_foreign =
            |name: &&str| self.metastore.database(name).is_some() && !self.ours.has(name, selection.stored_name(name));
        let foreign: Vec<&str> = selection.databases.iter().map(String::as_str).filter(is_foreign).collect();
        check_foreign(&foreign, selection, first_restore)
    }

    /// Drops the old databases, makes the new ones, fills their shards and asks for each of them.
    ///
    /// # Errors
    ///
    /// Once the drop has begun, the error says what the target lacks.
    pub(super) async fn exchange(
        &self,
        night: &Night<'_>,
        influx: &Influx,
        staged: Vec<StagedShard>,
    ) -> Result<Exchanged, Error> {
        let Night { config, selection, progress, .. } = *night;
        let databases = &selection.databases;
        staged.iter().try_for_each(upload::check_files)?;
        let excerpts = excerpts(selection)?;
        progress.report(Event::Step("claiming the target"));
        let ours = self.ours.clone().still_in(&self.metastore).with_selected(selection);
        let claim = config.interrupt.unless(Claim::make(influx, ours, &self.metastore)).await?;
        let replaced = config.interrupt.unless(self.replace(night, influx, &excerpts, staged, &claim));
        let replaced = match replaced.await {
            // Whatever went wrong, another run at work is what the person should know.
            Err(_) if config.interrupt.unless(claim.is_lost(influx)).await.unwrap_or(false) => Err(Claim::lost()),
            replaced => replaced,
        };
        replaced.map_err(|error| {
            let names = databases.join(", ");
            let hint = match error.kind() {
                Kind::Damage => "restore another night, which may be whole: that begins anew, and completes the target",
                _ => "mend the cause, then run the same command again: it begins anew, and completes it",
            };
            // What speaks of the night says that nothing was changed.
            let of_the_night = matches!(error.kind(), Kind::Damage | Kind::Usage);
            let first = error.hint_text().filter(|_| !of_the_night);
            let hint = first.map_or(hint.to_owned(), |first| format!("{first}; {hint}"));
            let message = format!("{error}; until a restore is completed, {names} on the target cannot be relied on");
            let kind = if error.kind() == Kind::Damage { Kind::Damage } else { Kind::Failed };
            Error::new(kind, message).hint(hint)
        })
    }

    async fn replace(
        &self,
        night: &Night<'_>,
        influx: &Influx,
        excerpts: &[(&str, Merged)],
        mut staged: Vec<StagedShard>,
        claim: &Claim,
    ) -> Result<Exchanged, Error> {
        let Night { config, store, selection, staging, progress } = *night;
        progress.report(Event::Step("exchanging the databases"));
        loaded::withdraw_copies(influx, &selection.databases).await?;
        if selection.stored_as.is_none() {
            loaded::withdraw(influx).await?;
        }
        for name in &selection.databases {
            influx.drop_database(name).await?;
        }
        let (mut ids, mut refused) = (BTreeMap::new(), Vec::new());
        for (name, excerpt) in excerpts {
            ids.extend(import::database(influx, name, excerpt).await?);
            refused.extend(grant(influx, &self.metastore.users, name).await);
        }
        let sending = Sending { influx, ids: &ids, progress };
        progress.report(Event::Step("sending the shards"));
        if config.drop_first {
            staged = staging.pass_on(store, selection, config, progress, Some(&sending)).await?;
        } else {
            let shards: Vec<_> = staged.iter().map(|shard| sending.send(shard)).collect();
            let sent = futures_util::stream::iter(shards).buffer_unordered(config.parallel.max(1));
            sent.try_collect::<()>().await?;
        }
        let placed = staged.iter().map(|shard| sending.place(shard)).collect::<Result<Vec<_>, _>>()?;

        progress.report(Event::Step("asking every shard"));
        let cluster_id = self.metastore.cluster_id;
        let proven = prove::all(influx, cluster_id, &selection.databases, &placed, config.parallel).await?;
        upload::check(influx, &staged, &placed).await?;
        claim.check(influx).await?;
        let differences = excerpts.iter().flat_map(|(_, excerpt)| &excerpt.differences).map(ToString::to_string);
        // Each of them says the same of users.
        let differences: BTreeSet<String> = differences.chain(refused).collect();
        Ok(Exchanged {
            proven,
            cluster_id,
            data_directory: self.data_directory.clone(),
            differences: differences.into_iter().collect(),
            ours: None,
            copies: Vec::new(),
            aside: None,
        })
    }
}

/// What the target is sent of the night's metastore, database by database.
fn excerpts(selection: &Selection) -> Result<Vec<(&str, Merged)>, Error> {
    let stored = selection.shard_ids();
    let excerpt = |name: &String| merge::excerpt(&selection.metastore, name, &stored);
    let failed =
        |error| Error::new(Kind::Failed, format!("cannot take a database out of the night's metastore: {error}"));
    selection.databases.iter().map(|name| Ok((name.as_str(), excerpt(name).map_err(failed)?))).collect()
}

/// Gives the target's own users again what the drop of a database has taken from them. What does not succeed is told; the
/// night is whole without it.
async fn grant(influx: &Influx, users: &[User], database: &str) -> Vec<String> {
    let mut refused = Vec::new();
    for user in users {
        for grant in user.privileges.iter().filter(|grant| grant.database == database) {
            let Some(privilege) = grant.name() else { continue };
            let (on, to) = (quote_identifier(database), quote_identifier(&user.name));
            if let Err(error) = influx.statement(None, &format!("GRANT {privilege} ON {on} TO {to}")).await {
                refused.push(format!("{} has no {privilege} on {database} any more: {error}", user.name));
            }
        }
    }
    refused
}

/// That the snapshot service takes all files of the night.
///
/// # Errors
///
/// [`Kind::Usage`] for a shard with a tombstone, which the service would leave out in silence.
fn check_files(selection: &Selection) -> Result<(), Error> {
    selection.shards.iter().try_for_each(|(_, shard)| {
        let names = shard.files.iter().map(|file| file.name.as_str());
        check_names(names, &shard.database, &shard.retention_policy, shard.shard_id)
    })
}

fn check_names<'a>(
    names: impl IntoIterator<Item = &'a str>,
    database: &str,
    policy: &str,
    shard: u64,
) -> Result<(), Error> {
    let Some(name) = names.into_iter().find(|name| !name.ends_with(".tsm")) else { return Ok(()) };
    let what = match name.ends_with(".tombstone") {
        true => "has deleted points, which would come back".to_owned(),
        false => format!("has a file {name}, which would be left out"),
    };
    let message = format!("the night cannot be restored over the wire: shard {shard} of {database}.{policy} {what}");
    Err(Error::new(Kind::Usage, message)
        .hint("nothing was changed; run it on the machine of the target with --mode offline"))
}
