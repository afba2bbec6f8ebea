//! The wish that a job ends: a signal, turned into a value by the door.
//!
//! A job that is simply dropped cannot say farewell. One that is asked leaves what it works on in a state that has a
//! name: a restore brings the target back up, a backup says in its marker what became of it.

use std::future::Future;
use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::Error;

/// How long what is nearly done may take once a job has been asked to end. Two of these fit into the ten seconds after which
/// people and service managers lose patience.
const LAST_WORDS: Duration = Duration::from_secs(3);

/// Asks a job to end. Clones are one.
#[derive(Debug, Clone, Default)]
pub struct Interrupt(CancellationToken);

impl Interrupt {
    /// One that nobody has asked for yet.
    #[must_use]
    pub fn new() -> Interrupt {
        Interrupt::default()
    }

    /// Asks the job to end.
    pub fn request(&self) {
        self.0.cancel();
    }

    /// Whether the job is asked to end, for work in blocking threads.
    pub(crate) fn is_requested(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits until the job is asked to end; at once if it has been.
    pub async fn requested(&self) {
        self.0.cancelled().await;
    }

    /// Work that is dropped when the job is asked to end; none is begun once it has been.
    ///
    /// # Errors
    ///
    /// [`Error::interrupted`], and what the work ends with.
    pub async fn unless<T, E: From<Error>>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        tokio::select! {
            biased;
            () = self.requested() => Err(Error::interrupted().into()),
            result = work => result,
        }
    }

    /// Work that should be done although the job was asked to end, if it is done soon.
    ///
    /// # Errors
    ///
    /// [`Error::interrupted`], and what the work ends with.
    pub async fn unless_slow<T, E: From<Error>>(&self, work: impl Future<Output = Result<T, E>>) -> Result<T, E> {
        let late = async {
            self.requested().await;
            sleep(LAST_WORDS).await;
        };
        tokio::select! {
            result = work => result,
            () = late => Err(Error::interrupted().into()),
        }
    }
}
