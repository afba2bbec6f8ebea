//! Backups of a real InfluxDB into a folder: what a night holds, how a run ends that cannot make one, and how the next
//! one goes on from there.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

mod bench;
mod clocks;
mod company;
mod contents;
mod faults;
mod refusals;
mod replace;
mod resume;
mod room;
mod shared;
mod stores;
mod verify;
