//! How often an object is read that comes damaged, and in which way.

use std::future::Future;

use store::{Download, Store};

use crate::{Error, Event, Kind, Progress};

/// How often a damaged object is read again with the store looking as well: Swift takes a damaged copy of it away once
/// it has handed it out to its end, so that the read after that gets another one.
const LOOKS: u32 = 2;

/// A reading of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Look {
    /// The first one, in the way that is easiest for the store.
    First,
    /// One after damage: the store looks as well.
    Again,
}

impl Look {
    /// Opens the object.
    pub(crate) async fn open(self, store: &dyn Store, container: &str, name: &str) -> Result<Download, store::Error> {
        match self {
            Look::First => store.get_unchecked(container, name).await,
            Look::Again => store.get(container, name, None).await,
        }
    }
}

/// Reads an object; again where it comes damaged, since the store may have more than one copy of it.
///
/// # Errors
///
/// What the reading ends with; damage when every reading found it.
pub(crate) async fn until_whole<T, R>(progress: &dyn Progress, mut read: impl FnMut(Look) -> R) -> Result<T, Error>
where
    R: Future<Output = Result<T, Error>>,
{
    let first = match read(Look::First).await {
        Err(error) if error.kind() == Kind::Damage => error,
        other => return other,
    };
    for _ in 0..LOOKS {
        progress.report(Event::Warning(&format!("{first}; reading it again")));
        match read(Look::Again).await {
            Err(error) if error.kind() == Kind::Damage => {}
            other => return other,
        }
    }
    Err(first)
}
