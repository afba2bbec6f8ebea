//! Which measurements are meant by names with `*` and `?`.

use super::source::Source;
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
    let meant = |measurement: &&String| {
        asked.iter().any(|name| name == *measurement || is_pattern(name) && matches(name, measurement))
    };
    there.iter().filter(meant).cloned().collect()
}

fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?'])
}

/// Whether a pattern stands for a name: `*` is any text, `?` any one character.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut reached) = (0, 0);
    // The last star, and how far the name had been read when it was met; it takes one character more each time.
    let mut star: Option<(usize, usize)> = None;
    while reached < name.len() {
        match pattern.get(at) {
            Some('*') => {
                star = Some((at, reached));
                at += 1;
            }
            Some(&character) if character == '?' || character == name[reached] => {
                at += 1;
                reached += 1;
            }
            _ => match &mut star {
                Some((place, taken)) => {
                    *taken += 1;
                    (at, reached) = (*place + 1, *taken);
                }
                None => return false,
            },
        }
    }
    pattern[at..].iter().all(|&character| character == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_and_question_marks_stand_for_characters() {
        let table = [
            ("*", "", true),
            ("*", "cpu", true),
            ("cpu*", "cpu", true),
            ("cpu*", "cpu_load", true),
            ("cpu*", "my cpu", false),
            ("*load*", "cpu_load_1", true),
            ("a*b*c", "aXbXbXc", true),
            ("a*b*c", "aXbXbX", false),
            ("?pu", "cpu", true),
            ("?pu", "pu", false),
            ("é?", "éü", true),
            ("cpu", "cpu2", false),
        ];
        for (pattern, name, expected) in table {
            assert_eq!(matches(pattern, name), expected, "{pattern} for {name}");
        }
    }
}
