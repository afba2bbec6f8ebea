//! `nightshard-fetch`: archive → local folder, or a pipe.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use common::{ArchiveUrl, Common, Context, Dates, Door, Failure, Report};
use jobs::fetch::{self, Config, Destination, Purpose, Wanted};
use regex::Regex;

/// Fetch nights, or the dumps of many nights, from the archive: each file checked against its seal
#[derive(Debug, Parser)]
#[command(name = "nightshard-fetch", version)]
struct Fetch {
    /// The backups alone [default: backups and dumps]
    ///
    /// Shards, metastore and their seal.
    #[arg(long, conflicts_with_all = ["flat", "stdout"])]
    shards: bool,
    /// The dumps and their seals
    #[arg(long)]
    dumps: bool,
    /// Dumps of this measurement only, with * and ?; repeat it for several
    #[arg(long, value_name = "NAME")]
    measurement: Vec<String>,
    /// YYYY-MM-DD, YYYY-MM, FROM..TO [default: yesterday, or all that --match]
    ///
    /// Also today, yesterday, night, and YYYY-MM-DDTHH with hourly containers.
    #[arg(long, value_name = "DATE")]
    date: Option<Dates>,
    /// Nights whose container's name matches, anywhere in it
    #[arg(id = "match", long, value_name = "REGEX")]
    matching: Option<Regex>,
    /// Folder in which each night gets a folder, as with swift download
    #[arg(long, value_name = "DIR", default_value = ".", conflicts_with_all = ["flat", "stdout"])]
    output: PathBuf,
    /// Folder for the dumps of all nights together, without their seals
    #[arg(long, value_name = "DIR", conflicts_with = "stdout")]
    flat: Option<PathBuf>,
    /// Write the dumps to stdout, by day and name, decompressed
    #[arg(long, conflicts_with_all = ["json", "force", "dry_run"])]
    stdout: bool,
    /// Replace files that are other ones than those of the archive
    #[arg(long)]
    force: bool,
    /// Say what would be fetched, and fetch nothing
    #[arg(long)]
    dry_run: bool,
    /// Print how plain swift fetches the same, and fetch nothing
    #[arg(long, conflicts_with_all = ["force", "dry_run"])]
    print_swift_commands: bool,
    /// Files at once
    #[arg(long, value_name = "N", default_value = "8", value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,
    #[command(flatten)]
    common: Common,
}

impl Fetch {
    fn purpose(&self) -> Purpose {
        match (self.dry_run, self.print_swift_commands) {
            (true, _) => Purpose::DryRun,
            (_, true) => Purpose::Commands,
            _ => Purpose::Fetch,
        }
    }

    fn destination(&self) -> Destination {
        match &self.flat {
            _ if self.stdout => Destination::Stream,
            Some(folder) => Destination::Flat(folder.clone()),
            None => Destination::Folder(self.output.clone()),
        }
    }
}

impl Door for Fetch {
    const EXAMPLES: &'static str = "
  nightshard-fetch --dumps --date 2016-06 --output dump_files
      all dumps of June, each night in a folder of its own
  nightshard-fetch --measurement cpu --date 2016-06 --flat cpu
      those of one measurement, together in one folder
  nightshard-fetch --dumps --date 2016-06 --stdout | jq -c '.[] | select(.load > 8)'
      straight into a pipe, with no files
  nightshard-fetch --date 2016-06-11
      a whole night, for nightshard-verify 2016-06-11 or a restore by hand";

    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, context: Context) -> Result<Report, Failure> {
        let is_swift = matches!(self.common.archive.archive, Some(ArchiveUrl::Swift) | None);
        if self.print_swift_commands && !is_swift {
            let hint = "copy what --dry-run names with cp";
            return Err(Failure::usage("the archive is a folder, which swift does not know", hint));
        }
        let is_data = self.stdout && !self.print_swift_commands;
        let (purpose, destination) = (self.purpose(), self.destination());
        let only_dumps = self.dumps || !matches!(destination, Destination::Folder(_));
        let config = Config {
            place: context.place.clone(),
            calendar: self.common.archive.calendar(),
            dates: self.date,
            matching: self.matching,
            wanted: Wanted::new(self.shards, only_dumps, self.measurement),
            destination,
            force: self.force,
            purpose,
            parallel: self.jobs.into(),
            interrupt: context.interrupt.clone(),
        };
        let connecting = self.common.archive.connect_to_look(&context);
        let archive = context.interrupt.unless(connecting).await?;
        let outcome = fetch::run(config, context.now(), archive.store, common::stream(), context.progress).await?;
        let report = Report::new(&outcome, outcome.summary(), &outcome.failures)?.measured(outcome.metrics());
        let report = if is_data { report.beside_data() } else { report };
        Ok(if outcome.is_damaged() { report.of_damage() } else { report })
    }
}

fn main() -> ExitCode {
    common::open::<Fetch>()
}
