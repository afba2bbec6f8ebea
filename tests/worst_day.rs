//! The worst day, as its page says it: production's directory is deleted, and the page's own commands bring it back.
//!
//! The commands are taken out of `docs/disaster-recovery.md` and run by a shell, in which `systemctl`, `influx` and
//! `nightshard-restore` are those of this test's servers, and `/var/lib/influxdb` is their folder.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

mod night;

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use chrono::Utc;
use night::{Place, run, succeed};
use serde_json::Value;
use test_support::{Influxd, temp_dir};

const PAGE: &str = include_str!("../docs/disaster-recovery.md");

/// A day, in nanoseconds.
const DAY: i64 = 86_400_000_000_000;

/// The lines of the page that begin like a root's prompt.
fn commands() -> Vec<&'static str> {
    PAGE.lines().filter_map(|line| line.strip_prefix("$ ")).collect()
}

/// Production as it may be: users, grants, several policies, a continuous query, a subscription, and ten days of points
/// until the present, of which nothing expires.
async fn fill(influxd: &Influxd, now: i64) {
    for statement in [
        "CREATE DATABASE sensu_db WITH DURATION 60d SHARD DURATION 1d NAME \"two months\"",
        "CREATE RETENTION POLICY \"for ever\" ON sensu_db DURATION INF REPLICATION 1 SHARD DURATION 52w",
        "CREATE DATABASE \"of others\"",
        "CREATE USER reader WITH PASSWORD 'readonly'",
        "GRANT READ ON sensu_db TO reader",
        "CREATE SUBSCRIPTION forward ON sensu_db.\"two months\" DESTINATIONS ALL 'udp://127.0.0.1:9'",
        "CREATE CONTINUOUS QUERY every_second ON sensu_db BEGIN \
         SELECT mean(load) AS load INTO sensu_db.\"for ever\".means FROM sensu_db.\"two months\".cpu GROUP BY time(1s) END",
    ] {
        influxd.statement(statement).await;
    }
    let mut lines = String::new();
    for minute in 0..14_400 {
        writeln!(
            lines,
            "cpu,host=h{} load={minute}i,note=\"n {minute}\" {}",
            minute % 7,
            now - minute * 60_000_000_000
        )
        .unwrap();
    }
    influxd.write("sensu_db", &lines).await;
    influxd.write_into("sensu_db", "for ever", &format!("old,host=a v=1.5 {}", now - 4000 * DAY)).await;
    influxd.write("of others", &format!("m v=true {now}")).await;
}

/// All that a person could ask for: every point, what is defined, and who may do what.
async fn state(influxd: &Influxd, until: i64) -> Vec<Value> {
    let mut state = Vec::new();
    for (database, query) in [
        ("sensu_db", format!("SELECT * FROM \"two months\".cpu WHERE time <= {until}")),
        ("sensu_db", "SELECT * FROM \"for ever\".old".to_owned()),
        ("of others", "SELECT * FROM m".to_owned()),
        ("", "SHOW DATABASES".to_owned()),
        ("", "SHOW RETENTION POLICIES ON sensu_db".to_owned()),
        ("", "SHOW USERS".to_owned()),
        ("", "SHOW GRANTS FOR reader".to_owned()),
        ("", "SHOW CONTINUOUS QUERIES".to_owned()),
        ("", "SHOW SUBSCRIPTIONS".to_owned()),
    ] {
        // Series and rows in an order of our own: databases are listed as they were made, which nobody relies on.
        let mut answer = influxd.query(database, &query).await;
        let series = answer["results"][0]["series"].as_array_mut().unwrap();
        for values in series.iter_mut().filter_map(|series| series.get_mut("values")?.as_array_mut()) {
            values.sort_by_key(Value::to_string);
        }
        series.sort_by_key(|series| series["name"].to_string());
        state.push(answer);
    }
    state
}

fn program(path: &Path, text: &str) {
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_of_the_page_bring_production_back() {
    let (place, parent) = (Place::swift_keystone(), temp_dir());
    let base = parent.path().join("influxdb");
    fs::create_dir(&base).unwrap();
    let production = Influxd::options()
        .base(&base)
        .admin("admin", "secret")
        .set("continuous_queries", "run-interval", "\"200ms\"")
        .start()
        .await;
    let now = Utc::now().timestamp_nanos_opt().unwrap();
    fill(&production, now).await;
    let before = state(&production, now).await;
    let mut backup = place.backup(&production);
    backup.env("NIGHTSHARD_SOURCE_USER", "admin").env("NIGHTSHARD_SOURCE_PASSWORD", "secret");
    backup.args(["--date", "yesterday"]);
    succeed(backup).await;

    // The worst: everything goes while it runs.
    production.kill();
    fs::remove_dir_all(&base).unwrap();

    let programs = place.path("programs");
    fs::create_dir(&programs).unwrap();
    let (start, stop) = (production.start_command(), production.stop_command());
    program(&programs.join("systemctl"), &format!("case $1 in start) exec {start};; stop) exec {stop};; esac; exit 1"));
    let (host, port) = production.http_address().split_once(':').map(|(h, p)| (h.to_owned(), p.to_owned())).unwrap();
    program(&programs.join("influx"), &format!("exec /usr/bin/influx -host {host} -port {port} \"$@\""));
    let restore = env!("CARGO_BIN_EXE_nightshard-restore");
    program(&programs.join("nightshard-restore"), &format!("exec {restore} \"$@\""));
    let script = commands()
        .join("\n")
        .replace("/var/lib/influxdb", &base.display().to_string())
        .replace("http://127.0.0.1:8086", &production.url())
        .replace("/etc/influxdb/influxdb.conf", &production.config().display().to_string())
        .replace(" -o influxdb -g influxdb", "");
    assert!(script.contains("nightshard-restore --disaster-recovery"), "{script}");
    let mut shell = place.command("sh");
    shell.args(["-euxc", &script]);
    shell.env("PATH", format!("{}:{}", programs.display(), std::env::var("PATH").unwrap()));
    shell.env("NIGHTSHARD_TARGET", production.url());
    shell.env("NIGHTSHARD_TARGET_SNAPSHOT_ADDR", production.snapshot_address());
    let output = run(shell).await;
    let said = format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}\n{}", production.log());
    for shown in ["of others", "reader", "every_second"] {
        assert!(String::from_utf8_lossy(&output.stdout).contains(shown), "{said}");
    }

    // Every point is back, and so is everything else; the administrator who asks logs in.
    let after = state(&production, now).await;
    for (was, is) in before.iter().zip(&after) {
        assert!(was == is, "{was}\nbecame\n{is}");
    }
    // The reader logs in, reads, and may not write.
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let write = || client.post(format!("{}/write?db=sensu_db", production.url())).body("cpu v=1");
    let read = client.get(format!("{}/query?db=sensu_db&q=SHOW+MEASUREMENTS", production.url()));
    assert_eq!(read.basic_auth("reader", Some("readonly")).send().await.unwrap().status(), 200);
    assert_eq!(write().basic_auth("reader", Some("readonly")).send().await.unwrap().status(), 403);
    assert_eq!(write().basic_auth("reader", Some("wrong")).send().await.unwrap().status(), 401);
    // The continuous query runs: it makes means of what is written now.
    let limit = tokio::time::Instant::now() + Duration::from_secs(60);
    while production
        .rows("sensu_db", &format!("SELECT load FROM \"for ever\".means WHERE time > {now}"))
        .await
        .is_empty()
    {
        assert!(tokio::time::Instant::now() < limit, "no means: {}", production.log());
        let lately = Utc::now().timestamp_nanos_opt().unwrap() - 1_000_000_000;
        production.write("sensu_db", &format!("cpu,host=now load=7i {lately}")).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // It is production again, which a restore never touches.
    let mut again = place.restore(&production);
    again.env("NIGHTSHARD_TARGET_USER", "admin").env("NIGHTSHARD_TARGET_PASSWORD", "secret");
    again.args(["--date", "yesterday", "--first-restore"]);
    let output = run(again).await;
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("is the server that the backup came from"), "{output:?}");
}
