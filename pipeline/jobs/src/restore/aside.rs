//! Sets the old databases aside, and puts them back.
//!
//! That is the drop: directories are renamed into `.nightshard/aside` of their own file system. What is to be moved
//! is written down first, so that a run that is cut off, by a power failure for instance, leaves a journal by which
//! the next one puts the old state back or lets the new one stand.
//!
//! The database of the loaded record goes first, and comes back last: whenever a server would find the record, it finds
//! the night as well.
//!
//! A recovery, which replaces nothing, has a journal too: by it the next run goes on where the server was to be started.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use influx::metastore::Data;
use serde::{Deserialize, Serialize};

use super::directories::Paths;
use super::files::{self, Owner};
use super::ours::Ours;
use super::selection::Selection;
use super::target::read_metastore;
use super::witness::Witness;
use crate::{Error, Kind};

/// Our folder in the data directory and in the WAL directory; there while a restore is under way.
pub(super) const FOLDER: &str = ".nightshard";

/// What was moved where.
#[derive(Debug, Serialize, Deserialize)]
struct Journal {
    /// The night that is being restored, for people.
    container: String,
    /// The databases that are replaced, the one of the loaded record among them.
    databases: Vec<String>,
    /// What the only database is called in the night, if that is not the same.
    #[serde(default)]
    stored_as: Option<String>,
    /// What a recovery brings: nothing that was there is replaced, and nothing of it may be replaced later.
    #[serde(default)]
    recovered: Option<Recovered>,
    /// The old metastore and the new one, once everything else is in place and it is about to be written.
    metastores: Option<Metastores>,
    /// Whether the new metastore has been written.
    written: bool,
    /// The directories, in the order in which they are moved.
    moves: Vec<Move>,
}

impl Journal {
    /// Counts what is being restored as ours.
    fn with_databases(&self, ours: Ours) -> Ours {
        let stored = |name: &str| self.stored_as.clone().unwrap_or(name.to_owned());
        self.databases.iter().fold(ours, |ours, name| ours.with(name, &stored(name)))
    }
}

/// What a recovery brings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Recovered {
    /// SHA-256 of the night's manifest.
    pub(super) manifest_sha256: String,
    /// The databases.
    pub(super) databases: Vec<String>,
    /// Each shard: its id on the source, and its id on the target.
    pub(super) shards: BTreeMap<u64, u64>,
    /// Points that each must answer with, by its id on the source: with them the next run need not fetch it to ask for it.
    #[serde(default)]
    pub(super) witnesses: BTreeMap<u64, Vec<Witness>>,
}

impl Recovered {
    /// Whether all that is selected is in this.
    pub(super) fn is_of(&self, selection: &Selection) -> bool {
        self.manifest_sha256 == selection.manifest_sha256
            && selection.databases.iter().all(|name| self.databases.contains(name))
    }
}

/// What is to be exchanged.
#[derive(Debug)]
pub(super) struct Exchange {
    /// The night's container.
    pub(super) container: String,
    /// The databases whose directories give way, in this order.
    pub(super) databases: Vec<String>,
    /// What the only one is called in the night, if that is not the same.
    pub(super) stored_as: Option<String>,
    /// Whether they are deleted at once.
    pub(super) drop_first: bool,
    /// What a recovery brings.
    pub(super) recovered: Option<Recovered>,
}

/// By what the old metastore and the new one are told apart, be it after a server has worked with one of them: what they
/// know of the databases that are replaced.
#[derive(Debug, Serialize, Deserialize)]
struct Metastores {
    old: BTreeSet<String>,
    new: BTreeSet<String>,
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
    /// Moves the directories of the databases aside; with `drop_first` they are deleted. The server must be stopped.
    ///
    /// # Errors
    ///
    /// When one cannot be moved; those that were moved before are back then.
    pub(super) fn set(paths: &Paths, owner: Owner, exchange: Exchange) -> Result<Aside, Error> {
        let Exchange { container, databases, stored_as, drop_first, recovered } = exchange;
        let mut moves = Vec::new();
        for name in &databases {
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
        let journal = Journal { container, databases, stored_as, recovered, metastores: None, written: false, moves };
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
    pub(super) fn before_metastore(&mut self, old: &Data, new: &Data) -> Result<(), Error> {
        let known = |data: &Data| knows(data, &self.journal.databases);
        self.journal.metastores = Some(Metastores { old: known(old), new: known(new) });
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
        self.journal.metastores = None;
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

    /// What a recovery brought.
    pub(super) fn recovered(&self) -> Option<&Recovered> {
        self.journal.recovered.as_ref()
    }

    fn save(&self) -> Result<(), Error> {
        let file = journal_file(&self.paths);
        let bytes = serde_json::to_vec_pretty(&self.journal)
            .map_err(|error| Error::new(Kind::Failed, format!("cannot write {}: {error}", file.display())))?;
        files::replace(&file, &self.paths.data, &bytes)
    }

    fn sync(&self) -> Result<(), Error> {
        files::flush(&self.paths.data)?;
        files::flush(&self.paths.wal)
    }
}

/// With the databases that an earlier run, which was cut off between setting aside and its end, was replacing.
pub(super) fn with_interrupted(paths: &Paths, ours: Ours) -> Result<Ours, Error> {
    let journal = read_journal(paths)?.filter(|journal| journal.recovered.is_none());
    Ok(journal.map_or(ours.clone(), |journal| journal.with_databases(ours)))
}

/// What an earlier recovery was bringing when it was cut off.
pub(super) fn interrupted_recovery(paths: &Paths) -> Result<Option<Recovered>, Error> {
    Ok(read_journal(paths)?.and_then(|journal| journal.recovered))
}

/// Whether an earlier recovery of all that is selected had put everything in place, and said so, before it was cut off.
pub(super) fn is_in_place(paths: &Paths, selection: &Selection) -> Result<bool, Error> {
    let journal = read_journal(paths)?.filter(|journal| journal.written);
    Ok(journal.and_then(|journal| journal.recovered).is_some_and(|left| left.is_of(selection)))
}

fn read_journal(paths: &Paths) -> Result<Option<Journal>, Error> {
    let file = journal_file(paths);
    let bytes = match fs::read(&file) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        other => other.map_err(|error| Error::io(format!("read {}", file.display()), &error))?,
    };
    let journal = serde_json::from_slice(&bytes).map_err(|error| {
        let message = format!("{}, the journal of an interrupted restore, cannot be read: {error}", file.display());
        Error::new(Kind::Failed, message)
            .hint("the old databases lie beside it; move them back by hand, then remove it")
    })?;
    Ok(Some(journal))
}

/// Clears up after a run that was cut off. The server must be stopped.
///
/// Where the new metastore was written, the new state is complete and stays, unproven as it is; its databases are ours
/// from then on. Else the old directories come back; the metastore is the old one still, or what the server has made of
/// it since.
///
/// A recovery that stands is handed out: its databases, which may have taken points since, are nobody's to replace.
pub(super) fn recover(paths: &Paths) -> Result<Option<Aside>, Error> {
    let Some(journal) = read_journal(paths)? else { return Ok(None) };
    let stands = journal.written || new_is_written(paths, &journal)?;
    tracing::warn!("an earlier restore of {} was cut off; its new state stays: {stands}", journal.container);
    let aside = Aside { paths: paths.clone(), journal };
    if !stands {
        aside.put_back()?;
        return Ok(None);
    }
    if aside.journal.recovered.is_some() {
        return Ok(Some(aside));
    }
    let metastore = read_metastore(paths)?;
    Ours::add(paths, &metastore, &aside.journal.with_databases(Ours::none(&metastore)))?;
    aside.discard()?;
    Ok(None)
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

/// Removes what was downloaded into the data directory, and our folders, if no interrupted run needs them: without a
/// journal, what lies aside is what a run was removing when it was cut off.
pub(super) fn remove_staged(paths: &Paths) -> Result<(), Error> {
    files::remove(&paths.data.join(FOLDER).join("staged"))?;
    if journal_file(paths).exists() {
        return Ok(());
    }
    files::remove(&paths.wal.join(FOLDER))?;
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

/// Whether the metastore on disk descends from the new one rather than from the old one. A server that was started by
/// hand meanwhile has written it anew, and perhaps added shards or removed some: it is the one that it resembles more.
/// Where both know the same, either directories will do.
fn new_is_written(paths: &Paths, journal: &Journal) -> Result<bool, Error> {
    let Some(Metastores { old, new }) = &journal.metastores else { return Ok(false) };
    let present = knows(&read_metastore(paths)?, &journal.databases);
    let distance = |other: &BTreeSet<String>| present.symmetric_difference(other).count();
    Ok(distance(new) <= distance(old))
}

/// These databases, their policies and their shards, each in a line.
fn knows(data: &Data, databases: &[String]) -> BTreeSet<String> {
    let mut known = BTreeSet::new();
    for database in data.databases.iter().filter(|database| databases.contains(&database.name)) {
        known.insert(database.name.clone());
        for policy in &database.policies {
            let name = format!("{}/{}", database.name, policy.name);
            for group in &policy.shard_groups {
                known.extend(group.shards.iter().map(|shard| format!("{name}/{}@{}", shard.id, group.start_time)));
            }
            known.insert(name);
        }
    }
    known
}

fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    fs::rename(from, to).map_err(|error| Error::io(format!("move {} to {}", from.display(), to.display()), &error))
}

#[cfg(test)]
mod tests;
