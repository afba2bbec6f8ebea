//! Times that stand in a block more than once, as very old servers wrote them.

use crate::{Points, Strings, Values};

/// Keeps of equal times that follow each other the last, with its value.
pub(super) fn keep_the_last(points: &mut Points) {
    let mut kept: Vec<bool> = points.times.windows(2).map(|pair| pair.first() != pair.last()).collect();
    kept.push(true);
    retain(&mut points.times, &kept);
    match &mut points.values {
        Values::Float(values) => retain(values, &kept),
        Values::Integer(values) => retain(values, &kept),
        Values::Boolean(values) => retain(values, &kept),
        Values::Unsigned(values) => retain(values, &kept),
        Values::String(values) => {
            let mut remaining = Strings::default();
            values.iter().zip(&kept).filter(|(_, kept)| **kept).for_each(|(value, _)| remaining.push(value));
            *values = remaining;
        }
    }
}

fn retain<T>(items: &mut Vec<T>, kept: &[bool]) {
    let mut kept = kept.iter();
    items.retain(|_| kept.next().copied().unwrap_or_default());
}
