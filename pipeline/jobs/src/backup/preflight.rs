//! Everything that can be known to go wrong before anything is changed.

use std::collections::BTreeMap;

use archive::manifest::{BackupManifest, Source};
use archive::{Loaded, Night, NightState, names, night_state};
use chrono::{DateTime, TimeDelta, Utc};
use influx::Influx;
use store::Store;

use super::{Config, counts, identity, marker};
use crate::{Error, Kind, Spool};

/// A token that cannot be renewed must last for the longest night that is to be expected.
const TOKEN_LIFETIME: TimeDelta = TimeDelta::hours(6);

/// Room in the spool beyond the shards in flight, in bytes.
const SPARE_BYTES: u64 = 64 << 20;

/// What the preflight found.
#[derive(Debug)]
pub(super) enum Preflight {
    /// The night is sealed already, by this source, and that is success.
    Sealed(Box<Loaded<BackupManifest>>),
    /// The night can begin.
    Go(Found),
}

/// The source as it was found.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) source: Source,
    /// The databases to back up, in byte order.
    pub(super) databases: Vec<String>,
    /// How many bytes each of their shards may need, by id.
    sizes: BTreeMap<u64, u64>,
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
    let (source, databases) = source(config, influx).await?;
    match night_state(store, &night.container).await? {
        NightState::Ready(sealed) => return already(config, &source, &databases, sealed),
        NightState::BackingUp(marker) if marker::is_dead_here(&marker, &config.place.host) => {
            tracing::info!("an earlier run (process {}) has ended without a word", marker.process);
        }
        NightState::BackingUp(marker) => {
            return Err(Error::new(
                Kind::Locked,
                format!("{} is being backed up by {} (process {})", night.container, marker.host, marker.process),
            )
            .hint("wait until that run has ended; nothing was done"));
        }
        NightState::Failed(_) | NightState::Absent => {}
    }
    untouched(night, store).await?;
    let sizes = counts::sizes(influx, &databases).await?;
    Ok(Preflight::Go(Found { source, databases, sizes }))
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
async fn source(config: &Config, influx: &Influx) -> Result<(Source, Vec<String>), Error> {
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
    let metastore = identity::metastore(influx, &databases).await?;
    let source = Source {
        host: diagnostics.hostname.unwrap_or_default(),
        influxdb_version: ping.version.to_string(),
        cluster_id: metastore.data.cluster_id.to_string(),
        url: influx.url().to_string(),
        snapshot_address: influx.snapshot_address().to_owned(),
        data_directory: diagnostics.data_dir.unwrap_or_default(),
    };
    Ok((source, databases))
}

/// The night has its seal: success if that was asked for and it is what would be made now.
fn already(
    config: &Config,
    source: &Source,
    databases: &[String],
    sealed: Box<Loaded<BackupManifest>>,
) -> Result<Preflight, Error> {
    let manifest = &sealed.document;
    let (container, when) = (&manifest.container, manifest.sealed.format("%Y-%m-%d %H:%M:%S UTC"));
    if manifest.source.cluster_id != source.cluster_id {
        return Err(Error::new(
            Kind::Failed,
            format!(
                "{container} was sealed at {when} from another InfluxDB, {} on {}",
                manifest.source.url, manifest.source.host
            ),
        )
        .hint("where several InfluxDB share an archive, give each its own --container, such as \"prod1-%Y-%m-%d\""));
    }
    if !config.if_missing {
        return Err(Error::new(Kind::Failed, format!("{container} is sealed already, since {when}"))
            .hint("a sealed night is never changed; with --if-missing this is success"));
    }
    let lacking: Vec<&str> =
        databases.iter().filter(|name| !manifest.databases.contains(name)).map(String::as_str).collect();
    if !lacking.is_empty() {
        return Err(Error::new(
            Kind::Failed,
            format!("{container} was sealed at {when} without {}", lacking.join(", ")),
        )
        .hint("a sealed night is never changed; the next night will hold them, or give --container another name"));
    }
    Ok(Preflight::Sealed(sealed))
}

/// Refuses a container that holds anything but the markers of runs that came to nothing.
async fn untouched(night: &Night, store: &dyn Store) -> Result<(), Error> {
    let container = &night.container;
    let mut after: Option<String> = None;
    loop {
        let page = match store.list(container, "", after.as_deref()).await {
            Ok(page) => page,
            Err(store::Error::NotFound { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.name.clone());
        let markers = names::running_prefix(container);
        let Some(object) = page.iter().find(|entry| !entry.name.starts_with(&markers)) else { continue };
        let ours = object.name.starts_with(&names::shards_prefix(container));
        return Err(if ours {
            Error::new(Kind::Failed, format!("{container} holds objects of an unfinished run, such as {}", object.name))
                .hint(format!(
                    "it has no manifest, so it is no backup: remove the container {container} from {} (in Swift: `swift delete {container}`), then run the same command again",
                    store.location()
                ))
        } else {
            Error::new(Kind::Failed, format!("{container} holds objects that are no backup, such as {}", object.name))
                .hint("give another --container pattern, or move these objects elsewhere")
        });
    }
}

/// Whether the spool can take the largest shards that may travel at once.
pub(super) fn space(spool: &Spool, found: &Found, parallel: usize) -> Result<(), Error> {
    let mut sizes: Vec<u64> = found.sizes.values().copied().collect();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    // A tenth more: writes go on, and the tar has headers.
    let in_flight: u64 = sizes.iter().take(parallel).map(|bytes| bytes + bytes / 10).sum();
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
