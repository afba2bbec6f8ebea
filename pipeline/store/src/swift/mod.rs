//! OpenStack Swift.
//!
//! The stations: [`settings`] say where and who, [`session`] holds the token ([`keystone`] or version 1), [`wire`]
//! speaks HTTP, [`tries`] decide what a failure means and whether to try again; [`upload`], [`segments`],
//! [`download`], [`listing`] and [`sharing`] are the calls themselves.

mod download;
mod keystone;
mod limits;
mod listing;
mod segments;
mod session;
mod settings;
mod sharing;
mod tries;
mod upload;
mod wire;

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use reqwest::header::{CONTENT_LENGTH, CONTENT_LOCATION, ETAG, HeaderMap, HeaderName, LAST_MODIFIED};
use reqwest::{Client, Method, RequestBuilder, Response};
use tokio::sync::OnceCell;

pub use self::settings::{ApplicationCredential, Credentials, Identity, KeystoneCredentials, Named, Scope, Settings};

use self::limits::Limits;
use self::session::{Session, Token};
use self::tries::{Call, Fault, Tries};
use crate::{Body, ContainerEntry, Download, Error, ObjectEntry, ObjectInfo, Sharing, Store};

/// The longest names that Swift takes as it is usually configured, in bytes.
const LONGEST_CONTAINER: usize = 256;
const LONGEST_NAME: usize = 1024;

/// The largest JSON answer that is read: a full page of the longest names has about 15 MB.
const LARGEST_ANSWER: usize = 64 << 20;

/// A [`Store`] in an account of OpenStack Swift. Clones share connections and token.
#[derive(Debug, Clone)]
pub struct Swift(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    client: Client,
    settings: Arc<Settings>,
    session: Session,
    limits: Limits,
    location: String,
    /// Whether the container of the segments has been made.
    segments_container: OnceCell<()>,
}

impl Swift {
    /// Obtains a token and finds the store; nothing is changed there.
    pub async fn connect(settings: Settings) -> Result<Swift, Error> {
        settings.check()?;
        let settings = Arc::new(settings);
        let client = wire::client(&settings).await?;
        let session = Session::open(client.clone(), Arc::clone(&settings)).await?;
        let storage_url = session.token().storage_url.clone();
        let location = location(&storage_url)?;
        let limits = Limits::ask(&client, &settings, &storage_url).await;
        let segments_container = OnceCell::new();
        Ok(Swift(Arc::new(Inner { client, settings, session, limits, location, segments_container })))
    }

    /// When the token expires, if it is one that cannot be renewed: a token that somebody else obtained. `None` for
    /// all other credentials.
    #[must_use]
    pub fn unrenewable_token_expiry(&self) -> Option<DateTime<Utc>> {
        self.0.session.unrenewable_token_expiry()
    }

    fn settings(&self) -> &Settings {
        &self.0.settings
    }

    fn call(&self, verb: &str, object: String) -> Call {
        Call { operation: format!("{verb} {object}"), object, location: self.0.location.clone() }
    }

    fn tries(&self, verb: &str, object: String) -> Tries<'_> {
        Tries::new(self.settings(), self.call(verb, object))
    }

    /// A signed request for a container, or an object in it.
    fn request(&self, method: Method, token: &Token, container: &str, name: Option<&str>) -> RequestBuilder {
        token.sign(self.0.client.request(method, wire::address(&token.storage_url, container, name)))
    }

    /// Prepares for the next try after `fault`, or says why there is none. A refused token is renewed, once.
    async fn next_try(&self, tries: &mut Tries<'_>, token: &Arc<Token>, fault: Fault) -> Result<(), Error> {
        if fault.is_unauthorized() && !tries.renewed {
            tries.renewed = true;
            self.0.session.renew(token).await?;
            return Ok(());
        }
        if fault.is_not_found() && tries.doubts_not_found {
            tries.doubts_not_found = false;
            return Ok(());
        }
        tries.pause(fault.hide(token.secret())).await
    }

    /// Sends a request without a body as often as it takes, and gives the answer once its head is there.
    async fn exchange(
        &self,
        tries: &mut Tries<'_>,
        request: impl Fn(&Token) -> RequestBuilder + Send + Sync,
    ) -> Result<Response, Error> {
        loop {
            let token = self.0.session.token();
            match wire::exchange(request(&token), self.settings()).await {
                Ok(response) => return Ok(response),
                Err(fault) => self.next_try(tries, &token, fault).await?,
            }
        }
    }

    /// The same, with the whole body of the answer.
    async fn exchange_all(
        &self,
        tries: &mut Tries<'_>,
        request: impl Fn(&Token) -> RequestBuilder + Send + Sync,
    ) -> Result<Bytes, Error> {
        loop {
            let response = self.exchange(tries, &request).await?;
            match wire::body(response, LARGEST_ANSWER, self.settings().stall_timeout).await {
                Ok(body) => return Ok(body),
                Err(fault) => tries.pause(fault).await?,
            }
        }
    }

    /// One try of a HEAD which asks all replicas, so that the newest answers.
    async fn look(&self, token: &Token, container: &str, name: &str) -> Result<ObjectInfo, Fault> {
        let request = self.request(Method::HEAD, token, container, Some(name)).header("X-Newest", "true");
        let response = wire::exchange(request, self.settings()).await?;
        // An answer of a link says where it comes from; one of a container with versions says which version it is.
        let asked = wire::address("", container, Some(name));
        let is_link = wire::text(response.headers(), CONTENT_LOCATION)
            .is_some_and(|from| !from.split('?').next().unwrap_or_default().ends_with(&asked));
        found(response.headers()).map(|info| ObjectInfo { is_link, ..info }).ok_or_else(|| {
            Fault::Final(Error::Protocol {
                operation: format!("look at {container}/{name}"),
                reason: "Content-Length, X-Timestamp or Date is missing, or cannot be read".to_owned(),
            })
        })
    }

    async fn find(&self, container: &str, name: &str) -> Result<ObjectInfo, Error> {
        let mut tries = Tries::doubting(self.settings(), self.call("look at", format!("{container}/{name}")));
        loop {
            let token = self.0.session.token();
            match self.look(&token, container, name).await {
                Ok(found) => return Ok(found),
                Err(fault) => self.next_try(&mut tries, &token, fault).await?,
            }
        }
    }

    /// Removes an object, or an empty container. An answer that was lost may have been a yes, so then "not found" is
    /// one.
    async fn remove(&self, container: &str, name: Option<&str>) -> Result<(), Error> {
        let object = name.map_or_else(|| container.to_owned(), |name| format!("{container}/{name}"));
        let mut tries = self.tries("delete", object);
        match self.exchange(&mut tries, |token| self.request(Method::DELETE, token, container, name)).await {
            Err(Error::NotFound { .. }) if tries.failed() > 1 => Ok(()),
            other => other.map(drop),
        }
    }
}

#[async_trait]
impl Store for Swift {
    fn location(&self) -> String {
        self.0.location.clone()
    }

    async fn time(&self) -> Option<DateTime<Utc>> {
        let token = self.0.session.token();
        // Every answer has the time, also one that refuses the account to somebody who may only use containers.
        let asked = token.sign(self.0.client.head(&token.storage_url)).send();
        let answer = tokio::time::timeout(self.settings().connect_timeout + self.settings().stall_timeout, asked).await;
        wire::date(answer.ok()?.ok()?.headers())
    }

    fn segment_size(&self) -> Option<u64> {
        self.0.limits.segments.map(|_| self.settings().segment_size.min(self.0.limits.largest_piece))
    }

    fn max_object_size(&self) -> Option<u64> {
        match (self.segment_size(), self.0.limits.segments) {
            (Some(size), Some(segments)) => Some(size.saturating_mul(segments)),
            _ => Some(self.0.limits.largest_piece),
        }
    }

    async fn create_container(&self, container: &str) -> Result<(), Error> {
        check_container(container)?;
        let mut tries = self.tries("create container", container.to_owned());
        self.exchange(&mut tries, |token| self.request(Method::PUT, token, container, None)).await?;
        Ok(())
    }

    async fn delete_container(&self, container: &str) -> Result<(), Error> {
        check_container(container)?;
        match self.remove(container, None).await {
            Err(Error::NotFound { .. }) => Ok(()),
            other => other,
        }
    }

    async fn list_containers(&self, prefix: &str, after: Option<&str>) -> Result<Vec<ContainerEntry>, Error> {
        self.containers(prefix, after).await
    }

    async fn put(&self, container: &str, name: &str, body: &Body) -> Result<ObjectInfo, Error> {
        check_names(container, name)?;
        self.upload(container, name, body).await
    }

    async fn get(&self, container: &str, name: &str, range: Option<Range<u64>>) -> Result<Download, Error> {
        check_names(container, name)?;
        self.download(container, name, range, None).await
    }

    async fn get_unchecked(&self, container: &str, name: &str) -> Result<Download, Error> {
        check_names(container, name)?;
        self.download(container, name, None, Some(download::BEGINNING)).await
    }

    async fn head(&self, container: &str, name: &str) -> Result<ObjectInfo, Error> {
        check_names(container, name)?;
        self.find(container, name).await
    }

    async fn head_with_segments(&self, container: &str, name: &str) -> Result<ObjectInfo, Error> {
        check_names(container, name)?;
        let info = self.find(container, name).await?;
        if info.is_segmented {
            self.look_at_segments(container, name).await?;
        }
        Ok(info)
    }

    fn sharing(&self) -> Option<&dyn Sharing> {
        let limits = &self.0.limits;
        (limits.links && limits.segments.is_some()).then_some(self)
    }

    async fn list(&self, container: &str, prefix: &str, after: Option<&str>) -> Result<Vec<ObjectEntry>, Error> {
        check_container(container)?;
        self.objects(container, prefix, after).await
    }

    async fn delete(&self, container: &str, name: &str) -> Result<(), Error> {
        check_names(container, name)?;
        self.remove(container, Some(name)).await
    }

    async fn delete_with_segments(&self, container: &str, name: &str) -> Result<(), Error> {
        check_names(container, name)?;
        // The segments first, as Swift's own bulk delete does: a call that was interrupted can be repeated.
        let mut segments = self.segments_of(container, name).await?;
        segments.extend(self.stray_segments(container, name).await?);
        self.remove_segments(segments).await?;
        self.remove(container, Some(name)).await
    }
}

/// An empty name would turn a call for an object into one for its container.
fn check_names(container: &str, name: &str) -> Result<(), Error> {
    check_container(container)?;
    let object = || format!("{container}/{name}");
    check(name, LONGEST_NAME).map_err(|reason| Error::InvalidName { object: object(), reason })
}

fn check_container(container: &str) -> Result<(), Error> {
    let fault = if container.contains('/') {
        Err("a container's name holds no '/'".to_owned())
    } else {
        check(container, LONGEST_CONTAINER)
    };
    fault.map_err(|reason| Error::InvalidName { object: container.to_owned(), reason })
}

fn check(name: &str, longest: usize) -> Result<(), String> {
    match name {
        "" => Err("it is empty".to_owned()),
        "." | ".." => Err("no URL can hold it".to_owned()),
        _ if name.contains('\0') => Err("it holds a null byte".to_owned()),
        _ if name.len() > longest => Err(format!("it is longer than {longest} bytes")),
        _ => Ok(()),
    }
}

/// What the headers tell of an object.
fn found(headers: &HeaderMap) -> Option<ObjectInfo> {
    let bytes = wire::text(headers, CONTENT_LENGTH)?.parse().ok()?;
    let etag = wire::text(headers, ETAG).map(|etag| etag.trim_matches('"').to_owned());
    // X-Timestamp has the fraction that Last-Modified has not.
    let modified = wire::text(headers, HeaderName::from_static("x-timestamp"))
        .and_then(timestamp)
        .or_else(|| wire::text(headers, LAST_MODIFIED).and_then(wire::http_date))?;
    // Date has whole seconds only, so something just written would seem to come from the future.
    let answered = wire::date(headers)?.max(modified);
    // Static ones are ours; the dynamic ones of `swift upload --segment-size` have an ETag of the same kind.
    let is_static = wire::text(headers, HeaderName::from_static("x-static-large-object"))
        .is_some_and(|value| value.eq_ignore_ascii_case("true"));
    let is_segmented = is_static || headers.contains_key(HeaderName::from_static("x-object-manifest"));
    // A link to a large object names the manifest, and one to any other object its ETag.
    let link_tag = wire::text(headers, HeaderName::from_static("x-manifest-etag")).map(str::to_owned);
    let link_tag = link_tag.or_else(|| etag.clone());
    Some(ObjectInfo { bytes, etag, is_segmented, is_link: false, link_tag, modified, answered })
}

/// Seconds since 1970 with a fraction of five digits, as Swift writes its times.
fn timestamp(text: &str) -> Option<DateTime<Utc>> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let nanoseconds = format!("{fraction:0<9}").get(..9)?.parse().ok()?;
    DateTime::from_timestamp(seconds.parse().ok()?, nanoseconds)
}

/// The store for messages: its account, and the server.
fn location(storage_url: &str) -> Result<String, Error> {
    let url = url::Url::parse(storage_url).map_err(|error| Error::Protocol {
        operation: "find the object store".to_owned(),
        reason: format!("its address {storage_url:?} is no URL: {error}"),
    })?;
    let account = url.path().rsplit('/').find(|part| !part.is_empty()).unwrap_or("?");
    Ok(format!("swift:{account} at {}", url.origin().ascii_serialization()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_of_swift_keep_their_fraction() {
        for (text, expected) in [
            ("1465603200.00000", Some("2016-06-11T00:00:00Z")),
            ("1465603200.12345", Some("2016-06-11T00:00:00.123450Z")),
            ("1465603200", Some("2016-06-11T00:00:00Z")),
            ("yesterday", None),
            ("1.x", None),
        ] {
            let expected = expected.map(|time| DateTime::parse_from_rfc3339(time).unwrap().to_utc());
            assert_eq!(timestamp(text), expected, "{text}");
        }
    }

    #[test]
    fn names_that_would_address_something_else_are_refused() {
        for (container, name) in
            [("", "a"), ("a/b", "c"), ("..", "a"), ("a", ""), ("a", "."), ("a", ".."), ("a", "b\0")]
        {
            assert!(matches!(check_names(container, name), Err(Error::InvalidName { .. })), "{container:?} {name:?}");
        }
        check_names("2016-06-11", "../a//b/").unwrap();
    }

    #[test]
    fn the_location_names_account_and_server() {
        assert_eq!(location("http://h:8080/v1/AUTH_backup").unwrap(), "swift:AUTH_backup at http://h:8080");
        assert!(location("nonsense").is_err());
    }
}
