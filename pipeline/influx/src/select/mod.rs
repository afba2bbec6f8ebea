//! Queries whose answers may be large: a stream of batches, read as MessagePack.
//!
//! The server's JSON does not tell the integer 5 from the float 5.0; its MessagePack does. The answer is one message
//! for each chunk, and within a message rows are taken one by one as their bytes arrive, so that memory is bounded by a
//! batch however large the chunk.
//!
//! An answer is complete when the HTTP body has ended properly, at the end of a message, and that message does not
//! say that there is more to come. Everything else is an error, never a short result.

mod batch;
mod decoder;
mod messagepack;

pub use batch::{Batch, Row, Value};

use std::collections::VecDeque;

use decoder::{Decoder, Fault};

use crate::{Error, Influx};

impl Influx {
    /// Runs a query in a database and streams its answer. The server makes chunks of up to `chunk_size` rows of one
    /// series each; times come as nanoseconds since 1970.
    ///
    /// Columns that are tags and fields of the same name, and what a tag or field called `time` does, is up to the
    /// query: nothing here looks at names.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownDatabase`], [`Error::Query`] for what the server says at once; from [`Rows::next`] what it
    /// says later.
    pub async fn select(&self, database: &str, query: &str, chunk_size: u32) -> Result<Rows, Error> {
        let operation = format!("query database {database}");
        let chunk_size = chunk_size.to_string();
        let form =
            [("db", database), ("q", query), ("epoch", "ns"), ("chunked", "true"), ("chunk_size", chunk_size.as_str())];
        let response = self.inner.http.query(&operation, "application/x-msgpack", &form).await?;
        Ok(Rows {
            influx: self.clone(),
            operation,
            response,
            received: 0,
            decoder: Decoder::default(),
            ready: VecDeque::new(),
            state: State::Reading,
        })
    }
}

/// The answer to a query, batch by batch.
pub struct Rows {
    influx: Influx,
    operation: String,
    response: reqwest::Response,
    received: u64,
    decoder: Decoder,
    ready: VecDeque<Batch>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Reading,
    Complete,
    Failed,
}

impl Rows {
    /// The next rows of some series; `None` only after the proper end of the answer.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] for an answer that is cut or says itself that it is partial, [`Error::Query`] for an error of
    /// the server in its middle, [`Error::Stalled`] if nothing comes for too long. After an error there is
    /// nothing more to read.
    pub async fn next(&mut self) -> Result<Option<Batch>, Error> {
        loop {
            if let Some(batch) = self.ready.pop_front() {
                return Ok(Some(batch));
            }
            match self.state {
                State::Reading => {}
                State::Complete => return Ok(None),
                State::Failed => return Err(self.truncated("it had failed before")),
            }
            self.state = State::Failed;
            self.state = self.advance().await?;
        }
    }

    /// Bytes of the answer that have come so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received
    }

    async fn advance(&mut self) -> Result<State, Error> {
        let http = &self.influx.inner.http;
        let state = match http.piece(&self.operation, &mut self.response, self.received).await? {
            Some(piece) => {
                self.received += piece.len() as u64;
                self.decoder.feed(&piece, &mut self.ready).map(|()| State::Reading)
            }
            None => self.decoder.finish().map(|()| State::Complete),
        };
        state.map_err(|fault| match fault {
            Fault::Refused(message) => http.refused(&self.operation, &message),
            Fault::Malformed(reason) => Error::Protocol { operation: self.operation.clone(), reason },
            Fault::Truncated(reason) => self.truncated(reason),
        })
    }

    fn truncated(&self, reason: &str) -> Error {
        self.influx.inner.http.truncated(&self.operation, self.received, reason)
    }
}

/// The words of an error that came as MessagePack, as it does with a status that says so too.
pub(crate) fn error_text(body: &[u8]) -> Option<String> {
    match Decoder::default().feed(body, &mut VecDeque::new()) {
        Err(Fault::Refused(message)) => Some(message),
        _ => None,
    }
}

impl std::fmt::Debug for Rows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rows")
            .field("operation", &self.operation)
            .field("received", &self.received)
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
