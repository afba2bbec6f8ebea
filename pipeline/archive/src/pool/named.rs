//! What the manifests of all nights name in the pool.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::pin::pin;

use chrono::{DateTime, Utc};
use futures_util::stream::{self, Stream, TryStreamExt};
use serde::{Deserialize, Serialize};
use store::{Store, StoreExt};

use super::names::PoolName;
use crate::manifest::{Adoption, Seal};
use crate::{Document, Error, names, read};

/// Manifests that are read at once.
const AT_ONCE: usize = 8;

/// Of a manifest, what it names in the pool, and whose night it is: the same document, of which almost all is passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Naming {
    /// See [`BackupManifest::format`](crate::BackupManifest::format).
    pub format: String,
    /// See [`BackupManifest::container`](crate::BackupManifest::container).
    pub container: String,
    /// See [`BackupManifest::source`](crate::BackupManifest::source).
    pub source: NamingSource,
    /// See [`BackupManifest::started`](crate::BackupManifest::started).
    pub started: DateTime<Utc>,
    /// See [`BackupManifest::sealed`](crate::BackupManifest::sealed).
    pub sealed: DateTime<Utc>,
    /// See [`BackupManifest::adopted`](crate::BackupManifest::adopted).
    #[serde(default)]
    pub adopted: Option<Adoption>,
    /// See [`BackupManifest::databases`](crate::BackupManifest::databases).
    pub databases: Vec<String>,
    /// See [`BackupManifest::pool`](crate::BackupManifest::pool).
    #[serde(default)]
    pub pool: Option<String>,
    /// See [`BackupManifest::objects`](crate::BackupManifest::objects).
    #[serde(default)]
    pub objects: Vec<NamingObject>,
}

/// See [`Source`](crate::manifest::Source).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamingSource {
    /// See [`Source::cluster_id`](crate::manifest::Source::cluster_id).
    pub cluster_id: String,
}

/// An object of a night, as far as the pool is concerned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamingObject {
    /// Its length in bytes.
    pub bytes: u64,
    /// Where it lies in the pool.
    #[serde(default)]
    pub pooled: Option<NamingPooled>,
}

/// See [`Pooled`](crate::manifest::Pooled).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamingPooled {
    /// Name of the shard.
    pub name: String,
    /// Its pieces.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pieces: Vec<NamingPiece>,
}

/// See [`PooledPiece`](crate::manifest::PooledPiece).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NamingPiece {
    /// Its name.
    pub name: String,
    /// Its length in bytes.
    pub bytes: u64,
}

impl Seal for Naming {
    fn container(&self) -> &str {
        &self.container
    }
}

impl Document for Naming {
    const WHAT: &'static str = crate::BackupManifest::WHAT;
    const FORMAT: &'static str = crate::BackupManifest::FORMAT;
}

impl Naming {
    /// When the night was taken, as far as that makes it older or newer than others. Of an adopted one that is when it was
    /// stored: the bound of its beginning may be years off, and would let it look like one to be cleared away.
    #[must_use]
    pub fn taken(&self) -> DateTime<Utc> {
        if self.adopted.is_some() { self.sealed } else { self.started }
    }

    /// The names in the pool of this container, each with the bytes that it has of its own: those of a composed shard are
    /// what no piece of it has.
    pub fn names(&self, container: &str) -> impl Iterator<Item = (&str, u64)> {
        let objects = if self.pool.as_deref() == Some(container) { self.objects.as_slice() } else { &[] };
        let pooled = objects.iter().filter_map(|object| Some((object.bytes, object.pooled.as_ref()?)));
        pooled.flat_map(|(bytes, pooled)| pooled.names(bytes))
    }
}

impl NamingPooled {
    /// The names that a shard of so many bytes has in the pool, each with the bytes that it has of its own.
    pub fn names(&self, bytes: u64) -> impl Iterator<Item = (&str, u64)> {
        let of_pieces = self.pieces.iter().map(|piece| piece.bytes).fold(0, u64::saturating_add);
        let shard = (self.name.as_str(), bytes.saturating_sub(of_pieces));
        std::iter::once(shard).chain(self.pieces.iter().map(|piece| (piece.name.as_str(), piece.bytes)))
    }
}

/// The names that any manifest has.
pub type Named = HashSet<PoolName>;

/// How many nights name an object of the pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NamedBy {
    /// The bytes that it has of its own.
    pub bytes: u64,
    /// How many nights.
    pub nights: u32,
    /// Number of the last of them, as the caller counts.
    last: u32,
}

impl NamedBy {
    /// Counts a night's names, which has a higher number than all before it.
    pub fn count(by_name: &mut HashMap<PoolName, NamedBy>, night: u32, naming: &Naming, container: &str) {
        for (name, bytes) in naming.names(container) {
            let Ok(name) = name.parse() else { continue };
            let named = by_name.entry(name).or_insert(NamedBy { bytes, nights: 0, last: night });
            // Two shards of one night may have a piece in common.
            if named.nights == 0 || named.last != night {
                named.nights += 1;
                named.last = night;
            }
        }
    }
}

/// What all manifests of the store name in the pool of `container`, whatever their nights are called: several InfluxDB may
/// share a pool. Of the nights in `gone` the caller has removed the manifest itself.
///
/// # Errors
///
/// When a manifest is there and cannot be read, or may be there: nobody knows what it names, so nothing may go.
pub async fn named(store: &dyn Store, container: &str, gone: &BTreeSet<String>) -> Result<Named, Error> {
    let mut all = Named::new();
    let mut namings = pin!(namings(store, container, gone));
    while let Some((_, naming)) = namings.try_next().await? {
        for (name, _) in naming?.iter().flat_map(|naming| naming.names(container)) {
            // A name that is not of our making is nothing that we would destroy.
            all.extend(name.parse::<PoolName>().ok());
        }
    }
    Ok(all)
}

/// The nights that name any of `names` in the pool of `container`, in the order of their containers, by the names; and the
/// nights of which nobody knows, with the reason.
///
/// # Errors
///
/// When the store cannot be listed.
pub async fn naming_nights(
    store: &dyn Store,
    container: &str,
    names: &BTreeSet<String>,
) -> Result<(BTreeMap<String, Vec<String>>, Vec<String>), Error> {
    let (mut nights, mut unknown) = (BTreeMap::<String, Vec<String>>::new(), Vec::new());
    let mut namings = pin!(namings(store, container, const { &BTreeSet::new() }));
    while let Some((night, naming)) = namings.try_next().await? {
        match naming {
            Ok(naming) => {
                let named = naming.iter().flat_map(|naming| naming.names(container)).map(|(name, _)| name);
                for name in named.filter(|name| names.contains(*name)).collect::<BTreeSet<_>>() {
                    nights.entry(name.to_owned()).or_default().push(night.clone());
                }
            }
            Err(error) => unknown.push(format!("{night}: {error}")),
        }
    }
    Ok((nights, unknown))
}

/// What the manifest of each night names, in the order of their containers; of one that has none, nothing.
fn namings<'a>(
    store: &'a dyn Store,
    container: &'a str,
    gone: &'a BTreeSet<String>,
) -> impl Stream<Item = Result<(String, Result<Option<Naming>, Error>), Error>> + 'a {
    let pages = stream::try_unfold(None::<String>, move |after| async move {
        let page = store.list_containers("", after.as_deref()).await?;
        let last = page.last().map(|last| last.name.clone());
        Ok::<_, Error>(last.map(|last| (stream::iter(page.into_iter().map(Ok)), Some(last))))
    });
    let nights = pages.try_flatten().try_filter_map(move |entry| async move {
        let is_asked = entry.name != container && !gone.contains(&entry.name);
        Ok(is_asked.then_some(async move { Ok((naming_of(store, &entry.name).await, entry.name)) }))
    });
    nights.try_buffered(AT_ONCE).map_ok(|(naming, night)| (night, naming))
}

/// What the manifest in `night` names; `None` where there is surely none.
async fn naming_of(store: &dyn Store, night: &str) -> Result<Option<Naming>, Error> {
    let name = names::backup_manifest(night);
    // "Not found" is believed only when nothing says otherwise, since what a manifest names that was not found is destroyed.
    for _ in 0..2 {
        match read::<Naming>(store, night, &name).await {
            Ok(loaded) => return Ok(Some(loaded.document)),
            Err(Error::Missing { .. }) => {}
            Err(error) => return Err(error),
        }
        let listed = match store.list_all(night, &name).await {
            Ok(listed) => listed.iter().any(|entry| entry.name == name),
            Err(store::Error::NotFound { .. }) => false,
            Err(error) => return Err(error.into()),
        };
        if !listed && store.find(night, &name).await?.is_none() {
            return Ok(None);
        }
    }
    Err(Error::Doubtful { name })
}
