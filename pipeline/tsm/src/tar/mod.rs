//! The tar in which InfluxDB hands out a shard.
//!
//! An uncompressed tar as Go's `archive/tar` writes it: ustar headers, with PAX records for names and
//! sizes that do not fit. Entries are named `<database>/<policy>/<shard id>/<file>`, and a complete
//! stream ends with two blocks of zeros and nothing behind them. The snapshot service tells neither
//! length nor status, so that end is the only sign of a whole answer; the [`Walker`] insists on it.

mod error;
mod header;
mod pack;
mod unpack;
mod walker;

pub use error::Error;
pub use pack::Packer;
pub use unpack::{Unpacked, Unpacker, list};
pub use walker::{Entry, Event, Walker};

/// Everything in a tar comes in blocks of this many bytes.
pub const BLOCK: usize = 512;
