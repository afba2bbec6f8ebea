//! What nights have in common: it is neither sent nor stored again, and what has not changed is not even read. To everyone who
//! looks, each night is a full backup all the same.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use archive::manifest::{BackupManifest, ShardRecord};
use archive::{Calendar, ContainerPattern, Date, names, pool};
use chrono::NaiveDate;
use jobs::backup::{self, Config, Outcome, Shared};
use store::swift::{Credentials, Settings};
use store::{Folder, Store, StoreExt, Swift};
use test_support::{Influxd, TempDir, random_name, temp_dir};

use super::bench::{Bench, fill, influx, now};

/// Nights of one source in one archive, one after the other.
struct Nights {
    bench: Bench,
    influxd: Influxd,
    pattern: String,
    pool: String,
    next: u32,
    _folder: TempDir,
}

impl Nights {
    async fn on_a_folder() -> Nights {
        let folder = temp_dir();
        let store = Arc::new(Folder::open(folder.path().join("archive")).unwrap());
        Nights::on(store, folder).await
    }

    async fn on_swift() -> Nights {
        let tempauth = test_support::tempauth();
        let credentials = Credentials::Version1 { auth_url: tempauth.url, user: tempauth.user, key: tempauth.key };
        let store = Swift::connect(Settings::new(credentials)).await.unwrap();
        Nights::on(Arc::new(store), temp_dir()).await
    }

    async fn on(store: Arc<dyn Store>, folder: TempDir) -> Nights {
        let influxd = Influxd::start().await;
        let bench = Bench { store, ..Bench::new() };
        let (pattern, pool) = (format!("{}-%Y-%m-%d", random_name("shared")), random_name("pool"));
        Nights { bench, influxd, pattern, pool, next: 1, _folder: folder }
    }

    fn config(&self, night: u32) -> Config {
        let pattern: ContainerPattern = self.pattern.parse().unwrap();
        let config = self.bench.config();
        Config {
            calendar: Calendar { pattern, ..config.calendar },
            date: Date::Day(NaiveDate::from_ymd_opt(2016, 6, night).unwrap()),
            shared: Some(Shared { pool: self.pool.clone(), ..Shared::default() }),
            ..config
        }
    }

    async fn take(&mut self) -> (Outcome, BackupManifest) {
        self.take_with(|_| {}).await
    }

    async fn take_with(&mut self, change: impl FnOnce(&mut Config)) -> (Outcome, BackupManifest) {
        let mut config = self.config(self.next);
        self.next += 1;
        change(&mut config);
        let store = Arc::clone(&self.bench.store);
        let outcome = backup::run(config, now(), store, influx(&self.influxd), Arc::new(())).await.unwrap();
        let manifest = self.manifest(&outcome.container).await;
        (outcome, manifest)
    }

    async fn manifest(&self, container: &str) -> BackupManifest {
        let name = names::backup_manifest(container);
        archive::read(self.bench.store.as_ref(), container, &name).await.unwrap().document
    }

    /// Every object of the night has the bytes that its seal tells, read by its name in the night.
    async fn assert_whole(&self, manifest: &BackupManifest) {
        for object in &manifest.objects {
            let bytes = self.bench.store.get_bytes(&manifest.container, &object.name, 1 << 30).await.unwrap();
            assert_eq!(object.sha256, hex::encode(store::Digests::of(&bytes, None).sha256), "{}", object.name);
        }
        let prefix = names::shards_prefix(&manifest.container);
        let listed = self.bench.store.list_all(&manifest.container, &prefix).await.unwrap();
        let listed: BTreeMap<_, _> = listed.into_iter().map(|entry| (entry.name, entry.bytes)).collect();
        let named = manifest.objects.iter().map(|object| (object.name.clone(), object.bytes)).collect();
        assert_eq!(listed, named);
    }

    async fn pooled_objects(&self) -> usize {
        let listed = self.bench.store.list_all(&self.pool, "").await.unwrap();
        listed.iter().filter(|entry| entry.name.parse::<pool::PoolName>().is_ok()).count()
    }

    async fn clear(&self) {
        let sharing = self.bench.store.sharing().unwrap();
        for night in 1..self.next {
            let container = format!("{}", NaiveDate::from_ymd_opt(2016, 6, night).unwrap().format(&self.pattern));
            for entry in self.bench.store.list_all(&container, "").await.unwrap() {
                self.bench.store.delete(&container, &entry.name).await.unwrap();
            }
            self.bench.store.delete_container(&container).await.unwrap();
        }
        for entry in self.bench.store.list_all(&self.pool, "").await.unwrap() {
            sharing.destroy(&self.pool, &entry.name).await.unwrap();
        }
        self.bench.store.delete_container(&self.pool).await.unwrap();
    }
}

fn shards(manifest: &BackupManifest) -> Vec<(String, ShardRecord)> {
    manifest.shards().map(|(object, shard)| (object.sha256.clone(), shard.clone())).collect()
}

/// Points of random values, which take some megabytes of TSM files.
async fn write_much(influxd: &Influxd, day: i64, measurement: &str) {
    let mut lines = String::new();
    for number in 0..200_000_i64 {
        let value = f64::from_bits(0x3ff0_0000_0000_0000 | (rand::random::<u64>() >> 12));
        let time = 1_462_060_800_000_000_000 + day * 86_400_000_000_000 + number * 1_000_000;
        writeln!(lines, "{measurement} value={value} {time}").unwrap();
    }
    influxd.write("sensu_db", &lines).await;
}

async fn what_changes_and_what_does_not(mut nights: Nights) {
    fill(&nights.influxd, 6).await;
    let (first, one) = nights.take().await;
    assert_eq!((first.unread_shards, first.pool.as_deref()), (0, Some(nights.pool.as_str())));
    nights.assert_whole(&one).await;

    // Nothing has changed: nothing but the metastore is sent, and no shard is read.
    let (second, two) = nights.take().await;
    let metastore = two.metastore().unwrap().bytes;
    assert_eq!((second.sent_bytes, second.unread_shards, second.shards), (metastore, 6, 6));
    assert_eq!(two.measurements, one.measurements);
    assert!(two.shards().all(|(_, shard)| shard.unchanged.as_ref().is_some_and(|unchanged| unchanged.nights == 1)));
    nights.assert_whole(&two).await;

    // A new point, an old one with another value, a deletion: each changes its shard, and no other.
    for (day, change) in [
        (0, "cpu,host=late idle=1.0 1462060900000000000"),
        (1, "cpu,host=h3 idle=99.0 1462147200000000003"),
        (2, "DELETE FROM cpu WHERE host = 'h3' AND time < '2016-05-04'"),
    ] {
        let (_, before) = nights.take().await;
        match change.starts_with("DELETE") {
            true => drop(nights.influxd.query("sensu_db", change).await),
            false => nights.influxd.write("sensu_db", change).await,
        }
        let (_, after) = nights.take().await;
        nights.assert_whole(&after).await;
        let (before, after) = (shards(&before), shards(&after));
        for (number, ((old, _), (new, shard))) in before.iter().zip(&after).enumerate() {
            assert!(old == new || shard.unchanged.is_none(), "{change}: {number}");
            // A deletion reaches back to all days before, and InfluxDB touches later shards as well.
            let is_touched = number == day || (day == 2 && (number < 2 || shard.unchanged.is_none()));
            assert_eq!(shard.unchanged.is_none(), is_touched, "{change}: {number}");
            assert!(old != new || (day == 2 && number > 2) || !is_touched, "{change}: {number}");
        }
    }
    nights.clear().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_shares_what_has_not_changed_and_reads_what_has() {
    what_changes_and_what_does_not(Nights::on_a_folder().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_swift_shares_what_has_not_changed_and_reads_what_has() {
    what_changes_and_what_does_not(Nights::on_swift().await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_so_many_nights_a_shard_is_read_although_nothing_has_changed() {
    let mut nights = Nights::on_a_folder().await;
    fill(&nights.influxd, 2).await;
    let mut unread = Vec::new();
    for _ in 0..7 {
        let (outcome, manifest) = nights.take_with(|config| config.shared.as_mut().unwrap().read_every = 3).await;
        unread.push(outcome.unread_shards);
        nights.assert_whole(&manifest).await;
    }
    assert_eq!(unread, [0, 2, 2, 0, 2, 2, 0]);
    assert_eq!(nights.pooled_objects().await, 2, "what was read again was there already");
    let (outcome, _) = nights.take_with(|config| config.shared.as_mut().unwrap().read_every = 1).await;
    assert_eq!(outcome.unread_shards, 0);
    nights.clear().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_a_shard_that_has_changed_only_its_new_files_are_sent() {
    let mut nights = Nights::on_swift().await;
    fill(&nights.influxd, 1).await;
    write_much(&nights.influxd, 0, "large").await;
    let (_, one) = nights.take().await;
    let (sha256, shard) = shards(&one).remove(0);
    let pieces = shard.pooled.unwrap().pieces;
    assert!(!pieces.is_empty() && one.bytes() > 1 << 20, "the shard is composed");
    nights.influxd.write("sensu_db", "cpu,host=late idle=1.0 1462060900000000000").await;
    let (second, two) = nights.take().await;
    let (changed, shard) = shards(&two).remove(0);
    assert_ne!(changed, sha256);
    assert_eq!(shard.pooled.unwrap().pieces[0].name, pieces[0].name, "the file is the same object");
    assert!(second.sent_bytes < 10_000 && two.bytes() > 1 << 20, "{second:?}");
    for manifest in [&one, &two] {
        nights.assert_whole(manifest).await;
    }
    // A night that is taken without sharing has bytes of its own, over what a killed run has left as well.
    let (plain, three) = nights.take_with(|config| config.shared = None).await;
    assert_eq!((plain.pool, three.pool.as_ref()), (None, None));
    assert_eq!(plain.sent_bytes, three.bytes());
    nights.assert_whole(&three).await;
    nights.clear().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_a_mark_is_not_used_any_more_and_what_is_gone_is_sent_again() {
    let mut nights = Nights::on_swift().await;
    fill(&nights.influxd, 2).await;
    write_much(&nights.influxd, 0, "large").await;
    let (_, one) = nights.take().await;
    let first = shards(&one).remove(0).1.pooled.unwrap();
    // A mark of a piece alone keeps the shard that consists of it from being used.
    let mark = pool::mark_of(&first.pieces[0].name);
    nights.bench.store.put_bytes(&nights.pool, &mark, "".into()).await.unwrap();
    let (outcome, two) = nights.take().await;
    let again = shards(&two).remove(0).1.pooled.unwrap();
    assert!(again.name != first.name && again.pieces[0].name != first.pieces[0].name);
    assert_eq!(outcome.unread_shards, 1, "the other shard has no mark");
    assert!(outcome.sent_bytes > 1 << 20);
    // Deleted by hand: the next night does without it.
    nights.bench.store.delete(&nights.pool, &again.name).await.unwrap();
    nights.bench.store.delete(&nights.pool, &again.pieces[0].name).await.unwrap();
    let (outcome, three) = nights.take().await;
    assert!(outcome.sent_bytes > 1 << 20);
    nights.assert_whole(&one).await;
    nights.assert_whole(&three).await;
    // Only a piece is gone: the shard that consists of it still stands, and looks as if it could be linked to.
    let third = shards(&three).remove(0).1.pooled.unwrap();
    nights.bench.store.delete(&nights.pool, &third.pieces[0].name).await.unwrap();
    let (outcome, four) = nights.take().await;
    assert!(outcome.sent_bytes > 1 << 20 && outcome.unread_shards == 1, "{outcome:?}");
    nights.assert_whole(&four).await;
    for name in again.names().chain(third.names()) {
        nights.bench.store.sharing().unwrap().destroy(&nights.pool, name).await.unwrap();
    }
    nights.clear().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_nights_in_a_folder_are_two_names_of_the_same_files() {
    use std::os::unix::fs::MetadataExt;

    let mut nights = Nights::on_a_folder().await;
    fill(&nights.influxd, 2).await;
    let (_, one) = nights.take().await;
    let (_, two) = nights.take().await;
    for ((a, _), (b, _)) in one.shards().zip(two.shards()) {
        let file = |container: &str, name: &str| {
            let path = nights.bench.store.file(container, name).unwrap();
            (path.metadata().unwrap().ino(), path.metadata().unwrap().nlink())
        };
        let (first, second) = (file(&one.container, &a.name), file(&two.container, &b.name));
        assert_eq!((first, first.1), (second, 3), "a name in the pool, and one in each night");
    }
    // One night is removed by hand, as a folder: the other one stays whole, and so does what comes after it.
    let folder = nights.bench.store.file(&one.container, "x").unwrap();
    std::fs::remove_dir_all(folder.parent().unwrap()).unwrap();
    nights.assert_whole(&two).await;
    let (outcome, three) = nights.take().await;
    assert_eq!(outcome.unread_shards, 2);
    nights.assert_whole(&three).await;
}
