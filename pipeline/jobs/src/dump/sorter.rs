//! The records of one instant, sorted by series key.
//!
//! The server answers in order of time, but rows of one instant come in no fixed order. They are kept in one buffer of
//! bounded size; when it is full, what it holds is sorted and written to a temporary file, and in the end all such
//! runs are merged. Both ways give the same bytes.

use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::sync::Arc;

use crate::Interrupt;
use crate::spool::Shelf;

/// More runs than this are merged into one, so that neither open files nor their buffers grow with the instant.
const MOST_RUNS: usize = 32;

/// Bytes before each entry of a run, which tell its lengths.
const LENGTHS: usize = 8;

/// Buffer of each run while it is read or written, in bytes.
const RUN_BUFFER: usize = 64 << 10;

/// Collects records and gives them back in order.
#[derive(Debug)]
pub(super) struct Sorter {
    /// Key and record of each entry, one after the other.
    bytes: Vec<u8>,
    entries: Vec<Entry>,
    limit: usize,
    shelf: Arc<Shelf>,
    interrupt: Interrupt,
    runs: Vec<Run>,
    spills: u64,
}

/// Sorted entries in an unnamed file.
#[derive(Debug)]
struct Run {
    file: File,
    bytes: usize,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    start: usize,
    key: u32,
    record: u32,
}

impl Sorter {
    /// Keeps up to about `limit` bytes (and one record) in memory, and the rest in unnamed files on the shelf, where it
    /// waits for room no longer than until it is asked to end.
    pub(super) fn new(limit: usize, shelf: Arc<Shelf>, interrupt: Interrupt) -> Sorter {
        // Lengths within the buffer are kept in 32 bits.
        let limit = limit.min(1 << 30);
        let (bytes, entries, runs) = (Vec::new(), Vec::new(), Vec::new());
        Sorter { bytes, entries, limit, shelf, interrupt, runs, spills: 0 }
    }

    /// Takes one record: `key` and `record` append their bytes to the buffer that they are given.
    pub(super) fn push(&mut self, key: impl FnOnce(&mut Vec<u8>), record: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        let start = self.bytes.len();
        key(&mut self.bytes);
        let middle = self.bytes.len();
        record(&mut self.bytes);
        self.entries.push(Entry { start, key: length(middle - start)?, record: length(self.bytes.len() - middle)? });
        if self.bytes.len() + self.entries.len() * size_of::<Entry>() > self.limit {
            self.spill()?;
        }
        Ok(())
    }

    /// Gives all keys and records to `take` in order, and is empty then.
    pub(super) fn drain(&mut self, mut take: impl FnMut(&[u8], &[u8]) -> io::Result<()>) -> io::Result<()> {
        if self.runs.is_empty() {
            self.sort();
            for entry in &self.entries {
                let (key, record) = entry.parts(&self.bytes);
                take(key, record)?;
            }
        } else {
            self.spill()?;
            merge(&mut self.runs, take)?;
        }
        self.clear();
        Ok(())
    }

    /// Forgets what it holds.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.entries.clear();
        self.drop_runs();
    }

    /// How many runs were written to files so far.
    pub(super) fn spills(&self) -> u64 {
        self.spills
    }

    fn sort(&mut self) {
        let bytes = &self.bytes;
        // By key; should two records share one, by record, so that the order is always the same.
        self.entries.sort_unstable_by(|left, right| left.parts(bytes).cmp(&right.parts(bytes)));
    }

    fn spill(&mut self) -> io::Result<()> {
        if self.entries.is_empty() {
            return Ok(());
        }
        self.sort();
        let bytes = self.bytes.len() + self.entries.len() * LENGTHS;
        let mut run = self.file(bytes)?;
        for entry in &self.entries {
            let (key, record) = entry.parts(&self.bytes);
            write_entry(&mut run, key, record)?;
        }
        self.runs.push(finish(run, bytes)?);
        self.spills += 1;
        self.bytes.clear();
        self.entries.clear();
        if self.runs.len() >= MOST_RUNS {
            let bytes = self.runs.iter().map(|run| run.bytes).sum();
            let mut merged = self.file(bytes)?;
            merge(&mut self.runs, |key, record| write_entry(&mut merged, key, record))?;
            self.drop_runs();
            self.runs.push(finish(merged, bytes)?);
        }
        Ok(())
    }

    /// A new file for so many bytes.
    fn file(&self, bytes: usize) -> io::Result<BufWriter<File>> {
        self.shelf.take_blocking(bytes, &self.interrupt)?;
        Ok(BufWriter::with_capacity(RUN_BUFFER, tempfile::tempfile_in(self.shelf.path())?))
    }

    fn drop_runs(&mut self) {
        for Run { file, bytes } in self.runs.drain(..) {
            drop(file);
            self.shelf.give_back(bytes as u64);
        }
    }
}

impl Entry {
    fn parts<'a>(&self, bytes: &'a [u8]) -> (&'a [u8], &'a [u8]) {
        let middle = self.start + self.key as usize;
        (&bytes[self.start..middle], &bytes[middle..middle + self.record as usize])
    }
}

fn length(length: usize) -> io::Result<u32> {
    u32::try_from(length).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "a record is longer than 4 GiB"))
}

fn finish(run: BufWriter<File>, bytes: usize) -> io::Result<Run> {
    let mut file = run.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.rewind()?;
    Ok(Run { file, bytes })
}

/// An entry in a run: two lengths, little endian, then key and record.
fn write_entry(run: &mut impl Write, key: &[u8], record: &[u8]) -> io::Result<()> {
    run.write_all(&length(key.len())?.to_le_bytes())?;
    run.write_all(&length(record.len())?.to_le_bytes())?;
    run.write_all(key)?;
    run.write_all(record)
}

/// Reads sorted runs to their ends and gives what they hold to `take` in order.
fn merge(runs: &mut [Run], mut take: impl FnMut(&[u8], &[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut heads = BinaryHeap::new();
    for Run { file, .. } in runs {
        let run = BufReader::with_capacity(RUN_BUFFER, file);
        heads.extend(Head { key: Vec::new(), record: Vec::new(), run }.advance()?);
    }
    while let Some(head) = heads.pop() {
        take(&head.key, &head.record)?;
        heads.extend(head.advance()?);
    }
    Ok(())
}

/// A run and its first entry that has not been taken.
struct Head<'a> {
    key: Vec<u8>,
    record: Vec<u8>,
    run: BufReader<&'a mut File>,
}

impl<'a> Head<'a> {
    /// Reads the next entry; `None` at the end of the run.
    fn advance(mut self) -> io::Result<Option<Head<'a>>> {
        let mut lengths = [0; LENGTHS];
        if io::BufRead::fill_buf(&mut self.run)?.is_empty() {
            return Ok(None);
        }
        self.run.read_exact(&mut lengths)?;
        let [a, b, c, d, e, f, g, h] = lengths;
        self.key.resize(u32::from_le_bytes([a, b, c, d]) as usize, 0);
        self.record.resize(u32::from_le_bytes([e, f, g, h]) as usize, 0);
        self.run.read_exact(&mut self.key)?;
        self.run.read_exact(&mut self.record)?;
        Ok(Some(self))
    }
}

/// The greatest in the heap is the first in order.
impl Ord for Head<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        (&other.key, &other.record).cmp(&(&self.key, &self.record))
    }
}

impl PartialOrd for Head<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Head<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Head<'_> {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Entries = Vec<(Vec<u8>, Vec<u8>)>;

    fn sorted(limit: usize, entries: &Entries) -> (Entries, u64) {
        let shelf = Arc::new(Shelf::of_test());
        let mut sorter = Sorter::new(limit, Arc::clone(&shelf), Interrupt::new());
        for (key, record) in entries {
            sorter.push(|out| out.extend(key), |out| out.extend(record)).unwrap();
        }
        let mut out = Vec::new();
        sorter
            .drain(|key, record| {
                out.push((key.to_vec(), record.to_vec()));
                Ok(())
            })
            .unwrap();
        assert_eq!(std::fs::read_dir(shelf.path()).unwrap().count(), 0, "runs have no names");
        (out, sorter.spills())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn spilled_or_not_the_order_is_that_of_the_keys(
            entries in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..4), prop::collection::vec(any::<u8>(), 0..9)), 0..200),
            limit in 1_usize..2000,
        ) {
            let mut expected = entries.clone();
            expected.sort();
            prop_assert_eq!(&sorted(usize::MAX, &entries), &(expected.clone(), 0));
            prop_assert_eq!(&sorted(limit, &entries).0, &expected);
        }
    }

    #[test]
    fn very_many_runs_are_merged_on_the_way() {
        let entries: Entries = (0..5 * MOST_RUNS).rev().map(|i| (format!("{i:05}").into(), b"r".to_vec())).collect();
        let (out, spills) = sorted(1, &entries);
        assert_eq!(spills, entries.len() as u64);
        assert_eq!(out, entries.into_iter().rev().collect::<Entries>());
    }

    #[test]
    fn it_can_be_used_again_after_draining_and_after_clearing() {
        let mut sorter = Sorter::new(64, Arc::new(Shelf::of_test()), Interrupt::new());
        for round in 0..3_u8 {
            for i in (0..10_u8).rev() {
                sorter.push(|out| out.push(i), |out| out.extend([round; 10])).unwrap();
            }
            if round == 1 {
                sorter.clear();
                continue;
            }
            let mut keys: Vec<u8> = Vec::new();
            sorter
                .drain(|key, record| {
                    assert_eq!(record, [round; 10]);
                    keys.extend(key);
                    Ok(())
                })
                .unwrap();
            assert_eq!(keys, (0..10).collect::<Vec<u8>>());
        }
    }
}
