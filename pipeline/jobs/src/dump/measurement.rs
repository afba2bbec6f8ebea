//! One measurement: from the server into the archive, sealed, and into a folder.

use std::path::{Path, PathBuf};

use archive::names;

use super::arrange::Arranged;
use super::extract::{Extracted, Request, extract};
use super::schema::{Origin, Schema};
use super::{Dumped, Run, schema, spans};
use crate::{Error, Event, Kind};

/// So many measurements are named to someone who asked for one that is not there.
const SHOWN: usize = 20;

impl Run {
    /// Dumps one measurement.
    pub(super) async fn dump(&self, measurement: &str) -> Result<Dumped, Error> {
        let origin = Origin {
            database: self.database.clone(),
            policy: self.policy.clone(),
            measurement: measurement.to_owned(),
        };

        let file = names::dump_file(measurement, self.window, self.config.calendar.time_zone, "json");
        let store = self.store.as_deref().filter(|_| self.config.upload);
        if let Some(store) = store {
            self.refuse_to_replace_another(store, &file, &origin).await?;
        }
        self.progress.report(Event::Step(&format!("dumping {measurement}")));

        // 1. What it consists of, and until when the server holds everything.
        let date = self.influx.ping().await?.date;
        let schema = match schema::read(&self.influx, &origin).await? {
            Some(schema) => schema,
            None => return Err(self.missing(&origin).await?),
        };
        let mut warnings = schema.warnings();
        if self.config.retention_policy.is_none() {
            let others = schema::elsewhere(&self.influx, &origin, &self.policies).await?;
            warnings.extend(others.iter().map(|other| {
                format!("it exists in the retention policy {other} too, which was not dumped (--retention-policy)")
            }));
        }

        // 2. Its records into the spool, with the night read again when they are all there.
        let path = self.spool.file("dump.json");
        let cuts = spans::cuts(&self.influx, &origin, self.span, &schema.mixed).await?;
        let extracted = self.extract(&origin, &schema, &cuts, &path).await;
        self.base.check(&self.influx, &self.database).await?;
        let Extracted { arranged, digests } = extracted?;
        warnings.extend(losses(&arranged));
        let now = schema::read(&self.influx, &origin).await?;
        let mixed = now.as_ref().map_or(&[][..], |now| &now.mixed);
        if mixed != schema.mixed || spans::cuts(&self.influx, &origin, self.span, mixed).await? != cuts {
            let message = format!("cannot dump {origin}: its fields got other types or shards while it was read");
            return Err(Error::new(Kind::Failed, message).hint("run the same command again"));
        }
        if now.is_none_or(|now| now.columns != schema.columns) {
            warnings.push("tags or fields came while it was being dumped, which are not in it".to_owned());
        }

        // 3. Archive, seal, local copy.
        let covered_until = self.base.covered_until(&self.database, &self.policy, self.window, date);
        let mut dumped = Dumped {
            measurement: measurement.to_owned(),
            database: origin.database.clone(),
            retention_policy: origin.policy.clone(),
            object: None,
            file: None,
            records: arranged.records,
            pages: arranged.pages,
            bytes: digests.bytes,
            sha256: hex::encode(digests.sha256),
            covered_until,
            open: covered_until < self.window.end,
            spills: arranged.spills,
            warnings,
        };
        let _unbroken = self.unbroken.lock().await;
        if let Some(store) = store {
            // Another dump may have come to its end meanwhile.
            self.refuse_to_replace_another(store, &file, &origin).await?;
            self.store(store, &file, &path, &digests, &mut dumped).await?;
        }
        if let Some(output) = &self.config.output {
            dumped.file = deliver(&path, output, &file, digests.bytes).await?;
        }
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io(format!("remove {}", path.display()), &error));
            }
            _ => {}
        }
        self.progress.report(Event::Done { name: &file, bytes: digests.bytes });
        Ok(dumped)
    }

    async fn extract(&self, origin: &Origin, schema: &Schema, cuts: &[i64], path: &Path) -> Result<Extracted, Error> {
        // Without a field there is nothing that a query could select.
        let cuts = if schema.columns.fields().is_empty() { &[] } else { cuts };
        let request = Request {
            origin,
            columns: &schema.columns,
            cuts,
            page_size: self.config.page_size,
            buffer_bytes: self.config.buffer_bytes,
            segment_size: self.store.as_ref().and_then(|store| store.segment_size()),
        };
        // It hears of an interruption itself: its threads must have ended before the spool goes.
        let _unbroken = self.unbroken.lock().await;
        extract(&self.influx, &request, path, &self.config.interrupt, self.progress.as_ref()).await
    }

    /// The error that a measurement does not exist, with what does.
    async fn missing(&self, origin: &Origin) -> Result<Error, Error> {
        let Origin { database, policy, measurement } = origin;
        let message = format!("measurement {measurement} does not exist in {database}.{policy}");
        let error = Error::new(Kind::Usage, message);
        let elsewhere = schema::elsewhere(&self.influx, origin, &self.policies).await?;
        if !elsewhere.is_empty() {
            return Ok(error.hint(format!("it exists in {}: see --retention-policy", elsewhere.join(", "))));
        }
        let mut names = schema::measurements(&self.influx, database, SHOWN + 1).await?;
        if names.len() > SHOWN {
            names.truncate(SHOWN);
            names.push("…".to_owned());
        }
        Ok(error.hint(match names.as_slice() {
            [] => format!("database {database} has no measurements"),
            names => format!("database {database} has {}", names.join(", ")),
        }))
    }
}

/// What a person should know of values that are not as they were.
fn losses(arranged: &Arranged) -> Vec<String> {
    let told = [
        (arranged.losses.strings, "strings are no UTF-8; bytes in them were replaced by U+FFFD"),
        (arranged.losses.floats, "floats are infinite or no number; they were written as null"),
        (arranged.duplicates, "records have the time and the tags of another one"),
    ];
    told.into_iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect()
}

/// Puts the spooled file into a folder, whole or not at all; one that is there is replaced, also by nothing.
async fn deliver(spooled: &Path, folder: &Path, name: &str, bytes: u64) -> Result<Option<PathBuf>, Error> {
    let (spooled, folder, target) = (spooled.to_owned(), folder.to_owned(), folder.join(name));
    let delivered = tokio::task::spawn_blocking(move || {
        use std::os::unix::fs::PermissionsExt;

        if bytes == 0 {
            return match std::fs::remove_file(&target) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err((target, error)),
                _ => Ok(None),
            };
        }
        let write = || {
            // As any new file: the user's umask decides who may read it.
            let permissions = std::fs::Permissions::from_mode(0o666);
            let mut file =
                tempfile::Builder::new().prefix(".nightshard-").permissions(permissions).tempfile_in(&folder)?;
            let permissions = file.as_file().metadata()?.permissions();
            match std::fs::rename(&spooled, file.path()) {
                Ok(()) => {
                    *file.as_file_mut() = std::fs::File::open(file.path())?;
                    file.as_file().set_permissions(permissions)?;
                }
                Err(error) if error.kind() == std::io::ErrorKind::CrossesDevices => {
                    std::io::copy(&mut std::fs::File::open(&spooled)?, &mut file)?;
                }
                Err(error) => return Err(error),
            }
            file.as_file().sync_all()?;
            file.persist(&target)?;
            std::fs::File::open(&folder)?.sync_all()
        };
        match write() {
            Ok(()) => Ok(Some(target)),
            Err(error) => Err((target, error)),
        }
    });
    let delivered = delivered.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
    delivered.map_err(|(target, error)| Error::io(format!("write {}", target.display()), &error))
}
