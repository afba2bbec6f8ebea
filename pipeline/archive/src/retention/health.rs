//! How far a night can be relied on, by what was written down beside its seal.

use std::collections::{BTreeMap, BTreeSet};

use crate::records::RestoreRecord;
use crate::verification::{Verification, VerifyRecord};

/// How far a night can be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Health {
    /// It was verified, and nothing was wrong.
    Verified,
    /// Nobody has looked, or not at all of it.
    Unverified,
    /// Something in it is not as its seal says.
    Damaged,
}

impl Health {
    /// Of the night with these databases whose seal has this SHA-256; what is told of another seal says nothing.
    ///
    /// It is verified when all of it was looked at, at once or slice by slice; a restore that gave every point of every
    /// database proves as much. Damage counts until a verification of the same extent has not found it any more.
    #[must_use]
    pub fn of(
        seal_sha256: &str,
        databases: &[String],
        verified: Option<&VerifyRecord>,
        restored: &[RestoreRecord],
    ) -> Health {
        let verified = verified.filter(|record| record.manifest_sha256.as_deref() == Some(seal_sha256));
        let verifications = verified.map(|record| record.verifications.as_slice()).unwrap_or_default();
        if verifications.iter().any(|one| !one.damages.is_empty()) {
            return Health::Damaged;
        }
        let mut restored = restored.iter().filter(|record| record.manifest_sha256 == seal_sha256);
        if is_whole(verifications) || restored.any(|record| proves(record, databases)) {
            return Health::Verified;
        }
        Health::Unverified
    }
}

/// Whether all objects were looked at in one way.
fn is_whole(verifications: &[Verification]) -> bool {
    let mut seen: BTreeMap<(&str, u64), BTreeSet<u64>> = BTreeMap::new();
    for one in verifications.iter().filter(|one| one.unchecked.is_empty()) {
        match one.slice {
            None => return true,
            Some(slice) => {
                seen.entry((&one.extent, slice.of)).or_default().insert(slice.number);
            }
        }
    }
    seen.into_iter().any(|((_, of), numbers)| (0..of).all(|number| numbers.contains(&number)))
}

/// Whether every point of every database came back.
fn proves(record: &RestoreRecord, databases: &[String]) -> bool {
    let is_all = databases.iter().all(|database| record.databases.contains(database));
    is_all
        && record.proof.as_ref().is_some_and(|proof| {
            proof.extent == "all"
                && proof.compared_with.is_some()
                && proof.missing.is_empty()
                && proof.surplus.is_empty()
        })
}
