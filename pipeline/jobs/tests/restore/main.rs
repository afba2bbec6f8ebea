//! Restores of real nights onto a real InfluxDB: what survives, what is refused, and what happens when it goes wrong.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

#[path = "../common/mod.rs"]
mod common;

mod bench;
mod clocks;
mod damage;
mod days;
mod failures;
mod interruptions;
mod large;
mod new_database;
mod online;
mod online_failures;
mod permission;
mod proof;
mod prove_only;
mod recovery;
mod refusals;
mod room;
mod survival;
