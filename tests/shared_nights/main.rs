//! Nights that have their bytes in common, with the programs as users run them and what others do beside them: each stays a
//! night of its own.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

#[path = "../night/mod.rs"]
mod night;

mod account;
mod by_hand;
mod looks;
mod thirty;
