//! Pins: nights that somebody wants to keep, whatever becomes of others of their age, and why.
//!
//! ```text
//! seal ─▶ the pin that stands there ─▶ record beside the seal, read back ─▶ seal, once more
//! ```
//!
//! This is the one station of the list that changes something, and it changes nothing but that record.

use std::sync::Arc;

use archive::manifest::BackupOutline;
use archive::records::PinRecord;
use archive::state::night_state_with;
use archive::{Calendar, Date, Document, Night, NightState, Reason, names};
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use store::{Store, StoreExt};

use crate::{Error, Interrupt, Kind, Place, unsealed, wait};

/// The night that is pinned, or is not to be any more.
#[derive(Debug, Clone)]
pub struct Pinning {
    /// Where the job runs.
    pub place: Place,
    /// How days become containers; with a label, that of the labelled backup.
    pub calendar: Calendar,
    /// Which night: always a single one, since each is kept for a reason of its own.
    pub date: Date,
    /// Asks for an early end.
    pub interrupt: Interrupt,
}

/// That a night is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pin {
    /// Why.
    pub reason: String,
    /// When the pin was set.
    pub since: DateTime<Utc>,
}

impl From<PinRecord> for Pin {
    fn from(record: PinRecord) -> Pin {
        Pin { reason: record.reason, since: record.set }
    }
}

/// How a night stands after it was pinned, or after its pin was taken away. Printed with `--json`: members are added, never
/// changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pinned {
    /// Its container.
    pub container: String,
    /// The day that it is named after.
    pub night: NaiveDate,
    /// The pin that it has now.
    pub pin: Option<Pin>,
    /// Whether it was pinned before.
    pub was_pinned: bool,
    /// The pin that it had; null also where that could not be read.
    pub before: Option<Pin>,
}

impl Pinned {
    /// What became of the pin, as people read it.
    #[must_use]
    pub fn summary(&self) -> String {
        let Pinned { container, .. } = self;
        let before = match &self.before {
            Some(before) if self.pin.as_ref().is_some_and(|pin| pin.reason == before.reason) => String::new(),
            Some(before) => format!("; until now: {}", before.reason),
            None if self.was_pinned => "; the pin that stood there could not be read".to_owned(),
            None => String::new(),
        };
        match &self.pin {
            Some(pin) => format!("{container} is pinned: {}{before}", pin.reason),
            None if self.was_pinned => format!("{container} is not pinned any more{before}"),
            None => format!("{container} was not pinned"),
        }
    }
}

/// Pins a night, or gives its pin another reason.
///
/// # Errors
///
/// [`Kind::Missing`] when the night is not sealed: there is nothing to keep.
pub async fn pin(
    pinning: Pinning,
    reason: &Reason,
    now: DateTime<Utc>,
    store: Arc<dyn Store>,
) -> Result<Pinned, Error> {
    let store = store.as_ref();
    pinning.interrupt.unless(set(&pinning, reason, now, store)).await
}

/// Takes the pin away from a night. One that has none is success, and the outcome says so.
///
/// # Errors
///
/// [`Kind::Missing`] when there is no such night.
pub async fn unpin(pinning: Pinning, now: DateTime<Utc>, store: Arc<dyn Store>) -> Result<Pinned, Error> {
    let store = store.as_ref();
    pinning.interrupt.unless(take_away(&pinning, now, store)).await
}

async fn set(pinning: &Pinning, reason: &Reason, now: DateTime<Utc>, store: &dyn Store) -> Result<Pinned, Error> {
    let night = pinning.calendar.night(pinning.date, now)?;
    sealed(store, &night).await?;
    let Night { container, day, .. } = night;
    let (was_pinned, before) = match standing(store, &container).await {
        Ok(before) => (before.is_some(), before),
        // What nobody can read is replaced; what a newer version has written says more than we could.
        Err(archive::Error::Unreadable { .. }) => (true, None),
        Err(error) => return Err(error.into()),
    };
    let record = PinRecord {
        format: PinRecord::FORMAT.to_owned(),
        writer: pinning.place.writer.clone(),
        host: pinning.place.host.clone(),
        set: now,
        reason: reason.as_str().to_owned(),
    };
    let written = archive::seal(store, &container, &names::pin_record(&container), &record).await;
    written.map_err(|error| Error::from(error).after_changes())?;
    // Whoever removes the night begins with its seal, and may have looked for a pin before this one stood.
    let seal = store.find(&container, &names::backup_manifest(&container)).await;
    if seal.map_err(|error| Error::from(error).after_changes())?.is_none() {
        return Err(Error::new(Kind::Failed, format!("{container} lost its seal while it was pinned"))
            .hint("somebody replaces or removes it; the same command tells later what became of it"));
    }
    Ok(Pinned { container, night: day, pin: Some(record.into()), was_pinned, before })
}

/// Whether there is something to keep.
async fn sealed(store: &dyn Store, night: &Night) -> Result<(), Error> {
    let container = &night.container;
    let mut hint = "only a night that is ready can be pinned; nightshard-list shows which are".to_owned();
    let why = match night_state_with::<BackupOutline>(store, container).await? {
        NightState::Ready(_) => return Ok(()),
        NightState::BackingUp(marker) => {
            format!("it is being backed up on {} (process {})", marker.host, marker.process)
        }
        NightState::Failed(error) => error,
        NightState::Deleted(deletion) => wait::deleted(&deletion),
        NightState::Unsealed => {
            hint = unsealed::hint(night);
            unsealed::UNSEALED.to_owned()
        }
        NightState::Misnamed(object) => {
            hint = unsealed::hint_of_misnamed(night);
            unsealed::misnamed(container, &object)
        }
        NightState::Absent => "nothing is there".to_owned(),
    };
    Err(Error::new(Kind::Missing, format!("there is no backup in {container}: {why}")).hint(hint))
}

async fn take_away(pinning: &Pinning, now: DateTime<Utc>, store: &dyn Store) -> Result<Pinned, Error> {
    let Night { container, day, .. } = pinning.calendar.night(pinning.date, now)?;
    let before = match standing(store, &container).await {
        Ok(before) => before,
        // One that cannot be understood can be taken away all the same: who asks for it wants none to be there.
        Err(archive::Error::Unreadable { .. } | archive::Error::NewerFormat { .. }) => None,
        Err(error) => return Err(error.into()),
    };
    let removed = archive::remove(store, &container, &names::pin_record(&container)).await?;
    let was_pinned = removed || before.is_some();
    if !was_pinned {
        match store.list(&container, &names::manifests_prefix(&container), None).await {
            Err(store::Error::NotFound { .. }) => {
                let message = format!("there is no night {container} in {}", store.location());
                return Err(Error::new(Kind::Missing, message)
                    .hint("is the date right, and --label? nightshard-list shows which nights there are"));
            }
            listed => listed?,
        };
    }
    Ok(Pinned { container, night: day, pin: None, was_pinned, before })
}

/// The pin that stands there.
async fn standing(store: &dyn Store, container: &str) -> Result<Option<Pin>, archive::Error> {
    match archive::read::<PinRecord>(store, container, &names::pin_record(container)).await {
        Ok(loaded) => Ok(Some(loaded.document.into())),
        Err(archive::Error::Missing { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}
