//! The traffic with a store, of all transfers of a program together: counted, and limited where that is wanted.

use std::fmt;
use std::io::{self, Read};
use std::num::NonZeroU32;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::stream::{self, BoxStream, StreamExt, TryStreamExt};
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota};

use crate::{
    Body, Composition, ContainerEntry, Download, Error, ObjectEntry, ObjectInfo, Piece, Sharing, Store, Target,
};

/// What is counted, in bytes: the limiter's own unit is too coarse in time for single bytes at high rates.
const UNIT: u64 = 1 << 10;

/// The most that passes at once, in bytes.
const LARGEST_SLICE: u64 = 64 << 10;

/// A store whose bodies are counted, and travel at no more than so many bytes a second, up and down each.
///
/// All bodies together, however many travel at once; what is said about them (HEAD, listings) is not counted.
#[derive(Debug)]
pub struct Metered {
    store: Arc<dyn Store>,
    up: Rate,
    down: Rate,
}

impl Metered {
    /// Counts what travels into `passed`, and limits it to `rate` bytes a second; less than 1 KiB is taken for that.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, rate: Option<u64>, passed: &Arc<AtomicU64>) -> Metered {
        let way = || Rate { limit: rate.map(Limit::new), passed: Arc::clone(passed) };
        Metered { store, up: way(), down: way() }
    }

    fn slow(&self, download: Download) -> Download {
        Download { bytes: download.bytes, stream: self.down.slow(download.stream) }
    }
}

/// One way of the traffic, for all who hold a copy.
#[derive(Debug, Clone)]
pub(crate) struct Rate {
    limit: Option<Limit>,
    passed: Arc<AtomicU64>,
}

/// So many bytes a second.
#[derive(Clone)]
struct Limit {
    limiter: Arc<DefaultDirectRateLimiter>,
    /// In bytes: about a quarter of a second's, so that every transfer moves visibly.
    slice: usize,
}

impl fmt::Debug for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limit").field("slice", &self.slice).finish_non_exhaustive()
    }
}

impl Limit {
    fn new(rate: u64) -> Limit {
        let slice = (rate / 4).clamp(UNIT, LARGEST_SLICE);
        // Timers are coarse: what passes at once must be worth more time than they are late.
        let quota = Quota::per_second(cells(rate)).allow_burst(cells(slice.max(rate / 20)));
        let slice = usize::try_from(slice).unwrap_or(usize::MAX);
        Limit { limiter: Arc::new(DefaultDirectRateLimiter::direct(quota)), slice }
    }
}

impl Rate {
    /// How many of so many bytes may travel in one piece.
    fn slice(&self, bytes: usize) -> usize {
        self.limit.as_ref().map_or(bytes, |limit| bytes.min(limit.slice))
    }

    /// Returns when a slice of so many bytes may pass. None is larger than the burst, so none is refused for good.
    async fn pass(&self, bytes: usize) {
        if let Some(limit) = &self.limit {
            let _ = limit.limiter.until_n_ready(cells(bytes as u64)).await;
        }
        self.passed.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The same in a blocking thread.
    fn pass_blocking(&self, bytes: usize) {
        if let Some(limit) = &self.limit {
            while let Ok(Err(early)) = limit.limiter.check_n(cells(bytes as u64)) {
                std::thread::sleep(early.wait_time_from(DefaultClock::default().now()));
            }
        }
        self.passed.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// The same pieces in slices, each of which waits for its turn.
    pub(crate) fn slow<E: Send + 'static>(
        &self,
        pieces: BoxStream<'static, Result<Bytes, E>>,
    ) -> BoxStream<'static, Result<Bytes, E>> {
        let rate = self.clone();
        stream::try_unfold((pieces, Bytes::new()), move |(mut pieces, mut piece)| {
            let rate = rate.clone();
            async move {
                while piece.is_empty() {
                    let Some(next) = pieces.try_next().await? else { return Ok(None) };
                    piece = next;
                }
                let slice = piece.split_to(rate.slice(piece.len()));
                rate.pass(slice.len()).await;
                Ok(Some((slice, (pieces, piece))))
            }
        })
        .boxed()
    }

    /// The same for what is read in a blocking thread.
    pub(crate) fn slow_reader(&self, reader: Box<dyn Read>) -> Box<dyn Read> {
        Box::new(SlowReader { rate: self.clone(), reader })
    }
}

struct SlowReader {
    rate: Rate,
    reader: Box<dyn Read>,
}

impl Read for SlowReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.rate.slice(buffer.len());
        let read = self.reader.read(&mut buffer[..length])?;
        if read > 0 {
            self.rate.pass_blocking(read);
        }
        Ok(read)
    }
}

fn cells(bytes: u64) -> NonZeroU32 {
    NonZeroU32::new(u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)).unwrap_or(NonZeroU32::MIN)
}

#[async_trait]
impl Store for Metered {
    fn location(&self) -> String {
        self.store.location()
    }

    async fn time(&self) -> Option<DateTime<Utc>> {
        self.store.time().await
    }

    fn segment_size(&self) -> Option<u64> {
        self.store.segment_size()
    }

    fn max_object_size(&self) -> Option<u64> {
        self.store.max_object_size()
    }

    async fn create_container(&self, container: &str) -> Result<(), Error> {
        self.store.create_container(container).await
    }

    async fn delete_container(&self, container: &str) -> Result<(), Error> {
        self.store.delete_container(container).await
    }

    async fn list_containers(&self, prefix: &str, after: Option<&str>) -> Result<Vec<ContainerEntry>, Error> {
        self.store.list_containers(prefix, after).await
    }

    async fn put(&self, container: &str, name: &str, body: &Body) -> Result<ObjectInfo, Error> {
        self.store.put(container, name, &body.slowed(&self.up)).await
    }

    async fn get(&self, container: &str, name: &str, range: Option<Range<u64>>) -> Result<Download, Error> {
        Ok(self.slow(self.store.get(container, name, range).await?))
    }

    async fn get_unchecked(&self, container: &str, name: &str) -> Result<Download, Error> {
        Ok(self.slow(self.store.get_unchecked(container, name).await?))
    }

    async fn head(&self, container: &str, name: &str) -> Result<ObjectInfo, Error> {
        self.store.head(container, name).await
    }

    async fn head_with_segments(&self, container: &str, name: &str) -> Result<ObjectInfo, Error> {
        self.store.head_with_segments(container, name).await
    }

    fn sharing(&self) -> Option<&dyn Sharing> {
        self.store.sharing().is_some().then_some(self)
    }

    /// What is read past the store is not limited, so it is only where there is no limit; it does not travel either.
    fn file(&self, container: &str, name: &str) -> Option<PathBuf> {
        self.down.limit.is_none().then(|| self.store.file(container, name)).flatten()
    }

    async fn list(&self, container: &str, prefix: &str, after: Option<&str>) -> Result<Vec<ObjectEntry>, Error> {
        self.store.list(container, prefix, after).await
    }

    async fn delete(&self, container: &str, name: &str) -> Result<(), Error> {
        self.store.delete(container, name).await
    }

    async fn delete_with_segments(&self, container: &str, name: &str) -> Result<(), Error> {
        self.store.delete_with_segments(container, name).await
    }
}

impl Metered {
    /// The store below, for a call that only one that shares has been asked for.
    fn below(&self) -> Result<&dyn Sharing, Error> {
        self.store.sharing().ok_or_else(|| Error::Unsupported {
            operation: format!("share objects in {}", self.store.location()),
            reason: "it has no such means".to_owned(),
        })
    }
}

#[async_trait]
impl Sharing for Metered {
    fn composition(&self) -> Option<Composition> {
        self.store.sharing()?.composition()
    }

    async fn create_keeping_container(&self, container: &str) -> Result<(), Error> {
        self.below()?.create_keeping_container(container).await
    }

    async fn compose(&self, container: &str, name: &str, pieces: &[Piece]) -> Result<ObjectInfo, Error> {
        // What is given inline travels, if not as a body.
        for piece in pieces {
            if let Piece::Inline(bytes) = piece {
                let mut left = bytes.len();
                while left > 0 {
                    let slice = self.up.slice(left);
                    self.up.pass(slice).await;
                    left -= slice;
                }
            }
        }
        self.below()?.compose(container, name, pieces).await
    }

    async fn link(&self, container: &str, name: &str, target: &Target) -> Result<ObjectInfo, Error> {
        self.below()?.link(container, name, target).await
    }

    async fn destroy(&self, container: &str, name: &str) -> Result<(), Error> {
        self.below()?.destroy(container, name).await
    }

    async fn undelete(&self, container: &str, name: &str, tag: Option<&str>) -> Result<bool, Error> {
        self.below()?.undelete(container, name, tag).await
    }
}
