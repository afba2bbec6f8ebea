//! What it frees when nights leave: their own objects at once, and what only they name in the pool after the grace period.

use std::collections::{HashMap, HashSet};

use archive::names;
use archive::pool::{NamedBy, Naming, PoolName};
use serde::Serialize;
use store::Store;

use crate::Error;

/// Objects and bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Freed {
    /// Objects that are deleted at once, names of objects in the pool among them.
    pub objects: u64,
    /// Bytes that are free at once.
    pub bytes: u64,
    /// Objects of the pool that no night names any more.
    pub pool_objects: u64,
    /// Their bytes, which are free after the grace period.
    pub pool_bytes: u64,
}

impl Freed {
    /// Takes the night in `container` out of `named`, and adds what it alone had named, also to `unnamed`.
    pub(super) async fn add(
        &mut self,
        container: &str,
        pool: &str,
        named: &mut HashMap<PoolName, NamedBy>,
        unnamed: &mut HashSet<PoolName>,
        store: &dyn Store,
    ) -> Result<(), Error> {
        let naming = match archive::read::<Naming>(store, container, &names::backup_manifest(container)).await {
            Ok(loaded) => loaded.document,
            // It has gone meanwhile.
            Err(archive::Error::Missing { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        self.objects += naming.objects.len() as u64;
        let own = naming.objects.iter().filter(|object| object.pooled.is_none());
        self.bytes = own.map(|object| object.bytes).fold(self.bytes, u64::saturating_add);
        let mut of_night: Vec<PoolName> = naming.names(pool).filter_map(|(name, _)| name.parse().ok()).collect();
        of_night.sort_unstable();
        of_night.dedup();
        for name in of_night {
            let Some(by) = named.get_mut(&name) else { continue };
            by.nights = by.nights.saturating_sub(1);
            if by.nights == 0 {
                self.pool_objects += 1;
                self.pool_bytes = self.pool_bytes.saturating_add(by.bytes);
                unnamed.insert(name);
            }
        }
        Ok(())
    }
}
