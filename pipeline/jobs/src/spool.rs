//! Temporary files of a run: a folder of its own, gone when the run ends, swept by the next one when it was killed.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::Error;

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
                return Ok(Spool { folder, _in_use: in_use });
            }
        }
        Err(failed(&std::io::Error::other("folders vanish there, or cannot be locked")))
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

    /// Makes a shelf: a folder for the files of one piece of work.
    ///
    /// # Errors
    ///
    /// When it cannot be made.
    pub(crate) fn shelf(&self) -> Result<Shelf, Error> {
        let folder = tempfile::Builder::new().prefix("").tempdir_in(self.path());
        let folder = folder.map_err(|error| Error::io(format!("use the spool {}", self.path().display()), &error))?;
        Ok(Shelf { folder })
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

/// A folder in the spool for one piece of work, gone with its files when the work is done.
#[derive(Debug)]
pub(crate) struct Shelf {
    folder: TempDir,
}

impl Shelf {
    /// A path in it.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
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
