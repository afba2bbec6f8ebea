//! What a check found, and how it is told: a line each, with what to do below what is wrong.

use serde::Serialize;

use crate::{Error, Metric};

/// How something stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// It holds.
    Ok,
    /// It does not, or could not be found out.
    Failed,
    /// It holds for tonight, but a person should know of it.
    Warning,
    /// It was not looked at: it does not apply, or what it needs is missing already.
    Skipped,
}

impl Status {
    fn mark(self) -> char {
        match self {
            Status::Ok => '✓',
            Status::Failed => '✗',
            Status::Warning => '!',
            Status::Skipped => '–',
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Its name, which stays the same: `source.http`.
    pub id: String,
    /// How it stands.
    pub status: Status,
    /// What was found, in one line.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Check {
    fn new(id: &str, status: Status, message: String, hint: Option<String>) -> Check {
        let message = message.lines().collect::<Vec<_>>().join(" ");
        Check { id: id.to_owned(), status, message, hint }
    }

    pub(super) fn ok(id: &str, message: impl Into<String>) -> Check {
        Check::new(id, Status::Ok, message.into(), None)
    }

    pub(super) fn skipped(id: &str, message: impl Into<String>) -> Check {
        Check::new(id, Status::Skipped, message.into(), None)
    }

    pub(super) fn warning(id: &str, message: impl Into<String>, hint: impl Into<String>) -> Check {
        Check::new(id, Status::Warning, message.into(), Some(hint.into()))
    }

    pub(super) fn wrong(id: &str, message: impl Into<String>, hint: impl Into<String>) -> Check {
        Check::new(id, Status::Failed, message.into(), Some(hint.into()))
    }

    pub(super) fn failed(id: &str, error: &Error) -> Check {
        let hint = error.hint_text().unwrap_or("run the same command again with -v, which says more");
        Check::wrong(id, error.to_string(), hint)
    }
}

/// How ready this machine is. Printed with `--json`: members are added, never changed.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// Whether nothing is wrong.
    pub ready: bool,
    /// Everything that was looked at.
    pub checks: Vec<Check>,
    /// Age of the newest backup in seconds; null where there is none, or nobody could tell.
    pub backup_age_seconds: Option<i64>,
    /// Age of the newest restore that was proven, in seconds.
    pub restore_age_seconds: Option<i64>,
    /// What is wrong, each in a line.
    pub failures: Vec<String>,
}

impl Outcome {
    pub(super) fn new(checks: Vec<Check>, ages: (Option<i64>, Option<i64>)) -> Outcome {
        let wrong = checks.iter().filter(|check| check.status == Status::Failed);
        let failures: Vec<String> = wrong.map(|check| format!("{}: {}", check.id, check.message)).collect();
        let (backup_age_seconds, restore_age_seconds) = ages;
        Outcome { ready: failures.is_empty(), checks, backup_age_seconds, restore_age_seconds, failures }
    }

    /// A line for each check, and hints below what needs them.
    #[must_use]
    pub fn summary(&self) -> String {
        let width = self.checks.iter().map(|check| check.id.len()).max().unwrap_or(0);
        let mut text = String::new();
        for Check { id, status, message, hint } in &self.checks {
            text.push_str(&format!("{} {id:width$}  {message}\n", status.mark()));
            if let Some(hint) = hint {
                text.push_str(&format!("  {:width$}  hint: {hint}\n", ""));
            }
        }
        text.push_str(&match self.failures.len() {
            0 => "ready for the night\n".to_owned(),
            1 => "not ready: 1 thing is wrong\n".to_owned(),
            wrong => format!("not ready: {wrong} things are wrong\n"),
        });
        text
    }

    /// The same for monitoring.
    #[must_use]
    pub fn metrics(&self) -> Vec<Metric> {
        let ready = Metric::new("nightshard_check_ready", "Whether nothing is wrong", f64::from(u8::from(self.ready)));
        let looked_at = self.checks.iter().filter(|check| check.status != Status::Skipped);
        let each = looked_at.map(|check| {
            let holds = f64::from(u8::from(check.status != Status::Failed));
            Metric::new("nightshard_check_ok", "Whether this holds", holds).with("check", &check.id)
        });
        let age = |name, help, age: Option<i64>| age.map(|seconds| Metric::new(name, help, seconds as f64));
        let ages = [
            age("nightshard_check_backup_age_seconds", "Age of the newest backup", self.backup_age_seconds),
            age("nightshard_check_restore_age_seconds", "Age of the newest proven restore", self.restore_age_seconds),
        ];
        std::iter::once(ready).chain(each).chain(ages.into_iter().flatten()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_check_is_a_line_and_what_is_wrong_has_its_hint_below() {
        let checks = vec![
            Check::ok("source.http", "it answers"),
            Check::wrong("source.snapshot", "nobody\nis there", "start it"),
            Check::skipped("target.http", "there is none"),
            Check::warning("a", "odd", "look"),
        ];
        let outcome = Outcome::new(checks, (Some(60), None));
        assert_eq!(
            outcome.summary(),
            "✓ source.http      it answers\n\
             ✗ source.snapshot  nobody is there\n                   hint: start it\n\
             – target.http      there is none\n\
             ! a                odd\n                   hint: look\n\
             not ready: 1 thing is wrong\n"
        );
        assert_eq!(outcome.failures, ["source.snapshot: nobody is there"]);
        let metrics = outcome.metrics();
        let of = |id: &str| metrics.iter().find(|it| it.labels == [("check", id.to_owned())]).map(|it| it.value);
        assert_eq!((of("source.http"), of("source.snapshot"), of("a")), (Some(1.0), Some(0.0), Some(1.0)));
        assert_eq!(of("target.http"), None, "what was not looked at is neither");
        assert!(metrics.contains(&Metric::new("nightshard_check_ready", "Whether nothing is wrong", 0.0)));
    }
}
