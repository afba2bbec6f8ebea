//! How a night stands, read from what lies in its container.

use chrono::TimeDelta;
use store::{Store, StoreExt};

use crate::manifest::Seal;
use crate::records::{DeletionRecord, RunState, RunningMarker};
use crate::{BackupManifest, Error, Loaded, names, read};

/// A marker is renewed every 30 seconds; one that is older than this belongs to a run that died.
pub const MARKER_LIFETIME: TimeDelta = TimeDelta::minutes(5);

/// How a night stands.
#[derive(Debug, Clone)]
pub enum NightState<S = BackupManifest> {
    /// `STATUS_READY`: it is sealed.
    Ready(Box<Loaded<S>>),
    /// `STATUS_BACKING_UP`: a run is under way.
    BackingUp(RunningMarker),
    /// Its seal was taken away on purpose: `STATUS_DELETED` where all is gone but the dumps, else `STATUS_DELETING`, for what it
    /// named is on its way out, or was when the run was killed.
    Deleted(DeletionRecord),
    /// `STATUS_ERROR`: a run failed or died, and this is what it said or what is known of it.
    Failed(String),
    /// There are objects as a backup has them, and neither its seal nor word of a run: the seal was lost, or they are none of
    /// ours.
    Unsealed,
    /// There is none, but others have stored objects that are called like a backup's without the container's name in front, such
    /// as this one.
    Misnamed(String),
    /// There is nothing of ours.
    Absent,
}

/// A marker with its age by the store's clock.
#[derive(Debug, Clone)]
pub struct FoundMarker {
    /// Name of the object.
    pub name: String,
    /// The marker.
    pub marker: RunningMarker,
    /// How long ago it was written.
    pub age: TimeDelta,
}

impl FoundMarker {
    /// Whether its run is to be taken as alive.
    #[must_use]
    pub fn is_fresh(&self) -> bool {
        self.marker.state == RunState::Running && self.age < MARKER_LIFETIME
    }
}

/// How the night in `container` stands.
///
/// # Errors
///
/// When the store fails, or the manifest cannot be read.
pub async fn night_state(store: &dyn Store, container: &str) -> Result<NightState, Error> {
    night_state_with(store, container).await
}

/// The same with as much of the seal as is wanted.
///
/// # Errors
///
/// See [`night_state`].
pub async fn night_state_with<S: Seal>(store: &dyn Store, container: &str) -> Result<NightState<S>, Error> {
    let name = names::backup_manifest(container);
    match read::<S>(store, container, &name).await {
        Ok(loaded) if loaded.document.container() != container => {
            let (found, expected) = (loaded.document.container().to_owned(), container.to_owned());
            return Err(Error::Misplaced { name, found, expected });
        }
        Ok(loaded) => return Ok(NightState::Ready(Box::new(loaded))),
        Err(Error::Missing { .. }) => {}
        Err(error) => return Err(error),
    }
    let mut markers = markers(store, container).await?;
    let deletion = match read::<DeletionRecord>(store, container, &names::deletion_record(container)).await {
        Ok(loaded) => Some(loaded.document),
        Err(Error::Missing { .. }) => None,
        Err(error) => return Err(error),
    };
    // Of a deletion its record tells.
    markers.retain(|found| !found.marker.is_deleting);
    if let Some(found) = markers.iter().find(|found| found.is_fresh()) {
        return Ok(NightState::BackingUp(found.marker.clone()));
    }
    if let Some(deletion) = deletion {
        return Ok(NightState::Deleted(deletion));
    }
    let youngest = markers.into_iter().min_by_key(|found| found.age);
    Ok(match youngest {
        None => without_marker(store, container).await?,
        Some(found) => NightState::Failed(match found.marker.state {
            RunState::Failed { error } => error,
            RunState::Running => format!(
                "the run on {} (process {}) has given no sign of life for {} minutes",
                found.marker.host,
                found.marker.process,
                found.age.num_minutes()
            ),
        }),
    })
}

/// What else there may be where there is neither seal nor marker. One page of the listing is as good a hint as all of it.
async fn without_marker<S>(store: &dyn Store, container: &str) -> Result<NightState<S>, Error> {
    let shards = match store.list(container, &names::shards_prefix(container), None).await {
        Err(store::Error::NotFound { .. }) => return Ok(NightState::Absent),
        listed => listed?,
    };
    if !shards.is_empty() {
        return Ok(NightState::Unsealed);
    }
    let all = match store.list(container, "", None).await {
        Err(store::Error::NotFound { .. }) => return Ok(NightState::Absent),
        listed => listed?,
    };
    let is_data = |name: &str| names::is_data_file(name.rsplit('/').next().unwrap_or_default());
    let misnamed = all.into_iter().map(|entry| entry.name).find(|name| is_data(name));
    Ok(misnamed.map_or(NightState::Absent, NightState::Misnamed))
}

/// All running markers of a night. A container that does not exist has none.
///
/// # Errors
///
/// When the store fails.
pub async fn markers(store: &dyn Store, container: &str) -> Result<Vec<FoundMarker>, Error> {
    let listed = match store.list_all(container, &names::running_prefix(container)).await {
        Ok(listed) => listed,
        Err(store::Error::NotFound { .. }) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut found = Vec::new();
    for entry in listed {
        // Listings are hints: a marker may be gone by now.
        let (info, marker) =
            match (store.find(container, &entry.name).await?, read(store, container, &entry.name).await) {
                (Some(info), Ok(loaded)) => (info, loaded.document),
                (None, _) | (_, Err(Error::Missing { .. })) => continue,
                (_, Err(error)) => return Err(error),
            };
        found.push(FoundMarker { name: entry.name, marker, age: info.answered - info.modified });
    }
    Ok(found)
}
