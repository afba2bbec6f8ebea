//! What is to be restored: databases of the night, their shards, and what the stored metastore says of them.

use std::collections::BTreeSet;

use archive::manifest::{ShardRecord, StoredObject};
use archive::{BackupManifest, Loaded};
use influx::metastore::Data;
use store::Store;

use super::aside;
use crate::{Error, Kind, loaded, metastore};

/// Databases that belong to the target: its own statistics, and the loaded record.
const THE_TARGETS_OWN: [&str; 2] = ["_internal", loaded::DATABASE];

/// The longest name of a directory, in bytes.
const LONGEST_NAME: usize = 255;

/// The part of a night that is to be restored.
#[derive(Debug)]
pub(super) struct Selection {
    /// The night's seal.
    pub(super) manifest: BackupManifest,
    /// Its identity.
    pub(super) manifest_sha256: String,
    /// The databases, in byte order, as they are called on the target; so are they in `shards` and `metastore`.
    pub(super) databases: Vec<String>,
    /// What the only one of them is called in the night, if that is not the same.
    pub(super) stored_as: Option<String>,
    /// Their shards, the largest first.
    pub(super) shards: Vec<(StoredObject, ShardRecord)>,
    /// Bytes of these shards.
    pub(super) bytes: u64,
    /// The source's whole metastore.
    pub(super) metastore: Data,
}

impl Selection {
    /// Reads the night's metastore and picks what was asked for.
    ///
    /// # Errors
    ///
    /// [`Kind::Usage`] for a database that the night does not have, [`Kind::Damage`] where the night contradicts itself.
    pub(super) async fn load(
        store: &dyn Store,
        manifest: Loaded<BackupManifest>,
        wanted: &[String],
        new_database: Option<&str>,
    ) -> Result<Selection, Error> {
        let Loaded { document: manifest, sha256: manifest_sha256, .. } = manifest;
        for name in &manifest.databases {
            check_name(&manifest.container, "database", name)?;
        }
        let databases = pick(&manifest, wanted)?;
        let metastore = metastore::stored(store, &manifest).await?;
        for name in &manifest.databases {
            check_database(&metastore, &manifest.container, name)?;
        }
        let mut shards: Vec<(StoredObject, ShardRecord)> = manifest
            .shards()
            .filter(|(_, shard)| databases.contains(&shard.database))
            .map(|(object, shard)| (object.clone(), shard.clone()))
            .collect();
        shards.sort_by_key(|(object, shard)| (std::cmp::Reverse(object.bytes), shard.shard_id));
        let (mut ids, mut bytes) = (BTreeSet::new(), 0u64);
        for (object, shard) in &shards {
            check_shard(&metastore, object, shard)?;
            if !ids.insert(shard.shard_id) {
                return Err(damaged(&object.name, &format!("the manifest names shard {} twice", shard.shard_id)));
            }
            bytes =
                bytes.checked_add(object.bytes).ok_or_else(|| damaged(&object.name, "no disk has so many bytes"))?;
        }
        let selection = Selection { manifest, manifest_sha256, databases, stored_as: None, shards, bytes, metastore };
        new_database.map_or(Ok(&selection), |name| check_new_name(&selection, name).map(|()| &selection))?;
        Ok(match new_database {
            Some(name) => selection.renamed(name),
            None => selection,
        })
    }

    /// The same with another name for its only database. Other databases of the night go, one of which may have that name.
    fn renamed(mut self, name: &str) -> Selection {
        for old in std::mem::replace(&mut self.databases, vec![name.to_owned()]) {
            self.metastore.databases.retain(|database| database.name == old);
            self.metastore.databases.iter_mut().for_each(|database| name.clone_into(&mut database.name));
            self.shards.iter_mut().for_each(|(_, shard)| name.clone_into(&mut shard.database));
            self.stored_as = (old != name).then_some(old);
        }
        self
    }

    /// What a database of the target is called in the night.
    pub(super) fn stored_name<'a>(&'a self, database: &'a str) -> &'a str {
        self.stored_as.as_deref().unwrap_or(database)
    }

    /// Ids of the shards on the source.
    pub(super) fn shard_ids(&self) -> BTreeSet<u64> {
        self.shards.iter().map(|(_, shard)| shard.shard_id).collect()
    }
}

fn pick(manifest: &BackupManifest, wanted: &[String]) -> Result<Vec<String>, Error> {
    let container = &manifest.container;
    let usage = |message: String, hint: String| Err(Error::new(Kind::Usage, message).hint(hint));
    let there = || format!("it has: {}", manifest.databases.join(", "));
    let mut databases: BTreeSet<&String> = BTreeSet::new();
    for name in wanted {
        if THE_TARGETS_OWN.contains(&name.as_str()) {
            return usage(
                format!("database {name} of {container} cannot be restored"),
                "the target keeps its own".to_owned(),
            );
        }
        if !manifest.databases.contains(name) {
            return usage(format!("the backup in {container} has no database {name}"), there());
        }
        databases.insert(name);
    }
    if wanted.is_empty() {
        databases.extend(manifest.databases.iter().filter(|name| !THE_TARGETS_OWN.contains(&name.as_str())));
    }
    if databases.is_empty() {
        return usage(format!("the backup in {container} has no database to restore"), there());
    }
    Ok(databases.into_iter().cloned().collect())
}

/// That the only database may be called so on the target.
fn check_new_name(selection: &Selection, name: &str) -> Result<(), Error> {
    let usage = |message: String, hint: &str| Err(Error::new(Kind::Usage, message).hint(hint));
    if selection.databases.len() != 1 {
        let message = format!("{} databases cannot all be called {name}", selection.databases.len());
        return usage(message, &format!("name one of them with --database: {}", selection.databases.join(", ")));
    }
    if THE_TARGETS_OWN.contains(&name) || !is_directory(name) {
        return usage(format!("a database cannot be called {name:?}"), "choose another name for --new-database");
    }
    Ok(())
}

/// A database must be in the metastore, and its policies, with shards or without, must have names for directories: the
/// server makes one as soon as somebody writes.
fn check_database(metastore: &Data, container: &str, name: &str) -> Result<(), Error> {
    let Some(database) = metastore.database(name) else {
        return Err(damaged(container, &format!("its metastore does not have the database {name}")));
    };
    database.policies.iter().try_for_each(|policy| check_name(container, "retention policy", &policy.name))
}

/// The manifest's word on a shard must be the metastore's.
fn check_shard(metastore: &Data, object: &StoredObject, shard: &ShardRecord) -> Result<(), Error> {
    let ShardRecord { database, retention_policy, shard_id, .. } = shard;
    check_name(&object.name, "retention policy", retention_policy)?;
    let known = metastore
        .database(database)
        .and_then(|database| database.live_shards().find(|live| live.id == *shard_id))
        .is_some_and(|live| live.policy == retention_policy);
    if known { Ok(()) } else { Err(damaged(&object.name, "the stored metastore does not have this shard")) }
}

/// A name becomes a directory; it must be one that leads nowhere else. InfluxDB takes no other names either.
fn check_name(object: &str, what: &str, name: &str) -> Result<(), Error> {
    if is_directory(name) { Ok(()) } else { Err(damaged(object, &format!("{name:?} cannot be a {what}"))) }
}

fn is_directory(name: &str) -> bool {
    let fits = !name.is_empty() && name.len() <= LONGEST_NAME && ![".", "..", aside::FOLDER].contains(&name);
    fits && !name.contains(['/', '\\']) && !name.contains(char::is_control)
}

/// What to say of an object, or a night, that is not what it should be.
pub(super) fn damaged(object: &str, reason: &str) -> Error {
    Error::new(Kind::Damage, format!("{object} is damaged: {reason}"))
        .hint("nothing was changed on the target; another night may be whole")
}
