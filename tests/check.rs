//! The check of the night before, with the program as users run it: all is well, and then one thing after the other is not.
//!
//! No systemd runs here, so what answers as `systemctl` is a stand-in: a script that prints what the real one is documented to
//! print. Everything else is real.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

mod night;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant, SystemTime};

use night::{Place, run, succeed};
use serde_json::{Value, json};
use test_support::{Fault, FaultProxy, Influxd, keystone, tempauth};

/// What a check is, as its users read it.
#[derive(Debug, serde::Deserialize)]
struct Check {
    id: String,
    status: String,
    message: String,
    hint: Option<String>,
}

/// What came of a run.
struct Checked {
    code: Option<i32>,
    checks: Vec<Check>,
    said: String,
}

impl Checked {
    fn of(output: &Output) -> Checked {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let printed: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}"));
        let checks = serde_json::from_value(printed["checks"].clone()).unwrap();
        assert_eq!(printed["ready"], json!(output.status.success()), "{printed}");
        Checked { code: output.status.code(), checks, said }
    }

    fn with(&self, status: &str) -> Vec<&str> {
        self.checks.iter().filter(|check| check.status == status).map(|check| check.id.as_str()).collect()
    }

    fn get(&self, id: &str) -> &Check {
        self.checks.iter().find(|check| check.id == id).unwrap_or_else(|| panic!("no {id} in {:?}", self.checks))
    }

    /// Only these are wrong; the first of them says this, with a hint, and each is named where cron would mail it.
    fn assert_wrong(&self, ids: &[&str], message: &str, hint: &str) {
        assert_eq!((self.with("failed"), self.code), (ids.to_vec(), Some(3)), "{:#?}", self.checks);
        let first = self.get(ids[0]);
        assert!(first.message.contains(message), "{first:?}");
        assert!(first.hint.as_ref().unwrap().contains(hint), "{first:?}");
        for id in ids {
            assert!(self.said.lines().any(|line| line.contains("ERROR") && line.contains(id)), "{}", self.said);
        }
    }
}

/// An executable script.
fn script(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The crontab that comes with the programs, where cron would find it; no systemd, and no crontab of the user.
fn install(place: &Place) {
    script(&place.path("bin/systemctl"), "echo 'System has not been booted with systemd as init system' >&2; exit 1");
    script(&place.path("bin/crontab"), "echo 'no crontab for root' >&2; exit 1");
    fs::create_dir_all(place.path("cron.d")).unwrap();
    fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/cron/nightshard.crontab"), place.path("cron.d/nightshard")).unwrap();
}

/// `nightshard-check` in a zone in which the machine is as well.
fn check(place: &Place, source: &Influxd, arguments: &[&str]) -> Command {
    check_at(place, &source.url(), &source.snapshot_address(), arguments)
}

/// The same with a source whose two addresses are not one server's own.
fn check_at(place: &Place, url: &str, snapshot_address: &str, arguments: &[&str]) -> Command {
    let mut command = place.command(env!("CARGO_BIN_EXE_nightshard-check"));
    let path = format!("{}:{}", place.path("bin").display(), std::env::var("PATH").unwrap());
    command.env("PATH", path).env("TZ", "Europe/Berlin");
    command.args(["--source", url, "--snapshot-addr", snapshot_address]);
    command.arg("--cron-dir").arg(place.path("cron.d")).args(arguments);
    command
}

async fn checked(mut command: Command) -> Checked {
    command.arg("--json");
    Checked::of(&run(command).await)
}

/// A production with a shard.
async fn production() -> Influxd {
    let source = Influxd::start().await;
    source.statement("CREATE DATABASE sensu_db").await;
    source.write("sensu_db", "cpu,host=a load=1 1465646400000000000").await;
    source
}

/// A place with a backup of today.
async fn backed_up(source: &Influxd) -> Place {
    let place = Place::folder();
    install(&place);
    succeed(place.backup(source)).await;
    place
}

/// Everything that a night needs, after a night that went well.
async fn all_is_well(place: Place, containers: impl AsyncFn(&Place) -> Vec<String>) {
    let (source, target) = tokio::join!(production(), Influxd::start());
    install(&place);
    succeed(place.backup(&source)).await;
    let mut restore = place.restore(&target);
    restore.args(["--date", "today"]);
    succeed(restore).await;
    let mut verify = place.verify();
    verify.args(["--date", "today"]);
    succeed(verify).await;

    let (url, address) = (target.url(), target.snapshot_address());
    let file = place.path("nightshard.toml");
    fs::write(&file, "[dump]\nmeasurement = [\"cpu\"]\n").unwrap();
    let file = file.to_str().unwrap();
    let arguments = ["--config", file, "--target", &url, "--target-snapshot-addr", &address];
    let before = containers(&place).await;
    let found = checked(check(&place, &source, &arguments)).await;
    assert_eq!((found.with("failed"), found.with("warning")), (vec![], vec![]), "{:#?}", found.checks);
    assert_eq!(found.with("skipped"), Vec::<&str>::new(), "everything was looked at");
    assert_eq!(found.code, Some(0));
    assert!(found.get("source.databases").message.starts_with("sensu_db: 1 shards, "), "{:#?}", found.checks);
    assert!(found.get("schedule.restore").message.contains(" 00:15 CE"), "{:#?}", found.checks);
    assert!(found.get("archive.writable").message.contains("written, read, and removed"));
    assert_eq!(containers(&place).await, before, "the probe is gone, and so is its container");

    let shown = run(check(&place, &source, &arguments)).await;
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.ends_with("ready for the night\n"), "{shown}");
    assert_eq!(shown.lines().filter(|line| line.starts_with("✓ ")).count(), found.checks.len(), "{shown}");
    let quiet = run(check(&place, &source, &[&arguments[..], &["--quiet"]].concat())).await;
    assert!(quiet.stdout.is_empty() && quiet.stderr.is_empty() && quiet.status.success(), "{quiet:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_with_a_folder_is_ready() {
    let containers = async |place: &Place| {
        let entries = fs::read_dir(place.path("archive")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    all_is_well(Place::folder(), containers).await;
}

/// Containers that are the test's own, or a probe's.
async fn in_swift(place: &Place) -> Vec<String> {
    let mut list = place.command("swift");
    list.arg("list");
    let output = run(list).await;
    assert!(output.status.success(), "{output:?}");
    let ours = |name: &&str| name.starts_with(&place.prefix) || name.starts_with("nightshard-probe");
    String::from_utf8(output.stdout).unwrap().lines().filter(ours).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_with_a_swift_is_ready() {
    all_is_well(Place::swift_version1(), in_swift).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_machine_with_a_swift_and_a_keystone_is_ready() {
    all_is_well(Place::swift_keystone(), in_swift).await;
}

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

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_the_configuration_of_any_program_is_told() {
    let source = production().await;
    let place = backed_up(&source).await;
    let file = place.path("nightshard.toml");
    let table = [
        (
            "[restore]\nwiat = \"6h\"",
            &["configuration.restore"][..],
            "unknown key wiat in [restore]",
            "did you mean wait?",
        ),
        ("[dump]\npage_size = 0", &["configuration.dump"], "cannot use \"0\" as page_size", "nightshard-dump --help"),
        (
            "[verify]\narchive = \"file:///elsewhere\"",
            &["configuration.agreement"],
            "and file:///elsewhere for nightshard-verify",
            "set archive once, at the top",
        ),
    ];
    for (text, wrong, message, hint) in table {
        let archive = format!("archive = \"file://{}\"\n", place.path("archive").display());
        fs::write(&file, format!("{archive}{text}\n")).unwrap();
        let mut command = check(&place, &source, &["--config", file.to_str().unwrap()]);
        // What stands in the environment would beat the file.
        command.env_remove("NIGHTSHARD_ARCHIVE");
        checked(command).await.assert_wrong(wrong, message, hint);
    }

    // Programs of another version, or none, beside the one that asks.
    let alone = place.path("bin/nightshard-check");
    fs::copy(env!("CARGO_BIN_EXE_nightshard-check"), &alone).unwrap();
    script(&place.path("bin/nightshard-list"), "echo nightshard-list 0.0.1");
    let like = check(&place, &source, &[]);
    let mut command = place.command(&alone);
    command.args(like.get_args()).envs(like.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let found = checked(command).await;
    assert!(found.get("configuration.backup").message.contains("does not exist"), "{:#?}", found.checks);
    assert!(found.get("configuration.list").message.contains("is \"nightshard-list 0.0.1\" instead of"));
    assert_eq!(found.get("source.http").status, "ok", "all else is looked at");

    let mut command = check(&place, &source, &[]);
    command.env("TZ", "America/New_York");
    let found = checked(command).await;
    assert_eq!(
        (found.with("warning").contains(&"machine.time_zone"), found.code),
        (true, Some(0)),
        "{:#?}",
        found.checks
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_cannot_be_written_to_is_told_and_what_was_left_behind_is_removed() {
    let source = production().await;
    let place = Place::swift_version1();
    install(&place);
    let swift = tempauth();
    let mut command = check(&place, &source, &[]);
    command.env("ST_USER", &swift.reader).env("ST_KEY", &swift.reader_key);
    let found = checked(command).await;
    found.assert_wrong(&["archive.writable", "nights.backup"], "403 Forbidden", "a role that may do this");
    let mut command = check(&place, &source, &[]);
    command.env("ST_KEY", "swordfish");
    let found = checked(command).await;
    found.assert_wrong(&["archive.reachable"], "the credentials were refused", "check user, password or token");
    assert!(!found.said.contains("swordfish"), "{}", found.said);

    let place = backed_up(&source).await;
    let found = checked(check(&place, &source, &["--no-write"])).await;
    assert_eq!((found.get("archive.writable").status.as_str(), found.code), ("skipped", Some(0)));
    // A check that was killed has left its probe; that of one that may still run stays.
    let host = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let container = place.path("archive").join(format!("nightshard-probe-{}", host.trim()));
    for (name, age) in [("old", 3600), ("young", 60)] {
        let path = container.join(name);
        fs::create_dir_all(&container).unwrap();
        let file = fs::File::create(&path).unwrap();
        file.set_modified(SystemTime::now() - Duration::from_secs(age)).unwrap();
    }
    let left = || -> Vec<String> {
        let entries = fs::read_dir(&container).into_iter().flatten();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    assert_eq!(checked(check(&place, &source, &[])).await.code, Some(0));
    assert_eq!(left(), ["young"]);
    fs::remove_file(container.join("young")).unwrap();
    assert_eq!(checked(check(&place, &source, &[])).await.code, Some(0));
    assert!(!container.exists());

    fs::remove_dir_all(place.path("archive")).unwrap();
    fs::write(place.path("archive"), "a file").unwrap();
    let found = checked(check(&place, &source, &[])).await;
    found.assert_wrong(&["archive.reachable"], "cannot open the folder", "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_dies_in_the_night_is_told_of() {
    let (source, place, keystone) = (production().await, Place::swift_keystone(), keystone());
    install(&place);
    succeed(place.backup(&source)).await;
    // A busy Keystone drops connections, and the command does not try again.
    let issue = |_| {
        let mut command = place.command("openstack");
        command.args(["token", "issue", "-f", "value", "-c", "id"]).output().unwrap()
    };
    let issued = (0..5).map(issue).find(|output| output.status.success()).expect("a token");
    let mut command = check(&place, &source, &[]);
    for (name, _) in keystone.environment() {
        command.env_remove(name);
    }
    command.env("OS_AUTH_TYPE", "v3token").env("OS_AUTH_URL", &keystone.url).env("OS_PROJECT_ID", &keystone.project_id);
    command.env("OS_TOKEN", String::from_utf8(issued.stdout).unwrap().trim());
    let found = checked(command).await;
    found.assert_wrong(&["archive.token"], "before the next night has ended", "an application credential");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_hangs_does_not_hang_the_check() {
    let source = production().await;
    let place = Place::swift_version1();
    install(&place);
    let proxy = FaultProxy::start(tempauth().proxy.trim_start_matches("http://")).await;
    proxy.set(Fault::StallAnswer(1));
    let mut command = check(&place, &source, &["--patience", "2s"]);
    command.env("ST_AUTH", format!("{}/auth/v1.0", proxy.url()));
    let begun = Instant::now();
    let found = checked(command).await;
    found.assert_wrong(&["archive.reachable"], "no answer from the archive within 2s", "--patience waits longer");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert_eq!(found.get("source.databases").status, "ok", "everything else was looked at");
    // Who has seen enough need not wait.
    let mut command = check(&place, &source, &["--patience", "10min"]);
    command.env("ST_AUTH", format!("{}/auth/v1.0", proxy.url())).stdout(Stdio::piped()).stderr(Stdio::piped());
    let (before, mut child) = (proxy.connections(), command.spawn().unwrap());
    proxy.await_connections(before + 1).await;
    assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
    let status = tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap();
    assert_eq!(status.code(), Some(143));

    let proxy = FaultProxy::start(source.http_address()).await;
    proxy.set(Fault::StallAnswer(1));
    let place = backed_up(&source).await;
    let found = checked(check_at(&place, &proxy.url(), &source.snapshot_address(), &["--patience", "2s"])).await;
    found.assert_wrong(&["source.http"], "no answer from InfluxDB within 2s", "firewall");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_this_machine_is_told() {
    let source = production().await;
    let place = backed_up(&source).await;
    fs::write(place.path("in-the-way"), "").unwrap();
    let in_the_way = place.path("in-the-way").display().to_string();
    for (flag, wrong) in [("--spool", "machine.spool"), ("--locks", "machine.locks")] {
        let found = checked(check(&place, &source, &[flag, &in_the_way])).await;
        found.assert_wrong(&[wrong], &in_the_way, "");
    }
    // A file system of its own, smaller than what the backup wants to have free.
    let command = check(&place, &source, &["--json"]);
    let mut inside = Command::new("unshare");
    if !Command::new("id").arg("-u").output().unwrap().stdout.starts_with(b"0\n") {
        inside.args(["--user", "--map-root-user"]);
    }
    inside.args(["--mount", "sh", "-c", "mount -t tmpfs -o size=1m tmpfs \"$0\" || exit 99; exec \"$@\""]);
    inside.arg(place.path("spool")).arg(command.get_program()).args(command.get_args());
    inside.env_clear().envs(command.get_envs().filter_map(|(name, value)| Some((name, value?))));
    inside.current_dir(place.path(""));
    Checked::of(&run(inside).await).assert_wrong(&["machine.spool"], "bytes free", "free space there");
    assert!(fs::read_dir(place.path("spool")).unwrap().next().is_none(), "nothing is left in the spool");
    assert!(
        fs::read_dir(place.path("locks"))
            .unwrap()
            .all(|entry| { !entry.unwrap().file_name().to_string_lossy().contains("check") })
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn timers_and_crontabs_are_found_or_missed() {
    let source = production().await;
    let place = backed_up(&source).await;
    let cron = place.path("cron.d/nightshard");
    fs::rename(&cron, place.path("cron.d/nightshard.crontab")).unwrap();
    let found = checked(check(&place, &source, &[])).await;
    found.assert_wrong(&["schedule.backup"], "is ignored by cron for its name", "systemctl enable --now");
    fs::remove_file(place.path("cron.d/nightshard.crontab")).unwrap();
    let found = checked(check(&place, &source, &[])).await;
    found.assert_wrong(
        &["schedule.backup"],
        "no timer and no crontab starts nightshard-backup",
        "/etc/cron.d/nightshard",
    );
    assert_eq!(found.get("schedule.verify").status, "skipped");
    assert_eq!(checked(check(&place, &source, &["--no-schedule"])).await.code, Some(0));

    script(&place.path("bin/crontab"), "test \"$1\" = -l && echo '55 23 * * * nightshard-backup --quiet'");
    let found = checked(check(&place, &source, &[])).await;
    assert_eq!(found.code, Some(0), "{:#?}", found.checks);
    let backup = found.get("schedule.backup");
    assert!(
        backup.message.contains(" 23:55 CE") && backup.message.ends_with("by the crontab of this user"),
        "{backup:?}"
    );

    // A stand-in for systemd's command, which gets the zone in which it is to write.
    let show = |state: &str, next: &str| {
        let unit = format!("Id=nightshard-backup.timer\\nLoadState=loaded\\nActiveState={state}\\nSubState=waiting");
        script(
            &place.path("bin/systemctl"),
            &format!(
                "test \"$1 $TZ\" = 'show UTC' || exit 1\nprintf '{unit}\\nNextElapseUSecRealtime={next}\\n\\n'\n\
                 printf 'Id=nightshard-restore.timer\\nLoadState=not-found\\nActiveState=inactive\\nSubState=dead\\n'"
            ),
        );
    };
    script(&place.path("bin/crontab"), "exit 1");
    show("active", "Sun 2090-06-11 21:55:00 UTC");
    let found = checked(check(&place, &source, &[])).await;
    let backup = found.get("schedule.backup");
    assert!(backup.message.starts_with("next at 2090-06-11 23:55 CEST"), "{backup:?}");
    assert!(backup.message.ends_with("by nightshard-backup.timer"), "{backup:?}");
    assert_eq!(found.get("schedule.restore").status, "skipped");
    show("inactive", "");
    let found = checked(check(&place, &source, &[])).await;
    found.assert_wrong(&["schedule.backup"], "nightshard-backup.timer is installed, and not started", "enable --now");
}

#[tokio::test(flavor = "multi_thread")]
async fn nights_that_are_old_or_unproven_or_damaged_are_told_of() {
    let (source, target) = tokio::join!(production(), Influxd::start());
    let place = Place::folder();
    install(&place);
    let found = checked(check(&place, &source, &[])).await;
    found.assert_wrong(&["nights.backup"], "there is no backup of the last 14 days", "run nightshard-backup");

    let container = succeed(place.backup(&source)).await["container"].as_str().unwrap().to_owned();
    let found = checked(check(&place, &source, &[])).await;
    assert_eq!((found.code, found.with("warning")), (Some(0), vec!["schedule.dump", "nights.verification"]));
    assert!(found.get("schedule.dump").message.contains("no measurement is configured"), "{:#?}", found.checks);
    let found = checked(check(&place, &source, &["--max-restore-age", "26h"])).await;
    found.assert_wrong(
        &["nights.restore"],
        "no night of the last 14 days was restored and proven",
        "nightshard-restore",
    );
    let mut restore = place.restore(&target);
    restore.args(["--date", "today", "--prove", "none"]);
    succeed(restore).await;
    let found = checked(check(&place, &source, &["--max-restore-age", "26h"])).await;
    found.assert_wrong(
        &["nights.restore"],
        "no night of the last 14 days was restored and proven",
        "counts every point",
    );
    let mut restore = place.restore(&target);
    restore.args(["--date", "today"]);
    succeed(restore).await;
    let found = checked(check(&place, &source, &["--max-restore-age", "26h"])).await;
    assert_eq!(found.code, Some(0), "{:#?}", found.checks);
    assert!(found.get("nights.restore").message.starts_with(&format!("{container} was restored and proven ")));

    // A backup of another day with a label is not what the timer should have made.
    let mut backup = place.backup(&source);
    backup.args(["--label", "before-upgrade"]);
    succeed(backup).await;
    let night = place.path("archive").join(&container).join(&container);
    let seal = night.join("manifests/backup.json");
    let sealed = fs::read_to_string(&seal).unwrap();
    let mut old: Value = serde_json::from_str(&sealed).unwrap();
    old["sealed"] = "2016-06-11T22:00:00Z".into();
    fs::write(&seal, old.to_string()).unwrap();
    let found = checked(check(&place, &source, &[])).await;
    found.assert_wrong(&["nights.backup"], &format!("{container} was sealed "), "journalctl --unit nightshard-backup");
    fs::write(&seal, sealed).unwrap();

    let shards: BTreeMap<_, _> = fs::read_dir(night.join("shards"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), entry.path()))
        .collect();
    fs::write(shards.iter().find(|(name, _)| name.starts_with("sensu_db")).unwrap().1, "damaged").unwrap();
    let mut verify = place.verify();
    verify.args(["--date", "today"]);
    assert_eq!(run(verify).await.status.code(), Some(5));
    let found = checked(check(&place, &source, &[])).await;
    found.assert_wrong(&["nights.verification"], &format!("damaged: {container}"), "names what is damaged");
}
