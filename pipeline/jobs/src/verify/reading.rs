//! An object's bytes on their way: hashed as they come, and where it is a shard that is looked into, walked and kept.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use archive::manifest::ShardFile;
use bytes::Bytes;
use sha2::{Digest, Sha256};
use store::Download;
use tokio::sync::mpsc;
use tsm::tar::Walker;

use crate::blocking::blocking;
use crate::inventory::Inventory;
use crate::spool::{Shelf, Stored};
use crate::{Interrupt, batches};

/// What is done with the bytes besides hashing them.
#[derive(Debug)]
pub(super) struct Wanted {
    /// They are a tar, whose files are to be listed.
    pub(super) files: Option<Inventory>,
    /// They are written into this file.
    pub(super) keep: Option<(PathBuf, Arc<Shelf>)>,
}

/// What was seen.
#[derive(Debug)]
pub(super) struct Seen {
    pub(super) sha256: String,
    /// The files of the tar, or why it is none that is whole.
    pub(super) files: Option<Result<Vec<ShardFile>, String>>,
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
    let mut sha256 = Sha256::new();
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
            sha256.update(&piece);
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
    let files = tar.map(|walked| {
        let (walker, inventory) = walked?;
        walker.finish().map_err(|fault| fault.to_string())?;
        inventory.finish()
    });
    Ok(Seen { sha256: hex::encode(sha256.finalize()), files })
}
