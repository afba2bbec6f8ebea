//! What lies in the folder already, and what is therefore to be done with each file.

use std::fs::{self, File};
use std::io::{ErrorKind, Read};
use std::path::Path;

use archive::names;
use archive::records::DumpManifest;
use futures_util::StreamExt;
use sha2::{Digest, Sha256};

use super::contents::UNFINISHED;
use super::plan::{Item, Plan, Unit};
use crate::blocking::blocking;
use crate::{Error, Interrupt, Kind};

/// How much of a file is read at once.
const PIECE: usize = 256 << 10;

/// What is to be done with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Todo {
    /// It is not there.
    Fetch,
    /// Another one is there, which goes.
    Replace,
    /// It is there.
    Nothing,
    /// Another one is there, which stays.
    Refuse,
    /// What is there is no file, and stays whatever is asked for.
    Blocked,
}

/// What lies in the place of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lying {
    Nothing,
    /// Exactly the file.
    Same,
    /// What an earlier fetch brought of a dump that has been completed since.
    Older,
    Other,
    /// Something that is no file, or a file where a folder would have to be.
    Thing,
}

/// What is to be done with the files of a unit.
#[derive(Debug, Clone)]
pub(super) struct Decided {
    pub(super) unit: Unit,
    /// One for each item.
    pub(super) items: Vec<Todo>,
    pub(super) seal: Option<Todo>,
    /// Files like those of a backup that are none of this one.
    pub(super) strangers: Vec<String>,
}

impl Decided {
    /// Items and seal with what is to be done with them.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Item, Todo)> {
        let items = self.unit.items.iter().zip(self.items.iter().copied());
        items.chain(self.unit.seal.iter().zip(self.seal))
    }
}

/// Looks at everything that lies in the place of something in the plan; so many units at once.
///
/// # Errors
///
/// When something cannot be looked at.
pub(super) async fn look(plan: Plan, force: bool, parallel: usize, stop: &Interrupt) -> Result<Vec<Decided>, Error> {
    let looks = plan.units.into_iter().map(|unit| {
        let stop = stop.clone();
        blocking(move || decide(unit, force, &stop))
    });
    let looks: Vec<_> = looks.collect();
    let mut decided = Vec::new();
    let mut ended = futures_util::stream::iter(looks).buffered(parallel.max(1));
    while let Some(one) = ended.next().await {
        decided.push(one?);
    }
    Ok(decided)
}

fn decide(unit: Unit, force: bool, stop: &Interrupt) -> Result<Decided, Error> {
    let mut lying = Vec::new();
    for item in &unit.items {
        lying.push(lies(item, &unit, stop)?);
    }
    let seal = unit.seal.as_ref().map(|seal| lies(seal, &unit, stop)).transpose()?;
    // A backup is whole under its own seal: where another one is sealed, nothing of this one comes between.
    let is_other_backup = seal == Some(Lying::Other) && unit.dump.is_none();
    let items = lying.into_iter().map(|lying| match lying {
        Lying::Same => Todo::Nothing,
        Lying::Thing => Todo::Blocked,
        _ if is_other_backup && !force => Todo::Refuse,
        Lying::Nothing => Todo::Fetch,
        Lying::Older => Todo::Replace,
        Lying::Other => {
            if force {
                Todo::Replace
            } else {
                Todo::Refuse
            }
        }
    });
    let items: Vec<Todo> = items.collect();
    let is_refused = items.iter().any(|todo| matches!(todo, Todo::Refuse | Todo::Blocked));
    let seal = seal.map(|seal| match seal {
        Lying::Same => Todo::Nothing,
        Lying::Thing => Todo::Blocked,
        Lying::Nothing => Todo::Fetch,
        // The seal of a dump goes with it; nothing is lost with the old one.
        _ if unit.dump.is_some() && !is_refused || force => Todo::Replace,
        _ => Todo::Refuse,
    });
    let strangers = strangers(&unit);
    Ok(Decided { unit, items, seal, strangers })
}

/// What lies in the place of a file.
fn lies(item: &Item, unit: &Unit, stop: &Interrupt) -> Result<Lying, Error> {
    let path = &item.target;
    let failed = |error: &std::io::Error| Error::io(format!("look at {}", path.display()), error);
    if let Some(link) = linked_folder(item) {
        let message = format!("{} is a link, and files are not put where it leads", link.display());
        return Err(Error::new(Kind::Usage, message).hint("name the folder that it leads to, or remove the link"));
    }
    let found = match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotADirectory => return Ok(Lying::Thing),
        // A link that leads nowhere is somebody's, too.
        Err(error) if error.kind() == ErrorKind::NotFound && path.symlink_metadata().is_ok() => {
            return Ok(Lying::Other);
        }
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Lying::Nothing),
        found => found.map_err(|error| failed(&error))?,
    };
    if !found.is_file() {
        return Ok(Lying::Thing);
    }
    if found.len() == item.object.bytes && digest(path, stop)? == item.object.sha256 {
        return Ok(Lying::Same);
    }
    let is_older = is_dump(item, unit) && sealed_digest(unit).is_some_and(|(bytes, _)| bytes == found.len());
    if is_older && sealed_digest(unit).map(|(_, sha256)| sha256) == Some(digest(path, stop)?) {
        return Ok(Lying::Older);
    }
    Ok(Lying::Other)
}

/// A folder of the night, below the one that was named, that is a link: whoever may write there decides where it leads.
fn linked_folder(item: &Item) -> Option<&Path> {
    let is_laid_out = item.target.ends_with(&item.object.name);
    let depth = if is_laid_out { item.object.name.matches('/').count() } else { 0 };
    let folders = item.target.ancestors().skip(1).take(depth);
    folders.filter(|folder| folder.symlink_metadata().is_ok_and(|found| found.is_symlink())).last()
}

fn is_dump(item: &Item, unit: &Unit) -> bool {
    unit.dump.is_some() && unit.seal.as_ref() != Some(item)
}

/// Length and digest of the dump by the seal that lies here: with it an earlier fetch said what it had brought.
fn sealed_digest(unit: &Unit) -> Option<(u64, String)> {
    let bytes = fs::read(&unit.seal.as_ref()?.target).ok()?;
    let seal: DumpManifest = serde_json::from_slice(&bytes).ok()?;
    Some((seal.bytes, seal.sha256))
}

fn digest(path: &Path, stop: &Interrupt) -> Result<String, Error> {
    let failed = |error: std::io::Error| Error::io(format!("read {}", path.display()), &error);
    let mut file = File::open(path).map_err(failed)?;
    let (mut sha256, mut piece) = (Sha256::new(), vec![0; PIECE]);
    loop {
        match file.read(&mut piece).map_err(failed)? {
            0 => return Ok(hex::encode(sha256.finalize())),
            _ if stop.is_requested() => return Err(Error::interrupted()),
            read => sha256.update(&piece[..read]),
        }
    }
}

/// Shards beside those of the backup, which `influxd restore` would take for its own.
fn strangers(unit: &Unit) -> Vec<String> {
    let (None, Some(first)) = (&unit.dump, unit.items.first()) else { return Vec::new() };
    let (Some(folder), container) = (first.target.parent(), &first.object.container) else { return Vec::new() };
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let files = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let strange = files.filter(|file| {
        let name = format!("{}{file}", names::shards_prefix(container));
        names::is_data(container, &name) && !unit.items.iter().any(|item| item.object.name == name)
    });
    strange.map(|file| folder.join(file).display().to_string()).collect()
}

/// Removes what earlier runs have begun in the folders of the plan and what nobody asks for any more; a file that another
/// run works on is locked.
pub(super) fn sweep(decided: &[Decided], in_use: &dyn Fn(&Item) -> std::path::PathBuf) {
    let items = || decided.iter().flat_map(Decided::all).map(|(item, _)| item);
    let kept: std::collections::BTreeSet<_> = items().map(in_use).collect();
    let folders: std::collections::BTreeSet<&Path> = items().filter_map(|item| item.target.parent()).collect();
    for entry in folders.into_iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten() {
        let path = entry.path();
        let is_unfinished = entry.file_name().to_string_lossy().starts_with(UNFINISHED);
        if !is_unfinished || kept.contains(&path) || !entry.file_type().is_ok_and(|it| it.is_file()) {
            continue;
        }
        if File::open(&path).is_ok_and(|file| file.try_lock().is_ok()) {
            tracing::info!("removing {}, which an earlier run had begun", path.display());
            if let Err(error) = fs::remove_file(&path) {
                tracing::warn!("cannot remove {}: {error}", path.display());
            }
        }
    }
}
