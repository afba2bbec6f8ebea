//! What can go wrong with a store, told so that a person can act on it.

use std::time::Duration;

/// An error of a [`Store`](crate::Store).
///
/// The text says what was being done, to what, and what came back; [`Error::hint`] says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The container or object does not exist.
    #[error("{object} does not exist in {location}")]
    NotFound {
        /// Container, or container and object.
        object: String,
        /// The store.
        location: String,
    },
    /// The store does not know these credentials (401).
    #[error("cannot {operation}: the credentials were refused ({reason})")]
    Unauthorized {
        /// What was being done.
        operation: String,
        /// What came back.
        reason: String,
    },
    /// The credentials are good, but not for this (403).
    #[error("cannot {operation}: {status} ({reason})")]
    Forbidden {
        /// What was being done.
        operation: String,
        /// HTTP status line, or the operating system's word.
        status: String,
        /// What came back.
        reason: String,
    },
    /// What stands in the store forbids it (409, 412), such as objects in a container that is to be removed.
    #[error("cannot {operation}: {status} ({reason})")]
    Conflict {
        /// What was being done.
        operation: String,
        /// HTTP status line, or the operating system's word.
        status: String,
        /// What came back.
        reason: String,
    },
    /// The store cannot do this here, such as a link between two disks.
    #[error("cannot {operation}: {reason}")]
    Unsupported {
        /// What was being done.
        operation: String,
        /// What came back.
        reason: String,
    },
    /// The object was replaced or deleted while it was being read.
    #[error("{object} was replaced while it was being read")]
    Changed {
        /// Container and object.
        object: String,
    },
    /// A name that the store cannot hold.
    #[error("{object:?} cannot be the name of an object here: {reason}")]
    InvalidName {
        /// The name as it was given.
        object: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No room: a quota (413, 507), or a full disk.
    #[error("cannot {operation}: {reason}{}", after(*tries, *elapsed))]
    Full {
        /// What was being done.
        operation: String,
        /// What came back.
        reason: String,
        /// How often it was tried.
        tries: u32,
        /// How long it was tried.
        elapsed: Duration,
    },
    /// The body did not have the declared length or digest, here or after its way.
    #[error("cannot {operation}: {what} is {actual}, but {declared} was declared")]
    Mismatch {
        /// What was being done.
        operation: String,
        /// `length`, `MD5` or `ETag`.
        what: &'static str,
        /// What was declared.
        declared: String,
        /// What was found.
        actual: String,
    },
    /// A download that ended too early, also when tried again.
    #[error("cannot {operation}: the connection ended after {received} of {expected} bytes ({tries} tries)")]
    Truncated {
        /// What was being done.
        operation: String,
        /// Bytes that arrived.
        received: u64,
        /// Bytes that were announced.
        expected: u64,
        /// How often it was tried.
        tries: u32,
    },
    /// The range lies outside of the object.
    #[error("cannot read bytes {start}..{end} of {object}: it has {bytes} bytes")]
    Range {
        /// Container and object.
        object: String,
        /// First byte asked for.
        start: u64,
        /// One past the last byte asked for.
        end: u64,
        /// Length of the object.
        bytes: u64,
    },
    /// More than the caller was ready to hold in memory.
    #[error("{object} has {bytes} bytes, more than the {limit} expected at most")]
    TooLarge {
        /// Container and object.
        object: String,
        /// Its length.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The store could not be reached, or the connection broke, however often it was tried.
    #[error("cannot {operation}: {reason}{}", after(*tries, *elapsed))]
    Unreachable {
        /// What was being done.
        operation: String,
        /// The network's word.
        reason: String,
        /// How often it was tried.
        tries: u32,
        /// How long it was tried.
        elapsed: Duration,
    },
    /// The store answered with a status that nothing above covers.
    #[error("cannot {operation}: {status} ({reason}){}", after(*tries, *elapsed))]
    Refused {
        /// What was being done.
        operation: String,
        /// HTTP status line.
        status: String,
        /// Whether the status is one that may pass (408, 429, 498, 499, 5xx).
        passing: bool,
        /// What the body of the answer said, shortened.
        reason: String,
        /// How often it was tried.
        tries: u32,
        /// How long it was tried.
        elapsed: Duration,
    },
    /// An answer that does not follow the protocol.
    #[error("cannot {operation}: the answer makes no sense: {reason}")]
    Protocol {
        /// What was being done.
        operation: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The settings cannot work, whatever the store says.
    #[error("{message}")]
    Settings {
        /// What is wrong.
        message: String,
        /// What to do.
        hint: String,
    },
    /// A local file could not be read or written.
    #[error("cannot {operation}: {source}")]
    Io {
        /// What was being done.
        operation: String,
        /// The operating system's word.
        source: std::io::Error,
    },
}

/// How often and how long it was tried, where that says more than "once".
fn after(tries: u32, elapsed: Duration) -> String {
    if tries <= 1 { String::new() } else { format!(" after {tries} tries in {elapsed:.0?}") }
}

impl Error {
    /// Whether the same call may succeed later, with nothing changed here.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Error::Unreachable { .. } | Error::Truncated { .. } => true,
            Error::Refused { passing, .. } => *passing,
            _ => false,
        }
    }

    /// What a person can do about it, where there is something to say.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Error::Unauthorized { .. } => {
                "check user, password or token, and the project, with `openstack token issue` or `swift stat`"
            }
            Error::Forbidden { .. } => {
                "the user needs a role that may do this in the account, or a list that lets it into the container (and where the \
                 object is a link, into the one that it leads to), or the file or folder other permissions"
            }
            Error::Full { .. } => {
                "the quota or the disk is full; free space or raise it, then run the same command again"
            }
            Error::Mismatch { .. } => {
                "the bytes changed on their way or on the local disk; run the same command again, and check memory and disks if it comes back"
            }
            Error::Unreachable { .. } | Error::Truncated { .. } => {
                "check address and network of the object store, then run the same command again"
            }
            Error::Refused { passing: true, .. } => "the store is overloaded or ill; run the same command again later",
            Error::Changed { .. } => {
                "another run is writing into this place; let it finish, then run the same command again"
            }
            Error::Settings { hint, .. } => return Some(hint.clone()),
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
