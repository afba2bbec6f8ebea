//! Dumps from a real InfluxDB into a folder, judged by what separate queries say.

#![allow(clippy::unwrap_used, reason = "a test may fail; clippy.toml does not reach its helper functions")]

mod bench;
mod clocks;
mod deposit;
mod faults;
mod formats;
mod impostor;
mod interruption;
mod late;
mod names;
mod nights;
mod open;
mod patterns;
mod points;
mod refusals;
mod rest;
mod room;
mod selection;
mod shards;
mod together;
mod windows;
mod writes;
