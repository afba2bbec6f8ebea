//! The pages for users, as they say it: every command and every program on them is run on real servers.
//!
//! The commands are taken out of the pages and run by a shell, in which `systemctl` starts what the units of this repository
//! start, and addresses, folders and containers are those of the test. (`docs/disaster-recovery.md` has `worst_day.rs`.)

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

mod night;

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Output;

use chrono::{NaiveDate, TimeDelta, Utc};
use chrono_tz::Europe::Berlin;
use night::{Place, run, succeed};
use test_support::{Influxd, temp_dir};

/// How many points a day has, of each of two hosts.
const A_DAY: usize = 700;

/// The commands of a page: the lines that begin like a prompt.
fn commands(page: &str) -> Vec<&str> {
    page.lines().filter_map(|line| line.strip_prefix("$ ")).collect()
}

/// The programs of a page in one language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let begin = format!("```{language}\n");
    page.split(&begin).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

fn program(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// The folder of a Python that has pandas and DuckDB.
fn python() -> PathBuf {
    let python = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("analysts").join("bin/python");
    assert!(python.exists(), "{} is missing; scripts/services install analysts", python.display());
    python
}

/// Midnight of a day in Berlin, in nanoseconds.
fn midnight(day: NaiveDate) -> i64 {
    let midnight = day.and_hms_opt(0, 0, 0).unwrap().and_local_timezone(Berlin).unwrap();
    midnight.timestamp_nanos_opt().unwrap()
}

/// A production with two hosts on some days. `idle` comes late on the last day, and only the second host lacks it.
async fn fill(influxd: &Influxd, days: &[NaiveDate]) {
    influxd.statement("CREATE DATABASE sensu_db WITH DURATION INF SHARD DURATION 1d NAME \"default\"").await;
    let mut lines = String::new();
    for day in days {
        for point in 0..A_DAY {
            let time = midnight(*day) + i64::try_from(point).unwrap() * 60_000_000_000;
            let idle = if Some(day) == days.last() && point >= A_DAY - 10 { ",idle=0.5" } else { "" };
            writeln!(lines, "cpu,host=web00 load={}i{idle} {time}", point % 100).unwrap();
            writeln!(lines, "cpu,host=web01 load={}i {}", point % 50, time + 1).unwrap();
        }
    }
    influxd.write("sensu_db", &lines).await;
}

/// A shell with the page's programs, as a person at a fresh prompt has it.
struct Shell {
    place: Place,
    programs: PathBuf,
}

impl Shell {
    fn new(place: Place) -> Shell {
        let programs = place.path("programs");
        fs::create_dir(&programs).unwrap();
        for (name, path) in [
            ("backup", env!("CARGO_BIN_EXE_nightshard-backup")),
            ("check", env!("CARGO_BIN_EXE_nightshard-check")),
            ("dump", env!("CARGO_BIN_EXE_nightshard-dump")),
            ("fetch", env!("CARGO_BIN_EXE_nightshard-fetch")),
            ("list", env!("CARGO_BIN_EXE_nightshard-list")),
            ("report", env!("CARGO_BIN_EXE_nightshard-report")),
            ("restore", env!("CARGO_BIN_EXE_nightshard-restore")),
            ("prune", env!("CARGO_BIN_EXE_nightshard-prune")),
            ("verify", env!("CARGO_BIN_EXE_nightshard-verify")),
        ] {
            std::os::unix::fs::symlink(path, programs.join(format!("nightshard-{name}"))).unwrap();
        }
        Shell { place, programs }
    }

    /// What starts and stops InfluxDB, and runs a unit of ours by its own line. What only shows something is left to systemd.
    fn systemctl(&self, influxd: &Influxd) {
        let units = concat!(env!("CARGO_MANIFEST_DIR"), "/systemd");
        let text = format!(
            "case \"$1 $2\" in\n'start influxdb') exec {};;\n'stop influxdb') exec {};;\nlist-timers*) exit;;\n\
             start*) exec $(sed -n 's/^ExecStart=//p' {units}/$2.service);;\nesac\nexit 1",
            influxd.start_command(),
            influxd.stop_command()
        );
        program(&self.programs, "systemctl", &text);
    }

    /// Runs the commands in one shell, each of which has to succeed, or to end with the code that is named for it.
    async fn run(&self, commands: &[String], codes: &[(&str, i32)], environment: &[(&str, String)]) -> Output {
        let mut script =
            "set -uo pipefail\nended() { [ $1 = $2 ] || { echo \"ended with $1\" >&2; exit 1; }; }\n".to_owned();
        for command in commands {
            let wanted = codes.iter().find(|(begin, _)| command.starts_with(begin)).map_or(0, |(_, code)| *code);
            let shown = command.replace('\'', "'\\''");
            write!(script, "printf '%s\\n' '$ {shown}' >&2\n{command}\nended $? {wanted}\n").unwrap();
        }
        let mut shell = self.place.command("bash");
        shell.args(["-c", &script]).env("TZ", "Europe/Berlin");
        shell.env("PATH", format!("{}:{}", self.programs.display(), std::env::var("PATH").unwrap()));
        shell.envs(environment.iter().map(|(name, value)| (name, value)));
        run(shell).await
    }
}

/// Where the two InfluxDB are, as the configuration of a machine says it.
fn servers(source: &Influxd, target: &Influxd) -> Vec<(&'static str, String)> {
    vec![
        ("NIGHTSHARD_SOURCE", source.url()),
        ("NIGHTSHARD_SNAPSHOT_ADDR", source.snapshot_address()),
        ("NIGHTSHARD_TARGET", target.url()),
        ("NIGHTSHARD_TARGET_SNAPSHOT_ADDR", target.snapshot_address()),
    ]
}

fn said(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_analyst_reads_june_as_the_page_says() {
    const PAGE: &str = include_str!("../docs/analyst.md");
    let python = python();
    let (place, source) = (Place::swift_keystone(), Influxd::start().await);
    let days = [11, 12].map(|day| NaiveDate::from_ymd_opt(2016, 6, day).unwrap());
    fill(&source, &days).await;
    for day in ["2016-06-11", "2016-06-12"] {
        let mut backup = place.backup(&source);
        backup.args(["--date", day]);
        succeed(backup).await;
        let mut dump = place.command(env!("CARGO_BIN_EXE_nightshard-dump"));
        dump.args(["cpu", "--json", "--date", day]);
        succeed(dump).await;
    }
    let container = place.container("2016-06-11");
    let shell = Shell::new(place);
    let commands: Vec<_> = commands(PAGE)
        .iter()
        .map(|command| match command.starts_with("swift ") {
            // The Swift is shared, so its containers have longer names here.
            true => command.replace("2016-06-11", &container),
            false => (*command).to_owned(),
        })
        .collect();
    let output = shell.run(&commands, &[], &[]).await;
    assert!(output.status.success(), "{}", said(&output));
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(shown.lines().any(|line| line == (4 * A_DAY).to_string()), "{}", said(&output));
    assert!(shown.contains("Z\tweb00\t91"), "{}", said(&output));
    let read = |name: &str| fs::read_to_string(shell.place.path(name)).unwrap();
    assert_eq!(read("web00.ndjson").lines().count(), 2 * A_DAY);
    let file = "cpu_2016-06-11-00:00:00_2016-06-12-00:00:00.json";
    assert_eq!(read(&format!("plain/{container}/influxdb/{file}")), read(&format!("june/{file}")));

    let programs = blocks(PAGE, "python");
    let [pandas, duckdb] = programs.as_slice() else { panic!("{} programs", programs.len()) };
    let records = 4 * A_DAY;
    for (text, wanted) in [
        (pandas, vec![format!("{records} 10 2016-06-12T09:39:00.000000001+00:00"), "web01 ".to_owned()]),
        (
            duckdb,
            vec![
                format!("[({records}, 10, 99)]"),
                "[('web00', 49.5), ('web01', 24.5)]".to_owned(),
                format!("[({records},)]"),
            ],
        ),
    ] {
        let mut command = shell.place.command(&python);
        command.args(["-c", text]);
        let output = run(command).await;
        assert!(output.status.success(), "{}", said(&output));
        for wanted in wanted {
            assert!(said(&output).contains(&wanted), "{wanted} is not in {}", said(&output));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn old_scripts_and_new_programs_hold_the_same_as_the_page_says() {
    const PAGE: &str = include_str!("../docs/moving.md");
    let parent = temp_dir();
    let base = parent.path().join("influxdb");
    fs::create_dir(&base).unwrap();
    let (place, source) = (Place::swift_version1(), Influxd::start().await);
    let target = Influxd::options().base(&base).start().await;
    let today = Utc::now().with_timezone(&Berlin).date_naive();
    fill(&source, &[today - TimeDelta::days(2), today - TimeDelta::days(1)]).await;

    let prefix = place.prefix.clone();
    let shell = Shell::new(place);
    shell.systemctl(&target);
    let (host, port) = source.http_address().split_once(':').map(|(h, p)| (h.to_owned(), p.to_owned())).unwrap();
    program(&shell.programs, "influx", &format!("exec /usr/bin/influx -host {host} -port {port} \"$@\""));
    // Servers of a test run as whoever runs it.
    program(&shell.programs, "chown", "test \"$*\" = \"-R influxdb:influxdb $BASE\"");
    let commands: Vec<_> = commands(PAGE)
        .iter()
        .map(|command| {
            command
                .replace("swift upload \"$day\"", &format!("swift upload \"{prefix}$day\""))
                .replace("swift download \"$day\"", &format!("swift download \"{prefix}$day\""))
                .replace("swift list \"$day\"", &format!("swift list \"{prefix}$day\""))
                .replace("swift copy \"$day\"", &format!("swift copy \"{prefix}$day\""))
                .replace("swift delete \"$day\"", &format!("swift delete \"{prefix}$day\""))
                .replace("\"/$day/$day/", &format!("\"/{prefix}$day/{prefix}$day/"))
                .replace("'nightshard-%Y-%m-%d'", &format!("'{prefix}nightshard-%Y-%m-%d'"))
                .replace("127.0.0.1:8088", &source.snapshot_address())
                .replace("http://127.0.0.1:8086", &target.url())
                .replace("/var/lib/influxdb", &base.display().to_string())
        })
        .collect();
    let mut environment = servers(&source, &target);
    environment.push(("BASE", base.display().to_string()));
    let output = shell.run(&commands, &[("nightshard-check --no-schedule ", 3)], &environment).await;
    assert!(output.status.success(), "{}", said(&output));
    let shown = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(shown.contains("objects, ") && shown.contains(": whole"), "{}", said(&output));
    // As many by the old query as in the new dump.
    let records = (2 * A_DAY).to_string();
    assert!(shown.lines().any(|line| line.ends_with(&format!(" {records}"))), "{}", said(&output));
    assert!(shown.lines().any(|line| line == records), "{}", said(&output));
    assert_eq!(target.count("sensu_db", "cpu", "load").await, u64::try_from(4 * A_DAY).unwrap());
    assert!(shown.contains("ready for the night\n"), "{}", said(&output));
    // The old night has become one.
    let (_, adopted) = shown.split_once(": unsealed, not adopted: ").unwrap();
    assert!(
        adopted.contains("bytes: whole\n") && adopted.contains("bytes: whole, and sealed now\n"),
        "{}",
        said(&output)
    );
    let (_, listed) = adopted.split_once(": ready\nstored ").unwrap();
    assert!(listed.contains(", adopted 20"), "{}", said(&output));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_makes_up_for_a_night_as_the_page_says() {
    const PAGE: &str = include_str!("../docs/operator.md");
    let (place, source, target) = (Place::folder(), Influxd::start().await, Influxd::start().await);
    let days = [11, 12].map(|day| NaiveDate::from_ymd_opt(2016, 6, day).unwrap());
    fill(&source, &days).await;
    let mut backup = place.backup(&source);
    backup.args(["--date", "2016-06-11"]);
    succeed(backup).await;
    let shard = place.path("archive/2016-06-11/2016-06-11/shards/sensu_db.default.00002.00");
    let mut bytes = fs::read(&shard).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    // Not in place: other nights have the same bytes.
    fs::remove_file(&shard).unwrap();
    fs::write(&shard, bytes).unwrap();

    let shell = Shell::new(place);
    shell.systemctl(&target);
    let (journal, mail) = (temp_dir(), shell.place.path("mail"));
    let journal = format!("exec /usr/bin/journalctl --directory {} \"$@\"", journal.path().display());
    program(&shell.programs, "journalctl", &journal);
    program(&shell.programs, "mail", &format!("{{ echo \"$@\"; cat; }} > {}", mail.display()));
    let told = shell.place.path("told.json");
    let mut environment = servers(&source, &target);
    environment.push(("NIGHTSHARD_ON_FAILURE", format!("cat > {}", told.display())));
    let commands: Vec<_> = commands(PAGE).into_iter().map(str::to_owned).collect();
    // No timer starts anything on this machine, and a shard is damaged.
    let codes = [("nightshard-check", 3), ("nightshard-verify", 5)];
    let output = shell.run(&commands, &codes, &environment).await;
    assert!(output.status.success(), "{}", said(&output));
    assert!(said(&output).contains("sensu_db.default.00002.00 is damaged: "), "{}", said(&output));
    assert_eq!(target.count("sensu_db", "cpu", "load").await, u64::try_from(4 * A_DAY).unwrap());
    let dumps = fs::read_dir(shell.place.path("archive/2016-06-11/2016-06-11/influxdb")).unwrap().count();
    assert_eq!(dumps, 1, "{}", said(&output));
    assert!(fs::read_to_string(mail).unwrap().contains("<!DOCTYPE html>"), "{}", said(&output));

    // What is told after a failure has the members that the page shows.
    let missing = ["nightshard-restore --date 2016-06-10".to_owned()];
    let output = shell.run(&missing, &[("nightshard-restore", 4)], &environment).await;
    assert!(output.status.success(), "{}", said(&output));
    let told: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&fs::read(told).unwrap()).unwrap();
    let shown: serde_json::Map<_, _> = serde_json::from_str(&blocks(PAGE, "json")[0]).unwrap();
    assert!(told.keys().eq(shown.keys()), "{told:?}\n{shown:?}");
    for constant in ["format", "program", "exit_code", "success", "summary", "failures", "hint", "outcome"] {
        assert_eq!(told[constant], shown[constant], "{constant}");
    }
    // And the programs understand its configuration.
    let configuration = shell.place.path("page.toml");
    fs::write(&configuration, &blocks(PAGE, "toml")[0]).unwrap();
    let environment = [("NIGHTSHARD_CONFIG", configuration.display().to_string())];
    let shown = ["nightshard-backup --print-config".to_owned(), "nightshard-report --print-config".to_owned()];
    let output = shell.run(&shown, &[], &environment).await;
    assert!(output.status.success(), "{}", said(&output));
    for value in ["node-exporter/{program}.prom", "has failed"] {
        assert!(said(&output).contains(value), "{value} is not in {}", said(&output));
    }
}
