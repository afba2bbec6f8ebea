//! Answers that are no success: which are tried again, and what becomes of the others.

// The lints' exceptions for tests do not reach helper functions of test programs.
#![allow(clippy::unwrap_used)]

use std::time::{Duration, Instant};

use store::{Body, Digests, Error, Store, StoreExt, Swift};

use crate::Bench;
use crate::common::{self, Account, noise};
use crate::interceptor::{Action, Head, get_of, head_of, is_auth, path, put_of};

#[tokio::test]
async fn a_store_that_is_busy_for_a_moment_is_asked_again_after_the_time_it_names() {
    let bench = Bench::new(|_| ()).await;
    let busy = |status| Action::Answer {
        status,
        headers: vec![("Retry-After", "1".to_owned())],
        body: String::new(),
        read: true,
    };
    bench.interceptor.next(put_of("a"), vec![busy("503 Service Unavailable"), busy("429 Too Many Requests")]);
    let begun = Instant::now();
    bench.swift.put_bytes(&bench.container, "a", noise(1000)).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(2), "{:?}", begun.elapsed());
    assert_eq!(bench.swift.get_bytes(&bench.container, "a", 1000).await.unwrap(), noise(1000));
    bench.done().await;
}

#[tokio::test]
async fn passing_statuses_are_tried_again_by_every_call() {
    let bench = Bench::new(|_| ()).await;
    bench.swift.put_bytes(&bench.container, "a", noise(1000)).await.unwrap();
    for status in ["408 x", "429 x", "498 x", "499 x", "500 x", "502 x", "503 x", "504 x", "507 x"] {
        let twice = || vec![Action::answer(status); 2];
        bench.interceptor.next(put_of("a"), twice());
        bench.swift.put_bytes(&bench.container, "a", noise(1000)).await.unwrap();
        bench.interceptor.next(head_of("a"), twice());
        bench.swift.head(&bench.container, "a").await.unwrap();
        bench.interceptor.next(get_of("a"), twice());
        bench.swift.get_bytes(&bench.container, "a", 1000).await.unwrap();
        bench.interceptor.next(|head| head.method == "GET", twice());
        assert_eq!(bench.swift.list(&bench.container, "", None).await.unwrap().len(), 1);
        bench.interceptor.next(|head| head.method == "GET", twice());
        bench.swift.list_containers(&bench.container, None).await.unwrap();
        bench.interceptor.next(|head| head.method == "PUT", twice());
        bench.swift.create_container(&bench.container).await.unwrap();
    }
    bench.done().await;
}

#[tokio::test]
async fn lasting_refusals_are_told_at_once_and_by_their_kind() {
    let bench = Bench::new(|_| ()).await;
    let put = async |status: &'static str, page: &str| {
        let before = bench.interceptor.seen(put_of("a")).len();
        let answer = Action::Answer { status, headers: Vec::new(), body: page.to_owned(), read: true };
        bench.interceptor.always(put_of("a"), answer);
        let error = bench.swift.put_bytes(&bench.container, "a", noise(1000)).await.unwrap_err();
        assert_eq!(bench.interceptor.seen(put_of("a")).len() - before, 1, "{status} is not tried again");
        assert!(!error.is_passing(), "{error:?}");
        error
    };
    let error = put("403 Forbidden", "<html><h1>Forbidden</h1><p>Access was denied to this resource.</p></html>").await;
    assert!(matches!(error, Error::Forbidden { .. }), "{error:?}");
    let object = format!("{}/a", bench.container);
    assert_eq!(
        error.to_string(),
        format!("cannot upload {object}: 403 Forbidden (Forbidden Access was denied to this resource.)")
    );
    let error = put("404 Not Found", "").await;
    assert_eq!(error.to_string(), format!("{} does not exist in {}", bench.container, bench.swift.location()));
    let error = put("409 Conflict", "").await;
    assert!(matches!(error, Error::Conflict { .. }), "{error:?}");
    let error = put("412 Precondition Failed", "").await;
    assert!(matches!(error, Error::Conflict { .. }), "{error:?}");
    let error = put("400 Bad Request", "so not").await;
    assert!(matches!(error, Error::Refused { passing: false, tries: 1, .. }), "{error:?}");
    assert_eq!(error.to_string(), format!("cannot upload {object}: 400 Bad Request (so not)"));
    bench.done().await;
}

#[tokio::test]
async fn a_quota_is_told_as_no_room() {
    let bench = Bench::new(|settings| settings.tries = 3).await;
    let account = Account::of(&bench.settings).await;
    let quota = |request: reqwest::RequestBuilder| request.header("X-Container-Meta-Quota-Bytes", "5000000");
    account.request(reqwest::Method::POST, &bench.container, quota).await;
    bench.swift.put_bytes(&bench.container, "a", noise(100)).await.unwrap();
    let bytes = noise(20 << 20);
    let large = Body::from_bytes(bytes.clone(), Digests::of(&bytes, None));
    // A large body: Swift refuses it before it has read it. Once with nothing in between, too.
    let direct = Swift::connect(common::version_1()).await.unwrap();
    for swift in [&bench.swift, &direct] {
        for _ in 0..5 {
            let error = swift.put(&bench.container, "a", &large).await.unwrap_err();
            assert!(matches!(error, Error::Full { .. }), "{error:?}");
            assert!(error.to_string().contains("413"), "{error}");
            assert!(error.hint().unwrap().contains("quota"));
        }
    }
    assert_eq!(bench.swift.get_bytes(&bench.container, "a", 100).await.unwrap(), noise(100), "the old object stays");

    let full = Action::answer("507 Insufficient Storage");
    bench.interceptor.always(put_of("a"), full);
    let error = bench.swift.put_bytes(&bench.container, "a", noise(100)).await.unwrap_err();
    assert!(matches!(error, Error::Full { tries: 3, .. }), "{error:?}");
    assert!(
        error.to_string().contains("507 Insufficient Storage (the answer says no more) after 3 tries in"),
        "{error}"
    );
    bench.done().await;
}

#[tokio::test]
async fn a_lasting_illness_is_told_with_the_number_of_tries() {
    let bench = Bench::new(|settings| settings.tries = 4).await;
    bench.interceptor.always(head_of("a"), Action::answer("503 Service Unavailable"));
    let error = bench.swift.head(&bench.container, "a").await.unwrap_err();
    assert!(matches!(error, Error::Refused { passing: true, tries: 4, .. }), "{error:?}");
    assert!(error.is_passing());
    assert_eq!(bench.interceptor.seen(head_of("a")).len(), 4);
    bench.done().await;
}

#[tokio::test]
async fn a_delete_whose_answer_was_lost_is_done() {
    let bench = Bench::new(|_| ()).await;
    bench.swift.put_bytes(&bench.container, "a", noise(10)).await.unwrap();
    bench.interceptor.next(|head| head.method == "DELETE", vec![Action::LoseAnswer]);
    bench.swift.delete(&bench.container, "a").await.unwrap();
    assert_eq!(bench.swift.find(&bench.container, "a").await.unwrap(), None);
    bench.done().await;
}

#[tokio::test]
async fn what_the_store_says_of_its_limits_counts() {
    let bench = Bench::new(|_| ()).await;
    let tells = |info: &str| {
        let answer = Action::Answer { status: "200 OK", headers: Vec::new(), body: info.to_owned(), read: true };
        bench.interceptor.always(|head| path(head) == "/info", answer);
    };
    tells(r#"{"swift": {"max_file_size": 1000, "container_listing_limit": 2}, "slo": {"max_manifest_segments": 3}}"#);
    let swift = Swift::connect(bench.settings.clone()).await.unwrap();
    assert_eq!((swift.segment_size(), swift.max_object_size()), (Some(1000), Some(3000)));
    for name in ["b", "c", "d"] {
        swift.put_bytes(&bench.container, name, noise(3000)).await.unwrap();
    }
    assert_eq!(swift.list(&bench.container, "", None).await.unwrap().len(), 2);
    let refused = swift.put_bytes(&bench.container, "a", noise(3001)).await;
    assert!(matches!(refused, Err(Error::Settings { .. })), "{refused:?}");

    tells(r#"{"swift": {"max_file_size": 1000}}"#);
    let swift = Swift::connect(bench.settings.clone()).await.unwrap();
    assert_eq!((swift.segment_size(), swift.max_object_size()), (None, Some(1000)));
    let refused = swift.put_bytes(&bench.container, "a", noise(1001)).await;
    assert!(matches!(refused, Err(Error::TooLarge { bytes: 1001, limit: 1000, .. })), "{refused:?}");
    assert_eq!(bench.interceptor.seen(put_of("a")), []);

    bench.interceptor.always(|head| path(head) == "/info", Action::answer("403 Forbidden"));
    let swift = Swift::connect(bench.settings.clone()).await.unwrap();
    assert_eq!(swift.segment_size(), Some(bench.settings.segment_size), "an untold limit is the usual one");
    bench.done().await;
}

#[tokio::test]
async fn redirects_are_not_followed() {
    let bench = Bench::new(|_| ()).await;
    let elsewhere = Action::Answer {
        status: "302 Found",
        headers: vec![("Location", format!("{}/elsewhere", bench.interceptor.url()))],
        body: String::new(),
        read: true,
    };
    bench.interceptor.always(get_of("a"), elsewhere);
    let get = bench.swift.get(&bench.container, "a", None).await;
    assert!(matches!(get, Err(Error::Refused { passing: false, .. })), "{get:?}");
    assert_eq!(bench.interceptor.seen(|head| path(head).ends_with("elsewhere")), []);
    bench.done().await;
}

#[tokio::test]
async fn secrets_that_a_server_repeats_are_not_repeated_here() {
    let bench = Bench::new(|settings| settings.tries = 1).await;
    // What an over-talkative server would show.
    let shows = |head: &Head| Action::Answer {
        status: "400 Bad Request",
        headers: Vec::new(),
        body: format!("you sent {:?}", head),
        read: true,
    };
    bench.interceptor.script(move |head| shows(head));
    let token = bench.interceptor.seen(|head| head.header("x-auth-token").is_some());
    let token = token[0].header("x-auth-token").unwrap().to_owned();
    for error in [
        bench.swift.head(&bench.container, "a").await.unwrap_err(),
        bench.swift.put_bytes(&bench.container, "a", noise(10)).await.unwrap_err(),
        Swift::connect(bench.settings.clone()).await.unwrap_err(),
    ] {
        let told = format!("{error} {error:?}");
        assert!(!told.contains(&token), "{told}");
        let key = test_support::tempauth().key;
        assert!(!told.contains(&format!("\"{key}\"")), "{told}");
    }
    assert!(!format!("{:?}", bench.swift).contains(&token));
    assert!(!bench.interceptor.seen(is_auth).is_empty());
    bench.done().await;
}
