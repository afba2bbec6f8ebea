//! Which measurements are meant by names with `*` and `?`.

use super::source::Source;
use crate::glob::{self, is_pattern, matches};
use crate::{Error, Kind};

/// The measurements that are meant.
#[derive(Debug)]
pub(super) struct Selected {
    pub(super) measurements: Vec<String>,
    /// Whether another day may have more of them.
    pub(super) may_grow: bool,
}

/// The measurements of a policy for which the asked names stand, in their order. A measurement that is called like a pattern
/// is one of those that the pattern stands for: else whoever may write a point could hide all others behind it.
pub(super) async fn expand(source: &Source, database: &str, policy: &str, asked: &[String]) -> Result<Selected, Error> {
    let patterns = asked.iter().any(|name| is_pattern(name));
    if !patterns && asked.len() < 2 {
        return Ok(Selected { measurements: asked.to_vec(), may_grow: false });
    }
    let there = source.in_policy(database, policy).await?;
    let mut measurements = Vec::new();
    for name in asked {
        if !is_pattern(name) {
            measurements.push(name.clone());
            continue;
        }
        let before = measurements.len();
        measurements.extend(there.iter().filter(|measurement| matches(name, measurement)).cloned());
        // That nothing at all is there yet is no mistake of whoever asks for everything.
        if measurements.len() == before && name != "*" {
            let message = format!("no measurement of {database}.{policy} is called like {name}");
            let shown = there.iter().take(20).cloned().collect::<Vec<_>>().join(", ");
            return Err(Error::new(Kind::Usage, message).hint(match shown.is_empty() {
                true => "it has none".to_owned(),
                false => format!("there are {shown}"),
            }));
        }
    }
    let may_grow = patterns || measurements.iter().any(|name| !there.contains(name));
    Ok(Selected { measurements, may_grow })
}

/// The measurements among `there` for which the asked names stand.
pub(super) fn selected(asked: &[String], there: &[String]) -> Vec<String> {
    there.iter().filter(|measurement| glob::is_meant(asked, measurement)).cloned().collect()
}
