//! What nights share, deleted and damaged behind everybody's back: it is found, named with the nights that it hurts, and what
//! the archive has kept is brought back.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::sync::Arc;

use archive::manifest::{BackupManifest, Pooled, PooledPiece};
use archive::{Calendar, ContainerPattern, names, pool};
use jobs::backup::{self, Shared};
use jobs::verify::{Config, Extent, Outcome, Which};
use store::swift::{Credentials, Settings};
use store::{Folder, Store, StoreExt, Swift};
use test_support::{Influxd, TempDir, random_name, temp_dir};

use super::bench::{Bench, EXTENTS, assert_whole, damages, fill, influx, now, only};
use crate::common::calendar;

const DAYS: [&str; 2] = ["2016-06-11", "2016-06-12"];

/// Two nights in which nothing has changed, of three shards, one of them large enough to have pieces in a Swift.
struct Nights {
    bench: Bench,
    source: Influxd,
    calendar: Calendar,
    pool: String,
}

impl Nights {
    async fn in_a_folder() -> Nights {
        let folder = temp_dir();
        let store = Arc::new(Folder::open(folder.path().join("archive")).unwrap());
        Nights::on(store, folder).await
    }

    async fn in_a_swift() -> Nights {
        let tempauth = test_support::tempauth();
        let credentials = Credentials::Version1 { auth_url: tempauth.url, user: tempauth.user, key: tempauth.key };
        Nights::on(Arc::new(Swift::connect(Settings::new(credentials)).await.unwrap()), temp_dir()).await
    }

    async fn on(store: Arc<dyn Store>, folder: TempDir) -> Nights {
        let source = Influxd::start().await;
        fill(&source, 2).await;
        let mut lines = String::new();
        for number in 0..200_000_i64 {
            let value = f64::from_bits(0x3ff0_0000_0000_0000 | (rand::random::<u64>() >> 12));
            writeln!(lines, "large value={value} {}", 1_464_739_200_000_000_000 + number * 1_000_000).unwrap();
        }
        source.write("sensu_db", &lines).await;
        let pattern: ContainerPattern = format!("{}-%Y-%m-%d", random_name("eyes")).parse().unwrap();
        let nights = Nights {
            bench: Bench { folder, store },
            source,
            calendar: Calendar { pattern, ..calendar() },
            pool: random_name("pool"),
        };
        for day in DAYS {
            nights.back_up(day, false).await;
        }
        nights
    }

    async fn back_up(&self, day: &str, replace: bool) -> backup::Outcome {
        let config = backup::Config {
            calendar: self.calendar.clone(),
            replace,
            shared: Some(Shared { pool: self.pool.clone(), ..Shared::default() }),
            ..self.bench.backup_config(day)
        };
        let store = Arc::clone(&self.bench.store);
        backup::run(config, now(), store, influx(&self.source), Arc::new(())).await.unwrap()
    }

    fn container(&self, day: &str) -> String {
        self.calendar.night(day.parse().unwrap(), now()).unwrap().container
    }

    async fn manifest(&self, day: &str) -> BackupManifest {
        let container = self.container(day);
        let name = names::backup_manifest(&container);
        archive::read(self.bench.store.as_ref(), &container, &name).await.unwrap().document
    }

    /// The large shard: its name in the night, and where it lies.
    async fn large(&self, day: &str) -> (String, Pooled) {
        let manifest = self.manifest(day).await;
        let (object, shard) = manifest.shards().max_by_key(|(object, _)| object.bytes).unwrap();
        (object.name.clone(), shard.pooled.clone().unwrap())
    }

    fn config(&self, day: &str, extent: Extent) -> Config {
        let nights = Which::Dates(day.parse::<archive::Date>().unwrap().into());
        Config { calendar: self.calendar.clone(), nights, ..self.bench.config(extent) }
    }

    async fn verify(&self, day: &str, extent: Extent) -> Outcome {
        self.bench.verify_with(self.config(day, extent)).await.unwrap()
    }

    async fn undelete(&self, day: &str) -> Outcome {
        let config = Config { undelete: true, ..self.config(day, Extent::Digests) };
        self.bench.verify_with(config).await.unwrap()
    }

    fn full(&self, name: &str) -> String {
        format!("{}/{name}", self.pool)
    }

    async fn is_marked(&self, name: &str) -> bool {
        self.bench.store.find(&self.pool, &pool::mark_of(name)).await.unwrap().is_some()
    }

    async fn clear(&self) {
        let (store, sharing) = (&self.bench.store, self.bench.store.sharing().unwrap());
        let mut pooled: BTreeSet<String> = BTreeSet::new();
        for day in DAYS {
            let container = self.container(day);
            let manifest = self.manifest(day).await;
            pooled.extend(
                manifest.shards().flat_map(|(_, it)| it.pooled.iter().flat_map(Pooled::names)).map(str::to_owned),
            );
            for entry in store.list_all(&container, "").await.unwrap() {
                store.delete(&container, &entry.name).await.unwrap();
            }
            store.delete_container(&container).await.unwrap();
        }
        pooled.extend(store.list_all(&self.pool, "").await.unwrap().into_iter().map(|entry| entry.name));
        for name in pooled {
            sharing.destroy(&self.pool, &name).await.unwrap();
        }
    }
}

/// The broken objects, what is wrong with them, whom they hurt, and whether they have a mark now.
fn broken(outcome: &Outcome) -> Vec<(&str, &str, Vec<&str>, bool)> {
    let all = outcome.pool.iter();
    all.map(|it| (it.object.as_str(), it.what.as_str(), it.nights.iter().map(String::as_str).collect(), it.marked))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_piece_that_was_deleted_by_hand_is_found_by_every_look_and_brought_back() {
    let nights = Nights::in_a_swift().await;
    let both = DAYS.map(|day| nights.container(day));
    for extent in EXTENTS {
        assert_whole(&nights.verify(DAYS[0], extent).await, 4);
    }
    let (name, pooled) = nights.large(DAYS[0]).await;
    let (piece, others) = pooled.pieces.split_first().unwrap();
    assert_eq!(others, [], "one file, and little beside it");
    nights.bench.store.delete(&nights.pool, &piece.name).await.unwrap();
    let object = nights.full(&piece.name);
    for extent in EXTENTS {
        let outcome = nights.verify(DAYS[1], extent).await;
        let what = format!(
            "{object} (bytes {} to {} of the shard): it does not exist",
            piece.offset,
            piece.offset + piece.bytes
        );
        let in_night = name.replace(&both[0], &both[1]);
        assert_eq!(damages(&outcome), [(in_night.as_str(), what.as_str())], "{extent:?}");
        assert!(
            only(&outcome).damages[0].hint.starts_with("nightshard-verify --undelete brings it back"),
            "{outcome:?}"
        );
        // The other night needs it too, so that it is no help.
        assert!(only(&outcome).damages[0].hint.contains("no other night has this shard"), "{outcome:?}");
        let named: Vec<&str> = both.iter().map(String::as_str).collect();
        assert_eq!(broken(&outcome), [(object.as_str(), "it does not exist", named, false)]);
        assert_eq!(outcome.pool[0].kind, "piece");
        assert!(
            outcome.summary().contains(&format!("named by 2 nights: {}, {}", both[0], both[1])),
            "{}",
            outcome.summary()
        );
    }
    let outcome = nights.undelete(DAYS[0]).await;
    assert_eq!(outcome.brought_back, std::slice::from_ref(&object));
    assert!(outcome.summary().contains(&format!("brought back: {object}")));
    assert_whole(&outcome, 4);
    assert_whole(&nights.verify(DAYS[1], Extent::Digests).await, 4);
    // The shard itself, and another object of that name.
    nights.bench.store.delete(&nights.pool, &pooled.name).await.unwrap();
    nights.bench.store.put_bytes(&nights.pool, &piece.name, "other".into()).await.unwrap();
    let outcome = nights.verify(DAYS[0], Extent::Quick).await;
    let (shard, piece) = (nights.full(&pooled.name), nights.full(&piece.name));
    let found: Vec<&str> = outcome.pool.iter().map(|it| it.object.as_str()).collect();
    assert_eq!(found, [shard.as_str(), piece.as_str()]);
    let outcome = nights.undelete(DAYS[1]).await;
    assert_eq!(outcome.brought_back, [shard, piece]);
    assert_whole(&outcome, 4);
    // The night's own name.
    nights.bench.store.delete(&both[0], &name).await.unwrap();
    let outcome = nights.verify(DAYS[0], Extent::Quick).await;
    assert_eq!(damages(&outcome), [(name.as_str(), "it does not exist")]);
    assert!(only(&outcome).damages[0].hint.starts_with("the pool has it"), "{outcome:?}");
    assert_eq!(outcome.pool, []);
    let outcome = nights.undelete(DAYS[0]).await;
    assert_eq!(outcome.brought_back, [name]);
    assert_whole(&outcome, 4);
    nights.clear().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_gone_for_good_is_told_and_the_next_backup_stores_it_again() {
    let nights = Nights::in_a_swift().await;
    let (_, pooled) = nights.large(DAYS[0]).await;
    nights.bench.store.sharing().unwrap().destroy(&nights.pool, &pooled.pieces[0].name).await.unwrap();
    let outcome = nights.undelete(DAYS[0]).await;
    assert!(outcome.brought_back.is_empty() && outcome.is_damaged());
    let hint = &only(&outcome).damages[0].hint;
    assert!(hint.starts_with("the archive has kept nothing of it; else ") && hint.contains("--replace"), "{hint}");
    // Nothing has changed on the source, and the shard that consists of the piece still stands in the pool.
    let again = nights.back_up(DAYS[1], true).await;
    assert!(again.sent_bytes > 1 << 20, "{again:?}");
    assert_whole(&nights.verify(DAYS[1], Extent::Digests).await, 4);
    // Now there is a night that has it, and does not need what is gone.
    let outcome = nights.verify(DAYS[0], Extent::Quick).await;
    let hint = &only(&outcome).damages[0].hint;
    assert!(hint.contains(&nights.container(DAYS[1])) && hint.contains("was the very same"), "{hint}");
    assert_eq!(outcome.pool[0].nights, [nights.container(DAYS[0])]);
    nights.clear().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shard_that_is_damaged_in_a_folder_is_marked_and_stored_anew() {
    let nights = Nights::in_a_folder().await;
    let (name, pooled) = nights.large(DAYS[0]).await;
    nights.bench.damage(&name, |bytes| bytes[700] ^= 1);
    // A look that reads nothing cannot see it, and one that writes nothing down leaves no mark.
    assert_whole(&nights.verify(DAYS[0], Extent::Quick).await, 4);
    let config = Config { record: false, ..nights.config(DAYS[0], Extent::Digests) };
    let outcome = nights.bench.verify_with(config).await.unwrap();
    assert!(!outcome.pool[0].marked && !nights.is_marked(&pooled.name).await);
    let outcome = nights.verify(DAYS[0], Extent::Digests).await;
    let object = nights.full(&pooled.name);
    let both = DAYS.map(|day| nights.container(day));
    let named: Vec<&str> = both.iter().map(String::as_str).collect();
    assert_eq!(broken(&outcome), [(object.as_str(), "its SHA-256 is not what it was", named, true)]);
    let damage = &only(&outcome).damages[0];
    assert!(damage.what.ends_with("it is in 000000001-000000001.tsm"), "{damage:?}");
    assert!(damage.hint.starts_with("the next backup stores it anew; else no other night"), "{damage:?}");
    assert!(nights.is_marked(&pooled.name).await);
    nights.back_up(DAYS[1], true).await;
    assert_ne!(nights.large(DAYS[1]).await.1.name, pooled.name);
    assert_whole(&nights.verify(DAYS[1], Extent::Digests).await, 4);
    // A name in the night is made again from that in the pool.
    let (name, _) = nights.large(DAYS[1]).await;
    fs::remove_file(nights.bench.file(&name)).unwrap();
    assert!(nights.verify(DAYS[1], Extent::Quick).await.is_damaged());
    let outcome = nights.undelete(DAYS[1]).await;
    assert_eq!(outcome.brought_back, std::slice::from_ref(&name));
    assert_whole(&outcome, 4);
    // Cut, it can be told from what it was without being read, and needs no mark.
    nights.bench.damage(&name, |bytes| bytes.truncate(bytes.len() - 1));
    assert!(!nights.verify(DAYS[1], Extent::Quick).await.pool[0].marked);
    nights.back_up("2016-06-13", false).await;
    assert_whole(&nights.verify("2016-06-13", Extent::Digests).await, 4);
}

/// Changes a byte of an object on the disk of the Swift that the tests have.
fn damage_on_disk(piece: &PooledPiece) {
    let variable = |name: &str| std::env::var_os(name).map(std::path::PathBuf::from);
    let target =
        || variable("CARGO_TARGET_DIR").unwrap_or_else(|| concat!(env!("CARGO_MANIFEST_DIR"), "/../../target").into());
    let state = variable("NIGHTSHARD_SERVICES_STATE").unwrap_or_else(|| target().join("services"));
    let mut folders = vec![state.join("srv")];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        // Other tests delete meanwhile.
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.metadata() {
                Ok(found) if found.is_dir() => folders.push(entry.path()),
                Ok(found) if found.len() == piece.bytes => files.push(entry.path()),
                _ => {}
            }
        }
    }
    let is_it = |file: &&std::path::PathBuf| {
        fs::read(file).is_ok_and(|bytes| hex::encode(store::Digests::of(&bytes, None).md5) == piece.md5)
    };
    let file = files.iter().find(is_it).unwrap();
    let mut bytes = fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    let opened = fs::OpenOptions::new().write(true).open(file).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&opened, &bytes, 0).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_piece_that_is_damaged_on_the_disk_of_a_swift_is_told_of_and_stored_again() {
    let nights = Nights::in_a_swift().await;
    let (_, pooled) = nights.large(DAYS[0]).await;
    damage_on_disk(&pooled.pieces[0]);
    assert_whole(&nights.verify(DAYS[0], Extent::Quick).await, 4);
    let outcome = nights.verify(DAYS[0], Extent::Digests).await;
    let found: Vec<&str> = outcome.pool.iter().map(|it| it.object.as_str()).collect();
    assert_eq!(found, [nights.full(&pooled.pieces[0].name)], "{outcome:?}");
    // A Swift takes the only copy out of service, and has no other one: a version is listed of which there is nothing.
    let outcome = nights.undelete(DAYS[0]).await;
    assert!(outcome.brought_back.is_empty() && outcome.is_damaged(), "{outcome:?}");
    nights.back_up(DAYS[1], true).await;
    assert_whole(&nights.verify(DAYS[1], Extent::Digests).await, 4);
    nights.clear().await;
}
