//! Large objects: segments side by side, then a manifest that makes them one (a "static large object").
//!
//! The segments of `container/name` lie in the container of segments as `container/name/<id>/<number>`, where every
//! upload draws an id of its own: so no upload can change the segments of another, and it can be told which ones
//! belong to a name. An upload that fails takes its segments away again; those of one that was killed go when the name
//! is uploaded in segments or deleted the next time.

use std::future::ready;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use reqwest::header::{ACCEPT, ETAG};
use reqwest::{Method, StatusCode};
use serde::{Deserialize, Serialize};
use tokio::time::timeout;

use super::session::Token;
use super::tries::{Call, Fault, Tries};
use super::upload::{Piece, difference, missing};
use super::{LONGEST_NAME, Swift, wire};
use crate::{Body, Error, ObjectInfo, StoreExt};

/// How long the segments under way may take to end when another one has failed.
const LAST_ANSWERS: Duration = Duration::from_secs(10);

/// Segments deleted at once.
const DELETES_AT_ONCE: usize = 8;

/// Segments looked at at once.
const LOOKS_AT_ONCE: usize = 8;

/// Digits of an upload's id (hexadecimal) and of a segment's number (decimal).
const ID_DIGITS: usize = 16;
const NUMBER_DIGITS: usize = 8;

/// A line of a manifest, as it is sent.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Entry {
    /// An object.
    Object { path: String, etag: String, size_bytes: u64 },
    /// Bytes that stand in the manifest itself, in base 64.
    Inline { data: String },
}

/// A line of a manifest, as Swift gives it back.
#[derive(Deserialize)]
struct StoredEntry {
    /// `/container/object`; missing for inline data.
    name: Option<String>,
    /// The segment's ETag when the manifest was made.
    #[serde(default)]
    hash: Option<String>,
    /// The segment's length.
    #[serde(default)]
    bytes: Option<u64>,
}

/// The verdict that stands in the body when Swift answered early to keep the connection alive.
#[derive(Deserialize)]
struct Verdict {
    #[serde(rename = "Response Status")]
    status: String,
    #[serde(rename = "Response Body", default)]
    body: String,
    #[serde(rename = "Errors", default)]
    errors: Vec<Vec<String>>,
}

impl Swift {
    /// Stores a body in the segments that its digests name.
    pub(super) async fn upload_segments(
        &self,
        call: Call,
        container: &str,
        name: &str,
        body: &Body,
    ) -> Result<ObjectInfo, Error> {
        let needed = body.digests().segments.len();
        if let Some(most) = self.0.limits.segments
            && needed as u64 > most
        {
            return Err(Error::Settings {
                message: format!(
                    "cannot {}: it would need {needed} segments, and the store allows {most}",
                    call.operation
                ),
                hint: "set a larger segment size".to_owned(),
            });
        }
        // Segments are not sent before it is known that their object can have its place.
        let mut tries = Tries::new(self.settings(), call.clone());
        self.exchange(&mut tries, |token| self.request(Method::HEAD, token, container, None)).await?;
        let into = self.settings().segments_container.clone();
        self.0.segments_container.get_or_try_init(|| self.make_segments_container()).await?;

        let id = rand::random::<u64>();
        let pieces: Vec<Piece> = (1_usize..)
            .zip(&body.digests().segments)
            .map(|(number, segment)| Piece {
                container: into.clone(),
                name: format!("{container}/{name}/{id:0ID_DIGITS$x}/{number:0NUMBER_DIGITS$}"),
                source: body.source.clone(),
                range: segment.offset..segment.offset + segment.bytes,
                etag: hex::encode(segment.md5),
            })
            .collect();
        if let Some(long) = pieces.iter().find(|piece| piece.name.len() > LONGEST_NAME) {
            let reason = format!("the names of its segments would be longer than {LONGEST_NAME} bytes");
            return Err(Error::InvalidName { object: long.name.clone(), reason });
        }

        let uploaded = self.upload_pieces(&call, &pieces).await;
        let names = || pieces.iter().map(|piece| piece.name.clone()).collect();
        if let Err(error) = uploaded {
            self.forget_segments(names()).await;
            return Err(error);
        }
        let mut replaced = self.segments_of(container, name).await?;
        let entries: Vec<Entry> = pieces
            .iter()
            .map(|piece| Entry::Object {
                path: format!("/{}/{}", piece.container, piece.name),
                etag: piece.etag.clone(),
                size_bytes: piece.range.end - piece.range.start,
            })
            .collect();
        let whole = (body.digests().bytes, body.digests().etag());
        match self.upload_manifest(call, container, name, &entries, whole).await {
            Ok(info) => {
                match self.stray_segments(container, name).await {
                    Ok(strays) => replaced.extend(strays),
                    Err(error) => tracing::warn!(%error, "cannot look for segments that an earlier upload left"),
                }
                replaced.retain(|segment| !pieces.iter().any(|piece| piece.name == *segment));
                replaced.sort_unstable();
                replaced.dedup();
                self.forget_segments(replaced).await;
                Ok(info)
            }
            Err(error) => {
                // After a clear refusal no manifest can need the segments. After anything else one may come to light
                // later, from a slow server or a replica; then they must be there.
                if error.is_passing() || matches!(error, Error::Mismatch { .. }) {
                    tracing::warn!(%container, %name, segments = pieces.len(), "left segments behind, as their manifest may stand");
                } else {
                    self.forget_segments(names()).await;
                }
                Err(error)
            }
        }
    }

    /// Uploads them side by side. When it has failed, none of them comes to stand any more, as far as that is known.
    async fn upload_pieces(&self, call: &Call, pieces: &[Piece]) -> Result<(), Error> {
        let failed = AtomicBool::new(false);
        let uploads = stream::iter(pieces.to_vec()).take_while(|_| ready(!failed.load(Relaxed))).map(|piece| {
            let (swift, call) = (self.clone(), call.clone());
            async move { swift.upload_piece(call, &piece).await }
        });
        let mut uploads = pin!(uploads.buffer_unordered(self.settings().segments_at_once));
        let uploaded = uploads.as_mut().try_collect().await;
        if uploaded.is_err() {
            // One that is cut off after its last byte would come to stand after it was deleted.
            failed.store(true, Relaxed);
            let _in_time = timeout(LAST_ANSWERS, uploads.for_each(|_| ready(()))).await;
        }
        uploaded
    }

    async fn make_segments_container(&self) -> Result<(), Error> {
        let container = &self.settings().segments_container;
        let mut tries = self.tries("create container", container.clone());
        self.exchange(&mut tries, |token| self.request(Method::PUT, token, container, None)).await?;
        Ok(())
    }

    /// Stores the manifest until a HEAD shows the whole object, with so many bytes and this ETag.
    pub(super) async fn upload_manifest(
        &self,
        call: Call,
        container: &str,
        name: &str,
        entries: &[Entry],
        (bytes, etag): (u64, String),
    ) -> Result<ObjectInfo, Error> {
        let mut tries = Tries::new(self.settings(), call);
        loop {
            let token = self.0.session.token_for_upload().await?;
            let fault = match self.send_manifest(&token, container, name, entries, &etag).await {
                // A lost answer may have been a yes.
                Ok(()) | Err(Fault::Network(_)) => match self.find(container, name).await {
                    Ok(found) => match difference(bytes, &etag, &found) {
                        None => return Ok(found),
                        Some(fault) => fault,
                    },
                    Err(Error::NotFound { .. }) => missing(&etag),
                    Err(error) => return Err(error),
                },
                Err(fault) => fault,
            };
            self.next_try(&mut tries, &token, fault).await?;
        }
    }

    /// One try. Checking a thousand segments takes Swift its time, so it is asked to keep the connection alive; then
    /// the true status stands in the body.
    async fn send_manifest(
        &self,
        token: &Token,
        container: &str,
        name: &str,
        entries: &[Entry],
        etag: &str,
    ) -> Result<(), Fault> {
        let settings = self.settings();
        let request = self
            .request(Method::PUT, token, container, Some(name))
            .query(&[("multipart-manifest", "put"), ("heartbeat", "on")])
            .header(ACCEPT, "application/json")
            .header(ETAG, etag)
            .json(entries);
        let sent = timeout(settings.connect_timeout + settings.response_timeout, request.send()).await;
        let response = match sent {
            Err(_) => {
                return Err(Fault::Network(format!("no answer to the manifest for {:.0?}", settings.response_timeout)));
            }
            Ok(sent) => sent.map_err(|error| Fault::Network(wire::broken(error)))?,
        };
        let response = wire::accepted(response, settings).await?;
        if response.status() != StatusCode::ACCEPTED {
            return Ok(());
        }
        let page = wire::body(response, 1 << 20, settings.response_timeout).await?;
        verdict(&page, container, name)
    }

    /// The segments of `container/name` that an upload of ours made for it; none for an object in one piece, or for
    /// one that does not exist.
    pub(super) async fn segments_of(&self, container: &str, name: &str) -> Result<Vec<String>, Error> {
        match self.find(container, name).await {
            Ok(found) if found.is_segmented => {}
            Ok(_) | Err(Error::NotFound { .. }) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        }
        let entries = match self.entries_of(container, name).await {
            Err(Error::NotFound { .. }) => return Ok(Vec::new()),
            other => other?,
        };
        let prefix = format!("/{}/", self.settings().segments_container);
        let names = entries.iter().filter_map(|entry| entry.name.as_deref()?.strip_prefix(&prefix));
        Ok(names.filter(|segment| is_segment_of(segment, container, name)).map(str::to_owned).collect())
    }

    /// The manifest of an object in segments; of a dynamic one there is none, since it consists of whatever is listed under a
    /// name, and has the length of that.
    async fn entries_of(&self, container: &str, name: &str) -> Result<Vec<StoredEntry>, Error> {
        let object = format!("{container}/{name}");
        let mut tries = self.tries("read the manifest of", object.clone());
        let page = self
            .exchange_all(&mut tries, |token| {
                self.request(Method::GET, token, container, Some(name)).query(&[("multipart-manifest", "get")])
            })
            .await?;
        if page.is_empty() {
            return Ok(Vec::new());
        }
        serde_json::from_slice(&page).map_err(|error| Error::Protocol {
            operation: format!("read the manifest of {object}"),
            reason: format!("it is no list of segments in JSON: {error}"),
        })
    }

    /// Whether every segment of `container/name` is there, as it was when the manifest was made; a HEAD of the whole tells
    /// of the manifest alone.
    pub(super) async fn look_at_segments(&self, container: &str, name: &str) -> Result<(), Error> {
        let entries = self.entries_of(container, name).await?;
        let looks = stream::iter(entries).map(|entry| async move {
            let place = entry.name.as_deref().and_then(|path| path.strip_prefix('/')?.split_once('/'));
            let Some((container, segment)) = place else { return Ok(()) };
            let found = self.find(container, segment).await?;
            let differs = |what, declared: String, actual: String| {
                let operation = format!("find the segment {container}/{segment}");
                Err(Error::Mismatch { operation, what, declared, actual })
            };
            match (entry.bytes, entry.hash, found.etag) {
                (Some(bytes), ..) if bytes != found.bytes => {
                    differs("length", bytes.to_string(), found.bytes.to_string())
                }
                (_, Some(hash), Some(etag)) if hash != etag => differs("ETag", hash, etag),
                _ => Ok(()),
            }
        });
        looks.buffer_unordered(LOOKS_AT_ONCE).try_collect().await
    }

    /// All segments that uploads of `container/name` have left, as far as the listing knows: those of an upload that was
    /// killed are named by no manifest.
    pub(super) async fn stray_segments(&self, container: &str, name: &str) -> Result<Vec<String>, Error> {
        let listed = self.list_all(&self.settings().segments_container, &format!("{container}/{name}/")).await;
        let listed = match listed {
            Err(Error::NotFound { .. }) => return Ok(Vec::new()),
            other => other?,
        };
        let names = listed.into_iter().map(|entry| entry.name);
        Ok(names.filter(|segment| is_segment_of(segment, container, name)).collect())
    }

    /// Deletes segments; ones that are gone already are fine.
    pub(super) async fn remove_segments(&self, names: Vec<String>) -> Result<(), Error> {
        let deletes = stream::iter(names).map(|name| {
            let swift = self.clone();
            async move {
                match swift.remove(&swift.settings().segments_container, Some(&name)).await {
                    Err(Error::NotFound { .. }) => Ok(()),
                    other => other,
                }
            }
        });
        deletes.buffer_unordered(DELETES_AT_ONCE).try_collect().await
    }

    /// Deletes segments that nothing refers to, as well as it goes: they cost room, but harm nobody.
    pub(super) async fn forget_segments(&self, names: Vec<String>) {
        let Some(first) = names.first().cloned() else { return };
        if let Err(error) = self.remove_segments(names).await {
            tracing::warn!(%error, container = %self.settings().segments_container, %first, "segments without an object were left behind");
        }
    }
}

/// Whether `segment` is named as an upload of `container/name` would: prefix, id, number, and nothing else.
fn is_segment_of(segment: &str, container: &str, name: &str) -> bool {
    let of_name = || segment.strip_prefix(container)?.strip_prefix('/')?.strip_prefix(name)?.strip_prefix('/');
    let Some((id, number)) = of_name().and_then(|rest| rest.split_once('/')) else { return false };
    id.len() == ID_DIGITS
        && id.bytes().all(|digit| digit.is_ascii_hexdigit())
        && number.len() == NUMBER_DIGITS
        && number.bytes().all(|digit| digit.is_ascii_digit())
}

/// What the body of a 202 says.
fn verdict(page: &[u8], container: &str, name: &str) -> Result<(), Fault> {
    let nonsense = |reason: String| {
        Fault::Final(Error::Protocol { operation: format!("upload the manifest of {container}/{name}"), reason })
    };
    let verdict: Verdict = serde_json::from_slice(page).map_err(|error| nonsense(error.to_string()))?;
    let status = verdict.status.split_whitespace().next().and_then(|code| code.parse::<StatusCode>().ok());
    let status = status.ok_or_else(|| nonsense(format!("{:?} is no status", verdict.status)))?;
    if status.is_success() {
        return Ok(());
    }
    let errors: Vec<String> = verdict.errors.iter().map(|error| error.join(": ")).collect();
    Err(Fault::Status {
        status,
        reason: format!("{} {}", verdict.body.trim(), errors.join(", ")).trim().to_owned(),
        retry_after: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_segments_of_the_name_itself_are_its_own() {
        for (segment, expected) in [
            ("c/a/0123456789abcdef/00000001", true),
            ("c/a/b/0123456789abcdef/00000001", false),
            ("c/a/0123456789abcdef/0123456789abcdef/00000001", false),
            ("c/ab/0123456789abcdef/00000001", false),
            ("d/a/0123456789abcdef/00000001", false),
            ("c/a/0123456789abcdef/1", false),
            ("c/a/0123456789abcdefg/00000001", false),
            ("c/a/00000001", false),
            ("c/a", false),
        ] {
            assert_eq!(is_segment_of(segment, "c", "a"), expected, "{segment}");
        }
        assert!(is_segment_of("c/a/b/0123456789abcdef/00000001", "c", "a/b"));
    }

    #[test]
    fn the_true_status_of_a_manifest_is_the_one_in_the_body() {
        verdict(br#" {"Response Status": "201 Created", "Response Body": "", "Errors": []}"#, "c", "a").unwrap();
        let refused = verdict(
            br#"  {"Response Status": "400 Bad Request", "Response Body": "Bad Request\n", "Errors": [["/s/1", "404 Not Found"]]}"#,
            "c",
            "a",
        );
        match refused {
            Err(Fault::Status { status, reason, .. }) => {
                assert_eq!((status.as_u16(), reason.as_str()), (400, "Bad Request /s/1: 404 Not Found"));
            }
            other => panic!("{other:?}"),
        }
        for nonsense in ["", "   ", "{}", r#"{"Response Status": "fine"}"#] {
            assert!(matches!(verdict(nonsense.as_bytes(), "c", "a"), Err(Fault::Final(Error::Protocol { .. }))));
        }
    }
}
