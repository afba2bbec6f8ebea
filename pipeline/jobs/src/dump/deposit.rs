//! A dump into the archive: object first, seal last, and never over the dump of something else.
//!
//! The names of a dump tell its measurement and its day. Two databases, or two policies of one, may have a measurement
//! of the same name; the seal tells whose dump it is.

use std::path::Path;

use archive::records::DumpManifest;
use archive::{Document, names};
use chrono::TimeDelta;
use store::{Body, Digests, Store};

use super::schema::Origin;
use super::{Dumped, Run};
use crate::{Error, Kind};

impl Run {
    /// Refuses when the archive holds a dump under this name that is of something else, or of what cannot be told.
    /// An object without a seal is what an interrupted dump left, and may be replaced.
    pub(super) async fn refuse_to_replace_another(
        &self,
        store: &dyn Store,
        file: &str,
        origin: &Origin,
    ) -> Result<(), Error> {
        let container = &self.night.container;
        let seal = names::dump_manifest(container, file);
        let held = match archive::read::<DumpManifest>(store, container, &seal).await {
            Ok(held) => held.document,
            Err(archive::Error::Missing { .. }) => return Ok(()),
            Err(error @ archive::Error::Unreadable { .. }) => {
                return Err(Error::from(error)
                    .during(format!("cannot tell whose dump {file} would be replaced"))
                    .hint(format!(
                        "look at it; when that dump is not needed, remove {seal} and run the same command again"
                    )));
            }
            Err(error) => return Err(error.into()),
        };
        let held = Origin { database: held.database, policy: held.retention_policy, measurement: held.measurement };
        if held == *origin {
            return Ok(());
        }
        let message = format!("cannot dump {origin}: {container} holds a dump of {held} under the same name, {file}");
        Err(Error::new(Kind::Failed, message).hint(
            "the archive holds one dump of a measurement and day; dump the other one with --no-upload --output DIR",
        ))
    }

    /// Stores the file and seals it. An older dump loses its seal before it is replaced.
    pub(super) async fn store(
        &self,
        store: &dyn Store,
        file: &str,
        path: &Path,
        digests: &Digests,
        dumped: &mut Dumped,
    ) -> Result<(), Error> {
        let container = &self.night.container;
        let (object, seal) = (names::dump(container, file), names::dump_manifest(container, file));
        archive::remove(store, container, &seal).await?;
        if digests.bytes > 0 {
            store.put(container, &object, &Body::from_file(path, digests.clone())).await?;
            dumped.object = Some(object);
        } else {
            match store.delete_with_segments(container, &object).await {
                Ok(()) | Err(store::Error::NotFound { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let manifest = DumpManifest {
            format: DumpManifest::FORMAT.to_owned(),
            night: self.night.day,
            time_zone: self.config.calendar.time_zone.to_string(),
            writer: self.config.place.writer.clone(),
            measurement: dumped.measurement.clone(),
            database: dumped.database.clone(),
            retention_policy: dumped.retention_policy.clone(),
            window_start: self.window.start,
            window_end: self.window.end,
            object: dumped.object.clone(),
            encoding: "json".to_owned(),
            page_size: self.config.page_size as u64,
            records: dumped.records,
            pages: dumped.pages,
            bytes: digests.bytes,
            sha256: dumped.sha256.clone(),
            md5: hex::encode(digests.md5),
            covered_until: dumped.covered_until,
            open: dumped.open,
            backup_manifest_sha256: self.base.manifest_sha256().map(str::to_owned),
            started: self.now,
            sealed: self.now + TimeDelta::from_std(self.begun.elapsed()).unwrap_or_default(),
            warnings: dumped.warnings.clone(),
        };
        archive::seal(store, container, &seal, &manifest).await?;
        Ok(())
    }
}
