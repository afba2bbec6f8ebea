//! How many points blocks show that overlap each other, or that are deleted in part.
//!
//! Blocks that follow each other form a lane, of which one block is decoded at a time; the lanes are merged. So
//! memory is that of as many blocks as overlap in one place.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::{Fault, InFile, ReadAt};

use super::blocks::{Blocks, broken};
use super::spans::Span;
use super::statistics::Shown;

/// How many times may be decoded at once, of all lanes together. Blocks hold 1,000 or 10,000 points.
const MOST_TIMES: usize = 2 << 20;

/// Memory to use again.
#[derive(Debug, Default)]
pub(super) struct Overlap {
    lanes: Vec<Lane>,
    spare: Vec<Vec<i64>>,
}

#[derive(Debug)]
struct Lane {
    /// The spans that have not been decoded, the next one last.
    left: Vec<usize>,
    /// The span that was decoded last.
    current: usize,
    /// Its times, without those that are deleted.
    times: Vec<i64>,
    /// How many of them are behind us.
    passed: usize,
}

/// The next time of a lane. Of equal ones the later file's comes first, then the later block's.
type Head = Reverse<(i64, Reverse<(usize, u64)>, usize, usize)>;

impl Overlap {
    /// Counts what `together` show, which stand in order of their first times.
    pub(super) fn count<S: ReadAt>(
        &mut self,
        key: &[u8],
        together: &[Span],
        deleted: &[(usize, Vec<(i64, i64)>)],
        blocks: &mut [Blocks<'_, S>],
        shown: &mut Shown,
    ) -> Result<(), InFile> {
        self.arrange(together);
        let mut heads: BinaryHeap<Head> = BinaryHeap::with_capacity(self.lanes.len());
        let mut decoded = 0_usize;
        let mut latest = None;
        for (number, lane) in self.lanes.iter_mut().enumerate() {
            heads.extend(lane.load(number, key, together, deleted, blocks, &mut decoded)?);
        }
        while let Some(Reverse((time, _, number, span))) = heads.pop() {
            let (Some(lane), Some(span)) = (self.lanes.get_mut(number), together.get(span)) else { continue };
            // All times of this lane before the next one of another lane are counted at once.
            let next = heads.peek().map(|Reverse((time, ..))| *time).filter(|next| *next > time);
            let rest = lane.times.get(lane.passed..).unwrap_or_default();
            let run = match next {
                Some(next) => rest.partition_point(|time| *time < next),
                None if heads.is_empty() => rest.len(),
                None => 1,
            };
            let (counted, _) = rest.split_at_checked(run).unwrap_or((rest, &[]));
            // An earlier file's point at a time that has been counted is overwritten.
            let counted = if latest == Some(time) { counted.get(1..).unwrap_or_default() } else { counted };
            if let (Some(first), Some(last)) = (counted.first(), counted.last()) {
                shown.add(span.found.kind, counted.len() as u64, *first, *last);
                latest = Some(*last);
            }
            lane.passed = lane.passed.saturating_add(run);
            heads.extend(lane.load(number, key, together, deleted, blocks, &mut decoded)?);
        }
        self.spare.extend(self.lanes.drain(..).map(|lane| lane.times));
        Ok(())
    }

    /// Distributes spans among lanes: each to one of its own file whose last block ends before it begins.
    fn arrange(&mut self, together: &[Span]) {
        self.lanes.clear();
        // The file, the end and the number of each lane.
        let mut ends: BinaryHeap<Reverse<(usize, i64, usize)>> = BinaryHeap::new();
        let mut order: Vec<usize> = (0..together.len()).collect();
        order.sort_by_key(|span| together.get(*span).map(|span| span.file));
        for number in order {
            let Some(span) = together.get(number) else { continue };
            // Lanes of files that are done come first here, and go.
            while ends.peek().is_some_and(|Reverse((file, ..))| *file < span.file) {
                ends.pop();
            }
            let free = ends.peek().filter(|Reverse((_, last, _))| *last < span.entry.first).map(|Reverse(end)| end.2);
            let lane = match free {
                Some(lane) => {
                    ends.pop();
                    lane
                }
                None => {
                    let times = self.spare.pop().unwrap_or_default();
                    self.lanes.push(Lane { left: Vec::new(), current: 0, times, passed: 0 });
                    self.lanes.len().saturating_sub(1)
                }
            };
            if let Some(lane) = self.lanes.get_mut(lane) {
                lane.left.push(number);
            }
            ends.push(Reverse((span.file, span.entry.last, lane)));
        }
        for lane in &mut self.lanes {
            lane.left.reverse();
            lane.times.clear();
        }
    }
}

impl Lane {
    /// The next time, for which blocks are decoded until one has any; `None` at the end of the lane.
    fn load<S: ReadAt>(
        &mut self,
        number: usize,
        key: &[u8],
        together: &[Span],
        deleted: &[(usize, Vec<(i64, i64)>)],
        blocks: &mut [Blocks<'_, S>],
        decoded: &mut usize,
    ) -> Result<Option<Head>, InFile> {
        loop {
            if let (Some(time), Some(span)) = (self.times.get(self.passed), together.get(self.current)) {
                return Ok(Some(Reverse((*time, Reverse((span.file, span.found.number)), number, self.current))));
            }
            let Some(next) = self.left.pop() else { return Ok(None) };
            let Some(span) = together.get(next) else { return Ok(None) };
            let Some(blocks) = blocks.get(span.file) else { return Ok(None) };
            let in_file = |error| InFile { file: span.file, error };
            *decoded = decoded.saturating_sub(self.times.len());
            blocks.times(key, span.found.number, &span.entry, &mut self.times).map_err(in_file)?;
            if let Ok(at) = deleted.binary_search_by_key(&span.file, |(file, _)| *file) {
                remove(&mut self.times, deleted.get(at).map(|(_, deleted)| deleted.as_slice()).unwrap_or_default());
            }
            *decoded = decoded.saturating_add(self.times.len());
            if *decoded > MOST_TIMES {
                let fault = Fault("it overlaps more blocks of the key than can be joined");
                return Err(in_file(broken(key, span.found.number, &span.entry, fault)));
            }
            (self.current, self.passed) = (next, 0);
        }
    }
}

/// Takes away the times that lie in ranges, which are disjoint and in order.
fn remove(times: &mut Vec<i64>, ranges: &[(i64, i64)]) {
    let mut ranges = ranges.iter().copied().peekable();
    times.retain(|time| {
        while ranges.next_if(|(_, last)| last < time).is_some() {}
        ranges.peek().is_none_or(|(first, _)| time < first)
    });
}
