//! A store in memory with a clock of its own, whose listings lag behind, and which lets somebody else have a turn before each
//! operation. What it promises is what `store::Store` and `store::Sharing` promise, and no more.

use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::io::Read;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard};
use std::task::Poll;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::DateTime;
use futures_util::StreamExt;
use futures_util::stream;
use md5::{Digest, Md5};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use store::{
    Body, Composition, ContainerEntry, Download, Error, ObjectEntry, ObjectInfo, Piece, Sharing, Store, Target,
};

/// The store.
pub(crate) struct Memory {
    state: Mutex<State>,
}

/// What it holds.
pub(crate) struct State {
    /// In seconds.
    pub(crate) now: i64,
    pub(crate) containers: BTreeMap<String, Container>,
    /// The longest that a listing lags behind, in seconds.
    lag: i64,
    random: StdRng,
    /// Operations so far, and those of them that changed something.
    pub(crate) operations: u64,
    pub(crate) changes: u64,
}

#[derive(Default)]
pub(crate) struct Container {
    pub(crate) objects: BTreeMap<String, Object>,
    /// Names with the time from which a listing has them, or has them no more.
    listed: BTreeMap<String, i64>,
    unlisted: BTreeMap<String, i64>,
    listed_from: i64,
}

#[derive(Clone)]
pub(crate) struct Object {
    pub(crate) content: Content,
    pub(crate) etag: String,
    modified: i64,
}

#[derive(Clone)]
pub(crate) enum Content {
    Bytes(Bytes),
    Pieces(Vec<Piece>),
    Link { container: String, name: String },
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").finish_non_exhaustive()
    }
}

impl Memory {
    /// An empty one. Listings lag by at most so many seconds.
    pub(crate) fn new(lag: i64, seed: u64) -> Memory {
        let random = StdRng::seed_from_u64(seed);
        let containers = BTreeMap::new();
        Memory { state: Mutex::new(State { now: 1_000_000, containers, lag, random, operations: 0, changes: 0 }) }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Lets another one have a turn.
    async fn turn(&self) -> MutexGuard<'_, State> {
        let mut had = false;
        poll_fn(|context| {
            if std::mem::replace(&mut had, true) {
                return Poll::Ready(());
            }
            // Else nobody who waits for several of these would ask again.
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        let mut state = self.state();
        state.operations += 1;
        state
    }
}

impl State {
    pub(crate) fn object(&self, container: &str, name: &str) -> Option<&Object> {
        self.containers.get(container)?.objects.get(name)
    }

    fn lag(&mut self) -> i64 {
        let lag = self.lag;
        self.now + if lag == 0 || self.random.random_bool(0.5) { 0 } else { self.random.random_range(0..=lag) }
    }

    fn put(&mut self, container: &str, name: &str, content: Content, etag: String) -> Result<ObjectInfo, Error> {
        let (modified, from) = (self.now, self.lag());
        self.changes += 1;
        let Some(into) = self.containers.get_mut(container) else { return Err(not_found(container)) };
        into.unlisted.remove(name);
        into.listed.entry(name.to_owned()).or_insert(from);
        into.objects.insert(name.to_owned(), Object { content, etag, modified });
        self.info(container, name)
    }

    fn remove(&mut self, container: &str, name: &str) -> Result<(), Error> {
        let until = self.lag();
        self.changes += 1;
        let Some(from) = self.containers.get_mut(container) else { return Err(not_found(name)) };
        from.objects.remove(name).ok_or_else(|| not_found(name))?;
        from.unlisted.insert(name.to_owned(), until);
        Ok(())
    }

    fn info(&self, container: &str, name: &str) -> Result<ObjectInfo, Error> {
        let object = self.object(container, name).ok_or_else(|| not_found(name))?;
        if let Content::Link { container, name } = &object.content {
            return Ok(ObjectInfo { is_link: true, ..self.info(container, name)? });
        }
        let at = |seconds: i64| DateTime::from_timestamp(seconds, 0).unwrap();
        let (bytes, is_segmented) = match &object.content {
            Content::Bytes(bytes) => (bytes.len() as u64, false),
            Content::Pieces(pieces) => (pieces.iter().map(Piece::bytes).sum(), true),
            Content::Link { .. } => unreachable!(),
        };
        Ok(ObjectInfo {
            bytes,
            etag: Some(object.etag.clone()),
            is_segmented,
            is_link: false,
            link_tag: Some(object.etag.clone()),
            modified: at(object.modified),
            answered: at(self.now),
        })
    }

    fn bytes(&self, container: &str, name: &str) -> Result<Bytes, Error> {
        match &self.object(container, name).ok_or_else(|| not_found(name))?.content {
            Content::Bytes(bytes) => Ok(bytes.clone()),
            Content::Link { container, name } => self.bytes(container, name),
            Content::Pieces(pieces) => {
                let mut whole = Vec::new();
                for piece in pieces {
                    match piece {
                        Piece::Inline(bytes) => whole.extend_from_slice(bytes),
                        Piece::Object { container, name, .. } => whole.extend_from_slice(&self.bytes(container, name)?),
                    }
                }
                Ok(whole.into())
            }
        }
    }
}

fn not_found(what: &str) -> Error {
    Error::NotFound { object: what.to_owned(), location: "memory".to_owned() }
}

fn conflict(what: &str) -> Error {
    Error::Conflict { operation: what.to_owned(), status: "409".to_owned(), reason: String::new() }
}

#[async_trait]
impl Store for Memory {
    fn location(&self) -> String {
        "memory".to_owned()
    }

    fn segment_size(&self) -> Option<u64> {
        None
    }

    fn max_object_size(&self) -> Option<u64> {
        None
    }

    async fn create_container(&self, container: &str) -> Result<(), Error> {
        let mut state = self.turn().await;
        let listed_from = state.lag();
        state.containers.entry(container.to_owned()).or_insert(Container { listed_from, ..Container::default() });
        Ok(())
    }

    async fn delete_container(&self, container: &str) -> Result<(), Error> {
        let mut state = self.turn().await;
        if state.containers.get(container).is_some_and(|found| !found.objects.is_empty()) {
            return Err(conflict(container));
        }
        state.containers.remove(container);
        Ok(())
    }

    async fn list_containers(&self, prefix: &str, after: Option<&str>) -> Result<Vec<ContainerEntry>, Error> {
        let state = self.turn().await;
        let found = state.containers.iter().filter(|(name, container)| {
            name.starts_with(prefix)
                && after.is_none_or(|after| name.as_str() > after)
                && container.listed_from <= state.now
        });
        Ok(found.map(|(name, _)| ContainerEntry { name: name.clone() }).collect())
    }

    async fn put(&self, container: &str, name: &str, body: &Body) -> Result<ObjectInfo, Error> {
        let mut bytes = Vec::new();
        body.reader().unwrap().read_to_end(&mut bytes).unwrap();
        let bytes = Bytes::from(bytes);
        let mut state = self.turn().await;
        assert!(
            !name.starts_with("tsm/") && !name.starts_with("shards/") || state.object(container, name).is_none(),
            "{name} is written a second time"
        );
        let etag = hex::encode(Md5::digest(&bytes));
        state.put(container, name, Content::Bytes(bytes), etag)
    }

    async fn get(&self, container: &str, name: &str, _range: Option<Range<u64>>) -> Result<Download, Error> {
        let bytes = self.turn().await.bytes(container, name)?;
        Ok(Download { bytes: bytes.len() as u64, stream: stream::iter([Ok(bytes)]).boxed() })
    }

    async fn head(&self, container: &str, name: &str) -> Result<ObjectInfo, Error> {
        self.turn().await.info(container, name)
    }

    fn sharing(&self) -> Option<&dyn Sharing> {
        Some(self)
    }

    async fn list(&self, container: &str, prefix: &str, after: Option<&str>) -> Result<Vec<ObjectEntry>, Error> {
        let state = self.turn().await;
        let found = state.containers.get(container).ok_or_else(|| not_found(container))?;
        let is_listed = |name: &str| {
            found.listed.get(name).is_some_and(|from| *from <= state.now)
                && found.unlisted.get(name).is_none_or(|until| *until > state.now)
        };
        let names = found.listed.keys().filter(|name| {
            name.starts_with(prefix) && after.is_none_or(|after| name.as_str() > after) && is_listed(name)
        });
        let entry = |name: &String| {
            let bytes = state.info(container, name).map_or(0, |info| info.bytes);
            ObjectEntry { name: name.clone(), bytes, etag: None }
        };
        Ok(names.map(entry).collect())
    }

    async fn delete(&self, container: &str, name: &str) -> Result<(), Error> {
        self.turn().await.remove(container, name)
    }

    async fn delete_with_segments(&self, container: &str, name: &str) -> Result<(), Error> {
        self.delete(container, name).await
    }
}

#[async_trait]
impl Sharing for Memory {
    fn composition(&self) -> Option<Composition> {
        Some(Composition { pieces: 9, inline_bytes: 100, smallest: 8, largest: 100 })
    }

    async fn create_keeping_container(&self, container: &str) -> Result<(), Error> {
        self.create_container(container).await
    }

    async fn compose(&self, container: &str, name: &str, pieces: &[Piece]) -> Result<ObjectInfo, Error> {
        let mut state = self.turn().await;
        assert!(state.object(container, name).is_none(), "{name} is written a second time");
        let mut etags = Md5::new();
        for piece in pieces {
            match piece {
                Piece::Inline(bytes) => etags.update(bytes),
                Piece::Object { container, name, bytes, etag } => {
                    let is_there = state
                        .info(container, name)
                        .is_ok_and(|info| info.bytes == *bytes && info.etag.as_ref() == Some(etag));
                    if !is_there {
                        return Err(Error::Refused {
                            operation: "compose".to_owned(),
                            status: "400".to_owned(),
                            passing: false,
                            reason: name.clone(),
                            tries: 1,
                            elapsed: Duration::ZERO,
                        });
                    }
                    etags.update(etag);
                }
            }
        }
        let etag = hex::encode(etags.finalize());
        state.put(container, name, Content::Pieces(pieces.to_vec()), etag)
    }

    async fn link(&self, container: &str, name: &str, target: &Target) -> Result<ObjectInfo, Error> {
        let mut state = self.turn().await;
        let found = state.info(&target.container, &target.name).map_err(|_| conflict(&target.name))?;
        let tag = found.link_tag.clone().unwrap_or_default();
        if target.tag.as_ref().is_some_and(|named| *named != tag) {
            return Err(conflict(&target.name));
        }
        let content = Content::Link { container: target.container.clone(), name: target.name.clone() };
        state.put(container, name, content, String::new())
    }

    async fn destroy(&self, container: &str, name: &str) -> Result<(), Error> {
        match self.turn().await.remove(container, name) {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn undelete(&self, _container: &str, _name: &str, _tag: Option<&str>) -> Result<bool, Error> {
        Ok(false)
    }
}
