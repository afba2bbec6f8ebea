//! A dump into the archive: object first, seal last, and never over the dump of something else.
//!
//! The names of a dump tell its measurement and its day. Two databases, or two policies of one, may have a measurement
//! of the same name; the seal tells whose dump it is. A dump that holds what the server may have lost is replaced under
//! a record of both seals, old and new: whatever a killed run leaves, the next one finds which of the two objects
//! is there, and gives it its seal back.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use archive::records::{DumpManifest, DumpReplacement};
use archive::{Document, names};
use chrono::TimeDelta;
use futures_util::TryStreamExt;
use store::{Body, Digester, Digests, Store, StoreExt};
use tokio::io::AsyncWriteExt;

use super::encode::decode;
use super::older::{Identity, Older};
use super::schema::Origin;
use super::task::Task;
use super::{Dumped, Run};
use crate::spool::{Shelf, Stored};
use crate::{Error, Kind};

/// A dump in the spool.
#[derive(Debug)]
pub(super) struct Spooled<'a> {
    pub(super) path: &'a Path,
    /// Of the file as it is stored.
    pub(super) digests: &'a Digests,
    /// Of what is in it.
    pub(super) content: &'a Digests,
    /// All tags that the measurement has or had.
    pub(super) tags: &'a [String],
}

/// What a container has of dumps.
#[derive(Debug, Default)]
pub(super) struct Listed {
    /// The file names of the dumps.
    pub(super) files: Vec<String>,
    /// The names of the objects that tell what was asked for.
    pub(super) selections: Vec<String>,
}

impl Run {
    /// The seal of the dump that the archive holds under this name. Refuses one that is of something else, or of what
    /// cannot be told. An object without a seal is what an interrupted dump left, and may be replaced.
    pub(super) async fn held(&self, store: &dyn Store, task: &Task) -> Result<Option<DumpManifest>, Error> {
        let Task { container, file, origin, .. } = task;
        let Some(held) = self.sealed(store, container, file).await? else { return Ok(None) };
        let of = Origin {
            database: held.database.clone(),
            policy: held.retention_policy.clone(),
            measurement: held.measurement.clone(),
        };
        if of == *origin {
            return Ok(Some(held));
        }
        let message = format!("cannot dump {origin}: {container} holds a dump of {of} under the same name, {file}");
        Err(Error::new(Kind::Failed, message).hint(
            "give this one a --name of its own, such as \"{database}.{retention_policy}.{measurement}\", or dump it with \
             --no-upload --output DIR",
        ))
    }

    /// Refuses the run when the archive holds something else under the name of one of its dumps.
    pub(super) async fn refuse_names_of_others(&self, container: &str, tasks: &[Task]) -> Result<(), Error> {
        let Some(store) = self.job.store.as_deref().filter(|_| self.job.config.upload) else { return Ok(()) };
        let sealed: BTreeSet<String> = self.listed(store, container).await?.files.into_iter().collect();
        for task in tasks.iter().filter(|task| sealed.contains(&task.file)) {
            match self.held(store, task).await {
                // A seal that cannot be read is a matter of its own dump.
                Err(error) if !matches!(error.kind(), Kind::Damage | Kind::Usage) => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// What a container has of dumps; one that does not exist has nothing.
    pub(super) async fn listed(&self, store: &dyn Store, container: &str) -> Result<Listed, Error> {
        let listed = match store.list_all(container, &names::manifests_prefix(container)).await {
            Ok(listed) => listed,
            Err(store::Error::NotFound { .. }) => return Ok(Listed::default()),
            Err(error) => return Err(error.into()),
        };
        // A dump has a seal, or the record of its replacement, or both for a moment.
        let files = listed.iter().filter_map(|entry| names::dump_of_manifest(container, &entry.name));
        let mut files: Vec<String> = files.map(str::to_owned).collect();
        files.sort_unstable();
        files.dedup();
        let selections = listed.into_iter().map(|entry| entry.name);
        let selections = selections.filter(|name| names::is_dump_selection(container, name)).collect();
        Ok(Listed { files, selections })
    }

    /// The seal of a dump. One that was lost while the dump was being replaced is written again first.
    pub(super) async fn sealed(
        &self,
        store: &dyn Store,
        container: &str,
        file: &str,
    ) -> Result<Option<DumpManifest>, Error> {
        let seal = names::dump_manifest(container, file);
        let unreadable = |error: archive::Error, name: &str| match error {
            error @ archive::Error::Unreadable { .. } => {
                Error::from(error).during(format!("cannot tell whose dump {file} would be replaced")).hint(format!(
                    "look at it; when that dump is not needed, remove {name} and run the same command again"
                ))
            }
            error => error.into(),
        };
        let record = names::dump_replacement(container, file);
        match archive::read::<DumpManifest>(store, container, &seal).await {
            Ok(held) => {
                // A run was killed before the old seal went, or after the new one came.
                if store.find(container, &record).await?.is_some() {
                    archive::remove(store, container, &record).await?;
                }
                return Ok(Some(held.document));
            }
            Err(archive::Error::Missing { .. }) => {}
            Err(error) => return Err(unreadable(error, &seal)),
        }
        let replacement = match archive::read::<DumpReplacement>(store, container, &record).await {
            Ok(replacement) => replacement.document,
            Err(archive::Error::Missing { .. }) => return Ok(None),
            Err(error) => return Err(unreadable(error, &record)),
        };
        let found = fetch(store, container, file, None).await?;
        let [before, after] = [replacement.before, replacement.after];
        let Some(standing) = [after, before].into_iter().find(|seal| seal.sha256 == hex::encode(found.sha256)) else {
            let object = names::dump(container, file);
            let message =
                format!("{object} is neither the dump that {record} says was there nor the one that was to come");
            return Err(Error::new(Kind::Damage, message)
                .hint(format!("look at it; when that dump is not needed, remove {record} and dump the day again")));
        };
        archive::seal(store, container, &seal, &standing).await?;
        archive::remove(store, container, &record).await?;
        Ok(Some(standing))
    }

    /// An older dump, fetched and checked; `tags` are all that its measurement has or had.
    pub(super) async fn older(
        &self,
        store: &dyn Store,
        task: &Task,
        held: &DumpManifest,
        tags: &[String],
        shelf: &Arc<Shelf>,
    ) -> Result<(Older, Identity), Error> {
        let path = shelf.file("older");
        let found = fetch(store, &task.container, &task.file, Some((shelf, &path))).await?;
        let bytes = found.bytes;
        let (expected, found) = (&held.sha256, hex::encode(found.sha256));
        if *expected != found {
            let object = names::dump(&task.container, &task.file);
            let message = format!("{object} is damaged: its SHA-256 is {found}, and its seal says {expected}");
            return Err(Error::new(Kind::Damage, message)
                .hint("its records may be lost: look for another copy, or remove its seal and dump the day again"));
        }
        let identity = Identity::new(&task.origin.measurement, tags.iter().cloned());
        let (encoding, records) = (task.encoding, shelf.file("older.records"));
        let (interrupt, shelf) = (self.job.config.interrupt.clone(), Arc::clone(shelf));
        // It hears of an interruption itself, as long as its file is in the spool.
        let _unbroken = self.job.unbroken.read().await;
        let older = tokio::task::spawn_blocking(move || {
            if encoding.is_plain() || bytes == 0 {
                return Older::open(&path);
            }
            let decoded = || {
                let target = Stored { file: File::create(&records)?, shelf: &shelf, interrupt: &interrupt };
                decode(&path, target, encoding)?;
                std::fs::remove_file(&path)
            };
            decoded().map_err(|error| Error::io("decode the older dump in the spool", &error))?;
            shelf.give_back(bytes);
            Older::open(&records)
        });
        let older = older.await;
        let older = older.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
        Ok((older, identity))
    }

    /// Stores the file and seals it. An older dump loses its seal before it is replaced; `held` is one that could not be
    /// made again.
    pub(super) async fn store(
        &self,
        store: &dyn Store,
        task: &Task,
        spooled: &Spooled<'_>,
        held: Option<DumpManifest>,
        dumped: &mut Dumped,
    ) -> Result<(), Error> {
        let Task { container, file, .. } = task;
        let Spooled { path, digests, .. } = *spooled;
        let (object, seal) = (names::dump(container, file), names::dump_manifest(container, file));
        let replacement = names::dump_replacement(container, file);
        dumped.object = (digests.bytes > 0).then(|| object.clone());
        let manifest = self.manifest(task, spooled, dumped);
        let replaces = held.is_some();
        if self.base.manifest().is_some_and(|night| night.container != *container) {
            store.create_container(container).await?;
        }
        if let Some(before) = held {
            let format = DumpReplacement::FORMAT.to_owned();
            let record = DumpReplacement { format, before, after: manifest.clone() };
            archive::seal(store, container, &replacement, &record).await?;
        }
        let had_seal = archive::remove(store, container, &seal).await?;
        let stored = async {
            if digests.bytes > 0 {
                store.put(container, &object, &Body::from_file(path, digests.clone())).await?;
            } else {
                match store.delete_with_segments(container, &object).await {
                    Ok(()) | Err(store::Error::NotFound { .. }) => {}
                    Err(error) => return Err(error.into()),
                }
            }
            let replaced = || {
                let message = format!("{object} was replaced meanwhile by another run");
                Err(Error::new(Kind::Failed, message).hint("run the same command again, on one machine"))
            };
            // Ours has gone, so this is the seal of a run that has come to its end meanwhile.
            if store.find(container, &seal).await?.is_some() {
                return replaced();
            }
            archive::seal(store, container, &seal, &manifest).await?;
            if !stands(store, container, file, digests).await? {
                // A seal over what another run has put there would speak of records that are not there. Records that cannot
                // be made again are not left without one: then it keeps the next run from replacing them.
                if !replaces && archive::read::<DumpManifest>(store, container, &seal).await?.document == manifest {
                    archive::remove(store, container, &seal).await?;
                }
                return replaced();
            }
            if replaces {
                archive::remove(store, container, &replacement).await?;
            }
            Ok(())
        };
        stored.await.map_err(|error: Error| if had_seal { error.after_changes() } else { error })
    }

    fn manifest(&self, task: &Task, spooled: &Spooled<'_>, dumped: &Dumped) -> DumpManifest {
        let Spooled { digests, content, tags, .. } = *spooled;
        let compression = task.encoding.compression.map(|compression| compression.to_string());
        let packed = compression.is_some();
        DumpManifest {
            format: DumpManifest::FORMAT.to_owned(),
            night: task.night,
            time_zone: task.time_zone.clone(),
            writer: self.job.config.place.writer.clone(),
            measurement: dumped.measurement.clone(),
            database: dumped.database.clone(),
            retention_policy: dumped.retention_policy.clone(),
            window_start: task.window.start,
            window_end: task.window.end,
            object: dumped.object.clone(),
            encoding: task.encoding.format.to_string(),
            compression,
            content_bytes: packed.then_some(content.bytes),
            content_sha256: packed.then(|| hex::encode(content.sha256)),
            page_size: task.page_size as u64,
            records: dumped.records,
            pages: dumped.pages,
            bytes: digests.bytes,
            sha256: dumped.sha256.clone(),
            md5: hex::encode(digests.md5),
            covered_until: dumped.covered_until,
            open: dumped.open,
            backup_manifest_sha256: self.base.manifest_sha256().map(str::to_owned),
            tags: tags.to_vec(),
            kept: dumped.kept,
            started: self.job.now,
            sealed: self.job.now + TimeDelta::from_std(self.begun.elapsed()).unwrap_or_default(),
            warnings: dumped.warnings.clone(),
        }
    }
}

/// Whether the object of a dump is still what a run has put there. Runs on other machines share no lock with it.
async fn stands(store: &dyn Store, container: &str, file: &str, digests: &Digests) -> Result<bool, Error> {
    let found = store.find(container, &names::dump(container, file)).await?;
    match found {
        None => Ok(digests.bytes == 0),
        Some(found) if found.bytes != digests.bytes => Ok(false),
        Some(found) => match found.etag {
            Some(etag) => Ok(etag == digests.etag()),
            None => Ok(fetch(store, container, file, None).await?.sha256 == digests.sha256),
        },
    }
}

/// The digests of a dump's object, which is written to a file where one is named; where there is none, they are those of
/// nothing.
async fn fetch(
    store: &dyn Store,
    container: &str,
    file: &str,
    target: Option<(&Shelf, &Path)>,
) -> Result<Digests, Error> {
    let failed = |error: std::io::Error| Error::io("write an older dump into the spool", &error);
    let mut target = match target {
        Some((shelf, path)) => Some((shelf, tokio::fs::File::create(path).await.map_err(failed)?)),
        None => None,
    };
    let mut digester = Digester::new(None);
    match store.get(container, &names::dump(container, file), None).await {
        Ok(mut download) => {
            while let Some(piece) = download.stream.try_next().await? {
                digester.update(&piece);
                if let Some((shelf, target)) = &mut target {
                    shelf.take(piece.len()).await.map_err(|full| full.error("fetch an older dump"))?;
                    target.write_all(&piece).await.map_err(failed)?;
                }
            }
        }
        Err(store::Error::NotFound { .. }) => {}
        Err(error) => return Err(error.into()),
    }
    if let Some((_, mut target)) = target {
        target.flush().await.map_err(failed)?;
    }
    Ok(digester.finish())
}
