//! What nights that share have added, and what deleting one would free.

use std::path::PathBuf;
use std::sync::Arc;

use archive::manifest::{BackupManifest, Content, Pooled, PooledPiece, ShardRecord, StoredObject};
use archive::{Calendar, ContainerPattern, names, pool};
use jobs::Interrupt;
use jobs::list::{self, Config, Outcome};
use store::swift::{Credentials, Settings};
use store::{Folder, Store, StoreExt, Swift};
use test_support::{random_name, temp_dir};

use super::eventful::Eventful;
use super::{at, calendar, manifest, seal};

/// Nights of one source, and one of another, in a store that others use as well.
struct Archive {
    inner: Arc<dyn Store>,
    store: Arc<Eventful>,
    prefix: String,
    nights: Vec<String>,
    shards: Vec<Pooled>,
}

/// So many bytes of a shard no piece of it has.
const BETWEEN: u64 = 10;

impl Archive {
    /// Three nights: the second has a shard of the first and a new one, the third has the new one, and was sealed before the
    /// second. Somebody else has the shard that is only in the first.
    async fn new(inner: Arc<dyn Store>) -> Archive {
        let prefix = random_name("shares");
        let shards = (1..=3_u8).map(|number| {
            let sha256 = hex::encode([number; 32]);
            let bytes = u64::from(number) * 1000;
            let piece = PooledPiece { name: pool::piece_name(&sha256), offset: 5, bytes, md5: "00".to_owned() };
            Pooled { name: pool::shard_name(&sha256), tag: None, pieces: vec![piece] }
        });
        let store = Arc::new(Eventful::alone(&inner, &prefix));
        let mut archive = Archive { inner, store, prefix, nights: Vec::new(), shards: shards.collect() };
        archive.night("2016-06-11", "12T00:00:00Z", &[0, 1]).await;
        archive.night("2016-06-12", "20T00:00:00Z", &[0, 2]).await;
        archive.night("2016-06-13", "14T00:00:00Z", &[2]).await;
        archive.night("other-2016-06-12", "30T00:00:00Z", &[1]).await;
        archive
    }

    async fn night(&mut self, name: &str, sealed: &str, shards: &[usize]) {
        let container = format!("{}-{name}", self.prefix);
        let objects = shards.iter().map(|number| {
            let pooled = self.shards[*number].clone();
            let shard = ShardRecord {
                database: "sensu_db".to_owned(),
                retention_policy: "default".to_owned(),
                shard_id: *number as u64,
                starts: None,
                ends: at("2016-06-12T00:00:00Z"),
                snapshot_taken: at("2016-06-11T22:00:00Z"),
                unchanged: None,
                files: Vec::new(),
                warnings: Vec::new(),
                pooled: Some(pooled.clone()),
            };
            StoredObject {
                name: names::shard(&container, "sensu_db", "default", *number as u64),
                bytes: pooled.pieces[0].bytes + BETWEEN,
                sha256: "00".to_owned(),
                md5: "00".to_owned(),
                content: Content::Shard(shard),
            }
        });
        let objects: Vec<StoredObject> = objects.collect();
        let mut manifest: BackupManifest = manifest(&container);
        manifest.objects.extend(objects);
        manifest.pool = Some(format!("{}-pool", self.prefix));
        manifest.sent_bytes = Some(7);
        manifest.sealed = at(&format!("2016-06-{sealed}"));
        seal(&self.inner, &manifest).await;
        self.nights.push(container);
    }

    async fn list(&self, change: impl FnOnce(&mut Config)) -> Outcome {
        let pattern: ContainerPattern = format!("{}-%Y-%m-%d", self.prefix).parse().unwrap();
        let mut config = Config {
            calendar: Calendar { pattern, ..calendar() },
            dates: None,
            detailed: false,
            matching: None,
            shares: true,
            parallel: 2,
            cache: None,
            interrupt: Interrupt::new(),
        };
        change(&mut config);
        list::run(config, at("2016-07-01T00:00:00Z"), Arc::<Eventful>::clone(&self.store)).await.unwrap()
    }

    async fn clear(&self) {
        for night in &self.nights {
            for entry in self.inner.list_all(night, "").await.unwrap() {
                self.inner.delete(night, &entry.name).await.unwrap();
            }
            self.inner.delete_container(night).await.unwrap();
        }
    }
}

/// What each night holds, added, and would free, the newest first.
fn told(outcome: &Outcome) -> Vec<(u64, Option<u64>, Option<u64>)> {
    outcome.nights.iter().map(|night| (night.bytes, night.added_bytes, night.freed_bytes)).collect()
}

/// Of the third night, the second and the first; each has a metastore of three bytes.
const TOLD: [(u64, Option<u64>, Option<u64>); 3] =
    [(3013, Some(3013), Some(3)), (4023, Some(3), Some(3)), (3023, Some(3023), Some(3))];

async fn each_night_is_told_with_what_it_shares(archive: &Archive, cache: Option<PathBuf>) {
    let listed = archive.list(|config| config.cache.clone_from(&cache)).await;
    assert_eq!((told(&listed), &listed.notes), (TOLD.to_vec(), &Vec::new()));
    assert!(listed.nights.iter().all(|night| night.sent_bytes == Some(7)));
    // Which nights are asked for does not matter, only which there are.
    let matched = archive.list(|config| {
        config.cache.clone_from(&cache);
        config.matching = Some("-12$".parse().unwrap());
    });
    assert_eq!(told(&matched.await), TOLD[1..2]);
    let one = archive.list(|config| {
        config.cache.clone_from(&cache);
        config.detailed = true;
        config.dates = Some("2016-06-13".parse().unwrap());
    });
    let one = one.await;
    assert_eq!(told(&one), TOLD[..1]);
    let line = "added      3013 bytes (2.9 KiB) that no earlier night has; deleting it would free 3 bytes (3 B)\n";
    assert!(one.summary().contains(line), "{}", one.summary());
    let unasked = archive.list(|config| config.shares = false).await;
    assert_eq!(told(&unasked).iter().filter(|(_, added, freed)| added.or(*freed).is_some()).count(), 0);
}

#[tokio::test]
async fn what_a_night_added_and_would_free_depends_on_all_nights_whatever_they_are_called() {
    let folder = temp_dir();
    let archive = Archive::new(Arc::new(Folder::open(folder.path()).unwrap())).await;
    each_night_is_told_with_what_it_shares(&archive, None).await;
    // Without the last one, the shard of the second is nobody else's.
    let last = &archive.nights[2];
    archive.inner.delete(last, &names::backup_manifest(last)).await.unwrap();
    assert_eq!(told(&archive.list(|_| {}).await), [(4023, Some(3013), Some(3013)), TOLD[2]]);
    // A night of which nobody can tell what it names: of those that share nothing is said, but why.
    let other = &archive.nights[3];
    archive.inner.delete(other, &names::backup_manifest(other)).await.unwrap();
    archive.inner.put_bytes(other, &names::backup_manifest(other), "{}".into()).await.unwrap();
    seal(&archive.inner, &manifest(&format!("{}-2016-06-10", archive.prefix))).await;
    let listed = archive.list(|_| {}).await;
    assert_eq!(told(&listed), [(4023, None, None), (3023, None, None), (3, Some(3), Some(3))]);
    assert!(listed.failures.is_empty() && listed.notes[0].contains(other.as_str()), "{:?}", listed.notes);
    assert!(listed.summary().contains("\nnote: what nights that share have added"), "{}", listed.summary());
}

#[tokio::test]
async fn a_list_of_a_swift_reads_the_seal_of_no_night_again_whosever_it_is() {
    let tempauth = test_support::tempauth();
    let credentials = Credentials::Version1 { auth_url: tempauth.url, user: tempauth.user, key: tempauth.key };
    let archive = Archive::new(Arc::new(Swift::connect(Settings::new(credentials)).await.unwrap())).await;
    let folder = temp_dir();
    let cache = || Some(folder.path().to_owned());
    each_night_is_told_with_what_it_shares(&archive, cache()).await;
    let asked = archive.store.asked().len();
    assert_eq!(told(&archive.list(|config| config.cache = cache()).await), TOLD);
    assert_eq!(archive.store.asked().len(), asked, "{:?}", archive.store.asked());
    archive.clear().await;
}
