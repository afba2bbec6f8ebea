//! A shard that was downloaded: unpacked as it comes, checked, and on its way to the disk.

use std::path::PathBuf;

use archive::manifest::{ShardRecord, StoredObject};
use bytes::Bytes;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tsm::tar::Unpacked;

use super::files::{self, Owner};
use super::selection::damaged;
use super::witness::{self, Witness};
use crate::Error;

/// A shard that lies checked in its folder.
#[derive(Debug)]
pub(super) struct StagedShard {
    pub(super) record: ShardRecord,
    pub(super) folder: PathBuf,
    /// Its files there, in the order of the tar.
    pub(super) files: Vec<Unpacked>,
    /// Points that the server must answer with once it has the shard.
    pub(super) witnesses: Vec<Witness>,
    /// Brings it to the disk, while the next ones are downloaded and the target stops; not, where it is only on its way.
    flush: Option<JoinHandle<Result<(), Error>>>,
}

impl StagedShard {
    /// Returns once the shard survives a power cut.
    ///
    /// # Errors
    ///
    /// When the disk did not take it.
    pub(super) async fn flushed(&mut self) -> Result<(), Error> {
        match &mut self.flush {
            Some(flush) => files::joined(flush.await),
            None => Ok(()),
        }
    }
}

impl StagedShard {
    /// Without its files, which are not needed any more.
    ///
    /// # Errors
    ///
    /// When the disk does not let them go.
    pub(super) async fn remove(self) -> Result<StagedShard, Error> {
        let folder = self.folder.clone();
        files::blocking(move || files::remove(&folder)).await?;
        Ok(self)
    }
}

/// Unpacks a shard into a folder while its bytes come; its entries must lie in `expected`. One that stays there is brought to
/// the disk.
///
/// # Errors
///
/// [`crate::Kind::Damage`] when the bytes are not those of the manifest.
pub(super) fn unpack(
    mut batches: mpsc::Receiver<Vec<Bytes>>,
    (object, record, expected): (StoredObject, ShardRecord, String),
    folder: PathBuf,
    owner: Owner,
    stays: bool,
) -> Result<StagedShard, Error> {
    owner.make(&folder)?;
    let fault = |error| match error {
        tsm::tar::Error::Io { operation, source } => Error::io(operation, &source),
        fault => damaged(&object.name, &fault.to_string()),
    };
    let mut unpacker = tsm::tar::Unpacker::new(&expected, &folder);
    let mut sha256 = Sha256::new();
    while let Some(batch) = batches.blocking_recv() {
        for piece in batch {
            sha256.update(&piece);
            unpacker.feed(&piece).map_err(fault)?;
        }
    }
    let unpacked = unpacker.finish().map_err(fault)?;
    if hex::encode(sha256.finalize()) != object.sha256 {
        return Err(damaged(&object.name, "its SHA-256 is not that of the manifest"));
    }
    for file in &unpacked {
        owner.adopt(&file.path).map_err(|error| Error::io(format!("own {}", file.path.display()), &error))?;
    }
    let names: Vec<PathBuf> = unpacked.iter().map(|file| file.path.clone()).collect();
    let flush = stays.then(|| {
        let all = [names.as_slice(), std::slice::from_ref(&folder)].concat();
        tokio::task::spawn_blocking(move || all.iter().try_for_each(|path| files::flush(path)))
    });
    // The first group of all, in 1677, has a start that is wrapped around to 2262 once it comes from a metastore on disk,
    // and a query for a part of it finds nothing (seen).
    let witnesses = if record.starts.is_some() { witness::find(&names) } else { Vec::new() };
    Ok(StagedShard { record, folder, files: unpacked, witnesses, flush })
}
