//! `nightshard-prune`: old nights leave the archive, by a policy.

use std::process::ExitCode;

use clap::Parser;
use common::{Common, Context, Date, Door, Failure, Keep, KeepDumps, Report, Telling};
use jobs::prune::{self, Config, Policy};

/// Delete nights that no rule keeps, or that are named, and what the pool holds for no night any more
///
/// Pinned nights stay, and of each database the newest night that was verified.
#[derive(Debug, Parser)]
#[command(name = "nightshard-prune", version)]
struct Prune {
    /// Delete this night, and ask no rule; repeat it for several
    ///
    /// All of them, or none where one must stay. No file and no environment deletes.
    #[arg(long, value_name = "DATE")]
    delete: Vec<Date>,
    /// Delete dumps as well, by rules of their own
    ///
    /// Or, with --delete, those of the nights that are named. Else dumps stay when their night leaves.
    #[arg(long)]
    dumps: bool,
    /// Show what would be deleted and why, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// Nights read, and objects deleted, at once
    #[arg(long, value_name = "N", default_value = "8", value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,
    #[command(flatten)]
    keep: Keep,
    #[command(flatten)]
    keep_dumps: KeepDumps,
    #[command(flatten)]
    telling: Telling,
    #[command(flatten)]
    common: Common,
}

impl Door for Prune {
    const EXAMPLES: &'static str = "
  nightshard-prune --keep-daily 14 --keep-weekly 8 --keep-monthly 24 --dry-run
      what would leave, and why
  nightshard-prune --yes
      what a timer runs, with the rules in the configuration
  nightshard-prune --delete 2016-06-11
      that night, whatever the rules say
  nightshard-prune --keep-daily 30 --dumps --keep-dumps-monthly 24
      dumps leave as well, by rules of their own";

    fn common(&self) -> &Common {
        &self.common
    }

    fn telling(&self) -> Option<&Telling> {
        Some(&self.telling)
    }

    async fn run(self, context: Context) -> Result<Report, Failure> {
        let keep_dumps = Policy::from(&self.keep_dumps);
        if self.dumps && self.delete.is_empty() && keep_dumps.is_empty() {
            let hint = "such as --keep-dumps-monthly 24; with --delete the dumps of the nights that are named leave";
            return Err(Failure::usage("--dumps needs a rule which of them stay", hint));
        }
        let archive = context.interrupt.unless(self.common.archive.connect_to_look(&context)).await?;
        let now = context.now();
        let config = Config {
            place: context.place.clone(),
            calendar: self.common.archive.calendar(),
            keep: Policy::from(&self.keep),
            delete: self.delete,
            dumps: self.dumps.then_some(keep_dumps),
            pool: self.common.archive.pool_container.clone(),
            parallel: self.jobs.into(),
            interrupt: context.interrupt.clone(),
        };
        let planned = prune::plan(&config, now, archive.store.as_ref(), context.progress.as_ref()).await?;
        let outcome = if self.dry_run {
            prune::rehearse(&config, planned, archive.store.as_ref()).await?
        } else {
            if planned.is_to_delete() && !self.yes {
                context.confirm(&planned.text(), "Delete them?").await?;
            }
            prune::carry_out(&config, planned, now, archive.store, context.progress).await?
        };
        Ok(Report::new(&outcome, outcome.summary(), &outcome.failures)?.measured(outcome.metrics()))
    }
}

fn main() -> ExitCode {
    common::open::<Prune>()
}
