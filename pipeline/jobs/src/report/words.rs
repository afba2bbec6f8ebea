//! Numbers and times as people read them.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use chrono_tz::Tz;

pub(super) use crate::list::size;

/// `1,234,567`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// `1 night`, `2 nights`.
pub(super) fn of(number: u64, what: &str) -> String {
    format!("{} {what}{}", count(number), if number == 1 { "" } else { "s" })
}

/// `4.2 s`, `3 min 12 s`, `2 h 5 min`.
pub(super) fn length(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        _ if seconds < 10.0 => format!("{seconds:.1} s"),
        ..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// How long ago something was: `5 minutes`, `14 hours`, `3 days`.
pub(super) fn age(delta: TimeDelta) -> String {
    let minutes = u64::try_from(delta.num_minutes()).unwrap_or(0);
    match minutes {
        ..120 => of(minutes, "minute"),
        120..2880 => of(minutes / 60, "hour"),
        _ => of(minutes / 1440, "day"),
    }
}

/// More or fewer bytes: `+1.2 MiB`.
pub(super) fn change(bytes: f64) -> String {
    let sign = if bytes < 0.0 { "−" } else { "+" };
    format!("{sign}{}", size(bytes.abs() as u64))
}

/// `11 June 2016`.
pub(super) fn long_day(day: NaiveDate) -> String {
    day.format("%-d %B %Y").to_string()
}

/// `2016-06-12 00:05 CEST`.
pub(super) fn time(instant: DateTime<Utc>, zone: Tz) -> String {
    instant.with_timezone(&zone).format("%Y-%m-%d %H:%M %Z").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_times_are_said_as_people_say_them() {
        assert_eq!([0, 999, 1000, 1_234_567].map(count), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0, 1, 2].map(|number| of(number, "night")), ["0 nights", "1 night", "2 nights"]);
        assert_eq!(
            [0.04, 9.96, 59.4, 59.6, 192.0, 7500.0].map(length),
            ["0.0 s", "10.0 s", "59 s", "1 min 0 s", "3 min 12 s", "2 h 5 min"]
        );
        let minutes = [-5, 1, 119, 120, 2879, 2880].map(|minutes| age(TimeDelta::minutes(minutes)));
        assert_eq!(minutes, ["0 minutes", "1 minute", "119 minutes", "2 hours", "47 hours", "2 days"]);
        assert_eq!([1536.0, -1536.0, 0.0].map(change), ["+1.5 KiB", "−1.5 KiB", "+0 B"]);
        assert_eq!(long_day("2016-06-01".parse().unwrap()), "1 June 2016");
        let instant = "2016-06-11T22:05:00Z".parse().unwrap();
        assert_eq!(time(instant, Tz::Europe__Berlin), "2016-06-12 00:05 CEST");
    }
}
