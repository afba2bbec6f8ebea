//! What all users of a pool must agree on: the grace period, which stands in the pool itself.

use chrono::TimeDelta;
use serde::{Deserialize, Serialize};
use store::Store;

use crate::{Document, Error, read, seal};

/// How long what no manifest names is kept, unless another period is configured.
pub const DEFAULT_GRACE: TimeDelta = TimeDelta::days(7);

/// A shorter one would leave less than a backup may take, and than listings may lag.
pub const LEAST_GRACE: TimeDelta = TimeDelta::hours(48);

/// The document in the pool.
const NAME: &str = "pool.json";

/// What the users of a pool agree on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolSettings {
    /// `nightshard-pool/1`.
    pub format: String,
    /// The grace period in seconds.
    pub grace_seconds: i64,
}

impl Document for PoolSettings {
    const WHAT: &'static str = "pool";
    const FORMAT: &'static str = "nightshard-pool/1";
}

/// The grace period of the pool in `container`; `None` where there is no pool yet.
///
/// # Errors
///
/// When it cannot be read, or makes no sense.
pub async fn grace_of(store: &dyn Store, container: &str) -> Result<Option<TimeDelta>, Error> {
    let settings = match read::<PoolSettings>(store, container, NAME).await {
        Ok(loaded) => loaded.document,
        Err(Error::Missing { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let grace = TimeDelta::try_seconds(settings.grace_seconds).filter(|grace| *grace > TimeDelta::zero());
    grace.map(Some).ok_or_else(|| Error::Unreadable {
        name: format!("{container}/{NAME}"),
        reason: format!("{} seconds are no grace period", settings.grace_seconds),
    })
}

/// That the document is missing though there is a pool.
pub(super) fn no_settings(container: &str) -> Error {
    let reason =
        "it is missing, so nobody knows how long what no night needs is to be kept; the next backup writes it anew";
    Error::Unreadable { name: format!("{container}/{NAME}"), reason: reason.to_owned() }
}

/// The same, where `grace` is written down if nobody has done it yet. Who makes the pool decides: two who used different
/// ones would destroy what the other needs.
pub(super) async fn agree(store: &dyn Store, container: &str, grace: TimeDelta) -> Result<TimeDelta, Error> {
    if let Some(agreed) = grace_of(store, container).await? {
        return Ok(agreed);
    }
    let settings = PoolSettings { format: PoolSettings::FORMAT.to_owned(), grace_seconds: grace.num_seconds() };
    match seal(store, container, NAME, &settings).await {
        // Somebody else wrote it at the same moment: theirs is as good.
        Ok(_) | Err(Error::Changed { .. }) => {}
        Err(error) => return Err(error),
    }
    Ok(grace_of(store, container).await?.unwrap_or(grace))
}
