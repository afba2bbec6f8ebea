//! The check of the night before, with the program as users run it: all is well, and then one thing after the other is not, by
//! the stations of the check.
//!
//! No systemd runs here, so what answers as `systemctl` is a stand-in: a script that prints what the real one is documented to
//! print. Everything else is real.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

#[path = "../night/mod.rs"]
mod night;

mod archive;
mod checked;
mod influx;
mod machine;
mod nights;
mod programs;
mod schedule;
mod well;
