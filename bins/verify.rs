//! `nightshard-verify`: is what was stored whole, and can it be read?

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use common::{Common, Context, Date, Dates, Door, Failure, Report, Sample, Telling};
use jobs::verify::{self, Adopting, Config, Extent, Which};

/// Verify stored nights: every object that their seals name is there, as it was, and can be read
#[derive(Debug, Parser)]
#[command(name = "nightshard-verify", version)]
struct Verify {
    /// A folder instead of the archive
    ///
    /// A night that was downloaded, or what influxd backup wrote.
    #[arg(value_name = "PATH", conflicts_with_all = ["all", "date"])]
    folder: Option<PathBuf>,
    /// today, yesterday, night, YYYY-MM-DD, YYYY-MM or FROM..TO
    ///
    /// The night, or several. YYYY-MM-DDTHH with hourly containers.
    #[arg(long, value_name = "DATE", default_value = "yesterday")]
    date: Dates,
    /// All nights that are sealed; with --label those that carry it
    #[arg(long, conflicts_with = "date")]
    all: bool,
    /// Give a night its seal that influxd backup and an upload have stored
    ///
    /// Every byte is read, and looked into as with --deep, whatever --sample says. Then the night is as any other.
    #[arg(long, value_name = "DATE", conflicts_with_all = ["folder", "date", "all", "quick", "undelete"])]
    adopt: Option<Date>,
    /// With --adopt: a night that lacks shards, too
    ///
    /// Its seal names those which the metastore knows and which are not there.
    #[arg(long, requires = "adopt", hide_short_help = true)]
    incomplete: bool,
    /// Look at another part of the objects each day, such as 1/7
    ///
    /// After seven days in a row all have had their turn.
    #[arg(long, value_name = "PART")]
    sample: Option<Sample>,
    /// Read nothing: ask for each object whether it is there
    ///
    /// And for its length, and its MD5 where the store tells that.
    #[arg(long, conflicts_with_all = ["deep", "decode"])]
    quick: bool,
    /// Look into the shards as well, down to each block's checksum
    ///
    /// Tars, TSM files, and the checksum of every block.
    #[arg(long)]
    deep: bool,
    /// The same, and decode every block
    #[arg(long)]
    decode: bool,
    /// First bring back what nights share, where it was deleted
    ///
    /// A Swift keeps what is deleted in the pool until a prune destroys it. A folder keeps nothing; there names that a night
    /// has lost are made again.
    #[arg(long, conflicts_with = "folder")]
    undelete: bool,
    /// Do not write down beside the seal that the night was verified
    #[arg(long)]
    no_record: bool,
    /// Objects at once
    #[arg(long, value_name = "N", default_value = "4", value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,
    #[command(flatten)]
    telling: Telling,
    #[command(flatten)]
    common: Common,
}

impl Verify {
    /// How closely it is looked: at every byte, unless something else is asked for.
    fn extent(&self) -> Extent {
        match (self.quick, self.deep, self.decode) {
            (true, ..) => Extent::Quick,
            (_, _, true) => Extent::Decode,
            (_, true, _) => Extent::Deep,
            _ => Extent::Digests,
        }
    }
}

impl Door for Verify {
    const EXAMPLES: &'static str = "
  nightshard-verify --date yesterday
      every byte of the night, against its digests
  nightshard-verify --all --deep --sample 1/7
      what a timer runs: each night a seventh of everything, down to the blocks of the TSM files
  nightshard-verify --all --quick
      is everything still there? nothing is read
  nightshard-verify --date 2016-06-11 --undelete
      bring back what was deleted of the pool and this night needs, and verify it again
  nightshard-verify ./2016-06-11
      what swift download brought, or a folder that influxd backup wrote
  nightshard-verify --adopt 2016-06-11
      a night of the scripts that were there before, from now on one as any other";

    fn common(&self) -> &Common {
        &self.common
    }

    fn telling(&self) -> Option<&Telling> {
        Some(&self.telling)
    }

    async fn run(self, context: Context) -> Result<Report, Failure> {
        let config = Config {
            place: context.place.clone(),
            calendar: self.common.archive.calendar(),
            nights: if self.all { Which::All } else { Which::Dates(self.date) },
            extent: self.extent(),
            sample: self.sample,
            record: !self.no_record,
            undelete: self.undelete,
            parallel: self.jobs.into(),
            interrupt: context.interrupt.clone(),
        };
        let outcome = match &self.folder {
            Some(folder) => verify::folder(config, folder, context.now(), context.progress).await?,
            None => {
                let connecting = self.common.archive.connect(&context);
                let store = context.interrupt.unless(connecting).await?.store;
                match self.adopt {
                    Some(date) => {
                        let adopting = Adopting { date, incomplete: self.incomplete };
                        verify::adopt(config, adopting, context.now(), store, context.progress).await?
                    }
                    None => verify::run(config, context.now(), store, context.progress).await?,
                }
            }
        };
        let report = Report::new(&outcome, outcome.summary(), &outcome.failures)?.measured(outcome.metrics());
        Ok(if outcome.is_damaged() { report.of_damage() } else { report })
    }
}

fn main() -> ExitCode {
    common::open::<Verify>()
}
