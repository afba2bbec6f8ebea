//! `manifests/verify.json`: what is known of a night's verifications, beside its seal.

use archive::verification::{Verification, VerifyRecord};
use archive::{Error, names};
use chrono::{DateTime, Utc};

use super::ground::Ground;
use super::{Run, Verified};

impl Run {
    /// Writes down that the night was verified. An archive that takes no record, since it may only be read here, keeps
    /// nobody from verifying it: the night says so in its notes.
    pub(super) async fn record(&self, ground: &Ground, verified: &mut Verified, started: DateTime<Utc>) {
        if !self.config.record || !ground.is_archive() {
            return;
        }
        match self.write_record(ground, verified, started).await {
            Ok(()) => verified.recorded = true,
            Err(error) => verified.notes.push(format!("it was not written down that it was verified: {error}")),
        }
    }

    async fn write_record(&self, ground: &Ground, verified: &Verified, started: DateTime<Utc>) -> Result<(), Error> {
        let (store, container) = (ground.store.as_ref(), ground.container.as_str());
        let name = names::verify_record(container);
        let earlier = match archive::read::<VerifyRecord>(store, container, &name).await {
            Ok(loaded) => Some(loaded.document),
            // One that nobody can read is worth nothing; one of a newer version is.
            Err(Error::Missing { .. } | Error::Unreadable { .. }) => None,
            Err(error) => return Err(error),
        };
        let verification = Verification {
            extent: self.config.extent.name().to_owned(),
            slice: self.slice,
            writer: self.config.place.writer.clone(),
            host: self.config.place.host.clone(),
            started,
            finished: self.instant(),
            objects: verified.objects,
            bytes: verified.bytes,
            damages: verified.damages.clone(),
            unchecked: verified.unchecked.clone(),
        };
        let record = VerifyRecord::with(earlier, verified.manifest_sha256.clone(), verification);
        archive::replace(store, container, &name, &record).await
    }
}
