//! The recipes of the night, each a function that reads from top to bottom as the steps of its job.
//!
//! A job gets a plain configuration, the present instant and its connections, and returns an outcome value. It
//! reads neither clock nor environment nor flags, and prints nothing: what it has to say while it runs goes to
//! a [`Progress`].

pub mod backup;
mod batches;
mod blocking;
pub mod check;
mod choice;
mod claim;
mod clocks;
pub mod dump;
mod error;
pub mod fetch;
mod glob;
mod identity;
mod inspect;
mod interrupt;
mod inventory;
pub mod list;
pub mod loaded;
pub mod lock;
mod looks;
mod metastore;
mod metric;
mod progress;
pub mod prune;
mod recorded;
pub mod report;
pub mod restore;
mod shell;
mod spool;
mod statistics;
mod unsealed;
pub mod verify;
pub mod wait;

pub use error::{Error, Kind};
pub use interrupt::Interrupt;
pub use lock::Lock;
pub use metric::Metric;
pub use progress::{Event, Progress};
pub use shell::Shell;
pub use spool::Spool;

use std::path::PathBuf;

/// What every job must know of the machine and the program that it runs in.
#[derive(Debug, Clone)]
pub struct Place {
    /// Name of this machine.
    pub host: String,
    /// Id of this process.
    pub process: u32,
    /// The program and its version, for the documents that it writes.
    pub writer: archive::manifest::Writer,
    /// Folder of the lock files, shared by all programs of this machine.
    pub locks: PathBuf,
    /// Folder for temporary files; each run makes a folder of its own in it.
    pub spool: PathBuf,
    /// The most bytes that a run's files may take there, if there is a limit.
    pub spool_size: Option<u64>,
}
