//! `nightshard-backup`: InfluxDB → archive.

use std::process::ExitCode;

use clap::Parser;
use common::{Common, Context, Date, Door, Failure, Report, Sharing, Source, Telling, Verify};
use jobs::backup::{self, Config};

/// Back up InfluxDB 1.x: every shard and the metastore, stored, checked, and sealed with a manifest
#[derive(Debug, Parser)]
#[command(name = "nightshard-backup", version)]
struct Backup {
    /// A database; repeat it for several [default: all but _internal]
    #[arg(long, value_name = "NAME")]
    database: Vec<String>,
    /// today, yesterday, night or YYYY-MM-DD
    ///
    /// The night to fill. What night is, --night-ends says; YYYY-MM-DDTHH with hourly containers.
    #[arg(long, value_name = "DATE", default_value = "today")]
    date: Date,
    /// Take a night that this source has sealed already for success
    #[arg(long)]
    if_missing: bool,
    /// Take a night again that this source has sealed already
    ///
    /// Only if each of its databases has another good night.
    #[arg(long, conflicts_with = "if_missing")]
    replace: bool,
    /// How closely to look into shards before they are stored
    #[arg(long, value_name = "EXTENT", default_value = "checksums")]
    verify: Verify,
    /// Shards at once
    #[arg(long, value_name = "N", default_value = "4", value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,
    #[command(flatten)]
    sharing: Sharing,
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    telling: Telling,
    #[command(flatten)]
    common: Common,
}

impl Door for Backup {
    const EXAMPLES: &'static str = "
  nightshard-backup --archive file:///srv/backup
      every database into tonight's folder
  nightshard-backup --database sensu_db --date night --if-missing
      what a timer runs: caught up in the morning, it still fills last night
  nightshard-backup --label before-upgrade
      one more backup of today, beside the night's
  nightshard-backup --print-config
      what would be done, and where each setting comes from";

    fn common(&self) -> &Common {
        &self.common
    }

    fn telling(&self) -> Option<&Telling> {
        Some(&self.telling)
    }

    async fn run(self, context: Context) -> Result<Report, Failure> {
        let influx = self.source.connect()?;
        let archive = self.common.archive.connect(&context).await?;
        let now = context.now();
        let config = Config {
            place: context.place,
            calendar: self.common.archive.calendar(),
            date: self.date,
            databases: self.database,
            if_missing: self.if_missing,
            replace: self.replace,
            verify: self.verify.into(),
            shared: self.sharing.shared(&self.common.archive),
            parallel: self.jobs.into(),
            token_expiry: archive.token_expiry,
            interrupt: context.interrupt,
        };
        let outcome = backup::run(config, now, archive.store, influx, context.progress).await?;
        Ok(Report::new(&outcome, outcome.summary(), &[])?.measured(outcome.metrics()))
    }
}

fn main() -> ExitCode {
    common::open::<Backup>()
}
