//! Work that blocks, in a thread of its own.

use std::panic::resume_unwind;

use tokio::task::{JoinError, JoinHandle};

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

/// What a task gives that ends by itself; its panic goes on here.
pub(crate) async fn ended<T>(task: JoinHandle<T>) -> T {
    task.await.unwrap_or_else(|error| resume_unwind(error.into_panic()))
}
