//! Files of `influxd backup` as it writes them by default: `meta.NN`, and a tar for each shard.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use influx::metastore::Framed;
use memchr::memmem;
use tsm::tar;

use super::influxd::Examined;
use crate::verify::Extent;
use crate::verify::inside::{self, Inner};
use crate::{Error, Interrupt};

/// A metastore is no larger than this; servers with a hundred thousand shards have some megabytes.
pub(in crate::verify) const LARGEST_METASTORE: u64 = 512 << 20;

/// What a tar is read through, in bytes.
pub(super) const BUFFER: usize = 256 << 10;

/// How many places are tried at which another tar may begin.
const BEGINNINGS: usize = 16;

/// The magic of a tar header, and where it stands in it (POSIX ustar).
const MAGIC: &[u8] = b"ustar";
const MAGIC_OFFSET: u64 = 257;

/// The field of the name in a tar header, in bytes.
const NAME_FIELD: usize = 100;

/// Which shard a tar is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::verify) struct Shard {
    pub(in crate::verify) database: String,
    pub(in crate::verify) policy: String,
    pub(in crate::verify) id: u64,
}

/// Reads a whole file into memory.
pub(super) fn bytes(path: &Path) -> Result<Vec<u8>, Error> {
    let read = || {
        let mut bytes = Vec::new();
        File::open(path)?.take(LARGEST_METASTORE).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    read().map_err(|error| unreadable(path, &error))
}

pub(in crate::verify) fn unreadable(path: &Path, error: &io::Error) -> Error {
    Error::io(format!("read {}", path.display()), error)
}

/// Looks at `meta.NN`.
pub(super) fn metastore(path: &Path) -> Result<Examined, Error> {
    Ok(match Framed::decode(bytes(path)?.into()) {
        Ok(framed) => Examined::metastore(framed.data),
        Err(fault) => Examined::damaged(fault.to_string()),
    })
}

/// Looks at the tar of a shard, of which the name says that its id is `id`. A person gets the end of it, from a byte on that
/// stands for `{}`, with the command `tail`.
pub(in crate::verify) fn shard(
    path: &Path,
    id: u64,
    extent: Extent,
    tail: &str,
    interrupt: &Interrupt,
) -> Result<Examined, Error> {
    let opened = File::open(path).map_err(|error| unreadable(path, &error))?;
    let reader = Asked { reader: BufReader::with_capacity(BUFFER, opened), interrupt };
    let entries = match tar::list(reader) {
        Ok(entries) => entries,
        Err(_) if interrupt.is_requested() => return Err(Error::interrupted()),
        Err(tar::Error::Io { source, .. }) => return Err(unreadable(path, &source)),
        Err(fault) => {
            let second = second(path, interrupt).map_err(|error| unreadable(path, &error))?;
            return Ok(match second {
                Some(begins) => Examined::damaged(format!(
                    "{fault}: a download broke off, and the whole one stands behind it from byte {begins} on"
                ))
                .hint(format!(
                    "the shard is whole in what this prints: {}",
                    tail.replace("{}", &(begins + 1).to_string())
                )),
                None => Examined::damaged(fault.to_string()),
            });
        }
    };
    let of = match shard_of(&entries) {
        Ok(of) => of,
        Err(what) => return Ok(Examined::damaged(what)),
    };
    if let Some(of) = of.as_ref().filter(|of| of.id != id) {
        let Shard { database, policy, id } = of;
        return Ok(Examined::damaged(format!("it holds the shard {database}/{policy}/{id}, not the one of its name")));
    }
    let faults = inside::check_blocking(path, &inner(&entries), extent, interrupt)?;
    Ok(Examined::shard(of, &faults))
}

/// The files of a tar as they are looked into.
pub(super) fn inner(entries: &[tar::Entry]) -> Vec<Inner> {
    let name = |entry: &tar::Entry| entry.name.rsplit('/').next().unwrap_or_default().to_owned();
    entries
        .iter()
        .map(|entry| Inner { name: name(entry), offset: entry.offset, bytes: entry.bytes, claimed: None })
        .collect()
}

/// The shard that all entries are of; none in an increment without anything new.
pub(super) fn shard_of(entries: &[tar::Entry]) -> Result<Option<Shard>, String> {
    let mut found: Option<Shard> = None;
    for entry in entries {
        let parts: Vec<&str> = entry.name.split('/').collect();
        let shard = match parts[..] {
            [database, policy, id, _] => {
                id.parse().ok().map(|id| Shard { database: database.to_owned(), policy: policy.to_owned(), id })
            }
            _ => None,
        };
        match (shard, &found) {
            (None, _) => return Err(format!("it holds {:?}, which is no file of a shard", entry.name)),
            (Some(shard), Some(first)) if shard != *first => {
                return Err(format!("it holds {:?} beside files of the shard {}", entry.name, first.id));
            }
            (shard, _) => found = shard,
        }
    }
    Ok(found)
}

/// Where a second tar begins in the file that is whole: influxd writes an answer that breaks off, and behind it the answer to
/// its next try. The second one begins with the same header, at any byte.
fn second(path: &Path, interrupt: &Interrupt) -> io::Result<Option<u64>> {
    let mut file = File::open(path)?;
    let mut first = [0; NAME_FIELD];
    if file.read_exact(&mut first).is_err() {
        return Ok(None);
    }
    let mut tried = 0;
    let mut window = Vec::new();
    let mut offset = 0;
    loop {
        file.seek(SeekFrom::Start(offset))?;
        window.clear();
        let mut piece = (&file).take(BUFFER as u64);
        Asked { reader: &mut piece, interrupt }.read_to_end(&mut window)?;
        for found in memmem::find_iter(&window, MAGIC) {
            let Some(begins) = (offset + found as u64).checked_sub(MAGIC_OFFSET).filter(|begins| *begins > 0) else {
                continue;
            };
            let mut name = [0; NAME_FIELD];
            file.seek(SeekFrom::Start(begins))?;
            file.read_exact(&mut name)?;
            // Of the first tar there may not even be the first name.
            if name != first && begins >= tar::BLOCK as u64 {
                continue;
            }
            file.seek(SeekFrom::Start(begins))?;
            if tar::list(Asked { reader: BufReader::with_capacity(BUFFER, &file), interrupt }).is_ok() {
                return Ok(Some(begins));
            }
            tried += 1;
            if tried == BEGINNINGS {
                return Ok(None);
            }
        }
        if window.len() < BUFFER {
            return Ok(None);
        }
        // A magic may stand across the end.
        offset += (window.len() - MAGIC.len() + 1) as u64;
    }
}

/// A reader that ends once the run is asked to.
pub(super) struct Asked<'a, R> {
    pub(super) reader: R,
    pub(super) interrupt: &'a Interrupt,
}

impl<R: Read> Read for Asked<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.interrupt.is_requested() {
            return Err(io::Error::other("interrupted"));
        }
        self.reader.read(buffer)
    }
}
