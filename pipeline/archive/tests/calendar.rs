//! Which day a night is, when days begin, and how containers are named.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

use archive::{Calendar, ContainerPattern, Date, Label};
use chrono::{DateTime, NaiveTime, Utc};

fn calendar(zone: &str) -> Calendar {
    Calendar {
        time_zone: zone.parse().unwrap(),
        night_ends: NaiveTime::from_hms_opt(12, 0, 0).unwrap(),
        pattern: ContainerPattern::default(),
    }
}

fn utc(text: &str) -> DateTime<Utc> {
    DateTime::parse_from_rfc3339(text).unwrap().to_utc()
}

#[test]
fn of_a_month_under_way_the_days_that_are_still_to_come_are_left_out() {
    // dates | now | first and last day that are meant, in Berlin
    let table = [
        ("2016-06", "2016-06-11T21:55:00Z", "2016-06-01 2016-06-11"),
        ("2016-06", "2016-06-11T22:05:00Z", "2016-06-01 2016-06-12"),
        ("2016-06", "2016-07-11T22:05:00Z", "2016-06-01 2016-06-30"),
        // Who asks for the future is told what is not there.
        ("2016-07", "2016-06-11T10:00:00Z", "2016-07-01 2016-07-31"),
        ("2016-06-10..2016-06-20", "2016-06-11T10:00:00Z", "2016-06-10 2016-06-20"),
        ("2016-07-01", "2016-06-11T10:00:00Z", "2016-07-01 2016-07-01"),
    ];
    for (dates, now, expected) in table {
        let meant = calendar("Europe/Berlin").begun(dates.parse().unwrap(), utc(now));
        let days: Vec<String> = meant.iter().map(|date| date.to_string()).collect();
        assert_eq!(format!("{} {}", days[0], days[days.len() - 1]), expected, "{dates} at {now}");
    }
}

#[test]
fn a_date_means_the_night_that_a_person_at_that_place_would_say() {
    let table = "
        # date      | now                  | zone                | container
        today       | 2016-06-11T21:55:00Z | Europe/Berlin       | 2016-06-11
        today       | 2016-06-11T22:05:00Z | Europe/Berlin       | 2016-06-12
        yesterday   | 2016-06-11T22:15:00Z | Europe/Berlin       | 2016-06-11
        yesterday   | 2016-03-01T00:15:00Z | UTC                 | 2016-02-29
        night       | 2016-06-11T21:55:00Z | Europe/Berlin       | 2016-06-11
        # caught up at 08:00 the next morning: still the night of the 11th, and at 23:55 the 12th
        night       | 2016-06-12T06:00:00Z | Europe/Berlin       | 2016-06-11
        night       | 2016-06-12T21:55:00Z | Europe/Berlin       | 2016-06-12
        night       | 2016-06-12T09:59:59Z | Europe/Berlin       | 2016-06-11
        night       | 2016-06-12T10:00:00Z | Europe/Berlin       | 2016-06-12
        # a given day, whatever the clock says
        2015-12-31  | 2016-06-12T10:00:00Z | Europe/Berlin       | 2015-12-31
        today       | 2016-06-11T11:00:00Z | Pacific/Auckland    | 2016-06-11
        today       | 2016-06-11T12:00:00Z | Pacific/Auckland    | 2016-06-12
    ";
    for row in table.lines().map(str::trim).filter(|row| !row.is_empty() && !row.starts_with('#')) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let date: Date = cells[0].parse().unwrap();
        let night = calendar(cells[2]).night(date, utc(cells[1])).unwrap();
        assert_eq!(night.container, cells[3], "{row}");
    }
}

#[test]
fn dates_that_nobody_would_write_are_refused() {
    for text in ["", "tomorrow", "2016-6-11", "2016-06-31", "11.06.2016", "2016-06-11T00:00", " 2016-06-11", "2016-06"]
    {
        assert!(text.parse::<Date>().is_err(), "{text:?}");
    }
}

#[test]
fn a_day_begins_at_its_first_instant_and_ends_where_the_next_begins() {
    let table = "
        # zone                | day        | start                | end                  | hours
        UTC                   | 2016-06-11 | 2016-06-11T00:00:00Z | 2016-06-12T00:00:00Z | 24
        Europe/Berlin         | 2016-06-11 | 2016-06-10T22:00:00Z | 2016-06-11T22:00:00Z | 24
        Europe/Berlin         | 2016-03-27 | 2016-03-26T23:00:00Z | 2016-03-27T22:00:00Z | 23
        Europe/Berlin         | 2016-10-30 | 2016-10-29T22:00:00Z | 2016-10-30T23:00:00Z | 25
        # clocks skip midnight: the day begins at 01:00
        America/Sao_Paulo     | 2018-11-04 | 2018-11-04T03:00:00Z | 2018-11-05T02:00:00Z | 23
        # clocks go back at midnight to 23:00 of the day before: midnight comes once, the day before has 25 hours
        America/Sao_Paulo     | 2018-02-17 | 2018-02-17T02:00:00Z | 2018-02-18T03:00:00Z | 25
        # midnight comes twice: the first one begins the day
        America/Havana        | 2016-11-06 | 2016-11-06T04:00:00Z | 2016-11-07T05:00:00Z | 25
        Australia/Lord_Howe   | 2016-10-02 | 2016-10-01T13:30:00Z | 2016-10-02T13:00:00Z | 23.5
    ";
    for row in table.lines().map(str::trim).filter(|row| !row.is_empty() && !row.starts_with('#')) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let window = calendar(cells[0]).window(cells[1].parse().unwrap()).unwrap();
        assert_eq!((window.start, window.end), (utc(cells[2]), utc(cells[3])), "{row}");
        let hours = (window.end - window.start).num_minutes() as f64 / 60.0;
        assert_eq!(hours, cells[4].parse::<f64>().unwrap(), "{row}");
    }
}

#[test]
fn the_windows_of_all_days_of_many_zones_join_without_gap_or_overlap() {
    let first = chrono::NaiveDate::from_ymd_opt(2009, 1, 1).unwrap();
    for zone in ["Europe/Berlin", "America/Sao_Paulo", "America/Havana", "Africa/Cairo", "Asia/Gaza", "Pacific/Fiji"] {
        let calendar = calendar(zone);
        let mut end = None;
        for day in first.iter_days().take(3700) {
            let window = calendar.window(day).unwrap();
            assert!(end.is_none_or(|end| end == window.start), "{zone} {day}");
            end = Some(window.end);
        }
    }
}

#[test]
fn a_day_that_the_zone_skipped_is_said_not_to_exist() {
    let samoa = calendar("Pacific/Apia");
    assert!(samoa.window("2011-12-30".parse().unwrap()).unwrap_err().to_string().contains("does not exist"));
    assert!(samoa.window("2011-12-29".parse().unwrap()).is_ok());
    assert!(samoa.window("2011-12-31".parse().unwrap()).is_ok());
}

#[test]
fn patterns_must_give_every_day_a_name_of_its_own() {
    for good in ["%Y-%m-%d", "prod1-%Y-%m-%d", "%Y%j", "backup %F", "%s-less-%Y.%m.%d"] {
        let refused = good.parse::<ContainerPattern>().err();
        assert_eq!(refused.is_none(), good != "%s-less-%Y.%m.%d", "{good}: {refused:?}");
    }
    for bad in [
        "",
        "backup",
        "%Y-%m",
        "%m-%d",
        "%Y-%m-%dT%H",
        "%Y-%m-%dT%I%z",
        "%Y-%m-%d%z",
        "%H%z",
        "%Y/%m/%d",
        ".%Y-%m-%d",
        "%Q",
        "%Y-%m-%d%n",
        "%d",
    ] {
        assert!(bad.parse::<ContainerPattern>().is_err(), "{bad:?}");
    }
}

#[test]
fn a_label_is_part_of_the_containers_name() {
    let day = "2016-06-11".parse().unwrap();
    let container = |pattern: ContainerPattern| Calendar { pattern, ..calendar("UTC") }.of_day(day).unwrap().container;
    let pattern: ContainerPattern = "prod1-%Y-%m-%d".parse().unwrap();
    let labelled = pattern.clone().labelled(Some("before-upgrade".parse().unwrap()));
    assert_eq!(container(labelled.clone()), "prod1-2016-06-11_before-upgrade");
    assert_eq!(labelled.as_str(), "prod1-%Y-%m-%d");
    assert_eq!(labelled.labelled(None), pattern);
    assert_eq!(container(pattern), "prod1-2016-06-11");
}

#[test]
fn the_day_of_a_container_is_read_from_its_name() {
    let table = "
        %Y-%m-%d       | 2016-06-11                | 2016-06-11
        %Y-%m-%d       | 2016-06-11_before-upgrade | 2016-06-11
        %Y-%m-%d       | 2016-06-11_segments       | none
        %Y-%m-%d       | 2016-06-11+segments       | none
        %Y-%m-%d       | 2016-6-11                 | none
        %Y-%m-%d       | 2016-06-31                | none
        %Y-%m-%d       | nightshard-segments       | none
        prod1-%Y-%m-%d | prod1-2016-06-11          | 2016-06-11
        prod1-%Y-%m-%d | 2016-06-11                | none
        %Y%m%d         | 20160611_abc              | 2016-06-11
        %d.%m.%y       | 11.06.16                  | 2016-06-11
        %Y-%m-%dT%H%z  | 2016-06-11T14+0200        | 2016-06-11
        %Y-%m-%dT%H%z  | 2016-06-11T00+1400_abc    | 2016-06-11
        %Y-%m-%dT%H%z  | 2016-06-11T14             | none
        %Y-%m-%dT%H%z  | 2016-06-11                | none
        %Y-%m-%dT%H%z  | 2016-06-11T14+02:00       | none
        %Y-%m-%dT%H%z  | 2016-06-11T24+0200        | none";
    for row in table.lines().skip(1) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let pattern: ContainerPattern = cells[0].parse().unwrap();
        let day = pattern.day_of(cells[1]).map_or("none".to_owned(), |day| day.to_string());
        assert_eq!(day, cells[2], "{row}");
        let night = pattern.night_of(cells[1]);
        assert_eq!(night.as_ref().map(|night| night.day), pattern.day_of(cells[1]), "{row}");
        let label = night.and_then(|night| night.label).map(|label| label.to_string());
        assert_eq!(label.as_deref(), pattern.label_of(cells[1]), "{row}");
    }
}

#[test]
fn labels_are_short_and_plain() {
    for good in ["abc", "before-upgrade", "v1.6.7_to_1.8", ".a.", "a..", "0123456789012345678901234"] {
        assert_eq!(good.parse::<Label>().unwrap().as_str(), good);
    }
    for bad in ["", "ab", "01234567890123456789012345", "a b", "a/b", "größe", "..a", "...", "segments", "abc\n"] {
        assert!(bad.parse::<Label>().is_err(), "{bad:?}");
    }
}

#[test]
fn several_days_are_a_range_or_a_month() {
    let shown = |text: &str| {
        text.parse::<archive::Dates>().map(|dates| {
            let dates: Vec<String> = dates.iter().map(|date| date.to_string()).collect();
            (dates.len(), dates[0].clone(), dates[dates.len() - 1].clone())
        })
    };
    for (text, count, first, last) in [
        ("yesterday", 1, "yesterday", "yesterday"),
        ("2016-06-11", 1, "2016-06-11", "2016-06-11"),
        ("2016-06-11..2016-06-11", 1, "2016-06-11", "2016-06-11"),
        ("2015-12-30..2016-01-02", 4, "2015-12-30", "2016-01-02"),
        ("2016-02", 29, "2016-02-01", "2016-02-29"),
        ("2016-12", 31, "2016-12-01", "2016-12-31"),
    ] {
        assert_eq!(shown(text).unwrap(), (count, first.to_owned(), last.to_owned()), "{text}");
    }
    let turned = shown("2016-06-12..2016-06-11").unwrap_err();
    assert_eq!(turned.to_string(), "\"2016-06-12..2016-06-11\" ends before it begins");
    for text in ["2016-13", "..", "2016-06-11..", "today..2016-06-11", "2016-06..2016-07", ""] {
        assert!(shown(text).unwrap_err().to_string().contains("neither a date nor several"), "{text}");
    }
}
