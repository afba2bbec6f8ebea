//! The options of the programs, in groups. Those that say what one program is to do stand in its door.

use std::path::PathBuf;
use std::time::Duration;

use archive::{Calendar, ContainerPattern, DumpName, Label};
use chrono::NaiveTime;
use chrono_tz::Tz;
use clap::builder::ArgPredicate;
use clap::{Args, ValueEnum};
use jobs::dump::{Compression, Format};
use jobs::restore::Directories;
use url::Url;

use crate::environment::Environment;
use crate::values::{self, ArchiveUrl, Secret};

/// Where the packages of InfluxDB put its configuration.
const DEFAULT_INFLUX_CONFIG: &str = "/etc/influxdb/influxdb.conf";

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

/// Where the archive is and how its nights are named.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Archive")]
pub struct Archive {
    /// swift: or a folder, file:///PATH
    ///
    /// Swift takes its credentials from OS_CLOUD, OS_* or ST_*, as its own tools do.
    #[arg(long, value_name = "URL")]
    pub archive: Option<ArchiveUrl>,
    /// Time zone in which days begin and end [default: this machine's]
    #[arg(long, value_name = "ZONE", value_parser = values::time_zone)]
    pub timezone: Tz,
    /// Name of a night's container, with strftime fields
    ///
    /// With the hour (%Y-%m-%dT%H%z) there is one each hour.
    #[arg(long, value_name = "PATTERN", default_value_t)]
    pub container: ContainerPattern,
    /// The backup of that day with this label
    ///
    /// Its container carries it: 2016-06-11_NAME.
    #[arg(long, value_name = "NAME")]
    pub label: Option<Label>,
    /// Local time until which `--date night` means the day before
    #[arg(long, value_name = "HH:MM", default_value = "12:00", value_parser = values::time_of_day)]
    pub night_ends: NaiveTime,
    /// Bytes a second to the archive and from it at most, such as 20MiB [default: no limit]
    #[arg(long, value_name = "BYTES", value_parser = values::rate)]
    pub limit_rate: Option<u64>,
    /// Swift: objects above this are stored in segments
    #[arg(long, value_name = "BYTES", default_value = "1GiB", value_parser = values::bytes)]
    pub segment_size: u64,
    /// Swift: the container of the segments
    #[arg(long, value_name = "NAME", default_value = "nightshard-segments")]
    pub segments_container: String,
    /// Container of what nights have in common
    #[arg(long, value_name = "NAME", default_value = archive::pool::DEFAULT_CONTAINER)]
    pub pool_container: String,
    /// Swift: how often a call is tried before it counts as failed
    #[arg(long, value_name = "N", default_value_t = 6, value_parser = clap::value_parser!(u32).range(1..))]
    pub tries: u32,
}

impl Archive {
    /// How days become containers.
    #[must_use]
    pub fn calendar(&self) -> Calendar {
        let pattern = self.container.clone().labelled(self.label.clone());
        Calendar { time_zone: self.timezone, night_ends: self.night_ends, pattern }
    }
}

/// What a program that only reads keeps of the archive.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Archive")]
pub struct Cache {
    /// Folder in which documents of a Swift are kept for the next time [default: nightshard in the user's cache folder]
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// Read everything again, and keep nothing
    #[arg(long, conflicts_with = "cache")]
    pub no_cache: bool,
}

impl Cache {
    /// The folder, where something is to be kept: a folder archive is as near as the cache would be.
    #[must_use]
    pub fn folder(&self, archive: &Archive, environment: &Environment) -> Option<PathBuf> {
        if self.no_cache || archive.archive != Some(ArchiveUrl::Swift) {
            return None;
        }
        let of_service = || environment.get("CACHE_DIRECTORY")?.split(':').next().map(PathBuf::from);
        let of_user = || match environment.get("XDG_CACHE_HOME") {
            Some(folder) => Some(PathBuf::from(folder)),
            None => environment.get("HOME").map(|home| PathBuf::from(home).join(".cache")),
        };
        // A relative one would be another in each folder.
        let of_user = || of_user().filter(|folder| folder.is_absolute());
        self.cache.clone().or_else(of_service).or_else(|| Some(of_user()?.join("nightshard")))
    }
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

/// The InfluxDB that is backed up.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "InfluxDB to read")]
pub struct Source {
    /// HTTP interface of the InfluxDB to read
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8086", value_parser = values::influx_url)]
    pub source: Url,
    /// Its snapshot service
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8088", value_parser = values::host_and_port)]
    pub snapshot_addr: String,
    /// Its user
    #[arg(long, hide = true)]
    pub source_user: Option<String>,
    /// The user's password
    #[arg(long, hide = true)]
    pub source_password: Option<Secret>,
    /// File with the user's password (the user is NIGHTSHARD_SOURCE_USER)
    #[arg(long, value_name = "FILE")]
    pub source_password_file: Option<PathBuf>,
    /// Certificates to trust besides the system's
    #[arg(long, value_name = "FILE")]
    pub source_ca_certificate: Option<PathBuf>,
    /// Take any certificate
    #[arg(long, value_name = "BOOL", default_value = "false", action = clap::ArgAction::Set)]
    pub source_insecure: bool,
}

/// The intermediary InfluxDB.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Intermediary InfluxDB")]
pub struct Target {
    /// HTTP interface of the intermediary InfluxDB
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8086", value_parser = values::influx_url)]
    pub target: Url,
    /// Its snapshot service
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:8088", value_parser = values::host_and_port)]
    pub target_snapshot_addr: String,
    /// Its user
    #[arg(long, hide = true)]
    pub target_user: Option<String>,
    /// The user's password
    #[arg(long, hide = true)]
    pub target_password: Option<Secret>,
    /// File with the user's password (the user is NIGHTSHARD_TARGET_USER)
    #[arg(long, value_name = "FILE")]
    pub target_password_file: Option<PathBuf>,
    /// Certificates to trust besides the system's
    #[arg(long, value_name = "FILE")]
    pub target_ca_certificate: Option<PathBuf>,
    /// Take any certificate
    #[arg(long, value_name = "BOOL", default_value = "false", action = clap::ArgAction::Set)]
    pub target_insecure: bool,
}

/// The program of the intermediary, for a restore that stops it and writes into its folders.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "influxd on this machine")]
pub struct Influxd {
    /// Its configuration, which names its folders [default: influxd is asked, or /etc/influxdb/influxdb.conf]
    #[arg(long, value_name = "FILE")]
    pub influx_config: Option<PathBuf>,
    /// Its metastore [default: influxd is asked]
    #[arg(long, value_name = "DIR")]
    pub meta_dir: Option<PathBuf>,
    /// Its shards [default: influxd is asked]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Its write-ahead log [default: influxd is asked]
    #[arg(long, value_name = "DIR")]
    pub wal_dir: Option<PathBuf>,
    /// Stops it
    #[arg(long, value_name = "COMMAND", default_value = "systemctl stop influxdb")]
    pub stop_command: String,
    /// Starts it
    #[arg(long, value_name = "COMMAND", default_value = "systemctl start influxdb")]
    pub start_command: String,
    /// How long it may take to stop, and to answer after its start
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = values::duration)]
    pub start_timeout: Duration,
}

impl Influxd {
    /// Where its files are, as far as that is said.
    #[must_use]
    pub fn directories(&self) -> Directories {
        Directories {
            influx_config: self.influx_config.clone(),
            meta: self.meta_dir.clone(),
            data: self.data_dir.clone(),
            wal: self.wal_dir.clone(),
            default_influx_config: Some(DEFAULT_INFLUX_CONFIG.into()),
        }
    }
}

/// By which way a restore goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// By the target's files, while it is stopped.
    Offline,
    /// By its snapshot service, while it runs.
    Online,
}

impl From<Mode> for jobs::restore::Mode {
    fn from(mode: Mode) -> jobs::restore::Mode {
        match mode {
            Mode::Offline => jobs::restore::Mode::Offline,
            Mode::Online => jobs::restore::Mode::Online,
        }
    }
}

/// How much a restore counts afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Prove {
    /// Every point.
    All,
    /// The newest day of each retention policy, and one in ten others.
    Sample,
    /// Nothing.
    None,
}

impl From<Prove> for jobs::restore::Prove {
    fn from(prove: Prove) -> jobs::restore::Prove {
        match prove {
            Prove::All => jobs::restore::Prove::All,
            Prove::Sample => jobs::restore::Prove::Sample,
            Prove::None => jobs::restore::Prove::None,
        }
    }
}

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

/// Which nights stay: each rule keeps some, and a night leaves that none of them keeps.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Rules; without one all nights stay")]
pub struct Keep {
    /// So many of the newest nights
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub keep_last: u32,
    /// The newest night of so many hours
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub keep_hourly: u32,
    /// The newest night of so many days, not counting days without one
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub keep_daily: u32,
    /// The same of weeks
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub keep_weekly: u32,
    /// The same of months
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub keep_monthly: u32,
    /// The same of years
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub keep_yearly: u32,
    /// All nights no older than so long before the newest, such as 30days
    #[arg(long, value_name = "DURATION", value_parser = values::span)]
    pub keep_within: Option<chrono::TimeDelta>,
}

/// Which dumps stay when `--dumps` is given.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Rules for dumps")]
pub struct KeepDumps {
    /// The dumps of so many of the newest nights that have some
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    pub keep_dumps_last: u32,
    /// The dumps of so many days
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, hide_short_help = true)]
    pub keep_dumps_daily: u32,
    /// The same of weeks
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, hide_short_help = true)]
    pub keep_dumps_weekly: u32,
    /// The same of months
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, hide_short_help = true)]
    pub keep_dumps_monthly: u32,
    /// The same of years
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, hide_short_help = true)]
    pub keep_dumps_yearly: u32,
    /// All that are no older than so long before the newest
    #[arg(long, value_name = "DURATION", value_parser = values::span, hide_short_help = true)]
    pub keep_dumps_within: Option<chrono::TimeDelta>,
}

impl From<&Keep> for jobs::prune::Policy {
    fn from(keep: &Keep) -> jobs::prune::Policy {
        jobs::prune::Policy {
            last: keep.keep_last,
            hourly: keep.keep_hourly,
            daily: keep.keep_daily,
            weekly: keep.keep_weekly,
            monthly: keep.keep_monthly,
            yearly: keep.keep_yearly,
            within: keep.keep_within,
        }
    }
}

impl From<&KeepDumps> for jobs::prune::Policy {
    fn from(keep: &KeepDumps) -> jobs::prune::Policy {
        jobs::prune::Policy {
            last: keep.keep_dumps_last,
            hourly: 0,
            daily: keep.keep_dumps_daily,
            weekly: keep.keep_dumps_weekly,
            monthly: keep.keep_dumps_monthly,
            yearly: keep.keep_dumps_yearly,
            within: keep.keep_dumps_within,
        }
    }
}

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
