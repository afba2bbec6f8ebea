//! The calendar: a table a month, a row a week, a cell a day.

use chrono::{Datelike, Days, Month as Name, NaiveDate};

use super::tables::anchors;
use crate::list::State;
use crate::report::days::{Day, Standing};
use crate::report::model::Model;
use crate::report::words;

/// So many days the calendar shows at most, the newest.
const DAYS: usize = 400;

/// So many months are shown at once; older ones are unfolded.
const MONTHS: usize = 6;

pub(super) struct Month {
    pub(super) name: String,
    pub(super) weeks: Vec<Week>,
}

pub(super) struct Week {
    pub(super) number: u32,
    pub(super) days: [Option<Cell>; 7],
}

/// A day of the report.
#[derive(Clone)]
pub(super) struct Cell {
    pub(super) date: NaiveDate,
    pub(super) number: u32,
    pub(super) state: &'static str,
    pub(super) sign: &'static str,
    /// What stands beside the sign: that it was restored and proven, or is damaged.
    pub(super) mark: &'static str,
    pub(super) is_damaged: bool,
    /// All that is told of it in a line.
    pub(super) text: String,
    /// Where its troubles are told.
    pub(super) anchor: Option<String>,
}

/// A state, and how many days have it.
pub(super) struct Legend {
    pub(super) state: &'static str,
    pub(super) sign: &'static str,
    pub(super) word: &'static str,
    pub(super) days: String,
}

/// The days that the calendar shows.
pub(super) fn shown(model: &Model) -> &[Day] {
    model.days.get(model.days.len().saturating_sub(DAYS)..).unwrap_or_default()
}

/// What the signs mean. States that no day has are left out, but for the one that all should have.
pub(super) fn legend(model: &Model) -> Vec<Legend> {
    let all = [
        Standing::Night(State::Ready),
        Standing::Night(State::BackingUp),
        Standing::Night(State::Error),
        Standing::Night(State::Unsealed),
        Standing::Night(State::Deleting),
        Standing::Night(State::Deleted),
        Standing::Night(State::DumpsOnly),
        Standing::Missing,
        Standing::Awaited,
    ];
    let counted = all.map(|standing| (standing, model.count(|day| day.standing == standing)));
    let kept = counted.into_iter().filter(|(standing, days)| *days > 0 || *standing == Standing::Night(State::Ready));
    kept.map(|(standing, days)| Legend {
        state: standing.name(),
        sign: standing.sign(),
        word: standing.word(),
        days: words::count(days),
    })
    .collect()
}

/// The months of these days, the newest first: those that are shown at once, and the others.
pub(super) fn months(model: &Model, days: &[Day]) -> (Vec<Month>, Vec<Month>) {
    let anchors = anchors(model, days);
    let mut months: Vec<(NaiveDate, Month)> = Vec::new();
    for (day, anchor) in days.iter().zip(anchors) {
        let first = day.date - Days::new(u64::from(day.date.day0()));
        if months.last().is_none_or(|(of, _)| *of != first) {
            months.push((first, empty(first)));
        }
        let offset = first.weekday().num_days_from_monday() as usize + day.date.day0() as usize;
        let week = months.last_mut().and_then(|(_, month)| month.weeks.get_mut(offset / 7));
        if let Some(place) = week.and_then(|week| week.days.get_mut(offset % 7)) {
            *place = Some(cell(model, day, anchor));
        }
    }
    for (_, month) in &mut months {
        month.weeks.retain(|week| week.days.iter().any(Option::is_some));
    }
    let mut newest: Vec<Month> = months.into_iter().rev().map(|(_, month)| month).collect();
    let older = newest.split_off(newest.len().min(MONTHS));
    (newest, older)
}

/// A month with all of its weeks and none of its days.
fn empty(first: NaiveDate) -> Month {
    let name = u8::try_from(first.month()).ok().and_then(|month| Name::try_from(month).ok()).map_or("", |it| it.name());
    let monday = first - Days::new(u64::from(first.weekday().num_days_from_monday()));
    let weeks = (0..6).map(|week| monday + Days::new(7 * week));
    let weeks = weeks.take_while(|monday| (monday.year(), monday.month()) <= (first.year(), first.month()));
    let weeks = weeks.map(|monday| Week { number: monday.iso_week().week(), days: [const { None }; 7] });
    Month { name: format!("{name} {}", first.year()), weeks: weeks.collect() }
}

fn cell(model: &Model, day: &Day, anchor: Option<String>) -> Cell {
    let mut text = format!("{}: {}", words::long_day(day.date), day.standing.word());
    let nights: Vec<_> = day.nights.iter().filter_map(|place| model.nights.get(*place)).collect();
    let regular: Vec<_> = nights.iter().filter(|night| night.is_regular).collect();
    match regular.as_slice() {
        [] => {}
        [night] => {
            let listed = &night.listed;
            if listed.state == State::Ready {
                text.push_str(&format!(", {}", words::size(listed.bytes)));
            }
            if listed.verified.is_some() && day.damaged == 0 {
                text.push_str(", verified");
            }
        }
        several => {
            let ready = several.iter().filter(|night| night.listed.state == State::Ready).count();
            text.push_str(&format!(", {ready} of {} nights sealed", several.len()));
        }
    }
    if day.is_proven {
        text.push_str(", restore proven");
    }
    if day.damaged > 0 {
        text.push_str(&format!(", {} damaged", words::of(day.damaged, "object")));
    }
    let labelled: Vec<&str> =
        nights.iter().filter(|night| !night.is_regular).map(|night| night.listed.container.as_str()).collect();
    if !labelled.is_empty() {
        text.push_str(&format!("; also {}", labelled.join(", ")));
    }
    Cell {
        date: day.date,
        number: day.date.day(),
        state: day.standing.name(),
        sign: day.standing.sign(),
        mark: match (day.damaged > 0, day.is_proven) {
            (true, _) => "!",
            (false, true) => "R",
            (false, false) => "",
        },
        is_damaged: day.damaged > 0,
        text,
        anchor,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::model::samples::{at, model, ready, restored};

    #[test]
    fn days_stand_below_their_weekday_and_beside_their_week() {
        // The last day of a year is a Thursday, and the first of the next lies in its week 53.
        let mut nights = vec![ready("2015-12-31"), ready("2016-01-01"), ready("2016-01-04")];
        nights[2].listed.restored = vec![restored(Some(true))];
        nights.push(ready("2016-01-04"));
        nights[3].is_regular = false;
        nights[3].listed.container = "2016-01-04_before-upgrade".to_owned();
        let model = model(nights, at("2016-01-05", "08:00:00"));
        let (months, older) = months(&model, shown(&model));
        assert!(older.is_empty());
        let shown: Vec<String> = months
            .iter()
            .flat_map(|month| {
                let named = |week: &Week| {
                    let days = week
                        .days
                        .iter()
                        .map(|day| day.as_ref().map_or("  ".to_owned(), |day| format!("{:2}", day.number)));
                    format!("{} {:2}: {}", month.name, week.number, days.collect::<Vec<_>>().join(" "))
                        .trim_end()
                        .to_owned()
                };
                month.weeks.iter().map(named).collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(
            shown,
            ["January 2016 53:              1  2  3", "January 2016  1:  4", "December 2015 53:          31",]
        );
        let fourth = months[0].weeks[1].days[0].as_ref().unwrap();
        assert_eq!(fourth.text, "4 January 2016: sealed, 1000 B, restore proven; also 2016-01-04_before-upgrade");
        assert_eq!((fourth.sign, fourth.mark, fourth.anchor.as_deref()), ("✓", "R", None));
        let third = months[0].weeks[0].days[6].as_ref().unwrap();
        assert_eq!((third.state, third.anchor.as_deref()), ("STATUS_MISSING", Some("trouble-2016-01-02")));
    }
}
