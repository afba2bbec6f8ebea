//! The prune's side of the pool: what no manifest names is marked first, and destroyed when the mark is old enough.

use std::collections::{BTreeSet, HashMap, HashSet};

use bytes::Bytes;
use chrono::TimeDelta;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use store::{Sharing, Store, StoreExt};

use super::names::{FOLDERS, MARKS, PoolName, mark_of};
use super::settings::no_settings;
use super::{grace_of, named};
use crate::Error;

/// Marks that are looked at, and objects that are destroyed, at once.
const AT_ONCE: usize = 8;

/// What a collection did, or would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Collected {
    /// What was destroyed.
    pub destroyed: Swept,
    /// What was marked now, and goes when the grace period is over.
    pub marked: Swept,
    /// What had a mark before, and is not due yet.
    pub waiting: Swept,
}

/// Objects and their bytes as the listing has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// How many.
    pub objects: u64,
    /// Their bytes together; a shard that is composed of others counts with what it has besides.
    pub bytes: u64,
}

impl Swept {
    fn add(&mut self, bytes: u64) {
        self.objects += 1;
        self.bytes += bytes;
    }
}

/// Nights of which the caller has removed the manifest itself.
#[derive(Debug, Clone, Default)]
pub struct Gone {
    /// Their containers.
    pub nights: BTreeSet<String>,
    /// What they were the last to name. For these objects the grace period begins now, whatever mark they had before.
    pub unnamed: HashSet<PoolName>,
}

/// Collects what no manifest names. With `dry` nothing is changed. `None` where there is no pool.
///
/// # Errors
///
/// When the store fails or a manifest cannot be read; what is destroyed by then was due.
pub async fn collect(store: &dyn Store, container: &str, gone: &Gone, dry: bool) -> Result<Option<Collected>, Error> {
    let Some(sharing) = store.sharing() else { return Ok(None) };
    let Some(grace) = grace_of(store, container).await? else {
        return if is_there(store, container).await? { Err(no_settings(container)) } else { Ok(None) };
    };

    // 1. How old the marks are; only then
    let marks = ages(store, container).await?;
    // 2. what there is,
    let mut found: Vec<(PoolName, u64)> = Vec::new();
    for folder in FOLDERS {
        let mut after: Option<String> = None;
        loop {
            let page = store.list(container, folder, after.as_deref()).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.name.clone());
            found.extend(page.iter().filter_map(|entry| Some((entry.name.parse().ok()?, entry.bytes))));
        }
    }
    // 3. and what the manifests name: whoever used a name before it was marked has sealed by now, if its mark is due.
    let named = named(store, container, &gone.nights).await?;

    let mut collected = Collected::default();
    let (mut due, mut waiting, mut unnamed) = (Vec::new(), Vec::new(), Vec::new());
    for (name, bytes) in found.iter().filter(|(name, _)| !named.contains(name)) {
        match marks.get(name) {
            Some(_) if gone.unnamed.contains(name) => unnamed.push((*name, *bytes)),
            Some(age) if *age > grace => due.push((*name, *bytes)),
            Some(_) => waiting.push((*name, *bytes)),
            None => unnamed.push((*name, *bytes)),
        }
    }
    collected.waiting = swept(store, container, waiting).await?;
    // 4. What is due goes for good: shards before what they consist of, and then nothing that is left needs anything.
    let (shards, pieces): (Vec<_>, Vec<_>) = due.into_iter().partition(|(name, _)| name.is_shard());
    for due in [shards, pieces] {
        let of_kind = swept(store, container, due.clone()).await?;
        collected.destroyed.objects += of_kind.objects;
        collected.destroyed.bytes = collected.destroyed.bytes.saturating_add(of_kind.bytes);
        if !dry {
            let destroyed = stream::iter(due).map(|(name, _)| async move { destroy(sharing, container, &name).await });
            destroyed.buffer_unordered(AT_ONCE).try_collect::<()>().await?;
        }
    }
    // 5. Marks of what was destroyed by a run that was killed before it could take them away.
    let there: HashSet<PoolName> = found.into_iter().map(|(name, _)| name).collect();
    for (name, age) in &marks {
        if !there.contains(name) && *age > grace && !dry && store.find(container, &name.to_string()).await?.is_none() {
            destroy(sharing, container, name).await?;
        }
    }
    // 6. What is new here may belong to a backup that has not sealed yet. Marking it would do no harm, but the next night
    // would have to send it again.
    let marks = &marks;
    let looked = stream::iter(unnamed).map(|(name, bytes)| async move {
        let Some(info) = store.find(container, &name.to_string()).await? else { return Ok(None) };
        let is_old = info.answered - info.modified > grace / 2 || marks.contains_key(&name);
        Ok::<_, Error>(is_old.then_some((name, if name.is_shard() && info.is_segmented { 0 } else { bytes })))
    });
    let old: Vec<Option<(PoolName, u64)>> = looked.buffered(AT_ONCE).try_collect().await?;
    for (name, bytes) in old.into_iter().flatten() {
        collected.marked.add(bytes);
        if !dry {
            store.put_bytes(container, &mark_of(&name.to_string()), Bytes::new()).await?;
        }
    }
    Ok(Some(collected))
}

/// Whether there are objects in the pool.
async fn is_there(store: &dyn Store, container: &str) -> Result<bool, Error> {
    for folder in FOLDERS {
        match store.list(container, folder, None).await {
            Err(store::Error::NotFound { .. }) => return Ok(false),
            listed => {
                if !listed?.is_empty() {
                    return Ok(true);
                }
            }
        }
    }
    Ok(false)
}

/// The object first: while it is there, its mark must be.
async fn destroy(sharing: &dyn Sharing, container: &str, name: &PoolName) -> Result<(), Error> {
    let name = name.to_string();
    sharing.destroy(container, &name).await?;
    sharing.destroy(container, &mark_of(&name)).await?;
    Ok(())
}

/// These objects, with the bytes that no other object of the pool has: a composed shard is listed with those of its pieces,
/// which count for themselves.
async fn swept(store: &dyn Store, container: &str, objects: Vec<(PoolName, u64)>) -> Result<Swept, Error> {
    let sizes = stream::iter(objects).map(|(name, listed)| async move {
        if !name.is_shard() {
            return Ok(listed);
        }
        let found = store.find(container, &name.to_string()).await?;
        Ok::<_, Error>(if found.is_some_and(|info| info.is_segmented) { 0 } else { listed })
    });
    let sum = async |mut sum: Swept, bytes: u64| {
        sum.add(bytes);
        Ok(sum)
    };
    sizes.buffer_unordered(AT_ONCE).try_fold(Swept::default(), sum).await
}

/// The names that have a mark, and for how long, by the store's clock.
async fn ages(store: &dyn Store, container: &str) -> Result<HashMap<PoolName, TimeDelta>, Error> {
    let mut ages = HashMap::new();
    let mut after: Option<String> = None;
    loop {
        let page = store.list(container, MARKS, after.as_deref()).await?;
        let Some(last) = page.last() else { return Ok(ages) };
        after = Some(last.name.clone());
        let marks = page.into_iter().filter_map(|entry| {
            let name: PoolName = entry.name.strip_prefix(MARKS)?.parse().ok()?;
            Some((name, entry.name))
        });
        let looked = stream::iter(marks).map(|(name, mark)| async move {
            let info = store.find(container, &mark).await?;
            Ok::<_, Error>(info.map(|info| (name, info.answered - info.modified)))
        });
        let looked: Vec<Option<(PoolName, TimeDelta)>> = looked.buffer_unordered(AT_ONCE).try_collect().await?;
        ages.extend(looked.into_iter().flatten());
    }
}
