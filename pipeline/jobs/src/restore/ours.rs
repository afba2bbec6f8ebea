//! What the program remembers of a target, in a file of its own beside the metastore: the databases that it has restored
//! there, and may replace.
//!
//! Not in a database, which anybody may make under any name, and which does not answer while the server is down.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use influx::metastore::Data;
use serde::{Deserialize, Serialize};

use super::directories::Paths;
use super::files;
use super::target::meta_db;
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
}

impl Ours {
    /// Reads what is remembered of the server with this metastore; nothing if there is no file.
    ///
    /// # Errors
    ///
    /// When the file cannot be read: what may be replaced is not guessed at.
    pub(super) fn read(paths: &Paths, metastore: &Data) -> Result<Ours, Error> {
        let (file, cluster_id) = (file(paths), metastore.cluster_id.to_string());
        let none = Ours { format: FORMAT.to_owned(), cluster_id, databases: BTreeSet::new() };
        let bytes = match fs::read(&file) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(none),
            other => other.map_err(|error| Error::io(format!("read {}", file.display()), &error))?,
        };
        let unreadable = |reason: String| {
            let message = format!("{}, the list of the restored databases, cannot be read: {reason}", file.display());
            Error::new(Kind::Failed, message)
                .hint("remove it, then give --first-restore once for the databases that may be replaced")
        };
        let ours: Ours = serde_json::from_slice(&bytes).map_err(|error| unreadable(error.to_string()))?;
        if ours.format != FORMAT {
            return Err(unreadable(format!("it has the format {}", ours.format)));
        }
        Ok(if ours.cluster_id == none.cluster_id { ours } else { none })
    }

    /// Whether we made this database.
    pub(super) fn has(&self, database: &str) -> bool {
        self.databases.contains(database)
    }

    /// Counts these databases as ours for as long as this value lives.
    pub(super) fn with(mut self, databases: impl IntoIterator<Item = String>) -> Ours {
        self.databases.extend(databases);
        self
    }

    /// Remembers these databases as well, and forgets those that `metastore`, the target's present one, does not have.
    pub(super) fn add(paths: &Paths, metastore: &Data, databases: &[String]) -> Result<(), Error> {
        let mut ours = Ours::read(paths, metastore)?.with(databases.iter().cloned());
        ours.databases.retain(|name| metastore.database(name).is_some());
        let file = file(paths);
        let bytes = serde_json::to_vec_pretty(&ours)
            .map_err(|error| Error::new(Kind::Failed, format!("cannot write {}: {error}", file.display())))?;
        files::replace(&file, &meta_db(paths), &bytes)
    }
}

fn file(paths: &Paths) -> PathBuf {
    paths.meta.join("nightshard.json")
}
