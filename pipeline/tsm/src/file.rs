//! A TSM file from outside: its header, and the footer that says where its index begins.
//!
//! ```text
//! header   16 D1 16 D1 01
//! blocks   one after the other
//! index    keys and where their blocks are
//! footer   u64, big endian: offset of the index
//! ```

use crate::{Error, Fault, ReadAt};

/// Magic number and version.
pub(crate) const HEADER: [u8; 5] = [0x16, 0xd1, 0x16, 0xd1, 1];

/// Bytes of the header.
pub(crate) const HEADER_BYTES: u64 = 5;

/// Bytes of the footer.
const FOOTER_BYTES: u64 = 8;

/// Where the parts of a TSM file lie. The blocks reach from the header to the index, and the index to the footer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    length: u64,
    index_offset: u64,
}

impl Layout {
    /// Of a file of so many bytes with an index that begins at `index_offset`.
    ///
    /// # Errors
    ///
    /// When there is no room for a block or for an index.
    pub fn new(length: u64, index_offset: u64) -> Result<Layout, Error> {
        let footer = length.saturating_sub(FOOTER_BYTES);
        if index_offset <= HEADER_BYTES {
            return Err(broken("footer", footer, "it says that the index begins where there is no room for a block"));
        }
        if index_offset >= footer {
            return Err(broken("footer", footer, "it says that the index begins where the file has ended"));
        }
        Ok(Layout { length, index_offset })
    }

    /// Length of the file in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Where the index begins, in bytes from the start of the file.
    #[must_use]
    pub fn index_offset(&self) -> u64 {
        self.index_offset
    }

    /// Length of the index in bytes.
    #[must_use]
    pub fn index_bytes(&self) -> u64 {
        self.length.saturating_sub(FOOTER_BYTES).saturating_sub(self.index_offset)
    }
}

/// Reads header and footer.
///
/// # Errors
///
/// When the source cannot be read, or is no TSM file of version 1.
pub fn layout(source: &(impl ReadAt + ?Sized)) -> Result<Layout, Error> {
    let length = source.length().map_err(|source| Error::Read { offset: 0, bytes: 0, source })?;
    if length < HEADER_BYTES.saturating_add(FOOTER_BYTES) {
        return Err(broken("header", 0, "the file is shorter than a header and a footer"));
    }
    let mut header = [0; HEADER.len()];
    read(source, &mut header, 0)?;
    if header != HEADER {
        let magic = header.get(..4) == HEADER.get(..4);
        return Err(broken("header", 0, if magic { "its version is not 1" } else { "it is not that of a TSM file" }));
    }
    let mut footer = [0; 8];
    read(source, &mut footer, length.saturating_sub(FOOTER_BYTES))?;
    Layout::new(length, u64::from_be_bytes(footer))
}

/// Fills the buffer from `offset` on.
pub(crate) fn read(source: &(impl ReadAt + ?Sized), buffer: &mut [u8], offset: u64) -> Result<(), Error> {
    let bytes = buffer.len() as u64;
    source.read_exact_at(buffer, offset).map_err(|source| Error::Read { offset, bytes, source })
}

fn broken(part: &'static str, offset: u64, fault: &'static str) -> Error {
    Error::Structure { part, offset, fault: Fault(fault) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_and_footer_must_fit_the_file() {
        let file = |header: &[u8], between: usize, index: u64| -> Vec<u8> {
            [header, &vec![0; between], &index.to_be_bytes()].concat()
        };
        let good = layout(&file(&HEADER, 100, 60)).unwrap();
        assert_eq!((good.length(), good.index_offset(), good.index_bytes()), (113, 60, 45));

        // header, bytes between header and footer, index offset, what is said
        let table: [(&[u8], usize, u64, &str); 8] = [
            (&HEADER[..4], 0, 0, "shorter"),
            (&[0x16, 0xd1, 0x16, 0xd1, 2], 100, 60, "version"),
            (&[0x16, 0xd1, 0x16, 0xd0, 1], 100, 60, "not that of a TSM file"),
            (&HEADER, 100, 5, "no room for a block"),
            (&HEADER, 100, 0, "no room for a block"),
            (&HEADER, 100, 105, "has ended"),
            (&HEADER, 100, u64::MAX, "has ended"),
            (&HEADER, 0, 5, "no room for a block"),
        ];
        for (header, between, index, said) in table {
            let error = layout(&file(header, between, index)).unwrap_err();
            assert!(error.is_damage() && error.to_string().contains(said), "{error}: {said}");
        }
    }
}
