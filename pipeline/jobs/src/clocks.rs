//! The clocks that a night depends on, compared: this machine's, the archive's, and InfluxDB's.
//!
//! Which day `today` and `yesterday` are is decided by this machine's clock alone. Where it is wrong by hours, a backup
//! goes into the container of another day and a restore takes another night, all without an error; so each job says
//! at its start how the clocks stand to each other, and what it takes the day for.

use std::time::{Duration, Instant};

use archive::{Calendar, Date, Dates};
use chrono::{DateTime, TimeDelta, Utc};
use influx::Influx;
use store::Store;

use crate::{Event, Progress};

/// Clocks that differ by no more than this are taken for equal.
const TOLERANCE: TimeDelta = TimeDelta::seconds(60);

/// How long a clock is waited for: a server that does not answer will be told of by what needs it.
const PATIENCE: Duration = Duration::from_secs(5);

/// What another clock says, in the place of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Clock {
    pub(crate) whose: String,
    pub(crate) says: DateTime<Utc>,
}

/// Asks for the time, and says what a person should know of the answers; nothing where all clocks agree.
///
/// `now` was the time by our clock when `begun` was taken.
pub(crate) async fn look(
    calendar: &Calendar,
    dates: Dates,
    clocks: (DateTime<Utc>, Instant),
    store: Option<&dyn Store>,
    influx: Option<&Influx>,
    progress: &dyn Progress,
) -> Vec<String> {
    let (ours, others) = ask(clocks, store, influx).await;
    let told = compare(calendar, dates, ours, &others);
    for line in &told {
        progress.report(Event::Warning(line));
    }
    told
}

/// Asks for the time. Gives ours, and what those say who answer.
pub(crate) async fn ask(
    (now, begun): (DateTime<Utc>, Instant),
    store: Option<&dyn Store>,
    influx: Option<&Influx>,
) -> (DateTime<Utc>, Vec<Clock>) {
    let ours = || now + TimeDelta::from_std(begun.elapsed()).unwrap_or_default();
    // A clock is known by how far it is from ours at the moment of its answer.
    let of_store = async {
        let says = tokio::time::timeout(PATIENCE, store?.time()).await.ok()??;
        Some((store?.location(), says - ours()))
    };
    let of_influx = async {
        let ping = tokio::time::timeout(PATIENCE, influx?.ping()).await.ok()?.ok()?;
        Some((format!("InfluxDB at {}", influx?.url()), ping.date - ours()))
    };
    let (of_store, of_influx) = tokio::join!(of_store, of_influx);
    let now = ours();
    let others = of_store.into_iter().chain(of_influx).map(|(whose, ahead)| Clock { whose, says: now + ahead });
    (now, others.collect())
}

/// What is to be said of the clocks: how far they differ, and what depends on ours.
pub(crate) fn compare(calendar: &Calendar, dates: Dates, ours: DateTime<Utc>, others: &[Clock]) -> Vec<String> {
    let all = || others.iter().map(|clock| clock.says).chain([ours]);
    let apart = all().max().zip(all().min()).map_or(TimeDelta::zero(), |(last, first)| last - first);
    if apart <= TOLERANCE {
        return Vec::new();
    }
    let time = |time: DateTime<Utc>| time.format("%Y-%m-%d %H:%M:%S UTC").to_string();
    let others_say: Vec<String> =
        others.iter().map(|Clock { whose, says }| format!("{whose} {}", time(*says))).collect();
    let mut told = vec![format!(
        "the clocks differ by {}: this machine says {}, {}",
        duration(apart),
        time(ours),
        others_say.join(", ")
    )];
    told.extend(decided(calendar, dates, ours, others));
    told
}

/// The day that our clock decides, where one does.
fn decided(calendar: &Calendar, dates: Dates, ours: DateTime<Utc>, others: &[Clock]) -> Option<String> {
    let Dates::One(date @ (Date::Today | Date::Yesterday | Date::Night)) = dates else { return None };
    let night = |now| calendar.night(date, now).ok().map(|night| night.container);
    let taken = night(ours)?;
    let mut text = format!("{date} is {taken}, by the clock of this machine");
    for Clock { whose, says } in others {
        if let Some(other) = night(*says).filter(|other| *other != taken) {
            text.push_str(&format!("; by that of {whose} it would be {other}"));
        }
    }
    Some(text)
}

/// A span of time as people say it: `3h 0m 12s`.
pub(crate) fn duration(span: TimeDelta) -> String {
    let (hours, minutes, seconds) = (span.num_hours(), span.num_minutes() % 60, span.num_seconds() % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m {seconds}s"),
        _ => format!("{hours}h {minutes}m {seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_over_a_minute_is_said_with_all_clocks_and_the_day_that_ours_decides() {
        let table = "
            # date     | ours     | archive  | InfluxDB | differ by  | said of the day
            yesterday  | 00:30:00 | 00:30:59 | 00:29:59 | -          | -
            yesterday  | 00:30:00 | 00:29:30 | 00:30:31 | 1m 1s      | yesterday is 2016-06-10, by the clock of this machine
            today      | 00:30:00 | 00:30:00 | 00:30:01 | -          | -
            2016-06-11 | 00:30:00 | 03:30:12 | 03:30:12 | 3h 0m 12s  | -
            yesterday  | 00:30:00 | 03:30:12 | 03:30:12 | 3h 0m 12s  | yesterday is 2016-06-10, by the clock of this machine
            today      | 23:30:00 | 20:30:00 | 23:30:00 | 3h 0m 0s   | today is 2016-06-12, by the clock of this machine; by that of archive it would be 2016-06-11
            night      | 23:30:00 | none     | 00:30:00 | 23h 0m 0s  | night is 2016-06-11, by the clock of this machine; by that of InfluxDB it would be 2016-06-10
            yesterday  | 00:30:00 | none     | none     | -          | -";
        let calendar = Calendar {
            time_zone: chrono_tz::Europe::Berlin,
            night_ends: chrono::NaiveTime::from_hms_opt(12, 0, 0).unwrap(),
            pattern: archive::ContainerPattern::default(),
        };
        for row in table.lines().map(str::trim).filter(|row| !row.is_empty() && !row.starts_with('#')) {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let clock = |text: &str| format!("2016-06-11T{text}Z").parse::<DateTime<Utc>>();
            let others = [("archive", cells[2]), ("InfluxDB", cells[3])];
            let others = others
                .into_iter()
                .filter_map(|(whose, says)| Some(Clock { whose: whose.to_owned(), says: clock(says).ok()? }));
            let others: Vec<Clock> = others.collect();
            let told = compare(&calendar, cells[0].parse().unwrap(), clock(cells[1]).unwrap(), &others);
            let (apart, day) = (cells[4], cells[5]);
            let expected = (apart != "-").then(|| format!("the clocks differ by {apart}: this machine says "));
            match (&expected, told.first()) {
                (None, None) => {}
                (Some(expected), Some(told)) => {
                    assert!(told.starts_with(expected), "{row}: {told}");
                    for clock in &others {
                        let time = clock.says.format("%Y-%m-%d %H:%M:%S UTC");
                        assert!(told.contains(&format!("{} {time}", clock.whose)), "{row}: {told}");
                    }
                }
                _ => panic!("{row}: {told:?}"),
            }
            assert_eq!(told.get(1).map_or("-", String::as_str), day, "{row}");
        }
    }
}
