//! Containers by the hour: which hour a date means, and that no two hours share a container.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

use std::collections::BTreeSet;
use std::sync::LazyLock;

use archive::{Calendar, ContainerPattern, Date};
use chrono::{DateTime, NaiveTime, TimeDelta, Utc};

/// Read once: that every hour has a name of its own is tried for more than a year.
static HOURLY: LazyLock<ContainerPattern> = LazyLock::new(|| "%Y-%m-%dT%H%z".parse().unwrap());

fn calendar(zone: &str) -> Calendar {
    Calendar {
        time_zone: zone.parse().unwrap(),
        night_ends: NaiveTime::from_hms_opt(12, 0, 0).unwrap(),
        pattern: HOURLY.clone(),
    }
}

fn utc(text: &str) -> DateTime<Utc> {
    text.parse().unwrap()
}

#[test]
fn a_date_means_an_hour() {
    let table = "
        # date              | now                  | zone                | container, or what is said
        today               | 2016-06-11T21:55:00Z | Europe/Berlin       | 2016-06-11T23+0200
        today               | 2016-06-11T22:05:00Z | Europe/Berlin       | 2016-06-12T00+0200
        today               | 2016-06-11T18:40:00Z | Asia/Kathmandu      | 2016-06-12T00+0545
        today               | 2016-06-11T18:10:00Z | Asia/Kathmandu      | 2016-06-11T23+0545
        # a day is its last hour: only that has seen it
        yesterday           | 2016-06-11T22:15:00Z | Europe/Berlin       | 2016-06-11T23+0200
        2016-06-11          | 2020-01-01T00:00:00Z | Europe/Berlin       | 2016-06-11T23+0200
        # clocks went back at midnight to 23:00: the last hour is the second of its name
        2018-02-17          | 2020-01-01T00:00:00Z | America/Sao_Paulo   | 2018-02-17T23-0300
        # the hour that exists twice
        today               | 2016-10-30T00:30:00Z | Europe/Berlin       | 2016-10-30T02+0200
        today               | 2016-10-30T01:30:00Z | Europe/Berlin       | 2016-10-30T02+0100
        2016-10-30T02       | 2020-01-01T00:00:00Z | Europe/Berlin       | error: the hour 2016-10-30T02 comes twice in Europe/Berlin
        2016-10-30T02+0200  | 2020-01-01T00:00:00Z | Europe/Berlin       | 2016-10-30T02+0200
        2016-10-30T02+0100  | 2020-01-01T00:00:00Z | Europe/Berlin       | 2016-10-30T02+0100
        2016-10-30T02+0300  | 2020-01-01T00:00:00Z | Europe/Berlin       | error: the hour 2016-10-30T02+0300 does not exist in Europe/Berlin
        2016-10-30T03       | 2020-01-01T00:00:00Z | Europe/Berlin       | 2016-10-30T03+0100
        # the hour that does not exist
        2016-03-27T02       | 2020-01-01T00:00:00Z | Europe/Berlin       | error: the hour 2016-03-27T02 does not exist in Europe/Berlin
        2018-11-04T00       | 2020-01-01T00:00:00Z | America/Sao_Paulo   | error: the hour 2018-11-04T00 does not exist in America/Sao_Paulo
        2018-11-04T01       | 2020-01-01T00:00:00Z | America/Sao_Paulo   | 2018-11-04T01-0200
        2011-12-30          | 2020-01-01T00:00:00Z | Pacific/Apia        | error: the day 2011-12-30 does not exist in Pacific/Apia
        # clocks that are set by half an hour: the half that comes again is an hour of its own
        2016-04-03T01       | 2020-01-01T00:00:00Z | Australia/Lord_Howe | error: the hour 2016-04-03T01 comes twice in Australia/Lord_Howe
        today               | 2016-04-02T15:10:00Z | Australia/Lord_Howe | 2016-04-03T01+1030
        today               | 2016-04-02T14:50:00Z | Australia/Lord_Howe | 2016-04-03T01+1100
        2016-10-02T02       | 2020-01-01T00:00:00Z | Australia/Lord_Howe | 2016-10-02T02+1100
        night               | 2016-06-12T06:00:00Z | Europe/Berlin       | error: with the container pattern \"%Y-%m-%dT%H%z\" there is no night
    ";
    for row in table.lines().map(str::trim).filter(|row| !row.is_empty() && !row.starts_with('#')) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let date: Date = cells[0].parse().unwrap();
        let calendar = calendar(cells[2]);
        let found = calendar.night(date, utc(cells[1]));
        let said = found.as_ref().map_or_else(|error| format!("error: {error}"), |night| night.container.clone());
        assert_eq!(said, cells[3], "{row}");
        if let Ok(night) = found {
            assert_eq!(calendar.pattern.day_of(&night.container), Some(night.day), "{row}");
            assert_eq!(calendar.pattern.night_of(&night.container).as_ref(), Some(&night), "{row}");
            // What names it does so whatever the clock says, and can be written on a command line.
            let named: Date = night.date.to_string().parse().unwrap();
            assert_eq!(calendar.night(named, utc("2030-01-01T00:00:00Z")).unwrap(), night, "{row}");
        }
    }
}

#[test]
fn every_hour_of_every_zone_has_a_container_of_its_own() {
    for zone in
        ["Europe/Berlin", "America/Sao_Paulo", "Africa/Cairo", "Australia/Lord_Howe", "Asia/Kolkata", "Pacific/Apia"]
    {
        let calendar = calendar(zone);
        let (mut now, mut names, mut last) = (utc("2010-12-31T10:00:00Z"), BTreeSet::new(), String::new());
        // A container that was left does not come again.
        while now < utc("2012-01-02T00:00:00Z") {
            let container = calendar.night(Date::Today, now).unwrap().container;
            if container != last {
                assert!(names.insert(container.clone()), "{zone}: {container} comes again at {now}");
                last = container;
            }
            now += TimeDelta::minutes(30);
        }
    }
}

#[test]
fn hours_are_for_patterns_with_hours() {
    let by_day = Calendar { pattern: ContainerPattern::default(), ..calendar("Europe/Berlin") };
    let error = by_day.night("2016-06-11T14".parse().unwrap(), utc("2016-06-11T12:00:00Z")).unwrap_err();
    assert!(error.to_string().contains("2016-06-11T14 is an hour, and with the pattern"), "{error}");
    let error = "%Y-%m-%dT%H".parse::<ContainerPattern>().unwrap_err();
    assert!(error.to_string().contains("has the hour without %z"), "{error}");
    for text in [
        "2016-06-11T",
        "2016-06-11T4",
        "2016-06-11T24",
        "2016-06-11T14Z",
        "2016-06-11T14+2",
        "2016-06-11T14+02:00",
        "T14",
    ] {
        assert!(text.parse::<Date>().is_err(), "{text}");
    }
}
