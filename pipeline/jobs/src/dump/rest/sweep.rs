//! The points of a batch, swept through in order of time: each block is decoded once, when its time comes, and what
//! reaches beyond the blocks that are there waits for the next ones.

use std::collections::VecDeque;
use std::sync::mpsc;

use bytes::Bytes;
use rayon::prelude::*;
use tsm::block::Block as Coded;
use tsm::{Fault, Points};

use super::batch::{Batch, Block, Printing};
use super::print::{Printed, print};
use super::sheet::Sheets;

/// Values that are printed as one piece of work, at first and at most.
const VALUES: [usize; 2] = [32 << 10, 64 << 10];

/// Bytes that a piece of work should come to: enough to be worth the trouble, and little enough to wait in memory.
const PIECE: [usize; 2] = [1 << 20, 3 << 20];

/// One time in so many is looked at when a span is cut into pieces of work.
const SAMPLED: usize = 64;

/// A block of a stream, read.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) stream: usize,
    /// Which of the stream's blocks it is.
    pub(super) number: usize,
    pub(super) block: Block,
    pub(super) bytes: Bytes,
}

/// Blocks that follow on each other in time.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) blocks: Vec<Fetched>,
    /// No block that is still to come has a point before this time.
    pub(super) until: i64,
}

/// A block that cannot be decoded.
#[derive(Debug)]
pub(super) struct Undecodable {
    pub(super) block: Block,
    pub(super) fault: Fault,
}

/// A sweep through a batch.
#[derive(Debug)]
pub(super) struct Sweep<'a> {
    batch: &'a Batch,
    printing: &'a Printing,
    /// The times that are wanted, the end not included.
    window: [i64; 2],
    /// Of each stream what has been decoded and not been printed: file, number of the block, points.
    open: Vec<Vec<(usize, usize, Points)>>,
    /// Memory of the largest block that was decoded, in bytes.
    largest: usize,
    /// Values that are printed as one piece of work, and how many bytes that came to.
    values: usize,
    printed: usize,
    sheets: Sheets,
}

impl<'a> Sweep<'a> {
    pub(super) fn new(batch: &'a Batch, printing: &'a Printing, window: [i64; 2], sheets: Sheets) -> Sweep<'a> {
        let open = batch.streams.iter().map(|_| Vec::new()).collect();
        Sweep { batch, printing, window, open, largest: 0, values: VALUES[0], printed: 0, sheets }
    }

    /// Memory of the largest block so far, in bytes.
    pub(super) fn largest(&self) -> usize {
        self.largest
    }

    /// Takes the next blocks, and prints everything before their `until`. `take` gets the records in order, and says whether
    /// it wants more.
    pub(super) fn advance(
        &mut self,
        group: &Group,
        mut take: impl FnMut(Printed) -> bool,
    ) -> Result<bool, Box<Undecodable>> {
        let decoded: Vec<_> = group.blocks.par_iter().map(|fetched| self.decoded(fetched)).collect::<Result<_, _>>()?;
        for (fetched, points) in group.blocks.iter().zip(decoded) {
            self.largest = self.largest.max(points.memory());
            if !points.is_empty() {
                self.open[fetched.stream].push((fetched.block.file, fetched.number, points));
            }
        }
        let until = group.until;
        let ready: Vec<Vec<Points>> = self.open.par_iter_mut().map(|open| ready(open, until)).collect();
        let spans = spans(&ready, until, self.values, PIECE[1]);
        let (mut largest, mut wanted) = (0, true);
        rayon::in_place_scope(|scope| {
            let (batch, printing, ready) = (self.batch, self.printing, &ready);
            let mut spans = spans.into_iter();
            let mut under_way = VecDeque::new();
            while wanted {
                // A few at a time, since what is printed waits in memory for its turn.
                while under_way.len() < 2 * rayon::current_num_threads()
                    && let Some(span) = spans.next()
                {
                    let (done, printed) = mpsc::sync_channel(1);
                    let sheet = self.sheets.take(self.printed);
                    scope.spawn(move |_| {
                        // Nobody waits when no more is wanted.
                        let _waits = done.send(print(batch, printing, ready, span, sheet));
                    });
                    under_way.push_back(printed);
                }
                // A piece that never comes has panicked, which the scope passes on.
                let Some(Ok(printed)) = under_way.pop_front().map(|printed| printed.recv()) else { return };
                largest = largest.max(printed.text.len());
                wanted = take(printed);
            }
        });
        if !wanted {
            return Ok(false);
        }
        // The next ones will be of about this size.
        self.printed = largest + largest / 8;
        if largest > PIECE[1] {
            self.values = (self.values / 2).max(SAMPLED);
        } else if largest < PIECE[0] {
            self.values = (self.values * 2).min(VALUES[1]);
        }
        Ok(true)
    }

    fn decoded(&self, fetched: &Fetched) -> Result<Points, Box<Undecodable>> {
        let Fetched { stream, block, bytes, .. } = fetched;
        let mut points = Points::empty(block.kind);
        let mut decode = || Coded::open(bytes)?.decode(&mut points);
        decode().map_err(|fault| Box::new(Undecodable { block: *block, fault }))?;
        points.keep(self.window[0], self.window[1] - 1);
        for [first, last] in self.batch.removed.get(&(*stream, block.file)).into_iter().flatten() {
            points.remove(*first, *last);
        }
        Ok(points)
    }
}

/// Takes what is before `until` out of a stream: runs in order of time that do not overlap.
fn ready(open: &mut Vec<(usize, usize, Points)>, until: i64) -> Vec<Points> {
    open.sort_by_key(|(file, number, _)| (*file, *number));
    let mut pieces = Vec::with_capacity(open.len());
    for (_, _, points) in open.iter_mut() {
        let ends = points.times.partition_point(|time| *time < until);
        let rest = if ends == points.len() { Points::empty(points.values.kind()) } else { points.split_off(ends) };
        let piece = std::mem::replace(points, rest);
        if !piece.is_empty() {
            pieces.push(piece);
        }
    }
    open.retain(|(_, _, points)| !points.is_empty());
    let apart = pieces.windows(2).all(|pair| pair[0].times.last() < pair[1].times.first());
    if apart { pieces } else { tsm::join(pieces) }
}

/// Cuts the time before `until` into spans of about as many values each, and about as many bytes of them at most. All points
/// are in one of them.
fn spans(ready: &[Vec<Points>], until: i64, values: usize, bytes: usize) -> Vec<[i64; 2]> {
    let times = || ready.iter().flatten().map(|run| run.times.as_slice());
    // Each stream is looked at for every span, so that there must be something to find.
    let values = values.max(ready.len() * 16);
    // Long strings are printed a few at a time: their text is as long again as they are.
    let of_all = |what: fn(&Points) -> usize| ready.iter().flatten().map(what).sum::<usize>();
    let of_one = of_all(Points::memory) / of_all(Points::len).max(1);
    let values = values.min(bytes / of_one.max(1)).max(SAMPLED);
    let (mut sampled, mut over, mut first) = (Vec::new(), 0, i64::MAX);
    for times in times() {
        first = times.first().map_or(first, |time| first.min(*time));
        sampled.extend(times.iter().skip(over).step_by(SAMPLED).copied());
        // The next one continues where this one has left off.
        over = (over + SAMPLED - times.len() % SAMPLED) % SAMPLED;
    }
    if first == i64::MAX {
        return Vec::new();
    }
    sampled.sort_unstable();
    let mut cuts = vec![first];
    for time in sampled.into_iter().step_by(values / SAMPLED).skip(1) {
        if cuts.last().is_none_or(|last| *last < time) {
            cuts.push(time);
        }
    }
    let ends = cuts.iter().skip(1).copied().chain([until]);
    cuts.iter().copied().zip(ends).map(|(begins, ends)| [begins, ends]).collect()
}
