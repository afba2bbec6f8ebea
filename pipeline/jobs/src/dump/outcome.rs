//! What a dump did.

use std::path::PathBuf;

use archive::records::DumpManifest;
use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;

use crate::Metric;

/// What a run of the dump did. Printed with `--json`: members are added, never changed.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// The day that was dumped; of several the last one.
    pub night: NaiveDate,
    /// The night's container, where there is an archive.
    pub container: Option<String>,
    /// The measurements that were dumped.
    pub dumps: Vec<Dumped>,
    /// Dumps of earlier days that were open and hold more now.
    pub completed: Vec<Dumped>,
    /// What was not dumped or completed, each with its error, and what a server no longer had of an earlier dump.
    pub failures: Vec<String>,
    /// How the clocks of this machine, the archive and InfluxDB differ, where they do by more than a minute, and the day
    /// that was decided by this machine's.
    pub clocks: Vec<String>,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// A measurement that was dumped.
#[derive(Debug, Clone, Serialize)]
pub struct Dumped {
    /// The day of its records.
    pub night: NaiveDate,
    /// Its name.
    pub measurement: String,
    /// Its database.
    pub database: String,
    /// Its retention policy.
    pub retention_policy: String,
    /// The object in the archive; `null` without records or without upload.
    pub object: Option<String>,
    /// The local copy; `null` without records or where none was asked for.
    pub file: Option<PathBuf>,
    /// Records.
    pub records: u64,
    /// Pages.
    pub pages: u64,
    /// Bytes.
    pub bytes: u64,
    /// SHA-256 of the bytes.
    pub sha256: String,
    /// Until when the source held everything.
    pub covered_until: DateTime<Utc>,
    /// Whether that lies before the end of the day.
    pub open: bool,
    /// Records among all that only an earlier dump of the day still had.
    pub kept: u64,
    /// How many times the records of one instant were too many for the memory, and went through the spool.
    pub spills: u64,
    /// What a person should know about it.
    pub warnings: Vec<String>,
}

impl Outcome {
    /// Adds what was done for a later day.
    pub(super) fn append(&mut self, later: Outcome) {
        (self.night, self.container) = (later.night, later.container);
        self.dumps.extend(later.dumps);
        self.completed.extend(later.completed);
        self.failures.extend(later.failures);
        self.seconds += later.seconds;
    }

    /// A few lines for the morning mail.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut lines = Vec::new();
        if self.dumps.is_empty() && self.failures.is_empty() {
            lines.push(format!("no measurements on {}", self.night));
        }
        for dump in &self.dumps {
            dump.say(&mut lines);
        }
        for dump in &self.completed {
            let Dumped { measurement, night, records, .. } = dump;
            lines.push(format!("{measurement}: completed {night}, which has {records} records now"));
            lines.extend(dump.warnings.iter().map(|warning| format!("warning: {measurement}: {warning}")));
        }
        lines.extend(self.clocks.iter().map(|clocks| format!("warning: {clocks}")));
        lines.extend(self.failures.iter().map(|failure| format!("failed: {failure}")));
        lines.join("\n")
    }

    /// What monitoring is told.
    #[must_use]
    pub fn metrics(&self) -> Vec<Metric> {
        let sum = |what: fn(&Dumped) -> u64| self.dumps.iter().map(what).sum::<u64>() as f64;
        vec![
            Metric::new("nightshard_dump_measurements", "Measurements that were dumped", self.dumps.len() as f64),
            Metric::new("nightshard_dump_records", "Records in these dumps", sum(|dump| dump.records)),
            Metric::new("nightshard_dump_bytes", "Bytes of these dumps", sum(|dump| dump.bytes)),
            Metric::new("nightshard_dump_open", "Those that lack the end of their day", sum(|dump| dump.open.into())),
            Metric::new(
                "nightshard_dump_completed",
                "Dumps of earlier days that were completed",
                self.completed.len() as f64,
            ),
        ]
    }

    /// What makes the run one that did not do all it should.
    #[must_use]
    pub fn failures(&self) -> &[String] {
        &self.failures
    }
}

impl Dumped {
    /// What a seal in the archive says.
    pub(super) fn of(seal: DumpManifest) -> Dumped {
        Dumped {
            night: seal.night,
            measurement: seal.measurement,
            database: seal.database,
            retention_policy: seal.retention_policy,
            object: seal.object,
            file: None,
            records: seal.records,
            pages: seal.pages,
            bytes: seal.bytes,
            sha256: seal.sha256,
            covered_until: seal.covered_until,
            open: seal.open,
            kept: seal.kept,
            spills: 0,
            warnings: seal.warnings,
        }
    }

    fn say(&self, lines: &mut Vec<String>) {
        let Dumped { measurement, night, records, pages, bytes, .. } = self;
        let place = match (&self.object, &self.file) {
            (Some(object), Some(file)) => format!("{object} and {}", file.display()),
            (Some(object), None) => object.clone(),
            (None, Some(file)) => file.display().to_string(),
            (None, None) => night.to_string(),
        };
        lines.push(match records {
            0 => format!("{measurement}: no records on {night}"),
            _ => format!("{measurement}: {records} records on {pages} pages, {bytes} bytes, in {place}"),
        });
        if self.open {
            let until = self.covered_until.format("%Y-%m-%d %H:%M:%S UTC");
            lines.push(format!("{measurement}: holds what was written until {until}; the day went on after that"));
        }
        lines.extend(self.warnings.iter().map(|warning| format!("warning: {measurement}: {warning}")));
    }
}
