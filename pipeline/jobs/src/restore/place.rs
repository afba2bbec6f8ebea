//! Puts the staged shards where the server looks for them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use archive::manifest::ShardRecord;

use super::directories::Paths;
use super::files::{self, Owner};
use super::staged::StagedShard;
use super::witness::Witness;
use crate::{Error, Kind};

/// A shard in its place.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) database: String,
    pub(super) policy: String,
    /// Its id on the target.
    pub(super) id: u64,
    /// Points that the server must answer with.
    pub(super) witnesses: Vec<Witness>,
}

/// Numbers of all shard directories of the databases that stay. The metastore may have forgotten some of them, but the
/// server opens whatever lies there, and of two shards of one number it shows one.
pub(super) fn occupied(paths: &Paths, replaced: &[String]) -> Result<BTreeSet<u64>, Error> {
    let look = || -> io::Result<BTreeSet<u64>> {
        let mut ids = BTreeSet::new();
        for (name, database) in directories(&paths.data)? {
            if replaced.contains(&name) {
                continue;
            }
            for (_, policy) in directories(&database)? {
                ids.extend(directories(&policy)?.into_iter().filter_map(|(name, _)| name.parse::<u64>().ok()));
            }
        }
        Ok(ids)
    };
    look().map_err(|error| Error::io(format!("look into {}", paths.data.display()), &error))
}

fn directories(folder: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir()
            && let Some(name) = path.file_name()
        {
            found.push((name.to_string_lossy().into_owned(), path));
        }
    }
    Ok(found)
}

impl Placed {
    /// A shard that was placed, with its id on the target.
    pub(super) fn of(record: &ShardRecord, witnesses: Vec<Witness>, ids: &BTreeMap<u64, u64>) -> Result<Placed, Error> {
        let id = ids.get(&record.shard_id).ok_or_else(|| {
            Error::new(Kind::Failed, format!("shard {} has no place in the metastore", record.shard_id))
        })?;
        Ok(Placed { database: record.database.clone(), policy: record.retention_policy.clone(), id: *id, witnesses })
    }
}

/// Moves each shard to `<data>/<database>/<policy>/<its id on the target>`, durably; `ids` tells that id. Nothing is
/// overwritten: the places are free, since the databases were set aside.
pub(super) fn shards(
    paths: &Paths,
    owner: Owner,
    staged: &[StagedShard],
    ids: &BTreeMap<u64, u64>,
) -> Result<Vec<Placed>, Error> {
    let mut placed = Vec::new();
    let mut touched = BTreeSet::from([paths.data.clone()]);
    for shard in staged {
        let (folder, new) = (&shard.folder, Placed::of(&shard.record, shard.witnesses.clone(), ids)?);
        let database = paths.data.join(&new.database);
        let policy = database.join(&new.policy);
        owner.make(&database)?;
        owner.make(&policy)?;
        let place = policy.join(new.id.to_string());
        put(folder, &place, owner)
            .map_err(|error| Error::io(format!("move {} to {}", folder.display(), place.display()), &error))?;
        touched.extend([database, policy]);
        placed.push(new);
    }
    for directory in touched {
        files::flush(&directory)?;
    }
    Ok(placed)
}

/// By a rename where staging and data share a file system, else by copying.
fn put(from: &Path, to: &Path, owner: Owner) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == ErrorKind::CrossesDevices => {}
        other => return other,
    }
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let copy = to.join(entry.file_name());
        fs::copy(entry.path(), &copy)?;
        owner.adopt(&copy)?;
        files::sync(&copy)?;
    }
    owner.adopt(to)?;
    files::sync(to)
}
