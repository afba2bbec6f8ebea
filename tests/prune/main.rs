//! Nights that leave, with the programs as users run them: which ones, in which order, and that nothing of the others goes with
//! them.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

#[path = "../night/mod.rs"]
mod night;

mod archive;
mod killed;
mod nights;
mod refusals;
