//! The dumps of a night leave: the seal of each first, then the object that it names. What no seal names is not ours.

use archive::names;
use archive::records::DumpManifest;
use store::{ObjectEntry, Store, StoreExt};

use super::Config;
use super::remove::{self, Removed};
use crate::Error;

/// Deletes all sealed dumps in the container, and the container with the last of them.
pub(super) async fn remove(config: &Config, container: &str, store: &dyn Store) -> Result<Removed, Error> {
    let records = store.list_all(container, &names::manifests_prefix(container)).await?;
    let (of_dumps, others): (Vec<_>, Vec<_>) =
        records.into_iter().partition(|entry| remove::is_of_dumps(container, &entry.name));
    let mut dumps = Vec::new();
    for seal in of_dumps.iter().filter(|entry| names::is_dump_manifest(container, &entry.name)) {
        match archive::read::<DumpManifest>(store, container, &seal.name).await {
            Ok(loaded) => {
                let bytes = loaded.document.bytes;
                dumps.extend(loaded.document.object.map(|name| ObjectEntry { name, bytes, etag: None }));
            }
            Err(archive::Error::Missing { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    dumps.retain(|dump| dump.name.starts_with(&names::dumps_prefix(container)));
    remove::objects(config, container, of_dumps, store).await?;
    let removed = remove::objects(config, container, dumps, store).await?;
    // That the night was deleted is of no use any more when nothing is left of it.
    let deletion = names::deletion_record(container);
    let is_empty = store.list(container, &names::dumps_prefix(container), None).await?.is_empty();
    if is_empty && others.len() == 1 && others.iter().all(|entry| entry.name == deletion) {
        archive::remove(store, container, &deletion).await?;
    }
    remove::forget_container(container, store).await?;
    Ok(removed)
}
