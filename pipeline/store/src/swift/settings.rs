//! Plain values that say which Swift to talk to, as whom, and how patiently.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use crate::Error;

/// The largest object, and so the largest segment, of a Swift as it is usually configured: 5 GiB.
const LARGEST_SEGMENT: u64 = 5 << 30;

/// Who we are to Keystone or to Swift's own authentication. Plain values; nothing here reads the environment.
#[derive(Clone, PartialEq, Eq)]
pub enum Credentials {
    /// Version 1 (`ST_AUTH`, `ST_USER`, `ST_KEY`): tempauth and friends.
    Version1 {
        /// The address to ask, such as `http://host:8080/auth/v1.0`.
        auth_url: String,
        /// `account:user`.
        user: String,
        /// The key.
        key: String,
    },
    /// Keystone, Identity API version 3.
    Keystone(Box<KeystoneCredentials>),
}

/// Everything that `POST /v3/auth/tokens` may need.
#[derive(Clone, PartialEq, Eq)]
pub struct KeystoneCredentials {
    /// `OS_AUTH_URL`, with or without `/v3`.
    pub auth_url: String,
    /// How to prove who we are.
    pub identity: Identity,
    /// What the token is for; `None` for an application credential, which carries its own scope.
    pub scope: Option<Scope>,
    /// Service type in the catalogue, `object-store` unless set.
    pub service_type: String,
    /// `public`, `internal` or `admin`.
    pub interface: String,
    /// Region in the catalogue, where there are several.
    pub region: Option<String>,
    /// An endpoint that overrides the catalogue (`OS_STORAGE_URL`, `object_store_endpoint_override`).
    pub endpoint: Option<String>,
}

/// A user or project, by id or by name with its domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Named {
    /// By id.
    Id(String),
    /// By name within a domain.
    Name {
        /// The name.
        name: String,
        /// The domain; `None` for names that are domains themselves.
        domain: Option<Box<Named>>,
    },
}

/// The proof of identity.
#[derive(Clone, PartialEq, Eq)]
pub enum Identity {
    /// User and password.
    Password {
        /// The user.
        user: Named,
        /// The password.
        password: String,
    },
    /// A token that somebody else obtained; it cannot be renewed.
    Token(String),
    /// An application credential.
    ApplicationCredential {
        /// By id, or by name together with the user who owns it.
        credential: ApplicationCredential,
        /// Its secret.
        secret: String,
    },
}

/// Which application credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApplicationCredential {
    /// By id.
    Id(String),
    /// By name, with its owner.
    Name {
        /// The name.
        name: String,
        /// The owner.
        user: Named,
    },
}

/// What a token is valid for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// A project.
    Project(Named),
    /// A domain.
    Domain(Named),
    /// The system.
    System,
}

/// Settings of a [`Swift`](super::Swift) store.
#[derive(Clone)]
pub struct Settings {
    /// Who we are.
    pub credentials: Credentials,
    /// A PEM file of certificate authorities to trust besides the system's (`OS_CACERT`).
    pub ca_certificate: Option<PathBuf>,
    /// Accept any certificate (`OS_INSECURE`); for tests of an installation.
    pub insecure: bool,
    /// The proxy for all requests, such as `http://proxy:3128`. Nothing here reads the environment, so whoever
    /// wants `https_proxy` to count passes its value on. Default none.
    pub proxy: Option<String>,
    /// Objects above this many bytes are cut into segments of this size; 1 byte to 5 GiB. Default 1 GiB.
    pub segment_size: u64,
    /// Segments uploaded at once. Default 4.
    pub segments_at_once: usize,
    /// Container of the segments. Default `nightshard-segments`.
    pub segments_container: String,
    /// How long to wait for a connection. Default 30 s.
    pub connect_timeout: Duration,
    /// How long a transfer may stand still. Default 60 s.
    pub stall_timeout: Duration,
    /// How long to wait for the answer after the last byte was sent. Default 10 min.
    pub response_timeout: Duration,
    /// How often a call is tried. A download is tried this often without a byte of progress. Default 6.
    pub tries: u32,
    /// How long to wait before the second try; each later pause is twice as long. Default 1 s.
    pub first_pause: Duration,
    /// How many names to ask for in one page of a listing. Default 10,000, the most that Swift usually gives.
    pub listing_limit: u32,
}

impl Settings {
    /// Settings with the documented defaults.
    #[must_use]
    pub fn new(credentials: Credentials) -> Settings {
        Settings {
            credentials,
            ca_certificate: None,
            insecure: false,
            proxy: None,
            segment_size: 1 << 30,
            segments_at_once: 4,
            segments_container: "nightshard-segments".to_owned(),
            connect_timeout: Duration::from_secs(30),
            stall_timeout: Duration::from_secs(60),
            response_timeout: Duration::from_secs(600),
            tries: 6,
            first_pause: Duration::from_secs(1),
            listing_limit: 10_000,
        }
    }

    /// Whether these settings can work at all.
    pub(super) fn check(&self) -> Result<(), Error> {
        let fault = if !(1..=LARGEST_SEGMENT).contains(&self.segment_size) {
            Some((format!("a segment size of {} bytes is not possible", self.segment_size), "set 1 byte to 5 GiB"))
        } else if self.segments_at_once == 0 {
            Some(("no segment at once would be uploaded".to_owned(), "set at least 1"))
        } else if self.tries == 0 {
            Some(("nothing would be tried".to_owned(), "set at least 1 try"))
        } else if self.listing_limit == 0 {
            Some(("pages of a listing would be empty".to_owned(), "set at least 1 name a page"))
        } else if self.segments_container.is_empty() || self.segments_container.contains('/') {
            let message = format!("{:?} cannot be the name of the container of segments", self.segments_container);
            Some((message, "set a name without '/'"))
        } else {
            self.addresses().into_iter().find_map(|(what, address)| {
                let parsed = url::Url::parse(address).map_err(|error| error.to_string());
                let reason = match parsed {
                    Err(reason) => reason,
                    Ok(url) if !matches!(url.scheme(), "http" | "https") => "it is not http or https".to_owned(),
                    Ok(_) => return None,
                };
                let shown = without_userinfo(address);
                Some((
                    format!("the address of {what}, {shown:?}, makes no sense: {reason}"),
                    "set http://host:port/path",
                ))
            })
        };
        match fault {
            None => Ok(()),
            Some((message, hint)) => Err(Error::Settings { message, hint: hint.to_owned() }),
        }
    }

    /// The addresses that everything begins with.
    fn addresses(&self) -> Vec<(&'static str, &str)> {
        match &self.credentials {
            Credentials::Version1 { auth_url, .. } => vec![("the authentication (ST_AUTH)", auth_url)],
            Credentials::Keystone(keystone) => {
                let endpoint = keystone.endpoint.as_deref().map(|endpoint| ("the object store", endpoint));
                [("Keystone (OS_AUTH_URL)", keystone.auth_url.as_str())].into_iter().chain(endpoint).collect()
            }
        }
    }

    /// What must never be seen in a message.
    pub(super) fn secrets(&self) -> Vec<&str> {
        match &self.credentials {
            Credentials::Version1 { key, .. } => vec![key],
            Credentials::Keystone(keystone) => match &keystone.identity {
                Identity::Password { password, .. } => vec![password],
                Identity::Token(token) => vec![token],
                Identity::ApplicationCredential { secret, .. } => vec![secret],
            },
        }
    }
}

/// Stands in `Debug` for what must not be seen.
const HIDDEN: &str = "(hidden)";

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Credentials::Version1 { auth_url, user, key: _ } => f
                .debug_struct("Version1")
                .field("auth_url", &without_userinfo(auth_url))
                .field("user", user)
                .field("key", &HIDDEN)
                .finish(),
            Credentials::Keystone(keystone) => f.debug_tuple("Keystone").field(keystone).finish(),
        }
    }
}

impl fmt::Debug for KeystoneCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeystoneCredentials")
            .field("auth_url", &without_userinfo(&self.auth_url))
            .field("identity", &self.identity)
            .field("scope", &self.scope)
            .field("service_type", &self.service_type)
            .field("interface", &self.interface)
            .field("region", &self.region)
            .field("endpoint", &self.endpoint.as_deref().map(without_userinfo))
            .finish()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Identity::Password { user, password: _ } => {
                f.debug_struct("Password").field("user", user).field("password", &HIDDEN).finish()
            }
            Identity::Token(_) => f.debug_tuple("Token").field(&HIDDEN).finish(),
            Identity::ApplicationCredential { credential, secret: _ } => f
                .debug_struct("ApplicationCredential")
                .field("credential", credential)
                .field("secret", &HIDDEN)
                .finish(),
        }
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("credentials", &self.credentials)
            .field("ca_certificate", &self.ca_certificate)
            .field("insecure", &self.insecure)
            .field("proxy", &self.proxy.as_deref().map(without_userinfo))
            .field("segment_size", &self.segment_size)
            .field("segments_at_once", &self.segments_at_once)
            .field("segments_container", &self.segments_container)
            .field("connect_timeout", &self.connect_timeout)
            .field("stall_timeout", &self.stall_timeout)
            .field("response_timeout", &self.response_timeout)
            .field("tries", &self.tries)
            .field("first_pause", &self.first_pause)
            .field("listing_limit", &self.listing_limit)
            .finish()
    }
}

/// An address as it may be shown: without user and password.
pub(super) fn without_userinfo(address: &str) -> String {
    match url::Url::parse(address) {
        Ok(mut url) if !url.username().is_empty() || url.password().is_some() => {
            // Only addresses that cannot have any refuse this, and those have none.
            let _ = url.set_username("");
            let _ = url.set_password(None);
            url.to_string()
        }
        _ => address.to_owned(),
    }
}
