//! What there is: every night of the archive as a plan has to know it, and what others that share its pool name there.

use std::collections::HashMap;

use archive::pool::{NamedBy, Naming, PoolName};
use archive::records::{PinRecord, RestoreRecord};
use archive::retention::{Candidate, Health};
use archive::state::night_state_with;
use archive::verification::VerifyRecord;
use archive::{Document, NightState, names};
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use futures_util::{StreamExt, TryStreamExt, stream};
use store::{ObjectEntry, Store, StoreExt};

use super::Config;
use super::plan::Untouched;
use crate::{Error, unsealed};

/// How far a clock may go wrong before a night counts as one that was taken in the future.
const TOLERANCE: TimeDelta = TimeDelta::hours(24);

/// What there is.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// The sealed nights.
    pub(super) candidates: Vec<Candidate>,
    /// Sealed nights that are said to be taken in the future. A clock was wrong: they count for no rule, and no other night
    /// leaves because they are there.
    pub(super) future: Vec<Candidate>,
    /// By container, what each of them has.
    pub(super) held: HashMap<String, Held>,
    /// The nights of which an earlier run has taken away the seal, and no more.
    pub(super) unfinished: Vec<String>,
    /// The sealed nights with a record that they are to be deleted: a run was killed before it took the seal.
    pub(super) spared: Vec<String>,
    /// The containers in which dumps lie, with their days.
    pub(super) dumps: Vec<(NaiveDate, String)>,
    /// What is left alone, and why.
    pub(super) untouched: Vec<Untouched>,
    /// How many nights name each object of the pool, those of other archives in this store among them.
    pub(super) named: HashMap<PoolName, NamedBy>,
}

/// What a night holds.
#[derive(Debug, Clone)]
pub(super) struct Held {
    /// SHA-256 of its seal.
    pub(super) sha256: String,
    /// How many objects its seal names.
    pub(super) objects: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// Those of them that are not in the pool.
    pub(super) own_bytes: u64,
}

/// A sealed night.
struct Sealed {
    candidate: Candidate,
    held: Held,
    naming: Naming,
    /// Whether a record of a deletion lies beside its seal.
    is_spared: bool,
    is_future: bool,
}

/// What was found in one container.
enum Found {
    /// A night.
    Sealed { night: Box<Sealed>, has_dumps: bool },
    /// Not a night, or none any more.
    Other { is_unfinished: bool, has_dumps: bool, untouched: Option<String> },
    /// A container of others, with what they name.
    Foreign(Option<Box<Naming>>),
}

impl Survey {
    /// Reads every seal of the store.
    pub(super) async fn of(config: &Config, now: DateTime<Utc>, store: &dyn Store) -> Result<Survey, Error> {
        let pattern = config.calendar.pattern.clone().labelled(None);
        let ours: HashMap<String, NaiveDate> =
            archive::nights(store, &pattern).await?.into_iter().map(|(day, container)| (container, day)).collect();
        let looks = all_containers(store, &config.pool).await?.into_iter().map(|container| {
            let day = ours.get(&container).copied();
            async move {
                let found = match day {
                    Some(day) => night(config, day, &container, now, store).await?,
                    None => foreign(&container, store).await?,
                };
                Ok::<_, Error>((container, day, found))
            }
        });
        let mut looks = stream::iter(looks).buffered(config.parallel.max(1));
        let (mut survey, mut number) = (Survey::default(), 0);
        while let Some((container, day, found)) = looks.try_next().await? {
            survey.take(config, container, day, found, &mut number);
        }
        Ok(survey)
    }

    fn take(&mut self, config: &Config, container: String, day: Option<NaiveDate>, found: Found, number: &mut u32) {
        let mut count = |naming: &Naming| {
            *number += 1;
            NamedBy::count(&mut self.named, *number, naming, &config.pool);
        };
        let has_dumps = match found {
            Found::Sealed { night, has_dumps } => {
                let Sealed { candidate, held, naming, is_spared, is_future } = *night;
                count(&naming);
                self.held.insert(container.clone(), held);
                if is_spared {
                    self.spared.push(container.clone());
                }
                if is_future {
                    let why = format!("it was taken at {}, which is still to come: a clock was wrong", candidate.taken);
                    self.untouched.push(Untouched { container: container.clone(), why });
                    self.future.push(candidate);
                } else {
                    self.candidates.push(candidate);
                }
                has_dumps
            }
            Found::Other { is_unfinished, has_dumps, untouched } => {
                if is_unfinished {
                    self.unfinished.push(container.clone());
                }
                self.untouched.extend(untouched.map(|why| Untouched { container: container.clone(), why }));
                has_dumps
            }
            Found::Foreign(naming) => {
                naming.iter().for_each(|naming| count(naming));
                false
            }
        };
        if let Some(day) = day.filter(|_| has_dumps) {
            self.dumps.push((day, container));
        }
    }
}

/// The names of all containers but that of the pool.
async fn all_containers(store: &dyn Store, pool: &str) -> Result<Vec<String>, Error> {
    let mut all: Vec<String> = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = store.list_containers("", after.as_deref()).await?;
        let Some(last) = page.last() else { return Ok(all) };
        after = Some(last.name.clone());
        all.extend(page.into_iter().map(|entry| entry.name).filter(|name| name != pool));
    }
}

/// A container that is named as ours are.
async fn night(
    config: &Config,
    day: NaiveDate,
    container: &str,
    now: DateTime<Utc>,
    store: &dyn Store,
) -> Result<Found, Error> {
    let records = match store.list_all(container, &names::manifests_prefix(container)).await {
        Err(store::Error::NotFound { .. }) => Vec::new(),
        listed => listed?,
    };
    let has_dumps = records.iter().any(|record| names::is_dump_manifest(container, &record.name));
    let other = |is_unfinished, untouched| Found::Other { is_unfinished, has_dumps, untouched };
    let sealed = match night_state_with::<Naming>(store, container).await {
        Ok(NightState::Ready(sealed)) => *sealed,
        Ok(NightState::Deleted(deletion)) => return Ok(other(deletion.finished.is_none(), None)),
        Ok(NightState::Absent) => return Ok(other(false, None)),
        Ok(NightState::BackingUp(marker)) => {
            let why = format!("a backup is under way, on {} (process {})", marker.host, marker.process);
            return Ok(other(false, Some(why)));
        }
        Ok(NightState::Failed(error)) => return Ok(other(false, Some(format!("its backup failed: {error}")))),
        Ok(NightState::Misnamed(object)) => {
            return Ok(other(false, Some(unsealed::misnamed(container, &object))));
        }
        Ok(NightState::Unsealed) => return Ok(other(false, Some(unsealed::UNSEALED.to_owned()))),
        Err(archive::Error::Store(error)) => return Err(error.into()),
        // What it names is not known, so the collection will not go on either, and says so.
        Err(error) => return Ok(other(false, Some(error.to_string()))),
    };
    let beside = Beside { store, container, records: &records };
    let verified = beside.one::<VerifyRecord>(&names::verify_record(container)).await?.unwrap_or_default();
    let pin = match beside.one::<PinRecord>(&names::pin_record(container)).await? {
        Ok(pin) => pin.map(|pin| pin.reason),
        // What cannot be read is a pin all the same.
        Err(error) => Some(error),
    };
    let mut restored = Vec::new();
    for record in records.iter().filter(|record| names::is_restore_record(container, &record.name)) {
        restored.extend(beside.one::<RestoreRecord>(&record.name).await?.unwrap_or_default());
    }
    let naming = sealed.document;
    let is_future = naming.taken() > now + TOLERANCE;
    let is_spared = records.iter().any(|record| record.name == names::deletion_record(container));
    let health = Health::of(&sealed.sha256, &naming.databases, verified.as_ref(), &restored);
    let candidate = Candidate {
        container: container.to_owned(),
        day,
        hour: config.calendar.pattern.hour_of(container),
        taken: naming.taken(),
        label: config.calendar.pattern.label_of(container).map(str::to_owned),
        source: naming.source.cluster_id.clone(),
        databases: naming.databases.clone(),
        // Nobody knows when it was taken, so it vouches for nothing.
        health: if is_future { Health::Unverified } else { health },
        pin,
        holds: Vec::new(),
    };
    let own = naming.objects.iter().filter(|object| object.pooled.is_none());
    let held = Held {
        sha256: sealed.sha256,
        objects: naming.objects.len() as u64,
        bytes: naming.objects.iter().map(|object| object.bytes).fold(0, u64::saturating_add),
        own_bytes: own.map(|object| object.bytes).fold(0, u64::saturating_add),
    };
    let night = Box::new(Sealed { candidate, held, naming, is_spared, is_future });
    Ok(Found::Sealed { night, has_dumps })
}

/// A container of others: several InfluxDB may share a pool.
async fn foreign(container: &str, store: &dyn Store) -> Result<Found, Error> {
    match archive::read::<Naming>(store, container, &names::backup_manifest(container)).await {
        Ok(loaded) => Ok(Found::Foreign(Some(Box::new(loaded.document)))),
        Err(archive::Error::Store(error)) => Err(error.into()),
        Err(_) => Ok(Found::Foreign(None)),
    }
}

/// The records beside a seal.
struct Beside<'a> {
    store: &'a dyn Store,
    container: &'a str,
    records: &'a [ObjectEntry],
}

impl Beside<'_> {
    /// One of them, if it is listed; or what is wrong with it.
    async fn one<D: Document>(&self, name: &str) -> Result<Result<Option<D>, String>, Error> {
        if !self.records.iter().any(|record| record.name == name) {
            return Ok(Ok(None));
        }
        match archive::read::<D>(self.store, self.container, name).await {
            Ok(loaded) => Ok(Ok(Some(loaded.document))),
            Err(archive::Error::Missing { .. }) => Ok(Ok(None)),
            Err(archive::Error::Store(error)) => Err(error.into()),
            Err(error) => Ok(Err(error.to_string())),
        }
    }
}
