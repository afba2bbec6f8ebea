//! Verifications of real nights, whole and damaged, and of folders that `influxd backup` wrote.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

#[path = "../common/mod.rs"]
mod common;

mod adopt;
mod bench;
mod claims;
mod damage;
mod dumps;
mod folders;
mod influxd;
mod inside;
mod nights;
mod pool;
mod records;
mod replaced;
mod samples;
