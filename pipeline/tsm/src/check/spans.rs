//! How many points of one key a shard shows, decoding no more than it takes.
//!
//! A block that no other one of the key overlaps, and no deletion touches, shows all its points. Only of the others
//! the times have to be known.

use crate::{Entry, InFile, ReadAt};

use super::blocks::{Blocks, Found};
use super::overlap::Overlap;
use super::statistics::Shown;

/// A block of the key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) file: usize,
    pub(super) entry: Entry,
    pub(super) found: Found,
    /// Whether a deletion takes some of its points.
    touched: bool,
}

/// The blocks of one key in all files.
#[derive(Debug, Default)]
pub(super) struct Spans {
    spans: Vec<Span>,
    /// What is deleted of the key in each file that has a tombstone for it: disjoint, and in order.
    deleted: Vec<(usize, Vec<(i64, i64)>)>,
    file: usize,
    /// Whether each span ends before the next one begins, as it is where a key has one file.
    in_order: bool,
    overlap: Overlap,
}

impl Spans {
    /// Begins with another key.
    pub(super) fn clear(&mut self) {
        self.spans.clear();
        self.deleted.clear();
        self.in_order = true;
    }

    /// The next blocks are those of this file, of which so much is deleted.
    pub(super) fn begin(&mut self, file: usize, deleted: impl Iterator<Item = (i64, i64)>) {
        self.file = file;
        let mut deleted = deleted.peekable();
        if deleted.peek().is_some() {
            self.deleted.push((file, deleted.collect()));
        }
    }

    /// Another block. One that is deleted as a whole is left out.
    pub(super) fn push(&mut self, entry: Entry, found: Found) {
        let mut touched = false;
        if let Some((file, deleted)) = self.deleted.last()
            && *file == self.file
        {
            let from = deleted.partition_point(|(_, last)| *last < entry.first);
            if let Some((first, last)) = deleted.get(from).filter(|(first, _)| *first <= entry.last) {
                if *first <= entry.first && entry.last <= *last {
                    return;
                }
                touched = true;
            }
        }
        self.in_order &= self.spans.last().is_none_or(|before| before.entry.last < entry.first);
        self.spans.push(Span { file: self.file, entry, found, touched });
    }

    /// What the key shows.
    pub(super) fn count<S: ReadAt>(&mut self, key: &[u8], blocks: &mut [Blocks<'_, S>]) -> Result<Shown, InFile> {
        let mut shown = Shown::default();
        if !self.in_order {
            // Stable, so that of blocks that begin at the same time the later file's stays behind.
            self.spans.sort_by_key(|span| span.entry.first);
        }
        let mut rest = self.spans.as_slice();
        while let Some((begins, others)) = rest.split_first() {
            let mut last = begins.entry.last;
            let more = others.iter().take_while(|span| {
                let overlaps = span.entry.first <= last;
                last = last.max(span.entry.last);
                overlaps
            });
            let together = more.count().saturating_add(1);
            let (together, behind) = rest.split_at_checked(together).unwrap_or((rest, &[]));
            match together {
                [alone] if !alone.touched => {
                    shown.add(alone.found.kind, alone.found.points, alone.entry.first, alone.entry.last);
                }
                _ => self.overlap.count(key, together, &self.deleted, blocks, &mut shown)?,
            }
            rest = behind;
        }
        Ok(shown)
    }
}
