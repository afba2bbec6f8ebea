//! Uploads: whole and right, or not at all, also when many come at once.

// The lints' exceptions for tests do not reach helper functions of test programs.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::TryStreamExt;
use store::{Body, Digests, Error, StoreExt};

use crate::Bench;
use crate::common::noise;

/// The same bytes from memory and from a file, declared as `digests` say.
fn sources(bytes: &Bytes, digests: &Digests) -> (tempfile::NamedTempFile, [Body; 2]) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let bodies = [Body::from_bytes(bytes.clone(), digests.clone()), Body::from_file(file.path(), digests.clone())];
    (file, bodies)
}

async fn refused_and_unchanged(bench: &Bench, body: &Body, expected: &str) {
    let Bench { store, container, .. } = bench;
    match store.put(container, "old", body).await {
        Err(Error::Mismatch { what, .. }) => assert_eq!(what, expected),
        other => panic!("{other:?}"),
    }
    assert_eq!(store.get_bytes(container, "old", 1000).await.unwrap(), noise(77), "the old object stays");
    let refused = store.put(container, "new", body).await;
    assert!(matches!(refused, Err(Error::Mismatch { .. })), "{refused:?}");
    let names = store.list_all(container, "").await.unwrap();
    assert_eq!(names.len(), 1, "only the old object is there: {names:?}");
}

pub(crate) async fn a_body_of_another_length_is_refused_and_the_old_object_stays(bench: Bench) {
    bench.store.put_bytes(&bench.container, "old", noise(77)).await.unwrap();
    let bytes = noise(500_000);
    for declared in [499_999, 500_001, 0, 900_000] {
        let digests = Digests { bytes: declared, ..Digests::of(&bytes, None) };
        let (_file, bodies) = sources(&bytes, &digests);
        for body in &bodies {
            refused_and_unchanged(&bench, body, "length").await;
        }
    }
}

pub(crate) async fn a_body_of_another_md5_is_refused_and_the_old_object_stays(bench: Bench) {
    bench.store.put_bytes(&bench.container, "old", noise(77)).await.unwrap();
    let bytes = noise(500_000);
    let digests = Digests { md5: Digests::of(b"something else", None).md5, ..Digests::of(&bytes, None) };
    let (_file, bodies) = sources(&bytes, &digests);
    for body in &bodies {
        refused_and_unchanged(&bench, body, "MD5").await;
    }
}

pub(crate) async fn a_missing_source_is_an_error(bench: Bench) {
    let body = Body::from_file("/nonexistent/spool", Digests::of(b"abc", None));
    let put = bench.store.put(&bench.container, "a", &body).await;
    match put {
        Err(error @ Error::Io { .. }) => assert!(error.to_string().contains("/nonexistent/spool"), "{error}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(bench.store.find(&bench.container, "a").await.unwrap(), None);
}

pub(crate) async fn a_put_replaces_what_was_there(bench: Bench) {
    for length in [1000, 3, 0, 50_000] {
        bench.store.put_bytes(&bench.container, "a/b", noise(length)).await.unwrap();
        assert_eq!(bench.store.get_bytes(&bench.container, "a/b", 50_000).await.unwrap(), noise(length));
        let listed = bench.store.list_all(&bench.container, "").await.unwrap();
        assert_eq!((listed.len(), listed[0].bytes), (1, length as u64));
    }
}

/// Bodies that can be told from each other by any of their bytes.
fn uniform(byte: u8) -> Bytes {
    vec![byte; 600_000 + usize::from(byte)].into()
}

pub(crate) async fn readers_see_an_old_or_a_new_object_and_never_a_mixture(bench: Bench) {
    bench.store.put_bytes(&bench.container, "a", uniform(0)).await.unwrap();
    let finished = Arc::new(AtomicBool::new(false));
    let reader = tokio::spawn({
        let (bench, finished) = (bench.clone(), Arc::clone(&finished));
        async move {
            let mut reads = 0;
            while !finished.load(Ordering::Relaxed) {
                let download = bench.store.get(&bench.container, "a", None).await.unwrap();
                match download.stream.try_collect::<Vec<Bytes>>().await {
                    Ok(pieces) => {
                        let read = pieces.concat();
                        assert_eq!(read, uniform(read[0]), "whole, and of one object");
                        reads += 1;
                    }
                    Err(Error::Changed { .. }) => {}
                    Err(other) => panic!("{other:?}"),
                }
            }
            reads
        }
    });
    for byte in 1..=20 {
        bench.store.put_bytes(&bench.container, "a", uniform(byte)).await.unwrap();
    }
    finished.store(true, Ordering::Relaxed);
    assert!(reader.await.unwrap() > 0, "something was read meanwhile");
}

pub(crate) async fn many_puts_at_once_do_not_disturb_each_other(bench: Bench) {
    let puts: Vec<_> = (0..16)
        .map(|number| {
            let bench = bench.clone();
            tokio::spawn(async move {
                let name = format!("d/{}/{number}", number % 3);
                for _ in 0..3 {
                    bench.store.put_bytes(&bench.container, &name, noise(10_000 + number)).await.unwrap();
                    assert_eq!(
                        bench.store.get_bytes(&bench.container, &name, 20_000).await.unwrap(),
                        noise(10_000 + number)
                    );
                    bench.store.delete(&bench.container, &name).await.unwrap();
                }
                bench.store.put_bytes(&bench.container, &name, noise(10_000 + number)).await.unwrap();
            })
        })
        .collect();
    for put in puts {
        put.await.unwrap();
    }
    assert_eq!(bench.store.list_all(&bench.container, "d/").await.unwrap().len(), 16);
}

pub(crate) async fn of_puts_of_one_name_at_once_one_stands(bench: Bench) {
    let puts: Vec<_> = (1..=8)
        .map(|byte| {
            let bench = bench.clone();
            tokio::spawn(async move { bench.store.put_bytes(&bench.container, "a", uniform(byte)).await })
        })
        .collect();
    for put in puts {
        match put.await.unwrap() {
            // Ours stood for a moment at least; or another's came in between, and ours cannot be proven.
            Ok(_) | Err(Error::Mismatch { .. }) => {}
            Err(other) => panic!("{other:?}"),
        }
    }
    let read = bench.store.get_bytes(&bench.container, "a", 1 << 20).await.unwrap();
    assert!((1..=8).contains(&read[0]));
    assert_eq!(read, uniform(read[0]));
    assert_eq!(bench.store.list_all(&bench.container, "").await.unwrap().len(), 1);
}
