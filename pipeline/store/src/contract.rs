//! The contract of an object store, and comforts that are built on it alone.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures_util::stream::BoxStream;

use crate::{Body, Digests, Error, Sharing};

/// A body on its way out of the store, piece by piece.
pub type ByteStream = BoxStream<'static, Result<Bytes, Error>>;

/// Containers of named objects.
///
/// # What an implementer owes
///
/// - **An object appears whole or not at all.** A reader never sees the beginning of an upload that
///   failed or still runs; a failed `put` leaves what was there before.
/// - **Bytes are counted and hashed on the way in.** A body that is longer or shorter than its
///   [`Digests`] say, or has another MD5, is an error and is not stored.
/// - **An early end is an error on the way out.** A [`Download`] yields exactly the bytes that were
///   asked for, or ends with an error; broken connections are resumed inside.
/// - **Passing faults are retried inside**, with growing pauses; what comes out as an error has been
///   tried often enough ([`Error::is_passing`] tells whether later might be better).
/// - **Listings are hints** (they may lag behind), `head` is the truth.
/// - **Times are the store's own**, never this machine's clock. (A folder's own clock is its machine's.)
///
/// Names are any UTF-8 without a null byte; `/` has no meaning but is common. A name that a store cannot hold (a
/// folder has no room for `..` or for a part of more than 255 bytes) is [`Error::InvalidName`], never another name.
/// Containers need not exist for `head`, `get` and `delete` to answer [`Error::NotFound`]; `put` into one that
/// does not exist is [`Error::NotFound`] too.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync + 'static {
    /// Where this store is, for messages and records, such as `swift:AUTH_backup at http://…` or
    /// `file:///var/backups`. Holds no secret.
    fn location(&self) -> String;

    /// What time it is by the store's own clock; `None` where it has none, or does not tell.
    async fn time(&self) -> Option<DateTime<Utc>> {
        None
    }

    /// Objects larger than this are cut into segments of this size, in bytes; `None` where no object
    /// is too large. Give it to [`Digester::new`](crate::Digester::new), so that one reading yields the
    /// digests of the segments too.
    fn segment_size(&self) -> Option<u64>;

    /// The largest object that can be stored, in bytes, where there is a limit.
    fn max_object_size(&self) -> Option<u64>;

    /// Makes a container. One that exists already is success.
    async fn create_container(&self, container: &str) -> Result<(), Error>;

    /// Removes an empty container; one that does not exist is success, one that holds objects is
    /// [`Error::Conflict`].
    async fn delete_container(&self, container: &str) -> Result<(), Error>;

    /// One page of the containers after the name `after`, in byte order of their names; an empty page ends the
    /// listing.
    async fn list_containers(&self, prefix: &str, after: Option<&str>) -> Result<Vec<ContainerEntry>, Error>;

    /// Stores `body` under `name`, replacing what stands there, and then asks the store (HEAD) whether
    /// size and ETag are those of the body: only a proven upload is `Ok`.
    async fn put(&self, container: &str, name: &str, body: &Body) -> Result<ObjectInfo, Error>;

    /// Opens the object, or the half-open byte `range` of it, for reading.
    ///
    /// A range that reaches beyond the end is [`Error::Range`]. An object that is replaced while it is read either
    /// goes on with its old bytes or ends with [`Error::Changed`]; the two are never mixed.
    async fn get(&self, container: &str, name: &str, range: Option<Range<u64>>) -> Result<Download, Error>;

    /// Opens the whole object for a reader that compares it with a digest of its own: the store need not check what it
    /// hands out. Else as [`get`](Store::get).
    ///
    /// A reader that finds damage asks again with `get`: then the store looks as well, and may have a better copy.
    async fn get_unchecked(&self, container: &str, name: &str) -> Result<Download, Error> {
        self.get(container, name, None).await
    }

    /// What the store knows of the object.
    async fn head(&self, container: &str, name: &str) -> Result<ObjectInfo, Error>;

    /// The same, with every segment of which the object consists looked at as well: one that is missing is
    /// [`Error::NotFound`] under its own name, one that is not what it was is [`Error::Mismatch`].
    async fn head_with_segments(&self, container: &str, name: &str) -> Result<ObjectInfo, Error> {
        self.head(container, name).await
    }

    /// The same store, where it can let objects share their bytes.
    fn sharing(&self) -> Option<&dyn Sharing> {
        None
    }

    /// The file in which the object lies, for a reader that goes to and fro in it; `None` where objects are no files of
    /// this machine, or are not to be read past the store. The file need not exist.
    fn file(&self, _container: &str, _name: &str) -> Option<PathBuf> {
        None
    }

    /// One page of the objects whose names begin with `prefix`, after the name `after`, in byte order; an empty
    /// page ends the listing. A container that does not exist is [`Error::NotFound`].
    async fn list(&self, container: &str, prefix: &str, after: Option<&str>) -> Result<Vec<ObjectEntry>, Error>;

    /// Removes the named object alone, never the segments of which it consists. An object that does not
    /// exist is [`Error::NotFound`].
    async fn delete(&self, container: &str, name: &str) -> Result<(), Error>;

    /// Removes the named object and those of its segments that [`put`](Store::put) made for this name;
    /// segments that lie elsewhere are not touched.
    async fn delete_with_segments(&self, container: &str, name: &str) -> Result<(), Error>;
}

/// A container in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerEntry {
    /// Name of the container.
    pub name: String,
}

/// An object in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectEntry {
    /// Name of the object.
    pub name: String,
    /// Size in bytes as the listing has it; of a link that of its target, where the listing tells.
    pub bytes: u64,
    /// The ETag as the listing has it, where it has one. Listings are hints: it may be an older object's.
    pub etag: Option<String>,
}

/// What the store says of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Size in bytes.
    pub bytes: u64,
    /// The ETag without quotes, where the store has one; compare it with [`Digests::etag`].
    pub etag: Option<String>,
    /// Whether it consists of segments: else its ETag is the MD5 of its bytes.
    pub is_segmented: bool,
    /// Whether another object is told of, to which this one is a link; two names of one file are none.
    pub is_link: bool,
    /// What a link to it has to name, so that the two are never mixed up with later ones; `None` where nothing needs to be
    /// named.
    pub link_tag: Option<String>,
    /// When the object was written, by the store's clock; of a link its target.
    pub modified: DateTime<Utc>,
    /// When the store answered, by its clock, never before `modified`: `answered - modified` is the object's age.
    pub answered: DateTime<Utc>,
}

/// An object that is being read.
pub struct Download {
    /// Size in bytes of what `stream` yields.
    pub bytes: u64,
    /// The bytes, in order. Ends with an error when fewer than `bytes` could be read.
    pub stream: ByteStream,
}

impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Download").field("bytes", &self.bytes).finish_non_exhaustive()
    }
}

/// Comforts on top of the contract, the same for every store.
#[async_trait]
pub trait StoreExt: Store {
    /// Every object whose name begins with `prefix`, all pages in one. Only for containers that hold one night; a
    /// long listing is read with [`Store::list`].
    async fn list_all(&self, container: &str, prefix: &str) -> Result<Vec<ObjectEntry>, Error> {
        let mut all: Vec<ObjectEntry> = Vec::new();
        loop {
            let after = all.last().map(|entry| entry.name.clone());
            let page = self.list(container, prefix, after.as_deref()).await?;
            if page.is_empty() {
                return Ok(all);
            }
            all.extend(page);
        }
    }

    /// The whole object in memory; one larger than `limit` bytes is [`Error::TooLarge`].
    async fn get_bytes(&self, container: &str, name: &str, limit: u64) -> Result<Bytes, Error> {
        use futures_util::TryStreamExt;

        let download = self.get(container, name, None).await?;
        if download.bytes > limit {
            return Err(Error::TooLarge { object: format!("{container}/{name}"), bytes: download.bytes, limit });
        }
        let pieces: Vec<Bytes> = download.stream.try_collect().await?;
        Ok(pieces.concat().into())
    }

    /// Stores bytes that lie in memory.
    async fn put_bytes(&self, container: &str, name: &str, bytes: Bytes) -> Result<ObjectInfo, Error> {
        let digests = Digests::of(&bytes, self.segment_size());
        self.put(container, name, &Body::from_bytes(bytes, digests)).await
    }

    /// Whether the store holds exactly these bytes in one object under the name: then gives what is known of it.
    ///
    /// The ETag proves it as it proves an upload. A store without ETags hands the bytes out to be hashed; if it cannot, it
    /// does not hold them.
    async fn find_same(&self, container: &str, name: &str, digests: &Digests) -> Result<Option<ObjectInfo>, Error> {
        use futures_util::TryStreamExt;
        use sha2::{Digest, Sha256};

        let Some(info) = self.find(container, name).await? else { return Ok(None) };
        if info.bytes != digests.bytes {
            return Ok(None);
        }
        if let Some(etag) = &info.etag {
            let is_same = *etag == digests.etag();
            return Ok(is_same.then_some(info));
        }
        let hashed = async {
            let download = self.get_unchecked(container, name).await?;
            download.stream.try_fold(Sha256::new(), async |hash, piece| Ok(hash.chain_update(piece))).await
        };
        match hashed.await {
            Ok(hash) => Ok((hash.finalize()[..] == digests.sha256).then_some(info)),
            Err(error) => {
                tracing::info!("{container}/{name} is taken for another object, as it cannot be read: {error}");
                Ok(None)
            }
        }
    }

    /// Whether the object exists, and what is known of it.
    async fn find(&self, container: &str, name: &str) -> Result<Option<ObjectInfo>, Error> {
        match self.head(container, name).await {
            Ok(info) => Ok(Some(info)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl<S: Store + ?Sized> StoreExt for S {}
