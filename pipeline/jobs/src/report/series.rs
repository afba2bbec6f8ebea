//! Sizes and durations from night to night, thinned to as many as a chart can show.

use chrono::{Datelike, NaiveDate};

use super::model::{Model, Night};

/// So many places a chart has at most.
const PLACES: usize = 366;

/// A night, or a few in a row where there are more than a chart can show.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Place {
    pub(super) from: NaiveDate,
    pub(super) to: NaiveDate,
    /// The container of a night that is alone.
    pub(super) container: Option<String>,
    /// How many nights it stands for.
    pub(super) nights: usize,
    /// Where it lies in time: the number of its last day, with a fraction where days have several nights.
    pub(super) when: f64,
    /// Bytes of its last night.
    pub(super) bytes: u64,
    /// Points of its last night.
    pub(super) points: Option<u64>,
    /// Bytes that its nights sent, together.
    pub(super) sent: Option<u64>,
    /// Bytes that its nights added to the archive, together.
    pub(super) added: Option<u64>,
    /// By how many bytes its last night is larger than the one before its first.
    pub(super) growth: Option<f64>,
    /// The longest backup, in seconds.
    pub(super) backup: Option<f64>,
    /// The longest restore.
    pub(super) restore: Option<f64>,
    /// The longest time in which dumps were made.
    pub(super) dump: Option<f64>,
}

/// The sealed nights, the oldest first.
pub(super) fn of(model: &Model) -> Vec<Place> {
    let nights: Vec<&Night> = model.nights.iter().filter(|night| night.is_good()).collect();
    let at_once = nights.len().div_ceil(PLACES).max(1);
    let mut before = None;
    let places = nights.chunks(at_once).enumerate().filter_map(|(number, chunk)| {
        let (first, last) = (chunk.first()?, chunk.last()?);
        let bytes = last.listed.bytes;
        let growth = before.map(|before: u64| bytes as f64 - before as f64);
        before = Some(bytes);
        let longest = |of: fn(&Night) -> Option<f64>| chunk.iter().filter_map(|night| of(night)).max_by(f64::total_cmp);
        let sum = |of: fn(&Night) -> Option<u64>| {
            chunk.iter().try_fold(0_u64, |sum, night| Some(sum.saturating_add(of(night)?)))
        };
        Some(Place {
            from: first.listed.night,
            to: last.listed.night,
            container: (chunk.len() == 1).then(|| last.listed.container.clone()),
            nights: chunk.len(),
            when: when(&nights, number * at_once + chunk.len() - 1, last.listed.night),
            bytes,
            points: last.listed.points,
            sent: sum(|night| night.listed.sent_bytes),
            added: sum(|night| night.listed.added_bytes),
            growth,
            backup: longest(Night::backed_up),
            restore: longest(|night| night.restore().map(|it| super::model::seconds(it.finished - it.started))),
            dump: longest(|night| night.dumped),
        })
    });
    places.collect()
}

/// Nights of one day lie beside each other.
fn when(nights: &[&Night], place: usize, day: NaiveDate) -> f64 {
    let same = |night: &&&Night| night.listed.night == day;
    let before = nights.iter().take(place).rev().take_while(same).count();
    let after = nights.iter().skip(place).take_while(same).count();
    f64::from(day.num_days_from_ce()) + before as f64 / (before + after).max(1) as f64
}

#[cfg(test)]
mod tests {
    use chrono::Days;

    use super::*;
    use crate::list::State;
    use crate::report::model::samples::{at, model, night, ready, restored};

    #[test]
    fn growth_is_between_good_nights_that_follow_each_other() {
        let mut nights =
            vec![ready("2016-06-11"), night("2016-06-12", State::Error), ready("2016-06-13"), ready("2016-06-14")];
        nights[2].listed.bytes = 1500;
        nights[2].listed.restored = vec![restored(Some(true))];
        nights[2].dumped = Some(7.0);
        nights[3].listed.bytes = 1200;
        nights[3].listed.added_bytes = None;
        let places = of(&model(nights, at("2016-06-15", "08:00:00")));
        let shown: Vec<_> =
            places.iter().map(|it| (it.from.to_string(), it.growth, it.backup, it.restore, it.dump)).collect();
        assert_eq!(
            shown,
            [
                ("2016-06-11".to_owned(), None, Some(300.0), None, None),
                ("2016-06-13".to_owned(), Some(500.0), Some(300.0), Some(120.0), Some(7.0)),
                ("2016-06-14".to_owned(), Some(-300.0), Some(300.0), None, None),
            ]
        );
        assert_eq!(places[1].when - places[0].when, 2.0);
        assert_eq!(
            places.iter().map(|it| (it.sent, it.added)).collect::<Vec<_>>()[1..],
            [(Some(300), Some(200)), (Some(300), None)]
        );
    }

    #[test]
    fn ten_thousand_nights_are_thinned_and_the_longest_of_them_is_kept() {
        let first: NaiveDate = "1990-01-01".parse().unwrap();
        let mut nights: Vec<Night> = (0..10_000).map(|day| ready(&(first + Days::new(day)).to_string())).collect();
        for (day, night) in nights.iter_mut().enumerate() {
            night.listed.bytes = day as u64;
        }
        nights[5000].listed.started = Some(nights[5000].listed.sealed.unwrap() - chrono::TimeDelta::hours(3));
        let places = of(&model(nights, at("2017-05-20", "08:00:00")));
        assert!(places.len() <= PLACES && places.len() > PLACES / 2, "{}", places.len());
        assert_eq!(places.iter().map(|place| place.nights).sum::<usize>(), 10_000);
        assert_eq!(places.iter().filter(|place| place.backup == Some(10_800.0)).count(), 1);
        assert_eq!(places.last().unwrap().bytes, 9_999);
        assert_eq!(places.iter().filter_map(|place| place.added).sum::<u64>(), 2_000_000);
        assert_eq!(places.iter().filter_map(|place| place.sent).sum::<u64>(), 3_000_000);
        let grown: f64 = places.iter().filter_map(|place| place.growth).sum();
        assert_eq!(grown, 9_999.0 - places[0].bytes as f64);
    }

    #[test]
    fn hours_of_a_day_lie_beside_each_other() {
        let hours = (0..4).map(|_| ready("2016-06-11")).collect();
        let places = of(&model(hours, at("2016-06-12", "08:00:00")));
        let from = places[0].when;
        assert_eq!(places.iter().map(|place| place.when - from).collect::<Vec<_>>(), [0.0, 0.25, 0.5, 0.75]);
    }
}
