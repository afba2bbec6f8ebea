//! Writes TSM files: such as a server would write, and such as no server would.
//!
//! It shares no code with the crate that reads them, and is its witness so; a real influxd takes what it writes.

mod block;
mod floats;
mod integers;
mod tombstone;

use std::io::Write;

pub use block::{Column, Packing, assemble, block, booleans, integers, strings, times};
pub use floats::{Windows, floats};
pub use tombstone::tombstone;

const MAGIC_AND_VERSION: [u8; 5] = [0x16, 0xd1, 0x16, 0xd1, 1];

/// A TSM file that is being written.
///
/// Blocks go out at once; only the index is kept, as it comes last. Nothing is checked: whoever wants a file as a server
/// writes it begins keys in ascending order, and gives each its points in order of time.
#[derive(Debug)]
pub struct TsmWriter<W> {
    out: W,
    offset: u64,
    index: Vec<u8>,
    /// Where in the index the number of the last key's entries stands.
    entries_at: usize,
}

impl<W: Write> TsmWriter<W> {
    /// Begins a file.
    pub fn new(mut out: W) -> TsmWriter<W> {
        out.write_all(&MAGIC_AND_VERSION).unwrap();
        TsmWriter { out, offset: MAGIC_AND_VERSION.len() as u64, index: Vec::new(), entries_at: 0 }
    }

    /// Begins a key, whose blocks have the type of this code.
    pub fn key(&mut self, key: &[u8], code: u8) {
        self.index.extend(u16::try_from(key.len()).unwrap().to_be_bytes());
        self.index.extend(key);
        self.index.push(code);
        self.entries_at = self.index.len();
        self.index.extend([0; 2]);
    }

    /// Writes a block of the key, encoded as a server would.
    pub fn points(&mut self, times: &[i64], values: &Column<'_>) {
        self.block(times[0], times[times.len() - 1], &block(times, values));
    }

    /// Writes a key that has one block.
    pub fn key_with_points(&mut self, key: &[u8], times: &[i64], values: &Column<'_>) {
        self.key(key, values.code());
        self.points(times, values);
    }

    /// Writes any bytes as a block of the key.
    pub fn block(&mut self, first: i64, last: i64, bytes: &[u8]) {
        self.entry(first, last, self.offset, u32::try_from(bytes.len()).unwrap());
        self.out.write_all(bytes).unwrap();
        self.offset += bytes.len() as u64;
    }

    /// Gives the key an entry in the index that says anything.
    pub fn entry(&mut self, first: i64, last: i64, offset: u64, size: u32) {
        self.index.extend(first.to_be_bytes());
        self.index.extend(last.to_be_bytes());
        self.index.extend(offset.to_be_bytes());
        self.index.extend(size.to_be_bytes());
        let number: &mut [u8; 2] = self.index[self.entries_at..].first_chunk_mut().unwrap();
        *number = (u16::from_be_bytes(*number) + 1).to_be_bytes();
    }

    /// Writes index and footer.
    pub fn finish(mut self) -> W {
        self.out.write_all(&self.index).unwrap();
        self.out.write_all(&self.offset.to_be_bytes()).unwrap();
        self.out.flush().unwrap();
        self.out
    }
}
