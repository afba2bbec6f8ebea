//! Names with `*` and `?`, which stand for measurements.

/// Whether a measurement is one of those that were asked for: by its name, or by a pattern that stands for it.
pub(crate) fn is_meant(asked: &[String], measurement: &str) -> bool {
    asked.iter().any(|name| name == measurement || is_pattern(name) && matches(name, measurement))
}

/// Whether a name stands for others.
pub(crate) fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?'])
}

/// Whether a pattern stands for a name: `*` is any text, `?` any one character.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
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
