//! What is done with bytes that may be anything: they are read, and what came out is compared with what must come out.
//!
//! `cargo fuzz` calls these functions with bytes it makes up, and a test of the house with the files in `corpus`.

#![allow(unreachable_pub, reason = "the fuzz targets take it from a library, the test as a module of its own")]
#![allow(clippy::unwrap_used, reason = "a panic is how a target says that it found something")]

mod block;
mod metastore;
mod shard;
mod tar;
mod tombstone;

pub use block::{boolean, float, integer, string, times, unsigned};
pub use metastore::metastore;
pub use shard::{index, key, shard};
pub use tar::tar;
pub use tombstone::tombstone;
