//! `nightshard-check`: is this machine ready for the night?

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use common::{ArchiveUrl, Common, Context, Door, Failure, Limit, Neighbour, Report, Source, Target, Telling};
use jobs::check::{self, Config, Connections, Opened, Schedule};

/// Check whether this machine is ready for the night, and say what is wrong and what to do
#[derive(Debug, Parser)]
#[command(name = "nightshard-check", version)]
struct Check {
    /// How old the newest backup may be
    #[arg(long, value_name = "DURATION", default_value = "26h", value_parser = common::duration)]
    max_age: Duration,
    /// How old the newest proven restore may be, or off
    ///
    /// By default 26h where an intermediary is configured, else off.
    #[arg(long, value_name = "DURATION")]
    max_restore_age: Option<Limit>,
    /// How long any answer is waited for
    #[arg(long, value_name = "DURATION", default_value = "20s", value_parser = common::duration)]
    patience: Duration,
    /// Write no probe into the archive
    ///
    /// The probe is a small object in a container of its own, which is removed again.
    #[arg(long)]
    no_write: bool,
    /// Look for no timers: something else starts the programs
    #[arg(long)]
    no_schedule: bool,
    /// Folder of the system's crontabs
    #[arg(long, value_name = "DIR", default_value = "/etc/cron.d")]
    cron_dir: PathBuf,
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    telling: Telling,
    #[command(flatten)]
    common: Common,
}

/// An archive is asked seldom enough to fail while people look on.
const TRIES: u32 = 2;

impl Door for Check {
    const EXAMPLES: &'static str = "
  nightshard-check --target http://influx2:8086 --max-restore-age 8days
      with an intermediary that is restored once a week
  nightshard-check
      everything, as the programs of the night will find it
  nightshard-check --quiet --no-write
      for monitoring: says only what is wrong, and exit code 3";

    fn common(&self) -> &Common {
        &self.common
    }

    fn telling(&self) -> Option<&Telling> {
        Some(&self.telling)
    }

    async fn run(self, context: Context) -> Result<Report, Failure> {
        let (backup, restore) =
            (Neighbour::of("nightshard-backup", &context), Neighbour::of("nightshard-restore", &context));
        let shared = backup.as_ref().map_or(&self.common, |backup| &backup.common).clone();
        let mut archive = shared.archive.clone();
        archive.tries = archive.tries.min(TRIES);
        let mut of_backup = context.clone();
        of_backup.environment = Neighbour::environment(&context);
        let writes = !self.no_write;
        let opening = async move {
            // Who may write makes the folder, as the first backup does.
            let connected = match writes {
                true => archive.connect(&of_backup).await?,
                false => archive.connect_to_look(&of_backup).await?,
            };
            Ok(Opened { store: connected.store, token_expiry: connected.token_expiry })
        };
        let connections = Connections {
            archive: Box::pin(opening),
            source: backup.and_then(|backup| backup.source.connect()).map_err(Into::into),
            target: restore.and_then(|restore| restore.target.connect()).map_err(Into::into),
        };
        let now = context.now();
        let (general, programs) = (&shared.general, common::neighbours(&context)?);
        let (locks, spool, spool_size) = (general.locks.clone(), general.spool.clone(), general.spool_size);
        let schedule = Schedule {
            systemctl: "systemctl".into(),
            crontab: "crontab".into(),
            cron_folder: self.cron_dir,
            cron_file: "/etc/crontab".into(),
        };
        let config = Config {
            place: jobs::Place { locks, spool, spool_size, ..context.place },
            calendar: shared.archive.calendar(),
            machine_zone: common::machine_time_zone(&context.environment),
            programs,
            variables: [context.given, vec![("NIGHTSHARD_LOG_FORMAT".to_owned(), "text".to_owned())]].concat(),
            folder: match shared.archive.archive {
                Some(ArchiveUrl::Folder(folder)) => Some(folder),
                _ => None,
            },
            segment_size: shared.archive.segment_size,
            write: writes,
            schedule: (!self.no_schedule).then_some(schedule),
            max_age: self.max_age,
            max_restore_age: self.max_restore_age.map(|Limit(limit)| limit),
            patience: self.patience,
            interrupt: context.interrupt,
        };
        let outcome = check::run(config, now, connections, context.progress.as_ref()).await?;
        Ok(Report::new(&outcome, outcome.summary(), &outcome.failures)?.measured(outcome.metrics()))
    }
}

fn main() -> ExitCode {
    common::open::<Check>()
}
