//! Uploading one piece: an object, or a segment of a large one.
//!
//! The bytes are counted here, hashed there (the MD5 goes along as ETag), watched on their way, and looked at again
//! when they have arrived.

use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{BoxStream, Stream, StreamExt};
use reqwest::Method;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG};
use tokio::time::{Instant, sleep_until};

use super::session::Token;
use super::tries::{Call, Fault, Tries};
use super::{Swift, wire};
use crate::body::Source;
use crate::{Body, Error, ObjectInfo};

/// What the connection gets at once, in bytes. Small, so that a slow but steady reader is seen to be steady.
const BITE: usize = 64 * 1024;

/// A piece on its way to its place.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    pub(super) container: String,
    pub(super) name: String,
    pub(super) source: Source,
    /// Which bytes of the source.
    pub(super) range: Range<u64>,
    /// Their MD5 in hex.
    pub(super) etag: String,
}

impl Piece {
    fn bytes(&self) -> u64 {
        self.range.end - self.range.start
    }

    /// What of `info` is not as it must be after the upload.
    fn difference(&self, info: &ObjectInfo) -> Option<Fault> {
        difference(self.bytes(), &self.etag, info)
    }
}

/// What of `info` is not as declared.
pub(super) fn difference(bytes: u64, etag: &str, info: &ObjectInfo) -> Option<Fault> {
    let found = info.etag.as_deref().unwrap_or("missing");
    if info.bytes != bytes {
        let (declared, actual) = (format!("{bytes} bytes"), format!("{} bytes", info.bytes));
        Some(Fault::Damaged { what: "length", declared, actual })
    } else if found != etag {
        Some(Fault::Damaged { what: "ETag", declared: etag.to_owned(), actual: found.to_owned() })
    } else {
        None
    }
}

impl Swift {
    /// Stores `body`, in one piece or in segments, and proves it.
    pub(super) async fn upload(&self, container: &str, name: &str, body: &Body) -> Result<ObjectInfo, Error> {
        let call = self.call("upload", format!("{container}/{name}"));
        let digests = body.digests();
        body.check_length(&call.operation).await?;
        let stored = if digests.segments.is_empty() {
            self.upload_whole(call, container, name, body).await
        } else {
            self.upload_segments(call, container, name, body).await
        };
        stored.map_err(|error| match error {
            // An object need not exist before it is put, so what is missing is its container.
            Error::NotFound { object, location } if object == format!("{container}/{name}") => {
                Error::NotFound { object: container.to_owned(), location }
            }
            other => other,
        })
    }

    async fn upload_whole(&self, call: Call, container: &str, name: &str, body: &Body) -> Result<ObjectInfo, Error> {
        let digests = body.digests();
        let limit = self.0.limits.largest_piece;
        if digests.bytes > limit {
            return Err(Error::TooLarge { object: call.object, bytes: digests.bytes, limit });
        }
        let replaced = self.segments_of(container, name).await?;
        let piece = Piece {
            container: container.to_owned(),
            name: name.to_owned(),
            source: body.source.clone(),
            range: 0..digests.bytes,
            etag: digests.etag(),
        };
        let info = self.upload_proven(call, &piece).await?;
        self.forget_segments(replaced).await;
        Ok(info)
    }

    /// Sends the piece until the store holds it, as a HEAD of its own shows.
    async fn upload_proven(&self, call: Call, piece: &Piece) -> Result<ObjectInfo, Error> {
        let mut tries = Tries::new(self.settings(), call.clone());
        loop {
            self.upload_piece(call.clone(), piece).await?;
            let fault = match self.find(&piece.container, &piece.name).await {
                Ok(found) => match piece.difference(&found) {
                    None => return Ok(found),
                    Some(fault) => fault,
                },
                Err(Error::NotFound { .. }) => missing(&piece.etag),
                Err(error) => return Err(error),
            };
            tries.pause(fault).await?;
        }
    }

    /// Sends the piece until the store accepts it.
    pub(super) async fn upload_piece(&self, call: Call, piece: &Piece) -> Result<(), Error> {
        let mut tries = Tries::new(self.settings(), call);
        loop {
            let token = self.0.session.token_for_upload().await?;
            let Err(mut fault) = self.send(&token, piece).await else { return Ok(()) };
            if matches!(fault, Fault::Network(_)) {
                // Perhaps only the answer was lost; or the token was refused, and the connection closed before the
                // refusal could be read.
                match self.look(&token, &piece.container, &piece.name).await {
                    Ok(found) if piece.difference(&found).is_none() => return Ok(()),
                    Err(refused) if refused.is_unauthorized() => fault = refused,
                    _ => {}
                }
            }
            self.next_try(&mut tries, &token, fault).await?;
        }
    }

    /// One try.
    async fn send(&self, token: &Token, piece: &Piece) -> Result<(), Fault> {
        let meter = Arc::new(Meter::new(self.settings().connect_timeout, piece.bytes()));
        let feed = Feed {
            pieces: piece.source.pieces(piece.range.clone()),
            piece: Bytes::new(),
            left: piece.bytes(),
            meter: Arc::clone(&meter),
        };
        let request = self
            .request(Method::PUT, token, &piece.container, Some(&piece.name))
            .header(ETAG, &piece.etag)
            .header(CONTENT_LENGTH, piece.bytes())
            .header(CONTENT_TYPE, content_type(&piece.name))
            .body(reqwest::Body::wrap_stream(feed));
        let settings = self.settings();
        let sent = tokio::select! {
            sent = request.send() => sent.map_err(|error| Fault::Network(wire::broken(error))),
            reason = meter.stalled(settings.stall_timeout, settings.response_timeout) => Err(Fault::Network(reason)),
        };
        if let Some(local) = meter.take_error() {
            return Err(Fault::Final(
                local.into_error(format!("upload {}/{}", piece.container, piece.name), piece.bytes()),
            ));
        }
        match wire::accepted(sent?, settings).await {
            Ok(_) => Ok(()),
            Err(Fault::Status { status, reason, .. }) if status.as_u16() == 422 => {
                Err(Fault::Damaged { what: "MD5", declared: piece.etag.clone(), actual: format!("another ({reason})") })
            }
            Err(fault) => Err(fault),
        }
    }
}

/// What a browser is told that it gets: pages are to be looked at, all else is to be kept.
fn content_type(name: &str) -> &'static str {
    if name.ends_with(".html") { "text/html; charset=utf-8" } else { "application/octet-stream" }
}

/// The fault of an object that is not there although it was accepted.
pub(super) fn missing(etag: &str) -> Fault {
    Fault::Damaged { what: "ETag", declared: etag.to_owned(), actual: "missing: the object is not there".to_owned() }
}

/// Why the source could not give what it declared.
#[derive(Debug)]
enum LocalError {
    Read(io::Error),
    /// It ended so many bytes too early.
    Short(u64),
}

impl LocalError {
    fn into_error(self, operation: String, bytes: u64) -> Error {
        match self {
            LocalError::Read(source) => Error::Io { operation, source },
            LocalError::Short(left) => Error::Mismatch {
                operation,
                what: "length",
                declared: format!("{bytes} bytes"),
                actual: format!("{} bytes", bytes - left),
            },
        }
    }
}

/// Watches a body on its way.
#[derive(Debug)]
struct Meter(Mutex<Progress>);

#[derive(Debug)]
struct Progress {
    /// When a byte was taken last.
    at: Instant,
    /// Whether the last one was taken.
    complete: bool,
    error: Option<LocalError>,
}

impl Meter {
    /// Until the first byte is taken there is time to connect, too. Of an empty body nothing will be taken.
    fn new(connect_timeout: Duration, bytes: u64) -> Meter {
        Meter(Mutex::new(Progress { at: Instant::now() + connect_timeout, complete: bytes == 0, error: None }))
    }

    fn update(&self, change: impl FnOnce(&mut Progress)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn take_error(&self) -> Option<LocalError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).error.take()
    }

    /// Ends, with the reason, when no byte was taken for `stall`, or when no answer came for `response` after the
    /// last byte.
    async fn stalled(&self, stall: Duration, response: Duration) -> String {
        loop {
            let (at, complete) = {
                let progress = self.0.lock().unwrap_or_else(PoisonError::into_inner);
                (progress.at, progress.complete)
            };
            let now = Instant::now();
            let patience = if complete { response } else { stall };
            if now >= at + patience {
                return if complete {
                    format!("no answer for {response:.0?} after the last byte")
                } else {
                    format!("no byte was taken for {stall:.0?}")
                };
            }
            // Whichever patience is to be used next, look again before it can have run out.
            sleep_until((at + patience).min(now + stall.min(response))).await;
        }
    }
}

/// The body as the connection asks for it, in bites, exactly as many bytes as were declared.
struct Feed {
    pieces: BoxStream<'static, io::Result<Bytes>>,
    piece: Bytes,
    left: u64,
    meter: Arc<Meter>,
}

impl Stream for Feed {
    type Item = io::Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.left == 0 {
            self.meter.update(|progress| {
                progress.at = Instant::now();
                progress.complete = true;
            });
            return Poll::Ready(None);
        }
        while self.piece.is_empty() {
            let error = match self.pieces.poll_next_unpin(context) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok(piece))) => {
                    self.piece = piece;
                    continue;
                }
                Poll::Ready(Some(Err(error))) => LocalError::Read(error),
                Poll::Ready(None) => LocalError::Short(self.left),
            };
            self.meter.update(|progress| progress.error = Some(error));
            return Poll::Ready(Some(Err(io::Error::other("the source of the body failed"))));
        }
        let size = BITE.min(self.piece.len());
        let bite = self.piece.split_to(size);
        self.left -= bite.len() as u64;
        let complete = self.left == 0;
        self.meter.update(|progress| {
            progress.at = Instant::now();
            progress.complete = complete;
        });
        Poll::Ready(Some(Ok(bite)))
    }
}
