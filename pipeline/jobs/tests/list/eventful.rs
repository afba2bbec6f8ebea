//! A store in which something happens meanwhile, and that remembers what it was asked for.

use std::ops::Range;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use store::{Body, ContainerEntry, Download, Error, ObjectEntry, ObjectInfo, Store};

#[derive(Debug)]
pub(crate) struct Eventful {
    inner: Arc<dyn Store>,
    /// What goes, and what it is that must have been stored before.
    loss: Option<(String, String)>,
    asked: Mutex<Vec<String>>,
    /// What the names of the containers begin with that there are.
    prefix: String,
}

impl Eventful {
    /// Nothing happens.
    pub(crate) fn watching(inner: &Arc<dyn Store>) -> Eventful {
        Eventful { inner: Arc::clone(inner), loss: None, asked: Mutex::default(), prefix: String::new() }
    }

    /// There are no containers but these: others use the same store.
    pub(crate) fn alone(inner: &Arc<dyn Store>, prefix: &str) -> Eventful {
        Eventful { prefix: prefix.to_owned(), ..Eventful::watching(inner) }
    }

    /// Somebody removes an object at the moment at which another one was stored.
    pub(crate) fn losing(inner: &Arc<dyn Store>, lost: String, after: String) -> Eventful {
        Eventful { loss: Some((lost, after)), ..Eventful::watching(inner) }
    }

    /// The objects that were read or asked about.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait]
impl Store for Eventful {
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
        self.inner.create_container(container).await
    }

    async fn delete_container(&self, container: &str) -> Result<(), Error> {
        self.inner.delete_container(container).await
    }

    async fn list_containers(&self, prefix: &str, after: Option<&str>) -> Result<Vec<ContainerEntry>, Error> {
        let prefix = if prefix.len() < self.prefix.len() { &self.prefix } else { prefix };
        self.inner.list_containers(prefix, after).await
    }

    async fn put(&self, container: &str, name: &str, body: &Body) -> Result<ObjectInfo, Error> {
        let stored = self.inner.put(container, name, body).await?;
        if let Some((lost, _)) = self.loss.as_ref().filter(|(_, after)| after == name) {
            self.inner.delete(container, lost).await?;
        }
        Ok(stored)
    }

    async fn get(&self, container: &str, name: &str, range: Option<Range<u64>>) -> Result<Download, Error> {
        self.asked.lock().unwrap().push(name.to_owned());
        self.inner.get(container, name, range).await
    }

    async fn head(&self, container: &str, name: &str) -> Result<ObjectInfo, Error> {
        self.asked.lock().unwrap().push(name.to_owned());
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
