//! What each night added to the archive, and what deleting it would free: for nights that share, that depends on all others,
//! whatever they are called and whoever made them. So where one shares, the seals of all nights are read.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Arc;

use archive::manifest::BackupOutline;
use archive::pool::{Census, PoolName};
use archive::{Loaded, names};
use chrono::{DateTime, Utc};
use futures_util::{StreamExt, stream};
use store::Store;

use super::Night;
use super::cache::{Cache, Kept};
use crate::blocking::joined;

/// What the nights that were read so far have in common.
#[derive(Debug, Default)]
pub(crate) struct Shares {
    census: Census,
    /// Containers of which everything is known.
    known: HashSet<String>,
    is_shared: bool,
    /// The nights of which nobody knows what they name.
    unknown: Vec<String>,
}

/// What one night has.
#[derive(Debug)]
pub(super) struct Share {
    sealed: DateTime<Utc>,
    /// Bytes that are not in the pool.
    own_bytes: u64,
    /// What is, each object with the bytes that it has of its own.
    pooled: Vec<(PoolName, u64)>,
}

impl Share {
    /// Whether any of it is in the pool.
    pub(super) fn is_sharing(&self) -> bool {
        !self.pooled.is_empty()
    }

    pub(super) fn of(outline: &BackupOutline) -> Share {
        let mut share = Share { sealed: outline.sealed, own_bytes: 0, pooled: Vec::new() };
        for object in &outline.objects {
            let Some(pooled) = &object.pooled else {
                share.own_bytes = share.own_bytes.saturating_add(object.bytes);
                continue;
            };
            share
                .pooled
                .extend(pooled.names(object.bytes).filter_map(|(name, bytes)| Some((name.parse().ok()?, bytes))));
        }
        share
    }
}

impl Shares {
    /// Whether any of the nights shares.
    pub(super) fn is_shared(&self) -> bool {
        self.is_shared
    }

    /// Counts what a night has that was read: nothing where it is not sealed; or why nobody knows what it names.
    pub(super) fn count(&mut self, container: &str, share: Result<Option<Share>, String>) {
        self.known.insert(container.to_owned());
        match share {
            Ok(None) => {}
            Ok(Some(Share { sealed, own_bytes, pooled })) => {
                self.is_shared |= !pooled.is_empty();
                self.census.count(container, sealed, own_bytes, pooled);
            }
            Err(why) => self.unknown.push(format!("{container}: {why}")),
        }
    }

    /// Tells the nights what came of it, once the seals of all others are read where that matters; gives what keeps it from
    /// being known.
    pub(crate) async fn tell<'a>(
        mut self,
        store: &Arc<dyn Store>,
        parallel: usize,
        cache: Option<&Path>,
        nights: impl Iterator<Item = &'a mut Night>,
    ) -> Option<String> {
        let mut note = None;
        if self.is_shared {
            let cache = cache.map(|folder| Arc::new(Cache::of(folder, &store.location())));
            if let Err(error) = self.count_others(store, parallel, cache).await {
                self.unknown.push(error.to_string());
            }
            note = (!self.unknown.is_empty()).then(|| {
                let told = crate::verify::told(&self.unknown);
                format!("what nights that share have added, and would free, is not known: {told}")
            });
        }
        let mut contributions = self.census.contributions();
        for night in nights {
            // A night that shares nothing is known all the same.
            if note.is_some() && night.is_sharing {
                continue;
            }
            if let Some(contribution) = contributions.remove(&night.container) {
                night.added_bytes = Some(contribution.added_bytes);
                night.freed_bytes = Some(contribution.freed_bytes);
            }
        }
        note
    }

    async fn count_others(
        &mut self,
        store: &Arc<dyn Store>,
        parallel: usize,
        cache: Option<Arc<Cache>>,
    ) -> Result<(), store::Error> {
        let mut containers: Vec<String> = Vec::new();
        loop {
            let page = store.list_containers("", containers.last().map(String::as_str)).await?;
            if page.is_empty() {
                break;
            }
            containers.extend(page.into_iter().map(|entry| entry.name));
        }
        if let Some(cache) = &cache {
            cache.forget_others(containers.iter().map(String::as_str));
        }
        let others: Vec<String> = containers.into_iter().filter(|name| !self.known.contains(name)).collect();
        let reads = others.into_iter().map(|container| {
            let (store, name, cache) = (Arc::clone(store), container.clone(), cache.clone());
            let task = async move {
                let kept = cache.map_or_else(Kept::nothing, |cache| Kept::of(cache, &container));
                Ok(share_in(store.as_ref(), kept, &container).await.map_err(|error| error.to_string()))
            };
            async move { (name, joined(tokio::spawn(task).await)) }
        });
        let mut reads = std::pin::pin!(stream::iter(reads).buffered(parallel.max(1)));
        while let Some((container, read)) = reads.next().await {
            let share = read.map_err(|error| error.to_string()).and_then(|share| share);
            self.count(&container, share);
        }
        Ok(())
    }
}

/// What the night in a container has, if there is one.
async fn share_in(store: &dyn Store, mut kept: Kept, container: &str) -> Result<Option<Share>, archive::Error> {
    let name = names::backup_manifest(container);
    let listed = match store.list(container, &name, None).await {
        Ok(page) => page.into_iter().find(|entry| entry.name == name),
        // It was removed meanwhile.
        Err(store::Error::NotFound { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    if let Some(Loaded { document, .. }) = listed.as_ref().and_then(|listed| kept.get::<BackupOutline>(listed)) {
        return Ok(Some(Share::of(&document)));
    }
    // Listings are late, so one without a seal is no proof.
    match archive::read::<BackupOutline>(store, container, &name).await {
        Ok(loaded) => {
            if let Some(listed) = &listed {
                kept.keep(listed, &loaded);
                kept.write();
            }
            Ok(Some(Share::of(&loaded.document)))
        }
        Err(archive::Error::Missing { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
