//! Measurements that first appear in the last minutes of a day, after its backup.
//!
//! An open dump is completed from a later night; of a measurement that was not there yet there is no dump that could be.
//! So a run which takes what is there (`--all`, patterns, names of which some are not there yet) leaves word of what it was
//! asked for, and the run that completes the day makes the dumps that it would have made.

use archive::records::DumpSelection;
use archive::{BackupManifest, Document, DumpName, DumpOf, Night, Window, names};
use sha2::{Digest, Sha256};
use store::Store;

use super::format::Encoding;
use super::schema::Origin;
use super::task::{Purpose, Task};
use super::{Run, selection, spans};
use crate::Error;

/// A selection as it lies in the archive, and the dumps that it lacks.
#[derive(Debug)]
pub(super) struct Late {
    name: String,
    selection: DumpSelection,
    pub(super) tasks: Vec<Task>,
}

impl Run {
    /// Leaves word of what was asked for, if the night cannot have seen all of the day.
    pub(super) async fn remember(&self, night: &Night, window: Window, policy: &str) -> Result<(), Error> {
        let config = &self.job.config;
        let Some(store) = self.job.store.as_deref().filter(|_| config.upload) else { return Ok(()) };
        let covered_until = self.base.covered_until(&self.database, policy, window, self.job.now);
        if self.base.manifest().is_none() || covered_until >= window.end {
            return Ok(());
        }
        let selection = DumpSelection {
            format: DumpSelection::FORMAT.to_owned(),
            night: night.day,
            time_zone: config.calendar.time_zone.to_string(),
            writer: config.place.writer.clone(),
            database: self.database.clone(),
            retention_policy: policy.to_owned(),
            measurements: config.measurements.clone(),
            name: config.name.to_string(),
            encoding: config.format.to_string(),
            compression: config.compression.map(|compression| compression.to_string()),
            page_size: config.page_size as u64,
            window_start: window.start,
            window_end: window.end,
            covered_until,
            open: true,
        };
        let container = &night.container;
        let name = names::dump_selection(container, &id(&selection));
        match archive::read::<DumpSelection>(store, container, &name).await {
            // A later night has been looked through already.
            Ok(held) if held.document.covered_until >= covered_until => return Ok(()),
            Ok(_) | Err(archive::Error::Missing { .. } | archive::Error::Unreadable { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        if self.base.manifest().is_some_and(|held| held.container != *container) {
            store.create_container(container).await?;
        }
        Ok(archive::replace(store, container, &name, &selection).await?)
    }

    /// The dumps that a selection of an earlier day would have had, had its backup seen the day's end; `made` are those
    /// that the container has. `None` when this night knows no more, or of another database.
    pub(super) async fn late(
        &self,
        store: &dyn Store,
        night: &BackupManifest,
        container: &str,
        name: String,
        made: &[String],
    ) -> Result<Option<Late>, Error> {
        let selection = archive::read::<DumpSelection>(store, container, &name).await?.document;
        let window = Window { start: selection.window_start, end: selection.window_end };
        let covered_until =
            self.base.covered_until(&selection.database, &selection.retention_policy, window, self.job.now);
        let gains = selection.open && selection.covered_until < covered_until && selection.night <= night.night;
        if !gains || selection.database != self.database {
            return Ok(None);
        }
        let there = match self.policies.contains(&selection.retention_policy) {
            true => self.source.in_policy(&selection.database, &selection.retention_policy).await?,
            false => Vec::new(),
        };
        let mut tasks = Vec::new();
        for measurement in selection::selected(&selection.measurements, &there) {
            let task = task(container, &selection, window, measurement)?;
            if !made.contains(&task.file) {
                tasks.push(task);
            }
        }
        let open = covered_until < window.end;
        Ok(Some(Late { name, selection: DumpSelection { covered_until, open, ..selection }, tasks }))
    }

    /// The dumps are made: the same night need not be looked through again.
    pub(super) async fn settle(&self, store: &dyn Store, container: &str, late: &Late) -> Result<(), Error> {
        Ok(archive::replace(store, container, &late.name, &late.selection).await?)
    }
}

fn task(container: &str, selection: &DumpSelection, window: Window, measurement: String) -> Result<Task, Error> {
    let DumpSelection { night, time_zone, database, retention_policy, name, page_size, .. } = selection;
    let encoding = Encoding::read(&selection.encoding, selection.compression.as_deref())?;
    let zone = time_zone.parse().map_err(|_| archive::Error::Usage {
        message: format!("a dump of {night} was made in the time zone {time_zone}, which is not known"),
        hint: "install the version of Nightshard that wrote it, or a newer one".to_owned(),
    })?;
    let of = DumpOf { database, retention_policy, measurement: &measurement };
    Ok(Task {
        container: container.to_owned(),
        night: *night,
        time_zone: time_zone.clone(),
        window,
        span: spans::span(*night, window)?,
        file: name.parse::<DumpName>()?.file(of, window, zone, &encoding.extension()),
        origin: Origin { database: database.clone(), policy: retention_policy.clone(), measurement },
        encoding,
        page_size: usize::try_from(*page_size).unwrap_or(usize::MAX),
        purpose: Purpose::Late,
    })
}

/// What was asked for, and how it is written: one word is left of each such run, however often it is repeated.
fn id(selection: &DumpSelection) -> String {
    let DumpSelection { database, retention_policy, measurements, name, encoding, compression, page_size, .. } =
        selection;
    let asked = (database, retention_policy, measurements, name, encoding, compression, page_size);
    let digest = Sha256::digest(format!("{asked:?}"));
    hex::encode(digest).chars().take(16).collect()
}
