//! What is put into a store: bytes that can be read again for every try, and the reading of them.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use tokio::sync::mpsc;

use crate::metered::Rate;
use crate::{Digests, Error};

/// How much of a file is read at once, in bytes. With [`PIECES_AHEAD`] it bounds the memory of a stream.
pub(crate) const PIECE: u64 = 256 * 1024;

/// How many pieces are read before anybody asks for them, so that disk and network work at the same time.
const PIECES_AHEAD: usize = 2;

/// A body of known length and digests, which a retry can read again from its beginning.
#[derive(Debug, Clone)]
pub struct Body {
    pub(crate) source: Source,
    pub(crate) digests: Digests,
}

#[derive(Debug, Clone)]
pub(crate) enum Source {
    Memory(Bytes),
    File(PathBuf),
    Part(PathBuf, Range<u64>),
    Slow(Box<Source>, Rate),
}

impl Body {
    /// A body in memory.
    #[must_use]
    pub fn from_bytes(bytes: Bytes, digests: Digests) -> Body {
        Body { source: Source::Memory(bytes), digests }
    }

    /// A body that lies in a local file, which must not change until `put` returns. (If it does, the counted bytes
    /// or the MD5 differ, and `put` fails.)
    #[must_use]
    pub fn from_file(path: impl AsRef<Path>, digests: Digests) -> Body {
        Body { source: Source::File(path.as_ref().to_owned()), digests }
    }

    /// A body that is the half-open byte `range` of a local file, which must not change either.
    #[must_use]
    pub fn from_file_range(path: impl AsRef<Path>, range: Range<u64>, digests: Digests) -> Body {
        Body { source: Source::Part(path.as_ref().to_owned(), range), digests }
    }

    /// Length and digests of the body.
    #[must_use]
    pub fn digests(&self) -> &Digests {
        &self.digests
    }

    /// Opens the body for reading, in a thread that may block: what a store outside of this crate needs. It yields as many
    /// bytes as there are, which may be others than were declared.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened.
    pub fn reader(&self) -> io::Result<Box<dyn Read>> {
        self.source.open()
    }

    /// The same body, which cannot be read faster.
    pub(crate) fn slowed(&self, rate: &Rate) -> Body {
        Body { source: Source::Slow(Box::new(self.source.clone()), rate.clone()), digests: self.digests.clone() }
    }

    /// Whether the source is as long as declared, before anything is done with it.
    pub(crate) async fn check_length(&self, operation: &str) -> Result<(), Error> {
        let (declared, actual) = (self.digests.bytes, self.source.len().await?);
        if actual == declared {
            return Ok(());
        }
        Err(Error::Mismatch {
            operation: operation.to_owned(),
            what: "length",
            declared: format!("{declared} bytes"),
            actual: format!("{actual} bytes"),
        })
    }
}

impl Source {
    async fn len(&self) -> Result<u64, Error> {
        match self {
            Source::Slow(source, _) => Box::pin(source.len()).await,
            Source::Memory(bytes) => Ok(bytes.len() as u64),
            Source::File(path) => file_length(path).await,
            Source::Part(path, range) => Ok(file_length(path).await?.min(range.end).saturating_sub(range.start)),
        }
    }

    /// The bytes of `range`, or as many of them as there are, in pieces.
    pub(crate) fn pieces(&self, range: Range<u64>) -> BoxStream<'static, io::Result<Bytes>> {
        match self {
            Source::Memory(bytes) => {
                let within = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
                let slice = bytes.slice(within(range.start)..within(range.end));
                stream::iter((!slice.is_empty()).then_some(Ok(slice))).boxed()
            }
            Source::File(path) => {
                let path = path.clone();
                file_pieces(move || File::open(path), range)
            }
            Source::Part(path, part) => {
                let path = path.clone();
                let within = |at: u64| part.start.saturating_add(at).min(part.end);
                file_pieces(move || File::open(path), within(range.start)..within(range.end))
            }
            Source::Slow(source, rate) => rate.slow(source.pieces(range)),
        }
    }

    /// Opens the source for reading in a blocking thread.
    pub(crate) fn open(&self) -> io::Result<Box<dyn Read>> {
        Ok(match self {
            Source::Memory(bytes) => Box::new(io::Cursor::new(bytes.clone())),
            Source::File(path) => Box::new(File::open(path)?),
            Source::Part(path, range) => {
                let mut file = File::open(path)?;
                file.seek(SeekFrom::Start(range.start))?;
                Box::new(file.take(range.end - range.start))
            }
            Source::Slow(source, rate) => rate.slow_reader(source.open()?),
        })
    }
}

async fn file_length(path: &Path) -> Result<u64, Error> {
    match tokio::fs::metadata(path).await {
        Ok(metadata) => Ok(metadata.len()),
        Err(source) => Err(Error::Io { operation: format!("read {}", path.display()), source }),
    }
}

/// Reads `range` of a file in a blocking thread, which ends when the stream is dropped.
pub(crate) fn file_pieces(
    open: impl FnOnce() -> io::Result<File> + Send + 'static,
    range: Range<u64>,
) -> BoxStream<'static, io::Result<Bytes>> {
    let (sender, receiver) = mpsc::channel(PIECES_AHEAD);
    tokio::task::spawn_blocking(move || {
        let read = || -> io::Result<()> {
            let mut file = open()?;
            file.seek(SeekFrom::Start(range.start))?;
            let mut left = range.end - range.start;
            while left > 0 {
                let mut piece = Vec::with_capacity(usize::try_from(left.min(PIECE)).unwrap_or(usize::MAX));
                let got = (&file).take(left.min(PIECE)).read_to_end(&mut piece)?;
                if got == 0 || sender.blocking_send(Ok(piece.into())).is_err() {
                    break;
                }
                left -= got as u64;
            }
            Ok(())
        };
        if let Err(error) = read() {
            // Nobody listens any more: then nobody needs to know.
            let _ = sender.blocking_send(Err(error));
        }
    });
    stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) }).boxed()
}
