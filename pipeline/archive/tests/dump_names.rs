//! Names of dumps: as a pattern has them, and safe as file names.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

use archive::{DumpName, DumpOf, Window};
use chrono::DateTime;
use proptest::prelude::*;

fn stem(pattern: &str, database: &str, retention_policy: &str, measurement: &str) -> String {
    pattern.parse::<DumpName>().unwrap().stem(DumpOf { database, retention_policy, measurement })
}

fn of(measurement: &str) -> String {
    DumpName::default().stem(DumpOf { database: "db", retention_policy: "rp", measurement })
}

#[test]
fn a_dump_is_named_after_measurement_and_local_window() {
    let utc = |text: &str| DateTime::parse_from_rfc3339(text).unwrap().to_utc();
    let window = Window { start: utc("2016-06-10T22:00:00Z"), end: utc("2016-06-11T22:00:00Z") };
    let dump = DumpOf { database: "sensu_db", retention_policy: "default", measurement: "Aggregated_metrics" };
    let file = |name: &DumpName| name.file(dump, window, chrono_tz::Europe::Berlin, "json");
    assert_eq!(file(&DumpName::default()), "Aggregated_metrics_2016-06-11-00:00:00_2016-06-12-00:00:00.json");
    assert_eq!(
        file(&"{database}.{retention_policy}.{measurement}".parse().unwrap()),
        "sensu_db.default.Aggregated_metrics_2016-06-11-00:00:00_2016-06-12-00:00:00.json"
    );
    assert_eq!("{measurement}".parse::<DumpName>().unwrap(), DumpName::default());
}

#[test]
fn each_part_of_a_pattern_is_encoded_by_itself() {
    let table = "
        # pattern                          | database | policy | measurement | stem
        {measurement}                      | db       | rp     | cpu         | cpu
        {database}.{measurement}           | a/b      | rp     | c%d         | a%2Fb.c%25d
        {retention_policy}                 | db       | a b    | cpu         | a b
        all of {database}-{measurement}!   | db       | rp     | cpu         | all of db-cpu!
        {database}{measurement}            | ..       | rp     | x           | %2E.x
        {measurement}{measurement}         | db       | rp     | {database}  | {database}{database}";
    for row in table.lines().map(str::trim).filter(|row| !row.is_empty() && !row.starts_with('#')) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        assert_eq!(stem(cells[0], cells[1], cells[2], cells[3]), cells[4], "{row}");
    }
}

#[test]
fn patterns_that_could_not_be_file_names_or_have_other_fields_are_refused() {
    for (pattern, reason) in [
        ("", "is empty"),
        ("{}", "has {}, which does not stand for anything"),
        ("{Measurement}", "has {Measurement}"),
        ("{database", "has a { without its }"),
        ("database}", "has a } without its {"),
        ("a/{measurement}", "has characters that no file name should have"),
        ("%Y-{measurement}", "has characters that no file name should have"),
        (".{measurement}", "begins with a dot"),
        (&"x".repeat(91), "is too long"),
    ] {
        let refused = pattern.parse::<DumpName>().unwrap_err().to_string();
        assert!(refused.contains(reason), "{refused}");
    }
}

#[test]
fn measurements_are_encoded_only_where_a_file_name_needs_it() {
    let table = [
        ("cpu", "cpu"),
        ("cpu load", "cpu load"),
        ("größe", "größe"),
        ("a/b", "a%2Fb"),
        ("a\\b", "a%5Cb"),
        ("100%", "100%25"),
        ("a%2Fb", "a%252Fb"),
        ("..", "%2E."),
        (".hidden", "%2Ehidden"),
        ("line\nbreak", "line%0Abreak"),
        ("", ""),
    ];
    for (measurement, file) in table {
        assert_eq!(of(measurement), file, "{measurement:?}");
    }
}

proptest! {
    #[test]
    fn every_measurement_has_a_file_name_of_its_own(one in "\\PC{0,300}", other in "\\PC{0,300}") {
        let name = of(&one);
        prop_assert!(name.len() <= 180);
        prop_assert!(!name.contains(['/', '\0', '\n']) && !name.starts_with('.'));
        if one != other {
            prop_assert_ne!(name, of(&other));
        }
        let long = stem("{database}.{measurement}", &one, "", &other);
        prop_assert!(long.len() <= 180 && !long.contains(['/', '\0', '\n']));
    }
}
