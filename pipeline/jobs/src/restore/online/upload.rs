//! Sends the shards, and looks afterwards whether the target has taken them.

use std::io::Read;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, TryStreamExt};
use influx::Influx;
use tokio::sync::mpsc;
use tokio::time::sleep;
use tsm::tar::Packer;

use super::super::download::StagedShard;
use super::super::files::blocking;
use super::super::place::Placed;
use crate::{Error, Event, Kind, Progress};

/// What is read and sent at once, in bytes.
const PIECE: usize = 512 << 10;

/// Pieces that wait for the network; with their size this bounds the memory of a shard.
const PIECES_AHEAD: usize = 2;

/// How often a shard is sent whose connection breaks. The target puts in place all files of a shard or none.
const TRIES: u32 = 3;

/// Before it is sent again.
const PAUSE: Duration = Duration::from_secs(1);

/// Sends the shards, so many at once.
///
/// # Errors
///
/// When the target does not take one to its end.
pub(super) async fn all(
    influx: &Influx,
    staged: &[StagedShard],
    placed: &[Placed],
    parallel: usize,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let sending = staged.iter().zip(placed).map(|(shard, place)| async move {
        send(influx, shard, place, progress).await.map_err(|error| {
            let Placed { database, policy, .. } = place;
            error.during(format!("shard {} of {database}.{policy}", shard.record.shard_id))
        })
    });
    let sending: Vec<_> = sending.collect();
    futures_util::stream::iter(sending).buffer_unordered(parallel.max(1)).try_collect().await
}

async fn send(influx: &Influx, shard: &StagedShard, place: &Placed, progress: &dyn Progress) -> Result<(), Error> {
    // The target has made an empty shard, and there is nothing to put into it.
    if shard.files.is_empty() {
        return Ok(());
    }
    for _ in 1..TRIES {
        match once(influx, shard, place).await {
            Err(error) if error.kind() == Kind::Passing => {
                progress.report(Event::Warning(&format!("{error}; sending it again")));
                sleep(PAUSE).await;
            }
            other => return other,
        }
    }
    once(influx, shard, place).await
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
