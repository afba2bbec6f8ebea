//! What this Swift can do, as it says of itself.

use std::time::Duration;

use reqwest::Client;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{Settings, wire};

/// Nobody waits longer for something that can be done without.
const PATIENCE: Duration = Duration::from_secs(10);

/// Limits of a Swift, from `GET /info`; the usual ones where it does not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// The largest object in one piece, in bytes.
    pub(super) largest_piece: u64,
    /// How many segments a large object can have; `None` where there are no static large objects.
    pub(super) segments: Option<u64>,
    /// The largest manifest of a large object, in bytes.
    pub(super) manifest: u64,
    /// Whether objects can be links that name what they lead to (static symlinks).
    pub(super) links: bool,
    /// Whether containers can keep what is deleted in them.
    pub(super) versions: bool,
    /// The longest page of a listing, in names.
    pub(super) listing: u32,
}

#[derive(Deserialize)]
struct Info {
    swift: Core,
    slo: Option<LargeObjects>,
    symlink: Option<Symlinks>,
    object_versioning: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Core {
    max_file_size: Option<u64>,
    container_listing_limit: Option<u32>,
    account_listing_limit: Option<u32>,
}

#[derive(Deserialize)]
struct LargeObjects {
    max_manifest_segments: Option<u64>,
    max_manifest_size: Option<u64>,
}

#[derive(Deserialize)]
struct Symlinks {
    #[serde(default)]
    static_links: bool,
}

impl Limits {
    /// Where nothing is told, objects are not shared: that would depend on it.
    const USUAL: Limits = Limits {
        largest_piece: 5 << 30,
        segments: Some(1000),
        manifest: 8 << 20,
        links: false,
        versions: false,
        listing: 10_000,
    };

    /// Asks once. An operator may have switched the answer off, so nothing depends on it.
    pub(super) async fn ask(client: &Client, settings: &Settings, storage_url: &str) -> Limits {
        let Ok(url) = url::Url::parse(storage_url).and_then(|url| url.join("/info")) else { return Limits::USUAL };
        let asking = async {
            let response = wire::exchange(client.get(url), settings).await?;
            wire::body(response, 1 << 20, settings.stall_timeout).await
        };
        match tokio::time::timeout(PATIENCE, asking).await {
            Ok(Ok(body)) => Limits::read(&body),
            untold => {
                tracing::debug!(?untold, "the store does not tell its limits");
                Limits::USUAL
            }
        }
    }

    fn read(body: &[u8]) -> Limits {
        let Ok(Info { swift, slo, symlink, object_versioning }) = serde_json::from_slice(body) else {
            return Limits::USUAL;
        };
        let usual = Limits::USUAL;
        let listings = [swift.container_listing_limit, swift.account_listing_limit];
        Limits {
            largest_piece: swift.max_file_size.unwrap_or(usual.largest_piece),
            segments: slo.as_ref().map(|slo| slo.max_manifest_segments.unwrap_or(1000)),
            manifest: slo.and_then(|slo| slo.max_manifest_size).unwrap_or(usual.manifest),
            links: symlink.is_some_and(|symlink| symlink.static_links),
            versions: object_versioning.is_some(),
            listing: listings.into_iter().flatten().min().unwrap_or(usual.listing),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_where_they_are_told() {
        let told = br#"{"swift": {"max_file_size": 7, "container_listing_limit": 20, "account_listing_limit": 10},
                        "slo": {"max_manifest_segments": 3, "min_segment_size": 1, "max_manifest_size": 99}, "other": {},
                        "symlink": {"symloop_max": 2, "static_links": true}, "object_versioning": {}}"#;
        let told_of = Limits { manifest: 99, links: true, versions: true, ..Limits::USUAL };
        assert_eq!(Limits::read(told), Limits { largest_piece: 7, segments: Some(3), listing: 10, ..told_of });
        let without = br#"{"swift": {"max_file_size": 7}, "symlink": {"symloop_max": 2}}"#;
        assert_eq!(Limits::read(without), Limits { largest_piece: 7, segments: None, ..Limits::USUAL });
        for nonsense in ["", "<html>", "[]", "{}"] {
            assert_eq!(Limits::read(nonsense.as_bytes()), Limits::USUAL);
        }
    }
}
