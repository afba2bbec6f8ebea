//! What can be wrong with a file at rest.

use std::io;

/// What is wrong with some bytes, without their place; whoever knows the place makes an [`Error`] of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Fault(pub &'static str);

/// Why a TSM file or a tombstone was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The source could not be read; that says nothing about the file.
    #[error("cannot read {bytes} bytes at offset {offset}: {source}")]
    Read {
        /// Where, in bytes from the start of the file.
        offset: u64,
        /// How many.
        bytes: u64,
        /// Why.
        source: io::Error,
    },
    /// Header, footer, index or tombstone are not what they should be.
    #[error("{part} at offset {offset}: {fault}")]
    Structure {
        /// `header`, `footer`, `index` or `tombstone`.
        part: &'static str,
        /// Where, in bytes from the start of the file.
        offset: u64,
        /// What is wrong.
        fault: Fault,
    },
    /// A block is not what it should be.
    #[error("block {number} of key {key:?} at offset {offset}: {fault}")]
    Block {
        /// The key, with U+FFFD for what is no UTF-8.
        key: String,
        /// Which of the key's blocks in the file, counted from 1.
        number: u64,
        /// Where its CRC begins, in bytes from the start of the file.
        offset: u64,
        /// What is wrong.
        fault: Fault,
    },
}

impl Error {
    /// Whether the file itself is damaged, and not only out of reach.
    #[must_use]
    pub fn is_damage(&self) -> bool {
        match self {
            Error::Read { source, .. } => source.kind() == io::ErrorKind::UnexpectedEof,
            Error::Structure { .. } | Error::Block { .. } => true,
        }
    }
}

/// What is wrong with one of several files.
#[derive(Debug, thiserror::Error)]
#[error("file {file}: {error}")]
pub struct InFile {
    /// Its place among them, counted from 0.
    pub file: usize,
    /// What is wrong with it.
    pub error: Error,
}
