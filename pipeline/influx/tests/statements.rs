//! Statements, statistics, diagnostics and writes on a real server, and what happens without one.

// Clippy does not see that helpers beside the tests belong to them.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use nightshard_influx::{Error, Influx, Settings, Timestamp, WriteQuery, quote_identifier, quote_string};
use test_support::{Fault, FaultProxy, Influxd};

fn settings(influxd: &Influxd) -> Settings {
    Settings::new(influxd.url().parse().unwrap(), influxd.snapshot_address())
}

fn connect(influxd: &Influxd) -> Influx {
    Influx::new(settings(influxd)).unwrap()
}

#[tokio::test]
async fn a_server_tells_its_version_and_its_clock() {
    let influxd = Influxd::start().await;
    let ping = connect(&influxd).ping().await.unwrap();
    assert!(ping.version.supported() && ping.version.text.starts_with("1.6.7"), "{}", ping.version);
    let diagnostics = connect(&influxd).diagnostics().await.unwrap();
    let drift = diagnostics.current_time.unwrap() - ping.date;
    assert!(drift.num_seconds().abs() < 60, "one clock, two answers: {drift}");
}

#[tokio::test]
async fn databases_come_and_go() {
    let influxd = Influxd::start().await;
    let influx = connect(&influxd);
    assert_eq!(influx.databases().await.unwrap(), Vec::<String>::new());
    // Names that need quoting, and one which a careless reader of answers would take for an error.
    let names =
        ["sensu_db", "error", "with space", "a\"quote", "a'quote", "été 夜", "SELECT", "a.b;DROP DATABASE error"];
    for name in names {
        influx.create_database(name).await.unwrap();
        influx.create_database(name).await.unwrap();
    }
    assert_eq!(influx.databases().await.unwrap(), names);
    for name in names {
        influx.drop_database(name).await.unwrap();
        influx.drop_database(name).await.unwrap();
    }
    assert_eq!(influx.databases().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn policies_are_listed_with_their_default() {
    let influxd = Influxd::start().await;
    let influx = connect(&influxd);
    influx.create_database("demo").await.unwrap();
    influxd.statement("CREATE RETENTION POLICY \"a week\" ON demo DURATION 7d REPLICATION 1 DEFAULT").await;
    let policies = influx.retention_policies("demo").await.unwrap();
    let shown: Vec<_> = policies
        .iter()
        .map(|policy| {
            (policy.name.as_str(), policy.default, policy.duration.as_str(), policy.shard_group_duration.as_str())
        })
        .collect();
    assert_eq!(shown, [("autogen", false, "0s", "168h0m0s"), ("a week", true, "168h0m0s", "24h0m0s")]);

    let error = influx.retention_policies("nobody").await.unwrap_err();
    assert!(matches!(&error, Error::UnknownDatabase { database, .. } if database == "nobody"), "{error}");
    assert!(!error.is_passing());
}

#[tokio::test]
async fn diagnostics_tell_where_the_files_are() {
    let influxd = Influxd::options().hostname("prod1.example").start().await;
    let diagnostics = connect(&influxd).diagnostics().await.unwrap();
    let path = |path: std::path::PathBuf| Some(path.to_str().unwrap().to_owned());
    assert_eq!(diagnostics.hostname.as_deref(), Some("prod1.example"));
    assert_eq!(diagnostics.data_dir, path(influxd.data_dir()));
    assert_eq!(diagnostics.wal_dir, path(influxd.wal_dir()));
    assert_eq!(diagnostics.meta_dir, path(influxd.meta_dir()));
    assert!(diagnostics.version.unwrap().starts_with("1.6.7"));
    assert!(diagnostics.pid.is_some() && diagnostics.started.unwrap() <= diagnostics.current_time.unwrap());
}

#[tokio::test]
async fn statistics_count_the_files_of_each_shard() {
    let influxd = Influxd::start().await;
    let influx = connect(&influxd);
    influx.create_database("demo").await.unwrap();
    influx.write("demo", None, "m v=1 1\nm v=1 1600000000000000000").await.unwrap();
    let before = influx.shard_statistics().await.unwrap();
    assert_eq!(before.keys().copied().collect::<Vec<_>>(), [1, 2]);
    assert_eq!((before[&1].tsm_files, before[&1].disk_bytes), (0, 0), "the points are in the cache");
    assert_eq!((before[&1].database.as_str(), before[&1].policy.as_str()), ("demo", "autogen"));

    let mut stream = influx.snapshot().shard(1).await.unwrap();
    while stream.next().await.unwrap().is_some() {}
    let after = influx.shard_statistics().await.unwrap();
    assert_eq!((after[&1].tsm_files, after[&2].tsm_files), (1, 0), "a snapshot makes a file of the cache");
    assert!(after[&1].disk_bytes > 0);
}

#[tokio::test]
async fn points_are_written_into_the_policy_asked_for() {
    let influxd = Influxd::start().await;
    let influx = connect(&influxd);
    influx.create_database("demo").await.unwrap();
    influxd.statement("CREATE RETENTION POLICY other ON demo DURATION INF REPLICATION 1").await;
    influx.write("demo", None, "m v=1 1").await.unwrap();
    influx.write("demo", Some("other"), "m v=2 1\nm v=3 2").await.unwrap();
    assert_eq!(influxd.rows("demo", "SELECT v FROM autogen.m").await.len(), 1);
    assert_eq!(influxd.rows("demo", "SELECT v FROM other.m").await.len(), 2);
}

#[tokio::test]
async fn a_built_point_keeps_every_character_of_its_fields() {
    let influxd = Influxd::start().await;
    let influx = connect(&influxd);
    influx.create_database("nightshard").await.unwrap();
    let text = "2016-06-11 \"quoted\" back\\slash, été=夜\nnext line";
    let point = WriteQuery::new(Timestamp::Milliseconds(5), "loaded night")
        .add_tag("database", "sensu_db, and=more")
        .add_field("container", text)
        .add_field("objects", 7_i64)
        .add_field("whole", true);
    influx.write_point("nightshard", &point).await.unwrap();
    let series = influx.statement(Some("nightshard"), "SELECT * FROM \"loaded night\" GROUP BY *").await.unwrap();
    assert_eq!(series.len(), 1);
    assert_eq!(series[0].text("container"), Some(text));
    assert_eq!(series[0].text("time"), Some("1970-01-01T00:00:00.005Z"));
    assert_eq!(series[0].tags["database"], "sensu_db, and=more");

    let empty = WriteQuery::new(Timestamp::Nanoseconds(1), "loaded");
    assert!(matches!(influx.write_point("nightshard", &empty).await, Err(Error::Settings { .. })));
}

#[tokio::test]
async fn a_refused_write_says_why() {
    let influxd = Influxd::start().await;
    let influx = connect(&influxd);
    influx.create_database("demo").await.unwrap();
    influx.write("demo", None, "m v=1 1").await.unwrap();

    let error = influx.write("nobody", None, "m v=1 1").await.unwrap_err();
    assert!(matches!(&error, Error::UnknownDatabase { database, .. } if database == "nobody"), "{error}");
    let error = influx.write("demo", None, "m v=\"text\" 1").await.unwrap_err();
    assert!(error.to_string().contains("field type conflict"), "{error}");
    assert!(!error.is_passing());
    let error = influx.write("demo", None, "no line protocol").await.unwrap_err();
    assert!(error.to_string().contains("400 Bad Request: unable to parse"), "{error}");
}

#[tokio::test]
async fn a_statement_that_fails_is_an_error_though_its_status_is_good() {
    let influxd = Influxd::start().await;
    let influx = connect(&influxd);
    let error = influx.statement(Some("nobody"), "SELECT * FROM m").await.unwrap_err();
    assert!(matches!(error, Error::UnknownDatabase { .. }), "{error}");
    let error = influx.statement(None, "CREATE DATABASE \"a/b\"").await.unwrap_err();
    assert!(error.to_string().contains("invalid name"), "{error}");
    let error = influx.statement(None, "SHOW DATABASES; SHOW RETENTION POLICIES ON nobody").await.unwrap_err();
    assert!(matches!(error, Error::UnknownDatabase { .. }), "{error}");
    let error = influx.statement(None, "SELEC").await.unwrap_err();
    assert!(error.to_string().contains("error parsing query"), "{error}");
}

#[tokio::test]
async fn quoted_names_and_texts_arrive_as_they_are() {
    let influxd = Influxd::start().await;
    let influx = connect(&influxd);
    influx.create_database("demo").await.unwrap();
    // What line protocol can write as the name of a field; it knows escapes of its own.
    let names = ["plain", "with space", "a\"b", "a'b", "a\\b", "été 夜 🦀", "tab\there", "time_", "a.b", "\\n"];
    for (time, name) in names.iter().enumerate() {
        let key = name.replace(' ', "\\ ");
        influx.write("demo", None, &format!("n {key}=1 {time}")).await.unwrap();
    }
    let fields = influx.statement(Some("demo"), "SHOW FIELD KEYS FROM n").await.unwrap();
    let stored: Vec<&str> = fields[0].column("fieldKey").filter_map(|key| key.as_str()).collect();
    for name in names {
        assert!(stored.contains(&name), "{name:?} is not among {stored:?}");
        let query = format!("SELECT {} FROM n", quote_identifier(name));
        let series = influx.statement(Some("demo"), &query).await.unwrap();
        assert_eq!(series.first().map(|series| series.values.len()), Some(1), "{query}");
        assert_eq!(series[0].columns[1], name);
    }

    let texts = [&names[..], &["", "\\", "\\\"", "\\'", "'; DROP SERIES", "two\nlines"]].concat();
    for (time, text) in texts.iter().enumerate() {
        let point = WriteQuery::new(Timestamp::Nanoseconds(time as u128), "m").add_field("text", *text);
        influx.write_point("demo", &point).await.unwrap();
    }
    for text in texts {
        let query = format!("SELECT text FROM m WHERE text = {}", quote_string(text));
        let series = influx.statement(Some("demo"), &query).await.unwrap();
        assert_eq!(series.len(), 1, "{query}");
        assert_eq!((series[0].values.len(), series[0].text("text")), (1, Some(text)), "{query}");
    }
}

#[tokio::test]
async fn a_wrong_password_is_told_with_the_servers_words() {
    let influxd = Influxd::options().admin("root", "right \"p:ss\"").start().await;
    let attempt = |user: Option<&str>, password: Option<&str>| {
        let mut settings = settings(&influxd);
        (settings.user, settings.password) = (user.map(str::to_owned), password.map(str::to_owned));
        Influx::new(settings).unwrap()
    };
    let right = attempt(Some("root"), Some("right \"p:ss\""));
    right.create_database("demo").await.unwrap();
    assert_eq!(right.databases().await.unwrap(), ["demo"]);

    for (influx, words) in [
        (attempt(None, None), "unable to parse authentication credentials"),
        (attempt(Some("root"), Some("wrong")), "authorization failed"),
        (attempt(Some("nobody"), Some("right \"p:ss\"")), "authorization failed"),
    ] {
        let errors = [
            influx.databases().await.map(drop),
            influx.write("demo", None, "m v=1 1").await,
            influx.select("demo", "SELECT * FROM m", 1000).await.map(drop),
        ];
        for error in errors.map(Result::unwrap_err) {
            assert!(matches!(error, Error::Unauthorized { .. }), "{error}");
            assert!(error.to_string().contains(words), "{error}");
            assert!(!error.is_passing() && error.hint().is_some());
        }
        assert!(influx.ping().await.is_ok(), "ping needs no user");
    }
    // The snapshot service knows no users.
    assert_eq!(attempt(None, None).snapshot().shards("demo").await.unwrap(), []);

    // A user who may only read is told so.
    influxd.statement("CREATE USER reader WITH PASSWORD 'r'").await;
    let error = attempt(Some("reader"), Some("r")).create_database("mine").await.unwrap_err();
    assert!(matches!(error, Error::Unauthorized { .. }) && error.to_string().contains("403 Forbidden"), "{error}");
}

#[tokio::test]
async fn credentials_may_stand_in_the_url_and_are_never_shown() {
    let influxd = Influxd::options().admin("me", "s@cr+t").start().await;
    let url = format!("http://me:s%40cr+t@{}", influxd.http_address());
    let settings = Settings::new(url.parse().unwrap(), influxd.snapshot_address());
    let shown = format!("{settings:?}");
    let influx = Influx::new(settings).unwrap();
    assert_eq!(influx.databases().await.unwrap(), Vec::<String>::new());
    assert_eq!(influx.url().as_str(), format!("{}/", influxd.url()));
    for shown in [shown, format!("{influx:?}")] {
        assert!(!shown.contains("cr+t"), "{shown}");
    }
}

#[tokio::test]
async fn a_path_before_the_interface_is_kept() {
    let influxd = Influxd::start().await;
    let prefixed = format!("{}/influx/", influxd.url());
    let influx = Influx::new(Settings::new(prefixed.parse().unwrap(), influxd.snapshot_address())).unwrap();
    let error = influx.databases().await.unwrap_err();
    assert!(error.to_string().contains("404 Not Found"), "the server itself knows no prefix: {error}");
    assert!(!error.is_passing());
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_with_a_hint() {
    let influxd = Influxd::start().await;
    let influx = connect(&influxd);
    influxd.stop();
    let errors = [
        (influx.ping().await.map(drop), "[http]"),
        (influx.databases().await.map(drop), "[http]"),
        (influx.snapshot().metastore().await.map(drop), "8088"),
        (influx.snapshot().shard(1).await.map(drop), "8088"),
    ];
    for (outcome, hint) in errors {
        let error = outcome.unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. }) && error.is_passing(), "{error}");
        assert!(error.to_string().contains("Connection refused"), "{error}");
        assert!(error.hint().unwrap().contains(hint), "{:?}", error.hint());
    }
    let nowhere = Settings::new("http://nowhere.invalid:8086".parse().unwrap(), "nowhere.invalid:8088");
    let nowhere = Influx::new(nowhere).unwrap();
    assert!(matches!(nowhere.ping().await, Err(Error::Unreachable { .. })));
    assert!(matches!(nowhere.snapshot().shards("demo").await, Err(Error::Unreachable { .. })));
}

#[tokio::test]
async fn a_server_that_does_not_answer_ends_the_wait() {
    let influxd = Influxd::start().await;
    let proxy = FaultProxy::start(influxd.http_address()).await;
    proxy.set(Fault::StallAnswer(0));
    let mut settings = Settings::new(proxy.url().parse().unwrap(), influxd.snapshot_address());
    settings.answer_timeout = Duration::from_millis(200);
    let error = Influx::new(settings).unwrap().databases().await.unwrap_err();
    assert!(matches!(error, Error::Stalled { .. }) && error.is_passing(), "{error}");
}

#[tokio::test]
async fn an_answer_that_is_cut_or_reset_is_an_error() {
    let influxd = Influxd::start().await;
    let proxy = FaultProxy::start(influxd.http_address()).await;
    for fault in
        [Fault::Refuse, Fault::CutAnswer(0), Fault::CutAnswer(100), Fault::CutAnswer(330), Fault::ResetAnswer(10)]
    {
        proxy.set(fault);
        let influx = Influx::new(Settings::new(proxy.url().parse().unwrap(), influxd.snapshot_address())).unwrap();
        let error = influx.diagnostics().await.unwrap_err();
        assert!(matches!(error, Error::Unreachable { .. } | Error::Truncated { .. }), "{fault:?}: {error}");
        assert!(error.is_passing());
    }
    proxy.set(Fault::None);
    let influx = Influx::new(Settings::new(proxy.url().parse().unwrap(), influxd.snapshot_address())).unwrap();
    influx.diagnostics().await.unwrap();
}

#[test]
fn settings_that_cannot_work_are_refused_with_a_hint() {
    let refuse = |url: &str, address: &str| {
        let error = Influx::new(Settings::new(url.parse().unwrap(), address)).unwrap_err();
        assert!(matches!(error, Error::Settings { .. }) && error.hint().is_some(), "{error}");
    };
    refuse("ftp://127.0.0.1:8086", "127.0.0.1:8088");
    refuse("unix:/var/run/influxdb.sock", "127.0.0.1:8088");
    for address in ["127.0.0.1", "", ":8088", "host:", "host:port", "host:99999", "::1:8088", "http://host:8088"] {
        refuse("http://127.0.0.1:8086", address);
    }
    let fine = |address: &str| Influx::new(Settings::new("http://127.0.0.1:8086".parse().unwrap(), address)).unwrap();
    assert_eq!(fine("[::1]:8088").snapshot_address(), "[::1]:8088");

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("ca.pem");
    let mut settings = Settings::new("https://127.0.0.1:8086".parse().unwrap(), "127.0.0.1:8088");
    settings.ca_certificate = Some(file.clone());
    for content in [None, Some(""), Some("no certificate")] {
        if let Some(content) = content {
            std::fs::write(&file, content).unwrap();
        }
        let error = Influx::new(settings.clone()).unwrap_err();
        assert!(error.to_string().contains("ca.pem"), "{error}");
    }
}
