//! What restores of a night have counted on a host, as the night's record keeps it.
//!
//! The record has the last count, and of every field the most that was ever counted: a count that finds less does not
//! become the measure for the next one.

use std::collections::{BTreeMap, BTreeSet};

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

/// What is missing of what was counted before, in these databases: a line for each field.
pub(super) fn missing(earlier: &[PointCount], now: &Proof, databases: &[String]) -> Vec<String> {
    let fewer = differing(earlier, now, databases).into_iter().filter(|(_, now, earlier)| now < earlier);
    fewer
        .map(|(field, now, earlier)| {
            format!("{field} has {now} points, and had {earlier} in an earlier restore of the same night")
        })
        .collect()
}

/// What is there that no restore of the night has brought, in these databases: a line for each field.
pub(super) fn surplus(earlier: &[PointCount], now: &Proof, databases: &[String]) -> Vec<String> {
    let more = differing(earlier, now, databases).into_iter().filter(|(_, now, earlier)| now > earlier);
    more.map(|(field, now, earlier)| format!("{field} has {now} points, and {earlier} came with the night")).collect()
}

/// The fields that have not as many points as before, with both numbers; of databases that were counted then and now.
fn differing(earlier: &[PointCount], now: &Proof, databases: &[String]) -> Vec<(String, u64, u64)> {
    if now.extent != Prove::All.name() {
        return Vec::new();
    }
    let counted = |name: &String| databases.contains(name) && earlier.iter().any(|count| count.database == *name);
    let (earlier_counts, counts) = (by_field(earlier), by_field(&now.points));
    let of = |counts: &Counts, key, field| {
        counts.get(key).and_then(|fields: &BTreeMap<String, u64>| fields.get(field)).copied().unwrap_or(0)
    };
    let all = [&earlier_counts, &counts].into_iter().flatten();
    let fields: BTreeSet<_> =
        all.flat_map(|(key, fields)| fields.keys().map(move |field| (key, field.as_str()))).collect();
    let fields = fields.into_iter().filter(|((database, ..), _)| counted(database));
    fields
        .map(|(key, field)| {
            let (database, policy, measurement) = key;
            let name = format!("{database}.{policy}: field {field} of {measurement}");
            (name, of(&counts, key, field), of(&earlier_counts, key, field))
        })
        .filter(|(_, now, earlier)| now != earlier)
        .collect()
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
mod tests {
    use super::*;

    fn counts(database: &str, field: &str, points: u64) -> Vec<PointCount> {
        vec![PointCount {
            database: database.to_owned(),
            retention_policy: "p".to_owned(),
            measurement: "m".to_owned(),
            fields: BTreeMap::from([(field.to_owned(), points)]),
        }]
    }

    fn proof(extent: &str, points: Vec<PointCount>) -> Proof {
        Proof { extent: extent.to_owned(), requests: 1, points, notes: Vec::new() }
    }

    #[test]
    fn fewer_points_than_before_are_missing_and_more_are_surplus() {
        let databases = ["db".to_owned()];
        let earlier = counts("db", "f", 5);
        let said = |extent: &str, field: &str, points| {
            let now = proof(extent, counts("db", field, points));
            [missing(&earlier, &now, &databases), surplus(&earlier, &now, &databases)].concat()
        };
        assert_eq!(
            said("all", "f", 4),
            ["db.p: field f of m has 4 points, and had 5 in an earlier restore of the same night"]
        );
        assert_eq!(said("all", "f", 6), ["db.p: field f of m has 6 points, and 5 came with the night"]);
        assert_eq!(
            said("all", "g", 1),
            [
                "db.p: field f of m has 0 points, and had 5 in an earlier restore of the same night",
                "db.p: field g of m has 1 points, and 0 came with the night"
            ]
        );
        assert_eq!(said("all", "f", 5), [""; 0]);
        assert_eq!(said("sample", "f", 1), [""; 0]);
        // A database that is not asked for, and one that was not counted before, are compared with nothing.
        let now = proof("all", [counts("db", "f", 1), counts("new", "f", 1)].concat());
        assert!(missing(&earlier, &now, &["new".to_owned()]).is_empty());
        assert!(surplus(&earlier, &now, &["new".to_owned()]).is_empty());
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
