//! The InfluxDB that is backed up, and the intermediary.

use std::fs;

use test_support::Influxd;

use crate::checked::{backed_up, check, check_at, checked, production};

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_influxdb_is_told_and_nothing_else() {
    let (source, other, locked) =
        tokio::join!(production(), Influxd::start(), Influxd::options().admin("admin", "right").start());
    locked.statement("CREATE DATABASE sensu_db").await;
    other.statement("CREATE DATABASE else").await;
    let place = backed_up(&source).await;
    assert_eq!(checked(check(&place, &source, &[])).await.with("failed"), Vec::<&str>::new());

    let found = checked(check_at(&place, &source.url(), &other.snapshot_address(), &[])).await;
    found.assert_wrong(&["source.one_server"], "are not one server", "--source and --snapshot-addr must name the same");

    let mut command = check(&place, &locked, &[]);
    command.env("NIGHTSHARD_SOURCE_USER", "admin").env("NIGHTSHARD_SOURCE_PASSWORD", "wrong");
    checked(command).await.assert_wrong(&["source.privileges"], "authorization failed", "check user and password");
    locked.statement("CREATE USER somebody WITH PASSWORD 'right'").await;
    let mut command = check(&place, &locked, &[]);
    command.env("NIGHTSHARD_SOURCE_USER", "somebody").env("NIGHTSHARD_SOURCE_PASSWORD", "right");
    checked(command).await.assert_wrong(&["source.privileges"], "403 Forbidden", "the user must be an admin");
    // The backup's own table may say it, and its password may stand there.
    let file = place.path("users.toml");
    fs::write(&file, "[backup]\nsource_user = \"admin\"\nsource_password = \"right\"\n").unwrap();
    let found = checked(check(&place, &locked, &["--config", file.to_str().unwrap()])).await;
    assert_eq!(found.with("failed"), Vec::<&str>::new(), "{:#?}", found.checks);

    fs::write(&file, "[backup]\ndatabase = [\"sensu_db\", \"sensu\"]\n").unwrap();
    let found = checked(check(&place, &source, &["--config", file.to_str().unwrap()])).await;
    found.assert_wrong(&["source.databases"], "there is no database sensu at", "it has: ");
    let url = source.url();
    let found = checked(check(&place, &source, &["--target", &url, "--max-restore-age", "off"])).await;
    found.assert_wrong(&["target.other"], "is the InfluxDB that is backed up", "must name another InfluxDB");

    source.stop();
    let found = checked(check(&place, &source, &[])).await;
    found.assert_wrong(&["source.http", "source.snapshot"], "cannot ping InfluxDB", "is influxd running");
    assert_eq!(found.get("source.databases").status, "skipped");
    let found = checked(check(&place, &locked, &["--target", "http://127.0.0.1:1", "--max-restore-age", "off"])).await;
    found.assert_wrong(&["source.privileges", "target.http"], "unable to parse", "the user must be an admin");
}
