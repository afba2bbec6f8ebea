//! The night's shards on their way from the store to the target's disk: unpacked as they come, and checked before
//! anything else happens.
//!
//! They are staged on the file system of the data directory, so that a rename puts them in place and each byte is
//! written once. InfluxDB, should it be started meanwhile, takes a directory in its data directory for a database
//! and numbers two levels below it for shards; there are none where the staging lies.

use std::cmp::Reverse;
use std::future::Future;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use archive::manifest::{ShardRecord, StoredObject};
use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt};
use store::{Download, Store, StoreExt};
use tokio_util::sync::CancellationToken;

use super::directories::Paths;
use super::files::{self, Owner};
use super::selection::{Selection, damaged};
use super::staged::{StagedShard, unpack};
use super::target::Target;
use super::{Config, aside};
use crate::looks::{self, Look};
use crate::spool::room;
use crate::{Error, Event, Kind, Progress, Spool, batches};

/// What helps where the old databases and the new ones do not fit together.
const DROP_FIRST: &str =
    "free space there; with --drop-first, and --spool on another disk, the old databases go before the new ones come";

/// Room beyond the files themselves, in bytes: for the indexes that the server builds, and for its work.
const SPARE_BYTES: u64 = 64 << 20;

/// What becomes of a shard as soon as it is checked.
#[async_trait]
pub(super) trait Next: Send + Sync {
    /// Takes it on, and hands it back.
    async fn take(&self, shard: StagedShard) -> Result<StagedShard, Error>;
}

/// The folder of what is downloaded; gone when dropped.
#[derive(Debug)]
pub(super) struct Staging {
    folder: PathBuf,
    /// The target's directories, where it is restored by its files.
    paths: Option<Paths>,
    owner: Owner,
    /// Held when the staging is in the spool.
    _spool: Option<Spool>,
}

impl Staging {
    /// Makes the folder, if there is room.
    ///
    /// It lies in the data directory. With `drop_first` it lies in the spool, if that is another disk: then the data
    /// directory never holds the old and the new at once.
    ///
    /// # Errors
    ///
    /// When there is no room for the night.
    pub(super) async fn open(config: &Config, target: &Target, selection: &Selection) -> Result<Staging, Error> {
        let (paths, owner, needed) = (target.paths.clone(), target.owner, selection.bytes.saturating_add(SPARE_BYTES));
        let (databases, drop_first) = (selection.databases.clone(), config.drop_first);
        let (spool, limit, bytes) = (config.place.spool.clone(), config.place.spool_size, selection.bytes);
        files::blocking(move || {
            aside::remove_staged(&paths)?;
            let mut spool = drop_first.then(|| Spool::open(&spool)).transpose()?;
            if let Some(other) = &spool
                && device(other.path())? != device(&paths.data)?
            {
                allowed(bytes, limit)?;
                room(other.path(), needed, 0, "free space there, or name a larger folder with --spool")?;
                let mut dropped = 0;
                for name in &databases {
                    dropped += files::bytes_below(&paths.data.join(name))?;
                }
                room(&paths.data, needed, dropped, "free space there")?;
                let folder = other.path().to_owned();
                return Ok(Staging { folder, paths: Some(paths), owner, _spool: spool.take() });
            }
            room(&paths.data, needed, 0, DROP_FIRST)?;
            let folder = aside::make_staged(&paths, owner)?;
            Ok(Staging { folder, paths: Some(paths), owner, _spool: None })
        })
        .await
    }

    /// Makes the folder in the spool alone, if there is room: the shards are on their way to a server elsewhere. With
    /// `drop_first` only those lie there that are on their way at once.
    ///
    /// # Errors
    ///
    /// When there is no room for them.
    pub(super) async fn in_spool(config: &Config, selection: &Selection) -> Result<Staging, Error> {
        let at_once = if config.drop_first { config.parallel.max(1) } else { usize::MAX };
        // The largest come first.
        let bytes: u64 = selection.shards.iter().take(at_once).map(|(object, _)| object.bytes).sum();
        let (spool, needed) = (config.place.spool.clone(), bytes.saturating_add(SPARE_BYTES));
        allowed(bytes, config.place.spool_size)?;
        let hint = match config.drop_first {
            true => "free space there, name a larger folder with --spool, or lower --jobs",
            false => {
                "free space there, or name a larger folder with --spool; with --drop-first it need not hold the night"
            }
        };
        files::blocking(move || {
            let spool = Spool::open(&spool)?;
            let folder = spool.path().to_owned();
            room(&folder, needed, 0, hint)?;
            let owner = Owner::of(&folder)?;
            Ok(Staging { folder, paths: None, owner, _spool: Some(spool) })
        })
        .await
    }

    /// One into which nothing comes; what an earlier run has left goes with it all the same.
    pub(super) fn unused(target: &Target) -> Staging {
        Staging { folder: PathBuf::new(), paths: Some(target.paths.clone()), owner: target.owner, _spool: None }
    }

    /// Downloads and checks the shards, so many at once as configured.
    ///
    /// # Errors
    ///
    /// [`Kind::Damage`] when one is not what the manifest says; also when it is asked to end.
    pub(super) async fn fill(
        &self,
        store: &Arc<dyn Store>,
        selection: &Selection,
        config: &Config,
        progress: &dyn Progress,
    ) -> Result<Vec<StagedShard>, Error> {
        self.pass_on(store, selection, config, progress, None).await
    }

    /// The same, where each shard is passed on as soon as it is checked.
    ///
    /// # Errors
    ///
    /// As [`Staging::fill`], and when one cannot be passed on.
    pub(super) async fn pass_on(
        &self,
        store: &Arc<dyn Store>,
        selection: &Selection,
        config: &Config,
        progress: &dyn Progress,
        next: Option<&dyn Next>,
    ) -> Result<Vec<StagedShard>, Error> {
        progress.report(Event::Planned { objects: selection.shards.len() as u64, bytes: selection.bytes });
        let container = &selection.manifest.container;
        let stop = &CancellationToken::new();
        // The large ones first, so that the last ones end together.
        let mut shards: Vec<_> = selection.shards.iter().collect();
        shards.sort_by_key(|(object, _)| Reverse(object.bytes));
        let downloads = shards.into_iter().map(|(object, record)| async move {
            let stored = selection.stored_name(&record.database);
            let staged = self.fetch(store.as_ref(), container, stored, (object, record), stop, progress).await?;
            let staged = match next {
                Some(next) => {
                    let stopped = || Error::new(Kind::Failed, "another shard has failed");
                    stop.run_until_cancelled(next.take(staged)).await.ok_or_else(stopped)??
                }
                None => staged,
            };
            progress.report(Event::Done { name: &object.name, bytes: object.bytes });
            Ok(staged)
        });
        // Collected first, so that the closure's borrows need not hold for every lifetime.
        let downloads: Vec<_> = downloads.collect();
        let mut ended = futures_util::stream::iter(downloads).buffer_unordered(config.parallel.max(1));
        let (mut staged, mut failure) = (Vec::new(), None);
        loop {
            let end = tokio::select! {
                biased;
                () = config.interrupt.requested(), if failure.is_none() => Some(Err(Error::interrupted())),
                end = ended.next() => end,
            };
            match end {
                None => break,
                Some(Ok(shard)) => staged.push(shard),
                // The others stop as well, but are waited for: nobody writes into a folder that is being removed.
                Some(Err(error)) => {
                    stop.cancel();
                    failure.get_or_insert(error);
                }
            }
        }
        failure.map_or(Ok(staged), Err)
    }

    /// Downloads a shard; again where it comes damaged, since the store may have more than one copy of it.
    async fn fetch(
        &self,
        store: &dyn Store,
        container: &str,
        stored: &str,
        (object, record): (&StoredObject, &ShardRecord),
        stop: &CancellationToken,
        progress: &dyn Progress,
    ) -> Result<StagedShard, Error> {
        let shard = (object, record, stored);
        looks::until_whole(progress, |look| async move {
            if look == Look::Again {
                let folder = self.folder_of(record);
                files::blocking(move || files::remove(&folder)).await?;
            }
            self.read(look.open(store, container, &object.name), shard, stop).await
        })
        .await
    }

    fn folder_of(&self, record: &ShardRecord) -> PathBuf {
        self.folder.join(record.shard_id.to_string())
    }

    /// Reads a shard once; `stored` is what its database is called in the night, and so in the tar.
    async fn read(
        &self,
        opened: impl Future<Output = Result<Download, store::Error>>,
        (object, record, stored): (&StoredObject, &ShardRecord, &str),
        stop: &CancellationToken,
    ) -> Result<StagedShard, Error> {
        let stopped = || Error::new(Kind::Failed, "another download has failed");
        let download = match stop.run_until_cancelled(opened).await.ok_or_else(stopped)? {
            Err(store::Error::NotFound { .. }) => return Err(damaged(&object.name, "it does not exist")),
            other => other?,
        };
        if download.bytes != object.bytes {
            let reason = format!("it has {} bytes instead of {}", download.bytes, object.bytes);
            return Err(damaged(&object.name, &reason));
        }
        let (sender, receiver) = batches::channel();
        let unpacking = {
            let (folder, owner, stays) = (self.folder_of(record), self.owner, self.paths.is_some());
            let expected = format!("{stored}/{}/{}", record.retention_policy, record.shard_id);
            let shard = (object.clone(), record.clone(), expected);
            files::blocking(move || unpack(receiver, shard, folder, owner, stays))
        };
        let receiving = stop.run_until_cancelled(batches::pass_on(download.stream, sender));
        let (received, unpacked) = tokio::join!(receiving, unpacking);
        received.ok_or_else(stopped)??;
        unpacked
    }
}

/// That the store has all shards of the night, in their lengths; what is in them is seen when they are read.
///
/// # Errors
///
/// [`Kind::Damage`] when it has not.
pub(super) async fn check_there(store: &dyn Store, selection: &Selection, parallel: usize) -> Result<(), Error> {
    let container = &selection.manifest.container;
    let looks = selection.shards.iter().map(|(object, _)| async move {
        match store.find(container, &object.name).await? {
            None => Err(damaged(&object.name, "it does not exist")),
            Some(found) if found.bytes != object.bytes => {
                let reason = format!("it has {} bytes instead of {}", found.bytes, object.bytes);
                Err(damaged(&object.name, &reason))
            }
            Some(_) => Ok(()),
        }
    });
    let looks: Vec<_> = looks.collect();
    futures_util::stream::iter(looks).buffer_unordered(parallel.max(1)).try_collect().await
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.paths.as_ref().map(aside::remove_staged) {
            tracing::warn!("{error}");
        }
    }
}

fn device(path: &Path) -> Result<u64, Error> {
    let found = path.metadata().map_err(|error| Error::io(format!("look at {}", path.display()), &error))?;
    Ok(found.dev())
}

/// Whether a restore may have so many bytes in the spool. Unlike a backup it knows them beforehand, and needs them together.
fn allowed(bytes: u64, limit: Option<u64>) -> Result<(), Error> {
    match limit.filter(|limit| *limit < bytes) {
        None => Ok(()),
        Some(limit) => {
            let message =
                format!("{bytes} bytes of the night would lie in the spool, more than --spool-size, {limit} bytes");
            Err(Error::new(Kind::Failed, message).hint("give a larger --spool-size, or none"))
        }
    }
}
