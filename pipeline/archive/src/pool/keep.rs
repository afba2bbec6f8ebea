//! The backup's side of the pool: a shard that lies on local disk becomes a name of one in the pool, and only what the pool
//! lacks is sent.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use chrono::TimeDelta;
use futures_util::stream::{self, StreamExt};
use store::{Body, Digester, Digests, ObjectInfo, Piece, Sharing, Store, StoreExt, Target};

use super::cut::{Cut, cut};
use super::names::{MARKS, piece_name, piece_prefix, shard_name, shard_prefix};
use super::settings::agree;
use crate::Error;
use crate::manifest::{BackupManifest, Pooled, PooledPiece, ShardFile};

/// How much of a local file is read at once, in bytes.
const READ: usize = 256 << 10;

/// Pieces of a shard that are looked at at once.
const LOOKS_AT_ONCE: usize = 8;

/// The pool, as a backup uses it whose marker stands.
#[derive(Debug)]
pub struct Pool {
    store: Arc<dyn Store>,
    container: String,
    grace: TimeDelta,
    /// Names that must not be used any more.
    marked: HashSet<String>,
    /// Pieces that were looked at, and are there as they were.
    whole: Mutex<HashSet<String>>,
    /// Set when two objects turned out not to be able to share.
    gave_up: AtomicBool,
}

/// A shard that lies whole on local disk.
#[derive(Debug, Clone, Copy)]
pub struct LocalShard<'a> {
    /// The tar.
    pub path: &'a Path,
    /// Its length and digests.
    pub digests: &'a Digests,
    /// Its files.
    pub files: &'a [ShardFile],
}

/// What an earlier night has in the pool, by SHA-256 in hex.
#[derive(Debug, Clone, Default)]
pub struct Known {
    shards: HashMap<String, Pooled>,
    pieces: HashMap<String, PooledPiece>,
}

/// A shard that is in the pool, and a name of it in the night.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Where it lies.
    pub pooled: Pooled,
    /// Bytes that were sent for it.
    pub sent_bytes: u64,
}

impl Known {
    /// What the night of this manifest has in the pool of this name.
    #[must_use]
    pub fn of(manifest: &BackupManifest, container: &str) -> Known {
        let mut known = Known::default();
        if manifest.pool.as_deref() != Some(container) {
            return known;
        }
        for (object, shard) in manifest.shards() {
            let Some(pooled) = &shard.pooled else { continue };
            known.shards.insert(object.sha256.clone(), pooled.clone());
            for piece in &pooled.pieces {
                if let Some(sha256) = sha256_of(&piece.name) {
                    known.pieces.insert(sha256.to_owned(), piece.clone());
                }
            }
        }
        known
    }
}

/// The SHA-256 in the name of a piece.
fn sha256_of(name: &str) -> Option<&str> {
    name.strip_prefix("tsm/")?.split_once('.').map(|(sha256, _)| sha256)
}

impl Pool {
    /// Opens the pool in `container`, and makes it where there is none; `None` where the store cannot share. `grace` decides
    /// only for a new one. To be called when the marker of the backup stands, for the marks are read now.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn open(store: Arc<dyn Store>, container: &str, grace: TimeDelta) -> Result<Option<Pool>, Error> {
        let Some(sharing) = store.sharing() else { return Ok(None) };
        sharing.create_keeping_container(container).await?;
        let grace = agree(store.as_ref(), container, grace).await?;
        let mut marked = HashSet::new();
        let mut after: Option<String> = None;
        loop {
            let page = store.list(container, MARKS, after.as_deref()).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.name.clone());
            marked.extend(page.iter().filter_map(|entry| entry.name.strip_prefix(MARKS)).map(str::to_owned));
        }
        let container = container.to_owned();
        Ok(Some(Pool { store, container, grace, marked, whole: Mutex::default(), gave_up: AtomicBool::new(false) }))
    }

    /// Its container.
    #[must_use]
    pub fn container(&self) -> &str {
        &self.container
    }

    /// How old a backup may be that seals.
    #[must_use]
    pub fn longest_backup(&self) -> TimeDelta {
        self.grace / 2
    }

    /// Whether all that a shard of an earlier night needs may still be used.
    #[must_use]
    pub fn is_usable(&self, pooled: &Pooled) -> bool {
        pooled.names().all(|name| !self.marked.contains(name))
    }

    /// Makes `container/name` a name of a shard of so many bytes that is in the pool already, if it still is there as it was.
    ///
    /// # Errors
    ///
    /// When the store fails.
    pub async fn link_known(
        &self,
        container: &str,
        name: &str,
        pooled: &Pooled,
        bytes: u64,
    ) -> Result<Option<ObjectInfo>, Error> {
        if self.gave_up.load(Ordering::Relaxed) || !self.is_usable(pooled) || !self.has_all(&pooled.pieces).await? {
            return Ok(None);
        }
        let target = Target { container: self.container.clone(), name: pooled.name.clone(), tag: pooled.tag.clone() };
        match self.sharing()?.link(container, name, &target).await {
            // A folder links to whatever has the name.
            Ok(info) => Ok((info.bytes == bytes).then_some(info)),
            Err(store::Error::Conflict { .. } | store::Error::NotFound { .. } | store::Error::Unsupported { .. }) => {
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Makes `container/name` a name of this shard, and gives the pool what it lacks. `None` where these two cannot share (a
    /// night on another disk than the pool): then the night needs bytes of its own.
    ///
    /// # Errors
    ///
    /// When the store fails, or the local file cannot be read.
    pub async fn keep(
        &self,
        container: &str,
        name: &str,
        shard: &LocalShard<'_>,
        known: &Known,
    ) -> Result<Option<Kept>, Error> {
        if self.gave_up.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let sha256 = hex::encode(shard.digests.sha256);
        if let Some(pooled) = known.shards.get(&sha256)
            && self.link_known(container, name, pooled, shard.digests.bytes).await?.is_some()
        {
            return Ok(Some(Kept { pooled: pooled.clone(), sent_bytes: 0 }));
        }
        let mut placing = Placing { pool: self, shard, sha256: &sha256, sent_bytes: 0 };
        let pooled = match placing.place(known).await {
            // What an earlier night has there may be gone, or damaged.
            Err(Error::Store(
                error @ (store::Error::Mismatch { .. } | store::Error::Refused { .. } | store::Error::NotFound { .. }),
            )) if !known.pieces.is_empty() => {
                tracing::info!("{name} is put into the pool without what earlier nights have there: {error}");
                placing.place(&Known::default()).await?
            }
            placed => placed?,
        };
        let target = Target { container: self.container.clone(), name: pooled.name.clone(), tag: pooled.tag.clone() };
        match self.sharing()?.link(container, name, &target).await {
            Ok(_) => Ok(Some(Kept { pooled, sent_bytes: placing.sent_bytes })),
            Err(store::Error::Unsupported { operation, reason }) => {
                self.gave_up.store(true, Ordering::Relaxed);
                tracing::warn!("the night shares nothing with others: cannot {operation}: {reason}");
                self.store.delete(&self.container, &pooled.name).await?;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Whether the pieces are there as they were: a shard that consists of them stands when they are gone, and can be linked
    /// to.
    async fn has_all(&self, pieces: &[PooledPiece]) -> Result<bool, Error> {
        let looks = pieces.iter().map(|piece| async move {
            if self.whole().contains(&piece.name) {
                return Ok::<_, Error>(true);
            }
            let found = self.store.find(&self.container, &piece.name).await?;
            let is_whole = found.is_some_and(|it| it.bytes == piece.bytes && it.etag.as_ref() == Some(&piece.md5));
            if is_whole {
                self.whole().insert(piece.name.clone());
            }
            Ok(is_whole)
        });
        // Collected first, so that the closure's borrows need not hold for every lifetime.
        let looks: Vec<_> = looks.collect();
        let mut looked = stream::iter(looks).buffer_unordered(LOOKS_AT_ONCE);
        while let Some(is_whole) = looked.next().await {
            if !is_whole? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn whole(&self) -> MutexGuard<'_, HashSet<String>> {
        self.whole.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A pool is opened on nothing else.
    fn sharing(&self) -> Result<&dyn Sharing, Error> {
        self.store.sharing().ok_or_else(|| {
            let operation = format!("share objects in {}", self.store.location());
            store::Error::Unsupported { operation, reason: "it has no such means".to_owned() }.into()
        })
    }

    /// An object of the pool whose name begins so, that may be used and is what is wanted: a run that was killed has put it
    /// there, or a night that nobody told of.
    async fn find(&self, prefix: &str, digests: &Digests) -> Result<Option<(String, ObjectInfo)>, Error> {
        for entry in self.store.list_all(&self.container, prefix).await? {
            if self.marked.contains(&entry.name) {
                continue;
            }
            // A listing is a hint.
            if let Some(info) = self.store.find_same(&self.container, &entry.name, digests).await? {
                return Ok(Some((entry.name, info)));
            }
        }
        Ok(None)
    }
}

/// One shard on its way into the pool.
struct Placing<'a> {
    pool: &'a Pool,
    shard: &'a LocalShard<'a>,
    /// Of the shard, in hex.
    sha256: &'a str,
    sent_bytes: u64,
}

impl Placing<'_> {
    async fn place(&mut self, known: &Known) -> Result<Pooled, Error> {
        let LocalShard { digests, files, .. } = self.shard;
        let Some(composition) = self.pool.sharing()?.composition() else {
            return self.as_it_is((*digests).clone()).await;
        };
        let cuts = cut(files, digests.bytes, &composition);
        if let [_whole] = cuts.as_slice() {
            return self.as_it_is(Digests { segments: Vec::new(), ..(*digests).clone() }).await;
        }
        let mut pieces = Vec::with_capacity(cuts.len());
        let mut pooled = Vec::new();
        for Cut { bytes, is_pooled } in cuts {
            if !is_pooled {
                let inline = self.read(bytes).await?;
                self.sent_bytes += inline.len() as u64;
                pieces.push(Piece::Inline(inline));
                continue;
            }
            let piece = self.piece(bytes, known).await?;
            pieces.push(Piece::Object {
                container: self.pool.container.clone(),
                name: piece.name.clone(),
                bytes: piece.bytes,
                etag: piece.md5.clone(),
            });
            pooled.push(piece);
        }
        let name = shard_name(self.sha256);
        let info = self.pool.sharing()?.compose(&self.pool.container, &name, &pieces).await?;
        Ok(Pooled { name, tag: info.link_tag, pieces: pooled })
    }

    /// The shard as one object.
    async fn as_it_is(&mut self, digests: Digests) -> Result<Pooled, Error> {
        let pool = self.pool;
        if let Some((name, info)) = pool.find(&shard_prefix(self.sha256), &digests).await? {
            return Ok(Pooled { name, tag: info.link_tag, pieces: Vec::new() });
        }
        let name = shard_name(self.sha256);
        self.sent_bytes += digests.bytes;
        let info = pool.store.put(&pool.container, &name, &Body::from_file(self.shard.path, digests)).await?;
        Ok(Pooled { name, tag: info.link_tag, pieces: Vec::new() })
    }

    /// A part of the shard as an object of the pool.
    async fn piece(&mut self, range: Range<u64>, known: &Known) -> Result<PooledPiece, Error> {
        let (offset, bytes) = (range.start, range.end - range.start);
        let is_file = |file: &&ShardFile| file.offset == range.start && file.bytes == bytes;
        // The digest of a file is known; that of another part has to be made.
        let file = self.shard.files.iter().find(is_file).map(|file| file.sha256.clone());
        let of_known = |sha256: &String| known.pieces.get(sha256).filter(|piece| piece.bytes == bytes);
        let usable = |piece: &&PooledPiece| !self.pool.marked.contains(&piece.name);
        if let Some(piece) = file.as_ref().and_then(of_known).filter(usable) {
            return Ok(PooledPiece { offset, ..piece.clone() });
        }
        let digests = digests_of(self.shard.path.to_owned(), range.clone()).await?;
        let (sha256, md5) = (hex::encode(digests.sha256), hex::encode(digests.md5));
        if let Some(piece) = Some(&sha256).and_then(of_known).filter(usable).filter(|piece| piece.md5 == md5) {
            return Ok(PooledPiece { offset, ..piece.clone() });
        }
        let pool = self.pool;
        if let Some((name, _)) = pool.find(&piece_prefix(&sha256), &digests).await? {
            return Ok(PooledPiece { name, offset, bytes, md5 });
        }
        let name = piece_name(&sha256);
        self.sent_bytes += bytes;
        let body = Body::from_file_range(self.shard.path, range, digests);
        pool.store.put(&pool.container, &name, &body).await?;
        Ok(PooledPiece { name, offset, bytes, md5 })
    }

    async fn read(&self, range: Range<u64>) -> Result<Bytes, Error> {
        let path = self.shard.path.to_owned();
        blocking(self.shard.path, move || {
            let mut inline = Vec::new();
            part(&path, &range)?.read_to_end(&mut inline)?;
            Ok(inline.into())
        })
        .await
    }
}

fn part(path: &Path, range: &Range<u64>) -> io::Result<io::Take<File>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(range.start))?;
    Ok(file.take(range.end - range.start))
}

async fn digests_of(path: PathBuf, range: Range<u64>) -> Result<Digests, Error> {
    let reading = path.clone();
    blocking(&reading, move || {
        let mut file = part(&path, &range)?;
        let mut digester = Digester::new(None);
        let mut piece = vec![0; READ];
        loop {
            match file.read(&mut piece)? {
                0 => return Ok(digester.finish()),
                got => digester.update(&piece[..got]),
            }
        }
    })
    .await
}

async fn blocking<T: Send + 'static>(
    path: &Path,
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await.map_err(io::Error::other).flatten();
    done.map_err(|source| store::Error::Io { operation: format!("read {}", path.display()), source }.into())
}
