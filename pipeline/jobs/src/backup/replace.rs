//! Replacing a sealed night: only where every database in it has another night to be restored from, since from the moment
//! its seal goes until the new one stands there is nothing here.

use std::collections::BTreeMap;

use archive::{BackupManifest, ContainerPattern, Loaded, names, nights};
use store::{Store, StoreExt};

use crate::{Error, Kind};

/// Gives the SHA-256 of the seal that may go.
pub(super) async fn permit(
    sealed: &Loaded<BackupManifest>,
    pattern: &ContainerPattern,
    store: &dyn Store,
) -> Result<String, Error> {
    let night = &sealed.document;
    let mut alone = night.databases.clone();
    // Backups with other labels are nights as well.
    let all = nights(store, &pattern.clone().labelled(None)).await?;
    for (_, container) in all.into_iter().filter(|(_, other)| *other != night.container) {
        if alone.is_empty() {
            break;
        }
        if let Some(other) = good(&container, night, store).await? {
            alone.retain(|name| !other.databases.contains(name));
        }
    }
    if alone.is_empty() {
        return Ok(sealed.sha256.clone());
    }
    let message = format!("{} is the last good night of {}, so it is not replaced", night.container, alone.join(", "));
    Err(Error::new(Kind::Failed, message)
        .hint("make another one first, such as one more of today with --label; then this one can be replaced"))
}

/// The manifest of a night of the same source, if everything that it names is listed with its length.
async fn good(container: &str, of: &BackupManifest, store: &dyn Store) -> Result<Option<BackupManifest>, Error> {
    let manifest = match archive::read::<BackupManifest>(store, container, &names::backup_manifest(container)).await {
        Ok(loaded) => loaded.document,
        Err(archive::Error::Store(error)) => return Err(error.into()),
        Err(_) => return Ok(None),
    };
    if manifest.container != container || manifest.source.cluster_id != of.source.cluster_id {
        return Ok(None);
    }
    let listed = store.list_all(container, &names::shards_prefix(container)).await?;
    let listed: BTreeMap<String, u64> = listed.into_iter().map(|entry| (entry.name, entry.bytes)).collect();
    let is_whole = manifest.objects.iter().all(|object| listed.get(&object.name) == Some(&object.bytes));
    Ok(is_whole.then_some(manifest))
}
