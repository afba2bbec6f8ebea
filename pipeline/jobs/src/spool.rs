//! Temporary files of a run: a folder of its own, gone when the run ends, swept by the next one when it was killed.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::Error;

const PREFIX: &str = "nightshard-";
const IN_USE: &str = "in-use";

/// The run's own folder within the spool.
#[derive(Debug)]
pub struct Spool {
    folder: TempDir,
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
        let folder = TempDir::with_prefix_in(PREFIX, spool).map_err(|error| failed(&error))?;
        let in_use = File::create(folder.path().join(IN_USE)).map_err(|error| failed(&error))?;
        in_use.try_lock().map_err(|error| failed(&error.into()))?;
        Ok(Spool { folder, _in_use: in_use })
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

    /// Bytes that are free for this user where the spool lies.
    ///
    /// # Errors
    ///
    /// When the file system does not tell.
    pub fn free_bytes(&self) -> Result<u64, Error> {
        free_bytes(self.path())
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

/// Removes the folders of runs that were killed: those whose lock nobody holds. One that is being made at this
/// moment has no lock file yet and is left alone; what cannot be removed is left for the next sweep.
fn sweep(spool: &Path) {
    let Ok(entries) = fs::read_dir(spool) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let named = entry.file_name().to_string_lossy().starts_with(PREFIX);
        if named && is_ours(&path) && File::open(path.join(IN_USE)).is_ok_and(|file| file.try_lock().is_ok()) {
            tracing::info!("removing {}, which an interrupted run left behind", path.display());
            if let Err(error) = fs::remove_dir_all(&path) {
                tracing::warn!("cannot remove {}: {error}", path.display());
            }
        }
    }
}

/// Whether a folder, and the lock file in it, were made by this user: in a folder that all may write to, others could
/// lay traps.
fn is_ours(folder: &Path) -> bool {
    let user = rustix::process::geteuid().as_raw();
    let is = |path: &Path, right: fn(&fs::FileType) -> bool| {
        path.symlink_metadata().is_ok_and(|found| found.uid() == user && right(&found.file_type()))
    };
    is(folder, fs::FileType::is_dir) && is(&folder.join(IN_USE), fs::FileType::is_file)
}
