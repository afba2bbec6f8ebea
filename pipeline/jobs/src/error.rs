//! How a job ends when it does not end well.

use std::fmt;

use crate::spool::Full;

/// What kind of end it is; each is one exit code of the programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The job failed.
    Failed,
    /// Flags, configuration or the state of things do not allow what was asked for.
    Usage,
    /// There is no such backup or dump.
    Missing,
    /// Verification found damage.
    Damage,
    /// Another run is at it.
    Locked,
    /// A passing failure: nothing was changed, and later it may go well.
    Passing,
}

/// An error of a job: what was being done, to what, what came back, and what to do.
#[derive(Debug)]
pub struct Error {
    kind: Kind,
    message: String,
    hint: Option<String>,
}

impl Error {
    /// An error without a hint. The message is lower case and has no final dot.
    #[must_use]
    pub fn new(kind: Kind, message: impl Into<String>) -> Error {
        Error { kind, message: message.into(), hint: None }
    }

    /// Says what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Error {
        self.hint = Some(hint.into());
        self
    }

    /// Says what was being done when it happened.
    #[must_use]
    pub fn during(mut self, what: impl fmt::Display) -> Error {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// Once something was changed, a passing failure is a failure: the same command may find another state.
    #[must_use]
    pub fn after_changes(mut self) -> Error {
        if self.kind == Kind::Passing {
            self.kind = Kind::Failed;
        }
        self
    }

    /// The job was asked to end.
    #[must_use]
    pub fn interrupted() -> Error {
        Error::new(Kind::Failed, "interrupted")
    }

    /// Whether the job was asked to end.
    pub(crate) fn is_interruption(&self) -> bool {
        self.message == Error::interrupted().message
    }

    /// The kind of end.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What to do, where there is something to say.
    #[must_use]
    pub fn hint_text(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// The same on one line, for a list of what failed.
    pub(crate) fn with_hint(&self) -> String {
        self.hint.as_ref().map_or_else(|| self.message.clone(), |hint| format!("{} ({hint})", self.message))
    }

    pub(crate) fn io(operation: impl fmt::Display, error: &std::io::Error) -> Error {
        if let Some(full) = error.get_ref().and_then(|inner| inner.downcast_ref::<Full>()) {
            return full.error(operation);
        }
        let failed = Error::new(Kind::Failed, format!("cannot {operation}: {error}"));
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                failed.hint("the disk is full; free space there, or name another folder with --spool")
            }
            std::io::ErrorKind::PermissionDenied => {
                failed.hint("the user that runs this needs to read and write there")
            }
            _ => failed,
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

fn from_library(message: String, hint: Option<String>, kind: Kind) -> Error {
    Error { kind, message, hint }
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Error {
        let kind = match &error {
            store::Error::Settings { .. } | store::Error::Unauthorized { .. } => Kind::Usage,
            _ if error.is_passing() => Kind::Passing,
            _ => Kind::Failed,
        };
        from_library(error.to_string(), error.hint(), kind)
    }
}

impl From<influx::Error> for Error {
    fn from(error: influx::Error) -> Error {
        let kind = match &error {
            influx::Error::UnknownDatabase { .. }
            | influx::Error::UnsupportedVersion { .. }
            | influx::Error::Certificate { .. }
            | influx::Error::Unauthorized { .. }
            | influx::Error::Settings { .. } => Kind::Usage,
            _ if error.is_passing() => Kind::Passing,
            _ => Kind::Failed,
        };
        from_library(error.to_string(), error.hint(), kind)
    }
}

impl From<archive::Error> for Error {
    fn from(error: archive::Error) -> Error {
        match error {
            archive::Error::Store(error) => error.into(),
            archive::Error::Missing { .. } => from_library(error.to_string(), error.hint(), Kind::Missing),
            archive::Error::Unreadable { .. } | archive::Error::Misplaced { .. } => {
                from_library(error.to_string(), error.hint(), Kind::Damage)
            }
            archive::Error::Usage { .. } | archive::Error::NewerFormat { .. } => {
                from_library(error.to_string(), error.hint(), Kind::Usage)
            }
            _ => from_library(error.to_string(), error.hint(), Kind::Failed),
        }
    }
}
