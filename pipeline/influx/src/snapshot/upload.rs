//! What the snapshot service takes: a database's part of a metastore, and the files of its shards.
//!
//! It says little. An import answers with the ids that the shards have got, and a refusal looks like the import of a
//! database without shards; whether a shard's files were taken is not answered at all. Whoever sends them has to ask for
//! them afterwards.

use std::collections::BTreeMap;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use super::wire::{self, Request};
use super::{Answer, Snapshot};
use crate::Error;
use crate::metastore::Data;

/// So much of an import is sent at once, in bytes: all of it, where no blanks are needed.
const FIRST: usize = 64 << 10;

impl Snapshot {
    /// Makes a database that is not there, with the policies and empty shards which the metastore has of it, and tells the
    /// id that each shard has got. Subscriptions come along, continuous queries and users do not.
    ///
    /// `time` counts from 0 how often this was tried: a large metastore may not arrive as a whole on an old server, and
    /// then each time is more likely to succeed than the one before.
    ///
    /// # Errors
    ///
    /// When there is no answer. None is also what a server gives that refuses, and so is an answer without ids: only the
    /// metastore tells whether the database is there.
    pub async fn import(&self, metastore: &Data, database: &str, time: u32) -> Result<BTreeMap<u64, u64>, Error> {
        let operation = format!("import database {database}");
        let message = metastore.to_meta_db();
        let request = Request::Import { database, name: "", bytes: message.len() as u64 };
        let mut bytes = request.encode_with_blanks(wire::blanks(message.len(), time));
        bytes.extend(message);
        let mut bytes = Bytes::from(bytes);
        let first = bytes.split_to(bytes.len().min(FIRST));
        let stream = self.open(&operation, &first).await?;
        let mut answer = self.answer(operation, stream);
        answer.send(bytes).await?;
        let mut ids = BytesMut::new();
        while answer.read(&mut ids).await? > 0 {}
        wire::decode_ids(&ids).map_err(|reason| match ids.is_empty() {
            true => answer.truncated("it is empty".to_owned()),
            false => Error::Protocol { operation: answer.operation.clone(), reason },
        })
    }

    /// Opens a shard for files: a tar is to be sent, whose entries lie in `<database>/<policy>/<id>/` and end in `.tsm`;
    /// the server passes over all others in silence, tombstones too. Until the tar has come to its end or the connection is
    /// closed, the shard can neither be read nor written, nor its database be dropped.
    pub async fn upload(&self, id: u64) -> Result<ShardUpload, Error> {
        let operation = format!("send shard {id}");
        let stream = self.open(&operation, &wire::shard_update(id)).await?;
        Ok(ShardUpload { answer: self.answer(operation, stream), sent: 0 })
    }
}

/// A shard that takes files.
#[derive(Debug)]
pub struct ShardUpload {
    answer: Answer,
    sent: u64,
}

impl ShardUpload {
    /// Sends the next bytes of the tar.
    ///
    /// # Errors
    ///
    /// [`Error::Unsent`] if the server has closed the connection, or takes nothing for too long.
    pub async fn send(&mut self, bytes: Bytes) -> Result<(), Error> {
        let length = bytes.len() as u64;
        self.answer.send(bytes).await.map_err(|error| match error {
            Error::Unsent { operation, address, sent, reason } => {
                Error::Unsent { operation, address, sent: sent + self.sent, reason }
            }
            other => other,
        })?;
        self.sent += length;
        Ok(())
    }

    /// Waits until the server has closed the connection, which it does after the tar's end, once the shard is open again.
    ///
    /// # Errors
    ///
    /// [`Error::Unsent`] if the connection was reset: then the server has not taken the shard. That it is closed in good
    /// order does not mean that it has.
    pub async fn finish(mut self) -> Result<(), Error> {
        let mut nothing = BytesMut::new();
        match self.answer.read(&mut nothing).await {
            Ok(0) => Ok(()),
            Ok(_) => {
                let reason = "there should be none".to_owned();
                Err(Error::Protocol { operation: self.answer.operation, reason })
            }
            Err(Error::Truncated { operation, address, reason, .. }) => {
                Err(Error::Unsent { operation, address, sent: self.sent, reason })
            }
            Err(error) => Err(error),
        }
    }
}

impl Answer {
    /// Sends bytes before the answer comes. The server brings each file to its disk before it reads on, so that it may take
    /// nothing for as long as an answer may take.
    async fn send(&mut self, mut bytes: Bytes) -> Result<(), Error> {
        let length = bytes.len() as u64;
        while bytes.has_remaining() {
            let reason = match timeout(self.answer_timeout, self.stream.write_buf(&mut bytes)).await {
                Ok(Ok(written)) if written > 0 => continue,
                Ok(Ok(_)) => "it takes no more".to_owned(),
                Ok(Err(error)) => error.to_string(),
                Err(_) => format!("it took nothing for {:.0?}", self.answer_timeout),
            };
            let (operation, address) = (self.operation.clone(), self.address.clone());
            return Err(Error::Unsent { operation, address, sent: length - bytes.len() as u64, reason });
        }
        Ok(())
    }

    fn truncated(&self, reason: String) -> Error {
        let (operation, address, received) = (self.operation.clone(), self.address.clone(), self.received);
        Error::Truncated { operation, address, received, reason }
    }
}
