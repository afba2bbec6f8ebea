//! What is refused at once, before a server is asked and before anything is waited for.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use archive::{DumpName, DumpOf};

use super::Config;
use crate::{Error, Kind};

/// Refuses what makes no sense whatever the servers say.
pub(super) fn check(config: &Config, archive: bool) -> Result<(), Error> {
    let usage = |message: &str, hint: &str| Err(Error::new(Kind::Usage, message).hint(hint));
    if config.upload && !archive {
        return usage("cannot upload a dump without an archive", "name one with --archive, or give --no-upload");
    }
    if !config.upload && config.output.is_none() {
        return usage("nothing would be kept of the dump", "name a folder for it with --output, or let it be uploaded");
    }
    if config.measurements.iter().any(String::is_empty) {
        return usage("a measurement has no name", "an empty name comes from a variable that is not set, for example");
    }
    Ok(())
}

/// The measurements, each once. Two of which the dumps would have the same name are refused.
pub(super) fn measurements(
    config: &Config,
    asked: &[String],
    database: &str,
    retention_policy: &str,
) -> Result<Vec<String>, Error> {
    let mut measurements: Vec<String> = Vec::new();
    let mut named = BTreeMap::new();
    for measurement in asked {
        match named.insert(config.name.stem(DumpOf { database, retention_policy, measurement }), measurement) {
            None => measurements.push(measurement.clone()),
            Some(same) if same == measurement => {}
            Some(other) => {
                let message = format!("the dumps of {other} and {measurement} would have the same name");
                return Err(Error::new(Kind::Usage, message).hint(match config.name == DumpName::default() {
                    true => "dump one of them with a --name of its own, such as \"other.{measurement}\"",
                    false => "give a --name with {measurement} in it",
                }));
            }
        }
    }
    Ok(measurements)
}

/// Makes the folder for copies, and proves that a file can be made in it.
pub(super) fn output(folder: &Path) -> Result<(), Error> {
    let made = match folder.metadata() {
        Ok(found) if !found.is_dir() => Err(io::Error::from(io::ErrorKind::NotADirectory)),
        _ => std::fs::create_dir_all(folder).and_then(|()| tempfile::tempfile_in(folder).map(drop)),
    };
    made.map_err(|error| {
        Error::new(Kind::Usage, format!("cannot write copies to the folder {}: {error}", folder.display()))
            .hint("name a folder with --output in which the user that runs this may write")
    })
}
