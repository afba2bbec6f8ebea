//! A folder into which `influxd backup` wrote. It has no digests: that its tars come to their ends, and what is in the TSM files,
//! is all that can be known of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use archive::verification::Damage;
use futures_util::StreamExt;
use influx::metastore::Data;

use super::files::Files;
use super::legacy::{self, Shard};
use super::portable::{self, Listed};
use crate::blocking::blocking;
use crate::verify::outcome::told;
use crate::verify::{Extent, Run, Verified};
use crate::{Error, Event, Kind};

/// How closely files without digests are looked at: nothing but a look inside tells anything of them.
pub(in crate::verify) fn inside(extent: Extent) -> Extent {
    extent.max(Extent::Deep)
}

/// What to do about a damaged file, unless something better is known.
pub(in crate::verify) const AGAIN: &str = "back it up again while the source still has it";

/// What a download is that did not come to its end.
pub(in crate::verify) const PENDING: &str =
    "it is the beginning of a file: influxd backup was ended while it downloaded it";

/// What nobody can restore without further ado.
pub(in crate::verify) const NO_METASTORE: &str =
    "there is no metastore (meta.00), without which shards are restored by hand only";

/// What came of a look at a file.
#[derive(Debug, Default)]
pub(in crate::verify) struct Examined {
    /// What is wrong with it, and what to do.
    pub(in crate::verify) damage: Option<(String, String)>,
    pub(in crate::verify) metastore: Option<Data>,
    pub(in crate::verify) shard: Option<Shard>,
}

impl Examined {
    pub(super) fn metastore(data: Data) -> Examined {
        Examined { metastore: Some(data), ..Examined::default() }
    }

    pub(super) fn shard(shard: Option<Shard>, faults: &[String]) -> Examined {
        let damage = (!faults.is_empty()).then(|| (faults.join("; "), AGAIN.to_owned()));
        Examined { damage, shard, metastore: None }
    }

    pub(super) fn damaged(what: impl Into<String>) -> Examined {
        Examined { damage: Some((what.into(), AGAIN.to_owned())), ..Examined::default() }
    }

    pub(in crate::verify) fn hint(mut self, hint: String) -> Examined {
        self.damage = self.damage.map(|(what, _)| (what, hint));
        self
    }
}

/// A file to look at.
#[derive(Debug, Clone)]
enum Piece {
    Metastore,
    Shard(u64),
    PackedMetastore(Option<u64>),
    PackedShard(Option<Listed>),
}

impl Run {
    /// Looks at everything in the folder.
    pub(in crate::verify) async fn influxd(&self, folder: &Path, note: Option<String>) -> Result<Verified, Error> {
        let progress = self.progress.as_ref();
        if self.config.extent == Extent::Quick {
            let message = format!("{} has no digests, so --quick would look at nothing in it", folder.display());
            return Err(Error::new(Kind::Usage, message).hint("leave --quick out: then every file is looked into"));
        }
        progress.report(Event::Step(&format!("looking at {}", folder.display())));
        let listing = folder.to_owned();
        let (pieces, mut verified) = blocking(move || Arranged::of(&listing)).await?.into_parts();
        verified.notes.extend(note);
        verified.notes.push(
            "influxd keeps no digests: a byte that was changed is found by the checksums in TSM files, and by nothing where \
             there are none"
                .to_owned(),
        );
        let due = pieces.into_iter().filter(|(name, _)| self.slice.is_none_or(|slice| slice.holds(name)));
        let due: Vec<(String, (Piece, u64))> = due.collect();
        let bytes = due.iter().map(|(_, (_, bytes))| bytes).sum();
        progress.report(Event::Planned { objects: due.len() as u64, bytes });
        let looks = due.into_iter().map(|(name, (piece, bytes))| async move {
            let examined = self.examine(folder.join(&name), piece).await;
            (name, bytes, examined)
        });
        // Collected first, so that the closure's borrows need not hold for every lifetime.
        let looks: Vec<_> = looks.collect();
        let mut ended = futures_util::stream::iter(looks).buffer_unordered(self.config.parallel.max(1));
        let (mut metastores, mut shards) = (Vec::new(), BTreeSet::new());
        while let Some((name, bytes, examined)) = ended.next().await {
            let examined = match examined {
                Ok(examined) => examined,
                Err(error) if error.is_interruption() => return Err(error),
                Err(error) => {
                    verified.unchecked.push(format!("{name} could not be looked at: {}", error.with_hint()));
                    continue;
                }
            };
            verified.objects += 1;
            verified.bytes += bytes;
            match examined.damage {
                None => progress.report(Event::Done { name: &name, bytes }),
                Some((what, hint)) => {
                    progress.report(Event::Warning(&format!("{name} is damaged: {what}")));
                    verified.damages.push(Damage { object: name, what, hint });
                }
            }
            metastores.extend(examined.metastore);
            shards.extend(examined.shard.map(|shard| (shard.database, shard.id)));
        }
        drop(ended);
        if self.slice.is_none() {
            verified.notes.extend(absent(&metastores, &shards));
        }
        verified.damages.sort_by(|one, other| one.object.cmp(&other.object));
        Ok(verified)
    }

    async fn examine(&self, path: PathBuf, piece: Piece) -> Result<Examined, Error> {
        let (interrupt, extent) = (self.config.interrupt.clone(), inside(self.config.extent));
        match piece {
            Piece::Metastore => blocking(move || legacy::metastore(&path)).await,
            Piece::Shard(id) => {
                let from = format!("tail -c +{{}} {}", path.display());
                blocking(move || legacy::shard(&path, id, extent, &from, &interrupt)).await
            }
            Piece::PackedMetastore(bytes) => blocking(move || portable::metastore(&path, bytes)).await,
            Piece::PackedShard(listed) => {
                // How large one is that no list names is not known before it is unpacked: it gets all the room there is.
                let all = self.config.place.spool_size.unwrap_or_default();
                let bytes = listed.as_ref().map_or(all, |listed| listed.bytes);
                let shelf = self.spool().await?.shelf(bytes).await?;
                blocking(move || portable::shard(&path, listed.as_ref(), extent, &shelf, &interrupt)).await
            }
        }
    }
}

/// What is to be looked at in a folder, and what the names of its files tell.
struct Arranged {
    /// With their lengths in bytes.
    pieces: BTreeMap<String, (Piece, u64)>,
    damages: Vec<Damage>,
    notes: Vec<String>,
    night: String,
}

impl Arranged {
    fn of(folder: &Path) -> Result<Arranged, Error> {
        let files = Files::list(folder).map_err(|error| legacy::unreadable(folder, &error))?;
        let night = folder.display().to_string();
        let mut all = Arranged { pieces: BTreeMap::new(), damages: Vec::new(), notes: Vec::new(), night };
        // One that has gone meanwhile is told of when it is looked at.
        let bytes = |name: &str| folder.join(name).metadata().map_or(0, |found| found.len());
        let with_bytes = |name: &String, piece| (name.clone(), (piece, bytes(name)));
        all.pieces.extend(files.metastores.iter().map(|name| with_bytes(name, Piece::Metastore)));
        all.pieces.extend(files.shards.iter().map(|(name, id)| with_bytes(name, Piece::Shard(*id))));
        for name in &files.pending {
            all.damage(name, PENDING);
        }
        let (mut listed, mut unreadable): (BTreeMap<String, Piece>, BTreeSet<&str>) = Default::default();
        for name in &files.manifests {
            match portable::manifest(&folder.join(name))? {
                Ok(manifest) => {
                    listed.insert(manifest.meta.file, Piece::PackedMetastore(Some(manifest.meta.bytes)));
                    for file in manifest.files.unwrap_or_default() {
                        listed.insert(file.file.clone(), Piece::PackedShard(Some(file)));
                    }
                }
                Err(what) => {
                    all.damage(name, &what);
                    unreadable.insert(name.trim_end_matches(".manifest"));
                }
            }
        }
        for name in listed.keys().filter(|name| !files.parts.contains_key(*name)) {
            all.damage(name, "the manifest names it, and it does not exist");
        }
        let mut unfinished = BTreeSet::new();
        for (name, time) in &files.parts {
            let piece = listed.remove(name);
            if piece.is_none() && files.manifests.contains(&format!("{time}.manifest")) {
                if !unreadable.contains(time.as_str()) {
                    all.notes.push(format!("{name} is not named by the manifest of its set"));
                }
            } else if piece.is_none() && unfinished.insert(time) {
                let manifest = format!("{time}.manifest");
                all.damage(&manifest, "it does not exist: influxd backup was ended before its end");
            }
            let unlisted =
                if name.ends_with(".meta") { Piece::PackedMetastore(None) } else { Piece::PackedShard(None) };
            all.pieces.extend([with_bytes(name, piece.unwrap_or(unlisted))]);
        }
        if files.manifests.len() > 1 {
            all.notes.push(
                "there are several sets: influxd restore -portable takes each shard from the newest one alone, also where \
                 that has only what changed"
                    .to_owned(),
            );
        }
        if files.metastores.is_empty() && !files.shards.is_empty() {
            all.notes.push(NO_METASTORE.to_owned());
        }
        Ok(all)
    }

    fn damage(&mut self, object: &str, what: &str) {
        self.damages.push(Damage { object: object.to_owned(), what: what.to_owned(), hint: AGAIN.to_owned() });
    }

    fn into_parts(self) -> (BTreeMap<String, (Piece, u64)>, Verified) {
        let Arranged { pieces, damages, notes, night } = self;
        (pieces, Verified { damages, notes, ..Verified::of(night) })
    }
}

/// Shards that a metastore has of the databases that are there, and that are not there themselves: they were empty, or not
/// asked for, or came later, or a file is missing. Nothing tells which.
fn absent(metastores: &[Data], shards: &BTreeSet<(String, u64)>) -> Option<String> {
    let databases: BTreeSet<&String> = shards.iter().map(|(database, _)| database).collect();
    let mut missing = BTreeSet::new();
    for database in metastores.iter().flat_map(|data| &data.databases).filter(|it| databases.contains(&it.name)) {
        let ids: Vec<(u64, &str)> = database.live_shards().map(|shard| (shard.id, shard.policy)).collect();
        let gone = ids.into_iter().filter(|(id, _)| !shards.contains(&(database.name.clone(), *id)));
        missing.extend(gone.map(|(id, policy)| format!("{}.{policy}.{id:05}", database.name)));
    }
    let missing: Vec<String> = missing.into_iter().collect();
    lacking(&missing)
}

/// What is said of shards that are not there.
pub(in crate::verify) fn lacking(missing: &[String]) -> Option<String> {
    (!missing.is_empty()).then(|| format!("the metastore knows shards that are not here: {}", told(missing)))
}
