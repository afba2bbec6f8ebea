//! What a prune did, or would do, as programs and people read it.

use std::collections::BTreeSet;

use archive::pool::Collected;
use serde::Serialize;

use super::remove::Removed;
use super::{Fate, Planned};
use crate::Metric;
use crate::list::size;

/// What was done so far.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) nights: u64,
    pub(super) objects: u64,
    pub(super) bytes: u64,
    pub(super) dumps: u64,
    /// The nights of which this run has taken the seal away.
    pub(super) gone: BTreeSet<String>,
    pub(super) failures: Vec<String>,
    pub(super) seconds: f64,
}

impl Done {
    pub(super) fn night(&mut self, fate: &Fate, removed: Removed) {
        self.nights += 1;
        self.objects += removed.objects;
        self.bytes = self.bytes.saturating_add(fate.own_bytes);
        self.gone.insert(fate.container.clone());
    }

    pub(super) fn dumps(&mut self, removed: Removed) {
        self.dumps += removed.objects;
        self.bytes = self.bytes.saturating_add(removed.bytes);
    }
}

/// What a prune did, or would do. Printed with `--json`: members are added, never changed.
#[derive(Debug, Serialize)]
pub struct Outcome {
    /// Whether nothing was changed, because that was asked for.
    pub dry_run: bool,
    /// What was planned.
    #[serde(flatten)]
    pub planned: Planned,
    /// Nights that were deleted.
    pub deleted_nights: u64,
    /// Their objects that were deleted, names of objects in the pool among them.
    pub deleted_objects: u64,
    /// Bytes that are free at once, of nights and dumps.
    pub deleted_bytes: u64,
    /// Dumps that were deleted.
    pub deleted_dumps: u64,
    /// What was done in the pool; `null` where there is none.
    pub pool: Option<Pool>,
    /// What could not be deleted, and why.
    pub failures: Vec<String>,
    /// How long it took.
    pub seconds: f64,
}

/// What was done in the pool.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Pool {
    /// Objects that no night has needed for longer than the grace period, and that are gone for good.
    pub destroyed_objects: u64,
    /// Their bytes.
    pub destroyed_bytes: u64,
    /// Objects of which it was written down now that no night needs them.
    pub marked_objects: u64,
    /// Their bytes.
    pub marked_bytes: u64,
    /// Objects of which that was written down before, and whose grace period is not over.
    pub waiting_objects: u64,
    /// Their bytes.
    pub waiting_bytes: u64,
}

impl From<Collected> for Pool {
    fn from(Collected { destroyed, marked, waiting }: Collected) -> Pool {
        Pool {
            destroyed_objects: destroyed.objects,
            destroyed_bytes: destroyed.bytes,
            marked_objects: marked.objects,
            marked_bytes: marked.bytes,
            waiting_objects: waiting.objects,
            waiting_bytes: waiting.bytes,
        }
    }
}

impl Outcome {
    pub(super) fn new(planned: Planned, done: Done, collected: Option<Collected>, dry_run: bool) -> Outcome {
        Outcome {
            dry_run,
            planned,
            deleted_nights: done.nights,
            deleted_objects: done.objects,
            deleted_bytes: done.bytes,
            deleted_dumps: done.dumps,
            pool: collected.map(Pool::from),
            failures: done.failures,
            seconds: done.seconds,
        }
    }

    /// What monitoring is told.
    #[must_use]
    pub fn metrics(&self) -> Vec<Metric> {
        let mut metrics = vec![
            Metric::new("nightshard_prune_deleted_nights", "Nights that were deleted", self.deleted_nights as f64),
            Metric::new("nightshard_prune_deleted_bytes", "Bytes that were freed at once", self.deleted_bytes as f64),
            Metric::new(
                "nightshard_prune_kept_nights",
                "Nights that are there",
                self.planned.sealed_nights.saturating_sub(self.deleted_nights) as f64,
            ),
        ];
        if let Some(pool) = self.pool {
            metrics.extend([
                Metric::new(
                    "nightshard_prune_destroyed_bytes",
                    "Bytes of the pool that were freed",
                    pool.destroyed_bytes as f64,
                ),
                Metric::new(
                    "nightshard_prune_waiting_bytes",
                    "Bytes of the pool that no night needs and that are still kept",
                    (pool.marked_bytes + pool.waiting_bytes) as f64,
                ),
            ]);
        }
        metrics
    }

    /// The plan where nothing was changed, and a few lines for the morning mail where something was.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut text = if self.dry_run { self.planned.text() } else { self.deleted() };
        if let Some(pool) = &self.pool {
            let would = if self.dry_run { "would be " } else { "" };
            let line = |swept: (u64, u64), what: &str| match swept.0 {
                0 => String::new(),
                _ => format!("pool: {} {what}\n", objects(swept)),
            };
            text += &line(
                (pool.destroyed_objects, pool.destroyed_bytes),
                &format!("{would}destroyed, which no night has needed for the whole grace period"),
            );
            text += &line(
                (pool.marked_objects, pool.marked_bytes),
                &format!("{would}marked, since no night needs them now"),
            );
            text += &line((pool.waiting_objects, pool.waiting_bytes), "marked before, and still kept");
        }
        text
    }

    fn deleted(&self) -> String {
        let mut text = String::new();
        let has_failed = |fate: &&Fate| {
            let prefix = format!("{}: ", fate.container);
            self.failures.iter().any(|why| why.starts_with(&prefix))
        };
        for fate in self.planned.leaving().filter(|fate| !has_failed(fate)) {
            text += &format!("{} deleted: {}\n", fate.container, fate.reasons.join("; "));
        }
        for untouched in &self.planned.untouched {
            text += &format!("{} untouched: {}\n", untouched.container, untouched.why);
        }
        let nights = count(self.deleted_nights, "night");
        let bytes = size(self.deleted_bytes);
        text += &format!("{nights} deleted with {}", count(self.deleted_objects, "object"));
        if self.deleted_dumps > 0 {
            text += &format!(", and {}", count(self.deleted_dumps, "dump"));
        }
        text + &format!(": {bytes} free at once, in {:.1} s\n", self.seconds)
    }
}

impl Planned {
    /// A line for each night, with the reason; and what it comes to.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        let all = self.nights.iter().map(|fate| (fate, "")).chain(self.dumps.iter().map(|fate| (fate, " (dumps)")));
        let width = all.clone().map(|(fate, what)| fate.container.chars().count() + what.len()).max().unwrap_or(0);
        for (fate, what) in all {
            let name = format!("{}{what}", fate.container);
            let word = if fate.keep { "stays " } else { "leaves" };
            text += &format!("{name:<width$}  {word}  {}\n", fate.reasons.join("; "));
        }
        for untouched in &self.untouched {
            text += &format!("{:<width$}  untouched  {}\n", untouched.container, untouched.why);
        }
        let leaving = self.leaving().count() as u64;
        let s = if leaving == 1 { "s" } else { "" };
        text += &format!("{leaving} of {} leave{s}", count(self.sealed_nights, "night"));
        let dumps = self.leaving_dumps().count() as u64;
        if !self.dumps.is_empty() {
            text += &format!(", and the dumps of {dumps} of {}", self.dumps.len());
        }
        if leaving > 0 {
            let frees = &self.frees;
            text += &format!(": {} at once", objects((frees.objects, frees.bytes)));
            if frees.pool_objects > 0 {
                let pool = objects((frees.pool_objects, frees.pool_bytes));
                text += &format!(", and {pool} of the pool after the grace period");
            }
        }
        text.push('\n');
        text
    }
}

fn objects((number, bytes): (u64, u64)) -> String {
    format!("{} ({})", count(number, "object"), size(bytes))
}

fn count(number: u64, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
