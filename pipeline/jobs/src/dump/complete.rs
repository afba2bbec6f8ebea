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
        let mut tasks = Vec::new();
        let mut ours = None;
        let Listed { files, selections } = self.listed(store, &container).await?;
        for file in &files {
            let seal = match self.sealed(store, &container, file).await {
                Ok(Some(seal)) => seal,
                Ok(None) => continue,
                Err(error) if error.kind() == Kind::Passing => return Err(error),
                Err(error) => {
                    outcome.failures.push(failure(&error));
                    continue;
                }
            };
            if !self.gains(night, &seal) {
                continue;
            }
            if !self.is_ours(&mut ours, store, night, &container).await? {
                continue;
            }
            tasks.push(Task::completion(&container, file, &seal)?);
        }
        let mut all_late = Vec::new();
        for name in selections {
            let late = match self.late(store, night, &container, name, &files).await {
                Ok(Some(late)) => late,
                Ok(None) => continue,
                Err(error) if error.kind() == Kind::Passing => return Err(error),
                Err(error) => {
                    outcome.failures.push(failure(&error));
                    continue;
                }
            };
            if self.is_ours(&mut ours, store, night, &container).await? {
                tasks.extend(late.tasks.iter().cloned());
                all_late.push(late);
            }
        }
        let (mut locked, mut failed) = (false, false);
        tasks.sort_by(|one, other| one.origin.cmp(&other.origin));
        for (task, made) in self.together(&tasks, |error| error.kind() == Kind::Passing).await? {
            match made {
                Ok(done) => {
                    outcome.failures.extend(done.lacking);
                    // A measurement that is new now has nothing of that day, as a rule.
                    if task.purpose == Purpose::Completion || done.dumped.records > 0 {
                        outcome.completed.push(done.dumped);
                    }
                }
                // Another run is at this very measurement, and completes it.
                Err(error) if error.kind() == Kind::Locked => locked = true,
                Err(error) => {
                    failed = true;
                    outcome.failures.push(failure(&error.during(format!("cannot complete {container}/{}", task.file))));
                }
            }
        }
        if !locked && !failed {
            for late in &all_late {
                self.settle(store, &container, late).await?;
            }
        }
        Ok(())
    }

    /// Whether a container is of the server of which this night is; said once when it is not.
    async fn is_ours(
        &self,
        known: &mut Option<bool>,
        store: &dyn Store,
        night: &BackupManifest,
        container: &str,
    ) -> Result<bool, Error> {
        if let Some(ours) = *known {
            return Ok(ours);
        }
        let ours = self.is_of_same_source(store, night, container).await?;
        if !ours {
            let host = &night.source.host;
            let text = format!("dumps are not completed: {container} is not a night of {host}");
            self.job.progress.report(Event::Warning(&text));
        }
        *known = Some(ours);
        Ok(ours)
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
