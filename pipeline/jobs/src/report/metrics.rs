//! What the archive tells, as values for monitoring.

use super::days::Standing;
use super::outcome::{LastNight, Outcome};
use crate::Metric;
use crate::list::State;

/// The names of all values and what they tell.
pub const NAMES: [(&str, &str); 23] = [
    ("nightshard_archive_nights", "Days of the archive, by the state of their night"),
    ("nightshard_archive_bytes", "Bytes of all backups"),
    ("nightshard_archive_added_bytes", "Bytes that all backups added to the archive, what nights share counted once"),
    ("nightshard_archive_last_sealed_timestamp_seconds", "When a night was sealed last"),
    ("nightshard_archive_last_night_bytes", "Bytes of the last sealed night"),
    ("nightshard_archive_last_night_sent_bytes", "Bytes that the backup of the last sealed night sent"),
    ("nightshard_archive_last_night_added_bytes", "Bytes of the last sealed night that no night before it has"),
    ("nightshard_archive_last_night_shards", "Shards of the last sealed night"),
    ("nightshard_archive_last_night_points", "Field values in the last sealed night, by database"),
    ("nightshard_archive_last_night_backup_seconds", "How long the backup of the last sealed night took"),
    ("nightshard_archive_last_night_growth_bytes", "By how much the last sealed night is larger than the one before"),
    ("nightshard_archive_last_restore_timestamp_seconds", "When a night was restored last"),
    ("nightshard_archive_last_restore_seconds", "How long the last restore took"),
    ("nightshard_archive_last_proven_restore_timestamp_seconds", "When every point was counted after a restore last"),
    ("nightshard_archive_last_verified_timestamp_seconds", "When a night was verified last"),
    ("nightshard_archive_damaged_objects", "Objects that verifications found damaged"),
    ("nightshard_archive_unchecked_objects", "Objects that the last verifications could not look at"),
    ("nightshard_archive_last_dump_timestamp_seconds", "When a dump was sealed last"),
    ("nightshard_archive_last_dumps_seconds", "How long the dumps of the last night that has some took"),
    ("nightshard_archive_open_dumps", "Dumps that do not reach to the end of their day"),
    ("nightshard_archive_overdue_dumps", "Open dumps that a later night could have completed"),
    ("nightshard_archive_troubles", "What is wrong with the nights, in the report's words"),
    ("nightshard_archive_unreadable", "Documents of the archive that could not be read"),
];

impl Outcome {
    /// What was found, for monitoring. What there is none of has no value.
    #[must_use]
    pub fn metrics(&self) -> Vec<Metric> {
        let mut metrics = Vec::new();
        let mut add = |name: &'static str, value: Option<f64>| {
            metrics.extend(value.map(|value| Metric::new(name, help(name), value)));
        };
        let seconds = |instant: chrono::DateTime<chrono::Utc>| instant.timestamp_millis() as f64 / 1000.0;
        let night = self.last_night.as_ref();
        add("nightshard_archive_bytes", Some(self.bytes as f64));
        add("nightshard_archive_added_bytes", self.added_bytes.map(|bytes| bytes as f64));
        add("nightshard_archive_last_sealed_timestamp_seconds", self.last_sealed.map(seconds));
        add("nightshard_archive_last_night_bytes", night.map(|night| night.bytes as f64));
        let of_night = |of: fn(&LastNight) -> Option<u64>| night.and_then(of).map(|bytes| bytes as f64);
        add("nightshard_archive_last_night_sent_bytes", of_night(|night| night.sent_bytes));
        add("nightshard_archive_last_night_added_bytes", of_night(|night| night.added_bytes));
        add("nightshard_archive_last_night_shards", night.map(|night| night.shards as f64));
        add("nightshard_archive_last_night_backup_seconds", night.map(|night| night.backup_seconds));
        add("nightshard_archive_last_night_growth_bytes", night.and_then(|night| night.growth_bytes));
        let (restore, proven) = (self.last_restore.as_ref(), self.last_proven_restore.as_ref());
        add("nightshard_archive_last_restore_timestamp_seconds", restore.map(|restore| seconds(restore.finished)));
        add("nightshard_archive_last_restore_seconds", restore.map(|restore| restore.seconds));
        add(
            "nightshard_archive_last_proven_restore_timestamp_seconds",
            proven.map(|restore| seconds(restore.finished)),
        );
        add("nightshard_archive_last_verified_timestamp_seconds", self.last_verified.map(seconds));
        add("nightshard_archive_damaged_objects", Some(self.damaged as f64));
        add("nightshard_archive_unchecked_objects", Some(self.unchecked as f64));
        add("nightshard_archive_last_dump_timestamp_seconds", self.last_dump.map(seconds));
        add("nightshard_archive_last_dumps_seconds", self.last_dumps_seconds);
        add("nightshard_archive_open_dumps", Some(self.open_dumps as f64));
        add("nightshard_archive_overdue_dumps", Some(self.overdue_dumps as f64));
        add("nightshard_archive_troubles", Some(self.troubles.len() as f64));
        add("nightshard_archive_unreadable", Some(self.failures.len() as f64));
        for (standing, days) in self.nights.by_standing() {
            let name = "nightshard_archive_nights";
            metrics.push(Metric::new(name, help(name), days as f64).with("state", standing.label()));
        }
        for (database, points) in night.iter().flat_map(|night| &night.points_by_database) {
            let name = "nightshard_archive_last_night_points";
            metrics.push(Metric::new(name, help(name), *points as f64).with("database", database));
        }
        metrics
    }
}

fn help(name: &str) -> &'static str {
    NAMES.iter().find(|(known, _)| *known == name).map_or("", |(_, help)| help)
}

impl Standing {
    fn label(self) -> &'static str {
        match self {
            Standing::Night(State::Ready) => "ready",
            Standing::Night(State::BackingUp) => "backing_up",
            Standing::Night(State::Error) => "error",
            Standing::Night(State::Unsealed) => "unsealed",
            Standing::Night(State::Deleting) => "deleting",
            Standing::Night(State::Deleted) => "deleted",
            Standing::Night(State::DumpsOnly) => "dumps_only",
            Standing::Missing => "missing",
            Standing::Awaited => "awaited",
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::report::collect::Dumps;
    use crate::report::model::samples::{at, model, night, ready, restored, verified};
    use crate::report::model::{Database, Model};

    fn everything() -> Model {
        let mut nights = vec![ready("2016-06-11"), ready("2016-06-12"), night("2016-06-13", State::Error)];
        nights[1].listed.bytes = 1250;
        nights[1].listed.restored = vec![restored(Some(true))];
        nights[1].listed.verified = Some(verified(&["a", "b"], 1));
        nights[1].damaged = 2;
        nights[1].dumped = Some(4.5);
        nights[1].databases = vec![Database { name: "sensu_db".to_owned(), measurements: 2, points: 90 }];
        let mut model = model(nights, at("2016-06-15", "08:00:00"));
        let dumps = Dumps {
            days: ["2016-06-11", "2016-06-12"].map(|day| day.parse().unwrap()).into(),
            open: [("2016-06-11".parse().unwrap(), at("2016-06-11", "21:55:00"))].into(),
            records: 48,
            bytes: 4096,
            sealed: Some(at("2016-06-12", "00:31:00")),
        };
        model.dumps.insert(["sensu_db", "default", "cpu"].map(str::to_owned), dumps);
        model
    }

    #[test]
    fn every_name_has_a_value_and_every_value_a_name() {
        let metrics = Outcome::of(&everything()).metrics();
        let given: BTreeSet<&str> = metrics.iter().map(|metric| metric.name).collect();
        assert_eq!(given, NAMES.iter().map(|(name, _)| *name).collect());
        assert!(metrics.iter().all(|metric| !metric.help.is_empty() && metric.value.is_finite()), "{metrics:?}");
        let value = |name: &str| metrics.iter().find(|metric| metric.name == name).unwrap().value;
        assert_eq!(value("nightshard_archive_last_sealed_timestamp_seconds"), 1_465_768_800.0);
        assert_eq!(value("nightshard_archive_last_proven_restore_timestamp_seconds"), 1_465_690_620.0);
        assert_eq!(value("nightshard_archive_last_night_growth_bytes"), 250.0);
        assert_eq!(value("nightshard_archive_bytes"), 2250.0);
        assert_eq!(value("nightshard_archive_added_bytes"), 400.0);
        assert_eq!(value("nightshard_archive_last_night_sent_bytes"), 300.0);
        assert_eq!(value("nightshard_archive_last_night_added_bytes"), 200.0);
        assert_eq!(value("nightshard_archive_overdue_dumps"), 1.0);
        assert_eq!(value("nightshard_archive_damaged_objects"), 2.0);
        let days: Vec<(&str, f64)> = metrics
            .iter()
            .filter(|metric| metric.name == "nightshard_archive_nights")
            .map(|metric| (metric.labels[0].1.as_str(), metric.value))
            .collect();
        let expected = [
            ("ready", 2.0),
            ("backing_up", 0.0),
            ("error", 1.0),
            ("unsealed", 0.0),
            ("deleting", 0.0),
            ("deleted", 0.0),
            ("dumps_only", 0.0),
            ("missing", 0.0),
            ("awaited", 1.0),
        ];
        assert_eq!(days, expected);
    }

    #[test]
    fn what_there_is_none_of_has_no_value() {
        let metrics =
            Outcome::of(&model(vec![night("2016-06-11", State::Error)], at("2016-06-12", "08:00:00"))).metrics();
        let names: BTreeSet<&str> = metrics.iter().map(|metric| metric.name).collect();
        assert!(!names.contains("nightshard_archive_last_sealed_timestamp_seconds"), "{names:?}");
        assert!(!names.contains("nightshard_archive_last_proven_restore_timestamp_seconds"), "{names:?}");
        assert!(names.contains("nightshard_archive_damaged_objects"), "{names:?}");
    }
}
