//! Everything that can be known to go wrong before anything is changed.

use std::collections::BTreeMap;

use archive::manifest::{BackupManifest, Source};
use archive::state::markers;
use archive::{Loaded, Night, NightState, night_state};
use chrono::{DateTime, TimeDelta, Utc};
use influx::Influx;
use store::Store;

use super::held::{self, Held};
use super::{Config, counts, replace};
use crate::{Error, Kind, Spool, claim, identity, wait};

/// A token that cannot be renewed must last for the longest night that is to be expected.
pub(crate) const TOKEN_LIFETIME: TimeDelta = TimeDelta::hours(6);

/// Room in the spool beyond the shards in flight, in bytes.
const SPARE_BYTES: u64 = 64 << 20;

/// What the preflight found.
#[derive(Debug)]
pub(super) enum Preflight {
    /// The night is sealed already, by this source, and that is success.
    Sealed(Box<Loaded<BackupManifest>>),
    /// The night can begin.
    Go(Box<Found>),
}

/// The source and the night as they were found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) wanted: Wanted,
    /// What an unfinished run, or the night that is to be replaced, has in `shards/`.
    pub(super) held: Held,
    /// SHA-256 of the seal that is to be replaced.
    pub(super) replaces: Option<String>,
    /// How many bytes each shard may need, by id.
    sizes: BTreeMap<u64, u64>,
}

/// What is to be backed up.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) source: Source,
    /// The databases to back up, in byte order.
    pub(super) databases: Vec<String>,
    /// All databases of the source.
    pub(super) existing: Vec<String>,
    /// Whether its snapshots may lack what its caches hold.
    pub(super) may_leave_out_caches: bool,
}

/// Looks at the store's token, the source and the night.
pub(super) async fn look(
    config: &Config,
    night: &Night,
    now: DateTime<Utc>,
    store: &dyn Store,
    influx: &Influx,
) -> Result<Preflight, Error> {
    token(config, now)?;
    let wanted = wanted(config, influx).await?;
    let replaces = match night_state(store, &night.container).await? {
        NightState::Ready(sealed) => {
            of_this_source(&wanted, &sealed.document)?;
            if !config.replace {
                return already(config, &wanted, sealed);
            }
            Some(replace::permit(&sealed, &config.calendar.pattern, store).await?)
        }
        NightState::Deleted(deletion) if deletion.finished.is_none() => {
            let message = format!("{}: {}", night.container, wait::deleted(&deletion));
            return Err(Error::new(Kind::Failed, message)
                .hint("nightshard-prune completes a deletion that was cut off; then the night can be taken again"));
        }
        NightState::BackingUp(_)
        | NightState::Deleted(_)
        | NightState::Failed(_)
        | NightState::Unsealed
        | NightState::Misnamed(_)
        | NightState::Absent => None,
    };
    let markers = markers(store, &night.container).await?;
    claim::refuse_company(&markers, &config.place.host, &night.container)?;
    let held = held::look(night, &wanted, &markers, replaces.is_some(), store).await?;
    let sizes = counts::sizes(influx, &wanted.databases).await?;
    Ok(Preflight::Go(Box::new(Found { wanted, held, replaces, sizes })))
}

fn token(config: &Config, now: DateTime<Utc>) -> Result<(), Error> {
    match config.token_expiry {
        Some(expiry) if expiry - now < TOKEN_LIFETIME => Err(Error::new(
            Kind::Usage,
            format!(
                "the token of the object store expires at {expiry}, less than 6 hours from now, and cannot be renewed"
            ),
        )
        .hint("use a password or an application credential instead of a bare token, or a fresh token")),
        _ => Ok(()),
    }
}

/// Who the source is, and which databases are meant.
async fn wanted(config: &Config, influx: &Influx) -> Result<Wanted, Error> {
    let ping = influx.ping().await?;
    let existing = influx.databases().await?;
    let diagnostics = influx.diagnostics().await?;

    let mut databases = if config.databases.is_empty() {
        existing.iter().filter(|name| *name != "_internal").cloned().collect()
    } else {
        config.databases.clone()
    };
    databases.sort_unstable();
    databases.dedup();
    if databases.is_empty() {
        return Err(Error::new(Kind::Usage, format!("the InfluxDB at {} has no database to back up", influx.url()))
            .hint("check --source; if it is right, there is nothing to lose yet"));
    }
    for name in &databases {
        if !existing.contains(name) {
            return Err(Error::new(Kind::Usage, format!("database {name} does not exist at {}", influx.url()))
                .hint(format!("it has: {}", existing.join(", "))));
        }
    }
    let metastore = identity::metastore(influx, &databases, "--source and --snapshot-addr").await?;
    let source = Source {
        host: diagnostics.hostname.unwrap_or_default(),
        influxdb_version: ping.version.to_string(),
        cluster_id: metastore.data.cluster_id.to_string(),
        url: influx.url().to_string(),
        snapshot_address: influx.snapshot_address().to_owned(),
        data_directory: diagnostics.data_dir.unwrap_or_default(),
    };
    let may_leave_out_caches = ping.version.may_leave_out_caches();
    Ok(Wanted { source, databases, existing, may_leave_out_caches })
}

/// Refuses a sealed night of another server.
fn of_this_source(wanted: &Wanted, manifest: &BackupManifest) -> Result<(), Error> {
    if manifest.source.cluster_id == wanted.source.cluster_id {
        return Ok(());
    }
    let BackupManifest { container, source, adopted, .. } = manifest;
    let which = match adopted {
        // Nothing else is known of it.
        Some(_) => format!("whose cluster id is {}", source.cluster_id),
        None => format!("{} on {}", source.url, source.host),
    };
    let message = format!("{container} was sealed at {} from another InfluxDB, {which}", when(manifest));
    Err(Error::new(Kind::Failed, message)
        .hint("where several InfluxDB share an archive, give each its own --container, such as \"prod1-%Y-%m-%d\""))
}

fn when(manifest: &BackupManifest) -> String {
    manifest.sealed.format("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// The night has its seal: success if that was asked for and it is what would be made now.
fn already(config: &Config, wanted: &Wanted, sealed: Box<Loaded<BackupManifest>>) -> Result<Preflight, Error> {
    let manifest = &sealed.document;
    let (container, when) = (&manifest.container, when(manifest));
    if !config.if_missing {
        return Err(Error::new(Kind::Failed, format!("{container} is sealed already, since {when}"))
            .hint("a sealed night is never changed; with --if-missing this is success, and --replace takes it again"));
    }
    let lacking: Vec<&str> =
        wanted.databases.iter().filter(|name| !manifest.databases.contains(name)).map(String::as_str).collect();
    if !lacking.is_empty() {
        return Err(Error::new(
            Kind::Failed,
            format!("{container} was sealed at {when} without {}", lacking.join(", ")),
        )
        .hint("a sealed night is never changed; the next night will hold them, or give this backup a --label"));
    }
    Ok(Preflight::Sealed(sealed))
}

impl Found {
    /// How many bytes each shard may need.
    pub(super) fn sizes(&self) -> Vec<u64> {
        self.sizes.values().copied().collect()
    }
}

/// Whether the spool can take the largest shards that may travel at once.
pub(crate) fn space(spool: &Spool, mut sizes: Vec<u64>, parallel: usize, limit: Option<u64>) -> Result<(), Error> {
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    // A tenth more: writes go on, and the tar has headers.
    let in_flight: u64 = sizes.iter().take(parallel).map(|bytes| bytes + bytes / 10).sum();
    // They wait for each other where they may not take so much.
    let in_flight = in_flight.min(limit.unwrap_or(u64::MAX));
    let (needed, free) = (in_flight + SPARE_BYTES, spool.free_bytes()?);
    if free < needed {
        return Err(Error::new(
            Kind::Failed,
            format!(
                "the spool {} has {free} bytes free, and the {parallel} largest shards need {needed}",
                spool.path().display()
            ),
        )
        .hint("free space there, name a larger folder with --spool, or lower --jobs"));
    }
    Ok(())
}
