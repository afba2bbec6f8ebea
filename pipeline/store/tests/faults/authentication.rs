//! Tokens: obtained in every way that Keystone knows, renewed in time, and renewed once.

// The lints' exceptions for tests do not reach helper functions of test programs.
#![allow(clippy::unwrap_used)]

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use store::swift::{ApplicationCredential, Credentials, Identity, KeystoneCredentials, Named, Scope, Settings};
use store::{Error, Store, StoreExt, Swift};

use crate::Bench;
use crate::common::{self, Account, in_domain, keystone_as, noise};
use crate::interceptor::{Action, Interceptor, head_of, is_auth, put_of};

fn keystone(settings: &mut Settings) -> &mut KeystoneCredentials {
    match &mut settings.credentials {
        Credentials::Keystone(keystone) => keystone,
        Credentials::Version1 { .. } => panic!("these settings are for Keystone"),
    }
}

/// Whether the store works for real.
async fn works(settings: Settings) {
    let swift = Swift::connect(settings).await.unwrap();
    let container = test_support::random_name("night");
    swift.create_container(&container).await.unwrap();
    swift.put_bytes(&container, "a", noise(10)).await.unwrap();
    assert_eq!(swift.get_bytes(&container, "a", 10).await.unwrap(), noise(10));
    assert_eq!(swift.unrenewable_token_expiry(), None);
    let project = test_support::keystone().project_id;
    assert!(swift.location().starts_with(&format!("swift:AUTH_{project} at http://")), "{}", swift.location());
    common::clear(&swift, &container).await;
}

fn password() -> Identity {
    Identity::Password {
        user: Named::Id(test_support::keystone().user_id),
        password: test_support::keystone().password,
    }
}

#[tokio::test]
async fn a_password_by_names_or_by_ids() {
    works(common::keystone()).await;
    let mut by_id = keystone_as(password());
    keystone(&mut by_id).scope = Some(Scope::Project(Named::Id(test_support::keystone().project_id)));
    works(by_id).await;
    // The same name in another domain is somebody else.
    let domain = Named::Name { name: test_support::keystone().other_domain, domain: None };
    works(keystone_as(Identity::Password {
        user: Named::Name { name: test_support::keystone().user, domain: Some(Box::new(domain)) },
        password: test_support::keystone().other_domain_password,
    }))
    .await;
}

#[tokio::test]
async fn an_application_credential_by_id_or_by_name_and_user() {
    let secret = test_support::keystone().application_credential_secret;
    let by_id = ApplicationCredential::Id(test_support::keystone().application_credential_id);
    let by_name =
        |user| ApplicationCredential::Name { name: test_support::keystone().application_credential_name, user };
    let by_user_id = by_name(Named::Id(test_support::keystone().user_id));
    let by_user_name = by_name(in_domain(&test_support::keystone().user));
    for credential in [by_id, by_user_id, by_user_name] {
        let mut settings = keystone_as(Identity::ApplicationCredential { credential, secret: secret.clone() });
        keystone(&mut settings).scope = None;
        works(settings).await;
    }
}

#[tokio::test]
async fn a_token_that_somebody_else_obtained() {
    let account = Account::of(&common::keystone()).await;
    for scope in [None, Some(Scope::Project(Named::Id(test_support::keystone().project_id)))] {
        let mut settings = keystone_as(Identity::Token(account.token.clone()));
        keystone(&mut settings).scope = scope;
        let swift = Swift::connect(settings).await.unwrap();
        swift.list_containers("nothing-is-called-so", None).await.unwrap();
        let left = swift.unrenewable_token_expiry().unwrap() - Utc::now();
        assert!(left > TimeDelta::zero() && left < TimeDelta::days(2), "{left}");
        assert!(!format!("{swift:?}").contains(&account.token));
    }
    let refused = Swift::connect(keystone_as(Identity::Token("gAAAAA-not-one".to_owned()))).await;
    assert!(matches!(refused, Err(Error::Unauthorized { .. })), "{refused:?}");
}

#[tokio::test]
async fn the_endpoint_is_that_of_the_region_and_interface() {
    let test_support::Keystone { region: one, other_region: other, .. } = test_support::keystone();
    for (region, interface, host) in [
        (&one, "public", "127.0.0.1"),
        (&one, "internal", "localhost"),
        (&other, "publicURL", "localhost"),
        (&other, "internalURL", "127.0.0.1"),
    ] {
        let mut settings = keystone_as(password());
        keystone(&mut settings).region = Some(region.clone());
        keystone(&mut settings).interface = interface.to_owned();
        let swift = Swift::connect(settings).await.unwrap();
        assert!(swift.location().contains(&format!("http://{host}:")), "{region} {interface}: {}", swift.location());
    }
    let mut nowhere = keystone_as(password());
    keystone(&mut nowhere).region = Some("Atlantis".to_owned());
    match Swift::connect(nowhere).await {
        Err(error @ Error::Settings { .. }) => {
            assert!(error.to_string().contains("public in region Atlantis; it has public in RegionOne"), "{error}");
        }
        other => panic!("{other:?}"),
    }
    let mut overridden = keystone_as(password());
    let elsewhere = Interceptor::before(&test_support::keystone().proxy);
    let account = format!("/v1/AUTH_{}", test_support::keystone().project_id);
    keystone(&mut overridden).endpoint = Some(format!("{}{account}", elsewhere.url()));
    let swift = Swift::connect(overridden).await.unwrap();
    swift.list_containers("nothing-is-called-so", None).await.unwrap();
    assert_eq!(elsewhere.seen(|head| head.target.starts_with(&account)).len(), 1);
}

#[tokio::test]
async fn a_scope_is_needed_to_find_the_store() {
    let mut unscoped = keystone_as(password());
    keystone(&mut unscoped).scope = None;
    match Swift::connect(unscoped).await {
        Err(error @ Error::Settings { .. }) => assert!(error.hint().unwrap().contains("OS_PROJECT_NAME"), "{error}"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn refused_credentials_are_told_at_once_and_without_the_secret() {
    let wrong = "not-the-pass-word";
    let mut version_1 = common::version_1();
    if let Credentials::Version1 { key, .. } = &mut version_1.credentials {
        *key = wrong.to_owned();
    }
    let user = in_domain(&test_support::keystone().user);
    let password = keystone_as(Identity::Password { user, password: wrong.to_owned() });
    for mut settings in [version_1, password] {
        settings.first_pause = Duration::from_secs(60);
        assert!(!format!("{settings:?}").contains(wrong));
        let error = Swift::connect(settings).await.unwrap_err();
        assert!(matches!(error, Error::Unauthorized { .. }), "{error:?}");
        assert!(error.to_string().starts_with("cannot authenticate at http://127.0.0.1:"), "{error}");
        assert!(!format!("{error} {error:?}").contains(wrong));
        assert!(error.hint().is_some());
    }
    // Known, but not allowed.
    let mut reader = common::version_1();
    if let Credentials::Version1 { user, key, .. } = &mut reader.credentials {
        *user = test_support::tempauth().reader;
        *key = test_support::tempauth().reader_key;
    }
    let forbidden = Swift::connect(reader).await.unwrap().create_container("night").await;
    assert!(matches!(forbidden, Err(Error::Forbidden { .. })), "{forbidden:?}");
}

#[tokio::test]
async fn addresses_that_lead_nowhere_are_told() {
    let with_address = |address: &str| {
        let mut settings = common::keystone();
        settings.tries = 2;
        keystone(&mut settings).auth_url = address.to_owned();
        settings
    };
    // Swift's proxy is no Keystone.
    let error = Swift::connect(with_address(&test_support::tempauth().proxy)).await.unwrap_err();
    assert!(!error.is_passing(), "{error:?}");
    let error = Swift::connect(with_address(&format!("{}/no", test_support::keystone().url))).await.unwrap_err();
    assert!(matches!(&error, Error::Settings { hint, .. } if hint.contains("OS_AUTH_URL")), "{error:?}");
    // A port where nobody listens any more.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = Swift::connect(with_address(&format!("http://{closed}"))).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { tries: 2, .. }), "{error:?}");
    assert!(error.to_string().contains("Connection refused"), "the last cause is told: {error}");
    let error = Swift::connect(with_address("http://no-such-host.invalid:5000")).await.unwrap_err();
    assert!(error.to_string().contains("dns error"), "{error}");
    for nonsense in ["", "keystone", "http://"] {
        let error = Swift::connect(with_address(nonsense)).await.unwrap_err();
        assert!(matches!(error, Error::Settings { .. }), "{nonsense:?} gave {error:?}");
    }
}

/// Lets the interceptor hand out tokens of version 1: first `first`, then the real one, all with `lifetime` seconds.
async fn hand_out(bench: &Bench, first: &str, lifetime: &str) {
    let real = Account::of(&bench.settings).await.token;
    let (storage_url, lifetime) = (format!("{}/v1/AUTH_test", bench.interceptor.url()), lifetime.to_owned());
    let mut next = Some(first.to_owned());
    bench.interceptor.script(move |head| {
        if !is_auth(head) {
            return Action::Pass;
        }
        let token = next.take().unwrap_or_else(|| real.clone());
        Action::Answer {
            status: "200 OK",
            headers: vec![
                ("X-Storage-Url", storage_url.clone()),
                ("X-Auth-Token", token),
                ("X-Auth-Token-Expires", lifetime.clone()),
            ],
            body: String::new(),
            read: true,
        }
    });
}

#[tokio::test]
async fn a_token_that_expires_soon_is_renewed_before_an_upload_and_only_then() {
    let bench = Bench::new(|_| ()).await;
    let real = Account::of(&bench.settings).await.token;
    for (lifetime, renewals) in [("599", 3), ("3600", 0)] {
        hand_out(&bench, &real, lifetime).await;
        let swift = Swift::connect(bench.settings.clone()).await.unwrap();
        let before = bench.interceptor.seen(is_auth).len();
        for _ in 0..3 {
            swift.put_bytes(&bench.container, "a", noise(10)).await.unwrap();
        }
        swift.head(&bench.container, "a").await.unwrap();
        assert_eq!(bench.interceptor.seen(is_auth).len() - before, renewals, "a life of {lifetime} s");
    }
    bench.done().await;
}

#[tokio::test]
async fn the_life_of_a_keystone_token_is_told_by_keystones_clock() {
    let settings = common::keystone();
    let real = Account::of(&settings).await.token;
    let interceptor = Interceptor::before(&test_support::keystone().url);
    let container = test_support::random_name("night");
    // Keystone lives in 2016, and the tokens that it gives out have so much left.
    for (expires_at, renewals) in [("2016-06-11T00:09:59.000000Z", 2), ("2016-06-11T00:11:00.000000Z", 0)] {
        let answer = Action::Answer {
            status: "201 Created",
            headers: vec![("Date", "Sat, 11 Jun 2016 00:00:00 GMT".to_owned()), ("X-Subject-Token", real.clone())],
            body: format!(r#"{{"token": {{"expires_at": "{expires_at}"}}}}"#),
            read: true,
        };
        interceptor.always(|_| true, answer);
        let mut through = settings.clone();
        let credentials = keystone(&mut through);
        credentials.auth_url = interceptor.url();
        let test_support::Keystone { proxy, project_id, .. } = test_support::keystone();
        credentials.endpoint = Some(format!("{proxy}/v1/AUTH_{project_id}"));
        let swift = Swift::connect(through).await.unwrap();
        swift.create_container(&container).await.unwrap();
        let before = interceptor.seen(|_| true).len();
        for _ in 0..2 {
            swift.put_bytes(&container, "a", noise(10)).await.unwrap();
        }
        assert_eq!(interceptor.seen(|_| true).len() - before, renewals, "until {expires_at}");
    }
    common::clear(&Swift::connect(settings).await.unwrap(), &container).await;
}

#[tokio::test]
async fn a_token_refused_in_mid_run_is_renewed_once_for_all() {
    let bench = Bench::new(|_| ()).await;
    bench.swift.put_bytes(&bench.container, "a", noise(10)).await.unwrap();
    hand_out(&bench, "AUTH_tk-which-swift-does-not-know", "86400").await;
    let swift = Swift::connect(bench.settings.clone()).await.unwrap();
    let before = bench.interceptor.seen(is_auth).len();
    let calls: Vec<_> = (0..12)
        .map(|number| {
            let (swift, container) = (swift.clone(), bench.container.clone());
            tokio::spawn(async move {
                match number % 4 {
                    0 => drop(swift.put_bytes(&container, &format!("{number}"), noise(3 << 20)).await.unwrap()),
                    1 => drop(swift.get_bytes(&container, "a", 10).await.unwrap()),
                    2 => drop(swift.list(&container, "", None).await.unwrap()),
                    _ => drop(swift.head(&container, "a").await.unwrap()),
                }
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap();
    }
    assert_eq!(bench.interceptor.seen(is_auth).len() - before, 1, "one renewal for twelve calls");
    bench.done().await;
}

#[tokio::test]
async fn a_refusal_that_closes_the_connection_before_it_is_read_renews_too() {
    let bench = Bench::new(|_| ()).await;
    let refusal = Action::Answer { status: "401 Unauthorized", headers: Vec::new(), body: String::new(), read: false };
    bench.interceptor.next(put_of("a"), vec![refusal]);
    bench.swift.put_bytes(&bench.container, "a", noise(8 << 20)).await.unwrap();
    bench.done().await;
}

#[tokio::test]
async fn a_token_that_is_refused_again_after_its_renewal_is_given_up() {
    let bench = Bench::new(|_| ()).await;
    let before = bench.interceptor.seen(is_auth).len();
    bench.interceptor.always(head_of("a"), Action::answer("401 Unauthorized"));
    let refused = bench.swift.head(&bench.container, "a").await;
    assert!(matches!(refused, Err(Error::Unauthorized { .. })), "{refused:?}");
    assert_eq!(bench.interceptor.seen(is_auth).len() - before, 1);
    assert_eq!(bench.interceptor.seen(head_of("a")).len(), 2);
    bench.done().await;
}

#[tokio::test]
async fn authentication_is_tried_again_too() {
    let bench = Bench::new(|_| ()).await;
    let twice = vec![Action::answer("503 Service Unavailable"), Action::LoseAnswer];
    bench.interceptor.next(is_auth, twice);
    Swift::connect(bench.settings.clone()).await.unwrap();
    bench.done().await;
}

/// A server that speaks TLS with a certificate which no authority knows, and answers every GET with 200.
struct TlsServer {
    process: Child,
    directory: tempfile::TempDir,
    url: String,
}

impl Drop for TlsServer {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl TlsServer {
    fn start() -> TlsServer {
        let directory = tempfile::tempdir().unwrap();
        let openssl = |arguments: &str| {
            let mut command = Command::new("openssl");
            command.args(arguments.split(' ')).current_dir(&directory).stdin(Stdio::null()).stderr(Stdio::null());
            command
        };
        let made = openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout key.pem -out cert.pem -days 2 \
             -subj /CN=127.0.0.1 -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE",
        )
        .status()
        .unwrap();
        assert!(made.success());
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut server = openssl(&format!("s_server -www -quiet -accept 127.0.0.1:{port} -key key.pem -cert cert.pem"));
        let process = server.stdout(Stdio::null()).spawn().unwrap();
        let begun = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(begun.elapsed() < Duration::from_secs(20), "openssl s_server does not listen");
            std::thread::yield_now();
        }
        TlsServer { process, directory, url: format!("https://127.0.0.1:{port}/auth/v1.0") }
    }
}

#[tokio::test]
async fn certificates_are_checked_unless_told_otherwise() {
    let server = TlsServer::start();
    let settings = |change: fn(&mut Settings, &TlsServer)| {
        let mut settings = common::version_1();
        if let Credentials::Version1 { auth_url, .. } = &mut settings.credentials {
            *auth_url = server.url.clone();
        }
        settings.first_pause = Duration::from_secs(60);
        change(&mut settings, &server);
        settings
    };
    // No trust: told with the cause at the end of the chain, and at once.
    let error = Swift::connect(settings(|_, _| ())).await.unwrap_err();
    assert!(matches!(error, Error::Settings { .. }), "{error:?}");
    assert!(error.to_string().contains("invalid peer certificate: "), "{error}");
    assert!(error.hint().unwrap().contains("OS_CACERT"), "{error}");
    // Trust leads to the next problem: that this is no Swift.
    for trusting in [
        settings(|settings, server| settings.ca_certificate = Some(server.directory.path().join("cert.pem"))),
        settings(|settings, _| settings.insecure = true),
    ] {
        let error = Swift::connect(trusting).await.unwrap_err();
        assert!(matches!(&error, Error::Protocol { reason, .. } if reason.contains("X-Storage-Url")), "{error:?}");
    }
    // Files that hold no certificate.
    for (file, expected) in [("missing.pem", "No such file"), ("key.pem", "no certificate in it")] {
        let mut wrong = settings(|_, _| ());
        wrong.ca_certificate = Some(server.directory.path().join(file));
        let error = Swift::connect(wrong).await.unwrap_err();
        assert!(matches!(error, Error::Settings { .. }), "{error:?}");
        assert!(error.to_string().contains(expected), "{error}");
    }
}
