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
    walk(&mut tar, |event| {
        if let Event::Entry(entry) = event {
            entries.push(entry.clone());
        }
        Ok(())
    })?;
    Ok(entries)
}

/// Unpacks the tar of a shard into `folder`, which must exist.
///
/// Every entry must lie in `expected`, the `<database>/<policy>/<shard id>` that the shard had where it was
/// taken; its last part alone becomes the file's name, so nothing is written outside of `folder`, whatever
/// the tar says. Nothing is overwritten. The files and the folder are on disk (fsync) on return.
///
/// # Errors
///
/// When the tar cannot be read or is not whole, holds a foreign name, or a file cannot be written. Files
/// that were unpacked before stay: the caller owns the folder and removes it.
pub fn unpack(mut tar: impl Read, expected: &str, folder: &Path) -> Result<Vec<Unpacked>, Error> {
    let mut unpacked: Vec<Unpacked> = Vec::new();
    let mut file: Option<File> = None;
    walk(&mut tar, |event| {
        match event {
            Event::Entry(entry) => {
                let path = folder.join(file_name(&entry.name, expected)?);
                file = Some(create(&path)?);
                unpacked.push(Unpacked { path, bytes: entry.bytes });
            }
            Event::Data(bytes) => {
                if let (Some(file), Some(last)) = (&mut file, unpacked.last()) {
                    file.write_all(bytes).map_err(|source| io("write", &last.path, source))?;
                }
            }
            Event::End => {
                if let (Some(file), Some(last)) = (file.take(), unpacked.last()) {
                    file.sync_all().map_err(|source| io("write", &last.path, source))?;
                }
            }
        }
        Ok(())
    })?;
    let directory = File::open(folder).and_then(|directory| directory.sync_all());
    directory.map_err(|source| io("write", folder, source))?;
    Ok(unpacked)
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

/// Drives a walker over a reader; the sink may fail.
fn walk(tar: &mut impl Read, mut sink: impl FnMut(Event<'_>) -> Result<(), Error>) -> Result<u64, Error> {
    let mut walker = Walker::new();
    let mut buffer = vec![0; BUFFER];
    loop {
        let read = match tar.read(&mut buffer) {
            Ok(0) => return walker.finish(),
            Ok(read) => read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(source) => return Err(Error::Io { operation: "read the tar".to_owned(), source }),
        };
        let mut failed = Ok(());
        walker.feed(buffer.get(..read).unwrap_or_default(), |event| {
            if failed.is_ok() {
                failed = sink(event);
            }
        })?;
        failed?;
    }
}
