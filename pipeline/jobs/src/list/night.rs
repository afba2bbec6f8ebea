//! One night: what its seal, its markers and the records beside them tell.

use std::collections::BTreeMap;

use archive::manifest::{BackupOutline, MeasurementRecord};
use archive::records::{DumpManifest, PinRecord, RestoreRecord};
use archive::state::night_state_with;
use archive::verification::{Damage, VerifyRecord};
use archive::{Document, Loaded, NightState, names};
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;
use store::{ObjectEntry, Store, StoreExt};

use super::Pin;
use super::cache::Kept;
use super::shares::Share;
use crate::{Error, unsealed, wait};

/// A night and how it stands.
#[derive(Debug, Clone, Serialize)]
pub struct Night {
    /// Its container.
    pub container: String,
    /// The day that it is named after.
    pub night: NaiveDate,
    /// The name given to it besides its date.
    pub label: Option<String>,
    /// How it stands.
    pub state: State,
    /// Why it is not ready.
    pub why: Option<String>,
    /// The databases in it.
    pub databases: Vec<String>,
    /// How many shards are in it.
    pub shards: u64,
    /// Bytes of all its objects but the dumps.
    pub bytes: u64,
    /// Those of them that the backup sent; null where its seal does not tell.
    pub sent_bytes: Option<u64>,
    /// Those of them that no night has which was sealed before; null where it is not sealed, and where that is not known.
    pub added_bytes: Option<u64>,
    /// Those of them that no other night has, so that deleting it would free them once the pool is collected; null likewise.
    pub freed_bytes: Option<u64>,
    /// Whether it has objects in the pool.
    #[serde(skip)]
    pub(crate) is_sharing: bool,
    /// Field values in it; null where nobody looked into the shards.
    pub points: Option<u64>,
    /// When its backup began; null where nobody knows, since others have made it.
    pub started: Option<DateTime<Utc>>,
    /// When it was sealed; of one that was adopted when it was stored.
    pub sealed: Option<DateTime<Utc>>,
    /// When it was adopted, after others had stored it.
    pub adopted: Option<DateTime<Utc>>,
    /// When it was verified last, and what came of it.
    pub verified: Option<Verified>,
    /// Where it was restored.
    pub restored: Vec<Restored>,
    /// That it is kept when others of its age are removed; null also where its pin could not be read.
    pub pin: Option<Pin>,
    /// How many dumps are sealed in it.
    pub dumps: u64,
    /// Everything that is in it, where one night was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub details: Option<Details>,
    /// What could not be read.
    pub unreadable: Vec<String>,
}

/// How a night stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum State {
    /// A backup is under way.
    #[serde(rename = "STATUS_BACKING_UP")]
    BackingUp,
    /// It is sealed.
    #[serde(rename = "STATUS_READY")]
    Ready,
    /// Its backup failed, or its seal cannot be read.
    #[serde(rename = "STATUS_ERROR")]
    Error,
    /// There are shards without a seal: others have stored them and nobody has adopted them, or the seal was lost.
    #[serde(rename = "STATUS_UNSEALED")]
    Unsealed,
    /// It was deleted on purpose, and what was in it is on its way out.
    #[serde(rename = "STATUS_DELETING")]
    Deleting,
    /// It was deleted on purpose, and its dumps have stayed.
    #[serde(rename = "STATUS_DELETED")]
    Deleted,
    /// There are dumps, and no backup.
    #[serde(rename = "STATUS_DUMPS_ONLY")]
    DumpsOnly,
}

/// The last verification of a night, as it is sealed now.
#[derive(Debug, Clone, Serialize)]
pub struct Verified {
    /// `quick`, `digests`, `deep` or `decode`.
    pub extent: String,
    /// Of how many slices one was looked at; null for all of the night.
    pub slices: Option<u64>,
    /// When it ended.
    pub finished: DateTime<Utc>,
    /// How many objects are damaged, by this one or by any that is still remembered.
    pub damaged: u64,
    /// How many could not be looked at.
    pub unchecked: u64,
    /// What is damaged, each object once, as the last verification that found it says it.
    pub damages: Vec<Damage>,
}

/// A restore of a night, as it is sealed now.
#[derive(Debug, Clone, Serialize)]
pub struct Restored {
    /// The host that it was restored onto.
    pub host: String,
    /// When the restore began.
    pub started: DateTime<Utc>,
    /// When every shard had answered.
    pub finished: DateTime<Utc>,
    /// Whether the points that were counted there are those of the backup; null where nothing was counted.
    pub proven: Option<bool>,
    /// The fields that had fewer points.
    pub missing: Vec<String>,
    /// The fields that had more.
    pub surplus: Vec<String>,
}

/// Everything that is in a night.
#[derive(Debug, Clone, Serialize)]
pub struct Details {
    /// What lies in `shards/`.
    pub objects: Vec<Stored>,
    /// What the shards hold.
    pub measurements: Vec<Measurement>,
    /// The dumps.
    pub dumps: Vec<Dump>,
    /// What the backup says that a person should know.
    pub warnings: Vec<String>,
}

/// An object of the backup.
#[derive(Debug, Clone, Serialize)]
pub struct Stored {
    /// Its full name.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
}

/// A measurement of the backup.
#[derive(Debug, Clone, Serialize)]
pub struct Measurement {
    /// Its database.
    pub database: String,
    /// Its retention policy.
    pub retention_policy: String,
    /// Its name.
    pub measurement: String,
    /// Field values.
    pub points: u64,
    /// The time of the first one.
    pub first: Option<DateTime<Utc>>,
    /// The time of the last one.
    pub last: Option<DateTime<Utc>>,
}

/// A dump that is sealed.
#[derive(Debug, Clone, Serialize)]
pub struct Dump {
    /// Its database.
    pub database: String,
    /// Its retention policy.
    pub retention_policy: String,
    /// Its measurement.
    pub measurement: String,
    /// The object with the records; null when there are none.
    pub object: Option<String>,
    /// Records in all.
    pub records: u64,
    /// Length of the object in bytes.
    pub bytes: u64,
    /// When its dump began.
    pub started: DateTime<Utc>,
    /// When it was sealed.
    pub sealed: DateTime<Utc>,
    /// Until when it is complete.
    pub covered_until: DateTime<Utc>,
    /// Whether that is before the end of its day.
    pub open: bool,
}

/// Reads a night and what it shares, or why nobody knows that; `None` where nothing of ours is in the container.
///
/// # Errors
///
/// When the store fails. What cannot be understood is in [`Night::unreadable`].
pub(super) async fn read(
    store: &dyn Store,
    kept: Kept,
    night: archive::Night,
    detailed: bool,
) -> Result<Option<(Night, Result<Option<Share>, String>)>, Error> {
    let command = unsealed::command(&night);
    let archive::Night { day, container, .. } = night;
    let records = match listed(store, &container).await {
        // It was removed meanwhile.
        Err(store::Error::NotFound { .. }) => return Ok(None),
        listed => listed?,
    };
    let mut beside = Beside { store, container: &container, kept, unreadable: Vec::new() };
    let seal = records.iter().find(|record| record.name == names::backup_manifest(&container));
    let state = match seal.and_then(|seal| beside.kept.get::<BackupOutline>(seal)) {
        Some(sealed) => Ok(NightState::Ready(Box::new(sealed))),
        // Listings are late, so one without a seal is no proof.
        None => night_state_with::<BackupOutline>(store, &container).await,
    };
    let mut seal_fault = None;
    let (sealed, state, why) = match state {
        Ok(NightState::Ready(sealed)) => (Some(*sealed), State::Ready, None),
        Ok(NightState::BackingUp(marker)) => {
            let why = format!("on {} (process {})", marker.host, marker.process);
            (None, State::BackingUp, Some(why))
        }
        Ok(NightState::Failed(error)) => (None, State::Error, Some(error)),
        Ok(NightState::Deleted(deletion)) => {
            let state = if deletion.finished.is_some() { State::Deleted } else { State::Deleting };
            (None, state, Some(wait::deleted(&deletion)))
        }
        Ok(NightState::Unsealed) => {
            // Records of ours lie beside a seal of ours only.
            let why = match records.is_empty() {
                true => format!("not adopted: {command} gives it a seal"),
                false => format!("its seal was lost: {command} gives it a new one"),
            };
            (None, State::Unsealed, Some(why))
        }
        Ok(NightState::Misnamed(object)) => {
            let what = unsealed::misnamed(&container, &object);
            (None, State::Unsealed, Some(format!("not adopted: {what}: {command} says how they get their names")))
        }
        Ok(NightState::Absent) => (None, State::DumpsOnly, Some("there is no backup, only dumps".to_owned())),
        Err(archive::Error::Store(error)) => return Err(error.into()),
        Err(error) => {
            beside.unreadable.push(error.to_string());
            seal_fault = Some(error.to_string());
            (None, State::Error, Some(error.to_string()))
        }
    };
    if let (Some(seal), Some(sealed)) = (seal, &sealed) {
        beside.kept.keep(seal, sealed);
    }
    let seals = records.iter().filter(|record| names::is_dump_manifest(&container, &record.name));
    let dumps = seals.clone().count() as u64;
    if state == State::DumpsOnly && dumps == 0 {
        return Ok(None);
    }
    let sha256 = sealed.as_ref().map(|sealed| sealed.sha256.as_str());
    let mut verified = None;
    for record in records.iter().filter(|record| record.name == names::verify_record(&container)) {
        let record = beside.read::<VerifyRecord>(record).await?;
        verified = record.and_then(|record| self::verified(record, sha256));
    }
    let mut pin = None;
    for record in records.iter().filter(|record| record.name == names::pin_record(&container)) {
        pin = beside.read::<PinRecord>(record).await?.map(Pin::from);
    }
    let mut restored = Vec::new();
    for record in records.iter().filter(|record| names::is_restore_record(&container, &record.name)) {
        let record = beside.read::<RestoreRecord>(record).await?;
        restored.extend(record.filter(|record| Some(record.manifest_sha256.as_str()) == sha256).map(restore));
    }
    restored.sort_by_key(|restored: &Restored| std::cmp::Reverse(restored.finished));
    let mut found = Vec::new();
    if detailed {
        for seal in seals {
            found.extend(beside.read::<DumpManifest>(seal).await?.map(dump));
        }
    }
    let unreadable = beside.unreadable;
    beside.kept.write();
    let manifest = sealed.map(|Loaded { document, .. }| document);
    let details = detailed.then(|| details(manifest.as_ref(), found));
    let share = manifest.as_ref().map(Share::of);
    let night = Night {
        night: day,
        label: manifest.as_ref().and_then(|manifest| manifest.label.clone()),
        state,
        why,
        databases: manifest.as_ref().map(|manifest| manifest.databases.clone()).unwrap_or_default(),
        shards: manifest
            .as_ref()
            .map_or(0, |manifest| manifest.objects.iter().filter(|object| object.kind == "shard").count() as u64),
        bytes: manifest
            .iter()
            .flat_map(|manifest| &manifest.objects)
            .map(|object| object.bytes)
            .fold(0, u64::saturating_add),
        sent_bytes: manifest.as_ref().and_then(|manifest| manifest.sent_bytes),
        added_bytes: None,
        freed_bytes: None,
        is_sharing: share.as_ref().is_some_and(Share::is_sharing),
        points: manifest.as_ref().filter(|manifest| manifest.verified.is_some()).map(points),
        started: manifest.as_ref().filter(|manifest| manifest.adopted.is_none()).map(|manifest| manifest.started),
        sealed: manifest.as_ref().map(|manifest| manifest.sealed),
        adopted: manifest.as_ref().and_then(|manifest| Some(manifest.adopted.as_ref()?.at)),
        verified,
        restored,
        pin,
        dumps,
        details,
        unreadable,
        container,
    };
    Ok(Some((night, seal_fault.map_or(Ok(share), Err))))
}

/// So many records and no more are on a page that is surely the last one.
const PAGE: usize = 1000;

/// What lies beside the seal and is it: one page nearly always, and then no second one is asked for.
async fn listed(store: &dyn Store, container: &str) -> Result<Vec<ObjectEntry>, store::Error> {
    let prefix = names::manifests_prefix(container);
    let first = store.list(container, &prefix, None).await?;
    if first.len() < PAGE { Ok(first) } else { store.list_all(container, &prefix).await }
}

/// The records beside the seal.
struct Beside<'a> {
    store: &'a dyn Store,
    container: &'a str,
    kept: Kept,
    unreadable: Vec<String>,
}

impl Beside<'_> {
    /// One of them; `None` where it has gone meanwhile or cannot be understood.
    async fn read<D: Document>(&mut self, listed: &ObjectEntry) -> Result<Option<D>, Error> {
        if let Some(loaded) = self.kept.get::<D>(listed) {
            return Ok(Some(loaded.document));
        }
        match archive::read::<D>(self.store, self.container, &listed.name).await {
            Ok(loaded) => {
                self.kept.keep(listed, &loaded);
                Ok(Some(loaded.document))
            }
            Err(archive::Error::Missing { .. }) => Ok(None),
            Err(archive::Error::Store(error)) => Err(error.into()),
            Err(error) => {
                self.unreadable.push(error.to_string());
                Ok(None)
            }
        }
    }
}

fn points(manifest: &BackupOutline) -> u64 {
    manifest.measurements.iter().map(of_measurement).fold(0, u64::saturating_add)
}

fn of_measurement(measurement: &MeasurementRecord) -> u64 {
    measurement.fields.iter().map(|field| field.points).fold(0, u64::saturating_add)
}

fn verified(record: VerifyRecord, sha256: Option<&str>) -> Option<Verified> {
    if record.manifest_sha256.as_deref() != sha256 {
        return None;
    }
    let last = record.verifications.last()?;
    Some(Verified {
        extent: last.extent.clone(),
        slices: last.slice.map(|slice| slice.of),
        finished: last.finished,
        damaged: record.verifications.iter().map(|one| one.damages.len() as u64).max().unwrap_or(0),
        unchecked: last.unchecked.len() as u64,
        damages: damages(&record),
    })
}

fn damages(record: &VerifyRecord) -> Vec<Damage> {
    let found = record.verifications.iter().flat_map(|one| &one.damages);
    let by_object: BTreeMap<&str, &Damage> = found.map(|damage| (damage.object.as_str(), damage)).collect();
    by_object.into_values().cloned().collect()
}

fn restore(record: RestoreRecord) -> Restored {
    let proven = record.proof.as_ref().map(|proof| proof.missing.is_empty() && proof.surplus.is_empty());
    let (missing, surplus) = record.proof.map(|proof| (proof.missing, proof.surplus)).unwrap_or_default();
    Restored { host: record.target.host, started: record.started, finished: record.finished, proven, missing, surplus }
}

fn details(manifest: Option<&BackupOutline>, dumps: Vec<Dump>) -> Details {
    let objects = manifest.iter().flat_map(|manifest| &manifest.objects);
    let measurements = manifest.iter().flat_map(|manifest| &manifest.measurements);
    Details {
        objects: objects.map(|object| Stored { name: object.name.clone(), bytes: object.bytes }).collect(),
        measurements: measurements
            .map(|measurement| Measurement {
                database: measurement.database.clone(),
                retention_policy: measurement.retention_policy.clone(),
                measurement: measurement.measurement.clone(),
                points: of_measurement(measurement),
                first: measurement.fields.iter().map(|field| field.first).min(),
                last: measurement.fields.iter().map(|field| field.last).max(),
            })
            .collect(),
        dumps,
        warnings: manifest.map(|manifest| manifest.warnings.clone()).unwrap_or_default(),
    }
}

fn dump(manifest: DumpManifest) -> Dump {
    Dump {
        database: manifest.database,
        retention_policy: manifest.retention_policy,
        measurement: manifest.measurement,
        object: manifest.object,
        records: manifest.records,
        bytes: manifest.bytes,
        started: manifest.started,
        sealed: manifest.sealed,
        covered_until: manifest.covered_until,
        open: manifest.open,
    }
}
