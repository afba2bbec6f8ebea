//! A client of the snapshot service: one connection a request, and an end that proves nothing.
//!
//! The service has no status and no length, so every outcome ends with the server closing. What the content proves
//! is checked here for lists and the metastore; a shard's bytes are passed on as they come, and whoever takes them must
//! look for the end of the tar.

mod upload;
pub mod wire;

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use chrono::{DateTime, Utc};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

pub use upload::ShardUpload;
use wire::Request;
pub use wire::ShardPath;

use crate::error::Interface;
use crate::metastore::Framed;
use crate::{Error, Settings};

/// Room for the bytes of a shard that one read may take.
const BUFFER: usize = 256 << 10;

/// A buffer with less room than this is replaced.
const LEAST_ROOM: usize = 64 << 10;

/// No list of shards and no metastore is larger, in bytes.
const ANSWER_LIMIT: usize = 1 << 30;

/// The snapshot service of one server.
#[derive(Debug)]
pub struct Snapshot {
    address: String,
    connect_timeout: Duration,
    answer_timeout: Duration,
    stall_timeout: Duration,
}

impl Snapshot {
    pub(crate) fn new(settings: &Settings) -> Result<Snapshot, Error> {
        let address = settings.snapshot_address.clone();
        let valid = address.rsplit_once(':').is_some_and(|(host, port)| {
            let bracketed = host.starts_with('[') && host.ends_with(']');
            !host.is_empty() && (bracketed || !host.contains(':')) && port.parse::<u16>().is_ok()
        });
        if !valid {
            return Err(Error::Settings {
                message: format!("{address:?} is not the address of a snapshot service"),
                hint: "it looks like 127.0.0.1:8088 or [::1]:8088".to_owned(),
            });
        }
        Ok(Snapshot {
            address,
            connect_timeout: settings.connect_timeout,
            answer_timeout: settings.answer_timeout,
            stall_timeout: settings.stall_timeout,
        })
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The shards of a database which the server holds now.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownDatabase`] on an empty answer, which is how the server says so.
    pub async fn shards(&self, database: &str) -> Result<Vec<ShardPath>, Error> {
        let operation = format!("list the shards of database {database}");
        let answer = self.whole(operation.clone(), Request::DatabaseShards { database }).await?;
        if answer.is_empty() {
            return Err(Error::UnknownDatabase { database: database.to_owned(), address: self.address.clone() });
        }
        self.paths(operation, &answer)
    }

    /// The shards of one retention policy which the server holds now.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownPolicy`] on an empty answer: no such policy, or no such database.
    pub async fn policy_shards(&self, database: &str, policy: &str) -> Result<Vec<ShardPath>, Error> {
        let operation = format!("list the shards of retention policy {policy} of database {database}");
        let answer = self.whole(operation.clone(), Request::PolicyShards { database, policy }).await?;
        if answer.is_empty() {
            let (database, policy) = (database.to_owned(), policy.to_owned());
            return Err(Error::UnknownPolicy { database, policy, address: self.address.clone() });
        }
        self.paths(operation, &answer)
    }

    /// The metastore: all databases, all users with the hashes of their passwords.
    pub async fn metastore(&self) -> Result<Framed, Error> {
        let operation = "read the metastore".to_owned();
        let answer = self.whole(operation.clone(), Request::Metastore).await?;
        let received = answer.len() as u64;
        match Framed::decode(answer.freeze()) {
            Ok(framed) => Ok(framed),
            Err(fault) if fault.is_truncation() => {
                Err(Error::Truncated { operation, address: self.address.clone(), received, reason: fault.to_string() })
            }
            Err(fault) => Err(Error::Protocol { operation, reason: fault.to_string() }),
        }
    }

    /// Opens the stream of a shard's tar. The server flushes the shard's cache before it sends the first byte.
    ///
    /// The stream's end proves nothing; look for the end of the tar. An empty stream means that there is no
    /// such shard or that someone else is flushing it. Two streams of one shard at once disturb each other.
    pub async fn shard(&self, id: u64) -> Result<ShardStream, Error> {
        self.files(id, None).await
    }

    /// The same of those files alone that were written after `since`, by the times that they have in the server's file
    /// system. A tar without files says that there are none.
    pub async fn shard_since(&self, id: u64, since: DateTime<Utc>) -> Result<ShardStream, Error> {
        self.files(id, Some(since)).await
    }

    async fn files(&self, id: u64, since: Option<DateTime<Utc>>) -> Result<ShardStream, Error> {
        let answer = self.ask(format!("read shard {id}"), Request::Shard { id, since }).await?;
        Ok(ShardStream { answer, buffer: BytesMut::new() })
    }

    fn paths(&self, operation: String, answer: &[u8]) -> Result<Vec<ShardPath>, Error> {
        wire::decode_paths(answer).map_err(|reason| {
            let (address, received) = (self.address.clone(), answer.len() as u64);
            if answer.ends_with(b"\n") {
                Error::Protocol { operation, reason }
            } else {
                Error::Truncated { operation, address, received, reason }
            }
        })
    }

    async fn whole(&self, operation: String, request: Request<'_>) -> Result<BytesMut, Error> {
        let mut answer = self.ask(operation, request).await?;
        let mut bytes = BytesMut::new();
        while answer.read(&mut bytes).await? > 0 {
            if bytes.len() > ANSWER_LIMIT {
                let reason = format!("it is longer than {ANSWER_LIMIT} bytes");
                return Err(Error::Protocol { operation: answer.operation, reason });
            }
        }
        Ok(bytes)
    }

    async fn ask(&self, operation: String, request: Request<'_>) -> Result<Answer, Error> {
        let stream = self.open(&operation, &request.encode()).await?;
        Ok(self.answer(operation, stream))
    }

    /// A connection on which these first bytes have been sent.
    async fn open(&self, operation: &str, bytes: &[u8]) -> Result<TcpStream, Error> {
        let unreachable = |reason: String| Error::Unreachable {
            operation: operation.to_owned(),
            address: self.address.clone(),
            reason,
            interface: Interface::Snapshot,
        };
        let sending = async {
            let mut stream = TcpStream::connect(&self.address).await?;
            // What follows small bytes is not held back until they have been acknowledged.
            stream.set_nodelay(true)?;
            // A fresh connection's send buffer takes the few hundred bytes of a request in one write.
            stream.write_all(bytes).await?;
            Ok::<_, std::io::Error>(stream)
        };
        match timeout(self.connect_timeout, sending).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(unreachable(error.to_string())),
            Err(_) => Err(unreachable(format!("no connection within {:.0?}", self.connect_timeout))),
        }
    }

    fn answer(&self, operation: String, stream: TcpStream) -> Answer {
        Answer {
            stream,
            operation,
            address: self.address.clone(),
            received: 0,
            answer_timeout: self.answer_timeout,
            stall_timeout: self.stall_timeout,
        }
    }
}

/// An answer that is being read.
#[derive(Debug)]
struct Answer {
    stream: TcpStream,
    operation: String,
    address: String,
    received: u64,
    answer_timeout: Duration,
    stall_timeout: Duration,
}

impl Answer {
    /// Appends what comes next; 0 once the server has closed.
    async fn read(&mut self, buffer: &mut BytesMut) -> Result<usize, Error> {
        if buffer.capacity() - buffer.len() < LEAST_ROOM {
            buffer.reserve(BUFFER);
        }
        let patience = if self.received == 0 { self.answer_timeout } else { self.stall_timeout };
        match timeout(patience, self.stream.read_buf(buffer)).await {
            Ok(Ok(count)) => {
                self.received += count as u64;
                Ok(count)
            }
            Ok(Err(error)) => Err(Error::Truncated {
                operation: self.operation.clone(),
                address: self.address.clone(),
                received: self.received,
                reason: error.to_string(),
            }),
            Err(_) => Err(Error::Stalled {
                operation: self.operation.clone(),
                address: self.address.clone(),
                waited: patience,
                received: self.received,
            }),
        }
    }
}

/// The bytes of a shard's tar as they come.
#[derive(Debug)]
pub struct ShardStream {
    answer: Answer,
    buffer: BytesMut,
}

impl ShardStream {
    /// The next bytes, at most some 256 KiB; `None` once the server has closed, which it does at the end as well
    /// as in the middle when it is killed.
    ///
    /// # Errors
    ///
    /// [`Error::Truncated`] if the connection was reset, [`Error::Stalled`] if nothing came for too long.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let count = self.answer.read(&mut self.buffer).await?;
        Ok((count > 0).then(|| self.buffer.split().freeze()))
    }

    /// Bytes that have come so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.answer.received
    }
}
