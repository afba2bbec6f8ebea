//! An object that no seal names: read to its end, with the digests that a seal would have, and looked into.
//!
//! What it was when it was stored only the store may know: Swift has the MD5 as the ETag, but for what was uploaded in segments.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use archive::manifest::{MeasurementRecord, ShardFile};
use archive::verification::Damage;
use chrono::{DateTime, Utc};
use influx::metastore::{Data, Framed};
use store::{Digests, ObjectInfo, StoreExt};

use super::lying::Known;
use super::taken;
use crate::blocking::blocking;
use crate::inventory::Inventory;
use crate::spool::Shelf;
use crate::verify::Run;
use crate::verify::folder::influxd::{AGAIN, Examined, inside};
use crate::verify::folder::legacy::{self, LARGEST_METASTORE};
use crate::verify::ground::Ground;
use crate::verify::object::{ABSENT, Fault, LOOKS, TAR};
use crate::verify::reading::{self, Seen, Wanted};
use crate::{Error, Event, Kind, inspect};

/// What is said of an object whose bytes are not those that were stored.
const CHANGED: &str = "its MD5 is not the ETag that it got when it was stored";

/// What to do about a damaged shard of such a night.
pub(super) const ELSEWHERE: &str =
    "another night may have this shard; once this object is moved elsewhere, --incomplete adopts the night without it";

/// The metastore of the night.
pub(super) struct Metastore {
    pub(super) info: ObjectInfo,
    pub(super) digests: Digests,
    pub(super) data: Data,
}

/// A shard that is whole.
pub(super) struct Whole {
    pub(super) info: ObjectInfo,
    pub(super) digests: Digests,
    pub(super) files: Vec<ShardFile>,
    pub(super) measurements: Vec<MeasurementRecord>,
    /// An instant that is surely not after its snapshot, where its files tell one.
    pub(super) taken: Option<DateTime<Utc>>,
}

/// What is in a tar.
struct Inside {
    files: Vec<ShardFile>,
    measurements: Vec<MeasurementRecord>,
}

/// An object that was read to its end.
struct Read {
    info: ObjectInfo,
    seen: Seen,
    lying: Lying,
}

/// Where its bytes lie now.
#[derive(Clone)]
struct Lying {
    path: PathBuf,
    /// What a person gets the end of it with, from the byte on that stands for `{}`.
    tail: String,
    shelf: Option<Arc<Shelf>>,
}

impl Run {
    /// Reads a metastore.
    pub(super) async fn loose_metastore(
        &self,
        ground: &Ground,
        object: &str,
    ) -> Result<Result<Metastore, Fault>, Error> {
        let Some(info) = ground.find(object).await? else { return Ok(Err(Fault::absent(ABSENT))) };
        let bytes = match ground.store.get_bytes(&ground.container, ground.name(object), LARGEST_METASTORE).await {
            Ok(bytes) => bytes,
            Err(error) => return Ok(Err(self.broken(ground, object, error).await?)),
        };
        let digests = Digests::of(&bytes, None);
        if differs(&info, &digests) {
            return Ok(Err(Fault::of_bytes(CHANGED)));
        }
        Ok(match Framed::decode(bytes) {
            Ok(framed) => Ok(Metastore { info, digests, data: framed.data }),
            Err(fault) => Err(Fault::within(fault.to_string())),
        })
    }

    /// Reads a shard of which nothing but the id is known, and looks into it. Gives its bytes as well.
    pub(super) async fn loose_shard(
        &self,
        ground: &Ground,
        object: &str,
        id: u64,
    ) -> Result<Result<(u64, Examined), Fault>, Error> {
        let read = match self.loose(ground, object, None).await? {
            Ok(read) => read,
            Err(fault) => return Ok(Err(fault)),
        };
        let bytes = read.info.bytes;
        Ok(Ok((bytes, self.examined(read.lying, id).await?)))
    }

    /// Reads a shard as the metastore knows it, and everything that a seal tells of one.
    pub(super) async fn whole_shard(&self, ground: &Ground, known: &Known) -> Result<Result<Whole, Damage>, Error> {
        let Known { object, database, policy, id, .. } = known;
        let damage = |what: String, hint: String| Damage { object: object.clone(), what, hint };
        let folder = format!("{database}/{policy}/{id}/");
        if ground.find(object).await?.is_some_and(|info| info.is_link) {
            let message = format!("{object} is a name of something that lies elsewhere");
            return Err(Error::new(Kind::Failed, message).hint(
                "where that is, it may be cleared away, since no seal names it there; once its bytes were downloaded and uploaded under \
                 this name, the night has them",
            ));
        }
        let Read { info, mut seen, lying } = match self.loose(ground, object, Some(folder)).await? {
            Ok(read) => read,
            Err(fault) => return Ok(Err(damage(fault.what, ELSEWHERE.to_owned()))),
        };
        let found = match seen.files.take() {
            Some(Ok(files)) => self.inspected(lying.clone(), known, files).await?,
            Some(Err(what)) => Err(what),
            None => Err("it was not looked into".to_owned()),
        };
        let Inside { files, measurements } = match found {
            Ok(found) => found,
            Err(what) => {
                // Not only the first thing that is wrong.
                let examined = self.examined(lying, *id).await?.damage;
                let (what, hint) = examined.unwrap_or_else(|| (what, ELSEWHERE.to_owned()));
                return Ok(Err(damage(what, hint)));
            }
        };
        let taken = taken::at_least(&seen.written, info.modified);
        Ok(Ok(Whole { info, digests: seen.digests, files, measurements, taken }))
    }

    /// Reads an object to its end, and again where it came otherwise than it was stored. Its files are listed where it is said
    /// in which folder they must lie.
    async fn loose(&self, ground: &Ground, object: &str, folder: Option<String>) -> Result<Result<Read, Fault>, Error> {
        let mut looks = 0;
        loop {
            match self.loose_once(ground, object, folder.clone(), looks == 0).await? {
                Err(fault) if fault.may_pass && looks < LOOKS => {
                    let text = format!("{object} is damaged: {}; reading it again", fault.what);
                    self.progress.report(Event::Warning(&text));
                    looks += 1;
                }
                read => return Ok(read),
            }
        }
    }

    async fn loose_once(
        &self,
        ground: &Ground,
        object: &str,
        folder: Option<String>,
        at_first: bool,
    ) -> Result<Result<Read, Fault>, Error> {
        let (store, container, name) = (&ground.store, &ground.container, ground.name(object));
        let Some(info) = ground.find(object).await? else { return Ok(Err(Fault::absent(ABSENT))) };
        // Where we have nothing to compare it with, the store does.
        let opened = match at_first && tells_md5(&info) {
            true => store.get_unchecked(container, name).await,
            false => store.get(container, name, None).await,
        };
        let download = match opened {
            Ok(download) => download,
            Err(error) => return Ok(Err(self.broken(ground, object, error).await?)),
        };
        let lying = match store.file(container, name) {
            Some(path) => Lying { tail: format!("tail -c +{{}} {}", path.display()), path, shelf: None },
            None => {
                let shelf = Arc::new(self.spool().await?.shelf(info.bytes).await?);
                let tail = format!("swift download {container} {name} --output - | tail -c +{{}}");
                Lying { path: shelf.file(TAR), tail, shelf: Some(shelf) }
            }
        };
        let keep = lying.shelf.clone().map(|shelf| (lying.path.clone(), shelf));
        let wanted = Wanted { files: folder.map(Inventory::new), keep, with_md5: true };
        let seen = match reading::read(download, wanted, self.config.interrupt.clone()).await {
            Ok(seen) => seen,
            Err(reading::Error::Store(error)) => return Ok(Err(self.broken(ground, object, error).await?)),
            Err(reading::Error::Here(error)) => return Err(error),
        };
        Ok(match differs(&info, &seen.digests) {
            true => Err(Fault::of_bytes(CHANGED)),
            false => Ok(Read { info, seen, lying }),
        })
    }

    /// Looks at a tar as at a file that `influxd backup` wrote.
    async fn examined(&self, lying: Lying, id: u64) -> Result<Examined, Error> {
        let (extent, interrupt) = (inside(self.config.extent), self.config.interrupt.clone());
        let examined = blocking(move || legacy::shard(&lying.path, id, extent, &lying.tail, &interrupt)).await?;
        // Its source may be gone for years.
        Ok(match &examined.damage {
            Some((_, hint)) if hint == AGAIN => examined.hint(ELSEWHERE.to_owned()),
            _ => examined,
        })
    }

    /// Looks into the files of a tar and adds to each what is in it; tells also what they show. The inner error is damage.
    async fn inspected(
        &self,
        lying: Lying,
        known: &Known,
        files: Vec<ShardFile>,
    ) -> Result<Result<Inside, String>, Error> {
        let (extent, known) = (self.config.extent.of_blocks(), known.clone());
        blocking(move || {
            let Known { database, policy, .. } = &known;
            inspect(&lying.path, (database, policy), files, extent)
        })
        .await
    }
}

fn inspect(
    path: &Path,
    of: (&str, &str),
    mut files: Vec<ShardFile>,
    extent: tsm::check::Extent,
) -> Result<Result<Inside, String>, Error> {
    let tar = File::open(path).map_err(|error| legacy::unreadable(path, &error))?;
    match inspect::shard(&tar, of, &files, extent) {
        Ok(mut found) => {
            // Of several files of one name the last one counts.
            for file in files.iter_mut().rev() {
                file.inside = found.files.remove(&file.name);
            }
            Ok(Ok(Inside { files, measurements: found.measurements }))
        }
        Err(fault) if fault.error.is_damage() => Ok(Err(fault.to_string())),
        Err(fault) => Err(Error::new(Kind::Failed, format!("cannot read {}: {fault}", path.display()))),
    }
}

/// Whether the store tells the MD5 of an object.
fn tells_md5(info: &ObjectInfo) -> bool {
    info.etag.is_some() && !info.is_segmented
}

/// Whether bytes are not those that were stored, as far as the store tells.
fn differs(info: &ObjectInfo, digests: &Digests) -> bool {
    let is_other = |etag: &String| *etag != hex::encode(digests.md5);
    digests.bytes != info.bytes || tells_md5(info) && info.etag.as_ref().is_some_and(is_other)
}
