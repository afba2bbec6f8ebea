//! The timers, the services and the crontab would open the doors of the night: they parse, they name programs and flags
//! that exist, and the sandboxes are as tight as they say.

// A panic is how a test fails.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// The doors, as the units name them, and as Cargo built them.
const DOORS: [(&str, &str); 6] = [
    ("nightshard-check", env!("CARGO_BIN_EXE_nightshard-check")),
    ("nightshard-backup", env!("CARGO_BIN_EXE_nightshard-backup")),
    ("nightshard-restore", env!("CARGO_BIN_EXE_nightshard-restore")),
    ("nightshard-dump", env!("CARGO_BIN_EXE_nightshard-dump")),
    ("nightshard-verify", env!("CARGO_BIN_EXE_nightshard-verify")),
    ("nightshard-prune", env!("CARGO_BIN_EXE_nightshard-prune")),
];

fn house() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Copies of all units in which the commands are the programs just built, since they are not installed here.
fn copies() -> (TempDir, Vec<PathBuf>) {
    let folder = tempfile::tempdir().unwrap();
    let mut units = Vec::new();
    for entry in fs::read_dir(house().join("systemd")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|kind| kind == "service" || kind == "timer") {
            let mut text = fs::read_to_string(&path).unwrap();
            for (name, built) in DOORS {
                text = text.replace(&format!("ExecStart={name} "), &format!("ExecStart={built} "));
            }
            let copy = folder.path().join(path.file_name().unwrap());
            fs::write(&copy, text).unwrap();
            units.push(copy);
        }
    }
    units.sort();
    assert_eq!(units.len(), 13, "six services with a timer each, and the failure hook: {units:?}");
    (folder, units)
}

fn systemd_analyze(arguments: &[&str], unit: &Path) -> (Output, String) {
    let output = Command::new("systemd-analyze").args(arguments).arg(unit).output();
    let output = output.expect("systemd-analyze is missing; scripts/services install, as root, installs it");
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output, text)
}

/// What makes a program of the crontab give way to others.
const GENTLY: &str = "nice -n 10 ionice -c 2 -n 7 ";

/// Each line of the crontab that starts something: its five times, its user, and the words that a door gets.
fn crontab() -> Vec<(String, String, Vec<String>)> {
    let text = fs::read_to_string(house().join("cron/nightshard.crontab")).unwrap();
    assert!(text.ends_with('\n'), "cron ignores a last line without its end");
    let entries = text.lines().filter(|line| line.starts_with(|first: char| first.is_ascii_digit() || first == '*'));
    entries
        .map(|line| {
            let line = line.replace(GENTLY, "");
            let words: Vec<&str> = line.split_whitespace().collect();
            (words[..5].join(" "), words[5].to_owned(), words[6..].iter().map(|word| (*word).to_owned()).collect())
        })
        .collect()
}

/// Asks the real program whether it understands a command line, without letting it do anything.
fn assert_understood(words: &[String]) {
    let (_, built) =
        DOORS.iter().find(|(name, _)| *name == words[0]).unwrap_or_else(|| panic!("{words:?} starts no door"));
    let config = tempfile::NamedTempFile::new().unwrap();
    fs::write(config.path(), "[dump]\nmeasurement = [\"cpu\"]\n").unwrap();
    let output = Command::new(built)
        .args(&words[1..])
        .arg("--print-config")
        .env("NIGHTSHARD_ARCHIVE", "file:///nonexistent")
        .env("NIGHTSHARD_CONFIG", config.path())
        .env("TZ", ":/etc/localtime")
        .output()
        .unwrap();
    assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn systemd_understands_every_line_of_the_units() {
    let (_folder, units) = copies();
    for unit in &units {
        let (output, text) = systemd_analyze(&["verify", "--recursive-errors=no"], unit);
        assert!(output.status.success(), "{}: {text}", unit.display());
        assert!(!text.to_lowercase().contains("unknown"), "{}: {text}", unit.display());
    }
}

#[test]
fn a_wrong_line_in_a_unit_would_be_noticed() {
    let (folder, units) = copies();
    let text = fs::read_to_string(&units[0]).unwrap();
    let wrong = folder.path().join("wrong.service");
    fs::write(&wrong, text.replace("ProtectSystem=", "ProtectSistem=")).unwrap();
    assert!(systemd_analyze(&["verify", "--recursive-errors=no"], &wrong).1.to_lowercase().contains("unknown"));
    fs::write(
        &wrong,
        text.replace("NoNewPrivileges=yes", "").replace("SystemCallFilter=", "#").replace("Protect", "#"),
    )
    .unwrap();
    assert!(!systemd_analyze(&["security", "--offline=true", "--threshold=30"], &wrong).0.status.success());
}

#[test]
fn every_service_is_sandboxed() {
    let (_folder, units) = copies();
    for unit in units.iter().filter(|unit| unit.extension().unwrap() == "service") {
        let (output, text) = systemd_analyze(&["security", "--offline=true", "--threshold=30"], unit);
        assert!(output.status.success(), "{}: {text}", unit.display());
    }
}

#[test]
fn only_the_restore_runs_as_root() {
    for (name, _) in DOORS {
        let text = fs::read_to_string(house().join(format!("systemd/{name}.service"))).unwrap();
        let user = text.lines().find_map(|line| line.strip_prefix("User=")).unwrap();
        assert_eq!(user, if name == "nightshard-restore" { "root" } else { "nightshard" }, "{name}");
        let (_, cron_user, _) = crontab().into_iter().find(|(.., words)| words[0] == name).unwrap();
        assert_eq!(user, cron_user, "{name}");
    }
}

#[test]
fn all_but_the_restore_give_way_to_others() {
    let crontab = fs::read_to_string(house().join("cron/nightshard.crontab")).unwrap();
    for (name, _) in DOORS {
        let gentle = name != "nightshard-restore";
        let unit = fs::read_to_string(house().join(format!("systemd/{name}.service"))).unwrap();
        let set = |line: &str| unit.lines().any(|other| other == line);
        let lines = ["Nice=10", "IOSchedulingClass=best-effort", "IOSchedulingPriority=7"];
        assert!(lines.into_iter().all(|line| set(line) == gentle), "{name}");
        assert_eq!(crontab.contains(&format!("{GENTLY}{name} ")), gentle, "{name}");
    }
    // The tools understand what is asked of them, and pass on what the program ends with.
    let mut words = GENTLY.split_whitespace();
    let status = Command::new(words.next().unwrap()).args(words).args(["sh", "-c", "exit 75"]).status().unwrap();
    assert_eq!(status.code(), Some(75));
}

#[test]
fn timers_and_crontab_open_the_doors_at_the_same_times() {
    let mut cron = Vec::new();
    let mut timers = Vec::new();
    for (times, _, words) in crontab() {
        let [minute, hour, "*", "*", "*"] = times.split(' ').collect::<Vec<_>>()[..] else {
            panic!("{times} is not every night")
        };
        cron.push(format!("{} {:0>2}:{:0>2}", words[0], hour, minute));
    }
    for (name, _) in DOORS {
        let text = fs::read_to_string(house().join(format!("systemd/{name}.timer"))).unwrap();
        let when = text.lines().find_map(|line| line.strip_prefix("OnCalendar=*-*-* ")).unwrap();
        assert!(text.contains("\nPersistent=true\n"), "{name} would not be caught up after an outage");
        timers.push(format!("{name} {}", when.strip_suffix(":00").unwrap()));
    }
    let times = [
        "nightshard-check 16:00",
        "nightshard-backup 23:55",
        "nightshard-restore 00:15",
        "nightshard-dump 00:30",
        "nightshard-verify 04:00",
        "nightshard-prune 05:00",
    ];
    assert_eq!(cron, times);
    assert_eq!(cron, timers);
}

#[test]
fn the_programs_understand_the_commands_of_the_crontab() {
    for (_, _, words) in crontab() {
        assert!(words.contains(&"--quiet".to_owned()), "cron would mail the summary of every night");
        assert_understood(&words);
    }
}

#[test]
fn the_programs_understand_the_commands_of_the_services() {
    for (name, _) in DOORS {
        let text = fs::read_to_string(house().join(format!("systemd/{name}.service"))).unwrap();
        let command = text.lines().find_map(|line| line.strip_prefix("ExecStart=")).unwrap();
        let words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        assert_eq!(words[0], name);
        assert_understood(&words);
    }
}
