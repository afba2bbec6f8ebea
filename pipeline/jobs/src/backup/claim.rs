//! This run's claim on the night, made good before the first upload and looked at again before the seal.
//!
//! Two machines may begin one night at the same time, and neither can lock the other out. So a run uploads nothing while
//! another one is alive, and seals nothing where a seal has appeared meanwhile.

use std::sync::Arc;
use std::time::Duration;

use archive::names;
use store::{Store, StoreExt};
use tokio::sync::OnceCell;

use super::marker::Marker;
use crate::{Error, Event, Kind, Progress};

/// How long to wait between two looks at a run that has to give way.
const PAUSE: Duration = Duration::from_millis(500);

/// The claim of a run whose marker stands.
pub(super) struct Claim {
    store: Arc<dyn Store>,
    container: String,
    marker: Marker,
    possession: OnceCell<()>,
}

impl Claim {
    pub(super) fn new(store: Arc<dyn Store>, container: String, marker: Marker) -> Claim {
        Claim { store, container, marker, possession: OnceCell::new() }
    }

    /// Runs a future for as long as the marker stands.
    pub(super) async fn guard<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        self.marker.guard(work).await
    }

    /// Whether any other run has the night.
    pub(super) async fn check(&self) -> Result<(), Error> {
        self.marker.check().await?;
        self.unsealed().await
    }

    /// To be called before anything is stored; only the first call has something to do. Runs that have to give way to
    /// this one are waited for: they see its marker before they upload, seal, or renew their own.
    pub(super) async fn take_possession(&self, progress: &dyn Progress) -> Result<(), Error> {
        let take = || async {
            while let Some(other) = self.marker.check().await?.first() {
                let (host, process) = (&other.marker.host, other.marker.process);
                progress.report(Event::Waiting(&format!("for the run on {host} (process {process}) to give way")));
                tokio::time::sleep(PAUSE).await;
            }
            self.unsealed().await
        };
        self.possession.get_or_try_init(take).await?;
        Ok(())
    }

    async fn unsealed(&self) -> Result<(), Error> {
        match self.store.find(&self.container, &names::backup_manifest(&self.container)).await? {
            None => Ok(()),
            Some(_) => Err(Error::new(Kind::Locked, format!("{} was sealed by another run meanwhile", self.container))
                .hint("that backup stands; nothing of it was changed")),
        }
    }

    /// The night is sealed.
    pub(super) async fn settle(&self) {
        self.marker.lower().await;
    }

    /// The run has failed. Gives the error as it is to be told.
    pub(super) async fn abandon(&self, error: Error) -> Error {
        self.marker.fail(&error).await;
        error.after_changes()
    }
}
