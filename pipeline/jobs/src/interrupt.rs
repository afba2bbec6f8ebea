//! The wish that a job ends: a signal, turned into a value by the door.
//!
//! A job that is simply dropped cannot say farewell. One that is asked leaves what it works on in a state that has a
//! name: a restore brings the target back up, a backup says in its marker what became of it.

use tokio_util::sync::CancellationToken;

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

    /// Waits until the job is asked to end; at once if it has been.
    pub async fn requested(&self) {
        self.0.cancelled().await;
    }
}
