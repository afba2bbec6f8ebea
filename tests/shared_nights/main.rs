//! Nights that have their bytes in common, with the programs as users run them and what others do beside them: each stays a
//! night of its own.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

#[path = "../night/mod.rs"]
mod night;

/// What the tests of the store break requests with.
#[path = "../../pipeline/store/tests/faults/interceptor.rs"]
#[allow(dead_code)]
mod interceptor;

mod account;
mod beside;
mod by_hand;
mod looks;
mod roles;
mod thirty;
