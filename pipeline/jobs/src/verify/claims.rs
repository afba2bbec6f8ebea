//! What a manifest claims: against itself, against the metastore, and against what is in the shards.
//!
//! Digests tell that the objects are what the manifest says. Whoever reads a part of a night, as a dump does, believes more of
//! it: which days a shard has, where its files lie and where their indexes begin.

use std::collections::{BTreeMap, BTreeSet};

use archive::BackupManifest;
use archive::manifest::{FileRecord, ShardFile, ShardRecord};
use chrono::{DateTime, Utc};
use influx::metastore::{Data, Framed, TimeRange};
use store::{Digests, StoreExt};
use tsm::tar::BLOCK;

use super::ground::Ground;
use super::{Extent, Run};
use crate::{Error, recorded};

/// What to do where a manifest is wrong.
pub(super) const WRONG: &str =
    "another night may be whole; or back it up again with --replace or --label while the source still has it";

/// Two blocks of zeros end a tar.
const TRAILER: u64 = 2 * BLOCK as u64;

/// What in a manifest cannot be so, whatever lies there.
pub(super) fn contradictions(manifest: &BackupManifest) -> Vec<String> {
    let mut found = Vec::new();
    let metastores = manifest.objects.len() - manifest.shards().count();
    match metastores {
        0 => found.push("it names no metastore".to_owned()),
        1 => {}
        several => found.push(format!("it names {several} metastores")),
    }
    let mut names = BTreeSet::new();
    let mut shards = BTreeSet::new();
    for object in &manifest.objects {
        if !names.insert(object.name.as_str()) {
            found.push(format!("it names {} twice", object.name));
        }
    }
    for (object, shard) in manifest.shards() {
        let ShardRecord { database, shard_id, starts, ends, .. } = shard;
        if !shards.insert(*shard_id) {
            found.push(format!("it names shard {shard_id} twice"));
        }
        if !manifest.databases.contains(database) {
            found.push(format!("it names {}, and no database {database}", object.name));
        }
        // One that was truncated before it began has no time at all.
        if starts.is_some_and(|starts| starts > *ends) {
            found.push(format!("it says that {} ends before it begins", object.name));
        }
        if let Some(what) = misplaced(shard, object.bytes) {
            found.push(format!("the files that it names do not make up {}: {what}", object.name));
        }
    }
    found
}

/// What is wrong with the places of a shard's files, which fill its tar of so many bytes but for their headers and the trailer. (A
/// file that is missing there and has little more than a block is taken for a header; a look into the tar finds it.)
fn misplaced(shard: &ShardRecord, bytes: u64) -> Option<String> {
    let block = BLOCK as u64;
    let mut names = BTreeSet::new();
    let mut end = Some(0_u64);
    for ShardFile { name, offset, bytes, .. } in &shard.files {
        if !names.insert(name) {
            return Some(format!("{name} comes twice"));
        }
        let header = end.and_then(|end| offset.checked_sub(end));
        if !header.is_some_and(|header| header.is_multiple_of(block) && is_header(header / block, shard, name)) {
            return Some(format!("{name} does not begin at byte {offset}, or a file before it is missing"));
        }
        end = bytes.checked_next_multiple_of(block).and_then(|bytes| offset.checked_add(bytes));
    }
    let length = end.and_then(|end| end.checked_add(TRAILER));
    (length != Some(bytes))
        .then(|| format!("it has {bytes} bytes, and its last file does not end {TRAILER} before that"))
}

/// Whether a file's header may have so many blocks: one, or where its name or its owner does not fit into that, three or more. The
/// first two are headers themselves, and the others hold the name and less than a block besides.
fn is_header(blocks: u64, shard: &ShardRecord, file: &str) -> bool {
    let name = shard.database.len() + shard.retention_policy.len() + file.len();
    let most = 2 + (name + 2 * BLOCK) / BLOCK;
    blocks == 1 || (3..=most as u64).contains(&blocks)
}

/// How a TSM file differs from what the manifest says of it.
pub(super) fn differences(claimed: &FileRecord, found: &FileRecord) -> Vec<String> {
    let differs = |what: &str, claimed: String, found: String| {
        (claimed != found).then(|| format!("the manifest says that {what} {claimed}, and not {found}"))
    };
    let numbers = [
        ("its index begins at byte", claimed.index_offset, found.index_offset),
        ("its keys are", claimed.keys, found.keys),
        ("its points are", claimed.points, found.points),
    ];
    let times = [("its first time is", claimed.first, found.first), ("its last time is", claimed.last, found.last)];
    let numbers = numbers.into_iter().map(|(what, claimed, found)| (what, claimed.to_string(), found.to_string()));
    let times = times.into_iter().map(|(what, claimed, found)| (what, shown(claimed), shown(found)));
    let digest = ("the SHA-256 of its index is", claimed.index_sha256.clone(), found.index_sha256.clone());
    let all = numbers.chain(times).chain([digest]);
    all.filter_map(|(what, claimed, found)| differs(what, claimed, found)).collect()
}

impl Run {
    /// How the metastore of a night differs from what the manifest says of the shards; nothing where it cannot be read, which is
    /// found when it is looked at itself. It is compared on the day on which it is due.
    ///
    /// # Errors
    ///
    /// When the store does not answer.
    pub(super) async fn ranges(&self, ground: &Ground, manifest: &BackupManifest) -> Result<Vec<String>, Error> {
        let is_due = |name: &str| self.slice.is_none_or(|slice| slice.holds(name));
        let metastore = manifest.metastore().filter(|object| is_due(&object.name));
        let Some(object) = metastore.filter(|_| self.config.extent > Extent::Quick) else { return Ok(Vec::new()) };
        let name = ground.name(&object.name);
        let bytes = match ground.store.get_bytes(&ground.container, name, object.bytes).await {
            Ok(bytes) => bytes,
            Err(error) => {
                let error = Error::from(error);
                return if error.kind() == crate::Kind::Passing { Err(error) } else { Ok(Vec::new()) };
            }
        };
        if hex::encode(Digests::of(&bytes, None).sha256) != object.sha256 {
            return Ok(Vec::new());
        }
        Ok(Framed::decode(bytes).map_or_else(|_| Vec::new(), |framed| unlike(&framed.data, manifest)))
    }
}

/// The shards that the metastore does not have, or has with other time ranges.
fn unlike(data: &Data, manifest: &BackupManifest) -> Vec<String> {
    let databases = manifest.databases.iter().filter_map(|name| data.database(name));
    let live: BTreeMap<(&str, &str, u64), TimeRange> = databases
        .flat_map(|database| {
            let name = database.name.as_str();
            database.live_shards().map(move |shard| ((name, shard.policy, shard.id), shard.time_range))
        })
        .collect();
    let differs = |shard: &ShardRecord| {
        let ShardRecord { database, retention_policy, shard_id, starts, ends, .. } = shard;
        let what = format!("shard {shard_id} of {database}.{retention_policy}");
        let Some(range) = live.get(&(database.as_str(), retention_policy.as_str(), *shard_id)) else {
            return Some(format!("it names {what}, which the metastore does not have"));
        };
        let known = recorded::instants(*range);
        let claimed = (*starts, *ends);
        (known != claimed).then(|| format!("its {what} is {}, and the metastore's {}", span(claimed), span(known)))
    };
    manifest.shards().filter_map(|(_, shard)| differs(shard)).collect()
}

fn span((starts, ends): (Option<DateTime<Utc>>, DateTime<Utc>)) -> String {
    format!("from {} to {}", starts.map_or("the first time".to_owned(), shown), shown(ends))
}

fn shown(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)
}
