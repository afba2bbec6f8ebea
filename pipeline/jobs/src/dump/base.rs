//! Where the records come from: a night of the archive that is loaded into the intermediary, or a server as it is.

use std::time::{Duration, Instant};

use archive::manifest::Content;
use archive::{BackupManifest, Night, NightState, Window};
use chrono::{DateTime, Utc};
use influx::Influx;
use store::Store;

use super::Config;
use super::schema::Origin;
use crate::loaded::{self, LoadedNight};
use crate::wait::{self, Told};
use crate::{Error, Event, Kind, Lock, Progress, lock};

/// How often it is looked whether the night has been loaded.
const POLL: Duration = Duration::from_secs(2);

/// Databases that are no one's data: InfluxDB's own, and the one with the loaded record.
const OWN_DATABASES: [&str; 2] = ["_internal", "nightshard"];

/// Where the records come from.
#[derive(Debug)]
pub(super) enum Base {
    /// A night of the archive.
    Night(Box<archive::Loaded<BackupManifest>>),
    /// The server as it is.
    Server {
        /// Its databases but for [`OWN_DATABASES`].
        databases: Vec<String>,
    },
}

impl Base {
    /// The night that the server holds, if it is a later one than asked for: that has the earlier day's records too, and
    /// there may be no backup of that day. Else the night itself, waited for.
    pub(super) async fn night(
        config: &Config,
        store: &dyn Store,
        influx: &Influx,
        night: &Night,
        progress: &dyn Progress,
    ) -> Result<Base, Error> {
        let zone = config.calendar.time_zone;
        if let Some(copied) = copied(config.database.as_deref(), store, influx, night).await {
            return Ok(Base::Night(Box::new(wait::in_time_zone(copied, zone)?)));
        }
        if let Some(later) = later(store, influx, night).await {
            return Ok(Base::Night(Box::new(wait::in_time_zone(later, zone)?)));
        }
        Ok(Base::Night(Box::new(wait::for_backup(store, night, zone, config.wait, progress).await?)))
    }

    /// The night itself, or the next one of the archive that has been sealed after it: that has the earlier day's records
    /// too. Where there is neither, the night is waited for.
    pub(super) async fn archived(
        config: &Config,
        store: &dyn Store,
        night: &Night,
        progress: &dyn Progress,
    ) -> Result<Base, Error> {
        let zone = config.calendar.time_zone;
        let state = archive::night_state(store, &night.container).await;
        let is_none = !matches!(state, Ok(NightState::Ready(_) | NightState::BackingUp(_)) | Err(_));
        if is_none && let Some(next) = next(config, store, night).await? {
            return Ok(Base::Night(Box::new(wait::in_time_zone(next, zone)?)));
        }
        Ok(Base::Night(Box::new(wait::for_backup(store, night, zone, config.wait, progress).await?)))
    }

    /// The server as it is.
    pub(super) async fn server(influx: &Influx) -> Result<Base, Error> {
        let mut databases = influx.databases().await?;
        databases.retain(|database| !OWN_DATABASES.contains(&database.as_str()));
        Ok(Base::Server { databases })
    }

    /// The database to read: the one that was asked for, or the only one.
    pub(super) fn database(&self, asked: Option<&str>) -> Result<String, Error> {
        let (databases, whose) = match self {
            Base::Night(night) => (&night.document.databases, format!("the night {}", night.document.container)),
            Base::Server { databases } => (databases, "the server".to_owned()),
        };
        let named = || match databases.as_slice() {
            [] => format!("{whose} has no databases"),
            databases => format!("{whose} has {}", databases.join(", ")),
        };
        match (asked, databases.as_slice()) {
            (Some(asked), _) if databases.iter().any(|database| database == asked) => Ok(asked.to_owned()),
            (Some(asked), _) => {
                Err(Error::new(Kind::Usage, format!("cannot dump from database {asked}: it does not exist"))
                    .hint(named()))
            }
            (None, [only]) => Ok(only.clone()),
            (None, _) => Err(Error::new(Kind::Usage, "cannot tell which database to dump from".to_owned())
                .hint(format!("{}; name one with --database", named()))),
        }
    }

    /// Until when everything is there that was written, for a window of a policy. `date` is the server's clock before
    /// the first question.
    ///
    /// Of a night it is the earliest snapshot of the shards that meet the window. If there is none, no such
    /// shard existed when the backup asked for the list of shards, at the earliest when it began.
    pub(super) fn covered_until(
        &self,
        database: &str,
        policy: &str,
        window: Window,
        date: DateTime<Utc>,
    ) -> DateTime<Utc> {
        let Base::Night(night) = self else { return date };
        let shards = night.document.shards().map(|(_, shard)| shard);
        shards
            .filter(|shard| shard.database == database && shard.retention_policy == policy)
            .filter(|shard| shard.starts.is_none_or(|starts| starts < window.end) && window.start < shard.ends)
            .map(|shard| shard.snapshot_taken)
            .min()
            .unwrap_or(night.document.started)
    }

    /// The fields that have several types in the shards which meet a window, as far as the night's manifest tells: a line
    /// for each, with the shards.
    pub(super) fn conflicts(&self, origin: &Origin, window: Window) -> Vec<String> {
        let Some(manifest) = self.manifest() else { return Vec::new() };
        let meets = |id: &&u64| {
            manifest.shards().any(|(_, shard)| {
                shard.shard_id == **id
                    && shard.starts.is_none_or(|starts| starts < window.end)
                    && window.start < shard.ends
            })
        };
        let of = manifest.measurements.iter().filter(|measurement| {
            measurement.database == origin.database
                && measurement.retention_policy == origin.policy
                && measurement.measurement == origin.measurement
        });
        let mut conflicts = Vec::new();
        for fields in of.flat_map(|measurement| measurement.fields.chunk_by(|one, other| one.field == other.field)) {
            let types = fields.iter().filter_map(|field| {
                let shards: Vec<String> = field.shards.iter().filter(meets).map(u64::to_string).collect();
                (!shards.is_empty()).then(|| format!("{} in shard {}", field.kind, shards.join(", ")))
            });
            let types: Vec<String> = types.collect();
            if types.len() > 1 {
                conflicts.push(format!("the field {:?} of {origin} is {}", fields[0].field, types.join(" and ")));
            }
        }
        conflicts
    }

    /// The seal of the night.
    pub(super) fn manifest(&self) -> Option<&BackupManifest> {
        match self {
            Base::Night(night) => Some(&night.document),
            Base::Server { .. } => None,
        }
    }

    /// SHA-256 of the manifest of the night.
    pub(super) fn manifest_sha256(&self) -> Option<&str> {
        match self {
            Base::Night(night) => Some(&night.sha256),
            Base::Server { .. } => None,
        }
    }

    /// Makes sure that the intermediary holds the night's database, and that no restore on this machine takes it away
    /// while the lock is held; waits for that until the deadline.
    ///
    /// The lock is not held while waiting: the restore that is waited for needs it.
    pub(super) async fn hold(
        &self,
        config: &Config,
        influx: &Influx,
        database: &str,
        deadline: Option<Instant>,
        progress: &dyn Progress,
    ) -> Result<Lock, Error> {
        let name = lock::target_name(influx.url());
        let mut told = Told::default();
        loop {
            let refusal = match Lock::shared(&config.place.locks, &name) {
                Ok(lock) => match self.check(influx, database).await {
                    Ok(()) => return Ok(lock),
                    Err(refusal) => refusal,
                },
                Err(refusal) => refusal,
            };
            // A server that is being restarted by the restore does not answer for a while: that passes as well.
            let may_pass = matches!(refusal.kind(), Kind::Passing | Kind::Locked);
            let Some(left) = deadline.and_then(|deadline| deadline.checked_duration_since(Instant::now())) else {
                return Err(refusal);
            };
            if !may_pass {
                return Err(refusal);
            }
            let state = refusal.to_string();
            if told.is_due(&state) {
                progress.report(Event::Waiting(&state));
            }
            tokio::time::sleep(POLL.min(left)).await;
        }
    }

    /// Whether the intermediary holds the night's database at this moment.
    pub(super) async fn check(&self, influx: &Influx, database: &str) -> Result<(), Error> {
        let Base::Night(night) = self else { return Ok(()) };
        let container = &night.document.container;
        let copy = loaded::copies(influx).await?.into_iter().find(|copy| copy.name == database);
        let found = match copy.map(LoadedNight::from) {
            Some(copy) => Some(copy),
            None => loaded::read(influx).await?,
        };
        let holds = match found {
            None => "no night, or one that is being restored".to_owned(),
            Some(found) if found.container != *container => format!("the night {}", found.container),
            Some(found) if found.manifest_sha256 != night.sha256 => format!("another backup of {container}"),
            Some(found) if !found.databases.iter().any(|held| held == database) => {
                format!("{container} without database {database}")
            }
            Some(_) => return Ok(()),
        };
        let url = influx.url();
        Err(Error::new(Kind::Passing, format!("cannot dump from {container}: {url} holds {holds}"))
            .hint("run nightshard-restore for this night first, or wait for it with --wait"))
    }
}

/// The sealed night from which a database of this name was restored under it, when its day is that of `night` or a later one.
/// The database has that name in it, as if it had been backed up so.
async fn copied(
    database: Option<&str>,
    store: &dyn Store,
    influx: &Influx,
    night: &Night,
) -> Option<archive::Loaded<BackupManifest>> {
    let copies = loaded::copies(influx).await.ok()?;
    let copy = copies.into_iter().find(|copy| Some(copy.name.as_str()) == database)?;
    match archive::night_state(store, &copy.container).await {
        Ok(NightState::Ready(mut held)) if held.sha256 == copy.manifest_sha256 && held.document.night >= night.day => {
            held.document.databases = vec![copy.name.clone()];
            held.document.objects.retain_mut(|object| match &mut object.content {
                Content::Shard(shard) if shard.database == copy.stored => {
                    copy.name.clone_into(&mut shard.database);
                    true
                }
                Content::Shard(_) => false,
                Content::Meta => true,
            });
            Some(*held)
        }
        _ => None,
    }
}

/// The first sealed night of the archive after a day that has the database. Backups with a label stand beside the nights.
async fn next(
    config: &Config,
    store: &dyn Store,
    night: &Night,
) -> Result<Option<archive::Loaded<BackupManifest>>, Error> {
    let nights = archive::nights(store, &config.calendar.pattern).await?;
    for (day, container) in nights.iter().rev().filter(|(day, _)| *day > night.day) {
        if config.calendar.of_day(*day).ok().is_none_or(|night| night.container != *container) {
            continue;
        }
        let has = |found: &BackupManifest| config.database.as_ref().is_none_or(|name| found.databases.contains(name));
        match archive::night_state(store, container).await {
            Ok(NightState::Ready(found)) if has(&found.document) => return Ok(Some(*found)),
            _ => {}
        }
    }
    Ok(None)
}

/// The sealed night that the server holds, when its day comes after that of `night`. Whatever speaks against it will be
/// said where the night itself is looked for.
async fn later(store: &dyn Store, influx: &Influx, night: &Night) -> Option<archive::Loaded<BackupManifest>> {
    let found = loaded::read(influx).await.ok()??;
    if found.container == night.container {
        return None;
    }
    match archive::night_state(store, &found.container).await {
        Ok(NightState::Ready(held)) if held.sha256 == found.manifest_sha256 && held.document.night > night.day => {
            Some(*held)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use archive::manifest::{ShardRecord, Source, StoredObject, Writer};

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn night(databases: &[&str], shards: &[(&str, &str, Option<&str>, &str, &str)]) -> Base {
        let object = |&(database, policy, starts, ends, taken): &(&str, &str, Option<&str>, &str, &str)| StoredObject {
            name: String::new(),
            bytes: 0,
            sha256: String::new(),
            md5: String::new(),
            content: Content::Shard(ShardRecord {
                database: database.into(),
                retention_policy: policy.into(),
                shard_id: 1,
                starts: starts.map(at),
                ends: at(ends),
                snapshot_taken: at(taken),
                unchanged: None,
                pooled: None,
                files: Vec::new(),
                warnings: Vec::new(),
            }),
        };
        let empty = String::new;
        Base::Night(Box::new(archive::Loaded {
            document: BackupManifest {
                format: empty(),
                night: "2016-06-11".parse().unwrap(),
                container: "2016-06-11".into(),
                label: None,
                time_zone: "UTC".into(),
                writer: Writer { program: empty(), version: empty() },
                source: Source {
                    host: empty(),
                    influxdb_version: empty(),
                    cluster_id: empty(),
                    url: empty(),
                    snapshot_address: empty(),
                    data_directory: empty(),
                },
                started: at("2016-06-11T23:55:00Z"),
                sealed: at("2016-06-11T23:59:00Z"),
                databases: databases.iter().map(|&name| name.to_owned()).collect(),
                objects: shards.iter().map(object).collect(),
                pool: None,
                sent_bytes: None,
                verified: None,
                measurements: Vec::new(),
                statistics_sha256: None,
                warnings: Vec::new(),
                adopted: None,
            },
            sha256: "5ea1".into(),
            bytes: 0,
        }))
    }

    #[test]
    fn the_earliest_snapshot_that_meets_the_window_tells_until_when_it_is_covered() {
        let window = Window { start: at("2016-06-11T00:00:00Z"), end: at("2016-06-12T00:00:00Z") };
        let base = night(
            &["db"],
            &[
                ("db", "p", Some("2016-06-10T00:00:00Z"), "2016-06-11T00:00:00Z", "2016-06-11T23:55:01Z"),
                ("db", "p", Some("2016-06-11T00:00:00Z"), "2016-06-11T12:00:00Z", "2016-06-11T23:55:03Z"),
                ("db", "p", Some("2016-06-11T12:00:00Z"), "2016-06-12T00:00:00Z", "2016-06-11T23:55:02Z"),
                ("db", "p", Some("2016-06-12T00:00:00Z"), "2016-06-13T00:00:00Z", "2016-06-11T23:55:01Z"),
                ("db", "q", None, "2016-06-11T00:00:01Z", "2016-06-11T23:55:04Z"),
                ("other", "p", None, "2017-01-01T00:00:00Z", "2016-06-11T23:55:01Z"),
            ],
        );
        let until = |database, policy| base.covered_until(database, policy, window, at("2020-01-01T00:00:00Z"));
        assert_eq!(until("db", "p"), at("2016-06-11T23:55:02Z"));
        assert_eq!(until("db", "q"), at("2016-06-11T23:55:04Z"));
        assert_eq!(until("db", "without shards"), at("2016-06-11T23:55:00Z"));
        let server = Base::Server { databases: Vec::new() };
        assert_eq!(server.covered_until("db", "p", window, at("2020-01-01T00:00:00Z")), at("2020-01-01T00:00:00Z"));
    }

    #[test]
    fn the_only_database_need_not_be_named() {
        assert_eq!(night(&["db"], &[]).database(None).unwrap(), "db");
        assert_eq!(night(&["a", "b"], &[]).database(Some("b")).unwrap(), "b");
        for (databases, asked) in [(&["a", "b"][..], None), (&["a", "b"][..], Some("c")), (&[][..], None)] {
            let error = night(databases, &[]).database(asked).unwrap_err();
            assert_eq!(error.kind(), Kind::Usage);
            assert!(databases.iter().all(|name| error.hint_text().unwrap().contains(name)), "{error:?}");
        }
    }
}
