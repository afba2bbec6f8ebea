//! Wrong usage: whatever is wrong with a command line is said with the option, its value, and a hint, before anything is done.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

use std::process::Command;

const ROWS: &str = include_str!("command_line/wrong_usage.txt");

fn program(name: &str) -> &'static str {
    match name {
        "backup" => env!("CARGO_BIN_EXE_nightshard-backup"),
        "check" => env!("CARGO_BIN_EXE_nightshard-check"),
        "dump" => env!("CARGO_BIN_EXE_nightshard-dump"),
        "fetch" => env!("CARGO_BIN_EXE_nightshard-fetch"),
        "list" => env!("CARGO_BIN_EXE_nightshard-list"),
        "report" => env!("CARGO_BIN_EXE_nightshard-report"),
        "restore" => env!("CARGO_BIN_EXE_nightshard-restore"),
        "prune" => env!("CARGO_BIN_EXE_nightshard-prune"),
        "verify" => env!("CARGO_BIN_EXE_nightshard-verify"),
        other => panic!("there is no program {other}"),
    }
}

#[test]
fn each_message_names_the_option_the_value_and_a_hint() {
    let rows: Vec<&str> = ROWS.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert!(rows.len() >= 30, "{} rows", rows.len());
    for row in rows {
        let [line, option, value] = row.split(" | ").map(str::trim).collect::<Vec<_>>().try_into().unwrap();
        let mut words = line.split_whitespace();
        let output = Command::new(program(words.next().unwrap()))
            .args(words)
            .env_clear()
            .env("NIGHTSHARD_TIMEZONE", "UTC")
            .env("NIGHTSHARD_CONFIG", "/dev/null")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let [error, hint] = said.lines().collect::<Vec<_>>().try_into().unwrap_or_else(|_| panic!("{line}: {said}"));
        assert_eq!(output.status.code(), Some(2), "{line}: {said}");
        assert!(output.stdout.is_empty(), "{line}: {output:?}");
        assert!(error.starts_with("error: ") && error.contains(option), "{line}: {option} is not in {error:?}");
        let named = value == "-" || error.contains(&format!("{value:?}"));
        assert!(named, "{line}: {value} is not in {error:?}");
        assert!(hint.strip_prefix("hint: ").is_some_and(|hint| hint.len() > 5), "{line}: {hint:?}");
    }
}
