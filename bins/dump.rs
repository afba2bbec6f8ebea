//! `nightshard-dump`: measurements of a day → JSON pages → archive.

use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use common::{Common, Context, Dates, Door, Failure, Pages, Reading, Report, Target, Telling};
use jobs::dump::{self, Config};

/// What to do where no measurement is named: not a matter of the options alone, since one may make others superfluous.
const MISSING: &str =
    "give MEASUREMENT or --all, set NIGHTSHARD_MEASUREMENT, or write measurement = … into the configuration file";

/// Dump measurements of a day as pages of JSON: sorted, exact, stored beside the backup, and sealed
#[derive(Debug, Parser)]
#[command(name = "nightshard-dump", version)]
struct Dump {
    /// The measurements, with * and ? for any text and character
    ///
    /// They may also stand in the configuration.
    measurement: Vec<String>,
    /// All measurements of the retention policy
    #[arg(long)]
    all: bool,
    /// today, yesterday, YYYY-MM-DD, YYYY-MM or FROM..TO
    ///
    /// The day, or several. An hour of it as YYYY-MM-DDTHH with hourly containers.
    #[arg(long, value_name = "DATE", default_value = "yesterday")]
    date: Dates,
    /// Their database [default: the night's only one]
    #[arg(long, value_name = "NAME")]
    database: Option<String>,
    /// Their retention policy [default: the default one]
    #[arg(long, value_name = "NAME")]
    retention_policy: Option<String>,
    /// Dumps at once; each takes a share of the buffer
    #[arg(long, value_name = "N", default_value = "4", value_parser = clap::value_parser!(u16).range(1..=6))]
    jobs: u16,
    /// Wait so long for backup and restore of the night, such as 6h
    #[arg(long, value_name = "DURATION", value_parser = common::duration)]
    wait: Option<Duration>,
    #[command(flatten)]
    pages: Pages,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    telling: Telling,
    #[command(flatten)]
    common: Common,
}

impl Door for Dump {
    const EXAMPLES: &'static str = "
  nightshard-dump Aggregated_metrics --date yesterday --wait 6h
      what a timer runs: as soon as the night is restored
  nightshard-dump cpu mem --no-upload --output . --target http://influx:8086 --date 2016-06-11
      files here, from any InfluxDB, without an archive";

    fn common(&self) -> &Common {
        &self.common
    }

    fn telling(&self) -> Option<&Telling> {
        Some(&self.telling)
    }

    async fn run(self, context: Context) -> Result<Report, Failure> {
        if self.measurement.is_empty() && !self.all {
            return Err(Failure::usage("no measurement is named", MISSING));
        }
        let reading = match self.pages.from {
            Reading::Backup => dump::Reading::Backup,
            Reading::Influx => dump::Reading::Influx(Box::new(self.target.connect()?)),
        };
        let store = match self.pages.no_upload && self.common.archive.archive.is_none() {
            true => None,
            false => Some(self.common.archive.connect(&context).await?.store),
        };
        let now = context.now();
        let config = Config {
            place: context.place,
            calendar: self.common.archive.calendar(),
            date: self.date,
            measurements: if self.all { vec!["*".to_owned()] } else { self.measurement },
            database: self.database,
            retention_policy: self.retention_policy,
            name: self.pages.name,
            parallel: self.jobs.into(),
            wait: self.wait,
            format: self.pages.format.into(),
            compression: self.pages.compress.map(Into::into),
            page_size: self.pages.page_size as usize,
            output: self.pages.output,
            upload: !self.pages.no_upload,
            buffer_bytes: usize::try_from(self.pages.buffer).unwrap_or(usize::MAX),
            interrupt: context.interrupt,
        };
        let outcome = dump::run(config, now, store, reading, context.progress).await?;
        Ok(Report::new(&outcome, outcome.summary(), outcome.failures())?.measured(outcome.metrics()))
    }
}

fn main() -> ExitCode {
    common::open::<Dump>()
}
