//! Uploads over networks that are slow, stand still, break, or damage.

// The lints' exceptions for tests do not reach helper functions of test programs.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use store::{Body, Digests, Error, Store, StoreExt};

use crate::Bench;
use crate::common::noise;
use crate::interceptor::{Action, head_of, put_of};

const MIB: usize = 1 << 20;

/// The error of a single try of an upload, and how long it took.
async fn fails(bench: &Bench, length: usize) -> (Error, Duration) {
    let begun = Instant::now();
    let error = bench.swift.put_bytes(&bench.container, "a", noise(length)).await.unwrap_err();
    (error, begun.elapsed())
}

#[tokio::test]
async fn a_slow_but_steady_reader_may_take_longer_than_the_stall_timeout() {
    let bench = Bench::new(|settings| {
        settings.stall_timeout = Duration::from_secs(3);
        settings.tries = 1;
    })
    .await;
    bench.interceptor.always(put_of("a"), Action::SlowRequest(2 * MIB));
    let begun = Instant::now();
    bench.swift.put_bytes(&bench.container, "a", noise(12 * MIB)).await.unwrap();
    assert!(begun.elapsed() > Duration::from_secs(3), "it took {:?}", begun.elapsed());
    assert_eq!(bench.interceptor.seen(put_of("a")).len(), 1);
    bench.done().await;
}

#[tokio::test]
async fn a_reader_that_stops_is_given_up_after_the_stall_timeout() {
    let bench = Bench::new(|settings| {
        settings.stall_timeout = Duration::from_secs(1);
        settings.connect_timeout = Duration::from_secs(1);
        settings.tries = 1;
    })
    .await;
    bench.interceptor.always(put_of("a"), Action::StallRequest(2 * MIB));
    let (error, elapsed) = fails(&bench, 32 * MIB).await;
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("no byte was taken for 1s"), "{error}");
    assert!((1.0..15.0).contains(&elapsed.as_secs_f64()), "{elapsed:?}");
    bench.done().await;
}

#[tokio::test]
async fn a_reader_that_stops_once_costs_a_try_only() {
    let bench = Bench::new(|settings| settings.stall_timeout = Duration::from_secs(2)).await;
    bench.interceptor.next(put_of("a"), vec![Action::StallRequest(2 * MIB)]);
    bench.swift.put_bytes(&bench.container, "a", noise(16 * MIB)).await.unwrap();
    assert_eq!(bench.interceptor.seen(put_of("a")).len(), 2);
    bench.done().await;
}

#[tokio::test]
async fn the_answer_may_take_longer_than_the_stall_timeout() {
    let bench = Bench::new(|settings| {
        settings.stall_timeout = Duration::from_secs(2);
        settings.tries = 1;
    })
    .await;
    bench.interceptor.always(put_of("a"), Action::LateAnswer(Duration::from_secs(4)));
    bench.swift.put_bytes(&bench.container, "a", noise(MIB)).await.unwrap();
    bench.swift.put_bytes(&bench.container, "a", noise(0)).await.unwrap();
    bench.done().await;
}

#[tokio::test]
async fn an_answer_that_never_comes_is_given_up_after_the_response_timeout() {
    let bench = Bench::new(|settings| {
        settings.response_timeout = Duration::from_millis(500);
        settings.connect_timeout = Duration::from_secs(1);
        settings.tries = 1;
    })
    .await;
    bench.interceptor.always(put_of("a"), Action::Swallow);
    for length in [MIB, 0] {
        let (error, elapsed) = fails(&bench, length).await;
        assert!(error.to_string().contains("no answer for 500ms after the last byte"), "{error}");
        assert!((0.5..15.0).contains(&elapsed.as_secs_f64()), "{elapsed:?}");
    }
    bench.done().await;
}

#[tokio::test]
async fn a_connection_that_breaks_in_the_middle_is_tried_again() {
    let bench = Bench::new(|_| ()).await;
    let bytes = noise(8 * MIB);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &bytes).unwrap();
    let digests = Digests::of(&bytes, None);
    for body in [Body::from_file(file.path(), digests.clone()), Body::from_bytes(bytes.clone(), digests.clone())] {
        let before = bench.interceptor.seen(put_of("a")).len();
        bench.interceptor.next(put_of("a"), vec![Action::CutRequest(0), Action::CutRequest(3 * MIB)]);
        bench.swift.put(&bench.container, "a", &body).await.unwrap();
        assert_eq!(bench.interceptor.seen(put_of("a")).len() - before, 3);
        assert_eq!(bench.swift.get_bytes(&bench.container, "a", 10 << 20).await.unwrap(), bytes);
        bench.swift.delete(&bench.container, "a").await.unwrap();
    }
    bench.done().await;
}

#[tokio::test]
async fn a_connection_that_breaks_always_is_told_with_the_reason() {
    let bench = Bench::new(|settings| settings.tries = 3).await;
    bench.interceptor.always(put_of("a"), Action::CutRequest(MIB));
    let (error, _) = fails(&bench, 4 * MIB).await;
    assert!(matches!(error, Error::Unreachable { tries: 3, .. }), "{error:?}");
    let text = error.to_string();
    assert!(text.starts_with(&format!("cannot upload {}/a: {}: ", bench.container, bench.interceptor.url())), "{text}");
    assert!(text.contains("after 3 tries in"), "{text}");
    assert!(error.is_passing() && error.hint().is_some());
    assert_eq!(bench.swift.find(&bench.container, "a").await.unwrap(), None, "nothing of it is stored");
    bench.done().await;
}

#[tokio::test]
async fn an_upload_whose_answer_was_lost_is_found_and_not_sent_again() {
    let bench = Bench::new(|_| ()).await;
    bench.interceptor.next(put_of("a"), vec![Action::LoseAnswer]);
    bench.swift.put_bytes(&bench.container, "a", noise(MIB)).await.unwrap();
    assert_eq!(bench.interceptor.seen(put_of("a")).len(), 1);
    // Another object of the same size is not taken for it.
    bench.interceptor.next(put_of("a"), vec![Action::CutRequest(0)]);
    let other = [&noise(MIB)[1..], b"x"].concat();
    bench.swift.put_bytes(&bench.container, "a", other.clone().into()).await.unwrap();
    assert_eq!(bench.swift.get_bytes(&bench.container, "a", 2 << 20).await.unwrap(), other);
    bench.done().await;
}

#[tokio::test]
async fn bytes_damaged_on_the_way_are_sent_again() {
    let bench = Bench::new(|settings| settings.tries = 3).await;
    bench.interceptor.next(put_of("a"), vec![Action::DamageRequest]);
    bench.swift.put_bytes(&bench.container, "a", noise(MIB)).await.unwrap();
    assert_eq!(bench.interceptor.seen(put_of("a")).len(), 2);
    assert_eq!(bench.swift.get_bytes(&bench.container, "a", 2 << 20).await.unwrap(), noise(MIB));

    bench.interceptor.always(put_of("b"), Action::DamageRequest);
    let refused = bench.swift.put_bytes(&bench.container, "b", noise(MIB)).await;
    assert!(matches!(refused, Err(Error::Mismatch { what: "MD5", .. })), "{refused:?}");
    assert_eq!(bench.interceptor.seen(put_of("b")).len(), 3);
    assert_eq!(bench.swift.find(&bench.container, "b").await.unwrap(), None);
    bench.done().await;
}

#[tokio::test]
async fn an_upload_is_done_only_when_a_head_agrees() {
    let bench = Bench::new(|settings| settings.tries = 2).await;
    let bytes = noise(1000);
    let etag = Digests::of(&bytes, None).etag();
    let told = |length: &str, etag: &str| Action::Answer {
        status: "200 OK",
        headers: vec![
            ("Content-Length", length.to_owned()),
            ("ETag", etag.to_owned()),
            ("X-Timestamp", "1465603200.00000".to_owned()),
            ("Date", "Sat, 11 Jun 2016 00:00:00 GMT".to_owned()),
        ],
        body: String::new(),
        read: true,
    };
    for (head, expected) in [
        (told("999", &etag), "length is 999 bytes, but 1000 bytes was declared"),
        (told("1000", "0123"), "ETag is 0123, but"),
        (Action::answer("404 Not Found"), "ETag is missing"),
    ] {
        let before = bench.interceptor.seen(put_of("a")).len();
        bench.interceptor.always(head_of("a"), head);
        let (error, _) = fails(&bench, 1000).await;
        assert!(matches!(error, Error::Mismatch { .. }), "{error:?}");
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(bench.interceptor.seen(put_of("a")).len() - before, 2, "it is sent again before that");
    }
    bench.done().await;
}

#[tokio::test]
async fn a_source_that_shrinks_meanwhile_is_noticed() {
    let bench = Bench::new(|_| ()).await;
    let length = 64 * MIB;
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len(length as u64).unwrap();
    let digests = Digests::of(&vec![0; length], None);
    let body = Body::from_file(file.path(), digests);
    bench.interceptor.always(put_of("a"), Action::SlowRequest(8 * MIB));
    let put = bench.swift.put(&bench.container, "a", &body);
    let shrink = async {
        bench.interceptor.await_request(put_of("a")).await;
        file.as_file().set_len(MIB as u64).unwrap();
    };
    let (put, ()) = tokio::join!(put, shrink);
    assert!(matches!(put, Err(Error::Mismatch { what: "length", .. })), "{put:?}");
    assert_eq!(bench.interceptor.seen(put_of("a")).len(), 1, "another try would not help");
    assert_eq!(bench.swift.find(&bench.container, "a").await.unwrap(), None);
    bench.done().await;
}
