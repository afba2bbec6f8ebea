//! `--prove-only`: what a restore has left on the target is looked at again; nothing there is changed.
//!
//! Which night the target claims to hold, every shard of that night, and the points of each measurement and field, against
//! what was backed up. It needs no more than the target's two ports, so it runs anywhere.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use archive::records::{Proof, RestoreRecord, Target};
use archive::{Dates, Document};
use chrono::{DateTime, TimeDelta, Utc};
use influx::Influx;
use influx::metastore::{Database, LiveShard};
use serde::Serialize;
use store::Store;

use super::measure::{Differences, Measure};
use super::selection::Selection;
use super::{Config, Prove, count, record};
use crate::loaded::{self, LoadedNight};
use crate::{Error, Event, Kind, Lock, Metric, Progress, lock, wait};

/// What was found on the target. Printed with `--json`: members are added, never changed.
#[derive(Debug, Clone, Serialize)]
pub struct Proved {
    /// The night's container.
    pub container: String,
    /// SHA-256 of its manifest.
    pub manifest_sha256: String,
    /// The target's own host name.
    pub host: String,
    /// The databases that were looked at.
    pub databases: Vec<String>,
    /// How many shards the night has of them.
    pub shards: u64,
    /// What was counted, per measurement and field.
    pub proof: Proof,
    /// Whether the points were compared with what was backed up or counted before: not where nothing was, or a sample was counted now.
    pub compared: bool,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// What a person should know, though nothing is missing by it.
    pub notes: Vec<String>,
    /// What is missing.
    pub failures: Vec<String>,
}

impl Proved {
    /// A few lines for the morning mail.
    #[must_use]
    pub fn summary(&self) -> String {
        let Proved { container, host, shards, proof, seconds, .. } = self;
        let (databases, missing) = (self.databases.join(", "), self.failures.len());
        let end = match missing {
            0 if self.compared => {
                format!("nothing is missing of what was {}", proof.compared_with.as_deref().unwrap_or_default())
            }
            // How many points there were is not known, or a part of them was counted.
            0 => "every shard is there; points were compared with nothing".to_owned(),
            missing => format!("{missing} things are missing"),
        };
        let mut text = format!("{container}: {databases} on {host}, {shards} shards: {end}\n");
        text.push_str(&count::summary(proof, *seconds));
        for (label, lines) in [("note", &self.notes), ("missing", &self.failures)] {
            lines.iter().for_each(|line| text.push_str(&format!("\n{label}: {line}")));
        }
        text
    }

    /// What monitoring is told.
    #[must_use]
    pub fn metrics(&self) -> Vec<Metric> {
        let points = self.proof.points.iter().flat_map(|count| count.fields.values());
        vec![
            Metric::new("nightshard_restore_shards", "Shards that the target should have", self.shards as f64),
            Metric::new("nightshard_restore_counted_points", "Points counted", points.sum::<u64>() as f64),
        ]
    }

    /// What is missing.
    #[must_use]
    pub fn failures(&self) -> &[String] {
        &self.failures
    }
}

/// Counts what a restore has left on the target, and compares it with what there has to be.
///
/// # Errors
///
/// [`Kind::Missing`] when the target holds no night or another one. What is missing of the night is in the outcome.
pub async fn prove_only(
    config: Config,
    now: DateTime<Utc>,
    store: Arc<dyn Store>,
    influx: Influx,
    progress: Arc<dyn Progress>,
) -> Result<Proved, Error> {
    let interrupt = config.interrupt.clone();
    interrupt.unless(prove(config, now, store.as_ref(), influx, progress.as_ref())).await
}

async fn prove(
    config: Config,
    now: DateTime<Utc>,
    store: &dyn Store,
    influx: Influx,
    progress: &dyn Progress,
) -> Result<Proved, Error> {
    let begun = Instant::now();
    if config.prove == Prove::None {
        return Err(Error::new(Kind::Usage, "nothing would be proved").hint("leave out --prove none, or --prove-only"));
    }
    let Dates::One(date) = config.date else {
        return Err(
            Error::new(Kind::Usage, "a target holds one night, not several").hint("name that night with --date")
        );
    };
    // 1. The night, and whether the target holds it; no restore on this machine takes it away meanwhile.
    let night = config.calendar.night(date, now)?;
    let manifest = wait::for_backup(store, &night, config.calendar.time_zone, config.wait, progress).await?;
    let _lock = Lock::shared(&config.place.locks, &lock::target_name(influx.url()))?;
    progress.report(Event::Step("looking at the night and the target"));
    let version = influx.ping().await?.version.to_string();
    let held = Held::of(&influx, &config).await?;
    held.check(&influx, &night.container, &manifest.sha256)?;
    let wanted = if config.databases.is_empty() { &held.stored } else { &config.databases };
    let selection = Selection::load(store, manifest, wanted, config.new_database.as_deref()).await?;
    held.check_databases(&influx, &selection)?;
    let diagnostics = influx.diagnostics().await?;
    let host = diagnostics.hostname.unwrap_or_else(|| config.place.host.clone());

    // 2. Every shard, and every point.
    let mut failures = absent(&influx, &selection).await?;
    let databases = selection.databases.clone();
    let counted = count::all(&influx, &databases, config.prove, config.parallel, progress).await?;
    let mut proof = counted.ok_or_else(|| Error::new(Kind::Usage, "nothing was counted"))?;
    Held::of(&influx, &config).await?.check(&influx, &night.container, &selection.manifest_sha256)?;

    // 3. Against what was there; the record has both.
    let name = record::name(&selection, &host);
    let earlier = record::earlier(store, &night.container, &name, &selection.manifest_sha256).await?;
    let measure = Measure::of(&selection, earlier.as_ref(), false);
    let Differences { missing, surplus, excused } = measure.compare(&proof, &databases);
    failures.extend(missing.iter().cloned());
    let mut notes: Vec<String> = surplus.iter().chain(&excused).cloned().collect();
    let compared = measure.compares(&proof);
    proof.compared_with = compared.then(|| measure.name().to_owned());
    proof.notes.extend(excused);
    (proof.missing, proof.surplus) = (missing, surplus);
    if measure.is_empty() {
        notes.push(format!("{name} has no count of everything yet, with which this one could be compared"));
    } else if config.prove != Prove::All {
        notes.push("a sample is compared with nothing; --prove all counts everything".to_owned());
    }
    let (most, shards) = (measure.most_with(earlier.as_ref(), Some(&proof)), selection.shards.len() as u64);
    let record = match earlier {
        Some(earlier) => RestoreRecord { most, proof: Some(proof.clone()), ..earlier },
        None => RestoreRecord {
            format: RestoreRecord::FORMAT.to_owned(),
            writer: config.place.writer.clone(),
            manifest_sha256: selection.manifest_sha256.clone(),
            target: Target {
                host: host.clone(),
                influxdb_version: version,
                cluster_id: influx.snapshot().metastore().await?.data.cluster_id.to_string(),
                url: influx.url().to_string(),
                data_directory: diagnostics.data_dir.unwrap_or_default(),
            },
            started: now,
            finished: now + TimeDelta::from_std(begun.elapsed()).unwrap_or_default(),
            databases: databases.clone(),
            shards,
            bytes: selection.bytes,
            differences: vec!["the restore's own record is lost; this one was made by --prove-only".to_owned()],
            proof: Some(proof.clone()),
            most,
        },
    };
    if let Err(error) = archive::replace(store, &night.container, &name, &record).await {
        // What is missing matters more than where it is written down.
        if failures.is_empty() {
            return Err(error.into());
        }
        notes.push(format!("cannot write {name}: {error}"));
    }
    Ok(Proved {
        container: night.container,
        manifest_sha256: selection.manifest_sha256,
        host,
        databases,
        shards,
        proof,
        compared,
        seconds: begun.elapsed().as_secs_f64(),
        notes,
        failures,
    })
}

/// What the target claims to hold: a night, or with `new_database` the copy of that name.
struct Held {
    night: Option<LoadedNight>,
    /// Its databases, by their names in the night.
    stored: Vec<String>,
}

impl Held {
    async fn of(influx: &Influx, config: &Config) -> Result<Held, Error> {
        let Some(name) = &config.new_database else {
            let night = loaded::read(influx).await?;
            let stored = night.iter().flat_map(|night| night.databases.clone()).collect();
            return Ok(Held { night, stored });
        };
        let copy = loaded::copies(influx).await?.into_iter().find(|copy| copy.name == *name);
        let stored = copy.iter().map(|copy| copy.stored.clone()).collect();
        Ok(Held { night: copy.map(LoadedNight::from), stored })
    }

    /// That it is this night.
    fn check(&self, influx: &Influx, container: &str, sha256: &str) -> Result<(), Error> {
        let url = influx.url();
        let (what, hint) = match &self.night {
            Some(night) if night.container == container && night.manifest_sha256 == sha256 => return Ok(()),
            Some(night) if night.container == container => (
                format!("{url} holds another backup of {container} than the archive"),
                "the night was backed up again after it had been restored; restore it again",
            ),
            Some(night) => (
                format!("{url} holds the night {}, not {container}", night.container),
                "name that night with --date, or restore this one first",
            ),
            None => (
                format!("{url} holds no night"),
                "is --target right? nothing was restored there, or a restore is under way; a recovered production is no copy of a night",
            ),
        };
        Err(Error::new(Kind::Missing, what).hint(hint))
    }

    /// That it has these databases.
    fn check_databases(&self, influx: &Influx, selection: &Selection) -> Result<(), Error> {
        let stored = selection.databases.iter().map(|name| selection.stored_name(name));
        let Some(name) = stored.into_iter().find(|name| !self.stored.iter().any(|stored| stored == name)) else {
            return Ok(());
        };
        let container = &selection.manifest.container;
        Err(Error::new(Kind::Usage, format!("{} holds {container} without database {name}", influx.url()))
            .hint(format!("it holds: {}", self.stored.join(", "))))
    }
}

/// The shards of the night that the target does not serve. There they may have other ids, but the same span of time.
async fn absent(influx: &Influx, selection: &Selection) -> Result<Vec<String>, Error> {
    let (served, ids) = (influx.snapshot().metastore().await?.data, selection.shard_ids());
    let mut absent = Vec::new();
    for name in &selection.databases {
        let Some(database) = served.database(name) else {
            absent.push(format!("database {name} is not there"));
            continue;
        };
        let open: BTreeSet<u64> = influx.snapshot().shards(name).await?.into_iter().map(|shard| shard.id).collect();
        let there: Vec<_> = database.live_shards().filter(|shard| open.contains(&shard.id)).collect();
        let stored = selection.metastore.database(name).into_iter().flat_map(Database::live_shards);
        for LiveShard { id, policy, time_range } in stored.filter(|shard| ids.contains(&shard.id)) {
            if !there.iter().any(|shard| (shard.policy, shard.time_range) == (policy, time_range)) {
                absent.push(format!("shard {id} of {name}.{policy}, as the source numbers it, is not there"));
            }
        }
    }
    Ok(absent)
}
