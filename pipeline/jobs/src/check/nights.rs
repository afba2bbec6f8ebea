//! The nights before this one: how old the newest backup, the newest restore that was proven, and the last verification are.

use std::sync::Arc;
use std::time::Duration;

use archive::Dates;
use chrono::{DateTime, Days, TimeDelta, Utc};

use super::{Check, Config, Opened, within};
use crate::list::{self, Night, State};
use crate::{Error, Kind, clocks};

/// How many days are looked through at least; where there is a night each hour, they have as many.
const LOOKED_THROUGH: u64 = 14;
const LOOKED_THROUGH_BY_THE_HOUR: u64 = 1;

/// Nights read at once.
const PARALLEL: usize = 16;

/// Clocks may differ by so much before a seal counts as one from the future.
const AHEAD: TimeDelta = TimeDelta::hours(1);

/// What was found.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) checks: Vec<Check>,
    /// Ages of the newest backup and the newest proven restore, in seconds.
    pub(super) ages: (Option<i64>, Option<i64>),
}

/// Looks at the newest nights. `restore_limit` is how old a proven restore may be, if one is asked for.
pub(super) async fn look(
    config: &Config,
    opened: Option<&Opened>,
    restore_limit: Option<Duration>,
    now: DateTime<Utc>,
) -> Seen {
    const IDS: [&str; 3] = ["nights.backup", "nights.restore", "nights.verification"];
    let skip = |ids: &[&str]| ids.iter().map(|id| Check::skipped(id, "the archive does not answer")).collect();
    let Some(opened) = opened else { return Seen { checks: skip(&IDS), ages: (None, None) } };
    let limits = [Some(config.max_age), restore_limit].into_iter().flatten();
    let least = if config.calendar.pattern.is_hourly() { LOOKED_THROUGH_BY_THE_HOUR } else { LOOKED_THROUGH };
    let days = limits.map(|limit| limit.as_secs() / 86_400 + 2).chain([least]).max().unwrap_or_default();
    let nights = match within(config.patience, "the archive", newest(config, opened, days, now)).await {
        Ok(nights) => nights,
        Err(error) => {
            let mut checks = vec![Check::failed(IDS[0], &error)];
            checks.extend(IDS[1..].iter().map(|id| Check::skipped(id, "the nights cannot be listed")));
            return Seen { checks, ages: (None, None) };
        }
    };
    let (backup, backup_age) = backup(&nights, config.max_age, days, now);
    let (restore, restore_age) = restore(&nights, restore_limit, days, now);
    Seen { checks: vec![backup, restore, verification(&nights, days, now)], ages: (backup_age, restore_age) }
}

/// The nights of the last days, the newest first; those that carry a label were not made by the timer.
async fn newest(config: &Config, opened: &Opened, days: u64, now: DateTime<Utc>) -> Result<Vec<Night>, Error> {
    let today = now.with_timezone(&config.calendar.time_zone).date_naive();
    let from = today.checked_sub_days(Days::new(days)).unwrap_or(today);
    let to = today.checked_add_days(Days::new(1)).unwrap_or(today);
    let listing = list::Config {
        calendar: config.calendar.clone(),
        dates: Some(Dates::Days { from, to }),
        detailed: false,
        matching: None,
        shares: false,
        parallel: PARALLEL,
        cache: None,
        interrupt: config.interrupt.clone(),
    };
    match list::run(listing, now, Arc::clone(&opened.store)).await {
        Ok(outcome) => {
            let label = config.calendar.pattern.label().map(ToString::to_string);
            Ok(outcome.nights.into_iter().filter(|night| night.state != State::Ready || night.label == label).collect())
        }
        Err(error) if error.kind() == Kind::Missing => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn backup(nights: &[Night], limit: Duration, days: u64, now: DateTime<Utc>) -> (Check, Option<i64>) {
    const ID: &str = "nights.backup";
    let sealed = nights.iter().filter_map(|night| Some((night.sealed?, night))).max_by_key(|(sealed, _)| *sealed);
    // What has come to nothing since then tells why there is no newer one.
    let since = nights.iter().filter(|night| sealed.is_none_or(|(_, good)| night.night > good.night));
    let failed: Vec<String> =
        since.filter_map(|night| Some(format!("; {}: {}", night.container, night.why.as_ref()?))).collect();
    let failed = failed.concat();
    let Some((sealed, night)) = sealed else {
        let message = format!("there is no backup of the last {days} days{failed}");
        return (Check::wrong(ID, message, "run nightshard-backup: the first one proves more than any check"), None);
    };
    let (age, told) = age(sealed, now);
    if sealed > now + AHEAD {
        let message = format!("{} says that it was sealed at {sealed}, which is still to come", night.container);
        let hint = "some clock was wrong then or is now; whether the newest night is old cannot be told";
        return (Check::wrong(ID, message, hint), None);
    }
    let told = format!("{} was sealed {told} ago{failed}", night.container);
    let check = match is_over(age, limit) {
        false => Check::ok(ID, told),
        true => Check::wrong(
            ID,
            format!("{told}; --max-age is {}", humane(limit)),
            "what did the last run say? journalctl --unit nightshard-backup, or cron's mail; then run nightshard-backup",
        ),
    };
    (check, Some(age.num_seconds()))
}

fn restore(nights: &[Night], limit: Option<Duration>, days: u64, now: DateTime<Utc>) -> (Check, Option<i64>) {
    const ID: &str = "nights.restore";
    const HINT: &str =
        "run nightshard-restore, which counts every point; --max-restore-age takes longer spans, and off";
    let of_night = |night: &'_ Night| night.restored.iter().map(|it| (it.finished, it.proven)).collect::<Vec<_>>();
    let all: Vec<_> = nights
        .iter()
        .flat_map(|night| of_night(night).into_iter().map(move |(at, proven)| (at, proven, night)))
        .collect();
    let newest = all.iter().max_by_key(|(at, ..)| *at);
    let proven = all.iter().filter(|(_, proven, _)| *proven == Some(true)).max_by_key(|(at, ..)| *at);
    let unproven = newest.filter(|(_, proven, _)| *proven == Some(false));
    let found = proven.map(|(at, _, night)| (age(*at, now), night));
    let seconds = found.as_ref().map(|((age, _), _)| age.num_seconds());
    let told = match &found {
        None => format!("no night of the last {days} days was restored and proven"),
        Some(((_, told), night)) => format!("{} was restored and proven {told} ago", night.container),
    };
    let check = match (limit, &found, unproven) {
        (_, _, Some((at, _, night))) if found.as_ref().is_none_or(|((age, _), _)| now - *at < *age) => Check::wrong(
            ID,
            format!("after the last restore of {} points differed; {told}", night.container),
            "see what differs: the record manifests/restore.HOST.json of that night, and nightshard-restore --prove-only",
        ),
        (None, ..) => Check::skipped(ID, format!("{told}; nobody asks for it (--max-restore-age)")),
        (Some(limit), Some(((age, _), _)), _) if !is_over(*age, limit) => Check::ok(ID, told),
        (Some(limit), ..) => Check::wrong(ID, format!("{told}; --max-restore-age is {}", humane(limit)), HINT),
    };
    (check, seconds)
}

fn verification(nights: &[Night], days: u64, now: DateTime<Utc>) -> Check {
    const ID: &str = "nights.verification";
    let verified = || nights.iter().filter_map(|night| Some((night.verified.as_ref()?, night)));
    let damaged: Vec<&str> =
        verified().filter(|(verified, _)| verified.damaged > 0).map(|(_, night)| night.container.as_str()).collect();
    if !damaged.is_empty() {
        let hint = format!("nightshard-verify --date {} names what is damaged, and what to do", damaged[0]);
        return Check::wrong(ID, format!("damaged: {}", damaged.join(", ")), hint);
    }
    match verified().max_by_key(|(verified, _)| verified.finished) {
        Some((verified, night)) => {
            let (_, told) = age(verified.finished, now);
            Check::ok(ID, format!("{} was verified {told} ago ({}), and is whole", night.container, verified.extent))
        }
        None if nights.iter().any(|night| night.sealed.is_some()) => Check::warning(
            ID,
            format!("no night of the last {days} days was verified"),
            "nightshard-verify reads what is stored; its timer looks at a part of all nights each night",
        ),
        None => Check::skipped(ID, "there is nothing to verify yet"),
    }
}

/// How long ago something was, also as text. What comes from a clock that is ahead of ours was just now.
fn age(at: DateTime<Utc>, now: DateTime<Utc>) -> (TimeDelta, String) {
    let age = (now - at).max(TimeDelta::zero());
    (age, clocks::duration(age))
}

fn is_over(age: TimeDelta, limit: Duration) -> bool {
    age.to_std().unwrap_or_default() > limit
}

fn humane(limit: Duration) -> String {
    clocks::duration(TimeDelta::from_std(limit).unwrap_or(TimeDelta::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::list::{Restored, Verified};

    fn at(text: &str) -> DateTime<Utc> {
        format!("2016-06-{text}:00Z").parse().unwrap()
    }

    fn night(day: u32, sealed: Option<&str>) -> Night {
        Night {
            container: format!("2016-06-{day}"),
            night: chrono::NaiveDate::from_ymd_opt(2016, 6, day).unwrap(),
            label: None,
            state: if sealed.is_some() { State::Ready } else { State::Error },
            why: sealed.is_none().then(|| "the disk is full".to_owned()),
            databases: Vec::new(),
            shards: 0,
            bytes: 0,
            sent_bytes: None,
            added_bytes: None,
            freed_bytes: None,
            is_sharing: false,
            points: None,
            started: None,
            sealed: sealed.map(at),
            adopted: None,
            verified: None,
            restored: Vec::new(),
            pin: None,
            dumps: 0,
            details: None,
            unreadable: Vec::new(),
        }
    }

    const DAY: Duration = Duration::from_secs(26 * 3600);

    #[test]
    fn a_backup_that_is_too_old_is_wrong_and_says_what_has_failed_since() {
        let (now, good) = (at("12T16:00"), night(11, Some("11T22:00")));
        let (check, age) = backup(std::slice::from_ref(&good), DAY, 14, now);
        assert_eq!((check.message.as_str(), age), ("2016-06-11 was sealed 18h 0m 0s ago", Some(64_800)));
        let nights = [night(13, None), good];
        let (check, _) = backup(&nights, DAY, 14, at("13T16:00"));
        assert_eq!(
            check.message,
            "2016-06-11 was sealed 42h 0m 0s ago; 2016-06-13: the disk is full; --max-age is 26h 0m 0s"
        );
        assert_eq!(check.status, super::super::Status::Failed);
        let (check, age) = backup(&nights[..1], DAY, 14, now);
        assert_eq!(check.message, "there is no backup of the last 14 days; 2016-06-13: the disk is full");
        assert_eq!(age, None);
    }

    #[test]
    fn a_restore_counts_once_it_was_proven() {
        let now = at("12T16:00");
        let restored = |finished: &str, proven| Restored {
            host: "b".to_owned(),
            started: at(finished),
            finished: at(finished),
            proven,
            missing: Vec::new(),
            surplus: Vec::new(),
        };
        let table = "
            # restores                         | limit | status  | said
            -                                  | 26    | Failed  | no night of the last 14 days was restored and proven; --max-restore-age is 26h 0m 0s
            -                                  | off   | Skipped | no night of the last 14 days was restored and proven; nobody asks for it (--max-restore-age)
            12T00:00 true                      | 26    | Ok      | 2016-06-11 was restored and proven 16h 0m 0s ago
            12T00:00 true                      | off   | Skipped | 2016-06-11 was restored and proven 16h 0m 0s ago; nobody asks for it (--max-restore-age)
            12T00:00 true                      | 10    | Failed  | 2016-06-11 was restored and proven 16h 0m 0s ago; --max-restore-age is 10h 0m 0s
            12T00:00 uncounted                 | 26    | Failed  | no night of the last 14 days was restored and proven; --max-restore-age is 26h 0m 0s
            12T00:00 false                     | off   | Failed  | after the last restore of 2016-06-11 points differed; no night of the last 14 days was restored and proven
            12T00:00 true, 12T01:00 false      | 26    | Failed  | after the last restore of 2016-06-11 points differed; 2016-06-11 was restored and proven 16h 0m 0s ago
            12T00:00 false, 12T01:00 true      | 26    | Ok      | 2016-06-11 was restored and proven 15h 0m 0s ago
            12T00:00 true, 12T01:00 uncounted  | 26    | Ok      | 2016-06-11 was restored and proven 16h 0m 0s ago";
        for row in table.lines().skip(2) {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let mut night = night(11, Some("11T22:00"));
            night.restored = cells[0]
                .split(", ")
                .filter_map(|cell| cell.split_once(' '))
                .map(|(at, proven)| restored(at, proven.parse().ok()))
                .collect();
            let limit = cells[1].parse().ok().map(|hours: u64| Duration::from_secs(hours * 3600));
            let (check, _) = super::restore(&[night], limit, 14, now);
            assert_eq!((format!("{:?}", check.status).as_str(), check.message.as_str()), (cells[2], cells[3]), "{row}");
        }
    }

    #[test]
    fn damage_is_wrong_however_old_and_no_verification_is_said() {
        let now = at("12T16:00");
        let verified = |day, damaged| {
            let (extent, finished) = ("deep".to_owned(), at("12T04:00"));
            let verified = Verified { extent, slices: Some(7), finished, damaged, unchecked: 0, damages: Vec::new() };
            Night { verified: Some(verified), ..night(day, Some("11T22:00")) }
        };
        let check = verification(&[verified(11, 0)], 14, now);
        assert_eq!(check.message, "2016-06-11 was verified 12h 0m 0s ago (deep), and is whole");
        assert_eq!(verification(&[verified(11, 0), verified(10, 2)], 14, now).message, "damaged: 2016-06-10");
        let check = verification(&[night(11, Some("11T22:00"))], 14, now);
        assert_eq!(check.message, "no night of the last 14 days was verified");
        assert_eq!(verification(&[], 14, now).message, "there is nothing to verify yet");
    }
}
