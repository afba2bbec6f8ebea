//! What the program remembers of a target: the databases that it has restored there, and may replace.
//!
//! It stands in a file of its own beside the metastore, where it can be read while the server is down; and, since a restore
//! over the wire sees no files, also in the target's database of the loaded record. What either knows holds.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use influx::metastore::Data;
use serde::{Deserialize, Serialize};

use super::directories::Paths;
use super::files;
use super::selection::Selection;
use super::target::meta_db;
use crate::loaded::Memory;
use crate::{Error, Kind};

/// The file's `format`.
const FORMAT: &str = "nightshard-target/1";

/// The databases of a target that restores have made, the one of the loaded record among them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ours {
    format: String,
    /// The target's, in decimal; what is said of another server, whose files lay here, does not count.
    cluster_id: String,
    /// In byte order.
    databases: BTreeSet<String>,
    /// Those of them that have another name than the night's database from which they were restored, and its name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    copies: BTreeMap<String, String>,
}

impl Ours {
    /// Reads what is remembered of the server with this metastore; nothing if there is no file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read: what may be replaced is not guessed at.
    pub(super) fn read(paths: &Paths, metastore: &Data) -> Result<Ours, Error> {
        let (file, none) = (file(paths), Ours::none(metastore));
        let bytes = match fs::read(&file) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(none),
            other => other.map_err(|error| Error::io(format!("read {}", file.display()), &error))?,
        };
        none.or(&bytes).map_err(|reason| {
            let message = format!("{}, the list of the restored databases, cannot be read: {reason}", file.display());
            Error::new(Kind::Failed, message)
                .hint("remove it, then give --first-restore once for the databases that may be replaced")
        })
    }

    /// What the running target remembers itself.
    ///
    /// # Errors
    ///
    /// When that cannot be read.
    pub(super) fn recall(memory: Option<&Memory>, metastore: &Data) -> Result<Ours, Error> {
        let none = Ours::none(metastore);
        let Some(memory) = memory else { return Ok(none) };
        none.or(memory.ours.as_bytes()).map_err(|reason| {
            let message = format!("the target's own list of the restored databases cannot be read: {reason}");
            Error::new(Kind::Failed, message).hint(
                "drop its database nightshard, then give --first-restore once for the databases that may be replaced",
            )
        })
    }

    /// Nothing is ours on the server with this metastore.
    pub(super) fn none(metastore: &Data) -> Ours {
        let cluster_id = metastore.cluster_id.to_string();
        Ours { format: FORMAT.to_owned(), cluster_id, databases: BTreeSet::new(), copies: BTreeMap::new() }
    }

    /// What is written there, if it is of the same server.
    fn or(self, written: &[u8]) -> Result<Ours, String> {
        let ours: Ours = serde_json::from_slice(written).map_err(|error| error.to_string())?;
        match ours.format == FORMAT {
            false => Err(format!("it has the format {}", ours.format)),
            true if ours.cluster_id == self.cluster_id => Ok(ours),
            true => Ok(self),
        }
    }

    /// For the running target to remember; `run` is who says so.
    ///
    /// # Errors
    ///
    /// None that can happen.
    pub(super) fn memory(&self, run: &str) -> Result<Memory, Error> {
        let ours = serde_json::to_string(self).map_err(|error| {
            Error::new(Kind::Failed, format!("cannot write the list of the restored databases: {error}"))
        })?;
        Ok(Memory { run: run.to_owned(), ours })
    }

    /// Forgets those that the metastore does not have.
    pub(super) fn still_in(mut self, metastore: &Data) -> Ours {
        self.databases.retain(|name| metastore.database(name).is_some());
        self.copies.retain(|name, _| metastore.database(name).is_some());
        self
    }

    /// Whether we made this database, from the night's database `stored`.
    pub(super) fn has(&self, database: &str, stored: &str) -> bool {
        self.databases.contains(database) && self.copies.get(database).map_or(database, String::as_str) == stored
    }

    /// Counts this database as ours, restored from the night's database `stored`, for as long as this value lives.
    pub(super) fn with(mut self, database: &str, stored: &str) -> Ours {
        self.databases.insert(database.to_owned());
        self.copies.remove(database);
        if database != stored {
            self.copies.insert(database.to_owned(), stored.to_owned());
        }
        self
    }

    /// Counts what is selected as ours.
    pub(super) fn with_selected(self, selection: &Selection) -> Ours {
        selection.databases.iter().fold(self, |ours, name| ours.with(name, selection.stored_name(name)))
    }

    /// What either knows of the same server.
    pub(super) fn and(mut self, other: &Ours) -> Ours {
        if self.cluster_id == other.cluster_id {
            self.databases.extend(other.databases.iter().cloned());
            self.copies.extend(other.copies.iter().map(|(name, stored)| (name.clone(), stored.clone())));
        }
        self
    }

    /// Remembers these as well, and forgets those that `metastore`, the target's present one, does not have.
    pub(super) fn add(paths: &Paths, metastore: &Data, more: &Ours) -> Result<Ours, Error> {
        let ours = Ours::read(paths, metastore)?.and(more).still_in(metastore);
        let file = file(paths);
        let bytes = serde_json::to_vec_pretty(&ours)
            .map_err(|error| Error::new(Kind::Failed, format!("cannot write {}: {error}", file.display())))?;
        files::replace(&file, &meta_db(paths), &bytes)?;
        Ok(ours)
    }
}

fn file(paths: &Paths) -> PathBuf {
    paths.meta.join("nightshard.json")
}
