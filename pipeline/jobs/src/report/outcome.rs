//! What a report has found, for people in a mail and for programs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;

use super::days::{Day, Standing};
use super::model::{Model, seconds};
use super::troubles::{Matter, Trouble};
use super::{verdict, words};
use crate::list::{Restored, State};

/// So many troubles are told in a summary.
const TOLD: usize = 10;

/// What was found. Printed with `--json`: members are added, never changed.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// The headline of the page.
    pub headline: String,
    /// `good`, `warning` or `bad`.
    pub verdict: String,
    /// The first day; null where there is none.
    pub from: Option<NaiveDate>,
    /// The last one.
    pub to: Option<NaiveDate>,
    /// How many days stand how.
    pub nights: Nights,
    /// Bytes of all backups.
    pub bytes: u64,
    /// Bytes that they added to the archive: what they have in common with each other, or with nights before them, counts once.
    /// Null where that is not known of one of them.
    pub added_bytes: Option<u64>,
    /// The last sealed night, by its day.
    pub last_night: Option<LastNight>,
    /// When any night was sealed last.
    pub last_sealed: Option<DateTime<Utc>>,
    /// The last restore.
    pub last_restore: Option<LastRestore>,
    /// The last one of which every point was counted.
    pub last_proven_restore: Option<LastRestore>,
    /// When a night was verified last.
    pub last_verified: Option<DateTime<Utc>>,
    /// Objects that verifications found damaged.
    pub damaged: u64,
    /// Objects that the last verifications could not look at.
    pub unchecked: u64,
    /// Measurements that are dumped.
    pub dumped_measurements: u64,
    /// When a dump was sealed last.
    pub last_dump: Option<DateTime<Utc>>,
    /// How long the dumps of the last night that has some took, in seconds.
    pub last_dumps_seconds: Option<f64>,
    /// Dumps that do not reach to the end of their day.
    pub open_dumps: u64,
    /// Those among them that a later night could have completed.
    pub overdue_dumps: u64,
    /// What is wrong, the newest first.
    pub troubles: Vec<Trouble>,
    /// The file with the page.
    pub html: Option<PathBuf>,
    /// The object with the page.
    pub published: Option<String>,
    /// What could not be read, by night.
    pub failures: Vec<String>,
    /// What a person should know, though nothing is wrong by it.
    pub notes: Vec<String>,
    /// The page, where it is to be printed.
    #[serde(skip)]
    pub page: Option<String>,
}

/// How many days stand how, by the nights that are made every day.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Nights {
    /// Sealed.
    pub ready: u64,
    /// Being backed up.
    pub backing_up: u64,
    /// Failed, or with a seal that cannot be read.
    pub error: u64,
    /// Shards without a seal.
    pub unsealed: u64,
    /// On their way out.
    pub deleting: u64,
    /// Deleted on purpose, with their dumps left.
    pub deleted: u64,
    /// Dumps without a backup.
    pub dumps_only: u64,
    /// Days between the first and the last without a night.
    pub missing: u64,
    /// Days whose night may still come.
    pub awaited: u64,
}

impl Nights {
    fn of(days: &[Day]) -> Nights {
        let count = |standing: Standing| days.iter().filter(|day| day.standing == standing).count() as u64;
        Nights {
            ready: count(Standing::Night(State::Ready)),
            backing_up: count(Standing::Night(State::BackingUp)),
            error: count(Standing::Night(State::Error)),
            unsealed: count(Standing::Night(State::Unsealed)),
            deleting: count(Standing::Night(State::Deleting)),
            deleted: count(Standing::Night(State::Deleted)),
            dumps_only: count(Standing::Night(State::DumpsOnly)),
            missing: count(Standing::Missing),
            awaited: count(Standing::Awaited),
        }
    }

    /// The same by how they stand.
    pub(super) fn by_standing(&self) -> [(Standing, u64); 9] {
        [
            (Standing::Night(State::Ready), self.ready),
            (Standing::Night(State::BackingUp), self.backing_up),
            (Standing::Night(State::Error), self.error),
            (Standing::Night(State::Unsealed), self.unsealed),
            (Standing::Night(State::Deleting), self.deleting),
            (Standing::Night(State::Deleted), self.deleted),
            (Standing::Night(State::DumpsOnly), self.dumps_only),
            (Standing::Missing, self.missing),
            (Standing::Awaited, self.awaited),
        ]
    }
}

/// The last sealed night.
#[derive(Debug, Clone, Serialize)]
pub struct LastNight {
    /// Its container.
    pub container: String,
    /// When it was sealed.
    pub sealed: Option<DateTime<Utc>>,
    /// Its bytes.
    pub bytes: u64,
    /// Those of them that the backup sent; null where its seal does not tell.
    pub sent_bytes: Option<u64>,
    /// Those of them that no night has which was sealed before; null where that is not known.
    pub added_bytes: Option<u64>,
    /// By how many it is larger than the sealed night before.
    pub growth_bytes: Option<f64>,
    /// Its shards.
    pub shards: u64,
    /// Field values in it; null where nobody looked into the shards.
    pub points: Option<u64>,
    /// The same by database.
    pub points_by_database: BTreeMap<String, u64>,
    /// How long its backup took, in seconds.
    pub backup_seconds: f64,
}

/// A restore.
#[derive(Debug, Clone, Serialize)]
pub struct LastRestore {
    /// The night's container.
    pub container: String,
    /// The host that it was restored onto.
    pub host: String,
    /// When every shard had answered.
    pub finished: DateTime<Utc>,
    /// How long it took, in seconds.
    pub seconds: f64,
}

impl LastRestore {
    fn of(container: &str, restored: &Restored) -> LastRestore {
        LastRestore {
            container: container.to_owned(),
            host: restored.host.clone(),
            finished: restored.finished,
            seconds: seconds(restored.finished - restored.started),
        }
    }
}

impl Outcome {
    pub(super) fn of(model: &Model) -> Outcome {
        let verdict = verdict::of(model);
        let good = || model.nights.iter().rev().filter(|night| night.is_good());
        let last_night = good().next().map(|night| LastNight {
            container: night.listed.container.clone(),
            sealed: night.listed.sealed,
            bytes: night.listed.bytes,
            sent_bytes: night.listed.sent_bytes,
            added_bytes: night.listed.added_bytes,
            growth_bytes: good().nth(1).map(|before| night.listed.bytes as f64 - before.listed.bytes as f64),
            shards: night.listed.shards,
            points: night.listed.points,
            points_by_database: night.databases.iter().map(|it| (it.name.clone(), it.points)).collect(),
            backup_seconds: night.backed_up().unwrap_or_default(),
        });
        let restore =
            |(night, restored): (&super::model::Night, &Restored)| LastRestore::of(&night.listed.container, restored);
        Outcome {
            headline: verdict.headline,
            verdict: verdict.level.name().to_owned(),
            from: model.span().map(|(from, _)| from),
            to: model.span().map(|(_, to)| to),
            nights: Nights::of(&model.days),
            bytes: model.nights.iter().map(|night| night.listed.bytes).fold(0, u64::saturating_add),
            added_bytes: {
                let mut sealed = model.nights.iter().filter(|night| night.listed.state == State::Ready);
                sealed.try_fold(0_u64, |sum, night| Some(sum.saturating_add(night.listed.added_bytes?)))
            },
            last_night,
            last_sealed: model.last_sealed(),
            last_restore: model.last_restore().map(restore),
            last_proven_restore: model.last_proven().map(restore),
            last_verified: model.last_verified().map(|(_, verified)| verified.finished),
            damaged: model.damaged(),
            unchecked: model.unchecked(),
            dumped_measurements: model.dumps.len() as u64,
            last_dump: model.dumps.values().filter_map(|dumps| dumps.sealed).max(),
            last_dumps_seconds: model.nights.iter().rev().find_map(|night| night.dumped),
            open_dumps: model.open_dumps(),
            overdue_dumps: model.overdue_dumps(),
            troubles: model.troubles.clone(),
            html: None,
            published: None,
            failures: model.failures.clone(),
            notes: model.notes.clone(),
            page: None,
        }
    }

    /// A few lines for the morning mail.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut text = format!("{}\n", self.headline);
        if let (Some(from), Some(to)) = (self.from, self.to) {
            let standing = self.nights.by_standing().into_iter().filter(|(_, days)| *days > 0);
            let standing: Vec<String> =
                standing.map(|(standing, days)| format!("{days} {}", standing.word())).collect();
            text.push_str(&format!("{from}..{to}: {}\n", standing.join(", ")));
        }
        if let Some(night) = &self.last_night {
            let growth = night.growth_bytes.map(|growth| format!(" ({})", words::change(growth))).unwrap_or_default();
            let (size, took) = (words::size(night.bytes), words::length(night.backup_seconds));
            let sent = night.sent_bytes.map(|bytes| format!(", {} sent", words::size(bytes))).unwrap_or_default();
            let added = night.added_bytes.map(|bytes| format!(", {} added", words::size(bytes))).unwrap_or_default();
            text.push_str(&format!(
                "{}: {size}{growth}{sent}{added}, {} shards, backed up in {took}\n",
                night.container, night.shards
            ));
        }
        if let Some(added) = self.added_bytes.filter(|added| *added < self.bytes) {
            let (held, added) = (words::size(self.bytes), words::size(added));
            text.push_str(&format!("all nights hold {held}, for which {added} were stored\n"));
        }
        if let Some(LastRestore { container, host, finished, .. }) = &self.last_proven_restore {
            let finished = finished.format("%Y-%m-%dT%H:%M:%SZ");
            text.push_str(&format!("restore proven: {container} on {host}, {finished}\n"));
        }
        if self.dumped_measurements > 0 {
            let Outcome { dumped_measurements, open_dumps, overdue_dumps, .. } = self;
            text.push_str(&format!(
                "dumps: {dumped_measurements} measurements, {open_dumps} open days, {overdue_dumps} overdue\n"
            ));
        }
        let wrong: Vec<&Trouble> = self.troubles.iter().filter(|trouble| !trouble.matter.is_mild()).collect();
        for Trouble { from, to, matter, message, container, .. } in wrong.iter().take(TOLD) {
            let when = match container {
                Some(container) => container.clone(),
                None if from == to => from.to_string(),
                None => format!("{from}..{to}"),
            };
            let matter = if *matter == Matter::Missing { "" } else { &format!("{}: ", matter.word()) };
            text.push_str(&format!("wrong: {when}: {matter}{message}\n"));
        }
        if wrong.len() > TOLD {
            text.push_str(&format!("wrong: {} more\n", wrong.len() - TOLD));
        }
        self.notes.iter().for_each(|note| text.push_str(&format!("note: {note}\n")));
        self.html.iter().for_each(|file| text.push_str(&format!("page: {}\n", file.display())));
        self.published.iter().for_each(|object| text.push_str(&format!("published: {object}\n")));
        text
    }
}
