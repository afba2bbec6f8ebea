//! The objects on their way from the store into the folder: many at once, each checked before it is put in place, and a seal
//! when everything that it names is there.

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::StreamExt;
use sha2::{Digest, Sha256};
use store::{Store, StoreExt};

use super::contents::Object;
use super::here::{Decided, Todo};
use super::outcome::State;
use super::partial::{self, Partial};
use super::plan::{Item, Unit};
use crate::blocking::blocking;
use crate::looks::{self, Look};
use crate::{Error, Event, Kind, Progress};

/// What came of a file.
#[derive(Debug)]
pub(super) struct Ended {
    /// Place of its unit, and its place there; the seal is the one after the last.
    pub(super) place: (usize, usize),
    pub(super) state: State,
    /// Why, where it is not in place.
    pub(super) why: Option<String>,
}

/// A unit under way.
struct Course {
    /// Items that are still to come.
    left: AtomicUsize,
    /// Something of it is not in place, so its seal must not be.
    is_incomplete: AtomicBool,
}

/// Downloads everything that is to be fetched; what came of each file that is not simply there goes to `told` as it ends.
///
/// # Errors
///
/// When the store or the disk fails: then nothing else would come, either.
pub(super) async fn fetch(
    store: &Arc<dyn Store>,
    decided: &[Decided],
    parallel: usize,
    progress: &dyn Progress,
    mut told: impl FnMut(Ended),
) -> Result<(), Error> {
    let courses = decided.iter().map(|one| Course {
        left: AtomicUsize::new(one.items.iter().filter(|todo| is_due(**todo)).count()),
        is_incomplete: AtomicBool::new(one.items.iter().any(|todo| matches!(todo, Todo::Refuse | Todo::Blocked))),
    });
    let courses: Vec<Course> = courses.collect();
    let work = Work { store: store.as_ref(), progress, decided, courses: &courses };
    let mut due: Vec<(usize, usize)> = Vec::new();
    for (unit, one) in decided.iter().enumerate() {
        work.unseal(one).await?;
        due.extend((0..one.items.len()).filter(|item| is_due(one.items[*item])).map(|item| (unit, item)));
        if courses[unit].left.load(Ordering::Relaxed) == 0 {
            due.extend(one.seal.filter(|todo| is_due(*todo)).map(|_| (unit, one.items.len())));
        }
    }
    // Collected first, so that the closure's borrows need not hold for every lifetime.
    let downloads: Vec<_> = due.into_iter().map(|place| work.one(place)).collect();
    let mut ended = futures_util::stream::iter(downloads).buffer_unordered(parallel.max(1));
    while let Some(some) = ended.next().await {
        some?.into_iter().for_each(&mut told);
    }
    drop(ended);
    let changed = decided.iter().flat_map(Decided::all).filter(|(_, todo)| is_due(*todo));
    let folders: BTreeSet<_> = changed.filter_map(|(item, _)| item.target.parent().map(Path::to_owned)).collect();
    blocking(move || {
        folders.iter().filter(|folder| folder.is_dir()).try_for_each(|folder| partial::sync_folder(folder))
    })
    .await
}

fn is_due(todo: Todo) -> bool {
    matches!(todo, Todo::Fetch | Todo::Replace)
}

struct Work<'a> {
    store: &'a dyn Store,
    progress: &'a dyn Progress,
    decided: &'a [Decided],
    courses: &'a [Course],
}

impl Work<'_> {
    /// A seal never stands over what it does not name: that of another backup goes before anything else does.
    async fn unseal(&self, one: &Decided) -> Result<(), Error> {
        let (Some(seal), Some(Todo::Replace), None) = (&one.unit.seal, one.seal, &one.unit.dump) else { return Ok(()) };
        let path = seal.target.clone();
        blocking(move || match fs::remove_file(&path) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(Error::io(format!("remove {}", path.display()), &error))
            }
            _ => Ok(()),
        })
        .await
    }

    /// A file, and after the last of its unit the seal.
    async fn one(&self, (unit, item): (usize, usize)) -> Result<Vec<Ended>, Error> {
        let (one, course) = (&self.decided[unit], &self.courses[unit]);
        let seal = one.items.len();
        if item == seal {
            return Ok(self.seal(unit).await?.into_iter().collect());
        }
        let ended = self.file(unit, item, &one.unit.items[item], one.items[item] == Todo::Replace).await?;
        if ended.why.is_some() {
            course.is_incomplete.store(true, Ordering::SeqCst);
        }
        let is_last = course.left.fetch_sub(1, Ordering::SeqCst) == 1;
        let seal = if is_last { self.seal(unit).await? } else { None };
        Ok([ended].into_iter().chain(seal).collect())
    }

    async fn seal(&self, unit: usize) -> Result<Option<Ended>, Error> {
        let one = &self.decided[unit];
        let (Some(seal), Some(todo)) = (&one.unit.seal, one.seal) else { return Ok(None) };
        if !is_due(todo) || self.courses[unit].is_incomplete.load(Ordering::SeqCst) {
            return Ok(None);
        }
        self.file(unit, one.items.len(), seal, todo == Todo::Replace).await.map(Some)
    }

    async fn file(&self, unit: usize, place: usize, item: &Item, replace: bool) -> Result<Ended, Error> {
        let ended = |state, why| Ok(Ended { place: (unit, place), state, why });
        let name = &item.object.name;
        let read = looks::until_whole(self.progress, |look| self.read(look, item, replace)).await;
        let error = match read {
            Ok(()) => {
                self.progress.report(Event::Done { name, bytes: item.object.bytes });
                return ended(State::Fetched, None);
            }
            Err(error) => error,
        };
        match error.kind() {
            Kind::Damage if is_replaced(self.store, &self.decided[unit].unit).await? => {
                let why = format!("{name} was replaced in the archive meanwhile; run the same command again");
                ended(State::Failed, Some(why))
            }
            Kind::Damage => ended(State::Damaged, Some(error.to_string())),
            Kind::Locked => ended(State::Failed, Some(error.to_string())),
            _ => Err(error),
        }
    }

    /// Reads an object once, goes on with what an earlier run has begun, and puts it in place.
    async fn read(&self, look: Look, item: &Item, replace: bool) -> Result<(), Error> {
        let opened = item.clone();
        let mut partial = blocking(move || Partial::open(&opened)).await?;
        if look == Look::Again {
            partial.begin_again()?;
        }
        let mut is_continued = partial.length > 0;
        loop {
            if partial.length < item.object.bytes {
                let download = match open(self.store, look, &item.object, partial.length).await {
                    // Nothing can go on with it.
                    Err(error) if error.kind() == Kind::Damage => {
                        blocking(move || partial.remove()).await?;
                        return Err(error);
                    }
                    other => other?,
                };
                partial = partial.receive(item, download).await?;
            }
            if partial.is_whole(item) {
                return blocking(move || partial.place(replace)).await;
            }
            if !is_continued {
                blocking(move || partial.remove()).await?;
                return Err(damaged(&item.object.name, "its SHA-256 is not that of its seal"));
            }
            // What had been begun need not be what was written: the machine may have lost its power.
            is_continued = false;
            partial.begin_again()?;
        }
    }
}

/// Opens the object from there on.
pub(super) async fn open(store: &dyn Store, look: Look, object: &Object, from: u64) -> Result<store::Download, Error> {
    let Object { container, name, bytes, .. } = object;
    let opened = match from {
        0 => look.open(store, container, name).await,
        from => store.get(container, name, Some(from..*bytes)).await,
    };
    match opened {
        Err(store::Error::NotFound { .. }) => Err(damaged(name, "it does not exist")),
        Err(store::Error::Range { bytes: found, .. }) => Err(length(object, found)),
        // A range says nothing of what comes after it, and a digest of all that is wanted says enough.
        Ok(download) if download.bytes != bytes - from => Err(length(object, download.bytes + from)),
        other => Ok(other?),
    }
}

fn length(object: &Object, found: u64) -> Error {
    damaged(&object.name, &format!("it has {found} bytes instead of {}", object.bytes))
}

pub(super) fn damaged(name: &str, reason: &str) -> Error {
    Error::new(Kind::Damage, format!("{name} is damaged: {reason}"))
        .hint("nightshard-verify tells what else is, and who has it whole")
}

/// Whether the archive has another seal by now, or none.
pub(super) async fn is_replaced(store: &dyn Store, unit: &Unit) -> Result<bool, Error> {
    let seal = &unit.sealed_by;
    match store.get_bytes(&seal.container, &seal.name, seal.bytes).await {
        Ok(bytes) => Ok(hex::encode(Sha256::digest(&bytes)) != seal.sha256),
        Err(store::Error::NotFound { .. } | store::Error::TooLarge { .. }) => Ok(true),
        Err(error) => Err(error.into()),
    }
}
