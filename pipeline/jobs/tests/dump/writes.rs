//! A store that is watched while it is written to.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use jobs::Interrupt;
use store::{Body, ContainerEntry, Download, Error, ObjectEntry, ObjectInfo, Store, StoreExt};

/// Names and what they hold.
type Objects = Vec<(String, Bytes)>;

/// Notes what is written, refuses one object, and asks the dump to end before it writes another one.
#[derive(Debug)]
pub(crate) struct Writes {
    store: Arc<dyn Store>,
    pub(crate) seen: Mutex<Vec<String>>,
    pub(crate) refuse: Mutex<Option<String>>,
    pub(crate) interrupt_at: Mutex<Option<(String, Interrupt)>>,
    /// Once an object is written, another run writes these.
    pub(crate) other_at: Mutex<Option<(String, Objects)>>,
    /// What the store says the time is.
    pub(crate) time: Mutex<Option<DateTime<Utc>>>,
}

impl Writes {
    pub(crate) fn new(store: &Arc<dyn Store>) -> Arc<Writes> {
        let store = Arc::clone(store);
        let (seen, refuse, interrupt_at) = (Mutex::default(), Mutex::default(), Mutex::default());
        Arc::new(Writes { store, seen, refuse, interrupt_at, other_at: Mutex::default(), time: Mutex::default() })
    }

    fn asks_to_end(&self, name: &str) -> bool {
        let at = self.interrupt_at.lock().unwrap();
        let interrupt = at.as_ref().filter(|(at, _)| at == name).map(|(_, interrupt)| interrupt.request());
        interrupt.is_some()
    }
}

#[async_trait]
impl Store for Writes {
    fn location(&self) -> String {
        self.store.location()
    }
    async fn time(&self) -> Option<DateTime<Utc>> {
        *self.time.lock().unwrap()
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
        if self.refuse.lock().unwrap().as_deref() == Some(name) {
            let (operation, reason) = (format!("upload {name}"), "the connection broke".to_owned());
            return Err(Error::Unreachable { operation, reason, tries: 1, elapsed: Duration::ZERO });
        }
        if self.asks_to_end(name) {
            // Long enough for whoever would end the dump at this point.
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        }
        self.seen.lock().unwrap().push(format!("put {name}"));
        let put = self.store.put(container, name, body).await;
        let other = self.other_at.lock().unwrap().take_if(|(at, _)| at == name);
        for (object, bytes) in other.into_iter().flat_map(|(_, objects)| objects) {
            self.store.put_bytes(container, &object, bytes).await?;
        }
        put
    }
    async fn get(&self, container: &str, name: &str, range: Option<std::ops::Range<u64>>) -> Result<Download, Error> {
        self.store.get(container, name, range).await
    }
    async fn head(&self, container: &str, name: &str) -> Result<ObjectInfo, Error> {
        self.store.head(container, name).await
    }
    async fn list(&self, container: &str, prefix: &str, after: Option<&str>) -> Result<Vec<ObjectEntry>, Error> {
        self.store.list(container, prefix, after).await
    }
    async fn delete(&self, container: &str, name: &str) -> Result<(), Error> {
        self.seen.lock().unwrap().push(format!("delete {name}"));
        self.store.delete(container, name).await
    }
    async fn delete_with_segments(&self, container: &str, name: &str) -> Result<(), Error> {
        self.seen.lock().unwrap().push(format!("delete {name}"));
        self.store.delete_with_segments(container, name).await
    }
}
