//! Nights and dumps fetched with the program as users run it, from a folder and from a real Swift.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

#[path = "../night/mod.rs"]
mod night;

mod archives;
mod cut_off;
mod damage;
mod files;
mod pipes;
mod swift_commands;
