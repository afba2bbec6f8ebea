//! That traffic is counted, and a limit kept by all transfers together. (That a store behind a limit is still a store, the
//! conformance suite shows.)

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::TryStreamExt;
use futures_util::future::join_all;
use store::{Folder, Metered, Store, StoreExt};

use common::noise;

const RATE: u64 = 400 << 10;

#[tokio::test]
async fn without_a_limit_what_travels_is_counted_all_the_same() {
    let directory = tempfile::tempdir().unwrap();
    let folder = Arc::new(Folder::open(directory.path()).unwrap());
    folder.create_container("c").await.unwrap();
    let passed = Arc::new(AtomicU64::new(0));
    let store = Metered::new(folder, None, &passed);
    store.put_bytes("c", "a", noise(1 << 20)).await.unwrap();
    assert_eq!(passed.load(Ordering::Relaxed), 1 << 20);
    let download = store.get("c", "a", Some(7..1007)).await.unwrap();
    let pieces: Vec<Bytes> = download.stream.try_collect().await.unwrap();
    assert_eq!(passed.load(Ordering::Relaxed), (1 << 20) + pieces.concat().len() as u64);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transfers_at_once_share_the_limit_in_either_direction() {
    let directory = tempfile::tempdir().unwrap();
    let folder = Arc::new(Folder::open(directory.path()).unwrap());
    folder.create_container("c").await.unwrap();
    let passed = Arc::new(AtomicU64::new(0));
    let store = Metered::new(folder, Some(RATE), &passed);
    let bytes = noise(150 << 10);

    // A fraction of a second's bytes may come at once; the rest takes its time.
    let at_least = Duration::from_secs_f64((450.0 - 64.0) / 400.0);
    let begun = Instant::now();
    let puts = ["a", "b", "c"].map(|name| store.put_bytes("c", name, bytes.clone()));
    assert!(join_all(puts).await.iter().all(Result::is_ok));
    assert!(begun.elapsed() >= at_least, "three uploads took {:?}", begun.elapsed());

    let begun = Instant::now();
    let gets = ["a", "b", "c"].map(|name| async {
        let download = store.get("c", name, None).await.unwrap();
        let pieces: Vec<Bytes> = download.stream.try_collect().await.unwrap();
        assert!(pieces.iter().all(|piece| piece.len() <= 64 << 10), "they come in small pieces, so that none stalls");
        pieces.concat()
    });
    assert!(join_all(gets).await.iter().all(|got| *got == bytes));
    assert!(begun.elapsed() >= at_least, "three downloads took {:?}", begun.elapsed());
    assert_eq!(passed.load(Ordering::Relaxed), 6 * (150 << 10), "each byte is counted on its way");
}
