//! What a manifest says of what is stored, whoever writes it.

use archive::manifest::{Content, StoredObject};
use chrono::{DateTime, Utc};
use influx::metastore::TimeRange;
use store::Digests;

/// The record of an object that was stored and proven.
pub(crate) fn object(name: String, digests: &Digests, content: Content) -> StoredObject {
    StoredObject {
        name,
        bytes: digests.bytes,
        sha256: hex::encode(digests.sha256),
        md5: hex::encode(digests.md5),
        content,
    }
}

/// The first instant of a shard, where it has one, and the first one after it.
pub(crate) fn instants(range: TimeRange) -> (Option<DateTime<Utc>>, DateTime<Utc>) {
    (range.start.map(DateTime::from_timestamp_nanos), DateTime::from_timestamp_nanos(range.end))
}
