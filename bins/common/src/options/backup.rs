//! How closely a backup looks, and what nights share.

use std::time::Duration;

use clap::{Args, ValueEnum};

use super::Archive;
use crate::values;

/// How thoroughly a backup looks into shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Verify {
    /// Not at all: the manifest will not tell what is in them.
    Off,
    /// The structure of every TSM file, and the checksum of every block.
    Checksums,
    /// Every block is decoded too.
    Decode,
}

impl From<Verify> for jobs::backup::Verify {
    fn from(verify: Verify) -> jobs::backup::Verify {
        match verify {
            Verify::Off => jobs::backup::Verify::Off,
            Verify::Checksums => jobs::backup::Verify::Checksums,
            Verify::Decode => jobs::backup::Verify::Decode,
        }
    }
}

/// How nights share what they have in common.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Sharing")]
pub struct Sharing {
    /// Store what nights have in common once, where the archive can do that
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    pub dedup: Dedup,
    /// Read a shard every so many nights, although nothing in it has changed; 1: every night
    #[arg(long, hide_short_help = true, value_name = "N", default_value = "7", value_parser = clap::value_parser!(u32).range(1..=366))]
    pub read_every: u32,
    /// How long the pool keeps what no night needs any more; decides when the pool is made
    #[arg(long, hide_short_help = true, value_name = "DURATION", default_value = "7days", value_parser = values::grace)]
    pub grace: Duration,
}

/// Whether nights share what they have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Dedup {
    /// Where the archive can do that; else it is said, and each night is stored with bytes of its own.
    Auto,
    /// Never.
    Off,
}

impl Sharing {
    /// The same for the job; `None` where each night has bytes of its own.
    #[must_use]
    pub fn shared(&self, archive: &Archive) -> Option<jobs::backup::Shared> {
        (self.dedup == Dedup::Auto).then(|| jobs::backup::Shared {
            pool: archive.pool_container.clone(),
            grace: chrono::TimeDelta::from_std(self.grace).unwrap_or(archive::pool::DEFAULT_GRACE),
            read_every: self.read_every,
        })
    }
}
