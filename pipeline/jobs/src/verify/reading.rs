//! An object's bytes on their way: hashed as they come, and where it is a shard that is looked into, walked and kept.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use archive::manifest::ShardFile;
use bytes::Bytes;
use store::{Digester, Digests, Download};
use tokio::sync::mpsc;
use tsm::tar::Walker;

use crate::blocking::blocking;
use crate::inventory::{Inventory, Written};
use crate::spool::{Shelf, Stored};
use crate::{Interrupt, batches};

/// What is done with the bytes besides hashing them.
#[derive(Debug)]
pub(super) struct Wanted {
    /// They are a tar, whose files are to be listed.
    pub(super) files: Option<Inventory>,
    /// They are written into this file.
    pub(super) keep: Option<(PathBuf, Arc<Shelf>)>,
    /// Nothing tells their SHA-256, so the MD5 is made too, which the store may tell.
    pub(super) with_md5: bool,
}

/// What was seen.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) digests: Digests,
    /// The files of the tar, or why it is none that is whole.
    pub(super) files: Option<Result<Vec<ShardFile>, String>>,
    /// When these were written, as far as the tar tells.
    pub(super) written: Vec<Written>,
}

impl Seen {
    /// SHA-256 in hex.
    pub(super) fn sha256(&self) -> String {
        hex::encode(self.digests.sha256)
    }
}

/// Why an object was not read to its end.
#[derive(Debug)]
pub(super) enum Error {
    /// The store did not hand it out.
    Store(store::Error),
    /// It is this machine's fault.
    Here(crate::Error),
}

/// Reads an object to its end.
pub(super) async fn read(download: Download, wanted: Wanted, interrupt: Interrupt) -> Result<Seen, Error> {
    let (sender, receiver) = batches::channel();
    let taking = blocking(move || take(receiver, wanted, &interrupt));
    let (passed, seen) = tokio::join!(batches::pass_on(download.stream, sender), taking);
    // Whoever takes the bytes ends early only with an error of its own.
    let seen = seen.map_err(Error::Here)?;
    passed.map_err(Error::Store)?;
    Ok(seen)
}

fn take(mut batches: mpsc::Receiver<Vec<Bytes>>, wanted: Wanted, interrupt: &Interrupt) -> Result<Seen, crate::Error> {
    let mut digester = if wanted.with_md5 { Digester::new(None) } else { Digester::without_md5() };
    let mut tar = wanted.files.map(|inventory| Ok((Walker::new(), inventory)));
    let failed = |error: &std::io::Error| crate::Error::io("write into the spool", error);
    let mut kept = match &wanted.keep {
        Some((path, shelf)) => {
            let file = File::create(path).map_err(|error| failed(&error))?;
            Some(Stored { file, shelf, interrupt })
        }
        None => None,
    };
    while let Some(batch) = batches.blocking_recv() {
        for piece in batch {
            digester.update(&piece);
            if let Some(Ok((walker, inventory))) = &mut tar
                && let Err(fault) = walker.feed(&piece, |event| inventory.take(&event))
            {
                tar = Some(Err(fault.to_string()));
            }
            if let Some(kept) = &mut kept {
                kept.write_all(&piece).map_err(|error| failed(&error))?;
            }
        }
    }
    let mut written = Vec::new();
    let files = tar.map(|walked| {
        let (walker, inventory) = walked?;
        walker.finish().map_err(|fault| fault.to_string())?;
        written.extend_from_slice(inventory.written());
        inventory.finish()
    });
    Ok(Seen { digests: digester.finish(), files, written })
}
