//! What the page tells in tables and lists: troubles, numbers, dumps, databases.

use chrono::NaiveDate;

use crate::report::days::Day;
use crate::report::model::{Model, Night};
use crate::report::series::Place;
use crate::report::troubles::Trouble;
use crate::report::words;

/// So many troubles of a day are told on the page.
const OF_DAY: usize = 20;

/// So many open days of a measurement are named.
const OPEN: usize = 3;

/// So long may what is told of a trouble be, in characters.
const MESSAGE: usize = 2000;

/// The troubles of a day, or of days in a row.
pub(super) struct TroubleDay {
    pub(super) anchor: String,
    pub(super) when: String,
    pub(super) lines: Vec<TroubleLine>,
    pub(super) more: usize,
}

pub(super) struct TroubleLine {
    pub(super) word: &'static str,
    pub(super) is_mild: bool,
    pub(super) container: Option<String>,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

/// A place of the charts in numbers.
pub(super) struct NumberRow {
    pub(super) night: String,
    /// Size, growth, what was sent and added, points, and the durations of backup, restore and dumps.
    pub(super) values: [String; 8],
}

pub(super) struct DumpRow {
    pub(super) measurement: String,
    pub(super) place: String,
    pub(super) days: String,
    pub(super) newest: String,
    pub(super) records: String,
    pub(super) size: String,
    pub(super) open: String,
    pub(super) is_open: bool,
}

pub(super) struct DatabaseRow {
    pub(super) name: String,
    pub(super) measurements: String,
    pub(super) points: String,
}

/// The troubles of these days, and how many earlier ones there are.
pub(super) fn troubles(model: &Model, days: &[Day]) -> (Vec<TroubleDay>, u64) {
    let from = days.first().map_or(NaiveDate::MIN, |day| day.date);
    let (shown, hidden): (Vec<&Trouble>, Vec<&Trouble>) = model.troubles.iter().partition(|trouble| trouble.to >= from);
    let by_day = shown.chunk_by(|one, other| (one.from, one.to) == (other.from, other.to));
    let days = by_day.filter_map(|of_day| {
        let first = of_day.first()?;
        let when = match first.from == first.to {
            true => words::long_day(first.from),
            false => format!("{} to {}", words::long_day(first.from), words::long_day(first.to)),
        };
        let lines = of_day.iter().take(OF_DAY).map(|trouble| line(trouble)).collect();
        Some(TroubleDay { anchor: anchor(first), when, lines, more: of_day.len().saturating_sub(OF_DAY) })
    });
    (days.collect(), hidden.len() as u64)
}

/// Where the troubles of each day are told.
pub(super) fn anchors(model: &Model, days: &[Day]) -> Vec<Option<String>> {
    let mut troubles = model.troubles.iter().rev().peekable();
    let of_day = days.iter().map(|day| {
        while troubles.next_if(|trouble| trouble.to < day.date).is_some() {}
        troubles.peek().filter(|trouble| trouble.from <= day.date).map(|trouble| anchor(trouble))
    });
    of_day.collect()
}

fn anchor(trouble: &Trouble) -> String {
    format!("trouble-{}", trouble.from)
}

fn line(trouble: &Trouble) -> TroubleLine {
    let mut message: String = trouble.message.chars().take(MESSAGE).collect();
    if message.len() < trouble.message.len() {
        message.push('…');
    }
    TroubleLine {
        word: trouble.matter.word(),
        is_mild: trouble.matter.is_mild(),
        // What is said of an object names its night.
        container: trouble.container.clone().filter(|container| !trouble.message.contains(container.as_str())),
        message,
        hint: trouble.hint.clone(),
    }
}

/// The places in numbers, the newest first.
pub(super) fn numbers(places: &[Place]) -> Vec<NumberRow> {
    let none = || "–".to_owned();
    let row = |place: &Place| NumberRow {
        night: place.container.clone().unwrap_or_else(|| format!("{} to {}", place.from, place.to)),
        values: [
            words::size(place.bytes),
            place.growth.map_or_else(none, words::change),
            place.sent.map_or_else(none, words::size),
            place.added.map_or_else(none, words::size),
            place.points.map_or_else(none, words::count),
            place.backup.map_or_else(none, words::length),
            place.restore.map_or_else(none, words::length),
            place.dump.map_or_else(none, words::length),
        ],
    };
    places.iter().rev().map(row).collect()
}

/// A line for each measurement that is dumped.
pub(super) fn dumps(model: &Model) -> Vec<DumpRow> {
    let row = |(names, dumps): (&[String; 3], &crate::report::collect::Dumps)| {
        let [database, policy, measurement] = names;
        let good = |day: &NaiveDate| model.nights.iter().any(|night| night.is_good() && night.listed.night == *day);
        let nights = dumps.days.first().map_or(0, |first| model.count(|day| day.date >= *first && good(&day.date)));
        let open: Vec<String> = dumps.open.keys().rev().take(OPEN).map(NaiveDate::to_string).collect();
        let more = dumps.open.len() - open.len();
        DumpRow {
            measurement: measurement.clone(),
            place: format!("{database}.{policy}"),
            days: format!("{} of {}", words::count(dumps.days.len() as u64), words::of(nights, "night")),
            newest: dumps.days.last().map(NaiveDate::to_string).unwrap_or_default(),
            records: words::count(dumps.records),
            size: words::size(dumps.bytes),
            is_open: !open.is_empty(),
            open: match (open.is_empty(), more) {
                (true, _) => "none".to_owned(),
                (false, 0) => open.join(", "),
                (false, more) => format!("{} and {more} more", open.join(", ")),
            },
        }
    };
    model.dumps.iter().map(row).collect()
}

/// What a night holds, by database.
pub(super) fn databases(night: &Night) -> Vec<DatabaseRow> {
    let row = |name: &String| {
        let known = night.databases.iter().find(|database| database.name == *name);
        let count =
            |of: fn(&crate::report::model::Database) -> u64| known.map_or("–".to_owned(), |it| words::count(of(it)));
        DatabaseRow { name: name.clone(), measurements: count(|it| it.measurements), points: count(|it| it.points) }
    };
    night.listed.databases.iter().map(row).collect()
}
