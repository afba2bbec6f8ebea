//! What the night's container holds before the run: whether the run may go on from it, and what need not be sent again.
//!
//! A listing is only a hint of what may be there. Whether an object is the very one that was just read from the source
//! is asked of the store when its turn comes.

use std::collections::BTreeMap;

use archive::state::FoundMarker;
use archive::{Night, names};
use store::{Digests, Store, StoreExt};

use super::preflight::Wanted;
use crate::{Error, Kind, unsealed};

/// The objects in `shards/`: bytes by name, as the listing has them.
pub(super) type Held = BTreeMap<String, u64>;

/// Looks at what the container holds, and refuses what no run of this source has left there. Of a night that is sealed it
/// is known whose it is.
pub(super) async fn look(
    night: &Night,
    wanted: &Wanted,
    markers: &[FoundMarker],
    is_sealed: bool,
    store: &dyn Store,
) -> Result<Held, Error> {
    let container = &night.container;
    let found = Contents::list(container, store).await?;
    if let Some(name) = &found.foreign {
        return Err(Error::new(Kind::Failed, format!("{container} holds objects that are no backup, such as {name}"))
            .hint("give another --container pattern or a --label, or move these objects elsewhere"));
    }
    if is_sealed || found.held.is_empty() {
        return Ok(found.held);
    }
    let start_over = format!(
        "no backup is in there: remove the container {container} from {} (in Swift: `swift delete {container}`), or \
         give this backup a --label",
        store.location()
    );
    let refuse = |why: String| Err(Error::new(Kind::Failed, why).hint(&start_over));
    let mut markers = markers.iter().filter(|found| !found.marker.is_deleting).peekable();
    if let (None, Some((name, _))) = (markers.peek(), found.held.first_key_value()) {
        let why = format!(
            "{container} holds objects of an unfinished run or of a script, such as {name}, and no marker tells whose they are"
        );
        let adopt = unsealed::command(night);
        return Err(Error::new(Kind::Failed, why)
            .hint(format!("`{adopt}` makes a night of them, if they are a whole backup; if {start_over}")));
    }
    for FoundMarker { marker, .. } in markers {
        if marker.cluster_id != wanted.source.cluster_id {
            return refuse(format!(
                "{container} holds what a run on {} (process {}) began to back up from another InfluxDB",
                marker.host, marker.process
            ));
        }
        let is_left_out = |name: &&String| wanted.existing.contains(*name) && !wanted.databases.contains(*name);
        if let Some(left_out) = marker.databases.iter().find(is_left_out) {
            return refuse(format!("{container} was begun with database {left_out}, which is not asked for now"));
        }
    }
    tracing::info!("going on with {container}, which an earlier run began: {} objects are there", found.held.len());
    Ok(found.held)
}

/// A container's objects, by what they are to a backup.
#[derive(Default)]
struct Contents {
    held: Held,
    /// One that is nothing of ours.
    foreign: Option<String>,
}

impl Contents {
    /// A container that does not exist has none.
    async fn list(container: &str, store: &dyn Store) -> Result<Contents, Error> {
        // Dumps, their seals, and records may lie there without a backup: a later night has the day's points, too.
        let beside =
            [names::dumps_prefix(container), names::manifests_prefix(container), names::running_prefix(container)];
        let mut contents = Contents::default();
        let mut after: Option<String> = None;
        loop {
            let page = match store.list(container, "", after.as_deref()).await {
                Ok(page) => page,
                Err(store::Error::NotFound { .. }) => return Ok(contents),
                Err(error) => return Err(error.into()),
            };
            let Some(last) = page.last() else { return Ok(contents) };
            after = Some(last.name.clone());
            for entry in page {
                if names::is_data(container, &entry.name) {
                    contents.held.insert(entry.name, entry.bytes);
                } else if !beside.iter().any(|prefix| entry.name.starts_with(prefix)) {
                    contents.foreign = Some(entry.name);
                }
            }
        }
    }
}

/// Whether the store holds exactly these bytes under the name, so that they need not be sent.
pub(super) async fn holds(
    store: &dyn Store,
    container: &str,
    held: &Held,
    name: &str,
    digests: &Digests,
) -> Result<bool, Error> {
    if held.get(name) != Some(&digests.bytes) {
        return Ok(false);
    }
    // A link is what a run has left that shared with other nights: nothing tells how long its target stays.
    Ok(store.find_same(container, name, digests).await?.is_some_and(|info| !info.is_link))
}
