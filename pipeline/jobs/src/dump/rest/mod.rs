//! A night's shards at rest: the records of a dump out of the archive alone, with no InfluxDB.
//!
//! ```text
//! indexes ─▶ series in batches ─▶ blocks in order of time ─▶ decoded, joined ─▶ printed, in order of time and series
//! ```
//!
//! Of a stored shard only the indexes of its files are read, and the blocks that the measurement has in the window. The
//! indexes are compared with the night's manifest, each block with its CRC. Memory is bounded by the size of a batch;
//! what several batches have is sorted through the spool.

mod batch;
mod fetch;
mod files;
mod in_memory;
mod indexes;
mod print;
mod scan;
mod sheet;
mod sweep;
mod work;

use std::collections::BTreeSet;
use std::sync::Arc;

use archive::{BackupManifest, Window};
use influx::metastore::Data;
use store::Store;

use super::schema::{Origin, Schema};
use crate::spool::Resident;
use crate::{Error, metastore};
pub(super) use batch::Printing;
pub use in_memory::{SeriesBlocks, print_in_memory};
use indexes::{Indexes, Opened};
pub(super) use print::Printed;
pub(super) use work::Working;

/// The shards of a night.
#[derive(Debug, Clone)]
pub(super) struct Rest {
    night: Arc<Night>,
}

#[derive(Debug)]
struct Night {
    store: Arc<dyn Store>,
    manifest: BackupManifest,
    metastore: Data,
    indexes: Indexes,
}

impl Rest {
    /// Opens a night, with a folder for the indexes of its files.
    ///
    /// # Errors
    ///
    /// [`crate::Kind::Damage`] when its metastore is not what the manifest says.
    pub(super) async fn open(
        store: &Arc<dyn Store>,
        manifest: &BackupManifest,
        folder: Resident,
    ) -> Result<Rest, Error> {
        let metastore = metastore::stored(store.as_ref(), manifest).await?;
        let (store, manifest, indexes) = (Arc::clone(store), manifest.clone(), Indexes::new(folder));
        Ok(Rest { night: Arc::new(Night { store, manifest, metastore, indexes }) })
    }

    /// The policies of a database, and which of them is the default one.
    pub(super) fn policies(&self, database: &str) -> Vec<(String, bool)> {
        let database = self.night.metastore.database(database);
        let policies = database.into_iter().flat_map(|database| {
            database.policies.iter().map(|policy| (policy.name.clone(), policy.name == database.default_policy))
        });
        policies.collect()
    }

    /// The measurements of a database, or of one of its policies, in byte order.
    pub(super) fn measurements(&self, database: &str, policy: Option<&str>) -> Vec<String> {
        let of = self.night.manifest.measurements.iter().filter(|measurement| {
            measurement.database == database && policy.is_none_or(|policy| measurement.retention_policy == policy)
        });
        let names: BTreeSet<&str> = of.map(|measurement| measurement.measurement.as_str()).collect();
        names.into_iter().map(str::to_owned).collect()
    }

    /// The tags and fields that a measurement has in a window; `None` when it is not in its policy at all.
    ///
    /// # Errors
    ///
    /// When an index cannot be read.
    pub(super) async fn schema(
        &self,
        origin: &Origin,
        window: Window,
        span: [i64; 2],
    ) -> Result<Option<Schema>, Error> {
        let (mut tags, mut fields) = (BTreeSet::new(), BTreeSet::new());
        for files in self.clusters(origin, window).await? {
            let measurement = origin.measurement.clone().into_bytes();
            let scanning = tokio::task::spawn_blocking(move || {
                let (mut tags, mut fields) = (BTreeSet::new(), BTreeSet::new());
                scan::series(&files, &measurement, span, |found| {
                    for (name, _) in &found.tags {
                        if !tags.contains(name) {
                            tags.insert(name.clone());
                        }
                    }
                    for stream in found.streams {
                        let kinds = stream.blocks.iter().map(|block| block.kind);
                        fields.extend(kinds.map(|kind| (stream.field.clone(), kind.name())));
                    }
                    Ok(true)
                })?;
                Ok::<_, Error>((tags, fields))
            });
            let (more_tags, more_fields) =
                scanning.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
            tags.extend(more_tags);
            fields.extend(more_fields);
        }
        let known = || self.measurements(&origin.database, Some(&origin.policy)).contains(&origin.measurement);
        if fields.is_empty() && !known() {
            return Ok(None);
        }
        let tags = tags.into_iter().map(|name| String::from_utf8_lossy(&name).into_owned()).collect();
        let fields = fields.into_iter().map(|(field, kind)| (field, kind.to_owned()));
        Ok(Some(Schema::new(tags, fields)))
    }

    /// The files that have points of a window, opened: those of shards that overlap together, else of each shard by itself.
    async fn clusters(&self, origin: &Origin, window: Window) -> Result<Vec<Arc<[Arc<Opened>]>>, Error> {
        let Night { store, manifest, indexes, .. } = &*self.night;
        let mut clusters = Vec::new();
        for files in files::clusters(manifest, origin, window)? {
            let mut opened = Vec::with_capacity(files.len());
            for file in &files {
                opened.push(indexes.open(store.as_ref(), &manifest.container, file).await?);
            }
            clusters.push(opened.into());
        }
        Ok(clusters)
    }
}
