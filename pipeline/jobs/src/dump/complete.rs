//! The open dumps of earlier days.
//!
//! A backup that starts at 23:55 cannot hold the day's last minutes, so the dump that is made from it is open. A later
//! night has them: each run looks for the open dumps of the days before the night that the server holds, and makes
//! them anew from it. What only the open dump has stays in it.

use archive::records::DumpManifest;
use archive::{BackupManifest, Night, Window, names};
use chrono::{Days, NaiveDate};
use store::Store;

use super::deposit::Listed;
use super::task::{Purpose, Task};
use super::{Outcome, Run, failure};
use crate::{Error, Event, Kind};

/// So many days before the night that the server holds are looked through.
const DAYS: u64 = 14;

impl Run {
    /// Completes the open dumps of the last days. Whatever stands in the way of one does not keep the others.
    pub(super) async fn complete(&self, outcome: &mut Outcome) -> Result<(), Error> {
        let (Some(store), Some(night)) = (&self.job.store, self.base.manifest()) else { return Ok(()) };
        if !self.job.config.upload {
            return Ok(());
        }
        for back in 0..=DAYS {
            let Some(day) = night.night.checked_sub_days(Days::new(back)) else { break };
            match self.complete_day(store.as_ref(), night, day, outcome).await {
                Err(_) if self.interrupted() => return Err(Error::interrupted()),
                Err(error) => {
                    outcome.failures.push(failure(&error.during(format!("cannot complete the dumps of {day}"))));
                    // The server holds another night now, or the archive does not answer: so it is with all others.
                    return Ok(());
                }
                Ok(()) => {}
            }
        }
        Ok(())
    }

    async fn complete_day(
        &self,
        store: &dyn Store,
        night: &BackupManifest,
        day: NaiveDate,
        outcome: &mut Outcome,
    ) -> Result<(), Error> {
        // A day that clocks skipped has no hours, and no dumps.
        let Ok(Night { container, .. }) = self.job.config.calendar.of_day(day) else { return Ok(()) };
        let Listed { files, selections } = self.listed(store, &container).await?;
        let mut tasks = self.open(store, night, &container, &files, outcome).await?;
        let mut all_late = Vec::new();
        for name in selections {
            let late = self.late(store, night, &container, name, &files).await;
            all_late.extend(unless_passing(late, outcome)?.flatten());
        }
        tasks.extend(all_late.iter().flat_map(|late| late.tasks.iter().cloned()));
        if tasks.is_empty() && all_late.is_empty() {
            return Ok(());
        }
        if !self.is_of_same_source(store, night, &container).await? {
            let whose = match night.source.host.as_str() {
                "" => "the server",
                host => host,
            };
            let text = format!("dumps are not completed: {container} is not a night of {whose}");
            self.job.progress.report(Event::Warning(&text));
            return Ok(());
        }

        let mut all_made = true;
        tasks.sort_by(|one, other| one.origin.cmp(&other.origin));
        for (task, made) in self.together(&tasks, |error| error.kind() == Kind::Passing).await? {
            match made {
                Ok(done) => {
                    outcome.failures.extend(done.failures);
                    // A measurement that is new now has nothing of that day, as a rule.
                    if task.purpose == Purpose::Completion || done.dumped.records > 0 {
                        outcome.completed.push(done.dumped);
                    }
                }
                // Another run is at this very measurement, and completes it.
                Err(error) if error.kind() == Kind::Locked => all_made = false,
                Err(error) => {
                    all_made = false;
                    outcome.failures.push(failure(&error.during(format!("cannot complete {container}/{}", task.file))));
                }
            }
        }
        if all_made {
            for late in &all_late {
                self.settle(store, &container, late).await?;
            }
        }
        Ok(())
    }

    /// The dumps of a container that this night can complete.
    async fn open(
        &self,
        store: &dyn Store,
        night: &BackupManifest,
        container: &str,
        files: &[String],
        outcome: &mut Outcome,
    ) -> Result<Vec<Task>, Error> {
        let mut tasks = Vec::new();
        for file in files {
            let seal = self.sealed(store, container, file).await;
            let Some(seal) = unless_passing(seal, outcome)?.flatten() else { continue };
            if self.gains(night, &seal) {
                tasks.push(Task::completion(container, file, &seal)?);
            }
        }
        Ok(tasks)
    }

    /// Whether the dump is open, and the night that the server holds knows more.
    fn gains(&self, night: &BackupManifest, seal: &DumpManifest) -> bool {
        let window = Window { start: seal.window_start, end: seal.window_end };
        let covered_until = self.base.covered_until(&seal.database, &seal.retention_policy, window, self.job.now);
        // Only of the databases that the intermediary holds it can be asked.
        seal.open && seal.database == self.database && seal.covered_until < covered_until && seal.night <= night.night
    }

    /// Whether the backup of a container, where there is one, is of the server of which this night is.
    async fn is_of_same_source(
        &self,
        store: &dyn Store,
        night: &BackupManifest,
        container: &str,
    ) -> Result<bool, Error> {
        let backup = names::backup_manifest(container);
        match archive::read::<BackupManifest>(store, container, &backup).await {
            Ok(held) => Ok(held.document.source.cluster_id == night.source.cluster_id),
            Err(archive::Error::Missing { .. }) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }
}

/// What one thing is a matter of does not keep the others: it is named. What passes concerns them all.
fn unless_passing<T>(result: Result<T, Error>, outcome: &mut Outcome) -> Result<Option<T>, Error> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == Kind::Passing => Err(error),
        Err(error) => {
            outcome.failures.push(failure(&error));
            Ok(None)
        }
    }
}
