//! Where the objects of a night lie, and how they are called there.

use std::sync::Arc;

use store::{ObjectEntry, ObjectInfo, Store, StoreExt};

/// The container of a night in an archive, or a folder with what was downloaded of one.
pub(super) struct Ground {
    pub(super) store: Arc<dyn Store>,
    /// The container in that store.
    pub(super) container: String,
    /// What the names of the night's objects begin with: the container that they were stored in.
    pub(super) night: String,
    /// Whether the names begin so here, too.
    is_archive: bool,
}

impl Ground {
    /// A container of an archive.
    pub(super) fn archive(store: &Arc<dyn Store>, container: &str) -> Ground {
        let store = Arc::clone(store);
        Ground { store, container: container.to_owned(), night: container.to_owned(), is_archive: true }
    }

    /// A folder that holds what was in the container `night`; `store` is the one above it.
    pub(super) fn folder(store: &Arc<dyn Store>, folder: &str, night: &str) -> Ground {
        let store = Arc::clone(store);
        Ground { store, container: folder.to_owned(), night: night.to_owned(), is_archive: false }
    }

    /// Whether it is an archive, in which a record can be kept.
    pub(super) fn is_archive(&self) -> bool {
        self.is_archive
    }

    /// What a person calls it.
    pub(super) fn shown(&self) -> String {
        if self.is_archive { self.container.clone() } else { format!("{}/{}", self.store.location(), self.container) }
    }

    /// What the object is called here.
    pub(super) fn name<'a>(&self, object: &'a str) -> &'a str {
        let within = || object.strip_prefix(&self.night)?.strip_prefix('/');
        if self.is_archive { object } else { within().unwrap_or(object) }
    }

    /// What the store knows of an object.
    pub(super) async fn find(&self, object: &str) -> Result<Option<ObjectInfo>, store::Error> {
        self.store.find(&self.container, self.name(object)).await
    }

    /// The objects whose names begin with `prefix`, by the names that they have in an archive. A container that does not
    /// exist has none.
    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<ObjectEntry>, store::Error> {
        let mut listed = match self.store.list_all(&self.container, self.name(prefix)).await {
            Err(store::Error::NotFound { .. }) => Vec::new(),
            other => other?,
        };
        if !self.is_archive {
            listed.iter_mut().for_each(|entry| entry.name.insert_str(0, &format!("{}/", self.night)));
        }
        Ok(listed)
    }
}
