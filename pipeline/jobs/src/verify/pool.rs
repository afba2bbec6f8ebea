//! What nights have in common: which objects of the pool are gone or damaged, whom that hurts, and what can be brought back.
//!
//! A name in a night leads to a shard of the pool, and in a Swift that consists of pieces. So a damaged name is traced to the
//! objects that it needs, each of which is looked at once in a run however many nights name it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use archive::manifest::{BackupManifest, Content, Pooled, StoredObject};
use archive::pool::{PoolName, mark_of, naming_nights};
use bytes::Bytes;
use futures_util::StreamExt;
use store::{Sharing, StoreExt, Target};

use super::expected::Expected;
use super::object::{ABSENT, Fault};
use super::outcome::{PoolObject, told};
use super::reading::{self, Wanted};
use super::{Extent, Run};
use crate::{Error, Event};

/// How often an object has to come damaged to be called so: Swift takes a damaged copy out of service once it has handed it
/// out to its end, and may have another one.
const READINGS: u32 = 2;

/// Where an object lies of which a night has only a name.
#[derive(Debug, Clone, Copy)]
pub(super) struct InPool<'a> {
    /// The container of the pool.
    pub(super) container: &'a str,
    pub(super) pooled: &'a Pooled,
}

/// An object of the pool, as a manifest describes it.
#[derive(Debug, Clone, Copy)]
struct Part<'a> {
    name: &'a str,
    bytes: u64,
    /// What a link to it has to name, where the store has that.
    tag: Option<&'a str>,
    /// Where it lies in its shard, if it is a piece.
    offset: Option<u64>,
}

/// What is to blame for a damaged shard.
#[derive(Debug)]
pub(super) struct Blame {
    /// The objects of the pool; none where all that it needs is whole, and only the night's own name of it is not.
    pub(super) names: BTreeSet<String>,
    /// What is wrong with the pieces among them.
    pieces: Vec<String>,
    /// Whether that shows only to those who read them.
    is_in_bytes: bool,
}

impl Blame {
    /// What is wrong with the shard, of which so much was known without the pool.
    pub(super) fn explain(&self, what: &str) -> String {
        match (self.pieces.is_empty(), self.is_in_bytes) {
            (true, _) => what.to_owned(),
            (false, true) => format!("{what}; in the pool, {}", self.pieces.join(", ")),
            (false, false) => self.pieces.join(", "),
        }
    }

    /// What to do before anything else.
    pub(super) fn hint(&self, is_absent: bool, is_undeleting: bool) -> Option<&'static str> {
        match (self.names.is_empty(), self.is_in_bytes, is_undeleting) {
            (true, ..) if is_absent => {
                Some("the pool has it: nightshard-verify --undelete gives it its name here again")
            }
            (true, ..) => None,
            (false, true, _) => Some("the next backup stores it anew"),
            (false, false, false) => Some("nightshard-verify --undelete brings it back if the archive has kept it"),
            (false, false, true) => Some("the archive has kept nothing of it"),
        }
    }
}

/// What a run knows of the pools.
#[derive(Debug, Default)]
pub(super) struct Pools(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// What was looked at and is there, by the pool: its length and ETag are right.
    there: HashMap<String, HashSet<PoolName>>,
    /// Pieces that were read, and are whole or not.
    read: HashMap<(String, String), bool>,
    /// What is not as it should be, by pool and name.
    broken: BTreeMap<(String, String), PoolObject>,
    /// What was brought back: full names.
    brought_back: BTreeSet<String>,
}

impl Pools {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<'a> InPool<'a> {
    /// Of an object in a night that shares.
    pub(super) fn of(manifest: &'a BackupManifest, object: &'a StoredObject) -> Option<InPool<'a>> {
        let Content::Shard(shard) = &object.content else { return None };
        Some(InPool { container: manifest.pool.as_deref()?, pooled: shard.pooled.as_ref()? })
    }

    fn pieces(self) -> impl Iterator<Item = Part<'a>> {
        self.pooled.pieces.iter().map(|piece| Part {
            name: &piece.name,
            bytes: piece.bytes,
            tag: Some(&piece.md5),
            offset: Some(piece.offset),
        })
    }

    /// The shard itself, which has so many bytes.
    fn shard(self, bytes: u64) -> Part<'a> {
        Part { name: &self.pooled.name, bytes, tag: self.pooled.tag.as_deref(), offset: None }
    }
}

impl Run {
    /// Whether all pieces of a shard are there, without any of them being read: a store says that the shard is there when
    /// they are gone.
    pub(super) async fn pieces(&self, within: InPool<'_>) -> Result<Option<Fault>, Error> {
        for part in within.pieces() {
            if let Some(what) = self.look_at(within.container, part).await? {
                return Ok(Some(Fault::of_bytes(format!("{}/{}: {what}", within.container, part.name))));
            }
        }
        Ok(None)
    }

    /// What is wrong with an object of the pool, as far as the store tells without its being read.
    async fn look_at(&self, container: &str, part: Part<'_>) -> Result<Option<String>, Error> {
        let name: Option<PoolName> = part.name.parse().ok();
        let is_there = |known: &Known| known.there.get(container).zip(name).is_some_and(|(all, it)| all.contains(&it));
        if is_there(&self.pools.known()) {
            return Ok(None);
        }
        let what = match self.store.find(container, part.name).await? {
            None => Some(ABSENT.to_owned()),
            Some(found) if found.bytes != part.bytes => {
                Some(format!("it has {} bytes instead of {}", found.bytes, part.bytes))
            }
            // A store without ETags has no tags either.
            Some(found) if part.tag.zip(found.link_tag.as_deref()).is_some_and(|(known, found)| known != found) => {
                Some("its ETag is another one than it had".to_owned())
            }
            Some(_) => None,
        };
        if what.is_none() {
            self.pools.known().there.entry(container.to_owned()).or_default().extend(name);
        }
        Ok(what)
    }

    /// Which objects of the pool are to blame for a damaged shard.
    ///
    /// # Errors
    ///
    /// When the store does not answer.
    pub(super) async fn blame(&self, expected: &Expected<'_>, within: InPool<'_>) -> Result<Blame, Error> {
        let InPool { container, .. } = within;
        let shard = within.shard(expected.bytes());
        let mut blame = Blame { names: BTreeSet::new(), pieces: Vec::new(), is_in_bytes: false };
        for part in within.pieces().chain([shard]) {
            if let Some(what) = self.look_at(container, part).await? {
                self.remember(container, part, what, &mut blame).await;
            }
        }
        if !blame.names.is_empty() || self.config.extent == Extent::Quick {
            return Ok(blame);
        }
        // Everything is there, so it is what is in it.
        blame.is_in_bytes = true;
        for part in within.pieces() {
            let sha256 = part.name.strip_prefix("tsm/").and_then(|name| name.split_once('.')).map(|(sha256, _)| sha256);
            if let Some(what) = self.read_part(container, part, sha256).await? {
                self.remember(container, part, what, &mut blame).await;
            }
        }
        if blame.names.is_empty() {
            let sha256 = expected.prints.first().map(|print| print.sha256.as_str());
            if let Some(what) = self.read_part(container, shard, sha256).await? {
                self.remember(container, shard, what, &mut blame).await;
            }
        }
        Ok(blame)
    }

    /// Reads an object of the pool; what is wrong with it, if it comes so every time.
    async fn read_part(&self, container: &str, part: Part<'_>, sha256: Option<&str>) -> Result<Option<String>, Error> {
        let Some(sha256) = sha256 else { return Ok(None) };
        let key = (container.to_owned(), part.name.to_owned());
        let what = "its SHA-256 is not what it was";
        if let Some(is_whole) = self.pools.known().read.get(&key) {
            return Ok((!is_whole).then(|| what.to_owned()));
        }
        let mut is_whole = false;
        for reading in 0..READINGS {
            let opened = match reading {
                0 => self.store.get_unchecked(container, part.name).await,
                _ => self.store.get(container, part.name, None).await,
            };
            let wanted = Wanted { files: None, keep: None, with_md5: false };
            let read = match opened {
                Ok(download) => reading::read(download, wanted, self.config.interrupt.clone()).await,
                Err(error) => Err(reading::Error::Store(error)),
            };
            match read {
                Ok(seen) => is_whole = seen.sha256() == sha256,
                // It was taken out of service after the reading before, and there is no other copy.
                Err(reading::Error::Store(store::Error::NotFound { .. })) => return Ok(Some(ABSENT.to_owned())),
                Err(reading::Error::Store(store::Error::Mismatch { .. } | store::Error::Changed { .. })) => {}
                Err(reading::Error::Store(error)) => return Err(error.into()),
                Err(reading::Error::Here(error)) => return Err(error),
            }
            if is_whole {
                break;
            }
        }
        self.pools.known().read.insert(key, is_whole);
        Ok((!is_whole).then(|| what.to_owned()))
    }

    /// Remembers what is wrong with an object of the pool. One that looks as it should, and is damaged, gets a mark, so that no
    /// backup uses it again; all others a backup finds out itself.
    async fn remember(&self, container: &str, part: Part<'_>, what: String, blame: &mut Blame) {
        blame.names.insert(part.name.to_owned());
        // The shard as a whole is what the night's own name stands for.
        if let Some(offset) = part.offset {
            let end = offset.saturating_add(part.bytes);
            blame.pieces.push(format!("{container}/{} (bytes {offset} to {end} of the shard): {what}", part.name));
        }
        let key = (container.to_owned(), part.name.to_owned());
        if self.pools.known().broken.contains_key(&key) {
            return;
        }
        let object = format!("{container}/{}", part.name);
        let mut marked = false;
        // Whatever else a manifest may name, marks are for what is named as the pool's objects are.
        if blame.is_in_bytes && what != ABSENT && self.config.record && part.name.parse::<PoolName>().is_ok() {
            match self.store.put_bytes(container, &mark_of(part.name), Bytes::new()).await {
                Ok(_) => marked = true,
                Err(error) => {
                    let text =
                        format!("{object} is damaged, and a mark that keeps backups from using it could not be set");
                    self.progress.report(Event::Warning(&format!("{text}: {error}")));
                }
            }
        }
        let kind = if part.offset.is_some() { "piece" } else { "shard" };
        let broken = PoolObject { object, kind, what, nights: Vec::new(), marked };
        self.pools.known().broken.insert(key, broken);
    }

    /// Brings back what a night needs and the store has kept: the pool's objects, and the night's own names of them.
    ///
    /// # Errors
    ///
    /// When the store does not answer.
    pub(super) async fn bring_back(&self, container: &str, night: &BackupManifest) -> Result<(), Error> {
        let Some(sharing) = self.store.sharing() else { return Ok(()) };
        let shared = night.objects.iter().filter_map(|object| Some((object, InPool::of(night, object)?)));
        // Collected first, so that the closure's borrows need not hold for every lifetime.
        let looks: Vec<_> =
            shared.map(|(object, within)| self.bring_back_shard(sharing, container, object, within)).collect();
        let mut ended = futures_util::stream::iter(looks).buffer_unordered(self.config.parallel.max(1));
        while let Some(looked) = ended.next().await {
            looked?;
        }
        Ok(())
    }

    async fn bring_back_shard(
        &self,
        sharing: &dyn Sharing,
        night: &str,
        object: &StoredObject,
        within: InPool<'_>,
    ) -> Result<(), Error> {
        let container = within.container;
        for part in within.pieces().chain([within.shard(object.bytes)]) {
            if self.look_at(container, part).await?.is_some()
                && sharing.undelete(container, part.name, part.tag).await?
            {
                self.brought_back(format!("{container}/{}", part.name));
            }
        }
        if self.store.find(night, &object.name).await?.is_some() {
            return Ok(());
        }
        let Pooled { name, tag, .. } = within.pooled.clone();
        match sharing.link(night, &object.name, &Target { container: container.to_owned(), name, tag }).await {
            Ok(_) => self.brought_back(object.name.clone()),
            // What it would lead to is not there.
            Err(store::Error::Conflict { .. } | store::Error::NotFound { .. } | store::Error::Unsupported { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    fn brought_back(&self, object: String) {
        if self.pools.known().brought_back.insert(object.clone()) {
            self.progress.report(Event::Warning(&format!("{object} was brought back")));
        }
    }

    /// What was found in the pools and brought back in all nights of this run; whom each broken object hurts is asked now, of
    /// all manifests at once. What keeps that from being known is told, too.
    pub(super) async fn pool_findings(&self) -> (Vec<PoolObject>, Vec<String>, Vec<String>) {
        let Known { mut broken, brought_back, .. } = std::mem::take(&mut *self.pools.known());
        let mut failures = Vec::new();
        let pools: BTreeSet<String> = broken.keys().map(|(pool, _)| pool.clone()).collect();
        for pool in pools {
            let of_pool = broken.keys().filter(|(of, _)| *of == pool).map(|(_, name)| name.clone()).collect();
            match naming_nights(self.store.as_ref(), &pool, &of_pool).await {
                Ok((mut nights, unknown)) => {
                    for ((_, name), object) in broken.iter_mut().filter(|((of, _), _)| *of == pool) {
                        object.nights = nights.remove(name).unwrap_or_default();
                    }
                    failures.extend((!unknown.is_empty()).then(|| {
                        format!("whether these nights name what is broken in {pool} is not known: {}", told(&unknown))
                    }));
                }
                Err(error) => failures.push(format!("who else names what is broken in {pool} is not known: {error}")),
            }
        }
        (broken.into_values().collect(), brought_back.into_iter().collect(), failures)
    }
}
