//! The marker of this run in the archive: other machines see that the night is being taken, and by whom.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use archive::records::{RunState, RunningMarker};
use archive::state::{FoundMarker, markers};
use archive::{Document, Night, names};
use chrono::{DateTime, Utc};
use store::Store;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::preflight::Found;
use crate::{Error, Kind, Place};

/// How often the marker is written anew.
const RENEWAL: Duration = Duration::from_secs(30);

/// A run that could not renew for this long stops: after five minutes others take it for dead.
const PATIENCE: Duration = Duration::from_secs(180);

/// The marker, renewed in the background until it is lowered or dropped.
pub(super) struct Marker {
    store: Arc<dyn Store>,
    container: String,
    name: String,
    document: RunningMarker,
    renewal: JoinHandle<()>,
    lost: watch::Receiver<bool>,
}

impl Marker {
    /// Writes the marker and keeps it young.
    pub(super) async fn raise(
        place: &Place,
        night: &Night,
        now: DateTime<Utc>,
        found: &Found,
        store: Arc<dyn Store>,
    ) -> Result<Marker, Error> {
        let id = format!("{:016x}", rand::random::<u64>());
        let name = names::running_marker(&night.container, &id);
        let document = RunningMarker {
            format: RunningMarker::FORMAT.to_owned(),
            id,
            writer: place.writer.clone(),
            host: place.host.clone(),
            process: place.process,
            cluster_id: found.source.cluster_id.clone(),
            databases: found.databases.clone(),
            started: now,
            state: RunState::Running,
        };
        archive::replace(store.as_ref(), &night.container, &name, &document).await?;
        let (tell, lost) = watch::channel(false);
        let renewal = {
            let (store, container, name, document) =
                (Arc::clone(&store), night.container.clone(), name.clone(), document.clone());
            tokio::spawn(async move {
                let mut renewed = Instant::now();
                loop {
                    tokio::time::sleep(RENEWAL).await;
                    let writing = archive::replace(store.as_ref(), &container, &name, &document);
                    match tokio::time::timeout_at(renewed + PATIENCE, writing).await {
                        Ok(Ok(())) => renewed = Instant::now(),
                        Ok(Err(error)) => tracing::warn!("cannot renew {name}: {error}"),
                        Err(_) => {}
                    }
                    if renewed.elapsed() >= PATIENCE {
                        // The receiver is gone when the run has ended, and then nobody needs to know.
                        tell.send(true).ok();
                        return;
                    }
                }
            })
        };
        Ok(Marker { store, container: night.container.clone(), name, document, renewal, lost })
    }

    /// Runs a future for as long as the marker stands.
    pub(super) async fn guard<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let mut lost = self.lost.clone();
        tokio::select! {
            done = work => done,
            Ok(_) = lost.wait_for(|lost| *lost) => {
                Err(Error::new(Kind::Failed, format!("the marker {} could not be renewed for {PATIENCE:?}", self.name))
                    .hint("the object store was out of reach; run the same command again when it answers"))
            }
        }
    }

    /// Whether the night is still this run's: its marker stands, and no other run with a lower id is alive.
    pub(super) async fn check(&self) -> Result<(), Error> {
        let found = markers(self.store.as_ref(), &self.container).await?;
        if let Some(other) = found.iter().find(|found| self.is_alive(found) && found.marker.id < self.document.id) {
            return Err(Error::new(
                Kind::Locked,
                format!(
                    "{} is being backed up by {} (process {}) too",
                    self.container, other.marker.host, other.marker.process
                ),
            )
            .hint("that run goes on; this one has ended"));
        }
        match self.store.head(&self.container, &self.name).await {
            Ok(_) => Ok(()),
            Err(store::Error::NotFound { .. }) => {
                Err(Error::new(Kind::Failed, format!("the marker {} was removed by somebody else", self.name))
                    .hint("look who writes into this container; run the same command again"))
            }
            Err(error) => Err(error.into()),
        }
    }

    fn is_alive(&self, found: &FoundMarker) -> bool {
        found.is_fresh() && !is_dead_here(&found.marker, &self.document.host)
    }

    /// The run is over and the night is sealed: no trace is needed any more.
    pub(super) async fn lower(self) {
        self.renewal.abort();
        // The seal stands, so whatever markers are left, of this run or of dead ones, mean nothing.
        match markers(self.store.as_ref(), &self.container).await {
            Ok(found) => {
                for old in found.iter().filter(|found| !self.is_alive(found) || found.name == self.name) {
                    if let Err(error) = archive::remove(self.store.as_ref(), &self.container, &old.name).await {
                        tracing::warn!("cannot remove {}: {error}", old.name);
                    }
                }
            }
            Err(error) => tracing::warn!("cannot remove {}: {error}", self.name),
        }
    }

    /// The run has failed: its marker says how, or goes when another run has the night.
    pub(super) async fn fail(mut self, error: &Error) {
        self.renewal.abort();
        let left = if error.kind() == Kind::Locked {
            archive::remove(self.store.as_ref(), &self.container, &self.name).await
        } else {
            self.document.state = RunState::Failed { error: error.to_string() };
            archive::replace(self.store.as_ref(), &self.container, &self.name, &self.document).await
        };
        if let Err(error) = left {
            tracing::warn!("cannot leave word in {}: {error}", self.name);
        }
    }
}

/// Whether a marker is that of a run on this machine that is no more: nobody has to wait until it grows old.
pub(super) fn is_dead_here(marker: &RunningMarker, host: &str) -> bool {
    marker.host == host && !Path::new("/proc").join(marker.process.to_string()).exists()
}

impl Drop for Marker {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}
