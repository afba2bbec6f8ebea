//! A run's claim on a night that it fills or deletes, made good before the first change and looked at again before the seal.
//!
//! Two machines may begin with one night at the same time, and neither can lock the other out. So a run changes nothing while
//! another one is alive, and seals nothing where a seal has appeared meanwhile.

mod marker;

pub(crate) use marker::{Marker, Subject, refuse_company, sweep};

use std::sync::Arc;
use std::time::Duration;

use archive::{BackupManifest, names};
use chrono::TimeDelta;
use store::{Store, StoreExt};
use tokio::sync::OnceCell;

use crate::{Error, Event, Kind, Progress};

/// How long to wait between two looks at a run that has to give way.
const PAUSE: Duration = Duration::from_millis(500);

/// The claim of a run whose marker stands.
pub(crate) struct Claim {
    store: Arc<dyn Store>,
    container: String,
    marker: Marker,
    /// SHA-256 of the seal that this run takes away.
    replaces: Option<String>,
    /// How old the run may be that seals; any age where nothing is said.
    longest: Option<TimeDelta>,
    possession: OnceCell<()>,
}

impl Claim {
    pub(crate) fn new(store: Arc<dyn Store>, container: String, marker: Marker, replaces: Option<String>) -> Claim {
        Claim { store, container, marker, replaces, longest: None, possession: OnceCell::new() }
    }

    /// Lets the run seal only while it is younger than that, by the store's clock.
    pub(crate) fn limit(&mut self, longest: Option<TimeDelta>) {
        self.longest = longest;
    }

    /// Runs a future for as long as the marker stands.
    pub(crate) async fn guard<T>(&self, work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        self.marker.guard(work).await
    }

    /// Whether any other run has the night.
    pub(crate) async fn check(&self) -> Result<(), Error> {
        self.marker.check().await?;
        self.old_seal_stands().await?;
        let Some(longest) = self.longest else { return Ok(()) };
        let age = self.marker.age().await?;
        if age < longest {
            return Ok(());
        }
        let (age, longest) = (age.num_minutes(), longest.num_minutes());
        Err(Error::new(
            Kind::Failed,
            format!(
                "the backup has taken {age} minutes, and what it takes from other nights is sure for {longest} alone"
            ),
        )
        .hint(
            "run the same command again, which goes on from there; a pool made with a longer --grace gives more time",
        ))
    }

    /// To be called before anything is changed; only the first call has something to do. When no other run is at work any more,
    /// the seal goes that is to go.
    pub(crate) async fn take_possession(&self, progress: &dyn Progress) -> Result<(), Error> {
        let take = || async {
            self.stand_alone(progress).await?;
            if self.old_seal_stands().await? {
                tracing::info!("{} is no backup any more, unless it is sealed anew", self.container);
                archive::remove(self.store.as_ref(), &self.container, &self.seal()).await?;
            }
            Ok::<(), Error>(())
        };
        self.possession.get_or_try_init(take).await?;
        Ok(())
    }

    /// Waits for the runs that have to give way to this one: they see its marker before they upload, seal, or renew their own.
    pub(crate) async fn stand_alone(&self, progress: &dyn Progress) -> Result<(), Error> {
        while let Some(other) = self.marker.check().await?.first() {
            let (host, process) = (&other.marker.host, other.marker.process);
            progress.report(Event::Waiting(&format!("for the run on {host} (process {process}) to give way")));
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    fn seal(&self) -> String {
        names::backup_manifest(&self.container)
    }

    /// Whether the seal stands that is to be replaced. Any other means that the night is not this run's.
    async fn old_seal_stands(&self) -> Result<bool, Error> {
        match archive::read::<BackupManifest>(self.store.as_ref(), &self.container, &self.seal()).await {
            Err(archive::Error::Missing { .. }) => Ok(false),
            Err(error) => Err(error.into()),
            Ok(found) if self.replaces.as_ref() == Some(&found.sha256) => Ok(true),
            Ok(_) => Err(Error::new(Kind::Locked, format!("{} was sealed by another run meanwhile", self.container))
                .hint("that backup stands; nothing of it was changed")),
        }
    }

    /// The night is sealed.
    pub(crate) async fn settle(&self) {
        self.marker.lower().await;
    }

    /// The run has failed. Gives the error as it is to be told.
    pub(crate) async fn abandon(&self, error: Error) -> Error {
        let error = if self.replaces.is_some() { self.tell_of_the_seal(error).await } else { error };
        self.marker.fail(&error).await;
        error.after_changes()
    }

    /// A night whose seal was to go may have lost it by now, and then it is no backup any more.
    async fn tell_of_the_seal(&self, error: Error) -> Error {
        let how = match self.store.find(&self.container, &self.seal()).await {
            Ok(Some(_)) => return error,
            Ok(None) => "is unsealed now",
            Err(_) => "may be unsealed now",
        };
        let error = error.during(format_args!("{}, whose seal was to go, {how}", self.container));
        if error.hint_text().is_some() {
            error
        } else {
            error.hint("run the same command again, which goes on from there")
        }
    }
}
