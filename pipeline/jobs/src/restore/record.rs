//! What restores of a night have counted on a host, as the night's record keeps it.
//!
//! The record has the last count, and for a night whose manifest does not tell how many points it has, of every field the most
//! that was ever counted: a count that finds less does not become the measure for the next one.

use std::collections::BTreeMap;

use archive::names;
use archive::records::{PointCount, Proof, RestoreRecord};
use store::Store;

use super::count::Prove;
use super::selection::Selection;
use crate::Error;

/// Points by field, by database, retention policy and measurement.
type Counts = BTreeMap<(String, String, String), BTreeMap<String, u64>>;

/// The name of the record of this on a host; a copy has one of its own beside that of the night.
pub(super) fn name(selection: &Selection, host: &str) -> String {
    let container = &selection.manifest.container;
    match selection.stored_as {
        None => names::restore_record(container, host),
        Some(_) => names::restore_record(container, &format!("{host}.{}", selection.databases.join("."))),
    }
}

/// The record of earlier restores of exactly this night, if there is one that can be read.
///
/// # Errors
///
/// When the store does not answer, or a newer version wrote the record: it must not be replaced then.
pub(super) async fn earlier(
    store: &dyn Store,
    container: &str,
    name: &str,
    manifest_sha256: &str,
) -> Result<Option<RestoreRecord>, Error> {
    match archive::read::<RestoreRecord>(store, container, name).await {
        Ok(found) => Ok(Some(found.document).filter(|record| record.manifest_sha256 == manifest_sha256)),
        Err(archive::Error::Missing { .. }) => Ok(None),
        Err(error @ archive::Error::Unreadable { .. }) => {
            tracing::warn!("{error}; what earlier restores have counted is not known");
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// The most points that were counted of each field, as far as the record knows.
pub(super) fn most(record: &RestoreRecord) -> &[PointCount] {
    match &record.proof {
        Some(proof) if record.most.is_empty() => complete(proof),
        _ => &record.most,
    }
}

/// The most points of each field, a new count included; empty where that is just the new count.
pub(super) fn most_with(earlier: &[PointCount], now: Option<&Proof>) -> Vec<PointCount> {
    let now = now.map(complete).unwrap_or_default();
    let mut most = by_field(earlier);
    for (key, fields) in by_field(now) {
        let known = most.entry(key).or_default();
        for (field, points) in fields {
            let most = known.entry(field).or_default();
            *most = points.max(*most);
        }
    }
    if most == by_field(now) {
        return Vec::new();
    }
    let counts = most.into_iter().map(|((database, retention_policy, measurement), fields)| PointCount {
        database,
        retention_policy,
        measurement,
        fields,
    });
    counts.collect()
}

/// What was counted, if it was everything.
fn complete(proof: &Proof) -> &[PointCount] {
    if proof.extent == Prove::All.name() { &proof.points } else { &[] }
}

fn by_field(counts: &[PointCount]) -> Counts {
    let key = |count: &PointCount| (count.database.clone(), count.retention_policy.clone(), count.measurement.clone());
    counts.iter().map(|count| (key(count), count.fields.clone())).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::restore) fn counts(database: &str, field: &str, points: u64) -> Vec<PointCount> {
        vec![PointCount {
            database: database.to_owned(),
            retention_policy: "p".to_owned(),
            measurement: "m".to_owned(),
            fields: BTreeMap::from([(field.to_owned(), points)]),
        }]
    }

    pub(in crate::restore) fn proof(extent: &str, points: Vec<PointCount>) -> Proof {
        Proof { extent: extent.to_owned(), points, ..Proof::default() }
    }

    #[test]
    fn the_most_that_was_counted_is_kept_field_by_field() {
        let earlier = [counts("a", "f", 5), counts("db", "f", 5)].concat();
        let most = |extent: &str, points| most_with(&earlier, Some(&proof(extent, counts("db", "f", points))));
        assert_eq!(most("all", 4), earlier, "less is not taken for the measure");
        assert_eq!(most("all", 6), [counts("a", "f", 5), counts("db", "f", 6)].concat());
        assert_eq!(most("sample", 9), earlier);
        assert_eq!(most_with(&earlier, None), earlier, "what was not counted is not forgotten");
        assert_eq!(most_with(&[], None), []);
        let now = proof("all", earlier.clone());
        assert_eq!(most_with(&earlier, Some(&now)), [], "it stands in the proof");
        assert_eq!(most_with(&[], Some(&now)), []);
    }
}
