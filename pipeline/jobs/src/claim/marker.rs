//! The marker of this run in the archive: other machines see that somebody is at work in the night, and who.
//!
//! Object stores give no lock, so runs look at each other's markers: of those that are alive, the one with the lowest
//! id goes on, and the others end as soon as they see it. Ages are by the store's clock.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use archive::records::{RunState, RunningMarker};
use archive::state::{FoundMarker, markers};
use archive::{Document, names};
use chrono::{DateTime, TimeDelta, Utc};
use store::{Store, StoreExt};
use tokio::sync::{Mutex, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::{Error, Kind, Place};

/// How often the marker is written anew.
const RENEWAL: Duration = Duration::from_secs(30);

/// A run that could not renew for this long stops: after five minutes others take it for dead.
const PATIENCE: Duration = Duration::from_secs(180);

/// The marker, renewed in the background until it is lowered or dropped.
pub(crate) struct Marker {
    post: Arc<Post>,
    /// When it was raised, by the store's clock.
    since: DateTime<Utc>,
    renewal: JoinHandle<()>,
    /// Tells why the run must end.
    ended: Mutex<oneshot::Receiver<Error>>,
}

/// Where the marker stands, and what stands in it.
struct Post {
    store: Arc<dyn Store>,
    container: String,
    name: String,
    document: RunningMarker,
}

/// What the night is of.
pub(crate) struct Subject {
    /// Cluster id of the InfluxDB, as decimal text.
    pub(crate) cluster_id: String,
    /// Its databases.
    pub(crate) databases: Vec<String>,
    /// Whether it is to be deleted.
    pub(crate) is_deleting: bool,
}

/// What the markers of a night say to a run.
enum Verdict {
    /// It may go on; these others are alive, and will give way to it.
    Mine(Vec<FoundMarker>),
    /// It must end.
    Over(Error),
}

impl Marker {
    /// Writes the marker and keeps it young.
    pub(crate) async fn raise(
        place: &Place,
        container: &str,
        now: DateTime<Utc>,
        subject: Subject,
        store: Arc<dyn Store>,
    ) -> Result<Marker, Error> {
        let id = format!("{:016x}", rand::random::<u64>());
        let name = names::running_marker(container, &id);
        let document = RunningMarker {
            format: RunningMarker::FORMAT.to_owned(),
            id,
            writer: place.writer.clone(),
            host: place.host.clone(),
            process: place.process,
            cluster_id: subject.cluster_id,
            databases: subject.databases,
            started: now,
            is_deleting: subject.is_deleting,
            state: RunState::Running,
        };
        let post = Arc::new(Post { store, container: container.to_owned(), name, document });
        let raised = Instant::now();
        post.write(&post.document).await?;
        let since = post.look().await?.modified;
        let (tell, ended) = oneshot::channel();
        let renewal = {
            let post = Arc::clone(&post);
            tokio::spawn(async move {
                // The receiver is gone when the run has ended, and then nobody needs to know.
                tell.send(post.keep(raised).await).ok();
            })
        };
        Ok(Marker { post, since, renewal, ended: Mutex::new(ended) })
    }

    /// Runs a future for as long as the marker stands.
    pub(crate) async fn guard<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        let mut ended = self.ended.lock().await;
        tokio::select! {
            done = work => done,
            Ok(error) = &mut *ended => Err(error),
        }
    }

    /// Whether the night is still this run's: its marker stands, and no other run with a lower id is alive. Gives the
    /// runs that are alive and have to give way.
    pub(crate) async fn check(&self) -> Result<Vec<FoundMarker>, Error> {
        match self.post.verdict().await? {
            Verdict::Mine(others) => Ok(others),
            Verdict::Over(error) => Err(error),
        }
    }

    /// How long ago it was raised, by the store's clock.
    pub(crate) async fn age(&self) -> Result<TimeDelta, Error> {
        Ok(self.post.look().await?.answered - self.since)
    }

    /// The run is over and the night is sealed: no trace is needed any more.
    pub(crate) async fn lower(&self) {
        self.renewal.abort();
        let Post { store, container, name, document } = &*self.post;
        if let Err(error) = archive::remove(store.as_ref(), container, name).await {
            tracing::warn!("cannot remove {name}: {error}");
        }
        sweep(container, &document.host, store.as_ref()).await;
    }

    /// The run has failed: its marker says how, or goes when another run has the night.
    pub(crate) async fn fail(&self, error: &Error) {
        self.renewal.abort();
        let Post { store, container, name, document } = &*self.post;
        let left = if error.kind() == Kind::Locked {
            archive::remove(store.as_ref(), container, name).await.map(|_| ()).map_err(Error::from)
        } else {
            let state = RunState::Failed { error: error.to_string() };
            self.post.write(&RunningMarker { state, ..document.clone() }).await
        };
        if let Err(error) = left {
            tracing::warn!("cannot leave word in {name}: {error}");
        }
    }
}

impl Drop for Marker {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

impl Post {
    async fn write(&self, document: &RunningMarker) -> Result<(), Error> {
        Ok(archive::replace(self.store.as_ref(), &self.container, &self.name, document).await?)
    }

    async fn look(&self) -> Result<store::ObjectInfo, Error> {
        match self.store.find(&self.container, &self.name).await? {
            Some(info) => Ok(info),
            None => Err(self.removed()),
        }
    }

    fn removed(&self) -> Error {
        Error::new(Kind::Failed, format!("the marker {} was removed by somebody else", self.name))
            .hint("look who writes into this container; run the same command again")
    }

    /// Renews the marker until the run must end, and gives the reason.
    async fn keep(&self, raised: Instant) -> Error {
        let mut renewed = raised;
        loop {
            tokio::time::sleep(RENEWAL).await;
            let begun = Instant::now();
            match tokio::time::timeout_at(renewed + PATIENCE, self.renew()).await {
                Ok(Ok(Verdict::Mine(_))) => renewed = begun,
                Ok(Ok(Verdict::Over(error))) => return error,
                Ok(Err(error)) => tracing::warn!("cannot renew {}: {error}", self.name),
                Err(_) => {}
            }
            if renewed.elapsed() >= PATIENCE {
                let message = format!("the marker {} could not be renewed for {PATIENCE:?}", self.name);
                return Error::new(Kind::Failed, message)
                    .hint("the object store was out of reach; run the same command again when it answers");
            }
        }
    }

    /// Writes the marker anew, unless the run has to end: one that was removed must not come back.
    async fn renew(&self) -> Result<Verdict, Error> {
        let verdict = self.verdict().await?;
        if let Verdict::Mine(_) = verdict {
            self.write(&self.document).await?;
        }
        Ok(verdict)
    }

    async fn verdict(&self) -> Result<Verdict, Error> {
        if self.store.find(&self.container, &self.name).await?.is_none() {
            return Ok(Verdict::Over(self.removed()));
        }
        let mut found = markers(self.store.as_ref(), &self.container).await?;
        found.retain(|found| found.name != self.name && self.is_alive(found));
        Ok(match found.iter().find(|found| found.marker.id < self.document.id) {
            Some(other) => Verdict::Over(taken_by(&self.container, &other.marker)),
            None => Verdict::Mine(found),
        })
    }

    fn is_alive(&self, found: &FoundMarker) -> bool {
        is_alive(found, &self.document.host)
    }
}

/// Removes the markers of dead runs from a sealed night, where they mean nothing any more.
pub(crate) async fn sweep(container: &str, host: &str, store: &dyn Store) {
    let dead = match markers(store, container).await {
        Ok(found) => found.into_iter().filter(|found| !is_alive(found, host)),
        Err(error) => return tracing::warn!("cannot look for markers in {container}: {error}"),
    };
    for FoundMarker { name, .. } in dead {
        if let Err(error) = archive::remove(store, container, &name).await {
            tracing::warn!("cannot remove {name}: {error}");
        }
    }
}

/// Refuses a night in which another run is at work, before this one has a marker of its own.
pub(crate) fn refuse_company(found: &[FoundMarker], host: &str, container: &str) -> Result<(), Error> {
    match found.iter().find(|found| is_alive(found, host)) {
        Some(other) => Err(taken_by(container, &other.marker)),
        None => Ok(()),
    }
}

fn taken_by(container: &str, other: &RunningMarker) -> Error {
    let RunningMarker { writer, host, process, .. } = other;
    let message = format!("{} is at work in {container}, on {host} (process {process})", writer.program);
    Error::new(Kind::Locked, message).hint("that run goes on; this one has ended")
}

/// A run on this machine that is no more is known to be dead at once; of others nobody knows until they grow old.
fn is_alive(found: &FoundMarker, host: &str) -> bool {
    let is_dead_here =
        || found.marker.host == host && !Path::new("/proc").join(found.marker.process.to_string()).exists();
    found.is_fresh() && !is_dead_here()
}

#[cfg(test)]
mod tests {
    use archive::manifest::Writer;
    use store::Folder;

    use super::*;

    /// A marker in a folder, and the folder.
    async fn raised() -> (Marker, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(Folder::open(folder.path()).unwrap());
        store.create_container("night").await.unwrap();
        let place = Place {
            host: "db1".to_owned(),
            process: std::process::id(),
            writer: Writer { program: "nightshard-backup".to_owned(), version: "0.0.0".to_owned() },
            locks: folder.path().to_owned(),
            spool: folder.path().to_owned(),
            spool_size: None,
        };
        let subject = Subject { cluster_id: "7".to_owned(), databases: Vec::new(), is_deleting: false };
        let marker = Marker::raise(&place, "night", DateTime::UNIX_EPOCH, subject, store).await.unwrap();
        (marker, folder)
    }

    /// Time passes as fast as nothing happens.
    async fn work_without_end(marker: &Marker) -> (Error, Duration) {
        let begun = Instant::now();
        (marker.guard(std::future::pending::<Result<(), Error>>()).await.unwrap_err(), begun.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_that_cannot_renew_its_marker_for_three_minutes_stops() {
        let (marker, folder) = raised().await;
        // A link to itself in place of the container: nobody can say what is there.
        let container = folder.path().join("night");
        std::fs::remove_dir_all(&container).unwrap();
        std::os::unix::fs::symlink(&container, &container).unwrap();
        let (error, after) = work_without_end(&marker).await;
        assert!(error.to_string().contains("could not be renewed for 180s"), "{error}");
        assert!(after >= PATIENCE && after < PATIENCE + RENEWAL, "{after:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_marker_that_was_removed_ends_the_run_at_the_next_renewal_and_stays_away() {
        let (marker, folder) = raised().await;
        let path = folder.path().join("night").join(&marker.post.name);
        std::fs::remove_file(&path).unwrap();
        let (error, after) = work_without_end(&marker).await;
        assert!(error.to_string().contains("was removed by somebody else"), "{error}");
        assert!(after < RENEWAL * 2, "{after:?}");
        assert!(!path.exists());
    }

    #[tokio::test(start_paused = true)]
    async fn a_marker_is_renewed_while_the_run_lives() {
        let (marker, folder) = raised().await;
        let path = folder.path().join("night").join(&marker.post.name);
        let old = std::time::SystemTime::now() - Duration::from_secs(3600);
        for _ in 0..3 {
            std::fs::File::options().write(true).open(&path).unwrap().set_modified(old).unwrap();
            let long = tokio::time::timeout(RENEWAL + Duration::from_secs(1), work_without_end(&marker)).await;
            assert!(long.is_err(), "{long:?}");
            while path.metadata().unwrap().modified().unwrap() == old {
                tokio::task::yield_now().await;
            }
        }
    }
}
