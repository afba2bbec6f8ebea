//! Days where clocks are set, and zones that are not whole hours from UTC: where days begin and end, what containers and
//! dumps are called, and which days a range has.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

use archive::{Calendar, ContainerPattern, Date, Dates, DumpName, DumpOf};
use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};

fn calendar(zone: &str) -> Calendar {
    Calendar {
        time_zone: zone.parse().unwrap(),
        night_ends: NaiveTime::from_hms_opt(12, 0, 0).unwrap(),
        pattern: ContainerPattern::default(),
    }
}

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

/// The rows of a table in plain text, without those that are comments.
fn rows(table: &str) -> impl Iterator<Item = Vec<&str>> {
    let rows = table.lines().map(str::trim).filter(|row| !row.is_empty() && !row.starts_with('#'));
    rows.map(|row| row.split('|').map(str::trim).collect())
}

#[test]
fn days_begin_and_end_with_the_clocks_of_their_zone_and_dumps_are_named_after_that() {
    let table = "
        # zone            | day        | first instant        | end                  | hours | name of a dump
        # 23 and 25 hours
        Europe/Berlin     | 2016-03-27 | 2016-03-26T23:00:00Z | 2016-03-27T22:00:00Z | 23    | 2016-03-27-00:00:00_2016-03-28-00:00:00
        Europe/Berlin     | 2016-10-30 | 2016-10-29T22:00:00Z | 2016-10-30T23:00:00Z | 25    | 2016-10-30-00:00:00_2016-10-31-00:00:00
        America/New_York  | 2016-03-13 | 2016-03-13T05:00:00Z | 2016-03-14T04:00:00Z | 23    | 2016-03-13-00:00:00_2016-03-14-00:00:00
        # clocks skip midnight: the day begins at 01:00, and the day before it ends there
        America/Sao_Paulo | 2018-11-04 | 2018-11-04T03:00:00Z | 2018-11-05T02:00:00Z | 23    | 2018-11-04-01:00:00_2018-11-05-00:00:00
        America/Sao_Paulo | 2018-11-03 | 2018-11-03T03:00:00Z | 2018-11-04T03:00:00Z | 24    | 2018-11-03-00:00:00_2018-11-04-01:00:00
        Africa/Cairo      | 2014-05-16 | 2014-05-15T22:00:00Z | 2014-05-16T21:00:00Z | 23    | 2014-05-16-01:00:00_2014-05-17-00:00:00
        Africa/Cairo      | 2023-04-28 | 2023-04-27T22:00:00Z | 2023-04-28T21:00:00Z | 23    | 2023-04-28-01:00:00_2023-04-29-00:00:00
        # clocks go back at midnight: 23:00 comes twice, and midnight once
        Africa/Cairo      | 2014-09-25 | 2014-09-24T21:00:00Z | 2014-09-25T22:00:00Z | 25    | 2014-09-25-00:00:00_2014-09-26-00:00:00
        # a whole day was skipped
        Pacific/Apia      | 2011-12-29 | 2011-12-29T10:00:00Z | 2011-12-30T10:00:00Z | 24    | 2011-12-29-00:00:00_2011-12-31-00:00:00
        Pacific/Apia      | 2011-12-31 | 2011-12-30T10:00:00Z | 2011-12-31T10:00:00Z | 24    | 2011-12-31-00:00:00_2012-01-01-00:00:00
        # offsets of :30 and :45, with and without change
        Asia/Kolkata      | 2016-06-11 | 2016-06-10T18:30:00Z | 2016-06-11T18:30:00Z | 24    | 2016-06-11-00:00:00_2016-06-12-00:00:00
        Asia/Kathmandu    | 2016-06-11 | 2016-06-10T18:15:00Z | 2016-06-11T18:15:00Z | 24    | 2016-06-11-00:00:00_2016-06-12-00:00:00
        America/St_Johns  | 2016-11-06 | 2016-11-06T02:30:00Z | 2016-11-07T03:30:00Z | 25    | 2016-11-06-00:00:00_2016-11-07-00:00:00
        Pacific/Chatham   | 2016-04-03 | 2016-04-02T10:15:00Z | 2016-04-03T11:15:00Z | 25    | 2016-04-03-00:00:00_2016-04-04-00:00:00
        # clocks that are set by half an hour
        Australia/Lord_Howe | 2016-04-03 | 2016-04-02T13:00:00Z | 2016-04-03T13:30:00Z | 24.5 | 2016-04-03-00:00:00_2016-04-04-00:00:00
        # the offset changed by half an hour for good, at midnight
        Asia/Pyongyang    | 2015-08-14 | 2015-08-13T15:00:00Z | 2015-08-14T15:30:00Z | 24.5  | 2015-08-14-00:00:00_2015-08-15-00:00:00
    ";
    for cells in rows(table) {
        let calendar = calendar(cells[0]);
        let day: NaiveDate = cells[1].parse().unwrap();
        let window = calendar.window(day).unwrap();
        assert_eq!((window.start, window.end), (utc(cells[2]), utc(cells[3])), "{cells:?}");
        let hours = (window.end - window.start).num_minutes() as f64 / 60.0;
        assert_eq!(hours, cells[4].parse::<f64>().unwrap(), "{cells:?}");
        let of = DumpOf { database: "db", retention_policy: "rp", measurement: "cpu" };
        let file = DumpName::default().file(of, window, calendar.time_zone, "json");
        assert_eq!(file, format!("cpu_{}.json", cells[5]), "{cells:?}");
        // A backup at any instant of the day goes into its container, and one a second before or after does not.
        let container = |now| calendar.night(Date::Today, now).unwrap().container;
        for instant in
            [window.start, window.start + (window.end - window.start) / 2, window.end - TimeDelta::seconds(1)]
        {
            assert_eq!(container(instant), cells[1], "{cells:?} {instant}");
        }
        for instant in [window.start - TimeDelta::seconds(1), window.end] {
            assert_ne!(container(instant), cells[1], "{cells:?} {instant}");
        }
    }
}

#[test]
fn yesterday_and_the_night_are_the_last_day_that_there_was() {
    let table = "
        # zone            | date      | now                  | container
        Pacific/Apia      | yesterday | 2011-12-30T10:15:00Z | 2011-12-29
        Pacific/Apia      | night     | 2011-12-30T10:15:00Z | 2011-12-29
        Pacific/Apia      | yesterday | 2011-12-31T10:15:00Z | 2011-12-31
        Pacific/Apia      | night     | 2011-12-30T09:55:00Z | 2011-12-29
        America/Sao_Paulo | yesterday | 2018-11-04T03:15:00Z | 2018-11-03
        Africa/Cairo      | yesterday | 2014-05-15T22:15:00Z | 2014-05-15
        # 23:30 for the second time, and after it
        Africa/Cairo      | today     | 2014-09-25T21:30:00Z | 2014-09-25
        Africa/Cairo      | night     | 2014-09-25T22:15:00Z | 2014-09-25
        Asia/Kathmandu    | yesterday | 2016-06-11T18:14:00Z | 2016-06-10
        Asia/Kathmandu    | yesterday | 2016-06-11T18:16:00Z | 2016-06-11
        Pacific/Chatham   | yesterday | 2016-04-03T11:20:00Z | 2016-04-03
    ";
    for cells in rows(table) {
        let night = calendar(cells[0]).night(cells[1].parse().unwrap(), utc(cells[2])).unwrap();
        assert_eq!(night.container, cells[3], "{cells:?}");
    }
}

#[test]
fn the_days_of_a_range_follow_each_other_without_gap_and_the_one_that_was_skipped_is_said() {
    let table = "
        # zone            | range                  | days | those that do not exist | hours
        Europe/Berlin     | 2016-03-26..2016-03-28 | 3    | -                       | 71
        Europe/Berlin     | 2016-10                | 31   | -                       | 745
        America/Sao_Paulo | 2018-11-03..2018-11-05 | 3    | -                       | 71
        Africa/Cairo      | 2014-05                | 31   | -                       | 743
        Pacific/Apia      | 2011-12-28..2012-01-01 | 5    | 2011-12-30              | 96
        Pacific/Apia      | 2011-12                | 31   | 2011-12-30              | 720
        Asia/Kathmandu    | 2016-02                | 29   | -                       | 696
        Australia/Lord_Howe | 2016-04              | 30   | -                       | 720.5
    ";
    for cells in rows(table) {
        let calendar = calendar(cells[0]);
        let dates: Vec<Date> = cells[1].parse::<Dates>().unwrap().iter().collect();
        assert_eq!(dates.len(), cells[2].parse::<usize>().unwrap(), "{cells:?}");
        let (mut end, mut minutes, mut skipped) = (None, 0, Vec::new());
        for date in dates {
            let Date::Day(day) = date else { panic!("{date}") };
            let window = match calendar.window(day) {
                Ok(window) => window,
                Err(error) => {
                    assert!(error.to_string().contains("does not exist"), "{error}");
                    skipped.push(day.to_string());
                    continue;
                }
            };
            assert!(end.is_none_or(|end| end == window.start), "{cells:?} {day}");
            end = Some(window.end);
            minutes += (window.end - window.start).num_minutes();
        }
        assert_eq!(if skipped.is_empty() { "-".to_owned() } else { skipped.join(", ") }, cells[3], "{cells:?}");
        assert_eq!(minutes as f64 / 60.0, cells[4].parse::<f64>().unwrap(), "{cells:?}");
    }
}
