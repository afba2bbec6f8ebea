//! From the server to a file in the spool: query, sort, print, hash, each on a thread of its own.
//!
//! One query answers a whole window in order of time (one for each shard where a field changes its type), and memory is
//! bounded by the buffers between the threads and that of the records of one instant. An answer that breaks off, or
//! ends with an error, is asked for again from the last instant on that had begun to arrive; what was complete before it
//! stays. So nothing is missing, nothing comes twice, and a break does not cost what came before it.
//!
//! That nothing is missing is known from the answer itself: each message says whether another one follows, and the
//! connection must end properly after the last. A second query that counts would have the same server read the same
//! blocks once more, for a third of the first one's time and twice its time where series are many; the tests ask it,
//! the night does not.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use influx::Influx;
use store::{Digester, Digests};
use tokio::sync::mpsc::{Sender, channel};
use tokio::task::spawn_blocking;

use super::arrange::{Arranged, Arranger, Message};
use super::columns::Columns;
use super::format::Format;
use super::older::{Identity, Older};
use super::rest::{Printing, Working};
use super::sorter::Sorter;
use super::source::Source;
use super::task::Task;
use crate::blocking::ended;
use crate::spool::{Shelf, Stored};
use crate::{Error, Event, Interrupt, Kind, Progress};

/// Rows in one message of the server; memory does not depend on it.
const CHUNK_ROWS: u32 = 10_000;

/// Batches of at most about 1 MiB each, between the query and the sorting.
const BATCHES: usize = 4;

/// Blocks of about 256 KiB each, between the printing and the hashing.
const BLOCKS: usize = 8;

/// So often an answer is asked for without coming further, before that is an error.
const TRIES: u32 = 5;

/// The pause before the second try; it doubles with each.
const PAUSE: Duration = Duration::from_millis(500);

/// What to take from the server, and how.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) task: &'a Task,
    pub(super) columns: &'a Columns,
    /// Nanoseconds since 1970, ascending: each with the next one is a span to ask for.
    pub(super) cuts: &'a [i64],
    pub(super) buffer_bytes: usize,
    /// Where the file lies, and the runs of the sorting.
    pub(super) shelf: Arc<Shelf>,
    /// Begins the digests of the file.
    pub(super) digester: Digester,
}

/// What lies in the file.
#[derive(Debug)]
pub(super) struct Extracted {
    pub(super) arranged: Arranged,
    pub(super) digests: Digests,
}

/// Writes the pages of a measurement to the file `path`, with what only the older dump has. When it is interrupted, its threads end before it does.
pub(super) async fn extract(
    source: &Source,
    request: &Request<'_>,
    older: Option<(Older, Identity)>,
    path: &Path,
    interrupt: &Interrupt,
    progress: &dyn Progress,
) -> Result<Extracted, Error> {
    let (rows, rows_out) = channel(BATCHES);
    let (blocks, blocks_out) = mpsc::sync_channel(BLOCKS);
    let Request { task, columns, .. } = request;
    let measurement = &task.origin.measurement;
    let sorter = || Sorter::new(request.buffer_bytes, Arc::clone(&request.shelf), interrupt.clone());
    let arranger = Arranger::new(measurement, columns, older, task.page_size, task.encoding.format, sorter());
    let arranging = spawn_blocking(move || arranger.run(rows_out, &blocks));
    let (target, digester) = (path.to_owned(), request.digester.clone());
    let (shelf, ends) = (Arc::clone(&request.shelf), interrupt.clone());
    let writing = spawn_blocking(move || write(&target, &shelf, &ends, blocks_out, digester));

    // Whoever fails closes its channels, and the others end without an error of their own.
    let asked = match source {
        Source::Live(influx) => interrupt.unless(ask(influx, request, rows, progress)).await,
        Source::Rest(rest) => {
            let printing = Printing::new(measurement, columns, task.encoding.format == Format::Csv);
            let working = Working::begin(printing, task.span, request.buffer_bytes, sorter(), rows);
            let asked = interrupt.unless(working.read(rest, &task.origin, task.window)).await;
            asked.and(working.end().await)
        }
    };
    let (arranged, written) = (ended(arranging).await, ended(writing).await);
    asked?;
    let (arranged, digests) = (arranged?, written?);
    let arranged =
        arranged.ok_or_else(|| Error::new(Kind::Failed, format!("cannot dump {measurement}: a thread ended early")))?;
    Ok(Extracted { arranged, digests })
}

/// Asks for everything and hands it on, with what is needed to make good for broken answers.
async fn ask(
    influx: &Influx,
    request: &Request<'_>,
    rows: Sender<Message>,
    progress: &dyn Progress,
) -> Result<(), Error> {
    for span in request.cuts.windows(2) {
        let (mut start, end) = (span[0], span[1]);
        let mut tries = 0;
        loop {
            let mut reached = start;
            let error = match stream(influx, request, start, end, &mut reached, &rows).await {
                Ok(true) => break,
                Ok(false) => return Ok(()),
                Err(error) => error,
            };
            tries = if reached > start { 1 } else { tries + 1 };
            if tries >= TRIES || !may_be_asked_again(&error) {
                return Err(Error::from(error).during(format!("cannot dump {}", request.task.origin.measurement)));
            }
            progress.report(Event::Warning(&format!("{error}; asking again from there on")));
            start = reached;
            if rows.send(Message::InstantAgain).await.is_err() {
                return Ok(());
            }
            tokio::time::sleep(PAUSE * 2_u32.pow(tries - 1)).await;
        }
    }
    // Nobody there to hear it means that somebody else has an error.
    let _ = rows.send(Message::End).await;
    Ok(())
}

/// Asks once; `reached` becomes the last instant of which a row came. `false` when nobody takes the rows.
async fn stream(
    influx: &Influx,
    request: &Request<'_>,
    start: i64,
    end: i64,
    reached: &mut i64,
    rows: &Sender<Message>,
) -> Result<bool, influx::Error> {
    let query = request.task.origin.query(request.columns, start, end);
    let mut answer = influx.select(&request.task.origin.database, &query, CHUNK_ROWS).await?;
    while let Some(batch) = answer.next().await? {
        let last = batch.len().checked_sub(1).and_then(|last| batch.row(last).time());
        *reached = last.unwrap_or(*reached);
        if rows.send(Message::Rows(batch)).await.is_err() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether another try may go better. What the server says in the middle of an answer does not tell reliably; but what
/// does not exist, or is not allowed, stays so.
fn may_be_asked_again(error: &influx::Error) -> bool {
    use influx::Error::{Certificate, Settings, Unauthorized, UnknownDatabase, UnknownPolicy, UnsupportedVersion};
    !matches!(
        error,
        Certificate { .. }
            | Settings { .. }
            | Unauthorized { .. }
            | UnknownDatabase { .. }
            | UnknownPolicy { .. }
            | UnsupportedVersion { .. }
    )
}

/// Writes the blocks to a file, hashing them on the way.
fn write(
    path: &Path,
    shelf: &Shelf,
    interrupt: &Interrupt,
    blocks: mpsc::Receiver<Vec<u8>>,
    mut digester: Digester,
) -> Result<Digests, Error> {
    let failed = |error: std::io::Error| Error::io(format!("write {}", path.display()), &error);
    let mut file = Stored { file: File::create(path).map_err(failed)?, shelf, interrupt };
    for block in blocks {
        file.write_all(&block).map_err(failed)?;
        digester.update(&block);
    }
    Ok(digester.finish())
}
