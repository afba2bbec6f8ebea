//! InfluxDB 1.x files at rest, without an InfluxDB.
//!
//! Pure and synchronous: nothing here knows of the network, of a store or of a night. Whatever is read
//! may be damaged or hostile, so lengths are checked before they are trusted and nothing panics.

#![deny(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

pub mod block;
pub mod check;
mod error;
mod file;
mod index;
mod join;
pub mod key;
mod keys;
mod points;
mod read_at;
pub mod tar;
mod tombstone;

pub use error::{Error, Fault, InFile};
pub use file::{Layout, layout};
pub use index::{Bytes, Entry, IndexOf, IndexReader, IndexedKey};
pub use join::{Member, join, members};
pub use keys::{JoinedKey, Keys, Part};
pub use points::{Kind, Points, Strings, Values};
pub use read_at::{ReadAt, Section};
pub use tombstone::Tombstones;
