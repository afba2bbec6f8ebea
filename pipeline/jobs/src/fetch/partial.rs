//! A file on its way: under a name that no program takes for a whole one, until its digest is right.
//!
//! The name follows from what the file is to be, so that the next run finds what this one has begun, and goes on where
//! it was cut off. What lies there is hashed again, so nothing is believed of a run that died.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use archive::names;
use bytes::Bytes;
use rustix::fs::{CWD, OFlags, RenameFlags};
use rustix::io::Errno;
use sha2::{Digest, Sha256};
use store::Download;
use tokio::sync::mpsc;

use super::contents::UNFINISHED;
use super::download::damaged;
use super::plan::Item;
use crate::blocking::blocking;
use crate::{Error, Kind, batches};

/// How much of a file is read at once.
const PIECE: usize = 256 << 10;

/// The beginning of a file.
#[derive(Debug)]
pub(super) struct Partial {
    file: File,
    path: PathBuf,
    target: PathBuf,
    sha256: Sha256,
    /// Bytes that are there.
    pub(super) length: u64,
}

/// Where a file is written before it is put in place.
pub(super) fn path_of(item: &Item) -> PathBuf {
    let what = hex::encode(Sha256::digest(format!("{}/{}", item.object.sha256, item.object.file)));
    item.target.with_file_name(format!("{UNFINISHED}{}", &what[..32]))
}

impl Partial {
    /// Opens what an earlier run has begun, or begins.
    ///
    /// # Errors
    ///
    /// [`Kind::Locked`] when another run is at the same file.
    pub(super) fn open(item: &Item) -> Result<Partial, Error> {
        let (path, target) = (path_of(item), item.target.clone());
        let failed = |error: std::io::Error| to_disk(&target, &error);
        // A backup holds the hashes of passwords: not everybody on this machine may read it. Dumps are as any new file.
        let is_backup = names::is_data(&item.object.container, &item.object.name);
        if let Some(folder) = path.parent() {
            let mode = if is_backup { 0o750 } else { 0o777 };
            DirBuilder::new().recursive(true).mode(mode).create(folder).map_err(failed)?;
        }
        // Others may write into the folder as well: a link there leads wherever they like.
        let mut open = OpenOptions::new();
        open.mode(if is_backup { 0o640 } else { 0o666 });
        open.read(true).write(true).create(true).truncate(false).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
        let mut file = open.open(&path).map_err(failed)?;
        let found = file.metadata().map_err(failed)?;
        if !found.is_file() || found.nlink() > 1 {
            let message = format!("{} is in the way: it is no file, or has another name besides", path.display());
            return Err(Error::new(Kind::Usage, message).hint("remove it; what had been fetched is fetched again"));
        }
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message = format!("another run on this machine is fetching {}", target.display());
                return Err(Error::new(Kind::Locked, message).hint("wait until it has ended"));
            }
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let (mut sha256, mut length, mut piece) = (Sha256::new(), 0, vec![0; PIECE]);
        if file.metadata().map_err(failed)?.len() > item.object.bytes {
            file.set_len(0).map_err(failed)?;
        }
        loop {
            let read = file.read(&mut piece).map_err(failed)?;
            if read == 0 {
                break;
            }
            sha256.update(&piece[..read]);
            length += read as u64;
        }
        Ok(Partial { file, path, target, sha256, length })
    }

    /// Forgets what is there.
    pub(super) fn begin_again(&mut self) -> Result<(), Error> {
        let begun = self.file.set_len(0).and_then(|()| self.file.seek(SeekFrom::Start(0)));
        begun.map_err(|error| to_disk(&self.target, &error))?;
        (self.sha256, self.length) = (Sha256::new(), 0);
        Ok(())
    }

    /// Takes what comes, in a thread of its own.
    pub(super) async fn receive(self, item: &Item, download: Download) -> Result<Partial, Error> {
        let (sender, receiver) = batches::channel();
        let (passed, taken) =
            tokio::join!(batches::pass_on(download.stream, sender), blocking(move || self.take(receiver)));
        // Whoever takes the bytes ends early only with an error of its own.
        let taken = taken?;
        match passed {
            Err(store::Error::Changed { .. }) => Err(damaged(&item.object.name, "it was replaced while it was read")),
            Err(error) => Err(error.into()),
            Ok(()) => Ok(taken),
        }
    }

    fn take(mut self, mut batches: mpsc::Receiver<Vec<Bytes>>) -> Result<Partial, Error> {
        while let Some(batch) = batches.blocking_recv() {
            for piece in batch {
                self.file.write_all(&piece).map_err(|error| to_disk(&self.target, &error))?;
                self.sha256.update(&piece);
                self.length += piece.len() as u64;
            }
        }
        Ok(self)
    }

    /// Whether this is the object, to its last byte.
    pub(super) fn is_whole(&self, item: &Item) -> bool {
        self.length == item.object.bytes && hex::encode(self.sha256.clone().finalize()) == item.object.sha256
    }

    /// The file, to be read from its beginning.
    pub(super) fn into_file(mut self) -> Result<File, Error> {
        self.file.seek(SeekFrom::Start(0)).map_err(|error| to_disk(&self.target, &error))?;
        Ok(self.file)
    }

    /// Throws it away.
    pub(super) fn remove(self) -> Result<(), Error> {
        fs::remove_file(&self.path).map_err(|error| to_disk(&self.target, &error))
    }

    /// Puts it in place.
    ///
    /// # Errors
    ///
    /// [`Kind::Locked`] when another file has come there meanwhile, unless it may be replaced.
    pub(super) fn place(self, replace: bool) -> Result<(), Error> {
        let failed = |error: std::io::Error| to_disk(&self.target, &error);
        self.file.sync_data().map_err(failed)?;
        if replace {
            return fs::rename(&self.path, &self.target).map_err(failed);
        }
        let taken = || {
            let message = format!("{} has come there meanwhile, and stays", self.target.display());
            Error::new(Kind::Locked, message).hint("run the same command again: it is compared then")
        };
        match rustix::fs::renameat_with(CWD, &self.path, CWD, &self.target, RenameFlags::NOREPLACE) {
            Ok(()) => Ok(()),
            Err(Errno::EXIST) => Err(taken()),
            // Not every file system can.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) if self.target.symlink_metadata().is_ok() => Err(taken()),
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => fs::rename(&self.path, &self.target).map_err(failed),
            Err(error) => Err(failed(error.into())),
        }
    }
}

/// Makes what was put into a folder outlast a crash of the machine.
pub(super) fn sync_folder(folder: &Path) -> Result<(), Error> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| to_disk(folder, &error))
}

pub(super) fn to_disk(target: &Path, error: &std::io::Error) -> Error {
    let failed = Error::io(format!("write {}", target.display()), error);
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            failed.hint("the disk is full; free space there, or name another folder with --output or --flat")
        }
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
            failed.hint("a file is in the way; move it away, or name another folder")
        }
        _ => failed,
    }
}
