//! Reading an object, or a range of it, to its very end: a connection that breaks or ends early is resumed.
//!
//! Swift's object server computes the MD5 of what it hands out from an object's first byte on, to compare it with the
//! ETag at the object's end. That costs it more time than everything else it does for a download. A reader that knows
//! better digests is spared that: it asks for the beginning alone, and then for the rest, which is not hashed.

use std::ops::Range;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderMap, IF_MATCH, RANGE};
use reqwest::{Method, Response, StatusCode};

use super::session::Token;
use super::tries::{Call, Fault, Tries};
use super::{Swift, wire};
use crate::{Download, Error};

/// So many bytes are asked for first where the server is not to hash the object: one piece of what it reads at once.
pub(super) const BEGINNING: u64 = 64 << 10;

impl Swift {
    /// Opens `range` of an object, or all of it; of all so many bytes alone `at_first`.
    pub(super) async fn download(
        &self,
        container: &str,
        name: &str,
        range: Option<Range<u64>>,
        at_first: Option<u64>,
    ) -> Result<Download, Error> {
        let call = self.call("read", format!("{container}/{name}"));
        if let Some(Range { start, end }) = range.clone()
            && start >= end
        {
            // HTTP has no way to ask for nothing.
            let bytes = self.find(container, name).await?.bytes;
            if start > end || end > bytes {
                return Err(Error::Range { object: call.object, start, end, bytes });
            }
            return Ok(Download { bytes: 0, stream: stream::empty().boxed() });
        }
        let mut reading = Reading {
            swift: self.clone(),
            call,
            container: container.to_owned(),
            name: name.to_owned(),
            range,
            at_first,
            etag: None,
            received: 0,
            expected: 0,
            answered: 0,
            failed: 0,
            response: None,
        };
        reading.open().await?;
        Ok(Download {
            bytes: reading.expected,
            stream: stream::try_unfold(reading, |mut reading| async move {
                Ok(reading.next().await?.map(|piece| (piece, reading)))
            })
            .boxed(),
        })
    }
}

/// A download under way.
struct Reading {
    swift: Swift,
    call: Call,
    container: String,
    name: String,
    /// What was asked for; all, if nothing was said.
    range: Option<Range<u64>>,
    /// How much of everything to ask for in the first request.
    at_first: Option<u64>,
    /// The ETag of the first answer; the later ones must be of the same object.
    etag: Option<String>,
    received: u64,
    expected: u64,
    /// What will have been received at the end of the answer that is being read.
    answered: u64,
    /// Tries in a row that brought no byte.
    failed: u32,
    response: Option<Response>,
}

/// Where the bytes of an answer lie in the object.
struct Extent {
    bytes: Range<u64>,
    total: u64,
}

impl Reading {
    /// Asks for what is still missing, as often as it takes; what failed before counts until a byte has come.
    async fn open(&mut self) -> Result<(), Error> {
        let swift = self.swift.clone();
        let mut tries = Tries::resume(swift.settings(), self.call.clone(), self.failed);
        loop {
            let token = swift.0.session.token();
            match self.ask(&token).await {
                Ok(response) => {
                    self.response = Some(response);
                    self.failed = tries.failed();
                    return Ok(());
                }
                Err(fault) => swift.next_try(&mut tries, &token, fault).await?,
            }
        }
    }

    /// One try.
    async fn ask(&mut self, token: &Token) -> Result<Response, Fault> {
        let first = self.etag.is_none() && self.received == 0;
        let start = self.range.as_ref().map_or(0, |range| range.start) + self.received;
        let wanted = match &self.range {
            Some(range) => Some(start..range.end),
            None if first => None,
            None => Some(start..self.expected),
        };
        let at_first = self.at_first.filter(|_| first);
        let mut request = self.swift.request(Method::GET, token, &self.container, Some(&self.name));
        if let Some(end) = wanted.as_ref().map(|wanted| wanted.end).or(at_first) {
            request = request.header(RANGE, format!("bytes={start}-{}", end - 1));
        }
        if let Some(etag) = &self.etag {
            request = request.header(IF_MATCH, format!("\"{etag}\""));
        }
        let response = match wire::exchange(request, self.swift.settings()).await {
            Ok(response) => response,
            Err(Fault::Status { status: StatusCode::PRECONDITION_FAILED, .. }) => return Err(self.changed()),
            Err(fault) if fault.is_not_found() && !first => return Err(self.changed()),
            Err(Fault::Status { status: StatusCode::RANGE_NOT_SATISFIABLE, .. }) if at_first.is_some() => {
                // Nothing has no beginning.
                self.at_first = None;
                return Box::pin(self.ask(token)).await;
            }
            Err(Fault::Status { status: StatusCode::RANGE_NOT_SATISFIABLE, .. }) if first => {
                return Err(self.beyond().await);
            }
            Err(fault) => return Err(fault),
        };
        let extent = extent(response.status(), response.headers()).map_err(|reason| self.nonsense(reason))?;
        match &wanted {
            None => {
                let end = at_first.map_or(extent.total, |end| end.min(extent.total));
                if extent.bytes != (0..end) && extent.bytes != (0..extent.total) {
                    return Err(self.nonsense(misplaced(&(0..end), &extent.bytes)));
                }
                self.expected = extent.total;
            }
            Some(wanted) if wanted.end > extent.total => {
                let object = self.call.object.clone();
                let (start, end) = (wanted.start - self.received, wanted.end);
                return Err(Fault::Final(Error::Range { object, start, end, bytes: extent.total }));
            }
            Some(wanted) if *wanted != extent.bytes => {
                return Err(self.nonsense(misplaced(wanted, &extent.bytes)));
            }
            Some(wanted) => self.expected = self.received + (wanted.end - wanted.start),
        }
        self.answered = self.received + (extent.bytes.end - extent.bytes.start);
        if first {
            self.etag = wire::text(response.headers(), ETAG).map(|etag| etag.trim_matches('"').to_owned());
        }
        Ok(response)
    }

    /// The next bytes, or `None` after the last.
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let stall = self.swift.settings().stall_timeout;
        loop {
            if self.received == self.expected {
                return Ok(None);
            }
            if self.received == self.answered {
                self.response = None;
            }
            let Some(response) = &mut self.response else {
                self.open().await?;
                continue;
            };
            let fault = match wire::next_piece(response, stall).await {
                Ok(Some(piece)) if piece.len() as u64 > self.expected - self.received => {
                    let reason = format!("more than the {} bytes that were announced", self.expected);
                    return Err(self.error(self.nonsense(reason)));
                }
                Ok(Some(piece)) => {
                    self.received += piece.len() as u64;
                    self.failed = 0;
                    return Ok(Some(piece));
                }
                Ok(None) => self.short(),
                Err(Fault::Network(reason)) => {
                    tracing::debug!(object = %self.call.object, %reason, "a download broke");
                    self.short()
                }
                Err(fault) => fault,
            };
            self.response = None;
            let swift = self.swift.clone();
            let mut tries = Tries::resume(swift.settings(), self.call.clone(), self.failed);
            tries.pause(fault).await?;
            self.failed = tries.failed();
        }
    }

    fn error(&self, fault: Fault) -> Error {
        Tries::resume(self.swift.settings(), self.call.clone(), self.failed).error(fault)
    }

    fn short(&self) -> Fault {
        Fault::Short { received: self.received, expected: self.expected }
    }

    fn changed(&self) -> Fault {
        Fault::Final(Error::Changed { object: self.call.object.clone() })
    }

    fn nonsense(&self, reason: String) -> Fault {
        Fault::Final(Error::Protocol { operation: self.call.operation.clone(), reason })
    }

    /// The error of a range that begins beyond the end; how long the object is, a HEAD tells.
    async fn beyond(&self) -> Fault {
        let Range { start, end } = self.range.clone().unwrap_or_default();
        let object = self.call.object.clone();
        Fault::Final(match self.swift.find(&self.container, &self.name).await {
            Ok(found) => Error::Range { object, start, end, bytes: found.bytes },
            Err(error) => error,
        })
    }
}

fn misplaced(wanted: &Range<u64>, found: &Range<u64>) -> String {
    format!("bytes {}..{} were asked for, and {}..{} came", wanted.start, wanted.end, found.start, found.end)
}

/// Which bytes an answer holds.
fn extent(status: StatusCode, headers: &HeaderMap) -> Result<Extent, String> {
    if status == StatusCode::PARTIAL_CONTENT {
        let text = wire::text(headers, CONTENT_RANGE).ok_or("a part without Content-Range")?;
        return content_range(text).ok_or_else(|| format!("Content-Range is {text:?}"));
    }
    let length = wire::text(headers, CONTENT_LENGTH).and_then(|text| text.parse().ok());
    let total = length.ok_or("there is no Content-Length")?;
    Ok(Extent { bytes: 0..total, total })
}

/// `bytes FIRST-LAST/TOTAL`, where LAST is still part of it.
fn content_range(text: &str) -> Option<Extent> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let bytes = first.parse().ok()?..last.parse::<u64>().ok()?.checked_add(1)?;
    let total = total.parse().ok()?;
    (bytes.start < bytes.end && bytes.end <= total).then_some(Extent { bytes, total })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_read_as_half_open() {
        let extent = content_range("bytes 5-9/20").unwrap();
        assert_eq!((extent.bytes, extent.total), (5..10, 20));
        for nonsense in [
            "",
            "bytes */20",
            "bytes 5-9",
            "items 5-9/20",
            "bytes 5-/20",
            "bytes a-b/c",
            "bytes 9-5/20",
            "bytes 5-20/20",
        ] {
            assert!(content_range(nonsense).is_none(), "{nonsense}");
        }
    }
}
