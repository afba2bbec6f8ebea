//! What is refused at once, before a server is asked and before anything is waited for.

use std::collections::BTreeMap;

use archive::names;

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
pub(super) fn measurements(asked: &[String]) -> Result<Vec<String>, Error> {
    let mut measurements: Vec<String> = Vec::new();
    let mut named = BTreeMap::new();
    for measurement in asked {
        match named.insert(names::measurement_in_file(measurement), measurement) {
            None => measurements.push(measurement.clone()),
            Some(same) if same == measurement => {}
            Some(other) => {
                let message = format!("the dumps of {other} and {measurement} would have the same name");
                let hint = "dump one of them with --no-upload and --output, to a folder of its own";
                return Err(Error::new(Kind::Usage, message).hint(hint));
            }
        }
    }
    Ok(measurements)
}
