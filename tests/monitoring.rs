//! The alerts and the dashboard of `scripts/monitoring`: that Prometheus takes the rules, that they fire when they should, and
//! that both speak of values that there are.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/monitoring");

/// What every program writes down of itself.
const OF_JOBS: [&str; 6] = [
    "nightshard_job_started_timestamp_seconds",
    "nightshard_job_finished_timestamp_seconds",
    "nightshard_job_last_success_timestamp_seconds",
    "nightshard_job_exit_code",
    "nightshard_job_seconds",
    "nightshard_job_failures",
];

fn read(name: &str) -> String {
    std::fs::read_to_string(format!("{FOLDER}/{name}")).unwrap()
}

fn promtool(arguments: &[&str]) -> String {
    let output = Command::new("promtool").args(arguments).current_dir(FOLDER).output();
    let output = output.expect("promtool; scripts/services install checks");
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{arguments:?}:\n{said}");
    said
}

/// The values that a text speaks of.
fn names(text: &str) -> BTreeSet<&str> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    words.filter(|word| word.starts_with("nightshard_") && !word.ends_with('_')).collect()
}

#[test]
fn prometheus_takes_the_rules_and_they_fire_when_they_should() {
    let said = promtool(&["check", "rules", "alerts.yml"]);
    assert!(said.contains("SUCCESS"), "{said}");
    promtool(&["test", "rules", "alerts_test.yml"]);
    let (rules, tests) = (read("alerts.yml"), read("alerts_test.yml"));
    let alerts: Vec<&str> = rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 10, "{alerts:?}");
    for alert in alerts {
        assert!(tests.contains(&format!("alertname=\"{alert}\"")), "{alert} fires in no test");
    }
}

#[test]
fn alerts_and_dashboard_speak_of_values_that_there_are() {
    let known: BTreeSet<&str> = jobs::report::NAMES.iter().map(|(name, _)| *name).chain(OF_JOBS).collect();
    for file in ["alerts.yml", "alerts_test.yml", "dashboard.json"] {
        let text = read(file);
        let unknown: Vec<&str> = names(&text).into_iter().filter(|name| !known.contains(name)).collect();
        assert!(unknown.is_empty(), "{file} speaks of {unknown:?}");
    }
    // What is only in an alert can still be looked at.
    let (rules, dashboard) = (read("alerts.yml"), read("dashboard.json"));
    let unseen: Vec<&str> = names(&rules).difference(&names(&dashboard)).copied().collect();
    assert!(unseen.is_empty(), "the dashboard does not show {unseen:?}");
}

#[test]
fn the_panels_of_the_dashboard_have_expressions_and_places_of_their_own() {
    let dashboard: Value = serde_json::from_str(&read("dashboard.json")).unwrap();
    let mut places = BTreeSet::new();
    let mut ids = BTreeSet::new();
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{panel}");
        let at = |member: &str| panel["gridPos"][member].as_u64().unwrap();
        assert!(at("x") + at("w") <= 24, "{panel}");
        for (x, y) in (0..at("w")).flat_map(|x| (0..at("h")).map(move |y| (x, y))) {
            assert!(places.insert((at("x") + x, at("y") + y)), "{} lies over another", panel["title"]);
        }
        for target in panel["targets"].as_array().unwrap() {
            let expression = target["expr"].as_str().unwrap().replace("$instance", "a");
            // Each is a rule that Prometheus takes.
            let rules = tempfile::NamedTempFile::new().unwrap();
            let rule = serde_json::json!({"groups": [{"name": "a", "rules": [{"record": "a:b", "expr": expression}]}]});
            std::fs::write(rules.path(), rule.to_string()).unwrap();
            promtool(&["check", "rules", rules.path().to_str().unwrap()]);
        }
    }
}
