//! Where every object goes. A pure value, made before anything is fetched.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Destination;
use super::contents::{About, Contents, Object};
use crate::{Error, Kind};

/// An object and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) object: Object,
    pub(super) target: PathBuf,
}

/// What is put in place together: everything that a seal names, and the seal last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unit {
    /// None where files stand alone.
    pub(super) seal: Option<Item>,
    /// The seal in the archive, by which it is known whether something was replaced meanwhile.
    pub(super) sealed_by: Object,
    pub(super) items: Vec<Item>,
    pub(super) dump: Option<About>,
}

/// Where everything goes, in the order of days and names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) units: Vec<Unit>,
}

impl Plan {
    /// Makes the plan.
    ///
    /// # Errors
    ///
    /// When two dumps would be one file, or cannot follow each other in a stream.
    pub(super) fn make(contents: &[Contents], destination: &Destination) -> Result<Plan, Error> {
        let units = contents.iter().flat_map(|night| &night.groups).map(|group| {
            let seal = match destination {
                Destination::Folder(_) => Some(item(&group.seal, destination)),
                Destination::Flat(_) | Destination::Stream => None,
            };
            let items = group.objects.iter().map(|object| item(object, destination)).collect();
            Unit { seal, sealed_by: group.seal.clone(), items, dump: group.dump.clone() }
        });
        let plan = Plan { units: units.collect() };
        plan.check_names(destination)?;
        if *destination == Destination::Stream {
            plan.check_encodings()?;
        }
        Ok(plan)
    }

    /// Dumps of several backups of one day have the same name, and the same records.
    fn check_names(&self, destination: &Destination) -> Result<(), Error> {
        let mut taken: BTreeMap<&Path, &Object> = BTreeMap::new();
        for Item { object, target } in self.units.iter().flat_map(|unit| &unit.items) {
            let Some(other) = taken.insert(target, object) else { continue };
            let (one, other, file) = (&other.container, &object.container, &object.file);
            let (what, cure) = match destination {
                Destination::Stream => ("are of the same day", ""),
                _ => ("would be one file", "leave --flat out, then each night has a folder of its own; or "),
            };
            let message = format!("{file} of {one} and of {other} {what}");
            let hint = format!("{cure}choose one of the nights with --match or --label");
            return Err(Error::new(Kind::Usage, message).hint(hint));
        }
        Ok(())
    }

    /// Whoever reads a stream must know what comes.
    fn check_encodings(&self) -> Result<(), Error> {
        let mut first: Option<(&str, &Object)> = None;
        for unit in &self.units {
            let (Some(about), Some(item)) = (&unit.dump, unit.items.first()) else { continue };
            let (encoding, object) = *first.get_or_insert((&about.encoding, &item.object));
            if encoding != about.encoding {
                let (one, other) = (&object.name, &item.object.name);
                let message = format!("{one} is {encoding} and {other} is {}", about.encoding);
                return Err(Error::new(Kind::Usage, message).hint(
                    "choose dumps of one format with --measurement, --date and --match, or fetch into a folder",
                ));
            }
        }
        Ok(())
    }
}

fn item(object: &Object, destination: &Destination) -> Item {
    let target = match destination {
        Destination::Folder(folder) => folder.join(&object.name),
        Destination::Flat(folder) => folder.join(&object.file),
        Destination::Stream => PathBuf::from(&object.file),
    };
    Item { object: object.clone(), target }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeSet;

    use super::super::contents::{Backup, Group};
    use super::*;

    fn object(container: &str, folder: &str, file: &str) -> Object {
        Object {
            container: container.to_owned(),
            name: format!("{container}/{folder}/{file}"),
            file: file.to_owned(),
            bytes: 7,
            sha256: "0".repeat(64),
        }
    }

    pub(in crate::fetch) fn night(container: &str, shards: &[&str], dumps: &[(&str, &str)]) -> Contents {
        let backup = Group {
            seal: object(container, "manifests", "backup.json"),
            objects: shards.iter().map(|file| object(container, "shards", file)).collect(),
            dump: None,
        };
        let dumps = dumps.iter().map(|(file, encoding)| Group {
            seal: object(container, "manifests", &format!("dump.{file}.json")),
            objects: vec![object(container, "influxdb", file)],
            dump: Some(About {
                measurement: "cpu".to_owned(),
                encoding: (*encoding).to_owned(),
                compression: file.ends_with(".gz").then(|| "gzip".to_owned()),
                open_until: None,
            }),
        });
        Contents {
            container: container.to_owned(),
            groups: (!shards.is_empty()).then_some(backup).into_iter().chain(dumps).collect(),
            backup: Backup::Fine,
            measurements: BTreeSet::new(),
            all_dumps: true,
            failures: Vec::new(),
            damages: Vec::new(),
            trouble: None,
        }
    }

    fn targets(plan: &Plan) -> Vec<String> {
        let items = plan.units.iter().flat_map(|unit| unit.items.iter().chain(&unit.seal));
        items.map(|item| item.target.display().to_string()).collect()
    }

    #[test]
    fn a_folder_holds_nights_as_the_archive_does_and_seals_come_last() {
        let nights =
            [night("2016-06-11", &["meta.00"], &[("cpu_11.json", "json")]), night("2016-06-12", &["meta.00"], &[])];
        let plan = Plan::make(&nights, &Destination::Folder("out".into())).unwrap();
        let expected = [
            "out/2016-06-11/shards/meta.00",
            "out/2016-06-11/manifests/backup.json",
            "out/2016-06-11/influxdb/cpu_11.json",
            "out/2016-06-11/manifests/dump.cpu_11.json.json",
            "out/2016-06-12/shards/meta.00",
            "out/2016-06-12/manifests/backup.json",
        ];
        assert_eq!(targets(&plan), expected);
    }

    #[test]
    fn dumps_of_one_name_fit_into_folders_of_their_own_but_not_into_one() {
        let nights = ["2016-06-11", "2016-06-11_before-upgrade"].map(|it| night(it, &[], &[("cpu_11.json", "json")]));
        Plan::make(&nights, &Destination::Folder("out".into())).unwrap();
        for (destination, said) in [
            (
                Destination::Flat("out".into()),
                "cpu_11.json of 2016-06-11 and of 2016-06-11_before-upgrade would be one file",
            ),
            (Destination::Stream, "cpu_11.json of 2016-06-11 and of 2016-06-11_before-upgrade are of the same day"),
        ] {
            let error = Plan::make(&nights, &destination).unwrap_err();
            assert_eq!((error.kind(), error.to_string().as_str()), (Kind::Usage, said));
            assert!(error.hint_text().unwrap().contains("--match"), "{error:?}");
        }
        let other = [night("2016-06-11", &[], &[("cpu_11.json", "json"), ("mem_11.json", "json")])];
        let plan = Plan::make(&other, &Destination::Flat("out".into())).unwrap();
        assert_eq!(targets(&plan), ["out/cpu_11.json", "out/mem_11.json"]);
    }

    #[test]
    fn a_stream_is_of_one_format() {
        let nights = [night("2016-06-11", &[], &[("a.json.gz", "json"), ("b.json", "json"), ("c.csv", "csv")])];
        Plan::make(&nights, &Destination::Flat("out".into())).unwrap();
        let error = Plan::make(&nights, &Destination::Stream).unwrap_err();
        assert!(error.to_string().contains("a.json.gz is json and 2016-06-11/influxdb/c.csv is csv"), "{error}");
    }
}
