//! The two ways by which a night gets into its place: the target's files, exchanged while it is stopped, or its own snapshot
//! service, which takes them while it runs.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use influx::Influx;
use store::Store;

use super::aside::{self, Aside};
use super::download::{self, Staging};
use super::online::{Night, Online};
use super::ours::Ours;
use super::prove::Proven;
use super::recovery::Expiring;
use super::selection::Selection;
use super::server::Server;
use super::staged::StagedShard;
use super::swap::Swap;
use super::target::Target;
use super::{Config, files};
use crate::loaded::{self, Copied, LoadedNight};
use crate::{Error, Event, Kind, Progress};

/// Which way a restore takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// On the target's machine, which is stopped and started.
    Offline,
    /// From anywhere, while the target runs.
    Online,
}

/// A target that may be restored onto, and how.
#[derive(Debug)]
pub(super) enum Way {
    /// By its files.
    Offline {
        target: Box<Target>,
        /// The id that it must get, if any.
        new_cluster_id: Option<u64>,
        /// Shards that cannot be asked for.
        expiring: Expiring,
    },
    /// By its snapshot service.
    Online(Box<Online>),
}

/// A new state that stands.
#[derive(Debug)]
pub(super) struct Exchanged {
    /// How the server answered.
    pub(super) proven: Proven,
    /// The target's cluster id.
    pub(super) cluster_id: u64,
    /// Its data directory.
    pub(super) data_directory: String,
    /// What is not as it was on the source.
    pub(super) differences: Vec<String>,
    /// The databases there that restores have made, if the target does not know of them yet.
    pub(super) ours: Option<Ours>,
    /// The target's records of copies, which went with the database that they stood in.
    pub(super) copies: Vec<Copied>,
    /// What was set aside.
    pub(super) aside: Option<Aside>,
}

impl Way {
    /// Looks at the target, and whether it may be restored onto.
    ///
    /// # Errors
    ///
    /// [`Kind::Usage`] when it may not, or this night not in this way.
    pub(super) async fn find(
        config: &Config,
        influx: &Influx,
        selection: &Selection,
        now: DateTime<Utc>,
    ) -> Result<Way, Error> {
        match config.mode {
            Mode::Online => {
                let online = Online::find(config, influx, selection).await?;
                Ok(Way::Online(Box::new(online)))
            }
            Mode::Offline => {
                let target = Box::new(Target::find(config, influx).await?);
                let (new_cluster_id, expiring) = match config.recovery {
                    Some(recovery) => (target.admit_recovery(selection)?, recovery.expiring(selection, now)?),
                    None => (target.admit(selection, config.first_restore)?, Expiring::default()),
                };
                Ok(Way::Offline { target, new_cluster_id, expiring })
            }
        }
    }

    /// Downloads the night and checks it, unless an earlier recovery has put it in place already, or it is to be passed on
    /// shard by shard. The folder in which it
    /// lies is gone when it is dropped.
    ///
    /// # Errors
    ///
    /// When there is no room for it, or it does not come whole.
    pub(super) async fn fetch(
        &self,
        config: &Config,
        store: &Arc<dyn Store>,
        selection: &Selection,
        progress: &dyn Progress,
    ) -> Result<(Staging, Vec<StagedShard>), Error> {
        if let Way::Offline { target, .. } = self
            && config.recovery.is_some()
            && aside::is_in_place(&target.paths, selection)?
        {
            return Ok((Staging::unused(target), Vec::new()));
        }
        if let (Way::Online(_), true) = (self, config.drop_first) {
            progress.report(Event::Step("looking whether the night is there"));
            config.interrupt.unless(download::check_there(store.as_ref(), selection, config.parallel)).await?;
            return Ok((Staging::in_spool(config, selection).await?, Vec::new()));
        }
        progress.report(Event::Step("downloading and checking"));
        let staging = match self {
            Way::Offline { target, .. } => Staging::open(config, target, selection).await?,
            Way::Online(_) => Staging::in_spool(config, selection).await?,
        };
        let shards = staging.fill(store, selection, config, progress).await?;
        Ok((staging, shards))
    }

    /// Puts what lies there in the place of the target's databases, and has the target prove it.
    ///
    /// # Errors
    ///
    /// The error says what the target holds then.
    pub(super) async fn exchange(
        &self,
        config: &Config,
        store: &Arc<dyn Store>,
        influx: &Influx,
        selection: &Selection,
        (staging, staged): (&Staging, Vec<StagedShard>),
        progress: &dyn Progress,
    ) -> Result<Exchanged, Error> {
        match self {
            Way::Online(online) => {
                let night = Night { config, store, selection, staging, progress };
                online.exchange(&night, influx, staged).await
            }
            Way::Offline { target, new_cluster_id, expiring } => {
                let server = Server::new(config, influx, target);
                let mut swap = Swap::new(config, target, selection, *new_cluster_id, expiring.clone(), progress);
                let replaced: Vec<&Copied> = match selection.stored_as {
                    Some(_) => target.copies.iter().filter(|copy| selection.databases.contains(&copy.name)).collect(),
                    // The records go and come with their database.
                    None => Vec::new(),
                };
                if !replaced.is_empty() {
                    loaded::withdraw_copies(influx, &selection.databases).await?;
                }
                match swap.forward(&server, staged).await {
                    Ok(mut exchanged) => {
                        exchanged.copies = target.copies.clone();
                        Ok(exchanged)
                    }
                    Err(error) => {
                        let error = swap.back(&server, error).await;
                        for copy in replaced {
                            // Else a dump of it wants a restore first, which is no loss.
                            let _ = loaded::write_copy(influx, copy).await;
                        }
                        Err(error)
                    }
                }
            }
        }
    }
}

/// Has the target remember what it holds now: which night, or a copy beside it; `ours` and `copies` went with the old records.
///
/// # Errors
///
/// When it does not take that.
pub(super) async fn write_records(
    influx: &Influx,
    selection: &Selection,
    ours: Option<Ours>,
    copies: &[Copied],
    now: DateTime<Utc>,
) -> Result<(), Error> {
    let (container, manifest_sha256) = (selection.manifest.container.clone(), selection.manifest_sha256.clone());
    let databases = selection.databases.clone();
    if let Some(stored) = &selection.stored_as {
        for name in databases {
            let (container, manifest_sha256) = (container.clone(), manifest_sha256.clone());
            loaded::write_copy(influx, &Copied { name, stored: stored.clone(), container, manifest_sha256 }).await?;
        }
    } else {
        loaded::write(influx, &LoadedNight { container, manifest_sha256, databases }, now).await?;
        for copy in copies.iter().filter(|copy| !selection.databases.contains(&copy.name)) {
            loaded::write_copy(influx, copy).await?;
        }
    }
    match ours {
        Some(ours) => loaded::remember(influx, &ours.memory("")?).await,
        None => Ok(()),
    }
}

/// That what is asked for goes together.
///
/// # Errors
///
/// [`Kind::Usage`] when it does not.
pub(super) fn check(config: &Config) -> Result<(), Error> {
    if config.mode == Mode::Online && config.recovery.is_some() {
        let message = "a disaster recovery cannot be made over the wire, which carries neither users nor passwords";
        return Err(Error::new(Kind::Usage, message)
            .hint("run it with --mode offline, on the machine of the InfluxDB that is to become production"));
    }
    if config.new_database.is_some() && config.recovery.is_some() {
        return Err(Error::new(Kind::Usage, "a disaster recovery brings databases back under their own names")
            .hint("leave out --disaster-recovery, or --new-database"));
    }
    Ok(())
}

/// The new state stands: removes what was set aside.
///
/// # Errors
///
/// When the disk does not let it go.
pub(super) async fn discard(aside: Option<Aside>) -> Result<(), Error> {
    match aside {
        Some(aside) => files::blocking(move || aside.discard()).await,
        None => Ok(()),
    }
}
