//! What a stored night is: its day, its names, its manifest and the records beside it.
//!
//! The layout is a contract with people as much as with programs: `shards/` and `influxdb/` hold what
//! InfluxDB's own tools and `jq` read, and everything that only Nightshard needs lies beside them.

pub mod calendar;
mod document;
mod dump_name;
mod error;
mod label;
pub mod manifest;
pub mod names;
mod nights;
mod pattern;
pub mod pool;
mod reason;
pub mod records;
pub mod retention;
pub mod state;
pub mod verification;

pub use calendar::{Calendar, Date, Dates, Hour, Night, Window};
pub use document::{Document, Loaded, read, remove, replace, seal};
pub use dump_name::{DumpName, DumpOf};
pub use error::Error;
pub use label::Label;
pub use manifest::BackupManifest;
pub use nights::nights;
pub use pattern::ContainerPattern;
pub use reason::Reason;
pub use state::{NightState, night_state};
pub use verification::{Sample, Slice};
