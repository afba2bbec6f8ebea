//! Where a server is, and how patient to be with it.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

/// Where a server is, who asks, and how long to wait.
#[derive(Clone)]
pub struct Settings {
    /// The HTTP interface, such as `http://127.0.0.1:8086`; may carry a path prefix, and user and password where
    /// the fields below are not set.
    pub url: Url,
    /// The snapshot service: `host:port`, `[v6]:port`.
    pub snapshot_address: String,
    /// User of the HTTP interface; the snapshot service knows none.
    pub user: Option<String>,
    /// The user's password.
    pub password: Option<String>,
    /// A file of PEM certificates, to be trusted besides those of the system.
    pub ca_certificate: Option<PathBuf>,
    /// Whether to take any certificate.
    pub insecure: bool,
    /// How long making a connection may take.
    pub connect_timeout: Duration,
    /// How long an answer may take to begin: the server flushes a shard's cache before it sends a byte, and a
    /// statement like `DROP DATABASE` answers when it is done.
    pub answer_timeout: Duration,
    /// How long nothing may arrive once an answer has begun.
    pub stall_timeout: Duration,
}

impl Settings {
    /// Settings without user, with the system's certificates: 10 s to connect, 10 min until an answer begins, 60 s
    /// without a byte within it.
    #[must_use]
    pub fn new(url: Url, snapshot_address: impl Into<String>) -> Settings {
        Settings {
            url,
            snapshot_address: snapshot_address.into(),
            user: None,
            password: None,
            ca_certificate: None,
            insecure: false,
            connect_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(600),
            stall_timeout: Duration::from_secs(60),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut url = self.url.clone();
        if url.password().is_some() {
            // A URL that holds a password has a host, so that a new one can be set.
            let _ = url.set_password(Some("hidden"));
        }
        f.debug_struct("Settings")
            .field("url", &url.as_str())
            .field("snapshot_address", &self.snapshot_address)
            .field("user", &self.user)
            .field("password", &self.password.as_ref().map(|_| "hidden"))
            .field("ca_certificate", &self.ca_certificate)
            .field("insecure", &self.insecure)
            .field("connect_timeout", &self.connect_timeout)
            .field("answer_timeout", &self.answer_timeout)
            .field("stall_timeout", &self.stall_timeout)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_no_secret() {
        let mut settings = Settings::new("http://me:s3cret@influx:8086".parse().unwrap(), "influx:8088");
        settings.password = Some("s3cret".into());
        let shown = format!("{settings:?}");
        assert!(!shown.contains("s3cret"), "{shown}");
        assert!(shown.contains("influx:8086"), "{shown}");
    }
}
