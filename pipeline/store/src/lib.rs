//! An object store: what Nightshard asks of one, and the two that it has.
//!
//! [`Store`] is the contract; [`Swift`] and [`Folder`] fulfil it, and one conformance suite
//! (`tests/conformance`) runs against both. This crate knows nothing of nights, manifests or
//! InfluxDB: it moves bytes between a local disk and containers, and proves that they arrived.

mod body;
mod contract;
mod digest;
mod error;
mod folder;
mod metered;
mod sharing;
pub mod swift;

pub use body::Body;
pub use contract::{ByteStream, ContainerEntry, Download, ObjectEntry, ObjectInfo, Store, StoreExt};
pub use digest::{Digester, Digests, Segment};
pub use error::Error;
pub use folder::Folder;
pub use metered::Metered;
pub use sharing::{Composition, Piece, Sharing, Target};
pub use swift::Swift;
