//! One measurement: from the server into the archive, sealed, and into a folder.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;

use archive::records::DumpManifest;
use store::{Digester, Digests, Store};

use super::arrange::Arranged;
use super::deliver::deliver;
use super::deposit::Spooled;
use super::encode::{Encoded, encode};
use super::extract::{Extracted, Request, extract};
use super::older::{Identity, Older};
use super::schema::{Origin, Schema};
use super::task::{Purpose, Task};
use super::{Dumped, Run};
use crate::spool::{Shelf, Stored};
use crate::{Error, Event, Kind, Lock};

/// The name of a dump on its shelf.
const DUMP: &str = "dump";

/// So many measurements are named to someone who asked for one that is not there.
const SHOWN: usize = 20;

/// A dump, and what is not as it should be with it: what the server no longer had of an older one, and fields of which
/// queries would not show every value.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) dumped: Dumped,
    pub(super) failures: Vec<String>,
}

impl Run {
    /// Makes one dump, with its files on the shelf.
    pub(super) async fn dump(&self, task: &Task, shelf: &Arc<Shelf>, buffer_bytes: usize) -> Result<Made, Error> {
        let (Task { origin, file, .. }, asked) = (task, task.purpose == Purpose::Asked);
        let store = self.job.store.as_deref().filter(|_| self.job.config.upload);
        let _lock = match store {
            Some(store) => Some(Lock::exclusive(&self.job.config.place.locks, &lock_name(store, origin))?),
            None => None,
        };
        let held = match store {
            Some(store) => self.held(store, task).await?,
            None => None,
        };

        // 1. What it consists of, and until when the server holds everything.
        let date = match self.source.live() {
            Some(influx) => influx.ping().await?.date,
            None => self.job.now,
        };
        let covered_until = self.base.covered_until(&origin.database, &origin.policy, task.window, date);
        let (held, same) = match held {
            Some(held) if held.covered_until > covered_until => return Ok(left_alone(held)),
            // What was made from the same backup can be made again; what holds more than that cannot.
            Some(held) if held.kept == 0 && held.covered_until == covered_until => (None, Some(held.records)),
            held => (held, None),
        };
        let (step, day) = if asked { ("dumping", String::new()) } else { ("completing", task.night.to_string()) };
        self.job.progress.report(Event::Step(format!("{step} {} {day}", origin.measurement).trim_end()));
        let schema = match self.schema(task).await? {
            Some(schema) => schema,
            None if !asked => Schema::default(),
            None => return Err(self.missing(origin).await?),
        };
        let mut warnings = schema.warnings();
        if self.job.config.retention_policy.is_none() && asked {
            let others = self.source.elsewhere(origin, &self.policies).await?;
            warnings.extend(others.iter().map(|other| {
                format!("it exists in the retention policy {other} too, which was not dumped (--retention-policy)")
            }));
        }

        // 2. Its records into the spool, and those of an older dump, with the night read again when they are all there.
        let mut path = shelf.file(DUMP);
        let mut tags = schema.columns.tags().to_vec();
        let older = match (store, &held) {
            (Some(store), Some(held)) => {
                tags.extend(held.tags.iter().cloned());
                Some(self.older(store, task, held, &tags, shelf).await?)
            }
            _ => None,
        };
        let cuts = self.source.cuts(task, &schema).await?;
        let extracted = self.extract(task, &schema, &cuts, older, shelf, buffer_bytes).await;
        if let Some(influx) = self.source.live() {
            self.base.check(influx, &origin.database).await?;
        }
        let Extracted { arranged, digests } = extracted?;
        // A backup does not change: what the server has less of it than once was lost there.
        if let Some(records) = same.filter(|records| arranged.records < *records) {
            return Err(shrunk(task, records, arranged.records));
        }
        let Encoded { stored: digests, content } = self.encode(task, shelf, &mut path, digests).await?;
        warnings.extend(losses(&arranged));
        if self.source.live().is_some() {
            let now = self.schema(task).await?.unwrap_or_default();
            if now.mixed != schema.mixed || self.source.cuts(task, &now).await? != cuts {
                let message = format!("cannot dump {origin}: its fields got other types or shards while it was read");
                return Err(Error::new(Kind::Failed, message).hint("run the same command again"));
            }
            if now.columns != schema.columns {
                warnings.push("tags or fields came while it was being dumped, which are not in it".to_owned());
            }
        }
        warnings.extend(self.base.manifest().filter(|night| night.night != task.night).map(|night| {
            let held = if self.source.live().is_some() { ", which the intermediary held" } else { "" };
            format!("read from the night {}{held}", night.container)
        }));
        let lacking = lacking(task, held.as_ref(), arranged.kept);
        warnings.extend(lacking.clone());
        let mut failures: Vec<String> = lacking.into_iter().collect();
        if self.source.live().is_some() {
            let conflicts = self.base.conflicts(origin, task.window);
            failures.extend(conflicts.into_iter().map(|what| {
                format!("{what}: a query over all of them leaves values out; the dump has each in its own type")
            }));
        }

        // 3. Archive, seal, local copy.
        tags.sort_unstable();
        tags.dedup();
        let mut dumped = Dumped {
            night: task.night,
            measurement: origin.measurement.clone(),
            database: origin.database.clone(),
            retention_policy: origin.policy.clone(),
            object: None,
            file: None,
            records: arranged.records,
            pages: arranged.pages,
            bytes: digests.bytes,
            sha256: hex::encode(digests.sha256),
            covered_until,
            open: covered_until < task.window.end,
            kept: arranged.kept,
            spills: arranged.spills,
            warnings,
        };
        if task.purpose == Purpose::Late && dumped.records == 0 {
            return Ok(Made { dumped, failures });
        }
        let _unbroken = self.job.unbroken.read().await;
        if let Some(store) = store {
            // Another dump may have come to its end meanwhile, on another machine.
            let now = self.held(store, task).await?;
            if held.is_some() && now != held {
                let message = format!("cannot dump {origin}: {file} was replaced meanwhile by another run");
                return Err(Error::new(Kind::Failed, message).hint("run the same command again"));
            }
            let spooled = Spooled { path: &path, digests: &digests, content: &content, tags: &tags };
            self.store(store, task, &spooled, held, &mut dumped).await?;
        }
        if let Some(output) = &self.job.config.output {
            dumped.file = deliver(&path, output, file, digests.bytes).await?;
        }
        self.job.progress.report(Event::Done { name: file, bytes: digests.bytes });
        Ok(Made { dumped, failures })
    }

    /// What the measurement consists of; `None` when it is not there, or its policy is not.
    async fn schema(&self, task: &Task) -> Result<Option<Schema>, Error> {
        if !self.policies.contains(&task.origin.policy) {
            return Ok(None);
        }
        self.source.schema(task).await
    }

    async fn extract(
        &self,
        task: &Task,
        schema: &Schema,
        cuts: &[i64],
        older: Option<(Older, Identity)>,
        shelf: &Arc<Shelf>,
        buffer_bytes: usize,
    ) -> Result<Extracted, Error> {
        let path = shelf.file(DUMP);
        let request = Request {
            task,
            columns: &schema.columns,
            cuts,
            buffer_bytes,
            shelf: Arc::clone(shelf),
            digester: match &self.job.store {
                Some(store) if self.job.config.upload => Digester::new(store.segment_size()),
                _ => Digester::without_md5(),
            },
        };
        // It hears of an interruption itself: its threads must have ended before the spool goes.
        let _unbroken = self.job.unbroken.read().await;
        extract(&self.source, &request, older, &path, &self.job.config.interrupt, self.job.progress.as_ref()).await
    }

    /// Makes the file that is to be stored of the records in the spool; `path` becomes its own.
    async fn encode(
        &self,
        task: &Task,
        shelf: &Arc<Shelf>,
        path: &mut PathBuf,
        digests: Digests,
    ) -> Result<Encoded, Error> {
        if task.encoding.is_plain() || digests.bytes == 0 {
            return Ok(Encoded { content: digests.clone(), stored: digests });
        }
        let (source, target, encoding) = (path.clone(), shelf.file("encoded"), task.encoding);
        let segment_size = self.job.store.as_ref().and_then(|store| store.segment_size());
        let interrupt = self.job.config.interrupt.clone();
        let shelf = Arc::clone(shelf);
        path.clone_from(&target);
        let _unbroken = self.job.unbroken.read().await;
        let encoded = tokio::task::spawn_blocking(move || {
            let target = Stored { file: File::create(target)?, shelf: &shelf, interrupt: &interrupt };
            let encoded = encode(&source, target, encoding, segment_size)?;
            let bytes = source.metadata()?.len();
            std::fs::remove_file(&source)?;
            shelf.give_back(bytes);
            Ok(encoded)
        });
        let encoded = encoded.await.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        encoded.map_err(|error| Error::io("write the dump in the spool", &error))
    }

    /// The error that a measurement does not exist, with what does.
    async fn missing(&self, origin: &Origin) -> Result<Error, Error> {
        let Origin { database, policy, measurement } = origin;
        let message = format!("measurement {measurement} does not exist in {database}.{policy}");
        let error = Error::new(Kind::Usage, message);
        let elsewhere = self.source.elsewhere(origin, &self.policies).await?;
        if !elsewhere.is_empty() {
            return Ok(error.hint(format!("it exists in {}: see --retention-policy", elsewhere.join(", "))));
        }
        let mut names = self.source.measurements(database, SHOWN + 1).await?;
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

/// Runs on one machine take turns at a measurement, whatever their days: each may complete what another one makes.
fn lock_name(store: &dyn Store, Origin { database, policy, measurement }: &Origin) -> String {
    format!("dump-{database}-{policy}-{measurement}-{}", store.location())
}

/// A dump in the archive that was completed from a later night than this run has.
fn left_alone(held: DumpManifest) -> Made {
    let mut dumped = Dumped::of(held);
    dumped.warnings.push("the archive holds one from a later night already, which stays".to_owned());
    Made { dumped, failures: Vec::new() }
}

/// The error that a server no longer has all that was dumped from the same backup.
fn shrunk(Task { origin, file, night, .. }: &Task, dumped: u64, now: u64) -> Error {
    let message = format!(
        "cannot dump {origin}: the archive holds {file} with {dumped} records of the same backup, and the intermediary has {now} \
         of {night} now; the dump was not replaced"
    );
    Error::new(Kind::Damage, message)
        .hint("points went missing on the intermediary: restore the night again with nightshard-restore, then dump it")
}

/// What is to be told of records that the server has lost since the older dump was made.
fn lacking(task: &Task, held: Option<&DumpManifest>, kept: u64) -> Option<String> {
    let held = held.filter(|held| kept > held.kept)?;
    let Task { origin, night, .. } = task;
    let until = held.covered_until.format("%Y-%m-%d %H:%M:%S UTC");
    Some(format!(
        "{origin} on {night}: a retention policy or a delete took {kept} records from the database; they are kept as they \
         were dumped, but others of that kind which came after {until} cannot be known"
    ))
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
