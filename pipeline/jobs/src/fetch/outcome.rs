//! What a fetch has brought.

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::Destination;
use super::plan::{Item, Unit};
use crate::Metric;
use crate::verify::told;

/// What was fetched. Printed with `--json`: members are added, never changed.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// The containers of the nights, the oldest first.
    pub nights: Vec<String>,
    /// The folder; null where everything went to stdout.
    pub folder: Option<PathBuf>,
    /// Whether it was only looked what there is to fetch.
    pub dry_run: bool,
    /// All files.
    pub files: Vec<Fetched>,
    /// Files that were fetched.
    pub fetched: u64,
    /// Bytes of them.
    pub fetched_bytes: u64,
    /// Files that were there already.
    pub present: u64,
    /// Bytes of them.
    pub present_bytes: u64,
    /// Files that are to be fetched, where it was only looked.
    pub due: u64,
    /// Bytes of them.
    pub due_bytes: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// The same as `swift` commands, where they were asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commands: Option<Vec<String>>,
    /// What a person should know, though everything is there.
    pub notes: Vec<String>,
    /// What is not there, and why.
    pub failures: Vec<String>,
    /// How the clocks of this machine and the archive differ, where they do by more than a minute.
    pub clocks: Vec<String>,
    /// Whether something in the archive is damaged.
    #[serde(skip)]
    pub(super) is_damaged: bool,
}

/// A file.
#[derive(Debug, Clone, Serialize)]
pub struct Fetched {
    /// The object in the archive.
    pub object: String,
    /// The file; null where it went to stdout.
    pub path: Option<PathBuf>,
    /// Its length in bytes.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: String,
    /// What came of it.
    pub state: State,
    /// Until when a dump is complete, where that is before the end of its day.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open_until: Option<DateTime<Utc>>,
}

/// What came of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It was fetched, and is what its seal says.
    Fetched,
    /// It was there already.
    Present,
    /// It is to be fetched.
    Due,
    /// Another file is in its place, and was kept.
    Refused,
    /// It is damaged in the archive.
    Damaged,
    /// It could not be had.
    Failed,
}

impl Outcome {
    pub(super) fn new(nights: Vec<String>, destination: &Destination, dry_run: bool) -> Outcome {
        let folder = match destination {
            Destination::Folder(folder) | Destination::Flat(folder) => Some(folder.clone()),
            Destination::Stream => None,
        };
        Outcome {
            nights,
            folder,
            dry_run,
            files: Vec::new(),
            fetched: 0,
            fetched_bytes: 0,
            present: 0,
            present_bytes: 0,
            due: 0,
            due_bytes: 0,
            seconds: 0.0,
            commands: None,
            notes: Vec::new(),
            failures: Vec::new(),
            clocks: Vec::new(),
            is_damaged: false,
        }
    }

    /// One more file, and why it is not there, if it is not.
    pub(super) fn add(&mut self, unit: &Unit, item: &Item, state: State, why: Option<String>) {
        let object = &item.object;
        let sums = match state {
            State::Fetched => Some((&mut self.fetched, &mut self.fetched_bytes)),
            State::Present => Some((&mut self.present, &mut self.present_bytes)),
            State::Due => Some((&mut self.due, &mut self.due_bytes)),
            State::Refused | State::Damaged | State::Failed => None,
        };
        if let Some((files, bytes)) = sums {
            *files += 1;
            *bytes = bytes.saturating_add(object.bytes);
        }
        self.is_damaged |= state == State::Damaged;
        self.failures.extend(why);
        let is_dump = unit.seal.as_ref() != Some(item);
        self.files.push(Fetched {
            object: object.name.clone(),
            path: self.folder.is_some().then(|| item.target.clone()),
            bytes: object.bytes,
            sha256: object.sha256.clone(),
            state,
            open_until: unit.dump.as_ref().filter(|_| is_dump).and_then(|dump| dump.open_until),
        });
    }

    pub(super) fn finished(mut self, took: Duration) -> Outcome {
        self.seconds = took.as_secs_f64();
        let place = |file: &Fetched| self.nights.iter().position(|night| file.object.starts_with(&format!("{night}/")));
        let mut files = std::mem::take(&mut self.files);
        files.sort_by_cached_key(|file| (place(file), file.object.clone()));
        let open = files.iter().filter(|file| file.open_until.is_some() && file.state != State::Failed);
        let open: Vec<String> = open.map(|file| file.object.clone()).collect();
        if !open.is_empty() {
            self.notes.push(format!(
                "{} dumps are open, and may lack the last records of their days until a later night completes them: {}",
                open.len(),
                told(&open)
            ));
        }
        self.files = files;
        self
    }

    /// Whether something in the archive is damaged.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.is_damaged
    }

    /// A few lines for a mail, or the commands that were asked for.
    #[must_use]
    pub fn summary(&self) -> String {
        if let Some(commands) = &self.commands {
            return commands.join("\n");
        }
        let mut text = String::new();
        for file in self.files.iter().filter(|file| file.state == State::Due) {
            text.push_str(&format!("{}  {} bytes\n", file.object, file.bytes));
        }
        let nights = match self.nights.as_slice() {
            [] => "no night".to_owned(),
            [night] => night.clone(),
            [first, .., last] => format!("{} nights, {first} to {last}", self.nights.len()),
        };
        let Outcome { fetched, fetched_bytes, present, due, due_bytes, seconds, .. } = self;
        let (done, into) = match (&self.folder, self.dry_run) {
            (Some(folder), true) => (format!("{due} files, {due_bytes} bytes to fetch"), folder.display().to_string()),
            (Some(folder), false) => {
                (format!("{fetched} files, {fetched_bytes} bytes fetched"), folder.display().to_string())
            }
            (None, _) => (format!("{fetched} dumps, {fetched_bytes} bytes read"), "stdout".to_owned()),
        };
        text.push_str(&format!("{nights}: {done} into {into} in {seconds:.1} s"));
        if *present > 0 {
            text.push_str(&format!(", {present} were there already"));
        }
        self.notes.iter().for_each(|note| text.push_str(&format!("\nnote: {note}")));
        self.failures.iter().for_each(|line| text.push_str(&format!("\nwrong: {line}")));
        self.clocks.iter().for_each(|line| text.push_str(&format!("\nwarning: {line}")));
        text
    }

    /// For monitoring.
    #[must_use]
    pub fn metrics(&self) -> Vec<Metric> {
        let count = |number: u64| number as f64;
        vec![
            Metric::new("nightshard_fetch_files", "Files that were fetched", count(self.fetched)),
            Metric::new("nightshard_fetch_bytes", "Bytes of the files that were fetched", count(self.fetched_bytes)),
            Metric::new("nightshard_fetch_present_files", "Files that were there already", count(self.present)),
            Metric::new("nightshard_fetch_failures", "What could not be fetched", self.failures.len() as f64),
            Metric::new("nightshard_fetch_seconds", "How long the fetch took", self.seconds),
        ]
    }
}
