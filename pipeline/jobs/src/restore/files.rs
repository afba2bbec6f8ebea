//! Files and directories on the target's disk: written so that they survive a power cut, and owned as the target's own.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;

use crate::Error;
pub(super) use crate::blocking::{blocking, joined};

/// Mode of a database's directory where there is none to look at, as InfluxDB makes it.
const DIRECTORY_MODE: u32 = 0o700;

/// To whom the target's files belong, and who may read them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Owner {
    user: u32,
    group: u32,
    directory_mode: u32,
}

impl Owner {
    /// The owner of the data directory, and the mode of the databases' directories in it.
    pub(super) fn of(data: &Path) -> Result<Owner, Error> {
        let look = || -> io::Result<Owner> {
            let own = fs::metadata(data)?;
            let mut directory_mode = DIRECTORY_MODE;
            for entry in fs::read_dir(data)? {
                let found = entry?.metadata()?;
                if found.is_dir() && found.uid() == own.uid() {
                    directory_mode = found.mode() & 0o777 | DIRECTORY_MODE;
                    break;
                }
            }
            Ok(Owner { user: own.uid(), group: own.gid(), directory_mode })
        };
        look().map_err(|error| Error::io(format!("look into {}", data.display()), &error))
    }

    /// Makes a directory within one that exists; one that is there already is success.
    pub(super) fn make(&self, directory: &Path) -> Result<(), Error> {
        let made = || match DirBuilder::new().mode(self.directory_mode).create(directory) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => Ok(()),
            Err(error) => Err(error),
            Ok(()) => self.adopt(directory),
        };
        made().map_err(|error| Error::io(format!("make {}", directory.display()), &error))
    }

    /// Gives a file or directory to the owner, with the mode that is usual there.
    pub(super) fn adopt(&self, path: &Path) -> io::Result<()> {
        let found = fs::metadata(path)?;
        let mode = if found.is_dir() { self.directory_mode } else { self.directory_mode & 0o666 };
        if found.mode() & 0o777 != mode {
            fs::set_permissions(path, Permissions::from_mode(mode))?;
        }
        if (found.uid(), found.gid()) == (self.user, self.group) {
            return Ok(());
        }
        chown(path, Some(self.user), Some(self.group))
    }
}

/// Puts new bytes in the place of a file, whole or not at all. It belongs to whom the file `like` belongs, and may be
/// read by whom that one may be read.
pub(super) fn replace(path: &Path, like: &Path, bytes: &[u8]) -> Result<(), Error> {
    let write = || -> io::Result<()> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut file = NamedTempFile::new_in(folder)?;
        file.write_all(bytes)?;
        let (like, own) = (fs::metadata(like)?, file.as_file().metadata()?);
        file.as_file().set_permissions(Permissions::from_mode(like.mode() & 0o666))?;
        if (like.uid(), like.gid()) != (own.uid(), own.gid()) {
            chown(file.path(), Some(like.uid()), Some(like.gid()))?;
        }
        file.as_file().sync_all()?;
        file.persist(path)?;
        sync(folder)
    };
    write().map_err(|error| Error::io(format!("write {}", path.display()), &error))
}

/// Makes the bytes of a file, or what was renamed into or out of a directory, survive a power cut.
pub(super) fn flush(path: &Path) -> Result<(), Error> {
    sync(path).map_err(|error| Error::io(format!("write {}", path.display()), &error))
}

pub(super) fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Removes a directory, or whatever else is there; nothing being there is success.
pub(super) fn remove(path: &Path) -> Result<(), Error> {
    let removed = match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(Error::io(format!("remove {}", path.display()), &error))
        }
        _ => Ok(()),
    }
}

/// Makes a folder with all that is missing above it. What is new belongs to the owner of what was there, so that a
/// dump without privileges can write into a folder which root made for it.
pub(super) fn make_folder(folder: &Path) -> Result<(), Error> {
    let make = || -> io::Result<()> {
        let missing: Vec<&Path> = folder.ancestors().take_while(|path| !path.exists()).collect();
        fs::create_dir_all(folder)?;
        for made in missing.into_iter().rev() {
            let above = fs::metadata(made.parent().filter(|above| *above != Path::new("")).unwrap_or(Path::new(".")))?;
            chown(made, Some(above.uid()), Some(above.gid()))?;
        }
        Ok(())
    };
    make().map_err(|error| Error::io(format!("make the folder {}", folder.display()), &error))
}

/// Bytes of all files below a directory; 0 where there is none.
pub(super) fn bytes_below(directory: &Path) -> Result<u64, Error> {
    let mut bytes = 0;
    let mut left: Vec<PathBuf> = vec![directory.to_owned()];
    while let Some(folder) = left.pop() {
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            other => other.map_err(|error| Error::io(format!("look into {}", folder.display()), &error))?,
        };
        for entry in entries.flatten() {
            match entry.metadata() {
                Ok(found) if found.is_dir() => left.push(entry.path()),
                Ok(found) => bytes += found.len(),
                // A running server removes files.
                Err(_) => {}
            }
        }
    }
    Ok(bytes)
}
