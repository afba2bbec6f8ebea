//! Real servers and faults for the tests: influxd, Swift, Keystone, and a TCP proxy that breaks on command; and a writer of TSM
//! files.
//!
//! Nothing here pretends: an [`Influxd`] is the program of that name in folders and on ports of its own, and
//! [`tempauth`] and [`keystone`] lead to the Swift and the Keystone that `scripts/services` runs. What is missing
//! makes a test fail with a hint; nothing is skipped.

// These are the tools of tests, though Cargo cannot know it: a panic is how a test fails.
#![allow(clippy::unwrap_used)]

mod fault_proxy;
mod folder_watch;
mod influxd;
mod ports;
mod services;
pub mod tsm_writer;

pub use fault_proxy::{Fault, FaultProxy};
pub use folder_watch::FolderWatch;
pub use influxd::{Influxd, Options};
pub use services::{Keystone, Tempauth, keystone, own_project, tempauth};
pub use tempfile::TempDir;

/// A folder of its own that goes when the value goes.
pub fn temp_dir() -> TempDir {
    tempfile::Builder::new().prefix("nightshard-test-").tempdir().unwrap()
}

/// A name that no other test uses, for what lives in a server that tests share: `prefix-4f1d08c29b7e6a35`.
pub fn random_name(prefix: &str) -> String {
    format!("{prefix}-{:016x}", rand::random::<u64>())
}
