//! `nightshard-restore`: archive → intermediary InfluxDB.

use std::{path::PathBuf, process::ExitCode, time::Duration};

use clap::Parser;
use common::{Common, Context, Dates, Door, Failure, Influxd, Mode, Prove, Report, Target, Telling};
use jobs::restore::{self, Config, Recovery};

/// Restore a night onto the intermediary InfluxDB, or production itself onto an empty one
///
/// Everything else there stays as it is.
#[derive(Debug, Parser)]
#[command(name = "nightshard-restore", version)]
struct Restore {
    /// today, yesterday, YYYY-MM-DD, YYYY-MM or FROM..TO
    ///
    /// The night, or several, the oldest first. YYYY-MM-DDTHH with hourly containers.
    #[arg(long, value_name = "DATE", default_value = "yesterday")]
    date: Dates,
    /// A database; repeat it for several [default: all of the night]
    #[arg(long, value_name = "NAME")]
    database: Vec<String>,
    /// Another name for the database, beside what is there
    ///
    /// For the night's only one, or the one that is named.
    #[arg(long, value_name = "NAME", conflicts_with = "disaster_recovery")]
    new_database: Option<String>,
    /// offline (on its machine) or online (from anywhere)
    ///
    /// offline stops the target and exchanges its files, on its own machine; online sends the night to its snapshot service
    /// while it runs, from anywhere.
    #[arg(long, value_name = "WAY", default_value = "offline", hide_possible_values = true)]
    mode: Mode,
    /// Wait so long for the night's backup, such as 6h
    #[arg(long, value_name = "DURATION", value_parser = common::duration)]
    wait: Option<Duration>,
    /// This target is an intermediary, and may lose these databases
    ///
    /// Although it was never restored by us, or is a twin of the source.
    #[arg(long)]
    first_restore: bool,
    /// The worst day: bring production back
    ///
    /// With users, durations and continuous queries, onto an InfluxDB without these databases.
    #[arg(long, conflicts_with_all = ["first_restore", "drop_first"])]
    disaster_recovery: bool,
    /// Then also what will expire within 24 hours
    ///
    /// Bring back also what retention policies will remove so soon.
    #[arg(long, requires = "disaster_recovery", hide_short_help = true)]
    accept_expiry: bool,
    /// Count afterwards: all, sample or none
    ///
    /// Per measurement and field.
    #[arg(long, value_name = "EXTENT", default_value = "all", hide_possible_values = true)]
    prove: Prove,
    /// Restore nothing: count what the target holds of the night
    ///
    /// And compare it with what was backed up.
    #[arg(long, conflicts_with_all = ["first_restore", "disaster_recovery", "drop_first"])]
    prove_only: bool,
    /// Run this after each night, such as nightshard-dump
    ///
    /// By sh, with NIGHTSHARD_DATE set to its day.
    #[arg(long, value_name = "COMMAND")]
    then: Option<String>,
    /// Delete the old databases before the new ones are unpacked
    ///
    /// On disks that cannot hold both; with --mode online before the night is downloaded, for spools that cannot hold it.
    #[arg(long)]
    drop_first: bool,
    /// Shards at once
    #[arg(long, value_name = "N", default_value = "4", value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,
    /// Folder to make at the end, for dumps
    #[arg(long, hide_short_help = true, value_name = "DIR")]
    dump_dir: Option<PathBuf>,
    #[command(flatten)]
    influxd: Influxd,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    telling: Telling,
    #[command(flatten)]
    common: Common,
}

impl Door for Restore {
    const FAREWELL: Duration = Duration::from_secs(20 * 60); // a stopped target is brought up again first
    const EXAMPLES: &'static str = "
  nightshard-restore --date yesterday --wait 6h
      what a timer runs: as soon as the backup is sealed
  nightshard-restore --date 2016-06-11 --first-restore
      the first time onto a server that already holds these databases: it loses them
  nightshard-restore --date 2016-06-11..2016-06-13 --then nightshard-dump
      after days off: each night in turn, and its dumps
  nightshard-restore --mode online --target http://influx2:8086 --target-snapshot-addr influx2:8088
      onto another machine's InfluxDB, which goes on running
  nightshard-restore --disaster-recovery --date 2016-06-11
      production was lost and influxd is started empty: see docs/disaster-recovery.md";

    fn common(&self) -> &Common {
        &self.common
    }

    fn telling(&self) -> Option<&Telling> {
        Some(&self.telling)
    }

    async fn run(self, context: Context) -> Result<Report, Failure> {
        let influx = self.target.connect()?;
        let archive = context.interrupt.unless(self.common.archive.connect(&context)).await?;
        let now = context.now();
        let config = Config {
            place: context.place,
            calendar: self.common.archive.calendar(),
            date: self.date,
            then: self.then,
            databases: self.database,
            new_database: self.new_database,
            mode: self.mode.into(),
            wait: self.wait,
            first_restore: self.first_restore,
            prove: self.prove.into(),
            recovery: self.disaster_recovery.then_some(Recovery { accept_expiry: self.accept_expiry }),
            drop_first: self.drop_first,
            parallel: self.jobs.into(),
            directories: self.influxd.directories(),
            stop_command: self.influxd.stop_command,
            start_command: self.influxd.start_command,
            start_timeout: self.influxd.start_timeout,
            dump_directory: self.dump_dir,
            interrupt: context.interrupt,
        };
        let (store, progress) = (archive.store, context.progress);
        if self.prove_only {
            let proved = restore::prove_only(config, now, store, influx, progress).await?;
            let report = Report::new(&proved, proved.summary(), proved.failures())?.measured(proved.metrics());
            return Ok(report.of_damage());
        }
        let outcome = restore::run(config, now, store, influx, progress).await?;
        Ok(Report::new(&outcome, outcome.summary(), outcome.failures())?.measured(outcome.metrics()))
    }
}

fn main() -> ExitCode {
    common::open::<Restore>()
}
