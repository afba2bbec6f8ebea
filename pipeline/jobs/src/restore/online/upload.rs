//! Sends the shards, and looks afterwards whether the target has taken them.

use std::collections::BTreeMap;
use std::io::Read;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use influx::Influx;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tsm::tar::Packer;

use super::super::download::Next;
use super::super::files::blocking;
use super::super::place::Placed;
use super::super::staged::StagedShard;
use super::check_names;
use crate::{Error, Event, Kind, Progress};

/// What is read and sent at once, in bytes: so little that it is sent out of the processor's cache, and that its memory
/// need not be asked of the system each time.
const PIECE: usize = 64 << 10;

/// Pieces that wait for the network; with their size this bounds the memory of a shard.
const PIECES_AHEAD: usize = 8;

/// How often a shard is sent whose connection breaks. The target puts in place all files of a shard or none.
const TRIES: u32 = 3;

/// Before it is sent again.
const PAUSE: Duration = Duration::from_secs(1);

/// Shards on their way to the target.
pub(super) struct Sending<'a> {
    pub(super) influx: &'a Influx,
    /// The id on the target of each, by that on the source.
    pub(super) ids: &'a BTreeMap<u64, u64>,
    pub(super) progress: &'a dyn Progress,
}

impl Sending<'_> {
    /// Where a shard goes.
    ///
    /// # Errors
    ///
    /// When the target has not made it.
    pub(super) fn place(&self, shard: &StagedShard) -> Result<Placed, Error> {
        Placed::of(&shard.record, shard.witnesses.clone(), self.ids)
    }

    /// Sends a shard.
    ///
    /// # Errors
    ///
    /// When the target does not take it to its end.
    pub(super) async fn send(&self, shard: &StagedShard) -> Result<(), Error> {
        let place = self.place(shard)?;
        self.try_to_send(shard, &place).await.map_err(|error| {
            let Placed { database, policy, .. } = &place;
            error.during(format!("shard {} of {database}.{policy}", shard.record.shard_id))
        })
    }

    async fn try_to_send(&self, shard: &StagedShard, place: &Placed) -> Result<(), Error> {
        // The target has made an empty shard, and there is nothing to put into it.
        if shard.files.is_empty() {
            return Ok(());
        }
        for _ in 1..TRIES {
            match once(self.influx, shard, place).await {
                Err(error) if error.kind() == Kind::Passing => {
                    self.progress.report(Event::Warning(&format!("{error}; sending it again")));
                    sleep(PAUSE).await;
                }
                other => return other,
            }
        }
        once(self.influx, shard, place).await
    }
}

#[async_trait]
impl Next for Sending<'_> {
    async fn take(&self, shard: StagedShard) -> Result<StagedShard, Error> {
        check_files(&shard)?;
        self.send(&shard).await?;
        shard.remove().await
    }
}

/// That the target takes all files of a shard that was downloaded.
///
/// # Errors
///
/// [`Kind::Usage`] when it does not.
pub(super) fn check_files(shard: &StagedShard) -> Result<(), Error> {
    let names = shard.files.iter().filter_map(|file| file.path.file_name()?.to_str());
    check_names(names, &shard.record.database, &shard.record.retention_policy, shard.record.shard_id)
}

async fn once(influx: &Influx, shard: &StagedShard, place: &Placed) -> Result<(), Error> {
    let mut upload = influx.snapshot().upload(place.id).await?;
    let (sender, mut pieces) = mpsc::channel(PIECES_AHEAD);
    let packer = Packer::new(&format!("{}/{}/{}", place.database, place.policy, place.id), shard.files.clone());
    let reading = blocking(move || {
        let mut packer = packer;
        while let Some(piece) = read(&mut packer)? {
            if sender.blocking_send(piece).is_err() {
                break; // The other side has failed and says why.
            }
        }
        Ok(())
    });
    let sending = async move {
        while let Some(piece) = pieces.recv().await {
            upload.send(piece).await?;
        }
        Ok::<_, Error>(upload)
    };
    let (read, sent) = tokio::join!(reading, sending);
    let upload = sent?;
    // Else the connection is closed before the tar has come to its end, and the target takes nothing of it.
    read?;
    Ok(upload.finish().await?)
}

/// The next piece, full but for the last one.
fn read(packer: &mut Packer) -> Result<Option<Bytes>, Error> {
    let mut piece = BytesMut::zeroed(PIECE);
    let mut filled = 0;
    while filled < PIECE {
        match packer.read(&mut piece[filled..]).map_err(|error| Error::io("read a downloaded shard", &error))? {
            0 => break,
            read => filled += read,
        }
    }
    piece.truncate(filled);
    Ok((filled > 0).then(|| piece.freeze()))
}

/// That each shard has files, for not every shard has a point that can be asked for by name. Since the target takes all
/// files of a shard or none, one is enough.
///
/// # Errors
///
/// When one has none.
pub(super) async fn check(influx: &Influx, staged: &[StagedShard], placed: &[Placed]) -> Result<(), Error> {
    let statistics = influx.shard_statistics().await?;
    for (shard, Placed { database, policy, id, .. }) in staged.iter().zip(placed) {
        let files = statistics.get(id).map_or(0, |found| found.tsm_files);
        if files == 0 && !shard.files.is_empty() {
            let message = format!("shard {id} of {database}.{policy} is empty on the target after it was sent");
            return Err(Error::new(Kind::Failed, message).hint("the target's log says why (service=snapshot)"));
        }
    }
    Ok(())
}
