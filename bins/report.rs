//! `nightshard-report`: how do the nights stand, on a page to look at?

use std::process::ExitCode;

use clap::Parser;
use common::{Cache, Common, Context, Dates, Door, Failure, Report, Telling};
use jobs::report::{self, Config, Html, Range};

/// Report how the nights stand, in a few lines or on a page with a calendar, charts and failures
#[derive(Debug, Parser)]
#[command(name = "nightshard-report", version)]
struct Reporting {
    /// Put the page into a file; - prints it
    ///
    /// The file is replaced whole or not at all.
    #[arg(long, value_name = "FILE")]
    html: Option<Html>,
    /// Store the page in the archive
    ///
    /// As report.html in the container nightshard-report.
    #[arg(long)]
    publish: bool,
    /// The nights: YYYY-MM or FROM..TO [default: all nights]
    #[arg(long, value_name = "DATE")]
    date: Option<Dates>,
    /// The nights of the last days
    #[arg(long, value_name = "N", conflicts_with = "date", value_parser = clap::value_parser!(u32).range(1..))]
    days: Option<u32>,
    /// Nights read at once
    #[arg(long, value_name = "N", default_value = "16", value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,
    #[command(flatten)]
    cache: Cache,
    #[command(flatten)]
    telling: Telling,
    #[command(flatten)]
    common: Common,
}

impl Reporting {
    fn range(&self) -> Range {
        match (self.date, self.days) {
            (Some(dates), _) => Range::Dates(dates),
            (None, Some(days)) => Range::Last(days),
            (None, None) => Range::All,
        }
    }
}

impl Door for Reporting {
    const EXAMPLES: &'static str = "
  nightshard-report --html /var/www/html/nightshard.html
      a page with the calendar of all nights, charts and failures, for a browser
  nightshard-report --publish
      the same, into the archive
  nightshard-report
      is the last night good, is a restore proven, and what is wrong? in a few lines
  nightshard-report --date 2016-06 --html june.html
      the nights of a month";

    fn common(&self) -> &Common {
        &self.common
    }

    fn telling(&self) -> Option<&Telling> {
        Some(&self.telling)
    }

    async fn run(self, context: Context) -> Result<Report, Failure> {
        let general = &self.common.general;
        if self.html == Some(Html::Stdout) && (general.json || general.quiet) {
            return Err(Failure::usage(
                "--html - prints the page, and --json and --quiet ask for something else on stdout",
                "name a file with --html, or leave out --json and --quiet",
            ));
        }
        let config = Config {
            place: context.place.clone(),
            calendar: self.common.archive.calendar(),
            range: self.range(),
            html: self.html,
            publish: self.publish,
            parallel: self.jobs.into(),
            cache: self.cache.folder(&self.common.archive, &context.environment),
            interrupt: context.interrupt.clone(),
        };
        let connecting = self.common.archive.connect_to_look(&context);
        let archive = context.interrupt.unless(connecting).await?;
        let outcome = report::run(config, context.now(), archive.store).await?;
        let report = Report::new(&outcome, outcome.summary(), &outcome.failures)?.measured(outcome.metrics());
        Ok(match outcome.page {
            Some(page) => report.printing(page),
            None => report,
        })
    }
}

fn main() -> ExitCode {
    common::open::<Reporting>()
}
