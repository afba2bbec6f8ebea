//! The rules of a policy, applied to the nights of one InfluxDB.

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, Datelike, NaiveTime, Offset, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::Tz;

use super::{Candidate, Policy, Weighed};
use crate::Hour;

/// A rule that keeps the newest night of so many buckets: an hour, a day, a month.
#[derive(Clone, Copy)]
struct Rule {
    name: &'static str,
    count: u32,
    bucket: fn(&Candidate, Tz) -> String,
}

impl Policy {
    /// The rules that are asked for, those with small buckets first.
    fn rules(&self) -> impl Iterator<Item = Rule> {
        let rules: [Rule; 6] = [
            // Each night is a bucket of its own.
            Rule { name: "last", count: self.last, bucket: |night, _| night.container.clone() },
            Rule { name: "hourly", count: self.hourly, bucket: |night, zone| hour(night, zone).to_string() },
            Rule { name: "daily", count: self.daily, bucket: |night, _| night.day.to_string() },
            Rule { name: "weekly", count: self.weekly, bucket: |night, _| week(night) },
            Rule { name: "monthly", count: self.monthly, bucket: |night, _| night.day.format("%Y-%m").to_string() },
            Rule { name: "yearly", count: self.yearly, bucket: |night, _| night.day.format("%Y").to_string() },
        ];
        rules.into_iter().filter(|rule| rule.count > 0)
    }
}

impl Rule {
    /// Why it keeps the night that stands for this bucket.
    fn reason(self, bucket: &str) -> String {
        match (self.name, self.count) {
            ("last", 1) => "the last".to_owned(),
            ("last", count) => format!("one of the last {count}"),
            (name, _) => format!("{name} {bucket}"),
        }
    }
}

/// The hour of a night: the one that it is named after, else the one in which it was taken. With the offset, since
/// there are two hours of one name when clocks are set back.
fn hour(night: &Candidate, zone: Tz) -> Hour {
    fn of<Z: TimeZone>(instant: &DateTime<Z>) -> Hour {
        Hour { day: instant.date_naive(), hour: instant.hour(), offset: Some(instant.offset().fix()) }
    }
    night.hour.map_or_else(|| of(&night.taken.with_timezone(&zone)), |hour| of(&hour))
}

/// The ISO week: the days around New Year may belong to a week of the other year.
fn week(night: &Candidate) -> String {
    let week = night.day.iso_week();
    format!("{}-W{:02}", week.year(), week.week())
}

/// Adds to the nights of a source, the newest first, the reasons that the rules have to keep them.
pub(super) fn apply(policy: &Policy, nights: &mut [&mut Weighed<'_>], zone: Tz) {
    if policy.is_empty() {
        nights.iter_mut().for_each(|weighed| weighed.reasons.push("no rule is given, so none leaves".to_owned()));
        return;
    }
    let mut reasons: Vec<Vec<String>> = vec![Vec::new(); nights.len()];
    let mut unfilled = Vec::new();
    for rule in policy.rules() {
        let mut filled = 0;
        for (position, bucket) in representatives(rule, nights, zone) {
            if filled == rule.count {
                break;
            }
            let (reason, is_damaged) = (rule.reason(&bucket), nights[position].night.is_damaged());
            filled += u32::from(!is_damaged);
            reasons[position].push(if is_damaged { format!("{reason}, damaged and not counted") } else { reason });
        }
        if filled < rule.count {
            unfilled.push(format!("{} {}", rule.name, rule.count));
        }
    }
    if let Some(within) = policy.within {
        keep_within(within.max(TimeDelta::zero()), nights, &mut reasons, zone);
    }
    keep_the_oldest(&unfilled, nights, &mut reasons);
    for (weighed, reasons) in nights.iter_mut().zip(reasons) {
        weighed.reasons.extend(reasons);
    }
}

/// The night that stands for each bucket, and the bucket's name, the newest first: the newest that is not damaged, or
/// the newest where all are.
fn representatives(rule: Rule, nights: &[&mut Weighed<'_>], zone: Tz) -> BTreeMap<usize, String> {
    let mut buckets: BTreeMap<String, usize> = BTreeMap::new();
    for (position, weighed) in nights.iter().enumerate() {
        let chosen = buckets.entry((rule.bucket)(weighed.night, zone)).or_insert(position);
        if nights[*chosen].night.is_damaged() && !weighed.night.is_damaged() {
            *chosen = position;
        }
    }
    buckets.into_iter().map(|(bucket, position)| (position, bucket)).collect()
}

/// Keeps what is near enough to the newest night that is not damaged.
fn keep_within(within: TimeDelta, nights: &[&mut Weighed<'_>], reasons: &mut [Vec<String>], zone: Tz) {
    let instants = |damaged: bool| {
        let of_health = nights.iter().filter(move |weighed| weighed.night.is_damaged() == damaged);
        of_health.map(|weighed| begun(weighed.night, zone)).max()
    };
    let Some(newest) = instants(false).or_else(|| instants(true)) else { return };
    for (weighed, reasons) in nights.iter().zip(reasons) {
        if newest - named(weighed.night) <= within {
            reasons.push(format!("within {}", Span(within)));
        }
    }
}

/// The instant that stands for a night among others: its hour, or its day as if all days had 24 hours. Days are
/// compared as days, since the night of 30 days ago may have been taken some minutes earlier or later than the last
/// one.
fn named(night: &Candidate) -> DateTime<Utc> {
    night.hour.map_or_else(|| night.day.and_time(NaiveTime::MIN).and_utc(), |hour| hour.to_utc())
}

/// The same, but no later than the night was taken: one that bears the name of a day to come, given by mistake, must
/// not make all others look old.
fn begun(night: &Candidate, zone: Tz) -> DateTime<Utc> {
    let taken = match night.hour {
        Some(_) => night.taken,
        None => night.taken.with_timezone(&zone).date_naive().and_time(NaiveTime::MIN).and_utc(),
    };
    named(night).min(taken)
}

/// Keeps the oldest night as long as some rule has fewer buckets than it asks for. Without it, who asks for two years
/// would see the first months of an archive leave before one year is full.
fn keep_the_oldest(unfilled: &[String], nights: &[&mut Weighed<'_>], reasons: &mut [Vec<String>]) {
    let oldest = nights.iter().rposition(|weighed| !weighed.night.is_damaged());
    let reasons = oldest.and_then(|oldest| reasons.get_mut(oldest)).filter(|reasons| reasons.is_empty());
    if let (Some(reasons), false) = (reasons, unfilled.is_empty()) {
        let are = if unfilled.len() == 1 { "is" } else { "are" };
        reasons.push(format!("the oldest, while {} {are} not full", unfilled.join(" and ")));
    }
}

/// A length of time as people say it, in the largest unit that leaves no rest.
struct Span(TimeDelta);

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.num_seconds();
        let units = [("day", 24 * 60 * 60), ("hour", 60 * 60), ("minute", 60)];
        let fitting = units.into_iter().find(|(_, length)| seconds % length == 0);
        let (unit, count) = fitting.map_or(("second", seconds), |(unit, length)| (unit, seconds / length));
        write!(f, "{count} {unit}{}", if count == 1 { "" } else { "s" })
    }
}
