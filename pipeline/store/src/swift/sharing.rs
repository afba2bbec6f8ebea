//! Sharing in a Swift: large objects that consist of other objects, links that name what they lead to (static symlinks), and
//! containers that keep what is deleted (object versioning).
//!
//! Source of the rules: Swift's documentation of "Static Large Objects", "Symlink" and "Object Versioning".

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use reqwest::Method;
use reqwest::header::{CONTENT_LENGTH, HeaderName};
use serde::Deserialize;

use super::segments::Entry;
use super::tries::Tries;
use super::upload::{difference, missing};
use super::{Swift, check_container, check_names, wire};
use crate::{Composition, Error, ObjectInfo, Piece, Sharing, Target};

const VERSIONS_ENABLED: HeaderName = HeaderName::from_static("x-versions-enabled");
const VERSION_ID: HeaderName = HeaderName::from_static("x-object-version-id");
const SYMLINK_TARGET: HeaderName = HeaderName::from_static("x-symlink-target");
const SYMLINK_TARGET_ETAG: HeaderName = HeaderName::from_static("x-symlink-target-etag");

/// Segments below this are handed out slowly: one a second after the first ten (`rate_limit_under_size`, 1 MiB unless an
/// operator has changed it). Inline bytes do not count.
const SMALLEST: u64 = 1 << 20;

/// How a version is listed that stands for a deletion.
const DELETION: &str = "application/x-deleted;swift_versions_deleted=1";

/// A version of an object, as a listing has it.
#[derive(Deserialize)]
struct Version {
    name: String,
    #[serde(default)]
    version_id: Option<String>,
    #[serde(default)]
    content_type: String,
    /// The ETag; of an object in segments that of its manifest.
    #[serde(default)]
    hash: String,
}

#[async_trait]
impl Sharing for Swift {
    fn composition(&self) -> Option<Composition> {
        let limits = &self.0.limits;
        let pieces = usize::try_from(limits.segments?).unwrap_or(usize::MAX);
        // Base 64 takes a third more, and the names of a thousand objects some hundred kilobytes.
        Some(Composition {
            pieces,
            inline_bytes: limits.manifest / 4,
            smallest: SMALLEST,
            largest: self.settings().segment_size.min(limits.largest_piece),
        })
    }

    async fn create_keeping_container(&self, container: &str) -> Result<(), Error> {
        check_container(container)?;
        let keeps = self.0.limits.versions;
        let mut tries = self.tries("look at container", container.to_owned());
        match self.exchange(&mut tries, |token| self.request(Method::HEAD, token, container, None)).await {
            Ok(found) => {
                let enabled = wire::text(found.headers(), VERSIONS_ENABLED);
                if !keeps || enabled.is_some_and(|enabled| enabled.eq_ignore_ascii_case("true")) {
                    return Ok(());
                }
            }
            Err(Error::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        let mut tries = self.tries("create container", container.to_owned());
        let request = |token: &_| {
            let request = self.request(Method::PUT, token, container, None);
            if keeps { request.header(VERSIONS_ENABLED, "true") } else { request }
        };
        self.exchange(&mut tries, request).await.map(drop)
    }

    async fn compose(&self, container: &str, name: &str, pieces: &[Piece]) -> Result<ObjectInfo, Error> {
        check_names(container, name)?;
        let mut etag = Md5::new();
        let mut bytes = 0;
        let mut entries = Vec::with_capacity(pieces.len());
        for piece in pieces {
            bytes += piece.bytes();
            entries.push(match piece {
                Piece::Inline(data) => {
                    etag.update(hex::encode(Md5::digest(data)));
                    Entry::Inline { data: STANDARD.encode(data) }
                }
                Piece::Object { container, name, bytes, etag: of_piece } => {
                    etag.update(of_piece);
                    Entry::Object { path: format!("/{container}/{name}"), etag: of_piece.clone(), size_bytes: *bytes }
                }
            });
        }
        let call = self.call("compose", format!("{container}/{name}"));
        self.upload_manifest(call, container, name, &entries, (bytes, hex::encode(etag.finalize()))).await
    }

    async fn link(&self, container: &str, name: &str, target: &Target) -> Result<ObjectInfo, Error> {
        check_names(container, name)?;
        check_names(&target.container, &target.name)?;
        let tag = match &target.tag {
            Some(tag) => tag.clone(),
            None => self.find(&target.container, &target.name).await?.link_tag.unwrap_or_default(),
        };
        let call = self.call("link", format!("{container}/{name}"));
        let to = wire::address("", &target.container, Some(&target.name));
        let to = to.trim_start_matches('/');
        let mut tries = Tries::new(self.settings(), call);
        loop {
            let request = |token: &_| {
                self.request(Method::PUT, token, container, Some(name))
                    .header(SYMLINK_TARGET, to)
                    .header(SYMLINK_TARGET_ETAG, &tag)
                    .header(CONTENT_LENGTH, 0)
            };
            self.exchange(&mut tries, request).await.map_err(|error| match error {
                // What does not exist is the container: a target that does not is a conflict.
                Error::NotFound { location, .. } => Error::NotFound { object: container.to_owned(), location },
                other => other,
            })?;
            let fault = match self.find(container, name).await {
                Ok(found) if found.link_tag.as_ref() == Some(&tag) => return Ok(found),
                Ok(found) => {
                    let etag = found.link_tag.clone().unwrap_or_default();
                    difference(found.bytes, &tag, &ObjectInfo { etag: Some(etag), ..found })
                        .unwrap_or_else(|| missing(&tag))
                }
                Err(Error::NotFound { .. }) => missing(&tag),
                Err(error) => return Err(error),
            };
            tries.pause(fault).await?;
        }
    }

    async fn destroy(&self, container: &str, name: &str) -> Result<(), Error> {
        check_names(container, name)?;
        // The listing of versions may lag behind, the object itself does not: what stands goes first.
        while let Some(version) = self.version_of(container, name).await? {
            self.remove_version(container, name, version.as_deref()).await?;
        }
        if self.0.limits.versions {
            for version in self.versions(container, name).await? {
                if let Some(id) = version.version_id.filter(|id| id != "null") {
                    self.remove_version(container, name, Some(&id)).await?;
                }
            }
        }
        Ok(())
    }

    async fn undelete(&self, container: &str, name: &str, tag: Option<&str>) -> Result<bool, Error> {
        check_names(container, name)?;
        if !self.0.limits.versions || self.stands(container, name, tag).await? {
            return Ok(false);
        }
        // The youngest comes first.
        for version in self.versions(container, name).await? {
            let is_wanted = version.content_type != DELETION && tag.is_none_or(|tag| version.hash == tag);
            let Some(id) = version.version_id.filter(|_| is_wanted) else { continue };
            let mut tries = self.tries("bring back", format!("{container}/{name}"));
            let request = |token: &_| {
                let request = self.request(Method::PUT, token, container, Some(name));
                request.query(&[("version-id", &id)]).header(CONTENT_LENGTH, 0)
            };
            match self.exchange(&mut tries, request).await {
                Ok(_) if self.stands(container, name, tag).await? => return Ok(true),
                // It is listed, and its bytes are gone.
                Ok(_) | Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(false)
    }
}

impl Swift {
    /// Whether an object of that name stands, and has this tag where one is named.
    async fn stands(&self, container: &str, name: &str, tag: Option<&str>) -> Result<bool, Error> {
        match self.find(container, name).await {
            Ok(found) => Ok(tag.is_none() || found.link_tag.as_deref() == tag),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether an object of that name stands, and the id of its version where it has one.
    async fn version_of(&self, container: &str, name: &str) -> Result<Option<Option<String>>, Error> {
        let mut tries = self.tries("look at", format!("{container}/{name}"));
        let request = |token: &_| self.request(Method::HEAD, token, container, Some(name)).header("X-Newest", "true");
        match self.exchange(&mut tries, request).await {
            Ok(found) => {
                let id = wire::text(found.headers(), VERSION_ID).filter(|id| *id != "null");
                Ok(Some(id.map(str::to_owned)))
            }
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn remove_version(&self, container: &str, name: &str, version: Option<&str>) -> Result<(), Error> {
        let mut tries = self.tries("delete", format!("{container}/{name}"));
        let request = |token: &_| {
            let request = self.request(Method::DELETE, token, container, Some(name));
            match version {
                Some(version) => request.query(&[("version-id", version)]),
                None => request,
            }
        };
        match self.exchange(&mut tries, request).await {
            Ok(_) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// All versions of the object, deletions among them, the youngest first.
    async fn versions(&self, container: &str, name: &str) -> Result<Vec<Version>, Error> {
        let object = format!("{container}/{name}");
        let mut tries = self.tries("list the versions of", object.clone());
        let query = [("versions", "true"), ("format", "json"), ("prefix", name)];
        let page = match self
            .exchange_all(&mut tries, |token| self.request(Method::GET, token, container, None).query(&query))
            .await
        {
            Ok(page) if page.is_empty() => return Ok(Vec::new()),
            Err(Error::NotFound { .. }) => return Ok(Vec::new()),
            other => other?,
        };
        let versions: Vec<Version> = serde_json::from_slice(&page).map_err(|error| Error::Protocol {
            operation: format!("list the versions of {object}"),
            reason: format!("it is no listing in JSON: {error}"),
        })?;
        Ok(versions.into_iter().filter(|version| version.name == name).collect())
    }
}
