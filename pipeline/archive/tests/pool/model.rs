//! What backups and prunes do with the pool, step by step, and who has the next turn.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Waker};

use archive::manifest::{BackupManifest, Content, Pooled, ShardFile, ShardRecord, Source, StoredObject, Writer};
use archive::pool::{self, Known, LocalShard, Pool};
use archive::{Document, names};
use bytes::Bytes;
use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use rand::RngExt;
use rand::rngs::StdRng;
use sha2::{Digest, Sha256};
use store::{Digests, Store, StoreExt};

use crate::memory::Memory;

/// The grace period, in seconds.
pub(crate) const GRACE: i64 = 1000;

/// Different shards that there are, which have files in common.
pub(crate) const SHARDS: usize = 6;

const POOL: &str = "nightshard-pool";

/// What a program is to do.
#[derive(Debug, Clone)]
pub(crate) enum Plan {
    /// Takes a night with these shards.
    Backup { night: u32, shards: BTreeSet<usize> },
    /// Deletes a night.
    Delete { night: u32 },
    /// Collects what no manifest names.
    Collect,
}

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// Programs on a store.
pub(crate) struct Model {
    store: Arc<Memory>,
    runtime: tokio::runtime::Runtime,
    /// What the manifests name, by ETag: the objects of the pool, and the links.
    named: HashMap<String, (Vec<String>, Vec<String>)>,
}

/// A shard on local disk.
struct Local {
    path: std::path::PathBuf,
    digests: Digests,
    files: Vec<ShardFile>,
}

/// The shards: each has two files of four, with headers around them. The folder stays as long as the tests run.
fn locals() -> &'static [Local] {
    static LOCALS: OnceLock<(tempfile::TempDir, Vec<Local>)> = OnceLock::new();
    &LOCALS
        .get_or_init(|| {
            let folder = tempfile::tempdir().unwrap();
            let pairs = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)];
            let make = |(number, (one, other)): (usize, (u8, u8))| {
                let mut tar = Vec::new();
                let mut files = Vec::new();
                for file in [one, other] {
                    tar.extend_from_slice(&[u8::try_from(number).unwrap(); 3]);
                    let content = [b'a' + file; 10];
                    let sha256 = hex::encode(Sha256::digest(content));
                    let (offset, bytes) = (tar.len() as u64, content.len() as u64);
                    files.push(ShardFile { name: format!("{file}.tsm"), offset, bytes, sha256, inside: None });
                    tar.extend_from_slice(&content);
                }
                let path = folder.path().join(number.to_string());
                std::fs::write(&path, &tar).unwrap();
                Local { path, digests: Digests::of(&tar, None), files }
            };
            let made = pairs.into_iter().enumerate().map(make).collect();
            (folder, made)
        })
        .1
}

fn container(night: u32) -> String {
    format!("night-{night}")
}

impl Model {
    pub(crate) fn new(lag: i64, seed: u64) -> Model {
        let runtime = tokio::runtime::Builder::new_current_thread().max_blocking_threads(1).build().unwrap();
        Model { store: Arc::new(Memory::new(lag, seed)), runtime, named: HashMap::new() }
    }

    fn task(&self, plan: Plan) -> Task {
        let store = Arc::clone(&self.store);
        Box::pin(async move {
            // What a program does when something is refused is to end.
            let _ended = match plan {
                Plan::Backup { night, shards } => backup(store, night, shards).await,
                Plan::Delete { night } => delete(store, night).await,
                Plan::Collect => collect(store).await,
            };
        })
    }

    /// Time passes.
    pub(crate) fn pass(&mut self, seconds: i64) {
        self.store.state().now += seconds;
    }

    /// One program has all turns.
    pub(crate) fn alone(&mut self, plan: Plan) {
        let mut task = self.task(plan);
        while !self.turn(&mut task) {}
    }

    /// Several programs at once; who has the next turn, how much time passes between, and who is killed, is left to chance.
    pub(crate) fn together(&mut self, plans: Vec<Plan>, random: &mut StdRng) {
        let mut tasks: Vec<Task> = plans.into_iter().map(|plan| self.task(plan)).collect();
        let kills = random.random_bool(0.5);
        let slowly = random.random_bool(0.7);
        while !tasks.is_empty() {
            let chosen = random.random_range(0..tasks.len());
            if kills && random.random_ratio(1, 60) {
                drop(tasks.swap_remove(chosen));
                continue;
            }
            // Some programs get many turns in a row.
            for _ in 0..random.random_range(1..8) {
                if self.turn(&mut tasks[chosen]) {
                    drop(tasks.swap_remove(chosen));
                    break;
                }
            }
            if slowly && random.random_ratio(1, 6) {
                self.pass(random.random_range(0..GRACE / 6));
            }
        }
    }

    /// One operation; whether the program has come to its end.
    fn turn(&mut self, task: &mut Task) -> bool {
        let count = |store: &Memory| {
            let state = store.state();
            (state.operations, state.changes)
        };
        let (operations, changes) = count(&self.store);
        loop {
            let ended = {
                let _inside = self.runtime.enter();
                task.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_ready()
            };
            let now = count(&self.store);
            if now.1 > changes {
                self.what_manifests_name_is_there();
            }
            if ended || now.0 > operations {
                return ended;
            }
            // It waits for a file to be read.
            std::thread::yield_now();
        }
    }

    pub(crate) fn operations(&self) -> u64 {
        self.store.state().operations
    }

    /// The manifests that stand, by night.
    fn manifests(&self) -> BTreeMap<String, BackupManifest> {
        let state = self.store.state();
        let found = state.containers.iter().filter_map(|(night, container)| {
            let object = container.objects.get(&names::backup_manifest(night))?;
            let crate::memory::Content::Bytes(bytes) = &object.content else { return None };
            Some((night.clone(), serde_json::from_slice(bytes).unwrap()))
        });
        found.collect()
    }

    fn what_manifests_name_is_there(&mut self) {
        let state = self.store.state();
        for (night, container) in &state.containers {
            let Some(object) = container.objects.get(&names::backup_manifest(night)) else { continue };
            let named = self.named.entry(object.etag.clone()).or_insert_with(|| {
                let crate::memory::Content::Bytes(bytes) = &object.content else { panic!("a seal is no link") };
                let manifest: BackupManifest = serde_json::from_slice(bytes).unwrap();
                let pooled = manifest.shards().flat_map(|(_, shard)| shard.pooled.as_ref().unwrap().names());
                let links = manifest.shards().map(|(object, _)| object.name.clone());
                (pooled.map(str::to_owned).collect(), links.collect())
            });
            for name in &named.0 {
                assert!(state.object(POOL, name).is_some(), "{night} has lost {name}");
            }
            for name in &named.1 {
                assert!(state.object(night, name).is_some(), "{night} has lost the link {name}");
            }
        }
    }

    /// At the end the pool holds what manifests name, and marks of nothing else.
    pub(crate) fn only_named_objects_are_left(&self) {
        let manifests = self.manifests();
        let shards = manifests.values().flat_map(|manifest| manifest.shards().map(|(_, shard)| shard));
        let named: BTreeSet<&str> = shards.flat_map(|shard| shard.pooled.as_ref().unwrap().names()).collect();
        let state = self.store.state();
        let Some(pool) = state.containers.get(POOL) else { return };
        for name in pool.objects.keys().filter(|name| *name != "pool.json") {
            let object = name.strip_prefix("marks/").unwrap_or(name);
            assert!(named.contains(object), "{name} is left");
        }
    }
}

/// Takes a night: as `jobs::backup` does, as far as the pool is concerned.
async fn backup(store: Arc<Memory>, night: u32, shards: BTreeSet<usize>) -> Result<(), archive::Error> {
    let container = container(night);
    if store.find(&container, &names::backup_manifest(&container)).await?.is_some() {
        return Ok(());
    }
    store.create_container(&container).await?;
    // The marker: of two runs of one night one gives way, and a deletion that has begun is waited for.
    let marker = names::running_marker(&container, "0");
    if store.find(&container, &names::deletion_record(&container)).await?.is_some()
        || store
            .find(&container, &marker)
            .await?
            .is_some_and(|found| found.answered - found.modified < TimeDelta::seconds(GRACE))
    {
        return Ok(());
    }
    let raised = store.put_bytes(&container, &marker, Bytes::from(rand::random::<u64>().to_string())).await?;
    let dynamic: Arc<dyn Store> = Arc::<Memory>::clone(&store);
    let Some(pool) = Pool::open(dynamic, POOL, TimeDelta::seconds(GRACE)).await? else { unreachable!() };
    let last = last(&store, night).await;
    let known = last.as_ref().map(|last| Known::of(last, POOL)).unwrap_or_default();
    let mut objects = Vec::new();
    for number in shards {
        let local = &locals()[number];
        let name = names::shard(&container, "db", "p", number as u64);
        let sha256 = hex::encode(local.digests.sha256);
        // Every other shard that is as the last night has it is not even read.
        let before = last.iter().flat_map(|last| last.shards()).find(|(object, _)| object.sha256 == sha256);
        let before = before.and_then(|(_, shard)| shard.pooled.clone()).filter(|_| rand::random());
        let pooled = match before {
            Some(pooled) if pool.link_known(&container, &name, &pooled, local.digests.bytes).await?.is_some() => pooled,
            _ => {
                let shard = LocalShard { path: &local.path, digests: &local.digests, files: &local.files };
                pool.keep(&container, &name, &shard, &known).await?.unwrap().pooled
            }
        };
        objects.push(object(name, number, local, pooled));
    }
    // Whether the night is still this run's, and young enough.
    let Some(stands) = store.find(&container, &marker).await? else { return Ok(()) };
    let is_ours = stands.etag == raised.etag;
    if is_ours && stands.answered - raised.modified < pool.longest_backup() {
        let seal = names::backup_manifest(&container);
        archive::seal(store.as_ref(), &container, &seal, &manifest(&container, objects)).await?;
        store.delete(&container, &marker).await?;
    }
    Ok(())
}

/// The last night before this one.
async fn last(store: &Arc<Memory>, night: u32) -> Option<BackupManifest> {
    for other in (0..6).rev().filter(|other| *other != night) {
        let other = container(other);
        if let Ok(loaded) =
            archive::read::<BackupManifest>(store.as_ref(), &other, &names::backup_manifest(&other)).await
        {
            return Some(loaded.document);
        }
    }
    None
}

/// Deletes a night: the manifest first.
async fn delete(store: Arc<Memory>, night: u32) -> Result<(), archive::Error> {
    let container = container(night);
    let record = names::deletion_record(&container);
    if store.find(&container, &names::running_marker(&container, "0")).await?.is_some()
        || store.find(&container, &names::backup_manifest(&container)).await?.is_none()
    {
        return Ok(());
    }
    store.put_bytes(&container, &record, Bytes::from_static(b"{}")).await?;
    archive::remove(store.as_ref(), &container, &names::backup_manifest(&container)).await?;
    for number in 0..SHARDS {
        archive::remove(store.as_ref(), &container, &names::shard(&container, "db", "p", number as u64)).await?;
    }
    archive::remove(store.as_ref(), &container, &record).await?;
    Ok(())
}

async fn collect(store: Arc<Memory>) -> Result<(), archive::Error> {
    pool::collect(store.as_ref(), POOL, &pool::Gone::default(), false).await.map(drop)
}

fn object(name: String, number: usize, local: &Local, pooled: Pooled) -> StoredObject {
    let shard = ShardRecord {
        database: "db".to_owned(),
        retention_policy: "p".to_owned(),
        shard_id: number as u64,
        starts: None,
        ends: DateTime::<Utc>::UNIX_EPOCH,
        snapshot_taken: DateTime::<Utc>::UNIX_EPOCH,
        unchanged: None,
        pooled: Some(pooled),
        files: local.files.clone(),
        warnings: Vec::new(),
    };
    StoredObject {
        name,
        bytes: local.digests.bytes,
        sha256: hex::encode(local.digests.sha256),
        md5: hex::encode(local.digests.md5),
        content: Content::Shard(shard),
    }
}

fn manifest(container: &str, objects: Vec<StoredObject>) -> BackupManifest {
    let nothing = String::new;
    BackupManifest {
        format: BackupManifest::FORMAT.to_owned(),
        night: NaiveDate::MIN,
        container: container.to_owned(),
        label: None,
        time_zone: "UTC".to_owned(),
        writer: Writer { program: nothing(), version: nothing() },
        source: Source {
            host: nothing(),
            influxdb_version: nothing(),
            cluster_id: nothing(),
            url: nothing(),
            snapshot_address: nothing(),
            data_directory: nothing(),
        },
        started: DateTime::<Utc>::UNIX_EPOCH,
        sealed: DateTime::<Utc>::UNIX_EPOCH,
        databases: Vec::new(),
        objects,
        pool: Some(POOL.to_owned()),
        sent_bytes: None,
        verified: None,
        measurements: Vec::new(),
        statistics_sha256: None,
        warnings: Vec::new(),
        adopted: None,
    }
}
