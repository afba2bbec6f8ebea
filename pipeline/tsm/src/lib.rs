//! InfluxDB 1.x files at rest, without an InfluxDB.
//!
//! Pure and synchronous: nothing here knows of the network, of a store or of a night. Whatever is read
//! may be damaged or hostile, so lengths are checked before they are trusted and nothing panics.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

pub mod block;
mod error;
mod file;
mod index;
pub mod key;
mod points;
mod read_at;
pub mod tar;
mod tombstone;

pub use error::{Error, Fault};
pub use file::{Layout, layout};
pub use index::{Bytes, Entry, IndexOf, IndexReader, IndexedKey};
pub use points::{Kind, Points, Strings, Values};
pub use read_at::{ReadAt, Section};
pub use tombstone::Tombstones;
