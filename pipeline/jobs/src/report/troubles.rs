//! What is wrong with the nights of a report, each with its own words.

use chrono::NaiveDate;
use serde::Serialize;

use super::days::{Day, Standing};
use super::model::Night;
use crate::list::{State, Verified};

/// So many missing or surplus fields of a restore are named.
const FIELDS: usize = 10;

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// The first day that it concerns.
    pub from: NaiveDate,
    /// The last one.
    pub to: NaiveDate,
    /// The night's container, where there is one.
    pub container: Option<String>,
    /// What it is about.
    pub matter: Matter,
    /// What is known of it.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// What a trouble is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Matter {
    /// There is no backup of days between the first night and the last.
    Missing,
    /// A backup failed, or lost its seal.
    Backup,
    /// An object is damaged.
    Damage,
    /// Objects could not be looked at.
    Unchecked,
    /// A restored server counts other points than were backed up.
    Restore,
    /// A record cannot be read.
    Unreadable,
    /// The backup says that a person should know it.
    Warning,
}

impl Matter {
    /// What people are told.
    pub(super) fn word(self) -> &'static str {
        match self {
            Matter::Missing => "missing",
            Matter::Backup => "backup",
            Matter::Damage => "damage",
            Matter::Unchecked => "not looked at",
            Matter::Restore => "restore",
            Matter::Unreadable => "unreadable",
            Matter::Warning => "warning",
        }
    }

    /// Whether it is no more than worth knowing.
    pub(super) fn is_mild(self) -> bool {
        matches!(self, Matter::Unchecked | Matter::Warning)
    }
}

/// What is wrong, the newest first. Days in a row without a night are one trouble.
pub(super) fn of(nights: &[Night], days: &[Day]) -> Vec<Trouble> {
    let mut troubles: Vec<Trouble> = Vec::new();
    for day in days {
        if day.standing == Standing::Missing {
            match troubles.last_mut() {
                Some(last) if last.matter == Matter::Missing && last.to.succ_opt() == Some(day.date) => {
                    last.to = day.date;
                }
                _ => troubles.push(missing(day.date)),
            }
        }
        day.nights.iter().filter_map(|place| nights.get(*place)).for_each(|night| of_night(night, &mut troubles));
    }
    for trouble in troubles.iter_mut().filter(|trouble| trouble.matter == Matter::Missing) {
        let days = (trouble.to - trouble.from).num_days() + 1;
        trouble.message = match days {
            1 => "there is no backup of this day".to_owned(),
            _ => format!("there is no backup of these {days} days"),
        };
    }
    troubles.reverse();
    troubles
}

fn missing(day: NaiveDate) -> Trouble {
    Trouble {
        from: day,
        to: day,
        container: None,
        matter: Matter::Missing,
        message: String::new(),
        hint: Some("did the timer of nightshard-backup run? its journal or mail tells what it said".to_owned()),
    }
}

fn of_night(night: &Night, troubles: &mut Vec<Trouble>) {
    let listed = &night.listed;
    let mut add = |matter, message: String, hint: Option<String>| {
        let (from, to) = (listed.night, listed.night);
        troubles.push(Trouble { from, to, container: Some(listed.container.clone()), matter, message, hint });
    };
    let why = listed.why.clone();
    match listed.state {
        State::Error => {
            let hint = "the same nightshard-backup completes a night that was begun";
            add(Matter::Backup, why.clone().unwrap_or_default(), Some(hint.to_owned()));
        }
        State::Unsealed | State::DumpsOnly => add(Matter::Backup, why.clone().unwrap_or_default(), None),
        State::Deleting => {
            add(Matter::Backup, why.clone().unwrap_or_default(), Some("nightshard-prune completes it".to_owned()));
        }
        State::Ready | State::BackingUp | State::Deleted => {}
    }
    if let Some(verified) = &listed.verified {
        damages(verified, night.damaged, &mut add);
    }
    for restored in listed.restored.iter().filter(|restored| restored.proven == Some(false)) {
        let fewer = fields("fewer points than were backed up", &restored.missing);
        let more = fields("more points than were backed up", &restored.surplus);
        let what = [fewer, more].into_iter().flatten().collect::<Vec<_>>().join("; ");
        let hint = "nightshard-restore --prove-only counts again";
        add(Matter::Restore, format!("{} has {what}", restored.host), Some(hint.to_owned()));
    }
    for unreadable in listed.unreadable.iter().filter(|unreadable| Some(*unreadable) != why.as_ref()) {
        add(Matter::Unreadable, unreadable.clone(), None);
    }
    for warning in &night.warnings {
        add(Matter::Warning, warning.clone(), None);
    }
}

fn damages(verified: &Verified, damaged: u64, add: &mut impl FnMut(Matter, String, Option<String>)) {
    for damage in &verified.damages {
        add(Matter::Damage, format!("{}: {}", damage.object, damage.what), Some(damage.hint.clone()));
    }
    let more = damaged.saturating_sub(verified.damages.len() as u64);
    if more > 0 {
        add(Matter::Damage, format!("{more} more objects are damaged"), None);
    }
    if verified.unchecked > 0 {
        let objects = if verified.unchecked == 1 { "object" } else { "objects" };
        let message = format!("{} {objects} could not be looked at when it was verified", verified.unchecked);
        add(Matter::Unchecked, message, Some("nightshard-verify of this night tells which, and why".to_owned()));
    }
}

fn fields(what: &str, names: &[String]) -> Option<String> {
    let named = names.get(..FIELDS).unwrap_or(names).join(", ");
    match names.len().saturating_sub(FIELDS) {
        _ if names.is_empty() => None,
        0 => Some(format!("{what}: {named}")),
        more => Some(format!("{what}: {named} and {more} more fields")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::days;
    use crate::report::model::samples::{night, ready, restored, verified};

    fn shown(nights: &[Night], to: &str) -> Vec<String> {
        let to = to.parse().unwrap();
        let days = days::of(nights, nights[0].listed.night, to, to);
        let line = |trouble: &Trouble| {
            format!("{}..{} {}: {}", trouble.from, trouble.to, trouble.matter.word(), trouble.message)
        };
        of(nights, &days).iter().map(line).collect()
    }

    #[test]
    fn days_in_a_row_are_one_trouble_and_the_newest_comes_first() {
        let mut failed = night("2016-06-15", State::Error);
        failed.listed.why = Some("the disk is full".to_owned());
        failed.listed.unreadable = vec!["the disk is full".to_owned(), "restore.a.json cannot be read".to_owned()];
        let nights = [ready("2016-06-11"), ready("2016-06-14"), failed];
        assert_eq!(
            shown(&nights, "2016-06-17"),
            [
                "2016-06-16..2016-06-16 missing: there is no backup of this day",
                "2016-06-15..2016-06-15 unreadable: restore.a.json cannot be read",
                "2016-06-15..2016-06-15 backup: the disk is full",
                "2016-06-12..2016-06-13 missing: there is no backup of these 2 days",
            ]
        );
    }

    #[test]
    fn what_verifications_and_restores_found_is_named() {
        let mut night = ready("2016-06-11");
        night.damaged = 3;
        night.listed.verified = Some(verified(&["shards/a.00001.00", "shards/b.00002.00"], 1));
        night.listed.restored = vec![restored(None), restored(Some(false)), restored(Some(true))];
        night.warnings = vec!["shard 7 vanished meanwhile".to_owned()];
        assert_eq!(
            shown(&[night], "2016-06-11"),
            [
                "2016-06-11..2016-06-11 warning: shard 7 vanished meanwhile",
                "2016-06-11..2016-06-11 restore: db2 has fewer points than were backed up: cpu.load",
                "2016-06-11..2016-06-11 not looked at: 1 object could not be looked at when it was verified",
                "2016-06-11..2016-06-11 damage: 1 more objects are damaged",
                "2016-06-11..2016-06-11 damage: shards/b.00002.00: it does not exist",
                "2016-06-11..2016-06-11 damage: shards/a.00001.00: it does not exist",
            ]
        );
    }
}
