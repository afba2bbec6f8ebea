//! Lists a tar, and unpacks one shard into one folder, nowhere else.

use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use super::{Entry, Error, Event, Walker};

const BUFFER: usize = 256 * 1024;

/// A file that was unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked {
    /// Where it lies now.
    pub path: PathBuf,
    /// Its length in bytes.
    pub bytes: u64,
}

/// The files of a tar, in its order; reads it to its trailer.
///
/// # Errors
///
/// When the tar cannot be read or is not whole.
pub fn list(mut tar: impl Read) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::new();
    let mut walker = Walker::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        match tar.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => walker.feed(buffer.get(..read).unwrap_or_default(), |event| {
                if let Event::Entry(entry) = event {
                    entries.push(entry.clone());
                }
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(source) => return Err(Error::Io { operation: "read the tar".to_owned(), source }),
        }
    }
    walker.finish()?;
    Ok(entries)
}

/// Unpacks the tar of a shard into a folder, piece by piece as it comes.
///
/// Every entry must lie in the `<database>/<policy>/<shard id>` that the shard had where it was taken; its last
/// part alone becomes the file's name, so nothing is written outside of the folder, whatever the tar says. Nothing
/// is overwritten. Nothing is flushed to the disk either (fsync): when that is due, and beside what other work, the
/// caller knows.
///
/// Files that were unpacked before an error stay: the caller owns the folder and removes it.
#[derive(Debug)]
pub struct Unpacker {
    walker: Walker,
    files: Files,
}

#[derive(Debug)]
struct Files {
    expected: String,
    folder: PathBuf,
    unpacked: Vec<Unpacked>,
    /// The last one, while its bytes come.
    open: Option<File>,
}

impl Unpacker {
    /// Of the shard `expected`, into `folder`, which must exist.
    #[must_use]
    pub fn new(expected: &str, folder: &Path) -> Unpacker {
        let files =
            Files { expected: expected.to_owned(), folder: folder.to_owned(), unpacked: Vec::new(), open: None };
        Unpacker { walker: Walker::new(), files }
    }

    /// Takes the next bytes of the tar, as many as there are.
    ///
    /// # Errors
    ///
    /// When they are not those of a tar, hold a foreign name, or a file cannot be written.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), Error> {
        let mut failed = Ok(());
        self.walker.feed(bytes, |event| {
            if failed.is_ok() {
                failed = self.files.take(event);
            }
        })?;
        failed
    }

    /// The files, in the tar's order.
    ///
    /// # Errors
    ///
    /// When the tar has not come to its trailer.
    pub fn finish(self) -> Result<Vec<Unpacked>, Error> {
        self.walker.finish()?;
        Ok(self.files.unpacked)
    }
}

impl Files {
    fn take(&mut self, event: Event<'_>) -> Result<(), Error> {
        match event {
            Event::Entry(entry) => {
                let path = self.folder.join(file_name(&entry.name, &self.expected)?);
                self.open = Some(create(&path)?);
                self.unpacked.push(Unpacked { path, bytes: entry.bytes });
            }
            Event::Data(bytes) => {
                if let (Some(file), Some(last)) = (&mut self.open, self.unpacked.last()) {
                    file.write_all(bytes).map_err(|source| io("write", &last.path, source))?;
                }
            }
            Event::End => self.open = None,
        }
        Ok(())
    }
}

/// The last part of an entry's name, when the rest is what it must be.
fn file_name<'a>(name: &'a str, expected: &str) -> Result<&'a str, Error> {
    let file = name.strip_prefix(expected).and_then(|rest| rest.strip_prefix('/'));
    match file {
        Some(file) if !file.is_empty() && file != "." && file != ".." && !file.contains(['/', '\\', '\0']) => Ok(file),
        _ => Err(Error::Name { name: name.to_owned(), expected: expected.to_owned() }),
    }
}

fn create(path: &Path) -> Result<File, Error> {
    OpenOptions::new().write(true).create_new(true).open(path).map_err(|source| io("create", path, source))
}

fn io(verb: &str, path: &Path, source: std::io::Error) -> Error {
    Error::Io { operation: format!("{verb} {}", path.display()), source }
}
