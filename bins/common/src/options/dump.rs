//! Where a dump is read, how it is written, and what becomes of it.

use std::path::PathBuf;

use archive::DumpName;
use clap::builder::ArgPredicate;
use clap::{Args, ValueEnum};
use jobs::dump::{Compression, Format};

use crate::values;

/// Where a dump is read, and what becomes of it.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Reading and writing")]
pub struct Pages {
    /// Where to read [default: backup, or influx with --target]
    ///
    /// The backup itself, or an InfluxDB in which it was restored. The latter where --target is set.
    #[arg(
        long,
        value_name = "PLACE",
        default_value = "backup",
        default_value_if("target", ArgPredicate::IsPresent, "influx"),
        hide_default_value = true
    )]
    pub from: Reading,
    /// Folder for a local copy
    #[arg(long, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Store nothing in the archive; then none is needed
    #[arg(long)]
    pub no_upload: bool,
    /// How the files' names begin
    ///
    /// With {database}, {retention_policy} and {measurement}; the day follows.
    #[arg(long, value_name = "PATTERN", default_value_t)]
    pub name: DumpName,
    /// json pages, ndjson or csv
    #[arg(long, value_name = "FORMAT", default_value = "json", hide_possible_values = true)]
    pub format: DumpFormat,
    /// Compress each dump as a whole
    #[arg(long, value_name = "KIND")]
    pub compress: Option<Packing>,
    /// Records on a page, with --format json
    #[arg(long, value_name = "N", default_value = "1000", value_parser = clap::value_parser!(u32).range(1..))]
    pub page_size: u32,
    /// Memory for sorting
    ///
    /// What does not fit goes through the spool.
    #[arg(long, hide_short_help = true, value_name = "BYTES", default_value = "48MiB", value_parser = values::bytes)]
    pub buffer: u64,
}

/// What can be dumped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Reading {
    /// The shards of the night in the archive; no InfluxDB is needed.
    Backup,
    /// The intermediary InfluxDB, in which a restore has loaded the night.
    Influx,
}

/// How the records of a dump are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DumpFormat {
    /// Pages: each line an array of records.
    Json,
    /// Each line a record.
    Ndjson,
    /// A header and rows, RFC 4180.
    Csv,
}

impl From<DumpFormat> for Format {
    fn from(format: DumpFormat) -> Format {
        match format {
            DumpFormat::Json => Format::Json,
            DumpFormat::Ndjson => Format::Ndjson,
            DumpFormat::Csv => Format::Csv,
        }
    }
}

/// How a dump is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Packing {
    /// Everyone can read it.
    Gzip,
    /// Smaller and quicker.
    Zstd,
}

impl From<Packing> for Compression {
    fn from(packing: Packing) -> Compression {
        match packing {
            Packing::Gzip => Compression::Gzip,
            Packing::Zstd => Compression::Zstd,
        }
    }
}
