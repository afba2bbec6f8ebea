//! Stores that count what is sent to them, stand still on demand, or let two runs meet.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use store::{Body, ContainerEntry, Download, Error, ObjectEntry, ObjectInfo, Store};
use tokio::sync::{Barrier, Notify};

/// A store whose uploads of shards and metastore are counted.
#[derive(Debug)]
pub(crate) struct Watched {
    inner: Arc<dyn Store>,
    sent: AtomicU64,
    limit: u64,
    full: Notify,
    meeting: Option<Arc<Barrier>>,
}

impl Watched {
    pub(crate) fn new(inner: &Arc<dyn Store>) -> Watched {
        Watched {
            inner: Arc::clone(inner),
            sent: AtomicU64::new(0),
            limit: u64::MAX,
            full: Notify::new(),
            meeting: None,
        }
    }

    /// One that stands still as soon as more than `limit` bytes have been sent, those on their way included.
    pub(crate) fn until(inner: &Arc<dyn Store>, limit: u64) -> Watched {
        Watched { limit, ..Watched::new(inner) }
    }

    /// One whose runs go on from the preflight only when all of the meeting have passed it.
    pub(crate) fn meeting(inner: &Arc<dyn Store>, meeting: &Arc<Barrier>) -> Watched {
        Watched { meeting: Some(Arc::clone(meeting)), ..Watched::new(inner) }
    }

    /// Bytes that were sent.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::SeqCst)
    }

    /// Waits until it stands still.
    pub(crate) async fn stands_still(&self) {
        self.full.notified().await;
    }
}

#[async_trait]
impl Store for Watched {
    fn location(&self) -> String {
        self.inner.location()
    }

    fn segment_size(&self) -> Option<u64> {
        self.inner.segment_size()
    }

    fn max_object_size(&self) -> Option<u64> {
        self.inner.max_object_size()
    }

    async fn create_container(&self, container: &str) -> Result<(), Error> {
        if let Some(meeting) = &self.meeting {
            meeting.wait().await;
        }
        self.inner.create_container(container).await
    }

    async fn delete_container(&self, container: &str) -> Result<(), Error> {
        self.inner.delete_container(container).await
    }

    async fn list_containers(&self, prefix: &str, after: Option<&str>) -> Result<Vec<ContainerEntry>, Error> {
        self.inner.list_containers(prefix, after).await
    }

    async fn put(&self, container: &str, name: &str, body: &Body) -> Result<ObjectInfo, Error> {
        if name.contains("/shards/") {
            let bytes = body.digests().bytes;
            if self.sent.fetch_add(bytes, Ordering::SeqCst) + bytes > self.limit {
                self.full.notify_one();
                std::future::pending::<()>().await;
            }
        }
        self.inner.put(container, name, body).await
    }

    async fn get(&self, container: &str, name: &str, range: Option<Range<u64>>) -> Result<Download, Error> {
        self.inner.get(container, name, range).await
    }

    async fn head(&self, container: &str, name: &str) -> Result<ObjectInfo, Error> {
        self.inner.head(container, name).await
    }

    async fn list(&self, container: &str, prefix: &str, after: Option<&str>) -> Result<Vec<ObjectEntry>, Error> {
        self.inner.list(container, prefix, after).await
    }

    async fn delete(&self, container: &str, name: &str) -> Result<(), Error> {
        self.inner.delete(container, name).await
    }

    async fn delete_with_segments(&self, container: &str, name: &str) -> Result<(), Error> {
        self.inner.delete_with_segments(container, name).await
    }
}
