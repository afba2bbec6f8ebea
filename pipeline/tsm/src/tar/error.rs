//! What can be wrong with a shard's tar.

/// Why a tar was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No byte came at all. InfluxDB answers like this when the shard does not exist and when it is busy.
    #[error("the tar is empty")]
    Empty,
    /// The stream ended before the two zero blocks of the trailer.
    #[error("the tar ends after {offset} bytes, in {place}, without its trailer")]
    Truncated {
        /// Bytes until the end.
        offset: u64,
        /// Where in the tar that is.
        place: String,
    },
    /// There are bytes behind the trailer.
    #[error("the tar goes on behind its trailer at byte {offset}")]
    Trailing {
        /// Where the trailer ends.
        offset: u64,
    },
    /// A block that should be a header is none.
    #[error("no tar header at byte {offset}: {reason}")]
    Header {
        /// Where the block begins.
        offset: u64,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// An entry of a kind that InfluxDB does not send, such as a link.
    #[error("entry {name:?} has the type {kind:?}, which no shard holds")]
    Kind {
        /// Name of the entry.
        name: String,
        /// Its type flag.
        kind: char,
    },
    /// A name that does not belong into the place where it would be unpacked.
    #[error("entry {name:?} does not belong into {expected}/")]
    Name {
        /// Name of the entry.
        name: String,
        /// The folder that every entry must lie in.
        expected: String,
    },
    /// Reading the tar or writing a file failed.
    #[error("cannot {operation}: {source}")]
    Io {
        /// What was being done.
        operation: String,
        /// The operating system's word.
        source: std::io::Error,
    },
}
