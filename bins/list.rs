//! `nightshard-list`: which nights are there, and how do they stand?

use std::process::ExitCode;

use clap::Parser;
use common::{Cache, Common, Context, Dates, Door, Failure, Report};
use jobs::list::{self, Config};
use regex::Regex;

/// List the nights of the archive and how they stand, or show one with everything that is in it
#[derive(Debug, Parser)]
#[command(name = "nightshard-list", version)]
struct List {
    /// One night in detail, or several: YYYY-MM or FROM..TO [default: all]
    ///
    /// A night is today, yesterday, night or YYYY-MM-DD, YYYY-MM-DDTHH with hourly containers.
    #[arg(value_name = "DATE")]
    date: Option<Dates>,
    /// Only nights whose container's name matches, anywhere in it
    #[arg(id = "match", long, value_name = "REGEX")]
    matching: Option<Regex>,
    /// Nights read at once
    #[arg(long, value_name = "N", default_value = "16", value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,
    #[command(flatten)]
    cache: Cache,
    #[command(flatten)]
    common: Common,
}

impl Door for List {
    const EXAMPLES: &'static str = "
  nightshard-list 2016-06-11
      what is in that night: measurements with their points, dumps, objects
  nightshard-list
      all nights, the newest first
  nightshard-list 2016-06 --json | jq '.nights[] | select(.state != \"STATUS_READY\")'
      what is wrong with June
  nightshard-list --match '_before-'
      the backups with such a label";

    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, context: Context) -> Result<Report, Failure> {
        let config = Config {
            calendar: self.common.archive.calendar(),
            detailed: matches!(self.date, Some(Dates::One(_))),
            dates: self.date,
            matching: self.matching,
            parallel: self.jobs.into(),
            cache: self.cache.folder(&self.common.archive, &context.environment),
            interrupt: context.interrupt.clone(),
        };
        let connecting = self.common.archive.connect_to_look(&context);
        let archive = context.interrupt.unless(connecting).await?;
        let outcome = list::run(config, context.now(), archive.store).await?;
        Report::new(&outcome, outcome.summary(), &outcome.failures)
    }
}

fn main() -> ExitCode {
    common::open::<List>()
}
