//! Locks between the programs of one machine: files that the system unlocks when a program ends, however it ends.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use crate::{Error, Kind};

/// A held lock; dropped with the value.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes a lock that nobody else may hold.
    ///
    /// # Errors
    ///
    /// [`Kind::Locked`] when another program holds it, in either way.
    pub fn exclusive(folder: &Path, name: &str) -> Result<Lock, Error> {
        Lock::take(folder, name, File::try_lock)
    }

    /// Takes a lock that others may share, but nobody may hold exclusively.
    ///
    /// # Errors
    ///
    /// [`Kind::Locked`] when another program holds it exclusively.
    pub fn shared(folder: &Path, name: &str) -> Result<Lock, Error> {
        Lock::take(folder, name, File::try_lock_shared)
    }

    fn take(folder: &Path, name: &str, lock: fn(&File) -> Result<(), TryLockError>) -> Result<Lock, Error> {
        std::fs::create_dir_all(folder).map_err(|error| Error::io(format!("create {}", folder.display()), &error))?;
        // The name may be made of a container or an address; the file's must be one part of a path.
        let safe: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() || "-_.".contains(c) { c } else { '_' }).collect();
        let path = folder.join(format!("{safe}.lock"));
        // Opened for reading where it exists: a lock file that root made serves others as well.
        let file = File::open(&path)
            .or_else(|_| OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path))
            .map_err(|error| Error::io(format!("open the lock {}", path.display()), &error))?;
        match lock(&file) {
            Ok(()) => Ok(Lock { _file: file }),
            Err(TryLockError::WouldBlock) => {
                Err(Error::new(Kind::Locked, format!("another run on this machine holds the lock {}", path.display()))
                    .hint("wait until it has ended; nothing was done"))
            }
            Err(TryLockError::Error(error)) => Err(Error::io(format!("lock {}", path.display()), &error)),
        }
    }
}
