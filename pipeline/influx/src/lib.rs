//! A live InfluxDB 1.x: its snapshot service (port 8088), its HTTP interface (port 8086) and its metastore message.
//!
//! Two interfaces, one [`Influx`]. Over HTTP go statements, writes and queries; over the snapshot service, which has
//! no authentication, no status and mostly no lengths, go whole shards and the metastore. Supported are the releases
//! 1.5 to 1.12, whose snapshot services speak alike ([`Version::supported`]).
//!
//! Nothing here retries: an [`Error`] tells whether it [may pass](Error::is_passing), and the job decides. Nothing
//! here reads clock or environment (so no `HTTP_PROXY` either).

mod admin;
mod answer;
mod error;
mod http;
mod quote;
mod select;
mod settings;
mod version;

pub mod metastore;
pub mod snapshot;

use std::fmt;
use std::sync::Arc;

use url::Url;

pub use admin::{CacheStatistics, Diagnostics, Ping, Policy, ShardStatistics};
pub use answer::Series;
pub use error::{Error, Interface};
/// The builder of one point and its time, for [`Influx::write_point`].
pub use influxdb::{Timestamp, WriteQuery};
pub use quote::{quote_identifier, quote_string};
pub use select::{Batch, Row, Rows, Value};
pub use settings::Settings;
pub use version::Version;

/// An InfluxDB server. Cheap to clone: clones share one pool of connections.
#[derive(Clone)]
pub struct Influx {
    inner: Arc<Inner>,
}

struct Inner {
    http: http::Http,
    snapshot: snapshot::Snapshot,
}

impl Influx {
    /// Prepares the connections; nothing is sent yet.
    ///
    /// # Errors
    ///
    /// [`Error::Settings`] for settings that cannot work: an address without a port, a scheme other than `http` and
    /// `https`, a CA certificate that cannot be read.
    pub fn new(settings: Settings) -> Result<Influx, Error> {
        let snapshot = snapshot::Snapshot::new(&settings)?;
        let http = http::Http::new(settings)?;
        Ok(Influx { inner: Arc::new(Inner { http, snapshot }) })
    }

    /// Where the HTTP interface is, without credentials.
    #[must_use]
    pub fn url(&self) -> &Url {
        self.inner.http.url()
    }

    /// Where the snapshot service is.
    #[must_use]
    pub fn snapshot_address(&self) -> &str {
        self.inner.snapshot.address()
    }

    /// The snapshot service.
    #[must_use]
    pub fn snapshot(&self) -> &snapshot::Snapshot {
        &self.inner.snapshot
    }
}

impl fmt::Debug for Influx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Influx")
            .field("url", &self.url().as_str())
            .field("snapshot_address", &self.snapshot_address())
            .finish_non_exhaustive()
    }
}
