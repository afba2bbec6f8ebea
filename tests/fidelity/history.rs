//! What happens to a database: random writes of all types, overwrites, deletions, and time for compactions between them.

use std::fmt::Write as _;

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use test_support::Influxd;

/// The measurements as queries name them.
pub(crate) const MEASUREMENTS: &[&str] = &["cpu", "odd, name", "été", "few"];

/// The tags, in byte order.
pub(crate) const TAGS: &[&str] = &["a=b", "host", "zone, ü"];

/// Fields and their types.
pub(crate) const FIELDS: &[(&str, &str)] =
    &[("value", "float"), ("count", "integer"), ("up", "boolean"), ("text", "string"), ("od, d", "float")];

/// The days that have points, and what InfluxDB counts them as.
pub(crate) const DAYS: [(&str, [i64; 2]); 5] = [
    ("1823-03-04", day(-53_629)),
    ("1969-12-31", day(-1)),
    ("2016-06-10", day(16_962)),
    ("2016-06-11", day(16_963)),
    ("2261-12-29", day(106_648)),
];

const DAY: i64 = 86_400_000_000_000;

const fn day(number: i64) -> [i64; 2] {
    [number * DAY, (number + 1) * DAY]
}

/// How the dumps of a measurement begin.
pub(crate) fn file_name(measurement: &str) -> String {
    match measurement {
        "odd, name" => "odd, name_".to_owned(),
        name => format!("{name}_"),
    }
}

/// Lines are sent in requests of so many values.
const REQUEST: usize = 5000;

/// A history in the making.
pub(crate) struct History {
    random: SmallRng,
    written: u64,
}

impl History {
    pub(crate) fn new(seed: u64) -> History {
        History { random: SmallRng::seed_from_u64(seed), written: 0 }
    }

    /// Writes so many values and lets things happen to them.
    pub(crate) async fn play(&mut self, influxd: &Influxd, points: u64) {
        let mut next_event = points / 12;
        while self.written < points {
            let lines = self.lines();
            influxd.write_into("sensu_db", "day", &lines).await;
            if self.written >= next_event {
                next_event += points / 12;
                self.delete(influxd).await;
            }
        }
        // Written after the last deletion, too.
        let lines = self.lines();
        influxd.write_into("sensu_db", "day", &lines).await;
    }

    /// A request: some series, each with a stretch of points.
    fn lines(&mut self) -> String {
        let (mut lines, mut values) = (String::new(), 0);
        while values < REQUEST {
            let measurement = *[r"cpu", r"odd\,\ name", "été"].choose(&mut self.random).unwrap();
            let series = format!("{measurement}{}", self.tags());
            let (mut time, step) = self.stretch();
            let end = DAYS.iter().find(|(_, [start, end])| (*start..*end).contains(&time)).unwrap().1[1];
            let fields = self.random.random_range(1..32_u8);
            for _ in 0..self.random.random_range(1..1500) {
                if time >= end || values >= REQUEST {
                    break;
                }
                // Now and then one of the fields is not there.
                let fields =
                    if self.random.random_range(0..20) == 0 { self.random.random_range(1..32_u8) } else { fields };
                values += self.point(&mut lines, &series, fields, time);
                time += match step {
                    Some(step) => step,
                    None => self.random.random_range(1..90_000_000_000),
                };
            }
        }
        self.written += values as u64;
        if self.random.random_range(0..3) == 0 {
            let time = DAYS[3].1[0] + self.random.random_range(0..DAY);
            writeln!(lines, "few value={} {time}", self.float()).unwrap();
        }
        lines
    }

    fn tags(&mut self) -> String {
        let mut tags = String::new();
        for (name, values) in [
            (r"a\=b", &[r"c\ d", "e\\\\,f", "1"][..]),
            ("host", &["alpha", "beta", "gamma", "delta\"", "\\back"][..]),
            (r"zone\,\ ü", &["夜", r"a\,b\=c"][..]),
        ] {
            if self.random.random_range(0..3) > 0 {
                // A backslash before a comma would escape it.
                let value = values.choose(&mut self.random).unwrap().replace("\\\\,", "\\\\\\,");
                write!(tags, ",{name}={value}").unwrap();
            }
        }
        tags
    }

    /// Where a stretch of points begins, and its step, if it is regular. Stretches begin at few places, so that they meet.
    fn stretch(&mut self) -> (i64, Option<i64>) {
        let (_, [start, end]) = *DAYS.choose(&mut self.random).unwrap();
        let begins = match self.random.random_range(0..6) {
            0 => start,
            1 => end - 1,
            2 => end - self.random.random_range(1..5_000_000_000),
            _ => start + self.random.random_range(0..24) * 3_600_000_000_000,
        };
        let steps = [1, 1000, 1_000_000, 1_000_000_000, 10_000_000_000, 60_000_000_000];
        (begins, (self.random.random_range(0..4) > 0).then(|| *steps.choose(&mut self.random).unwrap()))
    }

    /// Appends a line with those fields whose bit is set; returns how many.
    fn point(&mut self, lines: &mut String, series: &str, fields: u8, time: i64) -> usize {
        let mut separator = ' ';
        lines.push_str(series);
        for (number, name) in ["value", "count", "up", "text", r"od\,\ d"].into_iter().enumerate() {
            if fields >> number & 1 == 0 {
                continue;
            }
            let value = match number {
                0 => self.float(),
                1 => format!("{}i", self.integer()),
                2 => self.random.random::<bool>().to_string(),
                3 => self.string(),
                _ => format!("{:.2}", self.random.random_range(-100.0..100.0)),
            };
            write!(lines, "{separator}{name}={value}").unwrap();
            separator = ',';
        }
        writeln!(lines, " {time}").unwrap();
        fields.count_ones() as usize
    }

    fn float(&mut self) -> String {
        let float = match self.random.random_range(0..12) {
            0 => 0.0,
            1 => -0.0,
            2 => f64::MAX,
            3 => f64::MIN,
            4 => f64::from_bits(self.random.random_range(1..1 << 52)),
            5 => f64::MIN_POSITIVE,
            6 => 1e16 * self.random.random_range(1.0..10.0),
            7..=9 => f64::from(self.random.random_range(0..1000_u16)) / 8.0,
            _ => f64::from_bits(self.random.random()),
        };
        if float.is_finite() { format!("{float:e}") } else { "1".to_owned() }
    }

    fn integer(&mut self) -> i64 {
        match self.random.random_range(0..6) {
            0 => i64::MIN,
            1 => i64::MAX,
            2 => self.random.random(),
            3 => 0,
            _ => self.random.random_range(-1000..1000),
        }
    }

    fn string(&mut self) -> String {
        let text = match self.random.random_range(0..40) {
            0 => String::new(),
            1 => "long ".repeat(self.random.random_range(1..4000)),
            2 => "été 夜 🌙".to_owned(),
            3 => "a\\\"b\\\\c".to_owned(),
            4 => "two\nlines\tand a tab".to_owned(),
            _ => ["ok", "warning", "critical"].choose(&mut self.random).unwrap().to_string(),
        };
        format!("\"{text}\"")
    }

    /// Deletes a range, a series, or a measurement.
    async fn delete(&mut self, influxd: &Influxd) {
        let (_, [start, end]) = *DAYS.choose(&mut self.random).unwrap();
        let from = self.random.random_range(start..end);
        let to = self.random.random_range(from..end);
        let statement = match self.random.random_range(0..5) {
            0 => format!("DELETE FROM \"cpu\" WHERE time >= {from} AND time <= {to}"),
            1 => format!("DELETE FROM \"odd, name\" WHERE \"host\" = 'alpha' AND time >= {from} AND time <= {to}"),
            2 => "DROP SERIES FROM \"été\" WHERE \"host\" = 'beta'".to_owned(),
            3 => format!("DELETE FROM \"cpu\" WHERE time < {from} AND \"host\" = 'gamma'"),
            _ => "DROP MEASUREMENT \"few\"".to_owned(),
        };
        influxd.query("sensu_db", &statement).await;
    }
}
