//! `nightshard-list`: which nights are there, how do they stand, and which are to be kept?

use std::process::ExitCode;

use clap::Parser;
use common::{Cache, Common, Context, Date, Dates, Door, Failure, Reason, Report};
use jobs::list::{self, Config, Pinning};
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
    /// Pin this night: it is kept when others of its age are removed
    ///
    /// Only one that is ready. Pinned once more it has another reason. No file and no environment pins or unpins.
    #[arg(long, value_name = "DATE", conflicts_with_all = ["date", "match"])]
    pin: Option<Date>,
    /// Why it is pinned, for whoever meets the pin in a year
    #[arg(long, value_name = "TEXT", requires = "pin")]
    reason: Option<Reason>,
    /// Take the pin away from this night
    #[arg(long, value_name = "DATE", conflicts_with_all = ["date", "match", "pin", "reason"])]
    unpin: Option<Date>,
    /// Nights read at once
    #[arg(long, value_name = "N", default_value = "16", value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,
    #[command(flatten)]
    cache: Cache,
    #[command(flatten)]
    common: Common,
}

impl List {
    fn listing(self, context: &Context) -> Config {
        Config {
            calendar: self.common.archive.calendar(),
            detailed: matches!(self.date, Some(Dates::One(_))),
            dates: self.date,
            matching: self.matching,
            shares: true,
            parallel: self.jobs.into(),
            cache: self.cache.folder(&self.common.archive, &context.environment),
            interrupt: context.interrupt.clone(),
        }
    }

    fn pinning(&self, context: &Context, date: Date) -> Pinning {
        let (place, interrupt) = (context.place.clone(), context.interrupt.clone());
        Pinning { place, calendar: self.common.archive.calendar(), date, interrupt }
    }
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
      the backups with such a label
  nightshard-list --pin 2016-06-11 --reason 'before the migration'
      keep that night when others of its age are removed";

    fn common(&self) -> &Common {
        &self.common
    }

    async fn run(self, context: Context) -> Result<Report, Failure> {
        if self.pin.is_some() && self.reason.is_none() {
            let hint =
                "such as --reason 'before the migration': who meets the pin in a year has to know why it is there";
            return Err(Failure::usage("--pin needs a --reason", hint));
        }
        let connecting = self.common.archive.connect_to_look(&context);
        let store = context.interrupt.unless(connecting).await?.store;
        let now = context.now();
        let pinned = match (self.pin, self.reason.as_ref(), self.unpin) {
            (Some(date), Some(reason), _) => list::pin(self.pinning(&context, date), reason, now, store).await?,
            (_, _, Some(date)) => list::unpin(self.pinning(&context, date), now, store).await?,
            _ => {
                let outcome = list::run(self.listing(&context), now, store).await?;
                return Report::new(&outcome, outcome.summary(), &outcome.failures);
            }
        };
        Report::new(&pinned, pinned.summary(), &[])
    }
}

fn main() -> ExitCode {
    common::open::<List>()
}
