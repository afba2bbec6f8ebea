//! Sharing: names of one object, objects made of others, and what is kept of deleted ones.

// The lints' exceptions for tests do not reach helper functions of test programs.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use store::{Body, Digests, Error, Piece, Sharing, StoreExt, Target};

use crate::Bench;
use crate::common::noise;

/// A container that keeps what is deleted, beside the case's own.
struct Pool<'a> {
    bench: &'a Bench,
    name: String,
}

impl<'a> Pool<'a> {
    async fn of(bench: &'a Bench) -> Pool<'a> {
        let name = test_support::random_name("pool");
        let pool = Pool { bench, name };
        pool.store().create_keeping_container(&pool.name).await.unwrap();
        // The second time is success as well.
        pool.store().create_keeping_container(&pool.name).await.unwrap();
        pool
    }

    fn store(&self) -> &dyn Sharing {
        self.bench.store.sharing().unwrap()
    }

    async fn put(&self, name: &str, bytes: &Bytes) -> Target {
        let body = Body::from_bytes(bytes.clone(), Digests::of(bytes, None));
        let info = self.bench.store.put(&self.name, name, &body).await.unwrap();
        assert!(!info.is_link);
        Target { container: self.name.clone(), name: name.to_owned(), tag: info.link_tag }
    }

    async fn clear(self, names: &[&str]) {
        for name in names {
            self.store().destroy(&self.name, name).await.unwrap();
        }
        self.bench.store.delete_container(&self.name).await.unwrap();
    }

    fn piece(&self, name: &str, bytes: &Bytes) -> Piece {
        let etag = Digests::of(bytes, None).etag();
        Piece::Object { container: self.name.clone(), name: name.to_owned(), bytes: bytes.len() as u64, etag }
    }
}

pub(crate) async fn a_link_is_the_object_under_another_name(bench: Bench) {
    let pool = Pool::of(&bench).await;
    let (one, other) = (noise(100_000), noise(7));
    let (to_one, to_other) = (pool.put("shards/one", &one).await, pool.put("shards/other", &other).await);
    let store = bench.store.as_ref();
    let linked = pool.store().link(&bench.container, "a/b", &to_one).await.unwrap();
    assert_eq!(linked.bytes, 100_000);
    assert_eq!(store.get_bytes(&bench.container, "a/b", 1 << 20).await.unwrap(), one);
    assert_eq!(store.list_all(&bench.container, "a/").await.unwrap()[0].bytes, 100_000);
    // Over another link, the same link, an object; and an object over a link.
    pool.store().link(&bench.container, "a/b", &to_other).await.unwrap();
    pool.store().link(&bench.container, "a/b", &to_other).await.unwrap();
    assert_eq!(store.get_bytes(&bench.container, "a/b", 1 << 20).await.unwrap(), other);
    store.put_bytes(&bench.container, "a/c", noise(9)).await.unwrap();
    pool.store().link(&bench.container, "a/c", &to_one).await.unwrap();
    assert_eq!(store.get_bytes(&bench.container, "a/c", 1 << 20).await.unwrap(), one);
    let put = store.put_bytes(&bench.container, "a/c", noise(11)).await.unwrap();
    assert!(!put.is_link);
    assert_eq!(store.get_bytes(&pool.name, "shards/one", 1 << 20).await.unwrap(), one, "the target stays as it was");
    // Deleting a name leaves the object, also together with the segments of that name.
    for name in ["a/b", "a/c"] {
        store.delete_with_segments(&bench.container, name).await.unwrap();
    }
    assert_eq!(store.get_bytes(&pool.name, "shards/other", 1 << 20).await.unwrap(), other);
    assert_eq!(store.list_all(&bench.container, "").await.unwrap(), []);
    pool.clear(&["shards/one", "shards/other"]).await;
}

pub(crate) async fn a_link_leads_to_what_is_there_or_is_refused(bench: Bench) {
    let pool = Pool::of(&bench).await;
    let target = pool.put("there", &noise(5)).await;
    let missing = Target { name: "missing".to_owned(), ..target.clone() };
    let refused = pool.store().link(&bench.container, "a", &missing).await;
    assert!(matches!(refused, Err(Error::Conflict { .. } | Error::NotFound { .. })), "{refused:?}");
    let nowhere = pool.store().link("no-such-container", "a", &target).await;
    assert!(matches!(nowhere, Err(Error::NotFound { .. })), "{nowhere:?}");
    assert_eq!(bench.store.list_all(&bench.container, "").await.unwrap(), []);
    pool.clear(&["there"]).await;
}

pub(crate) async fn what_was_destroyed_is_gone_for_good(bench: Bench) {
    let pool = Pool::of(&bench).await;
    pool.put("a", &noise(5)).await;
    pool.store().destroy(&pool.name, "a").await.unwrap();
    pool.store().destroy(&pool.name, "a").await.unwrap();
    assert!(!pool.store().undelete(&pool.name, "a", None).await.unwrap());
    assert_eq!(bench.store.find(&pool.name, "a").await.unwrap(), None);
    pool.clear(&[]).await;
}

pub(crate) async fn a_link_of_another_object_than_was_named_is_refused(bench: Bench) {
    let pool = Pool::of(&bench).await;
    let target = pool.put("a", &noise(5)).await;
    let other = Target { tag: Some(Digests::of(b"else", None).etag()), ..target.clone() };
    let refused = pool.store().link(&bench.container, "a", &other).await;
    assert!(matches!(refused, Err(Error::Conflict { .. })), "{refused:?}");
    // A link says that it is one, and whose.
    let linked = pool.store().link(&bench.container, "a", &Target { tag: None, ..target.clone() }).await.unwrap();
    assert!(linked.is_link && linked.link_tag == target.tag);
    assert!(bench.store.head(&bench.container, "a").await.unwrap().is_link);
    bench.store.delete(&bench.container, "a").await.unwrap();
    pool.clear(&["a"]).await;
}

pub(crate) async fn a_composed_object_is_its_pieces_in_their_order(bench: Bench) {
    let pool = Pool::of(&bench).await;
    let (large, small) = (noise(1_500_000), noise(1_100_000));
    pool.put("large", &large).await;
    pool.put("small", &small).await;
    let (head, between) = (Bytes::from_static(b"head"), Bytes::from_static(b"\0between\xff"));
    let pieces = [
        Piece::Inline(head.clone()),
        pool.piece("large", &large),
        Piece::Inline(between.clone()),
        pool.piece("small", &small),
        pool.piece("large", &large),
    ];
    let whole: Bytes = [&head[..], &large, &between, &small, &large].concat().into();
    let info = pool.store().compose(&pool.name, "whole", &pieces).await.unwrap();
    assert_eq!((info.bytes, info.is_segmented), (whole.len() as u64, true));
    assert_ne!(info.link_tag, info.etag, "a link names the manifest");
    let target = Target { container: pool.name.clone(), name: "whole".to_owned(), tag: info.link_tag };
    pool.store().link(&bench.container, "a", &target).await.unwrap();
    assert_eq!(bench.store.get_bytes(&bench.container, "a", 1 << 30).await.unwrap(), whole);
    let unchecked = bench.store.get_unchecked(&bench.container, "a").await.unwrap();
    assert_eq!(unchecked.bytes, whole.len() as u64);
    let range = bench.store.get(&bench.container, "a", Some(1_500_000..1_500_020)).await.unwrap();
    assert_eq!(range.bytes, 20);
    assert_eq!(bench.store.list_all(&bench.container, "").await.unwrap()[0].bytes, whole.len() as u64);
    // What is missing is found through the link, under its own name, and can be brought back.
    bench.store.head_with_segments(&bench.container, "a").await.unwrap();
    let (tag, whole_tag) = (Digests::of(&small, None).etag(), target.tag.clone().unwrap());
    bench.store.delete(&pool.name, "small").await.unwrap();
    match bench.store.head_with_segments(&bench.container, "a").await {
        Err(Error::NotFound { object, .. }) => assert_eq!(object, format!("{}/small", pool.name)),
        other => panic!("{other:?}"),
    }
    assert!(!pool.store().undelete(&pool.name, "small", Some(&whole_tag)).await.unwrap(), "no such one is kept");
    assert!(pool.store().undelete(&pool.name, "small", Some(&tag)).await.unwrap());
    assert!(
        !pool.store().undelete(&pool.name, "small", Some(&tag)).await.unwrap(),
        "nothing more is to be brought back"
    );
    bench.store.head_with_segments(&bench.container, "a").await.unwrap();
    // Likewise what was replaced, and a whole that was deleted.
    pool.put("small", &noise(7)).await;
    assert!(!pool.store().undelete(&pool.name, "small", None).await.unwrap(), "something stands there");
    assert!(pool.store().undelete(&pool.name, "small", Some(&tag)).await.unwrap());
    bench.store.delete(&pool.name, "whole").await.unwrap();
    assert_eq!(bench.store.find(&bench.container, "a").await.unwrap(), None);
    assert!(pool.store().undelete(&pool.name, "whole", Some(&whole_tag)).await.unwrap());
    bench.store.head_with_segments(&bench.container, "a").await.unwrap();
    assert_eq!(bench.store.get_bytes(&bench.container, "a", 1 << 30).await.unwrap(), whole);
    // Deleting the link with its own segments leaves those of others.
    bench.store.delete_with_segments(&bench.container, "a").await.unwrap();
    bench.store.head_with_segments(&pool.name, "whole").await.unwrap();
    pool.clear(&["whole", "small", "large"]).await;
}

pub(crate) async fn an_object_of_pieces_that_are_not_there_is_refused(bench: Bench) {
    let pool = Pool::of(&bench).await;
    let large = noise(1_200_000);
    pool.put("large", &large).await;
    let other = noise(1_200_001);
    for pieces in [vec![pool.piece("large", &large), pool.piece("missing", &large)], vec![pool.piece("large", &other)]]
    {
        let refused = pool.store().compose(&pool.name, "whole", &pieces).await;
        assert!(matches!(refused, Err(Error::Refused { .. } | Error::Mismatch { .. })), "{refused:?}");
        assert_eq!(bench.store.find(&pool.name, "whole").await.unwrap(), None);
    }
    pool.clear(&["large"]).await;
}
