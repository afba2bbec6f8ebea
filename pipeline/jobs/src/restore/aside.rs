//! Sets the old databases aside, and puts them back.
//!
//! That is the drop: directories are renamed into `.nightshard/aside` of their own file system. What is to be moved
//! is written down first, so that a run that is cut off, by a power failure for instance, leaves a journal by which
//! the next one puts the old state back or lets the new one stand.
//!
//! The database of the loaded record goes first, and comes back last: whenever a server would find the record, it finds
//! the night as well.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::directories::Paths;
use super::files::{self, Owner};
use super::target::meta_db;
use crate::{Error, Kind, loaded};

/// Our folder in the data directory and in the WAL directory; there while a restore is under way.
pub(super) const FOLDER: &str = ".nightshard";

/// What was moved where.
#[derive(Debug, Serialize, Deserialize)]
struct Journal {
    /// The night that is being restored, for people.
    container: String,
    /// SHA-256 of the new metastore, once everything else is in place and it is about to be written.
    new_metastore: Option<String>,
    /// Whether the new metastore has been written.
    written: bool,
    /// The directories, in the order in which they are moved.
    moves: Vec<Move>,
}

/// A directory that gives way.
#[derive(Debug, Serialize, Deserialize)]
struct Move {
    /// Where the server looks for it.
    place: PathBuf,
    /// Where it waits; `None` when there was nothing, or it was deleted as asked.
    aside: Option<PathBuf>,
}

/// The old state, set aside.
#[derive(Debug)]
pub(super) struct Aside {
    paths: Paths,
    journal: Journal,
}

impl Aside {
    /// Moves the directories of `databases`, and of the loaded record before them, aside; with `drop_first` they are
    /// deleted. The server must be stopped.
    ///
    /// # Errors
    ///
    /// When one cannot be moved; those that were moved before are back then.
    pub(super) fn set(
        paths: &Paths,
        owner: Owner,
        container: &str,
        databases: &[String],
        drop_first: bool,
    ) -> Result<Aside, Error> {
        let mut moves = Vec::new();
        for name in std::iter::once(loaded::DATABASE).chain(databases.iter().map(String::as_str)) {
            for (directory, kind) in [(&paths.data, "data"), (&paths.wal, "wal")] {
                let place = directory.join(name);
                let waits = directory.join(FOLDER).join("aside").join(kind).join(name);
                let there = place.symlink_metadata().is_ok();
                moves.push(Move { place, aside: (there && !drop_first).then_some(waits) });
            }
        }
        for (directory, kind) in [(&paths.data, "data"), (&paths.wal, "wal")] {
            let mut folder = directory.clone();
            owner.make(&folder)?;
            for part in [FOLDER, "aside", kind] {
                folder.push(part);
                owner.make(&folder)?;
            }
        }
        let journal = Journal { container: container.to_owned(), new_metastore: None, written: false, moves };
        let aside = Aside { paths: paths.clone(), journal };
        aside.save()?;
        match aside.move_all() {
            Ok(()) => Ok(aside),
            Err(error) => Err(match aside.put_back() {
                Ok(()) => error,
                Err(second) => Error::new(Kind::Failed, format!("{error}; {second}")),
            }),
        }
    }

    fn move_all(&self) -> Result<(), Error> {
        for Move { place, aside } in &self.journal.moves {
            match aside {
                Some(aside) => rename(place, aside)?,
                None => files::remove(place)?,
            }
        }
        self.sync()
    }

    /// Says that everything is in place and the new metastore comes next.
    pub(super) fn before_metastore(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.journal.new_metastore = Some(digest(bytes));
        self.save()
    }

    /// Says that the new metastore is written: the new state stands, proven or not.
    pub(super) fn after_metastore(&mut self) -> Result<(), Error> {
        self.journal.written = true;
        self.save()
    }

    /// Says that the old metastore is back: the new state does not stand any more.
    pub(super) fn metastore_taken_back(&mut self) -> Result<(), Error> {
        self.journal.written = false;
        self.journal.new_metastore = None;
        self.save()
    }

    /// Whether nothing waits: what there was has been deleted, as asked.
    pub(super) fn is_empty(&self) -> bool {
        self.journal.moves.iter().all(|moved| moved.aside.is_none())
    }

    /// Puts every directory back, the last one first. What lies in its place is the new one's and goes. Can be
    /// repeated when it was cut off: a directory that is not aside any more is back already.
    pub(super) fn put_back(self) -> Result<(), Error> {
        for Move { place, aside } in self.journal.moves.iter().rev() {
            match aside {
                None => files::remove(place)?,
                Some(aside) if aside.symlink_metadata().is_ok() => {
                    files::remove(place)?;
                    rename(aside, place)?;
                }
                Some(_) => {}
            }
        }
        self.sync()?;
        forget(&self.paths)
    }

    /// The new state stands: removes what was set aside.
    pub(super) fn discard(self) -> Result<(), Error> {
        forget(&self.paths)
    }

    fn save(&self) -> Result<(), Error> {
        let file = journal_file(&self.paths);
        let bytes = serde_json::to_vec_pretty(&self.journal)
            .map_err(|error| Error::new(Kind::Failed, format!("cannot write {}: {error}", file.display())))?;
        files::replace(&file, &bytes)
    }

    fn sync(&self) -> Result<(), Error> {
        for directory in [&self.paths.data, &self.paths.wal] {
            files::sync(directory).map_err(|error| Error::io(format!("write {}", directory.display()), &error))?;
        }
        Ok(())
    }
}

/// Whether an earlier run was cut off between setting aside and its end.
pub(super) fn interrupted(paths: &Paths) -> bool {
    journal_file(paths).exists()
}

/// Clears up after a run that was cut off. The server must be stopped.
///
/// Where the new metastore was written, the new state is complete and stays, unproven as it is. Else the old
/// directories come back; the metastore is the old one still, or what the server has made of it since.
pub(super) fn recover(paths: &Paths) -> Result<(), Error> {
    let file = journal_file(paths);
    let bytes = match fs::read(&file) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        other => other.map_err(|error| Error::io(format!("read {}", file.display()), &error))?,
    };
    let journal: Journal = serde_json::from_slice(&bytes).map_err(|error| {
        let message = format!("{}, the journal of an interrupted restore, cannot be read: {error}", file.display());
        Error::new(Kind::Failed, message)
            .hint("the old databases lie beside it; move them back by hand, then remove it")
    })?;
    let on_disk = fs::read(meta_db(paths)).ok().map(|bytes| digest(&bytes));
    let stands = journal.written || journal.new_metastore.is_some() && journal.new_metastore == on_disk;
    tracing::warn!("an earlier restore of {} was cut off; its new state stays: {stands}", journal.container);
    let aside = Aside { paths: paths.clone(), journal };
    if stands { aside.discard() } else { aside.put_back() }
}

/// The folder of the downloaded shards in the data directory, made anew.
pub(super) fn make_staged(paths: &Paths, owner: Owner) -> Result<PathBuf, Error> {
    let mut folder = paths.data.clone();
    for part in [FOLDER, "staged", "shards"] {
        folder.push(part);
        owner.make(&folder)?;
    }
    Ok(folder)
}

/// Removes what was downloaded into the data directory, and our folder, if no interrupted run needs it.
pub(super) fn remove_staged(paths: &Paths) -> Result<(), Error> {
    files::remove(&paths.data.join(FOLDER).join("staged"))?;
    if interrupted(paths) {
        return Ok(());
    }
    files::remove(&paths.data.join(FOLDER))
}

/// Removes the journal, and then what lies aside, which is rubbish without it. What is staged stays.
fn forget(paths: &Paths) -> Result<(), Error> {
    files::remove(&journal_file(paths))?;
    files::remove(&paths.wal.join(FOLDER))?;
    files::remove(&paths.data.join(FOLDER).join("aside"))
}

fn journal_file(paths: &Paths) -> PathBuf {
    paths.data.join(FOLDER).join("journal.json")
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    fs::rename(from, to).map_err(|error| Error::io(format!("move {} to {}", from.display(), to.display()), &error))
}
