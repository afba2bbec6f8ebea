//! A folder on disk: containers are directories, objects are files.
//!
//! Whatever a person does with `ls`, `cp` and `rm` works on it; nothing but the objects lies there, except for
//! unfinished files (`.nightshard-unfinished-…`) while somebody writes.

mod names;
mod sharing;
mod walk;
mod write;

use std::fs::{self, DirBuilder, File, Metadata};
use std::io::{self, ErrorKind};
use std::ops::Range;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use futures_util::stream::{self, StreamExt};
use tokio_util::sync::CancellationToken;

use crate::body::file_pieces;
use crate::{Body, ByteStream, ContainerEntry, Download, Error, ObjectEntry, ObjectInfo, Sharing, Store};

/// Names in one page of a listing, as many as Swift gives.
const LISTING_LIMIT: usize = 10_000;

/// A [`Store`] in a folder of a local or mounted file system.
///
/// `/` in names makes subdirectories, so a folder cannot hold both `a` and `a/b`, nor names with empty parts, `.` or
/// `..`. Files get mode 640 and directories 750, less the umask. There is no ETag: the bytes are hashed while they
/// are copied, and only a whole and right copy gets its name.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
    listing_limit: usize,
}

impl Folder {
    /// Opens the folder `root`, and makes it where it does not exist.
    pub fn open(root: impl AsRef<Path>) -> Result<Folder, Error> {
        let root = root.as_ref();
        let call =
            Call { operation: format!("open the folder {}", root.display()), object: root.display().to_string() };
        let made = DirBuilder::new().recursive(true).mode(write::DIRECTORY_MODE).create(root);
        let root = made.and_then(|()| root.canonicalize()).map_err(|error| call.error(error, Path::new("/")))?;
        Ok(Folder { root, listing_limit: LISTING_LIMIT })
    }

    /// Sets how many names a page of a listing holds at most, at least 1. Default 10,000.
    #[must_use]
    pub fn with_listing_limit(mut self, limit: usize) -> Folder {
        self.listing_limit = limit.max(1);
        self
    }

    /// Runs `work` in a blocking thread, and turns the operating system's errors into ours.
    async fn run<T: Send + 'static>(
        &self,
        call: Call,
        work: impl FnOnce() -> io::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let done = tokio::task::spawn_blocking(work).await.map_err(io::Error::other).flatten();
        done.map_err(|error| call.error(error, &self.root))
    }
}

#[async_trait]
impl Store for Folder {
    fn location(&self) -> String {
        location(&self.root)
    }

    fn segment_size(&self) -> Option<u64> {
        None
    }

    fn max_object_size(&self) -> Option<u64> {
        None
    }

    async fn create_container(&self, container: &str) -> Result<(), Error> {
        let path = names::container_path(&self.root, container)?;
        let root = self.root.clone();
        let call = Call::new("create container", container);
        self.run(call, move || match DirBuilder::new().mode(write::DIRECTORY_MODE).create(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => {
                // Whoever comes to write is the one to tidy up after writers that were killed.
                if let Err(error) = write::sweep_all(&path) {
                    tracing::warn!("cannot remove what killed writers left in {}: {error}", path.display());
                }
                Ok(())
            }
            Err(error) => Err(error),
            Ok(()) => File::open(root)?.sync_all(),
        })
        .await
    }

    async fn delete_container(&self, container: &str) -> Result<(), Error> {
        let path = names::container_path(&self.root, container)?;
        self.run(Call::new("delete container", container), move || {
            if !walk::page(&path, "", None, 1)?.is_empty() {
                return Err(io::Error::new(ErrorKind::DirectoryNotEmpty, "it holds objects"));
            }
            match write::remove_empty(&path) {
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                other => other,
            }
        })
        .await
    }

    async fn list_containers(&self, prefix: &str, after: Option<&str>) -> Result<Vec<ContainerEntry>, Error> {
        let (root, prefix, after, limit) =
            (self.root.clone(), prefix.to_owned(), after.map(str::to_owned), self.listing_limit);
        self.run(Call::new("list the containers of", &self.location()), move || {
            let mut names = Vec::new();
            for entry in fs::read_dir(root)? {
                let entry = entry?;
                // A container may be a link to a directory on another disk.
                if let Ok(name) = entry.file_name().into_string()
                    && name.starts_with(&prefix)
                    && after.as_ref().is_none_or(|after| name > *after)
                    && entry.path().is_dir()
                {
                    names.push(name);
                }
            }
            names.sort_unstable();
            names.truncate(limit);
            Ok(names.into_iter().map(|name| ContainerEntry { name }).collect())
        })
        .await
    }

    async fn put(&self, container: &str, name: &str, body: &Body) -> Result<ObjectInfo, Error> {
        let directory = names::container_path(&self.root, container)?;
        let target = names::object_path(&self.root, container, name)?;
        let call = Call::object("write", container, name);
        let operation = call.operation.clone();
        body.check_length(&operation).await?;
        if !tokio::fs::metadata(&directory).await.is_ok_and(|found| found.is_dir()) {
            return Err(Error::NotFound { object: container.to_owned(), location: self.location() });
        }
        let body = body.clone();
        // Whoever drops this future does not want the object any more.
        let stop = CancellationToken::new();
        let _stopped_on_drop = stop.clone().drop_guard();
        let written = self
            .run(call, move || match write::write(&directory, &target, &body, &stop)? {
                Some(difference) => Ok(Err(difference)),
                None => Ok(Ok(stat(&target)?)),
            })
            .await?;
        match written {
            Ok(metadata) => Ok(info(&metadata)),
            Err(write::Difference { what, declared, actual }) => {
                Err(Error::Mismatch { operation, what, declared, actual })
            }
        }
    }

    async fn get(&self, container: &str, name: &str, range: Option<Range<u64>>) -> Result<Download, Error> {
        let path = names::object_path(&self.root, container, name)?;
        let call = Call::object("read", container, name);
        let (operation, object) = (call.operation.clone(), call.object.clone());
        let (file, bytes) = self
            .run(call, move || {
                stat(&path)?;
                let file = File::open(path)?;
                let bytes = file.metadata()?.len();
                Ok((file, bytes))
            })
            .await?;
        let range = range.unwrap_or(0..bytes);
        if range.start > range.end || range.end > bytes {
            return Err(Error::Range { object, start: range.start, end: range.end, bytes });
        }
        Ok(Download { bytes: range.end - range.start, stream: exactly(file, range, operation) })
    }

    async fn head(&self, container: &str, name: &str) -> Result<ObjectInfo, Error> {
        let path = names::object_path(&self.root, container, name)?;
        self.run(Call::object("look at", container, name), move || Ok(info(&stat(&path)?))).await
    }

    fn sharing(&self) -> Option<&dyn Sharing> {
        Some(self)
    }

    fn file(&self, container: &str, name: &str) -> Option<PathBuf> {
        names::object_path(&self.root, container, name).ok()
    }

    async fn list(&self, container: &str, prefix: &str, after: Option<&str>) -> Result<Vec<ObjectEntry>, Error> {
        let path = names::container_path(&self.root, container)?;
        let (prefix, after, limit) = (prefix.to_owned(), after.map(str::to_owned), self.listing_limit);
        self.run(Call::new("list container", container), move || {
            if !path.is_dir() {
                return Err(ErrorKind::NotFound.into());
            }
            walk::page(&path, &prefix, after.as_deref(), limit)
        })
        .await
    }

    async fn delete(&self, container: &str, name: &str) -> Result<(), Error> {
        let directory = names::container_path(&self.root, container)?;
        let path = names::object_path(&self.root, container, name)?;
        self.run(Call::object("delete", container, name), move || {
            stat(&path)?;
            fs::remove_file(&path)?;
            // Directories that hold nothing any more go too; whatever is in the way stays.
            for above in path.ancestors().skip(1).take_while(|above| above.starts_with(&directory)) {
                if above == directory || write::sweep(above).and_then(|()| fs::remove_dir(above)).is_err() {
                    if let Ok(above) = File::open(above) {
                        above.sync_all()?;
                    }
                    break;
                }
            }
            Ok(())
        })
        .await
    }

    async fn delete_with_segments(&self, container: &str, name: &str) -> Result<(), Error> {
        self.delete(container, name).await
    }
}

/// The bytes of `range`; fewer of them are an error.
fn exactly(file: File, range: Range<u64>, operation: String) -> ByteStream {
    let expected = range.end - range.start;
    let pieces = file_pieces(move || Ok(file), range);
    stream::try_unfold((pieces, 0), move |(mut pieces, received)| {
        let operation = operation.clone();
        async move {
            match pieces.next().await {
                Some(Ok(piece)) => {
                    let received = received + piece.len() as u64;
                    Ok(Some((piece, (pieces, received))))
                }
                Some(Err(source)) => Err(Error::Io { operation, source }),
                None if received == expected => Ok(None),
                None => Err(Error::Truncated { operation, received, expected, tries: 1 }),
            }
        }
    })
    .boxed()
}

/// What the file system knows of an object; directories, links, sockets and the like are no objects.
fn stat(path: &Path) -> io::Result<Metadata> {
    let metadata = fs::symlink_metadata(path)?;
    if metadata.is_file() { Ok(metadata) } else { Err(ErrorKind::NotFound.into()) }
}

fn info(metadata: &Metadata) -> ObjectInfo {
    let modified = metadata.modified().map_or(DateTime::UNIX_EPOCH, DateTime::<Utc>::from);
    // The folder's clock is this machine's: the one place outside of the doors that reads it.
    let answered = Utc::now().max(modified);
    let bytes = metadata.len();
    ObjectInfo { bytes, etag: None, is_segmented: false, is_link: false, link_tag: None, modified, answered }
}

fn location(root: &Path) -> String {
    format!("file://{}", root.display())
}

/// What is being done to what, for errors.
struct Call {
    operation: String,
    object: String,
}

impl Call {
    fn new(verb: &str, object: &str) -> Call {
        Call { operation: format!("{verb} {object}"), object: object.to_owned() }
    }

    fn object(verb: &str, container: &str, name: &str) -> Call {
        Call::new(verb, &format!("{container}/{name}"))
    }

    /// The one place where an operating system's error becomes an outcome.
    fn error(self, error: io::Error, root: &Path) -> Error {
        let Call { operation, object } = self;
        let status = error.to_string();
        let conflict = |reason: &str| Error::Conflict {
            operation: operation.clone(),
            status: status.clone(),
            reason: reason.to_owned(),
        };
        match error.kind() {
            ErrorKind::NotFound => Error::NotFound { object, location: location(root) },
            ErrorKind::NotADirectory if operation.starts_with("write") => {
                conflict("a folder cannot hold an object and others below it")
            }
            ErrorKind::NotADirectory => Error::NotFound { object, location: location(root) },
            ErrorKind::IsADirectory => conflict("a folder cannot hold an object and others below it"),
            ErrorKind::DirectoryNotEmpty => conflict("it is not empty"),
            ErrorKind::AlreadyExists => conflict("a file of that name is in the way"),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                Error::Full { operation, reason: status, tries: 1, elapsed: Duration::ZERO }
            }
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
                Error::Forbidden { operation, status, reason: location(root) }
            }
            ErrorKind::CrossesDevices | ErrorKind::TooManyLinks | ErrorKind::Unsupported => {
                Error::Unsupported { operation, reason: status }
            }
            ErrorKind::InvalidFilename => {
                Error::InvalidName { object, reason: "its path is longer than the file system allows".to_owned() }
            }
            _ => Error::Io { operation, source: error },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_of_the_operating_system_become_outcomes() {
        let outcome = |verb: &str, kind: ErrorKind| {
            Call::object(verb, "night", "a").error(io::Error::from(kind), Path::new("/r")).to_string()
        };
        for (verb, kind, expected) in [
            ("read", ErrorKind::NotFound, "night/a does not exist in file:///r"),
            ("read", ErrorKind::NotADirectory, "night/a does not exist in file:///r"),
            ("write", ErrorKind::StorageFull, "cannot write night/a: no storage space"),
            ("write", ErrorKind::QuotaExceeded, "cannot write night/a: quota exceeded"),
            ("write", ErrorKind::PermissionDenied, "cannot write night/a: permission denied (file:///r)"),
            (
                "write",
                ErrorKind::ReadOnlyFilesystem,
                "cannot write night/a: read-only filesystem or storage medium (file:///r)",
            ),
        ] {
            assert_eq!(outcome(verb, kind), expected);
        }
        let full = Call::object("write", "night", "a").error(ErrorKind::StorageFull.into(), Path::new("/r"));
        assert!(matches!(full, Error::Full { .. }) && full.hint().is_some());
    }
}
