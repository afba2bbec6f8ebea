//! A folder on this machine: a night that was downloaded or lies in an archive of files, or what `influxd backup` wrote.

mod files;
pub(super) mod influxd;
pub(super) mod legacy;
mod portable;

pub(super) use files::Files;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use archive::{BackupManifest, read};
use chrono::{DateTime, Utc};
use store::{Folder, Store, StoreExt};

use super::ground::Ground;
use super::night::{Looked, Seal};
use super::{Config, Outcome, Run};
use crate::blocking::blocking;
use crate::{Error, Kind, Progress};

/// Where the seal of a night lies within its folder.
const SEAL: &str = "manifests/backup.json";

/// What a folder holds.
enum Found {
    /// A night of ours: the folder in which `shards` and `manifests` lie.
    Night(PathBuf),
    /// Files of `influxd backup`, and what is to be said of where they lie.
    Influxd(PathBuf, Option<String>),
}

/// Verifies what a folder holds. Which nights the configuration names does not matter.
///
/// # Errors
///
/// [`Kind::Missing`] when there is no backup in it, [`Kind::Usage`] when there are several nights. What is damaged is in the
/// [`Outcome`].
pub async fn folder(
    config: Config,
    path: &Path,
    now: DateTime<Utc>,
    progress: Arc<dyn Progress>,
) -> Result<Outcome, Error> {
    let interrupt = config.interrupt.clone();
    interrupt.unless(look(config, path, now, progress)).await
}

async fn look(config: Config, path: &Path, now: DateTime<Utc>, progress: Arc<dyn Progress>) -> Result<Outcome, Error> {
    let path = path.to_owned();
    let found = blocking(move || find(&path)).await?;
    let folder = match &found {
        Found::Night(folder) | Found::Influxd(folder, _) => folder,
    };
    let (Some(above), Some(name)) = (folder.parent(), folder.file_name().and_then(|name| name.to_str())) else {
        let message = format!("{} cannot be read as a night", folder.display());
        return Err(Error::new(Kind::Usage, message).hint("give it a name of letters and digits, below the root"));
    };
    let store: Arc<dyn Store> = Arc::new(Folder::open(above)?);
    let run = Run::begin(config, now, Arc::clone(&store), progress);
    let extent = match &found {
        Found::Night(_) => run.config.extent,
        Found::Influxd(..) => influxd::inside(run.config.extent),
    };
    let mut outcome = Outcome::new(extent, run.slice);
    outcome.nights.push(match &found {
        Found::Night(_) => run.local(&store, name).await?,
        Found::Influxd(folder, note) => run.influxd(folder, note.clone()).await?,
    });
    Ok(outcome.finished(run.begun.elapsed()))
}

impl Run {
    /// A night of ours in a folder of that store.
    async fn local(&self, store: &Arc<dyn Store>, folder: &str) -> Result<super::Verified, Error> {
        let Some(info) = store.find(folder, SEAL).await? else {
            return self.under(&Ground::folder(store, folder, folder), &Seal::of_dumps_alone()).await;
        };
        let (night, seal) = match read::<BackupManifest>(store.as_ref(), folder, SEAL).await {
            Ok(loaded) => (loaded.document.container.clone(), Seal::new(info, Ok(loaded))),
            Err(error) => {
                let error = Error::from(error);
                if error.kind() != Kind::Damage {
                    return Err(error);
                }
                (folder.to_owned(), Seal::new(info, Err(error)))
            }
        };
        self.under(&Ground::folder(store, folder, &night), &seal).await
    }

    async fn under(&self, ground: &Ground, seal: &Seal) -> Result<super::Verified, Error> {
        match self.look(ground, seal).await? {
            Looked::At(verified) => Ok(*verified),
            Looked::Nothing | Looked::Replaced => {
                Err(Error::new(Kind::Failed, format!("{} was replaced while it was verified", ground.shown()))
                    .hint("run the same command again"))
            }
        }
    }
}

/// What a folder, or the only one in it, holds.
fn find(path: &Path) -> Result<Found, Error> {
    let unreadable = |error: &io::Error| match error.kind() {
        io::ErrorKind::NotFound => nothing(path),
        _ => Error::io(format!("look at {}", path.display()), error),
    };
    let path = fs::canonicalize(path).map_err(|error| unreadable(&error))?;
    if !path.is_dir() {
        return Err(Error::new(Kind::Usage, format!("{} is no folder", path.display()))
            .hint("give the folder in which the files of the backup lie"));
    }
    if is_night(&path) {
        return Ok(Found::Night(path));
    }
    let below = folders(&path).map_err(|error| unreadable(&error))?;
    let mut nights: Vec<&PathBuf> = below.iter().filter(|folder| is_night(folder)).collect();
    // An archive of files has its nights one deeper: the container, and in it the folder of the same name.
    let is_container = |folder: &PathBuf| folder.file_name().is_some_and(|name| is_night(&folder.join(name)));
    if nights.len() > 1 || below.iter().any(is_container) {
        let message = format!("{} holds several nights, or may", path.display());
        return Err(Error::new(Kind::Usage, message).hint(format!(
            "give the folder of one, such as {}; for an archive --archive file://{} with --date or --all",
            below.first().unwrap_or(&path).display(),
            path.display()
        )));
    }
    if let Some(night) = nights.pop() {
        return Ok(Found::Night(night.clone()));
    }
    let shards: Vec<PathBuf> = below.iter().map(|folder| folder.join("shards")).filter(|it| it.is_dir()).collect();
    let here = [path.clone(), path.join("shards")];
    for folder in here.iter().chain(&shards) {
        if folder.is_dir() && files::Files::list(folder).map_err(|error| unreadable(&error))?.is_backup() {
            let note = (*folder != path).then(|| "there is no manifest beside shards/, so it is not sealed".to_owned());
            return Ok(Found::Influxd(folder.clone(), note));
        }
    }
    Err(nothing(&path))
}

/// Whether there is a seal of ours: that of a backup, or those of dumps where there are no shards that would want one.
fn is_night(folder: &Path) -> bool {
    let is_seal = |name: &str| name.starts_with("dump.") && name.ends_with(".json");
    let has_dumps = || {
        let entries = fs::read_dir(folder.join("manifests")).into_iter().flatten().flatten();
        entries.into_iter().any(|entry| entry.file_name().to_str().is_some_and(is_seal))
    };
    folder.join(SEAL).is_file() || !folder.join("shards").exists() && has_dumps()
}

fn folders(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        if path.is_dir() {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn nothing(path: &Path) -> Error {
    Error::new(Kind::Missing, format!("there is no backup in {}", path.display())).hint(
        "give the folder of a night, in which shards/ and manifests/ lie, or one that influxd backup wrote; nights of the \
         archive are named with --date",
    )
}
