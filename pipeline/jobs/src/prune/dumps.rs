//! The dumps of a night leave: the seal of each first, then the object that it names.

use archive::names;
use store::{Store, StoreExt};

use super::Config;
use super::remove::{self, Removed};
use crate::Error;

/// Deletes all dumps in the container, and the container with the last of them.
pub(super) async fn remove(config: &Config, container: &str, store: &dyn Store) -> Result<Removed, Error> {
    let records = store.list_all(container, &names::manifests_prefix(container)).await?;
    let (seals, others): (Vec<_>, Vec<_>) =
        records.into_iter().partition(|entry| remove::is_of_dumps(container, &entry.name));
    remove::objects(config, container, seals, store).await?;
    let dumps = store.list_all(container, &names::dumps_prefix(container)).await?;
    let removed = remove::objects(config, container, dumps, store).await?;
    // That the night was deleted is of no use any more when nothing is left of it.
    let deletion = names::deletion_record(container);
    if others.iter().all(|entry| entry.name == deletion) && !others.is_empty() {
        archive::remove(store, container, &deletion).await?;
    }
    remove::forget_container(container, store).await?;
    Ok(removed)
}
