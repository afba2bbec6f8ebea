//! Walks a tar that streams by, in pieces of any size, in constant memory.

use super::header::{Header, Pax};
use super::{BLOCK, Error};

/// PAX records and GNU long names are read into memory; a name has at most 64 KiB, so this is plenty.
const LARGEST_EXTENSION: u64 = 1 << 20;

/// A file in the tar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Name as in the tar, `<database>/<policy>/<shard id>/<file>`.
    pub name: String,
    /// Where the file's bytes begin, in bytes from the start of the tar.
    pub offset: u64,
    /// Length of the file in bytes.
    pub bytes: u64,
    /// When the file was written, in seconds since 1970, by the clock of the server and to the nearest of them; `None` where
    /// the header does not tell.
    pub modified: Option<u64>,
}

/// What a [`Walker`] comes by.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A file begins.
    Entry(&'a Entry),
    /// The next bytes of the file that began last.
    Data(&'a [u8]),
    /// The file is complete.
    End,
}

/// A push parser: [`feed`](Walker::feed) it the stream, then [`finish`](Walker::finish).
#[derive(Debug)]
pub struct Walker {
    offset: u64,
    block: [u8; BLOCK],
    filled: usize,
    state: State,
    pax: Pax,
}

#[derive(Debug)]
enum State {
    /// A header, or the trailer, is due.
    Header,
    /// The first block of zeros went by.
    HalfTrailer,
    /// In the bytes of a file.
    Data { name: String, left: u64, padding: u64 },
    /// In the bytes of a PAX header or GNU long name.
    Extension { kind: u8, left: u64, padding: u64, bytes: Vec<u8> },
    /// In what fills up the last block of a file.
    Padding { left: u64 },
    /// Both blocks of zeros went by.
    Done,
}

impl Default for Walker {
    fn default() -> Self {
        Walker::new()
    }
}

impl Walker {
    /// Begins at the first byte of a tar.
    #[must_use]
    pub fn new() -> Walker {
        Walker { offset: 0, block: [0; BLOCK], filled: 0, state: State::Header, pax: Pax::default() }
    }

    /// Takes the next bytes and tells `sink` what is in them.
    ///
    /// # Errors
    ///
    /// As soon as the bytes cannot be a shard's tar; the walker is of no use afterwards.
    pub fn feed(&mut self, mut bytes: &[u8], mut sink: impl FnMut(Event<'_>)) -> Result<(), Error> {
        while !bytes.is_empty() {
            let taken = match &mut self.state {
                State::Done => return Err(Error::Trailing { offset: self.offset }),
                State::Header | State::HalfTrailer => self.take_block(bytes, &mut sink)?,
                State::Data { left, padding, .. } => {
                    let now = take(bytes, left);
                    sink(Event::Data(now));
                    if *left == 0 {
                        let padding = *padding;
                        self.end_of_file(padding, &mut sink);
                    }
                    now.len()
                }
                State::Extension { kind, left, padding, bytes: collected } => {
                    let now = take(bytes, left);
                    collected.extend_from_slice(now);
                    if *left == 0 {
                        let (kind, padding, collected) = (*kind, *padding, std::mem::take(collected));
                        self.extend(kind, &collected)?;
                        self.state = after(padding);
                    }
                    now.len()
                }
                State::Padding { left } => {
                    let now = take(bytes, left);
                    if *left == 0 {
                        self.state = State::Header;
                    }
                    now.len()
                }
            };
            self.offset = self.offset.saturating_add(taken as u64);
            bytes = bytes.get(taken..).unwrap_or_default();
        }
        Ok(())
    }

    /// The stream has ended; returns the length of the tar in bytes.
    ///
    /// # Errors
    ///
    /// [`Error::Empty`] when nothing came, [`Error::Truncated`] when the trailer did not come.
    pub fn finish(self) -> Result<u64, Error> {
        let place = match self.state {
            State::Done => return Ok(self.offset),
            _ if self.offset == 0 => return Err(Error::Empty),
            State::Data { name, .. } => name,
            State::Header if self.filled > 0 => "a header".to_owned(),
            State::Header => "the place of the next header".to_owned(),
            State::HalfTrailer => "the trailer".to_owned(),
            State::Extension { .. } => "an extended header".to_owned(),
            State::Padding { .. } => "the padding of an entry".to_owned(),
        };
        Err(Error::Truncated { offset: self.offset, place })
    }

    /// Collects a block of 512 bytes and acts on it once it is whole.
    fn take_block(&mut self, bytes: &[u8], sink: &mut impl FnMut(Event<'_>)) -> Result<usize, Error> {
        let room = BLOCK.saturating_sub(self.filled);
        let taken = room.min(bytes.len());
        let end = self.filled.saturating_add(taken);
        if let (Some(to), Some(from)) = (self.block.get_mut(self.filled..end), bytes.get(..taken)) {
            to.copy_from_slice(from);
        }
        self.filled = end;
        if self.filled == BLOCK {
            self.filled = 0;
            let begins = self.offset.saturating_add(taken as u64).saturating_sub(BLOCK as u64);
            self.judge_block(begins, sink)?;
        }
        Ok(taken)
    }

    fn judge_block(&mut self, begins: u64, sink: &mut impl FnMut(Event<'_>)) -> Result<(), Error> {
        let zero = self.block.iter().all(|byte| *byte == 0);
        if matches!(self.state, State::HalfTrailer) {
            if !zero {
                return Err(Error::Header { offset: begins, reason: "a single block of zeros stands before it" });
            }
            self.state = State::Done;
            return Ok(());
        }
        if zero {
            self.state = State::HalfTrailer;
            return Ok(());
        }
        let header = Header::parse(&self.block).map_err(|reason| Error::Header { offset: begins, reason })?;
        match header.kind {
            b'0' | 0 => {
                let pax = std::mem::take(&mut self.pax);
                let bytes = pax.size.unwrap_or(header.size);
                let entry = Entry {
                    name: pax.path.unwrap_or(header.name),
                    offset: begins.saturating_add(BLOCK as u64),
                    bytes,
                    modified: header.modified,
                };
                sink(Event::Entry(&entry));
                let padding = padding(bytes);
                self.state = State::Data { name: entry.name, left: bytes, padding };
                if bytes == 0 {
                    self.end_of_file(0, sink);
                }
            }
            b'x' | b'g' | b'L' => {
                if header.size > LARGEST_EXTENSION {
                    return Err(Error::Header { offset: begins, reason: "its extended header is too large" });
                }
                let padding = padding(header.size);
                self.state = State::Extension { kind: header.kind, left: header.size, padding, bytes: Vec::new() };
                if header.size == 0 {
                    self.state = State::Header;
                }
            }
            kind => return Err(Error::Kind { name: header.name, kind: char::from(kind) }),
        }
        Ok(())
    }

    fn end_of_file(&mut self, padding: u64, sink: &mut impl FnMut(Event<'_>)) {
        sink(Event::End);
        self.state = after(padding);
    }

    fn extend(&mut self, kind: u8, bytes: &[u8]) -> Result<(), Error> {
        match kind {
            b'x' => {
                let pax = Pax::parse(bytes).map_err(|reason| Error::Header { offset: self.offset, reason })?;
                self.pax = pax;
            }
            b'L' => {
                let name = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
                self.pax.path = Some(String::from_utf8_lossy(name).into_owned());
            }
            // A global header (git writes one) says nothing about a single entry.
            _ => {}
        }
        Ok(())
    }
}

/// The first bytes, `left` of them at most, which is counted down.
fn take<'a>(bytes: &'a [u8], left: &mut u64) -> &'a [u8] {
    let length = usize::try_from(*left).unwrap_or(usize::MAX).min(bytes.len());
    *left = left.saturating_sub(length as u64);
    bytes.get(..length).unwrap_or_default()
}

/// What fills up the last block of so many bytes.
pub(super) fn padding(bytes: u64) -> u64 {
    bytes.next_multiple_of(BLOCK as u64).saturating_sub(bytes)
}

fn after(padding: u64) -> State {
    if padding == 0 { State::Header } else { State::Padding { left: padding } }
}
