//! The index of a TSM file: which blocks each key has.
//!
//! ```text
//! u16 length of the key, key, u8 type, u16 number of blocks, and for each block
//! i64 first time, i64 last time, u64 offset, u32 size            all of it big endian
//! ```
//!
//! An index may have 2 GiB, so it is read as a stream, one key after the other.

use std::io::{self, BufReader, Read};

use crate::file::HEADER_BYTES;
use crate::{Error, Fault, Kind, Layout, ReadAt};

/// Bytes of an [`Entry`].
const ENTRY_BYTES: usize = 28;

/// The smallest block: CRC, type, and the length of its timestamps.
const SMALLEST_BLOCK: u32 = 6;

/// Where a block lies, and which times it spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    /// The first time in it, in nanoseconds since 1970.
    pub first: i64,
    /// The last time in it.
    pub last: i64,
    /// Where its CRC begins, in bytes from the start of the file.
    pub offset: u64,
    /// Its length in bytes, CRC included.
    pub size: u32,
}

/// A key and its blocks in a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexedKey {
    /// See [`crate::key`].
    pub key: Vec<u8>,
    /// The type of its first block.
    pub kind: Kind,
    /// Its blocks, by their first time; there is at least one.
    pub entries: Vec<Entry>,
}

/// Reads an index, and insists on its order and on blocks that lie inside of the file.
#[derive(Debug)]
pub struct IndexReader<R> {
    reader: R,
    layout: Layout,
    /// How many bytes of the index have not been read.
    left: u64,
    /// How many bytes of blocks the index has not named yet.
    unnamed: u64,
    current: IndexedKey,
    /// The key before the current one.
    previous: Vec<u8>,
    raw: Vec<u8>,
}

/// An index that is read out of a whole file.
pub type IndexOf<'a, S> = IndexReader<BufReader<Bytes<'a, S>>>;

impl<'a, S: ReadAt + ?Sized> IndexOf<'a, S> {
    /// Reads the index of a whole file through a buffer of so many bytes.
    #[must_use]
    pub fn of(source: &'a S, layout: Layout, buffer: usize) -> Self {
        IndexReader::new(BufReader::with_capacity(buffer, Bytes::index(source, layout)), layout)
    }
}

impl<R: Read> IndexReader<R> {
    /// Reads the index of a file with that layout from `reader`, which begins with the index and should be buffered.
    pub fn new(reader: R, layout: Layout) -> IndexReader<R> {
        let current = IndexedKey { key: Vec::new(), kind: Kind::Float, entries: Vec::new() };
        let unnamed = layout.index_offset().saturating_sub(HEADER_BYTES);
        IndexReader {
            reader,
            layout,
            left: layout.index_bytes(),
            unnamed,
            current,
            previous: Vec::new(),
            raw: Vec::new(),
        }
    }

    /// The layout of the file.
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Where the index is read next, in bytes from the start of the file.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.layout.index_offset().saturating_add(self.layout.index_bytes()).saturating_sub(self.left)
    }

    /// The key that was read last.
    #[must_use]
    pub fn current(&self) -> &IndexedKey {
        &self.current
    }

    /// Gives the reader back, which has been read as far as keys have.
    #[must_use]
    pub fn into_inner(self) -> R {
        self.reader
    }

    /// The next key; `None` at the end of the index.
    ///
    /// # Errors
    ///
    /// When it cannot be read or is not what an index should be. The reader is of no use afterwards.
    #[allow(clippy::should_implement_trait, reason = "an iterator could not lend its item")]
    pub fn next(&mut self) -> Result<Option<&IndexedKey>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        let begins = self.offset();
        let broken = |fault| Error::Structure { part: "index", offset: begins, fault: Fault(fault) };
        std::mem::swap(&mut self.previous, &mut self.current.key);
        let length = u16::from_be_bytes(self.array()?);
        if length == 0 {
            return Err(broken("a key is empty"));
        }
        let mut key = std::mem::take(&mut self.current.key);
        let filled = self.fill(&mut key, usize::from(length));
        self.current.key = key;
        filled?;
        // The first key has none before it, and any key is greater than an empty one.
        if self.current.key <= self.previous {
            return Err(broken("a key is not greater than the one before it"));
        }
        let [code, high, low] = self.array()?;
        self.current.kind = Kind::from_code(code).ok_or(broken("a key has an unknown type"))?;
        let blocks = usize::from(u16::from_be_bytes([high, low]));
        if blocks == 0 {
            return Err(broken("a key has no blocks"));
        }
        let mut raw = std::mem::take(&mut self.raw);
        self.fill(&mut raw, blocks.saturating_mul(ENTRY_BYTES))?;
        self.current.entries.clear();
        self.current.entries.extend(raw.chunks_exact(ENTRY_BYTES).filter_map(entry));
        self.raw = raw;
        self.check_entries().map_err(|Fault(fault)| broken(fault))?;
        Ok(Some(&self.current))
    }

    /// Whether the blocks of the current key lie between header and index, and in order.
    fn check_entries(&mut self) -> Result<(), Fault> {
        let mut before = i64::MIN;
        for entry in &self.current.entries {
            if entry.first > entry.last {
                return Err(Fault("a block ends before it begins"));
            }
            if entry.first < before {
                return Err(Fault("the blocks of a key are not in order of time"));
            }
            before = entry.first;
            let ends = entry.offset.checked_add(u64::from(entry.size));
            if entry.size < SMALLEST_BLOCK
                || entry.offset < HEADER_BYTES
                || ends.is_none_or(|ends| ends > self.layout.index_offset())
            {
                return Err(Fault("a block lies outside of where blocks are"));
            }
            // No byte belongs to two blocks. Without this a small file could name one block ten thousand times.
            self.unnamed = self
                .unnamed
                .checked_sub(u64::from(entry.size))
                .ok_or(Fault("the blocks have more bytes than lie before the index"))?;
        }
        Ok(())
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut array = [0; N];
        self.take(N)?;
        self.reader.read_exact(&mut array).map_err(|source| self.failed(N, source))?;
        Ok(array)
    }

    fn fill(&mut self, buffer: &mut Vec<u8>, bytes: usize) -> Result<(), Error> {
        self.take(bytes)?;
        buffer.resize(bytes, 0);
        self.reader.read_exact(buffer).map_err(|source| self.failed(bytes, source))
    }

    /// Counts bytes off the index before they are read, so that nothing is allocated for what is not there.
    fn take(&mut self, bytes: usize) -> Result<(), Error> {
        let fault = Fault("a key goes beyond the end of the index");
        let offset = self.offset();
        self.left = self.left.checked_sub(bytes as u64).ok_or(Error::Structure { part: "index", offset, fault })?;
        Ok(())
    }

    fn failed(&self, bytes: usize, source: io::Error) -> Error {
        let bytes = bytes as u64;
        Error::Read { offset: self.offset().saturating_sub(bytes), bytes, source }
    }
}

fn entry(raw: &[u8]) -> Option<Entry> {
    let (first, rest) = raw.split_first_chunk()?;
    let (last, rest) = rest.split_first_chunk()?;
    let (offset, rest) = rest.split_first_chunk()?;
    let (size, _) = rest.split_first_chunk()?;
    Some(Entry {
        first: i64::from_be_bytes(*first),
        last: i64::from_be_bytes(*last),
        offset: u64::from_be_bytes(*offset),
        size: u32::from_be_bytes(*size),
    })
}

/// A range of a source, read from its beginning to its end.
#[derive(Debug)]
pub struct Bytes<'a, S: ?Sized> {
    source: &'a S,
    offset: u64,
    left: u64,
}

impl<'a, S: ReadAt + ?Sized> Bytes<'a, S> {
    /// All of a source.
    ///
    /// # Errors
    ///
    /// When the source does not tell its length.
    pub fn of(source: &'a S) -> Result<Self, Error> {
        let left = source.length().map_err(|source| Error::Read { offset: 0, bytes: 0, source })?;
        Ok(Bytes { source, offset: 0, left })
    }

    /// The index of a whole file.
    #[must_use]
    pub fn index(source: &'a S, layout: Layout) -> Self {
        Bytes { source, offset: layout.index_offset(), left: layout.index_bytes() }
    }
}

impl<S: ReadAt + ?Sized> Read for Bytes<'_, S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let buffer = buffer.get_mut(..wanted).unwrap_or_default();
        self.source.read_exact_at(buffer, self.offset)?;
        self.offset = self.offset.saturating_add(wanted as u64);
        self.left = self.left.saturating_sub(wanted as u64);
        Ok(wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `key type first-last@offset+size …`, one key a line.
    fn index(text: &str) -> Vec<u8> {
        let mut bytes = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let mut words = line.split(' ');
            let key = words.next().unwrap();
            let code: u8 = words.next().unwrap().parse().unwrap();
            let entries: Vec<&str> = words.collect();
            bytes.extend(u16::try_from(key.len()).unwrap().to_be_bytes());
            bytes.extend(key.as_bytes());
            bytes.push(code);
            bytes.extend(u16::try_from(entries.len()).unwrap().to_be_bytes());
            for entry in entries {
                let (times, place) = entry.split_once('@').unwrap();
                let (first, last) = times.split_once("..").unwrap();
                let (offset, size) = place.split_once('+').unwrap();
                bytes.extend(first.parse::<i64>().unwrap().to_be_bytes());
                bytes.extend(last.parse::<i64>().unwrap().to_be_bytes());
                bytes.extend(offset.parse::<u64>().unwrap().to_be_bytes());
                bytes.extend(size.parse::<u32>().unwrap().to_be_bytes());
            }
        }
        bytes
    }

    /// The layout of a file with this index behind a hundred bytes of blocks.
    fn layout(index: &[u8]) -> Layout {
        Layout::new((index.len() as u64).saturating_add(108), 100).unwrap()
    }

    fn read(index: &[u8]) -> Result<Vec<IndexedKey>, Error> {
        let layout = layout(index);
        let mut reader = IndexReader::new(index, layout);
        let mut keys = Vec::new();
        while let Some(key) = reader.next()? {
            keys.push(key.clone());
        }
        Ok(keys)
    }

    #[test]
    fn keys_come_with_their_blocks() {
        let keys = read(&index("a 0 -5..7@5+20 7..9@25+20\nb 4 1..1@45+55")).unwrap();
        assert_eq!(keys.len(), 2);
        assert_eq!((keys[0].key.as_slice(), keys[0].kind, keys[0].entries.len()), (&b"a"[..], Kind::Float, 2));
        assert_eq!(keys[0].entries[0], Entry { first: -5, last: 7, offset: 5, size: 20 });
        assert_eq!(
            (keys[1].kind, keys[1].entries[0]),
            (Kind::Unsigned, Entry { first: 1, last: 1, offset: 45, size: 55 })
        );
    }

    #[test]
    fn what_no_server_writes_is_refused_with_its_place() {
        let table = [
            ("b 0 1..1@5+6\na 0 1..1@5+6", "greater"),
            ("a 0 1..1@5+6\na 0 1..1@5+6", "greater"),
            ("a 5 1..1@5+6", "unknown type"),
            ("a 0", "no blocks"),
            ("a 0 2..1@5+6", "ends before it begins"),
            ("a 0 2..2@5+6 1..1@11+6", "order of time"),
            ("a 0 1..1@4+6", "outside"),
            ("a 0 1..1@5+5", "outside"),
            ("a 0 1..1@5+96", "outside"),
            ("a 0 1..1@18446744073709551615+6", "outside"),
            ("a 0 1..1@5+50 2..2@5+50", "more bytes"),
        ];
        for (text, said) in table {
            let error = read(&index(text)).unwrap_err();
            assert!(error.is_damage() && error.to_string().contains(said), "{text}: {error}");
        }
        let empty_key = [0, 0, 0, 0, 1];
        assert!(read(&empty_key).unwrap_err().to_string().contains("empty"));
        let error = read(&index("a 0 1..1@5+6\na 0 1..1@11+6")).unwrap_err().to_string();
        assert!(error.contains("index at offset 134"), "{error}");
    }

    #[test]
    fn an_index_that_is_cut_anywhere_but_between_keys_is_refused() {
        let (one, both) = (index("a 0 1..1@5+6"), index("a 0 1..1@5+6\nb 0 1..1@11+6"));
        for length in 1..both.len() {
            assert_eq!(read(&both[..length]).is_ok(), length == one.len(), "{length}");
        }
    }

    #[test]
    fn a_reader_that_ends_before_the_index_does_is_told_from_an_end() {
        let whole = index("a 0 1..1@5+6");
        let layout = layout(&whole);
        for length in 0..whole.len() {
            let mut reader = IndexReader::new(&whole[..length], layout);
            assert!(matches!(reader.next(), Err(Error::Read { .. })), "{length}");
        }
    }
}
