//! The InfluxDB that is read, the one that is restored to, and the program of the latter.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use jobs::restore::Directories;
use url::Url;

use crate::values::{self, Secret};

/// Where the packages of InfluxDB put its configuration.
const DEFAULT_INFLUX_CONFIG: &str = "/etc/influxdb/influxdb.conf";

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
