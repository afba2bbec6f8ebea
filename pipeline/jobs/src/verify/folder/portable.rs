//! Files of `influxd backup -portable`: a list of them, the metastore, and a compressed tar for each shard.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use influx::metastore::Packed;
use serde::Deserialize;
use tsm::tar;

use super::influxd::Examined;
use super::legacy::{Asked, BUFFER, Shard, bytes, inner, shard_of, unreadable};
use crate::spool::{Shelf, Stored};
use crate::verify::{Extent, inside};
use crate::{Error, Interrupt};

/// `<time>.manifest`, which influxd writes last.
#[derive(Debug, Deserialize)]
pub(super) struct Manifest {
    pub(super) meta: Metastore,
    /// `null` where there are no shards.
    #[serde(default)]
    pub(super) files: Option<Vec<Listed>>,
}

/// The metastore as the list has it.
#[derive(Debug, Deserialize)]
pub(super) struct Metastore {
    #[serde(rename = "fileName")]
    pub(super) file: String,
    /// Of the message within the file.
    #[serde(rename = "size")]
    pub(super) bytes: u64,
}

/// A shard as the list has it.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Listed {
    pub(super) database: String,
    pub(super) policy: String,
    #[serde(rename = "shardID")]
    pub(super) id: u64,
    #[serde(rename = "fileName")]
    pub(super) file: String,
    /// Of the tar before it was compressed.
    #[serde(rename = "size")]
    pub(super) bytes: u64,
}

/// Reads the list; else says why it is none.
pub(super) fn manifest(path: &Path) -> Result<Result<Manifest, String>, Error> {
    Ok(serde_json::from_slice(&bytes(path)?).map_err(|error| format!("it is no list of files: {error}")))
}

/// Looks at `<time>.meta`, of which the list says how many bytes the message in it has.
pub(super) fn metastore(path: &Path, expected: Option<u64>) -> Result<Examined, Error> {
    Ok(match Packed::decode(&bytes(path)?) {
        Ok(packed) if expected.is_some_and(|expected| expected != packed.bytes) => {
            let expected = expected.unwrap_or_default();
            Examined::damaged(format!("its metastore has {} bytes, and the manifest says {expected}", packed.bytes))
        }
        Ok(packed) => Examined::metastore(packed.data),
        Err(fault) => Examined::damaged(fault.to_string()),
    })
}

/// Looks at `<time>.s<shard>.tar.gz`; the tar is unpacked onto the shelf, since its files are read from their ends.
pub(super) fn shard(
    path: &Path,
    listed: Option<&Listed>,
    extent: Extent,
    shelf: &Shelf,
    interrupt: &Interrupt,
) -> Result<Examined, Error> {
    let opened = File::open(path).map_err(|error| unreadable(path, &error))?;
    let kept = shelf.file("shard.tar");
    let unpacked = File::create(&kept).map_err(|error| Error::io("write into the spool", &error))?;
    let mut copied = Copied {
        reader: MultiGzDecoder::new(Asked { reader: io::BufReader::with_capacity(BUFFER, opened), interrupt }),
        copy: Stored { file: unpacked, shelf, interrupt },
        bytes: 0,
        failed: None,
    };
    let entries = tar::list(&mut copied);
    if interrupt.is_requested() {
        return Err(Error::interrupted());
    }
    if let Some(error) = &copied.failed {
        return Err(Error::io(format!("unpack {} into the spool", path.display()), error));
    }
    let entries = match entries {
        Ok(entries) => entries,
        // What the decoder has to say of the bytes; everything else is the disk's word.
        Err(tar::Error::Io { source, .. }) => {
            let is_damage =
                matches!(source.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidInput | ErrorKind::InvalidData);
            return match is_damage {
                true => Ok(Examined::damaged(format!("it cannot be decompressed: {source}"))),
                false => Err(unreadable(path, &source)),
            };
        }
        Err(fault) => return Ok(Examined::damaged(fault.to_string())),
    };
    let of = match shard_of(&entries) {
        Ok(of) => of,
        Err(what) => return Ok(Examined::damaged(what)),
    };
    if let Some(Listed { bytes, database, policy, id, .. }) = listed {
        if *bytes != copied.bytes {
            return Ok(Examined::damaged(format!("its tar has {} bytes, and the manifest says {bytes}", copied.bytes)));
        }
        let expected = Shard { database: database.clone(), policy: policy.clone(), id: *id };
        if let Some(of) = of.as_ref().filter(|of| **of != expected) {
            let Shard { database: held, policy: held_policy, id: held_id } = of;
            return Ok(Examined::damaged(format!(
                "it holds the shard {held}/{held_policy}/{held_id}, and the manifest says {database}/{policy}/{id}"
            )));
        }
    }
    let faults = inside::check_blocking(&kept, &inner(&entries), extent, interrupt)?;
    Ok(Examined::shard(of, &faults))
}

/// What is read is written too.
struct Copied<'a, R> {
    reader: R,
    copy: Stored<'a>,
    bytes: u64,
    /// Why it could not be written.
    failed: Option<io::Error>,
}

impl<R: Read> Read for Copied<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        if let Err(error) = self.copy.write_all(&buffer[..read]) {
            self.failed = Some(error);
            return Err(io::Error::other("the spool took no more"));
        }
        self.bytes += read as u64;
        Ok(read)
    }
}
