//! Temporary files of a run: a folder of its own, gone when the run ends, swept by the next one when it was killed.

mod room;

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;

use crate::{Error, Interrupt, Kind};
pub(crate) use room::Full;
use room::{Allotment, Room};

/// How the folders are named that may be swept, and how many letters and digits follow; nothing else is touched.
const PREFIX: &str = "nightshard-spool-";
const RANDOM: usize = 6;

/// How often a folder is made that a sweep of another run takes before it is locked.
const TRIES: u32 = 10;

/// The run's own folder within the spool.
#[derive(Debug)]
pub struct Spool {
    folder: TempDir,
    /// The folder itself, locked for as long as the run lives.
    _in_use: File,
    room: Arc<Room>,
}

impl Spool {
    /// Makes the run's folder in `spool`, and removes those of runs that are no more.
    ///
    /// # Errors
    ///
    /// When the folder cannot be made.
    pub fn open(spool: &Path) -> Result<Spool, Error> {
        let failed = |error: &std::io::Error| Error::io(format!("use the spool {}", spool.display()), error);
        fs::create_dir_all(spool).map_err(|error| failed(&error))?;
        sweep(spool);
        for _ in 0..TRIES {
            let made = tempfile::Builder::new().prefix(PREFIX).rand_bytes(RANDOM).tempdir_in(spool);
            let folder = made.map_err(|error| failed(&error))?;
            // Until it is locked it looks like one of a run that was killed.
            if let Ok(in_use) = File::open(folder.path())
                && in_use.try_lock().is_ok()
                && folder.path().exists()
            {
                return Ok(Spool { folder, _in_use: in_use, room: Room::new(None) });
            }
        }
        Err(failed(&std::io::Error::other("folders vanish there, or cannot be locked")))
    }

    /// Lets the files on its shelves have no more than so many bytes together.
    #[must_use]
    pub(crate) fn limited(self, limit: Option<u64>) -> Spool {
        Spool { room: Room::new(limit), ..self }
    }

    /// The run's folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A path in the run's folder.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Makes a shelf: a folder for the files of one piece of work, for which so many bytes, or all, are waited for.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub(crate) async fn shelf(&self, bytes: u64) -> Result<Shelf, Error> {
        let allotment = self.room.enter(bytes).await;
        let folder = tempfile::Builder::new().prefix("").tempdir_in(self.path());
        let folder = folder.map_err(|error| Error::io(format!("use the spool {}", self.path().display()), &error))?;
        Ok(Shelf { folder, allotment })
    }

    /// Makes a folder for files that stay as long as the run.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub(crate) fn resident(&self) -> Result<Resident, Error> {
        let folder = tempfile::Builder::new().prefix("").tempdir_in(self.path());
        let folder = folder.map_err(|error| Error::io(format!("use the spool {}", self.path().display()), &error))?;
        Ok(Resident { folder, room: Arc::clone(&self.room) })
    }

    /// Bytes that are free for this user where the spool lies.
    ///
    /// # Errors
    ///
    /// When the file system does not tell.
    pub fn free_bytes(&self) -> Result<u64, Error> {
        free_bytes(self.path())
    }
}

/// A folder for files that stay as long as the run. They leave less room for everybody, and nobody waits for it.
#[derive(Debug)]
pub(crate) struct Resident {
    folder: TempDir,
    room: Arc<Room>,
}

impl Resident {
    /// A path in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Takes room for so many bytes.
    pub(crate) fn take(&self, bytes: u64) -> Result<(), Full> {
        self.room.reside(bytes)
    }
}

/// A folder in the spool for one piece of work, gone with its files when the work is done. Whoever writes there takes the
/// room before, and gives it back when a file is removed.
#[derive(Debug)]
pub(crate) struct Shelf {
    folder: TempDir,
    /// Given back after the folder has gone.
    allotment: Allotment,
}

impl Shelf {
    /// The folder.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// A path in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Takes room for so many bytes, which is waited for.
    pub(crate) async fn take(&self, bytes: usize) -> Result<(), Full> {
        self.allotment.take(bytes as u64).await
    }

    /// The same in a blocking thread, unless it is asked to end.
    pub(crate) fn take_blocking(&self, bytes: usize, interrupt: &Interrupt) -> io::Result<()> {
        self.allotment.take_blocking(bytes as u64, interrupt)
    }

    /// A file has been removed.
    pub(crate) fn give_back(&self, bytes: u64) {
        self.allotment.give_back(bytes);
    }

    /// The only file is to be written anew.
    pub(crate) fn begin_again(&self) {
        self.allotment.begin_again();
    }

    /// Everything has been written.
    pub(crate) fn settle(&self) {
        self.allotment.settle();
    }

    /// Whether the work found no room.
    pub(crate) fn is_full(&self) -> bool {
        self.allotment.is_full()
    }

    /// Whether the work found no room because of others, and is to begin again on a shelf with all of it.
    pub(crate) fn gave_way(&self) -> bool {
        self.allotment.gave_way()
    }
}

#[cfg(test)]
impl Shelf {
    /// One without a spool around it, and without a limit.
    pub(crate) fn of_test() -> Shelf {
        let room = Room::new(None);
        let allotment = futures_util::FutureExt::now_or_never(room.enter(0)).expect("there is no limit");
        Shelf { folder: tempfile::tempdir().expect("a temporary directory"), allotment }
    }
}

/// A file on a shelf that takes its room as it grows.
#[derive(Debug)]
pub(crate) struct Stored<'a> {
    pub(crate) file: File,
    pub(crate) shelf: &'a Shelf,
    pub(crate) interrupt: &'a Interrupt,
}

impl Write for Stored<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.shelf.take_blocking(bytes.len(), self.interrupt)?;
        self.file.write_all(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// Bytes that are free for this user on the file system of `path`.
///
/// # Errors
///
/// When the file system does not tell.
pub(crate) fn free_bytes(path: &Path) -> Result<u64, Error> {
    let told = rustix::fs::statvfs(path)
        .map_err(|error| Error::io(format!("ask for the free space of {}", path.display()), &error.into()))?;
    Ok(told.f_bavail.saturating_mul(told.f_frsize))
}

/// Whether there is room for `needed` bytes where `path` lies, once `dropped` bytes are gone from there.
///
/// # Errors
///
/// When there is not; `hint` says what helps.
pub(crate) fn room(path: &Path, needed: u64, dropped: u64, hint: &str) -> Result<(), Error> {
    let free = free_bytes(path)?.saturating_add(dropped);
    if free >= needed {
        return Ok(());
    }
    let message = format!("{} has room for {free} bytes, and {needed} are needed", path.display());
    Err(Error::new(Kind::Failed, message).hint(hint))
}

/// Removes the folders of runs that were killed: those that nobody holds locked. What cannot be removed is left for the
/// next sweep.
pub(crate) fn sweep(spool: &Path) {
    let Ok(entries) = fs::read_dir(spool) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let random = name.to_str().and_then(|name| name.strip_prefix(PREFIX));
        if random.is_none_or(|random| random.len() != RANDOM) || !is_ours(&path) {
            continue;
        }
        let Ok(folder) = File::open(&path) else { continue };
        // Held until the folder is gone, so that nobody begins to work in it meanwhile.
        if folder.try_lock().is_ok() {
            tracing::info!("removing {}, which an interrupted run left behind", path.display());
            if let Err(error) = fs::remove_dir_all(&path) {
                tracing::warn!("cannot remove {}: {error}", path.display());
            }
        }
    }
}

/// Whether this is a folder that this user made: in one that all may write to, others could lay traps.
fn is_ours(path: &Path) -> bool {
    let user = rustix::process::geteuid().as_raw();
    path.symlink_metadata().is_ok_and(|found| found.uid() == user && found.is_dir())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_that_is_too_small_is_named_with_what_helps_here() {
        let folder = tempfile::tempdir().unwrap();
        room(folder.path(), 1, 0, "free space there").unwrap();
        let error = room(folder.path(), u64::MAX, 0, "lower --jobs").unwrap_err();
        assert!(error.to_string().starts_with(&format!("{} has room for ", folder.path().display())), "{error}");
        assert_eq!(error.hint_text(), Some("lower --jobs"));
    }
}
