//! Which nights an archive may have, by the names of its containers.

use chrono::NaiveDate;
use store::Store;

use crate::{ContainerPattern, Error};

/// The containers that are named as nights are, each with its day, the newest first (by the day, then by the name); with the pattern's label those that
/// carry it, else all. Whether there is a backup in them is told by their manifests alone.
///
/// # Errors
///
/// When the store fails.
pub async fn nights(store: &dyn Store, pattern: &ContainerPattern) -> Result<Vec<(NaiveDate, String)>, Error> {
    let label = pattern.label().map(|label| format!("_{label}")).unwrap_or_default();
    let mut nights = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = store.list_containers("", after.as_deref()).await?;
        let Some(last) = page.last() else { break };
        after = Some(last.name.clone());
        let named = page.into_iter().filter(|entry| entry.name.ends_with(&label));
        nights.extend(named.filter_map(|entry| Some((pattern.day_of(&entry.name)?, entry.name))));
    }
    nights.sort_unstable_by(|one, other| other.cmp(one));
    Ok(nights)
}
