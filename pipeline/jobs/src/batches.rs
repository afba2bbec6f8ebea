//! Pieces of a download on their way into a blocking thread, many at once.

use bytes::Bytes;
use futures_util::TryStreamExt;
use store::ByteStream;
use tokio::sync::mpsc;

/// What is handed over at once, in bytes: the more, the less often threads must be woken.
const BATCH_BYTES: usize = 1 << 20;

/// Batches that wait for the thread; with their size this bounds the memory of a download.
const BATCHES_AHEAD: usize = 2;

/// Pieces that are handed over together.
#[derive(Debug, Default)]
struct Batch {
    pieces: Vec<Bytes>,
    bytes: usize,
}

/// The way into the thread.
pub(crate) fn channel() -> (mpsc::Sender<Vec<Bytes>>, mpsc::Receiver<Vec<Bytes>>) {
    mpsc::channel(BATCHES_AHEAD)
}

/// Passes a download on to its end, or until nobody takes it any more: then the other side has failed and says why.
pub(crate) async fn pass_on(mut stream: ByteStream, sender: mpsc::Sender<Vec<Bytes>>) -> Result<(), store::Error> {
    let mut batch = Batch::default();
    while let Some(piece) = stream.try_next().await? {
        batch.bytes += piece.len();
        batch.pieces.push(piece);
        if batch.bytes >= BATCH_BYTES && sender.send(std::mem::take(&mut batch).pieces).await.is_err() {
            return Ok(());
        }
    }
    // As above.
    let _ = sender.send(batch.pieces).await;
    Ok(())
}
