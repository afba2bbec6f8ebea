//! The options of the programs, in groups: here those that all or most of them have, and beside this those about one thing each.
//! Those that say what one program is to do stand in its door.

mod archive;
mod backup;
mod dump;
mod influx;
mod prune;
mod restore;

pub use archive::{Archive, Cache};
pub use backup::{Sharing, Verify};
pub use dump::{Pages, Reading};
pub use influx::{Influxd, Source, Target};
pub use prune::{Keep, KeepDumps};
pub use restore::{Mode, Prove};

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use url::Url;

use crate::values;

/// What every program understands.
#[derive(Debug, Clone, Args)]
pub struct Common {
    /// Where the archive is.
    #[command(flatten)]
    pub archive: Archive,
    /// How the program behaves.
    #[command(flatten)]
    pub general: General,
}

/// How a program behaves, whatever its job.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "General")]
pub struct General {
    /// Read this configuration instead of /etc/nightshard/nightshard.toml
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Show every setting and where it came from, and do nothing
    ///
    /// Secrets are hidden.
    #[arg(long)]
    pub print_config: bool,
    /// Print the outcome as one JSON document
    #[arg(long)]
    pub json: bool,
    /// Say nothing but warnings and errors
    #[arg(short, long, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more; twice: everything
    #[arg(short, long, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// How to write what is said while running
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub log_format: LogFormat,
    /// Folder for temporary files; needs room for the largest objects in work
    #[arg(long, value_name = "DIR", default_value = "/var/tmp")]
    pub spool: PathBuf,
    /// Bytes that a program's files may take in that folder, such as 20GiB [default: no limit]
    #[arg(long, value_name = "BYTES", value_parser = values::spool_size)]
    pub spool_size: Option<u64>,
    /// Folder of the locks, the same for all programs of a machine
    #[arg(long, value_name = "DIR", default_value = "/run/lock")]
    pub locks: PathBuf,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines: a JSON object a line.
    Json,
}

/// Who is told how a run ended.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Telling others")]
pub struct Telling {
    /// File for Prometheus' node exporter, replaced after each run; {program} in it stands for the program's name
    #[arg(long, value_name = "FILE", value_parser = values::metrics_file)]
    pub metrics: Option<PathBuf>,
    /// POST the outcome there as JSON, whatever it is
    #[arg(long, value_name = "URL", value_parser = values::web_address)]
    pub notify_url: Option<Url>,
    /// Ask for this address after each success: a sign of life for a service that tells when none comes
    #[arg(long, value_name = "URL", value_parser = values::web_address)]
    pub ping_url: Option<Url>,
    /// Run this by sh after each success, with the outcome as JSON on its standard input
    #[arg(long, value_name = "COMMAND")]
    pub on_success: Option<String>,
    /// The same after each failure
    #[arg(long, value_name = "COMMAND")]
    pub on_failure: Option<String>,
}

/// All that several programs understand: the keys that may stand at the top of the configuration file.
#[derive(Debug, Args)]
pub(crate) struct Shared {
    #[command(flatten)]
    _common: Common,
    #[command(flatten)]
    _telling: Telling,
    #[command(flatten)]
    _source: Source,
    #[command(flatten)]
    _target: Target,
}
