//! What the points that a server counts are compared with: what the night's manifest says was backed up, or, for a night
//! that nobody looked into, the most that restores of it have counted on this host.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use archive::manifest::{FieldRecord, MeasurementRecord};
use archive::records::{PointCount, Proof, RestoreRecord};
use chrono::{DateTime, Utc};

use super::count::Prove;
use super::record;
use super::selection::Selection;

/// Database, retention policy, measurement, field; as they are called on the target.
type Place = [String; 4];

/// How many points each field has to have.
#[derive(Debug)]
pub(super) struct Measure {
    origin: Origin,
    /// The databases that it knows of.
    databases: BTreeSet<String>,
    points: BTreeMap<Place, u64>,
    /// Why the server may count fewer points of a field than it has.
    excuses: BTreeMap<Place, String>,
}

/// Where the numbers come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// From the shards, when they were backed up.
    Backup,
    /// From a server, after an earlier restore.
    Earlier,
}

/// What a comparison has found, a line for each field.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Differences {
    /// What there is less of than there has to be.
    pub(super) missing: Vec<String>,
    /// What there is more of.
    pub(super) surplus: Vec<String>,
    /// What InfluxDB cannot count.
    pub(super) excused: Vec<String>,
}

impl Measure {
    /// For a night on a host of which there may be a record. What retention policies of a recovered server may have removed
    /// already is left out.
    pub(super) fn of(selection: &Selection, earlier: Option<&RestoreRecord>, recovery: bool) -> Measure {
        let manifest = &selection.manifest;
        if manifest.verified.is_none() {
            // Nobody has counted anything before a recovery that could be compared with it.
            let earlier = earlier.filter(|_| !recovery);
            return Measure::earlier(earlier.map(record::most).unwrap_or_default());
        }
        let (mut points, mut excuses) = (BTreeMap::new(), BTreeMap::new());
        for database in &selection.databases {
            let stored = selection.stored_name(database);
            for measurement in manifest.measurements.iter().filter(|measurement| measurement.database == stored) {
                let MeasurementRecord { retention_policy, measurement, fields, .. } = measurement;
                if recovery && !lasts(selection, database, retention_policy) {
                    continue;
                }
                let spans = Spans::of(selection, database, retention_policy);
                for types in fields.chunk_by(|one, other| one.field == other.field) {
                    let place = [database, retention_policy, measurement, &types[0].field].map(Clone::clone);
                    excuses.extend(spans.excuse(types).map(|excuse| (place.clone(), excuse)));
                    points.insert(place, types.iter().map(|field| field.points).sum());
                }
            }
        }
        Measure { origin: Origin::Backup, databases: selection.databases.iter().cloned().collect(), points, excuses }
    }

    fn earlier(most: &[PointCount]) -> Measure {
        let databases = most.iter().map(|count| count.database.clone()).collect();
        Measure { origin: Origin::Earlier, databases, points: by_place(most), excuses: BTreeMap::new() }
    }

    /// Whether the night says itself how many points it has.
    pub(super) fn is_of_backup(&self) -> bool {
        self.origin == Origin::Backup
    }

    /// Whether there is nothing to compare with.
    pub(super) fn is_empty(&self) -> bool {
        self.databases.is_empty()
    }

    /// Whether a count is compared at all.
    pub(super) fn compares(&self, now: &Proof) -> bool {
        !self.is_empty() && now.extent == Prove::All.name()
    }

    /// What the record of the host keeps for the next comparison, a new count included; nothing where the night itself tells.
    pub(super) fn most_with(&self, earlier: Option<&RestoreRecord>, now: Option<&Proof>) -> Vec<PointCount> {
        match self.origin {
            Origin::Backup => Vec::new(),
            Origin::Earlier => record::most_with(earlier.map(record::most).unwrap_or_default(), now),
        }
    }

    /// What it is, in the words of a record and of a summary.
    pub(super) fn name(&self) -> &'static str {
        match self.origin {
            Origin::Backup => "backed up",
            Origin::Earlier => "counted before",
        }
    }

    /// Compares a count of everything; a sample is compared with nothing.
    pub(super) fn compare(&self, now: &Proof, databases: &[String]) -> Differences {
        let mut differences = Differences::default();
        if !self.compares(now) {
            return differences;
        }
        let now = by_place(&now.points);
        let answered: BTreeSet<[&String; 3]> =
            now.keys().map(|[database, policy, name, _]| [database, policy, name]).collect();
        let places: BTreeSet<&Place> = self.points.keys().chain(now.keys()).collect();
        for place @ [database, policy, measurement, field] in places {
            if !databases.contains(database) || !self.databases.contains(database) {
                continue;
            }
            let of = |counts: &BTreeMap<Place, u64>| counts.get(place).copied().unwrap_or(0);
            let (now, wanted) = (of(&now), of(&self.points));
            let unfound = || unfound(measurement).filter(|_| !answered.contains(&[database, policy, measurement]));
            let excuse = || self.excuses.get(place).map(String::as_str).or_else(unfound);
            let has = format!("{database}.{policy}: field {field} of {measurement} has {now} points");
            match now.cmp(&wanted) {
                Ordering::Equal => {}
                Ordering::Less => match (excuse(), self.origin) {
                    (Some(excuse), _) => {
                        differences.excused.push(format!("{has} of {wanted} by InfluxDB's count: {excuse}"));
                    }
                    (None, Origin::Backup) => {
                        differences.missing.push(format!("{has}, and {wanted} were backed up"));
                    }
                    (None, Origin::Earlier) => {
                        let had = format!("{has}, and had {wanted} in an earlier restore of the same night");
                        differences.missing.push(had);
                    }
                },
                Ordering::Greater => {
                    differences.surplus.push(format!("{has}, and {wanted} came with the night"));
                }
            }
        }
        differences
    }
}

/// Whether a policy keeps its points for ever.
fn lasts(selection: &Selection, database: &str, policy: &str) -> bool {
    let database = selection.metastore.database(database);
    let policy = database.and_then(|database| database.policies.iter().find(|one| one.name == policy));
    policy.is_some_and(|policy| policy.duration == 0)
}

/// Why InfluxDB may not answer for a measurement of this name at all. Seen on 1.6.7: one that was written with a backslash before
/// a quote or an equals sign is listed without the backslash, and once its fields have been read from its files, as they
/// are after every restore, they are known by the name with the backslash only, by which no query finds them.
fn unfound(measurement: &str) -> Option<&'static str> {
    let why = "it lists the measurement, but finds no fields of one whose name was written with backslashes";
    measurement.contains(['"', '=', '\\']).then_some(why)
}

fn by_place(counts: &[PointCount]) -> BTreeMap<Place, u64> {
    let places = counts.iter().flat_map(|count| {
        let PointCount { database, retention_policy, measurement, fields } = count;
        fields
            .iter()
            .map(move |(field, points)| ([database, retention_policy, measurement, field].map(Clone::clone), *points))
    });
    places.collect()
}

/// The time spans of a policy's shards, which a count goes through one after the other.
struct Spans {
    /// Until when InfluxDB finds points in no span, where a shard has no beginning.
    hidden_until: Option<DateTime<Utc>>,
    /// Whether some of them overlap, so that a field may have several types in one.
    overlap: bool,
}

impl Spans {
    fn of(selection: &Selection, database: &str, policy: &str) -> Spans {
        let shards = selection.shards.iter().map(|(_, shard)| shard);
        let shards = shards.filter(|shard| shard.database == database && shard.retention_policy == policy);
        let (mut hidden_until, mut spans) = (None, Vec::new());
        for shard in shards {
            match shard.starts {
                Some(starts) => spans.push((starts, shard.ends)),
                None => hidden_until = hidden_until.max(Some(shard.ends)),
            }
        }
        spans.sort_unstable();
        let overlap = spans.windows(2).any(|pair| pair[1].0 < pair[0].1);
        Spans { hidden_until, overlap }
    }

    /// Why InfluxDB may count fewer points of a field, which comes once for each of its types.
    fn excuse(&self, types: &[FieldRecord]) -> Option<String> {
        if self.hidden_until.is_some_and(|until| types.iter().any(|field| field.first < until)) {
            return Some("it finds those before 1677-09-22 in no slice of time".to_owned());
        }
        if !self.overlap || types.len() < 2 {
            return None;
        }
        let of = |field: &FieldRecord| {
            let shards: Vec<String> = field.shards.iter().map(u64::to_string).collect();
            format!("{} in shards {}", field.kind, shards.join(", "))
        };
        let types: Vec<String> = types.iter().map(of).collect();
        Some(format!("its type differs, and shards overlap ({})", types.join("; ")))
    }
}

#[cfg(test)]
mod tests {
    use super::super::record::tests::{counts, proof};
    use super::*;

    #[test]
    fn fewer_points_are_missing_and_more_are_surplus() {
        let databases = ["db".to_owned()];
        let mut measure = Measure::earlier(&counts("db", "f", 5));
        let said = |measure: &Measure, extent: &str, field: &str, points| {
            let Differences { missing, surplus, excused } =
                measure.compare(&proof(extent, counts("db", field, points)), &databases);
            [missing, surplus, excused].concat()
        };
        let had = "db.p: field f of m has 4 points, and had 5 in an earlier restore of the same night";
        assert_eq!(said(&measure, "all", "f", 4), [had]);
        assert_eq!(said(&measure, "all", "f", 6), ["db.p: field f of m has 6 points, and 5 came with the night"]);
        assert_eq!(said(&measure, "all", "f", 5), [""; 0]);
        assert_eq!(said(&measure, "sample", "f", 1), [""; 0]);

        measure.origin = Origin::Backup;
        assert_eq!(
            said(&measure, "all", "g", 1),
            [
                "db.p: field f of m has 0 points, and 5 were backed up",
                "db.p: field g of m has 1 points, and 0 came with the night"
            ]
        );
        let place = ["db", "p", "m", "f"].map(str::to_owned);
        measure.excuses.insert(place, "it finds some in no slice".to_owned());
        let excused = "db.p: field f of m has 4 points of 5 by InfluxDB's count: it finds some in no slice";
        assert_eq!(said(&measure, "all", "f", 4), [excused]);
        assert_eq!(said(&measure, "all", "f", 6), ["db.p: field f of m has 6 points, and 5 came with the night"]);
    }

    #[test]
    fn a_database_that_is_not_asked_for_or_not_known_is_compared_with_nothing() {
        let measure = Measure::earlier(&counts("db", "f", 5));
        let now = proof("all", [counts("db", "f", 1), counts("new", "f", 1)].concat());
        assert_eq!(measure.compare(&now, &["new".to_owned()]), Differences::default());
        assert_eq!(measure.compare(&now, &["db".to_owned(), "new".to_owned()]).missing.len(), 1);
    }

    #[test]
    fn a_measurement_that_the_server_does_not_find_by_its_name_is_excused_as_a_whole() {
        let count =
            |name: &str, points| PointCount { measurement: name.to_owned(), ..counts("db", "f", points).remove(0) };
        let compare = |name: &str, now: Vec<PointCount>| {
            let measure = Measure { origin: Origin::Backup, ..Measure::earlier(&[count(name, 5)]) };
            let Differences { missing, excused, .. } = measure.compare(&proof("all", now), &["db".to_owned()]);
            (missing.len(), excused.len())
        };
        assert_eq!(compare("a\"b", vec![]), (0, 1));
        assert_eq!(compare("ab", vec![]), (1, 0), "nothing is special about its name");
        assert_eq!(compare("a\"b", vec![count("a\"b", 4)]), (1, 0), "it was found");
        assert_eq!(compare("a\"b", vec![count("other", 5)]), (0, 1));
    }

    #[test]
    fn a_field_is_excused_only_where_the_server_cannot_count_it() {
        let at = |seconds| DateTime::from_timestamp(seconds, 0).unwrap();
        let field = |kind: &str, first, shards: &[u64]| FieldRecord {
            field: "f".to_owned(),
            kind: kind.to_owned(),
            keys: 1,
            points: 1,
            first: at(first),
            last: at(first),
            shards: shards.to_vec(),
        };
        let [float, string] = [field("float", 10, &[1, 2]), field("string", 20, &[3])];
        let excuse = |until: Option<i64>, overlap, types: &[FieldRecord]| {
            Spans { hidden_until: until.map(at), overlap }.excuse(types)
        };
        let both = [float.clone(), string];
        assert_eq!(excuse(None, false, &both), None, "each slice has one type");
        assert_eq!(excuse(None, true, &both[..1]), None, "one type");
        let types = "its type differs, and shards overlap (float in shards 1, 2; string in shards 3)";
        assert_eq!(excuse(None, true, &both).unwrap(), types);
        assert_eq!(excuse(Some(10), false, &both), None, "all points are later");
        assert!(excuse(Some(11), false, &both).unwrap().contains("1677"));
    }
}
