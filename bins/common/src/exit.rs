//! How a program ends: its exit code, and what it says when it did not end well.

use std::fmt;
use std::process::ExitCode;

/// The exit codes, an interface that scripts and monitoring rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    /// Done, or nothing to do.
    Done = 0,
    /// Failed.
    Failed = 1,
    /// Wrong usage or configuration.
    Usage = 2,
    /// Finished, but some items failed.
    SomeFailed = 3,
    /// No such backup or dump.
    Missing = 4,
    /// Verification found damage.
    Damage = 5,
    /// Another run holds the lock.
    Locked = 6,
    /// A passing failure, `EX_TEMPFAIL` of `sysexits.h`.
    Passing = 75,
    /// Ended by a hangup, interrupt or termination: 128 and the signal's number, as shells say it.
    Hangup = 129,
    /// See [`Code::Hangup`].
    Interrupted = 130,
    /// See [`Code::Hangup`].
    Terminated = 143,
}

/// What `--help` and the manual say of each code.
pub(crate) const TABLE: [(&str, &str); 9] = [
    ("0", "done, or nothing to do"),
    ("1", "failed"),
    ("2", "wrong usage or configuration"),
    ("3", "finished, but some items failed, each named"),
    ("4", "no such backup or dump"),
    ("5", "verification found damage"),
    ("6", "another run holds the lock"),
    ("75", "a passing failure, worth trying again"),
    ("128+n", "ended by signal n"),
];

/// The section of every `--help`, in two columns so that all of it stays on a screen.
pub(crate) fn help() -> String {
    let half = TABLE.len().div_ceil(2);
    let mut text = "Exit status:\n".to_owned();
    for (index, (code, meaning)) in TABLE[..half].iter().enumerate() {
        let cell = format!("  {code:<2} {meaning}");
        text.push_str(&match TABLE.get(index + half) {
            Some((code, meaning)) => format!("{cell:<52}{code:<5} {meaning}\n"),
            None => format!("{cell}\n"),
        });
    }
    text
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> ExitCode {
        ExitCode::from(code as u8)
    }
}

/// The end of a program that did not do what it was asked for.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub code: Code,
    /// What was being done, to what, and what came back; lower case, without a final dot.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl Failure {
    /// Flags, environment or configuration cannot be right.
    pub fn usage(message: impl Into<String>, hint: impl Into<String>) -> Failure {
        Failure { code: Code::Usage, message: message.into(), hint: Some(hint.into()) }
    }

    /// Something that should have worked did not.
    pub fn failed(message: impl Into<String>) -> Failure {
        Failure { code: Code::Failed, message: message.into(), hint: None }
    }

    /// A job that a signal has ended, with what the job has said for its farewell.
    pub(crate) fn with(self, said: Failure) -> Failure {
        if said.message == jobs::Error::interrupted().to_string() {
            return self;
        }
        Failure { message: format!("{}: {}", self.message, said.message), hint: said.hint.or(self.hint), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<jobs::Error> for Failure {
    fn from(error: jobs::Error) -> Failure {
        let code = match error.kind() {
            jobs::Kind::Failed => Code::Failed,
            jobs::Kind::Usage => Code::Usage,
            jobs::Kind::Missing => Code::Missing,
            jobs::Kind::Damage => Code::Damage,
            jobs::Kind::Locked => Code::Locked,
            jobs::Kind::Passing => Code::Passing,
        };
        Failure { code, message: error.to_string(), hint: error.hint_text().map(str::to_owned) }
    }
}

/// For a job that goes on although the door could not prepare everything for it.
impl From<Failure> for jobs::Error {
    fn from(failure: Failure) -> jobs::Error {
        let kind = match failure.code {
            Code::Usage => jobs::Kind::Usage,
            Code::Missing => jobs::Kind::Missing,
            Code::Damage => jobs::Kind::Damage,
            Code::Locked => jobs::Kind::Locked,
            Code::Passing => jobs::Kind::Passing,
            _ => jobs::Kind::Failed,
        };
        let error = jobs::Error::new(kind, failure.message);
        match failure.hint {
            Some(hint) => error.hint(hint),
            None => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_help_names_every_code_that_a_job_can_end_with() {
        let help = help();
        for code in [
            Code::Done,
            Code::Failed,
            Code::Usage,
            Code::SomeFailed,
            Code::Missing,
            Code::Damage,
            Code::Locked,
            Code::Passing,
        ] {
            let code = (code as u8).to_string();
            let (_, meaning) = TABLE.iter().find(|(known, _)| *known == code).unwrap();
            assert!(help.contains(&format!(" {code} ")) && help.contains(meaning), "{code:?} is not in\n{help}");
        }
    }
}
