//! HTTP as this crate uses it: the client, one exchange, addresses, and what headers and error pages say.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reqwest::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};
use reqwest::{Certificate, Client, Proxy, RequestBuilder, Response, redirect};
use tokio::time::timeout;

use super::Settings;
use super::tries::Fault;
use crate::Error;

/// Connections that were idle for longer are not used again: the other side may just be closing them.
const POOL_IDLE: Duration = Duration::from_secs(30);

/// How much of an error page is read, and how much of it is shown.
const ERROR_PAGE: usize = 16 * 1024;
const REASON: usize = 300;

/// What a URL's path may hold as it is; everything else is percent-encoded.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The one HTTP client of a store, with its pool of connections.
///
/// It has no timeout of its own, since such a one would count over the whole of an upload; it follows no redirects,
/// since those would carry the token to places that nobody configured.
pub(super) async fn client(settings: &Settings) -> Result<Client, Error> {
    let fault = |message: String, hint: &str| Error::Settings { message, hint: hint.to_owned() };
    let mut certificates = Vec::new();
    if let Some(path) = &settings.ca_certificate {
        let cannot = |reason: String| {
            let message = format!("cannot read the certificate authorities in {}: {reason}", path.display());
            fault(message, "name a PEM file that can be read (OS_CACERT)")
        };
        let pem = tokio::fs::read(path).await.map_err(|error| cannot(error.to_string()))?;
        certificates = Certificate::from_pem_bundle(&pem).map_err(|error| cannot(chain(&error)))?;
        if certificates.is_empty() {
            return Err(cannot("there is no certificate in it".to_owned()));
        }
    }
    let proxy = match &settings.proxy {
        None => None,
        Some(address) => Some(Proxy::all(address).map_err(|error| {
            fault(format!("the address of the proxy makes no sense: {}", chain(&error)), "set http://host:port")
        })?),
    };
    let builder = || {
        let mut builder = Client::builder()
            .user_agent(concat!("nightshard/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .connect_timeout(settings.connect_timeout)
            .pool_idle_timeout(POOL_IDLE)
            .tls_danger_accept_invalid_certs(settings.insecure)
            .no_proxy();
        if let Some(proxy) = &proxy {
            builder = builder.proxy(proxy.clone());
        }
        builder
    };
    let built = if certificates.is_empty() { builder() } else { builder().tls_certs_merge(certificates) };
    // A machine without any certificate authorities can still speak plain HTTP.
    built.build().or_else(|error| builder().tls_certs_only([]).build().map_err(|_| error)).map_err(|error| {
        fault(format!("cannot prepare for TLS: {}", chain(&error)), "install the package ca-certificates")
    })
}

/// The URL of a container or object below `storage_url`.
pub(super) fn address(storage_url: &str, container: &str, name: Option<&str>) -> String {
    let container = utf8_percent_encode(container, KEPT);
    match name {
        None => format!("{storage_url}/{container}"),
        // Parts that are all dots would be taken for steps in a path, and resolved, by URL libraries; within one
        // part they are safe. (Only then, since some proxies in front of Swift do not like an encoded slash.)
        Some(name) if name.split('/').any(|part| matches!(part, "." | "..")) => {
            format!("{storage_url}/{container}/{}", utf8_percent_encode(name, KEPT))
        }
        Some(name) => {
            const PATH: &AsciiSet = &KEPT.remove(b'/');
            format!("{storage_url}/{container}/{}", utf8_percent_encode(name, PATH))
        }
    }
}

/// Sends a request without a body and waits for the head of its answer; anything but success is a fault.
pub(super) async fn exchange(request: RequestBuilder, settings: &Settings) -> Result<Response, Fault> {
    let patience = settings.connect_timeout + settings.stall_timeout;
    match timeout(patience, request.send()).await {
        Err(_) => Err(Fault::Network(format!("no answer within {patience:.0?}"))),
        Ok(Err(error)) => Err(Fault::Network(broken(error))),
        Ok(Ok(response)) => accepted(response, settings).await,
    }
}

/// The response, if it tells of success; else the fault that it tells of.
pub(super) async fn accepted(response: Response, settings: &Settings) -> Result<Response, Fault> {
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let retry_after = retry_after(response.headers());
    // Without its page an error is still an error.
    let page = body(response, ERROR_PAGE, settings.stall_timeout).await.unwrap_or_default();
    Err(Fault::Status { status, reason: reason(&page), retry_after })
}

/// The whole body of an answer, at most `limit` bytes of it.
pub(super) async fn body(mut response: Response, limit: usize, stall: Duration) -> Result<Bytes, Fault> {
    let mut all = BytesMut::new();
    while let Some(piece) = next_piece(&mut response, stall).await? {
        let room = limit - all.len();
        all.extend_from_slice(&piece[..piece.len().min(room)]);
        if piece.len() >= room {
            break;
        }
    }
    Ok(all.freeze())
}

/// The next bytes of a body, waiting for them no longer than `stall`.
pub(super) async fn next_piece(response: &mut Response, stall: Duration) -> Result<Option<Bytes>, Fault> {
    match timeout(stall, response.chunk()).await {
        Err(_) => Err(Fault::Network(format!("no byte came for {stall:.0?}"))),
        Ok(Err(error)) => Err(Fault::Network(broken(error))),
        Ok(Ok(piece)) => Ok(piece),
    }
}

/// The network's word on a request that failed, with the server that it was meant for.
pub(super) fn broken(error: reqwest::Error) -> String {
    let server = error.url().map(|url| format!("{}: ", url.origin().ascii_serialization())).unwrap_or_default();
    format!("{server}{}", chain(&error.without_url()))
}

/// An error with all its causes: the last one is usually the one that helps.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let inner_words = inner.to_string();
        if !words.contains(&inner_words) {
            words = format!("{words}: {inner_words}");
        }
        cause = inner.source();
    }
    words
}

/// The gist of an error page: Keystone answers in JSON, Swift in HTML or in plain text.
fn reason(page: &[u8]) -> String {
    let page = String::from_utf8_lossy(page);
    let text = match serde_json::from_str::<serde_json::Value>(&page) {
        Ok(json) => match json.pointer("/error/message").and_then(serde_json::Value::as_str) {
            Some(message) => message.to_owned(),
            None => page.into_owned(),
        },
        Err(_) => without_tags(&page),
    };
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.join(" ") {
        empty if empty.is_empty() => "the answer says no more".to_owned(),
        long if long.chars().count() > REASON => long.chars().take(REASON).chain(['…']).collect(),
        text => text,
    }
}

fn without_tags(page: &str) -> String {
    let mut text = String::new();
    let mut in_tag = false;
    for character in page.chars() {
        match character {
            '<' => in_tag = true,
            '>' if in_tag => {
                in_tag = false;
                text.push(' ');
            }
            _ if in_tag => {}
            _ => text.push(character),
        }
    }
    text
}

/// `Retry-After`, in seconds or as a time, which is told by the clock of the store.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = text(headers, RETRY_AFTER)?;
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    (http_date(value)? - date(headers)?).to_std().ok()
}

/// A header as text.
pub(super) fn text(headers: &HeaderMap, name: impl Into<HeaderName>) -> Option<&str> {
    headers.get(name.into())?.to_str().ok()
}

/// The clock of the store.
pub(super) fn date(headers: &HeaderMap) -> Option<DateTime<Utc>> {
    text(headers, DATE).and_then(http_date)
}

/// A time as HTTP writes it (RFC 9110, 5.6.7).
pub(super) fn http_date(text: &str) -> Option<DateTime<Utc>> {
    Some(DateTime::parse_from_rfc2822(text).ok()?.to_utc())
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    #[test]
    fn addresses_survive_every_name() {
        for (name, expected) in [
            ("plain/name.00", "/v1/A/c%20d/plain/name.00"),
            ("a b?c#d%e+f", "/v1/A/c%20d/a%20b%3Fc%23d%25e%2Bf"),
            ("ä\"'\n", "/v1/A/c%20d/%C3%A4%22%27%0A"),
            ("//a//", "/v1/A/c%20d///a//"),
            ("a/../b/.", "/v1/A/c%20d/a%2F..%2Fb%2F."),
        ] {
            let url = url::Url::parse(&address("http://h:1/v1/A", "c d", Some(name))).unwrap();
            assert_eq!(url.path(), expected, "{name:?}");
            assert_eq!(url.query(), None);
        }
        assert_eq!(address("http://h:1/v1/A", "c/d", None), "http://h:1/v1/A/c%2Fd");
    }

    #[test]
    fn error_pages_are_told_in_their_own_words() {
        for (page, expected) in [
            ("", "the answer says no more"),
            ("  \n", "the answer says no more"),
            ("Upload exceeds quota.", "Upload exceeds quota."),
            ("<html><h1>Forbidden</h1><p>Access was\n denied.</p></html>", "Forbidden Access was denied."),
            (r#"{"error":{"code":401,"message":"Not you","title":"Unauthorized"}}"#, "Not you"),
        ] {
            assert_eq!(reason(page.as_bytes()), expected);
        }
        assert_eq!(reason("x".repeat(1000).as_bytes()).chars().count(), REASON + 1);
    }

    #[test]
    fn retry_after_is_seconds_or_a_time_by_the_servers_clock() {
        let mut headers = HeaderMap::new();
        assert_eq!(retry_after(&headers), None);
        headers.insert(RETRY_AFTER, HeaderValue::from_static("7"));
        assert_eq!(retry_after(&headers), Some(Duration::from_secs(7)));
        headers.insert(RETRY_AFTER, HeaderValue::from_static("Sat, 11 Jun 2016 00:00:09 GMT"));
        assert_eq!(retry_after(&headers), None, "without a Date there is nothing to compare with");
        headers.insert(DATE, HeaderValue::from_static("Sat, 11 Jun 2016 00:00:00 GMT"));
        assert_eq!(retry_after(&headers), Some(Duration::from_secs(9)));
        headers.insert(DATE, HeaderValue::from_static("Sat, 11 Jun 2016 00:01:00 GMT"));
        assert_eq!(retry_after(&headers), None, "it is past");
    }
}
