//! What holds a night that would leave, and is asked of such nights alone: a run that is at work in it, or a dump that only a
//! younger night can complete.

use archive::names;
use archive::records::DumpManifest;
use archive::state::markers;
use store::{Store, StoreExt};

use super::Config;
use crate::Error;
use crate::claim::refuse_company;

/// Why the night in `container` must stay for now.
pub(super) async fn of_night(config: &Config, container: &str, store: &dyn Store) -> Result<Vec<String>, Error> {
    let mut holds = of_dumps(container, store).await?;
    match markers(store, container).await {
        Ok(found) => {
            holds.extend(refuse_company(&found, &config.place.host, container).err().map(|error| error.to_string()));
        }
        Err(archive::Error::Store(error)) => return Err(error.into()),
        Err(error) => holds.push(error.to_string()),
    }
    Ok(holds)
}

/// Why the dumps in `container` must stay for now. As long as a dump is open, the night that it was read from may have points
/// that no other one has.
pub(super) async fn of_dumps(container: &str, store: &dyn Store) -> Result<Vec<String>, Error> {
    let listed = match store.list_all(container, &names::manifests_prefix(container)).await {
        Err(store::Error::NotFound { .. }) => return Ok(Vec::new()),
        listed => listed?,
    };
    let (mut open, mut holds) = (Vec::new(), Vec::new());
    for seal in listed.iter().filter(|seal| names::is_dump_manifest(container, &seal.name)) {
        match archive::read::<DumpManifest>(store, container, &seal.name).await {
            Ok(loaded) if loaded.document.open => open.push(loaded.document.measurement),
            Ok(_) | Err(archive::Error::Missing { .. }) => {}
            Err(archive::Error::Store(error)) => return Err(error.into()),
            Err(error) => holds.push(error.to_string()),
        }
    }
    match open.as_slice() {
        [] => {}
        [one] => holds.push(format!("its dump of {one} is open until a younger night completes it")),
        [one, more @ ..] => holds
            .push(format!("its dumps of {one} and {} more are open until a younger night completes them", more.len())),
    }
    Ok(holds)
}
