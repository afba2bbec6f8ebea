//! One object: asked for, read, or looked into.

use std::path::PathBuf;
use std::sync::Arc;

use archive::manifest::{ShardFile, ShardRecord};
use influx::metastore::Framed;
use store::{Download, ObjectInfo, StoreExt};

use super::expected::{Expected, Held, Print};
use super::ground::Ground;
use super::inside::{self, Inner};
use super::reading::{self, Seen, Wanted};
use super::{Extent, Run};
use crate::inventory::Inventory;
use crate::spool::Shelf;
use crate::{Error, Event};

/// How often a damaged object is read again with the store looking as well: Swift takes a damaged copy for one away once
/// it has handed it out to its end, so that the read after that gets another one.
pub(super) const LOOKS: u32 = 2;

/// How often a dump is looked at that is replaced every time.
const TRIES: u32 = 3;

/// What is to be said of an object.
#[derive(Debug)]
pub(super) enum Verdict {
    Whole,
    /// It is whole, and there is something to tell.
    Mended(String),
    Damaged(Fault),
    /// Nothing is known of it.
    Unchecked {
        why: String,
        /// Whether it might go well later.
        is_passing: bool,
    },
}

/// Something that keeps an object from being whole.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) what: String,
    /// Whether its bytes are not what they were, or not all of them.
    pub(super) is_in_bytes: bool,
    /// Whether reading it again may help.
    pub(super) may_pass: bool,
}

impl Fault {
    pub(super) fn of_bytes(what: impl Into<String>) -> Fault {
        Fault { what: what.into(), is_in_bytes: true, may_pass: true }
    }

    /// Of one that is not there, however often it is asked for.
    pub(super) fn absent(what: impl Into<String>) -> Fault {
        Fault { what: what.into(), is_in_bytes: true, may_pass: false }
    }

    /// Of bytes that are what they were when they were stored.
    pub(super) fn within(what: impl Into<String>) -> Fault {
        Fault { what: what.into(), is_in_bytes: false, may_pass: false }
    }
}

impl Run {
    /// Looks at an object as closely as was asked for.
    ///
    /// # Errors
    ///
    /// When the run is asked to end; everything else is a verdict.
    pub(super) async fn object(&self, ground: &Ground, expected: &Expected<'_>) -> Result<Verdict, Error> {
        let mut expected = expected.clone();
        for _ in 0..TRIES {
            let verdict = self.verdict(ground, &expected).await;
            let (Ok(Verdict::Damaged(_)), Held::Dump { file, .. }) = (&verdict, &expected.held) else {
                return judged(verdict);
            };
            // Dumps are replaced while nights stay.
            match self.dump(ground, file).await {
                Ok(Some(now)) if now.prints == expected.prints => return verdict,
                Ok(Some(now)) => expected = now,
                Ok(None) => return Ok(Verdict::Mended("it was removed meanwhile".to_owned())),
                Err(error) => return judged(Err(error)),
            }
        }
        Ok(Verdict::Unchecked { why: "it is replaced again and again".to_owned(), is_passing: false })
    }

    async fn verdict(&self, ground: &Ground, expected: &Expected<'_>) -> Result<Verdict, Error> {
        let name = ground.name(&expected.name);
        if let Some(within) = expected.in_pool.filter(|within| !within.pooled.pieces.is_empty())
            && let Some(info) = ground.store.find(&ground.container, name).await?
            // Else it has bytes of its own here, wherever it lay when it was sealed.
            && info.is_link
            && info.link_tag == within.pooled.tag
        {
            // Before it is read: a store would begin to hand it out, and be asked again and again when it breaks off.
            if let Some(fault) = self.pieces(within).await? {
                return Ok(Verdict::Damaged(fault));
            }
            if self.config.extent == Extent::Quick {
                let what = compare(&info, &expected.prints);
                return Ok(what.map_or(Verdict::Whole, |what| Verdict::Damaged(Fault::of_bytes(what))));
            }
        }
        if self.config.extent == Extent::Quick {
            let found = ground.store.head_with_segments(&ground.container, name).await;
            return match found.map_err(|error| fault_of(error, &ground.container, name)) {
                Ok(info) => Ok(compare(&info, &expected.prints)
                    .map_or(Verdict::Whole, |what| Verdict::Damaged(Fault::of_bytes(what)))),
                Err(fault) => fault.map(|fault| self.absent(expected, fault)),
            };
        }
        let Err(first) = self.read(ground, expected, true).await? else { return Ok(Verdict::Whole) };
        if !first.may_pass {
            return Ok(self.absent(expected, first));
        }
        // A folder has one copy only, but then it is told which file it is.
        let looks = if self.file(ground, expected).is_some() { 1 } else { LOOKS };
        let mut what = first.what.clone();
        for _ in 0..looks {
            let text = format!("{} is damaged: {}; reading it again", expected.name, first.what);
            self.progress.report(Event::Warning(&text));
            match self.read(ground, expected, false).await? {
                Ok(()) => return Ok(Verdict::Mended(format!("it came damaged once ({}), and then whole", first.what))),
                Err(again) => what = again.what,
            }
        }
        Ok(self.absent(expected, Fault::of_bytes(what)))
    }

    /// What to say of a fault: a dump that may be the old one or the new one may be none, where one of them is empty.
    fn absent(&self, expected: &Expected<'_>, fault: Fault) -> Verdict {
        let may_be_absent =
            matches!(expected.held, Held::Dump { .. }) && expected.prints.iter().any(|it| it.bytes == 0);
        if may_be_absent && fault.what == ABSENT { Verdict::Whole } else { Verdict::Damaged(fault) }
    }

    /// Reads the object once; at first in the way that is easiest for the store.
    async fn read(&self, ground: &Ground, expected: &Expected<'_>, at_first: bool) -> Result<Result<(), Fault>, Error> {
        let (container, name) = (&ground.container, ground.name(&expected.name));
        let opened = match at_first {
            true => ground.store.get_unchecked(container, name).await,
            false => ground.store.get(container, name, None).await,
        };
        let download = match opened {
            Ok(download) => download,
            Err(error) => return Ok(Err(self.broken(ground, &expected.name, error).await?)),
        };
        if !expected.prints.iter().any(|print| print.bytes == download.bytes) {
            return Ok(Err(Fault::of_bytes(length(download.bytes, &expected.prints))));
        }
        let is_deep = self.config.extent >= Extent::Deep;
        let files = expected.shard().map(folder).and_then(|folder| {
            // The digest of the whole tells as much as those of the files, but for which one is damaged.
            let of_files = !at_first || self.config.extent == Extent::Decode;
            of_files
                .then(|| Inventory::new(folder.clone()))
                .or_else(|| is_deep.then(|| Inventory::without_digests(folder)))
        });
        let shelf = match (expected.shard(), self.file(ground, expected)) {
            (Some(_), None) if is_deep => Some(Arc::new(self.spool().await?.shelf(expected.bytes()).await?)),
            _ => None,
        };
        let seen = match self.receive(download, files, shelf.clone()).await {
            Ok(seen) => seen,
            Err(reading::Error::Store(error)) => return Ok(Err(self.broken(ground, &expected.name, error).await?)),
            Err(reading::Error::Here(error)) => return Err(error),
        };
        let sha256 = seen.sha256();
        if !expected.prints.iter().any(|print| print.sha256 == sha256) {
            let mut what = "its SHA-256 is not that of the manifest".to_owned();
            if let Some(shard) = expected.shard() {
                what.push_str(&differing(&seen, shard));
            }
            return Ok(Err(Fault::of_bytes(what)));
        }
        if !is_deep {
            return Ok(Ok(()));
        }
        match &expected.held {
            Held::Metastore => self.metastore(ground, expected).await,
            Held::Shard(shard) => {
                let lying = shelf.as_ref().map(|shelf| shelf.file(TAR)).or_else(|| self.file(ground, expected));
                self.shard(&seen, shard, lying).await
            }
            Held::Dump { .. } => Ok(Ok(())),
        }
    }

    async fn receive(
        &self,
        download: Download,
        files: Option<Inventory>,
        shelf: Option<Arc<Shelf>>,
    ) -> Result<Seen, reading::Error> {
        let keep = shelf.map(|shelf| (shelf.file(TAR), shelf));
        reading::read(download, Wanted { files, keep, with_md5: false }, self.config.interrupt.clone()).await
    }

    /// The file in which the object lies, where it lies in one.
    fn file(&self, ground: &Ground, expected: &Expected<'_>) -> Option<PathBuf> {
        ground.store.file(&ground.container, ground.name(&expected.name))
    }

    /// What it means that the store does not hand an object out. Where it has segments, one of them may be missing.
    ///
    /// # Errors
    ///
    /// When it is not the object's fault.
    pub(super) async fn broken(&self, ground: &Ground, object: &str, error: store::Error) -> Result<Fault, Error> {
        let name = ground.name(object);
        let error = match fault_of(error, &ground.container, name) {
            Ok(fault) => return Ok(fault),
            Err(error) => error,
        };
        match ground.store.head_with_segments(&ground.container, name).await {
            Ok(_) => Err(error),
            Err(found) => fault_of(found, &ground.container, name).map_err(|_| error),
        }
    }

    /// A metastore can be read, which its digest does not say.
    async fn metastore(&self, ground: &Ground, expected: &Expected<'_>) -> Result<Result<(), Fault>, Error> {
        let name = ground.name(&expected.name);
        let bytes = ground.store.get_bytes(&ground.container, name, expected.bytes()).await?;
        Ok(Framed::decode(bytes).map(drop).map_err(|fault| Fault::within(fault.to_string())))
    }

    /// The files of a shard are those of the manifest, and whole.
    async fn shard(
        &self,
        seen: &Seen,
        shard: &ShardRecord,
        lying: Option<PathBuf>,
    ) -> Result<Result<(), Fault>, Error> {
        let (Some(Ok(files)), Some(lying)) = (&seen.files, lying) else {
            let why = seen.files.as_ref().and_then(|files| files.as_ref().err());
            return Ok(Err(Fault::within(why.map_or("it was not looked into", String::as_str))));
        };
        if let Some(name) = different(files, shard).first() {
            let what = format!("the manifest has another digest of {name} than its own of the whole says");
            return Ok(Err(Fault::within(what)));
        }
        let inner = files.iter().map(|file| {
            let ShardFile { name, offset, bytes, .. } = file;
            let claimed = shard.files.iter().find(|known| known.name == *name).and_then(|known| known.inside.clone());
            Inner { name: name.clone(), offset: *offset, bytes: *bytes, claimed }
        });
        let inner = inner.collect();
        let faults = inside::check(lying, inner, self.config.extent, self.config.interrupt.clone()).await?;
        Ok(if faults.is_empty() { Ok(()) } else { Err(Fault::within(faults.join("; "))) })
    }
}

/// What is not there.
pub(super) const ABSENT: &str = "it does not exist";

/// The name of a tar in the spool.
pub(super) const TAR: &str = "shard.tar";

/// The folder in which the files of a shard lie in its tar.
fn folder(shard: &ShardRecord) -> String {
    format!("{}/{}/{}/", shard.database, shard.retention_policy, shard.shard_id)
}

/// An error is what is known of an object: nothing, unless the run is to end.
fn judged(verdict: Result<Verdict, Error>) -> Result<Verdict, Error> {
    match verdict {
        Err(error) if error.is_interruption() => Err(error),
        Err(error) => {
            let is_passing = error.kind() == crate::Kind::Passing;
            Ok(Verdict::Unchecked { why: error.with_hint(), is_passing })
        }
        verdict => verdict,
    }
}

/// What of a store's error is the object's fault.
fn fault_of(error: store::Error, container: &str, name: &str) -> Result<Fault, Error> {
    match error {
        // A store asks all that may have a copy before it says so.
        store::Error::NotFound { object, .. } if object == format!("{container}/{name}") => Ok(Fault::absent(ABSENT)),
        store::Error::NotFound { object, .. } if object == container => Ok(Fault::absent(ABSENT)),
        store::Error::NotFound { object, .. } => Ok(Fault::absent(format!("its segment {object} does not exist"))),
        store::Error::Mismatch { .. } | store::Error::Changed { .. } => Ok(Fault::of_bytes(error.to_string())),
        error => Err(error.into()),
    }
}

/// How what the store knows of an object differs from what it must be.
fn compare(info: &ObjectInfo, prints: &[Print]) -> Option<String> {
    let of_length = || prints.iter().filter(|print| print.bytes == info.bytes);
    if of_length().next().is_none() {
        return Some(length(info.bytes, prints));
    }
    // The ETag of an object in segments tells how it was cut, too.
    let etag = info.etag.as_ref().filter(|_| !info.is_segmented)?;
    let is_known = of_length().any(|print| print.md5 == *etag);
    (!is_known).then(|| "its ETag is not the MD5 of the manifest".to_owned())
}

fn length(bytes: u64, prints: &[Print]) -> String {
    let right: Vec<String> = prints.iter().map(|print| print.bytes.to_string()).collect();
    format!("it has {bytes} bytes instead of {}", right.join(" or "))
}

/// Which files of a shard are not what the manifest says, after its digest was not.
fn differing(seen: &Seen, shard: &ShardRecord) -> String {
    match &seen.files {
        None => String::new(),
        Some(Err(fault)) => format!("; {fault}"),
        Some(Ok(files)) => {
            let names = different(files, shard);
            if names.is_empty() {
                "; its files are, so it is what lies between them".to_owned()
            } else {
                format!("; it is in {}", names.join(", "))
            }
        }
    }
}

/// The names of the files that are not as in the manifest; by their digests, where they have some.
fn different(files: &[ShardFile], shard: &ShardRecord) -> Vec<String> {
    let same = |known: &ShardFile, found: &ShardFile| {
        (&known.name, known.offset, known.bytes) == (&found.name, found.offset, found.bytes)
            && (found.sha256.is_empty() || known.sha256 == found.sha256)
    };
    let changed = shard.files.iter().filter(|known| !files.iter().any(|found| same(known, found)));
    let unknown = files.iter().filter(|file| !shard.files.iter().any(|known| known.name == file.name));
    changed.chain(unknown).map(|file| file.name.clone()).collect()
}
