//! From the indexes to printed records: a thread that looks for series, one that decodes and prints on all cores, and
//! between them the requests for blocks.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use archive::Window;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::{JoinHandle, spawn_blocking};

use super::batch::{Batch, EXPECTED, Printing};
use super::fetch::{Fetching, undecodable};
use super::indexes::Opened;
use super::sheet::Sheets;
use super::sweep::{Group, Sweep, Undecodable};
use super::{Printed, Rest, scan};
use crate::Error;
use crate::blocking::ended;
use crate::dump::arrange::Message;
use crate::dump::json::Losses;
use crate::dump::schema::Origin;
use crate::dump::sorter::Sorter;

/// Blocks of the first group, of which it is learned how large they become.
const FIRST_BLOCKS: usize = 256;

/// Records that come out of the sorting at once, in bytes.
const PIECE: usize = 1 << 20;

/// What the decoding thread gets to do.
#[derive(Debug)]
enum Work {
    /// Series whose blocks follow, of the files of a cluster. `true`: there are no other series in it.
    Batch(Arc<Batch>, Arc<[Arc<Opened>]>, bool),
    /// The next blocks.
    Group(Group),
    /// The cluster has ended.
    End,
    /// There is no other cluster.
    Finish,
}

/// A dump's records in the making.
#[derive(Debug)]
pub(in crate::dump) struct Working {
    work: Sender<Work>,
    decoding: JoinHandle<Result<(), Error>>,
    printing: Arc<Printing>,
    span: [i64; 2],
    /// Bytes for what is decoded.
    memory: usize,
    largest: Arc<AtomicUsize>,
}

impl Working {
    /// Starts the thread that decodes; `rows` get the records, `sorter` takes those that are not in order yet.
    pub(in crate::dump) fn begin(
        printing: Printing,
        span: [i64; 2],
        memory: usize,
        sorter: Sorter,
        rows: Sender<Message>,
    ) -> Working {
        let (work, work_out) = channel(1);
        let (printing, largest) = (Arc::new(printing), Arc::new(AtomicUsize::new(EXPECTED)));
        let decoder = Decoder {
            printing: Arc::clone(&printing),
            span,
            rows,
            sorter,
            largest: Arc::clone(&largest),
            losses: Losses::default(),
            sheets: Sheets::default(),
        };
        let decoding = spawn_blocking(move || decoder.run(work_out));
        Working { work, decoding, printing, span, memory, largest }
    }

    /// Reads everything that the night has of the measurement in the window.
    pub(in crate::dump) async fn read(&self, rest: &Rest, origin: &Origin, window: Window) -> Result<(), Error> {
        let (store, container) = (rest.night.store.as_ref(), rest.night.manifest.container.as_str());
        for files in rest.clusters(origin, window).await? {
            let (batches, mut batches_out) = channel(1);
            let scanning = {
                let (files, printing) = (Arc::clone(&files), Arc::clone(&self.printing));
                let (measurement, span, memory) = (origin.measurement.clone().into_bytes(), self.span, self.memory);
                spawn_blocking(move || scan(&files, &measurement, &printing, span, memory, &batches))
            };
            while let Some((batch, alone)) = batches_out.recv().await {
                let batch = Arc::new(batch);
                let mut fetching = Fetching::new(store, container, &files, &batch, self.span[1]);
                if self.work.send(Work::Batch(batch, Arc::clone(&files), alone)).await.is_err() {
                    return Ok(()); // The thread has an error, which it tells.
                }
                let mut most = FIRST_BLOCKS;
                while let Some(group) = fetching.next(most, self.memory as u64 / 3).await? {
                    if self.work.send(Work::Group(group)).await.is_err() {
                        return Ok(());
                    }
                    most = self.memory / self.largest.load(Ordering::Relaxed);
                }
            }
            ended(scanning).await?;
            if self.work.send(Work::End).await.is_err() {
                return Ok(());
            }
        }
        let _ = self.work.send(Work::Finish).await;
        Ok(())
    }

    /// Waits for the thread.
    pub(in crate::dump) async fn end(self) -> Result<(), Error> {
        drop(self.work);
        ended(self.decoding).await
    }
}

/// Looks for the series, and makes batches of them that fit into memory.
fn scan(
    files: &[Arc<Opened>],
    measurement: &[u8],
    printing: &Printing,
    span: [i64; 2],
    memory: usize,
    batches: &Sender<(Batch, bool)>,
) -> Result<(), Error> {
    let (mut batch, mut alone) = (Batch::default(), true);
    scan::series(files, measurement, span, |mut found| {
        found.streams.retain(|stream| printing.has_field(&stream.field));
        if found.streams.is_empty() {
            return Ok(true);
        }
        batch.push(printing, found.tags, found.streams);
        if batch.decoded <= memory && batch.bytes <= memory {
            return Ok(true);
        }
        alone = false;
        Ok(send(std::mem::take(&mut batch), false, batches))
    })?;
    if !batch.series.is_empty() {
        send(batch, alone, batches);
    }
    Ok(())
}

fn send(mut batch: Batch, alone: bool, batches: &Sender<(Batch, bool)>) -> bool {
    batch.arrange();
    batches.blocking_send((batch, alone)).is_ok()
}

/// Decodes and prints.
#[derive(Debug)]
struct Decoder {
    printing: Arc<Printing>,
    span: [i64; 2],
    rows: Sender<Message>,
    sorter: Sorter,
    largest: Arc<AtomicUsize>,
    losses: Losses,
    sheets: Sheets,
}

impl Decoder {
    /// Works until there is no more to do, or until nobody takes the records.
    fn run(mut self, mut work: Receiver<Work>) -> Result<(), Error> {
        let mut next = work.blocking_recv();
        while let Some(now) = next.take() {
            next = match now {
                Work::Batch(batch, files, alone) => {
                    let (next, taken) = self.batch(&batch, &files, alone, &mut work)?;
                    if !taken {
                        return Ok(());
                    }
                    next
                }
                // Blocks of no batch.
                Work::Group(_) => work.blocking_recv(),
                Work::End => {
                    if !self.sorted().map_err(spooling)? {
                        return Ok(());
                    }
                    work.blocking_recv()
                }
                Work::Finish => {
                    let _ = self.rows.blocking_send(Message::End);
                    return Ok(());
                }
            };
        }
        Ok(())
    }

    /// Works through the blocks of a batch; returns what comes after them, and whether anybody takes the records.
    fn batch(
        &mut self,
        batch: &Batch,
        files: &[Arc<Opened>],
        alone: bool,
        work: &mut Receiver<Work>,
    ) -> Result<(Option<Work>, bool), Error> {
        let printing = Arc::clone(&self.printing);
        let mut sweep = Sweep::new(batch, &printing, self.span, self.sheets.clone());
        loop {
            let group = match work.blocking_recv() {
                Some(Work::Group(group)) => group,
                other => return Ok((other, true)),
            };
            let mut failure = None;
            let taken = sweep.advance(&group, |printed| {
                if alone {
                    return self.rows.blocking_send(Message::Printed(printed)).is_ok();
                }
                failure = self.push(batch, &printed).err();
                failure.is_none()
            });
            if let Some(error) = failure {
                return Err(spooling(error));
            }
            let taken = taken.map_err(|what| {
                let Undecodable { block, fault } = *what;
                undecodable(&files[block.file].stored, block, fault)
            })?;
            if !taken {
                return Ok((None, false));
            }
            self.largest.fetch_max(sweep.largest(), Ordering::Relaxed);
        }
    }

    /// Gives records to the sorter, under their time and series key.
    fn push(&mut self, batch: &Batch, printed: &Printed) -> io::Result<()> {
        let mut begins = 0;
        for ((time, ends), series) in printed.records.iter().zip(&printed.series) {
            // Flipped in their first bit, and as bytes from the highest on, times are in order as bytes are.
            let time = (time.cast_unsigned() ^ (1 << 63)).to_be_bytes();
            let (key, text) = (&batch.series[*series as usize].key, &printed.text[begins..*ends]);
            self.sorter.push(
                |out| {
                    out.extend_from_slice(&time);
                    out.extend_from_slice(key);
                },
                |out| out.extend_from_slice(text),
            )?;
            begins = *ends;
        }
        self.losses.add(printed.losses);
        Ok(())
    }

    /// Passes on what the sorter has; `false` when nobody takes it.
    fn sorted(&mut self) -> io::Result<bool> {
        let (rows, mut taken) = (&self.rows, true);
        let mut printed = Printed { losses: std::mem::take(&mut self.losses), ..Printed::default() };
        self.sorter
            .drain(|key, record| {
                let time = key.first_chunk().map_or(0, |time| (u64::from_be_bytes(*time) ^ (1 << 63)).cast_signed());
                printed.text.extend_from_slice(record);
                printed.records.push((time, printed.text.len()));
                if printed.text.len() >= PIECE {
                    taken = rows.blocking_send(Message::Printed(std::mem::take(&mut printed))).is_ok();
                }
                if taken { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
            })
            .or_else(|error| if error.kind() == io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) })?;
        Ok(taken && rows.blocking_send(Message::Printed(printed)).is_ok())
    }
}

fn spooling(error: io::Error) -> Error {
    Error::io("sort records in the spool", &error)
}
