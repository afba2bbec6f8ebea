//! What is in the tar of a shard: its TSM files and tombstones.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use archive::manifest::FileRecord;
use tsm::{Bytes, ReadAt, Section, Tombstones, check};

use super::{Extent, claims};
use crate::blocking::blocking;
use crate::{Error, Interrupt, inspect};

/// A file in a tar.
#[derive(Debug, Clone)]
pub(super) struct Inner {
    /// The last part of its name.
    pub(super) name: String,
    /// Where it begins, in bytes from the start of the tar.
    pub(super) offset: u64,
    /// Its length in bytes.
    pub(super) bytes: u64,
    /// What a manifest says of it.
    pub(super) claimed: Option<FileRecord>,
}

/// Looks into the files of the tar that lies in `path`, each of them to its end or to the first thing that is wrong with
/// it; tells what is, and what a manifest says of them that is not so.
///
/// # Errors
///
/// When the tar cannot be read, or the run is asked to end.
pub(super) async fn check(
    path: PathBuf,
    files: Vec<Inner>,
    extent: Extent,
    interrupt: Interrupt,
) -> Result<Vec<String>, Error> {
    blocking(move || check_blocking(&path, &files, extent, &interrupt)).await
}

/// The same in a blocking thread.
pub(super) fn check_blocking(
    path: &Path,
    files: &[Inner],
    extent: Extent,
    interrupt: &Interrupt,
) -> Result<Vec<String>, Error> {
    let unreadable = |error: &io::Error| Error::io(format!("read {}", path.display()), error);
    let tar = File::open(path).map_err(|error| unreadable(&error))?;
    let extent = extent.of_blocks();
    let mut faults = Vec::new();
    for file in files {
        let section = Section::new(Watched { file: &tar, interrupt }, file.offset, file.bytes);
        let found = if file.name.ends_with(".tsm") {
            check::file(&section, extent).map(|summary| {
                let claimed = file.claimed.iter();
                claimed.flat_map(|claimed| claims::differences(claimed, &inspect::record(&summary))).collect()
            })
        } else if file.name.ends_with(".tombstone") {
            Bytes::of(&section).and_then(|bytes| Tombstones::read(io::BufReader::new(bytes))).map(|_| Vec::new())
        } else {
            Ok(Vec::new())
        };
        match found {
            Ok(differences) => faults.extend(differences.iter().map(|what| format!("{}: {what}", file.name))),
            Err(_) if interrupt.is_requested() => return Err(Error::interrupted()),
            Err(error) if error.is_damage() => faults.push(format!("{}: {error}", file.name)),
            Err(tsm::Error::Read { source, .. }) => return Err(unreadable(&source)),
            Err(error) => return Err(unreadable(&io::Error::other(error))),
        }
    }
    Ok(faults)
}

/// A file that nobody reads on once the run is asked to end.
#[derive(Debug)]
struct Watched<'a> {
    file: &'a File,
    interrupt: &'a Interrupt,
}

impl ReadAt for Watched<'_> {
    fn length(&self) -> io::Result<u64> {
        self.file.length()
    }

    fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        if self.interrupt.is_requested() {
            return Err(io::Error::other("interrupted"));
        }
        ReadAt::read_exact_at(self.file, buffer, offset)
    }
}
