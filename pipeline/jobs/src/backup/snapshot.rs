//! A shard's snapshot on its way into the spool: written, counted, hashed and walked in one reading.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use archive::manifest::ShardFile;
use bytes::Bytes;
use influx::Influx;
use influx::snapshot::ShardPath;
use sha2::{Digest, Sha256};
use store::{Digester, Digests};
use tokio::sync::mpsc;
use tsm::tar::{Event, Walker};

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
    let mut inventory = Inventory { folder, files: Vec::new(), hash: Sha256::new(), foreign: None };
    while let Some(piece) = queue.blocking_recv() {
        file.write_all(&piece).map_err(local)?;
        digester.update(&piece);
        walker.feed(&piece, |event| inventory.take(&event)).map_err(not_whole)?;
    }
    walker.finish().map_err(not_whole)?;
    if let Some(name) = inventory.foreign {
        return Err(Fault::Broken(Error::new(
            Kind::Failed,
            format!("the server sent {name:?}, which does not belong into {}", inventory.folder),
        )));
    }
    let tsm_files = inventory.files.iter().filter(|file| file.name.ends_with(".tsm")).count() as u64;
    Ok(Snapshot { digests: digester.finish(), files: inventory.files, tsm_files })
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

/// The files of the tar, each with a digest of its own.
struct Inventory {
    folder: String,
    files: Vec<ShardFile>,
    hash: Sha256,
    foreign: Option<String>,
}

impl Inventory {
    fn take(&mut self, event: &Event<'_>) {
        match event {
            Event::Entry(entry) => match entry.name.strip_prefix(&self.folder) {
                Some(name) if !name.contains('/') => self.files.push(ShardFile {
                    name: name.to_owned(),
                    offset: entry.offset,
                    bytes: entry.bytes,
                    sha256: String::new(),
                    inside: None,
                }),
                _ => self.foreign = Some(entry.name.clone()),
            },
            Event::Data(bytes) => self.hash.update(bytes),
            Event::End => {
                let digest = std::mem::take(&mut self.hash).finalize();
                if let Some(file) = self.files.last_mut() {
                    file.sha256 = hex::encode(digest);
                }
            }
        }
    }
}
