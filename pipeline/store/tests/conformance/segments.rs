//! Large objects in Swift. (The benches cut into segments of 1 MiB, which lie in a container of their own.)

// The lints' exceptions for tests do not reach helper functions of test programs.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use futures_util::TryStreamExt;
use store::{Body, Digests, Error, StoreExt};

use crate::Bench;
use crate::common::{Account, noise};

const MIB: usize = 1 << 20;

fn segments_container(bench: &Bench) -> &str {
    &bench.settings.as_ref().unwrap().segments_container
}

/// The names of all segments in the container of segments.
async fn segments(bench: &Bench) -> Vec<String> {
    match bench.store.list_all(segments_container(bench), "").await {
        Ok(entries) => entries.into_iter().map(|entry| entry.name).collect(),
        Err(Error::NotFound { .. }) => Vec::new(),
        Err(other) => panic!("{other:?}"),
    }
}

pub(crate) async fn a_large_body_is_stored_in_segments_and_read_as_one(bench: Bench) {
    let Bench { store, container, .. } = &bench;
    let bytes = noise(3 * MIB + MIB / 2);
    let digests = Digests::of(&bytes, store.segment_size());
    assert_eq!(digests.segments.len(), 4);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &bytes).unwrap();
    for body in [Body::from_bytes(bytes.clone(), digests.clone()), Body::from_file(file.path(), digests.clone())] {
        let info = store.put(container, "d/large", &body).await.unwrap();
        assert_eq!((info.bytes, info.etag), (bytes.len() as u64, Some(digests.etag())));
        assert_eq!(store.head(container, "d/large").await.unwrap().etag, Some(digests.etag()));
        assert_eq!(store.get_bytes(container, "d/large", 10 << 20).await.unwrap(), bytes);
        let unchecked: Vec<Bytes> =
            store.get_unchecked(container, "d/large").await.unwrap().stream.try_collect().await.unwrap();
        assert_eq!(unchecked.concat(), bytes);
    }
    // Nights are listed without them.
    assert_eq!(store.list_all(container, "").await.unwrap().len(), 1);
    let segments = segments(&bench).await;
    assert_eq!(segments.len(), 4);
    assert!(segments.iter().all(|segment| segment.starts_with(&format!("{container}/d/large/"))), "{segments:?}");
}

pub(crate) async fn ranges_reach_across_segments(bench: Bench) {
    let Bench { store, container, .. } = &bench;
    let bytes = noise(3 * MIB + 5);
    store.put_bytes(container, "large", bytes.clone()).await.unwrap();
    for range in [0..bytes.len(), MIB - 1..MIB + 1, MIB..2 * MIB, MIB / 2..3 * MIB + 1, 3 * MIB..3 * MIB + 5] {
        let wanted = Some(range.start as u64..range.end as u64);
        let pieces: Vec<Bytes> =
            store.get(container, "large", wanted).await.unwrap().stream.try_collect().await.unwrap();
        assert!(pieces.concat() == bytes[range.clone()], "{range:?}");
    }
    let beyond = store.get(container, "large", Some(0..bytes.len() as u64 + 1)).await;
    assert!(matches!(beyond, Err(Error::Range { .. })), "{beyond:?}");
}

pub(crate) async fn a_body_just_as_large_as_a_segment_stays_in_one_piece(bench: Bench) {
    let Bench { store, container, .. } = &bench;
    let whole = store.put_bytes(container, "whole", noise(MIB)).await.unwrap();
    assert_eq!(whole.etag, Some(Digests::of(&noise(MIB), None).etag()));
    assert_eq!(segments(&bench).await, Vec::<String>::new());
    store.put_bytes(container, "cut", noise(MIB + 1)).await.unwrap();
    assert_eq!(segments(&bench).await.len(), 2);
    assert_eq!(store.get_bytes(container, "cut", 2 << 20).await.unwrap(), noise(MIB + 1));
}

pub(crate) async fn deleting_leaves_the_segments_unless_they_are_to_go(bench: Bench) {
    let Bench { store, container, .. } = &bench;
    store.put_bytes(container, "a", noise(2 * MIB)).await.unwrap();
    store.put_bytes(container, "b", noise(2 * MIB)).await.unwrap();
    store.delete(container, "a").await.unwrap();
    assert_eq!(store.find(container, "a").await.unwrap(), None);
    assert_eq!(segments(&bench).await.len(), 4, "the named object only");
    store.delete_with_segments(container, "b").await.unwrap();
    assert_eq!(store.find(container, "b").await.unwrap(), None);
    let left = segments(&bench).await;
    assert_eq!(left.len(), 2);
    assert!(left.iter().all(|segment| segment.starts_with(&format!("{container}/a/"))), "{left:?}");
}

pub(crate) async fn segments_of_other_names_are_not_touched(bench: Bench) {
    let Bench { store, container, .. } = &bench;
    // The segments of the second lie below the prefix of the first.
    for name in ["a", "a/0123456789abcdef", "a/b", "ab"] {
        store.put_bytes(container, name, noise(2 * MIB + name.len())).await.unwrap();
    }
    store.delete_with_segments(container, "a").await.unwrap();
    assert_eq!(segments(&bench).await.len(), 9);
    for name in ["a/0123456789abcdef", "a/b", "ab"] {
        assert_eq!(store.get_bytes(container, name, 3 << 20).await.unwrap(), noise(2 * MIB + name.len()), "{name}");
    }
}

pub(crate) async fn segments_that_lie_elsewhere_are_not_touched(bench: Bench) {
    let Bench { store, container, .. } = &bench;
    // Somebody else's large object: its pieces lie beside it, and one of ours is borrowed.
    store.put_bytes(container, "lent", noise(2 * MIB)).await.unwrap();
    store.put_bytes(container, "piece", noise(MIB)).await.unwrap();
    let lent = format!("/{}/{}", segments_container(&bench), segments(&bench).await[0]);
    let account = Account::of(bench.settings.as_ref().unwrap()).await;
    let foreign = format!("{container}/foreign");
    account.put_manifest(&foreign, &[format!("/{container}/piece"), lent]).await;
    assert_eq!(store.get_bytes(container, "foreign", 3 << 20).await.unwrap(), [noise(MIB), noise(MIB)].concat());
    store.delete_with_segments(container, "foreign").await.unwrap();
    assert_eq!(store.get_bytes(container, "piece", 3 << 20).await.unwrap(), noise(MIB));
    assert_eq!(store.get_bytes(container, "lent", 3 << 20).await.unwrap(), noise(2 * MIB));

    // Replacing it leaves them alone as well.
    account.put_manifest(&foreign, &[format!("/{container}/piece")]).await;
    store.put_bytes(container, "foreign", noise(3)).await.unwrap();
    assert_eq!(store.get_bytes(container, "piece", 3 << 20).await.unwrap(), noise(MIB));
}

pub(crate) async fn a_replaced_object_leaves_no_segments_behind(bench: Bench) {
    let Bench { store, container, .. } = &bench;
    for (length, expected) in
        [(3 * MIB, 3), (2 * MIB + 1, 3), (4 * MIB, 4), (4 * MIB, 4), (10, 0), (2 * MIB, 2), (0, 0)]
    {
        store.put_bytes(container, "a", noise(length)).await.unwrap();
        assert_eq!(segments(&bench).await.len(), expected, "after {length} bytes");
        assert_eq!(store.get_bytes(container, "a", 10 << 20).await.unwrap(), noise(length));
    }
}

pub(crate) async fn segments_of_a_killed_upload_go_with_the_next_one(bench: Bench) {
    let Bench { store, container, .. } = &bench;
    store.put_bytes(container, "other", noise(2 * MIB)).await.unwrap();
    let left_by_a_killed_one = async || {
        for number in ["00000001", "00000002"] {
            let name = format!("{container}/a/0123456789abcdef/{number}");
            store.put_bytes(segments_container(&bench), &name, noise(MIB)).await.unwrap();
        }
    };
    left_by_a_killed_one().await;
    store.put_bytes(container, "a", noise(3 * MIB)).await.unwrap();
    assert_eq!(segments(&bench).await.len(), 2 + 3);
    assert_eq!(store.get_bytes(container, "a", 4 << 20).await.unwrap(), noise(3 * MIB));
    left_by_a_killed_one().await;
    store.delete_with_segments(container, "a").await.unwrap();
    assert_eq!(segments(&bench).await.len(), 2);
    assert_eq!(store.get_bytes(container, "other", 4 << 20).await.unwrap(), noise(2 * MIB));
}

pub(crate) async fn a_failed_upload_leaves_no_segments_behind(bench: Bench) {
    let Bench { store, container, .. } = &bench;
    store.put_bytes(container, "a", noise(2 * MIB)).await.unwrap();
    let bytes = noise(4 * MIB);
    // The last segment is not what was declared.
    let mut digests = Digests::of(&bytes, store.segment_size());
    digests.segments[3].md5 = digests.segments[0].md5;
    let put = store.put(container, "a", &Body::from_bytes(bytes.clone(), digests)).await;
    assert!(matches!(put, Err(Error::Mismatch { .. })), "{put:?}");
    // All segments are fine, but there is no room for their manifest.
    let account = Account::of(bench.settings.as_ref().unwrap()).await;
    let quota = |request: reqwest::RequestBuilder| request.header("X-Container-Meta-Quota-Count", "1");
    account.request(reqwest::Method::POST, container, quota).await;
    let put = store.put_bytes(container, "a", bytes).await;
    assert!(matches!(put, Err(Error::Full { .. })), "{put:?}");
    assert_eq!(store.get_bytes(container, "a", 10 << 20).await.unwrap(), noise(2 * MIB), "the old object stays");
    assert_eq!(segments(&bench).await.len(), 2, "with its segments");
}

pub(crate) async fn strange_names_have_segments_too(bench: Bench) {
    let Bench { store, container, .. } = &bench;
    for name in ["a b/%2F?#&", "über/\"日本\"\n", "a/../b", "//x/"] {
        store.put_bytes(container, name, noise(2 * MIB)).await.unwrap();
        assert_eq!(store.get_bytes(container, name, 3 << 20).await.unwrap(), noise(2 * MIB), "{name:?}");
        store.put_bytes(container, name, noise(2 * MIB + 1)).await.unwrap();
        assert_eq!(segments(&bench).await.len(), 3, "{name:?}");
        store.delete_with_segments(container, name).await.unwrap();
        assert_eq!(segments(&bench).await, Vec::<String>::new(), "{name:?}");
    }
    // One that is fine by itself, but has no room for the rest of a segment's name.
    let long = "x".repeat(1000);
    store.put_bytes(container, &long, noise(10)).await.unwrap();
    let large = store.put_bytes(container, &long, noise(2 * MIB)).await;
    assert!(matches!(large, Err(Error::InvalidName { .. })), "{large:?}");
}

pub(crate) async fn a_segment_that_is_missing_or_another_is_found_without_reading(bench: Bench) {
    let Bench { store, container, .. } = &bench;
    let put = store.put_bytes(container, "large", noise(2 * MIB + 5)).await.unwrap();
    let look = async || store.head_with_segments(container, "large").await;
    let seen = look().await.unwrap();
    assert_eq!((seen.bytes, seen.etag, seen.is_segmented), (put.bytes, put.etag, true));
    let (segments, into) = (segments(&bench).await, segments_container(&bench));
    let second = store.get_bytes(into, &segments[1], 2 << 20).await.unwrap();

    for other in [noise(MIB - 1), noise(MIB + 1).slice(1..)] {
        store.put_bytes(into, &segments[1], other).await.unwrap();
        let found = look().await;
        assert!(
            matches!(&found, Err(Error::Mismatch { operation, .. }) if operation.contains(&segments[1])),
            "{found:?}"
        );
    }
    store.delete(into, &segments[1]).await.unwrap();
    let found = look().await;
    assert!(matches!(&found, Err(Error::NotFound { object, .. }) if object.ends_with(&segments[1])), "{found:?}");
    // The object itself looks as before.
    assert_eq!(store.head(container, "large").await.unwrap().bytes, seen.bytes);
    store.put_bytes(into, &segments[1], second).await.unwrap();
    look().await.unwrap();

    store.put_bytes(container, "small", noise(MIB)).await.unwrap();
    assert!(!store.head_with_segments(container, "small").await.unwrap().is_segmented);
}
