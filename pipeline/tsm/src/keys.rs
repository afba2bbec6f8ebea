//! The keys of several TSM files of one shard, as one list.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::Read;

use crate::{Entry, InFile, IndexReader, Kind};

/// A key, and what each file has of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct JoinedKey {
    /// See [`crate::key`].
    pub key: Vec<u8>,
    /// In the order of the files; there is at least one.
    pub parts: Vec<Part>,
}

/// What one file has of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The file's place among the indexes.
    pub file: usize,
    /// The type of the first block. The others are of the same, but for files that nobody should rely on.
    pub kind: Kind,
    /// Its blocks, by their first time.
    pub entries: Vec<Entry>,
}

/// Reads several indexes side by side. Memory is that of one key in each file.
#[derive(Debug)]
pub struct Keys<R> {
    indexes: Vec<IndexReader<R>>,
    /// The next key of each index that has one.
    heads: BinaryHeap<Reverse<(Vec<u8>, usize)>>,
    /// Indexes whose head was taken, and whose next key has not been read.
    due: Vec<usize>,
    current: JoinedKey,
    /// Memory to use again.
    spare: Vec<Vec<Entry>>,
}

impl<R: Read> Keys<R> {
    /// Joins indexes, which stand in the order in which their files are joined.
    #[must_use]
    pub fn new(indexes: Vec<IndexReader<R>>) -> Keys<R> {
        let due = (0..indexes.len()).collect();
        Keys { indexes, heads: BinaryHeap::new(), due, current: JoinedKey::default(), spare: Vec::new() }
    }

    /// The next key in ascending order; `None` at the end of all indexes.
    ///
    /// # Errors
    ///
    /// When an index cannot be read or is not what it should be.
    #[allow(clippy::should_implement_trait, reason = "an iterator could not lend its item")]
    pub fn next(&mut self) -> Result<Option<&JoinedKey>, InFile> {
        self.spare.extend(self.current.parts.drain(..).map(|part| part.entries));
        // The memory of the key that was lent is taken for one of the next keys.
        let mut memory = Some(std::mem::take(&mut self.current.key));
        while let Some(file) = self.due.pop() {
            let Some(index) = self.indexes.get_mut(file) else { continue };
            if let Some(indexed) = index.next().map_err(|error| InFile { file, error })? {
                let mut key = memory.take().unwrap_or_default();
                key.clear();
                key.extend_from_slice(&indexed.key);
                self.heads.push(Reverse((key, file)));
            }
        }
        let Some(Reverse((key, file))) = self.heads.pop() else { return Ok(None) };
        self.take(file);
        while self.heads.peek().is_some_and(|Reverse((other, _))| *other == key) {
            if let Some(Reverse((_, file))) = self.heads.pop() {
                self.take(file);
            }
        }
        self.current.key = key;
        Ok(Some(&self.current))
    }

    /// The readers, which have been read as far as keys have.
    #[must_use]
    pub fn into_inner(self) -> Vec<R> {
        self.indexes.into_iter().map(IndexReader::into_inner).collect()
    }

    /// Makes what a file has of the key a part of the joined one. Equal heads come in the order of their files.
    fn take(&mut self, file: usize) {
        let Some(index) = self.indexes.get(file) else { return };
        let indexed = index.current();
        let mut entries = self.spare.pop().unwrap_or_default();
        entries.clear();
        entries.extend_from_slice(&indexed.entries);
        self.current.parts.push(Part { file, kind: indexed.kind, entries });
        self.due.push(file);
    }
}
