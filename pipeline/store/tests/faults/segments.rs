//! Large objects over broken networks.

// The lints' exceptions for tests do not reach helper functions of test programs.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use store::{Error, StoreExt};

use crate::Bench;
use crate::common::noise;
use crate::interceptor::{Action, Head, path, put_of};

const MIB: usize = 1 << 20;

async fn bench() -> Bench {
    Bench::new(|settings| {
        settings.segment_size = MIB as u64;
        settings.segments_at_once = 3;
        settings.tries = 3;
    })
    .await
}

/// Whether a request uploads a segment with this number.
fn segment(number: &'static str) -> impl Fn(&Head) -> bool + Send + Clone + 'static {
    move |head| head.method == "PUT" && path(head).contains("/segments-") && path(head).ends_with(number)
}

fn is_manifest(head: &Head) -> bool {
    head.method == "PUT" && head.target.contains("multipart-manifest=put")
}

async fn segments_left(bench: &Bench) -> usize {
    bench.swift.list_all(&bench.settings.segments_container, "").await.unwrap().len()
}

#[tokio::test]
async fn a_segment_that_fails_is_sent_again_alone() {
    let bench = bench().await;
    bench
        .interceptor
        .next(segment("00000003"), vec![Action::CutRequest(MIB / 2), Action::answer("503 Service Unavailable")]);
    bench.swift.put_bytes(&bench.container, "a", noise(6 * MIB)).await.unwrap();
    let mut sent: BTreeMap<String, usize> = BTreeMap::new();
    for head in bench.interceptor.seen(segment("")) {
        *sent.entry(path(&head)[path(&head).len() - 8..].to_owned()).or_default() += 1;
    }
    // The container of segments is the first that is put.
    let sent: Vec<(&str, usize)> =
        sent.iter().filter(|(name, _)| name.starts_with("0000")).map(|(name, count)| (name.as_str(), *count)).collect();
    assert_eq!(
        sent,
        [("00000001", 1), ("00000002", 1), ("00000003", 3), ("00000004", 1), ("00000005", 1), ("00000006", 1)]
    );
    assert_eq!(bench.swift.get_bytes(&bench.container, "a", 7 << 20).await.unwrap(), noise(6 * MIB));
    bench.done().await;
}

#[tokio::test]
async fn segments_travel_side_by_side_but_not_more_than_allowed() {
    let bench = bench().await;
    bench.interceptor.always(segment(""), Action::SlowRequest(4 * MIB));
    bench.swift.put_bytes(&bench.container, "a", noise(8 * MIB)).await.unwrap();
    assert_eq!(bench.interceptor.most_uploads_at_once(), 3);
    bench.done().await;
}

#[tokio::test]
async fn a_segment_that_cannot_be_stored_fails_the_whole_and_leaves_nothing() {
    let bench = bench().await;
    bench.interceptor.always(segment("00000004"), Action::answer("507 Insufficient Storage"));
    let put = bench.swift.put_bytes(&bench.container, "a", noise(6 * MIB)).await;
    assert!(matches!(put, Err(Error::Full { tries: 3, .. })), "{put:?}");
    assert_eq!(bench.interceptor.seen(is_manifest), []);
    assert_eq!(bench.swift.find(&bench.container, "a").await.unwrap(), None);
    let within = format!("/{}/", bench.settings.segments_container);
    let sent = bench.interceptor.seen(segment(""));
    let sent: Vec<&str> = sent.iter().filter_map(|head| Some(path(head).split_once(&within)?.1)).collect();
    assert!(sent.len() > 3, "{sent:?}");
    for name in sent {
        let found = bench.swift.find(&bench.settings.segments_container, name).await.unwrap();
        assert_eq!(found, None, "{name}");
    }
    bench.done().await;
}

#[tokio::test]
async fn the_status_of_a_manifest_is_read_from_the_body() {
    let bench = bench().await;
    let accepted = |verdict: &str| Action::Answer {
        status: "202 Accepted",
        headers: vec![("Content-Type", "application/json".to_owned())],
        body: format!(
            "   \r\n\r\n{{\"Response Status\": \"{verdict}\", \"Response Body\": \"so it is\", \"Errors\": []}}"
        ),
        read: true,
    };
    bench.interceptor.next(is_manifest, vec![accepted("503 Service Unavailable")]);
    bench.swift.put_bytes(&bench.container, "a", noise(2 * MIB)).await.unwrap();
    assert_eq!(bench.interceptor.seen(is_manifest).len(), 2, "503 passes");

    bench.interceptor.always(is_manifest, accepted("403 Forbidden"));
    let put = bench.swift.put_bytes(&bench.container, "b", noise(2 * MIB)).await;
    assert!(matches!(put, Err(Error::Forbidden { .. })), "{put:?}");
    assert_eq!(segments_left(&bench).await, 2, "those of the first object");

    // A lie: it says 201, and nothing is there.
    bench.interceptor.always(is_manifest, accepted("201 Created"));
    let put = bench.swift.put_bytes(&bench.container, "b", noise(2 * MIB)).await;
    assert!(matches!(put, Err(Error::Mismatch { .. })), "{put:?}");
    bench.done().await;
}

#[tokio::test]
async fn a_manifest_whose_answer_was_lost_is_found() {
    let bench = bench().await;
    bench.interceptor.next(is_manifest, vec![Action::LoseAnswer]);
    bench.swift.put_bytes(&bench.container, "a", noise(2 * MIB)).await.unwrap();
    assert_eq!(bench.interceptor.seen(is_manifest).len(), 1);
    assert_eq!(bench.swift.get_bytes(&bench.container, "a", 3 << 20).await.unwrap(), noise(2 * MIB));
    bench.done().await;
}

#[tokio::test]
async fn segments_stay_while_nobody_knows_what_became_of_their_manifest() {
    let bench = bench().await;
    bench.interceptor.always(is_manifest, Action::answer("503 Service Unavailable"));
    let put = bench.swift.put_bytes(&bench.container, "a", noise(2 * MIB)).await;
    assert!(matches!(put, Err(Error::Refused { passing: true, .. })), "{put:?}");
    assert_eq!(segments_left(&bench).await, 2);
    bench.done().await;
}

#[tokio::test]
async fn nothing_is_sent_into_a_container_that_does_not_exist() {
    let bench = bench().await;
    let put = bench.swift.put_bytes("nowhere", "a", noise(4 * MIB)).await;
    assert!(matches!(put, Err(Error::NotFound { .. })), "{put:?}");
    assert_eq!(bench.interceptor.seen(segment("")), []);
    assert_eq!(bench.interceptor.seen(put_of("a")), []);
    bench.done().await;
}
