//! What a night holds that is wanted: its backup and its dumps, each with the seal that says what they must be.

use std::collections::BTreeSet;

use archive::manifest::{BackupOutline, ObjectOutline};
use archive::records::DumpManifest;
use archive::state::night_state_with;
use archive::{Loaded, Night, NightState, names, read};
use chrono::{DateTime, Utc};
use futures_util::StreamExt;
use store::{Store, StoreExt};

use super::{Wanted, Wish};
use crate::{Error, glob, unsealed, wait};

/// The longest name of a file on the file systems that matter, in bytes.
const LONGEST_NAME: usize = 255;

/// How the names of unfinished files begin; a store of files takes no object that is called so.
pub(super) const UNFINISHED: &str = ".nightshard-unfinished-";

/// An object of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Object {
    pub(super) container: String,
    /// Its full name, and the last part of it, which is a safe name for a file.
    pub(super) name: String,
    pub(super) file: String,
    pub(super) bytes: u64,
    /// In lower case.
    pub(super) sha256: String,
}

/// A seal and what it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Group {
    pub(super) seal: Object,
    pub(super) objects: Vec<Object>,
    /// What is known of it, where it is a dump.
    pub(super) dump: Option<About>,
}

/// What the seal of a dump says besides.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct About {
    pub(super) measurement: String,
    pub(super) encoding: String,
    pub(super) compression: Option<String>,
    /// Until when it is complete, where that is before the end of its day.
    pub(super) open_until: Option<DateTime<Utc>>,
}

/// How it stands with the backup of a night.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Backup {
    /// It is there, or nobody asked.
    Fine,
    /// There is nothing of one.
    Absent,
    /// It is not one, or not yet: how it stands, and what to do about that, where there is something.
    Unsealed(String, Option<String>),
}

/// What was found in a night.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) container: String,
    pub(super) groups: Vec<Group>,
    pub(super) backup: Backup,
    /// Measurements of all dumps, wanted or not.
    pub(super) measurements: BTreeSet<String>,
    /// Whether the dumps that are wanted are all that lies in their folder.
    pub(super) all_dumps: bool,
    /// What is wanted and cannot be had.
    pub(super) failures: Vec<String>,
    /// What cannot be what it was.
    pub(super) damages: Vec<String>,
    /// The first seal that could not be understood, which is told of above.
    pub(super) trouble: Option<Error>,
}

/// Looks into a night.
///
/// # Errors
///
/// When the store fails. What cannot be understood is in [`Contents::damages`] or [`Contents::failures`].
pub(super) async fn look(
    store: &dyn Store,
    night: &Night,
    wanted: &Wanted,
    parallel: usize,
) -> Result<Contents, Error> {
    let mut found = Contents {
        container: night.container.clone(),
        groups: Vec::new(),
        backup: Backup::Fine,
        measurements: BTreeSet::new(),
        all_dumps: true,
        failures: Vec::new(),
        damages: Vec::new(),
        trouble: None,
    };
    if wanted.shards != Wish::No {
        found.look_for_backup(store, night).await?;
    }
    if wanted.dumps != Wish::No {
        found.look_for_dumps(store, &wanted.measurements, parallel).await?;
    }
    Ok(found)
}

impl Contents {
    async fn look_for_backup(&mut self, store: &dyn Store, night: &Night) -> Result<(), Error> {
        let container = self.container.clone();
        match night_state_with::<BackupOutline>(store, &container).await {
            Ok(NightState::Ready(sealed)) => match backup(&container, *sealed) {
                Ok(group) => self.groups.push(group),
                Err(what) => self.damages.push(format!("{} is damaged: {what}", names::backup_manifest(&container))),
            },
            Ok(NightState::BackingUp(marker)) => {
                let state = format!("STATUS_BACKING_UP, on {} (process {})", marker.host, marker.process);
                self.backup = Backup::Unsealed(state, None);
            }
            Ok(NightState::Failed(error)) => self.backup = Backup::Unsealed(format!("STATUS_ERROR, {error}"), None),
            Ok(NightState::Unsealed) => {
                self.backup = Backup::Unsealed(unsealed::UNSEALED.to_owned(), Some(unsealed::hint(night)));
            }
            Ok(NightState::Misnamed(object)) => {
                let state = unsealed::misnamed(&container, &object);
                self.backup = Backup::Unsealed(state, Some(unsealed::hint_of_misnamed(night)));
            }
            Ok(NightState::Deleted(deletion)) => self.backup = Backup::Unsealed(wait::deleted(&deletion), None),
            Ok(NightState::Absent) => self.backup = Backup::Absent,
            Err(error) => self.unreadable(error)?,
        }
        Ok(())
    }

    async fn look_for_dumps(&mut self, store: &dyn Store, asked: &[String], parallel: usize) -> Result<(), Error> {
        let container = self.container.clone();
        let list = async |prefix: String| match store.list_all(&container, &prefix).await {
            Err(store::Error::NotFound { .. }) => Ok(Vec::new()),
            other => other,
        };
        let (records, lying) =
            tokio::try_join!(list(names::manifests_prefix(&container)), list(names::dumps_prefix(&container)))?;
        let files: BTreeSet<&str> =
            records.iter().filter_map(|record| names::dump_of_manifest(&container, &record.name)).collect();
        let reads = files.iter().map(|file| {
            let (seal, container) = (names::dump_manifest(&container, file), container.as_str());
            async move { (*file, read::<DumpManifest>(store, container, &seal).await) }
        });
        let reads: Vec<_> = reads.collect();
        let mut reads = futures_util::stream::iter(reads).buffered(parallel.max(1));
        let mut wanted = BTreeSet::new();
        while let Some((file, seal)) = reads.next().await {
            match seal {
                Ok(seal) => {
                    let measurement = seal.document.measurement.clone();
                    let is_wanted = asked.is_empty() || glob::is_meant(asked, &measurement);
                    self.measurements.insert(measurement);
                    if !is_wanted {
                        continue;
                    }
                    match dump(&container, file, seal) {
                        Ok(group) => {
                            wanted.extend(group.objects.first().map(|object| object.name.clone()));
                            self.groups.push(group);
                        }
                        Err(what) => {
                            let seal = names::dump_manifest(&container, file);
                            self.damages.push(format!("{seal} is damaged: {what}"));
                        }
                    }
                }
                Err(archive::Error::Missing { .. }) if !may_be(asked, file) => {}
                Err(archive::Error::Missing { .. }) => {
                    let dump = names::dump(&container, file);
                    self.failures.push(format!("{dump} is being completed; fetch it once that is done"));
                }
                Err(error) => self.unreadable(error)?,
            }
        }
        drop(reads);
        for entry in &lying {
            let file = entry.name.strip_prefix(&names::dumps_prefix(&container)).unwrap_or(&entry.name);
            self.all_dumps &= wanted.contains(&entry.name);
            if !files.contains(file) && may_be(asked, file) {
                let what = "it is being written, or not from nightshard-dump, and nothing tells whether it is whole";
                self.failures.push(format!("{} has no seal: {what}", entry.name));
            }
        }
        Ok(())
    }

    /// Something that was read and not understood; a store that fails ends the run.
    fn unreadable(&mut self, error: archive::Error) -> Result<(), Error> {
        match &error {
            archive::Error::Store(_) => return Err(error.into()),
            archive::Error::NewerFormat { .. } => self.failures.push(error.to_string()),
            _ => self.damages.push(error.to_string()),
        }
        self.trouble.get_or_insert(error.into());
        Ok(())
    }
}

/// Whether a file may be a dump that is wanted, by its name alone.
fn may_be(asked: &[String], file: &str) -> bool {
    asked.is_empty() || asked.iter().any(|name| glob::matches(&format!("{name}_*"), file))
}

/// The backup that a seal names.
fn backup(container: &str, sealed: Loaded<BackupOutline>) -> Result<Group, String> {
    let seal = object(container, &names::manifests_prefix(container), &names::backup_manifest(container))?;
    let mut named = BTreeSet::new();
    let prefix = names::shards_prefix(container);
    let objects = sealed.document.objects.iter().map(|outline: &ObjectOutline| {
        if !named.insert(&outline.name) {
            return Err(format!("it names {:?} twice", outline.name));
        }
        Ok(Object {
            bytes: outline.bytes,
            sha256: digest(&outline.sha256)?,
            ..object(container, &prefix, &outline.name)?
        })
    });
    let objects = objects.collect::<Result<Vec<Object>, String>>()?;
    Ok(Group { seal: Object { bytes: sealed.bytes, sha256: sealed.sha256, ..seal }, objects, dump: None })
}

/// The dump that a seal names.
fn dump(container: &str, file: &str, sealed: Loaded<DumpManifest>) -> Result<Group, String> {
    let seal = object(container, &names::manifests_prefix(container), &names::dump_manifest(container, file))?;
    let Loaded { document, sha256, bytes } = sealed;
    let objects = match &document.object {
        None => Vec::new(),
        Some(name) if *name != names::dump(container, file) => return Err(format!("it is the seal of {name:?}")),
        Some(name) => vec![Object {
            bytes: document.bytes,
            sha256: digest(&document.sha256)?,
            ..object(container, &names::dumps_prefix(container), name)?
        }],
    };
    let about = About {
        measurement: document.measurement,
        encoding: document.encoding,
        compression: document.compression,
        open_until: document.open.then_some(document.covered_until),
    };
    Ok(Group { seal: Object { bytes, sha256, ..seal }, objects, dump: Some(about) })
}

/// An object by its name, which must lie directly in that folder and be one that a file can have: names come from the
/// archive, and nothing may be written elsewhere.
fn object(container: &str, prefix: &str, name: &str) -> Result<Object, String> {
    let file = name.strip_prefix(prefix).unwrap_or_default();
    let is_file = !["", ".", ".."].contains(&file)
        && !file.contains(['/', '\0'])
        && file.len() <= LONGEST_NAME
        && !file.starts_with(UNFINISHED);
    let is_folder = !["", ".", ".."].contains(&container) && !container.contains(['/', '\0']);
    if !is_file || !is_folder {
        return Err(format!("it names {name:?}, which does not lie in {prefix}"));
    }
    let (container, name, file) = (container.to_owned(), name.to_owned(), file.to_owned());
    Ok(Object { container, name, file, bytes: 0, sha256: String::new() })
}

fn digest(text: &str) -> Result<String, String> {
    let is_digest = text.len() == 64 && text.bytes().all(|it| it.is_ascii_hexdigit());
    if is_digest { Ok(text.to_ascii_lowercase()) } else { Err(format!("{text:?} is no SHA-256")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        let prefix = "2016-06-11/shards/";
        let found = object("2016-06-11", prefix, "2016-06-11/shards/a.b.00001.00").unwrap();
        assert_eq!(found.file, "a.b.00001.00");
        for name in [
            "2016-06-11/shards/",
            "2016-06-11/shards/.",
            "2016-06-11/shards/..",
            "2016-06-11/shards/../../x",
            "2016-06-11/shards/a/b",
            "2016-06-11/shards//etc/passwd",
            "2016-06-11/shards/a\0",
            "2016-06-11/shards/.nightshard-unfinished-1",
            "2016-06-11/influxdb/a",
            "/etc/passwd",
            "../x",
            "",
            &format!("2016-06-11/shards/{}", "x".repeat(256)),
        ] {
            object("2016-06-11", prefix, name).unwrap_err();
        }
        object("..", "../shards/", "../shards/x").unwrap_err();
    }

    #[test]
    fn digests_are_64_digits_and_nothing_else() {
        assert_eq!(digest(&"aB".repeat(32)).unwrap(), "ab".repeat(32));
        for text in [String::new(), "0".repeat(63), "../".repeat(21) + "x", "é".repeat(32)] {
            digest(&text).unwrap_err();
        }
    }

    #[test]
    fn a_dump_without_a_seal_may_be_of_a_measurement_that_begins_its_name() {
        let asked = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert!(may_be(&[], "mem_2016.json") && may_be(&asked(&["cpu"]), "cpu_2016.json"));
        assert!(may_be(&asked(&["c*"]), "cpu_2016.json") && !may_be(&asked(&["mem", "c"]), "cpu_2016.json"));
    }
}
