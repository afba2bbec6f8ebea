//! A shard's snapshot on its way into the spool: written, counted, hashed and walked in one reading.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use archive::manifest::ShardFile;
use bytes::Bytes;
use influx::Influx;
use influx::snapshot::ShardPath;
use store::{Digester, Digests};
use tokio::sync::mpsc;
use tsm::tar::Walker;

use crate::inventory::Inventory;
use crate::spool::Shelf;
use crate::{Error, Kind};

/// Pieces of up to 256 KiB that may wait for the disk and the digests.
const QUEUE: usize = 8;

/// A whole snapshot in the spool.
pub(super) struct Snapshot {
    pub(super) digests: Digests,
    pub(super) files: Vec<ShardFile>,
    pub(super) tsm_files: u64,
}

/// Why there is none.
pub(super) enum Fault {
    /// Not one byte came: the shard is busy, or gone.
    Empty,
    /// The stream broke, or is no whole tar of this shard: worth asking again.
    Broken(Error),
    /// This machine is at fault.
    Local(Error),
}

/// Receives a snapshot into a file on the shelf, which is emptied first.
pub(super) async fn receive(
    influx: &Influx,
    path: &ShardPath,
    shelf: &Shelf,
    file: &str,
    segment_size: Option<u64>,
) -> Result<Snapshot, Fault> {
    let file = shelf.file(file);
    let mut stream = influx.snapshot().shard(path.id).await.map_err(|error| Fault::Broken(error.into()))?;
    let (pieces, queue) = mpsc::channel(QUEUE);
    let folder = format!("{}/{}/{}/", path.database, path.policy, path.id);
    let writer = tokio::task::spawn_blocking(move || write(&file, queue, folder, segment_size));
    let mut no_room = None;
    let received = loop {
        match stream.next().await {
            Ok(Some(piece)) => {
                if let Err(full) = shelf.take(piece.len()).await {
                    no_room = Some(full);
                    break Ok(());
                }
                if pieces.send(piece).await.is_err() {
                    // The writer has failed and says why below.
                    break Ok(());
                }
            }
            Ok(None) => break Ok(()),
            Err(error) => break Err(error),
        }
    };
    drop(pieces);
    let written = writer.await.map_err(|error| Fault::Local(Error::new(Kind::Failed, error.to_string())))?;
    if let Some(full) = no_room {
        return Err(Fault::Local(full.error("write it into the spool")));
    }
    match (received, written) {
        // The writer can only know that the end is missing; the network knows why.
        (Err(error), Ok(_) | Err(Fault::Broken(_) | Fault::Empty)) => Err(Fault::Broken(error.into())),
        (_, written) => written,
    }
}

fn write(
    path: &Path,
    mut queue: mpsc::Receiver<Bytes>,
    folder: String,
    segment_size: Option<u64>,
) -> Result<Snapshot, Fault> {
    let local = |error: std::io::Error| Fault::Local(Error::io(format!("write {}", path.display()), &error));
    let mut file = File::create(path).map_err(local)?;
    let mut digester = Digester::new(segment_size);
    let mut walker = Walker::new();
    let mut inventory = Inventory::new(folder);
    while let Some(piece) = queue.blocking_recv() {
        file.write_all(&piece).map_err(local)?;
        digester.update(&piece);
        walker.feed(&piece, |event| inventory.take(&event)).map_err(not_whole)?;
    }
    walker.finish().map_err(not_whole)?;
    let files = inventory.finish().map_err(|foreign| {
        Fault::Broken(Error::new(Kind::Failed, format!("the snapshot is no such shard: {foreign}")))
    })?;
    let tsm_files = files.iter().filter(|file| file.name.ends_with(".tsm")).count() as u64;
    Ok(Snapshot { digests: digester.finish(), files, tsm_files })
}

fn not_whole(error: tsm::tar::Error) -> Fault {
    match error {
        tsm::tar::Error::Empty => Fault::Empty,
        error => Fault::Broken(
            Error::new(Kind::Failed, error.to_string())
                .hint("the server was stopped or the connection was cut; run the same command again"),
        ),
    }
}
