//! The indexes of stored files: fetched once for all dumps of a run, compared with the manifest, and kept in the spool.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Write as _};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use archive::manifest::ShardFile;
use futures_util::TryStreamExt;
use sha2::{Digest, Sha256};
use store::{Download, Store};
use tokio::sync::Mutex;
use tsm::{IndexReader, Tombstones};

use super::files::StoredFile;
use crate::spool::Resident;
use crate::{Error, Kind};

/// How often a range is read that is not what the manifest says: a store may have more than one copy.
pub(super) const LOOKS: usize = 3;

/// Buffer of an index that is read, in bytes; a shard may have dozens of them.
const BUFFER: usize = 64 << 10;

/// A file of which everything but the blocks is here.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) stored: StoredFile,
    index: PathBuf,
    pub(super) tombstones: Tombstones,
}

impl Opened {
    /// Reads the index from its beginning.
    pub(super) fn index(&self) -> Result<IndexReader<BufReader<File>>, Error> {
        let file = File::open(&self.index).map_err(|error| Error::io("read an index in the spool", &error))?;
        Ok(IndexReader::new(BufReader::with_capacity(BUFFER, file), self.stored.layout))
    }
}

/// An object and a file in it.
type Name = (Arc<str>, String);

/// All indexes that a run has fetched.
#[derive(Debug)]
pub(super) struct Indexes {
    folder: Resident,
    opened: Mutex<HashMap<Name, Arc<Opened>>>,
}

impl Indexes {
    pub(super) fn new(folder: Resident) -> Indexes {
        Indexes { folder, opened: Mutex::default() }
    }

    /// A file's index and tombstone, compared with the night's manifest.
    ///
    /// # Errors
    ///
    /// [`Kind::Damage`] when they are not those of the manifest.
    pub(super) async fn open(
        &self,
        store: &dyn Store,
        container: &str,
        stored: &StoredFile,
    ) -> Result<Arc<Opened>, Error> {
        let key = (Arc::clone(&stored.object), stored.file.name.clone());
        // Two dumps that want the same index take turns, and one of them fetches it.
        let mut opened = self.opened.lock().await;
        if let Some(known) = opened.get(&key) {
            return Ok(Arc::clone(known));
        }
        let index = self.index(store, container, stored, opened.len()).await?;
        let tombstones = match &stored.tombstone {
            Some(tombstone) => tombstones(store, container, &stored.object, tombstone).await?,
            None => Tombstones::default(),
        };
        let found = Arc::new(Opened { stored: stored.clone(), index, tombstones });
        opened.insert(key, Arc::clone(&found));
        Ok(found)
    }

    /// Fetches an index into the spool.
    async fn index(
        &self,
        store: &dyn Store,
        container: &str,
        stored: &StoredFile,
        number: usize,
    ) -> Result<PathBuf, Error> {
        let StoredFile { object, file, layout, .. } = stored;
        let path = self.folder.file(&format!("index-{number}"));
        let begins = file.offset + layout.index_offset();
        let range = begins..begins + layout.index_bytes();
        let failed = |error: std::io::Error| Error::io("write an index in the spool", &error);
        self.folder.take(layout.index_bytes()).map_err(|full| full.error("read the indexes"))?;
        for _ in 0..LOOKS {
            let mut target = File::create(&path).map_err(failed)?;
            let mut digest = Sha256::new();
            let mut download = get(store, container, object, &file.name, range.clone()).await?;
            while let Some(piece) = download.stream.try_next().await? {
                digest.update(&piece);
                target.write_all(&piece).map_err(failed)?;
            }
            if hex::encode(digest.finalize()) == stored.index_sha256 {
                return Ok(path);
            }
        }
        Err(damaged(object, &file.name, "its index is not the one of the manifest"))
    }
}

async fn tombstones(store: &dyn Store, container: &str, object: &str, file: &ShardFile) -> Result<Tombstones, Error> {
    for _ in 0..LOOKS {
        let download = get(store, container, object, &file.name, file.offset..file.offset + file.bytes).await?;
        let pieces: Vec<bytes::Bytes> = download.stream.try_collect().await?;
        let bytes = pieces.concat();
        if hex::encode(Sha256::digest(&bytes)) == file.sha256 {
            return Tombstones::read(bytes.as_slice()).map_err(|error| damaged(object, &file.name, &error.to_string()));
        }
    }
    Err(damaged(object, &file.name, "it is not the one of the manifest"))
}

/// Opens a part of a stored file.
///
/// # Errors
///
/// [`Kind::Damage`] when the object does not exist, or is not as long.
pub(super) async fn get(
    store: &dyn Store,
    container: &str,
    object: &str,
    file: &str,
    range: Range<u64>,
) -> Result<Download, Error> {
    match store.get(container, object, Some(range)).await {
        Err(store::Error::NotFound { .. }) => Err(damaged(object, file, "the shard does not exist")),
        Err(store::Error::Range { .. }) => Err(damaged(object, file, "the shard ends before it")),
        other => Ok(other?),
    }
}

/// The error that a file is not what was stored.
pub(super) fn damaged(object: &str, file: &str, what: &str) -> Error {
    Error::new(Kind::Damage, format!("{object} is damaged: {file}: {what}"))
        .hint("nightshard-verify --deep tells all that is damaged; a neighbouring night may have the same points")
}
