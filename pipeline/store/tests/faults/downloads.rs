//! Downloads from connections that end early, break or stand still, and of objects that change meanwhile.

// The lints' exceptions for tests do not reach helper functions of test programs.
#![allow(clippy::unwrap_used)]

use std::ops::Range;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::TryStreamExt;
use store::{Download, Error, Store, StoreExt};

use crate::Bench;
use crate::common::noise;
use crate::interceptor::{Action, Interceptor, get_of};

const MIB: usize = 1 << 20;

async fn read(bench: &Bench, range: Option<Range<u64>>) -> Result<Bytes, Error> {
    collect(bench.swift.get(&bench.container, "a", range).await?).await
}

async fn read_unchecked(bench: &Bench) -> Result<Bytes, Error> {
    collect(bench.swift.get_unchecked(&bench.container, "a").await?).await
}

async fn collect(download: Download) -> Result<Bytes, Error> {
    let announced = download.bytes;
    let pieces: Vec<Bytes> = download.stream.try_collect().await?;
    let bytes = pieces.concat();
    assert_eq!(bytes.len() as u64, announced);
    Ok(bytes.into())
}

/// The ranges that were asked for, and on which condition.
fn asked(interceptor: &Interceptor) -> Vec<(Option<String>, bool)> {
    let gets = interceptor.seen(get_of("a"));
    gets.iter().map(|get| (get.header("range").map(str::to_owned), get.header("if-match").is_some())).collect()
}

fn part(range: &str) -> Option<String> {
    Some(format!("bytes={range}"))
}

#[tokio::test]
async fn an_early_clean_end_is_resumed_where_it_happened() {
    let bench = Bench::new(|_| ()).await;
    let bytes = noise(2 * MIB);
    bench.swift.put_bytes(&bench.container, "a", bytes.clone()).await.unwrap();
    bench.interceptor.next(get_of("a"), vec![Action::CutAnswer(1_000_000), Action::CutAnswer(500_000)]);
    assert_eq!(read(&bench, None).await.unwrap(), bytes);
    assert_eq!(
        asked(&bench.interceptor),
        [(None, false), (part("1000000-2097151"), true), (part("1500000-2097151"), true)]
    );
    bench.done().await;
}

#[tokio::test]
async fn a_reader_that_checks_by_itself_spares_the_server_the_hashing_and_is_resumed_all_the_same() {
    let bench = Bench::new(|_| ()).await;
    let bytes = noise(2 * MIB);
    bench.swift.put_bytes(&bench.container, "a", bytes.clone()).await.unwrap();
    let cuts = vec![Action::CutAnswer(1000), Action::Pass, Action::CutAnswer(500_000)];
    bench.interceptor.next(get_of("a"), cuts);
    assert_eq!(read_unchecked(&bench).await.unwrap(), bytes);
    // What was cut off at the very beginning is asked for again together with the rest, and not from byte 0 on.
    assert_eq!(asked(&bench.interceptor)[..2], [(part("0-65535"), false), (part("1000-2097151"), true)]);
    bench.done().await;
}

#[tokio::test]
async fn an_object_that_is_replaced_behind_its_beginning_is_not_mixed() {
    let bench = Bench::new(|_| ()).await;
    bench.swift.put_bytes(&bench.container, "a", noise(MIB)).await.unwrap();
    let mut download = bench.swift.get_unchecked(&bench.container, "a").await.unwrap();
    let mut received = 0;
    while received < 64 << 10 {
        received += download.stream.try_next().await.unwrap().unwrap().len();
    }
    bench.swift.put_bytes(&bench.container, "a", Bytes::from(vec![7; MIB])).await.unwrap();
    assert!(matches!(download.stream.try_next().await, Err(Error::Changed { .. })));
    bench.done().await;
}

#[tokio::test]
async fn a_range_is_resumed_within_its_bounds() {
    let bench = Bench::new(|_| ()).await;
    let bytes = noise(2 * MIB);
    bench.swift.put_bytes(&bench.container, "a", bytes.clone()).await.unwrap();
    bench.interceptor.next(get_of("a"), vec![Action::CutAnswer(400_000)]);
    assert_eq!(read(&bench, Some(100_000..900_000)).await.unwrap(), bytes.slice(100_000..900_000));
    assert_eq!(asked(&bench.interceptor), [(part("100000-899999"), false), (part("500000-899999"), true)]);
    bench.done().await;
}

#[tokio::test]
async fn a_large_object_is_resumed_as_well() {
    let bench = Bench::new(|settings| settings.segment_size = MIB as u64).await;
    let bytes = noise(3 * MIB + 7);
    bench.swift.put_bytes(&bench.container, "a", bytes.clone()).await.unwrap();
    bench.interceptor.next(get_of("a"), vec![Action::CutAnswer(MIB + 5), Action::CutAnswer(MIB)]);
    assert_eq!(read(&bench, None).await.unwrap(), bytes);
    bench.done().await;
}

#[tokio::test]
async fn tries_are_counted_anew_after_progress() {
    let bench = Bench::new(|settings| settings.tries = 2).await;
    let bytes = noise(2 * MIB);
    bench.swift.put_bytes(&bench.container, "a", bytes.clone()).await.unwrap();
    bench.interceptor.always(get_of("a"), Action::CutAnswer(200_000));
    assert_eq!(read(&bench, None).await.unwrap(), bytes);
    assert_eq!(asked(&bench.interceptor).len(), 11);
    bench.done().await;
}

#[tokio::test]
async fn an_end_that_is_always_too_early_is_an_error() {
    let bench = Bench::new(|settings| settings.tries = 3).await;
    bench.swift.put_bytes(&bench.container, "a", noise(1000)).await.unwrap();
    bench.interceptor.next(get_of("a"), [vec![Action::CutAnswer(600)], vec![Action::CutAnswer(0); 9]].concat());
    match read(&bench, None).await {
        Err(error @ Error::Truncated { received: 600, expected: 1000, .. }) => assert!(error.is_passing()),
        other => panic!("{other:?}"),
    }
    bench.done().await;
}

#[tokio::test]
async fn a_download_that_stands_still_is_resumed_after_the_stall_timeout() {
    let bench = Bench::new(|settings| settings.stall_timeout = Duration::from_secs(2)).await;
    let bytes = noise(MIB);
    bench.swift.put_bytes(&bench.container, "a", bytes.clone()).await.unwrap();
    bench.interceptor.next(get_of("a"), vec![Action::StallAnswer(300_000)]);
    let begun = Instant::now();
    assert_eq!(read(&bench, None).await.unwrap(), bytes);
    assert!((2.0..15.0).contains(&begun.elapsed().as_secs_f64()), "{:?}", begun.elapsed());
    bench.done().await;
}

#[tokio::test]
async fn an_object_replaced_meanwhile_is_not_continued_with_another() {
    let bench = Bench::new(|_| ()).await;
    bench.swift.put_bytes(&bench.container, "a", noise(2 * MIB)).await.unwrap();
    bench.interceptor.next(get_of("a"), vec![Action::CutAnswer(MIB)]);
    let download = bench.swift.get(&bench.container, "a", None).await.unwrap();
    let other = [&noise(2 * MIB)[1..], b"x"].concat();
    bench.swift.put_bytes(&bench.container, "a", other.into()).await.unwrap();
    let end = download.stream.try_collect::<Vec<Bytes>>().await;
    assert!(matches!(end, Err(Error::Changed { .. })), "{end:?}");

    // One that was deleted is not there to be continued.
    bench.interceptor.next(get_of("a"), vec![Action::CutAnswer(MIB)]);
    let download = bench.swift.get(&bench.container, "a", None).await.unwrap();
    bench.swift.delete(&bench.container, "a").await.unwrap();
    let end = download.stream.try_collect::<Vec<Bytes>>().await;
    assert!(matches!(end, Err(Error::Changed { .. })), "{end:?}");
    bench.done().await;
}

#[tokio::test]
async fn a_part_other_than_the_one_asked_for_is_refused() {
    let bench = Bench::new(|_| ()).await;
    bench.swift.put_bytes(&bench.container, "a", noise(1000)).await.unwrap();
    let part = |range: &str, length: usize| Action::Answer {
        status: "206 Partial Content",
        headers: vec![("Content-Range", range.to_owned())],
        body: "x".repeat(length),
        read: true,
    };
    let whole = Action::Answer { status: "200 OK", headers: Vec::new(), body: "x".repeat(1000), read: true };
    for lie in [part("bytes 0-9/1000", 10), part("bytes 10-18/1000", 9), part("nonsense", 10), whole] {
        bench.interceptor.always(get_of("a"), lie);
        let read = read(&bench, Some(10..20)).await;
        assert!(matches!(read, Err(Error::Protocol { .. })), "{read:?}");
    }
    bench.done().await;
}
