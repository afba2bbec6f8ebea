//! Charts, as inline SVG: the drawing stretches with the page, and what is written stands beside it as text.

use crate::report::series::Place;
use crate::report::words;

/// The drawing's own measures; the page stretches it to its own.
const WIDTH: f64 = 1000.0;
const HEIGHT: f64 = 300.0;

/// So many values have a dot each.
const DOTS: usize = 62;

/// A chart.
pub(super) struct Chart {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    /// The newest value.
    pub(super) newest: String,
    /// What it shows, in a sentence.
    pub(super) description: String,
    /// What stands at its left side, from top to bottom, evenly.
    pub(super) ticks: Vec<String>,
    /// The heights of lines across it.
    pub(super) lines: Vec<String>,
    /// The line of values, and the area below it.
    pub(super) path: String,
    pub(super) area: String,
    /// Dots of the values, where they are few.
    pub(super) dots: String,
    pub(super) bars: Vec<Bar>,
    /// What the mouse is told.
    pub(super) spots: Vec<Spot>,
    /// Its first and last night.
    pub(super) ends: [String; 2],
}

pub(super) struct Bar {
    pub(super) x: String,
    pub(super) y: String,
    pub(super) width: String,
    pub(super) height: String,
    pub(super) is_less: bool,
}

pub(super) struct Spot {
    pub(super) x: String,
    pub(super) width: String,
    pub(super) text: String,
}

/// How values are said, and in which units an axis may count.
struct Scale {
    say: fn(f64) -> String,
    units: &'static [(f64, &'static str)],
}

const BYTES: Scale = Scale {
    say: |bytes| words::size(bytes as u64),
    units: &[(1.0, "B"), (1024.0, "KiB"), (1_048_576.0, "MiB"), (1_073_741_824.0, "GiB"), (1_099_511_627_776.0, "TiB")],
};
const CHANGE: Scale = Scale { say: words::change, ..BYTES };
const SECONDS: Scale = Scale { say: words::length, units: &[(1.0, "s"), (60.0, "min"), (3600.0, "h")] };

/// A value at a place.
struct Point<'a> {
    place: &'a Place,
    value: f64,
}

/// All charts that have something to show.
pub(super) fn all(places: &[Place]) -> Vec<Chart> {
    let mut charts = Vec::new();
    let mut add = |id, title, scale: &Scale, is_bars, what: &str, value: fn(&Place) -> Option<f64>| {
        let points: Vec<Point<'_>> =
            places.iter().filter_map(|place| Some(Point { place, value: value(place)? })).collect();
        charts.extend(chart(id, title, scale, is_bars, what, places, &points));
    };
    add("size", "Size of a night", &BYTES, false, "bytes of a night", |place| Some(place.bytes as f64));
    add(
        "growth",
        "Growth from night to night",
        &CHANGE,
        true,
        "by how many bytes a night is larger than the one before",
        |place| place.growth,
    );
    add("sent", "Sent by the backup", &BYTES, true, "how many bytes the backup of a night sent", |place| {
        place.sent.map(|bytes| bytes as f64)
    });
    add(
        "added",
        "Added to the archive",
        &BYTES,
        true,
        "how many bytes a night has that no night before it has",
        |place| place.added.map(|bytes| bytes as f64),
    );
    add("backup", "Duration of the backup", &SECONDS, false, "how long a backup took", |place| place.backup);
    add("restore", "Duration of the restore", &SECONDS, false, "how long the last restore of a night took", |place| {
        place.restore
    });
    add("dump", "Duration of the dumps", &SECONDS, false, "how long the dumps of a night took", |place| place.dump);
    charts
}

fn chart(
    id: &'static str,
    title: &'static str,
    scale: &Scale,
    is_bars: bool,
    what: &str,
    places: &[Place],
    points: &[Point<'_>],
) -> Option<Chart> {
    let (newest, first, last) = (points.last()?, places.first()?, places.last()?);
    let least = points.iter().map(|point| point.value).fold(0.0, f64::min);
    let most = points.iter().map(|point| point.value).fold(0.0, f64::max);
    let axis = Axis::of(least, most, scale.units);
    let days = last.when - first.when + 1.0;
    let frame = Frame { axis, first: first.when, days };
    let say = scale.say;
    let low = say(points.iter().map(|point| point.value).fold(f64::INFINITY, f64::min));
    let high = say(points.iter().map(|point| point.value).fold(f64::NEG_INFINITY, f64::max));
    let ends = [first.from.to_string(), last.to.to_string()];
    let [from, to] = &ends;
    let newest = say(newest.value);
    let description = format!("{what}, {from} to {to}: from {low} to {high}, the newest {newest}");
    let (path, area, dots, bars) = match is_bars {
        true => (String::new(), String::new(), String::new(), frame.bars(points)),
        false => (frame.path(points), frame.area(points), frame.dots(points), Vec::new()),
    };
    Some(Chart {
        id,
        title,
        newest,
        description,
        lines: frame.axis.values().map(|value| short(frame.y(value))).collect(),
        ticks: frame.axis.values().map(|value| frame.axis.say(value)).collect(),
        path,
        area,
        dots,
        bars,
        spots: frame.spots(points, say),
        ends,
    })
}

/// What the axis of values spans, in steps that people can read.
struct Axis {
    bottom: f64,
    step: f64,
    steps: u32,
    unit: (f64, &'static str),
}

impl Axis {
    /// From 0, or from below it, to `most` or somewhat more.
    fn of(least: f64, most: f64, units: &[(f64, &'static str)]) -> Axis {
        let most = if most > least { most } else { least + 1.0 };
        let largest = most.max(-least);
        let unit =
            units.iter().rev().find(|(size, _)| largest >= *size).or(units.first()).copied().unwrap_or((1.0, ""));
        let span = (most - least) / unit.0;
        // 1, 2 or 5 of some power of ten, so that there are two to five steps.
        let power = 10f64.powf((span / 4.0).log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|of| of * power).into_iter().find(|step| span / step <= 4.0);
        let step = step.unwrap_or(10.0 * power);
        let bottom = (least / unit.0 / step).floor();
        let top = (most / unit.0 / step).ceil().max(bottom + 1.0);
        Axis { bottom: bottom * step, step, steps: (top - bottom) as u32, unit }
    }

    /// What stands at the axis, from top to bottom.
    fn values(&self) -> impl Iterator<Item = f64> {
        (0..=self.steps).rev().map(|step| (self.bottom + f64::from(step) * self.step) * self.unit.0)
    }

    fn say(&self, value: f64) -> String {
        let value = value / self.unit.0;
        let decimals = (-self.step.log10().floor()).clamp(0.0, 9.0) as usize;
        let text = format!("{value:.decimals$}").replace('-', "−");
        if value == 0.0 { "0".to_owned() } else { format!("{text} {}", self.unit.1) }
    }
}

/// From values to places in the drawing.
struct Frame {
    axis: Axis,
    first: f64,
    days: f64,
}

impl Frame {
    fn x(&self, place: &Place) -> f64 {
        (place.when - self.first + 0.5) / self.days * WIDTH
    }

    fn y(&self, value: f64) -> f64 {
        let axis = &self.axis;
        let above = value / axis.unit.0 - axis.bottom;
        HEIGHT - above / (axis.step * f64::from(axis.steps)) * HEIGHT
    }

    /// Points that follow each other without a night between them that is missing.
    fn runs<'a, 'b>(&self, points: &'a [Point<'b>]) -> impl Iterator<Item = &'a [Point<'b>]> {
        points.chunk_by(|one, other| (other.place.from - one.place.to).num_days() <= 1)
    }

    fn path(&self, points: &[Point<'_>]) -> String {
        self.runs(points).map(|run| self.line('M', run)).collect()
    }

    fn line(&self, begin: char, run: &[Point<'_>]) -> String {
        let mut text = String::new();
        for (number, point) in run.iter().enumerate() {
            let command = if number == 0 { begin } else { 'L' };
            text.push_str(&format!("{command}{} {}", short(self.x(point.place)), short(self.y(point.value))));
        }
        text
    }

    /// What lies between the line and nothing.
    fn area(&self, points: &[Point<'_>]) -> String {
        let mut text = String::new();
        for run in self.runs(points) {
            if let (Some(first), Some(last)) = (run.first(), run.last()) {
                let (from, to, zero) = (short(self.x(first.place)), short(self.x(last.place)), short(self.y(0.0)));
                text.push_str(&format!("M{from} {zero}{}L{to} {zero}Z", self.line('L', run)));
            }
        }
        text
    }

    /// Lines of no length with round ends, which are round however the drawing is stretched: of all values where they are
    /// few, else of those that stand alone.
    fn dots(&self, points: &[Point<'_>]) -> String {
        let is_few = points.len() <= DOTS;
        let runs = self.runs(points).filter(|run| is_few || run.len() == 1);
        let dot = |point: &Point<'_>| format!("M{} {}h0", short(self.x(point.place)), short(self.y(point.value)));
        runs.flatten().map(dot).collect()
    }

    fn bars(&self, points: &[Point<'_>]) -> Vec<Bar> {
        let width = (WIDTH / self.days * 0.7).max(WIDTH / 600.0);
        let bar = |point: &Point<'_>| {
            let (zero, end) = (self.y(0.0), self.y(point.value));
            Bar {
                x: short(self.x(point.place) - width / 2.0),
                y: short(zero.min(end)),
                width: short(width),
                height: short((zero - end).abs()),
                is_less: point.value < 0.0,
            }
        };
        points.iter().map(bar).collect()
    }

    /// Strips from the middle between two values to the next, which say what the value is.
    fn spots(&self, points: &[Point<'_>], say: fn(f64) -> String) -> Vec<Spot> {
        let middle = |one: Option<&Point<'_>>, other: Option<&Point<'_>>| match (one, other) {
            (Some(one), Some(other)) => (self.x(one.place) + self.x(other.place)) / 2.0,
            (None, _) => 0.0,
            (_, None) => WIDTH,
        };
        let spot = |(number, point): (usize, &Point<'_>)| {
            let before = number.checked_sub(1).and_then(|number| points.get(number));
            let (from, to) = (middle(before, Some(point)), middle(Some(point), points.get(number + 1)));
            let night =
                point.place.container.clone().unwrap_or_else(|| format!("{} to {}", point.place.from, point.place.to));
            Spot { x: short(from), width: short(to - from), text: format!("{night}: {}", say(point.value)) }
        };
        points.iter().enumerate().map(spot).collect()
    }
}

/// A number with one decimal, or none where that is enough.
fn short(number: f64) -> String {
    let text = format!("{number:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::model::samples::{at, model, ready};
    use crate::report::series;

    #[test]
    fn an_axis_counts_in_steps_that_people_can_read() {
        let shown = |least, most, scale: &Scale| {
            let axis = Axis::of(least, most, scale.units);
            axis.values().map(|value| axis.say(value)).collect::<Vec<_>>().join(" | ")
        };
        assert_eq!(shown(0.0, 1000.0, &BYTES), "1000 B | 500 B | 0");
        assert_eq!(shown(0.0, 1.3 * 1_073_741_824.0, &BYTES), "1.5 GiB | 1.0 GiB | 0.5 GiB | 0");
        assert_eq!(shown(-300.0, 500.0, &CHANGE), "600 B | 400 B | 200 B | 0 | −200 B | −400 B");
        assert_eq!(shown(0.0, 0.0, &SECONDS), shown(0.0, 1.0, &SECONDS));
        assert_eq!(shown(0.0, 1.0, &SECONDS), "1.0 s | 0.5 s | 0");
        assert_eq!(shown(0.0, 312.0, &SECONDS), "6 min | 4 min | 2 min | 0");
        assert_eq!(shown(0.0, 0.31, &SECONDS), "0.4 s | 0.3 s | 0.2 s | 0.1 s | 0");
    }

    #[test]
    fn a_line_breaks_where_nights_are_missing() {
        let mut nights = vec![ready("2016-06-11"), ready("2016-06-12"), ready("2016-06-14"), ready("2016-06-15")];
        nights[1].listed.bytes = 500;
        let places = series::of(&model(nights, at("2016-06-16", "08:00:00")));
        let charts = all(&places);
        assert_eq!(
            charts.iter().map(|chart| chart.id).collect::<Vec<_>>(),
            ["size", "growth", "sent", "added", "backup"]
        );
        assert_eq!(charts[0].path, "M100 0L300 150M700 0L900 0");
        assert_eq!(charts[0].area, "M100 300L100 0L300 150L300 300ZM700 300L700 0L900 0L900 300Z");
        assert_eq!(charts[0].dots, "M100 0h0M300 150h0M700 0h0M900 0h0");
        assert_eq!(charts[0].spots[1].text, "2016-06-12: 500 B");
        assert_eq!(charts[1].bars.iter().map(|bar| bar.is_less).collect::<Vec<_>>(), [true, false, false]);
        assert!(charts[4].description.contains("from 5 min 0 s to 5 min 0 s"), "{}", charts[4].description);
    }

    #[test]
    fn nothing_to_show_is_no_chart() {
        assert!(all(&[]).is_empty());
    }
}
