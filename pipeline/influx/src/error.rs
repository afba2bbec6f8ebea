//! What can go wrong with a server, told so that a person can act on it.

use std::time::Duration;

/// One of the server's two interfaces, by the option that sets its address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Interface {
    /// Statements, writes and queries; `[http] bind-address`, port 8086.
    Http,
    /// Shards and metastore; `bind-address` at the top of the configuration, port 8088.
    Snapshot,
}

/// An error of an [`Influx`](crate::Influx).
///
/// The text says what was being done, to what, and what came back; [`Error::hint`] says what to do.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No connection, or one that broke before the answer began.
    #[error("cannot {operation} at {address}: {reason}")]
    Unreachable {
        /// What was being done.
        operation: String,
        /// URL, or host and port.
        address: String,
        /// The network's word.
        reason: String,
        /// Which of the two interfaces.
        interface: Interface,
    },
    /// The server's certificate is not trusted, or is for another name.
    #[error("cannot {operation} at {address}: {reason}")]
    Certificate {
        /// What was being done.
        operation: String,
        /// URL of the server.
        address: String,
        /// What is wrong with the certificate.
        reason: String,
    },
    /// The server does not know the user or the password (401), or does not let the user do this (403).
    #[error("cannot {operation} at {address}: {reason}")]
    Unauthorized {
        /// What was being done.
        operation: String,
        /// URL of the server.
        address: String,
        /// What the server said.
        reason: String,
    },
    /// No such database on the server.
    #[error("database {database} does not exist at {address}")]
    UnknownDatabase {
        /// The name asked for.
        database: String,
        /// URL, or host and port.
        address: String,
    },
    /// No such retention policy in the database, or no such database.
    #[error("retention policy {policy} of database {database} does not exist at {address}")]
    UnknownPolicy {
        /// The database asked for.
        database: String,
        /// The policy asked for.
        policy: String,
        /// Host and port.
        address: String,
    },
    /// The server is older than 1.5 or newer than 1.12.
    #[error("the server at {address} is InfluxDB {version}; supported are 1.5 to 1.12")]
    UnsupportedVersion {
        /// URL of the server.
        address: String,
        /// The version as the server told it.
        version: String,
    },
    /// The server understood the request and says that it cannot be done, at once or in the middle of its answer.
    #[error("cannot {operation} at {address}: {message}")]
    Query {
        /// What was being done.
        operation: String,
        /// URL of the server.
        address: String,
        /// The server's own words.
        message: String,
        /// Whether the server's trouble is one that may pass (a timeout, a limit of the moment, a restart).
        passing: bool,
    },
    /// The answer ended before its end.
    #[error("cannot {operation} at {address}: the answer ended too early, after {received} bytes ({reason})")]
    Truncated {
        /// What was being done.
        operation: String,
        /// URL, or host and port.
        address: String,
        /// Bytes of the answer that had arrived.
        received: u64,
        /// How it ended.
        reason: String,
    },
    /// The connection stands, but nothing comes.
    #[error("cannot {operation} at {address}: nothing arrived for {waited:.0?}, after {received} bytes")]
    Stalled {
        /// What was being done.
        operation: String,
        /// URL, or host and port.
        address: String,
        /// How long it was waited.
        waited: Duration,
        /// Bytes of the answer that had arrived.
        received: u64,
    },
    /// The server did not take all that it was sent. Why, it writes into its own log.
    #[error("cannot {operation} at {address}: the connection broke after {sent} bytes had been sent ({reason})")]
    Unsent {
        /// What was being done.
        operation: String,
        /// Host and port.
        address: String,
        /// Bytes that were on their way.
        sent: u64,
        /// How it broke.
        reason: String,
    },
    /// An answer that does not follow the protocol.
    #[error("cannot {operation}: the answer makes no sense: {reason}")]
    Protocol {
        /// What was being done.
        operation: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The settings cannot work, whatever the server says.
    #[error("{message}")]
    Settings {
        /// What is wrong.
        message: String,
        /// What to do.
        hint: String,
    },
}

impl Error {
    /// Whether the same call may succeed later, with nothing changed here.
    #[must_use]
    pub fn is_passing(&self) -> bool {
        match self {
            Error::Unreachable { .. } | Error::Truncated { .. } | Error::Stalled { .. } | Error::Unsent { .. } => true,
            Error::Query { passing, .. } => *passing,
            _ => false,
        }
    }

    /// What a person can do about it, where there is something to say.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Error::Unreachable { interface: Interface::Http, address, .. } => {
                return Some(format!(
                    "is influxd running, and is `bind-address` of [http] in its influxdb.conf such that {address} reaches it?"
                ));
            }
            Error::Unreachable { interface: Interface::Snapshot, address, .. } => {
                return Some(format!(
                    "the snapshot service is set by `bind-address` at the top of influxdb.conf (default 127.0.0.1:8088, only that machine); {address} must reach it"
                ));
            }
            Error::Certificate { .. } => {
                "name the file of its CA certificate (a certificate that signs itself must not be marked as a CA)"
            }
            Error::Unauthorized { .. } => "check user and password; the user must be an admin (`SHOW USERS`)",
            Error::UnknownDatabase { .. } => "`SHOW DATABASES` tells which there are",
            Error::UnknownPolicy { .. } => "`SHOW RETENTION POLICIES ON …` tells which there are",
            Error::UnsupportedVersion { .. } => "upgrade InfluxDB to a release from 1.5 to 1.12",
            Error::Query { passing: true, .. } => {
                "the server is busy or limits its queries; run the same command again later"
            }
            Error::Truncated { .. } => {
                "the server may have been stopped in between; look into its log, then run the same command again"
            }
            Error::Stalled { .. } => {
                "the server may be overloaded, or the network broken; look into its log, then run the same command again"
            }
            Error::Unsent { .. } => {
                "the server's log says why (service=snapshot), if it has not been stopped; then run the same command again"
            }
            Error::Settings { hint, .. } => return Some(hint.clone()),
            _ => return None,
        };
        Some(hint.to_owned())
    }
}
