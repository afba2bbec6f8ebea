//! A place with what the check looks at, and what a run of it said.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use test_support::Influxd;

use crate::night::{Place, run, succeed};

/// What a check is, as its users read it.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct Check {
    pub(crate) id: String,
    pub(crate) status: String,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// What came of a run.
pub(crate) struct Checked {
    pub(crate) code: Option<i32>,
    pub(crate) checks: Vec<Check>,
    pub(crate) said: String,
}

impl Checked {
    pub(crate) fn of(output: &Output) -> Checked {
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let printed: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}"));
        let checks = serde_json::from_value(printed["checks"].clone()).unwrap();
        assert_eq!(printed["ready"], json!(output.status.success()), "{printed}");
        Checked { code: output.status.code(), checks, said }
    }

    pub(crate) fn with(&self, status: &str) -> Vec<&str> {
        self.checks.iter().filter(|check| check.status == status).map(|check| check.id.as_str()).collect()
    }

    pub(crate) fn get(&self, id: &str) -> &Check {
        self.checks.iter().find(|check| check.id == id).unwrap_or_else(|| panic!("no {id} in {:?}", self.checks))
    }

    /// Only these are wrong; the first of them says this, with a hint, and each is named where cron would mail it.
    pub(crate) fn assert_wrong(&self, ids: &[&str], message: &str, hint: &str) {
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
pub(crate) fn script(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The crontab that comes with the programs, where cron would find it; no systemd, and no crontab of the user.
pub(crate) fn install(place: &Place) {
    script(&place.path("bin/systemctl"), "echo 'System has not been booted with systemd as init system' >&2; exit 1");
    script(&place.path("bin/crontab"), "echo 'no crontab for root' >&2; exit 1");
    fs::create_dir_all(place.path("cron.d")).unwrap();
    fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/cron/nightshard.crontab"), place.path("cron.d/nightshard")).unwrap();
}

/// `nightshard-check` in a zone in which the machine is as well.
pub(crate) fn check(place: &Place, source: &Influxd, arguments: &[&str]) -> Command {
    check_at(place, &source.url(), &source.snapshot_address(), arguments)
}

/// The same with a source whose two addresses are not one server's own.
pub(crate) fn check_at(place: &Place, url: &str, snapshot_address: &str, arguments: &[&str]) -> Command {
    let mut command = place.command(env!("CARGO_BIN_EXE_nightshard-check"));
    let path = format!("{}:{}", place.path("bin").display(), std::env::var("PATH").unwrap());
    command.env("PATH", path).env("TZ", "Europe/Berlin");
    command.args(["--source", url, "--snapshot-addr", snapshot_address]);
    command.arg("--cron-dir").arg(place.path("cron.d")).args(arguments);
    command
}

pub(crate) async fn checked(mut command: Command) -> Checked {
    command.arg("--json");
    Checked::of(&run(command).await)
}

/// A production with a shard.
pub(crate) async fn production() -> Influxd {
    let source = Influxd::start().await;
    source.statement("CREATE DATABASE sensu_db").await;
    source.write("sensu_db", "cpu,host=a load=1 1465646400000000000").await;
    source
}

/// A place with a backup of today.
pub(crate) async fn backed_up(source: &Influxd) -> Place {
    let place = Place::folder();
    install(&place);
    succeed(place.backup(source)).await;
    place
}
