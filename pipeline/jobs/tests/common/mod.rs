//! What the benches of several jobs begin with.

use archive::{Calendar, ContainerPattern};
use chrono::NaiveTime;
use influx::Influx;
use test_support::Influxd;

/// Days in UTC, in containers that are named as they are by default.
pub(crate) fn calendar() -> Calendar {
    Calendar {
        time_zone: chrono_tz::UTC,
        night_ends: NaiveTime::from_hms_opt(12, 0, 0).unwrap(),
        pattern: ContainerPattern::default(),
    }
}

/// A client of a test's own server.
pub(crate) fn influx(influxd: &Influxd) -> Influx {
    Influx::new(influx::Settings::new(influxd.url().parse().unwrap(), influxd.snapshot_address())).unwrap()
}
