//! What a night must hold by its seals: that of the backup, and those of its dumps.

use std::collections::BTreeSet;

use archive::manifest::{Content, ShardRecord, StoredObject};
use archive::records::{DumpManifest, DumpReplacement};
use archive::{BackupManifest, names, read};
use futures_util::StreamExt;

use super::Run;
use super::ground::Ground;
use super::outcome::told;
use super::pool::InPool;
use crate::{Error, Kind};

/// An object that must be there.
#[derive(Debug, Clone)]
pub(super) struct Expected<'a> {
    /// Its name in an archive.
    pub(super) name: String,
    /// What it may be: one, or the old and the new while a dump is being replaced.
    pub(super) prints: Vec<Print>,
    pub(super) held: Held<'a>,
    /// Where its bytes lie, if it is but a name of them.
    pub(super) in_pool: Option<InPool<'a>>,
}

/// How an object is known again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Print {
    pub(super) bytes: u64,
    pub(super) sha256: String,
    pub(super) md5: String,
}

/// What an object holds.
#[derive(Debug, Clone)]
pub(super) enum Held<'a> {
    Metastore,
    Shard(&'a ShardRecord),
    Dump { file: String, seal: Box<DumpManifest> },
}

/// All that must be there.
#[derive(Debug, Default)]
pub(super) struct Expectations<'a> {
    pub(super) objects: Vec<Expected<'a>>,
    /// Seals that cannot be read: the object and what is wrong with it.
    pub(super) damages: Vec<(String, String)>,
    /// What cannot be known, and why.
    pub(super) unchecked: Vec<String>,
    /// What lies there without being named.
    pub(super) notes: Vec<String>,
}

impl Expected<'_> {
    fn stored<'a>(manifest: &'a BackupManifest, object: &'a StoredObject) -> Expected<'a> {
        let print = Print { bytes: object.bytes, sha256: object.sha256.clone(), md5: object.md5.clone() };
        let held = match &object.content {
            Content::Meta => Held::Metastore,
            Content::Shard(shard) => Held::Shard(shard),
        };
        Expected { name: object.name.clone(), prints: vec![print], held, in_pool: InPool::of(manifest, object) }
    }

    /// How many bytes it has, as far as that is certain.
    pub(super) fn bytes(&self) -> u64 {
        self.prints.iter().map(|print| print.bytes).max().unwrap_or_default()
    }
}

impl Print {
    fn of(seal: &DumpManifest) -> Print {
        Print { bytes: seal.bytes, sha256: seal.sha256.clone(), md5: seal.md5.clone() }
    }
}

impl Run {
    /// Reads what the seals name, of which only today's slice is kept where one is asked for.
    pub(super) async fn expected<'a>(
        &self,
        ground: &Ground,
        manifest: Option<&'a BackupManifest>,
    ) -> Result<Expectations<'a>, Error> {
        let mut all = Expectations::default();
        let is_due = |name: &str| self.slice.is_none_or(|slice| slice.holds(name));
        if let Some(manifest) = manifest {
            let named: BTreeSet<&str> = manifest.objects.iter().map(|object| object.name.as_str()).collect();
            let lying = ground.list(&names::shards_prefix(&ground.night)).await?;
            let unnamed = lying.into_iter().map(|entry| entry.name).filter(|name| !named.contains(name.as_str()));
            // A backup leaves no shard there that it does not name, and a restore with influxd takes whatever it finds.
            let (data, others): (Vec<String>, Vec<String>) =
                unnamed.partition(|name| names::is_data(&ground.night, name));
            all.unchecked
                .extend(note("lie in shards/ like those of the backup and are not named by the manifest", data));
            all.notes.extend(note("lie in shards/ and are not named by the manifest", others));
            let due = manifest.objects.iter().filter(|object| is_due(&object.name));
            all.objects = due.map(|object| Expected::stored(manifest, object)).collect();
            if !ground.is_archive() {
                // What was downloaded has bytes of its own.
                all.objects.iter_mut().for_each(|object| object.in_pool = None);
            }
        }
        let sealed = self.dumps(ground).await?;
        let lying = ground.list(&names::dumps_prefix(&ground.night)).await?;
        let unnamed = lying.into_iter().map(|entry| entry.name).filter(|name| {
            let file = name.strip_prefix(&names::dumps_prefix(&ground.night));
            !file.is_some_and(|file| sealed.contains(file))
        });
        all.notes.extend(note("lie in influxdb/ without a seal", unnamed));
        let due = sealed.iter().filter(|file| is_due(&names::dump(&ground.night, file)));
        let due: Vec<_> = due.map(|file| async move { (file, self.dump(ground, file).await) }).collect();
        let mut read = futures_util::stream::iter(due).buffered(self.config.parallel.max(1));
        while let Some((file, dump)) = read.next().await {
            match dump {
                Ok(dump) => all.objects.extend(dump),
                Err(error) if error.kind() == Kind::Damage => {
                    all.damages.push((names::dump_manifest(&ground.night, file), error.to_string()));
                }
                // Of a newer version.
                Err(error) if error.kind() == Kind::Usage => all.unchecked.push(error.to_string()),
                Err(error) => return Err(error),
            }
        }
        Ok(all)
    }

    /// The file names of the dumps that have a seal, or a record of their replacement.
    async fn dumps(&self, ground: &Ground) -> Result<BTreeSet<String>, Error> {
        let listed = ground.list(&names::manifests_prefix(&ground.night)).await?;
        let files = listed.iter().filter_map(|entry| names::dump_of_manifest(&ground.night, &entry.name));
        Ok(files.map(str::to_owned).collect())
    }

    /// What a dump must be; nothing where it had no records, or is gone. The record of a replacement tells what it may be
    /// as long as there is no seal.
    pub(super) async fn dump(&self, ground: &Ground, file: &str) -> Result<Option<Expected<'static>>, Error> {
        let (store, container) = (ground.store.as_ref(), ground.container.as_str());
        let seal = names::dump_manifest(&ground.night, file);
        let (seal, prints) = match read::<DumpManifest>(store, container, ground.name(&seal)).await {
            Ok(seal) => {
                let prints = vec![Print::of(&seal.document)];
                (seal.document, prints)
            }
            Err(archive::Error::Missing { .. }) => {
                let record = names::dump_replacement(&ground.night, file);
                match read::<DumpReplacement>(store, container, ground.name(&record)).await {
                    Ok(replacement) => {
                        let DumpReplacement { before, after, .. } = replacement.document;
                        let prints = vec![Print::of(&after), Print::of(&before)];
                        (before, prints)
                    }
                    Err(archive::Error::Missing { .. }) => return Ok(None),
                    Err(error) => return Err(error.into()),
                }
            }
            Err(error) => return Err(error.into()),
        };
        let name = names::dump(&ground.night, file);
        let held = Held::Dump { file: file.to_owned(), seal: Box::new(seal) };
        Ok(match &held {
            Held::Dump { seal, .. } if seal.object.is_none() && prints.len() == 1 => None,
            _ => Some(Expected { name, prints, held, in_pool: None }),
        })
    }
}

/// One line about objects that nothing names.
fn note(what: &str, names: impl IntoIterator<Item = String>) -> Option<String> {
    let names: Vec<String> = names.into_iter().collect();
    (!names.is_empty()).then(|| format!("{} objects {what}: {}", names.len(), told(&names)))
}
