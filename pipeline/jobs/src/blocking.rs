//! Work that blocks, in a thread of its own.

use tokio::task::JoinError;

use crate::{Error, Kind};

/// Runs such work.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    joined(tokio::task::spawn_blocking(work).await)
}

/// What came of it.
pub(crate) fn joined<T>(ended: Result<Result<T, Error>, JoinError>) -> Result<T, Error> {
    ended.unwrap_or_else(|error| Err(Error::new(Kind::Failed, format!("work on files broke off: {error}"))))
}
