//! What a verification has found.

use std::time::Duration;

use archive::Slice;
use archive::verification::Damage;
use serde::Serialize;

use super::Extent;
use crate::Metric;

/// So many names are told of many.
const TOLD: usize = 5;

/// Names for a person, who is not told all where there are many.
pub(crate) fn told(names: &[String]) -> String {
    let shown = names.get(..TOLD).unwrap_or(names).join(", ");
    match names.len().saturating_sub(TOLD) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// What was found. Printed with `--json`: members are added, never changed.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// How closely it was looked.
    pub extent: Extent,
    /// The part of the nights that was looked at; `null` for all of them.
    pub slice: Option<Slice>,
    /// The nights.
    pub nights: Vec<Verified>,
    /// What is broken of that which nights share.
    pub pool: Vec<PoolObject>,
    /// What was deleted and brought back: objects with their containers.
    pub brought_back: Vec<String>,
    /// Objects that were looked at.
    pub objects: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// What is damaged, what could not be looked at, and the nights that could not be verified: a line each.
    pub failures: Vec<String>,
    /// How the clocks of this machine and the archive differ, where they do by more than a minute, and the day that was
    /// decided by this machine's.
    pub clocks: Vec<String>,
}

/// What was found in one night.
#[derive(Debug, Clone, Serialize)]
pub struct Verified {
    /// Its container, or the folder.
    pub night: String,
    /// SHA-256 of its manifest; `null` where there is none that can be read.
    pub manifest_sha256: Option<String>,
    /// Objects that were looked at.
    pub objects: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// What is damaged.
    pub damages: Vec<Damage>,
    /// What could not be looked at, and why.
    pub unchecked: Vec<String>,
    /// What a person should know, though nothing is damaged by it.
    pub notes: Vec<String>,
    /// Whether it was written down beside the seal that it was verified.
    pub recorded: bool,
    /// Whether it was given its seal now, after others had stored it.
    pub adopted: bool,
}

/// An object that nights share, and that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PoolObject {
    /// Its container and its name.
    pub object: String,
    /// `shard`, or `piece` of one.
    pub kind: &'static str,
    /// What is wrong with it.
    pub what: String,
    /// All nights that name it, those among them that were not looked at.
    pub nights: Vec<String>,
    /// Whether a mark was set that keeps backups from using it again.
    pub marked: bool,
}

impl PoolObject {
    fn line(&self) -> String {
        let PoolObject { object, what, nights, marked, .. } = self;
        let anew = if *marked { "; it is marked, and the next backup stores it anew" } else { "" };
        format!("{object}: {what}; named by {} nights: {}{anew}", nights.len(), told(nights))
    }
}

impl Outcome {
    pub(super) fn new(extent: Extent, slice: Option<Slice>) -> Outcome {
        Outcome {
            extent,
            slice,
            nights: Vec::new(),
            pool: Vec::new(),
            brought_back: Vec::new(),
            objects: 0,
            bytes: 0,
            seconds: 0.0,
            failures: Vec::new(),
            clocks: Vec::new(),
        }
    }

    /// With its sums. What is damaged comes before everything else that went wrong.
    pub(super) fn finished(mut self, took: Duration) -> Outcome {
        self.objects = self.nights.iter().map(|night| night.objects).sum();
        self.bytes = self.nights.iter().map(|night| night.bytes).sum();
        self.seconds = took.as_secs_f64();
        let damages = self.nights.iter().flat_map(|night| &night.damages);
        let damages = damages.map(|Damage { object, what, hint }| format!("{object} is damaged: {what} ({hint})"));
        let unchecked = self.nights.iter().flat_map(|night| &night.unchecked).cloned();
        let shared = self.pool.iter().map(PoolObject::line);
        self.failures = damages.chain(shared).chain(unchecked).chain(self.failures).collect();
        self
    }

    /// What monitoring is told.
    #[must_use]
    pub fn metrics(&self) -> Vec<Metric> {
        let sum = |what: fn(&Verified) -> usize| self.nights.iter().map(what).sum::<usize>() as f64;
        vec![
            Metric::new("nightshard_verify_nights", "Nights that were looked at", self.nights.len() as f64),
            Metric::new("nightshard_verify_objects", "Objects that were looked at", self.objects as f64),
            Metric::new("nightshard_verify_bytes", "Bytes of them", self.bytes as f64),
            Metric::new("nightshard_verify_damaged_objects", "What is damaged", sum(|night| night.damages.len())),
            Metric::new(
                "nightshard_verify_broken_pool_objects",
                "What is gone or damaged of that which nights share",
                self.pool.len() as f64,
            ),
            Metric::new(
                "nightshard_verify_unchecked_objects",
                "What could not be looked at",
                sum(|night| night.unchecked.len()),
            ),
        ]
    }

    /// Whether anything is damaged.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.nights.iter().any(|night| !night.damages.is_empty())
    }

    /// A few lines for the morning mail.
    #[must_use]
    pub fn summary(&self) -> String {
        let mut text: String = self.nights.iter().map(|night| format!("{}\n", night.summary(self.slice))).collect();
        let Outcome { objects, bytes, seconds, .. } = self;
        let how = match self.extent {
            Extent::Quick => "asked for",
            Extent::Digests => "read and compared with their digests",
            Extent::Deep => "read, and looked into",
            Extent::Decode => "read, looked into, and decoded",
        };
        let part = self.slice.map(|slice| format!(", {slice}")).unwrap_or_default();
        text.push_str(&format!("{objects} objects, {bytes} bytes {how}{part} in {seconds:.1} s"));
        self.brought_back.iter().for_each(|object| text.push_str(&format!("\nbrought back: {object}")));
        for night in &self.nights {
            night.notes.iter().for_each(|note| text.push_str(&format!("\nnote: {}: {note}", night.night)));
        }
        self.failures.iter().for_each(|line| text.push_str(&format!("\nwrong: {line}")));
        self.clocks.iter().for_each(|line| text.push_str(&format!("\nwarning: {line}")));
        text
    }
}

impl Verified {
    /// A night of which nothing is known yet.
    pub(super) fn of(night: String) -> Verified {
        Verified {
            night,
            manifest_sha256: None,
            objects: 0,
            bytes: 0,
            damages: Vec::new(),
            unchecked: Vec::new(),
            notes: Vec::new(),
            recorded: false,
            adopted: false,
        }
    }

    fn summary(&self, slice: Option<Slice>) -> String {
        let Verified { night, objects, bytes, damages, unchecked, .. } = self;
        let end = match (damages.len(), unchecked.len()) {
            (0, 0) if *objects == 0 && slice.is_some() => "nothing of it was due".to_owned(),
            (0, 0) if *objects == 0 => "nothing was looked at".to_owned(),
            (0, 0) if self.adopted => "whole, and sealed now".to_owned(),
            (0, 0) => "whole".to_owned(),
            (damaged, 0) => format!("{damaged} damaged"),
            (0, unchecked) => format!("{unchecked} could not be looked at"),
            (damaged, unchecked) => format!("{damaged} damaged, {unchecked} could not be looked at"),
        };
        format!("{night}: {objects} objects, {bytes} bytes: {end}")
    }
}
