//! Objects: what goes in comes out, by whole and by part, under any name.

// The lints' exceptions for tests do not reach helper functions of test programs.
#![allow(clippy::unwrap_used)]

use std::ops::Range;

use bytes::Bytes;
use chrono::TimeDelta;
use futures_util::TryStreamExt;
use store::{Body, Digests, Download, Error, StoreExt};

use crate::Bench;
use crate::common::noise;

async fn read(bench: &Bench, name: &str, range: Option<Range<u64>>) -> Bytes {
    collect(bench.store.get(&bench.container, name, range).await.unwrap()).await
}

async fn collect(download: Download) -> Bytes {
    let announced = download.bytes;
    let pieces: Vec<Bytes> = download.stream.try_collect().await.unwrap();
    let bytes = pieces.concat();
    assert_eq!(bytes.len() as u64, announced, "a download says how long it is");
    bytes.into()
}

pub(crate) async fn what_was_put_comes_back(bench: Bench) {
    for length in [0, 1, 4096, (64 << 10) - 1, 64 << 10, (64 << 10) + 1, 1 << 20, 3_000_001] {
        let bytes = noise(length);
        // As one piece, however large.
        let digests = Digests::of(&bytes, None);
        let name = format!("of {length} bytes");
        let body = Body::from_bytes(bytes.clone(), digests.clone());
        let put = bench.store.put(&bench.container, &name, &body).await.unwrap();
        assert_eq!(put.bytes, length as u64);
        assert!(put.etag.is_none_or(|etag| etag == digests.etag()));
        let head = bench.store.head(&bench.container, &name).await.unwrap();
        assert_eq!(head.bytes, length as u64);
        assert!(head.etag.is_none_or(|etag| etag == digests.etag()));
        assert_eq!(read(&bench, &name, None).await, bytes);
        let unchecked = bench.store.get_unchecked(&bench.container, &name).await.unwrap();
        assert_eq!(collect(unchecked).await, bytes);
    }
    let missing = bench.store.get_unchecked(&bench.container, "missing").await;
    assert!(matches!(missing, Err(Error::NotFound { .. })), "{missing:?}");
}

pub(crate) async fn bodies_come_from_files_too(bench: Bench) {
    let bytes = noise(1_234_567);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &bytes).unwrap();
    let body = Body::from_file(file.path(), Digests::of(&bytes, bench.store.segment_size()));
    // A second put reads the file again.
    for name in ["first", "second"] {
        assert_eq!(bench.store.put(&bench.container, name, &body).await.unwrap().bytes, 1_234_567);
        assert_eq!(read(&bench, name, None).await, bytes);
    }
    bench.store.delete_with_segments(&bench.container, "first").await.unwrap();
    bench.store.delete_with_segments(&bench.container, "second").await.unwrap();
}

pub(crate) async fn ranges_are_half_open_and_end_at_the_end(bench: Bench) {
    let bytes = noise(700_000);
    bench.store.put_bytes(&bench.container, "a", bytes.clone()).await.unwrap();
    for (start, end) in
        [(0, 1), (0, 700_000), (1, 2), (5, 600_005), (699_999, 700_000), (0, 0), (9, 9), (700_000, 700_000)]
    {
        let part = read(&bench, "a", Some(start..end)).await;
        assert_eq!(part, bytes.slice(start as usize..end as usize), "{start}..{end}");
    }
    bench.store.put_bytes(&bench.container, "empty", Bytes::new()).await.unwrap();
    assert_eq!(read(&bench, "empty", Some(0..0)).await, Bytes::new());

    #[allow(clippy::reversed_empty_ranges)]
    let beyond = [
        ("a", 0..700_001, 700_000),
        ("a", 699_999..700_001, 700_000),
        ("a", 700_000..700_001, 700_000),
        ("a", 800_000..800_001, 700_000),
        ("a", 700_001..700_001, 700_000),
        ("a", 9..8, 700_000),
        ("empty", 0..1, 0),
    ];
    for (name, range, length) in beyond {
        match bench.store.get(&bench.container, name, Some(range.clone())).await {
            Err(Error::Range { start, end, bytes, .. }) => {
                assert_eq!((start, end, bytes), (range.start, range.end, length), "{name} {range:?}");
            }
            other => panic!("{name} {range:?} gave {other:?}"),
        }
    }
}

pub(crate) async fn what_does_not_exist_is_not_found(bench: Bench) {
    let nowhere = test_support::random_name("nowhere");
    for container in [&bench.container, &nowhere] {
        let named = |error: Error| {
            assert!(
                matches!(&error, Error::NotFound { object, location }
                if *object == format!("{container}/a/b") && *location == bench.store.location()),
                "{error:?}"
            );
        };
        named(bench.store.head(container, "a/b").await.unwrap_err());
        named(bench.store.get(container, "a/b", None).await.unwrap_err());
        named(bench.store.get(container, "a/b", Some(0..1)).await.unwrap_err());
        named(bench.store.get(container, "a/b", Some(0..0)).await.unwrap_err());
        named(bench.store.delete(container, "a/b").await.unwrap_err());
        named(bench.store.delete_with_segments(container, "a/b").await.unwrap_err());
    }
    for length in [10, 3_000_000] {
        let put = bench.store.put_bytes(&nowhere, "a/b", noise(length)).await;
        assert!(matches!(&put, Err(Error::NotFound { object, .. }) if *object == nowhere), "{put:?}");
    }
    let list = bench.store.list(&nowhere, "", None).await;
    assert!(matches!(list, Err(Error::NotFound { .. })), "{list:?}");
}

pub(crate) async fn deleting_takes_the_named_object_alone(bench: Bench) {
    for name in ["d/e/f", "d/e/g", "d/h", "dd"] {
        bench.store.put_bytes(&bench.container, name, noise(5)).await.unwrap();
    }
    bench.store.delete(&bench.container, "d/e/f").await.unwrap();
    let second = bench.store.delete(&bench.container, "d/e/f").await;
    assert!(matches!(second, Err(Error::NotFound { .. })), "{second:?}");
    // The directory or pseudo-directory of an object is none.
    let above = bench.store.delete(&bench.container, "d/e").await;
    assert!(matches!(above, Err(Error::NotFound { .. })), "{above:?}");
    bench.store.delete_with_segments(&bench.container, "d/e/g").await.unwrap();
    let left = bench.store.list_all(&bench.container, "").await.unwrap();
    let left: Vec<&str> = left.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(left, ["d/h", "dd"]);
    // What was a directory may become an object.
    bench.store.put_bytes(&bench.container, "d/e", noise(6)).await.unwrap();
    assert_eq!(read(&bench, "d/e", None).await, noise(6));
}

pub(crate) async fn ages_are_told_by_one_clock(bench: Bench) {
    let put = bench.store.put_bytes(&bench.container, "a", noise(5)).await.unwrap();
    let head = bench.store.head(&bench.container, "a").await.unwrap();
    assert_eq!(head.modified, put.modified, "the time of writing does not move");
    let age = head.answered - head.modified;
    assert!(age >= TimeDelta::zero() && age < TimeDelta::minutes(2), "{age}");
    // A folder's clock is this machine's; a Swift has one of its own.
    let time = bench.store.time().await;
    assert_eq!(time.is_some(), bench.settings.is_some());
    assert!(time.is_none_or(|time| (time - head.answered).abs() < TimeDelta::minutes(2)), "{time:?}");
    bench.store.put_bytes(&bench.container, "a", noise(6)).await.unwrap();
    assert!(bench.store.head(&bench.container, "a").await.unwrap().modified > head.modified);
}

pub(crate) async fn comforts_keep_their_word(bench: Bench) {
    let Bench { store, container, .. } = &bench;
    store.put_bytes(container, "a", noise(100)).await.unwrap();
    assert_eq!(store.get_bytes(container, "a", 100).await.unwrap(), noise(100));
    let larger = store.get_bytes(container, "a", 99).await;
    assert!(matches!(larger, Err(Error::TooLarge { bytes: 100, limit: 99, .. })), "{larger:?}");
    assert_eq!(store.find(container, "a").await.unwrap().unwrap().bytes, 100);
    assert_eq!(store.find(container, "b").await.unwrap(), None);
    assert_eq!(store.find(&test_support::random_name("nowhere"), "b").await.unwrap(), None);
}

pub(crate) async fn strange_names_are_just_names(bench: Bench) {
    let longest_part = "x".repeat(255);
    let mut names = vec![
        " ",
        " leading",
        "trailing ",
        "a b",
        "a+b",
        "a%b",
        "a%2Fb",
        "a%2e%2e/b",
        "%",
        "a?b=c",
        "a#b",
        "a&b;c",
        "\"quoted\"",
        "it's",
        "back\\slash",
        "c:d",
        "new\nline",
        "tab\t",
        "\u{1}\u{7f}",
        "...",
        ".hidden",
        "-",
        "~",
        "*",
        "[a]",
        "{a}|<b>",
        "über/grün",
        "日本語",
        "e\u{301}",
        "\u{e9}",
        "🌒",
        "A",
        "a",
        "d/e f/g%h/i?j",
        "2016-06-11/shards/db.rp.00010.00",
        "a@b:80",
        "$HOME",
        "`a`",
        "a,b",
        "=",
        "^",
        "\u{202e}abc",
        "\u{feff}bom",
        &longest_part,
    ];
    for (number, name) in names.iter().enumerate() {
        bench.store.put_bytes(&bench.container, name, noise(number)).await.unwrap();
    }
    for (number, name) in names.iter().enumerate() {
        assert_eq!(bench.store.head(&bench.container, name).await.unwrap().bytes, number as u64, "{name:?}");
        assert_eq!(read(&bench, name, None).await, noise(number), "{name:?}");
    }
    let listed = bench.store.list_all(&bench.container, "").await.unwrap();
    names.sort_unstable();
    let listed: Vec<&str> = listed.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(listed, names);
    for name in &names {
        let found = bench.store.list(&bench.container, name, None).await.unwrap();
        assert!(found.iter().any(|entry| entry.name == *name), "{name:?} is its own prefix");
        bench.store.delete(&bench.container, name).await.unwrap();
    }
    assert_eq!(bench.store.list_all(&bench.container, "").await.unwrap(), []);

    // Swift holds these as well; a folder says that it cannot. Nobody takes them for other names.
    bench.store.put_bytes(&bench.container, "b", noise(3)).await.unwrap();
    for name in ["a/../b", "../b", "a/..", "./b", "a/./b", "/b", "//b", "a//b", "b/"] {
        match bench.store.put_bytes(&bench.container, name, noise(9)).await {
            Ok(_) => {
                assert_eq!(read(&bench, name, None).await, noise(9), "{name:?}");
                assert_eq!(bench.store.list(&bench.container, name, None).await.unwrap()[0].name, name);
                bench.store.delete(&bench.container, name).await.unwrap();
            }
            Err(Error::InvalidName { .. }) => {
                let get = bench.store.get(&bench.container, name, None).await;
                assert!(matches!(get, Err(Error::InvalidName { .. })), "{name:?} gave {get:?}");
                let delete = bench.store.delete(&bench.container, name).await;
                assert!(matches!(delete, Err(Error::InvalidName { .. })), "{name:?} gave {delete:?}");
                assert_eq!(bench.store.list(&bench.container, name, None).await.unwrap(), [], "{name:?}");
            }
            Err(other) => panic!("{name:?} gave {other:?}"),
        }
        assert_eq!(read(&bench, "b", None).await, noise(3), "{name:?} is not \"b\"");
    }
}

pub(crate) async fn names_that_nobody_can_hold_are_refused(bench: Bench) {
    let Bench { store, container, .. } = &bench;
    store.put_bytes(container, "a", noise(3)).await.unwrap();
    for name in ["", "a\0", ".", "..", &"long/".repeat(1000)] {
        let refused = |error: Error| assert!(matches!(error, Error::InvalidName { .. }), "{name:?} gave {error:?}");
        refused(store.put_bytes(container, name, noise(1)).await.unwrap_err());
        refused(store.head(container, name).await.unwrap_err());
        refused(store.get(container, name, None).await.unwrap_err());
        refused(store.delete(container, name).await.unwrap_err());
        refused(store.delete_with_segments(container, name).await.unwrap_err());
    }
    for container in ["", "a/b", ".", "..", "a\0", &"x".repeat(300)] {
        let refused =
            |error: Error| assert!(matches!(error, Error::InvalidName { .. }), "{container:?} gave {error:?}");
        refused(store.create_container(container).await.unwrap_err());
        refused(store.delete_container(container).await.unwrap_err());
        refused(store.list(container, "", None).await.unwrap_err());
        refused(store.put_bytes(container, "a", noise(1)).await.unwrap_err());
        refused(store.delete(container, "a").await.unwrap_err());
    }
    assert_eq!(store.list_all(container, "").await.unwrap().len(), 1, "nothing has changed");
}

pub(crate) async fn what_lies_in_a_file_is_the_object_itself(bench: Bench) {
    let Bench { store, container, .. } = &bench;
    store.put_bytes(container, "d/a", Bytes::from_static(b"content")).await.unwrap();
    if let Some(file) = store.file(container, "d/a") {
        assert_eq!(std::fs::read(file).unwrap(), b"content");
        // Names that the store refuses are not made to paths either.
        assert_eq!(store.file(container, "../a"), None);
    }
    let (seen, plain) = (store.head_with_segments(container, "d/a").await.unwrap(), store.head(container, "d/a").await);
    assert_eq!((seen.bytes, seen.etag.clone(), seen.is_segmented), (7, plain.unwrap().etag, false));
    let missing = store.head_with_segments(container, "d/b").await;
    assert!(matches!(missing, Err(Error::NotFound { .. })), "{missing:?}");
}
